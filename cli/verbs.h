/* The commands as a table: one row gives a command's words, arguments, options, help and function. Parsing, usage
 * errors, help and completion all read it, so a command is added in one place. Options have a table of their own
 * (options.c).
 */
#ifndef CMK_CLI_VERBS_H
#define CMK_CLI_VERBS_H

#include "token/token.h"

/* Every option of every command; rows of cmk_cli_options[] in the same order. */
typedef enum cmk_cli_opt {
    CMK_OPT_NONE, /* ends a list of options */
    CMK_OPT_HELP,
    CMK_OPT_JSON,
    CMK_OPT_VERSION,
    CMK_OPT_RETENTION_DAYS,
    CMK_OPT_PURGE_PROTECTION,
    CMK_OPT_ALLOW_OPS,
    CMK_OPT_SIZE,
    CMK_OPT_OPS,
    CMK_OPT_NOT_BEFORE,
    CMK_OPT_EXPIRES,
    CMK_OPT_TAG,
    CMK_OPT_DELETED,
    CMK_OPT_USER,
    CMK_OPT_PIN_FILE,
    CMK_OPT_SO_PIN_FILE,
    CMK_OPT_COUNT
} cmk_cli_opt;

/* What stands in an argument's place. */
typedef enum cmk_cli_arg {
    CMK_ARG_NONE, /* ends a list of arguments */
    CMK_ARG_NEW_VAULT,
    CMK_ARG_VAULT_NAME,
    CMK_ARG_VAULT,
    CMK_ARG_NEW_KEY,
    CMK_ARG_KEY,
    CMK_ARG_KEY_VERSION,
    CMK_ARG_GROUP,
    CMK_ARG_COMMAND, /* optional */
    CMK_ARG_COUNT
} cmk_cli_arg;

#define CMK_CLI_ARGS_MAX 2
#define CMK_CLI_OPTIONS_MAX 12
#define CMK_CLI_NOTES_MAX 4
#define CMK_CLI_NOTE_SIZE 256

typedef struct cmk_cli cmk_cli;

typedef struct cmk_cli_verb {
    const char *noun;
    const char *verb; /* NULL: the noun is the whole command */
    cmk_cli_arg args[CMK_CLI_ARGS_MAX + 1];
    cmk_cli_opt options[CMK_CLI_OPTIONS_MAX + 1]; /* beside --help and --json, which all have */
    const char *summary;                          /* one line */
    const char *details;                          /* further lines of its help, or NULL */
    const char *example;                          /* a command line */
    bool creates_store;                           /* false: the store must exist and is opened before run */
    cmk_rc (*run)(cmk_cli *cli);
} cmk_cli_verb;

/* The rows, ended by one without noun. Rows of a noun stand together. */
extern const cmk_cli_verb cmk_cli_verbs[];

/* A command under way: what was asked for, and what it works with. */
struct cmk_cli {
    const cmk_cli_verb *verb; /* NULL: --help or --version alone */
    const char *noun;         /* the noun given, also when no verb followed it */
    const char *args[CMK_CLI_ARGS_MAX];
    size_t arg_count;
    const char *value[CMK_OPT_COUNT]; /* NULL: not given; "" for a flag */
    int64_t number[CMK_OPT_COUNT];    /* what the value means: a number, a time, a set of operations */
    cmk_tag tags[CMK_TAGS_MAX];
    size_t tag_count;
    bool usage;   /* the failure is the command line's: exit status 2 */
    bool printed; /* standard output has its object already */
    cmk_config *config;
    cmk_core *core; /* NULL for commands that create the store */
    char notes[CMK_CLI_NOTES_MAX][CMK_CLI_NOTE_SIZE];
    size_t note_count;
};

/* True when option was given. */
static inline bool cmk_cli_has(const cmk_cli *cli, cmk_cli_opt option)
{
    return cli->value[option] != NULL;
}

/* Marks the failure as one of usage, with its sentence. Returns CMK_E_ARGUMENT. */
CMK_MUST_USE cmk_rc cmk_cli_usage(cmk_cli *cli, const char *fmt, ...) CMK_PRINTF(2, 3);
/* Keeps a warning that is printed when the command has succeeded: a failure has one line only. */
void cmk_cli_note(cmk_cli *cli, const char *fmt, ...) CMK_PRINTF(2, 3);
/* Release number, as in --version. */
const char *cmk_cli_version(void);

/* The row of a command; NULL if there is none. */
const cmk_cli_verb *cmk_cli_verb_find(const char *noun, const char *verb);
/* Is there a command that begins with noun? */
bool cmk_cli_noun_exists(const char *noun);

/* What the rows run. */
cmk_rc cmk_cli_vault_init(cmk_cli *cli);
cmk_rc cmk_cli_vault_list(cmk_cli *cli);
cmk_rc cmk_cli_vault_show(cmk_cli *cli);
cmk_rc cmk_cli_vault_fingerprint(cmk_cli *cli);
cmk_rc cmk_cli_key_create(cmk_cli *cli);
cmk_rc cmk_cli_key_list(cmk_cli *cli);
cmk_rc cmk_cli_key_show(cmk_cli *cli);
cmk_rc cmk_cli_key_versions(cmk_cli *cli);
cmk_rc cmk_cli_store_group(cmk_cli *cli);
cmk_rc cmk_cli_status(cmk_cli *cli);
cmk_rc cmk_cli_help(cmk_cli *cli);

/* Opens the live vault that the first argument names. */
CMK_MUST_USE cmk_rc cmk_cli_open_vault(cmk_cli *cli, cmk_vault **out);
static inline void cmk_cli_put_vault(cmk_vault **vault)
{
    cmk_vault_put(*vault);
}
#define CMK_CLI_VAULT_AUTO __attribute__((cleanup(cmk_cli_put_vault))) cmk_vault

#endif
