/* Reading attributes: one moment's state of an object, whatever it is. */
#include <stdio.h>
#include <string.h>

#include "pkcs11/kobject.h"

static CK_RV look_token(cmk_call *c, cmk_look *look)
{
    CMK_BUF_AUTO record = CMK_BUF_INIT;
    cmk_login *user = cmk_call_user(c);
    if (look->o->is_private && !user)
        return CKR_OBJECT_HANDLE_INVALID;
    cmk_rc rc = cmk_object_attributes(user, look->o->object, &record);
    if (rc == CMK_E_NOT_FOUND) {
        cmk_kobject_kill(c->m, look->o);
        return CKR_OBJECT_HANDLE_INVALID;
    }
    if (rc == CMK_OK)
        rc = cmk_attrs_decode(cmk_buf_view(&record), &look->attrs);
    if (rc != CMK_OK)
        return cmk_ckr(rc);
    const cmk_attr *class = cmk_attr_find(look->attrs->v, look->attrs->count, CKA_CLASS);
    look->class = class ? cmk_value_to_ulong(class->value) : CKO_DATA;
    return CKR_OK;
}

CK_RV cmk_look_begin(cmk_call *c, cmk_kobject *o, cmk_look *look)
{
    look->o = o;
    look->class = o->class;
    look->attrs = NULL;
    look->value = (cmk_secret)CMK_SECRET_INIT;
    look->kek = (cmk_kek_view){o->class, o->version, &look->info};
    if (o->kind == CMK_KOBJECT_SESSION) {
        CMK_WITH_MUTEX(&o->lock);
        look->attrs = cmk_attrs_take(o->attrs);
        return CKR_OK;
    }
    if (o->kind == CMK_KOBJECT_TOKEN)
        return look_token(c, look);
    cmk_rc rc = cmk_version_get_info(o->version, &look->info);
    if (rc == CMK_E_NOT_FOUND) {
        cmk_kobject_kill(c->m, o);
        return CKR_OBJECT_HANDLE_INVALID;
    }
    return rc == CMK_OK ? CKR_OK : cmk_ckr(rc);
}

void cmk_look_end(cmk_look *look)
{
    cmk_attrs_put(look->attrs);
    cmk_secret_clear(&look->value);
}

CK_RV cmk_look_secret(cmk_call *c, cmk_look *look, cmk_bytes *out)
{
    if (look->o->kind == CMK_KOBJECT_SESSION) {
        *out = cmk_secret_view(&look->o->value);
        return CKR_OK;
    }
    if (!look->value.data) {
        cmk_login *user = cmk_call_user(c);
        if (!user)
            return CKR_USER_NOT_LOGGED_IN;
        cmk_rc rc = cmk_object_value(user, look->o->object, &look->value);
        if (rc != CMK_OK)
            return cmk_ckr(rc);
    }
    *out = cmk_secret_view(&look->value);
    return CKR_OK;
}

static CK_RV look_unique_id(cmk_look *look, cmk_value *out)
{
    if (look->o->kind == CMK_KOBJECT_TOKEN)
        (void)cmk_id_hex(cmk_object_id(look->o->object), look->text);
    else
        (void)snprintf(look->text, sizeof(look->text), "session-%lu", look->o->handle);
    cmk_value_bytes(out, cmk_bytes_str(look->text));
    return CKR_OK;
}

/* The first three bytes of a zero block encrypted with an AES key. */
static CK_RV look_check_value(cmk_call *c, cmk_look *look, cmk_value *out)
{
    static const uint8_t zeros[16];
    cmk_bytes key = {NULL, 0};
    cmk_dek_op *op = NULL;
    size_t n = 0;
    CK_RV rv = cmk_look_secret(c, look, &key);
    if (rv != CKR_OK)
        return rv;
    const cmk_dek_params params = {.mode = CMK_DEK_CBC, .encrypt = true, .iv = cmk_bytes_of(zeros, sizeof(zeros))};
    cmk_rc rc = cmk_dek_start(&params, key, &op);
    if (rc == CMK_OK)
        rc = cmk_dek_update(op, cmk_bytes_of(zeros, sizeof(zeros)), out->small, &n);
    cmk_dek_end(op);
    cmk_wipe(out->small + 3, sizeof(out->small) - 3);
    cmk_value_bytes(out, cmk_bytes_of(out->small, 3));
    return rc == CMK_OK ? CKR_OK : cmk_ckr(rc);
}

static CK_RV look_stored(cmk_call *c, cmk_look *look, const cmk_attr_row *row, cmk_value *out)
{
    if (row->type == CKA_UNIQUE_ID)
        return look_unique_id(look, out);
    if (look->class == CKO_SECRET_KEY && row->type == CKA_CHECK_VALUE &&
        cmk_attrs_ulong(look->attrs, look->class, CKA_KEY_TYPE) == CKK_AES)
        return look_check_value(c, look, out);
    if (look->class == CKO_SECRET_KEY && row->type == CKA_VALUE) {
        if (cmk_attrs_true(look->attrs, look->class, CKA_SENSITIVE) ||
            !cmk_attrs_true(look->attrs, look->class, CKA_EXTRACTABLE))
            return CKR_ATTRIBUTE_SENSITIVE;
        cmk_bytes value = {NULL, 0};
        CK_RV rv = cmk_look_secret(c, look, &value);
        if (rv == CKR_OK)
            cmk_value_bytes(out, value);
        return rv;
    }
    return cmk_attrs_get(look->attrs, look->class, row->type, out) ? CKR_OK : CKR_ATTRIBUTE_TYPE_INVALID;
}

CK_RV cmk_look_at(cmk_call *c, cmk_look *look, CK_ATTRIBUTE_TYPE type, cmk_value *out)
{
    const cmk_attr_row *row = cmk_attr_row_of(type);
    if (!row || !(row->classes & cmk_class_bit(look->class)))
        return CKR_ATTRIBUTE_TYPE_INVALID;
    if (look->o->kind != CMK_KOBJECT_KEK)
        return look_stored(c, look, row, out);
    if (row->flags & CMK_ROW_SENSITIVE)
        return CKR_ATTRIBUTE_SENSITIVE;
    return row->kek && row->kek(&look->kek, out) ? CKR_OK : CKR_ATTRIBUTE_TYPE_INVALID;
}

bool cmk_look_true(cmk_call *c, cmk_look *look, CK_ATTRIBUTE_TYPE type)
{
    cmk_value v;
    return cmk_look_at(c, look, type, &v) == CKR_OK && cmk_value_is_true(v.view);
}

CK_ULONG cmk_look_ulong(cmk_call *c, cmk_look *look, CK_ATTRIBUTE_TYPE type)
{
    cmk_value v;
    return cmk_look_at(c, look, type, &v) == CKR_OK ? cmk_value_to_ulong(v.view) : CK_UNAVAILABLE_INFORMATION;
}

bool cmk_look_matches(cmk_call *c, cmk_look *look, const cmk_template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        cmk_value v;
        if (t->attrs[i].type == CKA_CMK_ALL_VERSIONS)
            continue;
        if (cmk_look_at(c, look, t->attrs[i].type, &v) != CKR_OK || !cmk_bytes_equal(v.view, t->attrs[i].value))
            return false;
    }
    return true;
}
