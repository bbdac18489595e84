/* Locks with ranks. A thread takes locks only in rising rank; in builds with CMK_CHECK_LOCKS (sanitizer builds and make
 * check) a violation aborts with both names. docs/locking.md lists who holds what. No lock is held during an RSA
 * operation or scrypt.
 */
#ifndef CMK_UTIL_LOCK_H
#define CMK_UTIL_LOCK_H

#include <pthread.h>

typedef enum cmk_lock_rank {
    CMK_RANK_MODULE = 1, /* C_Initialize / C_Finalize */
    CMK_RANK_SLOT,       /* a slot: login state, session list, objects */
    CMK_RANK_TABLE,      /* the handle tables */
    CMK_RANK_SESSION,    /* one session's operations */
    CMK_RANK_CORE,       /* the table of open vaults */
    CMK_RANK_LOGIN,      /* what a login holds: readers sign with it, so before the vault */
    CMK_RANK_VAULT,      /* a vault's verified state */
    CMK_RANK_CACHE,      /* caches below a vault: versions, prepared keys, objects */
    CMK_RANK_STORE,      /* a store connection */
    CMK_RANK_AUDIT,      /* the audit chain */
    CMK_RANK_LEAF        /* never held while taking another: counters, secret memory, log */
} cmk_lock_rank;

typedef struct cmk_mutex {
    pthread_mutex_t m;
    cmk_lock_rank rank;
    const char *name;
} cmk_mutex;

typedef struct cmk_rwlock {
    pthread_rwlock_t rw;
    cmk_lock_rank rank;
    const char *name;
} cmk_rwlock;

#define CMK_MUTEX_INIT(rank, name)                                                                                     \
    {                                                                                                                  \
        PTHREAD_MUTEX_INITIALIZER, (rank), (name)                                                                      \
    }

/* Makes and unmakes a lock; name is a static string. Failure to make one aborts: pthread locks of default type need no
 * memory. */
void cmk_mutex_init(cmk_mutex *m, cmk_lock_rank rank, const char *name);
void cmk_mutex_destroy(cmk_mutex *m);
void cmk_mutex_lock(cmk_mutex *m);
/* 1 if the lock was taken, 0 if somebody has it. */
int cmk_mutex_trylock(cmk_mutex *m);
void cmk_mutex_unlock(cmk_mutex *m);

void cmk_rwlock_init(cmk_rwlock *l, cmk_lock_rank rank, const char *name);
void cmk_rwlock_destroy(cmk_rwlock *l);
void cmk_rwlock_read(cmk_rwlock *l);
void cmk_rwlock_write(cmk_rwlock *l);
void cmk_rwlock_unlock(cmk_rwlock *l);

/* After fork, in the child: forgets which locks the forking thread held. */
void cmk_lock_forked(void);

/* Scope guard: CMK_WITH_MUTEX(&x->lock); holds until the end of the block. */
static inline void cmk_mutex_guard_end(cmk_mutex **m)
{
    if (*m)
        cmk_mutex_unlock(*m);
}
#define CMK_GUARD_NAME2(line) guard_##line
#define CMK_GUARD_NAME(line) CMK_GUARD_NAME2(line)
#define CMK_WITH_MUTEX(m)                                                                                              \
    __attribute__((cleanup(cmk_mutex_guard_end), unused)) cmk_mutex *CMK_GUARD_NAME(__LINE__) = (m);                   \
    cmk_mutex_lock(m)

#endif
