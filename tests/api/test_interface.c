/* Function lists and interfaces: complete, in order, and pointing at this module's own functions. */
#include "tests/api/p11.h"

static void *address(const char *name)
{
    return dlsym(p11_module, name);
}

#define POINTS_AT_EXPORT(name, ...)                                                                                    \
    {                                                                                                                  \
        void *in_list;                                                                                                 \
        memcpy(&in_list, &list->name, sizeof(in_list));                                                                \
        P11_CHECK(in_list &&in_list == address(#name));                                                                \
    }

/* An application may be linked to another module and so have the same names: the lists must not be resolved to those.
 */
CK_RV C_GetInfo(CK_INFO *info)
{
    (void)info;
    return CKR_VENDOR_DEFINED;
}

static void function_lists(void)
{
    CK_FUNCTION_LIST *old = NULL;
    CK_C_GetFunctionList get = NULL;
    p11_load();
    P11_RV(p11->C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
    void *symbol = address("C_GetFunctionList");
    memcpy(&get, &symbol, sizeof(get));
    P11_MUST(get(&old));
    P11_CHECK(old->version.major == 2 && old->version.minor == 40);
    P11_CHECK(p11->version.major == 3 && p11->version.minor == 0);
    {
        const CK_FUNCTION_LIST *list = old;
        CMK_FUNCTIONS_2_40(POINTS_AT_EXPORT, POINTS_AT_EXPORT)
    }
    const CK_FUNCTION_LIST_3_0 *list = p11;
    CMK_FUNCTIONS_2_40(POINTS_AT_EXPORT, POINTS_AT_EXPORT)
    CMK_FUNCTIONS_3_0(POINTS_AT_EXPORT, POINTS_AT_EXPORT)
}

static void interface_list(void)
{
    CK_INTERFACE list[2];
    CK_ULONG n = 0;
    p11_load();
    P11_RV(p11->C_GetInterfaceList(NULL, NULL), CKR_ARGUMENTS_BAD);
    P11_OK(p11->C_GetInterfaceList(NULL, &n));
    P11_CHECK(n == 2);
    n = 1;
    P11_RV(p11->C_GetInterfaceList(list, &n), CKR_BUFFER_TOO_SMALL);
    P11_CHECK(n == 2);
    P11_MUST(p11->C_GetInterfaceList(list, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        P11_CHECK(strcmp((const char *)list[i].pInterfaceName, "PKCS 11") == 0 && list[i].flags == 0);
        P11_CHECK(((CK_VERSION *)list[i].pFunctionList)->major == (i == 0 ? 3 : 2));
    }
}

static CK_BYTE major_of(const CK_INTERFACE *interface)
{
    return ((const CK_VERSION *)interface->pFunctionList)->major;
}

static void get_interface(void)
{
    CK_UTF8CHAR name[] = "PKCS 11";
    CK_UTF8CHAR unknown[] = "Vendor other";
    CK_VERSION v3 = {3, 0};
    CK_VERSION v2 = {2, 40};
    CK_VERSION v31 = {3, 1};
    CK_INTERFACE *i = NULL;
    p11_load();
    P11_RV(p11->C_GetInterface(name, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
    P11_CHECK(p11->C_GetInterface(NULL, NULL, &i, 0) == CKR_OK && major_of(i) == 3);
    P11_CHECK(p11->C_GetInterface(name, NULL, &i, 0) == CKR_OK && major_of(i) == 3);
    P11_CHECK(p11->C_GetInterface(name, &v3, &i, 0) == CKR_OK && major_of(i) == 3);
    P11_CHECK(p11->C_GetInterface(name, &v2, &i, 0) == CKR_OK && major_of(i) == 2);
    P11_CHECK(p11->C_GetInterface(NULL, &v2, &i, 0) == CKR_OK && major_of(i) == 2);
    P11_RV(p11->C_GetInterface(name, &v31, &i, 0), CKR_FUNCTION_FAILED);
    P11_RV(p11->C_GetInterface(unknown, NULL, &i, 0), CKR_FUNCTION_FAILED);
    P11_RV(p11->C_GetInterface(name, NULL, &i, CKF_INTERFACE_FORK_SAFE), CKR_FUNCTION_FAILED);
}

static void not_supported(void)
{
    CK_SESSION_HANDLE s = p11_open(p11_start(), 0);
    CK_ULONG n = 0;
    P11_RV(p11->C_SignInit(s, NULL, 0), CKR_FUNCTION_NOT_SUPPORTED);
    P11_RV(p11->C_GetOperationState(s, NULL, &n), CKR_FUNCTION_NOT_SUPPORTED);
    P11_RV(p11->C_SetOperationState(s, NULL, 0, 0, 0), CKR_FUNCTION_NOT_SUPPORTED);
    P11_RV(p11->C_MessageEncryptInit(s, NULL, 0), CKR_FUNCTION_NOT_SUPPORTED);
    P11_RV(p11->C_VerifyMessageNext(s, NULL, 0, NULL, 0, NULL, 0), CKR_FUNCTION_NOT_SUPPORTED);
    P11_RV(p11->C_DeriveKey(s, NULL, 0, NULL, 0, NULL), CKR_FUNCTION_NOT_SUPPORTED);
    P11_RV(p11->C_GetFunctionStatus(s), CKR_FUNCTION_NOT_PARALLEL);
    P11_RV(p11->C_CancelFunction(s), CKR_FUNCTION_NOT_PARALLEL);
    P11_RV(p11->C_CancelFunction(s + 1), CKR_SESSION_HANDLE_INVALID);
}

static const p11_test tests[] = {
    {"function_lists", function_lists},
    {"interface_list", interface_list},
    {"get_interface", get_interface},
    {"not_supported", not_supported},
};

P11_MAIN("interface", tests)
