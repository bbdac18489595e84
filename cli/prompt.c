#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* ppoll */
#endif
#include "cli/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Signals that would leave the terminal without echo. */
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU};
#define CAUGHT_COUNT (sizeof caught / sizeof caught[0])
static volatile sig_atomic_t signalled;

static void remember(int number)
{
    signalled = number;
}

/* The signals are let in only while ppoll waits: one that came just before a read would else be felt only at the next
 * key that is typed. */
static cmk_rc read_line(int tty, const sigset_t *open, cmk_secret *line, size_t *len)
{
    size_t n = 0;
    for (;;) {
        uint8_t c = 0;
        struct pollfd wait = {.fd = tty, .events = POLLIN};
        ssize_t got = ppoll(&wait, 1, NULL, open);
        if (got > 0)
            got = read(tty, &c, 1);
        if (signalled)
            return cmk_fail(CMK_E_IO, "the prompt for a PIN was interrupted: run the command again");
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 && n == 0)
            return cmk_fail(CMK_E_IO, "no PIN was typed: run the command again");
        if (got <= 0 || c == '\n')
            break;
        if (n < line->len)
            line->data[n] = c;
        n++;
        cmk_wipe(&c, sizeof c);
    }
    *len = n;
    return CMK_OK;
}

static void say(int tty, const char *text)
{
    /* A terminal that takes no text can still be typed on. */
    ssize_t written = write(tty, text, strlen(text));
    (void)written;
}

cmk_rc cmk_cli_prompt(const char *question, cmk_secret *line, size_t *len)
{
    struct termios before, silent;
    struct sigaction action, saved[CAUGHT_COUNT];
    sigset_t held, mask;
    cmk_rc rc = CMK_E_INTERNAL;

    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &before) != 0) {
        rc = CMK_E_NOT_FOUND;
        goto out;
    }
    signalled = 0;
    memset(&action, 0, sizeof action);
    action.sa_handler = remember;
    (void)sigemptyset(&action.sa_mask);
    (void)sigemptyset(&held);
    for (size_t i = 0; i < CAUGHT_COUNT; i++)
        (void)sigaddset(&held, caught[i]);
    (void)sigprocmask(SIG_BLOCK, &held, &mask);
    for (size_t i = 0; i < CAUGHT_COUNT; i++)
        (void)sigaction(caught[i], &action, &saved[i]);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    if (tcsetattr(tty, TCSAFLUSH, &silent) == 0) {
        say(tty, question);
        rc = read_line(tty, &mask, line, len);
        (void)tcsetattr(tty, TCSAFLUSH, &before);
        say(tty, "\n");
    } else {
        rc = cmk_fail(CMK_E_IO, "the terminal's echo can't be switched off: use --pin-file");
    }
    for (size_t i = 0; i < CAUGHT_COUNT; i++)
        (void)sigaction(caught[i], &saved[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    if (signalled)
        (void)raise(signalled);
out:
    if (tty >= 0)
        (void)close(tty);
    return rc;
}
