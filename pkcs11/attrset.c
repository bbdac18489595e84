/* An object's own attributes: looked up, copied, written to a record and read from one. */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/attrs.h"

#define RECORD_FORMAT 1
#define ENTRIES_MAX 128
#define ENTRY_MAX CMK_OBJECT_VALUE_MAX

const cmk_attr *cmk_attr_find(const cmk_attr *v, size_t n, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].type == type)
            return &v[i];
    return NULL;
}

cmk_attrs *cmk_attrs_new(const cmk_attr *v, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += v[i].value.len;
    cmk_attrs *a = malloc(sizeof(*a) + n * sizeof(a->v[0]) + bytes);
    if (!a)
        return NULL;
    a->refs = 1;
    a->count = n;
    a->bytes = bytes;
    uint8_t *p = (uint8_t *)&a->v[n];
    for (size_t i = 0; i < n; i++) {
        if (v[i].value.len > 0)
            memcpy(p, v[i].value.data, v[i].value.len);
        a->v[i] = (cmk_attr){v[i].type, v[i].row, cmk_bytes_of(p, v[i].value.len)};
        p += v[i].value.len;
    }
    return a;
}

cmk_attrs *cmk_attrs_take(cmk_attrs *a)
{
    __atomic_fetch_add(&a->refs, 1, __ATOMIC_RELAXED);
    return a;
}

void cmk_attrs_put(cmk_attrs *a)
{
    if (!a || __atomic_fetch_sub(&a->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    /* A private data object's value is among them. */
    cmk_wipe(&a->v[a->count], a->bytes);
    free(a);
}

void cmk_attrs_encode(const cmk_attrs *a, cmk_buf *out)
{
    cmk_buf_u8(out, RECORD_FORMAT);
    for (size_t i = 0; i < a->count; i++) {
        cmk_buf_u32(out, (uint32_t)a->v[i].type);
        cmk_buf_str(out, a->v[i].value);
    }
}

bool cmk_array_next(cmk_reader *r, cmk_attr *out)
{
    if (r->left == 0 || r->failed)
        return false;
    out->type = cmk_read_u32(r);
    out->value = cmk_read_str(r, ENTRY_MAX);
    out->row = cmk_attr_row_of(out->type);
    return !r->failed;
}

cmk_rc cmk_attrs_decode(cmk_bytes record, cmk_attrs **out)
{
    cmk_attr v[ENTRIES_MAX];
    size_t n = 0;
    cmk_reader r = cmk_reader_of(record);
    if (cmk_read_u8(&r) != RECORD_FORMAT)
        return cmk_fail(CMK_E_FORMAT,
                        "a token object has attributes of an unknown format; it was made by a newer release");
    while (n < ENTRIES_MAX && cmk_array_next(&r, &v[n]))
        n++;
    cmk_rc rc = cmk_reader_end(&r);
    if (rc != CMK_OK)
        return cmk_fail(rc, "the attributes of a token object are malformed");
    *out = cmk_attrs_new(v, n);
    return *out ? CMK_OK : CMK_E_NO_MEMORY;
}

bool cmk_attrs_get(const cmk_attrs *a, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type, cmk_value *out)
{
    const cmk_attr *own = cmk_attr_find(a->v, a->count, type);
    if (own) {
        cmk_value_bytes(out, own->value);
        return true;
    }
    const cmk_attr_row *row = cmk_attr_row_of(type);
    return row && (row->classes & cmk_class_bit(class)) && cmk_attr_fallback(row, class, out);
}

bool cmk_attrs_true(const cmk_attrs *a, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type)
{
    cmk_value v;
    return cmk_attrs_get(a, class, type, &v) && cmk_value_is_true(v.view);
}

CK_ULONG cmk_attrs_ulong(const cmk_attrs *a, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type)
{
    cmk_value v;
    return cmk_attrs_get(a, class, type, &v) ? cmk_value_to_ulong(v.view) : CK_UNAVAILABLE_INFORMATION;
}
