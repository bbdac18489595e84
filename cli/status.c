/* cmk11 status: health of the store and of every vault, and what somebody should see to. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"
#include "util/clock.h"

#define DAY ((int64_t)24 * 60 * 60)
#define EXPIRY_WARNING (30 * DAY)
#define PIN_LOW 3    /* attempts left */
#define SHOWN_MAX 50 /* lines for people; --json gives all */

typedef struct report {
    cmk_vault_info *vaults;
    size_t count, capacity;
    size_t damaged;
    json_t *attention;
    const char *vault; /* at hand */
    cmk_rc rc;         /* of the visitor's own work */
} report;

/* Adds one thing to see to. key NULL and version 0: of the vault. */
static cmk_rc attend(report *r, const char *code, const char *key, uint32_t version, const char *fmt, ...)
    CMK_PRINTF(5, 6);
static cmk_rc attend(report *r, const char *code, const char *key, uint32_t version, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return cmk_json_append(r->attention, json_pack("{so so so ss so}", "vault", cmk_json_text(r->vault), "key",
                                                   key ? cmk_json_text(key) : json_null(), "version",
                                                   version != 0 ? json_integer(version) : json_null(), "code", code,
                                                   "message", cmk_json_text(text)));
}

static cmk_rc collect_vault(void *ctx, const cmk_vault_info *info)
{
    report *r = ctx;
    if (r->count == r->capacity) {
        size_t more = r->capacity == 0 ? 16 : r->capacity * 2;
        cmk_vault_info *vaults = realloc(r->vaults, more * sizeof *vaults);
        if (!vaults)
            return CMK_E_NO_MEMORY;
        r->vaults = vaults;
        r->capacity = more;
    }
    r->vaults[r->count++] = *info;
    return CMK_OK;
}

static cmk_rc damaged(report *r, cmk_vault_info *info, cmk_rc health)
{
    r->damaged++;
    info->health = health;
    return attend(r, cmk_rc_name(health), NULL, 0,
                  "the vault can't be used: %s; keep a copy of the store as it is, then see the diagnostics log",
                  cmk_rc_text(health));
}

static cmk_rc check_pin(report *r, cmk_vault *vault, const cmk_who *who, const char *title)
{
    cmk_pin_status status = {0};
    cmk_rc rc = cmk_pin_get_status(vault, who, &status);
    if (rc != CMK_OK)
        return rc;
    if (!status.set)
        return attend(r, "pin-not-set", NULL, 0, "%s is not set: nobody can log in with it", title);
    if (status.failures >= status.threshold)
        return attend(r, "pin-locked", NULL, 0, "%s is locked after %u wrong entries", title, status.failures);
    if (status.failures > 0 && status.threshold - status.failures <= PIN_LOW)
        return attend(r, "pin-low", NULL, 0, "%s locks after %u more wrong entries", title,
                      status.threshold - status.failures);
    return CMK_OK;
}

static cmk_rc check_version(report *r, const cmk_version_info *v)
{
    char when[CMK_TIME_TEXT];
    int64_t now = cmk_now();
    if (!v->key_enabled)
        return attend(r, "key-disabled", v->key_name, 0, "the key is disabled: it neither wraps nor unwraps");
    if (!v->enabled)
        return attend(r, "version-disabled", v->key_name, v->number,
                      "the current version is disabled: it does not wrap");
    if (v->expires != 0 && v->expires <= now)
        return attend(r, "expired", v->key_name, v->number, "the current version has expired on %s: it does not wrap",
                      cmk_time_text(v->expires, when));
    if (v->expires != 0 && v->expires - now <= EXPIRY_WARNING)
        return attend(r, "expires-soon", v->key_name, v->number, "the current version expires on %s",
                      cmk_time_text(v->expires, when));
    if (v->not_before > now)
        return attend(r, "not-yet-valid", v->key_name, v->number, "the current version does not wrap before %s",
                      cmk_time_text(v->not_before, when));
    return CMK_OK;
}

static cmk_rc visit_version(void *ctx, cmk_version *version)
{
    report *r = ctx;
    cmk_version_info info;
    cmk_rc rc = cmk_version_get_info(version, &info);
    if (rc == CMK_E_NOT_FOUND)
        return CMK_OK;
    if (rc != CMK_OK)
        return rc;
    r->rc = check_version(r, &info);
    return r->rc;
}

/* What is wrong with the vault itself ends up in *health; only the lack of memory is returned. */
static cmk_rc check_vault(report *r, cmk_vault *vault, cmk_rc *health)
{
    const cmk_who so = {CMK_WHO_SO, {NULL, 0}}, user = {CMK_WHO_USER, {NULL, 0}};
    r->rc = CMK_OK;
    *health = check_pin(r, vault, &so, "the SO PIN");
    if (*health == CMK_OK)
        *health = check_pin(r, vault, &user, "the PIN of user");
    if (*health == CMK_OK)
        *health = cmk_version_each(vault, false, visit_version, r);
    return *health == CMK_E_NO_MEMORY ? CMK_E_NO_MEMORY : r->rc;
}

static cmk_rc check(report *r, cmk_core *core, cmk_vault_info *info)
{
    CMK_CLI_VAULT_AUTO *vault = NULL;
    char when[CMK_TIME_TEXT];
    cmk_rc health = info->health;

    r->vault = info->name;
    if (health == CMK_OK && info->state == CMK_VAULT_DELETED)
        return attend(r, "deleted", NULL, 0, "the vault is deleted and can be recovered until %s",
                      cmk_out_time(info->purge_at, when));
    if (health == CMK_OK)
        health = cmk_vault_open_slot(core, info->slot, &vault);
    if (health == CMK_E_NOT_FOUND)
        return CMK_OK; /* deleted by somebody just now */
    if (health == CMK_OK) {
        cmk_rc rc = check_vault(r, vault, &health);
        if (rc != CMK_OK)
            return rc;
    }
    return health == CMK_OK ? CMK_OK : damaged(r, info, health);
}

static const char *overall(const report *r)
{
    if (r->damaged > 0)
        return "damaged";
    return json_array_size(r->attention) > 0 ? "attention" : "ok";
}

static cmk_rc print_json(cmk_cli *cli, const report *r)
{
    CMK_JSON_AUTO *vaults = json_array();
    for (size_t i = 0; i < r->count; i++) {
        cmk_rc rc = cmk_json_append(vaults, cmk_json_vault(&r->vaults[i]));
        if (rc != CMK_OK)
            return rc;
    }
    return cmk_out_json(cli, json_pack("{ss so so ss sO sO}", "version", cmk_cli_version(), "store",
                                       cmk_json_text(cli->config->store), "configuration",
                                       cli->config->path ? cmk_json_text(cli->config->path) : json_null(), "health",
                                       overall(r), "vaults", vaults, "attention", r->attention));
}

static void print_thing(const json_t *thing)
{
    const char *key = json_string_value(json_object_get(thing, "key"));
    json_int_t version = json_integer_value(json_object_get(thing, "version"));
    char number[32] = "";
    if (version != 0)
        (void)snprintf(number, sizeof number, "/%lld", (long long)version);
    cmk_out_line("  %s%s%s%s: %s", json_string_value(json_object_get(thing, "vault")), key ? " " : "", key ? key : "",
                 number, json_string_value(json_object_get(thing, "message")));
}

static cmk_rc print_text(cmk_cli *cli, const report *r)
{
    static const char *const headers[] = {"VAULT", "SLOT", "STATE", "KEYS", "PURGE PROTECTED"};
    CMK_TABLE_AUTO table = CMK_TABLE_INIT;
    cmk_out_field("cmk11:", "%s", cmk_cli_version());
    cmk_out_field("Store:", "%s", cli->config->store);
    cmk_out_field("Configuration:", "%s", cli->config->path ? cli->config->path : "built-in defaults");
    cmk_out_field("Health:", "%s", overall(r));
    (void)fputc('\n', stdout);
    cmk_table_start(&table, headers, sizeof headers / sizeof headers[0]);
    for (size_t i = 0; i < r->count; i++) {
        cmk_table_cell(&table, "%s", r->vaults[i].name);
        cmk_out_slot_cell(&table, &r->vaults[i]);
        cmk_table_cell(&table, "%s", cmk_out_vault_state(&r->vaults[i]));
        cmk_table_cell(&table, "%u", r->vaults[i].keys);
        cmk_table_cell(&table, "%s", cmk_out_yes(r->vaults[i].purge_protection));
    }
    cmk_rc rc = cmk_table_print(&table, "No vaults: make one with cmk11 vault init NAME");
    size_t things = json_array_size(r->attention);
    if (rc != CMK_OK || things == 0)
        return rc;
    (void)fputs("\nNeeds attention:\n", stdout);
    for (size_t i = 0; i < things && i < SHOWN_MAX; i++)
        print_thing(json_array_get(r->attention, i));
    if (things > SHOWN_MAX)
        cmk_out_line("  and %zu more: see cmk11 status --json", things - SHOWN_MAX);
    return CMK_OK;
}

cmk_rc cmk_cli_status(cmk_cli *cli)
{
    CMK_JSON_AUTO *attention = json_array();
    report r = {.attention = attention, .rc = CMK_OK};

    cmk_rc rc = attention ? cmk_vault_list(cli->core, true, collect_vault, &r) : CMK_E_NO_MEMORY;
    for (size_t i = 0; rc == CMK_OK && i < r.count; i++)
        rc = check(&r, cli->core, &r.vaults[i]);
    if (rc == CMK_OK)
        rc = cmk_cli_has(cli, CMK_OPT_JSON) ? print_json(cli, &r) : print_text(cli, &r);
    if (rc == CMK_OK && r.damaged > 0)
        rc = cmk_fail(CMK_E_TAMPERED, "%zu of %zu vaults can't be used: see what status says of each", r.damaged,
                      r.count);
    free(r.vaults);
    return rc;
}
