/* cmk11 vault … */
#include <string.h>

#include "cli/output.h"
#include "cli/pin.h"

/* Says that a live vault has the name before anybody is asked for PINs. */
static cmk_rc check_free(cmk_cli *cli, cmk_bytes name)
{
    cmk_core *core = NULL;
    CMK_CLI_VAULT_AUTO *vault = NULL;
    cmk_rc rc = cmk_core_open(cli->config, false, &core);
    if (rc == CMK_OK)
        rc = cmk_vault_open_name(core, name, &vault);
    if (rc == CMK_OK)
        rc = cmk_fail(CMK_E_EXISTS, "vault %s exists already in %s: choose another name", cli->args[0],
                      cli->config->store);
    else if (rc == CMK_E_NOT_FOUND)
        rc = CMK_OK;
    cmk_vault_put(vault);
    vault = NULL;
    cmk_core_close(core);
    return rc;
}

cmk_rc cmk_cli_vault_init(cmk_cli *cli)
{
    CMK_SECRET_AUTO so_pin = CMK_SECRET_INIT;
    CMK_SECRET_AUTO user_pin = CMK_SECRET_INIT;
    cmk_vault_info info;
    cmk_vault_spec spec = {
        .name = cmk_bytes_str(cli->args[0]),
        .retention_days = (uint32_t)cli->number[CMK_OPT_RETENTION_DAYS],
        .purge_protection = cmk_cli_has(cli, CMK_OPT_PURGE_PROTECTION),
        .allow_ops = (uint32_t)cli->number[CMK_OPT_ALLOW_OPS],
    };

    cmk_rc rc = cmk_name_check(CMK_NAME_VAULT, spec.name);
    if (rc == CMK_OK)
        rc = check_free(cli, spec.name);
    if (rc == CMK_OK)
        rc = cmk_cli_pin_get(cli, CMK_CLI_PIN_SO, NULL, true, &so_pin);
    if (rc == CMK_OK)
        rc = cmk_cli_pin_get(cli, CMK_CLI_PIN_USER, NULL, true, &user_pin);
    if (rc != CMK_OK)
        return rc;
    cmk_fail_clear();
    spec.so_pin = cmk_secret_view(&so_pin);
    spec.user_pin = cmk_secret_view(&user_pin);
    rc = cmk_core_open(cli->config, true, &cli->core);
    if (rc == CMK_OK)
        rc = cmk_vault_create(cli->core, &spec, CMK_SLOT_ANY, &info);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON))
        return cmk_out_json(cli, cmk_json_vault(&info));
    cmk_out_line("Vault %s is made in %s: slot %u, serial number %s.", info.name, cli->config->store, info.slot,
                 info.serial);
    cmk_out_line("Fingerprint %s", info.fingerprint);
    return CMK_OK;
}

static cmk_rc visit_json(void *ctx, const cmk_vault_info *info)
{
    return cmk_json_append(ctx, cmk_json_vault(info));
}

static cmk_rc visit_row(void *ctx, const cmk_vault_info *info)
{
    cmk_table *t = ctx;
    char when[CMK_TIME_TEXT];
    cmk_out_slot_cell(t, info);
    cmk_table_cell(t, "%s", info->name);
    cmk_table_cell(t, "%s", cmk_out_vault_state(info));
    cmk_table_cell(t, "%u", info->keys);
    cmk_table_cell(t, "%u days", info->retention_days);
    cmk_table_cell(t, "%s", cmk_out_yes(info->purge_protection));
    cmk_table_cell(t, "%s", cmk_out_time(info->created, when));
    cmk_table_cell(t, "%s", info->serial);
    return CMK_OK;
}

cmk_rc cmk_cli_vault_list(cmk_cli *cli)
{
    static const char *const headers[] = {"SLOT",    "NAME",         "STATE", "KEYS", "RETENTION", "PURGE PROTECTED",
                                          "CREATED", "SERIAL NUMBER"};
    if (cmk_cli_has(cli, CMK_OPT_JSON)) {
        CMK_JSON_AUTO *list = json_array();
        cmk_rc rc = cmk_vault_list(cli->core, true, visit_json, list);
        return rc == CMK_OK ? cmk_out_json(cli, json_pack("{sO}", "vaults", list)) : rc;
    }
    CMK_TABLE_AUTO table = CMK_TABLE_INIT;
    cmk_table_start(&table, headers, sizeof headers / sizeof headers[0]);
    cmk_rc rc = cmk_vault_list(cli->core, true, visit_row, &table);
    return rc == CMK_OK ? cmk_table_print(&table, "No vaults: make one with cmk11 vault init NAME") : rc;
}

static json_t *pin_json(const cmk_pin_status *status)
{
    return json_pack("{sb si si sb}", "set", (int)status->set, "failures", (int)status->failures, "threshold",
                     (int)status->threshold, "locked", (int)(status->failures >= status->threshold));
}

static void pin_field(const char *label, const cmk_pin_status *status)
{
    if (!status->set)
        cmk_out_field(label, "not set");
    else if (status->failures >= status->threshold)
        cmk_out_field(label, "locked after %u wrong entries", status->failures);
    else
        cmk_out_field(label, "set, %u of %u wrong entries", status->failures, status->threshold);
}

static void print_vault(const cmk_vault_info *info, const cmk_pin_status *so, const cmk_pin_status *user)
{
    char id[2 * CMK_ID_SIZE + 1], when[CMK_TIME_TEXT], ops[CMK_OUT_OPS_SIZE];
    cmk_out_field("Name:", "%s", info->name);
    cmk_out_field("Id:", "%s", cmk_id_hex(&info->id, id));
    cmk_out_field("Slot:", "%u", info->slot);
    cmk_out_field("Serial number:", "%s", info->serial);
    cmk_out_field("State:", "%s", cmk_out_vault_state(info));
    cmk_out_field("Created:", "%s", cmk_out_time(info->created, when));
    cmk_out_field("Keys:", "%u", info->keys);
    cmk_out_field("Retention:", "%u days", info->retention_days);
    cmk_out_field("Purge protection:", "%s", info->purge_protection ? "on" : "off");
    cmk_out_field("Allowed operations:", "%s", cmk_out_ops(info->allow_ops, ops));
    cmk_out_field("Wrap without login:", "%s", cmk_out_yes(info->wrap_without_login));
    pin_field("SO PIN:", so);
    pin_field("PIN of user:", user);
    cmk_out_field("Fingerprint:", "%s", info->fingerprint);
}

cmk_rc cmk_cli_vault_show(cmk_cli *cli)
{
    CMK_CLI_VAULT_AUTO *vault = NULL;
    cmk_vault_info info;
    cmk_pin_status so = {0}, user = {0};
    const cmk_who so_who = {CMK_WHO_SO, {NULL, 0}}, user_who = {CMK_WHO_USER, {NULL, 0}};

    cmk_rc rc = cmk_cli_open_vault(cli, &vault);
    if (rc == CMK_OK)
        rc = cmk_vault_get_info(vault, &info);
    if (rc == CMK_OK)
        rc = cmk_pin_get_status(vault, &so_who, &so);
    if (rc == CMK_OK)
        rc = cmk_pin_get_status(vault, &user_who, &user);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON)) {
        CMK_JSON_AUTO *object = cmk_json_vault(&info);
        CMK_JSON_AUTO *pins = json_pack("{s{so so}}", "pins", "so", pin_json(&so), "user", pin_json(&user));
        if (!object || !pins || json_object_update(object, pins) != 0)
            return CMK_E_NO_MEMORY;
        return cmk_out_json(cli, json_incref(object));
    }
    print_vault(&info, &so, &user);
    return CMK_OK;
}

cmk_rc cmk_cli_vault_fingerprint(cmk_cli *cli)
{
    CMK_CLI_VAULT_AUTO *vault = NULL;
    cmk_vault_info info;
    cmk_rc rc = cmk_cli_open_vault(cli, &vault);
    if (rc == CMK_OK)
        rc = cmk_vault_get_info(vault, &info);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON))
        return cmk_out_json(cli, json_pack("{so so}", "name", cmk_json_text(info.name), "fingerprint",
                                           cmk_json_text(info.fingerprint)));
    cmk_out_line("%s", info.fingerprint);
    return CMK_OK;
}
