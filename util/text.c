#include "util/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY INT64_C(86400)
#define TIME_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define TIME_MIN INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */

static const char hex_digits[] = "0123456789abcdef";

/* Decodes the character at the start of s: its length, or 0 when it is no well-formed UTF-8. */
static size_t utf8_next(cmk_bytes s, uint32_t *code)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least; /* below it the form is overlong */
    } forms[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
    if (s.len == 0)
        return 0;
    size_t n = 0;
    while (n < 4 && (s.data[0] & forms[n].mask) != forms[n].lead)
        n++;
    if (n == 4 || n + 1 > s.len)
        return 0;
    uint32_t c = s.data[0] & (uint8_t)~forms[n].mask;
    for (size_t i = 1; i <= n; i++) {
        if ((s.data[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s.data[i] & 0x3FU);
    }
    if (c < forms[n].least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *code = c;
    return n + 1;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

bool cmk_utf8_valid(cmk_bytes s)
{
    while (s.len > 0) {
        uint32_t c = 0;
        size_t n = utf8_next(s, &c);
        if (n == 0)
            return false;
        s = cmk_bytes_of(s.data + n, s.len - n);
    }
    return true;
}

typedef struct name_rule {
    const char *what;
    size_t max;
    const char *forbidden;
} name_rule;

static const name_rule name_rules[] = {
    [CMK_NAME_VAULT] = {"a vault name", CMK_VAULT_NAME_MAX, "/"},
    [CMK_NAME_KEY] = {"a key name", CMK_KEY_NAME_MAX, "/"},
    [CMK_NAME_PRINCIPAL] = {"a principal's name", CMK_PRINCIPAL_NAME_MAX, "/:"},
};

cmk_rc cmk_name_check(cmk_name_kind kind, cmk_bytes name)
{
    if ((unsigned)kind >= sizeof(name_rules) / sizeof(name_rules[0]))
        return cmk_fail(CMK_E_ARGUMENT, "unknown kind of name");
    const name_rule *rule = &name_rules[kind];
    if (name.len == 0)
        return cmk_fail(CMK_E_NAME, "%s can't be empty", rule->what);
    if (name.len > rule->max)
        return cmk_fail(CMK_E_NAME, "%s has at most %zu bytes, this one has %zu", rule->what, rule->max, name.len);
    for (cmk_bytes rest = name; rest.len > 0;) {
        uint32_t c = 0;
        size_t n = utf8_next(rest, &c);
        if (n == 0)
            return cmk_fail(CMK_E_NAME, "%s must be UTF-8", rule->what);
        if (is_control(c))
            return cmk_fail(CMK_E_NAME, "%s can't contain control characters", rule->what);
        if (c < 0x80 && strchr(rule->forbidden, (int)c))
            return cmk_fail(CMK_E_NAME, "%s can't contain '%c'", rule->what, (char)c);
        rest = cmk_bytes_of(rest.data + n, rest.len - n);
    }
    if (name.data[0] == '.' || name.data[0] == '-')
        return cmk_fail(CMK_E_NAME, "%s can't begin with '%c'", rule->what, name.data[0]);
    if (name.data[name.len - 1] == ' ')
        return cmk_fail(CMK_E_NAME, "%s can't end with a blank", rule->what);
    return CMK_OK;
}

char *cmk_printable(cmk_bytes s, char *out, size_t size)
{
    size_t used = 0;
    while (s.len > 0 && size > 0) {
        uint32_t c = 0;
        size_t n = utf8_next(s, &c);
        char piece[8];
        size_t len = n;
        if (n == 0 || is_control(c)) {
            /* Byte by byte: what follows a C1 character's first byte is no UTF-8 by itself and is escaped next. */
            n = 1;
            len = 4;
            piece[0] = '\\';
            piece[1] = 'x';
            piece[2] = hex_digits[s.data[0] >> 4];
            piece[3] = hex_digits[s.data[0] & 15];
        } else {
            memcpy(piece, s.data, n);
        }
        if (len >= size - used)
            break;
        memcpy(out + used, piece, len);
        used += len;
        s = cmk_bytes_of(s.data + n, s.len - n);
    }
    if (size > 0)
        out[used] = '\0';
    return out;
}

char *cmk_hex(cmk_bytes v, char *out)
{
    for (size_t i = 0; i < v.len; i++) {
        out[2 * i] = hex_digits[v.data[i] >> 4];
        out[2 * i + 1] = hex_digits[v.data[i] & 15];
    }
    out[2 * v.len] = '\0';
    return out;
}

char *cmk_id_hex(const cmk_id *id, char out[2 * CMK_ID_SIZE + 1])
{
    return cmk_hex(cmk_bytes_of(id->b, CMK_ID_SIZE), out);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

cmk_rc cmk_unhex(const char *s, size_t len, uint8_t *out, size_t n)
{
    if (len % 2 != 0 || len / 2 != n)
        return cmk_fail(CMK_E_FORMAT, "%zu hex digits where %zu bytes are wanted", len, n);
    for (size_t i = 0; i < n; i++) {
        int high = digit_of(s[2 * i]);
        int low = digit_of(s[2 * i + 1]);
        if (high < 0 || low < 0)
            return cmk_fail(CMK_E_FORMAT, "a character that is no hex digit");
        out[i] = (uint8_t)(high << 4 | low);
    }
    return CMK_OK;
}

/* Both count years from March, so that the leap day is a year's last, in eras of 400 years (146,097 days). */
int64_t cmk_days_from_civil(int y, unsigned m, unsigned d)
{
    int64_t year = (int64_t)y - (m <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * ((int64_t)m + (m > 2 ? -3 : 9)) + 2) / 5 + (int64_t)d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void cmk_civil_from_days(int64_t days, int *y, unsigned *m, unsigned *d)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    *d = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    *m = (unsigned)(month < 10 ? month + 3 : month - 9);
    *y = (int)(year + era * 400 + (*m <= 2));
}

char *cmk_time_text(int64_t t, char out[CMK_TIME_TEXT])
{
    t = t < TIME_MIN ? TIME_MIN : t > TIME_MAX ? TIME_MAX : t;
    int64_t days = t / DAY - (t % DAY < 0);
    unsigned left = (unsigned)(t - days * DAY);
    int y = 0;
    unsigned m = 0;
    unsigned d = 0;
    cmk_civil_from_days(days, &y, &m, &d);
    (void)snprintf(out, CMK_TIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)y % 10000U, m % 100U, d % 100U,
                   left / 3600U % 100U, left / 60U % 60U, left % 60U);
    return out;
}

/* Reads exactly n digits; on anything else *s becomes NULL. */
static unsigned digits(const char **s, size_t n)
{
    unsigned v = 0;
    for (size_t i = 0; *s && i < n; i++) {
        char c = (*s)[i];
        if (c < '0' || c > '9')
            *s = NULL;
        else
            v = v * 10 + (unsigned)(c - '0');
    }
    if (*s)
        *s += n;
    return v;
}

/* Steps over one of the characters in set; on another one *s becomes NULL. */
static char one_of(const char **s, const char *set)
{
    char c = '\0';
    if (*s)
        c = **s;
    if (c == '\0' || !strchr(set, c))
        *s = NULL;
    else
        (*s)++;
    return c;
}

static unsigned days_in_month(unsigned y, unsigned m)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

/* "Thh:mm:ss[.fraction](Z|+hh:mm|-hh:mm)" at *s: seconds to add to midnight UTC of the date as written. */
static int64_t time_of_day(const char **s)
{
    (void)one_of(s, "Tt ");
    unsigned h = digits(s, 2);
    (void)one_of(s, ":");
    unsigned m = digits(s, 2);
    (void)one_of(s, ":");
    unsigned sec = digits(s, 2);
    if (*s && **s == '.') {
        (*s)++;
        (void)digits(s, 1);
        while (*s && **s >= '0' && **s <= '9')
            (*s)++;
    }
    char zone = one_of(s, "Zz+-");
    int64_t offset = 0;
    if (zone == '+' || zone == '-') {
        unsigned oh = digits(s, 2);
        (void)one_of(s, ":");
        unsigned om = digits(s, 2);
        if (oh > 23 || om > 59)
            *s = NULL;
        offset = (int64_t)oh * 3600 + (int64_t)om * 60;
    }
    /* 60 is a leap second, which counts as the first of the next minute. */
    if (h > 23 || m > 59 || sec > 60)
        *s = NULL;
    return (int64_t)h * 3600 + (int64_t)m * 60 + sec + (zone == '-' ? offset : -offset);
}

static bool parse_absolute(const char *s, int64_t *t)
{
    unsigned y = digits(&s, 4);
    (void)one_of(&s, "-");
    unsigned m = digits(&s, 2);
    (void)one_of(&s, "-");
    unsigned d = digits(&s, 2);
    if (!s || m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
        return false;
    int64_t seconds = 0;
    if (*s != '\0')
        seconds = time_of_day(&s);
    if (!s || *s != '\0')
        return false;
    *t = cmk_days_from_civil((int)y, m, d) * DAY + seconds;
    return true;
}

static bool parse_relative(const char *s, int64_t now, int64_t *t)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY}, {'y', 365 * DAY}};
    int64_t n = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (*p - '0');
        if (n > TIME_MAX)
            return false;
    }
    if (p == s || p[0] == '\0' || p[1] != '\0')
        return false;
    int64_t span = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].unit == *p && n <= TIME_MAX / units[i].seconds)
            span = units[i].seconds;
    return span > 0 && !__builtin_add_overflow(now, n * span, t);
}

cmk_rc cmk_time_parse(const char *s, int64_t now, int64_t *t)
{
    int64_t v = 0;
    bool ok = s[0] == '+' ? parse_relative(s + 1, now, &v) : parse_absolute(s, &v);
    if (!ok) {
        char shown[64];
        return cmk_fail(CMK_E_ARGUMENT,
                        "'%s' is no time; write 2026-11-22T04:50:18Z, a date as 2026-11-22, or +30d (s, m, h, d, y)",
                        cmk_printable(cmk_bytes_str(s), shown, sizeof(shown)));
    }
    if (v < 0 || v > TIME_MAX)
        return cmk_fail(CMK_E_ARGUMENT, "times are from 1970-01-01 to the end of the year 9999");
    *t = v;
    return CMK_OK;
}
