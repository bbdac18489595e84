/* Changing the hash trees: the nodes and buckets under change are kept in memory and written once, by cmk_tree_write().
 */
#include <stdlib.h>
#include <string.h>

#include "token/tree.h"

typedef struct bucket_work {
    cmk_leaf *leaves; /* sorted by place */
    size_t count, cap;
    uint64_t revision; /* of the row; 0: none yet */
    bool dirty;
} bucket_work;

typedef struct cmk_node_work {
    uint8_t hashes[CMK_TREE_NODES][CMK_SHA256_SIZE];
    bucket_work *buckets[CMK_TREE_NODES]; /* those that were looked into */
    uint64_t revision;
    bool dirty;
} node_work;

static void bucket_free(bucket_work *b)
{
    if (b)
        free(b->leaves);
    free(b);
}

void cmk_tree_work_free(cmk_tree *t)
{
    if (!t->work)
        return;
    for (size_t n = 0; n < CMK_TREE_NODES; n++) {
        if (!t->work[n])
            continue;
        for (size_t b = 0; b < CMK_TREE_NODES; b++)
            bucket_free(t->work[n]->buckets[b]);
        free(t->work[n]);
    }
    free(t->work);
    t->work = NULL;
}

static cmk_rc node_open(cmk_tree *t, unsigned number, node_work **out)
{
    if (!t->work) {
        t->work = calloc(CMK_TREE_NODES, sizeof(node_work *));
        if (!t->work)
            return CMK_E_NO_MEMORY;
    }
    *out = t->work[number];
    if (*out)
        return CMK_OK;
    node_work *n = calloc(1, sizeof(*n));
    if (!n)
        return CMK_E_NO_MEMORY;
    const uint8_t *hash = t->root.nodes + (size_t)number * CMK_SHA256_SIZE;
    if (!cmk_hash_is_zero(hash)) {
        CMK_RECORD_AUTO row = {0};
        cmk_rc rc = cmk_tree_load_node(t, number, hash, &row);
        if (rc != CMK_OK) {
            free(n);
            return rc;
        }
        memcpy(n->hashes, row.body.data + 1, sizeof(n->hashes));
        n->revision = row.revision;
    }
    t->work[number] = n;
    *out = n;
    return CMK_OK;
}

static cmk_rc bucket_read(cmk_tree *t, unsigned number, const uint8_t *hash, bucket_work *b)
{
    CMK_RECORD_AUTO row = {0};
    cmk_rc rc = cmk_tree_load_bucket(t, number, hash, &row);
    if (rc != CMK_OK)
        return rc;
    b->count = (row.body.len - 1) / sizeof(cmk_leaf);
    b->cap = b->count + 1;
    b->revision = row.revision;
    b->leaves = malloc(b->cap * sizeof(cmk_leaf));
    if (!b->leaves)
        return CMK_E_NO_MEMORY;
    memcpy(b->leaves, row.body.data + 1, b->count * sizeof(cmk_leaf));
    return CMK_OK;
}

static cmk_rc bucket_open(cmk_tree *t, const uint8_t *place, node_work **node, bucket_work **out)
{
    cmk_rc rc = node_open(t, place[0], node);
    if (rc != CMK_OK)
        return rc;
    *out = (*node)->buckets[place[1]];
    if (*out)
        return CMK_OK;
    bucket_work *b = calloc(1, sizeof(*b));
    if (!b)
        return CMK_E_NO_MEMORY;
    const uint8_t *hash = (*node)->hashes[place[1]];
    if (!cmk_hash_is_zero(hash))
        rc = bucket_read(t, (unsigned)place[0] << 8 | place[1], hash, b);
    if (rc != CMK_OK) {
        bucket_free(b);
        return rc;
    }
    (*node)->buckets[place[1]] = b;
    *out = b;
    return CMK_OK;
}

bool cmk_tree_pending(const cmk_tree *t, const uint8_t place[CMK_PLACE_SIZE], uint8_t value[CMK_LEAF_SIZE], bool *found,
                      const uint8_t **bucket_hash)
{
    const node_work *node = t->work ? t->work[place[0]] : NULL;
    if (!node)
        return false;
    const bucket_work *b = node->buckets[place[1]];
    *bucket_hash = node->hashes[place[1]];
    if (!b)
        return false;
    size_t i = cmk_leaf_search(b->leaves, b->count, place, found);
    if (*found)
        memcpy(value, b->leaves[i].value, CMK_LEAF_SIZE);
    return true;
}

/* Room for one leaf more. */
static cmk_rc bucket_grow(bucket_work *b)
{
    if (b->leaves && b->count < b->cap)
        return CMK_OK;
    size_t cap = b->cap + b->cap / 2 + 4;
    cmk_leaf *grown = realloc(b->leaves, cap * sizeof(*grown));
    if (!grown)
        return CMK_E_NO_MEMORY;
    b->leaves = grown;
    b->cap = cap;
    return CMK_OK;
}

cmk_rc cmk_tree_set(cmk_tree *t, const cmk_leaf *leaf, bool *was)
{
    node_work *node = NULL;
    bucket_work *b = NULL;
    cmk_rc rc = bucket_open(t, leaf->place, &node, &b);
    if (rc == CMK_OK)
        rc = bucket_grow(b);
    if (rc != CMK_OK)
        return rc;
    size_t i = cmk_leaf_search(b->leaves, b->count, leaf->place, was);
    if (!*was) {
        memmove(b->leaves + i + 1, b->leaves + i, (b->count - i) * sizeof(*b->leaves));
        b->count++;
    }
    b->leaves[i] = *leaf;
    b->dirty = node->dirty = t->dirty = true;
    return CMK_OK;
}

cmk_rc cmk_tree_remove(cmk_tree *t, const uint8_t place[CMK_PLACE_SIZE])
{
    node_work *node = NULL;
    bucket_work *b = NULL;
    bool found = false;
    cmk_rc rc = bucket_open(t, place, &node, &b);
    if (rc != CMK_OK)
        return rc;
    size_t i = cmk_leaf_search(b->leaves, b->count, place, &found);
    if (!found || !b->leaves)
        return CMK_E_NOT_FOUND;
    b->count--;
    memmove(b->leaves + i, b->leaves + i + 1, (b->count - i) * sizeof(*b->leaves));
    b->dirty = node->dirty = t->dirty = true;
    return CMK_OK;
}

/* ---- writing back ---- */

/* Puts or, without a body, deletes a row of the tree. Writers are one at a time, so a conflict is a row that nobody
 * should have made. */
static cmk_rc row_write(cmk_tree *t, cmk_kind kind, unsigned number, const cmk_buf *body, uint64_t *revision)
{
    cmk_rc rc = CMK_OK;
    CMK_RECORD_AUTO row = {.key = cmk_tree_row_key(t, kind, number), .revision = *revision + 1};
    if (body->len == 0) {
        if (*revision == 0)
            return CMK_OK;
        rc = cmk_txn_delete(t->txn, &row.key, *revision);
        *revision = 0;
    } else {
        cmk_buf_add(&row.body, body->data, body->len);
        rc = cmk_buf_ok(&row.body);
        if (rc == CMK_OK)
            rc = cmk_txn_put(t->txn, &row, *revision);
        *revision = row.revision;
    }
    if (rc == CMK_E_CONFLICT)
        rc = cmk_tampered(t->label, kind, cmk_bytes_of(row.key.id, row.key.id_len), "a row that was not there before");
    return rc;
}

static cmk_rc bucket_write(cmk_tree *t, unsigned number, bucket_work *b, uint8_t *hash)
{
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    cmk_rc rc = CMK_OK;
    memset(hash, 0, CMK_SHA256_SIZE);
    if (b->count > 0) {
        cmk_buf_u8(&body, CMK_TREE_FORMAT);
        cmk_buf_add(&body, b->leaves, b->count * sizeof(*b->leaves));
        rc = cmk_buf_ok(&body);
        if (rc == CMK_OK)
            rc = cmk_tree_hash(t, false, number, cmk_buf_view(&body), hash);
    }
    if (rc == CMK_OK)
        rc = row_write(t, CMK_KIND_BUCKET, number, &body, &b->revision);
    if (rc == CMK_OK && body.len > 0)
        cmk_node_cache_keep(t->cache, hash, cmk_buf_view(&body));
    b->dirty = false;
    return rc;
}

static cmk_rc node_write(cmk_tree *t, unsigned number, node_work *n, uint8_t *hash)
{
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    cmk_rc rc = CMK_OK;
    bool empty = true;
    for (unsigned i = 0; i < CMK_TREE_NODES && rc == CMK_OK; i++) {
        if (n->buckets[i] && n->buckets[i]->dirty)
            rc = bucket_write(t, number << 8 | i, n->buckets[i], n->hashes[i]);
        empty = empty && cmk_hash_is_zero(n->hashes[i]);
    }
    if (rc != CMK_OK)
        return rc;
    memset(hash, 0, CMK_SHA256_SIZE);
    if (!empty) {
        cmk_buf_u8(&body, CMK_TREE_FORMAT);
        cmk_buf_add(&body, n->hashes, sizeof(n->hashes));
        rc = cmk_buf_ok(&body);
        if (rc == CMK_OK)
            rc = cmk_tree_hash(t, true, number, cmk_buf_view(&body), hash);
    }
    if (rc == CMK_OK)
        rc = row_write(t, CMK_KIND_NODE, number, &body, &n->revision);
    if (rc == CMK_OK && !empty)
        cmk_node_cache_keep(t->cache, hash, cmk_buf_view(&body));
    n->dirty = false;
    return rc;
}

/* The next root's body, without its authenticator. */
static void root_body(const cmk_tree *t, uint32_t generation, const uint8_t *nodes, cmk_buf *out)
{
    cmk_buf_u8(out, CMK_TREE_FORMAT);
    cmk_buf_u8(out, (uint8_t)t->id);
    cmk_buf_add(out, t->domain.b, CMK_ID_SIZE);
    cmk_buf_u32(out, generation);
    cmk_buf_u64(out, t->root.change + 1);
    cmk_buf_u64(out, cmk_record_time());
    cmk_buf_add(out, t->hash, sizeof(t->hash));
    cmk_buf_u8(out, (uint8_t)t->root.counted);
    for (size_t i = 0; i < t->root.counted; i++) {
        cmk_buf_u8(out, t->root.counts[i].kind);
        cmk_buf_u32(out, t->root.counts[i].count);
    }
    cmk_buf_add(out, nodes, (size_t)CMK_TREE_NODES * CMK_SHA256_SIZE);
}

static cmk_rc root_write(cmk_tree *t, uint32_t generation, const uint8_t *nodes, cmk_tree_sign sign, const void *ctx)
{
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    CMK_BUF_AUTO message = CMK_BUF_INIT;
    CMK_BUF_AUTO authenticator = CMK_BUF_INIT;
    CMK_RECORD_AUTO row = {.key = cmk_tree_row_key(t, CMK_KIND_ROOT, 0), .revision = t->root.change + 1};
    root_body(t, generation, nodes, &body);
    cmk_root_message(t->vault, cmk_buf_view(&body), &message);
    cmk_rc rc = cmk_buf_ok(&message);
    if (rc == CMK_OK)
        rc = sign(ctx, t->id, cmk_buf_view(&message), &authenticator);
    if (rc != CMK_OK)
        return rc;
    cmk_buf_str(&body, cmk_buf_view(&authenticator));
    cmk_buf_add(&row.body, body.data, body.len);
    rc = cmk_buf_ok(&body);
    if (rc == CMK_OK)
        rc = cmk_buf_ok(&row.body);
    if (rc == CMK_OK)
        rc = cmk_txn_put(t->txn, &row, t->root.change);
    if (rc == CMK_E_CONFLICT)
        rc = cmk_tampered(t->label, CMK_KIND_ROOT, cmk_bytes_of(row.key.id, row.key.id_len),
                          "its revision is not its change number");
    if (rc == CMK_OK)
        rc = cmk_tree_set_root(t, &body);
    return rc;
}

cmk_rc cmk_tree_write(cmk_tree *t, uint32_t generation, cmk_tree_sign sign, const void *ctx)
{
    cmk_rc rc = CMK_OK;
    uint8_t *nodes = malloc((size_t)CMK_TREE_NODES * CMK_SHA256_SIZE);
    if (!nodes)
        return CMK_E_NO_MEMORY;
    memcpy(nodes, t->root.nodes, (size_t)CMK_TREE_NODES * CMK_SHA256_SIZE);
    for (unsigned i = 0; t->work && i < CMK_TREE_NODES && rc == CMK_OK; i++)
        if (t->work[i] && t->work[i]->dirty)
            rc = node_write(t, i, t->work[i], nodes + (size_t)i * CMK_SHA256_SIZE);
    if (rc == CMK_OK)
        rc = root_write(t, generation, nodes, sign, ctx);
    free(nodes);
    t->dirty = rc != CMK_OK;
    return rc;
}
