/* What every API test shares: the module of $CMK11_MODULE, loaded as any application does; a store of its own for each
 * test; checks; and a table of tests that are run each in a child process, one line "PASS suite/test" or "FAIL
 * suite/test" each. */
#ifndef CMK_TESTS_API_P11_H
#define CMK_TESTS_API_P11_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/cmk11.h"
#include "pkcs11/cryptoki.h"

#define P11_SO_PIN "so-pin-for-tests"
#define P11_PIN "user-pin-for-tests"
#define P11_SECONDS 120

typedef struct p11_test {
    const char *name;
    void (*run)(void);
} p11_test;

static CK_FUNCTION_LIST_3_0 *p11 __attribute__((unused));
static void *p11_module __attribute__((unused));
static int p11_failures;
static char p11_directory[64] __attribute__((unused));

/* ---- checks: a failure is printed and counted, and the test goes on ---- */

__attribute__((unused)) static bool p11_check(bool ok, const char *what, const char *file, int line)
{
    if (!ok) {
        printf("  %s:%d: %s\n", file, line, what);
        __atomic_add_fetch(&p11_failures, 1, __ATOMIC_RELAXED);
    }
    return ok;
}

__attribute__((unused)) static bool p11_rv(CK_RV rv, CK_RV wanted, const char *what, const char *file, int line)
{
    if (rv == wanted)
        return true;
    printf("  %s:%d: %s: 0x%lx instead of 0x%lx\n", file, line, what, rv, wanted);
    __atomic_add_fetch(&p11_failures, 1, __ATOMIC_RELAXED);
    return false;
}

#define P11_CHECK(expr) p11_check((expr), #expr, __FILE__, __LINE__)
#define P11_RV(call, wanted) p11_rv((call), (wanted), #call, __FILE__, __LINE__)
#define P11_OK(call) P11_RV(call, CKR_OK)
/* What the rest of a test can't do without. */
#define P11_MUST(call)                                                                                                 \
    do {                                                                                                               \
        if (!P11_OK(call)) {                                                                                           \
            fflush(stdout);                                                                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* ---- module and store ---- */

/* Loads the module, without C_Initialize. */
__attribute__((unused)) static void p11_load(void)
{
    const char *path = getenv("CMK11_MODULE");
    CK_INTERFACE *interface = NULL;
    CK_C_GetInterface get = NULL;
    p11_module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *symbol = p11_module ? dlsym(p11_module, "C_GetInterface") : NULL;
    memcpy(&get, &symbol, sizeof(get));
    if (!get || get(NULL, NULL, &interface, 0) != CKR_OK) {
        printf("  the module can't be loaded; is CMK11_MODULE set? %s\n", path ? dlerror() : "");
        fflush(stdout);
        _exit(99);
    }
    p11 = interface->pFunctionList;
}

/* An empty place for a store, and no configuration of whoever runs the tests. Nothing is made there yet. */
__attribute__((unused)) static void p11_store(void)
{
    char store[96];
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(p11_directory, sizeof(p11_directory), "%.40s/cmk11-api-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(p11_directory)) {
        printf("  mkdtemp %s\n", p11_directory);
        _exit(99);
    }
    (void)snprintf(store, sizeof(store), "sqlite:%s/store", p11_directory);
    (void)setenv("CMK11_STORE", store, 1);
    (void)setenv("XDG_CONFIG_HOME", p11_directory, 1);
    (void)unsetenv("CMK11_CONF");
}

__attribute__((unused)) static void p11_store_remove(const char *directory)
{
    pid_t child = directory[0] ? fork() : -1;
    if (child == 0) {
        (void)execlp("rm", "rm", "-rf", "--", directory, (char *)NULL);
        _exit(99);
    }
    if (child > 0)
        (void)waitpid(child, NULL, 0);
}

/* The slot of the uninitialised token: the last one that has no initialised token. */
__attribute__((unused)) static CK_SLOT_ID p11_free_slot(void)
{
    CK_SLOT_ID slots[300];
    CK_ULONG n = 300;
    CK_TOKEN_INFO info;
    P11_MUST(p11->C_GetSlotList(CK_TRUE, slots, &n));
    for (CK_ULONG i = n; i > 0; i--)
        if (p11->C_GetTokenInfo(slots[i - 1], &info) == CKR_OK && !(info.flags & CKF_TOKEN_INITIALIZED))
            return slots[i - 1];
    bool found_an_uninitialised_token = false;
    P11_CHECK(found_an_uninitialised_token);
    return (CK_SLOT_ID)-1;
}

__attribute__((unused)) static CK_SESSION_HANDLE p11_open(CK_SLOT_ID slot, CK_FLAGS flags)
{
    CK_SESSION_HANDLE s = CK_INVALID_HANDLE;
    P11_MUST(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | flags, NULL, NULL, &s));
    return s;
}

__attribute__((unused)) static CK_RV p11_log_in(CK_SESSION_HANDLE s, CK_USER_TYPE user, const char *pin)
{
    CK_UTF8CHAR copy[300];
    size_t n = strlen(pin);
    memcpy(copy, pin, n);
    return p11->C_Login(s, user, copy, n);
}

__attribute__((unused)) static CK_RV p11_init_token(CK_SLOT_ID slot, const char *so_pin, const char *label)
{
    CK_UTF8CHAR padded[32];
    CK_UTF8CHAR pin[300];
    size_t n = strlen(so_pin);
    memset(padded, ' ', sizeof(padded));
    memcpy(padded, label, strlen(label));
    memcpy(pin, so_pin, n);
    return p11->C_InitToken(slot, pin, n, padded);
}

__attribute__((unused)) static CK_RV p11_init_pin(CK_SESSION_HANDLE s, const char *pin)
{
    CK_UTF8CHAR copy[300];
    size_t n = strlen(pin);
    memcpy(copy, pin, n);
    return p11->C_InitPIN(s, copy, n);
}

__attribute__((unused)) static CK_RV p11_set_pin(CK_SESSION_HANDLE s, const char *old_pin, const char *new_pin)
{
    CK_UTF8CHAR o[300];
    CK_UTF8CHAR n[300];
    memcpy(o, old_pin, strlen(old_pin));
    memcpy(n, new_pin, strlen(new_pin));
    return p11->C_SetPIN(s, o, strlen(old_pin), n, strlen(new_pin));
}

/* A vault with that label and both PINs, no session open. */
__attribute__((unused)) static CK_SLOT_ID p11_make_token(const char *label)
{
    CK_SLOT_ID slot = p11_free_slot();
    P11_MUST(p11_init_token(slot, P11_SO_PIN, label));
    CK_SESSION_HANDLE s = p11_open(slot, CKF_RW_SESSION);
    P11_MUST(p11_log_in(s, CKU_SO, P11_SO_PIN));
    P11_MUST(p11_init_pin(s, P11_PIN));
    P11_MUST(p11->C_CloseSession(s));
    return slot;
}

/* The module initialised on a store of its own that has one vault, "vault". */
__attribute__((unused)) static CK_SLOT_ID p11_start(void)
{
    p11_store();
    p11_load();
    P11_MUST(p11->C_Initialize(NULL));
    return p11_make_token("vault");
}

__attribute__((unused)) static CK_STATE p11_state(CK_SESSION_HANDLE s)
{
    CK_SESSION_INFO info = {.state = (CK_STATE)-1};
    P11_OK(p11->C_GetSessionInfo(s, &info));
    return info.state;
}

__attribute__((unused)) static CK_FLAGS p11_token_flags(CK_SLOT_ID slot)
{
    CK_TOKEN_INFO info = {.flags = 0};
    P11_OK(p11->C_GetTokenInfo(slot, &info));
    return info.flags;
}

/* Runs body in a forked child; true if it failed nothing. */
__attribute__((unused)) static bool p11_in_child(void (*body)(void *ctx), void *ctx, unsigned seconds)
{
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        p11_failures = 0;
        alarm(seconds);
        body(ctx);
        fflush(stdout);
        _exit(p11_failures ? 1 : 0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- tests ---- */

static void p11_run_one(void *ctx)
{
    const p11_test *test = ctx;
    test->run();
    if (p11)
        (void)p11->C_Finalize(NULL);
    p11_store_remove(p11_directory);
}

/* Runs n tests, or only the one that argv[1] names; the exit status for main. */
static inline int p11_main(const char *suite, const p11_test *tests, size_t n, int argc, char **argv)
{
    int failed = 0;
    int ran = 0;
    for (size_t i = 0; i < n; i++) {
        p11_test test = tests[i];
        if (argc > 1 && strcmp(argv[1], test.name) != 0)
            continue;
        bool ok = p11_in_child(p11_run_one, &test, P11_SECONDS);
        printf("%s %s/%s\n", ok ? "PASS" : "FAIL", suite, test.name);
        fflush(stdout);
        failed += !ok;
        ran++;
    }
    return failed > 0 || ran == 0;
}
#define P11_MAIN(suite, table)                                                                                         \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return p11_main(suite, table, sizeof(table) / sizeof((table)[0]), argc, argv);                                 \
    }

#endif
