/* The records of docs/decisions/0001: kinds, structures, and their codec. Private to token/.
 *
 * A record type is a table of fields (name, type, offset, limit); one encoder and one decoder walk it (records.c). A
 * field is added at the end of a table, with a new format number.
 */
#ifndef CMK_TOKEN_RECORDS_H
#define CMK_TOKEN_RECORDS_H

#include "crypto/crypto.h"
#include "storage/store.h"
#include "token/token.h"

typedef enum cmk_kind {
    CMK_KIND_ROOT = 1,
    CMK_KIND_NODE = 2,
    CMK_KIND_BUCKET = 3,
    CMK_KIND_VAULT = 16,
    CMK_KIND_PRINCIPAL = 17,
    CMK_KIND_SEALED = 18,
    CMK_KIND_CREDENTIAL = 19,
    CMK_KIND_KEY = 32,
    CMK_KIND_VERSION = 33,
    CMK_KIND_KEYKEY = 34,
    CMK_KIND_MATERIAL = 35,
    CMK_KIND_CERTIFICATE = 36,
    CMK_KIND_OBJECT = 48
} cmk_kind;

typedef enum cmk_tree_id {
    CMK_TREE_NONE = 0,
    CMK_TREE_ADMIN = 1,
    CMK_TREE_OFFICER = 2,
    CMK_TREE_OBJECT = 3,
    CMK_TREE_COUNT
} cmk_tree_id;

/* Authenticated look-ups: index leaves of the trees. The store's own index holds vault names (CMK_INDEX_VAULT_NAME) and
 * objects' labels and ids only. */
typedef enum cmk_index {
    CMK_INDEX_VAULT_NAME = 1,     /* store's index only; value: the name; live vaults */
    CMK_INDEX_PRINCIPAL_NAME = 2, /* admin tree → principal id */
    CMK_INDEX_KEY_NAME = 3,       /* officer tree → key id */
    CMK_INDEX_VERSION_ID = 4,     /* officer tree → key id ‖ number */
    CMK_INDEX_CKA_ID = 5,         /* officer tree → key id ‖ number */
    CMK_INDEX_MODULUS = 6,        /* officer tree → key id ‖ number; value: SHA-256 of the modulus */
    CMK_INDEX_OBJECT_LABEL = 7,   /* store's index; value: see object.c */
    CMK_INDEX_OBJECT_ID = 8       /* store's index */
} cmk_index;

/* The time as records have it: never before 1970, whatever the clock says, since a decoder would refuse such a record.
 */
uint64_t cmk_record_time(void);

/* Which tree signs which kind; CMK_TREE_NONE for those that protect themselves or are hashes. */
cmk_tree_id cmk_kind_tree(cmk_kind kind);
/* "key", "version" … for messages. */
const char *cmk_kind_name(cmk_kind kind);

#define CMK_SERIAL_BYTES 16
typedef struct cmk_vault_rec {
    cmk_id id;
    cmk_bytes name;   /* view into the record it was decoded from, as all cmk_bytes here */
    cmk_bytes serial; /* 16 hex digits */
    uint32_t slot;
    uint8_t state; /* cmk_vault_state */
    uint64_t created, changed, deleted_at, purge_at;
    cmk_id changed_by;
    uint32_t retention_days;
    uint8_t purge_protection, wrap_without_login, dual_control, show_certificates;
    uint32_t allow_ops;
    uint32_t audit_sync;    /* 0: once a second; 1: each record */
    uint32_t pin_attempts;  /* lock-out threshold, 10 */
    uint32_t pin_backoff_s; /* 0: none */
    uint32_t admin_generation, officer_generation, vault_key_generation, object_key_generation;
    uint8_t admin_first[CMK_CURVE_KEY_SIZE]; /* admin public key of generation 1: the fingerprint */
    uint8_t admin_public[CMK_CURVE_KEY_SIZE];
    uint8_t officer_public[CMK_CURVE_KEY_SIZE];
    cmk_bytes succession; /* of admin keys after the first: (generation, public key, signature of the one before)*;
                             empty for now */
} cmk_vault_rec;

typedef enum cmk_principal_state {
    CMK_PRINCIPAL_ACTIVE = 1,
    CMK_PRINCIPAL_DISABLED = 2,
    CMK_PRINCIPAL_REMOVED = 3
} cmk_principal_state;
typedef struct cmk_principal_rec {
    cmk_id id;
    cmk_bytes name;                     /* "so", "user", or its own */
    uint8_t role;                       /* cmk_role */
    uint8_t state;                      /* cmk_principal_state */
    uint64_t created, changed, expires; /* 0: none */
    cmk_id created_by, changed_by;
    uint8_t limited; /* 1: only the keys that its grants name */
    uint8_t x25519_public[CMK_CURVE_KEY_SIZE];
    uint8_t log_public[CMK_CURVE_KEY_SIZE];
    uint64_t min_credential; /* credential revisions below this are void (a PIN reset raises it) */
} cmk_principal_rec;

typedef struct cmk_credential_rec {
    cmk_scrypt_params kdf;
    uint8_t host_secret_kind; /* 1: none */
    cmk_bytes host_secret_ref;
    uint8_t x25519_public[CMK_CURVE_KEY_SIZE];
    uint8_t log_public[CMK_CURVE_KEY_SIZE];
    uint8_t commitment[CMK_SHA256_SIZE];
    cmk_bytes blob;
} cmk_credential_rec;

typedef struct cmk_key_rec {
    cmk_id id;
    cmk_bytes name;
    uint8_t enabled;
    uint64_t created, changed, deleted_at, purge_at;
    cmk_id created_by, changed_by;
    uint32_t current;     /* newest version's number */
    uint32_t versions;    /* how many exist */
    uint32_t last_number; /* the highest number ever given, so that none is given twice */
    uint32_t ops;
    uint32_t keykey_generation; /* for new versions */
    uint64_t rotate_every, rotate_before_expiry, expires_in;
    cmk_bytes tags; /* str(name) str(value) … */
} cmk_key_rec;

typedef struct cmk_version_rec {
    cmk_id key;
    cmk_id id;
    uint32_t number;
    uint8_t origin; /* cmk_origin */
    uint8_t enabled;
    uint64_t created, changed, not_before, expires;
    cmk_id created_by, changed_by;
    uint32_t bits;
    cmk_bytes modulus, exponent;
    cmk_bytes cka_id;
    uint32_t mechanisms; /* bits: 1 OAEP, 2 RSA_AES */
    uint32_t keykey_generation;
    uint8_t material_hash[CMK_SHA256_SIZE];
    uint8_t certificate_hash[CMK_SHA256_SIZE];
} cmk_version_rec;

typedef struct cmk_object_rec {
    cmk_id id;
    uint8_t is_private;
    uint64_t created, changed;
    cmk_id author;
    uint32_t object_key_generation;
    cmk_bytes attributes; /* empty when private */
    cmk_bytes blob;       /* AEAD: str(attributes if private) ‖ str(value) */
    cmk_bytes signature;  /* by the author's log key when public, else empty */
} cmk_object_rec;

/* Encoders append format number and fields to out (check cmk_buf_ok()). Decoders check format, bounds, enumerations and
 * that nothing is left: CMK_E_FORMAT. Views point into body. */
#define CMK_RECORD_CODEC(name)                                                                                         \
    void cmk_##name##_encode(const struct cmk_##name *rec, cmk_buf *out);                                              \
    CMK_MUST_USE cmk_rc cmk_##name##_decode(cmk_bytes body, struct cmk_##name *rec)
CMK_RECORD_CODEC(vault_rec);
CMK_RECORD_CODEC(principal_rec);
CMK_RECORD_CODEC(credential_rec);
CMK_RECORD_CODEC(key_rec);
CMK_RECORD_CODEC(version_rec);
CMK_RECORD_CODEC(object_rec);

/* Makes record keys. */
cmk_record_key cmk_rkey(const cmk_id *vault, cmk_kind kind, const void *id, size_t id_len);
cmk_record_key cmk_rkey_id(const cmk_id *vault, cmk_kind kind, const cmk_id *id);
cmk_record_key cmk_rkey_numbered(const cmk_id *vault, cmk_kind kind, const cmk_id *id, uint32_t number);

#endif
