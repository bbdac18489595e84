/* C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal: what is in view. */
#include "tests/api/objects.h"

static CK_OBJECT_HANDLE pub[3], prv[3], other_pub, other_prv;

static void label_finds_the_current_pair(void)
{
    CK_OBJECT_HANDLE got[8];
    CK_ATTRIBUTE label = ATTR_TEXT(CKA_LABEL, "rotated");
    CHECK(find(&label, 1, got, 8) == 2);
    CHECK((got[0] == pub[2] && got[1] == prv[2]) || (got[0] == prv[2] && got[1] == pub[2]));
    CK_ATTRIBUTE t[] = {ATTR_TEXT(CKA_LABEL, "rotated"), ATTR(CKA_CLASS, class_private)};
    CHECK(find(t, 2, got, 8) == 1 && got[0] == prv[2]);
    CK_ATTRIBUTE none = ATTR_TEXT(CKA_LABEL, "nobody");
    CHECK(find(&none, 1, got, 8) == 0);
}

static void id_finds_any_version(void)
{
    CK_OBJECT_HANDLE got[8];
    for (size_t i = 0; i < 3; i++) {
        CK_BYTE id[64], modulus[512], unique[64];
        CK_ATTRIBUTE t[] = {{CKA_ID, id, 0}, {CKA_MODULUS, modulus, 0}, {CKA_UNIQUE_ID, unique, 0}};
        t[0].ulValueLen = (CK_ULONG)get_bytes(prv[i], CKA_ID, id, sizeof(id));
        t[1].ulValueLen = (CK_ULONG)get_bytes(prv[i], CKA_MODULUS, modulus, sizeof(modulus));
        t[2].ulValueLen = (CK_ULONG)get_bytes(prv[i], CKA_UNIQUE_ID, unique, sizeof(unique));
        for (size_t j = 0; j < 3; j++)
            CHECK(find(&t[j], 1, got, 8) == 2 && (got[0] == prv[i] || got[1] == prv[i]));
        CHECK(find(t, 3, got, 8) == 2);
    }
}

static void all_versions(void)
{
    CK_OBJECT_HANDLE got[16];
    CK_ATTRIBUTE t[] = {ATTR_TEXT(CKA_LABEL, "rotated"), ATTR(CKA_CMK_ALL_VERSIONS, yes)};
    CHECK(find(t, 2, got, 16) == 6);
    CK_ULONG second = 2;
    CK_ATTRIBUTE v[] = {ATTR_TEXT(CKA_LABEL, "rotated"), ATTR(CKA_CMK_VERSION, second), ATTR(CKA_CLASS, class_public)};
    CHECK(find(v, 3, got, 16) == 1 && got[0] == pub[1]);
    CK_ATTRIBUTE old[] = {ATTR(CKA_CMK_CURRENT, no), ATTR(CKA_CLASS, class_private)};
    CHECK(find(old, 2, got, 16) == 2);
    CK_ATTRIBUTE deleted[] = {ATTR(CKA_CMK_DELETED, yes)};
    CHECK(find(deleted, 1, got, 16) == 0);
}

static void by_use_and_class(void)
{
    CK_OBJECT_HANDLE got[16];
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_private), ATTR(CKA_KEY_TYPE, type_rsa), ATTR(CKA_UNWRAP, yes)};
    CHECK(find(t, 3, got, 16) == 2);
    CK_ATTRIBUTE d[] = {ATTR(CKA_CLASS, class_private), ATTR(CKA_DECRYPT, yes)};
    CHECK(find(d, 2, got, 16) == 0);
    CK_ATTRIBUTE s[] = {ATTR(CKA_TOKEN, no)};
    CHECK(find(s, 1, got, 16) == 0);
}

static void in_pieces(void)
{
    CK_OBJECT_HANDLE one = 0, seen[4];
    CK_ULONG n = 9;
    RV(CKR_OPERATION_NOT_INITIALIZED, p11->C_FindObjects(session, &one, 1, &n));
    RV(CKR_OPERATION_NOT_INITIALIZED, p11->C_FindObjectsFinal(session));
    RV(CKR_OK, p11->C_FindObjectsInit(session, NULL, 0));
    RV(CKR_OPERATION_ACTIVE, p11->C_FindObjectsInit(session, NULL, 0));
    for (size_t i = 0; i < 4; i++) {
        RV(CKR_OK, p11->C_FindObjects(session, &seen[i], 1, &n));
        CHECK(n == 1);
    }
    RV(CKR_OK, p11->C_FindObjects(session, &one, 1, &n));
    CHECK(n == 0 && seen[0] != seen[1] && seen[2] != seen[3]);
    RV(CKR_OK, p11->C_FindObjectsFinal(session));
}

static void secret_and_data_objects(void)
{
    CK_OBJECT_HANDLE key = 0, got[4];
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes),
                        ATTR(CKA_TOKEN, yes),          ATTR_TEXT(CKA_VALUE, "0123456789abcdef"),
                        ATTR_TEXT(CKA_LABEL, "dek"),   ATTR_TEXT(CKA_ID, "d1")};
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &key));
    for (size_t i = 3; i < COUNT(t); i++)
        CHECK(find(&t[i], 1, got, 4) == 1 && got[0] == key);
    CHECK(find(t, COUNT(t), got, 4) == 1);
    CK_OBJECT_HANDLE s = aes_key((const CK_BYTE *)"0123456789abcdef", 16);
    CHECK(find(t, 2, got, 4) == 2 && (got[0] == s || got[1] == s));
    CK_ATTRIBUTE hide = ATTR(CKA_SENSITIVE, yes);
    RV(CKR_OK, p11->C_SetAttributeValue(session, key, &hide, 1));
    RV(CKR_OK, p11->C_SetAttributeValue(session, s, &hide, 1));
    CHECK(find(&t[3], 1, got, 4) == 0); /* a search is no way to guess a value */
    RV(CKR_OK, p11->C_DestroyObject(session, key));
    CHECK(find(&t[4], 1, got, 4) == 0);
    RV(CKR_OK, p11->C_DestroyObject(session, s));
}

static void public_view(void)
{
    CK_OBJECT_HANDLE got[16];
    CK_OBJECT_HANDLE key = aes_key((const CK_BYTE *)"0123456789abcdef", 16);
    RV(CKR_OK, p11->C_Logout(session));
    CK_ATTRIBUTE t = ATTR(CKA_TOKEN, yes);
    CHECK(find(&t, 1, got, 16) == 2);
    RV(CKR_OBJECT_HANDLE_INVALID, p11->C_DestroyObject(session, key));
    CK_ATTRIBUTE a = {CKA_MODULUS, NULL, 0};
    RV(CKR_OBJECT_HANDLE_INVALID, p11->C_GetAttributeValue(session, prv[2], &a, 1));
    RV(CKR_OK, p11->C_GetAttributeValue(session, pub[2], &a, 1));
    RV(CKR_OK, p11->C_Login(session, CKU_USER, text(USER_PIN), strlen(USER_PIN)));
    CHECK(find(&t, 1, got, 16) == 4);
    for (size_t i = 0; i < 4; i++)
        CHECK(got[i] != prv[2]); /* a handle is never given out again */
}

int main(void)
{
    start("");
    for (size_t i = 0; i < 3; i++)
        must("make_kek", make_kek("rotated", 2048, &pub[i], &prv[i]));
    must("make_kek", make_kek("other", 2048, &other_pub, &other_prv));
    RUN(label_finds_the_current_pair);
    RUN(id_finds_any_version);
    RUN(all_versions);
    RUN(by_use_and_class);
    RUN(in_pieces);
    RUN(secret_and_data_objects);
    RUN(public_view);
    return finish();
}
