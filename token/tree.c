/* Reading the hash trees: leaves, verified nodes and buckets, roots. */
#include "token/tree.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"

cmk_rc cmk_tampered(const char *vault_label, cmk_kind kind, cmk_bytes id, const char *what)
{
    char hex[2 * CMK_RECORD_ID_MAX + 1] = "";
    if (id.len <= CMK_RECORD_ID_MAX)
        cmk_hex(id, hex);
    cmk_log(CMK_LOG_ERROR, "vault %s: %s %s: %s", vault_label, cmk_kind_name(kind), hex, what);
    return cmk_fail(CMK_E_TAMPERED, "vault %s: %s %s: %s", vault_label, cmk_kind_name(kind), hex, what);
}

bool cmk_hash_is_zero(const uint8_t hash[CMK_SHA256_SIZE])
{
    static const uint8_t zero[CMK_SHA256_SIZE];
    return memcmp(hash, zero, sizeof(zero)) == 0;
}

/* ---- hashes ---- */

static cmk_bytes label_of(const char *label)
{
    return cmk_bytes_of(label, strlen(label) + 1);
}

static void put_u32(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

cmk_rc cmk_leaf_of_record(const cmk_tree *t, const cmk_record_key *key, uint64_t revision, const cmk_bytes *body,
                          cmk_leaf *out)
{
    uint8_t full[CMK_SHA256_SIZE];
    uint8_t head[1 + 4];
    uint8_t tail[8 + 4];
    head[0] = key->kind;
    put_u32(head + 1, key->id_len);
    cmk_bytes id = cmk_bytes_of(key->id, key->id_len);
    const cmk_bytes place[] = {label_of("cmk11 leaf place v1"), cmk_bytes_of(head, sizeof(head)), id};
    cmk_rc rc = cmk_sha256(place, 3, full);
    if (rc != CMK_OK)
        return rc;
    memcpy(out->place, full, sizeof(out->place));
    if (!body)
        return CMK_OK;
    put_u32(tail, revision >> 32);
    put_u32(tail + 4, revision);
    put_u32(tail + 8, body->len);
    const uint8_t tree = (uint8_t)t->id;
    const cmk_bytes value[] = {label_of("cmk11 leaf v1"),        cmk_bytes_of(key->vault.b, CMK_ID_SIZE),
                               cmk_bytes_of(&tree, 1),           cmk_bytes_of(t->domain.b, CMK_ID_SIZE),
                               cmk_bytes_of(head, sizeof(head)), id,
                               cmk_bytes_of(tail, sizeof(tail)), *body};
    return cmk_sha256(value, 8, out->value);
}

cmk_rc cmk_leaf_of_index(cmk_index index, cmk_bytes value, const uint8_t *id, size_t id_len, cmk_leaf *out)
{
    uint8_t full[CMK_SHA256_SIZE];
    uint8_t head[1 + 4];
    if (id_len > CMK_LEAF_SIZE - 1)
        return cmk_fail(CMK_E_ARGUMENT, "an index leaf holds at most %d bytes of id", CMK_LEAF_SIZE - 1);
    head[0] = (uint8_t)index;
    put_u32(head + 1, value.len);
    const cmk_bytes place[] = {label_of("cmk11 index place v1"), cmk_bytes_of(head, sizeof(head)), value};
    cmk_rc rc = cmk_sha256(place, 3, full);
    if (rc != CMK_OK)
        return rc;
    memcpy(out->place, full, sizeof(out->place));
    memset(out->value, 0, sizeof(out->value));
    out->value[0] = (uint8_t)id_len;
    if (id_len > 0)
        memcpy(out->value + 1, id, id_len);
    return CMK_OK;
}

cmk_rc cmk_tree_hash(const cmk_tree *t, bool node, unsigned number, cmk_bytes body, uint8_t out[CMK_SHA256_SIZE])
{
    uint8_t head[2 + 4];
    size_t n = 0;
    const uint8_t tree = (uint8_t)t->id;
    if (!node)
        head[n++] = (uint8_t)(number >> 8);
    head[n++] = (uint8_t)number;
    put_u32(head + n, body.len);
    n += 4;
    const cmk_bytes parts[] = {label_of(node ? "cmk11 node v1" : "cmk11 bucket v1"),
                               cmk_bytes_of(t->vault->b, CMK_ID_SIZE),
                               cmk_bytes_of(&tree, 1),
                               cmk_bytes_of(t->domain.b, CMK_ID_SIZE),
                               cmk_bytes_of(head, n),
                               body};
    return cmk_sha256(parts, 6, out);
}

/* ---- roots ---- */

/* Counts ascend and none is zero: there is one way to write a root. */
static bool read_counts(cmk_reader *r, cmk_root_parts *out)
{
    uint8_t last = 0;
    out->counted = cmk_read_u8(r);
    if (out->counted > CMK_TREE_KINDS_MAX)
        return false;
    for (size_t i = 0; i < out->counted; i++) {
        out->counts[i].kind = cmk_read_u8(r);
        out->counts[i].count = cmk_read_u32(r);
        if (out->counts[i].kind <= last || out->counts[i].count == 0)
            return false;
        last = out->counts[i].kind;
    }
    return true;
}

cmk_rc cmk_root_parse(cmk_bytes body, cmk_tree_id tree, const cmk_id *domain, cmk_root_parts *out)
{
    cmk_reader r = cmk_reader_of(body);
    memset(out, 0, sizeof(*out));
    uint8_t format = cmk_read_u8(&r);
    uint8_t which = cmk_read_u8(&r);
    cmk_id in = {{0}};
    cmk_read_raw(&r, in.b, CMK_ID_SIZE);
    out->generation = cmk_read_u32(&r);
    out->change = cmk_read_u64(&r);
    out->time = cmk_read_u64(&r);
    (void)cmk_read_view(&r, CMK_SHA256_SIZE);
    if (format != CMK_TREE_FORMAT || which != (uint8_t)tree || !cmk_id_equal(&in, domain) || out->change > INT64_MAX ||
        !read_counts(&r, out))
        return cmk_fail(CMK_E_FORMAT, "root of tree %d: unknown format", (int)tree);
    out->nodes = cmk_read_view(&r, (size_t)CMK_TREE_NODES * CMK_SHA256_SIZE).data;
    out->body_signed = cmk_bytes_of(body.data, body.len - r.left);
    out->authenticator = cmk_read_str(&r, CMK_SIGNATURE_SIZE);
    if (cmk_reader_end(&r) != CMK_OK)
        return cmk_fail(CMK_E_FORMAT, "root of tree %d: wrong length", (int)tree);
    return CMK_OK;
}

void cmk_root_message(const cmk_id *vault, cmk_bytes body_signed, cmk_buf *out)
{
    cmk_buf_label(out, "cmk11 root v1");
    cmk_buf_add(out, vault->b, CMK_ID_SIZE);
    cmk_buf_add(out, body_signed.data, body_signed.len);
}

cmk_rc cmk_tree_set_root(cmk_tree *t, cmk_buf *body)
{
    cmk_buf_free(&t->body);
    t->body = *body;
    *body = (cmk_buf)CMK_BUF_INIT;
    cmk_bytes view = cmk_buf_view(&t->body);
    cmk_rc rc = cmk_root_parse(view, t->id, &t->domain, &t->root);
    return rc == CMK_OK ? cmk_sha256(&view, 1, t->hash) : rc;
}

void cmk_tree_set_empty(cmk_tree *t)
{
    static const uint8_t no_nodes[CMK_TREE_NODES * CMK_SHA256_SIZE];
    memset(&t->root, 0, sizeof(t->root));
    memset(t->hash, 0, sizeof(t->hash));
    t->root.nodes = no_nodes;
    t->verified = true;
    t->dirty = true; /* also an empty tree has a signed root */
}

void cmk_tree_clear(cmk_tree *t)
{
    cmk_tree_work_free(t);
    cmk_buf_free(&t->body);
    t->verified = false;
}

uint32_t cmk_tree_count(const cmk_tree *t, cmk_kind kind)
{
    for (size_t i = 0; i < t->root.counted; i++)
        if (t->root.counts[i].kind == (uint8_t)kind)
            return t->root.counts[i].count;
    return 0;
}

void cmk_tree_count_add(cmk_tree *t, cmk_kind kind, int delta)
{
    cmk_root_parts *r = &t->root;
    size_t i = 0;
    while (i < r->counted && r->counts[i].kind < (uint8_t)kind)
        i++;
    if (i == r->counted || r->counts[i].kind != (uint8_t)kind) {
        if (r->counted == CMK_TREE_KINDS_MAX)
            return; /* there are fewer kinds than that */
        memmove(&r->counts[i + 1], &r->counts[i], (r->counted - i) * sizeof(r->counts[0]));
        r->counts[i].kind = (uint8_t)kind;
        r->counts[i].count = 0;
        r->counted++;
    }
    r->counts[i].count += (uint32_t)delta;
    if (r->counts[i].count == 0) {
        r->counted--;
        memmove(&r->counts[i], &r->counts[i + 1], (r->counted - i) * sizeof(r->counts[0]));
    }
}

/* ---- nodes and buckets ---- */

cmk_record_key cmk_tree_row_key(const cmk_tree *t, cmk_kind kind, unsigned number)
{
    uint8_t id[1 + CMK_ID_SIZE + 2] = {(uint8_t)t->id};
    size_t n = 1 + CMK_ID_SIZE;
    memcpy(id + 1, t->domain.b, CMK_ID_SIZE);
    if (kind == CMK_KIND_BUCKET)
        id[n++] = (uint8_t)(number >> 8);
    if (kind != CMK_KIND_ROOT)
        id[n++] = (uint8_t)number;
    return cmk_rkey(t->vault, kind, id, n);
}

/* Strictly ascending places, all of them of this bucket. */
static bool bucket_shape(cmk_bytes body, unsigned number)
{
    if ((body.len - 1) % sizeof(cmk_leaf) != 0)
        return false;
    const cmk_leaf *leaves = (const cmk_leaf *)(const void *)(body.data + 1);
    for (size_t i = 0; i < (body.len - 1) / sizeof(cmk_leaf); i++) {
        if (((unsigned)leaves[i].place[0] << 8 | leaves[i].place[1]) != number)
            return false;
        if (i > 0 && memcmp(leaves[i - 1].place, leaves[i].place, CMK_PLACE_SIZE) >= 0)
            return false;
    }
    return true;
}

/* Reads a row of the tree and compares it with the hash above it. */
static cmk_rc load(cmk_tree *t, bool node, unsigned number, const uint8_t *hash, cmk_record *out)
{
    uint8_t is[CMK_SHA256_SIZE];
    cmk_kind kind = node ? CMK_KIND_NODE : CMK_KIND_BUCKET;
    cmk_record_key key = cmk_tree_row_key(t, kind, number);
    cmk_bytes id = cmk_bytes_of(key.id, key.id_len);
    cmk_rc rc = cmk_txn_get(t->txn, &key, out);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_tampered(t->label, kind, id, "the row is missing");
    if (rc != CMK_OK)
        return rc;
    cmk_bytes body = cmk_buf_view(&out->body);
    rc = cmk_tree_hash(t, node, number, body, is);
    if (rc != CMK_OK)
        return rc;
    bool shape = body.len > 0 && body.data[0] == CMK_TREE_FORMAT &&
                 (node ? body.len == CMK_NODE_BODY : bucket_shape(body, number));
    if (!shape || memcmp(is, hash, sizeof(is)) != 0)
        return cmk_tampered(t->label, kind, id, "the row does not match the hash above it");
    cmk_node_cache_keep(t->cache, hash, body);
    return CMK_OK;
}

cmk_rc cmk_tree_load_node(cmk_tree *t, unsigned number, const uint8_t hash[CMK_SHA256_SIZE], cmk_record *out)
{
    return load(t, true, number, hash, out);
}

cmk_rc cmk_tree_load_bucket(cmk_tree *t, unsigned number, const uint8_t hash[CMK_SHA256_SIZE], cmk_record *out)
{
    return load(t, false, number, hash, out);
}

size_t cmk_leaf_search(const cmk_leaf *leaves, size_t n, const uint8_t place[CMK_PLACE_SIZE], bool *found)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(leaves[mid].place, place, CMK_PLACE_SIZE);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

typedef struct node_check {
    cmk_tree *tree;
    unsigned seen;
} node_check;

static cmk_rc check_node(void *ctx, const cmk_record *record)
{
    node_check *c = ctx;
    uint8_t is[CMK_SHA256_SIZE];
    unsigned number = record->key.id[record->key.id_len - 1];
    cmk_bytes id = cmk_bytes_of(record->key.id, record->key.id_len);
    cmk_rc rc = cmk_tree_hash(c->tree, true, number, cmk_buf_view(&record->body), is);
    if (rc != CMK_OK)
        return rc;
    if (record->key.id_len != 1 + CMK_ID_SIZE + 1 ||
        memcmp(is, c->tree->root.nodes + (size_t)number * sizeof(is), sizeof(is)) != 0)
        return cmk_tampered(c->tree->label, CMK_KIND_NODE, id, "the row does not match the root");
    c->seen++;
    return CMK_OK;
}

cmk_rc cmk_tree_check_nodes(cmk_tree *t)
{
    node_check c = {t, 0};
    unsigned named = 0;
    cmk_record_key root = cmk_tree_row_key(t, CMK_KIND_ROOT, 0);
    for (size_t i = 0; i < CMK_TREE_NODES; i++)
        named += !cmk_hash_is_zero(t->root.nodes + i * CMK_SHA256_SIZE);
    cmk_bytes prefix = cmk_bytes_of(root.id, root.id_len);
    cmk_rc rc = cmk_txn_list(t->txn, t->vault, CMK_KIND_NODE, prefix, check_node, &c);
    if (rc == CMK_OK && c.seen != named)
        rc = cmk_tampered(t->label, CMK_KIND_ROOT, prefix, "it names nodes whose rows are missing");
    return rc;
}

/* The hash above says that there is nothing here: a row that is there all the same belongs to a newer state, and
 * somebody has put the older root back. */
static cmk_rc expect_none(cmk_tree *t, cmk_kind kind, unsigned number)
{
    CMK_RECORD_AUTO row = {0};
    cmk_record_key key = cmk_tree_row_key(t, kind, number);
    cmk_rc rc = cmk_txn_get(t->txn, &key, &row);
    if (rc != CMK_OK)
        return rc;
    return cmk_tampered(t->label, kind, cmk_bytes_of(key.id, key.id_len), "the row is not part of the signed state");
}

/* The hash of the bucket that place belongs to, from the verified node above it. */
static cmk_rc bucket_hash(cmk_tree *t, const uint8_t *place, uint8_t *hash)
{
    const uint8_t *node_hash = t->root.nodes + (size_t)place[0] * CMK_SHA256_SIZE;
    size_t offset = 1 + (size_t)place[1] * CMK_SHA256_SIZE;
    if (cmk_hash_is_zero(node_hash))
        return expect_none(t, CMK_KIND_NODE, place[0]);
    if (!cmk_node_cache_slice(t->cache, node_hash, offset, hash, CMK_SHA256_SIZE)) {
        CMK_RECORD_AUTO row = {0};
        cmk_rc rc = cmk_tree_load_node(t, place[0], node_hash, &row);
        if (rc != CMK_OK)
            return rc;
        memcpy(hash, row.body.data + offset, CMK_SHA256_SIZE);
    }
    return CMK_OK;
}

cmk_rc cmk_tree_find(cmk_tree *t, const uint8_t place[CMK_PLACE_SIZE], uint8_t value[CMK_LEAF_SIZE])
{
    uint8_t hash[CMK_SHA256_SIZE];
    const uint8_t *pending = NULL;
    bool found = false;
    cmk_rc rc = CMK_OK;
    if (cmk_tree_pending(t, place, value, &found, &pending))
        return found ? CMK_OK : CMK_E_NOT_FOUND;
    if (pending)
        memcpy(hash, pending, sizeof(hash));
    else
        rc = bucket_hash(t, place, hash);
    if (rc != CMK_OK)
        return rc;
    if (cmk_hash_is_zero(hash))
        return expect_none(t, CMK_KIND_BUCKET, (unsigned)place[0] << 8 | place[1]);
    CMK_RECORD_AUTO row = {0};
    if (!cmk_node_cache_copy(t->cache, hash, &row.body)) {
        rc = cmk_tree_load_bucket(t, (unsigned)place[0] << 8 | place[1], hash, &row);
        if (rc != CMK_OK)
            return rc;
    }
    rc = cmk_buf_ok(&row.body);
    if (rc != CMK_OK || row.body.len < 1)
        return rc != CMK_OK ? rc : CMK_E_INTERNAL;
    const cmk_leaf *leaves = (const cmk_leaf *)(const void *)(row.body.data + 1);
    size_t i = cmk_leaf_search(leaves, (row.body.len - 1) / sizeof(cmk_leaf), place, &found);
    if (!found)
        return CMK_E_NOT_FOUND;
    memcpy(value, leaves[i].value, CMK_LEAF_SIZE);
    return CMK_OK;
}
