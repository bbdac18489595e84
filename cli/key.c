/* cmk11 key … */
#include "cli/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/pin.h"

#define KEY_BITS_DEFAULT 3072
#define NUMBER_DIGITS_MAX 9

static void put_login(cmk_login **login)
{
    cmk_login_put(*login);
}

static cmk_rc collect_version(void *ctx, const cmk_version_info *version)
{
    cmk_cli_key *key = ctx;
    if (key->only &&
        (key->only->number != 0 ? key->only->number != version->number : !cmk_id_equal(&key->only->id, &version->id)))
        return CMK_OK;
    if (key->count == key->capacity) {
        size_t more = key->capacity == 0 ? 8 : key->capacity * 2;
        cmk_version_info *versions = realloc(key->versions, more * sizeof *versions);
        if (!versions)
            return CMK_E_NO_MEMORY;
        key->versions = versions;
        key->capacity = more;
    }
    key->versions[key->count++] = *version;
    return CMK_OK;
}

/* Reads the key called name, deleted or not, with its versions. */
static cmk_rc load_key(cmk_cli *cli, cmk_vault *vault, cmk_bytes name, cmk_cli_key *key)
{
    char shown[512];
    cmk_rc rc = cmk_name_check(CMK_NAME_KEY, name);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_key_find(vault, name, true, &key->info);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_fail(rc, "no key %s in vault %s: see cmk11 key list %s", cmk_printable(name, shown, sizeof shown),
                        cli->args[0], cli->args[0]);
    if (rc == CMK_OK)
        rc = cmk_key_versions(vault, &key->info.id, collect_version, key);
    if (rc == CMK_OK && key->only && key->count == 0)
        rc = cmk_fail(CMK_E_NOT_FOUND, "key %s in vault %s has no such version: see cmk11 key versions %s %s",
                      key->info.name, cli->args[0], cli->args[0], key->info.name);
    return rc;
}

/* Splits KEY[/VERSION]; *given says whether a version was named. */
static cmk_rc split_version(cmk_cli *cli, const char *text, cmk_bytes *name, cmk_cli_version_name *version, bool *given)
{
    const char *slash = strchr(text, '/');
    *given = slash != NULL;
    *name = cmk_bytes_of(text, slash ? (size_t)(slash - text) : strlen(text));
    if (!slash)
        return CMK_OK;
    const char *v = slash + 1;
    size_t digits = strspn(v, "0123456789"), len = strlen(v);
    if (digits == len && len > 0 && len <= NUMBER_DIGITS_MAX && v[0] != '0') {
        version->number = (uint32_t)strtoul(v, NULL, 10);
        return CMK_OK;
    }
    if (cmk_unhex(v, len, version->id.b, sizeof version->id.b) == CMK_OK)
        return CMK_OK;
    return cmk_cli_usage(cli, "VERSION is a number (1, 2, 3 ...) or the %d hex digits of a version's id",
                         2 * CMK_ID_SIZE);
}

/* A big key takes seconds: whoever waits at a terminal is told why. */
static void progress(bool on, unsigned bits)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (on)
        (void)fprintf(stderr, "Making an RSA %u key pair ...", bits);
    else
        (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
}

/* Says which operation it is before anybody is asked for a PIN. */
static cmk_rc check_ops(const cmk_cli *cli, cmk_vault *vault)
{
    cmk_vault_info info;
    char refused[CMK_OUT_OPS_SIZE], allowed[CMK_OUT_OPS_SIZE];
    cmk_rc rc = cmk_vault_get_info(vault, &info);
    uint32_t extra = rc == CMK_OK ? (uint32_t)cli->number[CMK_OPT_OPS] & ~info.allow_ops : 0;
    if (extra == 0)
        return rc;
    return cmk_fail(CMK_E_KEY_NOT_PERMITTED,
                    "key %s: vault %s does not allow %s, only %s: leave it out of --ops, or use a vault that was made "
                    "with it in --allow-ops",
                    cli->args[1], cli->args[0], cmk_out_ops(extra, refused), cmk_out_ops(info.allow_ops, allowed));
}

static cmk_rc create(cmk_cli *cli, cmk_vault *vault, cmk_bytes name)
{
    __attribute__((cleanup(put_login))) cmk_login *login = NULL;
    cmk_key_spec spec = {
        .name = name,
        .bits = cmk_cli_has(cli, CMK_OPT_SIZE) ? (unsigned)cli->number[CMK_OPT_SIZE] : KEY_BITS_DEFAULT,
        .ops = (uint32_t)cli->number[CMK_OPT_OPS],
        .not_before = cli->number[CMK_OPT_NOT_BEFORE],
        .expires = cli->number[CMK_OPT_EXPIRES],
        .tags = cli->tags,
        .tag_count = cli->tag_count,
    };
    cmk_rc rc = cmk_cli_login(cli, vault, &login);
    if (rc != CMK_OK)
        return rc;
    progress(true, spec.bits);
    rc = cmk_key_create(login, &spec, NULL);
    progress(false, spec.bits);
    cmk_login_end(login);
    return rc;
}

cmk_rc cmk_cli_key_create(cmk_cli *cli)
{
    CMK_CLI_VAULT_AUTO *vault = NULL;
    CMK_CLI_KEY_AUTO key = {.versions = NULL};
    cmk_key_info existing;
    cmk_bytes name = cmk_bytes_str(cli->args[1]);

    cmk_rc rc = cmk_name_check(CMK_NAME_KEY, name);
    if (rc == CMK_OK)
        rc = cmk_cli_open_vault(cli, &vault);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_key_find(vault, name, false, &existing);
    if (rc == CMK_OK)
        return cmk_fail(CMK_E_EXISTS, "key %s exists already in vault %s: choose another name, or rotate it",
                        cli->args[1], cli->args[0]);
    if (rc != CMK_E_NOT_FOUND)
        return rc;
    cmk_fail_clear();
    rc = check_ops(cli, vault);
    if (rc == CMK_OK)
        rc = create(cli, vault, name);
    if (rc == CMK_OK)
        rc = load_key(cli, vault, name, &key);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON))
        return cmk_out_json(cli, cmk_cli_key_json(cli->args[0], &key));
    char id[2 * CMK_ID_SIZE + 1] = "";
    if (key.count > 0)
        cmk_id_hex(&key.versions[0].id, id);
    cmk_out_line("Key %s is made in vault %s: RSA %u, version 1, id %s.", key.info.name, cli->args[0],
                 key.count > 0 ? key.versions[0].bits : 0, id);
    return CMK_OK;
}

static cmk_rc visit_json(void *ctx, const cmk_key_info *key)
{
    return cmk_json_append(ctx, cmk_cli_key_row_json(key));
}

static cmk_rc visit_row(void *ctx, const cmk_key_info *key)
{
    cmk_table *t = ctx;
    char when[CMK_TIME_TEXT], ops[CMK_OUT_OPS_SIZE];
    cmk_table_cell(t, "%s", key->name);
    cmk_table_cell(t, "%s", cmk_cli_key_state(key));
    cmk_table_cell(t, "%u", key->current);
    cmk_table_cell(t, "%u", key->versions);
    cmk_table_cell(t, "%s", cmk_out_ops(key->ops, ops));
    cmk_table_cell(t, "%s", cmk_out_time(key->created, when));
    cmk_table_cell(t, "%s", cmk_out_time(key->purge_at, when));
    return CMK_OK;
}

cmk_rc cmk_cli_key_list(cmk_cli *cli)
{
    static const char *const headers[] = {"NAME", "STATE", "CURRENT", "VERSIONS", "OPERATIONS", "CREATED", "PURGE DUE"};
    CMK_CLI_VAULT_AUTO *vault = NULL;
    bool deleted = cmk_cli_has(cli, CMK_OPT_DELETED);
    cmk_rc rc = cmk_cli_open_vault(cli, &vault);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON)) {
        CMK_JSON_AUTO *list = json_array();
        rc = cmk_key_list(vault, deleted, visit_json, list);
        return rc == CMK_OK ? cmk_out_json(cli, json_pack("{sO}", "keys", list)) : rc;
    }
    CMK_TABLE_AUTO table = CMK_TABLE_INIT;
    cmk_table_start(&table, headers, sizeof headers / sizeof headers[0]);
    rc = cmk_key_list(vault, deleted, visit_row, &table);
    return rc == CMK_OK ? cmk_table_print(&table, deleted ? "No deleted keys" : "No keys") : rc;
}

cmk_rc cmk_cli_key_show(cmk_cli *cli)
{
    CMK_CLI_VAULT_AUTO *vault = NULL;
    CMK_CLI_KEY_AUTO key = {.versions = NULL};
    cmk_cli_version_name version = {0, {{0}}};
    cmk_bytes name;
    bool given = false;

    cmk_rc rc = split_version(cli, cli->args[1], &name, &version, &given);
    if (rc == CMK_OK)
        rc = cmk_cli_open_vault(cli, &vault);
    key.only = given ? &version : NULL;
    if (rc == CMK_OK)
        rc = load_key(cli, vault, name, &key);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON))
        return cmk_out_json(cli, cmk_cli_key_json(cli->args[0], &key));
    cmk_cli_key_print(cli->args[0], &key);
    return CMK_OK;
}

cmk_rc cmk_cli_key_versions(cmk_cli *cli)
{
    CMK_CLI_VAULT_AUTO *vault = NULL;
    CMK_CLI_KEY_AUTO key = {.versions = NULL};

    cmk_rc rc = cmk_cli_open_vault(cli, &vault);
    if (rc == CMK_OK)
        rc = load_key(cli, vault, cmk_bytes_str(cli->args[1]), &key);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON))
        return cmk_out_json(cli, cmk_cli_key_json(cli->args[0], &key));
    return cmk_cli_versions_print(&key);
}
