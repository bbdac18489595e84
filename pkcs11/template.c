#include "pkcs11/template.h"

#include <stdlib.h>
#include <string.h>

void cmk_template_init(cmk_template *out)
{
    out->count = 0;
    out->bytes = out->inside;
    out->used = 0;
    out->cap = sizeof(out->inside);
}

void cmk_template_clear(cmk_template *t)
{
    cmk_wipe(t->bytes, t->used);
    if (t->bytes != t->inside)
        free(t->bytes);
    cmk_template_init(t);
}

/* Room for n more bytes. What moves is wiped where it was. */
static CK_RV reserve(cmk_template *t, size_t n)
{
    if (n > CMK_TEMPLATE_BYTES_MAX - t->used)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    if (n <= t->cap - t->used)
        return CKR_OK;
    size_t cap = t->cap;
    while (cap - t->used < n)
        cap *= 2;
    uint8_t *bytes = malloc(cap);
    if (!bytes)
        return CKR_HOST_MEMORY;
    memcpy(bytes, t->bytes, t->used);
    cmk_wipe(t->bytes, t->used);
    if (t->bytes != t->inside)
        free(t->bytes);
    t->bytes = bytes;
    t->cap = cap;
    return CKR_OK;
}

static CK_RV add(cmk_template *t, const void *p, size_t n)
{
    CK_RV rv = reserve(t, n);
    if (rv == CKR_OK && n > 0) {
        memcpy(t->bytes + t->used, p, n);
        t->used += n;
    }
    return rv;
}

static CK_RV add_u32(cmk_template *t, size_t v)
{
    const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return add(t, b, sizeof(b));
}

static CK_RV add_ulongs(cmk_template *t, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CK_ULONG one = 0;
        memcpy(&one, (const uint8_t *)p + i * sizeof(one), sizeof(one));
        cmk_value v;
        cmk_value_ulong(&v, one);
        CK_RV rv = add(t, v.view.data, v.view.len);
        if (rv != CKR_OK)
            return rv;
    }
    return CKR_OK;
}

/* CK_DATE: empty, or eight digits of a date that exists. */
static bool date_ok(const uint8_t *p, size_t n)
{
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (n == 0)
        return true;
    unsigned v[8];
    for (size_t i = 0; i < 8; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v[i] = (unsigned)(p[i] - '0');
    }
    unsigned month = v[4] * 10 + v[5], day = v[6] * 10 + v[7];
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

static CK_RV add_value(cmk_template *t, const cmk_attr_row *row, const CK_ATTRIBUTE *a, unsigned depth);

/* An attribute array inside a template, in canonical form. */
static CK_RV add_array(cmk_template *t, const CK_ATTRIBUTE *a, unsigned depth)
{
    CK_ATTRIBUTE entries[CMK_TEMPLATE_NESTED_MAX];
    size_t n = a->ulValueLen / sizeof(entries[0]);
    if (depth >= CMK_TEMPLATE_DEPTH_MAX || a->ulValueLen % sizeof(entries[0]) != 0 || n > CMK_TEMPLATE_NESTED_MAX)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    if (n > 0)
        memcpy(entries, a->pValue, n * sizeof(entries[0]));
    for (size_t i = 0; i < n; i++) {
        const cmk_attr_row *row = cmk_attr_row_of(entries[i].type);
        if (!row)
            return CKR_ATTRIBUTE_VALUE_INVALID;
        for (size_t j = 0; j < i; j++)
            if (entries[j].type == entries[i].type)
                return CKR_TEMPLATE_INCONSISTENT;
        CK_RV rv = add_u32(t, entries[i].type);
        size_t length_at = t->used;
        if (rv == CKR_OK)
            rv = add_u32(t, 0);
        if (rv == CKR_OK)
            rv = add_value(t, row, &entries[i], depth + 1);
        if (rv != CKR_OK)
            return rv;
        size_t len = t->used - length_at - 4;
        for (size_t k = 0; k < 4; k++)
            t->bytes[length_at + k] = (uint8_t)(len >> (24 - 8 * k));
    }
    return CKR_OK;
}

/* Adds the canonical form of a's value. The caller's memory is read once; what is checked is the copy. */
static CK_RV add_value(cmk_template *t, const cmk_attr_row *row, const CK_ATTRIBUTE *a, unsigned depth)
{
    size_t n = a->ulValueLen, start = t->used;
    cmk_attr_kind kind = row ? row->kind : CMK_ATTR_BYTES;
    if ((!a->pValue && n > 0) || n > CMK_TEMPLATE_BYTES_MAX)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    CK_RV rv = CKR_GENERAL_ERROR;
    switch (kind) {
    case CMK_ATTR_BOOL:
        rv = n == 1 ? add(t, a->pValue, 1) : CKR_ATTRIBUTE_VALUE_INVALID;
        return rv == CKR_OK && t->bytes[start] > 1 ? CKR_ATTRIBUTE_VALUE_INVALID : rv;
    case CMK_ATTR_ULONG:
        return n == sizeof(CK_ULONG) ? add_ulongs(t, a->pValue, 1) : CKR_ATTRIBUTE_VALUE_INVALID;
    case CMK_ATTR_MECHS:
        if (n % sizeof(CK_ULONG) != 0 || n / sizeof(CK_ULONG) > CMK_MECHS_MAX)
            return CKR_ATTRIBUTE_VALUE_INVALID;
        return add_ulongs(t, a->pValue, n / sizeof(CK_ULONG));
    case CMK_ATTR_ARRAY:
        return add_array(t, a, depth);
    case CMK_ATTR_DATE:
        rv = n == 0 || n == 8 ? add(t, a->pValue, n) : CKR_ATTRIBUTE_VALUE_INVALID;
        return rv == CKR_OK && !date_ok(t->bytes + start, n) ? CKR_ATTRIBUTE_VALUE_INVALID : rv;
    case CMK_ATTR_BYTES:
        return add(t, a->pValue, n);
    }
    return rv;
}

CK_RV cmk_template_copy(const CK_ATTRIBUTE *attrs, CK_ULONG count, cmk_template *out)
{
    size_t at[CMK_TEMPLATE_MAX];
    if ((!attrs && count > 0) || count > CMK_TEMPLATE_MAX)
        return CKR_ARGUMENTS_BAD;
    for (size_t i = 0; i < count; i++) {
        CK_ATTRIBUTE one;
        memcpy(&one, &attrs[i], sizeof(one));
        if (cmk_attr_find(out->attrs, i, one.type))
            return CKR_TEMPLATE_INCONSISTENT;
        cmk_attr *a = &out->attrs[i];
        a->type = one.type;
        a->row = cmk_attr_row_of(one.type);
        at[i] = out->used;
        CK_RV rv = add_value(out, a->row, &one, 0);
        if (rv != CKR_OK)
            return rv;
        a->value.len = out->used - at[i];
    }
    /* Only now do the values stay where they are. */
    for (size_t i = 0; i < count; i++)
        out->attrs[i].value.data = out->bytes + at[i];
    out->count = count;
    return CKR_OK;
}

const cmk_attr *cmk_template_find(const cmk_template *t, CK_ATTRIBUTE_TYPE type)
{
    return cmk_attr_find(t->attrs, t->count, type);
}

bool cmk_template_bool(const cmk_template *t, CK_ATTRIBUTE_TYPE type, bool otherwise)
{
    const cmk_attr *a = cmk_template_find(t, type);
    return a ? cmk_value_is_true(a->value) : otherwise;
}

CK_ULONG cmk_template_ulong(const cmk_template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG otherwise)
{
    const cmk_attr *a = cmk_template_find(t, type);
    return a ? cmk_value_to_ulong(a->value) : otherwise;
}

cmk_bytes cmk_template_bytes(const cmk_template *t, CK_ATTRIBUTE_TYPE type)
{
    const cmk_attr *a = cmk_template_find(t, type);
    return a ? a->value : cmk_bytes_of("", 0);
}
