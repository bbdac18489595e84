/* What vault.c, vault_create.c and vault_reinit.c share: what the store's rows say before they are verified, and a
 * vault that is about to be made. Private to token/. */
#ifndef CMK_TOKEN_VAULT_H
#define CMK_TOKEN_VAULT_H

#include "token/principal.h"
#include "token/view_state.h"

enum { CMK_VAULTS_MAX = 256 };

static inline void cmk_vault_auto_put(cmk_vault **vault)
{
    cmk_vault_put(*vault);
}
#define CMK_VAULT_AUTO __attribute__((cleanup(cmk_vault_auto_put))) cmk_vault

/* A vault as its unverified rows show it: good for finding it, and for showing that something is wrong. */
typedef struct cmk_vault_seen {
    cmk_id id;
    bool row;      /* there is a VAULT row that can be read */
    bool roots;    /* there are ROOT rows */
    uint32_t slot; /* CMK_SLOT_ANY when unknown */
    uint8_t state;
    size_t name_len;
    uint8_t name[CMK_VAULT_NAME_MAX];
} cmk_vault_seen;
typedef struct cmk_vaults_seen {
    cmk_vault_seen *all;
    size_t count, cap;
} cmk_vaults_seen;
/* Looks at the VAULT rows and, with roots, at the ROOT rows of all vaults. */
CMK_MUST_USE cmk_rc cmk_vaults_look(cmk_txn *txn, bool roots, cmk_vaults_seen *out);
void cmk_vaults_seen_free(cmk_vaults_seen *v);
#define CMK_VAULTS_SEEN_AUTO __attribute__((cleanup(cmk_vaults_seen_free))) cmk_vaults_seen
/* The smallest number that none of them has. */
uint32_t cmk_vaults_free_slot(const cmk_vaults_seen *v);

/* A vault that is about to be made: all that takes time is done before the transaction. */
typedef struct cmk_vault_draft {
    cmk_id id;
    cmk_vault_rec rec; /* name and serial are views of others' memory */
    char serial[CMK_SERIAL_SIZE + 1];
    struct cmk_vault_secrets *secrets; /* secret memory */
    cmk_principal_draft so, user;
    bool with_user;
} cmk_vault_draft;
CMK_MUST_USE cmk_rc cmk_vault_draft_make(const cmk_vault_spec *spec, cmk_vault_draft *out);
void cmk_vault_draft_clear(cmk_vault_draft *d);
#define CMK_VAULT_DRAFT_AUTO __attribute__((cleanup(cmk_vault_draft_clear))) cmk_vault_draft
/* Writes it; vault is the process's object for draft's id. The view is for cmk_view_settle() after the commit, or
 * cmk_view_close(). */
CMK_MUST_USE cmk_rc cmk_vault_draft_write(cmk_vault *vault, cmk_txn *txn, const cmk_vault_draft *d, uint32_t slot,
                                          cmk_view **out);
/* Puts a VAULT record; live vaults have their name in the store's index. */
CMK_MUST_USE cmk_rc cmk_vault_rec_put(cmk_view *view, const cmk_vault_rec *rec, uint64_t expected);
/* 16 random hex digits. */
CMK_MUST_USE cmk_rc cmk_serial_new(char out[CMK_SERIAL_SIZE + 1]);

#endif
