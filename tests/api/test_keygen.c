/* C_GenerateKey and C_GenerateKeyPair. */
#include "tests/api/objects.h"

static CK_MECHANISM pair = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};

static void kek_defaults(void)
{
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    RV(CKR_OK, make_kek("orders", 2048, &pub, &prv));
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        bool of_private, value;
    } want[] = {
        {CKA_TOKEN, true, true},         {CKA_PRIVATE, true, true},
        {CKA_SENSITIVE, true, true},     {CKA_ALWAYS_SENSITIVE, true, true},
        {CKA_EXTRACTABLE, true, false},  {CKA_NEVER_EXTRACTABLE, true, true},
        {CKA_LOCAL, true, true},         {CKA_UNWRAP, true, true},
        {CKA_DECRYPT, true, false},      {CKA_SIGN, true, false},
        {CKA_SIGN_RECOVER, true, false}, {CKA_DERIVE, true, false},
        {CKA_TOKEN, false, true},        {CKA_PRIVATE, false, false},
        {CKA_WRAP, false, true},         {CKA_ENCRYPT, false, false},
        {CKA_VERIFY, false, false},      {CKA_COPYABLE, true, false},
        {CKA_DESTROYABLE, true, true},   {CKA_DESTROYABLE, false, false},
        {CKA_CMK_CURRENT, true, true},   {CKA_CMK_ENABLED, true, true},
        {CKA_CMK_DELETED, false, false},
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        if (get_bool(want[i].of_private ? prv : pub, want[i].type) != want[i].value) {
            printf("  attribute 0x%lx of the %s key\n", want[i].type, want[i].of_private ? "private" : "public");
            CHECK(false);
        }
    }
    CHECK(get_ulong(prv, CKA_CMK_VERSION) == 1);
    CHECK(get_ulong(pub, CKA_MODULUS_BITS) == 2048);
    CHECK(get_ulong(prv, CKA_KEY_GEN_MECHANISM) == CKM_RSA_PKCS_KEY_PAIR_GEN);
    CK_BYTE n1[512], n2[512], e[8];
    CHECK(get_bytes(prv, CKA_MODULUS, n1, sizeof(n1)) == 256 && get_bytes(pub, CKA_MODULUS, n2, sizeof(n2)) == 256);
    CHECK(memcmp(n1, n2, 256) == 0);
    CHECK(get_bytes(prv, CKA_PUBLIC_EXPONENT, e, sizeof(e)) == 3 && memcmp(e, "\1\0\1", 3) == 0);
}

static void same_label_is_a_new_version(void)
{
    CK_OBJECT_HANDLE pub[2], prv[2];
    RV(CKR_OK, make_kek("rotated", 2048, &pub[0], &prv[0]));
    RV(CKR_OK, make_kek("rotated", 2048, &pub[1], &prv[1]));
    CHECK(get_ulong(prv[1], CKA_CMK_VERSION) == 2 && get_bool(prv[1], CKA_CMK_CURRENT));
    CHECK(get_ulong(prv[0], CKA_CMK_VERSION) == 1 && !get_bool(prv[0], CKA_CMK_CURRENT));
    CHECK(!get_bool(prv[0], CKA_DESTROYABLE));
}

static void no_label_is_named_by_its_id(void)
{
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    CK_BYTE label[128];
    RV(CKR_OK, make_kek("", 2048, &pub, &prv));
    CHECK(get_bytes(prv, CKA_LABEL, label, sizeof(label)) == 32);
}

/* One attribute more in the public or the private template. */
static CK_RV with(bool in_private, CK_ATTRIBUTE extra)
{
    CK_ULONG bits = 2048;
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    CK_ATTRIBUTE a[] = {ATTR(CKA_TOKEN, yes), ATTR(CKA_MODULUS_BITS, bits), extra};
    CK_ATTRIBUTE b[] = {ATTR(CKA_TOKEN, yes), extra};
    return p11->C_GenerateKeyPair(session, &pair, a, in_private ? 2 : 3, b, in_private ? 2 : 1, &pub, &prv);
}

static void forbidden_uses_are_refused(void)
{
    static const CK_ATTRIBUTE_TYPE in_private[] = {CKA_SIGN, CKA_SIGN_RECOVER, CKA_DECRYPT, CKA_DERIVE,
                                                   CKA_EXTRACTABLE};
    static const CK_ATTRIBUTE_TYPE in_public[] = {CKA_ENCRYPT, CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_TRUSTED};
    for (size_t i = 0; i < COUNT(in_private); i++)
        RV(CKR_TEMPLATE_INCONSISTENT, with(true, (CK_ATTRIBUTE){in_private[i], &yes, 1}));
    for (size_t i = 0; i < COUNT(in_public); i++)
        RV(CKR_TEMPLATE_INCONSISTENT, with(false, (CK_ATTRIBUTE){in_public[i], &yes, 1}));
    RV(CKR_TEMPLATE_INCONSISTENT, with(true, (CK_ATTRIBUTE)ATTR(CKA_SENSITIVE, no)));
    RV(CKR_TEMPLATE_INCONSISTENT, with(true, (CK_ATTRIBUTE)ATTR(CKA_PRIVATE, no)));
    RV(CKR_TEMPLATE_INCONSISTENT, with(true, (CK_ATTRIBUTE)ATTR(CKA_KEY_TYPE, type_aes)));
    RV(CKR_ATTRIBUTE_READ_ONLY, with(true, (CK_ATTRIBUTE)ATTR(CKA_LOCAL, yes)));
    RV(CKR_ATTRIBUTE_READ_ONLY, with(true, (CK_ATTRIBUTE)ATTR(CKA_NEVER_EXTRACTABLE, yes)));
    RV(CKR_ATTRIBUTE_TYPE_INVALID, with(true, (CK_ATTRIBUTE)ATTR(0x61dUL, yes)));
}

/* What pkcs11-tool --keypairgen asks for when no usage is named. */
static void general_purpose_is_refused(void)
{
    CK_ULONG bits = 2048;
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    CK_ATTRIBUTE a[] = {ATTR(CKA_TOKEN, yes), ATTR(CKA_MODULUS_BITS, bits), ATTR(CKA_VERIFY, yes),
                        ATTR(CKA_ENCRYPT, yes)};
    CK_ATTRIBUTE b[] = {ATTR(CKA_TOKEN, yes), ATTR(CKA_SIGN, yes), ATTR(CKA_DECRYPT, yes)};
    RV(CKR_TEMPLATE_INCONSISTENT, p11->C_GenerateKeyPair(session, &pair, a, COUNT(a), b, COUNT(b), &pub, &prv));
}

static void sizes_and_templates(void)
{
    CK_ULONG bits = 1024;
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    CK_ATTRIBUTE a[] = {ATTR(CKA_TOKEN, yes), ATTR(CKA_MODULUS_BITS, bits), ATTR_TEXT(CKA_LABEL, "a")};
    CK_ATTRIBUTE b[] = {ATTR(CKA_TOKEN, yes), ATTR_TEXT(CKA_LABEL, "b")};
    RV(CKR_KEY_SIZE_RANGE, p11->C_GenerateKeyPair(session, &pair, a, 2, b, 1, &pub, &prv));
    RV(CKR_TEMPLATE_INCOMPLETE, p11->C_GenerateKeyPair(session, &pair, a, 1, b, 1, &pub, &prv));
    bits = 2048;
    RV(CKR_TEMPLATE_INCONSISTENT, p11->C_GenerateKeyPair(session, &pair, a, 3, b, 2, &pub, &prv));
    RV(CKR_SESSION_READ_ONLY, p11->C_GenerateKeyPair(ro_session, &pair, a, 2, b, 1, &pub, &prv));
    RV(CKR_FUNCTION_NOT_SUPPORTED, p11->C_GenerateKeyPair(session, &pair, &a[1], 1, NULL, 0, &pub, &prv));
    RV(CKR_ARGUMENTS_BAD, p11->C_GenerateKeyPair(session, &pair, a, 2, b, 1, NULL, &prv));
}

/* A date before 1970 is none at all, and must not turn into "never". */
static void dates_and_exponent(void)
{
    CK_BYTE three[] = {3}, f4[] = {0, 1, 0, 1};
    RV(CKR_ATTRIBUTE_VALUE_INVALID, with(true, (CK_ATTRIBUTE)ATTR_TEXT(CKA_END_DATE, "19600101")));
    RV(CKR_ATTRIBUTE_VALUE_INVALID, with(false, (CK_ATTRIBUTE)ATTR_TEXT(CKA_START_DATE, "19600101")));
    CK_ULONG bits = 2048;
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    CK_ATTRIBUTE a[] = {ATTR(CKA_TOKEN, yes), ATTR(CKA_MODULUS_BITS, bits), {CKA_PUBLIC_EXPONENT, f4, sizeof(f4)}};
    CK_ATTRIBUTE b[] = {ATTR(CKA_TOKEN, yes), {CKA_PUBLIC_EXPONENT, three, sizeof(three)}};
    RV(CKR_TEMPLATE_INCONSISTENT, p11->C_GenerateKeyPair(session, &pair, a, 3, b, 2, &pub, &prv));
    RV(CKR_OK, p11->C_GenerateKeyPair(session, &pair, a, 3, b, 1, &pub, &prv));
}

static void supplied_id_is_unique(void)
{
    CK_ULONG bits = 2048;
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    CK_BYTE id[8];
    CK_ATTRIBUTE a[] = {ATTR(CKA_TOKEN, yes), ATTR(CKA_MODULUS_BITS, bits), ATTR_TEXT(CKA_ID, "my id")};
    CK_ATTRIBUTE b[] = {ATTR(CKA_TOKEN, yes), ATTR_TEXT(CKA_ID, "my id")};
    RV(CKR_OK, p11->C_GenerateKeyPair(session, &pair, a, 3, b, 2, &pub, &prv));
    CHECK(get_bytes(prv, CKA_ID, id, sizeof(id)) == 5 && memcmp(id, "my id", 5) == 0);
    RV(CKR_ATTRIBUTE_VALUE_INVALID, p11->C_GenerateKeyPair(session, &pair, a, 3, b, 2, &pub, &prv));
}

static void secret_keys(void)
{
    CK_MECHANISM aes = {CKM_AES_KEY_GEN, NULL, 0}, generic = {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0};
    CK_OBJECT_HANDLE key = 0;
    for (CK_ULONG n = 0; n <= 40; n += 8) {
        CK_ATTRIBUTE t[] = {ATTR(CKA_VALUE_LEN, n)};
        RV(n == 16 || n == 24 || n == 32 ? CKR_OK : CKR_KEY_SIZE_RANGE, p11->C_GenerateKey(session, &aes, t, 1, &key));
    }
    CK_ULONG len = 48;
    CK_ATTRIBUTE t[] = {ATTR(CKA_VALUE_LEN, len), ATTR(CKA_TOKEN, yes), ATTR(CKA_SENSITIVE, no),
                        ATTR_TEXT(CKA_LABEL, "mac")};
    RV(CKR_OK, p11->C_GenerateKey(session, &generic, t, COUNT(t), &key));
    CHECK(get_ulong(key, CKA_VALUE_LEN) == 48 && get_bool(key, CKA_LOCAL) && get_bool(key, CKA_TOKEN));
    CHECK(get_ulong(key, CKA_KEY_GEN_MECHANISM) == CKM_GENERIC_SECRET_KEY_GEN && !get_bool(key, CKA_ALWAYS_SENSITIVE));
    CK_BYTE value[64];
    CHECK(get_bytes(key, CKA_VALUE, value, sizeof(value)) == 48);
    RV(CKR_SESSION_READ_ONLY, p11->C_GenerateKey(ro_session, &generic, t, COUNT(t), &key));
    RV(CKR_OK, p11->C_GenerateKey(ro_session, &generic, t, 1, &key));
    CHECK(get_bool(key, CKA_ALWAYS_SENSITIVE) && get_bool(key, CKA_PRIVATE) && !get_bool(key, CKA_NEVER_EXTRACTABLE));
    RV(CKR_TEMPLATE_INCOMPLETE, p11->C_GenerateKey(session, &aes, NULL, 0, &key));
    RV(CKR_MECHANISM_INVALID, p11->C_GenerateKey(session, &pair, t, 1, &key));
    CK_ATTRIBUTE wrong[] = {ATTR(CKA_VALUE_LEN, len), ATTR(CKA_KEY_TYPE, type_aes)};
    RV(CKR_TEMPLATE_INCONSISTENT, p11->C_GenerateKey(session, &generic, wrong, 2, &key));
}

static void undone_by_its_session(void)
{
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    RV(CKR_OK, make_kek("mistake", 2048, &pub, &prv));
    RV(CKR_ACTION_PROHIBITED, p11->C_DestroyObject(session, pub));
    RV(CKR_SESSION_READ_ONLY, p11->C_DestroyObject(ro_session, prv));
    RV(CKR_OK, p11->C_DestroyObject(session, prv));
    RV(CKR_OBJECT_HANDLE_INVALID, p11->C_DestroyObject(session, prv));
    RV(CKR_OBJECT_HANDLE_INVALID, p11->C_DestroyObject(session, pub));
}

int main(void)
{
    start("");
    RUN(kek_defaults);
    RUN(same_label_is_a_new_version);
    RUN(no_label_is_named_by_its_id);
    RUN(forbidden_uses_are_refused);
    RUN(general_purpose_is_refused);
    RUN(sizes_and_templates);
    RUN(dates_and_exponent);
    RUN(supplied_id_is_unique);
    RUN(secret_keys);
    RUN(undone_by_its_session);
    return finish();
}
