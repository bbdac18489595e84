/* <config.h>, not "config.h": the latter would be util/config.h. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "util/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int error, const char *what, const char *name)
{
    if (error == 0)
        return;
    (void)fprintf(stderr, "cmk11: %s of lock %s: %s\n", what, name, strerror(error));
    abort();
}

#ifdef CMK_CHECK_LOCKS

#define HELD_MAX 32

typedef struct held_lock {
    const void *lock;
    cmk_lock_rank rank;
    const char *name;
} held_lock;

static _Thread_local held_lock held[HELD_MAX];
static _Thread_local size_t held_count;

/* Called before waiting, so that a wrong order shows at once and not only when two threads meet in it. */
static void check_rank(cmk_lock_rank rank, const char *name)
{
    for (size_t i = 0; i < held_count; i++) {
        if (held[i].rank < rank)
            continue;
        (void)fprintf(stderr, "cmk11: lock order: %s (rank %d) taken while holding %s (rank %d)\n", name, (int)rank,
                      held[i].name, (int)held[i].rank);
        abort();
    }
    if (held_count == HELD_MAX) {
        (void)fprintf(stderr, "cmk11: lock order: %s taken while holding %d locks\n", name, HELD_MAX);
        abort();
    }
}

static void note_taken(const void *lock, cmk_lock_rank rank, const char *name)
{
    held[held_count++] = (held_lock){lock, rank, name};
}

static void note_released(const void *lock, const char *name)
{
    for (size_t i = held_count; i > 0; i--) {
        if (held[i - 1].lock != lock)
            continue;
        memmove(&held[i - 1], &held[i], (held_count - i) * sizeof(held[0]));
        held_count--;
        return;
    }
    (void)fprintf(stderr, "cmk11: lock order: %s released by a thread that does not hold it\n", name);
    abort();
}

void cmk_lock_forked(void)
{
    held_count = 0;
}

#else

static inline void check_rank(cmk_lock_rank rank, const char *name)
{
    (void)rank;
    (void)name;
}

static inline void note_taken(const void *lock, cmk_lock_rank rank, const char *name)
{
    (void)lock;
    (void)rank;
    (void)name;
}

static inline void note_released(const void *lock, const char *name)
{
    (void)lock;
    (void)name;
}

void cmk_lock_forked(void)
{
}

#endif

void cmk_mutex_init(cmk_mutex *m, cmk_lock_rank rank, const char *name)
{
    m->rank = rank;
    m->name = name;
    must(pthread_mutex_init(&m->m, NULL), "init", name);
}

void cmk_mutex_destroy(cmk_mutex *m)
{
    must(pthread_mutex_destroy(&m->m), "destroy", m->name);
}

void cmk_mutex_lock(cmk_mutex *m)
{
    check_rank(m->rank, m->name);
    must(pthread_mutex_lock(&m->m), "lock", m->name);
    note_taken(m, m->rank, m->name);
}

int cmk_mutex_trylock(cmk_mutex *m)
{
    check_rank(m->rank, m->name);
    if (pthread_mutex_trylock(&m->m) != 0)
        return 0;
    note_taken(m, m->rank, m->name);
    return 1;
}

void cmk_mutex_unlock(cmk_mutex *m)
{
    note_released(m, m->name);
    must(pthread_mutex_unlock(&m->m), "unlock", m->name);
}

void cmk_rwlock_init(cmk_rwlock *l, cmk_lock_rank rank, const char *name)
{
    l->rank = rank;
    l->name = name;
    must(pthread_rwlock_init(&l->rw, NULL), "init", name);
}

void cmk_rwlock_destroy(cmk_rwlock *l)
{
    must(pthread_rwlock_destroy(&l->rw), "destroy", l->name);
}

void cmk_rwlock_read(cmk_rwlock *l)
{
    check_rank(l->rank, l->name);
    must(pthread_rwlock_rdlock(&l->rw), "read lock", l->name);
    note_taken(l, l->rank, l->name);
}

void cmk_rwlock_write(cmk_rwlock *l)
{
    check_rank(l->rank, l->name);
    must(pthread_rwlock_wrlock(&l->rw), "write lock", l->name);
    note_taken(l, l->rank, l->name);
}

void cmk_rwlock_unlock(cmk_rwlock *l)
{
    note_released(l, l->name);
    must(pthread_rwlock_unlock(&l->rw), "unlock", l->name);
}
