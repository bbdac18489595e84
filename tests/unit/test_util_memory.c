/* Unit tests of util/: secret memory, handles and references, ranked locks; with threads and across fork. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/handle.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/secret.h"

#define THREADS 4

/* Runs f in a child without its stderr. What _exit() gets, or -1 when a signal ended the child. */
static int in_child(int (*f)(void *), void *arg)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        if (!freopen("/dev/null", "w", stderr))
            _exit(98);
        _exit(f(arg));
    }
    int status = 0;
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void in_threads(void *(*f)(void *), void *arg)
{
    pthread_t id[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&id[i], NULL, f, arg), 0);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(id[i], NULL);
}

static bool all_are(const uint8_t *p, size_t n, uint8_t value)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return false;
    return true;
}

static void secret_sizes(void)
{
    static const size_t sizes[] = {1,    15,   16,   32,   33,    64,    500,         512,
                                   4095, 4096, 4097, 8176, 65536, 65537, 1024 * 1024, 16 * 1024 * 1024};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *p = cmk_secret_alloc(sizes[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        CU_ASSERT_EQUAL((uintptr_t)p % 16, 0);
        CU_ASSERT_TRUE(all_are(p, sizes[i], 0));
        memset(p, 0xA5, sizes[i]);
        cmk_secret_free(p);
    }
    CU_ASSERT_PTR_NULL(cmk_secret_alloc(0));
    CU_ASSERT_PTR_NULL(cmk_secret_alloc((size_t)16 * 1024 * 1024 + 1));
    CU_ASSERT_PTR_NULL(cmk_secret_alloc(SIZE_MAX));
    cmk_secret_free(NULL);
}

static void secret_many(void)
{
    enum { MANY = 10000 };
    static uint8_t *p[MANY];
    for (size_t i = 0; i < MANY; i++) {
        p[i] = cmk_secret_alloc(1 + i % 90);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p[i]);
        CU_ASSERT_TRUE(all_are(p[i], 1 + i % 90, 0));
        memset(p[i], (int)(i & 0xFF), 1 + i % 90);
    }
    for (size_t i = 0; i < MANY; i += 2) {
        CU_ASSERT_TRUE(all_are(p[i], 1 + i % 90, (uint8_t)i));
        cmk_secret_free(p[i]);
        p[i] = cmk_secret_alloc(1 + i % 90);
        CU_ASSERT_TRUE(p[i] && all_are(p[i], 1 + i % 90, 0));
    }
    for (size_t i = 0; i < MANY; i++)
        cmk_secret_free(p[(i * 7919) % MANY]);
}

static void secret_owner(void)
{
    CMK_SECRET_AUTO s = CMK_SECRET_INIT;
    UNIT_OK(cmk_secret_new(&s, 32));
    CU_ASSERT_TRUE(s.len == 32 && all_are(s.data, 32, 0));
    UNIT_OK(cmk_secret_copy(&s, cmk_bytes_str("0123456789")));
    CU_ASSERT_TRUE(cmk_bytes_equal(cmk_secret_view(&s), cmk_bytes_str("0123456789")));
    /* A copy of a part of itself. */
    UNIT_OK(cmk_secret_copy(&s, cmk_bytes_of(s.data + 3, 4)));
    CU_ASSERT_TRUE(cmk_bytes_equal(cmk_secret_view(&s), cmk_bytes_str("3456")));
    UNIT_RC(cmk_secret_new(&s, (size_t)1 << 40), CMK_E_NO_MEMORY);
    CU_ASSERT_TRUE(!s.data && s.len == 0);
    UNIT_OK(cmk_secret_new(&s, 0));
    CU_ASSERT_PTR_NULL(s.data);
    cmk_secret_clear(NULL);
}

static int overrun(void *arg)
{
    size_t n = *(const size_t *)arg;
    volatile uint8_t *p = cmk_secret_alloc(n);
    if (!p)
        return 1;
    p[n] ^= 1;
    cmk_secret_free((void *)(uintptr_t)p);
    return 0;
}

static int free_twice(void *arg)
{
    (void)arg;
    void *keep = cmk_secret_alloc(48);
    void *p = cmk_secret_alloc(48);
    cmk_secret_free(p);
    cmk_secret_free(p);
    cmk_secret_free(keep);
    return 0;
}

static int free_inside(void *arg)
{
    (void)arg;
    uint8_t *p = cmk_secret_alloc(48);
    cmk_secret_free(p + 16);
    return 0;
}

static int touch_guard(void *arg)
{
    (void)arg;
    volatile uint8_t *p = cmk_secret_alloc(100000);
    if (!p)
        return 1;
    p[100000 + 64] = 1;
    return 0;
}

static void secret_damage(void)
{
    static const size_t sizes[] = {1, 31, 32, 100, 4096, 4097, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];
        CU_ASSERT_EQUAL(in_child(overrun, &n), -1);
    }
    CU_ASSERT_EQUAL(in_child(free_twice, NULL), -1);
    CU_ASSERT_EQUAL(in_child(free_inside, NULL), -1);
    /* A sanitizer turns the signal into an exit status of its own. */
    CU_ASSERT_NOT_EQUAL(in_child(touch_guard, NULL), 0);
}

typedef struct inherited {
    uint8_t *small;
    uint8_t *large;
} inherited;

static int child_of_secrets(void *arg)
{
    inherited *h = arg;
    if (!all_are(h->small, 32, 0) || !all_are(h->large, 10000, 0))
        return 1;
    uint8_t *own = cmk_secret_alloc(32);
    if (!own || own == h->small)
        return 2;
    memset(own, 7, 32);
    cmk_secret_free(h->small);
    cmk_secret_free(h->large);
    if (!all_are(own, 32, 7))
        return 3;
    cmk_secret_free(own);
    return 0;
}

/* As above, but the first call in the child is a free. */
static int child_frees_first(void *arg)
{
    inherited *h = arg;
    cmk_secret_free(h->small);
    cmk_secret_free(h->large);
    void *own = cmk_secret_alloc(32);
    inherited again = {own, h->large};
    cmk_secret_free(again.small);
    return own ? 0 : 1;
}

static void secret_fork(void)
{
    inherited h = {cmk_secret_alloc(32), cmk_secret_alloc(10000)};
    CU_ASSERT_TRUE_FATAL(h.small && h.large);
    memset(h.small, 1, 32);
    memset(h.large, 2, 10000);
    CU_ASSERT_EQUAL(in_child(child_of_secrets, &h), 0);
    CU_ASSERT_EQUAL(in_child(child_frees_first, &h), 0);
    CU_ASSERT_TRUE(all_are(h.small, 32, 1));
    CU_ASSERT_TRUE(all_are(h.large, 10000, 2));
    cmk_secret_free(h.small);
    cmk_secret_free(h.large);
}

static void *secret_worker(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)&arg;
    uint8_t *kept[16] = {NULL};
    size_t len[16] = {0};
    for (int i = 0; i < 20000; i++) {
        size_t k = (size_t)rand_r(&seed) % 16;
        if (kept[k] && !all_are(kept[k], len[k], (uint8_t)k))
            abort();
        cmk_secret_free(kept[k]);
        len[k] = 1 + (size_t)rand_r(&seed) % (i % 100 ? 300 : 6000);
        kept[k] = cmk_secret_alloc(len[k]);
        if (!kept[k] || !all_are(kept[k], len[k], 0))
            abort();
        memset(kept[k], (int)k, len[k]);
    }
    for (size_t k = 0; k < 16; k++)
        cmk_secret_free(kept[k]);
    return arg;
}

static void secret_threads(void)
{
    in_threads(secret_worker, NULL);
}

static int stop;

static void *secret_churn(void *arg)
{
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        cmk_secret_free(cmk_secret_alloc(32));
    return arg;
}

static int child_allocates(void *arg)
{
    (void)arg;
    (void)alarm(10);
    void *p = cmk_secret_alloc(32);
    cmk_secret_free(p);
    return p ? 0 : 1;
}

/* The lock may be held by a thread that the child does not have. */
static void secret_fork_while_busy(void)
{
#ifdef __SANITIZE_THREAD__
    const bool can_fork = false; /* ThreadSanitizer itself can't fork that way */
#else
    const bool can_fork = true;
#endif
    pthread_t id;
    if (!can_fork)
        return;
    __atomic_store_n(&stop, 0, __ATOMIC_RELEASE);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&id, NULL, secret_churn, NULL), 0);
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(in_child(child_allocates, NULL), 0);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    (void)pthread_join(id, NULL);
}

static int locked_memory(void *arg)
{
    bool require = *(const bool *)arg;
    const struct rlimit none = {0, 0};
    /* Root may lock without limit. */
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0))
        return 90;
    /* A sanitizer makes mlock a no-op that succeeds. */
    static char page[8192];
    int refused = mlock(page, sizeof(page)) != 0;
    cmk_secret_require_mlock(require);
    CMK_SECRET_AUTO s = CMK_SECRET_INIT;
    cmk_rc rc = cmk_secret_new(&s, 32);
    cmk_rc wanted = require && refused ? CMK_E_LOCKED_MEMORY : CMK_OK;
    void *p = cmk_secret_alloc(10000);
    int ok = rc == wanted && (p != NULL) == (wanted == CMK_OK);
    cmk_secret_free(p);
    return ok ? 0 : 1;
}

static void secret_mlock(void)
{
    bool require = true;
    CU_ASSERT_EQUAL(in_child(locked_memory, &require), 0);
    require = false;
    CU_ASSERT_EQUAL(in_child(locked_memory, &require), 0);
}

/* Cheap enough to be used for every temporary. The bound is generous: machines are shared and sanitizers slow. */
static void secret_speed(void)
{
    enum { ROUNDS = 200000 };
    void *keep = cmk_secret_alloc(32);
    uint64_t start = cmk_monotonic_us();
    for (int i = 0; i < ROUNDS; i++)
        cmk_secret_free(cmk_secret_alloc(32));
    uint64_t ns = (cmk_monotonic_us() - start) * 1000 / ROUNDS;
    printf("  secret alloc and free: %llu ns\n", (unsigned long long)ns);
    CU_ASSERT_TRUE(ns < 20000);
    cmk_secret_free(keep);
}

typedef struct thing {
    cmk_ref ref;
    int value;
} thing;

static int destroyed;

static void thing_destroy(cmk_ref *self)
{
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
    free(self);
}

static thing *thing_new(int value)
{
    thing *t = calloc(1, sizeof(*t));
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    cmk_ref_init(&t->ref, thing_destroy);
    t->value = value;
    return t;
}

static int sum_values(void *ctx, uint64_t handle, cmk_ref *object)
{
    (void)handle;
    *(int *)ctx += ((thing *)(void *)object)->value;
    return 0;
}

static int stop_at_once(void *ctx, uint64_t handle, cmk_ref *object)
{
    (void)handle;
    (void)object;
    return ++*(int *)ctx;
}

static void handles_basic(void)
{
    destroyed = 0;
    cmk_handles *t = cmk_handles_new("things", 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    uint64_t h[4] = {0};
    for (int i = 0; i < 3; i++)
        UNIT_OK(cmk_handle_add(t, &thing_new(i + 1)->ref, &h[i]));
    thing *extra = thing_new(9);
    UNIT_RC(cmk_handle_add(t, &extra->ref, &h[3]), CMK_E_LIMIT);
    CU_ASSERT_EQUAL(cmk_handles_count(t), 3);
    CU_ASSERT_TRUE(h[0] != 0 && h[0] != h[1] && h[1] != h[2] && h[2] < UINT64_C(1) << 53);
    CU_ASSERT_PTR_NULL(cmk_handle_get(t, 0));
    CU_ASSERT_PTR_NULL(cmk_handle_get(t, UINT64_MAX));
    CU_ASSERT_PTR_NULL(cmk_handle_get(t, h[0] + (UINT64_C(1) << 24)));
    int sum = 0;
    cmk_handles_each(t, sum_values, &sum);
    CU_ASSERT_EQUAL(sum, 6);
    int visits = 0;
    cmk_handles_each(t, stop_at_once, &visits);
    CU_ASSERT_EQUAL(visits, 1);

    /* An object that is taken out lives until the last user puts it back; its handle is dead at once. */
    thing *used = (thing *)(void *)cmk_handle_get(t, h[1]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(used);
    cmk_ref_put(cmk_handle_remove(t, h[1]));
    CU_ASSERT_EQUAL(destroyed, 0);
    CU_ASSERT_EQUAL(used->value, 2);
    CU_ASSERT_PTR_NULL(cmk_handle_get(t, h[1]));
    CU_ASSERT_PTR_NULL(cmk_handle_remove(t, h[1]));
    UNIT_OK(cmk_handle_add(t, &extra->ref, &h[3]));
    CU_ASSERT_NOT_EQUAL(h[3], h[1]);
    CU_ASSERT_PTR_NULL(cmk_handle_get(t, h[1]));
    cmk_ref_put(&used->ref);
    CU_ASSERT_EQUAL(destroyed, 1);
    cmk_handles_free(t);
    CU_ASSERT_EQUAL(destroyed, 4);
    cmk_handles_free(NULL);
    cmk_ref_put(NULL);
}

static void handles_never_again(void)
{
    enum { ROUNDS = 5000 };
    static uint64_t seen[ROUNDS];
    cmk_handles *t = cmk_handles_new("things", 100);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    for (size_t i = 0; i < ROUNDS; i++) {
        UNIT_OK(cmk_handle_add(t, &thing_new(1)->ref, &seen[i]));
        cmk_ref_put(cmk_handle_remove(t, seen[i]));
        if (i > 0)
            CU_ASSERT_TRUE(seen[i] > seen[i - 1]);
    }
    CU_ASSERT_EQUAL(cmk_handles_count(t), 0);
    cmk_handles_free(t);
}

typedef struct shared_handles {
    cmk_handles *t;
    uint64_t h[8];
} shared_handles;

static void *handle_worker(void *arg)
{
    shared_handles *s = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int i = 0; i < 20000; i++) {
        uint64_t *place = &s->h[(unsigned)rand_r(&seed) % 8];
        uint64_t h = __atomic_load_n(place, __ATOMIC_RELAXED);
        if (i % 16 != 0) {
            thing *t = (thing *)(void *)cmk_handle_get(s->t, h);
            if (t && t->value != 5)
                abort();
            cmk_ref_put(t ? &t->ref : NULL);
            continue;
        }
        cmk_ref_put(cmk_handle_remove(s->t, h));
        thing *fresh = calloc(1, sizeof(*fresh));
        if (!fresh)
            abort();
        cmk_ref_init(&fresh->ref, thing_destroy);
        fresh->value = 5;
        if (cmk_handle_add(s->t, &fresh->ref, &h) != CMK_OK)
            abort();
        __atomic_store_n(place, h, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void handles_threads(void)
{
    shared_handles s = {cmk_handles_new("things", 100000), {0}};
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.t);
    in_threads(handle_worker, &s);
    cmk_handles_free(s.t);
}

static void handles_speed(void)
{
    enum { ROUNDS = 200000 };
    uint64_t h = 0;
    cmk_handles *t = cmk_handles_new("things", 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    UNIT_OK(cmk_handle_add(t, &thing_new(1)->ref, &h));
    uint64_t start = cmk_monotonic_us();
    for (int i = 0; i < ROUNDS; i++)
        cmk_ref_put(cmk_handle_get(t, h));
    uint64_t ns = (cmk_monotonic_us() - start) * 1000 / ROUNDS;
    printf("  handle get and put: %llu ns\n", (unsigned long long)ns);
    CU_ASSERT_TRUE(ns < 20000);
    cmk_handles_free(t);
}

static cmk_mutex slot_lock = CMK_MUTEX_INIT(CMK_RANK_SLOT, "slot");
static int counter;

static void *lock_worker(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        CMK_WITH_MUTEX(&slot_lock);
        counter++;
    }
    return arg;
}

static void locks_basic(void)
{
    counter = 0;
    in_threads(lock_worker, NULL);
    CU_ASSERT_EQUAL(counter, 10000 * THREADS);
    cmk_mutex m;
    cmk_rwlock l;
    cmk_mutex_init(&m, CMK_RANK_STORE, "store");
    cmk_rwlock_init(&l, CMK_RANK_VAULT, "vault");
    cmk_rwlock_read(&l);
    CU_ASSERT_EQUAL(cmk_mutex_trylock(&m), 1);
    /* Released in another order than taken. */
    cmk_rwlock_unlock(&l);
    cmk_mutex_unlock(&m);
    cmk_rwlock_write(&l);
    cmk_rwlock_unlock(&l);
    cmk_mutex_destroy(&m);
    cmk_rwlock_destroy(&l);
}

static void *try_elsewhere(void *arg)
{
    int *got = arg;
    *got = cmk_mutex_trylock(&slot_lock);
    if (*got)
        cmk_mutex_unlock(&slot_lock);
    return NULL;
}

static void locks_try(void)
{
    int got = -1;
    pthread_t id;
    cmk_mutex_lock(&slot_lock);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&id, NULL, try_elsewhere, &got), 0);
    (void)pthread_join(id, NULL);
    CU_ASSERT_EQUAL(got, 0);
    cmk_mutex_unlock(&slot_lock);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&id, NULL, try_elsewhere, &got), 0);
    (void)pthread_join(id, NULL);
    CU_ASSERT_EQUAL(got, 1);
}

static int wrong_order(void *arg)
{
    (void)arg;
    static cmk_mutex store = CMK_MUTEX_INIT(CMK_RANK_STORE, "store");
    cmk_mutex_lock(&store);
    cmk_mutex_lock(&slot_lock);
    return 0;
}

static int same_rank(void *arg)
{
    (void)arg;
    static cmk_mutex other = CMK_MUTEX_INIT(CMK_RANK_SLOT, "other slot");
    cmk_mutex_lock(&slot_lock);
    cmk_mutex_lock(&other);
    return 0;
}

static int after_fork(void *arg)
{
    (void)arg;
    static cmk_mutex module = CMK_MUTEX_INIT(CMK_RANK_MODULE, "module");
    cmk_lock_forked();
    cmk_mutex_lock(&module);
    cmk_mutex_unlock(&module);
    return 0;
}

static void locks_rank(void)
{
#ifdef CMK_CHECK_LOCKS
    int refused = -1;
#else
    int refused = 0;
#endif
    CU_ASSERT_EQUAL(in_child(wrong_order, NULL), refused);
    CU_ASSERT_EQUAL(in_child(same_rank, NULL), refused);
    cmk_mutex_lock(&slot_lock);
    CU_ASSERT_EQUAL(in_child(after_fork, NULL), 0);
    cmk_mutex_unlock(&slot_lock);
}

static const unit_test tests[] = {
    {"secret-sizes", secret_sizes},
    {"secret-many", secret_many},
    {"secret-owner", secret_owner},
    {"secret-damage", secret_damage},
    {"secret-fork", secret_fork},
    {"secret-threads", secret_threads},
    {"secret-fork-while-busy", secret_fork_while_busy},
    {"secret-mlock", secret_mlock},
    {"secret-speed", secret_speed},
    {"handles-basic", handles_basic},
    {"handles-never-again", handles_never_again},
    {"handles-threads", handles_threads},
    {"handles-speed", handles_speed},
    {"locks-basic", locks_basic},
    {"locks-try", locks_try},
    {"locks-rank", locks_rank},
};

UNIT_MAIN("util-memory", tests)
