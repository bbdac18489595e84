/* Reading the command line by the tables of commands and options. */
#ifndef CMK_CLI_OPTIONS_H
#define CMK_CLI_OPTIONS_H

#include "cli/verbs.h"

typedef struct cmk_cli_option {
    const char *name;        /* without the dashes */
    const char *placeholder; /* NULL: a flag */
    const char *choices;     /* blank-separated words that completion offers, or NULL */
    bool is_file;            /* completion offers file names */
    bool repeats;            /* may be given more than once */
    const char *help;
    cmk_rc (*parse)(cmk_cli *cli, cmk_cli_opt option, const char *value); /* NULL: any text */
} cmk_cli_option;

extern const cmk_cli_option cmk_cli_options[CMK_OPT_COUNT];

/* Reads the words after the command's own name into cli. CMK_E_ARGUMENT with a sentence and cli->usage. Which of
 * --json and --help were given is known even then. */
CMK_MUST_USE cmk_rc cmk_cli_parse(cmk_cli *cli, int argc, char **argv);
/* The option of that name that verb takes (NULL: those that stand before a command); CMK_OPT_NONE. */
cmk_cli_opt cmk_cli_option_find(const cmk_cli_verb *verb, const char *name, size_t len);
/* Is option taken by verb? */
bool cmk_cli_option_allowed(const cmk_cli_verb *verb, cmk_cli_opt option);
/* The placeholder of an argument, "VAULT". */
const char *cmk_cli_arg_placeholder(cmk_cli_arg arg);
/* How many arguments a command must, and may, have. */
size_t cmk_cli_args_min(const cmk_cli_verb *verb);
size_t cmk_cli_args_max(const cmk_cli_verb *verb);

#endif
