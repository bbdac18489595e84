/* A store in memory, for tests: a sorted table of records that a write transaction copies and a commit puts in place.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "storage/backend.h"
#include "util/lock.h"

/* A state of the store, never changed once others see it. */
typedef struct state {
    unsigned refs; /* under the store's lock */
    size_t count;
    cmk_record *record; /* sorted by vault, kind, id */
} state;

typedef struct attempts_row {
    cmk_id vault, principal;
    cmk_attempts counters;
    uint64_t ticket[64];
} attempts_row;

typedef struct memory_store {
    cmk_store base;
    cmk_mutex lock;
    pthread_cond_t changed;
    state *now;
    bool writing;
    uint64_t generation, next_ticket;
    attempts_row *row;
    size_t rows;
} memory_store;

typedef struct memory_txn {
    cmk_txn base;
    state *seen;
} memory_txn;

static int compare(const cmk_record_key *a, const cmk_record_key *b)
{
    int c = memcmp(&a->vault, &b->vault, sizeof a->vault);
    if (c == 0)
        c = (int)a->kind - (int)b->kind;
    if (c == 0)
        c = memcmp(a->id, b->id, a->id_len < b->id_len ? a->id_len : b->id_len);
    return c ? c : (int)a->id_len - (int)b->id_len;
}

static size_t place_of(const state *s, const cmk_record_key *key, bool *found)
{
    size_t low = 0;
    size_t high = s->count;
    *found = false;
    while (low < high && !*found) {
        size_t mid = low + (high - low) / 2;
        int c = compare(&s->record[mid].key, key);
        if (c == 0) {
            low = mid;
            *found = true;
        } else if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool copy_record(cmk_record *to, const cmk_record *from)
{
    *to = *from;
    to->body = (cmk_buf)CMK_BUF_INIT;
    cmk_buf_add(&to->body, from->body.data, from->body.len);
    return cmk_buf_ok(&to->body) == CMK_OK;
}

static void state_free(state *s)
{
    for (size_t i = 0; s && i < s->count; i++)
        cmk_record_clear(&s->record[i]);
    if (s)
        free(s->record);
    free(s);
}

static state *state_copy(const state *from)
{
    state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->refs = 1;
    s->record = calloc(from->count + 1, sizeof *s->record);
    for (; s->record && s->count < from->count; s->count++)
        if (!copy_record(&s->record[s->count], &from->record[s->count]))
            break;
    if (s->count == from->count && s->record)
        return s;
    state_free(s);
    return NULL;
}

/* Under the lock. */
static void state_put(state *s)
{
    if (--s->refs == 0)
        state_free(s);
}

static void memory_close(cmk_store *base)
{
    memory_store *s = (memory_store *)base;
    state_free(s->now);
    pthread_cond_destroy(&s->changed);
    cmk_mutex_destroy(&s->lock);
    free(s->row);
    free(s);
}

static cmk_rc memory_generation(cmk_store *base, uint64_t *generation)
{
    memory_store *s = (memory_store *)base;
    CMK_WITH_MUTEX(&s->lock);
    *generation = s->generation;
    return CMK_OK;
}

/* Under the lock: waits at most ms milliseconds in all; false when they are over. */
static bool wait_change(memory_store *s, struct timespec *until, uint32_t ms)
{
    if (until->tv_sec == 0) {
        clock_gettime(CLOCK_REALTIME, until);
        until->tv_nsec += (long)(ms % 1000) * 1000000;
        until->tv_sec += ms / 1000 + until->tv_nsec / 1000000000;
        until->tv_nsec %= 1000000000;
    }
    return pthread_cond_timedwait(&s->changed, &s->lock.m, until) != ETIMEDOUT;
}

static cmk_rc memory_begin(cmk_store *base, cmk_txn_mode mode, cmk_txn **out)
{
    memory_store *s = (memory_store *)base;
    struct timespec until = {0, 0};
    memory_txn *t = calloc(1, sizeof *t);
    if (!t)
        return CMK_E_NO_MEMORY;
    t->base = (cmk_txn){base, mode};
    CMK_WITH_MUTEX(&s->lock);
    while (mode == CMK_TXN_WRITE && s->writing)
        if (!wait_change(s, &until, s->base.options.busy_timeout_ms)) {
            free(t);
            return cmk_fail(CMK_E_BUSY, "another thread has been writing all the time; try again");
        }
    t->seen = s->now;
    if (mode == CMK_TXN_WRITE)
        t->seen = state_copy(s->now);
    else
        s->now->refs++;
    if (!t->seen) {
        free(t);
        return CMK_E_NO_MEMORY;
    }
    s->writing = s->writing || mode == CMK_TXN_WRITE;
    *out = &t->base;
    return CMK_OK;
}

static void end_txn(memory_txn *t, bool keep)
{
    memory_store *s = (memory_store *)t->base.store;
    CMK_WITH_MUTEX(&s->lock);
    if (keep && t->base.mode == CMK_TXN_WRITE) {
        state *old = s->now;
        s->now = t->seen;
        t->seen = old;
        s->generation++;
    }
    if (t->base.mode == CMK_TXN_WRITE)
        s->writing = false;
    state_put(t->seen);
    free(t);
    pthread_cond_broadcast(&s->changed);
}

static cmk_rc memory_commit(cmk_txn *t)
{
    end_txn((memory_txn *)t, true);
    return CMK_OK;
}

static void memory_rollback(cmk_txn *t)
{
    end_txn((memory_txn *)t, false);
}

static cmk_rc lend_copy(const cmk_record *from, cmk_record *out)
{
    cmk_buf_reset(&out->body);
    cmk_buf_add(&out->body, from->body.data, from->body.len);
    out->key = from->key;
    out->revision = from->revision;
    out->index_count = 0;
    return cmk_buf_ok(&out->body);
}

static cmk_rc memory_get(cmk_txn *t, const cmk_record_key *key, cmk_record *out)
{
    state *s = ((memory_txn *)t)->seen;
    bool found = false;
    size_t at = place_of(s, key, &found);
    return found ? lend_copy(&s->record[at], out) : CMK_E_NOT_FOUND;
}

static cmk_rc conflict(void)
{
    return cmk_fail(CMK_E_CONFLICT,
                    "a record has another revision than expected; somebody else has changed it meanwhile");
}

static cmk_rc memory_put(cmk_txn *t, const cmk_record *r, uint64_t expected)
{
    state *s = ((memory_txn *)t)->seen;
    bool found = false;
    cmk_record copy;
    size_t at = place_of(s, &r->key, &found);
    if ((found ? s->record[at].revision : 0) != expected)
        return conflict();
    if (!copy_record(&copy, r))
        return CMK_E_NO_MEMORY;
    if (!found) {
        cmk_record *grown = realloc(s->record, (s->count + 1) * sizeof *grown);
        if (!grown) {
            cmk_record_clear(&copy);
            return CMK_E_NO_MEMORY;
        }
        s->record = grown;
        memmove(&grown[at + 1], &grown[at], (s->count - at) * sizeof *grown);
        s->count++;
    } else {
        cmk_record_clear(&s->record[at]);
    }
    s->record[at] = copy;
    return CMK_OK;
}

static cmk_rc memory_delete(cmk_txn *t, const cmk_record_key *key, uint64_t expected)
{
    state *s = ((memory_txn *)t)->seen;
    bool found = false;
    size_t at = place_of(s, key, &found);
    if (!found)
        return CMK_E_NOT_FOUND;
    if (s->record[at].revision != expected)
        return conflict();
    cmk_record_clear(&s->record[at]);
    s->count--;
    memmove(&s->record[at], &s->record[at + 1], (s->count - at) * sizeof *s->record);
    return CMK_OK;
}

static bool in_scope(const cmk_record *r, const cmk_id *vault, uint8_t kind)
{
    return r->key.kind == kind && (!vault || cmk_id_equal(&r->key.vault, vault));
}

static bool is_behind(const cmk_record_key *key, cmk_bytes after)
{
    size_t n = key->id_len < after.len ? key->id_len : after.len;
    int c = n ? memcmp(key->id, after.data, n) : 0;
    return after.len == 0 || c > 0 || (c == 0 && key->id_len > after.len);
}

static cmk_rc lend(const cmk_record *from, cmk_record_visit visit, void *ctx)
{
    CMK_RECORD_AUTO r = {0};
    cmk_rc rc = lend_copy(from, &r);
    return rc == CMK_OK ? visit(ctx, &r) : rc;
}

static cmk_rc memory_list(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes prefix, cmk_bytes after,
                          size_t limit, cmk_record_visit visit, void *ctx)
{
    const state *s = ((memory_txn *)t)->seen;
    cmk_rc rc = CMK_OK;
    size_t visited = 0;
    for (size_t i = 0; rc == CMK_OK && i < s->count && (limit == 0 || visited < limit); i++) {
        const cmk_record_key *key = &s->record[i].key;
        bool begins = key->id_len >= prefix.len && (!prefix.len || memcmp(key->id, prefix.data, prefix.len) == 0);
        if (!in_scope(&s->record[i], vault, kind) || !begins || !is_behind(key, after))
            continue;
        visited++;
        rc = lend(&s->record[i], visit, ctx);
    }
    return rc;
}

static bool has_entry(const cmk_record *r, uint8_t number, cmk_bytes value)
{
    for (size_t i = 0; i < r->index_count; i++)
        if (r->index[i].number == number && cmk_bytes_equal(cmk_bytes_of(r->index[i].value, r->index[i].len), value))
            return true;
    return false;
}

static cmk_rc memory_find(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint8_t number, cmk_bytes value,
                          cmk_record_visit visit, void *ctx)
{
    const state *s = ((memory_txn *)t)->seen;
    cmk_rc rc = CMK_OK;
    for (size_t i = 0; rc == CMK_OK && i < s->count; i++)
        if (in_scope(&s->record[i], vault, kind) && has_entry(&s->record[i], number, value))
            rc = lend(&s->record[i], visit, ctx);
    return rc;
}

static cmk_rc memory_count(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint64_t *count)
{
    const state *s = ((memory_txn *)t)->seen;
    *count = 0;
    for (size_t i = 0; i < s->count; i++)
        *count += in_scope(&s->record[i], vault, kind);
    return CMK_OK;
}

/* Under the lock: the counters of a principal, made if need be; NULL when out of memory. */
static attempts_row *row_of(memory_store *s, const cmk_id *vault, const cmk_id *principal)
{
    for (size_t i = 0; i < s->rows; i++)
        if (cmk_id_equal(&s->row[i].vault, vault) && cmk_id_equal(&s->row[i].principal, principal))
            return &s->row[i];
    attempts_row *grown = realloc(s->row, (s->rows + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    s->row = grown;
    grown[s->rows] = (attempts_row){.vault = *vault, .principal = *principal};
    return &grown[s->rows++];
}

static cmk_rc memory_reserve(cmk_store *base, const cmk_id *vault, const cmk_id *principal, uint32_t threshold,
                             uint64_t *ticket)
{
    memory_store *s = (memory_store *)base;
    struct timespec until = {0, 0};
    const size_t slots = sizeof((attempts_row *)0)->ticket / sizeof(uint64_t);
    CMK_WITH_MUTEX(&s->lock);
    for (;;) {
        attempts_row *r = row_of(s, vault, principal);
        if (!r)
            return CMK_E_NO_MEMORY;
        if (r->counters.failures >= threshold)
            return cmk_fail(CMK_E_PIN_LOCKED, "locked after %u failed logins", r->counters.failures);
        if (r->counters.failures + r->counters.under_way < threshold && r->counters.under_way < slots) {
            *ticket = ++s->next_ticket;
            r->ticket[r->counters.under_way++] = *ticket;
            return CMK_OK;
        }
        if (!wait_change(s, &until, s->base.options.busy_timeout_ms > 5000 ? s->base.options.busy_timeout_ms : 5000))
            return cmk_fail(CMK_E_BUSY, "too many logins are under way at the same time; try again");
    }
}

static cmk_rc memory_settle(cmk_store *base, const cmk_id *vault, const cmk_id *principal, uint64_t ticket,
                            cmk_attempt_result result, uint64_t credential_revision)
{
    memory_store *s = (memory_store *)base;
    CMK_WITH_MUTEX(&s->lock);
    attempts_row *r = row_of(s, vault, principal);
    if (!r)
        return CMK_E_NO_MEMORY;
    for (uint32_t i = 0; i < r->counters.under_way; i++)
        if (r->ticket[i] == ticket) {
            r->ticket[i] = r->ticket[--r->counters.under_way];
            r->counters.failures += result == CMK_ATTEMPT_FAILED;
            break;
        }
    if (result == CMK_ATTEMPT_SUCCEEDED) {
        r->counters.failures = 0;
        if (credential_revision > r->counters.credential_revision)
            r->counters.credential_revision = credential_revision;
    }
    pthread_cond_broadcast(&s->changed);
    return CMK_OK;
}

static cmk_rc memory_attempts_read(cmk_store *base, const cmk_id *vault, const cmk_id *principal, cmk_attempts *out)
{
    memory_store *s = (memory_store *)base;
    CMK_WITH_MUTEX(&s->lock);
    attempts_row *r = row_of(s, vault, principal);
    if (!r)
        return CMK_E_NO_MEMORY;
    *out = r->counters;
    return CMK_OK;
}

static cmk_rc memory_attempts_reset(cmk_store *base, const cmk_id *vault, const cmk_id *principal,
                                    uint64_t credential_revision)
{
    memory_store *s = (memory_store *)base;
    CMK_WITH_MUTEX(&s->lock);
    attempts_row *r = row_of(s, vault, principal);
    if (!r)
        return CMK_E_NO_MEMORY;
    r->counters.failures = 0;
    if (credential_revision)
        r->counters.credential_revision = credential_revision;
    pthread_cond_broadcast(&s->changed);
    return CMK_OK;
}

static const cmk_store_ops memory_ops = {
    .scheme = "memory",
    .close = memory_close,
    .abandon = memory_close,
    .generation = memory_generation,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .get = memory_get,
    .put = memory_put,
    .del = memory_delete,
    .list = memory_list,
    .find = memory_find,
    .count = memory_count,
    .attempt_reserve = memory_reserve,
    .attempt_settle = memory_settle,
    .attempts_read = memory_attempts_read,
    .attempts_reset = memory_attempts_reset,
};

cmk_rc cmk_store_memory_open(cmk_store **out)
{
    memory_store *s = calloc(1, sizeof *s);
    state *first = calloc(1, sizeof *first);
    if (!s || !first) {
        free(s);
        free(first);
        return CMK_E_NO_MEMORY;
    }
    first->refs = 1;
    s->base = (cmk_store){&memory_ops, NULL, {.create = true, .busy_timeout_ms = 1000}};
    cmk_mutex_init(&s->lock, CMK_RANK_STORE, "memory store");
    pthread_cond_init(&s->changed, NULL);
    s->now = first;
    s->generation = 1;
    *out = &s->base;
    return CMK_OK;
}
