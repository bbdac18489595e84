/* Records and their index entries in SQL. */
#include <string.h>

#include "storage/sqlite.h"

static cmk_sqlite_conn *conn_of(cmk_txn *t)
{
    return &((cmk_sqlite_slot *)t)->conn;
}

static cmk_rc damaged(const cmk_sqlite_conn *c)
{
    return cmk_fail(CMK_E_STORE_DAMAGED, "store file %s holds a record that can't be one; restore it from a backup",
                    c->path);
}

static void bind_key(sqlite3_stmt *st, const cmk_record_key *key)
{
    sqlite3_bind_int(st, 1, key->kind);
    cmk_sqlite_bind(st, 2, cmk_bytes_of(key->vault.b, CMK_ID_SIZE));
    cmk_sqlite_bind(st, 3, cmk_bytes_of(key->id, key->id_len));
}

/* Reads revision and body from two columns. */
static cmk_rc read_content(const cmk_sqlite_conn *c, sqlite3_stmt *st, int column, cmk_record *out)
{
    int64_t revision = sqlite3_column_int64(st, column);
    const void *body = sqlite3_column_blob(st, column + 1);
    int len = sqlite3_column_bytes(st, column + 1);
    if (!body && sqlite3_errcode(sqlite3_db_handle(st)) == SQLITE_NOMEM)
        return CMK_E_NO_MEMORY;
    if (revision < 1 || len < 0 || (size_t)len > CMK_RECORD_BODY_MAX)
        return damaged(c);
    out->revision = (uint64_t)revision;
    out->index_count = 0;
    cmk_buf_reset(&out->body);
    cmk_buf_add(&out->body, body, (size_t)len);
    return cmk_buf_ok(&out->body);
}

cmk_rc cmk_sqlite_get(cmk_txn *t, const cmk_record_key *key, cmk_record *out)
{
    cmk_sqlite_conn *c = conn_of(t);
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, STMT_GET, &st);
    if (rc != CMK_OK)
        return rc;
    bind_key(st, key);
    int res = sqlite3_step(st);
    if (res == SQLITE_ROW) {
        out->key = *key;
        rc = read_content(c, st, 0, out);
    } else {
        rc = res == SQLITE_DONE ? CMK_E_NOT_FOUND : cmk_sqlite_fail(c, res);
    }
    cmk_sqlite_give(c, STMT_GET, st);
    return rc;
}

/* The row number and revision of a record; CMK_E_NOT_FOUND. */
static cmk_rc locate(cmk_sqlite_conn *c, const cmk_record_key *key, int64_t *number, uint64_t *revision)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, STMT_LOCATE, &st);
    if (rc != CMK_OK)
        return rc;
    bind_key(st, key);
    int res = sqlite3_step(st);
    if (res == SQLITE_ROW) {
        *number = sqlite3_column_int64(st, 0);
        *revision = (uint64_t)sqlite3_column_int64(st, 1);
    } else {
        rc = res == SQLITE_DONE ? CMK_E_NOT_FOUND : cmk_sqlite_fail(c, res);
    }
    cmk_sqlite_give(c, STMT_LOCATE, st);
    return rc;
}

static cmk_rc conflict(uint64_t expected, uint64_t present)
{
    return cmk_fail(CMK_E_CONFLICT,
                    "a record has revision %llu instead of %llu; somebody else has changed it meanwhile",
                    (unsigned long long)present, (unsigned long long)expected);
}

/* Runs a statement whose only parameter is a row number. */
static cmk_rc run_on_row(cmk_sqlite_conn *c, cmk_sqlite_stmt which, int64_t number)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, which, &st);
    if (rc == CMK_OK) {
        sqlite3_bind_int64(st, 1, number);
        rc = cmk_sqlite_finish(c, st);
    }
    cmk_sqlite_give(c, which, st);
    return rc;
}

static cmk_rc write_row(cmk_sqlite_conn *c, const cmk_record *r, bool insert, int64_t *number)
{
    cmk_sqlite_stmt which = insert ? STMT_INSERT : STMT_UPDATE;
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, which, &st);
    if (rc != CMK_OK)
        return rc;
    if (insert)
        bind_key(st, &r->key);
    else
        sqlite3_bind_int64(st, 1, *number);
    sqlite3_bind_int64(st, insert ? 4 : 2, (int64_t)r->revision);
    cmk_sqlite_bind(st, insert ? 5 : 3, cmk_buf_view(&r->body));
    rc = cmk_sqlite_finish(c, st);
    if (rc == CMK_OK && insert)
        *number = sqlite3_last_insert_rowid(c->db);
    sqlite3_clear_bindings(st);
    cmk_sqlite_give(c, which, st);
    return rc;
}

static cmk_rc write_entries(cmk_sqlite_conn *c, const cmk_record *r, int64_t number)
{
    sqlite3_stmt *st = NULL;
    cmk_rc rc = r->index_count ? cmk_sqlite_take(c, STMT_INDEX, &st) : CMK_OK;
    for (size_t i = 0; rc == CMK_OK && i < r->index_count; i++) {
        sqlite3_bind_int(st, 1, r->key.kind);
        sqlite3_bind_int(st, 2, r->index[i].number);
        cmk_sqlite_bind(st, 3, cmk_bytes_of(r->index[i].value, r->index[i].len));
        cmk_sqlite_bind(st, 4, cmk_bytes_of(r->key.vault.b, CMK_ID_SIZE));
        sqlite3_bind_int64(st, 5, number);
        rc = cmk_sqlite_finish(c, st);
        sqlite3_reset(st);
    }
    cmk_sqlite_give(c, STMT_INDEX, st);
    return rc;
}

cmk_rc cmk_sqlite_put(cmk_txn *t, const cmk_record *r, uint64_t expected)
{
    cmk_sqlite_conn *c = conn_of(t);
    int64_t number = 0;
    uint64_t present = 0;
    cmk_rc rc = locate(c, &r->key, &number, &present);
    if (rc != CMK_OK && rc != CMK_E_NOT_FOUND)
        return rc;
    bool insert = rc == CMK_E_NOT_FOUND;
    if (present != expected)
        return conflict(expected, present);
    rc = insert ? CMK_OK : run_on_row(c, STMT_UNINDEX, number);
    if (rc == CMK_OK)
        rc = write_row(c, r, insert, &number);
    if (rc == CMK_OK)
        rc = write_entries(c, r, number);
    return rc;
}

cmk_rc cmk_sqlite_delete(cmk_txn *t, const cmk_record_key *key, uint64_t expected)
{
    cmk_sqlite_conn *c = conn_of(t);
    int64_t number = 0;
    uint64_t present = 0;
    cmk_rc rc = locate(c, key, &number, &present);
    if (rc == CMK_OK && present != expected)
        rc = conflict(expected, present);
    if (rc == CMK_OK)
        rc = run_on_row(c, STMT_UNINDEX, number);
    if (rc == CMK_OK)
        rc = run_on_row(c, STMT_DELETE, number);
    if (rc == CMK_OK)
        ((cmk_sqlite_slot *)t)->deleted = true;
    return rc;
}

/* Visits each row of vault, id, revision, body. */
static cmk_rc visit_rows(cmk_sqlite_conn *c, sqlite3_stmt *st, uint8_t kind, cmk_record_visit visit, void *ctx)
{
    CMK_RECORD_AUTO r = {.key.kind = kind};
    cmk_rc rc = CMK_OK;
    int res;
    while ((res = sqlite3_step(st)) == SQLITE_ROW) {
        const void *vault = sqlite3_column_blob(st, 0);
        const void *id = sqlite3_column_blob(st, 1);
        int id_len = sqlite3_column_bytes(st, 1);
        if (!vault || sqlite3_column_bytes(st, 0) != CMK_ID_SIZE || id_len < 0 || id_len > CMK_RECORD_ID_MAX)
            return damaged(c);
        memcpy(r.key.vault.b, vault, CMK_ID_SIZE);
        r.key.id_len = (uint8_t)id_len;
        memset(r.key.id, 0, sizeof r.key.id);
        if (id)
            memcpy(r.key.id, id, (size_t)id_len);
        rc = read_content(c, st, 2, &r);
        if (rc == CMK_OK)
            rc = visit(ctx, &r);
        if (rc != CMK_OK)
            return rc;
    }
    return res == SQLITE_DONE ? CMK_OK : cmk_sqlite_fail(c, res);
}

/* Which ids a listing takes: low ≤ id < high, in byte order. */
typedef struct id_range {
    uint8_t low[CMK_RECORD_ID_MAX + 1], high[CMK_RECORD_ID_MAX + 1];
    size_t low_len, high_len;
} id_range;

static void make_range(cmk_bytes prefix, cmk_bytes after, id_range *r)
{
    memset(r->high, 0xff, sizeof r->high); /* longer than any id: above all of them */
    r->high_len = sizeof r->high;
    r->low_len = 0;
    size_t n = prefix.len;
    while (n > 0 && prefix.data[n - 1] == 0xff)
        n--;
    if (n > 0) { /* the first that does not begin with the prefix */
        memcpy(r->high, prefix.data, n);
        r->high[n - 1]++;
        r->high_len = n;
    }
    if (after.len) { /* the first behind it is itself with a zero byte */
        memcpy(r->low, after.data, after.len);
        r->low[after.len] = 0;
        r->low_len = after.len + 1;
    }
    cmk_bytes low = {r->low, r->low_len};
    size_t common = low.len < prefix.len ? low.len : prefix.len;
    int order = common ? memcmp(low.data, prefix.data, common) : 0;
    if (prefix.len && (order < 0 || (order == 0 && low.len < prefix.len))) {
        memcpy(r->low, prefix.data, prefix.len);
        r->low_len = prefix.len;
    }
}

cmk_rc cmk_sqlite_list(cmk_txn *t, const cmk_id *vault, uint8_t kind, cmk_bytes prefix, cmk_bytes after, size_t limit,
                       cmk_record_visit visit, void *ctx)
{
    cmk_sqlite_conn *c = conn_of(t);
    cmk_sqlite_stmt which = vault ? STMT_LIST : STMT_LIST_ALL;
    sqlite3_stmt *st = NULL;
    id_range range;
    cmk_rc rc = cmk_sqlite_take(c, which, &st);
    if (rc != CMK_OK)
        return rc;
    make_range(prefix, after, &range);
    sqlite3_bind_int(st, 1, kind);
    if (vault)
        cmk_sqlite_bind(st, 2, cmk_bytes_of(vault->b, CMK_ID_SIZE));
    cmk_sqlite_bind(st, 3, cmk_bytes_of(range.low, range.low_len));
    cmk_sqlite_bind(st, 4, cmk_bytes_of(range.high, range.high_len));
    sqlite3_bind_int64(st, 5, limit > 0 && limit <= INT64_MAX ? (int64_t)limit : -1);
    rc = visit_rows(c, st, kind, visit, ctx);
    cmk_sqlite_give(c, which, st);
    return rc;
}

cmk_rc cmk_sqlite_find(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint8_t number, cmk_bytes value,
                       cmk_record_visit visit, void *ctx)
{
    cmk_sqlite_conn *c = conn_of(t);
    cmk_sqlite_stmt which = vault ? STMT_FIND : STMT_FIND_ALL;
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, which, &st);
    if (rc != CMK_OK)
        return rc;
    sqlite3_bind_int(st, 1, kind);
    if (vault)
        cmk_sqlite_bind(st, 2, cmk_bytes_of(vault->b, CMK_ID_SIZE));
    sqlite3_bind_int(st, 3, number);
    cmk_sqlite_bind(st, 4, value);
    rc = visit_rows(c, st, kind, visit, ctx);
    cmk_sqlite_give(c, which, st);
    return rc;
}

cmk_rc cmk_sqlite_count(cmk_txn *t, const cmk_id *vault, uint8_t kind, uint64_t *count)
{
    cmk_sqlite_conn *c = conn_of(t);
    sqlite3_stmt *st = NULL;
    cmk_rc rc = cmk_sqlite_take(c, STMT_COUNT, &st);
    if (rc != CMK_OK)
        return rc;
    sqlite3_bind_int(st, 1, kind);
    cmk_sqlite_bind(st, 2, cmk_bytes_of(vault->b, CMK_ID_SIZE));
    int res = sqlite3_step(st);
    if (res == SQLITE_ROW)
        *count = (uint64_t)sqlite3_column_int64(st, 0);
    else
        rc = cmk_sqlite_fail(c, res);
    cmk_sqlite_give(c, STMT_COUNT, st);
    return rc;
}
