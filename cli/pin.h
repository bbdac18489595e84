/* Where PINs come from: a file, the environment, a terminal. Never from an argument, never printed, wiped when done.
 */
#ifndef CMK_CLI_PIN_H
#define CMK_CLI_PIN_H

#include "cli/verbs.h"

typedef enum cmk_cli_pin { CMK_CLI_PIN_USER, CMK_CLI_PIN_SO, CMK_CLI_PIN_COUNT } cmk_cli_pin;

/* Gets a PIN of vault that exists, or with is_new one that is to be: from its file option, else its environment
 * variable, else a prompt (twice for a new one). whose: a principal's name, or NULL for the usual one.
 * CMK_E_NOT_LOGGED_IN when there is no source, CMK_E_PIN_LENGTH, CMK_E_PIN_INVALID, CMK_E_PERMISSION, CMK_E_IO. */
CMK_MUST_USE cmk_rc cmk_cli_pin_get(cmk_cli *cli, cmk_cli_pin kind, const char *whose, bool is_new, cmk_secret *out);

/* Logs in to vault as `user`, or as --user says. */
CMK_MUST_USE cmk_rc cmk_cli_login(cmk_cli *cli, cmk_vault *vault, cmk_login **out);

#endif
