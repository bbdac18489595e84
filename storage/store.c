/* The front of every backend: checks arguments and limits once, finds the backend by the URL's scheme, and dispatches.
 */
#include "storage/store.h"

#include <stdlib.h>
#include <string.h>

#include "storage/backend.h"

typedef struct scheme {
    const char *prefix;
    cmk_rc (*open)(const char *directory, const cmk_store_options *options, cmk_store **out);
} scheme;

static const scheme schemes[] = {
    {"sqlite:", cmk_store_sqlite_open},
};

/* Length of "scheme:" at the start of url, 0 when it is a bare directory. */
static size_t scheme_length(const char *url)
{
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+-.");
    return n > 0 && url[n] == ':' ? n + 1 : 0;
}

cmk_rc cmk_store_open(const char *url, const cmk_store_options *options, cmk_store **out)
{
    if (!url || !options || !out)
        return cmk_fail(CMK_E_ARGUMENT, "opening a store needs a URL and options");
    *out = NULL;
    size_t n = scheme_length(url);
    if (url[n] == '\0')
        return cmk_fail(CMK_E_CONFIG, "store \"%s\": no directory; write sqlite:DIRECTORY", url);
    if (n == 0 && url[0] != '/')
        return cmk_fail(CMK_E_CONFIG,
                        "store \"%s\": a bare directory must be absolute; write sqlite:DIRECTORY otherwise", url);
    if (n == 0)
        return cmk_store_sqlite_open(url, options, out);
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i].prefix) == n && memcmp(url, schemes[i].prefix, n) == 0)
            return schemes[i].open(url + n, options, out);
    return cmk_fail(CMK_E_CONFIG, "store \"%s\": unknown kind of store; this build knows sqlite:DIRECTORY", url);
}

void cmk_store_close(cmk_store *s)
{
    if (s)
        s->ops->close(s);
}

void cmk_store_abandon(cmk_store *s)
{
    if (s)
        s->ops->abandon(s);
}

const char *cmk_store_directory(const cmk_store *s)
{
    return s && s->directory ? s->directory : "";
}

cmk_rc cmk_store_set_group(cmk_store *s, gid_t gid)
{
    if (!s)
        return cmk_fail(CMK_E_ARGUMENT, "no store given");
    if (!s->ops->set_group)
        return cmk_fail(CMK_E_UNSUPPORTED, "a %s store has no files that a group could share", s->ops->scheme);
    return s->ops->set_group(s, gid);
}

cmk_rc cmk_store_generation(cmk_store *s, uint64_t *generation)
{
    if (!s || !generation)
        return cmk_fail(CMK_E_ARGUMENT, "no store given");
    return s->ops->generation(s, generation);
}

cmk_rc cmk_txn_begin(cmk_store *s, cmk_txn_mode mode, cmk_txn **out)
{
    if (!s || !out || (mode != CMK_TXN_READ && mode != CMK_TXN_WRITE))
        return cmk_fail(CMK_E_ARGUMENT, "a transaction needs a store and a mode");
    *out = NULL;
    return s->ops->begin(s, mode, out);
}

cmk_rc cmk_txn_commit(cmk_txn **txn)
{
    if (!txn || !*txn)
        return cmk_fail(CMK_E_ARGUMENT, "no transaction to commit");
    cmk_txn *t = *txn;
    *txn = NULL;
    return t->store->ops->commit(t);
}

void cmk_txn_rollback(cmk_txn **txn)
{
    if (!txn || !*txn)
        return;
    cmk_txn *t = *txn;
    *txn = NULL;
    t->store->ops->rollback(t);
}

void cmk_record_clear(cmk_record *r)
{
    if (!r)
        return;
    cmk_buf_free(&r->body);
    memset(r, 0, sizeof *r);
}

static cmk_rc check_key(const cmk_txn *t, const cmk_record_key *key)
{
    if (!t || !key)
        return cmk_fail(CMK_E_ARGUMENT, "no transaction or no record key given");
    if (key->kind == 0)
        return cmk_fail(CMK_E_ARGUMENT, "record kind 0 does not exist");
    if (key->id_len > CMK_RECORD_ID_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "record id of %u bytes; at most %d are possible", key->id_len,
                        CMK_RECORD_ID_MAX);
    return CMK_OK;
}

static cmk_rc check_write(const cmk_txn *t, uint64_t expected)
{
    if (t->mode != CMK_TXN_WRITE)
        return cmk_fail(CMK_E_ARGUMENT, "a read transaction can't write");
    if (expected > INT64_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "expected revision out of range");
    return CMK_OK;
}

static cmk_rc check_record(const cmk_record *r, uint64_t expected)
{
    if (r->revision == 0 || r->revision > INT64_MAX || r->revision <= expected)
        return cmk_fail(CMK_E_ARGUMENT, "new revision %llu is not greater than the expected %llu",
                        (unsigned long long)r->revision, (unsigned long long)expected);
    if (r->body.failed || r->body.len > CMK_RECORD_BODY_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "record body of %zu bytes; at most %zu are possible", r->body.len,
                        CMK_RECORD_BODY_MAX);
    if (r->index_count > CMK_INDEX_ENTRIES_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "%zu index entries; at most %d are possible", r->index_count,
                        CMK_INDEX_ENTRIES_MAX);
    for (size_t i = 0; i < r->index_count; i++)
        if (r->index[i].len > CMK_INDEX_VALUE_MAX)
            return cmk_fail(CMK_E_ARGUMENT, "index value of %u bytes; at most %d are possible", r->index[i].len,
                            CMK_INDEX_VALUE_MAX);
    return CMK_OK;
}

cmk_rc cmk_txn_get(cmk_txn *t, const cmk_record_key *key, cmk_record *out)
{
    cmk_rc rc = check_key(t, key);
    if (rc == CMK_OK && !out)
        rc = cmk_fail(CMK_E_ARGUMENT, "no place for the record given");
    return rc == CMK_OK ? t->store->ops->get(t, key, out) : rc;
}

cmk_rc cmk_txn_put(cmk_txn *t, const cmk_record *record, uint64_t expected)
{
    if (!record)
        return cmk_fail(CMK_E_ARGUMENT, "no record to write given");
    cmk_rc rc = check_key(t, &record->key);
    if (rc == CMK_OK)
        rc = check_write(t, expected);
    if (rc == CMK_OK)
        rc = check_record(record, expected);
    return rc == CMK_OK ? t->store->ops->put(t, record, expected) : rc;
}

cmk_rc cmk_txn_delete(cmk_txn *t, const cmk_record_key *key, uint64_t expected)
{
    cmk_rc rc = check_key(t, key);
    if (rc == CMK_OK)
        rc = check_write(t, expected);
    if (rc == CMK_OK && expected == 0)
        rc = cmk_fail(CMK_E_ARGUMENT, "deleting needs the revision that is expected");
    return rc == CMK_OK ? t->store->ops->del(t, key, expected) : rc;
}

static cmk_rc check_listing(const cmk_txn *t, uint8_t kind, cmk_bytes id, cmk_record_visit visit)
{
    if (!t || !visit)
        return cmk_fail(CMK_E_ARGUMENT, "a listing needs a transaction and a visitor");
    if (kind == 0 || id.len > CMK_RECORD_ID_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "a listing needs a kind other than 0 and ids of at most %d bytes",
                        CMK_RECORD_ID_MAX);
    return CMK_OK;
}

cmk_rc cmk_txn_list(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes prefix, cmk_record_visit visit, void *ctx)
{
    cmk_rc rc = check_listing(t, kind, prefix, visit);
    return rc == CMK_OK ? t->store->ops->list(t, vault, kind, prefix, (cmk_bytes){NULL, 0}, 0, visit, ctx) : rc;
}

cmk_rc cmk_txn_list_after(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes after, size_t limit,
                          cmk_record_visit visit, void *ctx)
{
    cmk_rc rc = check_listing(t, kind, after, visit);
    return rc == CMK_OK ? t->store->ops->list(t, vault, kind, (cmk_bytes){NULL, 0}, after, limit, visit, ctx) : rc;
}

cmk_rc cmk_txn_find(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint8_t number, cmk_bytes value,
                    cmk_record_visit visit, void *ctx)
{
    cmk_rc rc = check_listing(t, kind, (cmk_bytes){NULL, 0}, visit);
    if (rc == CMK_OK && value.len > CMK_INDEX_VALUE_MAX)
        rc = cmk_fail(CMK_E_ARGUMENT, "index value of %zu bytes; at most %d are possible", value.len,
                      CMK_INDEX_VALUE_MAX);
    return rc == CMK_OK ? t->store->ops->find(t, vault, kind, number, value, visit, ctx) : rc;
}

cmk_rc cmk_txn_count(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint64_t *count)
{
    if (!t || !vault || kind == 0 || !count)
        return cmk_fail(CMK_E_ARGUMENT, "counting needs a transaction, a vault and a kind");
    return t->store->ops->count(t, vault, kind, count);
}

static cmk_rc check_attempt(const cmk_store *s, const cmk_id *vault, const cmk_id *principal)
{
    if (!s || !vault || !principal)
        return cmk_fail(CMK_E_ARGUMENT, "counting attempts needs a store, a vault and a principal");
    return CMK_OK;
}

cmk_rc cmk_attempt_reserve(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                           uint64_t *ticket)
{
    cmk_rc rc = check_attempt(s, vault, principal);
    if (rc == CMK_OK && (threshold == 0 || !ticket))
        rc = cmk_fail(CMK_E_ARGUMENT, "reserving an attempt needs a threshold above 0 and a place for the ticket");
    return rc == CMK_OK ? s->ops->attempt_reserve(s, vault, principal, threshold, ticket) : rc;
}

cmk_rc cmk_attempt_settle(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint64_t ticket,
                          cmk_attempt_result result, uint64_t credential_revision)
{
    cmk_rc rc = check_attempt(s, vault, principal);
    if (rc == CMK_OK && (result < CMK_ATTEMPT_FAILED || result > CMK_ATTEMPT_VOID || credential_revision > INT64_MAX))
        rc = cmk_fail(CMK_E_ARGUMENT, "settling an attempt needs a known result and a revision in range");
    return rc == CMK_OK ? s->ops->attempt_settle(s, vault, principal, ticket, result, credential_revision) : rc;
}

cmk_rc cmk_attempts_read(cmk_store *s, const cmk_id *vault, const cmk_id *principal, cmk_attempts *out)
{
    cmk_rc rc = check_attempt(s, vault, principal);
    if (rc == CMK_OK && !out)
        rc = cmk_fail(CMK_E_ARGUMENT, "no place for the counters given");
    return rc == CMK_OK ? s->ops->attempts_read(s, vault, principal, out) : rc;
}

cmk_rc cmk_attempts_reset(cmk_store *s, const cmk_id *vault, const cmk_id *principal, uint64_t credential_revision)
{
    cmk_rc rc = check_attempt(s, vault, principal);
    if (rc == CMK_OK && credential_revision > INT64_MAX)
        rc = cmk_fail(CMK_E_ARGUMENT, "revision out of range");
    return rc == CMK_OK ? s->ops->attempts_reset(s, vault, principal, credential_revision) : rc;
}
