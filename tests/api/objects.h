/* A vault of its own for each program that tests objects: the module of $CMK11_MODULE, loaded and called like any
 * application does, over a new store in a scratch directory. */
#ifndef CMK_TESTS_API_OBJECTS_H
#define CMK_TESTS_API_OBJECTS_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkcs11/cmk11.h"
#include "pkcs11/cryptoki.h"

#define SO_PIN "so-pin-1234"
#define USER_PIN "user-pin-1234"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;    /* read-write, user logged in */
static CK_SESSION_HANDLE ro_session; /* read-only */
static CK_SLOT_ID slot;
static int test_failures, test_count, test_bad;
static char scratch[64];

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS class_data = CKO_DATA, class_cert = CKO_CERTIFICATE, class_public = CKO_PUBLIC_KEY,
                       class_private = CKO_PRIVATE_KEY, class_secret = CKO_SECRET_KEY;
static CK_KEY_TYPE type_aes = CKK_AES, type_generic = CKK_GENERIC_SECRET, type_rsa = CKK_RSA;
#define UNUSED_STATICS                                                                                                 \
    (void)class_data, (void)class_cert, (void)class_public, (void)class_private, (void)class_secret, (void)type_aes,   \
        (void)type_generic, (void)type_rsa, (void)yes, (void)no, (void)ro_session

/* One attribute of a template. */
#define ATTR(type, var)                                                                                                \
    {                                                                                                                  \
        (type), &(var), sizeof(var)                                                                                    \
    }
#define ATTR_TEXT(type, text)                                                                                          \
    {                                                                                                                  \
        (type), (void *)(uintptr_t)(text), sizeof(text) - 1                                                            \
    }

/* Fails the running test, saying where. */
#define CHECK(expr)                                                                                                    \
    do {                                                                                                               \
        if (!(expr)) {                                                                                                 \
            printf("  %s:%d: %s\n", __FILE__, __LINE__, #expr);                                                        \
            test_bad = 1;                                                                                              \
        }                                                                                                              \
    } while (0)
#define RV(want, call)                                                                                                 \
    do {                                                                                                               \
        CK_RV rv_ = (call);                                                                                            \
        if (rv_ != (want)) {                                                                                           \
            printf("  %s:%d: %s: 0x%lx instead of %s\n", __FILE__, __LINE__, #call, rv_, #want);                       \
            test_bad = 1;                                                                                              \
        }                                                                                                              \
    } while (0)

/* Runs one test: a function without arguments. */
#define RUN(name)                                                                                                      \
    do {                                                                                                               \
        test_bad = 0;                                                                                                  \
        name();                                                                                                        \
        printf("%s %s\n", test_bad ? "FAIL" : "PASS", #name);                                                          \
        fflush(stdout);                                                                                                \
        test_failures += test_bad;                                                                                     \
        test_count++;                                                                                                  \
    } while (0)

static void die(const char *what, CK_RV rv)
{
    printf("FAIL setup: %s: 0x%lx\n", what, rv);
    exit(1);
}

static void must(const char *what, CK_RV rv)
{
    if (rv != CKR_OK)
        die(what, rv);
}

static CK_UTF8CHAR *text(const char *s)
{
    return (CK_UTF8CHAR *)(uintptr_t)s;
}

static void load_module(void)
{
    const char *path = getenv("CMK11_MODULE");
    void *lib = dlopen(path ? path : ".libs/libcmk11.so", RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        printf("  %s\n", dlerror());
    CK_C_GetFunctionList get = NULL;
    void *symbol = lib ? dlsym(lib, "C_GetFunctionList") : NULL;
    memcpy(&get, &symbol, sizeof(get));
    must("C_GetFunctionList", get ? get(&p11) : CKR_GENERAL_ERROR);
}

/* settings: lines of the configuration file. */
static void start(const char *settings)
{
    char conf[96], store[96];
    snprintf(scratch, sizeof(scratch), "/tmp/cmk11-api-XXXXXX");
    if (!mkdtemp(scratch))
        die("mkdtemp", 0);
    snprintf(conf, sizeof(conf), "%s/cmk11.conf", scratch);
    snprintf(store, sizeof(store), "%s/store", scratch);
    FILE *f = fopen(conf, "w");
    if (!f || fputs(settings, f) < 0 || fclose(f) != 0)
        die("configuration", 0);
    setenv("CMK11_CONF", conf, 1);
    setenv("CMK11_STORE", store, 1);
    load_module();
    must("C_Initialize", p11->C_Initialize(NULL));
    CK_SLOT_ID slots[8];
    CK_ULONG n = COUNT(slots);
    must("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &n));
    slot = slots[0];
    CK_UTF8CHAR label[32];
    memset(label, ' ', sizeof(label));
    memcpy(label, "api", 3);
    must("C_InitToken", p11->C_InitToken(slot, text(SO_PIN), strlen(SO_PIN), label));
    must("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    must("C_Login SO", p11->C_Login(session, CKU_SO, text(SO_PIN), strlen(SO_PIN)));
    must("C_InitPIN", p11->C_InitPIN(session, text(USER_PIN), strlen(USER_PIN)));
    must("C_Logout", p11->C_Logout(session));
    must("C_Login", p11->C_Login(session, CKU_USER, text(USER_PIN), strlen(USER_PIN)));
    must("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &ro_session));
    UNUSED_STATICS;
}

static int finish(void)
{
    char command[128];
    RV(CKR_OK, p11->C_Finalize(NULL));
    snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
    if (system(command) != 0)
        printf("  %s was left behind\n", scratch);
    return test_failures > 0 || test_count == 0;
}

/* A KEK with wrap and unwrap, as pkcs11-tool --usage-wrap makes it; label may be "". */
__attribute__((unused)) static CK_RV make_kek(const char *label, CK_ULONG bits, CK_OBJECT_HANDLE *pub,
                                              CK_OBJECT_HANDLE *prv)
{
    CK_MECHANISM mech = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_BYTE e[] = {1, 0, 1};
    CK_ATTRIBUTE a[] = {ATTR(CKA_CLASS, class_public),           ATTR(CKA_TOKEN, yes), ATTR(CKA_MODULUS_BITS, bits),
                        {CKA_PUBLIC_EXPONENT, e, sizeof(e)},     ATTR(CKA_WRAP, yes),  ATTR(CKA_KEY_TYPE, type_rsa),
                        {CKA_LABEL, text(label), strlen(label)}, ATTR(CKA_PRIVATE, no)};
    CK_ATTRIBUTE b[] = {ATTR(CKA_CLASS, class_private),
                        ATTR(CKA_TOKEN, yes),
                        ATTR(CKA_PRIVATE, yes),
                        ATTR(CKA_SENSITIVE, yes),
                        ATTR(CKA_UNWRAP, yes),
                        ATTR(CKA_KEY_TYPE, type_rsa),
                        {CKA_LABEL, text(label), strlen(label)}};
    return p11->C_GenerateKeyPair(session, &mech, a, COUNT(a), b, COUNT(b), pub, prv);
}

/* A session AES key with a known value, readable and extractable. */
__attribute__((unused)) static CK_OBJECT_HANDLE aes_key(const CK_BYTE *value, CK_ULONG n)
{
    CK_OBJECT_HANDLE key = 0;
    CK_ATTRIBUTE t[] = {
        ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes), {CKA_VALUE, (void *)(uintptr_t)value, n}};
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &key));
    return key;
}

__attribute__((unused)) static bool get_bool(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL v = 7;
    CK_ATTRIBUTE a = ATTR(type, v);
    RV(CKR_OK, p11->C_GetAttributeValue(session, o, &a, 1));
    CHECK(v == CK_TRUE || v == CK_FALSE);
    return v == CK_TRUE;
}

__attribute__((unused)) static CK_ULONG get_ulong(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG v = 0;
    CK_ATTRIBUTE a = ATTR(type, v);
    RV(CKR_OK, p11->C_GetAttributeValue(session, o, &a, 1));
    return v;
}

/* Bytes of an attribute; -1 when it can't be read. */
__attribute__((unused)) static long get_bytes(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, CK_BYTE *out, CK_ULONG room)
{
    CK_ATTRIBUTE a = {type, out, room};
    return p11->C_GetAttributeValue(session, o, &a, 1) == CKR_OK ? (long)a.ulValueLen : -1;
}

/* Searches; how many were found, the first max in out. */
__attribute__((unused)) static CK_ULONG find(CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out, CK_ULONG max)
{
    CK_ULONG found = 0, total = 0;
    RV(CKR_OK, p11->C_FindObjectsInit(session, t, n));
    RV(CKR_OK, p11->C_FindObjects(session, out, max, &total));
    do {
        CK_OBJECT_HANDLE more[16];
        found = 0;
        RV(CKR_OK, p11->C_FindObjects(session, more, COUNT(more), &found));
        total += found;
    } while (found > 0);
    RV(CKR_OK, p11->C_FindObjectsFinal(session));
    return total;
}

#endif
