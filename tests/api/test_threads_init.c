/* C_Initialize and C_Finalize against each other and against calls under way, from many threads at once. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/api/p11.h"

#define THREADS 8

static CK_SLOT_ID slot;
static pthread_barrier_t barrier;
static atomic_int succeeded;
static atomic_bool stop;

static void run_threads(void *(*body)(void *ctx))
{
    pthread_t threads[THREADS];
    P11_CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (size_t i = 0; i < THREADS; i++)
        P11_CHECK(pthread_create(&threads[i], NULL, body, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_destroy(&barrier);
}

static void *initialize(void *ctx)
{
    CK_INFO info;
    (void)ctx;
    (void)pthread_barrier_wait(&barrier);
    CK_RV rv = p11->C_Initialize(NULL);
    if (rv == CKR_OK)
        atomic_fetch_add(&succeeded, 1);
    else
        P11_RV(rv, CKR_CRYPTOKI_ALREADY_INITIALIZED);
    P11_OK(p11->C_GetInfo(&info)); /* whoever was first, it is initialised now */
    (void)pthread_barrier_wait(&barrier);
    rv = p11->C_Finalize(NULL);
    if (rv == CKR_OK)
        atomic_fetch_sub(&succeeded, 1);
    else
        P11_RV(rv, CKR_CRYPTOKI_NOT_INITIALIZED);
    return NULL;
}

/* Exactly one of many succeeds, also the first time in a process. */
static void one_wins(void)
{
    p11_store();
    p11_load();
    for (int round = 0; round < 50; round++) {
        run_threads(initialize);
        P11_CHECK(atomic_load(&succeeded) == 0);
    }
}

static bool expected(CK_RV rv)
{
    return rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED || rv == CKR_SESSION_HANDLE_INVALID ||
           rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_USER_ALREADY_LOGGED_IN || rv == CKR_SESSION_CLOSED;
}

static void *call(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&stop)) {
        CK_SESSION_HANDLE s = 0;
        CK_SESSION_INFO info;
        CK_TOKEN_INFO token;
        CK_BYTE bytes[16];
        P11_CHECK(expected(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s)));
        P11_CHECK(expected(p11_log_in(s, CKU_USER, P11_PIN)));
        P11_CHECK(expected(p11->C_GetSessionInfo(s, &info)));
        P11_CHECK(expected(p11->C_GetTokenInfo(slot, &token)));
        P11_CHECK(expected(p11->C_GenerateRandom(s, bytes, sizeof(bytes))));
        P11_CHECK(expected(p11->C_Logout(s)));
        P11_CHECK(expected(p11->C_CloseSession(s)));
    }
    return NULL;
}

static void *up_and_down(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < 100; i++) {
        P11_OK(p11->C_Finalize(NULL));
        P11_OK(p11->C_Initialize(NULL));
        (void)usleep(1000);
    }
    atomic_store(&stop, true);
    return NULL;
}

/* C_Finalize waits for the calls under way and frees nothing beneath them. */
static void finalize_under_load(void)
{
    pthread_t threads[THREADS];
    slot = p11_start();
    for (size_t i = 0; i < THREADS; i++)
        P11_CHECK(pthread_create(&threads[i], NULL, i == 0 ? up_and_down : call, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
}

static CK_SESSION_HANDLE shared;

static void *log_in_at_once(void *ctx)
{
    (void)ctx;
    (void)pthread_barrier_wait(&barrier);
    CK_RV rv = p11_log_in(shared, CKU_USER, P11_PIN);
    if (rv == CKR_OK)
        atomic_fetch_add(&succeeded, 1);
    else
        P11_RV(rv, CKR_USER_ALREADY_LOGGED_IN);
    return NULL;
}

static void one_login_wins(void)
{
    slot = p11_start();
    shared = p11_open(slot, CKF_RW_SESSION);
    for (int round = 0; round < 5; round++) {
        atomic_store(&succeeded, 0);
        run_threads(log_in_at_once);
        P11_CHECK(atomic_load(&succeeded) == 1);
        P11_CHECK(p11_state(shared) == CKS_RW_USER_FUNCTIONS);
        P11_OK(p11->C_Logout(shared));
    }
}

static void *so_or_read_only(void *ctx)
{
    (void)ctx;
    (void)pthread_barrier_wait(&barrier);
    for (int i = 0; i < 20; i++) {
        CK_SESSION_HANDLE ro = 0;
        CK_RV rv = p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &ro);
        if (rv == CKR_OK) {
            P11_CHECK(p11_state(ro) != CKS_RW_SO_FUNCTIONS);
            P11_OK(p11->C_CloseSession(ro));
        } else {
            P11_RV(rv, CKR_SESSION_READ_WRITE_SO_EXISTS);
        }
        rv = p11_log_in(shared, CKU_SO, P11_SO_PIN);
        P11_CHECK(rv == CKR_OK || rv == CKR_SESSION_READ_ONLY_EXISTS || rv == CKR_USER_ALREADY_LOGGED_IN);
        rv = p11->C_Logout(shared);
        P11_CHECK(rv == CKR_OK || rv == CKR_USER_NOT_LOGGED_IN);
    }
    return NULL;
}

/* Never are the SO and a read-only session there together. */
static void so_against_read_only(void)
{
    slot = p11_start();
    shared = p11_open(slot, CKF_RW_SESSION);
    run_threads(so_or_read_only);
}

static const p11_test tests[] = {
    {"one_wins", one_wins},
    {"finalize_under_load", finalize_under_load},
    {"one_login_wins", one_login_wins},
    {"so_against_read_only", so_against_read_only},
};

P11_MAIN("threads_init", tests)
