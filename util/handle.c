#include "util/handle.h"

#include <stdlib.h>
#include <string.h>

#include "util/lock.h"

#define INDEX_BITS 24
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)
#define INDEX_MAX ((UINT32_C(1) << INDEX_BITS) - 1)
#define GENERATION_MAX ((UINT32_C(1) << 29) - 1)
#define NO_INDEX UINT32_MAX
#define FIRST_CAP 64

/* A place. Its generation is that of the handle it has now, or gives out next; 1 at first, so that no handle is 0. */
typedef struct place {
    cmk_ref *object;
    uint32_t generation;
    uint32_t next_free;
} place;

struct cmk_handles {
    cmk_rwlock lock;
    const char *name;
    place *places;
    uint32_t cap;
    uint32_t used; /* places ever given out */
    uint32_t free; /* first place to be given out again */
    uint32_t live;
    uint32_t max;
};

void cmk_ref_init(cmk_ref *r, void (*destroy)(cmk_ref *self))
{
    r->destroy = destroy;
    __atomic_store_n(&r->refs, 1, __ATOMIC_RELAXED);
}

void cmk_ref_take(cmk_ref *r)
{
    uint32_t before = __atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);
    /* From 0 the object is being destroyed, and past the top it would be destroyed early: both are use after free. */
    if (before == 0 || before == UINT32_MAX)
        abort();
}

void cmk_ref_put(cmk_ref *r)
{
    if (!r)
        return;
    uint32_t before = __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL);
    if (before == 0)
        abort();
    if (before == 1)
        r->destroy(r);
}

cmk_handles *cmk_handles_new(const char *name, uint32_t max)
{
    cmk_handles *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    cmk_rwlock_init(&t->lock, CMK_RANK_TABLE, name);
    t->name = name;
    t->max = max < INDEX_MAX ? max : INDEX_MAX;
    t->free = NO_INDEX;
    return t;
}

void cmk_handles_free(cmk_handles *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->used; i++)
        cmk_ref_put(t->places[i].object);
    cmk_rwlock_destroy(&t->lock);
    free(t->places);
    free(t);
}

/* One more place at the end of the array. */
static cmk_rc grow(cmk_handles *t, uint32_t *index)
{
    /* Only after 2^29 uses each are places retired, so this is met long after max. */
    if (t->used == INDEX_MAX)
        return cmk_fail(CMK_E_LIMIT, "the table of %s has no handle left; restart the process", t->name);
    if (t->used == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : FIRST_CAP;
        place *places = reallocarray(t->places, cap, sizeof(*places));
        if (!places)
            return cmk_fail(CMK_E_NO_MEMORY, "out of memory for the table of %s", t->name);
        t->places = places;
        t->cap = cap;
    }
    *index = t->used++;
    t->places[*index] = (place){NULL, 1, NO_INDEX};
    return CMK_OK;
}

static cmk_rc take_place(cmk_handles *t, uint32_t *index)
{
    if (t->live >= t->max)
        return cmk_fail(CMK_E_LIMIT, "there are %u %s already; close some first", t->max, t->name);
    if (t->free == NO_INDEX)
        return grow(t, index);
    *index = t->free;
    t->free = t->places[*index].next_free;
    return CMK_OK;
}

cmk_rc cmk_handle_add(cmk_handles *t, cmk_ref *object, uint64_t *handle)
{
    uint32_t index = NO_INDEX;
    cmk_rwlock_write(&t->lock);
    cmk_rc rc = take_place(t, &index);
    if (rc == CMK_OK) {
        place *p = &t->places[index];
        p->object = object;
        t->live++;
        *handle = (uint64_t)p->generation << INDEX_BITS | index;
    }
    cmk_rwlock_unlock(&t->lock);
    return rc;
}

/* The place that handle names now, or NULL. */
static place *find(cmk_handles *t, uint64_t handle)
{
    uint64_t index = handle & INDEX_MASK;
    if (index >= t->used)
        return NULL;
    place *p = &t->places[index];
    return p->object && p->generation == handle >> INDEX_BITS ? p : NULL;
}

cmk_ref *cmk_handle_get(cmk_handles *t, uint64_t handle)
{
    cmk_ref *object = NULL;
    cmk_rwlock_read(&t->lock);
    const place *p = find(t, handle);
    if (p) {
        object = p->object;
        cmk_ref_take(object);
    }
    cmk_rwlock_unlock(&t->lock);
    return object;
}

cmk_ref *cmk_handle_remove(cmk_handles *t, uint64_t handle)
{
    cmk_ref *object = NULL;
    cmk_rwlock_write(&t->lock);
    place *p = find(t, handle);
    if (p) {
        object = p->object;
        p->object = NULL;
        t->live--;
        /* A place whose generations are used up is never given out again. */
        if (p->generation < GENERATION_MAX) {
            p->generation++;
            p->next_free = t->free;
            t->free = (uint32_t)(handle & INDEX_MASK);
        }
    }
    cmk_rwlock_unlock(&t->lock);
    return object;
}

uint32_t cmk_handles_count(cmk_handles *t)
{
    cmk_rwlock_read(&t->lock);
    uint32_t n = t->live;
    cmk_rwlock_unlock(&t->lock);
    return n;
}

void cmk_handles_each(cmk_handles *t, int (*visit)(void *ctx, uint64_t handle, cmk_ref *object), void *ctx)
{
    cmk_rwlock_read(&t->lock);
    for (uint32_t i = 0; i < t->used; i++) {
        const place *p = &t->places[i];
        if (p->object && visit(ctx, (uint64_t)p->generation << INDEX_BITS | i, p->object) != 0)
            break;
    }
    cmk_rwlock_unlock(&t->lock);
}
