#include "cli/complete.h"

#include <stdio.h>
#include <string.h>

#include "cli/key.h"
#include "cli/options.h"
#include "util/log.h"

#define WORDS_MAX 256

/* The words of the command line that matter, and the word being typed. */
typedef struct completion {
    const char *words[WORDS_MAX];
    size_t count;
    const char *current;
    size_t current_len;
    const char *prefix; /* put in front of what a visitor finds: "orders/" */
} completion;

static void offer(const completion *c, const char *before, const char *word)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%s%s", before, word);
    if (strncmp(text, c->current, c->current_len) == 0)
        (void)printf("%s\n", text);
}

static void offer_choices(const completion *c, const char *choices)
{
    char word[64];
    for (const char *p = choices ? choices : ""; *p != '\0';) {
        size_t n = strcspn(p, " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)n, p);
        offer(c, "", word);
        p += n + (p[n] == ' ');
    }
}

static cmk_rc visit_vault(void *ctx, const cmk_vault_info *info)
{
    if (info->health == CMK_OK)
        offer(ctx, "", info->name);
    return CMK_OK;
}

static cmk_rc visit_key(void *ctx, const cmk_key_info *key)
{
    offer(ctx, "", key->name);
    return CMK_OK;
}

static cmk_rc visit_version(void *ctx, const cmk_version_info *version)
{
    const completion *c = ctx;
    char number[16];
    (void)snprintf(number, sizeof number, "%u", version->number);
    offer(c, c->prefix, number);
    return CMK_OK;
}

/* Keys of the vault; behind a slash the versions of that key. */
static cmk_rc offer_keys(completion *c, cmk_core *core, const char *vault_name, bool with_versions)
{
    CMK_CLI_VAULT_AUTO *vault = NULL;
    cmk_key_info key;
    char prefix[CMK_KEY_NAME_MAX + 2];
    cmk_rc rc = cmk_vault_open_name(core, cmk_bytes_str(vault_name), &vault);
    if (rc != CMK_OK)
        return rc;
    const char *slash = with_versions ? strchr(c->current, '/') : NULL;
    if (!slash)
        return cmk_key_list(vault, false, visit_key, c);
    size_t len = (size_t)(slash - c->current);
    if (len > CMK_KEY_NAME_MAX)
        return CMK_OK;
    (void)snprintf(prefix, sizeof prefix, "%.*s/", (int)len, c->current);
    c->prefix = prefix;
    rc = cmk_key_find(vault, cmk_bytes_of(c->current, len), false, &key);
    if (rc == CMK_OK)
        rc = cmk_key_versions(vault, &key.id, visit_version, c);
    c->prefix = NULL;
    return rc;
}

/* Names come from the store. Whatever goes wrong, there is just nothing to offer. */
static void offer_names(completion *c, cmk_cli_arg arg, const char *vault)
{
    cmk_config *config = NULL;
    cmk_core *core = NULL;
    cmk_rc rc = cmk_log_setup("none", CMK_LOG_NONE);
    if (rc == CMK_OK)
        rc = cmk_config_load(&config);
    if (rc == CMK_OK)
        rc = cmk_core_open(config, false, &core);
    if (rc == CMK_OK && (arg == CMK_ARG_VAULT || arg == CMK_ARG_VAULT_NAME))
        rc = cmk_vault_list(core, false, visit_vault, c);
    else if (rc == CMK_OK && vault && (arg == CMK_ARG_KEY || arg == CMK_ARG_KEY_VERSION))
        rc = offer_keys(c, core, vault, arg == CMK_ARG_KEY_VERSION);
    (void)rc;
    cmk_core_close(core);
    cmk_config_free(config);
}

static void offer_options(const completion *c, const cmk_cli_verb *verb)
{
    for (unsigned i = CMK_OPT_NONE + 1; i < CMK_OPT_COUNT; i++) {
        if (cmk_cli_option_allowed(verb, (cmk_cli_opt)i))
            offer(c, "--", cmk_cli_options[i].name);
    }
}

/* Nouns, or the verbs of noun. */
static void offer_commands(const completion *c, const char *noun)
{
    const char *last = NULL;
    for (const cmk_cli_verb *v = cmk_cli_verbs; v->noun; v++) {
        const char *word = noun ? v->verb : v->noun;
        if ((noun && strcmp(v->noun, noun) != 0) || !word || (last && strcmp(last, word) == 0))
            continue;
        offer(c, "", word);
        last = word;
    }
}

/* Sorts words into command, arguments and options. bash splits at "=", which stands alone then. */
static void complete_words(completion *c)
{
    const cmk_cli_verb *verb = NULL;
    const char *noun = NULL, *args[CMK_CLI_ARGS_MAX + 1] = {NULL};
    size_t arg_count = 0;
    cmk_cli_opt pending = CMK_OPT_NONE; /* an option whose value comes next */

    for (size_t i = 0; i < c->count; i++) {
        const char *word = c->words[i];
        if (pending != CMK_OPT_NONE) {
            pending = CMK_OPT_NONE;
        } else if (word[0] == '-') {
            size_t len = strcspn(word, "=");
            cmk_cli_opt option = len > 2 ? cmk_cli_option_find(verb, word + 2, len - 2) : CMK_OPT_NONE;
            if (cmk_cli_options[option].placeholder && word[len] == '\0')
                pending = option;
        } else if (!noun) {
            noun = word;
            verb = cmk_cli_verb_find(noun, NULL);
        } else if (!verb) {
            verb = cmk_cli_verb_find(noun, word);
            if (!verb)
                return;
        } else if (arg_count < CMK_CLI_ARGS_MAX) {
            args[arg_count++] = word;
        }
    }
    if (pending != CMK_OPT_NONE)
        offer_choices(c, cmk_cli_options[pending].choices);
    else if (c->current[0] == '-')
        offer_options(c, verb);
    else if (!verb)
        offer_commands(c, noun);
    else if (verb->args[arg_count] == CMK_ARG_COMMAND)
        offer_commands(c, args[0]);
    else if (verb->args[arg_count] != CMK_ARG_NONE)
        offer_names(c, verb->args[arg_count], args[0]);
}

void cmk_cli_complete(int argc, char **argv)
{
    completion c = {.current = "", .prefix = ""};
    if (argc > 0 && strcmp(argv[argc - 1], "=") != 0)
        c.current = argv[argc - 1];
    c.current_len = strlen(c.current);
    for (int i = 0; i + 1 < argc && c.count < WORDS_MAX; i++) {
        if (strcmp(argv[i], "=") != 0)
            c.words[c.count++] = argv[i];
    }
    complete_words(&c);
    (void)fflush(stdout);
}
