/* General-purpose functions (PKCS#11 v3.0 §5.4), but for those that give out function lists: functions.c. */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/module.h"
#include "pkcs11/pad.h"

/* Locks are always those of the system, whatever the flags say, and no thread is ever made: so all that can be wrong
 * are contradictions. */
static CK_RV check_init_args(const CK_C_INITIALIZE_ARGS *args)
{
    if (!args)
        return CKR_OK;
    int given = (args->CreateMutex != NULL) + (args->DestroyMutex != NULL) + (args->LockMutex != NULL) +
                (args->UnlockMutex != NULL);
    if (args->pReserved || (given != 0 && given != 4))
        return CKR_ARGUMENTS_BAD;
    return CKR_OK;
}

/* §5.4.1 C_Initialize */
CK_RV C_Initialize(CK_VOID_PTR pInitArgs)
{
    CK_RV rv = check_init_args(pInitArgs);
    return rv == CKR_OK ? cmk_module_start() : rv;
}

/* §5.4.2 C_Finalize */
CK_RV C_Finalize(CK_VOID_PTR pReserved)
{
    return pReserved ? CKR_ARGUMENTS_BAD : cmk_module_stop();
}

CK_VERSION cmk_library_version(void)
{
    CK_VERSION v = {0, 0};
#ifdef PACKAGE_VERSION
    char *rest = NULL;
    v.major = (CK_BYTE)strtoul(PACKAGE_VERSION, &rest, 10);
    v.minor = *rest == '.' ? (CK_BYTE)strtoul(rest + 1, NULL, 10) : 0;
#endif
    return v;
}

void cmk_pad(CK_UTF8CHAR *out, size_t size, const char *text)
{
    size_t n = strnlen(text, size);
    memset(out, ' ', size);
    memcpy(out, text, n);
}

static CK_RV info(CK_INFO *out)
{
    if (!out)
        return CKR_ARGUMENTS_BAD;
    *out = (CK_INFO){.cryptokiVersion = {3, 0}, .libraryVersion = cmk_library_version()};
    CMK_PAD(out->manufacturerID, "cmk11");
    CMK_PAD(out->libraryDescription, "Customer-managed keys");
    return CKR_OK;
}

/* §5.4.3 C_GetInfo */
CK_RV C_GetInfo(CK_INFO_PTR pInfo)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, info(pInfo)) : rv;
}
