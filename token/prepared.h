/* What a login's keys open, and keep open while it lasts: prepared private keys, contents of private objects, the
 * secrets a writer signs with. Private to token/. */
#ifndef CMK_TOKEN_PREPARED_H
#define CMK_TOKEN_PREPARED_H

#include "token/version.h"

/* A private key ready for use; freed with the last reference. */
typedef struct cmk_prepared {
    cmk_ref ref;
    cmk_rsa_private *key;
} cmk_prepared;

/* The prepared private key of a version: the one kept with the login, or loaded now and kept (*loaded). Put back with
 * cmk_ref_put(&p->ref). CMK_E_FORBIDDEN when the login has no key for it. */
CMK_MUST_USE cmk_rc cmk_prepared_get(cmk_login *login, cmk_version *v, cmk_prepared **out, bool *loaded);
/* Forgets a version's. */
void cmk_prepared_drop(cmk_login *login, const cmk_version *v);

/* The contents of a token object, in secret memory. */
typedef struct cmk_opened {
    cmk_ref ref;
    cmk_secret attributes; /* of private objects */
    cmk_secret value;
} cmk_opened;
/* Those kept with the login for revision, with a reference, or NULL. */
cmk_opened *cmk_opened_get(cmk_login *login, const cmk_id *object, uint64_t revision);
/* Keeps them, unless the login has ended. */
void cmk_opened_keep(cmk_login *login, const cmk_id *object, uint64_t revision, cmk_opened *opened);
void cmk_opened_drop(cmk_login *login, const cmk_id *object);
cmk_opened *cmk_opened_new(void);

/* A copy, in secret memory, of what a login signs with: login->lock can't be held while a view is open. */
typedef struct cmk_writer {
    cmk_signers signers; /* points into this */
    bool has_object;     /* the three object keys are there */
    uint32_t object_generation;
    uint8_t admin[CMK_CURVE_KEY_SIZE], officer[CMK_CURVE_KEY_SIZE], log[CMK_CURVE_KEY_SIZE];
    uint8_t object_mac[CMK_KEY_SIZE], object_enc[CMK_KEY_SIZE], object_index[CMK_KEY_SIZE];
} cmk_writer;
/* CMK_E_NOT_LOGGED_IN once the login has ended. */
CMK_MUST_USE cmk_rc cmk_writer_open(cmk_login *login, cmk_writer **out);
void cmk_writer_close(cmk_writer **w);
#define CMK_WRITER_AUTO __attribute__((cleanup(cmk_writer_close))) cmk_writer

/* Opens a KEYKEY record into out (secret memory): with the login's own copy of the key key, or its vault key. */
CMK_MUST_USE cmk_rc cmk_keykey_open(cmk_login *login, const cmk_id *key, uint32_t generation, const cmk_record *row,
                                    uint8_t out[CMK_KEY_SIZE]);
/* Makes a KEYKEY record's body under the login's vault key of that generation. */
CMK_MUST_USE cmk_rc cmk_keykey_seal(cmk_login *login, const cmk_record_key *rk, uint32_t vault_key_generation,
                                    const uint8_t keykey[CMK_KEY_SIZE], cmk_buf *body);
/* Makes a MATERIAL record's body. */
CMK_MUST_USE cmk_rc cmk_material_seal(const cmk_record_key *rk, const cmk_id *version, uint32_t keykey_generation,
                                      const uint8_t keykey[CMK_KEY_SIZE], cmk_bytes pkcs8, cmk_buf *body);

enum { CMK_FORMAT_KEYKEY = 1, CMK_FORMAT_MATERIAL = 1, CMK_FORMAT_CERTIFICATE = 1 };

/* Appends label ‖ vault id ‖ kind ‖ str(id) ‖ named: how the associated data of every blob in a record begins. */
void cmk_blob_aad(cmk_buf *aad, const char *label, const cmk_record_key *rk, cmk_bytes named);

#endif
