/* Words for the shell's completion: `cmk11 __complete WORD…`, where the last word is the one being typed. */
#ifndef CMK_CLI_COMPLETE_H
#define CMK_CLI_COMPLETE_H

/* Prints the words that can stand in the last word's place, one a line. Never asks for a PIN, never complains. */
void cmk_cli_complete(int argc, char **argv);

#endif
