/* PKCS#11 v3.0 §5.7, reading and setting attributes. */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/kobject.h"
#include "pkcs11/rules.h"

#define UNAVAILABLE ((CK_ULONG)-1)

/* The canonical value as the application sees it; CK_ULONG has 8 bytes as the canonical form has. */
static void to_native(const cmk_attr_row *row, cmk_bytes v, void *out)
{
    if (!row || (row->kind != CMK_ATTR_ULONG && row->kind != CMK_ATTR_MECHS)) {
        if (v.len > 0)
            memcpy(out, v.data, v.len);
        return;
    }
    for (size_t i = 0; i + 8 <= v.len; i += 8) {
        CK_ULONG n = cmk_value_to_ulong(cmk_bytes_of(v.data + i, 8));
        memcpy((uint8_t *)out + i, &n, sizeof(n));
    }
}

/* A value into the caller's pValue and ulValueLen (§5.7.5): a size query, a copy, or too small. */
static CK_RV give_plain(const cmk_attr_row *row, cmk_bytes v, CK_VOID_PTR to, CK_ULONG *len)
{
    size_t n = v.len;
    CK_ULONG room = *len;
    if (to && room < n) {
        *len = UNAVAILABLE;
        return CKR_BUFFER_TOO_SMALL;
    }
    if (to)
        to_native(row, v, to);
    *len = n;
    return CKR_OK;
}

/* An attribute array: the caller's value is an array of CK_ATTRIBUTE, each with a buffer of its own or none. */
static CK_RV give_array(cmk_bytes v, CK_ATTRIBUTE *to, CK_ULONG *len)
{
    cmk_attr entry;
    CK_ULONG count = 0;
    CK_RV result = CKR_OK;
    for (cmk_reader r = cmk_reader_of(v); cmk_array_next(&r, &entry);)
        count++;
    CK_ULONG room = *len;
    if (to && room < count * sizeof(*to)) {
        *len = UNAVAILABLE;
        return CKR_BUFFER_TOO_SMALL;
    }
    *len = count * sizeof(*to);
    if (!to)
        return CKR_OK;
    cmk_reader r = cmk_reader_of(v);
    for (CK_ULONG i = 0; i < count && cmk_array_next(&r, &entry); i++) {
        CK_ATTRIBUTE one;
        memcpy(&one, &to[i], sizeof(one));
        one.type = entry.type;
        bool array = entry.row && entry.row->kind == CMK_ATTR_ARRAY;
        /* An array in an array is told by its size only: its canonical form is no application's business. */
        CK_RV rv = array ? CKR_ATTRIBUTE_TYPE_INVALID : give_plain(entry.row, entry.value, one.pValue, &one.ulValueLen);
        if (array)
            one.ulValueLen = UNAVAILABLE;
        memcpy(&to[i], &one, sizeof(one));
        if (rv != CKR_OK)
            result = rv;
    }
    return result;
}

static CK_RV give(cmk_call *c, cmk_look *look, CK_ATTRIBUTE *a)
{
    CK_ATTRIBUTE copy;
    cmk_value v;
    memcpy(&copy, a, sizeof(copy));
    CK_RV rv = cmk_look_at(c, look, copy.type, &v);
    if (rv == CKR_OK) {
        const cmk_attr_row *row = cmk_attr_row_of(copy.type);
        rv = row->kind == CMK_ATTR_ARRAY ? give_array(v.view, copy.pValue, &copy.ulValueLen)
                                         : give_plain(row, v.view, copy.pValue, &copy.ulValueLen);
    } else {
        copy.ulValueLen = UNAVAILABLE;
    }
    a->ulValueLen = copy.ulValueLen;
    return rv;
}

static CK_RV get_all(cmk_call *c, cmk_kobject *o, CK_ATTRIBUTE *attrs, CK_ULONG count)
{
    CMK_LOOK_AUTO look = {0};
    CK_RV result = cmk_look_begin(c, o, &look);
    if (result != CKR_OK)
        return result;
    if (!attrs || count == 0)
        return attrs || count == 0 ? CKR_OK : CKR_ARGUMENTS_BAD;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_RV rv = give(c, &look, &attrs[i]);
        if (rv != CKR_OK)
            result = rv;
    }
    return result;
}

/* PKCS#11 v3.0 §5.7.5 C_GetAttributeValue */
CK_RV C_GetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate,
                          CK_ULONG ulCount)
{
    cmk_call c;
    cmk_kobject *o = NULL;
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = cmk_kobject_open(&c, hObject, &o);
    if (rv == CKR_OK)
        rv = get_all(&c, o, pTemplate, ulCount);
    cmk_kobject_put(o); /* before the call counts as left: C_Finalize may be waiting for it */
    return cmk_call_end(&c, __func__, rv);
}

/* What the object's readable attributes take. */
static CK_RV object_size(cmk_call *c, cmk_kobject *o, CK_ULONG *size)
{
    CMK_LOOK_AUTO look = {0};
    CK_RV rv = cmk_look_begin(c, o, &look);
    if (rv != CKR_OK)
        return rv;
    size_t n = 0, total = 0;
    const cmk_attr_row *rows = cmk_attr_rows(&n);
    for (size_t i = 0; i < n; i++) {
        cmk_value v;
        if (rows[i].type != CKA_CHECK_VALUE && cmk_look_at(c, &look, rows[i].type, &v) == CKR_OK)
            total += sizeof(CK_ATTRIBUTE) + v.view.len;
    }
    *size = total;
    return CKR_OK;
}

/* PKCS#11 v3.0 §5.7.4 C_GetObjectSize */
CK_RV C_GetObjectSize(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ULONG_PTR pulSize)
{
    cmk_call c;
    cmk_kobject *o = NULL;
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = pulSize ? cmk_kobject_open(&c, hObject, &o) : CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = object_size(&c, o, pulSize);
    cmk_kobject_put(o); /* before the call counts as left: C_Finalize may be waiting for it */
    return cmk_call_end(&c, __func__, rv);
}

/* Names are what a KEK's templates may repeat; everything else is read-only. */
static CK_RV set_kek(cmk_call *c, cmk_look *look, const cmk_template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const cmk_attr *a = &t->attrs[i];
        cmk_value v;
        CK_RV rv = cmk_look_at(c, look, a->type, &v);
        if (rv != CKR_OK)
            return rv == CKR_ATTRIBUTE_SENSITIVE ? CKR_ATTRIBUTE_READ_ONLY : rv;
        if ((a->type != CKA_LABEL && a->type != CKA_ID) || !cmk_bytes_equal(v.view, a->value))
            return CKR_ATTRIBUTE_READ_ONLY;
    }
    return CKR_OK;
}

static CK_RV change_all(const cmk_look *look, const cmk_template *t, cmk_making *k)
{
    for (size_t i = 0; i < t->count; i++) {
        const cmk_attr *a = &t->attrs[i];
        cmk_value before;
        if (!a->row || !(a->row->classes & cmk_class_bit(look->class)))
            return CKR_ATTRIBUTE_TYPE_INVALID;
        if (!(a->row->ops & CMK_IN_SET))
            return CKR_ATTRIBUTE_READ_ONLY;
        if (!cmk_attrs_get(look->attrs, look->class, a->type, &before))
            return CKR_ATTRIBUTE_READ_ONLY;
        if (look->class == CKO_SECRET_KEY && a->type == CKA_VALUE)
            return CKR_ATTRIBUTE_READ_ONLY;
        CK_RV rv = cmk_rules_change(a->row, CMK_IN_SET, look->class, before.view, a->value);
        if (rv != CKR_OK)
            return rv;
        cmk_making_set(k, a->type, a->value);
    }
    return cmk_rules_disjoint(k);
}

static CK_RV update_token(cmk_call *c, cmk_kobject *o, const cmk_attrs *attrs)
{
    CMK_BUF_AUTO record = CMK_BUF_INIT;
    cmk_object_spec spec = {.is_private = o->is_private};
    cmk_rc rc = cmk_rules_spec(attrs, &record, &spec);
    if (rc == CMK_OK)
        rc = cmk_object_update(cmk_call_user(c), o->object, &spec);
    return rc == CMK_OK ? CKR_OK : cmk_ckr(rc);
}

static CK_RV set_stored(cmk_call *c, cmk_look *look, const cmk_template *t)
{
    cmk_making k = {.op = CMK_IN_SET, .class = look->class};
    k.token = look->o->kind == CMK_KOBJECT_TOKEN;
    if (k.token && !c->s->rw)
        return CKR_SESSION_READ_ONLY;
    if (k.token && !cmk_call_user(c))
        return CKR_USER_NOT_LOGGED_IN;
    if (!cmk_look_true(c, look, CKA_MODIFIABLE))
        return CKR_ACTION_PROHIBITED;
    CK_RV rv = cmk_making_take(&k, look->attrs);
    if (rv == CKR_OK)
        rv = change_all(look, t, &k);
    if (rv != CKR_OK)
        return rv;
    cmk_attrs *changed = cmk_attrs_new(k.list, k.count);
    if (!changed)
        return CKR_HOST_MEMORY;
    if (!k.token)
        return cmk_kobject_replace(look->o, look->attrs, changed) ? CKR_OK : CKR_FUNCTION_FAILED;
    rv = update_token(c, look->o, changed);
    cmk_attrs_put(changed);
    return rv;
}

static CK_RV set_all(cmk_call *c, cmk_kobject *o, const cmk_template *t)
{
    CMK_LOOK_AUTO look = {0};
    CK_RV rv = cmk_look_begin(c, o, &look);
    if (rv != CKR_OK)
        return rv;
    if (o->kind != CMK_KOBJECT_KEK)
        return set_stored(c, &look, t);
    return c->s->rw ? set_kek(c, &look, t) : CKR_SESSION_READ_ONLY;
}

/* PKCS#11 v3.0 §5.7.6 C_SetAttributeValue */
CK_RV C_SetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate,
                          CK_ULONG ulCount)
{
    cmk_call c;
    cmk_kobject *o = NULL;
    CMK_TEMPLATE_AUTO t = {0};
    cmk_template_init(&t);
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = cmk_template_copy(pTemplate, ulCount, &t);
    if (rv == CKR_OK)
        rv = cmk_kobject_open(&c, hObject, &o);
    if (rv == CKR_OK)
        rv = set_all(&c, o, &t);
    cmk_kobject_put(o); /* before the call counts as left: C_Finalize may be waiting for it */
    return cmk_call_end(&c, __func__, rv);
}
