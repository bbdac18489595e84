#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* secure_getenv */
#endif
#include "cli/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/prompt.h"

#define PIN_GOOD_LENGTH 12
#define PIN_BUFFER (CMK_PIN_MAX + 2) /* room for a line's end */

static const struct {
    cmk_cli_opt file_option;
    const char *variable;
    const char *title;
} sources[CMK_CLI_PIN_COUNT] = {
    [CMK_CLI_PIN_USER] = {CMK_OPT_PIN_FILE, "CMK11_PIN", "PIN"},
    [CMK_CLI_PIN_SO] = {CMK_OPT_SO_PIN_FILE, "CMK11_SO_PIN", "SO PIN"},
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* A PIN file that somebody else can change is refused; one that others can read is used, but told of. Pipes (a shell's
 * process substitution) belong to who opened them. */
static cmk_rc check_file(cmk_cli *cli, const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return cmk_fail(CMK_E_IO, "PIN file %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return cmk_fail(CMK_E_IO, "PIN file %s is a directory: name a file that holds the PIN", path);
    if (!S_ISREG(st.st_mode))
        return CMK_OK;
    bool foreign = st.st_uid != 0 && st.st_uid != geteuid();
    if (foreign && geteuid() == 0)
        cmk_cli_note(cli, "PIN file %s does not belong to root: its owner can change it", path);
    else if (foreign)
        return cmk_fail(CMK_E_PERMISSION, "PIN file %s belongs to somebody else: use a file of your own", path);
    if ((st.st_mode & S_IWOTH) != 0)
        return cmk_fail(CMK_E_PERMISSION, "PIN file %s can be changed by everybody: chmod 600 it", path);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        cmk_cli_note(cli, "PIN file %s is open to others: chmod 600 it", path);
    return CMK_OK;
}

/* Strips one line end and looks whether the rest can be a PIN. from says where it came from. */
static cmk_rc accept(const char *from, const cmk_secret *buffer, size_t len, bool is_new, cmk_secret *out)
{
    if (len > 0 && len <= buffer->len && buffer->data[len - 1] == '\n')
        len--;
    if (len > 0 && len < buffer->len && buffer->data[len] == '\n' && buffer->data[len - 1] == '\r')
        len--;
    if (len > CMK_PIN_MAX)
        return cmk_fail(CMK_E_PIN_LENGTH, "%s: a PIN has at most %d bytes", from, CMK_PIN_MAX);
    if (len == 0)
        return cmk_fail(CMK_E_PIN_LENGTH, "%s: the PIN is empty", from);
    if (memchr(buffer->data, '\n', len) || memchr(buffer->data, '\0', len))
        return cmk_fail(CMK_E_PIN_INVALID, "%s: a PIN is one line of text", from);
    if (is_new && len < CMK_PIN_MIN)
        return cmk_fail(CMK_E_PIN_LENGTH, "%s: a PIN has at least %d bytes", from, CMK_PIN_MIN);
    return cmk_secret_copy(out, cmk_bytes_of(buffer->data, len));
}

static cmk_rc from_file(cmk_cli *cli, const char *path, bool is_new, cmk_secret *out)
{
    char from[256];
    CMK_SECRET_AUTO buffer = CMK_SECRET_INIT;
    cmk_rc rc = cmk_secret_new(&buffer, PIN_BUFFER + 1);
    if (rc != CMK_OK)
        return rc;
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cmk_fail(errno == EACCES ? CMK_E_PERMISSION : CMK_E_IO, "PIN file %s: %s", path, strerror(errno));
    rc = check_file(cli, path, fd);
    if (rc != CMK_OK)
        return rc;
    size_t len = 0;
    while (len < buffer.len) {
        ssize_t n = read(fd, buffer.data + len, buffer.len - len);
        if (n < 0 && errno != EINTR)
            return cmk_fail(CMK_E_IO, "PIN file %s: %s", path, strerror(errno));
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    (void)snprintf(from, sizeof from, "PIN file %s", path);
    return accept(from, &buffer, len, is_new, out);
}

/* The variable is wiped where it stands, so that it is no longer to be seen in /proc. */
static cmk_rc from_environment(const char *variable, bool is_new, cmk_secret *out)
{
    char *value = secure_getenv(variable);
    if (!value)
        return CMK_E_NOT_FOUND;
    CMK_SECRET_AUTO buffer = CMK_SECRET_INIT;
    cmk_rc rc = cmk_secret_new(&buffer, PIN_BUFFER + 1);
    if (rc != CMK_OK)
        return rc;
    size_t len = strlen(value);
    memcpy(buffer.data, value, len < buffer.len ? len : buffer.len);
    cmk_wipe(value, len);
    (void)unsetenv(variable);
    return accept(variable, &buffer, len, is_new, out);
}

static cmk_rc ask(const char *question, bool is_new, cmk_secret *out)
{
    CMK_SECRET_AUTO buffer = CMK_SECRET_INIT;
    cmk_rc rc = cmk_secret_new(&buffer, PIN_BUFFER + 1);
    size_t len = 0;
    if (rc == CMK_OK)
        rc = cmk_cli_prompt(question, &buffer, &len);
    return rc == CMK_OK ? accept("what was typed", &buffer, len, is_new, out) : rc;
}

static cmk_rc from_terminal(const char *title, bool is_new, cmk_secret *out)
{
    char question[256];
    CMK_SECRET_AUTO again = CMK_SECRET_INIT;
    (void)snprintf(question, sizeof question, is_new ? "New %s: " : "%s: ", title);
    cmk_rc rc = ask(question, is_new, out);
    if (rc != CMK_OK || !is_new)
        return rc;
    (void)snprintf(question, sizeof question, "New %s again: ", title);
    rc = ask(question, is_new, &again);
    if (rc != CMK_OK)
        return rc;
    if (!cmk_dek_equal(cmk_secret_view(out), cmk_secret_view(&again)))
        return cmk_fail(CMK_E_PIN_INVALID, "the two entries of the new %s differ: run the command again", title);
    return CMK_OK;
}

cmk_rc cmk_cli_pin_get(cmk_cli *cli, cmk_cli_pin kind, const char *whose, bool is_new, cmk_secret *out)
{
    char title[160], shown[128];
    const char *file = cli->value[sources[kind].file_option];
    const char *option = cmk_cli_options[sources[kind].file_option].name;
    const char *variable = sources[kind].variable;

    (void)snprintf(title, sizeof title, "%s", sources[kind].title);
    if (whose)
        (void)snprintf(title, sizeof title, "%s of %s", sources[kind].title,
                       cmk_printable(cmk_bytes_str(whose), shown, sizeof shown));
    cmk_rc rc = file ? from_file(cli, file, is_new, out) : from_environment(variable, is_new, out);
    if (!file && rc == CMK_E_NOT_FOUND)
        rc = from_terminal(title, is_new, out);
    if (!file && rc == CMK_E_NOT_FOUND)
        rc = cmk_fail(CMK_E_NOT_LOGGED_IN, "no %s: give --%s FILE, set %s, or run the command on a terminal", title,
                      option, variable);
    if (rc == CMK_OK && is_new && out->len < PIN_GOOD_LENGTH)
        cmk_cli_note(cli, "the new %s is shorter than %d bytes: a longer one withstands guessing", title,
                     PIN_GOOD_LENGTH);
    return rc;
}

cmk_rc cmk_cli_login(cmk_cli *cli, cmk_vault *vault, cmk_login **out)
{
    CMK_SECRET_AUTO pin = CMK_SECRET_INIT;
    cmk_who who = {CMK_WHO_USER, {NULL, 0}};
    const char *user = cli->value[CMK_OPT_USER];
    cmk_bytes secret;

    if (user) {
        cmk_rc rc = cmk_name_check(CMK_NAME_PRINCIPAL, cmk_bytes_str(user));
        if (rc != CMK_OK)
            return rc;
    }
    cmk_rc rc = cmk_cli_pin_get(cli, CMK_CLI_PIN_USER, user, false, &pin);
    if (rc != CMK_OK)
        return rc;
    secret = cmk_secret_view(&pin);
    if (user && strcmp(user, "user") != 0) {
        who.kind = CMK_WHO_NAMED;
        who.name = cmk_bytes_str(user);
    } else if (!user) {
        /* "name:secret" is what a named principal gives to PKCS#11 applications: the same PIN file serves both. */
        cmk_pin_split(cmk_secret_view(&pin), &who, &secret);
    }
    rc = cmk_login_open(vault, &who, secret, out);
    /* The same sentence whether a principal exists or not. */
    if (rc == CMK_E_PIN_INCORRECT)
        rc = cmk_fail(rc, "login to vault %s: wrong %s; see cmk11 vault show %s for the attempts left", cli->args[0],
                      who.kind == CMK_WHO_NAMED ? "name or PIN" : "PIN", cli->args[0]);
    return rc;
}
