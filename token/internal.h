/* What token/'s files know of each other: the open store, the verified state of a vault, what a login holds. Private to
 * token/. */
#ifndef CMK_TOKEN_INTERNAL_H
#define CMK_TOKEN_INTERNAL_H

#include <stdatomic.h>

#include "token/records.h"
#include "token/view.h"
#include "util/handle.h"
#include "util/lock.h"

struct cmk_core {
    cmk_store *store;
    cmk_config *config; /* a copy of what token/ reads: pins of vault keys */
    cmk_mutex lock;     /* rank CORE: the list of vaults */
    cmk_vault *vaults;  /* every vault that this process has looked at; kept until close, so that caches stay warm */
    cmk_core *before;   /* of a core that a forked child has abandoned: the one abandoned before it */
};

/* Takes over store (a unit test's memory store, say). */
CMK_MUST_USE cmk_rc cmk_core_open_store(cmk_store *store, const cmk_config *config, cmk_core **out);

/* A root as last verified. body is kept to be compared. */
typedef struct cmk_root_state {
    bool verified;
    uint64_t generation; /* the store's, at which this was its root */
    uint64_t change;
    uint8_t hash[CMK_SHA256_SIZE]; /* of the body: "previous root" of the next */
    cmk_buf body;
} cmk_root_state;

typedef struct cmk_node_cache cmk_node_cache;       /* verified nodes and buckets: view.c / tree.c */
typedef struct cmk_version_cache cmk_version_cache; /* versions by id and by name: version.c */
typedef struct cmk_object_cache cmk_object_cache;   /* token objects: object.c */

struct cmk_vault {
    cmk_ref ref;
    cmk_vault *next;
    cmk_core *core;
    cmk_id id;
    cmk_rwlock lock;                         /* rank VAULT: everything below until the caches */
    _Atomic uint64_t generation;             /* the store's when the roots were last looked at; 0: never */
    _Atomic uint64_t change[CMK_TREE_COUNT]; /* verified change numbers, for quick checks without the lock */
    cmk_root_state roots[CMK_TREE_COUNT];
    cmk_record vault_row; /* verified VAULT record */
    cmk_vault_rec rec;    /* views into vault_row */
    bool anchored;        /* a login's trust anchor (or a configured fingerprint) has confirmed the admin key */
    uint8_t anchor[CMK_CURVE_KEY_SIZE];
    uint8_t *object_mac;         /* secret memory, while a login that has the object key is open; NULL otherwise */
    unsigned object_mac_users;   /* logins that lend object_mac */
    cmk_node_cache *nodes;       /* own lock, rank LEAF: used inside transactions */
    cmk_version_cache *versions; /* own lock, rank CACHE */
    cmk_object_cache *objects;   /* own lock, rank CACHE */
};

/* Gives the process's cmk_vault for id, made if need be, with a reference. */
CMK_MUST_USE cmk_rc cmk_vault_by_id(cmk_core *core, const cmk_id *id, cmk_vault **out);
/* Brings the verified state up to date when the store has changed; a comparison of two numbers when not.
 * CMK_E_NOT_FOUND when the vault is gone or deleted. */
CMK_MUST_USE cmk_rc cmk_vault_refresh(cmk_vault *vault);
/* From now on this process takes no other admin key for this vault. */
void cmk_vault_set_anchor(cmk_vault *vault, const uint8_t admin_public[CMK_CURVE_KEY_SIZE]);
/* Made and freed with the vault, by the file that owns the type. */
cmk_node_cache *cmk_node_cache_new(void);
void cmk_node_cache_free(cmk_node_cache *c);
cmk_version_cache *cmk_version_cache_new(void);
void cmk_version_cache_free(cmk_version_cache *c);
cmk_object_cache *cmk_object_cache_new(void);
void cmk_object_cache_free(cmk_object_cache *c);

/* A key with its generation, in secret memory. */
typedef struct cmk_gen_key {
    uint8_t what; /* CMK_SEAL_* */
    cmk_id id;    /* key id for a key key, else zero */
    uint32_t generation;
    uint8_t key[CMK_KEY_SIZE];
} cmk_gen_key;
enum { CMK_SEAL_VAULT_KEY = 1, CMK_SEAL_OBJECT_KEY, CMK_SEAL_OFFICER_KEY, CMK_SEAL_ADMIN_KEY, CMK_SEAL_KEY_KEY };

/* All that a login's PIN opened; one block of secret memory. */
typedef struct cmk_unlocked {
    uint8_t x25519[CMK_CURVE_KEY_SIZE];
    uint8_t log[CMK_CURVE_KEY_SIZE];
    uint8_t object_mac[CMK_KEY_SIZE]; /* derived from the newest object key, if any */
    uint8_t object_enc[CMK_KEY_SIZE];
    uint8_t object_index[CMK_KEY_SIZE];
    size_t count;
    cmk_gen_key keys[];
} cmk_unlocked;

typedef struct cmk_prepared_cache
    cmk_prepared_cache; /* prepared private keys by version id: use.c; own lock, rank CACHE */

struct cmk_login {
    cmk_ref ref;
    cmk_vault *vault;
    cmk_id principal;
    cmk_role role;
    char name[CMK_PRINCIPAL_NAME_MAX + 1];
    uint64_t credential_revision; /* of the credential that the PIN opened */
    int64_t expires;              /* of the principal; 0: never */
    uint8_t x25519_public[CMK_CURVE_KEY_SIZE];
    _Atomic uint64_t admin_change; /* the admin tree's change number at which this login was last found in force */
    atomic_bool ended;
    cmk_rwlock lock;        /* rank LOGIN: readers use unlocked, cmk_login_end() takes it away. Not held while
                               cmk_login_check() or cmk_login_end() is called. */
    cmk_unlocked *unlocked; /* NULL once ended */
    cmk_prepared_cache *prepared;
};
cmk_prepared_cache *cmk_prepared_cache_new(void);
void cmk_prepared_cache_clear(cmk_prepared_cache *c); /* frees every prepared key */
void cmk_prepared_cache_free(cmk_prepared_cache *c);

/* Finds a key by what, id (NULL: any) and generation (0: the newest). Call with login->lock held for reading; the
 * result is valid as long. NULL when the login has none. */
const uint8_t *cmk_login_key(const cmk_login *login, uint8_t what, const cmk_id *id, uint32_t generation,
                             uint32_t *generation_out);
/* Is the login still in force in what view sees? A writer asks this in its transaction: to get there may have taken a
 * while. CMK_E_NOT_LOGGED_IN. */
CMK_MUST_USE cmk_rc cmk_login_check_in(cmk_login *login, cmk_view *view);
/* What login signs with, for cmk_view_open(); valid while login->lock is held for reading. */
void cmk_login_signers(const cmk_login *login, cmk_signers *out);

/* Derives MAC, encryption and index keys from an object key (docs/decisions/0001). */
CMK_MUST_USE cmk_rc cmk_object_keys(const uint8_t object_key[CMK_KEY_SIZE], uint8_t mac[CMK_KEY_SIZE],
                                    uint8_t enc[CMK_KEY_SIZE], uint8_t index[CMK_KEY_SIZE]);

/* Sealing (seal.c): a list of keys to a principal, and back. */
CMK_MUST_USE cmk_rc cmk_seal_keys(const cmk_id *vault, const cmk_id *principal,
                                  const uint8_t x25519_public[CMK_CURVE_KEY_SIZE], uint64_t revision,
                                  const cmk_gen_key *keys, size_t n, cmk_buf *body);
CMK_MUST_USE cmk_rc cmk_unseal_keys(const cmk_id *vault, const cmk_id *principal,
                                    const uint8_t x25519[CMK_CURVE_KEY_SIZE],
                                    const uint8_t x25519_public[CMK_CURVE_KEY_SIZE], uint64_t revision, cmk_bytes body,
                                    cmk_unlocked **out);

/* Credentials (credential.c). */
typedef struct cmk_opened_credential {
    uint8_t x25519[CMK_CURVE_KEY_SIZE];
    uint8_t log[CMK_CURVE_KEY_SIZE];
    uint32_t admin_generation;
    uint8_t admin_public[CMK_CURVE_KEY_SIZE];
} cmk_opened_credential; /* lives in secret memory */
CMK_MUST_USE cmk_rc cmk_credential_make(const cmk_id *vault, const cmk_id *principal, uint64_t revision, cmk_bytes pin,
                                        const cmk_opened_credential *content,
                                        const uint8_t x25519_public[CMK_CURVE_KEY_SIZE],
                                        const uint8_t log_public[CMK_CURVE_KEY_SIZE], cmk_buf *body);
/* CMK_E_PIN_INCORRECT when it does not open; CMK_E_TAMPERED for costs out of bounds or another vault's anchor. */
CMK_MUST_USE cmk_rc cmk_credential_open(const cmk_id *vault, const cmk_id *principal, uint64_t revision, cmk_bytes pin,
                                        const cmk_credential_rec *rec, cmk_opened_credential *out);

/* PIN rules: 4 … 255 bytes; no colon where plain. CMK_E_PIN_LENGTH, CMK_E_PIN_INVALID. Warns in the log below 12. */
CMK_MUST_USE cmk_rc cmk_pin_check(cmk_bytes pin, bool plain);

#endif
