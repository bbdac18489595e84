/* After fork: the child is not initialised until it says C_Initialize, then starts anew; the parent notices nothing. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/api/p11.h"

static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session;

static void start(void)
{
    slot = p11_start();
    session = p11_open(slot, CKF_RW_SESSION);
    P11_MUST(p11_log_in(session, CKU_USER, P11_PIN));
}

static void refused(void *ctx)
{
    CK_INFO info;
    CK_ULONG n = 0;
    CK_BYTE byte;
    CK_SESSION_INFO session_info;
    CK_SESSION_HANDLE s = 0;
    CK_FUNCTION_LIST *list = NULL;
    (void)ctx;
    P11_RV(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_GetSlotList(CK_TRUE, NULL, &n), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_GetSessionInfo(session, &session_info), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11_log_in(session, CKU_USER, P11_PIN), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_FindObjectsInit(session, NULL, 0), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_GenerateRandom(session, &byte, 1), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_CloseSession(session), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    P11_OK(p11->C_GetFunctionList(&list));
}

static void child_is_not_initialised(void)
{
    start();
    P11_CHECK(p11_in_child(refused, NULL, 20));
    P11_CHECK(p11_state(session) == CKS_RW_USER_FUNCTIONS);
}

static void starts_anew(void *ctx)
{
    CK_SESSION_INFO info;
    (void)ctx;
    P11_MUST(p11->C_Initialize(NULL));
    P11_RV(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    P11_RV(p11->C_GetSessionInfo(session, &info), CKR_SESSION_HANDLE_INVALID);
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_CHECK(p11_state(s) == CKS_RW_PUBLIC_SESSION);
    P11_OK(p11_log_in(s, CKU_USER, P11_PIN));
    P11_CHECK(p11_state(s) == CKS_RW_USER_FUNCTIONS);
}

static void child_starts_anew(void)
{
    start();
    P11_CHECK(p11_in_child(starts_anew, NULL, 20)); /* ends without C_Finalize */
    P11_CHECK(p11_state(session) == CKS_RW_USER_FUNCTIONS);
    P11_OK(p11->C_Logout(session));
    P11_OK(p11_log_in(session, CKU_USER, P11_PIN));
}

static void finalises(void *ctx)
{
    starts_anew(ctx);
    P11_OK(p11->C_Finalize(NULL));
    P11_OK(p11->C_Initialize(NULL));
    P11_OK(p11->C_Finalize(NULL));
}

static void child_finalises(void)
{
    start();
    P11_CHECK(p11_in_child(finalises, NULL, 20));
    P11_CHECK(p11_state(session) == CKS_RW_USER_FUNCTIONS);
}

static void forks_again(void *ctx)
{
    P11_CHECK(p11_in_child(refused, ctx, 20)); /* the grandchild of a child that never initialised */
    starts_anew(ctx);
    P11_CHECK(p11_in_child(refused, ctx, 20));
    P11_CHECK(p11_in_child(finalises, ctx, 20));
    CK_SESSION_HANDLE s = p11_open(slot, 0);
    P11_CHECK(p11_state(s) == CKS_RO_USER_FUNCTIONS);
}

static void grandchildren(void)
{
    start();
    P11_CHECK(p11_in_child(forks_again, NULL, 60));
    P11_CHECK(p11_state(session) == CKS_RW_USER_FUNCTIONS);
}

/* Forked before the parent ever initialised, and after it has finalised. */
static void parent_not_initialised(void)
{
    p11_store();
    p11_load();
    session = 1;
    P11_CHECK(p11_in_child(refused, NULL, 20));
    P11_MUST(p11->C_Initialize(NULL));
    slot = p11_make_token("vault");
    P11_OK(p11->C_Finalize(NULL));
    P11_CHECK(p11_in_child(refused, NULL, 20));
    P11_CHECK(p11_in_child(finalises, NULL, 20));
}

static void just_ends(void *ctx)
{
    (void)ctx;
    exit(0); /* with exit handlers */
}

static void child_just_ends(void)
{
    start();
    P11_CHECK(p11_in_child(just_ends, NULL, 20));
    P11_CHECK(p11_state(session) == CKS_RW_USER_FUNCTIONS);
}

/* ---- fork while other threads are inside the module ---- */

static atomic_bool stop;

/* AddressSanitizer's allocator is not safe to fork under: a thread that is just about to return from the module, and
 * frees memory, may leave the child with a locked one. */
#if defined(__SANITIZE_ADDRESS__)
enum { THREADS = 0 };
#else
enum { THREADS = 3 };
#endif

static void *work(void *ctx)
{
    CK_OBJECT_HANDLE found;
    CK_TOKEN_INFO info;
    CK_ULONG n = 0;
    (void)ctx;
    while (!atomic_load(&stop)) {
        CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
        P11_OK(p11->C_GetTokenInfo(slot, &info));
        P11_CHECK(p11_state(s) == CKS_RW_USER_FUNCTIONS);
        P11_OK(p11->C_FindObjectsInit(s, NULL, 0));
        P11_OK(p11->C_FindObjects(s, &found, 1, &n));
        P11_OK(p11->C_FindObjectsFinal(s));
        P11_OK(p11->C_CloseSession(s));
    }
    return NULL;
}

static void *guess(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&stop)) {
        CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
        P11_OK(p11_set_pin(s, P11_PIN, P11_PIN)); /* writes, and runs scrypt */
        P11_OK(p11->C_CloseSession(s));
    }
    return NULL;
}

static void threads_inside(void)
{
    pthread_t threads[THREADS + 1];
    start();
    for (int i = 0; i < THREADS; i++)
        P11_CHECK(pthread_create(&threads[i], NULL, i == 2 ? guess : work, NULL) == 0);
    for (int i = 0; i < 60; i++)
        if (!P11_CHECK(p11_in_child(finalises, NULL, 30)))
            break;
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    P11_CHECK(p11_state(session) == CKS_RW_USER_FUNCTIONS);
}

static const p11_test tests[] = {
    {"child_is_not_initialised", child_is_not_initialised},
    {"child_starts_anew", child_starts_anew},
    {"child_finalises", child_finalises},
    {"grandchildren", grandchildren},
    {"parent_not_initialised", parent_not_initialised},
    {"child_just_ends", child_just_ends},
    {"threads_inside", threads_inside},
};

P11_MAIN("fork", tests)
