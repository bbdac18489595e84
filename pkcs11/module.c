/* The module's life: C_Initialize to C_Finalize, calls under way, forks.
 *
 * What says that the module is initialised lives in a page that fork wipes in the child, so a child is uninitialised without anybody having to notice the fork. Its first
 * C_Initialize makes a page of its own and leaves alone what it has inherited: another thread of the parent may have been in the middle of anything.
 */
#include "pkcs11/module.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/log.h"

enum { DOWN, UP, CLOSING };

typedef struct process {
    pid_t pid;          /* 0 in a child */
    bool wiped_by_fork; /* false where the kernel can't: then the pid is compared, which costs a system call */
    atomic_int state;
    atomic_uint calls; /* under way */
    cmk_mutex lock;    /* C_Initialize and C_Finalize */
    pthread_mutex_t wait_lock;
    pthread_cond_t last_call; /* C_Finalize waits for calls to become 0 */
    cmk_module *module;
} process;

static _Atomic(process *) current;
/* The same as current->module, but not wiped: a child finds here what it has inherited. */
static _Atomic(cmk_module *) inherited;

static bool is_mine(const process *p)
{
    return p && p->pid != 0 && (p->wiped_by_fork || p->pid == getpid());
}

static process *process_new(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    process *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    p->wiped_by_fork = madvise(p, size, MADV_WIPEONFORK) == 0;
    p->pid = getpid();
    cmk_mutex_init(&p->lock, CMK_RANK_MODULE, "C_Initialize");
    (void)pthread_mutex_init(&p->wait_lock, NULL);
    (void)pthread_cond_init(&p->last_call, NULL);
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
    if (atomic_compare_exchange_strong(&current, &seen, fresh)) {
        cmk_lock_forked();
        return fresh;
    }
    (void)munmap(fresh, (size_t)sysconf(_SC_PAGESIZE));
    return seen;
}

/* ---- calls ---- */

static void count_out(process *p)
{
    (void)atomic_fetch_sub(&p->calls, 1);
    if (atomic_load(&p->state) != CLOSING)
        return;
    (void)pthread_mutex_lock(&p->wait_lock);
    (void)pthread_cond_broadcast(&p->last_call);
    (void)pthread_mutex_unlock(&p->wait_lock);
}

CK_RV cmk_enter(cmk_module **module)
{
    process *p = atomic_load(&current);
    *module = NULL;
    if (!is_mine(p))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    /* Counted first, looked second; C_Finalize closes first and looks at the count second: one of the two sees the other. */
    (void)atomic_fetch_add(&p->calls, 1);
    if (atomic_load(&p->state) != UP) {
        count_out(p);
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
    count_out(atomic_load(&current));
    return rv;
}

/* ---- life ---- */

CK_RV cmk_module_start(void)
{
    CK_RV rv = CKR_OK;
    process *p = process_get();
    if (!p)
        return CKR_HOST_MEMORY;
    cmk_fail_clear();
    CMK_WITH_MUTEX(&p->lock);
    if (atomic_load(&p->state) == UP)
        return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    cmk_module_abandon(atomic_exchange(&inherited, NULL));
    cmk_rc rc = cmk_module_new(&p->module);
    if (rc == CMK_OK) {
        atomic_store(&inherited, p->module);
        atomic_store(&p->state, UP);
    } else {
        rv = cmk_ckr(rc);
        cmk_log(CMK_LOG_ERROR, "C_Initialize: %s: %s", cmk_rc_text(rc), cmk_fail_detail());
    }
    return rv;
}

static void wait_for_calls(process *p)
{
    (void)pthread_mutex_lock(&p->wait_lock);
    while (atomic_load(&p->calls) > 0)
        (void)pthread_cond_wait(&p->last_call, &p->wait_lock);
    (void)pthread_mutex_unlock(&p->wait_lock);
}

CK_RV cmk_module_stop(void)
{
    process *p = atomic_load(&current);
    if (!is_mine(p))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
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

void cmk_module_free(cmk_module *m)
{
    if (!m)
        return;
    cmk_handles_free(m->sessions);
    cmk_handles_free(m->objects);
    while (m->slots) {
        cmk_slot *slot = m->slots;
        m->slots = slot->next;
        cmk_slot_free(slot);
    }
    cmk_core_close(m->core);
    cmk_config_free(m->config);
    cmk_mutex_destroy(&m->lock);
    free(m);
}

/* Locks may be held and lists half linked: only what can tell its own state is given up, the rest stays where it is. */
void cmk_module_abandon(cmk_module *m)
{
    static cmk_module *abandoned;
    if (!m)
        return;
    cmk_core_abandon(m->core);
    m->core = NULL;
    m->before = abandoned;
    abandoned = m;
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
