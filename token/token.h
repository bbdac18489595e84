/* What a vault is and does: vaults, principals and logins, keys and versions, KEK use, token objects. The one interface
 * of this folder; module and command share it, so they can't differ. Knows no CK_ types.
 *
 * Lifetimes: a cmk_core is an open store. cmk_vault, cmk_login, cmk_version and cmk_object are reference-counted; each
 * function that gives one out gives a reference that the caller puts back. All functions are thread-safe. None holds a
 * lock during an RSA operation or scrypt.
 *
 * Freshness: every function looks first whether the store has changed (about 2 µs when it has not) and then answers
 * from state verified after the last commit by anybody. A record that does not verify is CMK_E_TAMPERED, older state
 * put back CMK_E_ROLLBACK; both are logged.
 */
#ifndef CMK_TOKEN_TOKEN_H
#define CMK_TOKEN_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/bytes.h"
#include "util/config.h"
#include "util/error.h"
#include "util/secret.h"
#include "util/text.h"

/* ---- the open store ---- */

typedef struct cmk_core cmk_core;

/* Opens the store that the configuration names; create makes it where there is none (else CMK_E_NOT_FOUND). Keeps a
 * copy of what it needs of config. */
CMK_MUST_USE cmk_rc cmk_core_open(const cmk_config *config, bool create, cmk_core **out);
/* Closes and wipes all. Nobody may be using anything of it. NULL is fine. */
void cmk_core_close(cmk_core *core);
/* Shares the store among the members of a Unix group (the store-group setting), or with (gid_t)-1 takes that back:
 * modes and group of the directory and of every file in it. Only the directory's owner or root can: CMK_E_PERMISSION.
 */
CMK_MUST_USE cmk_rc cmk_core_set_group(cmk_core *core, gid_t gid);
/* In a forked child: frees without touching the parent's files or locks. */
void cmk_core_abandon(cmk_core *core);

/* ---- vaults ---- */

#define CMK_SERIAL_SIZE 16
typedef enum cmk_vault_state { CMK_VAULT_LIVE = 1, CMK_VAULT_DELETED = 2 } cmk_vault_state;

/* Operations that a key may be used for: bits of a vault's and a key's policy. */
#define CMK_OP_WRAP 0x01u
#define CMK_OP_UNWRAP 0x02u
#define CMK_OP_DECRYPT 0x04u
/* The bit of a Key Vault operation name ("wrapKey", "unwrapKey", "decrypt"); 0 when unknown. */
uint32_t cmk_op_bit(const char *name);
/* Reads a comma-separated list of them. CMK_E_ARGUMENT with a detail that lists what there is. */
CMK_MUST_USE cmk_rc cmk_ops_parse(const char *list, uint32_t *ops);

#define CMK_RETENTION_DAYS_MIN 7
#define CMK_RETENTION_DAYS_MAX 90
#define CMK_RETENTION_DAYS_DEFAULT 90

typedef struct cmk_vault_info {
    cmk_id id;
    char name[CMK_VAULT_NAME_MAX + 1];
    char serial[CMK_SERIAL_SIZE + 1]; /* 16 hex digits */
    uint32_t slot;
    cmk_vault_state state;
    int64_t created;
    int64_t deleted_at; /* 0: not */
    int64_t purge_at;   /* 0: not scheduled */
    uint32_t retention_days;
    bool purge_protection;
    bool wrap_without_login;
    uint32_t allow_ops;    /* CMK_OP_* */
    uint32_t pin_attempts; /* wrong PINs that lock a principal */
    bool user_pin_set;
    uint32_t keys;                /* KEKs, deleted ones included */
    char fingerprint[7 + 64 + 1]; /* "SHA256:" and hex */
    cmk_rc health; /* CMK_OK, or why this vault can't be used (then only what could be read is filled in) */
} cmk_vault_info;

typedef struct cmk_vault cmk_vault;

/* Visits all live vaults by slot number, then with deleted_too the deleted ones. A damaged vault is visited too, with
 * its health. */
CMK_MUST_USE cmk_rc cmk_vault_list(cmk_core *core, bool deleted_too,
                                   cmk_rc (*visit)(void *ctx, const cmk_vault_info *info), void *ctx);
/* Live vault by name or by slot. CMK_E_NOT_FOUND, CMK_E_TAMPERED … */
CMK_MUST_USE cmk_rc cmk_vault_open_name(cmk_core *core, cmk_bytes name, cmk_vault **out);
CMK_MUST_USE cmk_rc cmk_vault_open_slot(cmk_core *core, uint32_t slot, cmk_vault **out);
/* Puts back a reference. NULL is fine. */
void cmk_vault_put(cmk_vault *vault);
CMK_MUST_USE cmk_rc cmk_vault_get_info(cmk_vault *vault, cmk_vault_info *out);
/* The smallest slot number that no vault, live or deleted, has, and (when the record of one is lost) can have had:
 * where the uninitialised token is. */
CMK_MUST_USE cmk_rc cmk_core_free_slot(cmk_core *core, uint32_t *slot);

typedef struct cmk_vault_spec {
    cmk_bytes name;
    uint32_t retention_days; /* 7 … 90; 0: 90 */
    bool purge_protection;
    uint32_t allow_ops; /* 0: wrap and unwrap */
    cmk_bytes so_pin;
    cmk_bytes user_pin; /* data NULL: principal `user` has no PIN yet */
} cmk_vault_spec;
/* Makes a vault in slot (which must be free; CMK_SLOT_ANY: the free one). CMK_E_NAME, CMK_E_EXISTS (a live vault has
 * the name), CMK_E_LIMIT (256), CMK_E_PIN_*. */
#define CMK_SLOT_ANY UINT32_MAX
CMK_MUST_USE cmk_rc cmk_vault_create(cmk_core *core, const cmk_vault_spec *spec, uint32_t slot, cmk_vault_info *out);
/* C_InitToken over an existing vault: with the right SO PIN the old one is soft-deleted whole (a new slot and serial;
 * one that never held an object is removed at once) and an empty one with spec's name and the same SO PIN takes its
 * slot and serial. CMK_E_PROTECTED with purge protection on and any key in it. CMK_E_PIN_*. */
CMK_MUST_USE cmk_rc cmk_vault_reinit(cmk_vault *vault, cmk_bytes name, cmk_bytes so_pin, cmk_vault_info *out);

/* ---- principals and logins ---- */

typedef enum cmk_role {
    CMK_ROLE_NONE,
    CMK_ROLE_ADMIN,
    CMK_ROLE_OFFICER,
    CMK_ROLE_ENCRYPTION_USER,
    CMK_ROLE_WRAP_ONLY,
    CMK_ROLE_AUDITOR,
    CMK_ROLE_COUNT
} cmk_role;
/* "admin", "officer", "encryption-user", … */
const char *cmk_role_name(cmk_role role);

/* Who is meant: the SO, the default principal `user`, or a named one. */
typedef struct cmk_who {
    enum { CMK_WHO_SO, CMK_WHO_USER, CMK_WHO_NAMED } kind;
    cmk_bytes name; /* of CMK_WHO_NAMED */
} cmk_who;

#define CMK_PIN_MIN 4
#define CMK_PIN_MAX 255
/* Splits a PKCS#11 user PIN "name:secret" at its first colon; a PIN without one means `user`. Views into pin. */
void cmk_pin_split(cmk_bytes pin, cmk_who *who, cmk_bytes *secret);

typedef struct cmk_login cmk_login;
/* Logs in: scrypt, one attempt counted. An unknown principal costs and answers the same as a wrong PIN.
 * CMK_E_PIN_INCORRECT, CMK_E_PIN_LOCKED, CMK_E_PIN_NOT_SET, CMK_E_FORBIDDEN is never told. */
CMK_MUST_USE cmk_rc cmk_login_open(cmk_vault *vault, const cmk_who *who, cmk_bytes pin, cmk_login **out);
/* One more reference. Returns login. */
cmk_login *cmk_login_take(cmk_login *login);
/* Puts back a reference. NULL is fine. */
void cmk_login_put(cmk_login *login);
/* Ends the login for all who hold references: wipes its keys; later uses answer CMK_E_NOT_LOGGED_IN. */
void cmk_login_end(cmk_login *login);
/* Is it still in force (principal not disabled or removed, PIN not reset by the SO)? CMK_E_NOT_LOGGED_IN after a
 * revocation. */
CMK_MUST_USE cmk_rc cmk_login_check(cmk_login *login);
cmk_role cmk_login_role(const cmk_login *login);
/* Name as text; lives as long as the login. */
const char *cmk_login_name(const cmk_login *login);

/* Changes one's own PIN; old is verified as at a login. CMK_E_PIN_INVALID (colon in the SO's or user's),
 * CMK_E_PIN_LENGTH. */
CMK_MUST_USE cmk_rc cmk_pin_change(cmk_vault *vault, const cmk_who *who, cmk_bytes old_pin, cmk_bytes new_pin);
/* The SO sets or resets the PIN of `user` and unlocks it; making the principal if there is none yet. Changes nothing
 * else. */
CMK_MUST_USE cmk_rc cmk_pin_init_user(cmk_login *so, cmk_bytes pin);
typedef struct cmk_pin_status {
    bool set;
    uint32_t failures;
    uint32_t threshold;
} cmk_pin_status;
CMK_MUST_USE cmk_rc cmk_pin_get_status(cmk_vault *vault, const cmk_who *who, cmk_pin_status *out);

/* ---- policy: role × action, the only place that says yes or no (token/policy.c) ---- */

typedef enum cmk_action {
    CMK_ACT_LIST,
    CMK_ACT_WRAP,
    CMK_ACT_UNWRAP,
    CMK_ACT_DECRYPT,
    CMK_ACT_OBJECT_USE,
    CMK_ACT_OBJECT_CREATE,
    CMK_ACT_OBJECT_DESTROY,
    CMK_ACT_KEY_CREATE,
    CMK_ACT_KEY_ROTATE,
    CMK_ACT_KEY_MANAGE,
    CMK_ACT_USER_MANAGE,
    CMK_ACT_VAULT_MANAGE,
    CMK_ACT_COUNT
} cmk_action;
/* May role do action? An unknown role or action: no. */
bool cmk_policy_allows(cmk_role role, cmk_action action);

/* ---- keys and versions ---- */

#define CMK_TAGS_MAX 15
#define CMK_TAG_NAME_MAX 127
#define CMK_TAG_VALUE_MAX 255
#define CMK_VERSIONS_MAX 1000
#define CMK_CKA_ID_MAX 255
typedef struct cmk_tag {
    char name[CMK_TAG_NAME_MAX + 1];
    char value[CMK_TAG_VALUE_MAX + 1];
} cmk_tag;

typedef struct cmk_key_info {
    cmk_id id;
    char name[CMK_KEY_NAME_MAX + 1];
    bool enabled;
    int64_t created, changed, deleted_at, purge_at;          /* 0: not */
    uint32_t current;                                        /* number of the newest version */
    uint32_t versions;                                       /* how many there are */
    uint32_t ops;                                            /* CMK_OP_* */
    uint64_t rotate_every, rotate_before_expiry, expires_in; /* seconds; 0: none */
    size_t tag_count;
    cmk_tag tags[CMK_TAGS_MAX];
} cmk_key_info;

typedef enum cmk_origin { CMK_ORIGIN_GENERATED = 1, CMK_ORIGIN_IMPORTED = 2 } cmk_origin;

typedef struct cmk_version_info {
    cmk_id key_id;
    cmk_id id;
    char key_name[CMK_KEY_NAME_MAX + 1];
    uint32_t number; /* 1, 2, 3 … */
    unsigned bits;
    cmk_origin origin;
    int64_t created;
    int64_t not_before, expires; /* 0: none */
    bool enabled;                /* of the version itself */
    bool key_enabled;            /* of its key */
    bool current;
    bool purge_protected;
    int64_t deleted_at, purge_at;
    uint64_t rotate_every;
    uint32_t ops;
    size_t cka_id_len;
    uint8_t cka_id[CMK_CKA_ID_MAX];
} cmk_version_info;

typedef struct cmk_version cmk_version;

typedef struct cmk_key_spec {
    cmk_bytes name;              /* empty: named by its id in hex */
    unsigned bits;               /* 2048, 3072, 4096 */
    cmk_bytes exponent;          /* empty: 65537 */
    uint32_t ops;                /* 0: wrap and unwrap; only what the vault allows */
    int64_t not_before, expires; /* 0: none */
    cmk_bytes cka_id;            /* empty: the version's id; else unique in the vault: CMK_E_EXISTS */
    const cmk_tag *tags;
    size_t tag_count;
    bool or_new_version; /* true: an existing name gets a new version (C_GenerateKeyPair); false: CMK_E_EXISTS */
} cmk_key_spec;
/* Makes a key, or with or_new_version a further version of one: pair, material, certificate, records, in one
 * transaction. *out may be NULL. Needs an officer. CMK_E_KEY_SIZE, CMK_E_NAME, CMK_E_EXISTS, CMK_E_ACTION_PROHIBITED
 * (the name belongs to a deleted key; too many versions), CMK_E_LIMIT (100,000 keys), CMK_E_KEY_NOT_PERMITTED (ops that
 * the vault does not allow). */
CMK_MUST_USE cmk_rc cmk_key_create(cmk_login *login, const cmk_key_spec *spec, cmk_version **out);
/* Undoes a version that was just made and never used, by its maker (C_GenerateKeyPair could not hand it out;
 * C_DestroyObject in the session that made it). A key without versions goes with it. */
CMK_MUST_USE cmk_rc cmk_key_undo_version(cmk_login *login, cmk_version *version);

/* By name; deleted keys only with deleted_too. CMK_E_NOT_FOUND. */
CMK_MUST_USE cmk_rc cmk_key_find(cmk_vault *vault, cmk_bytes name, bool deleted_too, cmk_key_info *out);
/* Visits the keys by name. CMK_E_TAMPERED when rows are missing. */
CMK_MUST_USE cmk_rc cmk_key_list(cmk_vault *vault, bool deleted, cmk_rc (*visit)(void *ctx, const cmk_key_info *key),
                                 void *ctx);
/* Visits a key's versions, newest first. */
CMK_MUST_USE cmk_rc cmk_key_versions(cmk_vault *vault, const cmk_id *key,
                                     cmk_rc (*visit)(void *ctx, const cmk_version_info *version), void *ctx);

/* The current version of a key by its name; a version by its id, its CKA_ID, or its modulus (big-endian without leading
 * zeros). Of deleted keys: CMK_E_NOT_FOUND. */
typedef enum cmk_version_by { CMK_BY_KEY_NAME, CMK_BY_VERSION_ID, CMK_BY_CKA_ID, CMK_BY_MODULUS } cmk_version_by;
CMK_MUST_USE cmk_rc cmk_version_find(cmk_vault *vault, cmk_version_by by, cmk_bytes value, cmk_version **out);
/* Visits versions of keys that are not deleted: the current ones, or all. The visitor may take a reference with
 * cmk_version_take(). */
CMK_MUST_USE cmk_rc cmk_version_each(cmk_vault *vault, bool all, cmk_rc (*visit)(void *ctx, cmk_version *version),
                                     void *ctx);
cmk_version *cmk_version_take(cmk_version *version);
void cmk_version_put(cmk_version *version);
/* Fresh state. CMK_E_NOT_FOUND when it is gone or its key deleted. */
CMK_MUST_USE cmk_rc cmk_version_get_info(cmk_version *version, cmk_version_info *out);
/* What never changes, valid as long as the version: */
const cmk_id *cmk_version_id(const cmk_version *version);
cmk_bytes cmk_version_modulus(const cmk_version *version);
cmk_bytes cmk_version_exponent(const cmk_version *version);
cmk_bytes cmk_version_public_info(const cmk_version *version); /* DER SubjectPublicKeyInfo */
/* Appends the certificate's DER. */
CMK_MUST_USE cmk_rc cmk_version_certificate(cmk_version *version, cmk_buf *der);

/* ---- using a KEK (token/use.c) ---- */

typedef enum cmk_hash_id {
    CMK_USE_SHA1 = 1,
    CMK_USE_SHA224,
    CMK_USE_SHA256,
    CMK_USE_SHA384,
    CMK_USE_SHA512
} cmk_hash_id; /* = crypto's numbers; token/use.c asserts it */
typedef struct cmk_wrap_mech {
    enum { CMK_WRAP_OAEP, CMK_WRAP_RSA_AES } kind;
    cmk_hash_id hash;
    cmk_hash_id mgf;
    cmk_bytes label;
    unsigned aes_bits; /* of RSA_AES: 128, 192, 256 */
} cmk_wrap_mech;
/* Length of the wrapped key for a plaintext of plain_len bytes. CMK_E_DATA_LENGTH when the mechanism can't hold it.
 * Does no cryptography. */
CMK_MUST_USE cmk_rc cmk_kek_wrapped_size(cmk_version *version, const cmk_wrap_mech *mech, size_t plain_len,
                                         size_t *out);
/* May login (NULL: nobody) wrap, unwrap or decrypt with this version now? For size queries and Init functions.
 * CMK_E_NOT_LOGGED_IN, CMK_E_KEY_NOT_PERMITTED (disabled, not yet or no longer valid, operation not in the key's ops).
 */
CMK_MUST_USE cmk_rc cmk_kek_check(cmk_login *login, cmk_version *version, cmk_action action);
/* Wraps plain under the handle's version; appends to out. */
CMK_MUST_USE cmk_rc cmk_kek_wrap(cmk_login *login, cmk_version *version, const cmk_wrap_mech *mech, cmk_bytes plain,
                                 cmk_buf *out);
/* Unwraps: the handle's version first, then the other enabled versions of its key with that modulus size, newest first.
 * action is CMK_ACT_UNWRAP or CMK_ACT_DECRYPT. Every failure after a private operation is CMK_E_WRAPPED_KEY;
 * CMK_E_WRAPPED_KEY_LENGTH before any. */
CMK_MUST_USE cmk_rc cmk_kek_unwrap(cmk_login *login, cmk_version *version, cmk_action action, const cmk_wrap_mech *mech,
                                   cmk_bytes wrapped, cmk_secret *plain);

/* ---- token objects other than KEKs (token/object.c): opaque attributes and, of secret keys, a value ---- */

#define CMK_OBJECT_VALUE_MAX 65536
typedef struct cmk_object cmk_object;
typedef struct cmk_object_spec {
    bool is_private;      /* attributes are encrypted too; the value always is */
    cmk_bytes label;      /* for look-up */
    cmk_bytes cka_id;     /* for look-up */
    cmk_bytes attributes; /* opaque here */
    cmk_bytes value;      /* secret; may be empty; ≤ CMK_OBJECT_VALUE_MAX */
} cmk_object_spec;
/* Makes a token object. Needs the object key (officer, encryption-user). */
CMK_MUST_USE cmk_rc cmk_object_create(cmk_login *login, const cmk_object_spec *spec, cmk_object **out);
/* Replaces attributes and look-up values (not the value, not is_private) if nobody else has meanwhile (CMK_E_CONFLICT).
 */
CMK_MUST_USE cmk_rc cmk_object_update(cmk_login *login, cmk_object *object, const cmk_object_spec *spec);
CMK_MUST_USE cmk_rc cmk_object_destroy(cmk_login *login, cmk_object *object);
/* Visits the objects that login (NULL: nobody; then only the public ones) may see. by NULL: all; else those with that
 * label, or that id. */
typedef struct cmk_object_by {
    bool label; /* else by CKA_ID */
    cmk_bytes value;
} cmk_object_by;
CMK_MUST_USE cmk_rc cmk_object_each(cmk_vault *vault, cmk_login *login, const cmk_object_by *by,
                                    cmk_rc (*visit)(void *ctx, cmk_object *object), void *ctx);
cmk_object *cmk_object_take(cmk_object *object);
void cmk_object_put(cmk_object *object);
const cmk_id *cmk_object_id(const cmk_object *object);
bool cmk_object_is_private(const cmk_object *object);
/* Appends the fresh attributes. CMK_E_NOT_FOUND when somebody has destroyed it; CMK_E_NOT_LOGGED_IN for a private one
 * without login. */
CMK_MUST_USE cmk_rc cmk_object_attributes(cmk_login *login, cmk_object *object, cmk_buf *out);
/* The secret value, kept in secret memory while the login lasts so that repeated use costs no decryption. */
CMK_MUST_USE cmk_rc cmk_object_value(cmk_login *login, cmk_object *object, cmk_secret *out);

/* ---- data-encryption keys and random (token/dek.c) ---- */

/* n random bytes / additional input for the generator. */
CMK_MUST_USE cmk_rc cmk_token_random(void *out, size_t n);
CMK_MUST_USE cmk_rc cmk_token_seed(const void *seed, size_t n);
/* A fresh secret of n bytes. */
CMK_MUST_USE cmk_rc cmk_dek_generate(size_t n, cmk_secret *out);
/* True if equal, in time that depends on the length only. */
bool cmk_dek_equal(cmk_bytes a, cmk_bytes b);

typedef enum cmk_dek_mode { CMK_DEK_CBC, CMK_DEK_CBC_PAD, CMK_DEK_GCM } cmk_dek_mode;
typedef struct cmk_dek_params {
    cmk_dek_mode mode;
    bool encrypt;
    cmk_bytes iv, aad;
    unsigned tag_bits;
} cmk_dek_params;
typedef struct cmk_dek_op cmk_dek_op;
/* One encryption or decryption with a DEK; same contract as cmk_cipher_* in crypto/crypto.h. */
CMK_MUST_USE cmk_rc cmk_dek_start(const cmk_dek_params *params, cmk_bytes key, cmk_dek_op **out);
size_t cmk_dek_update_size(const cmk_dek_op *op, size_t in_len);
size_t cmk_dek_final_size(const cmk_dek_op *op);
CMK_MUST_USE cmk_rc cmk_dek_update(cmk_dek_op *op, cmk_bytes in, uint8_t *out, size_t *out_len);
CMK_MUST_USE cmk_rc cmk_dek_final(cmk_dek_op *op, uint8_t *out, size_t *out_len);
void cmk_dek_end(cmk_dek_op *op);

/* An ordinary RSA public key's SubjectPublicKeyInfo from modulus and exponent (session objects). CMK_E_FORMAT. */
CMK_MUST_USE cmk_rc cmk_token_public_info(cmk_bytes modulus, cmk_bytes exponent, cmk_buf *der);

#endif
