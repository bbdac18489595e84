/* Logging in and out, PINs, counters. */
#include "tests/api/p11.h"

static CK_SLOT_ID slot;
static CK_UTF8CHAR user_pin[] = P11_PIN;
#define PIN_LEN (sizeof(user_pin) - 1)

static CK_RV login_user(CK_SESSION_HANDLE s, CK_USER_TYPE user, const char *name, const char *pin)
{
    CK_UTF8CHAR n[300];
    CK_UTF8CHAR p[300];
    memcpy(n, name, strlen(name));
    memcpy(p, pin, strlen(pin));
    return p11->C_LoginUser(s, user, p, strlen(pin), n, strlen(name));
}

static void arguments(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_RV(p11->C_Login(CK_INVALID_HANDLE, CKU_USER, user_pin, PIN_LEN), CKR_SESSION_HANDLE_INVALID);
    P11_RV(p11->C_Login(s, CKU_USER, NULL, 0), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_Login(s, CKU_SO, NULL, PIN_LEN), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_Login(s, 4711, user_pin, PIN_LEN), CKR_USER_TYPE_INVALID);
    P11_RV(p11->C_Login(s, CKU_CONTEXT_SPECIFIC, user_pin, PIN_LEN), CKR_OPERATION_NOT_INITIALIZED);
    P11_RV(p11->C_Login(s, CKU_USER, user_pin, 0), CKR_PIN_INCORRECT);
    P11_RV(p11->C_Login(s, CKU_USER, user_pin, PIN_LEN - 1), CKR_PIN_INCORRECT);
    P11_RV(p11_log_in(s, CKU_SO, P11_PIN), CKR_PIN_INCORRECT);
    P11_RV(p11->C_Logout(s), CKR_USER_NOT_LOGGED_IN);
    P11_OK(p11->C_Login(s, CKU_USER, user_pin, PIN_LEN));
    P11_OK(p11->C_Logout(s));
    P11_RV(p11->C_Logout(s), CKR_USER_NOT_LOGGED_IN);
    P11_RV(p11->C_Logout(CK_INVALID_HANDLE), CKR_SESSION_HANDLE_INVALID);
}

static void already_logged_in(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    CK_SESSION_HANDLE other = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_RV(p11_log_in(other, CKU_USER, P11_PIN), CKR_USER_ALREADY_LOGGED_IN);
    P11_RV(p11_log_in(s, CKU_USER, "user:" P11_PIN), CKR_USER_ALREADY_LOGGED_IN);
    P11_RV(p11_log_in(s, CKU_USER, "somebody:secret"), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    P11_RV(p11_log_in(other, CKU_SO, P11_SO_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    P11_OK(p11->C_Logout(other));
    P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN));
    P11_RV(p11_log_in(other, CKU_SO, P11_SO_PIN), CKR_USER_ALREADY_LOGGED_IN);
    P11_RV(p11_log_in(other, CKU_USER, P11_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

static void so_and_read_only_sessions(void)
{
    CK_SESSION_HANDLE none = 0;
    slot = p11_start();
    CK_SESSION_HANDLE rw = p11_open(slot, CKF_RW_SESSION);
    CK_SESSION_HANDLE ro = p11_open(slot, 0);
    P11_RV(p11_log_in(rw, CKU_SO, P11_SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    P11_RV(p11_log_in(ro, CKU_SO, P11_SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    P11_OK(p11->C_CloseSession(ro));
    P11_OK(p11_log_in(rw, CKU_SO, P11_SO_PIN));
    P11_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &none), CKR_SESSION_READ_WRITE_SO_EXISTS);
    P11_OK(p11->C_Logout(rw));
    P11_OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &none));
}

static void last_session_logs_out(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE a = p11_open(slot, 0);
    CK_SESSION_HANDLE b = p11_open(slot, 0);
    P11_OK(p11_log_in(a, CKU_USER, P11_PIN));
    P11_OK(p11->C_CloseSession(a));
    P11_CHECK(p11_state(b) == CKS_RO_USER_FUNCTIONS);
    P11_OK(p11->C_CloseSession(b));
    a = p11_open(slot, 0);
    P11_CHECK(p11_state(a) == CKS_RO_PUBLIC_SESSION);
    P11_OK(p11_log_in(a, CKU_USER, P11_PIN));
    P11_OK(p11->C_CloseAllSessions(slot));
    a = p11_open(slot, 0);
    P11_CHECK(p11_state(a) == CKS_RO_PUBLIC_SESSION);
}

static void named_principals(void)
{
    CK_UTF8CHAR none[] = "";
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_RV(p11_log_in(s, CKU_USER, "nobody:" P11_PIN), CKR_PIN_INCORRECT);
    P11_RV(p11_log_in(s, CKU_USER, "so:" P11_SO_PIN), CKR_PIN_INCORRECT);
    P11_RV(p11_log_in(s, CKU_USER, ":" P11_PIN), CKR_PIN_INCORRECT);
    P11_OK(p11_log_in(s, CKU_USER, "user:" P11_PIN));
    P11_OK(p11->C_Logout(s));
    P11_RV(login_user(s, CKU_USER, "nobody", P11_PIN), CKR_PIN_INCORRECT);
    P11_RV(login_user(s, CKU_USER, "so", P11_SO_PIN), CKR_PIN_INCORRECT);
    P11_RV(login_user(s, CKU_USER, "user", "wrong-pin"), CKR_PIN_INCORRECT);
    P11_RV(login_user(s, CKU_SO, "nobody", P11_SO_PIN), CKR_USER_TYPE_INVALID);
    P11_RV(p11->C_LoginUser(s, CKU_USER, user_pin, PIN_LEN, NULL, 4), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_LoginUser(s, CKU_USER, NULL, 0, none, 0), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_LoginUser(s + 1, CKU_USER, user_pin, PIN_LEN, none, 0), CKR_SESSION_HANDLE_INVALID);
    P11_OK(login_user(s, CKU_USER, "user", P11_PIN));
    P11_RV(login_user(s, CKU_USER, "user", P11_PIN), CKR_USER_ALREADY_LOGGED_IN);
    P11_RV(login_user(s, CKU_USER, "nobody", P11_PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    P11_OK(p11->C_Logout(s));
    P11_OK(login_user(s, CKU_SO, "so", P11_SO_PIN));
    P11_OK(p11->C_Logout(s));
    P11_OK(p11->C_LoginUser(s, CKU_USER, user_pin, PIN_LEN, none, 0));
}

static void pin_not_initialised(void)
{
    p11_store();
    p11_load();
    P11_MUST(p11->C_Initialize(NULL));
    slot = p11_free_slot();
    P11_MUST(p11_init_token(slot, P11_SO_PIN, "vault"));
    P11_CHECK(!(p11_token_flags(slot) & CKF_USER_PIN_INITIALIZED));
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_RV(p11_log_in(s, CKU_USER, P11_PIN), CKR_USER_PIN_NOT_INITIALIZED);
}

static void counters(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    const CK_FLAGS all = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
    P11_CHECK((p11_token_flags(slot) & all) == 0);
    P11_RV(p11_log_in(s, CKU_USER, "wrong-pin"), CKR_PIN_INCORRECT);
    P11_CHECK((p11_token_flags(slot) & all) == CKF_USER_PIN_COUNT_LOW);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_CHECK((p11_token_flags(slot) & all) == 0);
    P11_OK(p11->C_Logout(s));
    for (int i = 0; i < 9; i++)
        P11_RV(p11_log_in(s, CKU_USER, "wrong-pin"), CKR_PIN_INCORRECT);
    P11_CHECK((p11_token_flags(slot) & all) == (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY));
    P11_RV(p11_log_in(s, CKU_USER, "wrong-pin"), CKR_PIN_INCORRECT);
    P11_CHECK((p11_token_flags(slot) & all) == (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED));
    P11_RV(p11_log_in(s, CKU_USER, P11_PIN), CKR_PIN_LOCKED);
    P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN)); /* the SO unlocks */
    P11_OK(p11_init_pin(s, "another-user-pin"));
    P11_OK(p11->C_Logout(s));
    P11_CHECK((p11_token_flags(slot) & all) == 0);
    P11_RV(p11_log_in(s, CKU_USER, P11_PIN), CKR_PIN_INCORRECT);
    P11_OK(p11_log_in(s, CKU_USER, "another-user-pin"));
}

static void init_pin(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_RV(p11_init_pin(s, "new-user-pin"), CKR_USER_NOT_LOGGED_IN);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_RV(p11_init_pin(s, "new-user-pin"), CKR_USER_NOT_LOGGED_IN);
    P11_OK(p11->C_Logout(s));
    P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN));
    P11_RV(p11->C_InitPIN(s, NULL, 0), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_InitPIN(s, user_pin, 0), CKR_PIN_LEN_RANGE);
    P11_RV(p11->C_InitPIN(s, user_pin, 3), CKR_PIN_LEN_RANGE);
    P11_RV(p11_init_pin(s, "with:colon"), CKR_PIN_INVALID);
    P11_RV(p11_init_pin(s + 1, "new-user-pin"), CKR_SESSION_HANDLE_INVALID);
    P11_OK(p11_init_pin(s, "new-user-pin"));
    P11_OK(p11->C_Logout(s));
    P11_RV(p11_log_in(s, CKU_USER, P11_PIN), CKR_PIN_INCORRECT);
    P11_OK(p11_log_in(s, CKU_USER, "new-user-pin"));
}

static void set_pin(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE ro = p11_open(slot, 0);
    P11_RV(p11_set_pin(ro, P11_PIN, "new-user-pin"), CKR_SESSION_READ_ONLY);
    P11_OK(p11->C_CloseSession(ro));
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_RV(p11->C_SetPIN(s, NULL, 0, user_pin, PIN_LEN), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_SetPIN(s, user_pin, PIN_LEN, NULL, 0), CKR_ARGUMENTS_BAD);
    P11_RV(p11_set_pin(s + 1, P11_PIN, "new-user-pin"), CKR_SESSION_HANDLE_INVALID);
    P11_RV(p11_set_pin(s, P11_PIN, "abc"), CKR_PIN_LEN_RANGE);
    P11_RV(p11_set_pin(s, "wrong-pin", "new-user-pin"), CKR_PIN_INCORRECT);
    P11_OK(p11_set_pin(s, P11_PIN, "public-state-pin")); /* nobody logged in: the user's */
    P11_OK(p11_log_in(s, CKU_USER, "public-state-pin"));
    P11_RV(p11_set_pin(s, "public-state-pin", "with:colon"), CKR_PIN_INVALID);
    P11_OK(p11_set_pin(s, "public-state-pin", "user-state-pin"));
    P11_CHECK(p11_state(s) == CKS_RW_USER_FUNCTIONS); /* one's own change does not log out */
    P11_OK(p11_set_pin(s, "user:user-state-pin", "user:named-state-pin"));
    P11_OK(p11->C_Logout(s));
    P11_OK(p11_set_pin(s, "user:named-state-pin", "named-too-pin"));
    P11_OK(p11_log_in(s, CKU_USER, "named-too-pin"));
    P11_OK(p11->C_Logout(s));
    P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN));
    P11_RV(p11_set_pin(s, "named-too-pin", "new-so-pin"), CKR_PIN_INCORRECT);
    P11_OK(p11_set_pin(s, P11_SO_PIN, "new-so-pin"));
    P11_OK(p11->C_Logout(s));
    P11_RV(p11_log_in(s, CKU_SO, P11_SO_PIN), CKR_PIN_INCORRECT);
    P11_OK(p11_log_in(s, CKU_SO, "new-so-pin"));
    P11_OK(p11->C_Logout(s));
    P11_OK(p11_log_in(s, CKU_USER, "named-too-pin"));
}

/* The SO, in another process. */
static void reset_pin(void *ctx)
{
    (void)ctx;
    P11_MUST(p11->C_Initialize(NULL));
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN));
    P11_OK(p11_init_pin(s, "reset-user-pin"));
    P11_OK(p11->C_Finalize(NULL));
}

/* Nothing behind a PIN is looked at because of a length that no PIN has. */
static void absurd_lengths(void)
{
    const CK_ULONG lengths[] = {256, (CK_ULONG)1 << 40, (CK_ULONG)-1};
    CK_UTF8CHAR plain[256], label[32];
    memset(plain, 'p', sizeof(plain));
    memset(label, ' ', sizeof(label));
    label[0] = 'v';
    slot = p11_start();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        CK_ULONG n = lengths[i];
        P11_RV(p11->C_InitToken(p11_free_slot(), plain, n, label), CKR_PIN_LEN_RANGE);
        CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
        P11_RV(p11->C_Login(s, CKU_USER, plain, n), CKR_PIN_INCORRECT);
        P11_RV(p11->C_Login(s, CKU_SO, plain, n), CKR_PIN_INCORRECT);
        P11_RV(p11->C_LoginUser(s, CKU_USER, plain, PIN_LEN, plain, n), CKR_PIN_INCORRECT);
        P11_RV(p11->C_SetPIN(s, plain, n, user_pin, PIN_LEN), CKR_PIN_INCORRECT);
        P11_RV(p11->C_SetPIN(s, user_pin, PIN_LEN, plain, n), CKR_PIN_LEN_RANGE);
        P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN));
        P11_RV(p11->C_InitPIN(s, plain, n), CKR_PIN_LEN_RANGE);
        P11_OK(p11->C_CloseSession(s));
        P11_RV(p11->C_InitToken(slot, plain, n, label), CKR_PIN_INCORRECT);
    }
}

/* A session key, private or not, with a readable value. */
static CK_OBJECT_HANDLE make_key(CK_SESSION_HANDLE s, CK_BBOOL is_private)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BYTE value[4] = {1, 2, 3, 4};
    CK_OBJECT_HANDLE o = 0;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_KEY_TYPE, &type, sizeof(type)},
                        {CKA_VALUE, value, sizeof(value)},
                        {CKA_PRIVATE, &is_private, 1}};
    P11_OK(p11->C_CreateObject(s, t, 4, &o));
    return o;
}

/* A login with a PIN that the SO has reset ends at the next call. */
static void revoked_by_another_process(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_CHECK(p11_in_child(reset_pin, NULL, 30));
    P11_CHECK(p11_state(s) == CKS_RW_PUBLIC_SESSION);
    P11_RV(p11->C_Logout(s), CKR_USER_NOT_LOGGED_IN);
    P11_OK(p11_log_in(s, CKU_USER, "reset-user-pin"));
}

/* As above, met by a call on an object: the session's private objects are gone with the login. */
static void revocation_takes_private_objects(void)
{
    CK_BYTE value[8];
    CK_ULONG size = 0;
    CK_ATTRIBUTE a = {CKA_VALUE, value, sizeof(value)};
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    CK_OBJECT_HANDLE hidden = make_key(s, CK_TRUE);
    CK_OBJECT_HANDLE open = make_key(s, CK_FALSE);
    P11_CHECK(p11_in_child(reset_pin, NULL, 30));
    P11_RV(p11->C_GetAttributeValue(s, hidden, &a, 1), CKR_OBJECT_HANDLE_INVALID);
    P11_RV(p11->C_GetObjectSize(s, hidden, &size), CKR_OBJECT_HANDLE_INVALID);
    a.ulValueLen = sizeof(value);
    P11_OK(p11->C_GetAttributeValue(s, open, &a, 1));
    P11_CHECK(p11_state(s) == CKS_RW_PUBLIC_SESSION);
}

/* As above, met by the login itself. */
static void login_again_after_revocation(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_CHECK(p11_in_child(reset_pin, NULL, 30));
    P11_OK(p11_log_in(s, CKU_USER, "reset-user-pin"));
    P11_CHECK(p11_state(s) == CKS_RW_USER_FUNCTIONS);
}

static void slots_have_logins_of_their_own(void)
{
    slot = p11_start();
    CK_SLOT_ID second = p11_make_token("second");
    CK_SESSION_HANDLE a = p11_open(slot, CKF_RW_SESSION);
    CK_SESSION_HANDLE b = p11_open(second, CKF_RW_SESSION);
    P11_OK(p11_log_in(a, CKU_USER, P11_PIN));
    P11_OK(p11_log_in(b, CKU_SO, P11_SO_PIN));
    P11_CHECK(p11_state(a) == CKS_RW_USER_FUNCTIONS && p11_state(b) == CKS_RW_SO_FUNCTIONS);
    P11_OK(p11->C_Logout(b));
    P11_CHECK(p11_state(a) == CKS_RW_USER_FUNCTIONS);
}

static const p11_test tests[] = {
    {"arguments", arguments},
    {"already_logged_in", already_logged_in},
    {"so_and_read_only_sessions", so_and_read_only_sessions},
    {"last_session_logs_out", last_session_logs_out},
    {"named_principals", named_principals},
    {"pin_not_initialised", pin_not_initialised},
    {"counters", counters},
    {"init_pin", init_pin},
    {"set_pin", set_pin},
    {"absurd_lengths", absurd_lengths},
    {"revocation_takes_private_objects", revocation_takes_private_objects},
    {"revoked_by_another_process", revoked_by_another_process},
    {"login_again_after_revocation", login_again_after_revocation},
    {"slots_have_logins_of_their_own", slots_have_logins_of_their_own},
};

P11_MAIN("login", tests)
