/* The hash trees of docs/decisions/0001: leaves in 65,536 buckets under 256 nodes under a root, read with verification
 * from a transaction and written back once a commit. Private to view.c and tree*.c. */
#ifndef CMK_TOKEN_TREE_H
#define CMK_TOKEN_TREE_H

#include "token/internal.h"

enum {
    CMK_PLACE_SIZE = 16,
    CMK_LEAF_SIZE = CMK_SHA256_SIZE,
    CMK_TREE_NODES = 256,
    CMK_TREE_FORMAT = 1,
    CMK_NODE_BODY = 1 + CMK_TREE_NODES * CMK_SHA256_SIZE,
    CMK_TREE_KINDS_MAX = 8, /* kinds that one root counts */
    CMK_VAULT_LABEL_MAX = 192
};

typedef struct cmk_leaf {
    uint8_t place[CMK_PLACE_SIZE];
    uint8_t value[CMK_LEAF_SIZE];
} cmk_leaf;

/* The leaf of a record in t; body NULL: only its place. */
struct cmk_tree;
CMK_MUST_USE cmk_rc cmk_leaf_of_record(const struct cmk_tree *t, const cmk_record_key *key, uint64_t revision,
                                       const cmk_bytes *body, cmk_leaf *out);
/* The leaf of an index entry; id_len at most CMK_LEAF_SIZE - 1. */
CMK_MUST_USE cmk_rc cmk_leaf_of_index(cmk_index index, cmk_bytes value, const uint8_t *id, size_t id_len,
                                      cmk_leaf *out);
/* Hash of a bucket's or (node true) a node's body. */
CMK_MUST_USE cmk_rc cmk_tree_hash(const struct cmk_tree *t, bool node, unsigned number, cmk_bytes body,
                                  uint8_t out[CMK_SHA256_SIZE]);

/* A root's body, taken apart; pointers into the body. */
typedef struct cmk_root_parts {
    uint32_t generation;
    uint64_t change;
    uint64_t time;
    size_t counted;
    struct {
        uint8_t kind;
        uint32_t count;
    } counts[CMK_TREE_KINDS_MAX];
    const uint8_t *nodes;  /* 256 hashes */
    cmk_bytes body_signed; /* what the authenticator covers, with the label and vault id before it */
    cmk_bytes authenticator;
} cmk_root_parts;
/* CMK_E_FORMAT when body is no root of that tree. */
CMK_MUST_USE cmk_rc cmk_root_parse(cmk_bytes body, cmk_tree_id tree, const cmk_id *domain, cmk_root_parts *out);

/* Verified nodes and buckets by their hash; what is in it was verified, so it may be shared by all views of the vault.
 */
/* Copies n bytes from offset of the cached body; false when it is not there. */
bool cmk_node_cache_slice(cmk_node_cache *c, const uint8_t hash[CMK_SHA256_SIZE], size_t offset, void *out, size_t n);
/* Appends the whole cached body. */
bool cmk_node_cache_copy(cmk_node_cache *c, const uint8_t hash[CMK_SHA256_SIZE], cmk_buf *out);
/* Keeps a copy of a verified body, or does not when out of memory. */
void cmk_node_cache_keep(cmk_node_cache *c, const uint8_t hash[CMK_SHA256_SIZE], cmk_bytes body);

struct cmk_node_work;

/* One tree as a view sees it. */
typedef struct cmk_tree {
    cmk_tree_id id;
    cmk_id domain; /* zero but for the object tree of a principal that is limited to named keys */
    const cmk_id *vault;
    const char *label; /* the vault in messages */
    cmk_txn *txn;
    cmk_node_cache *cache;
    bool verified; /* the root below is authentic */
    bool dirty;
    uint8_t hash[CMK_SHA256_SIZE]; /* of the root's body; zeros for a tree without a root yet */
    cmk_buf body;
    cmk_root_parts root;         /* of body; counts change with writes */
    struct cmk_node_work **work; /* CMK_TREE_NODES pointers once something was written */
} cmk_tree;

/* Makes t's root body (taken over) its root: parses and hashes. */
CMK_MUST_USE cmk_rc cmk_tree_set_root(cmk_tree *t, cmk_buf *body);
/* Makes t the empty tree of a vault that is just being made. */
void cmk_tree_set_empty(cmk_tree *t);
void cmk_tree_clear(cmk_tree *t);
/* Finds the leaf at place. CMK_E_NOT_FOUND is proven; CMK_E_TAMPERED. */
CMK_MUST_USE cmk_rc cmk_tree_find(cmk_tree *t, const uint8_t place[CMK_PLACE_SIZE], uint8_t value[CMK_LEAF_SIZE]);
/* Sets a leaf; *was tells whether there was one. */
CMK_MUST_USE cmk_rc cmk_tree_set(cmk_tree *t, const cmk_leaf *leaf, bool *was);
/* Removes a leaf. CMK_E_NOT_FOUND. */
CMK_MUST_USE cmk_rc cmk_tree_remove(cmk_tree *t, const uint8_t place[CMK_PLACE_SIZE]);
void cmk_tree_count_add(cmk_tree *t, cmk_kind kind, int delta);
uint32_t cmk_tree_count(const cmk_tree *t, cmk_kind kind);
/* Signs message (label, vault id, root body without authenticator) into out. */
typedef cmk_rc (*cmk_tree_sign)(const void *ctx, cmk_tree_id tree, cmk_bytes message, cmk_buf *out);
/* Writes changed buckets and nodes and the next root. t then has the new root. */
CMK_MUST_USE cmk_rc cmk_tree_write(cmk_tree *t, uint32_t generation, cmk_tree_sign sign, const void *ctx);
/* What the authenticator of a root covers. */
void cmk_root_message(const cmk_id *vault, cmk_bytes body_signed, cmk_buf *out);

/* Says and logs that a record does not verify; returns CMK_E_TAMPERED. */
cmk_rc cmk_tampered(const char *vault_label, cmk_kind kind, cmk_bytes id, const char *what);

/* tree_work.c: nodes and buckets that are being changed. */
CMK_MUST_USE cmk_rc cmk_tree_load_node(cmk_tree *t, unsigned number, const uint8_t hash[CMK_SHA256_SIZE],
                                       cmk_record *out);
CMK_MUST_USE cmk_rc cmk_tree_load_bucket(cmk_tree *t, unsigned number, const uint8_t hash[CMK_SHA256_SIZE],
                                         cmk_record *out);
/* Are the NODE rows exactly those that the root names? What a process does once, for the first root that it sees: later
 * ones it compares by their change numbers. CMK_E_TAMPERED. */
CMK_MUST_USE cmk_rc cmk_tree_check_nodes(cmk_tree *t);
bool cmk_hash_is_zero(const uint8_t hash[CMK_SHA256_SIZE]);
/* Where place is or would be among n sorted leaves; *found tells which. */
size_t cmk_leaf_search(const cmk_leaf *leaves, size_t n, const uint8_t place[CMK_PLACE_SIZE], bool *found);
/* Looks into pending changes: true when they decide, with *found; else *bucket_hash may point to the pending node's
 * hash. */
bool cmk_tree_pending(const cmk_tree *t, const uint8_t place[CMK_PLACE_SIZE], uint8_t value[CMK_LEAF_SIZE], bool *found,
                      const uint8_t **bucket_hash);
/* The key of the tree's root, node or bucket row. */
cmk_record_key cmk_tree_row_key(const cmk_tree *t, cmk_kind kind, unsigned number);
void cmk_tree_work_free(cmk_tree *t);

#endif
