/* What the command prints: aligned tables and fields for people, one JSON object for programs. */
#ifndef CMK_CLI_OUTPUT_H
#define CMK_CLI_OUTPUT_H

#include <jansson.h>

#include "cli/verbs.h"

#define CMK_OUT_OPS_SIZE 64

/* JSON values; NULL when out of memory, which json_pack() and cmk_out_json() pass on. */
json_t *cmk_json_text(const char *s);               /* as it is, or with \xNN where it is no UTF-8 */
json_t *cmk_json_time(int64_t t);                   /* RFC 3339, or null for 0 */
json_t *cmk_json_bytes(cmk_bytes v);                /* hex */
json_t *cmk_json_id(const cmk_id *id);              /* hex */
json_t *cmk_json_ops(uint32_t ops);                 /* ["wrapKey","unwrapKey"] */
json_t *cmk_json_vault(const cmk_vault_info *info); /* what vault list and vault show give */

/* Prints object as one line and marks cli as having printed. Takes over the reference. CMK_E_NO_MEMORY when object is
 * NULL. */
CMK_MUST_USE cmk_rc cmk_out_json(cmk_cli *cli, json_t *object);
/* Appends value to array; takes over the reference. CMK_E_NO_MEMORY when either is NULL. */
CMK_MUST_USE cmk_rc cmk_json_append(json_t *array, json_t *value);
static inline void cmk_json_put(json_t **value)
{
    json_decref(*value);
}
#define CMK_JSON_AUTO __attribute__((cleanup(cmk_json_put))) json_t

/* Text for people. */
const char *cmk_out_yes(bool yes);                                 /* "yes", "no" */
const char *cmk_out_time(int64_t t, char out[CMK_TIME_TEXT]);      /* RFC 3339, or "-" for 0 */
const char *cmk_out_ops(uint32_t ops, char out[CMK_OUT_OPS_SIZE]); /* "wrapKey,unwrapKey" */
const char *cmk_out_vault_state(const cmk_vault_info *info);       /* "live", "deleted", "damaged" */
/* One line "Label:   text", safe to show whatever the text holds. */
void cmk_out_field(const char *label, const char *fmt, ...) CMK_PRINTF(2, 3);
/* One line, safe to show. */
void cmk_out_line(const char *fmt, ...) CMK_PRINTF(1, 2);

/* A table: headers, then cells row by row; widths are found when it is printed. */
typedef struct cmk_table {
    size_t columns;
    char **cells;
    size_t count, capacity;
    bool failed;
} cmk_table;
#define CMK_TABLE_INIT                                                                                                 \
    {                                                                                                                  \
        0, NULL, 0, 0, false                                                                                           \
    }
void cmk_table_start(cmk_table *t, const char *const *headers, size_t columns);
void cmk_table_cell(cmk_table *t, const char *fmt, ...) CMK_PRINTF(2, 3);
/* The cell with a vault's slot number; "?" when its record, which says it, is lost. */
void cmk_out_slot_cell(cmk_table *t, const cmk_vault_info *info);
/* Prints the rows, or empty when there are none. CMK_E_NO_MEMORY when a cell did not fit into memory. */
CMK_MUST_USE cmk_rc cmk_table_print(const cmk_table *t, const char *empty);
void cmk_table_free(cmk_table *t);
#define CMK_TABLE_AUTO __attribute__((cleanup(cmk_table_free))) cmk_table

/* Reports the failure rc: a line on stderr, and with --json an error object on stdout unless that has its object. */
void cmk_out_failure(cmk_cli *cli, cmk_rc rc);
/* Prints the kept notes on stderr. */
void cmk_out_notes(const cmk_cli *cli);
/* Sees to it that everything is written. CMK_E_IO. */
CMK_MUST_USE cmk_rc cmk_out_flush(void);

#endif
