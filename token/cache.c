#include "token/cache.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "util/lock.h"

typedef struct entry {
    struct entry *chain;         /* next of the same slot */
    struct entry *newer, *older; /* by use */
    uint64_t hash;
    uint64_t tag;
    cmk_ref *object;
    size_t len;
    uint8_t key[];
} entry;

struct cmk_cache {
    cmk_mutex lock;
    size_t max, count, slot_count; /* slot_count: 0 or a power of two */
    uint64_t seed;
    entry **slots;
    entry *newest, *oldest;
};

#define SLOTS_FIRST 64

cmk_cache *cmk_cache_new(const char *name, size_t max)
{
    cmk_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->max = max;
    cmk_mutex_init(&c->lock, CMK_RANK_LEAF, name);
    /* Keys are chosen by applications: a seed keeps them from being chosen to collide. */
    if (cmk_random(&c->seed, sizeof c->seed) != CMK_OK)
        c->seed = (uint64_t)(uintptr_t)c;
    return c;
}

void cmk_cache_free(cmk_cache *c)
{
    if (!c)
        return;
    cmk_cache_clear(c);
    cmk_mutex_destroy(&c->lock);
    free(c);
}

static uint64_t hash_key(const cmk_cache *c, cmk_bytes key)
{
    uint64_t h = c->seed ^ (0x9e3779b97f4a7c15u * (uint64_t)(key.len + 1));
    size_t i = 0;
    for (; i + 8 <= key.len; i += 8) {
        uint64_t w;
        memcpy(&w, key.data + i, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    for (; i < key.len; i++)
        h = (h ^ key.data[i]) * 0x100000001b3u;
    h ^= h >> 29;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 32);
}

static entry **slot_of(cmk_cache *c, uint64_t hash)
{
    return &c->slots[hash & (c->slot_count - 1)];
}

static entry *find(cmk_cache *c, cmk_bytes key, uint64_t hash)
{
    if (c->slot_count == 0)
        return NULL;
    entry *e = *slot_of(c, hash);
    while (e && (e->hash != hash || e->len != key.len || memcmp(e->key, key.data, key.len) != 0))
        e = e->chain;
    return e;
}

static void unlink_use(cmk_cache *c, entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void link_newest(cmk_cache *c, entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

/* Takes e out and returns its object, to be put back after the lock is released: a destructor may take other locks. */
static cmk_ref *take_out(cmk_cache *c, entry *e)
{
    entry **p = slot_of(c, e->hash);
    while (*p != e)
        p = &(*p)->chain;
    *p = e->chain;
    unlink_use(c, e);
    c->count--;
    cmk_ref *object = e->object;
    free(e);
    return object;
}

static bool grow(cmk_cache *c)
{
    if (c->count < c->slot_count)
        return true;
    size_t n = c->slot_count ? c->slot_count * 2 : SLOTS_FIRST;
    entry **slots = calloc(n, sizeof(entry *));
    if (!slots)
        return c->slot_count > 0;
    for (entry *e = c->newest; e; e = e->older) {
        e->chain = slots[e->hash & (n - 1)];
        slots[e->hash & (n - 1)] = e;
    }
    free(c->slots);
    c->slots = slots;
    c->slot_count = n;
    return true;
}

void cmk_cache_clear(cmk_cache *c)
{
    if (!c)
        return;
    cmk_mutex_lock(&c->lock);
    entry *e = c->newest;
    free(c->slots);
    c->slots = NULL;
    c->newest = c->oldest = NULL;
    c->count = c->slot_count = 0;
    cmk_mutex_unlock(&c->lock);
    while (e) {
        entry *next = e->older;
        cmk_ref_put(e->object);
        free(e);
        e = next;
    }
}

cmk_ref *cmk_cache_get(cmk_cache *c, cmk_bytes key, uint64_t *tag)
{
    uint64_t hash = hash_key(c, key);
    cmk_ref *object = NULL;
    CMK_WITH_MUTEX(&c->lock);
    entry *e = find(c, key, hash);
    if (e) {
        if (e != c->newest) {
            unlink_use(c, e);
            link_newest(c, e);
        }
        object = e->object;
        cmk_ref_take(object);
        if (tag)
            *tag = e->tag;
    }
    return object;
}

/* Adds a new entry; *evicted is what had to go for it. */
static void add(cmk_cache *c, cmk_bytes key, uint64_t hash, uint64_t tag, cmk_ref *object, cmk_ref **evicted)
{
    if (key.len > CMK_CACHE_KEY_MAX || c->max == 0)
        return;
    entry *e = malloc(sizeof *e + key.len);
    if (!e || !grow(c)) {
        free(e);
        return;
    }
    if (c->count >= c->max)
        *evicted = take_out(c, c->oldest);
    *e = (entry){.hash = hash, .tag = tag, .object = object, .len = key.len};
    if (key.len)
        memcpy(e->key, key.data, key.len);
    e->chain = *slot_of(c, hash);
    *slot_of(c, hash) = e;
    link_newest(c, e);
    c->count++;
    cmk_ref_take(object);
}

void cmk_cache_put(cmk_cache *c, cmk_bytes key, uint64_t tag, cmk_ref *object)
{
    uint64_t hash = hash_key(c, key);
    cmk_ref *gone = NULL;
    cmk_mutex_lock(&c->lock);
    entry *e = find(c, key, hash);
    if (e) {
        if (e->object != object) {
            gone = e->object;
            e->object = object;
            cmk_ref_take(object);
        }
        e->tag = tag;
    } else {
        add(c, key, hash, tag, object, &gone);
    }
    cmk_mutex_unlock(&c->lock);
    cmk_ref_put(gone);
}

cmk_ref *cmk_cache_keep(cmk_cache *c, cmk_bytes key, uint64_t tag, cmk_ref *object)
{
    uint64_t hash = hash_key(c, key);
    cmk_ref *gone = NULL;
    cmk_mutex_lock(&c->lock);
    entry *e = find(c, key, hash);
    if (!e)
        add(c, key, hash, tag, object, &gone);
    cmk_ref *kept = e ? e->object : object;
    cmk_ref_take(kept);
    cmk_mutex_unlock(&c->lock);
    cmk_ref_put(gone);
    return kept;
}

void cmk_cache_drop(cmk_cache *c, cmk_bytes key)
{
    uint64_t hash = hash_key(c, key);
    cmk_mutex_lock(&c->lock);
    entry *e = find(c, key, hash);
    cmk_ref *gone = e ? take_out(c, e) : NULL;
    cmk_mutex_unlock(&c->lock);
    cmk_ref_put(gone);
}
