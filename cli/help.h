/* Help texts, made from the tables. */
#ifndef CMK_CLI_HELP_H
#define CMK_CLI_HELP_H

#include <stdio.h>

#include "cli/verbs.h"

/* Help of the whole command (noun NULL), of a noun (verb NULL), or of one command. */
void cmk_cli_help_print(const char *noun, const cmk_cli_verb *verb);
/* The command and its arguments, without options: "cmk11 vault show NAME". */
void cmk_cli_help_syntax(const cmk_cli_verb *verb, char *out, size_t size);
/* The words that can follow noun (NULL: the nouns), separated by ", ". */
void cmk_cli_help_words(const char *noun, char *out, size_t size);
/* The one of words (count of them, NULLs and repetitions are skipped) that word was probably meant to be, or NULL. */
const char *cmk_cli_nearest(const char *word, size_t len, const char *const *words, size_t count);

#endif
