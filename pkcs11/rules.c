#include "pkcs11/rules.h"

#include <string.h>

void cmk_making_set(cmk_making *k, CK_ATTRIBUTE_TYPE type, cmk_bytes value)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->list[i].type == type) {
            k->list[i].value = value;
            return;
        }
    }
    if (k->count < sizeof(k->list) / sizeof(k->list[0]))
        k->list[k->count++] = (cmk_attr){type, cmk_attr_row_of(type), value};
}

CK_RV cmk_making_take(cmk_making *k, const cmk_attrs *from)
{
    if (from->count > CMK_TEMPLATE_MAX)
        return CKR_FUNCTION_FAILED;
    for (size_t i = 0; i < from->count; i++)
        k->list[i] = from->v[i];
    k->count = from->count;
    return CKR_OK;
}

/* The computed values that one object needs are fewer than there is room for. */
static cmk_value *next_value(cmk_making *k)
{
    size_t last = sizeof(k->computed) / sizeof(k->computed[0]) - 1;
    return &k->computed[k->computed_count < last ? k->computed_count++ : last];
}

void cmk_making_set_bool(cmk_making *k, CK_ATTRIBUTE_TYPE type, bool b)
{
    cmk_value *v = next_value(k);
    cmk_value_bool(v, b);
    cmk_making_set(k, type, v->view);
}

void cmk_making_set_ulong(cmk_making *k, CK_ATTRIBUTE_TYPE type, CK_ULONG n)
{
    cmk_value *v = next_value(k);
    cmk_value_ulong(v, n);
    cmk_making_set(k, type, v->view);
}

void cmk_making_drop(cmk_making *k, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->list[i].type == type) {
            k->list[i] = k->list[--k->count];
            return;
        }
    }
}

bool cmk_making_true(const cmk_making *k, CK_ATTRIBUTE_TYPE type)
{
    const cmk_attr *a = cmk_attr_find(k->list, k->count, type);
    cmk_value v;
    if (a)
        return cmk_value_is_true(a->value);
    const cmk_attr_row *row = cmk_attr_row_of(type);
    return row && cmk_attr_fallback(row, k->class, &v) && cmk_value_is_true(v.view);
}

/* May a template for op name this attribute with this value? */
static CK_RV check_named(const cmk_attr *a, unsigned op, CK_OBJECT_CLASS class)
{
    if (!a->row || !(a->row->classes & cmk_class_bit(class)))
        return CKR_ATTRIBUTE_TYPE_INVALID;
    if (!(a->row->ops & op))
        return CKR_ATTRIBUTE_READ_ONLY;
    if ((a->row->flags & CMK_ROW_ONLY_FALSE) && cmk_value_is_true(a->value))
        return CKR_ATTRIBUTE_READ_ONLY;
    return CKR_OK;
}

static CK_RV check_access(cmk_call *c, const cmk_making *k)
{
    if (k->token && !c->s->rw)
        return CKR_SESSION_READ_ONLY;
    if ((k->token || k->is_private) && !cmk_call_user(c))
        return CKR_USER_NOT_LOGGED_IN;
    return CKR_OK;
}

CK_RV cmk_making_start(cmk_call *c, unsigned op, CK_OBJECT_CLASS class, const cmk_template *t, cmk_making *out)
{
    out->op = op;
    out->class = class;
    out->key_type = CK_UNAVAILABLE_INFORMATION;
    out->count = out->computed_count = 0;
    if (cmk_template_ulong(t, CKA_CLASS, class) != class)
        return CKR_TEMPLATE_INCONSISTENT;
    for (size_t i = 0; i < t->count; i++) {
        CK_RV rv = check_named(&t->attrs[i], op, class);
        if (rv != CKR_OK)
            return rv;
        out->list[out->count++] = t->attrs[i];
    }
    out->token = cmk_making_true(out, CKA_TOKEN);
    out->is_private = cmk_making_true(out, CKA_PRIVATE);
    cmk_making_set_ulong(out, CKA_CLASS, class);
    return check_access(c, out);
}

CK_RV cmk_rules_change(const cmk_attr_row *row, unsigned op, CK_OBJECT_CLASS class, cmk_bytes before, cmk_bytes after)
{
    if (cmk_bytes_equal(before, after))
        return CKR_OK;
    bool to = cmk_value_is_true(after);
    bool allowed = false;
    switch (row->change) {
    case CMK_CHANGE_FREE:
        allowed = true;
        break;
    case CMK_CHANGE_TO_TRUE:
        allowed = to;
        break;
    case CMK_CHANGE_TO_FALSE:
        allowed = !to;
        break;
    case CMK_CHANGE_COPY_DATA:
        allowed = class == CKO_DATA;
        break;
    }
    if (!allowed)
        return row->type == CKA_PRIVATE && op == CMK_IN_COPY ? CKR_TEMPLATE_INCONSISTENT : CKR_ATTRIBUTE_READ_ONLY;
    return CKR_OK;
}

CK_RV cmk_making_copy(cmk_call *c, const cmk_look *base, const cmk_template *t, cmk_making *out)
{
    const cmk_attrs *from = base->attrs;
    out->op = CMK_IN_COPY;
    out->class = base->class;
    out->key_type = cmk_attrs_ulong(from, base->class, CKA_KEY_TYPE);
    out->computed_count = 0;
    out->count = 0;
    CK_RV start = cmk_making_take(out, from);
    if (start != CKR_OK)
        return start;
    for (size_t i = 0; i < t->count; i++) {
        const cmk_attr *a = &t->attrs[i];
        CK_RV rv = check_named(a, CMK_IN_COPY, out->class);
        cmk_value before;
        if (rv == CKR_OK && cmk_attrs_get(from, out->class, a->type, &before))
            rv = cmk_rules_change(a->row, CMK_IN_COPY, out->class, before.view, a->value);
        if (rv != CKR_OK)
            return rv;
        cmk_making_set(out, a->type, a->value);
    }
    out->token = cmk_making_true(out, CKA_TOKEN);
    out->is_private = cmk_making_true(out, CKA_PRIVATE);
    return check_access(c, out);
}

CK_RV cmk_rules_disjoint(const cmk_making *k)
{
    bool clash = (cmk_making_true(k, CKA_WRAP) && cmk_making_true(k, CKA_DECRYPT)) ||
                 (cmk_making_true(k, CKA_UNWRAP) && cmk_making_true(k, CKA_ENCRYPT));
    return k->token && k->class == CKO_SECRET_KEY && clash ? CKR_TEMPLATE_INCONSISTENT : CKR_OK;
}

/* On a token key, a use that the template asks for takes away the default of the one that it excludes. */
static void yield_default(cmk_making *k, CK_ATTRIBUTE_TYPE asked, CK_ATTRIBUTE_TYPE excluded)
{
    if (k->token && cmk_making_true(k, asked) && !cmk_attr_find(k->list, k->count, excluded))
        cmk_making_set_bool(k, excluded, false);
}

CK_RV cmk_making_secret(cmk_making *k, CK_KEY_TYPE key_type, CK_MECHANISM_TYPE mechanism)
{
    bool generated = k->op == CMK_IN_GENERATE;
    if (key_type != CKK_AES && key_type != CKK_GENERIC_SECRET)
        return CKR_TEMPLATE_INCONSISTENT;
    k->key_type = key_type;
    cmk_making_set_ulong(k, CKA_KEY_TYPE, key_type);
    if (!cmk_attr_find(k->list, k->count, CKA_SENSITIVE))
        cmk_making_set_bool(k, CKA_SENSITIVE, generated);
    yield_default(k, CKA_WRAP, CKA_DECRYPT);
    yield_default(k, CKA_UNWRAP, CKA_ENCRYPT);
    cmk_making_set_bool(k, CKA_LOCAL, generated);
    cmk_making_set_bool(k, CKA_ALWAYS_SENSITIVE, generated && cmk_making_true(k, CKA_SENSITIVE));
    cmk_making_set_bool(k, CKA_NEVER_EXTRACTABLE, generated && !cmk_making_true(k, CKA_EXTRACTABLE));
    cmk_making_set_ulong(k, CKA_KEY_GEN_MECHANISM, mechanism);
    return cmk_rules_disjoint(k);
}

bool cmk_making_fits(const cmk_making *k, size_t n)
{
    const cmk_attr *len = cmk_attr_find(k->list, k->count, CKA_VALUE_LEN);
    if (len && cmk_value_to_ulong(len->value) != n)
        return false;
    if (k->key_type == CKK_AES)
        return n == 16 || n == 24 || n == 32;
    return n >= 1 && n <= CMK_SECRET_MAX;
}

bool cmk_rules_obeys(const cmk_making *k, cmk_bytes array)
{
    cmk_reader r = cmk_reader_of(array);
    cmk_attr want;
    while (cmk_array_next(&r, &want)) {
        const cmk_attr *have = cmk_attr_find(k->list, k->count, want.type);
        cmk_value v = {.view = {NULL, 0}};
        if (have)
            v.view = have->value;
        else if (!want.row || !cmk_attr_fallback(want.row, k->class, &v))
            return false;
        if (!cmk_bytes_equal(v.view, want.value))
            return false;
    }
    return !r.failed;
}

cmk_rc cmk_rules_spec(const cmk_attrs *attrs, cmk_buf *record, cmk_object_spec *spec)
{
    for (size_t i = 0; i < attrs->count; i++)
        if (attrs->v[i].value.len > CMK_OBJECT_VALUE_MAX) /* data objects have their value among the attributes */
            return cmk_fail(CMK_E_LIMIT, "a value of a token object has at most %d bytes", CMK_OBJECT_VALUE_MAX);
    const cmk_attr *label = cmk_attr_find(attrs->v, attrs->count, CKA_LABEL);
    const cmk_attr *id = cmk_attr_find(attrs->v, attrs->count, CKA_ID);
    cmk_attrs_encode(attrs, record);
    spec->label = label ? label->value : cmk_bytes_of(NULL, 0);
    spec->cka_id = id ? id->value : cmk_bytes_of(NULL, 0);
    spec->attributes = cmk_buf_view(record);
    return cmk_buf_ok(record);
}

static CK_RV make_token(cmk_call *c, const cmk_making *k, const cmk_attrs *attrs, cmk_bytes value,
                        CK_OBJECT_HANDLE *out)
{
    CMK_BUF_AUTO record = CMK_BUF_INIT;
    cmk_object *object = NULL;
    cmk_object_spec spec = {.is_private = k->is_private, .value = value};
    cmk_rc rc = cmk_rules_spec(attrs, &record, &spec);
    if (rc == CMK_OK)
        rc = cmk_object_create(cmk_call_user(c), &spec, &object);
    if (rc != CMK_OK)
        return cmk_ckr(rc);
    CK_RV rv = cmk_kobject_of_object(c, object, out);
    if (rv != CKR_OK && cmk_object_destroy(cmk_call_user(c), object) != CMK_OK)
        rv = CKR_GENERAL_ERROR;
    cmk_object_put(object);
    return rv;
}

CK_RV cmk_making_finish(cmk_call *c, cmk_making *k, cmk_secret *value, CK_OBJECT_HANDLE *out)
{
    CMK_SECRET_AUTO none = CMK_SECRET_INIT;
    cmk_making_set_bool(k, CKA_TOKEN, k->token);
    if (value)
        cmk_making_set_ulong(k, CKA_VALUE_LEN, value->len);
    else
        value = &none;
    cmk_attrs *attrs = cmk_attrs_new(k->list, k->count);
    if (!attrs)
        return CKR_HOST_MEMORY;
    if (!k->token)
        return cmk_kobject_new(c, k->class, attrs, value, out);
    CK_RV rv = make_token(c, k, attrs, cmk_secret_view(value), out);
    cmk_attrs_put(attrs);
    return rv;
}
