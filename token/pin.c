/* PINs: rules, change, reset.
 *
 * A PIN is 4 … 255 bytes. Any byte but zero may be in it: PKCS#11 means UTF-8, but applications hand over what their
 * users' terminals give, and a PIN that was once accepted must go on being so. It is compared as it is, without
 * normalisation. */
#include <string.h>

#include "token/principal.h"
#include "util/log.h"

enum { PIN_SHORT = 12 };
#define REVISION_ABSURD ((uint64_t)1 << 62)

cmk_rc cmk_pin_check(cmk_bytes pin, bool plain)
{
    if (pin.len < CMK_PIN_MIN || pin.len > CMK_PIN_MAX)
        return cmk_fail(CMK_E_PIN_LENGTH, "a PIN has %d to %d bytes", CMK_PIN_MIN, CMK_PIN_MAX);
    if (memchr(pin.data, 0, pin.len))
        return cmk_fail(CMK_E_PIN_INVALID, "a PIN can't contain a zero byte");
    if (plain && memchr(pin.data, ':', pin.len))
        return cmk_fail(CMK_E_PIN_INVALID,
                        "the PINs of SO and user can't contain a colon, which ends a principal's name");
    if (pin.len < PIN_SHORT)
        cmk_log(CMK_LOG_WARN, "the new PIN has less than %d bytes: who copies the store can try PINs at leisure",
                PIN_SHORT);
    return CMK_OK;
}

void cmk_pin_split(cmk_bytes pin, cmk_who *who, cmk_bytes *secret)
{
    const uint8_t *colon = pin.len > 0 && pin.len <= CMK_PIN_MAX ? memchr(pin.data, ':', pin.len) : NULL;
    *who = (cmk_who){.kind = CMK_WHO_USER};
    *secret = pin;
    if (!colon)
        return;
    size_t name_len = (size_t)(colon - pin.data);
    who->kind = CMK_WHO_NAMED;
    who->name = cmk_bytes_of(pin.data, name_len);
    *secret = cmk_bytes_of(colon + 1, pin.len - name_len - 1);
}

static cmk_rc check_new_pin(const cmk_who *who, cmk_bytes pin)
{
    bool plain = who->kind != CMK_WHO_NAMED || cmk_bytes_equal(who->name, cmk_bytes_str(CMK_NAME_USER));
    cmk_rc rc = cmk_pin_check(pin, plain);
    if (rc == CMK_OK && who->kind == CMK_WHO_NAMED && who->name.len + 1 + pin.len > CMK_PIN_MAX)
        rc = cmk_fail(CMK_E_PIN_LENGTH, "name, colon and PIN together have at most %d bytes", CMK_PIN_MAX);
    return rc;
}

/* After CMK_E_IO from a commit only reading tells whether it took place. */
static bool arrived(cmk_vault *vault, const cmk_record_key *credential, cmk_bytes body)
{
    CMK_TXN_AUTO *txn = NULL;
    CMK_RECORD_AUTO row = {0};
    cmk_rc rc = cmk_txn_begin(vault->core->store, CMK_TXN_READ, &txn);
    if (rc == CMK_OK)
        rc = cmk_txn_get(txn, credential, &row);
    return rc == CMK_OK && cmk_bytes_equal(cmk_buf_view(&row.body), body);
}

/* Writes the credential over the one that was opened; somebody else's change since is a conflict. */
static cmk_rc replace_credential(cmk_vault *vault, const cmk_authenticated *a, cmk_bytes body)
{
    CMK_VIEW_AUTO *view = NULL;
    CMK_RECORD_AUTO row = {0};
    const cmk_record_key principal = cmk_rkey_id(&vault->id, CMK_KIND_PRINCIPAL, &a->principal.id);
    const cmk_record_key credential = cmk_rkey_id(&vault->id, CMK_KIND_CREDENTIAL, &a->principal.id);
    cmk_rc rc = cmk_view_open(vault, CMK_TXN_WRITE, NULL, &view);
    if (rc == CMK_OK)
        rc = cmk_view_get(view, &principal, &row);
    if (rc == CMK_OK && row.revision != a->principal.row.revision)
        rc = CMK_E_CONFLICT;
    if (rc == CMK_OK)
        rc = cmk_view_put_body(view, &credential, body, a->principal.credential_row.revision);
    if (rc == CMK_E_CONFLICT || rc == CMK_E_NOT_FOUND)
        return cmk_fail(CMK_E_CONFLICT, "the PIN was changed by somebody else at the same time");
    if (rc == CMK_OK)
        rc = cmk_view_commit(&view);
    return rc == CMK_E_IO && !view && arrived(vault, &credential, body) ? CMK_OK : rc;
}

cmk_rc cmk_pin_change(cmk_vault *vault, const cmk_who *who, cmk_bytes old_pin, cmk_bytes new_pin)
{
    CMK_AUTHENTICATED_AUTO a = {0};
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    cmk_rc rc = check_new_pin(who, new_pin);
    if (rc == CMK_OK)
        rc = cmk_authenticate(vault, who, old_pin, &a);
    if (rc != CMK_OK)
        return rc;
    const cmk_principal *p = &a.principal;
    uint64_t revision = p->credential_row.revision;
    rc = cmk_credential_make(&vault->id, &p->id, revision + 1, new_pin, a.opened, p->rec.x25519_public,
                             p->rec.log_public, &body);
    if (rc == CMK_OK)
        rc = replace_credential(vault, &a, cmk_buf_view(&body));
    /* The old PIN was right in any case. The new revision is remembered only once it is there: a crash between the two
     * must not lock its owner out. */
    cmk_rc settled = cmk_attempt_settle(vault->core->store, &vault->id, &p->id, a.ticket, CMK_ATTEMPT_SUCCEEDED,
                                        rc == CMK_OK ? revision + 1 : revision);
    if (rc == CMK_OK && settled != CMK_OK)
        cmk_log(CMK_LOG_WARN, "the PIN was changed, but its revision was not noted: %s", cmk_rc_text(settled));
    return rc;
}

/* ---- the SO sets the user's PIN ---- */

/* Neither is signed: one that no honest owner has come to must not use up the numbers. */
static void higher(uint64_t *revision, uint64_t unsigned_one)
{
    if (unsigned_one > *revision && unsigned_one < REVISION_ABSURD)
        *revision = unsigned_one;
}

/* The state before the reset, and the revision that no credential has had yet. */
static cmk_rc read_user(cmk_vault *vault, cmk_principal *user, bool *exists, uint64_t *revision)
{
    CMK_VIEW_AUTO *view = NULL;
    cmk_attempts attempts = {0};
    cmk_rc rc = cmk_view_open(vault, CMK_TXN_READ, NULL, &view);
    if (rc == CMK_OK)
        rc = cmk_principal_read(view, cmk_bytes_str(CMK_NAME_USER), true, user);
    *exists = rc != CMK_E_NOT_FOUND;
    *revision = 1;
    if (!*exists)
        return cmk_id_new(&user->id);
    if (rc != CMK_OK)
        return rc;
    cmk_view_close(&view);
    rc = cmk_attempts_read(vault->core->store, &vault->id, &user->id, &attempts);
    if (rc != CMK_OK)
        return rc;
    *revision = user->rec.min_credential;
    higher(revision, user->credential_row.revision);
    higher(revision, attempts.credential_revision);
    ++*revision;
    return CMK_OK;
}

static cmk_rc write_user(cmk_login *so, const cmk_principal_draft *draft, const cmk_principal *old)
{
    CMK_VIEW_AUTO *view = NULL;
    cmk_signers signers;
    cmk_rwlock_read(&so->lock);
    cmk_rc rc = so->unlocked ? CMK_OK : cmk_fail(CMK_E_NOT_LOGGED_IN, "the SO is logged out");
    if (rc == CMK_OK) {
        cmk_login_signers(so, &signers);
        rc = cmk_view_open(so->vault, CMK_TXN_WRITE, &signers, &view);
    }
    if (rc == CMK_OK)
        rc = cmk_login_check_in(so, view);
    if (rc == CMK_OK)
        rc = cmk_principal_write(view, cmk_bytes_str(CMK_NAME_USER), CMK_ROLE_OFFICER, draft, old, so->unlocked->keys,
                                 so->unlocked->count, &so->principal);
    if (rc == CMK_OK)
        rc = cmk_view_commit(&view);
    cmk_view_close(&view);
    cmk_rwlock_unlock(&so->lock);
    if (rc == CMK_E_CONFLICT || rc == CMK_E_EXISTS)
        rc = cmk_fail(CMK_E_CONFLICT, "the user's PIN was changed by somebody else at the same time");
    return rc;
}

cmk_rc cmk_pin_init_user(cmk_login *so, cmk_bytes pin)
{
    CMK_PRINCIPAL_AUTO user = {0};
    CMK_DRAFT_AUTO draft = {0};
    bool exists = false;
    uint64_t revision = 0;
    uint8_t admin_public[CMK_CURVE_KEY_SIZE];
    cmk_rc rc = cmk_pin_check(pin, true);
    if (rc == CMK_OK)
        rc = cmk_login_check(so);
    if (rc == CMK_OK && !cmk_policy_allows(so->role, CMK_ACT_USER_MANAGE))
        rc = cmk_fail(CMK_E_FORBIDDEN, "only the SO sets the user's PIN");
    if (rc == CMK_OK)
        rc = read_user(so->vault, &user, &exists, &revision);
    if (rc != CMK_OK)
        return rc;
    if (exists && user.rec.limited)
        return cmk_fail(CMK_E_ACTION_PROHIBITED,
                        "the user is limited to named keys: give them anew (cmk11 user grant)");
    cmk_rwlock_read(&so->vault->lock);
    memcpy(admin_public, so->vault->anchor, sizeof(admin_public)); /* set by the SO's own login */
    cmk_rwlock_unlock(&so->vault->lock);
    rc = cmk_principal_draft_make(&so->vault->id, &user.id, revision, pin, 1, admin_public, &draft);
    if (rc == CMK_OK)
        rc = write_user(so, &draft, exists ? &user : NULL);
    if (rc == CMK_OK)
        rc = cmk_attempts_reset(so->vault->core->store, &so->vault->id, &user.id, revision);
    return rc;
}

cmk_rc cmk_pin_get_status(cmk_vault *vault, const cmk_who *who, cmk_pin_status *out)
{
    CMK_VIEW_AUTO *view = NULL;
    cmk_attempts attempts = {0};
    cmk_id id;
    uint8_t found[CMK_RECORD_ID_MAX];
    size_t len = 0;
    cmk_bytes name;
    *out = (cmk_pin_status){0};
    cmk_rc rc = cmk_who_name(who, &name);
    if (rc != CMK_OK)
        return CMK_OK; /* nobody has that name, so nothing is set */
    rc = cmk_view_open(vault, CMK_TXN_READ, NULL, &view);
    if (rc != CMK_OK)
        return rc;
    out->threshold = cmk_view_vault(view)->pin_attempts;
    rc = cmk_view_lookup(view, CMK_INDEX_PRINCIPAL_NAME, name, found, &len);
    cmk_view_close(&view);
    if (rc == CMK_E_NOT_FOUND)
        return CMK_OK;
    if (rc == CMK_OK && len != CMK_ID_SIZE)
        rc = cmk_fail(CMK_E_TAMPERED, "a principal's name that leads to no id");
    if (rc != CMK_OK)
        return rc;
    memcpy(id.b, found, CMK_ID_SIZE);
    rc = cmk_attempts_read(vault->core->store, &vault->id, &id, &attempts);
    out->set = rc == CMK_OK;
    out->failures = attempts.failures;
    return rc;
}
