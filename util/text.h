/* Names, hexadecimal, times: what people write and read. */
#ifndef CMK_UTIL_TEXT_H
#define CMK_UTIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/error.h"

#define CMK_VAULT_NAME_MAX 32
#define CMK_KEY_NAME_MAX 127
#define CMK_PRINCIPAL_NAME_MAX 64

typedef enum cmk_name_kind { CMK_NAME_VAULT, CMK_NAME_KEY, CMK_NAME_PRINCIPAL } cmk_name_kind;

/* True if s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool cmk_utf8_valid(cmk_bytes s);

/* Is name allowed? 1 … 32, 127 or 64 bytes by kind; UTF-8; no control characters (C0, DEL, C1), no '/' (nor ':' for a
 * principal), no leading
 * '.' or '-', no trailing blank. CMK_E_NAME with a detail that says which rule. */
CMK_MUST_USE cmk_rc cmk_name_check(cmk_name_kind kind, cmk_bytes name);

/* Copies s for display into out (size bytes, always terminated), with control characters and bytes that are no UTF-8 as
 * \xNN. Returns out. */
char *cmk_printable(cmk_bytes s, char *out, size_t size);

/* Lower-case hex of v, terminated; out must hold 2·len + 1 bytes. Returns out. */
char *cmk_hex(cmk_bytes v, char *out);
/* Hex of an id: out holds 33 bytes. */
char *cmk_id_hex(const cmk_id *id, char out[2 * CMK_ID_SIZE + 1]);
/* Decodes exactly n bytes from 2·n hex digits of either case at s (len digits). CMK_E_FORMAT. */
CMK_MUST_USE cmk_rc cmk_unhex(const char *s, size_t len, uint8_t *out, size_t n);

/* RFC 3339 in UTC, seconds ("2026-11-22T04:50:18Z"), at most year 9999; out holds 21 bytes. Returns out. */
#define CMK_TIME_TEXT 21
char *cmk_time_text(int64_t t, char out[CMK_TIME_TEXT]);
/* Reads RFC 3339 with any offset, or a date alone (00:00 UTC), or "+N" with a unit (s, m, h, d, y of 365 days) from
 * now. CMK_E_ARGUMENT with a detail. */
CMK_MUST_USE cmk_rc cmk_time_parse(const char *s, int64_t now, int64_t *t);
/* Days since 1970-01-01 to year, month, day of the Gregorian calendar, and back. */
void cmk_civil_from_days(int64_t days, int *y, unsigned *m, unsigned *d);
int64_t cmk_days_from_civil(int y, unsigned m, unsigned d);

#endif
