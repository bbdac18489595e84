#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "util/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/text.h"

#define SYSTEM_FILE "/etc/cmk11/cmk11.conf"
#define PIN_KEY "vault-key"
#define BUSY_TIMEOUT_MAX 600000U
#define FINGERPRINT_PREFIX "SHA256:"
#define FINGERPRINT_DIGITS 64

/* A free() for the cleanup attribute. */
static void free_string(char **s)
{
    free(*s);
}
#define STRING_AUTO __attribute__((cleanup(free_string))) char *

/* While a file is read. The first failure sticks. */
typedef struct reading {
    cmk_config *c;
    FILE *f;
    const char *path;
    int line;
    unsigned seen; /* bit i: row i of the key table was set */
    cmk_rc rc;
} reading;

/* Each writes value into field, and answers NULL or what is wrong with the value. "" stands for out of memory. */
typedef const char *(*value_parser)(const char *value, void *field);

static const char *parse_bool(const char *value, void *field)
{
    bool on = strcmp(value, "on") == 0;
    if (!on && strcmp(value, "off") != 0)
        return "must be on or off";
    *(bool *)field = on;
    return NULL;
}

static const char *set_string(char **field, char *value)
{
    if (!value)
        return "";
    free(*field);
    *field = value;
    return NULL;
}

/* "scheme:…" stays as it is; a bare directory is sqlite's. */
static char *store_of(const char *value)
{
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789+-");
    char *out = NULL;
    if (n > 1 && value[n] == ':')
        return strdup(value);
    return asprintf(&out, "sqlite:%s", value) < 0 ? NULL : out;
}

static const char *parse_store(const char *value, void *field)
{
    const char *colon = strchr(value, ':');
    if (value[0] == '\0' || (colon && colon[1] == '\0'))
        return "must be sqlite:DIR or a directory";
    return set_string(field, store_of(value));
}

static const char *parse_directory(const char *value, void *field)
{
    return value[0] == '/' ? set_string(field, strdup(value)) : "must be an absolute path";
}

static const char *parse_target(const char *value, void *field)
{
    bool named = strcmp(value, "stderr") == 0 || strcmp(value, "syslog") == 0 || strcmp(value, "none") == 0;
    return named || value[0] == '/' ? set_string(field, strdup(value))
                                    : "must be stderr, syslog, none or an absolute path";
}

static const char *parse_level(const char *value, void *field)
{
    static const char *const names[] = {"none", "error", "warn", "info", "debug"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(value, names[i]) == 0) {
            *(cmk_log_level *)field = (cmk_log_level)i;
            return NULL;
        }
    }
    return "must be none, error, warn, info or debug";
}

static const char *parse_timeout(const char *value, void *field)
{
    uint32_t v = 0;
    size_t n = strspn(value, "0123456789");
    for (size_t i = 0; i < n && v <= BUSY_TIMEOUT_MAX; i++)
        v = v * 10 + (uint32_t)(value[i] - '0');
    if (n == 0 || value[n] != '\0' || v > BUSY_TIMEOUT_MAX)
        return "must be a number of milliseconds, at most 600000";
    *(uint32_t *)field = v;
    return NULL;
}

static const struct {
    const char *key;
    value_parser parse; /* NULL: vault-key, which has an argument and is read by read_pin() */
    size_t offset;
} key_table[] = {
    {"store", parse_store, offsetof(cmk_config, store)},
    {"audit-directory", parse_directory, offsetof(cmk_config, audit_dir)},
    {"log", parse_target, offsetof(cmk_config, log_target)},
    {"log-level", parse_level, offsetof(cmk_config, log_level)},
    {"require-mlock", parse_bool, offsetof(cmk_config, require_mlock)},
    {"import-secret-keys", parse_bool, offsetof(cmk_config, import_secret_keys)},
    {"busy-timeout-ms", parse_timeout, offsetof(cmk_config, busy_timeout_ms)},
    {PIN_KEY, NULL, 0},
};
#define KEY_COUNT (sizeof(key_table) / sizeof(key_table[0]))

/* Records the failure of the current line. What is quoted comes from the file and may hold anything. */
static void wrong(reading *r, const char *key, const char *what)
{
    char shown[80];
    if (r->rc != CMK_OK)
        return;
    if (what[0] == '\0')
        r->rc = cmk_fail(CMK_E_NO_MEMORY, "%s:%d: out of memory", r->path, r->line);
    else
        r->rc = cmk_fail(CMK_E_CONFIG, "%s:%d: %s%s%s", r->path, r->line,
                         cmk_printable(cmk_bytes_str(key), shown, sizeof(shown)), key[0] ? ": " : "", what);
}

/* How many characters must be added, removed or changed to make b of a (Levenshtein); names longer than 31 are far. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32];
    size_t m = strlen(b);
    if (m > 31 || strlen(a) > 31)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < m; j++) {
            size_t least = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            least = least < row[j] + 1 ? least : row[j] + 1;
            row[j + 1] = least < row[j + 1] + 1 ? least : row[j + 1] + 1;
        }
    }
    return row[m];
}

static void wrong_key(reading *r, const char *key)
{
    const char *nearest = key_table[0].key;
    for (size_t i = 1; i < KEY_COUNT; i++)
        if (distance(key, key_table[i].key) < distance(key, nearest))
            nearest = key_table[i].key;
    char what[64];
    (void)snprintf(what, sizeof(what), "unknown key; did you mean %s?", nearest);
    wrong(r, key, what);
}

/* inih's handler: nonzero when all is well. */
static int handle(void *ctx, const char *section, const char *key, const char *value)
{
    reading *r = ctx;
    (void)section; /* next_line() refuses them */
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!key_table[i].parse || strcmp(key, key_table[i].key) != 0)
            continue;
        const char *what = "is set twice";
        if (!(r->seen & 1U << i))
            what = key_table[i].parse(value, (char *)r->c + key_table[i].offset);
        r->seen |= 1U << i;
        if (what)
            wrong(r, key, what);
        return r->rc == CMK_OK;
    }
    wrong_key(r, key);
    return 0;
}

static const char *add_pin(cmk_config *c, const char *name, const char *fingerprint)
{
    size_t digits_at = strlen(FINGERPRINT_PREFIX);
    if (cmk_name_check(CMK_NAME_VAULT, cmk_bytes_str(name)) != CMK_OK)
        return "must name a vault, as in vault-key NAME = FINGERPRINT";
    if (strncmp(fingerprint, FINGERPRINT_PREFIX, digits_at) != 0 ||
        strlen(fingerprint) != digits_at + FINGERPRINT_DIGITS ||
        strspn(fingerprint + digits_at, "0123456789abcdefABCDEF") != FINGERPRINT_DIGITS)
        return "the fingerprint must be SHA256: and 64 hex digits, as cmk11 vault key-fingerprint prints it";
    for (size_t i = 0; i < c->pin_count; i++)
        if (strcmp(c->pins[i].name, name) == 0)
            return "this vault is pinned twice";
    cmk_vault_pin *pins = reallocarray(c->pins, c->pin_count + 1, sizeof(*pins));
    if (!pins)
        return "";
    c->pins = pins;
    cmk_vault_pin pin = {strdup(name), strdup(fingerprint)};
    pins[c->pin_count++] = pin;
    if (!pin.name || !pin.fingerprint)
        return "";
    for (char *p = pin.fingerprint + digits_at; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'F' ? *p - 'A' + 'a' : *p);
    return NULL;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r\n", s[n - 1]))
        s[--n] = '\0';
    return s;
}

/* Reads a vault-key line here: inih would split it at the first ':' or '=', which a vault name may hold. */
static void read_pin(reading *r, char *line)
{
    char *equals = strrchr(line, '=');
    const char *what = "needs a value, as in vault-key NAME = FINGERPRINT";
    /* In "vault-key: NAME = …" the colon would become part of the name, and NAME not be pinned. */
    if (equals && strchr(" \t", line[strlen(PIN_KEY)])) {
        *equals = '\0';
        char *value = trim(equals + 1);
        value[strcspn(value, " \t;")] = '\0';
        what = add_pin(r->c, trim(line + strlen(PIN_KEY)), value);
    }
    if (what)
        wrong(r, PIN_KEY, what);
}

static bool is_pin(const char *line)
{
    size_t n = strlen(PIN_KEY);
    return strncmp(line, PIN_KEY, n) == 0 && strchr(" \t=:", line[n]);
}

/* inih's reader. Leading blanks go, so that inih does not take a line for the continuation of the one before; so does
 * what can't be left to it: sections, which we have none of, and lines that it would break in two. */
static char *next_line(char *str, int num, void *stream)
{
    reading *r = stream;
    if (r->rc != CMK_OK || num < 2 || !fgets(str, num, r->f))
        return NULL;
    r->line++;
    if (!strchr(str, '\n') && !feof(r->f)) {
        wrong(r, "", "the line is too long, or has a zero byte");
        return NULL;
    }
    size_t blanks = strspn(str, " \t");
    memmove(str, str + blanks, strlen(str + blanks) + 1);
    if (str[0] == '[')
        wrong(r, trim(str), "there are no sections; write the keys on lines of their own");
    else if (is_pin(str))
        read_pin(r, str);
    else
        return str;
    str[0] = '\0';
    return str;
}

static cmk_rc read_stream(cmk_config *c, FILE *f)
{
    reading r = {.c = c, .f = f, .path = c->path, .rc = CMK_OK};
    int bad = ini_parse_stream(next_line, &r, handle, &r);
    if (r.rc == CMK_OK && ferror(f))
        return cmk_fail(CMK_E_IO, "%s can't be read", c->path);
    if (bad > 0 && (r.rc == CMK_OK || bad < r.line))
        return cmk_fail(CMK_E_CONFIG, "%s:%d: must be KEY = VALUE, or a comment that begins with #", c->path, bad);
    if (bad < 0)
        return cmk_fail(CMK_E_NO_MEMORY, "out of memory while reading %s", c->path);
    return r.rc;
}

/* The module acts on this file with its caller's rights, so nobody else may have written it. */
static cmk_rc check_owner(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return cmk_fail(CMK_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return cmk_fail(CMK_E_CONFIG, "%s is not a regular file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return cmk_fail(CMK_E_PERMISSION, "%s belongs to uid %lu; it must belong to root or to uid %lu", path,
                        (unsigned long)st.st_uid, (unsigned long)geteuid());
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return cmk_fail(CMK_E_PERMISSION, "%s can be written by others; run chmod go-w on it", path);
    return CMK_OK;
}

/* Reads path; where there is no such file CMK_E_NOT_FOUND, without a detail. */
static cmk_rc read_file(cmk_config *c, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int error = errno;
        struct stat st;
        /* In a directory that we may not even search (HOME of somebody else) the file isn't ours to obey. */
        if (error == ENOENT || error == ENOTDIR || (error == EACCES && stat(path, &st) != 0))
            return CMK_E_NOT_FOUND;
        return cmk_fail(error == EACCES ? CMK_E_PERMISSION : CMK_E_IO, "%s can't be opened: %s", path, strerror(error));
    }
    FILE *f = NULL;
    cmk_rc rc = check_owner(fd, path);
    if (rc != CMK_OK)
        goto out;
    rc = CMK_E_NO_MEMORY;
    c->path = strdup(path);
    f = fdopen(fd, "r");
    if (c->path && f)
        rc = read_stream(c, f);
out:
    if (f)
        (void)fclose(f);
    else
        (void)close(fd);
    return rc;
}

/* A variable that is set and not empty, else NULL. */
static const char *variable(const char *name)
{
    const char *v = secure_getenv(name);
    return v && v[0] ? v : NULL;
}

/* "$XDG/tail", else "HOME/below/tail"; HOME from the password database where the environment has none. NULL: nowhere.
 */
static char *user_path(const char *xdg, const char *below, const char *tail)
{
    char *out = NULL;
    const char *base = variable(xdg);
    if (base && base[0] == '/')
        return asprintf(&out, "%s/%s", base, tail) < 0 ? NULL : out;
    char buf[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    const char *home = variable("HOME");
    if (!home && getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) == 0 && found)
        home = found->pw_dir;
    if (!home || home[0] != '/')
        return NULL;
    return asprintf(&out, "%s/%s/%s", home, below, tail) < 0 ? NULL : out;
}

static cmk_rc find_and_read(cmk_config *c)
{
    const char *named = variable("CMK11_CONF");
    if (named) {
        cmk_rc rc = read_file(c, named);
        return rc == CMK_E_NOT_FOUND ? cmk_fail(rc, "%s, which CMK11_CONF names, does not exist", named) : rc;
    }
    cmk_rc rc = CMK_E_NOT_FOUND;
    STRING_AUTO own = user_path("XDG_CONFIG_HOME", ".config", "cmk11/cmk11.conf");
    if (own)
        rc = read_file(c, own);
    if (rc == CMK_E_NOT_FOUND)
        rc = read_file(c, SYSTEM_FILE);
    return rc == CMK_E_NOT_FOUND ? CMK_OK : rc;
}

static cmk_rc choose_store(cmk_config *c)
{
    const char *value = variable("CMK11_STORE");
    if (value) {
        const char *what = parse_store(value, &c->store);
        if (what && what[0])
            return cmk_fail(CMK_E_CONFIG, "CMK11_STORE %s", what);
    } else if (!c->store && geteuid() == 0) {
        c->store = strdup("sqlite:/var/lib/cmk11");
    } else if (!c->store) {
        STRING_AUTO dir = user_path("XDG_DATA_HOME", ".local/share", "cmk11");
        if (!dir)
            return cmk_fail(CMK_E_CONFIG, "there is no home directory for the store; set CMK11_STORE or HOME");
        c->store = store_of(dir);
    }
    return c->store ? CMK_OK : CMK_E_NO_MEMORY;
}

cmk_rc cmk_config_load(cmk_config **out)
{
    cmk_rc rc = CMK_E_NO_MEMORY;
    *out = NULL;
    cmk_config *c = calloc(1, sizeof(*c));
    if (!c)
        return cmk_fail(rc, "out of memory for the configuration");
    c->log_level = CMK_LOG_WARN;
    c->import_secret_keys = true;
    c->busy_timeout_ms = 10000;
    rc = find_and_read(c);
    if (rc == CMK_OK)
        rc = choose_store(c);
    if (rc == CMK_OK && !c->log_target && !(c->log_target = strdup("stderr")))
        rc = CMK_E_NO_MEMORY;
    if (rc == CMK_OK) {
        *out = c;
        c = NULL;
    }
    cmk_config_free(c);
    return rc;
}

void cmk_config_free(cmk_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->pin_count; i++) {
        free(c->pins[i].name);
        free(c->pins[i].fingerprint);
    }
    free(c->pins);
    free(c->log_target);
    free(c->audit_dir);
    free(c->store);
    free(c->path);
    free(c);
}
