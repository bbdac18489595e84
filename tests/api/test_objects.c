/* C_CreateObject, C_CopyObject, C_DestroyObject; token and session objects of every class. */
#include "tests/api/objects.h"

static void data_objects(void)
{
    CK_OBJECT_HANDLE o = 0, copy = 0;
    CK_BYTE v[16];
    for (int token = 0; token < 2; token++) {
        for (int private = 0; private < 2; private ++) {
            CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_data),
                                {CKA_TOKEN, token ? &yes : &no, 1},
                                {CKA_PRIVATE, private ? &yes : &no, 1},
                                ATTR_TEXT(CKA_VALUE, "value"),
                                ATTR_TEXT(CKA_LABEL, "data"),
                                ATTR_TEXT(CKA_APPLICATION, "app")};
            RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &o));
            CHECK(get_bool(o, CKA_TOKEN) == (token == 1) && get_bool(o, CKA_PRIVATE) == (private == 1));
            CHECK(get_bytes(o, CKA_VALUE, v, sizeof(v)) == 5 && memcmp(v, "value", 5) == 0);
            CHECK(get_bytes(o, CKA_OBJECT_ID, v, sizeof(v)) == 0 && get_bool(o, CKA_MODIFIABLE));
            CK_ATTRIBUTE change = ATTR_TEXT(CKA_VALUE, "other");
            RV(CKR_OK, p11->C_CopyObject(session, o, &change, 1, &copy));
            CHECK(copy != o && get_bytes(copy, CKA_VALUE, v, sizeof(v)) == 5 && memcmp(v, "other", 5) == 0);
            CK_ATTRIBUTE label = ATTR_TEXT(CKA_LABEL, "renamed");
            RV(CKR_OK, p11->C_SetAttributeValue(session, o, &label, 1));
            CHECK(get_bytes(o, CKA_LABEL, v, sizeof(v)) == 7);
            RV(token ? CKR_SESSION_READ_ONLY : CKR_OK, p11->C_DestroyObject(ro_session, copy));
            RV(token ? CKR_OK : CKR_OBJECT_HANDLE_INVALID, p11->C_DestroyObject(session, copy));
            RV(CKR_OK, p11->C_DestroyObject(session, o));
            RV(CKR_OBJECT_HANDLE_INVALID, p11->C_DestroyObject(session, o));
        }
    }
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_data), ATTR(CKA_TOKEN, yes)};
    RV(CKR_SESSION_READ_ONLY, p11->C_CreateObject(ro_session, t, 2, &o));
    RV(CKR_OK, p11->C_CreateObject(ro_session, t, 1, &o));
    CHECK(get_bool(o, CKA_PRIVATE));
}

static void certificates(void)
{
    CK_OBJECT_HANDLE o = 0;
    CK_CERTIFICATE_TYPE x509 = CKC_X_509, wtls = CKC_WTLS;
    CK_ATTRIBUTE t[] = {
        ATTR(CKA_CLASS, class_cert),   ATTR(CKA_CERTIFICATE_TYPE, x509),  ATTR_TEXT(CKA_SUBJECT, "subject"),
        ATTR_TEXT(CKA_VALUE, "value"), ATTR_TEXT(CKA_SERIAL_NUMBER, "1"), ATTR(CKA_TOKEN, yes),
        ATTR(CKA_TRUSTED, no)};
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &o));
    CHECK(!get_bool(o, CKA_PRIVATE) && !get_bool(o, CKA_TRUSTED) && get_ulong(o, CKA_CERTIFICATE_CATEGORY) == 0);
    CK_OBJECT_HANDLE got[2];
    CHECK(find(&t[4], 1, got, 2) == 1 && got[0] == o);
    RV(CKR_TEMPLATE_INCOMPLETE, p11->C_CreateObject(session, t, 3, &o));
    RV(CKR_TEMPLATE_INCOMPLETE, p11->C_CreateObject(session, t, 2, &o));
    t[6].pValue = &yes;
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_CreateObject(session, t, COUNT(t), &o));
    t[1].pValue = &wtls;
    RV(CKR_ATTRIBUTE_VALUE_INVALID, p11->C_CreateObject(session, t, 4, &o));
}

static void secret_token_object(void)
{
    CK_OBJECT_HANDLE o = 0;
    CK_BYTE v[32];
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes),
                        ATTR_TEXT(CKA_VALUE, "0123456789abcdef"), ATTR(CKA_TOKEN, yes), ATTR(CKA_PRIVATE, no)};
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &o));
    CHECK(get_bytes(o, CKA_VALUE, v, sizeof(v)) == 16 && memcmp(v, "0123456789abcdef", 16) == 0);
    CHECK(get_ulong(o, CKA_VALUE_LEN) == 16 && get_bytes(o, CKA_CHECK_VALUE, v, sizeof(v)) == 3);
    RV(CKR_OK, p11->C_Logout(session));
    CK_ATTRIBUTE value = {CKA_VALUE, v, sizeof(v)};
    CHECK(get_ulong(o, CKA_VALUE_LEN) == 16);
    RV(CKR_USER_NOT_LOGGED_IN, p11->C_GetAttributeValue(session, o, &value, 1));
    RV(CKR_USER_NOT_LOGGED_IN, p11->C_DestroyObject(session, o));
    RV(CKR_OK, p11->C_Login(session, CKU_USER, text(USER_PIN), strlen(USER_PIN)));
    RV(CKR_OK, p11->C_DestroyObject(session, o));
}

static void uses_stay_disjoint(void)
{
    CK_OBJECT_HANDLE o = 0;
    CK_ATTRIBUTE t[] = {
        ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes), ATTR_TEXT(CKA_VALUE, "0123456789abcdef"),
        ATTR(CKA_TOKEN, yes),          ATTR(CKA_WRAP, yes),          ATTR(CKA_DECRYPT, yes)};
    RV(CKR_TEMPLATE_INCONSISTENT, p11->C_CreateObject(session, t, 6, &o));
    RV(CKR_OK, p11->C_CreateObject(session, t, 5, &o));
    CHECK(get_bool(o, CKA_WRAP) && !get_bool(o, CKA_DECRYPT));
    CK_ATTRIBUTE decrypt = ATTR(CKA_DECRYPT, yes), no_wrap = ATTR(CKA_WRAP, no);
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, o, &decrypt, 1));
    RV(CKR_OK, p11->C_SetAttributeValue(session, o, &no_wrap, 1));
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, o, &decrypt, 1));
    CK_OBJECT_HANDLE copy = 0;
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_CopyObject(session, o, &decrypt, 1, &copy));
    CK_ATTRIBUTE off_token[] = {ATTR(CKA_TOKEN, no)};
    RV(CKR_OK, p11->C_CopyObject(session, o, off_token, 1, &copy)); /* nor by a detour over the session */
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, copy, &decrypt, 1));
    CK_ATTRIBUTE back[] = {ATTR(CKA_TOKEN, yes), ATTR(CKA_DECRYPT, yes)};
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_CopyObject(session, copy, back, 2, &o));
    t[4].type = CKA_UNWRAP;
    t[5].type = CKA_ENCRYPT;
    RV(CKR_TEMPLATE_INCONSISTENT, p11->C_CreateObject(session, t, 6, &o));
}

static void copies(void)
{
    CK_OBJECT_HANDLE key = aes_key((const CK_BYTE *)"0123456789abcdef", 16), a = 0, b = 0;
    CK_ATTRIBUTE hide = ATTR(CKA_SENSITIVE, yes), show = ATTR(CKA_SENSITIVE, no), token = ATTR(CKA_TOKEN, yes),
                 open = ATTR(CKA_PRIVATE, no), fixed = ATTR(CKA_COPYABLE, no);
    CK_BYTE v[32];
    RV(CKR_OK, p11->C_CopyObject(session, key, &hide, 1, &a));
    CHECK(get_bytes(a, CKA_VALUE, v, sizeof(v)) == -1 && get_bytes(key, CKA_VALUE, v, sizeof(v)) == 16);
    RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_CopyObject(session, a, &show, 1, &b));
    RV(CKR_TEMPLATE_INCONSISTENT, p11->C_CopyObject(session, a, &open, 1, &b));
    RV(CKR_OK, p11->C_CopyObject(session, key, &token, 1, &b));
    CHECK(get_bool(b, CKA_TOKEN) && get_bytes(b, CKA_VALUE, v, sizeof(v)) == 16);
    RV(CKR_SESSION_READ_ONLY, p11->C_CopyObject(ro_session, key, &token, 1, &b));
    RV(CKR_OK, p11->C_CopyObject(session, key, &fixed, 1, &a));
    RV(CKR_ACTION_PROHIBITED, p11->C_CopyObject(session, a, NULL, 0, &b));
}

static void keks_are_not_copied_nor_destroyed(void)
{
    CK_OBJECT_HANDLE pub = 0, prv = 0, o = 0;
    CK_SESSION_HANDLE other = 0;
    RV(CKR_OK, make_kek("kek", 2048, &pub, &prv));
    RV(CKR_ACTION_PROHIBITED, p11->C_CopyObject(session, prv, NULL, 0, &o));
    RV(CKR_ACTION_PROHIBITED, p11->C_CopyObject(session, pub, NULL, 0, &o));
    RV(CKR_OK, p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &other));
    RV(CKR_ACTION_PROHIBITED, p11->C_DestroyObject(other, prv));
    RV(CKR_OK, p11->C_CloseSession(other));
    CK_BYTE n[512], e[] = {1, 0, 1};
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_public), ATTR(CKA_KEY_TYPE, type_rsa), ATTR(CKA_TOKEN, yes),
                        {CKA_MODULUS, n, 256},         {CKA_PUBLIC_EXPONENT, e, 3},  ATTR_TEXT(CKA_LABEL, "kek")};
    CHECK(get_bytes(pub, CKA_MODULUS, n, sizeof(n)) == 256);
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &o));
    CHECK(o == pub);
    n[5] ^= 1;
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &o));
    CHECK(o != pub && !get_bool(o, CKA_WRAP) && get_ulong(o, CKA_MODULUS_BITS) == 2048);
    CK_ATTRIBUTE p[] = {ATTR(CKA_CLASS, class_private), ATTR(CKA_KEY_TYPE, type_rsa)};
    RV(CKR_FUNCTION_NOT_SUPPORTED, p11->C_CreateObject(session, p, 2, &o));
}

static void session_objects_end_with_their_session(void)
{
    CK_SESSION_HANDLE other = 0;
    CK_OBJECT_HANDLE o = 0;
    CK_ULONG n = 0;
    CK_ATTRIBUTE t = ATTR(CKA_CLASS, class_data);
    RV(CKR_OK, p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &other));
    RV(CKR_OK, p11->C_CreateObject(other, &t, 1, &o));
    RV(CKR_OK, p11->C_GetObjectSize(session, o, &n));
    RV(CKR_OK, p11->C_CloseSession(other));
    RV(CKR_OBJECT_HANDLE_INVALID, p11->C_GetObjectSize(session, o, &n));
}

/* What makes Java use C_UnwrapKey: it probes with a 48-byte generic secret. */
static void raw_secret_keys_are_refused(void)
{
    CK_BYTE value[48] = {1};
    CK_OBJECT_HANDLE o = 0;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_generic), {CKA_VALUE, value, 48}};
    RV(CKR_ACTION_PROHIBITED, p11->C_CreateObject(session, t, 3, &o));
    CK_ATTRIBUTE data = ATTR(CKA_CLASS, class_data);
    RV(CKR_OK, p11->C_CreateObject(session, &data, 1, &o));
}

int main(void)
{
    start("");
    RUN(data_objects);
    RUN(certificates);
    RUN(secret_token_object);
    RUN(uses_stay_disjoint);
    RUN(copies);
    RUN(keks_are_not_copied_nor_destroyed);
    RUN(session_objects_end_with_their_session);
    (void)finish();
    start("import-secret-keys = off\n");
    RUN(raw_secret_keys_are_refused);
    return finish();
}
