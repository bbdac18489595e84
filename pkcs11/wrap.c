/* PKCS#11 v3.0 §5.18, wrapping and unwrapping data-encryption keys under a KEK. */
#include <string.h>

#include "pkcs11/kobject.h"
#include "pkcs11/mechs.h"
#include "pkcs11/rules.h"

/* Handle errors have names of their own here. */
static CK_RV get(cmk_call *c, CK_OBJECT_HANDLE handle, CK_RV invalid, cmk_kobject **out)
{
    return cmk_kobject_get(c, handle, out) == CKR_OK ? CKR_OK : invalid;
}

/* Is o the half of a KEK that does this? A public key that an application created wraps nothing: it may be an
 * attacker's. */
static CK_RV check_kek(cmk_call *c, cmk_kobject *o, CK_OBJECT_CLASS half, CK_RV wrong_type)
{
    CMK_LOOK_AUTO look = {0};
    if (o->kind == CMK_KOBJECT_KEK)
        return o->class == half ? CKR_OK : wrong_type;
    CK_RV rv = cmk_look_begin(c, o, &look);
    if (rv != CKR_OK)
        return rv;
    return look.class == half ? CKR_KEY_FUNCTION_NOT_PERMITTED : wrong_type;
}

/* May the key be wrapped by what is no trusted wrapping key? (No KEK is CKA_TRUSTED in this release.) */
static CK_RV check_wrappable(cmk_call *c, cmk_look *look)
{
    if (look->class != CKO_SECRET_KEY)
        return look->class == CKO_PRIVATE_KEY ? CKR_KEY_UNEXTRACTABLE : CKR_KEY_NOT_WRAPPABLE;
    if (!cmk_look_true(c, look, CKA_EXTRACTABLE))
        return CKR_KEY_UNEXTRACTABLE;
    return cmk_look_true(c, look, CKA_WRAP_WITH_TRUSTED) ? CKR_KEY_NOT_WRAPPABLE : CKR_OK;
}

/* A use that is refused, to the role too, has one name; gone is what the key's handle is called here. */
static CK_RV use_error(cmk_rc rc, CK_RV gone)
{
    switch (rc) {
    case CMK_E_FORBIDDEN:
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    case CMK_E_NOT_FOUND:
        return gone;
    case CMK_E_DATA_LENGTH:
        return CKR_KEY_SIZE_RANGE;
    default:
        return cmk_ckr(rc);
    }
}

typedef struct output {
    CK_BYTE *data; /* NULL: a size query */
    CK_ULONG *len;
} output;

static CK_RV wrap_key(cmk_call *c, const cmk_mech *mech, cmk_version *version, cmk_look *key, output out)
{
    CMK_BUF_AUTO wrapped = CMK_BUF_INIT;
    size_t size = 0;
    cmk_bytes value = {NULL, cmk_look_ulong(c, key, CKA_VALUE_LEN)};
    cmk_rc rc = cmk_kek_wrapped_size(version, &mech->wrap, value.len, &size);
    if (rc != CMK_OK)
        return use_error(rc, CKR_WRAPPING_KEY_HANDLE_INVALID);
    CK_ULONG room = *out.len;
    if (!out.data || room < size) {
        rc = cmk_kek_check(cmk_call_holder(c), version, CMK_ACT_WRAP);
        if (rc != CMK_OK)
            return use_error(rc, CKR_WRAPPING_KEY_HANDLE_INVALID);
        *out.len = size;
        return out.data ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    CK_RV rv = cmk_look_secret(c, key, &value);
    if (rv != CKR_OK)
        return rv;
    rc = cmk_kek_wrap(cmk_call_holder(c), version, &mech->wrap, value, &wrapped);
    if (rc != CMK_OK)
        return use_error(rc, CKR_WRAPPING_KEY_HANDLE_INVALID);
    if (wrapped.len > room)
        return CKR_GENERAL_ERROR;
    memcpy(out.data, wrapped.data, wrapped.len);
    *out.len = wrapped.len;
    return CKR_OK;
}

static CK_RV wrap(cmk_call *c, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key, CK_OBJECT_HANDLE key,
                  output out)
{
    CMK_MECH_AUTO mech = {0};
    CMK_KOBJECT_AUTO kek = NULL;
    CMK_KOBJECT_AUTO target = NULL;
    CMK_LOOK_AUTO look = {0};
    CK_RV rv = cmk_mech_read(mechanism, CKF_WRAP, &mech);
    if (rv == CKR_OK && !out.len)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = get(c, wrapping_key, CKR_WRAPPING_KEY_HANDLE_INVALID, &kek);
    if (rv == CKR_OK)
        rv = get(c, key, CKR_KEY_HANDLE_INVALID, &target);
    if (rv == CKR_OK)
        rv = check_kek(c, kek, CKO_PUBLIC_KEY, CKR_WRAPPING_KEY_TYPE_INCONSISTENT);
    if (rv == CKR_OK)
        rv = cmk_look_begin(c, target, &look);
    if (rv == CKR_OK)
        rv = check_wrappable(c, &look);
    return rv == CKR_OK ? wrap_key(c, &mech, kek->version, &look, out) : rv;
}

/* PKCS#11 v3.0 §5.18.3 C_WrapKey */
CK_RV C_WrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hWrappingKey,
                CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pWrappedKey, CK_ULONG_PTR pulWrappedKeyLen)
{
    cmk_call c;
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = wrap(&c, pMechanism, hWrappingKey, hKey, (output){pWrappedKey, pulWrappedKeyLen});
    return cmk_call_end(&c, __func__, rv);
}

/* What the template asks for, as far as it can be judged before the private operation. */
static CK_RV plan_target(cmk_call *c, const cmk_kobject *kek, const cmk_template *t, cmk_making *k)
{
    const cmk_version_info any = {.number = 0};
    const cmk_kek_view view = {kek->class, kek->version, &any};
    cmk_value policy;
    CK_ULONG class = cmk_template_ulong(t, CKA_CLASS, CKO_SECRET_KEY);
    if (!cmk_template_find(t, CKA_KEY_TYPE))
        return CKR_TEMPLATE_INCOMPLETE;
    if (class != CKO_SECRET_KEY)
        return CKR_TEMPLATE_INCONSISTENT;
    CK_RV rv = cmk_making_start(c, CMK_IN_UNWRAP, CKO_SECRET_KEY, t, k);
    if (rv == CKR_OK)
        rv = cmk_making_secret(k, cmk_template_ulong(t, CKA_KEY_TYPE, 0), CK_UNAVAILABLE_INFORMATION);
    if (rv != CKR_OK)
        return rv;
    const cmk_attr_row *row = cmk_attr_row_of(CKA_UNWRAP_TEMPLATE);
    if (!row || !row->kek(&view, &policy) || !cmk_rules_obeys(k, policy.view))
        return CKR_TEMPLATE_INCONSISTENT;
    return CKR_OK;
}

/* A length that the template can't mean is no oracle: it is known before the private operation. */
static CK_RV check_length(const cmk_template *t, CK_KEY_TYPE key_type)
{
    if (!cmk_template_find(t, CKA_VALUE_LEN))
        return CKR_OK;
    CK_ULONG n = cmk_template_ulong(t, CKA_VALUE_LEN, 0);
    bool ok = key_type == CKK_AES ? n == 16 || n == 24 || n == 32 : n >= 1 && n <= CMK_SECRET_MAX;
    return ok ? CKR_OK : CKR_KEY_SIZE_RANGE;
}

static CK_RV unwrap_key(cmk_call *c, const cmk_mech *mech, cmk_kobject *kek, cmk_bytes wrapped, const cmk_template *t,
                        CK_OBJECT_HANDLE *out)
{
    CMK_SECRET_AUTO value = CMK_SECRET_INIT;
    cmk_making k;
    CK_RV rv = plan_target(c, kek, t, &k);
    if (rv == CKR_OK)
        rv = check_length(t, k.key_type);
    if (rv != CKR_OK)
        return rv;
    cmk_rc rc = cmk_kek_unwrap(cmk_call_holder(c), kek->version, CMK_ACT_UNWRAP, &mech->wrap, wrapped, &value);
    if (rc != CMK_OK)
        return use_error(rc, CKR_UNWRAPPING_KEY_HANDLE_INVALID);
    /* After the private operation there is one answer for everything that is wrong with the wrapped key. */
    if (!cmk_making_fits(&k, value.len))
        return CKR_WRAPPED_KEY_INVALID;
    return cmk_making_finish(c, &k, &value, out);
}

static CK_RV unwrap(cmk_call *c, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping_key, cmk_bytes wrapped,
                    const cmk_template *t, CK_OBJECT_HANDLE *out)
{
    CMK_MECH_AUTO mech = {0};
    CMK_KOBJECT_AUTO kek = NULL;
    CK_RV rv = cmk_mech_read(mechanism, CKF_UNWRAP, &mech);
    if (rv == CKR_OK && (!out || (!wrapped.data && wrapped.len > 0)))
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = get(c, unwrapping_key, CKR_UNWRAPPING_KEY_HANDLE_INVALID, &kek);
    if (rv == CKR_OK)
        rv = check_kek(c, kek, CKO_PRIVATE_KEY, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT);
    if (rv == CKR_OK && wrapped.len == 0)
        rv = CKR_WRAPPED_KEY_LEN_RANGE;
    return rv == CKR_OK ? unwrap_key(c, &mech, kek, wrapped, t, out) : rv;
}

/* PKCS#11 v3.0 §5.18.4 C_UnwrapKey */
CK_RV C_UnwrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hUnwrappingKey,
                  CK_BYTE_PTR pWrappedKey, CK_ULONG ulWrappedKeyLen, CK_ATTRIBUTE_PTR pTemplate,
                  CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE_PTR phKey)
{
    cmk_call c;
    CMK_TEMPLATE_AUTO t = {0};
    cmk_template_init(&t);
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = cmk_template_copy(pTemplate, ulAttributeCount, &t);
    if (rv == CKR_OK)
        rv = unwrap(&c, pMechanism, hUnwrappingKey, cmk_bytes_of(pWrappedKey, ulWrappedKeyLen), &t, phKey);
    return cmk_call_end(&c, __func__, rv);
}
