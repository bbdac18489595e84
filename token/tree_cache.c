/* Verified nodes and buckets by their hash: sets of four, the oldest of a set makes room. */
#include <stdlib.h>
#include <string.h>

#include "token/tree.h"

/* At most 256 nodes of 8 KiB and 1,024 buckets of a few hundred bytes: 3 MiB for a vault, however many keys it has. */
enum { WAYS = 4, NODE_SETS = 64, BUCKET_SETS = 256, BUCKET_BODY_MAX = 4096 };

typedef struct cached {
    uint8_t hash[CMK_SHA256_SIZE];
    uint8_t *body;
    size_t len;
    size_t cap;
} cached;

typedef struct cache_set {
    cached way[WAYS];
    unsigned next;
} cache_set;

struct cmk_node_cache {
    cmk_mutex lock; /* rank LEAF */
    cache_set nodes[NODE_SETS];
    cache_set buckets[BUCKET_SETS];
};

cmk_node_cache *cmk_node_cache_new(void)
{
    cmk_node_cache *c = calloc(1, sizeof(*c));
    if (c)
        cmk_mutex_init(&c->lock, CMK_RANK_LEAF, "verified nodes");
    return c;
}

static void sets_free(cache_set *sets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t w = 0; w < WAYS; w++)
            free(sets[i].way[w].body);
}

void cmk_node_cache_free(cmk_node_cache *c)
{
    if (!c)
        return;
    sets_free(c->nodes, NODE_SETS);
    sets_free(c->buckets, BUCKET_SETS);
    cmk_mutex_destroy(&c->lock);
    free(c);
}

/* The last bytes of a hash choose the set: hashes are spread evenly. */
static const cached *set_find(const cache_set *set, const uint8_t *hash)
{
    for (size_t w = 0; w < WAYS; w++)
        if (set->way[w].body && memcmp(set->way[w].hash, hash, CMK_SHA256_SIZE) == 0)
            return &set->way[w];
    return NULL;
}

static const cached *cache_find(const cmk_node_cache *c, const uint8_t *hash)
{
    const cached *hit = set_find(&c->nodes[hash[CMK_SHA256_SIZE - 1] % NODE_SETS], hash);
    return hit ? hit : set_find(&c->buckets[hash[CMK_SHA256_SIZE - 1] % BUCKET_SETS], hash);
}

bool cmk_node_cache_slice(cmk_node_cache *c, const uint8_t hash[CMK_SHA256_SIZE], size_t offset, void *out, size_t n)
{
    CMK_WITH_MUTEX(&c->lock);
    const cached *hit = cache_find(c, hash);
    if (!hit || offset > hit->len || n > hit->len - offset)
        return false;
    memcpy(out, hit->body + offset, n);
    return true;
}

bool cmk_node_cache_copy(cmk_node_cache *c, const uint8_t hash[CMK_SHA256_SIZE], cmk_buf *out)
{
    CMK_WITH_MUTEX(&c->lock);
    const cached *hit = cache_find(c, hash);
    if (!hit)
        return false;
    cmk_buf_add(out, hit->body, hit->len);
    return true;
}

void cmk_node_cache_keep(cmk_node_cache *c, const uint8_t hash[CMK_SHA256_SIZE], cmk_bytes body)
{
    bool node = body.len == CMK_NODE_BODY;
    if (!node && body.len > BUCKET_BODY_MAX)
        return;
    CMK_WITH_MUTEX(&c->lock);
    if (cache_find(c, hash))
        return;
    unsigned last = hash[CMK_SHA256_SIZE - 1];
    cache_set *set = node ? &c->nodes[last % NODE_SETS] : &c->buckets[last % BUCKET_SETS];
    cached *slot = &set->way[set->next];
    set->next = (set->next + 1) % WAYS;
    if (slot->cap < body.len) {
        free(slot->body);
        *slot = (cached){.body = malloc(body.len)};
        if (!slot->body)
            return;
        slot->cap = body.len;
    }
    memcpy(slot->body, body.data, body.len);
    memcpy(slot->hash, hash, CMK_SHA256_SIZE);
    slot->len = body.len;
}
