#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "util/secret.h"

#define FIRST_CAP 256

cmk_bytes cmk_bytes_str(const char *s)
{
    return cmk_bytes_of(s, s ? strlen(s) : 0);
}

bool cmk_bytes_equal(cmk_bytes a, cmk_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool cmk_id_equal(const cmk_id *a, const cmk_id *b)
{
    return memcmp(a->b, b->b, CMK_ID_SIZE) == 0;
}

bool cmk_id_is_zero(const cmk_id *id)
{
    static const cmk_id zero;
    return cmk_id_equal(id, &zero);
}

/* Makes room for n more bytes. realloc() could leave a copy behind, so the contents are moved by hand and wiped. */
static bool reserve(cmk_buf *b, size_t n)
{
    if (b->failed)
        return false;
    if (b->len > CMK_BUF_MAX || n > CMK_BUF_MAX - b->len) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + n;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap *= 2;
    uint8_t *data = malloc(cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    if (b->len > 0)
        memcpy(data, b->data, b->len);
    cmk_wipe(b->data, b->cap);
    free(b->data);
    b->data = data;
    b->cap = cap;
    return true;
}

uint8_t *cmk_buf_extend(cmk_buf *b, size_t n)
{
    /* At least one byte is reserved, so that NULL always means failure. */
    if (!reserve(b, n > 0 ? n : 1))
        return NULL;
    uint8_t *at = b->data + b->len;
    memset(at, 0, n);
    b->len += n;
    return at;
}

void cmk_buf_add(cmk_buf *b, const void *p, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

static void add_integer(cmk_buf *b, uint64_t v, size_t width)
{
    uint8_t be[8];
    for (size_t i = width; i > 0; i--) {
        be[i - 1] = (uint8_t)(v & 0xFF);
        v >>= 8;
    }
    cmk_buf_add(b, be, width);
}

void cmk_buf_u8(cmk_buf *b, uint8_t v)
{
    add_integer(b, v, 1);
}

void cmk_buf_u16(cmk_buf *b, uint16_t v)
{
    add_integer(b, v, 2);
}

void cmk_buf_u32(cmk_buf *b, uint32_t v)
{
    add_integer(b, v, 4);
}

void cmk_buf_u64(cmk_buf *b, uint64_t v)
{
    add_integer(b, v, 8);
}

void cmk_buf_str(cmk_buf *b, cmk_bytes s)
{
    if (s.len > CMK_BUF_MAX) {
        b->failed = true;
        return;
    }
    cmk_buf_u32(b, (uint32_t)s.len);
    cmk_buf_add(b, s.data, s.len);
}

void cmk_buf_label(cmk_buf *b, const char *label)
{
    cmk_buf_add(b, label, strlen(label) + 1);
}

cmk_rc cmk_buf_ok(const cmk_buf *b)
{
    return b->failed ? cmk_fail(CMK_E_NO_MEMORY, "a buffer can't grow: out of memory, or more than 64 MiB") : CMK_OK;
}

void cmk_buf_reset(cmk_buf *b)
{
    cmk_wipe(b->data, b->len);
    b->len = 0;
    b->failed = false;
}

void cmk_buf_free(cmk_buf *b)
{
    if (!b)
        return;
    cmk_wipe(b->data, b->cap);
    free(b->data);
    *b = (cmk_buf)CMK_BUF_INIT;
}

cmk_reader cmk_reader_of(cmk_bytes v)
{
    return (cmk_reader){v.data, v.len, false};
}

cmk_bytes cmk_read_view(cmk_reader *r, size_t n)
{
    if (r->failed || n > r->left) {
        r->failed = true;
        return (cmk_bytes){NULL, 0};
    }
    cmk_bytes v = {r->p, n};
    if (n > 0)
        r->p += n;
    r->left -= n;
    return v;
}

static uint64_t read_integer(cmk_reader *r, size_t width)
{
    uint64_t v = 0;
    cmk_bytes be = cmk_read_view(r, width);
    for (size_t i = 0; i < be.len; i++)
        v = v << 8 | be.data[i];
    return v;
}

uint8_t cmk_read_u8(cmk_reader *r)
{
    return (uint8_t)read_integer(r, 1);
}

uint16_t cmk_read_u16(cmk_reader *r)
{
    return (uint16_t)read_integer(r, 2);
}

uint32_t cmk_read_u32(cmk_reader *r)
{
    return (uint32_t)read_integer(r, 4);
}

uint64_t cmk_read_u64(cmk_reader *r)
{
    return read_integer(r, 8);
}

void cmk_read_raw(cmk_reader *r, void *out, size_t n)
{
    cmk_bytes v = cmk_read_view(r, n);
    if (v.len > 0)
        memcpy(out, v.data, n);
    else if (n > 0)
        memset(out, 0, n);
}

cmk_bytes cmk_read_str(cmk_reader *r, size_t max)
{
    size_t n = cmk_read_u32(r);
    if (n > max)
        r->failed = true;
    return cmk_read_view(r, n);
}

cmk_rc cmk_reader_end(const cmk_reader *r)
{
    if (r->failed)
        return cmk_fail(CMK_E_FORMAT, "a record is too short, or a length in it is too large");
    if (r->left > 0)
        return cmk_fail(CMK_E_FORMAT, "a record has %zu bytes too many", r->left);
    return CMK_OK;
}
