/* C_GetAttributeValue, C_SetAttributeValue, C_GetObjectSize, and what templates are refused. */
#include "tests/api/objects.h"

static CK_OBJECT_HANDLE kek_public, kek_private;

static void several_at_once(void)
{
    CK_BYTE small[4], id[64];
    CK_BBOOL b = 9;
    CK_ATTRIBUTE t[] = {{CKA_MODULUS, NULL, 0},
                        {CKA_MODULUS, small, sizeof(small)},
                        {CKA_PRIVATE_EXPONENT, small, sizeof(small)},
                        {0x61dUL, small, sizeof(small)},
                        {CKA_ID, id, sizeof(id)},
                        ATTR(CKA_UNWRAP, b)};
    CK_RV rv = p11->C_GetAttributeValue(session, kek_private, t, COUNT(t));
    CHECK(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_BUFFER_TOO_SMALL);
    CHECK(t[0].ulValueLen == 256);
    CHECK(t[1].ulValueLen == (CK_ULONG)-1 && t[2].ulValueLen == (CK_ULONG)-1 && t[3].ulValueLen == (CK_ULONG)-1);
    CHECK(t[4].ulValueLen == 16 && b == CK_TRUE);
}

static void one_error_each(void)
{
    CK_BYTE b[8];
    CK_ATTRIBUTE a = {CKA_PRIME_1, b, sizeof(b)};
    RV(CKR_ATTRIBUTE_SENSITIVE, p11->C_GetAttributeValue(session, kek_private, &a, 1));
    a = (CK_ATTRIBUTE){CKA_VALUE_LEN, b, sizeof(b)};
    RV(CKR_ATTRIBUTE_TYPE_INVALID, p11->C_GetAttributeValue(session, kek_private, &a, 1));
    a = (CK_ATTRIBUTE){CKA_MODULUS, b, sizeof(b)};
    RV(CKR_BUFFER_TOO_SMALL, p11->C_GetAttributeValue(session, kek_private, &a, 1));
    RV(CKR_OBJECT_HANDLE_INVALID, p11->C_GetAttributeValue(session, kek_private + 1000, &a, 1));
    RV(CKR_SESSION_HANDLE_INVALID, p11->C_GetAttributeValue(session + 1000, kek_private, &a, 1));
    RV(CKR_ARGUMENTS_BAD, p11->C_GetAttributeValue(session, kek_private, NULL, 1));
}

static void lists_of_a_kek(void)
{
    CK_MECHANISM_TYPE mechs[4] = {0};
    CHECK(get_bytes(kek_private, CKA_ALLOWED_MECHANISMS, (CK_BYTE *)mechs, sizeof(mechs)) == 2 * sizeof(mechs[0]));
    CHECK(mechs[0] == CKM_RSA_PKCS_OAEP && mechs[1] == CKM_RSA_AES_KEY_WRAP);
    CK_BBOOL values[4] = {9, 9, 9, 9};
    CK_ATTRIBUTE nested[4] = {{0, &values[0], 1}, {0, &values[1], 1}, {0, &values[2], 1}, {0, NULL, 0}};
    CK_ATTRIBUTE a = {CKA_UNWRAP_TEMPLATE, NULL, 0};
    RV(CKR_OK, p11->C_GetAttributeValue(session, kek_private, &a, 1));
    CHECK(a.ulValueLen == sizeof(nested));
    a.pValue = nested;
    RV(CKR_OK, p11->C_GetAttributeValue(session, kek_private, &a, 1));
    CHECK(nested[0].type == CKA_WRAP && values[0] == CK_FALSE && nested[3].ulValueLen == 1);
}

static void kek_names_do_not_change(void)
{
    CK_BYTE id[64];
    long n = get_bytes(kek_private, CKA_ID, id, sizeof(id));
    CK_ATTRIBUTE same[] = {ATTR_TEXT(CKA_LABEL, "attributes"), {CKA_ID, id, (CK_ULONG)n}};
    RV(CKR_OK, p11->C_SetAttributeValue(session, kek_private, same, 2));
    RV(CKR_SESSION_READ_ONLY, p11->C_SetAttributeValue(ro_session, kek_private, same, 2));
    CK_ATTRIBUTE other = ATTR_TEXT(CKA_LABEL, "other");
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, kek_public, &other, 1));
    static const CK_ATTRIBUTE_TYPE fixed[] = {CKA_DECRYPT, CKA_EXTRACTABLE, CKA_UNWRAP,     CKA_SENSITIVE,
                                              CKA_TOKEN,   CKA_CMK_ENABLED, CKA_CMK_DELETED};
    for (size_t i = 0; i < COUNT(fixed); i++) {
        CK_ATTRIBUTE a = {fixed[i], &yes, 1};
        RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, kek_private, &a, 1));
    }
}

static void one_way(void)
{
    CK_OBJECT_HANDLE key = aes_key((const CK_BYTE *)"0123456789abcdef", 16);
    CK_BYTE v[16];
    CK_ATTRIBUTE label = ATTR_TEXT(CKA_LABEL, "new name"), hide = ATTR(CKA_SENSITIVE, yes),
                 show = ATTR(CKA_SENSITIVE, no), keep = ATTR(CKA_EXTRACTABLE, no), free_it = ATTR(CKA_EXTRACTABLE, yes),
                 local = ATTR(CKA_LOCAL, yes), trusted = ATTR(CKA_TRUSTED, yes), value = {CKA_VALUE, v, sizeof(v)};
    CHECK(get_bytes(key, CKA_VALUE, v, sizeof(v)) == 16 && memcmp(v, "0123456789abcdef", 16) == 0);
    RV(CKR_OK, p11->C_SetAttributeValue(session, key, &label, 1));
    CHECK(get_bytes(key, CKA_LABEL, v, sizeof(v)) == 8);
    RV(CKR_OK, p11->C_SetAttributeValue(session, key, &hide, 1));
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, key, &show, 1));
    RV(CKR_ATTRIBUTE_SENSITIVE, p11->C_GetAttributeValue(session, key, &value, 1));
    CHECK(value.ulValueLen == (CK_ULONG)-1);
    RV(CKR_OK, p11->C_SetAttributeValue(session, key, &keep, 1));
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, key, &free_it, 1));
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, key, &local, 1));
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, key, &trusted, 1));
    CHECK(!get_bool(key, CKA_ALWAYS_SENSITIVE) && !get_bool(key, CKA_NEVER_EXTRACTABLE));
}

static void not_modifiable(void)
{
    CK_OBJECT_HANDLE o = 0;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_data), ATTR(CKA_MODIFIABLE, no)};
    CK_ATTRIBUTE label = ATTR_TEXT(CKA_LABEL, "x");
    RV(CKR_OK, p11->C_CreateObject(session, t, 2, &o));
    RV(CKR_ACTION_PROHIBITED, p11->C_SetAttributeValue(session, o, &label, 1));
}

static CK_RV create(CK_ATTRIBUTE *t, CK_ULONG n)
{
    CK_OBJECT_HANDLE o = 0;
    return p11->C_CreateObject(session, t, n, &o);
}

static void bad_templates(void)
{
    CK_BYTE two[2] = {1, 1}, seven = 7, date[8];
    CK_ATTRIBUTE class = ATTR(CKA_CLASS, class_data);
    CK_ATTRIBUTE a[] = {class, {CKA_LABEL, NULL, 4}};
    memcpy(date, "20261399", 8);
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(a, 2));
    a[1] = class;
    RV(CKR_TEMPLATE_INCONSISTENT, create(a, 2));
    a[1] = (CK_ATTRIBUTE){CKA_TOKEN, two, 2};
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(a, 2));
    a[1] = (CK_ATTRIBUTE){CKA_TOKEN, &seven, 1};
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(a, 2));
    a[0] = (CK_ATTRIBUTE){CKA_CLASS, two, 2};
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(a, 1));
    a[0] = class;
    a[1] = (CK_ATTRIBUTE){CKA_LABEL, two, (CK_ULONG)-1};
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(a, 2));
    a[1] = (CK_ATTRIBUTE){CKA_SENSITIVE, &yes, 1};
    RV(CKR_ATTRIBUTE_TYPE_INVALID, create(a, 2));
    a[1] = (CK_ATTRIBUTE){CKA_UNIQUE_ID, two, 2};
    RV(CKR_ATTRIBUTE_READ_ONLY, create(a, 2));
    CK_ATTRIBUTE k[] = {
        ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes), {CKA_VALUE, date, 8}, {CKA_START_DATE, date, 8}};
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(k, 4));
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(k, 3));
    RV(CKR_TEMPLATE_INCOMPLETE, create(k, 2));
    RV(CKR_ARGUMENTS_BAD, create(NULL, 1));
    RV(CKR_ARGUMENTS_BAD, create(a, 1000000));
    RV(CKR_TEMPLATE_INCOMPLETE, create(NULL, 0));
}

static void nested_templates(void)
{
    CK_ATTRIBUTE inner[] = {ATTR(CKA_SENSITIVE, yes), ATTR(CKA_EXTRACTABLE, no)};
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret),
                        ATTR(CKA_KEY_TYPE, type_generic),
                        ATTR_TEXT(CKA_VALUE, "12345"),
                        {CKA_UNWRAP_TEMPLATE, inner, sizeof(inner)}};
    CK_OBJECT_HANDLE o = 0;
    RV(CKR_OK, p11->C_CreateObject(session, t, 4, &o));
    CK_ATTRIBUTE got[2] = {{0, NULL, 0}, {0, NULL, 0}};
    CK_ATTRIBUTE a = {CKA_UNWRAP_TEMPLATE, got, sizeof(got)};
    RV(CKR_OK, p11->C_GetAttributeValue(session, o, &a, 1));
    CHECK(a.ulValueLen == sizeof(got) && got[1].type == CKA_EXTRACTABLE && got[1].ulValueLen == 1);
    /* An array that contains itself ends at the depth limit. */
    CK_ATTRIBUTE loop[1];
    loop[0] = (CK_ATTRIBUTE){CKA_UNWRAP_TEMPLATE, loop, sizeof(loop)};
    t[3] = loop[0];
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(t, 4));
    t[3].ulValueLen = sizeof(loop) - 1;
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(t, 4));
    t[3] = (CK_ATTRIBUTE){CKA_UNWRAP_TEMPLATE, NULL, sizeof(loop)};
    RV(CKR_ATTRIBUTE_VALUE_INVALID, create(t, 4));
}

static void sizes(void)
{
    CK_ULONG n = 0;
    RV(CKR_OK, p11->C_GetObjectSize(session, kek_public, &n));
    CHECK(n > 256);
    RV(CKR_ARGUMENTS_BAD, p11->C_GetObjectSize(session, kek_public, NULL));
}

int main(void)
{
    start("");
    must("make_kek", make_kek("attributes", 2048, &kek_public, &kek_private));
    RUN(several_at_once);
    RUN(one_error_each);
    RUN(lists_of_a_kek);
    RUN(kek_names_do_not_change);
    RUN(one_way);
    RUN(not_modifiable);
    RUN(bad_templates);
    RUN(nested_templates);
    RUN(sizes);
    return finish();
}
