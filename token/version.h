/* Versions in memory: what never changes of one, its state as last verified, and the caches by which they are found.
 * Private to token/. */
#ifndef CMK_TOKEN_VERSION_H
#define CMK_TOKEN_VERSION_H

#include "token/cache.h"
#include "token/internal.h"

/* What may change of a version, as verified at two change numbers. Valid while the vault's are the same. */
typedef struct cmk_version_state {
    uint64_t officer_change, admin_change;
    bool gone; /* purged or undone: there is no such record any more */
    bool enabled, key_enabled, current;
    bool purge_protected, wrap_without_login;
    uint32_t ops;        /* the key's */
    uint32_t usable_ops; /* those of them that the vault allows */
    uint32_t mechanisms;
    int64_t not_before, expires, deleted_at, purge_at;
    uint64_t rotate_every;
} cmk_version_state;

enum { CMK_VERSION_OAEP = 1, CMK_VERSION_RSA_AES = 2 }; /* bits of cmk_version_rec.mechanisms */

/* A prepared public key with its SubjectPublicKeyInfo. */
typedef struct cmk_version_public {
    cmk_rsa_public *key;
    cmk_buf info;
} cmk_version_public;

struct cmk_version {
    cmk_ref ref;
    cmk_vault *vault; /* not counted: vaults live until the core is closed */
    cmk_id key, id, created_by;
    uint32_t number;
    unsigned bits;
    size_t size; /* of the modulus, in bytes */
    cmk_origin origin;
    int64_t created;
    uint32_t keykey_generation;
    uint8_t material_hash[CMK_SHA256_SIZE];
    uint8_t certificate_hash[CMK_SHA256_SIZE];
    cmk_bytes name, cka_id, modulus, exponent; /* views into data */
    _Atomic(cmk_version_public *) public_key;  /* made at first use */
    atomic_bool made, used;                    /* by this process: what was made and not used can be undone */
    atomic_bool undoing;                       /* which is under way */
    atomic_bool fell_back; /* an unwrap by this handle has needed another version: worth asking the digest cache */
    cmk_mutex lock;        /* rank LEAF: state */
    cmk_version_state state;
    uint8_t data[];
};

/* All versions of a key, newest first. */
typedef struct cmk_siblings {
    cmk_ref ref;
    size_t count;
    cmk_version *versions[];
} cmk_siblings;

/* The object of a version whose records were read through view: the cached one or a new one, its state brought up to
 * date. Kept in the cache with keep only. */
CMK_MUST_USE cmk_rc cmk_version_of_records(cmk_vault *vault, cmk_view *view, const cmk_key_rec *key,
                                           const cmk_version_rec *rec, bool keep, cmk_version **out);
/* The state, as fresh as the last cmk_vault_refresh(), which the caller has just called. */
CMK_MUST_USE cmk_rc cmk_version_state_get(cmk_version *v, cmk_version_state *out);
/* What cmk_version_get_info() gives, from a state; of deleted keys too. */
void cmk_version_fill_info(const cmk_version *v, const cmk_version_state *s, cmk_version_info *out);
/* The prepared public key, NULL and a cmk_fail() detail when it can't be made. */
const cmk_version_public *cmk_version_public_key(cmk_version *v);
/* The versions of v's key, from the cache or the store; put back with cmk_ref_put(&s->ref). */
CMK_MUST_USE cmk_rc cmk_version_siblings(cmk_version *v, cmk_siblings **out);

/* Digest of (key, ciphertext, parameters) → version that opened it; a hint. */
bool cmk_version_hint_get(cmk_version_cache *c, const uint8_t digest[CMK_SHA256_SIZE], cmk_id *version);
void cmk_version_hint_put(cmk_version_cache *c, const uint8_t digest[CMK_SHA256_SIZE], const cmk_id *version);

/* Reads and decodes a key's record / a version's; row owns what rec views. */
CMK_MUST_USE cmk_rc cmk_key_read(cmk_view *view, const cmk_id *key, cmk_record *row, cmk_key_rec *rec);
CMK_MUST_USE cmk_rc cmk_version_read(cmk_view *view, const cmk_id *key, uint32_t number, cmk_record *row,
                                     cmk_version_rec *rec);
/* Sets (or removes) the index leaves of a version: id, CKA_ID, modulus. CMK_E_EXISTS. */
CMK_MUST_USE cmk_rc cmk_version_index(cmk_view *view, const cmk_version_rec *rec, bool present);
/* The hash of a MATERIAL or CERTIFICATE record's body, as it is in VERSION. */
CMK_MUST_USE cmk_rc cmk_body_hash(const cmk_record_key *key, cmk_bytes body, uint8_t out[CMK_SHA256_SIZE]);

/* Copies the rows of a kind, all verified. Their number must be what the signed root counts: CMK_E_TAMPERED. Freed with
 * cmk_rows_free(). */
typedef struct cmk_row {
    cmk_record_key key;
    uint64_t revision;
    cmk_buf body;
} cmk_row;
typedef struct cmk_rows {
    cmk_row *rows;
    size_t count, cap;
} cmk_rows;
CMK_MUST_USE cmk_rc cmk_rows_read(cmk_view *view, cmk_kind kind, cmk_rows *out);
/* The same for the rows whose id begins with a key's id; their number is for the caller to check. */
CMK_MUST_USE cmk_rc cmk_rows_read_key(cmk_view *view, cmk_kind kind, const cmk_id *key, cmk_rows *out);
void cmk_rows_free(cmk_rows *r);
#define CMK_ROWS_AUTO __attribute__((cleanup(cmk_rows_free))) cmk_rows

#endif
