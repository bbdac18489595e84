/* What an application gets hold of: the function lists and the interfaces (PKCS#11 v3.0 §5.4). These functions work
 * before C_Initialize. */
#include <string.h>

#include "pkcs11/cryptoki.h"

#define POINTER(name, ...) .name = name,
static CK_FUNCTION_LIST list_2_40 = {.version = {2, 40}, CMK_FUNCTIONS_2_40(POINTER, POINTER)};
static CK_FUNCTION_LIST_3_0 list_3_0 = {.version = {3, 0},
                                        CMK_FUNCTIONS_2_40(POINTER, POINTER) CMK_FUNCTIONS_3_0(POINTER, POINTER)};
#undef POINTER

static CK_UTF8CHAR interface_name[] = "PKCS 11";

/* The first is what an application gets that does not say which. Not fork-safe in the specification's sense: a child
 * starts anew. */
static CK_INTERFACE interfaces[] = {{interface_name, &list_3_0, 0}, {interface_name, &list_2_40, 0}};
#define INTERFACES (sizeof(interfaces) / sizeof(interfaces[0]))

/* §5.4.4 C_GetFunctionList */
CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
    if (!ppFunctionList)
        return CKR_ARGUMENTS_BAD;
    *ppFunctionList = &list_2_40;
    return CKR_OK;
}

/* §5.4.5 C_GetInterfaceList */
CK_RV C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount)
{
    if (!pulCount)
        return CKR_ARGUMENTS_BAD;
    CK_ULONG room = *pulCount;
    *pulCount = INTERFACES;
    if (!pInterfacesList)
        return CKR_OK;
    if (room < INTERFACES)
        return CKR_BUFFER_TOO_SMALL;
    memcpy(pInterfacesList, interfaces, sizeof(interfaces));
    return CKR_OK;
}

static int is_wanted(const CK_INTERFACE *interface, const CK_UTF8CHAR *name, const CK_VERSION *version, CK_FLAGS flags)
{
    const CK_VERSION *has = interface->pFunctionList; /* a list starts with its version */
    if (name && strcmp((const char *)name, (const char *)interface->pInterfaceName) != 0)
        return 0;
    if (version && (version->major != has->major || version->minor != has->minor))
        return 0;
    return (flags & ~interface->flags) == 0;
}

/* §5.4.6 C_GetInterface */
CK_RV C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion, CK_INTERFACE_PTR_PTR ppInterface,
                     CK_FLAGS flags)
{
    if (!ppInterface)
        return CKR_ARGUMENTS_BAD;
    for (size_t i = 0; i < INTERFACES; i++) {
        if (is_wanted(&interfaces[i], pInterfaceName, pVersion, flags)) {
            *ppInterface = &interfaces[i];
            return CKR_OK;
        }
    }
    return CKR_FUNCTION_FAILED;
}
