#include "cli/help.h"

#include <string.h>

#include "cli/options.h"

#define LINE_WIDTH 80
#define COLUMN 34
#define NEAREST_MAX 32 /* longer words are not compared */

/* Appends text to the string in out. */
static void append(char *out, size_t size, const char *text)
{
    size_t used = strlen(out);
    if (used < size)
        (void)snprintf(out + used, size - used, "%s", text);
}

void cmk_cli_help_syntax(const cmk_cli_verb *verb, char *out, size_t size)
{
    (void)snprintf(out, size, "cmk11 %s", verb->noun);
    if (verb->verb) {
        append(out, size, " ");
        append(out, size, verb->verb);
    }
    for (size_t i = 0; verb->args[i] != CMK_ARG_NONE; i++) {
        /* `help [COMMAND] [COMMAND]` reads better once. */
        if (i > 0 && verb->args[i] == CMK_ARG_COMMAND)
            break;
        append(out, size, " ");
        append(out, size, cmk_cli_arg_placeholder(verb->args[i]));
    }
}

void cmk_cli_help_words(const char *noun, char *out, size_t size)
{
    const char *last = NULL;
    out[0] = '\0';
    for (const cmk_cli_verb *v = cmk_cli_verbs; v->noun; v++) {
        const char *word = noun ? v->verb : v->noun;
        if ((noun && strcmp(v->noun, noun) != 0) || !word || (last && strcmp(word, last) == 0))
            continue;
        append(out, size, last ? ", " : "");
        append(out, size, word);
        last = word;
    }
}

/* Prints one piece of a usage line, on a new line where it would not fit. */
static void wrap(size_t *column, const char *piece)
{
    if (*column + 1 + strlen(piece) > LINE_WIDTH) {
        (void)fputs("\n        ", stdout);
        *column = 8;
    }
    (void)printf(" %s", piece);
    *column += 1 + strlen(piece);
}

static void option_text(cmk_cli_opt option, char *out, size_t size)
{
    const cmk_cli_option *o = &cmk_cli_options[option];
    (void)snprintf(out, size, "--%s%s%s", o->name, o->placeholder ? " " : "", o->placeholder ? o->placeholder : "");
}

static void print_option(cmk_cli_opt option)
{
    char text[LINE_WIDTH];
    option_text(option, text, sizeof text);
    (void)printf("  %-*s%s\n", COLUMN - 2, text, cmk_cli_options[option].help);
}

static void print_verb(const cmk_cli_verb *verb)
{
    char text[256], piece[LINE_WIDTH];
    cmk_cli_help_syntax(verb, text, sizeof text);
    (void)printf("Usage: %s", text);
    size_t column = strlen("Usage: ") + strlen(text);
    for (size_t i = 0; verb->options[i] != CMK_OPT_NONE; i++) {
        option_text(verb->options[i], piece, sizeof piece);
        char bracketed[LINE_WIDTH + 8];
        (void)snprintf(bracketed, sizeof bracketed, "[%s]%s", piece,
                       cmk_cli_options[verb->options[i]].repeats ? "..." : "");
        wrap(&column, bracketed);
    }
    wrap(&column, "[--json]");
    (void)printf("\n\n%c%s.\n", verb->summary[0] - 'a' + 'A', verb->summary + 1);
    if (verb->details)
        (void)printf("%s\n", verb->details);
    (void)fputs("\nOptions:\n", stdout);
    for (size_t i = 0; verb->options[i] != CMK_OPT_NONE; i++)
        print_option(verb->options[i]);
    print_option(CMK_OPT_JSON);
    print_option(CMK_OPT_HELP);
    (void)printf("\nExample:\n  %s\n", verb->example);
}

static void print_commands(const char *noun)
{
    char text[256];
    for (const cmk_cli_verb *v = cmk_cli_verbs; v->noun; v++) {
        if (noun && strcmp(v->noun, noun) != 0)
            continue;
        cmk_cli_help_syntax(v, text, sizeof text);
        (void)printf("  %-*s%s\n", COLUMN + 6, text, v->summary);
    }
}

void cmk_cli_help_print(const char *noun, const cmk_cli_verb *verb)
{
    if (verb) {
        print_verb(verb);
        return;
    }
    if (noun)
        (void)printf("Usage: cmk11 %s VERB ...\n\nCommands:\n", noun);
    else
        (void)fputs(
            "Usage: cmk11 COMMAND ...\n\nA key vault behind PKCS#11: customer-managed keys on your own machines.\n\n"
            "Commands:\n",
            stdout);
    print_commands(noun);
    (void)fputs("\nOptions:\n", stdout);
    print_option(CMK_OPT_JSON);
    print_option(CMK_OPT_HELP);
    if (!noun) {
        print_option(CMK_OPT_VERSION);
        (void)fputs("\nExit status: 0 done, 1 refused or failed, 2 wrong usage. See also cmk11(1).\n", stdout);
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Slips (insert, remove, replace, swap neighbours) that turn a into b. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(least(row[j - 1], above[j]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *cmk_cli_nearest(const char *word, size_t len, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t bound = len / 3 + 2;
    if (len == 0 || len > NEAREST_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t n = words[i] ? strlen(words[i]) : 0;
        if (n == 0 || n > NEAREST_MAX)
            continue;
        /* A beginning ("ver" for "versions") is as good as one slip of the finger. */
        size_t d = n > len && memcmp(word, words[i], len) == 0 ? 1 : distance(word, len, words[i], n);
        if (d < bound && d < n) {
            bound = d;
            nearest = words[i];
        }
    }
    return nearest;
}

cmk_rc cmk_cli_help(cmk_cli *cli)
{
    char words[256], shown[256];
    const char *noun = cli->arg_count > 0 ? cli->args[0] : NULL;
    const char *verb = cli->arg_count > 1 ? cli->args[1] : NULL;
    if (noun && !cmk_cli_noun_exists(noun)) {
        cmk_cli_help_words(NULL, words, sizeof words);
        cmk_printable(cmk_bytes_str(noun), shown, sizeof shown);
        return cmk_cli_usage(cli, "help: no command \"%s\": there are %s", shown, words);
    }
    const cmk_cli_verb *row = noun ? cmk_cli_verb_find(noun, verb) : NULL;
    if (verb && !row) {
        cmk_cli_help_words(noun, words, sizeof words);
        cmk_printable(cmk_bytes_str(verb), shown, sizeof shown);
        return cmk_cli_usage(cli, "help: no command \"%s %s\": there are %s", noun, shown, words);
    }
    cmk_cli_help_print(noun, row);
    return CMK_OK;
}
