#include "util/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_SIZE 512

typedef struct rc_row {
    const char *name;
    const char *text;
} rc_row;

static const rc_row rc_table[] = {
#define RC_ROW(code, name, text) [code] = {name, text},
    CMK_ERROR_TABLE(RC_ROW)
#undef RC_ROW
};

static _Thread_local char detail[DETAIL_SIZE];

static const rc_row *row_of(cmk_rc rc)
{
    static const rc_row unknown = {"unknown", "unknown error"};
    return (unsigned)rc < CMK_RC_COUNT ? &rc_table[rc] : &unknown;
}

const char *cmk_rc_name(cmk_rc rc)
{
    return row_of(rc)->name;
}

const char *cmk_rc_text(cmk_rc rc)
{
    return row_of(rc)->text;
}

/* The length of s without a multi-byte character that truncation has cut at its end. */
static size_t whole_characters(const char *s, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 4 && ((unsigned char)s[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return len;
    unsigned char lead = (unsigned char)s[start - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return len - (start - 1) < want ? start - 1 : len;
}

#undef cmk_fail /* the analyser's stand-in */
cmk_rc cmk_fail(cmk_rc rc, const char *fmt, ...)
{
    /* Not formatted in place: an argument may be the sentence that is being replaced. */
    char text[DETAIL_SIZE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t len = 0;
    if (n > 0)
        len = (size_t)n < sizeof(text) ? (size_t)n : whole_characters(text, sizeof(text) - 1);
    memcpy(detail, text, len);
    detail[len] = '\0';
    return rc;
}

const char *cmk_fail_detail(void)
{
    return detail;
}

void cmk_fail_clear(void)
{
    detail[0] = '\0';
}
