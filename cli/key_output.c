/* Keys and versions as text and as JSON. */
#include <stdlib.h>

#include "cli/key.h"
#include "util/clock.h"

void cmk_cli_key_free(cmk_cli_key *key)
{
    free(key->versions);
    key->versions = NULL;
    key->count = key->capacity = 0;
}

const char *cmk_cli_key_state(const cmk_key_info *key)
{
    if (key->deleted_at != 0)
        return "deleted";
    return key->enabled ? "enabled" : "disabled";
}

const char *cmk_cli_version_state(const cmk_version_info *version)
{
    int64_t now = cmk_now();
    if (!version->enabled || !version->key_enabled)
        return "disabled";
    if (version->not_before != 0 && now < version->not_before)
        return "not-yet-valid";
    return version->expires != 0 && now >= version->expires ? "expired" : "enabled";
}

static json_t *tags_json(const cmk_key_info *key)
{
    CMK_JSON_AUTO *tags = json_object();
    for (size_t i = 0; i < key->tag_count; i++) {
        if (json_object_set_new(tags, key->tags[i].name, cmk_json_text(key->tags[i].value)) != 0)
            return NULL;
    }
    return json_incref(tags);
}

json_t *cmk_cli_key_row_json(const cmk_key_info *key)
{
    return json_pack("{so so ss sb si si so so so so so sI sI sI so}", "name", cmk_json_text(key->name), "id",
                     cmk_json_id(&key->id), "state", cmk_cli_key_state(key), "enabled", (int)key->enabled, "current",
                     (int)key->current, "versions", (int)key->versions, "ops", cmk_json_ops(key->ops), "created",
                     cmk_json_time(key->created), "changed", cmk_json_time(key->changed), "deleted_at",
                     cmk_json_time(key->deleted_at), "purge_at", cmk_json_time(key->purge_at), "rotate_every",
                     (json_int_t)key->rotate_every, "rotate_before_expiry", (json_int_t)key->rotate_before_expiry,
                     "expires_in", (json_int_t)key->expires_in, "tags", tags_json(key));
}

static json_t *version_json(const cmk_version_info *v)
{
    return json_pack("{so si si sb sb ss ss so so so so}", "id", cmk_json_id(&v->id), "version", (int)v->number, "bits",
                     (int)v->bits, "enabled", (int)v->enabled, "current", (int)v->current, "state",
                     cmk_cli_version_state(v), "origin", v->origin == CMK_ORIGIN_IMPORTED ? "imported" : "generated",
                     "created", cmk_json_time(v->created), "not_before", cmk_json_time(v->not_before), "expires",
                     cmk_json_time(v->expires), "cka_id", cmk_json_bytes(cmk_bytes_of(v->cka_id, v->cka_id_len)));
}

json_t *cmk_cli_key_json(const char *vault, const cmk_cli_key *key)
{
    CMK_JSON_AUTO *object = cmk_cli_key_row_json(&key->info);
    CMK_JSON_AUTO *versions = json_array();
    for (size_t i = 0; i < key->count; i++) {
        if (cmk_json_append(versions, version_json(&key->versions[i])) != CMK_OK)
            return NULL;
    }
    if (!object || json_object_set_new(object, "vault", cmk_json_text(vault)) != 0 ||
        json_object_set(object, "versions", versions) != 0)
        return NULL;
    return json_incref(object);
}

static void version_print(const cmk_version_info *v)
{
    char id[2 * CMK_ID_SIZE + 1], cka_id[2 * CMK_CKA_ID_MAX + 1], when[CMK_TIME_TEXT];
    cmk_out_field("Version:", "%u%s", v->number, v->current ? " (current)" : "");
    cmk_out_field("  Id:", "%s", cmk_id_hex(&v->id, id));
    if (v->cka_id_len <= sizeof v->cka_id)
        cmk_out_field("  CKA_ID:", "%s", cmk_hex(cmk_bytes_of(v->cka_id, v->cka_id_len), cka_id));
    cmk_out_field("  State:", "%s", cmk_cli_version_state(v));
    cmk_out_field("  Type:", "RSA %u, %s", v->bits, v->origin == CMK_ORIGIN_IMPORTED ? "imported" : "generated here");
    cmk_out_field("  Created:", "%s", cmk_out_time(v->created, when));
    cmk_out_field("  Not before:", "%s", cmk_out_time(v->not_before, when));
    cmk_out_field("  Expires:", "%s", cmk_out_time(v->expires, when));
}

void cmk_cli_key_print(const char *vault, const cmk_cli_key *key)
{
    char id[2 * CMK_ID_SIZE + 1], when[CMK_TIME_TEXT], ops[CMK_OUT_OPS_SIZE];
    const cmk_key_info *info = &key->info;
    cmk_out_field("Name:", "%s", info->name);
    cmk_out_field("Vault:", "%s", vault);
    cmk_out_field("Id:", "%s", cmk_id_hex(&info->id, id));
    cmk_out_field("State:", "%s", cmk_cli_key_state(info));
    cmk_out_field("Operations:", "%s", cmk_out_ops(info->ops, ops));
    cmk_out_field("Created:", "%s", cmk_out_time(info->created, when));
    cmk_out_field("Changed:", "%s", cmk_out_time(info->changed, when));
    if (info->deleted_at != 0) {
        cmk_out_field("Deleted:", "%s", cmk_out_time(info->deleted_at, when));
        cmk_out_field("Purge due:", "%s", cmk_out_time(info->purge_at, when));
    }
    for (size_t i = 0; i < info->tag_count; i++)
        cmk_out_field("Tag:", "%s=%s", info->tags[i].name, info->tags[i].value);
    cmk_out_field("Versions:", "%u", info->versions);
    for (size_t i = 0; i < key->count; i++) {
        if (key->only || key->versions[i].current)
            version_print(&key->versions[i]);
    }
}

cmk_rc cmk_cli_versions_print(const cmk_cli_key *key)
{
    static const char *const headers[] = {"VERSION", "ID", "TYPE", "STATE", "CREATED", "NOT BEFORE", "EXPIRES"};
    CMK_TABLE_AUTO table = CMK_TABLE_INIT;
    char id[2 * CMK_ID_SIZE + 1], when[CMK_TIME_TEXT];
    cmk_table_start(&table, headers, sizeof headers / sizeof headers[0]);
    for (size_t i = 0; i < key->count; i++) {
        const cmk_version_info *v = &key->versions[i];
        cmk_table_cell(&table, "%u%s", v->number, v->current ? " *" : "");
        cmk_table_cell(&table, "%s", cmk_id_hex(&v->id, id));
        cmk_table_cell(&table, "RSA %u", v->bits);
        cmk_table_cell(&table, "%s", cmk_cli_version_state(v));
        cmk_table_cell(&table, "%s", cmk_out_time(v->created, when));
        cmk_table_cell(&table, "%s", cmk_out_time(v->not_before, when));
        cmk_table_cell(&table, "%s", cmk_out_time(v->expires, when));
    }
    return cmk_table_print(&table, "No versions");
}
