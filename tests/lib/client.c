#include "tests/lib/client.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Noreturn void client_die(const char *what, CK_RV rv)
{
    fprintf(stderr, "client: %s: 0x%lx\n", what, rv);
    exit(1);
}

CK_FUNCTION_LIST *client_open(void **module)
{
    const char *path = getenv("CMK11_MODULE");
    void *handle = dlopen(path ? path : "libcmk11.so", RTLD_NOW | RTLD_LOCAL);
    CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
    CK_FUNCTION_LIST *p = NULL;
    if (handle)
        *(void **)&get = dlsym(handle, "C_GetFunctionList");
    if (!get || get(&p) != CKR_OK) {
        fprintf(stderr, "client: %s\n", dlerror());
        exit(1);
    }
    if (module)
        *module = handle;
    return p;
}

CK_FUNCTION_LIST *client_load(void)
{
    CK_FUNCTION_LIST *p = client_open(NULL);
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    MUST(p->C_Initialize(&args));
    return p;
}

static void pad(CK_UTF8CHAR label[32], const char *text)
{
    size_t n = strlen(text);
    memset(label, ' ', 32);
    memcpy(label, text, n < 32 ? n : 32);
}

CK_SLOT_ID client_slot(CK_FUNCTION_LIST *p, const char *label)
{
    CK_SLOT_ID slots[300];
    CK_ULONG n = 300;
    CK_UTF8CHAR wanted[32];
    pad(wanted, label);
    MUST(p->C_GetSlotList(CK_TRUE, slots, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        CK_TOKEN_INFO info;
        MUST(p->C_GetTokenInfo(slots[i], &info));
        if ((info.flags & CKF_TOKEN_INITIALIZED) && memcmp(info.label, wanted, 32) == 0)
            return slots[i];
    }
    client_die("no such vault", CKR_SLOT_ID_INVALID);
}

CK_SLOT_ID client_init_vault(CK_FUNCTION_LIST *p, const char *label)
{
    CK_SLOT_ID slots[300];
    CK_ULONG n = 300;
    CK_UTF8CHAR name[32];
    pad(name, label);
    MUST(p->C_GetSlotList(CK_TRUE, slots, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        CK_TOKEN_INFO info;
        MUST(p->C_GetTokenInfo(slots[i], &info));
        if (info.flags & CKF_TOKEN_INITIALIZED)
            continue;
        CK_UTF8CHAR so_pin[] = CLIENT_SO_PIN;
        CK_UTF8CHAR pin[] = CLIENT_PIN;
        CK_SESSION_HANDLE s;
        MUST(p->C_InitToken(slots[i], so_pin, sizeof so_pin - 1, name));
        MUST(p->C_OpenSession(slots[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s));
        MUST(p->C_Login(s, CKU_SO, so_pin, sizeof so_pin - 1));
        MUST(p->C_InitPIN(s, pin, sizeof pin - 1));
        MUST(p->C_CloseSession(s));
        return slots[i];
    }
    client_die("no uninitialised token", CKR_SLOT_ID_INVALID);
}

CK_SESSION_HANDLE client_session(CK_FUNCTION_LIST *p, CK_SLOT_ID slot)
{
    CK_SESSION_HANDLE s;
    MUST(p->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s));
    return s;
}

CK_SESSION_HANDLE client_login(CK_FUNCTION_LIST *p, CK_SLOT_ID slot)
{
    CK_UTF8CHAR pin[] = CLIENT_PIN;
    CK_SESSION_HANDLE s = client_session(p, slot);
    MUST(p->C_Login(s, CKU_USER, pin, sizeof pin - 1));
    return s;
}

void client_make_kek(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s, const char *label, CK_ULONG bits)
{
    CK_BBOOL yes = CK_TRUE;
    char name[128];
    CK_ULONG n = (CK_ULONG)snprintf(name, sizeof name, "%s", label);
    CK_ATTRIBUTE pub[] = {{CKA_TOKEN, &yes, sizeof yes},
                          {CKA_WRAP, &yes, sizeof yes},
                          {CKA_MODULUS_BITS, &bits, sizeof bits},
                          {CKA_LABEL, name, n}};
    CK_ATTRIBUTE prv[] = {{CKA_TOKEN, &yes, sizeof yes}, {CKA_UNWRAP, &yes, sizeof yes}, {CKA_LABEL, name, n}};
    CK_MECHANISM mech = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE a, b;
    MUST(p->C_GenerateKeyPair(s, &mech, pub, 4, prv, 3, &a, &b));
}

CK_OBJECT_HANDLE client_find(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s, CK_OBJECT_CLASS class, const char *label)
{
    char name[128];
    CK_ULONG n = (CK_ULONG)snprintf(name, sizeof name, "%s", label);
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, name, n}};
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    MUST(p->C_FindObjectsInit(s, t, 2));
    MUST(p->C_FindObjects(s, found, 2, &count));
    MUST(p->C_FindObjectsFinal(s));
    if (count != 1)
        client_die(label, CKR_OBJECT_HANDLE_INVALID);
    return found[0];
}

CK_OBJECT_HANDLE client_dek(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s)
{
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG len = 32;
    CK_ATTRIBUTE t[] = {
        {CKA_TOKEN, &no, sizeof no}, {CKA_EXTRACTABLE, &yes, sizeof yes}, {CKA_VALUE_LEN, &len, sizeof len}};
    CK_MECHANISM mech = {CKM_AES_KEY_GEN, NULL, 0};
    CK_OBJECT_HANDLE key;
    MUST(p->C_GenerateKey(s, &mech, t, 3, &key));
    return key;
}

CK_MECHANISM *client_oaep(void)
{
    static CK_RSA_PKCS_OAEP_PARAMS params = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    static CK_MECHANISM mech = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
    return &mech;
}

void client_unwrap_once(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE key, const unsigned char *wrapped,
                        CK_ULONG len)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}};
    CK_OBJECT_HANDLE dek;
    MUST(p->C_UnwrapKey(s, client_oaep(), key, (CK_BYTE_PTR)(uintptr_t)wrapped, len, t, 2, &dek));
    MUST(p->C_DestroyObject(s, dek));
}

double client_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
