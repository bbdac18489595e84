/* Views, growable buffers and bounded readers: the only way the project puts together and takes apart binary data.
 *
 * Integers are big-endian. "str" is a 32-bit length followed by the bytes. A reader never goes past its end: the first
 * error sticks, later reads give zeros and empty views, and cmk_reader_end() tells at the end.
 */
#ifndef CMK_UTIL_BYTES_H
#define CMK_UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* A view of bytes that somebody else owns. data may be NULL when len is 0. */
typedef struct cmk_bytes {
    const uint8_t *data;
    size_t len;
} cmk_bytes;

/* Makes a view of n bytes at p. */
static inline cmk_bytes cmk_bytes_of(const void *p, size_t n)
{
    return (cmk_bytes){(const uint8_t *)p, n};
}

/* A view of a C string without its zero; NULL gives an empty view. */
cmk_bytes cmk_bytes_str(const char *s);

/* True if both views have the same length and bytes. Not constant time: for public data only. */
bool cmk_bytes_equal(cmk_bytes a, cmk_bytes b);

/* A random 16-byte identity (vault, key, version, principal, object, chain). */
#define CMK_ID_SIZE 16
typedef struct cmk_id {
    uint8_t b[CMK_ID_SIZE];
} cmk_id;

/* True if a and b are the same id. */
bool cmk_id_equal(const cmk_id *a, const cmk_id *b);

/* True if id is all zeros (no id). */
bool cmk_id_is_zero(const cmk_id *id);

/* A buffer that grows. Zero-initialise it (CMK_BUF_INIT). Its memory is wiped whenever it is given back or moved, so it
 * may hold secrets for a moment; long-lived secrets belong into cmk_secret. An allocation failure or a size above
 * CMK_BUF_MAX sets failed, after which appends do nothing: check cmk_buf_ok() once at the end. */
#define CMK_BUF_MAX ((size_t)64 << 20)
typedef struct cmk_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
} cmk_buf;
#define CMK_BUF_INIT                                                                                                   \
    {                                                                                                                  \
        NULL, 0, 0, false                                                                                              \
    }

/* Appends n bytes from p (p may be NULL when n is 0). */
void cmk_buf_add(cmk_buf *b, const void *p, size_t n);
/* Appends one integer, big-endian, of 1, 2, 4 or 8 bytes. */
void cmk_buf_u8(cmk_buf *b, uint8_t v);
void cmk_buf_u16(cmk_buf *b, uint16_t v);
void cmk_buf_u32(cmk_buf *b, uint32_t v);
void cmk_buf_u64(cmk_buf *b, uint64_t v);
/* Appends a 32-bit length and the bytes. */
void cmk_buf_str(cmk_buf *b, cmk_bytes s);
/* Appends a C string with its terminating zero: the labels of docs/decisions/0001. */
void cmk_buf_label(cmk_buf *b, const char *label);
/* Appends n zero bytes and returns where they are, or NULL on failure; valid until the next append. */
uint8_t *cmk_buf_extend(cmk_buf *b, size_t n);
/* CMK_OK, or CMK_E_NO_MEMORY if any append failed. */
CMK_MUST_USE cmk_rc cmk_buf_ok(const cmk_buf *b);
/* The contents as a view; valid until the next append or free. */
static inline cmk_bytes cmk_buf_view(const cmk_buf *b)
{
    return (cmk_bytes){b->data, b->len};
}
/* Sets the length to 0, wiping what was there, and keeps the memory. */
void cmk_buf_reset(cmk_buf *b);
/* Wipes and frees; b is CMK_BUF_INIT afterwards. Safe on NULL and on a zeroed buffer. */
void cmk_buf_free(cmk_buf *b);
#define CMK_BUF_AUTO __attribute__((cleanup(cmk_buf_free))) cmk_buf

/* Reads a view from its start. */
typedef struct cmk_reader {
    const uint8_t *p;
    size_t left;
    bool failed;
} cmk_reader;

/* Starts reading at the first byte of v, which must outlive the reader. */
cmk_reader cmk_reader_of(cmk_bytes v);
/* Reads one integer; 0 after an error. */
uint8_t cmk_read_u8(cmk_reader *r);
uint16_t cmk_read_u16(cmk_reader *r);
uint32_t cmk_read_u32(cmk_reader *r);
uint64_t cmk_read_u64(cmk_reader *r);
/* Reads exactly n bytes into out; zeros after an error. */
void cmk_read_raw(cmk_reader *r, void *out, size_t n);
/* A view of the next n bytes, without copying; empty after an error. */
cmk_bytes cmk_read_view(cmk_reader *r, size_t n);
/* A view of a 32-bit length and that many bytes; fails when longer than max. */
cmk_bytes cmk_read_str(cmk_reader *r, size_t max);
/* CMK_OK if nothing failed and everything was read, else CMK_E_FORMAT. */
CMK_MUST_USE cmk_rc cmk_reader_end(const cmk_reader *r);

#endif
