/* Principals as records: finding them, and making or resetting one with fresh keys. Private to token/. */
#ifndef CMK_TOKEN_PRINCIPAL_H
#define CMK_TOKEN_PRINCIPAL_H

#include "token/internal.h"

#define CMK_NAME_SO "so"
#define CMK_NAME_USER "user"

/* The name of the principal that is meant. CMK_E_NOT_FOUND where nobody can be: "so" as a named principal, since
 * PKCS#11 reaches the SO otherwise. */
CMK_MUST_USE cmk_rc cmk_who_name(const cmk_who *who, cmk_bytes *name);

/* A principal's rows as one view read them; rec and credential view into the rows. */
typedef struct cmk_principal {
    cmk_id id;
    cmk_record row, sealed, credential_row;
    cmk_principal_rec rec;
    cmk_credential_rec credential;
} cmk_principal;
void cmk_principal_clear(cmk_principal *p);
#define CMK_PRINCIPAL_AUTO __attribute__((cleanup(cmk_principal_clear))) cmk_principal
/* CMK_E_NOT_FOUND: there is none of that name. A missing credential row is CMK_E_TAMPERED, since a principal is made
 * together with one. With to_reset the credential only needs to be read, not to be good: a new PIN is the way out when
 * its row was spoiled. */
CMK_MUST_USE cmk_rc cmk_principal_read(cmk_view *view, cmk_bytes name, bool to_reset, cmk_principal *out);

/* What is prepared before the transaction: fresh pairs and the credential that holds them. */
typedef struct cmk_principal_draft {
    cmk_id id;
    cmk_opened_credential *content; /* secret memory */
    uint8_t x25519_public[CMK_CURVE_KEY_SIZE];
    uint8_t log_public[CMK_CURVE_KEY_SIZE];
    uint64_t revision; /* of the credential */
    cmk_buf credential;
} cmk_principal_draft;
/* Takes the time of one scrypt. */
CMK_MUST_USE cmk_rc cmk_principal_draft_make(const cmk_id *vault, const cmk_id *id, uint64_t revision, cmk_bytes pin,
                                             uint32_t admin_generation, const uint8_t admin_public[CMK_CURVE_KEY_SIZE],
                                             cmk_principal_draft *out);
void cmk_principal_draft_clear(cmk_principal_draft *d);
#define CMK_DRAFT_AUTO __attribute__((cleanup(cmk_principal_draft_clear))) cmk_principal_draft

/* Writes a principal with the draft's keys: PRINCIPAL, SEALED with those of keys[n] that its role gets, CREDENTIAL and
 * name. old NULL: a new one. */
CMK_MUST_USE cmk_rc cmk_principal_write(cmk_view *view, cmk_bytes name, cmk_role role, const cmk_principal_draft *draft,
                                        const cmk_principal *old, const cmk_gen_key *keys, size_t n, const cmk_id *by);

/* A principal whose PIN was right, with what it opened. */
typedef struct cmk_authenticated {
    cmk_principal principal;
    cmk_opened_credential *opened; /* secret memory */
    cmk_unlocked *unlocked;
    uint64_t admin_change; /* at which the records were verified */
    uint8_t admin_public[CMK_CURVE_KEY_SIZE];
    uint64_t ticket; /* of the attempt, which the caller settles when the result is CMK_OK */
} cmk_authenticated;
/* The order of docs/decisions/0001: attempt, records, scrypt, anchor, keys. Every failure has settled the attempt. */
CMK_MUST_USE cmk_rc cmk_authenticate(cmk_vault *vault, const cmk_who *who, cmk_bytes pin, cmk_authenticated *out);
void cmk_authenticated_clear(cmk_authenticated *a);
#define CMK_AUTHENTICATED_AUTO __attribute__((cleanup(cmk_authenticated_clear))) cmk_authenticated

#endif
