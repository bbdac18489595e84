/* C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal: what is in view. */
#include "tests/api/objects.h"

#include <time.h>

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

/* What a user's search has found and not fetched is out of view for whoever logs in next. */
static void a_search_does_not_outlive_its_login(void)
{
    CK_OBJECT_HANDLE got[16];
    CK_ULONG n = 99;
    CK_ATTRIBUTE t = ATTR(CKA_CLASS, class_private);
    RV(CKR_OK, p11->C_CloseSession(ro_session));
    RV(CKR_OK, p11->C_FindObjectsInit(session, &t, 1));
    RV(CKR_OK, p11->C_Logout(session));
    RV(CKR_OK, p11->C_Login(session, CKU_SO, text(SO_PIN), strlen(SO_PIN)));
    RV(CKR_OK, p11->C_FindObjects(session, got, 16, &n));
    CHECK(n == 0);
    RV(CKR_OK, p11->C_FindObjectsFinal(session));
    CHECK(find(&t, 1, got, 16) == 0);
    RV(CKR_OK, p11->C_Logout(session));
    RV(CKR_OK, p11->C_Login(session, CKU_USER, text(USER_PIN), strlen(USER_PIN)));
}

static CK_OBJECT_HANDLE data_named(unsigned number, bool with_id)
{
    CK_OBJECT_HANDLE o = 0;
    char name[32];
    CK_ULONG n = (CK_ULONG)snprintf(name, sizeof(name), "data %u", number);
    CK_ATTRIBUTE_TYPE type = with_id ? CKA_ID : CKA_LABEL;
    CK_ATTRIBUTE t[] = {
        ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_generic), ATTR_TEXT(CKA_VALUE, "v"), {type, name, n}};
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &o));
    return o;
}

static CK_ULONG find_text(CK_ATTRIBUTE_TYPE type, const char *value, CK_OBJECT_HANDLE *out)
{
    CK_ATTRIBUTE t = {type, text(value), strlen(value)};
    return find(&t, 1, out, 1);
}

/* Processor time of this thread that 200 searches take, the least of five tries. */
static double search_time(void)
{
    double least = 1e9;
    for (int i = 0; i < 5; i++) {
        struct timespec a, b;
        CK_OBJECT_HANDLE got = 0;
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        for (int j = 0; j < 200; j++)
            CHECK(find_text(CKA_LABEL, "data 3", &got) == 1);
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        double t = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
        least = t < least ? t : least;
    }
    return least;
}

static void session_objects_by_name(void)
{
    enum { FEW = 10, MANY = 4000 };
    CK_OBJECT_HANDLE o[FEW], got = 0, id = data_named(7, true);
    for (unsigned i = 0; i < FEW; i++)
        o[i] = data_named(i, false);
    CHECK(find_text(CKA_LABEL, "data 7", &got) == 1 && got == o[7]);
    CHECK(find_text(CKA_ID, "data 7", &got) == 1 && got == id);
    CK_ATTRIBUTE renamed = ATTR_TEXT(CKA_LABEL, "renamed"), both[] = {renamed, ATTR_TEXT(CKA_ID, "data 7")};
    RV(CKR_OK, p11->C_SetAttributeValue(session, o[7], &renamed, 1));
    CHECK(find_text(CKA_LABEL, "data 7", &got) == 0);
    CHECK(find_text(CKA_LABEL, "renamed", &got) == 1 && got == o[7]);
    CHECK(find(both, 2, &got, 1) == 0);
    RV(CKR_OK, p11->C_SetAttributeValue(session, id, &renamed, 1));
    CHECK(find_text(CKA_LABEL, "renamed", &got) == 2 && find(both, 2, &got, 1) == 1 && got == id);
    RV(CKR_OK, p11->C_DestroyObject(session, o[7]));
    CHECK(find_text(CKA_LABEL, "renamed", &got) == 1 && got == id);
    double few = search_time();
    for (unsigned i = FEW; i < MANY; i++)
        (void)data_named(i, false);
    double many = search_time();
    if (many > 4 * few)
        printf("  %d session objects make a search %.1f times slower\n", MANY, many / few);
    CHECK(many <= 4 * few);
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
    RUN(session_objects_by_name);
    RUN(a_search_does_not_outlive_its_login);
    return finish();
}
