/* Unit tests of util/: error texts, buffers and readers, names, hexadecimal, times, clock. */
#include <stdlib.h>
#include <time.h>

#include "tests/unit/unit.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/text.h"

static void error_table(void)
{
    for (int i = 0; i < CMK_RC_COUNT; i++) {
        CU_ASSERT_TRUE(strlen(cmk_rc_name((cmk_rc)i)) > 0);
        CU_ASSERT_TRUE(strlen(cmk_rc_text((cmk_rc)i)) > 0);
        for (int j = 0; j < i; j++)
            CU_ASSERT_STRING_NOT_EQUAL(cmk_rc_name((cmk_rc)i), cmk_rc_name((cmk_rc)j));
    }
    CU_ASSERT_STRING_EQUAL(cmk_rc_name(CMK_E_NOT_FOUND), "not-found");
    CU_ASSERT_STRING_EQUAL(cmk_rc_name((cmk_rc)9999), "unknown");
}

static void error_detail(void)
{
    cmk_fail_clear();
    CU_ASSERT_STRING_EQUAL(cmk_fail_detail(), "");
    UNIT_RC(cmk_fail(CMK_E_NOT_FOUND, "vault %s", "a"), CMK_E_NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(cmk_fail_detail(), "vault a");
    /* The old sentence as part of the new one. */
    (void)cmk_fail(CMK_E_IO, "outer: %s", cmk_fail_detail());
    CU_ASSERT_STRING_EQUAL(cmk_fail_detail(), "outer: vault a");
    cmk_fail_clear();
    CU_ASSERT_STRING_EQUAL(cmk_fail_detail(), "");
}

static void error_truncation(void)
{
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91"};
    for (size_t c = 0; c < 4; c++) {
        for (size_t shift = 0; shift < 4; shift++) {
            char text[1024] = "";
            memset(text, 'a', shift);
            for (size_t at = shift; at + 5 < sizeof(text); at += strlen(characters[c]))
                memcpy(text + at, characters[c], strlen(characters[c]) + 1);
            (void)cmk_fail(CMK_E_IO, "%s", text);
            const char *d = cmk_fail_detail();
            CU_ASSERT_TRUE(strlen(d) <= 511 && strlen(d) >= 508);
            CU_ASSERT_TRUE(cmk_utf8_valid(cmk_bytes_str(d)));
        }
    }
}

static void buffer_and_reader(void)
{
    CMK_BUF_AUTO b = CMK_BUF_INIT;
    cmk_buf_u8(&b, 0x12);
    cmk_buf_u16(&b, 0x3456);
    cmk_buf_u32(&b, 0x789abcdeU);
    cmk_buf_u64(&b, UINT64_C(0xfedcba9876543210));
    cmk_buf_str(&b, cmk_bytes_str("abc"));
    cmk_buf_label(&b, "l");
    cmk_buf_add(&b, NULL, 0);
    CU_ASSERT_PTR_NOT_NULL(cmk_buf_extend(&b, 0));
    uint8_t *zeros = cmk_buf_extend(&b, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(zeros);
    for (size_t i = 0; i < 1000; i++)
        CU_ASSERT_EQUAL(zeros[i], 0);
    UNIT_OK(cmk_buf_ok(&b));
    static const uint8_t wanted[] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xfe, 0xdc, 0xba, 0x98, 0x76,
                                     0x54, 0x32, 0x10, 0,    0,    0,    3,    'a',  'b',  'c',  'l',  0};
    CU_ASSERT_EQUAL(b.len, sizeof(wanted) + 1000);
    CU_ASSERT_EQUAL(memcmp(b.data, wanted, sizeof(wanted)), 0);

    cmk_reader r = cmk_reader_of(cmk_buf_view(&b));
    CU_ASSERT_EQUAL(cmk_read_u8(&r), 0x12);
    CU_ASSERT_EQUAL(cmk_read_u16(&r), 0x3456);
    CU_ASSERT_EQUAL(cmk_read_u32(&r), 0x789abcdeU);
    CU_ASSERT_EQUAL(cmk_read_u64(&r), UINT64_C(0xfedcba9876543210));
    CU_ASSERT_TRUE(cmk_bytes_equal(cmk_read_str(&r, 3), cmk_bytes_str("abc")));
    char label[2];
    cmk_read_raw(&r, label, 2);
    CU_ASSERT_STRING_EQUAL(label, "l");
    UNIT_RC(cmk_reader_end(&r), CMK_E_FORMAT);
    CU_ASSERT_EQUAL(cmk_read_view(&r, 1000).len, 1000);
    UNIT_OK(cmk_reader_end(&r));

    cmk_buf_reset(&b);
    CU_ASSERT_EQUAL(b.len, 0);
    CU_ASSERT_PTR_NOT_NULL(b.data);
}

static void buffer_limit(void)
{
    CMK_BUF_AUTO b = CMK_BUF_INIT;
    cmk_buf_u8(&b, 1);
    CU_ASSERT_PTR_NULL(cmk_buf_extend(&b, CMK_BUF_MAX));
    UNIT_RC(cmk_buf_ok(&b), CMK_E_NO_MEMORY);
    cmk_buf_u8(&b, 2);
    CU_ASSERT_EQUAL(b.len, 1);
    CU_ASSERT_PTR_NULL(cmk_buf_extend(&b, SIZE_MAX));
    cmk_buf_str(&b, (cmk_bytes){NULL, SIZE_MAX});
    UNIT_RC(cmk_buf_ok(&b), CMK_E_NO_MEMORY);
    cmk_buf_free(NULL);
}

static void reader_errors(void)
{
    static const uint8_t data[] = {0, 0, 0, 5, 'a', 'b'};
    cmk_reader r = cmk_reader_of(cmk_bytes_of(data, sizeof(data)));
    CU_ASSERT_EQUAL(cmk_read_str(&r, 100).len, 0);
    CU_ASSERT_TRUE(r.failed);
    CU_ASSERT_EQUAL(cmk_read_u8(&r), 0);
    uint8_t out[3] = {1, 2, 3};
    cmk_read_raw(&r, out, 3);
    CU_ASSERT_TRUE(out[0] == 0 && out[1] == 0 && out[2] == 0);
    UNIT_RC(cmk_reader_end(&r), CMK_E_FORMAT);

    static const uint8_t small[] = {0, 0, 0, 1, 'a'};
    r = cmk_reader_of(cmk_bytes_of(small, sizeof(small)));
    CU_ASSERT_EQUAL(cmk_read_str(&r, 0).len, 0);
    UNIT_RC(cmk_reader_end(&r), CMK_E_FORMAT);
    r = cmk_reader_of((cmk_bytes){NULL, 0});
    UNIT_OK(cmk_reader_end(&r));
    CU_ASSERT_EQUAL(cmk_read_view(&r, SIZE_MAX).len, 0);
    UNIT_RC(cmk_reader_end(&r), CMK_E_FORMAT);
}

static void views_and_ids(void)
{
    CU_ASSERT_EQUAL(cmk_bytes_str(NULL).len, 0);
    CU_ASSERT_TRUE(cmk_bytes_equal(cmk_bytes_str(NULL), cmk_bytes_str("")));
    CU_ASSERT_FALSE(cmk_bytes_equal(cmk_bytes_str("a"), cmk_bytes_str("b")));
    CU_ASSERT_FALSE(cmk_bytes_equal(cmk_bytes_str("a"), cmk_bytes_str("ab")));
    cmk_id a = {{0}};
    cmk_id b = {{0}};
    CU_ASSERT_TRUE(cmk_id_is_zero(&a));
    b.b[15] = 1;
    CU_ASSERT_FALSE(cmk_id_is_zero(&b));
    CU_ASSERT_FALSE(cmk_id_equal(&a, &b));
    a = b;
    CU_ASSERT_TRUE(cmk_id_equal(&a, &b));
}

static void utf8(void)
{
    static const struct {
        const char *s;
        bool valid;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xa9", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x94\x91", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xed\x9f\xbf", true},
        {"\xc0\xaf", false}, /* overlong */
        {"\xe0\x80\xaf", false},
        {"\xf0\x80\x80\xaf", false},
        {"\x80", false},
        {"\xc3", false},
        {"\xe2\x82", false},
        {"\xc3(", false},
        {"\xff", false},
        {"\xf8\x88\x80\x80\x80", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CU_ASSERT_EQUAL(cmk_utf8_valid(cmk_bytes_str(rows[i].s)), rows[i].valid);
}

static void names(void)
{
    static const struct {
        cmk_name_kind kind;
        const char *name;
        cmk_rc rc;
    } rows[] = {
        {CMK_NAME_VAULT, "prod", CMK_OK},
        {CMK_NAME_VAULT, "a b", CMK_OK},
        {CMK_NAME_VAULT, "a:b=c", CMK_OK},
        {CMK_NAME_VAULT, "schl\xc3\xbcssel", CMK_OK},
        {CMK_NAME_VAULT, "", CMK_E_NAME},
        {CMK_NAME_VAULT, "a/b", CMK_E_NAME},
        {CMK_NAME_VAULT, ".a", CMK_E_NAME},
        {CMK_NAME_VAULT, "-a", CMK_E_NAME},
        {CMK_NAME_VAULT, "a.-", CMK_OK},
        {CMK_NAME_VAULT, "a ", CMK_E_NAME},
        {CMK_NAME_VAULT, "a\n", CMK_E_NAME},
        {CMK_NAME_VAULT, "a\x7f", CMK_E_NAME},
        {CMK_NAME_VAULT, "a\xc2\x85z", CMK_E_NAME},
        {CMK_NAME_VAULT, "a\xc2\xa0z", CMK_OK},
        {CMK_NAME_VAULT, "\xff", CMK_E_NAME},
        {CMK_NAME_KEY, "a:b", CMK_OK},
        {CMK_NAME_PRINCIPAL, "a:b", CMK_E_NAME},
        {CMK_NAME_PRINCIPAL, "alice", CMK_OK},
        {(cmk_name_kind)77, "alice", CMK_E_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cmk_fail_clear();
        UNIT_RC(cmk_name_check(rows[i].kind, cmk_bytes_str(rows[i].name)), rows[i].rc);
        CU_ASSERT_EQUAL(cmk_fail_detail()[0] == '\0', rows[i].rc == CMK_OK);
    }
    UNIT_RC(cmk_name_check(CMK_NAME_KEY, cmk_bytes_of("a\0b", 3)), CMK_E_NAME);
    static const size_t limits[] = {32, 127, 64};
    char name[130];
    memset(name, 'n', sizeof(name));
    for (int k = CMK_NAME_VAULT; k <= CMK_NAME_PRINCIPAL; k++) {
        UNIT_OK(cmk_name_check((cmk_name_kind)k, cmk_bytes_of(name, limits[k])));
        UNIT_RC(cmk_name_check((cmk_name_kind)k, cmk_bytes_of(name, limits[k] + 1)), CMK_E_NAME);
    }
}

static void printable(void)
{
    char out[32];
    CU_ASSERT_STRING_EQUAL(cmk_printable(cmk_bytes_str("a\n\xff\xc3\xa9"), out, sizeof(out)), "a\\x0a\\xff\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(cmk_printable(cmk_bytes_str("\xc2\x9b"), out, sizeof(out)), "\\xc2\\x9b");
    CU_ASSERT_STRING_EQUAL(cmk_printable(cmk_bytes_of("a\0b", 3), out, sizeof(out)), "a\\x00b");
    /* Truncation leaves whole characters and escapes. */
    CU_ASSERT_STRING_EQUAL(cmk_printable(cmk_bytes_str("ab\xc3\xa9"), out, 4), "ab");
    CU_ASSERT_STRING_EQUAL(cmk_printable(cmk_bytes_str("a\n"), out, 5), "a");
    CU_ASSERT_STRING_EQUAL(cmk_printable(cmk_bytes_str("abc"), out, 1), "");
    out[0] = 'z';
    CU_ASSERT_EQUAL(cmk_printable(cmk_bytes_str("abc"), out, 0)[0], 'z');
}

static void hexadecimal(void)
{
    char text[33];
    uint8_t back[16];
    cmk_id id;
    for (size_t i = 0; i < CMK_ID_SIZE; i++)
        id.b[i] = (uint8_t)(i * 17);
    CU_ASSERT_STRING_EQUAL(cmk_id_hex(&id, text), "00112233445566778899aabbccddeeff");
    UNIT_OK(cmk_unhex("00112233445566778899AABBCCddeeff", 32, back, 16));
    CU_ASSERT_EQUAL(memcmp(back, id.b, 16), 0);
    UNIT_RC(cmk_unhex("0g", 2, back, 1), CMK_E_FORMAT);
    UNIT_RC(cmk_unhex("001", 3, back, 1), CMK_E_FORMAT);
    UNIT_RC(cmk_unhex("0011", 4, back, 1), CMK_E_FORMAT);
    UNIT_RC(cmk_unhex("", 0, back, SIZE_MAX / 2 + 1), CMK_E_FORMAT);
    UNIT_OK(cmk_unhex("", 0, back, 0));
    CU_ASSERT_STRING_EQUAL(cmk_hex((cmk_bytes){NULL, 0}, text), "");
}

static void civil(void)
{
    CU_ASSERT_EQUAL(cmk_days_from_civil(1970, 1, 1), 0);
    CU_ASSERT_EQUAL(cmk_days_from_civil(2000, 3, 1), 11017);
    for (int64_t day = -800000; day < 3000000; day += 1) {
        int y = 0;
        unsigned m = 0;
        unsigned d = 0;
        cmk_civil_from_days(day, &y, &m, &d);
        if (cmk_days_from_civil(y, m, d) != day || m < 1 || m > 12 || d < 1 || d > 31) {
            CU_FAIL("civil round trip");
            break;
        }
        if (day % 1009 != 0)
            continue;
        struct tm tm;
        time_t t = (time_t)(day * 86400);
        CU_ASSERT_PTR_NOT_NULL_FATAL(gmtime_r(&t, &tm));
        CU_ASSERT_TRUE(tm.tm_year + 1900 == y && (unsigned)tm.tm_mon + 1 == m && (unsigned)tm.tm_mday == d);
    }
}

static void time_text(void)
{
    char out[CMK_TIME_TEXT];
    CU_ASSERT_STRING_EQUAL(cmk_time_text(0, out), "1970-01-01T00:00:00Z");
    CU_ASSERT_STRING_EQUAL(cmk_time_text(-1, out), "1969-12-31T23:59:59Z");
    CU_ASSERT_STRING_EQUAL(cmk_time_text(1795323018, out), "2026-11-22T04:50:18Z");
    CU_ASSERT_STRING_EQUAL(cmk_time_text(INT64_MAX, out), "9999-12-31T23:59:59Z");
    CU_ASSERT_STRING_EQUAL(cmk_time_text(INT64_MIN, out), "0000-01-01T00:00:00Z");
}

static void time_parse(void)
{
    static const struct {
        const char *s;
        cmk_rc rc;
        int64_t t;
    } rows[] = {
        {"1970-01-01", CMK_OK, 0},
        {"2026-11-22T04:50:18Z", CMK_OK, 1795323018},
        {"2026-11-22t04:50:18.123456789z", CMK_OK, 1795323018},
        {"2026-11-22 05:50:18+01:00", CMK_OK, 1795323018},
        {"2026-11-21T23:20:18-05:30", CMK_OK, 1795323018},
        {"2024-02-29", CMK_OK, 1709164800},
        {"2016-12-31T23:59:60Z", CMK_OK, 1483228800},
        {"9999-12-31T23:59:59Z", CMK_OK, INT64_C(253402300799)},
        {"9999-12-31T23:59:60Z", CMK_E_ARGUMENT, 0},
        {"1969-12-31", CMK_E_ARGUMENT, 0},
        {"1970-01-01T00:00:00+00:01", CMK_E_ARGUMENT, 0},
        {"2023-02-29", CMK_E_ARGUMENT, 0},
        {"1900-02-29", CMK_E_ARGUMENT, 0},
        {"2026-13-01", CMK_E_ARGUMENT, 0},
        {"2026-00-01", CMK_E_ARGUMENT, 0},
        {"2026-01-00", CMK_E_ARGUMENT, 0},
        {"2026-04-31", CMK_E_ARGUMENT, 0},
        {"2026-11-22T24:00:00Z", CMK_E_ARGUMENT, 0},
        {"2026-11-22T04:60:00Z", CMK_E_ARGUMENT, 0},
        {"2026-11-22T04:50:18", CMK_E_ARGUMENT, 0},
        {"2026-11-22T04:50:18.Z", CMK_E_ARGUMENT, 0},
        {"2026-11-22T04:50:18+24:00", CMK_E_ARGUMENT, 0},
        {"2026-11-22T04:50:18Zx", CMK_E_ARGUMENT, 0},
        {"2026-11-2", CMK_E_ARGUMENT, 0},
        {"26-11-22", CMK_E_ARGUMENT, 0},
        {"", CMK_E_ARGUMENT, 0},
        {"now", CMK_E_ARGUMENT, 0},
        {"+0s", CMK_OK, 1000},
        {"+90s", CMK_OK, 1090},
        {"+2m", CMK_OK, 1120},
        {"+1h", CMK_OK, 4600},
        {"+30d", CMK_OK, 1000 + 30 * 86400},
        {"+2y", CMK_OK, 1000 + 730 * 86400},
        {"+30", CMK_E_ARGUMENT, 0},
        {"+d", CMK_E_ARGUMENT, 0},
        {"+1w", CMK_E_ARGUMENT, 0},
        {"+1dd", CMK_E_ARGUMENT, 0},
        {"+-1d", CMK_E_ARGUMENT, 0},
        {"+9000y", CMK_E_ARGUMENT, 0},
        {"+99999999999999999999d", CMK_E_ARGUMENT, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t t = 0;
        cmk_fail_clear();
        cmk_rc rc = cmk_time_parse(rows[i].s, 1000, &t);
        if (rc != rows[i].rc || t != rows[i].t)
            printf("  time \"%s\": %s, %lld\n", rows[i].s, cmk_rc_name(rc), (long long)t);
        UNIT_RC(rc, rows[i].rc);
        CU_ASSERT_EQUAL(t, rows[i].t);
        CU_ASSERT_EQUAL(cmk_fail_detail()[0] == '\0', rc == CMK_OK);
    }
}

static int64_t fixed_time(void)
{
    return 42;
}

static void clocks(void)
{
    int64_t now = (int64_t)time(NULL);
    CU_ASSERT_TRUE(cmk_now() >= now && cmk_now() <= now + 5);
    cmk_clock_set(fixed_time);
    CU_ASSERT_EQUAL(cmk_now(), 42);
    cmk_clock_set(NULL);
    CU_ASSERT_TRUE(cmk_now() >= now);
    uint64_t a = cmk_monotonic_us();
    CU_ASSERT_TRUE(cmk_monotonic_us() >= a);
}

static const unit_test tests[] = {
    {"error-table", error_table},
    {"error-detail", error_detail},
    {"error-truncation", error_truncation},
    {"buffer-and-reader", buffer_and_reader},
    {"buffer-limit", buffer_limit},
    {"reader-errors", reader_errors},
    {"views-and-ids", views_and_ids},
    {"utf8", utf8},
    {"names", names},
    {"printable", printable},
    {"hexadecimal", hexadecimal},
    {"civil", civil},
    {"time-text", time_text},
    {"time-parse", time_parse},
    {"clocks", clocks},
};

UNIT_MAIN("util-data", tests)
