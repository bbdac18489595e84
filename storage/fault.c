/* A store that passes every call on to another, but for the one that is to fail. For tests. */
#include <stdatomic.h>
#include <stdlib.h>

#include "storage/backend.h"

typedef struct fault_store {
    cmk_store base;
    cmk_store *inner;
    atomic_uint calls, fail_at;
    _Atomic cmk_rc rc;
} fault_store;

typedef struct fault_txn {
    cmk_txn base;
    cmk_txn *inner;
} fault_txn;

/* CMK_OK when this call is to be passed on. */
static cmk_rc strike(cmk_store *base)
{
    fault_store *s = (fault_store *)base;
    unsigned call = atomic_fetch_add(&s->calls, 1) + 1;
    unsigned at = atomic_load(&s->fail_at);
    return at != 0 && call == at ? cmk_fail(atomic_load(&s->rc), "failure injected into call %u of the store", call)
                                 : CMK_OK;
}

static cmk_store *inner_of(cmk_store *base)
{
    return ((fault_store *)base)->inner;
}

static cmk_txn *inner_txn(cmk_txn *t)
{
    return ((fault_txn *)t)->inner;
}

static void fault_close(cmk_store *base)
{
    cmk_store_close(inner_of(base));
    free(base);
}

static void fault_abandon(cmk_store *base)
{
    cmk_store_abandon(inner_of(base));
    free(base);
}

static cmk_rc fault_set_group(cmk_store *base, gid_t gid)
{
    cmk_rc rc = strike(base);
    return rc == CMK_OK ? cmk_store_set_group(inner_of(base), gid) : rc;
}

static cmk_rc fault_generation(cmk_store *base, uint64_t *generation)
{
    cmk_rc rc = strike(base);
    return rc == CMK_OK ? cmk_store_generation(inner_of(base), generation) : rc;
}

static cmk_rc fault_begin(cmk_store *base, cmk_txn_mode mode, cmk_txn **out)
{
    cmk_rc rc = strike(base);
    if (rc != CMK_OK)
        return rc;
    fault_txn *t = calloc(1, sizeof *t);
    if (!t)
        return CMK_E_NO_MEMORY;
    rc = cmk_txn_begin(inner_of(base), mode, &t->inner);
    if (rc != CMK_OK) {
        free(t);
        return rc;
    }
    t->base = (cmk_txn){base, mode};
    *out = &t->base;
    return CMK_OK;
}

static void fault_rollback(cmk_txn *t)
{
    cmk_txn *inner = inner_txn(t);
    cmk_txn_rollback(&inner);
    free(t);
}

static cmk_rc fault_commit(cmk_txn *t)
{
    cmk_txn *inner = inner_txn(t);
    cmk_rc rc = strike(t->store);
    if (rc != CMK_OK) {
        fault_rollback(t);
        return rc;
    }
    free(t);
    return cmk_txn_commit(&inner);
}

static cmk_rc fault_get(cmk_txn *t, const cmk_record_key *key, cmk_record *out)
{
    cmk_rc rc = strike(t->store);
    return rc == CMK_OK ? cmk_txn_get(inner_txn(t), key, out) : rc;
}

static cmk_rc fault_put(cmk_txn *t, const cmk_record *record, uint64_t expected)
{
    cmk_rc rc = strike(t->store);
    return rc == CMK_OK ? cmk_txn_put(inner_txn(t), record, expected) : rc;
}

static cmk_rc fault_delete(cmk_txn *t, const cmk_record_key *key, uint64_t expected)
{
    cmk_rc rc = strike(t->store);
    return rc == CMK_OK ? cmk_txn_delete(inner_txn(t), key, expected) : rc;
}

static cmk_rc fault_list(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes prefix, cmk_bytes after, size_t limit,
                         cmk_record_visit visit, void *ctx)
{
    cmk_txn *inner = inner_txn(t);
    cmk_rc rc = strike(t->store);
    return rc == CMK_OK ? inner->store->ops->list(inner, vault, kind, prefix, after, limit, visit, ctx) : rc;
}

static cmk_rc fault_find(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint8_t number, cmk_bytes value,
                         cmk_record_visit visit, void *ctx)
{
    cmk_rc rc = strike(t->store);
    return rc == CMK_OK ? cmk_txn_find(inner_txn(t), vault, kind, number, value, visit, ctx) : rc;
}

static cmk_rc fault_count(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint64_t *count)
{
    cmk_rc rc = strike(t->store);
    return rc == CMK_OK ? cmk_txn_count(inner_txn(t), vault, kind, count) : rc;
}

static cmk_rc fault_reserve(cmk_store *base, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                            uint64_t *ticket)
{
    cmk_rc rc = strike(base);
    return rc == CMK_OK ? cmk_attempt_reserve(inner_of(base), vault, principal, threshold, ticket) : rc;
}

static cmk_rc fault_settle(cmk_store *base, const cmk_id *vault, const cmk_id *principal, uint64_t ticket,
                           cmk_attempt_result result, uint64_t credential_revision)
{
    cmk_rc rc = strike(base);
    return rc == CMK_OK ? cmk_attempt_settle(inner_of(base), vault, principal, ticket, result, credential_revision)
                        : rc;
}

static cmk_rc fault_attempts_read(cmk_store *base, const cmk_id *vault, const cmk_id *principal, cmk_attempts *out)
{
    cmk_rc rc = strike(base);
    return rc == CMK_OK ? cmk_attempts_read(inner_of(base), vault, principal, out) : rc;
}

static cmk_rc fault_attempts_reset(cmk_store *base, const cmk_id *vault, const cmk_id *principal,
                                   uint64_t credential_revision)
{
    cmk_rc rc = strike(base);
    return rc == CMK_OK ? cmk_attempts_reset(inner_of(base), vault, principal, credential_revision) : rc;
}

static const cmk_store_ops fault_ops = {
    .scheme = "fault",
    .close = fault_close,
    .abandon = fault_abandon,
    .set_group = fault_set_group,
    .generation = fault_generation,
    .begin = fault_begin,
    .commit = fault_commit,
    .rollback = fault_rollback,
    .get = fault_get,
    .put = fault_put,
    .del = fault_delete,
    .list = fault_list,
    .find = fault_find,
    .count = fault_count,
    .attempt_reserve = fault_reserve,
    .attempt_settle = fault_settle,
    .attempts_read = fault_attempts_read,
    .attempts_reset = fault_attempts_reset,
};

cmk_rc cmk_store_fault_wrap(cmk_store *inner, cmk_store **out)
{
    fault_store *s = calloc(1, sizeof *s);
    if (!s)
        return CMK_E_NO_MEMORY;
    s->base = (cmk_store){&fault_ops, inner->directory, inner->options};
    s->inner = inner;
    *out = &s->base;
    return CMK_OK;
}

void cmk_store_fault_arm(cmk_store *base, unsigned k, cmk_rc rc)
{
    fault_store *s = (fault_store *)base;
    atomic_store(&s->rc, rc);
    atomic_store(&s->calls, 0);
    atomic_store(&s->fail_at, k);
}

unsigned cmk_store_fault_calls(const cmk_store *base)
{
    return atomic_load(&((const fault_store *)base)->calls);
}
