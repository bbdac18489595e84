/* What of a key the commands show. */
#ifndef CMK_CLI_KEY_H
#define CMK_CLI_KEY_H

#include "cli/output.h"

/* One version as VERSION in an argument names it: a number, or an id. */
typedef struct cmk_cli_version_name {
    uint32_t number; /* 0: by id */
    cmk_id id;
} cmk_cli_version_name;

/* A key with the versions that were asked for. */
typedef struct cmk_cli_key {
    cmk_key_info info;
    cmk_version_info *versions; /* newest first */
    size_t count, capacity;
    const cmk_cli_version_name *only; /* NULL: all */
} cmk_cli_key;
void cmk_cli_key_free(cmk_cli_key *key);
#define CMK_CLI_KEY_AUTO __attribute__((cleanup(cmk_cli_key_free))) cmk_cli_key

/* "enabled", "disabled", "deleted". */
const char *cmk_cli_key_state(const cmk_key_info *key);
/* "enabled", "disabled", "not-yet-valid", "expired": of a version at this moment. */
const char *cmk_cli_version_state(const cmk_version_info *version);
/* A row of key list. */
json_t *cmk_cli_key_row_json(const cmk_key_info *key);
/* What key show, key versions and key create give. */
json_t *cmk_cli_key_json(const char *vault, const cmk_cli_key *key);
void cmk_cli_key_print(const char *vault, const cmk_cli_key *key);
/* The table of versions. */
CMK_MUST_USE cmk_rc cmk_cli_versions_print(const cmk_cli_key *key);

#endif
