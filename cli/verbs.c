#include "cli/verbs.h"

#include <string.h>

const cmk_cli_verb cmk_cli_verbs[] = {
    {"vault",
     "init",
     {CMK_ARG_NEW_VAULT},
     {CMK_OPT_RETENTION_DAYS, CMK_OPT_PURGE_PROTECTION, CMK_OPT_ALLOW_OPS, CMK_OPT_PIN_FILE, CMK_OPT_SO_PIN_FILE},
     "make a vault, and the store if there is none",
     "Takes both PINs as the vault's new ones: the SO's, who administers, and that of `user`, who makes and uses "
     "keys.\n"
     "Purge protection can't be switched off again.",
     "cmk11 vault init payroll --purge-protection",
     true,
     cmk_cli_vault_init},
    {"vault",
     "list",
     {CMK_ARG_NONE},
     {CMK_OPT_NONE},
     "list the vaults, deleted ones included",
     NULL,
     "cmk11 vault list --json",
     false,
     cmk_cli_vault_list},
    {"vault",
     "show",
     {CMK_ARG_VAULT_NAME},
     {CMK_OPT_NONE},
     "show a vault's settings and the state of its PINs",
     NULL,
     "cmk11 vault show payroll",
     false,
     cmk_cli_vault_show},
    {"vault",
     "key-fingerprint",
     {CMK_ARG_VAULT_NAME},
     {CMK_OPT_NONE},
     "print the fingerprint of the key that signs a vault",
     "A line `vault-key NAME = FINGERPRINT` in cmk11.conf(5) pins it.",
     "cmk11 vault key-fingerprint payroll",
     false,
     cmk_cli_vault_fingerprint},
    {"key",
     "create",
     {CMK_ARG_VAULT, CMK_ARG_NEW_KEY},
     {CMK_OPT_SIZE, CMK_OPT_OPS, CMK_OPT_NOT_BEFORE, CMK_OPT_EXPIRES, CMK_OPT_TAG, CMK_OPT_USER, CMK_OPT_PIN_FILE},
     "make a key (an RSA pair that wraps and unwraps)",
     "Acts as the officer `user`, or as --user says.\n"
     "T is a time (2027-01-31T12:00:00Z), a date (2027-01-31), or +N and a unit s, m, h, d or y from now (+90d).",
     "cmk11 key create payroll orders --size 3072 --expires +1y --tag owner=dba",
     false,
     cmk_cli_key_create},
    {"key",
     "list",
     {CMK_ARG_VAULT},
     {CMK_OPT_DELETED},
     "list a vault's keys",
     NULL,
     "cmk11 key list payroll",
     false,
     cmk_cli_key_list},
    {"key",
     "show",
     {CMK_ARG_VAULT, CMK_ARG_KEY_VERSION},
     {CMK_OPT_NONE},
     "show a key, or one version of it",
     "VERSION is a number (1, 2, 3 ...) or the version's id in hex.",
     "cmk11 key show payroll orders/2",
     false,
     cmk_cli_key_show},
    {"key",
     "versions",
     {CMK_ARG_VAULT, CMK_ARG_KEY},
     {CMK_OPT_NONE},
     "list a key's versions, newest first",
     NULL,
     "cmk11 key versions payroll orders",
     false,
     cmk_cli_key_versions},
    {"store",
     "group",
     {CMK_ARG_GROUP},
     {CMK_OPT_NONE},
     "share the store among the members of a Unix group",
     "Opens directory and files to that group (modes 2770 and 0660); `none` takes it back (0700 and 0600).\n"
     "Only the owner of the store or root can. PINs and roles protect the keys as before.",
     "cmk11 store group hsm-users",
     false,
     cmk_cli_store_group},
    {"status",
     NULL,
     {CMK_ARG_NONE},
     {CMK_OPT_NONE},
     "health of the store and of every vault, and what needs attention",
     "Exit status 1 when the store or a vault is damaged.",
     "cmk11 status",
     false,
     cmk_cli_status},
    {"help",
     NULL,
     {CMK_ARG_COMMAND, CMK_ARG_COMMAND},
     {CMK_OPT_NONE},
     "explain a command",
     NULL,
     "cmk11 help key create",
     true,
     cmk_cli_help},
    {NULL, NULL, {CMK_ARG_NONE}, {CMK_OPT_NONE}, NULL, NULL, NULL, false, NULL},
};

const cmk_cli_verb *cmk_cli_verb_find(const char *noun, const char *verb)
{
    for (const cmk_cli_verb *v = cmk_cli_verbs; v->noun; v++) {
        if (strcmp(v->noun, noun) != 0)
            continue;
        if (!v->verb || (verb && strcmp(v->verb, verb) == 0))
            return v;
    }
    return NULL;
}

bool cmk_cli_noun_exists(const char *noun)
{
    for (const cmk_cli_verb *v = cmk_cli_verbs; v->noun; v++) {
        if (strcmp(v->noun, noun) == 0)
            return true;
    }
    return false;
}
