/* The bytes of token objects (docs/decisions/0001, Objects): sealing, opening, the author's signature, look-up values.
 * Private to token/. */
#ifndef CMK_TOKEN_OBJECT_SEAL_H
#define CMK_TOKEN_OBJECT_SEAL_H

#include "token/prepared.h"

/* Seals contents into rec->blob's place and, for public ones, signs; appends the record's body to out. rec comes with
 * everything but blob and signature; of private objects the attributes are given in contents. */
typedef struct cmk_object_contents {
    cmk_bytes attributes;
    cmk_bytes value;
} cmk_object_contents;
CMK_MUST_USE cmk_rc cmk_object_seal(const cmk_writer *w, const uint8_t log_public[CMK_CURVE_KEY_SIZE],
                                    const cmk_record_key *rk, uint64_t revision, cmk_object_rec *rec,
                                    const cmk_object_contents *contents, cmk_buf *out);
/* Opens the blob with the login's object key of the record's generation. CMK_E_FORBIDDEN when it has none. */
CMK_MUST_USE cmk_rc cmk_object_open(cmk_login *login, const cmk_record_key *rk, uint64_t revision,
                                    const cmk_object_rec *rec, cmk_opened **out);
/* Verifies a public object by its author's signature, with the PRINCIPAL record that view verifies. CMK_E_NOT_FOUND
 * when the author's key was replaced since (a PIN reset): only the object tree can vouch for it then. */
CMK_MUST_USE cmk_rc cmk_object_check_author(cmk_view *view, const cmk_record_key *rk, uint64_t revision,
                                            const cmk_object_rec *rec);
/* The value of an entry of the store's index: keyed for private objects, so that names do not leak. */
CMK_MUST_USE cmk_rc cmk_object_index_public(const cmk_id *vault, cmk_index number, cmk_bytes value,
                                            uint8_t out[CMK_SHA256_SIZE]);
CMK_MUST_USE cmk_rc cmk_object_index_private(const uint8_t key[CMK_KEY_SIZE], cmk_index number, cmk_bytes value,
                                             uint8_t out[CMK_SHA256_SIZE]);

#endif
