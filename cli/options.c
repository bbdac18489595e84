#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/help.h"
#include "util/clock.h"

#define WORD_SIZE 512

static cmk_rc parse_retention(cmk_cli *cli, cmk_cli_opt option, const char *value)
{
    char *end = NULL;
    errno = 0;
    long days = strtol(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || days < CMK_RETENTION_DAYS_MIN ||
        days > CMK_RETENTION_DAYS_MAX)
        return cmk_cli_usage(cli, "--retention-days: give a whole number from %d to %d", CMK_RETENTION_DAYS_MIN,
                             CMK_RETENTION_DAYS_MAX);
    cli->number[option] = days;
    return CMK_OK;
}

static cmk_rc parse_size(cmk_cli *cli, cmk_cli_opt option, const char *value)
{
    static const struct {
        const char *text;
        int64_t bits;
    } sizes[] = {{"2048", 2048}, {"3072", 3072}, {"4096", 4096}};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (strcmp(sizes[i].text, value) == 0) {
            cli->number[option] = sizes[i].bits;
            return CMK_OK;
        }
    }
    return cmk_cli_usage(cli, "--size: a key has 2048, 3072 or 4096 bits");
}

static cmk_rc parse_ops(cmk_cli *cli, cmk_cli_opt option, const char *value)
{
    uint32_t ops = 0;
    cmk_fail_clear();
    if (cmk_ops_parse(value, &ops) == CMK_OK && ops != 0) {
        cli->number[option] = (int64_t)ops;
        return CMK_OK;
    }
    return cmk_cli_usage(cli, "--%s: give operations separated by commas, of wrapKey, unwrapKey and decrypt",
                         cmk_cli_options[option].name);
}

static cmk_rc parse_time(cmk_cli *cli, cmk_cli_opt option, const char *value)
{
    int64_t t = 0;
    cmk_fail_clear();
    if (cmk_time_parse(value, cmk_now(), &t) == CMK_OK && t > 0) {
        cli->number[option] = t;
        return CMK_OK;
    }
    return cmk_cli_usage(cli, "--%s: give a time after 1970 as 2027-01-31T12:00:00Z, 2027-01-31 or +90d",
                         cmk_cli_options[option].name);
}

static cmk_rc parse_tag(cmk_cli *cli, cmk_cli_opt option, const char *value)
{
    (void)option;
    const char *equals = strchr(value, '=');
    size_t name_len = equals ? (size_t)(equals - value) : 0;
    if (name_len == 0 || name_len > CMK_TAG_NAME_MAX || strlen(equals + 1) > CMK_TAG_VALUE_MAX)
        return cmk_cli_usage(cli, "--tag: give NAME=VALUE with a name of 1 to %d bytes and a value of at most %d",
                             CMK_TAG_NAME_MAX, CMK_TAG_VALUE_MAX);
    if (!cmk_utf8_valid(cmk_bytes_str(value)))
        return cmk_cli_usage(cli, "--tag: names and values of tags are UTF-8 text");
    if (cli->tag_count == CMK_TAGS_MAX)
        return cmk_cli_usage(cli, "--tag: a key has at most %d tags", CMK_TAGS_MAX);
    for (size_t i = 0; i < cli->tag_count; i++) {
        if (strlen(cli->tags[i].name) == name_len && memcmp(cli->tags[i].name, value, name_len) == 0)
            return cmk_cli_usage(cli, "--tag: the tag %s is given twice", cli->tags[i].name);
    }
    cmk_tag *tag = &cli->tags[cli->tag_count++];
    memcpy(tag->name, value, name_len);
    tag->name[name_len] = '\0';
    memcpy(tag->value, equals + 1, strlen(equals + 1) + 1);
    return CMK_OK;
}

const cmk_cli_option cmk_cli_options[CMK_OPT_COUNT] = {
    [CMK_OPT_NONE] = {"", NULL, NULL, false, false, "", NULL},
    [CMK_OPT_HELP] = {"help", NULL, NULL, false, true, "explain the command", NULL},
    [CMK_OPT_JSON] = {"json", NULL, NULL, false, true, "print one JSON object", NULL},
    [CMK_OPT_VERSION] = {"version", NULL, NULL, false, true, "print the release number", NULL},
    [CMK_OPT_RETENTION_DAYS] = {"retention-days", "7..90", "7 30 90", false, false,
                                "how long what was deleted can be recovered (90)", parse_retention},
    [CMK_OPT_PURGE_PROTECTION] = {"purge-protection", NULL, NULL, false, false,
                                  "nothing deleted goes before its time, whoever asks", NULL},
    [CMK_OPT_ALLOW_OPS] = {"allow-ops", "LIST", "wrapKey,unwrapKey wrapKey,unwrapKey,decrypt", false, false,
                           "what keys may be made for (wrapKey,unwrapKey); also: decrypt", parse_ops},
    [CMK_OPT_SIZE] = {"size", "2048|3072|4096", "2048 3072 4096", false, false, "bits of the RSA modulus (3072)",
                      parse_size},
    [CMK_OPT_OPS] = {"ops", "LIST", "wrapKey wrapKey,unwrapKey wrapKey,unwrapKey,decrypt", false, false,
                     "what the key may be used for (wrapKey,unwrapKey)", parse_ops},
    [CMK_OPT_NOT_BEFORE] = {"not-before", "T", NULL, false, false, "the key does not wrap before T", parse_time},
    [CMK_OPT_EXPIRES] = {"expires", "T", NULL, false, false, "the key does not wrap from T on", parse_time},
    [CMK_OPT_TAG] = {"tag", "NAME=VALUE", NULL, false, true, "a tag; up to 15", parse_tag},
    [CMK_OPT_DELETED] = {"deleted", NULL, NULL, false, false, "list the deleted keys", NULL},
    [CMK_OPT_USER] = {"user", "NAME", NULL, false, false, "act as this principal", NULL},
    [CMK_OPT_PIN_FILE] = {"pin-file", "FILE", NULL, true, false,
                          "read the PIN from FILE (else $CMK11_PIN, else a prompt)", NULL},
    [CMK_OPT_SO_PIN_FILE] = {"so-pin-file", "FILE", NULL, true, false,
                             "read the SO PIN from FILE (else $CMK11_SO_PIN, else a prompt)", NULL},
};

static const char *const arg_placeholders[CMK_ARG_COUNT] = {
    [CMK_ARG_NONE] = "",
    [CMK_ARG_NEW_VAULT] = "NAME",
    [CMK_ARG_VAULT_NAME] = "NAME",
    [CMK_ARG_VAULT] = "VAULT",
    [CMK_ARG_NEW_KEY] = "KEY",
    [CMK_ARG_KEY] = "KEY",
    [CMK_ARG_KEY_VERSION] = "KEY[/VERSION]",
    [CMK_ARG_GROUP] = "GROUP|none",
    [CMK_ARG_COMMAND] = "[COMMAND]",
};

const char *cmk_cli_arg_placeholder(cmk_cli_arg arg)
{
    return arg < CMK_ARG_COUNT ? arg_placeholders[arg] : "";
}

size_t cmk_cli_args_max(const cmk_cli_verb *verb)
{
    size_t n = 0;
    while (verb->args[n] != CMK_ARG_NONE)
        n++;
    return n;
}

size_t cmk_cli_args_min(const cmk_cli_verb *verb)
{
    size_t n = 0;
    while (verb->args[n] != CMK_ARG_NONE && verb->args[n] != CMK_ARG_COMMAND)
        n++;
    return n;
}

bool cmk_cli_option_allowed(const cmk_cli_verb *verb, cmk_cli_opt option)
{
    if (option == CMK_OPT_HELP || option == CMK_OPT_JSON)
        return true;
    if (!verb)
        return option == CMK_OPT_VERSION;
    for (size_t i = 0; verb->options[i] != CMK_OPT_NONE; i++) {
        if (verb->options[i] == option)
            return true;
    }
    return false;
}

cmk_cli_opt cmk_cli_option_find(const cmk_cli_verb *verb, const char *name, size_t len)
{
    for (unsigned i = CMK_OPT_NONE + 1; i < CMK_OPT_COUNT; i++) {
        const char *known = cmk_cli_options[i].name;
        if (cmk_cli_option_allowed(verb, (cmk_cli_opt)i) && strlen(known) == len && memcmp(known, name, len) == 0)
            return (cmk_cli_opt)i;
    }
    return CMK_OPT_NONE;
}

/* The value of `--name=value` never goes into the message: `--pin=1234` must not end up in a log. */
static cmk_rc unknown_option(cmk_cli *cli, const char *word, size_t len)
{
    char shown[WORD_SIZE];
    cmk_printable(cmk_bytes_of(word, len), shown, sizeof shown);
    const char *words[CMK_OPT_COUNT] = {NULL};
    for (unsigned i = CMK_OPT_NONE + 1; i < CMK_OPT_COUNT; i++) {
        if (cmk_cli_option_allowed(cli->verb, (cmk_cli_opt)i))
            words[i] = cmk_cli_options[i].name;
    }
    const char *nearest = NULL;
    if (len > 2 && word[1] == '-')
        nearest = cmk_cli_nearest(word + 2, len - 2, words, CMK_OPT_COUNT);
    const char *noun = cli->noun ? cli->noun : "";
    const char *verb = cli->verb && cli->verb->verb ? cli->verb->verb : "";
    const char *gap1 = *noun ? " " : "", *gap2 = *verb ? " " : "";
    if (nearest)
        return cmk_cli_usage(cli, "unknown option %s: did you mean --%s? See cmk11%s%s%s%s --help", shown, nearest,
                             gap1, noun, gap2, verb);
    return cmk_cli_usage(cli, "unknown option %s: see cmk11%s%s%s%s --help", shown, gap1, noun, gap2, verb);
}

/* Takes the option at argv[*i], and its value from there or from the word behind. */
static cmk_rc take_option(cmk_cli *cli, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    if (strcmp(word, "-h") == 0)
        word = "--help";
    size_t len = strcspn(word, "=");
    if (word[1] != '-')
        return unknown_option(cli, word, len < 2 ? len : 2);
    cmk_cli_opt option = cmk_cli_option_find(cli->verb, word + 2, len - 2);
    if (option == CMK_OPT_NONE)
        return unknown_option(cli, word, len);
    const cmk_cli_option *o = &cmk_cli_options[option];
    if (cli->value[option] && !o->repeats)
        return cmk_cli_usage(cli, "--%s is given twice", o->name);
    const char *value = word[len] == '=' ? word + len + 1 : NULL;
    if (!o->placeholder) {
        if (value)
            return cmk_cli_usage(cli, "--%s takes no value", o->name);
        value = "";
    } else if (!value) {
        if (*i + 1 >= argc)
            return cmk_cli_usage(cli, "--%s needs a value: --%s %s", o->name, o->name, o->placeholder);
        value = argv[++*i];
    }
    cli->value[option] = value;
    return o->parse ? o->parse(cli, option, value) : CMK_OK;
}

static cmk_rc unknown_word(cmk_cli *cli, const char *noun, const char *word)
{
    const char *words[64] = {NULL};
    size_t n = 0;
    for (const cmk_cli_verb *v = cmk_cli_verbs; v->noun && n < sizeof words / sizeof words[0]; v++) {
        if (!noun)
            words[n++] = v->noun;
        else if (strcmp(v->noun, noun) == 0)
            words[n++] = v->verb;
    }
    const char *nearest = cmk_cli_nearest(word, strlen(word), words, n);
    char shown[WORD_SIZE];
    cmk_printable(cmk_bytes_str(word), shown, sizeof shown);
    const char *gap = noun ? " " : "";
    noun = noun ? noun : "";
    if (nearest)
        return cmk_cli_usage(cli, "unknown command \"%s%s%s\": did you mean cmk11 %s%s%s? See cmk11 --help", noun, gap,
                             shown, noun, gap, nearest);
    return cmk_cli_usage(cli, "unknown command \"%s%s%s\": see cmk11%s%s --help", noun, gap, shown, gap, noun);
}

/* Reads options up to the next word. */
static cmk_rc take_leading(cmk_cli *cli, int argc, char **argv, int *i)
{
    for (; *i < argc && argv[*i][0] == '-' && argv[*i][1] != '\0'; ++*i) {
        cmk_rc rc = take_option(cli, argc, argv, i);
        if (rc != CMK_OK)
            return rc;
    }
    return CMK_OK;
}

/* Finds the command's row. Without one, --help or --version must have been given. */
static cmk_rc take_command(cmk_cli *cli, int argc, char **argv, int *i)
{
    char words[WORD_SIZE];
    cmk_rc rc = take_leading(cli, argc, argv, i);
    if (rc != CMK_OK)
        return rc;
    bool enough = cmk_cli_has(cli, CMK_OPT_HELP) || cmk_cli_has(cli, CMK_OPT_VERSION);
    if (*i >= argc)
        return enough ? CMK_OK : cmk_cli_usage(cli, "no command: see cmk11 --help");
    const char *noun = argv[(*i)++];
    if (!cmk_cli_noun_exists(noun))
        return unknown_word(cli, NULL, noun);
    cli->noun = noun;
    cli->verb = cmk_cli_verb_find(noun, NULL);
    if (cli->verb)
        return CMK_OK;
    rc = take_leading(cli, argc, argv, i);
    if (rc != CMK_OK)
        return rc;
    if (*i >= argc) {
        cmk_cli_help_words(noun, words, sizeof words);
        return cmk_cli_has(cli, CMK_OPT_HELP)
                   ? CMK_OK
                   : cmk_cli_usage(cli, "%s what? One of %s; see cmk11 %s --help", noun, words, noun);
    }
    cli->verb = cmk_cli_verb_find(noun, argv[*i]);
    if (!cli->verb)
        return unknown_word(cli, noun, argv[*i]);
    ++*i;
    return CMK_OK;
}

/* --json decides how a usage error is told, so it is looked for before anything can go wrong. */
static void find_json(cmk_cli *cli, int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            cli->value[CMK_OPT_JSON] = "";
    }
}

cmk_rc cmk_cli_parse(cmk_cli *cli, int argc, char **argv)
{
    char syntax[WORD_SIZE];
    int i = 0;
    find_json(cli, argc, argv);
    cmk_rc rc = take_command(cli, argc, argv, &i);
    if (rc != CMK_OK || !cli->verb)
        return rc;
    cmk_cli_help_syntax(cli->verb, syntax, sizeof syntax);
    bool only_words = false;
    for (; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            rc = take_option(cli, argc, argv, &i);
            if (rc != CMK_OK)
                return rc;
        } else if (cli->arg_count < cmk_cli_args_max(cli->verb)) {
            cli->args[cli->arg_count++] = argv[i];
        } else {
            return cmk_cli_usage(cli, "too many arguments: %s [options]", syntax);
        }
    }
    if (cli->arg_count < cmk_cli_args_min(cli->verb) && !cmk_cli_has(cli, CMK_OPT_HELP))
        return cmk_cli_usage(cli, "%s is missing: %s [options]",
                             cmk_cli_arg_placeholder(cli->verb->args[cli->arg_count]), syntax);
    if (cmk_cli_has(cli, CMK_OPT_NOT_BEFORE) && cmk_cli_has(cli, CMK_OPT_EXPIRES) &&
        cli->number[CMK_OPT_EXPIRES] <= cli->number[CMK_OPT_NOT_BEFORE])
        return cmk_cli_usage(cli, "--expires must be later than --not-before");
    return CMK_OK;
}
