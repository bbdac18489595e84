#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* wcwidth */
#endif
#include "cli/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define TEXT_SIZE 2048 /* the longest text for people, made safe */
#define LABEL_WIDTH 22

static const char *const op_names[] = {"wrapKey", "unwrapKey", "decrypt"};

json_t *cmk_json_text(const char *s)
{
    char safe[TEXT_SIZE];
    json_t *value = json_string(s);
    return value ? value : json_string(cmk_printable(cmk_bytes_str(s), safe, sizeof safe));
}

json_t *cmk_json_time(int64_t t)
{
    char text[CMK_TIME_TEXT];
    return t == 0 ? json_null() : json_string(cmk_time_text(t, text));
}

json_t *cmk_json_bytes(cmk_bytes v)
{
    char hex[2 * CMK_CKA_ID_MAX + 1];
    return json_string(cmk_hex(cmk_bytes_of(v.data, v.len <= CMK_CKA_ID_MAX ? v.len : CMK_CKA_ID_MAX), hex));
}

json_t *cmk_json_id(const cmk_id *id)
{
    return cmk_json_bytes(cmk_bytes_of(id->b, sizeof id->b));
}

json_t *cmk_json_ops(uint32_t ops)
{
    CMK_JSON_AUTO *list = json_array();
    for (size_t i = 0; i < sizeof op_names / sizeof op_names[0]; i++) {
        if ((ops & cmk_op_bit(op_names[i])) != 0 && json_array_append_new(list, json_string(op_names[i])) != 0)
            return NULL;
    }
    return json_incref(list);
}

void cmk_out_slot_cell(cmk_table *t, const cmk_vault_info *info)
{
    if (info->slot == CMK_SLOT_ANY)
        cmk_table_cell(t, "?");
    else
        cmk_table_cell(t, "%u", info->slot);
}

static json_t *json_slot(const cmk_vault_info *info)
{
    return info->slot == CMK_SLOT_ANY ? json_null() : json_integer(info->slot);
}

json_t *cmk_json_vault(const cmk_vault_info *info)
{
    return json_pack("{so so so so ss so so so si sb sb so si sb si so ss}", "name", cmk_json_text(info->name), "id",
                     cmk_json_id(&info->id), "slot", json_slot(info), "serial", cmk_json_text(info->serial), "state",
                     info->state == CMK_VAULT_DELETED ? "deleted" : "live", "created", cmk_json_time(info->created),
                     "deleted_at", cmk_json_time(info->deleted_at), "purge_at", cmk_json_time(info->purge_at),
                     "retention_days", (int)info->retention_days, "purge_protection", (int)info->purge_protection,
                     "wrap_without_login", (int)info->wrap_without_login, "allow_ops", cmk_json_ops(info->allow_ops),
                     "pin_attempts", (int)info->pin_attempts, "user_pin_set", (int)info->user_pin_set, "keys",
                     (int)info->keys, "fingerprint", cmk_json_text(info->fingerprint), "health",
                     cmk_rc_name(info->health));
}

cmk_rc cmk_json_append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0 ? CMK_OK : CMK_E_NO_MEMORY;
}

cmk_rc cmk_out_json(cmk_cli *cli, json_t *object)
{
    CMK_JSON_AUTO *owned = object;
    if (!owned)
        return CMK_E_NO_MEMORY;
    cli->printed = true;
    if (json_dumpf(owned, stdout, JSON_COMPACT) != 0 || fputc('\n', stdout) == EOF)
        return cmk_fail(CMK_E_IO, "standard output can't be written: see where it leads to");
    return CMK_OK;
}

const char *cmk_out_yes(bool yes)
{
    return yes ? "yes" : "no";
}

const char *cmk_out_time(int64_t t, char out[CMK_TIME_TEXT])
{
    return t == 0 ? "-" : cmk_time_text(t, out);
}

const char *cmk_out_ops(uint32_t ops, char out[CMK_OUT_OPS_SIZE])
{
    out[0] = '\0';
    for (size_t i = 0; i < sizeof op_names / sizeof op_names[0]; i++) {
        size_t used = strlen(out);
        if ((ops & cmk_op_bit(op_names[i])) != 0)
            (void)snprintf(out + used, CMK_OUT_OPS_SIZE - used, "%s%s", used > 0 ? "," : "", op_names[i]);
    }
    return out;
}

const char *cmk_out_vault_state(const cmk_vault_info *info)
{
    if (info->health != CMK_OK)
        return "damaged";
    return info->state == CMK_VAULT_DELETED ? "deleted" : "live";
}

static void print_safe(FILE *to, const char *prefix, const char *text)
{
    char safe[2 * TEXT_SIZE];
    (void)fprintf(to, "%s%s\n", prefix, cmk_printable(cmk_bytes_str(text), safe, sizeof safe));
}

void cmk_out_field(const char *label, const char *fmt, ...)
{
    char text[TEXT_SIZE], prefix[LABEL_WIDTH + 8];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)snprintf(prefix, sizeof prefix, "%-*s ", LABEL_WIDTH, label);
    print_safe(stdout, prefix, text);
}

void cmk_out_line(const char *fmt, ...)
{
    char text[TEXT_SIZE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    print_safe(stdout, "", text);
}

/* Columns that s takes on a terminal; needs a UTF-8 locale, else counts bytes. */
static size_t display_width(const char *s)
{
    mbstate_t state = {0};
    size_t width = 0, left = strlen(s);
    while (left > 0) {
        wchar_t c = 0;
        size_t n = mbrtowc(&c, s, left, &state);
        if (n == 0 || n > left)
            return width + left;
        int w = wcwidth(c);
        width += w > 0 ? (size_t)w : 0;
        s += n;
        left -= n;
    }
    return width;
}

static void table_add(cmk_table *t, const char *text)
{
    if (t->count == t->capacity && !t->failed) {
        size_t more = t->capacity == 0 ? 64 : t->capacity * 2;
        char **cells = realloc(t->cells, more * sizeof *cells);
        if (cells) {
            t->cells = cells;
            t->capacity = more;
        }
    }
    char safe[TEXT_SIZE];
    char *copy = t->count < t->capacity ? strdup(cmk_printable(cmk_bytes_str(text), safe, sizeof safe)) : NULL;
    if (copy)
        t->cells[t->count++] = copy;
    else
        t->failed = true;
}

void cmk_table_start(cmk_table *t, const char *const *headers, size_t columns)
{
    t->columns = columns;
    for (size_t i = 0; i < columns; i++)
        table_add(t, headers[i]);
}

void cmk_table_cell(cmk_table *t, const char *fmt, ...)
{
    char text[TEXT_SIZE / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    table_add(t, text);
}

cmk_rc cmk_table_print(const cmk_table *t, const char *empty)
{
    size_t widths[16] = {0};
    if (t->failed || t->columns == 0 || t->columns > sizeof widths / sizeof widths[0])
        return CMK_E_NO_MEMORY;
    if (t->count == t->columns) {
        (void)puts(empty);
        return CMK_OK;
    }
    for (size_t i = 0; i < t->count; i++) {
        size_t w = display_width(t->cells[i]);
        if (w > widths[i % t->columns])
            widths[i % t->columns] = w;
    }
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % t->columns;
        bool last = column + 1 == t->columns;
        int pad = last ? 0 : (int)(widths[column] - display_width(t->cells[i])) + 2;
        (void)printf("%s%*s%s", t->cells[i], pad, "", last ? "\n" : "");
    }
    return CMK_OK;
}

void cmk_table_free(cmk_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (cmk_table)CMK_TABLE_INIT;
}

void cmk_out_failure(cmk_cli *cli, cmk_rc rc)
{
    char text[TEXT_SIZE / 2];
    const char *detail = cmk_fail_detail();
    if (detail[0] != '\0')
        (void)snprintf(text, sizeof text, "%s", detail);
    else
        (void)snprintf(text, sizeof text, "%s%s%s%s%s", cli->noun ? cli->noun : "",
                       cli->verb && cli->verb->verb ? " " : "", cli->verb && cli->verb->verb ? cli->verb->verb : "",
                       cli->noun ? ": " : "", cmk_rc_text(rc));
    if (cmk_cli_has(cli, CMK_OPT_JSON) && !cli->printed) {
        cmk_rc told = cmk_out_json(
            cli, json_pack("{s{ss so}}", "error", "code", cmk_rc_name(rc), "message", cmk_json_text(text)));
        (void)told; /* the line below says what counts */
        (void)fflush(stdout);
    }
    print_safe(stderr, "cmk11: ", text);
}

void cmk_out_notes(const cmk_cli *cli)
{
    for (size_t i = 0; i < cli->note_count; i++)
        print_safe(stderr, "cmk11: warning: ", cli->notes[i]);
}

cmk_rc cmk_out_flush(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return cmk_fail(CMK_E_IO, "standard output can't be written: see where it leads to");
    return CMK_OK;
}
