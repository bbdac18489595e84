/* The module's life: C_Initialize to C_Finalize, calls under way, forks.
 *
 * What says that the module is initialised lives in a page that fork wipes in the child, so a child is uninitialised
 * without anybody having to notice the fork. Its first C_Initialize makes a page of its own and clears away what it has
 * inherited.
 *
 * That needs the inherited state to be whole. A connection of SQLite that another thread was using at the fork can't be
 * given up, and while it can't be, the child can't open the same file. So fork waits (pthread_atfork) until the calls
 * under way have left, which is a matter of milliseconds, and holds back new ones meanwhile; but not for ever: after
 * FORK_WAIT_SECONDS, in the middle of a key generation say, it goes on, and the child leaves alone what it has
 * inherited.
 */
#include "pkcs11/module.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "util/log.h"

enum { DOWN, UP, CLOSING };
enum { FORK_WAIT_SECONDS = 2 };

typedef struct process {
    pid_t pid;          /* 0 in a child */
    bool wiped_by_fork; /* false where the kernel can't: then the pid is compared, which costs a system call */
    atomic_int state;
    atomic_uint calls;   /* under way */
    atomic_uint changes; /* C_Initialize and C_Finalize under way */
    atomic_uint forks;   /* threads that are about to fork: calls wait */
    cmk_mutex lock;      /* C_Initialize and C_Finalize against each other */
    pthread_mutex_t wait_lock;
    pthread_cond_t moved; /* calls, changes or forks became 0 */
    cmk_module *module;
} process;

static _Atomic(process *) current;
/* The same as current->module, but not wiped: a child finds here what it has inherited, and whether nobody was using
 * it. */
static _Atomic(cmk_module *) inherited;
static atomic_bool inherited_whole;
static _Thread_local process *forking; /* what this thread's fork holds back calls of */

static bool is_mine(const process *p)
{
    return p && p->pid != 0 && (p->wiped_by_fork || p->pid == getpid());
}

/* ---- fork ---- */

static void wake(process *p)
{
    (void)pthread_mutex_lock(&p->wait_lock);
    (void)pthread_cond_broadcast(&p->moved);
    (void)pthread_mutex_unlock(&p->wait_lock);
}

static bool is_quiet(process *p)
{
    return atomic_load(&p->calls) == 0 && atomic_load(&p->changes) == 0;
}

static void before_fork(void)
{
    struct timespec end = {0, 0};
    process *p = atomic_load(&current);
    forking = NULL;
    if (!is_mine(p))
        return;
    forking = p;
    (void)atomic_fetch_add(&p->forks, 1);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += FORK_WAIT_SECONDS;
    int late = 0;
    (void)pthread_mutex_lock(&p->wait_lock);
    while (!is_quiet(p) && late == 0)
        late = pthread_cond_timedwait(&p->moved, &p->wait_lock, &end);
    atomic_store(&inherited_whole, is_quiet(p));
    (void)pthread_mutex_unlock(&p->wait_lock);
}

static void after_fork(void)
{
    if (!forking)
        return;
    (void)atomic_fetch_sub(&forking->forks, 1);
    wake(forking);
}

static void wait_for_forks(process *p)
{
    (void)pthread_mutex_lock(&p->wait_lock);
    while (atomic_load(&p->forks) > 0)
        (void)pthread_cond_wait(&p->moved, &p->wait_lock);
    (void)pthread_mutex_unlock(&p->wait_lock);
}

/* Children inherit the handlers, and that they are there. */
static void watch_forks(void)
{
    static atomic_bool watched;
    if (!atomic_exchange(&watched, true) && pthread_atfork(before_fork, after_fork, NULL) != 0)
        atomic_store(&watched, false);
}

/* ---- the page ---- */

static process *process_new(void)
{
    pthread_condattr_t monotonic;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    /* cppcheck-suppress invalidFunctionArg; anonymous memory has the descriptor -1 */
    process *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    p->wiped_by_fork = madvise(p, size, MADV_WIPEONFORK) == 0;
    p->pid = getpid();
    cmk_mutex_init(&p->lock, CMK_RANK_MODULE, "C_Initialize");
    (void)pthread_mutex_init(&p->wait_lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->moved, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return p;
}

/* This process's page, made by whoever comes first. A page that a parent has left is not given back: it is one page. */
static process *process_get(void)
{
    process *seen = atomic_load(&current);
    if (is_mine(seen))
        return seen;
    process *fresh = process_new();
    if (!fresh)
        return NULL;
    watch_forks();
    if (atomic_compare_exchange_strong(&current, &seen, fresh)) {
        cmk_lock_forked();
        return fresh;
    }
    (void)munmap(fresh, (size_t)sysconf(_SC_PAGESIZE));
    return seen;
}

/* ---- calls ---- */

static void count_out(process *p, atomic_uint *count)
{
    (void)atomic_fetch_sub(count, 1);
    if (atomic_load(&p->state) == CLOSING || atomic_load(&p->forks) > 0)
        wake(p);
}

/* Counted first, looked second; who waits for the count closes first and looks at it second: one of the two sees the
 * other. */
static void count_in(process *p, atomic_uint *count)
{
    (void)atomic_fetch_add(count, 1);
    while (atomic_load(&p->forks) > 0) {
        count_out(p, count);
        wait_for_forks(p);
        (void)atomic_fetch_add(count, 1);
    }
}

CK_RV cmk_enter(cmk_module **module)
{
    process *p = atomic_load(&current);
    *module = NULL;
    if (!is_mine(p))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    count_in(p, &p->calls);
    if (atomic_load(&p->state) != UP) {
        count_out(p, &p->calls);
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    }
    cmk_fail_clear();
    *module = p->module;
    return CKR_OK;
}

CK_RV cmk_leave(const char *function, CK_RV rv)
{
    if (rv != CKR_OK)
        cmk_log(CMK_LOG_DEBUG, "%s: 0x%lx%s%s", function, rv, *cmk_fail_detail() ? ": " : "", cmk_fail_detail());
    process *p = atomic_load(&current);
    count_out(p, &p->calls);
    return rv;
}

/* ---- life ---- */

static CK_RV start(process *p)
{
    CMK_WITH_MUTEX(&p->lock);
    if (atomic_load(&p->state) == UP)
        return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    cmk_module_abandon(atomic_exchange(&inherited, NULL), atomic_load(&inherited_whole));
    cmk_rc rc = cmk_module_new(&p->module);
    if (rc != CMK_OK) {
        cmk_log(CMK_LOG_ERROR, "C_Initialize: %s: %s", cmk_rc_text(rc), cmk_fail_detail());
        return cmk_ckr(rc);
    }
    atomic_store(&inherited, p->module);
    atomic_store(&p->state, UP);
    return CKR_OK;
}

CK_RV cmk_module_start(void)
{
    process *p = process_get();
    if (!p)
        return CKR_HOST_MEMORY;
    cmk_fail_clear();
    count_in(p, &p->changes);
    CK_RV rv = start(p);
    count_out(p, &p->changes);
    return rv;
}

static void wait_for_calls(process *p)
{
    (void)pthread_mutex_lock(&p->wait_lock);
    while (atomic_load(&p->calls) > 0)
        (void)pthread_cond_wait(&p->moved, &p->wait_lock);
    (void)pthread_mutex_unlock(&p->wait_lock);
}

static CK_RV stop(process *p)
{
    CMK_WITH_MUTEX(&p->lock);
    if (atomic_load(&p->state) != UP)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    atomic_store(&p->state, CLOSING);
    wait_for_calls(p);
    cmk_module *m = p->module;
    p->module = NULL;
    atomic_store(&inherited, NULL);
    cmk_module_free(m);
    atomic_store(&p->state, DOWN);
    return CKR_OK;
}

CK_RV cmk_module_stop(void)
{
    process *p = atomic_load(&current);
    if (!is_mine(p))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    count_in(p, &p->changes);
    CK_RV rv = stop(p);
    count_out(p, &p->changes);
    return rv;
}

/* ---- the module ---- */

static cmk_rc module_setup(cmk_module *m)
{
    cmk_rc rc = cmk_config_load(&m->config);
    if (rc == CMK_OK)
        rc = cmk_log_setup(m->config->log_target, m->config->log_level);
    if (rc != CMK_OK)
        return rc;
    cmk_secret_require_mlock(m->config->require_mlock);
    m->sessions = cmk_handles_new("sessions", CMK_SESSIONS_MAX);
    m->objects = cmk_handles_new("objects", UINT32_MAX);
    return m->sessions && m->objects ? CMK_OK : CMK_E_NO_MEMORY;
}

/* Opens no store: programs that load every module there is should not pay for it, nor find one made. */
cmk_rc cmk_module_new(cmk_module **out)
{
    cmk_module *m = calloc(1, sizeof(*m));
    if (!m)
        return CMK_E_NO_MEMORY;
    cmk_mutex_init(&m->lock, CMK_RANK_MODULE, "module");
    cmk_rc rc = module_setup(m);
    if (rc == CMK_OK)
        *out = m;
    else
        cmk_module_free(m);
    return rc;
}

/* All but the store. */
static void release(cmk_module *m)
{
    cmk_handles_free(m->sessions);
    cmk_handles_free(m->objects);
    while (m->slots) {
        cmk_slot *slot = m->slots;
        m->slots = slot->next;
        cmk_slot_free(slot);
    }
    cmk_config_free(m->config);
    cmk_mutex_destroy(&m->lock);
}

void cmk_module_free(cmk_module *m)
{
    if (!m)
        return;
    cmk_core *core = m->core;
    release(m);
    cmk_core_close(core);
    free(m);
}

void cmk_module_abandon(cmk_module *m, bool whole)
{
    static cmk_module *left;
    if (!m)
        return;
    cmk_core *core = m->core;
    if (whole) {
        release(m);
        cmk_core_abandon(core);
        free(m);
        return;
    }
    /* Locks may be held and lists half linked: only the store can tell its own state, the rest stays where it is. */
    cmk_core_abandon(core);
    m->core = NULL;
    m->before = left;
    left = m;
}

cmk_rc cmk_module_core(cmk_module *m, bool create, cmk_core **out)
{
    CMK_WITH_MUTEX(&m->lock);
    cmk_rc rc = m->core ? CMK_OK : cmk_core_open(m->config, create, &m->core);
    *out = m->core;
    if (rc == CMK_E_NOT_FOUND && !create) {
        cmk_fail_clear();
        return CMK_OK;
    }
    return rc;
}
