/* Asking for a secret on the terminal. */
#ifndef CMK_CLI_PROMPT_H
#define CMK_CLI_PROMPT_H

#include "util/error.h"
#include "util/secret.h"

/* Shows question on the controlling terminal and reads a line without echo into line; *len says how much of it (more
 * than line->len when it was longer). Signals are passed on once the terminal is as it was. CMK_E_NOT_FOUND without a
 * terminal. */
CMK_MUST_USE cmk_rc cmk_cli_prompt(const char *question, cmk_secret *line, size_t *len);

#endif
