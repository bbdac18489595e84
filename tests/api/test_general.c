/* C_Initialize, C_Finalize, information on module, slots and tokens, C_InitToken. */
#include <sys/stat.h>

#include "tests/api/p11.h"

static void load(void)
{
    p11_store();
    p11_load();
}

static void before_initialize(void)
{
    CK_INFO info;
    CK_ULONG n = 0;
    CK_FUNCTION_LIST *list = NULL;
    load();
    P11_RV(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_GetSlotList(CK_TRUE, NULL, &n), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_SignInit(1, NULL, 1), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_OK(p11->C_GetFunctionList(&list));
}

static CK_RV create(void **p)
{
    *p = NULL;
    return CKR_OK;
}

static CK_RV other(void *p)
{
    (void)p;
    return CKR_OK;
}

static void initialize_arguments(void)
{
    int reserved = 0;
    load();
    CK_C_INITIALIZE_ARGS with_reserved = {.pReserved = &reserved};
    P11_RV(p11->C_Initialize(&with_reserved), CKR_ARGUMENTS_BAD);
    for (unsigned given = 1; given < 15; given++) { /* some callbacks, not all */
        CK_C_INITIALIZE_ARGS some = {.CreateMutex = given & 1 ? create : NULL,
                                     .DestroyMutex = given & 2 ? other : NULL,
                                     .LockMutex = given & 4 ? other : NULL,
                                     .UnlockMutex = given & 8 ? other : NULL,
                                     .flags = CKF_OS_LOCKING_OK};
        P11_RV(p11->C_Initialize(&some), CKR_ARGUMENTS_BAD);
    }
    CK_C_INITIALIZE_ARGS all = {create, other, other, other, 0, NULL};
    P11_OK(p11->C_Initialize(&all));
    P11_RV(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    P11_RV(p11->C_Finalize(&reserved), CKR_ARGUMENTS_BAD);
    P11_OK(p11->C_Finalize(NULL));
    P11_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    for (CK_FLAGS flags = 0; flags < 4; flags++) {
        CK_C_INITIALIZE_ARGS args = {.flags = flags};
        P11_OK(p11->C_Initialize(&args));
        P11_OK(p11->C_Finalize(NULL));
    }
}

static void wrong_configuration(void)
{
    char path[96];
    load();
    (void)snprintf(path, sizeof(path), "%s/missing.conf", p11_directory);
    (void)setenv("CMK11_CONF", path, 1);
    P11_CHECK(p11->C_Initialize(NULL) != CKR_OK);
    (void)unsetenv("CMK11_CONF");
    P11_OK(p11->C_Initialize(NULL));
}

static bool blank(const CK_UTF8CHAR *s, size_t n)
{
    while (n > 0 && s[n - 1] == ' ')
        n--;
    return n == 0;
}

/* Programs load every module that is registered: nothing may be made, and nothing be wrong. */
static void no_store(void)
{
    CK_SLOT_ID slots[4] = {99, 99, 99, 99};
    CK_ULONG n = 4;
    CK_TOKEN_INFO info;
    struct stat st;
    char path[96];
    load();
    P11_MUST(p11->C_Initialize(NULL));
    P11_OK(p11->C_GetSlotList(CK_TRUE, slots, &n));
    P11_CHECK(n == 1 && slots[0] == 0);
    P11_OK(p11->C_GetTokenInfo(0, &info));
    P11_CHECK(info.flags == (CKF_RNG | CKF_LOGIN_REQUIRED | CKF_RESTORE_KEY_NOT_NEEDED));
    P11_CHECK(blank(info.label, sizeof(info.label)) && blank(info.serialNumber, sizeof(info.serialNumber)));
    CK_SESSION_HANDLE s = 0;
    P11_RV(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_TOKEN_NOT_RECOGNIZED);
    P11_RV(p11->C_GetTokenInfo(1, &info), CKR_SLOT_ID_INVALID);
    (void)snprintf(path, sizeof(path), "%s/store", p11_directory);
    P11_CHECK(stat(path, &st) != 0);
    P11_OK(p11_init_token(0, P11_SO_PIN, "first"));
    P11_CHECK(stat(path, &st) == 0);
}

static void info(void)
{
    CK_INFO i;
    load();
    P11_MUST(p11->C_Initialize(NULL));
    P11_RV(p11->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
    P11_OK(p11->C_GetInfo(&i));
    P11_CHECK(i.cryptokiVersion.major == 3 && i.cryptokiVersion.minor == 0 && i.flags == 0);
    P11_CHECK(memcmp(i.manufacturerID, "cmk11   ", 8) == 0);
}

static void slot_list(void)
{
    CK_SLOT_ID slots[4] = {99, 99, 99, 99};
    CK_ULONG n = 0;
    CK_SLOT_ID made = p11_start();
    P11_RV(p11->C_GetSlotList(CK_TRUE, NULL, NULL), CKR_ARGUMENTS_BAD);
    P11_OK(p11->C_GetSlotList(CK_TRUE, NULL, &n));
    P11_CHECK(n == 2);
    n = 1;
    P11_RV(p11->C_GetSlotList(CK_TRUE, slots, &n), CKR_BUFFER_TOO_SMALL);
    P11_CHECK(n == 2);
    n = 4;
    P11_OK(p11->C_GetSlotList(CK_FALSE, slots, &n));
    P11_CHECK(n == 2 && slots[0] == made && slots[1] != made);
    CK_SLOT_ID second = p11_make_token("second");
    P11_CHECK(second == slots[1]);
    n = 4;
    P11_OK(p11->C_GetSlotList(CK_TRUE, slots, &n));
    P11_CHECK(n == 3);
}

static void slot_info(void)
{
    CK_SLOT_INFO i;
    CK_SLOT_ID slot = p11_start();
    P11_RV(p11->C_GetSlotInfo(slot, NULL), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_GetSlotInfo(4711, &i), CKR_SLOT_ID_INVALID);
    P11_RV(p11->C_GetSlotInfo((CK_SLOT_ID)-1, &i), CKR_SLOT_ID_INVALID);
    P11_OK(p11->C_GetSlotInfo(slot, &i));
    P11_CHECK(i.flags == CKF_TOKEN_PRESENT);
    P11_CHECK(memcmp(i.slotDescription, "cmk11 slot", 10) == 0 && i.slotDescription[63] == ' ');
}

static void token_info(void)
{
    CK_TOKEN_INFO i;
    CK_SLOT_ID slot = p11_start();
    P11_RV(p11->C_GetTokenInfo(slot, NULL), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_GetTokenInfo(4711, &i), CKR_SLOT_ID_INVALID);
    P11_OK(p11->C_GetTokenInfo(slot, &i));
    P11_CHECK(i.flags == (CKF_RNG | CKF_LOGIN_REQUIRED | CKF_RESTORE_KEY_NOT_NEEDED | CKF_TOKEN_INITIALIZED |
                          CKF_USER_PIN_INITIALIZED));
    P11_CHECK(memcmp(i.label, "vault                           ", 32) == 0);
    P11_CHECK(memcmp(i.manufacturerID, "cmk11 ", 6) == 0);
    P11_CHECK(strspn((const char *)i.serialNumber, "0123456789abcdef") >= 16);
    P11_CHECK(i.ulMinPinLen == 4 && i.ulMaxPinLen == 255 && blank(i.utcTime, sizeof(i.utcTime)));
    P11_CHECK(i.ulMaxSessionCount == 1024 && i.ulSessionCount == 0 && i.ulRwSessionCount == 0);
    (void)p11_open(slot, CKF_RW_SESSION);
    (void)p11_open(slot, 0);
    P11_OK(p11->C_GetTokenInfo(slot, &i));
    P11_CHECK(i.ulSessionCount == 2 && i.ulRwSessionCount == 1);
}

static void init_token(void)
{
    CK_TOKEN_INFO before;
    CK_TOKEN_INFO after;
    CK_UTF8CHAR label[32];
    CK_UTF8CHAR pin[] = "some-so-pin";
    memset(label, ' ', sizeof(label));
    CK_SLOT_ID slot = p11_start();
    CK_SLOT_ID unused = p11_free_slot();
    P11_RV(p11->C_InitToken(4711, pin, 11, label), CKR_SLOT_ID_INVALID);
    P11_RV(p11->C_InitToken(unused, NULL, 0, label), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_InitToken(unused, pin, 11, NULL), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_InitToken(unused, pin, 11, label), CKR_ARGUMENTS_BAD); /* a vault has a name */
    P11_RV(p11_init_token(unused, "abc", "new"), CKR_PIN_LEN_RANGE);
    P11_RV(p11_init_token(unused, "with:colon", "new"), CKR_PIN_INVALID);
    P11_RV(p11_init_token(unused, P11_SO_PIN, "vault"), CKR_ARGUMENTS_BAD); /* taken */
    P11_RV(p11_init_token(slot, "not-the-so-pin", "vault"), CKR_PIN_INCORRECT);
    P11_CHECK(p11_token_flags(slot) & CKF_SO_PIN_COUNT_LOW);
    CK_SESSION_HANDLE s = p11_open(slot, 0);
    P11_RV(p11_init_token(slot, P11_SO_PIN, "vault"), CKR_SESSION_EXISTS);
    P11_OK(p11->C_CloseSession(s));
    P11_OK(p11->C_GetTokenInfo(slot, &before));
    P11_OK(p11_init_token(slot, P11_SO_PIN, "renamed"));
    P11_OK(p11->C_GetTokenInfo(slot, &after));
    P11_CHECK(memcmp(before.serialNumber, after.serialNumber, sizeof(after.serialNumber)) == 0);
    P11_CHECK(memcmp(after.label, "renamed ", 8) == 0);
    P11_CHECK(!(after.flags & CKF_USER_PIN_INITIALIZED) && (after.flags & CKF_TOKEN_INITIALIZED));
    P11_CHECK(!(after.flags & CKF_SO_PIN_COUNT_LOW));
}

static void slot_event(void)
{
    CK_SLOT_ID slot = 0;
    int reserved = 0;
    load();
    P11_MUST(p11->C_Initialize(NULL));
    P11_RV(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
    P11_RV(p11->C_WaitForSlotEvent(0, &slot, NULL), CKR_FUNCTION_NOT_SUPPORTED);
    P11_RV(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, NULL, NULL), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &reserved), CKR_ARGUMENTS_BAD);
}

static void random_numbers(void)
{
    CK_BYTE a[40] = {0};
    CK_BYTE b[40] = {0};
    CK_SESSION_HANDLE s = p11_open(p11_start(), 0);
    P11_OK(p11->C_SeedRandom(s, a, sizeof(a)));
    P11_OK(p11->C_GenerateRandom(s, a, sizeof(a)));
    P11_OK(p11->C_GenerateRandom(s, b, sizeof(b)));
    P11_CHECK(memcmp(a, b, sizeof(a)) != 0);
    P11_OK(p11->C_GenerateRandom(s, NULL, 0));
    P11_RV(p11->C_GenerateRandom(s, NULL, 1), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_SeedRandom(s, NULL, 1), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_GenerateRandom(s + 1, a, 1), CKR_SESSION_HANDLE_INVALID);
    P11_RV(p11->C_SeedRandom(CK_INVALID_HANDLE, a, 1), CKR_SESSION_HANDLE_INVALID);
}

/* What one C_Finalize leaves, the next C_Initialize finds. */
static void start_again(void)
{
    CK_SLOT_ID slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_OK(p11->C_Finalize(NULL)); /* with a session open and somebody logged in */
    P11_OK(p11->C_Initialize(NULL));
    CK_SESSION_INFO info;
    P11_RV(p11->C_GetSessionInfo(s, &info), CKR_SESSION_HANDLE_INVALID);
    s = p11_open(slot, CKF_RW_SESSION);
    P11_CHECK(p11_state(s) == CKS_RW_PUBLIC_SESSION);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
}

static const p11_test tests[] = {
    {"before_initialize", before_initialize},
    {"initialize_arguments", initialize_arguments},
    {"wrong_configuration", wrong_configuration},
    {"no_store", no_store},
    {"info", info},
    {"slot_list", slot_list},
    {"slot_info", slot_info},
    {"token_info", token_info},
    {"init_token", init_token},
    {"slot_event", slot_event},
    {"random_numbers", random_numbers},
    {"start_again", start_again},
};

P11_MAIN("general", tests)
