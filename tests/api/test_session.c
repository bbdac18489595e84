/* Sessions: opening, closing, limits, states, and what another process does to them. */
#include "tests/api/p11.h"

static CK_SLOT_ID slot;

static void open_arguments(void)
{
    CK_SESSION_HANDLE s = 0;
    slot = p11_start();
    P11_RV(p11->C_OpenSession(slot, CKF_RW_SESSION, NULL, NULL, &s), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    P11_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_OpenSession(4711, CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_SLOT_ID_INVALID);
    P11_RV(p11->C_OpenSession((CK_SLOT_ID)-1, CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_SLOT_ID_INVALID);
    P11_RV(p11->C_OpenSession(p11_free_slot(), CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_TOKEN_NOT_RECOGNIZED);
    P11_OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, &s, NULL, &s));
    P11_CHECK(s != CK_INVALID_HANDLE);
}

static void close_session(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, 0);
    P11_RV(p11->C_CloseSession(CK_INVALID_HANDLE), CKR_SESSION_HANDLE_INVALID);
    P11_OK(p11->C_CloseSession(s));
    P11_RV(p11->C_CloseSession(s), CKR_SESSION_HANDLE_INVALID);
    CK_SESSION_HANDLE next = p11_open(slot, 0);
    P11_CHECK(next != s); /* a handle is never given out twice */
    P11_RV(p11->C_CloseAllSessions(4711), CKR_SLOT_ID_INVALID);
    P11_OK(p11->C_CloseAllSessions(slot));
    P11_RV(p11->C_CloseSession(next), CKR_SESSION_HANDLE_INVALID);
    P11_OK(p11->C_CloseAllSessions(slot));
}

static void close_all_is_of_one_slot(void)
{
    slot = p11_start();
    CK_SLOT_ID second = p11_make_token("second");
    CK_SESSION_HANDLE here = p11_open(slot, 0);
    CK_SESSION_HANDLE there = p11_open(second, 0);
    P11_OK(p11->C_CloseAllSessions(slot));
    P11_RV(p11->C_CloseSession(here), CKR_SESSION_HANDLE_INVALID);
    P11_OK(p11->C_CloseSession(there));
}

static void session_info(void)
{
    CK_SESSION_INFO info;
    slot = p11_start();
    CK_SESSION_HANDLE ro = p11_open(slot, 0);
    CK_SESSION_HANDLE rw = p11_open(slot, CKF_RW_SESSION);
    P11_RV(p11->C_GetSessionInfo(ro, NULL), CKR_ARGUMENTS_BAD);
    P11_RV(p11->C_GetSessionInfo(rw + 1, &info), CKR_SESSION_HANDLE_INVALID);
    P11_OK(p11->C_GetSessionInfo(ro, &info));
    P11_CHECK(info.slotID == slot && info.state == CKS_RO_PUBLIC_SESSION);
    P11_CHECK(info.flags == CKF_SERIAL_SESSION && info.ulDeviceError == 0);
    P11_OK(p11->C_GetSessionInfo(rw, &info));
    P11_CHECK(info.state == CKS_RW_PUBLIC_SESSION && info.flags == (CKF_SERIAL_SESSION | CKF_RW_SESSION));
    P11_OK(p11_log_in(ro, CKU_USER, P11_PIN));
    P11_CHECK(p11_state(ro) == CKS_RO_USER_FUNCTIONS && p11_state(rw) == CKS_RW_USER_FUNCTIONS);
    P11_OK(p11->C_Logout(rw));
    P11_CHECK(p11_state(ro) == CKS_RO_PUBLIC_SESSION && p11_state(rw) == CKS_RW_PUBLIC_SESSION);
    P11_OK(p11->C_CloseSession(ro));
    P11_OK(p11_log_in(rw, CKU_SO, P11_SO_PIN));
    P11_CHECK(p11_state(rw) == CKS_RW_SO_FUNCTIONS);
}

static void limit(void)
{
    static CK_SESSION_HANDLE s[1024];
    CK_SESSION_HANDLE one_more = 0;
    slot = p11_start();
    for (size_t i = 0; i < 1024; i++)
        s[i] = p11_open(slot, i % 2 ? CKF_RW_SESSION : 0);
    P11_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &one_more), CKR_SESSION_COUNT);
    P11_OK(p11->C_CloseSession(s[500]));
    P11_OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &one_more));
    P11_OK(p11->C_CloseAllSessions(slot));
    P11_RV(p11->C_CloseSession(one_more), CKR_SESSION_HANDLE_INVALID);
}

static void cancel(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, 0);
    CK_OBJECT_HANDLE o = 0;
    CK_ULONG n = 0;
    P11_OK(p11->C_FindObjectsInit(s, NULL, 0));
    P11_OK(p11->C_SessionCancel(s, CKF_ENCRYPT | CKF_SIGN));
    P11_OK(p11->C_FindObjects(s, &o, 1, &n));
    P11_OK(p11->C_SessionCancel(s, CKF_FIND_OBJECTS));
    P11_RV(p11->C_FindObjects(s, &o, 1, &n), CKR_OPERATION_NOT_INITIALIZED);
    P11_OK(p11->C_FindObjectsInit(s, NULL, 0));
    P11_RV(p11->C_SessionCancel(s + 1, CKF_FIND_OBJECTS), CKR_SESSION_HANDLE_INVALID);
}

/* Another process: initialises the token anew. */
static void initialise_anew(void *ctx)
{
    (void)ctx;
    P11_OK(p11->C_Initialize(NULL));
    P11_OK(p11_init_token(slot, P11_SO_PIN, "vault"));
    P11_OK(p11->C_Finalize(NULL));
}

static void initialised_by_another_process(void)
{
    CK_SESSION_INFO info;
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    CK_SESSION_HANDLE ro = p11_open(slot, 0);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_CHECK(p11_in_child(initialise_anew, NULL, 30));
    P11_RV(p11->C_GetSessionInfo(s, &info), CKR_DEVICE_REMOVED);
    P11_RV(p11->C_GetSessionInfo(ro, &info), CKR_DEVICE_REMOVED);
    P11_RV(p11_log_in(s, CKU_USER, P11_PIN), CKR_DEVICE_REMOVED);
    P11_RV(p11->C_Logout(s), CKR_DEVICE_REMOVED);
    P11_RV(p11->C_FindObjectsInit(s, NULL, 0), CKR_DEVICE_REMOVED);
    P11_CHECK(!(p11_token_flags(slot) & CKF_USER_PIN_INITIALIZED));
    CK_SESSION_HANDLE fresh = p11_open(slot, CKF_RW_SESSION);
    P11_CHECK(p11_state(fresh) == CKS_RW_PUBLIC_SESSION);
    P11_RV(p11_log_in(fresh, CKU_USER, P11_PIN), CKR_USER_PIN_NOT_INITIALIZED);
    P11_OK(p11_log_in(fresh, CKU_SO, P11_SO_PIN)); /* the read-only session is not this token's */
    P11_OK(p11->C_CloseSession(s));
    P11_CHECK(p11_state(fresh) == CKS_RW_SO_FUNCTIONS);
    P11_OK(p11->C_CloseAllSessions(slot));
    P11_RV(p11->C_CloseSession(ro), CKR_SESSION_HANDLE_INVALID);
}

/* Without a login and with the login alone: the change is met by whatever comes first. */
static void login_after_another_process(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_CHECK(p11_in_child(initialise_anew, NULL, 30));
    P11_RV(p11_log_in(s, CKU_SO, P11_SO_PIN), CKR_DEVICE_REMOVED);
    P11_OK(p11->C_CloseSession(s));
    s = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN));
    P11_OK(p11_init_pin(s, P11_PIN));
}

/* And by a search, with somebody logged in or nobody. */
static void search_after_another_process(void)
{
    slot = p11_start();
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_CHECK(p11_in_child(initialise_anew, NULL, 30));
    P11_RV(p11->C_FindObjectsInit(s, NULL, 0), CKR_DEVICE_REMOVED);
    P11_OK(p11->C_CloseSession(s));
    s = p11_open(slot, CKF_RW_SESSION);
    P11_OK(p11_log_in(s, CKU_SO, P11_SO_PIN));
    P11_OK(p11_init_pin(s, P11_PIN));
    P11_OK(p11->C_Logout(s));
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_CHECK(p11_in_child(initialise_anew, NULL, 30));
    P11_RV(p11->C_FindObjectsInit(s, NULL, 0), CKR_DEVICE_REMOVED);
    P11_RV(p11->C_Logout(s), CKR_DEVICE_REMOVED);
}

static const p11_test tests[] = {
    {"open_arguments", open_arguments},
    {"close_session", close_session},
    {"close_all_is_of_one_slot", close_all_is_of_one_slot},
    {"session_info", session_info},
    {"limit", limit},
    {"cancel", cancel},
    {"initialised_by_another_process", initialised_by_another_process},
    {"login_after_another_process", login_after_another_process},
    {"search_after_another_process", search_after_another_process},
};

P11_MAIN("session", tests)
