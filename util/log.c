/* Without a lock, so that a fork while another thread logs can't leave the child with a lock that nobody releases: the
 * target is an immutable value that is swapped, and a file is opened for each of the few lines, which also survives log
 * rotation and applications that close all descriptors. */
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "util/text.h"

#define TEXT_SIZE 1024
#define ONCE_MAX 128

typedef enum target_kind { TO_STDERR, TO_SYSLOG, TO_NONE, TO_FILE } target_kind;

/* Never freed while the process lives: another thread may be about to write there. Reused when set up again. */
typedef struct log_target {
    target_kind kind;
    struct log_target *next;
    char path[];
} log_target;

static const struct {
    const char *name;
    int priority;
} level_table[] = {
    [CMK_LOG_NONE] = {"none", LOG_DEBUG},      [CMK_LOG_ERROR] = {"error", LOG_ERR},
    [CMK_LOG_WARN] = {"warning", LOG_WARNING}, [CMK_LOG_INFO] = {"info", LOG_INFO},
    [CMK_LOG_DEBUG] = {"debug", LOG_DEBUG},
};

static const log_target to_stderr = {TO_STDERR, NULL};
static const log_target to_syslog = {TO_SYSLOG, NULL};
static const log_target to_none = {TO_NONE, NULL};
static const struct {
    const char *name;
    const log_target *target;
} named_targets[] = {{"stderr", &to_stderr}, {"syslog", &to_syslog}, {"none", &to_none}};

static const log_target *current = &to_stderr;
static log_target *file_targets;
static int current_level = CMK_LOG_WARN;
static const char *once_keys[ONCE_MAX];

/* A regular file, or a device as /dev/null; not a pipe, whose missing reader would stop the application. */
static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return -1;
    struct stat st;
    if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
        return fd;
    (void)close(fd);
    errno = EINVAL;
    return -1;
}

/* The target for a path, made at its first use. NULL when out of memory. */
static const log_target *file_target(const char *path)
{
    log_target *head = __atomic_load_n(&file_targets, __ATOMIC_ACQUIRE);
    for (const log_target *t = head; t; t = t->next)
        if (strcmp(t->path, path) == 0)
            return t;
    size_t n = strlen(path) + 1;
    log_target *t = malloc(sizeof(*t) + n);
    if (!t)
        return NULL;
    t->kind = TO_FILE;
    memcpy(t->path, path, n);
    t->next = head;
    while (!__atomic_compare_exchange_n(&file_targets, &t->next, t, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    return t;
}

cmk_rc cmk_log_setup(const char *target, cmk_log_level level)
{
    const log_target *t = NULL;
    if (!target || (unsigned)level > CMK_LOG_DEBUG)
        return cmk_fail(CMK_E_CONFIG, "log: no target, or an unknown level");
    for (size_t i = 0; i < sizeof(named_targets) / sizeof(named_targets[0]); i++)
        if (strcmp(target, named_targets[i].name) == 0)
            t = named_targets[i].target;
    if (!t && target[0] != '/')
        return cmk_fail(CMK_E_CONFIG, "log = %s: must be stderr, syslog, none or an absolute path", target);
    if (!t) {
        int fd = open_file(target);
        if (fd < 0)
            return cmk_fail(CMK_E_IO, "log file %s can't be opened for appending: %s", target, strerror(errno));
        (void)close(fd);
        t = file_target(target);
        if (!t)
            return cmk_fail(CMK_E_NO_MEMORY, "out of memory for the log target %s", target);
    }
    __atomic_store_n(&current_level, (int)level, __ATOMIC_RELEASE);
    __atomic_store_n(&current, t, __ATOMIC_RELEASE);
    return CMK_OK;
}

/* One write a line, so that lines of several threads and processes don't mix. */
static void write_line(int fd, const char *line, size_t len)
{
    ssize_t n = 0;
    do
        n = write(fd, line, len);
    while (n < 0 && errno == EINTR);
}

static void emit(cmk_log_level level, const char *text)
{
    const log_target *t = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
    if (t->kind == TO_NONE)
        return;
    /* One byte less, so that the newline always has room. */
    char line[TEXT_SIZE + 64];
    int n = snprintf(line, sizeof(line) - 1, "cmk11[%ld]: %s: %s", (long)getpid(), level_table[level].name, text);
    if (n < 0)
        return;
    if (t->kind == TO_SYSLOG) {
        syslog(LOG_USER | level_table[level].priority, "%s", line);
        return;
    }
    size_t len = strlen(line);
    line[len++] = '\n';
    int fd = t->kind == TO_FILE ? open_file(t->path) : -1;
    write_line(fd >= 0 ? fd : STDERR_FILENO, line, len);
    if (fd >= 0)
        (void)close(fd);
}

static int is_on(cmk_log_level level)
{
    return level > CMK_LOG_NONE && level <= CMK_LOG_DEBUG &&
           (int)level <= __atomic_load_n(&current_level, __ATOMIC_ACQUIRE);
}

static void log_text(cmk_log_level level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void log_text(cmk_log_level level, const char *fmt, va_list ap)
{
    int saved = errno;
    char raw[TEXT_SIZE];
    char text[TEXT_SIZE];
    if (vsnprintf(raw, sizeof(raw), fmt, ap) >= 0)
        emit(level, cmk_printable(cmk_bytes_str(raw), text, sizeof(text)));
    errno = saved;
}

void cmk_log(cmk_log_level level, const char *fmt, ...)
{
    if (!is_on(level))
        return;
    va_list ap;
    va_start(ap, fmt);
    log_text(level, fmt, ap);
    va_end(ap);
}

/* True for the first caller with this key. When the table is full nothing more is new. */
static int is_new(const char *key)
{
    for (size_t i = 0; i < ONCE_MAX; i++) {
        const char *there = NULL;
        if (__atomic_compare_exchange_n(&once_keys[i], &there, key, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return 1;
        if (strcmp(there, key) == 0)
            return 0;
    }
    return 0;
}

void cmk_log_once(cmk_log_level level, const char *key, const char *fmt, ...)
{
    if (!is_on(level) || !is_new(key))
        return;
    va_list ap;
    va_start(ap, fmt);
    log_text(level, fmt, ap);
    va_end(ap);
}
