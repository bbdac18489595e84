/* C_WrapKey and C_UnwrapKey. */
#include "tests/api/objects.h"

#include <sys/wait.h>

static CK_OBJECT_HANDLE kek_public, kek_private;
static const CK_BYTE dek[] = "0123456789abcdef0123456789abcdef";
static CK_MECHANISM oaep = {CKM_RSA_PKCS_OAEP, NULL, 0};

static CK_ULONG wrap_with(CK_MECHANISM *m, CK_BYTE out[1024])
{
    CK_OBJECT_HANDLE key = aes_key(dek, 32);
    CK_ULONG n = 1024;
    RV(CKR_OK, p11->C_WrapKey(session, m, kek_public, key, out, &n));
    RV(CKR_OK, p11->C_DestroyObject(session, key));
    return n;
}

static CK_RV unwrap(CK_MECHANISM *m, CK_BYTE *in, CK_ULONG n, CK_ATTRIBUTE *t, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    return p11->C_UnwrapKey(session, m, kek_private, in, n, t, count, out);
}

static CK_RV unwrap_aes(CK_MECHANISM *m, CK_BYTE *in, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes)};
    return unwrap(m, in, n, t, 2, out);
}

static void there_and_back(CK_MECHANISM *m)
{
    CK_BYTE wrapped[1024], value[64];
    CK_OBJECT_HANDLE key = 0;
    CK_ULONG n = wrap_with(m, wrapped);
    RV(CKR_OK, unwrap_aes(m, wrapped, n, &key));
    CHECK(get_bytes(key, CKA_VALUE, value, sizeof(value)) == 32 && memcmp(value, dek, 32) == 0);
    RV(CKR_OK, p11->C_DestroyObject(session, key));
}

static void oaep_parameters(void)
{
    static const CK_MECHANISM_TYPE hashes[] = {CKM_SHA_1, CKM_SHA224, CKM_SHA256, CKM_SHA384, CKM_SHA512};
    static const CK_ULONG mgfs[] = {CKG_MGF1_SHA1,   CKG_MGF1_SHA224, CKG_MGF1_SHA256,
                                    CKG_MGF1_SHA384, CKG_MGF1_SHA512, 0};
    there_and_back(&oaep);
    for (size_t h = 0; h < COUNT(hashes); h++) {
        for (size_t g = 0; g < COUNT(mgfs); g++) {
            CK_RSA_PKCS_OAEP_PARAMS p = {hashes[h], mgfs[g], 1, text("label"), 5};
            CK_MECHANISM m = {CKM_RSA_PKCS_OAEP, &p, sizeof(p)};
            there_and_back(&m);
        }
    }
}

static void null_means_sha256(void)
{
    CK_BYTE wrapped[1024];
    CK_OBJECT_HANDLE key = 0;
    CK_RSA_PKCS_OAEP_PARAMS p = {CKM_SHA256, 0, 0, NULL, 0};
    CK_MECHANISM m = {CKM_RSA_PKCS_OAEP, &p, sizeof(p)};
    CK_ULONG n = wrap_with(&oaep, wrapped);
    RV(CKR_OK, unwrap_aes(&m, wrapped, n, &key));
    p.hashAlg = CKM_SHA_1;
    RV(CKR_WRAPPED_KEY_INVALID, unwrap_aes(&m, wrapped, n, &key));
}

static void bad_parameters(void)
{
    CK_BYTE in[256] = {1};
    CK_OBJECT_HANDLE key = 0;
    CK_RSA_PKCS_OAEP_PARAMS bad[] = {
        {CKM_SHA256, CKG_MGF1_SHA256, 0, text("x"), 1},
        {CKM_SHA256, CKG_MGF1_SHA256, 2, NULL, 0},
        {CKM_SHA256, 77, 1, NULL, 0},
        {CKM_AES_CBC, CKG_MGF1_SHA256, 1, NULL, 0},
        {0, 0, 1, NULL, 0},
        {CKM_SHA256, 0, 1, NULL, 3},
        {CKM_SHA256, 0, 1, text("x"), (CK_ULONG)-1},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        CK_MECHANISM m = {CKM_RSA_PKCS_OAEP, &bad[i], sizeof(bad[i])};
        RV(CKR_MECHANISM_PARAM_INVALID, unwrap_aes(&m, in, sizeof(in), &key));
    }
    CK_MECHANISM m[] = {{CKM_RSA_PKCS_OAEP, NULL, 40}, {CKM_RSA_PKCS_OAEP, bad, 3}, {CKM_RSA_AES_KEY_WRAP, NULL, 0}};
    for (size_t i = 0; i < COUNT(m); i++)
        RV(CKR_MECHANISM_PARAM_INVALID, unwrap_aes(&m[i], in, sizeof(in), &key));
    CK_MECHANISM never[] = {{CKM_RSA_PKCS, NULL, 0}, {CKM_RSA_X_509, NULL, 0}, {CKM_AES_CBC, in, 16}};
    for (size_t i = 0; i < COUNT(never); i++)
        RV(CKR_MECHANISM_INVALID, unwrap_aes(&never[i], in, sizeof(in), &key));
    RV(CKR_ARGUMENTS_BAD, unwrap_aes(NULL, in, sizeof(in), &key));
}

static void rsa_aes(void)
{
    static const CK_ULONG bits[] = {128, 192, 256};
    CK_RSA_PKCS_OAEP_PARAMS p = {CKM_SHA256, CKG_MGF1_SHA256, 1, NULL, 0};
    for (size_t i = 0; i < COUNT(bits); i++) {
        CK_RSA_AES_KEY_WRAP_PARAMS q = {bits[i], &p};
        CK_MECHANISM m = {CKM_RSA_AES_KEY_WRAP, &q, sizeof(q)};
        there_and_back(&m);
    }
    CK_RSA_AES_KEY_WRAP_PARAMS q = {100, &p};
    CK_MECHANISM m = {CKM_RSA_AES_KEY_WRAP, &q, sizeof(q)};
    CK_BYTE in[296] = {1};
    CK_OBJECT_HANDLE key = 0;
    RV(CKR_MECHANISM_PARAM_INVALID, unwrap_aes(&m, in, sizeof(in), &key));
}

static void two_calls(void)
{
    CK_OBJECT_HANDLE key = aes_key(dek, 32);
    CK_BYTE out[256];
    CK_ULONG n = 0;
    RV(CKR_OK, p11->C_WrapKey(session, &oaep, kek_public, key, NULL, &n));
    CHECK(n == 256);
    n = 255;
    RV(CKR_BUFFER_TOO_SMALL, p11->C_WrapKey(session, &oaep, kek_public, key, out, &n));
    CHECK(n == 256);
    RV(CKR_OK, p11->C_WrapKey(ro_session, &oaep, kek_public, key, out, &n));
    RV(CKR_ARGUMENTS_BAD, p11->C_WrapKey(session, &oaep, kek_public, key, out, NULL));
}

static void what_can_be_wrapped(void)
{
    CK_BYTE out[512];
    CK_ULONG n = sizeof(out);
    CK_OBJECT_HANDLE key = aes_key(dek, 32), data = 0, other = 0;
    CK_ATTRIBUTE keep = ATTR(CKA_EXTRACTABLE, no), trusted = ATTR(CKA_WRAP_WITH_TRUSTED, yes),
                 d = ATTR(CKA_CLASS, class_data);
    RV(CKR_OK, p11->C_CopyObject(session, key, &trusted, 1, &other));
    RV(CKR_OK, p11->C_SetAttributeValue(session, key, &keep, 1));
    RV(CKR_OK, p11->C_CreateObject(session, &d, 1, &data));
    RV(CKR_KEY_UNEXTRACTABLE, p11->C_WrapKey(session, &oaep, kek_public, key, out, &n));
    RV(CKR_KEY_NOT_WRAPPABLE, p11->C_WrapKey(session, &oaep, kek_public, other, out, &n));
    RV(CKR_KEY_NOT_WRAPPABLE, p11->C_WrapKey(session, &oaep, kek_public, data, out, &n));
    RV(CKR_KEY_UNEXTRACTABLE, p11->C_WrapKey(session, &oaep, kek_public, kek_private, out, &n));
    RV(CKR_KEY_HANDLE_INVALID, p11->C_WrapKey(session, &oaep, kek_public, 12345, out, &n));
    RV(CKR_WRAPPING_KEY_HANDLE_INVALID, p11->C_WrapKey(session, &oaep, 12345, other, out, &n));
    RV(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, p11->C_WrapKey(session, &oaep, kek_private, other, out, &n));
    RV(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, p11->C_WrapKey(session, &oaep, key, other, out, &n));
}

static void trojan_key_wraps_nothing(void)
{
    CK_BYTE modulus[256], e[] = {1, 0, 1}, out[512];
    CK_ULONG n = sizeof(out);
    CK_OBJECT_HANDLE trojan = 0, key = aes_key(dek, 32);
    CHECK(get_bytes(kek_public, CKA_MODULUS, modulus, sizeof(modulus)) == 256);
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_public),
                        ATTR(CKA_KEY_TYPE, type_rsa),
                        {CKA_MODULUS, modulus, 256},
                        {CKA_PUBLIC_EXPONENT, e, 3},
                        ATTR(CKA_WRAP, yes)};
    RV(CKR_OK, p11->C_CreateObject(session, t, COUNT(t), &trojan));
    RV(CKR_KEY_FUNCTION_NOT_PERMITTED, p11->C_WrapKey(session, &oaep, trojan, key, out, &n));
}

static void what_unwrap_makes(void)
{
    CK_BYTE in[1024];
    CK_ULONG n = wrap_with(&oaep, in);
    CK_OBJECT_HANDLE key = 0;
    RV(CKR_OK, unwrap_aes(&oaep, in, n, &key));
    CHECK(get_bool(key, CKA_EXTRACTABLE) && !get_bool(key, CKA_SENSITIVE) && !get_bool(key, CKA_TOKEN) &&
          get_bool(key, CKA_PRIVATE));
    CHECK(!get_bool(key, CKA_LOCAL) && !get_bool(key, CKA_ALWAYS_SENSITIVE) && !get_bool(key, CKA_NEVER_EXTRACTABLE));
    CHECK(!get_bool(key, CKA_WRAP) && !get_bool(key, CKA_UNWRAP) && !get_bool(key, CKA_DERIVE) &&
          !get_bool(key, CKA_TRUSTED));
    CHECK(get_bool(key, CKA_ENCRYPT) && get_bool(key, CKA_DECRYPT) && get_ulong(key, CKA_VALUE_LEN) == 32);
    static const CK_ATTRIBUTE_TYPE later[] = {CKA_WRAP, CKA_UNWRAP, CKA_DERIVE, CKA_TRUSTED};
    for (size_t i = 0; i < COUNT(later); i++) {
        CK_OBJECT_HANDLE copy = 0;
        CK_ATTRIBUTE widen = {later[i], &yes, 1};
        RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, key, &widen, 1));
        RV(CKR_ATTRIBUTE_READ_ONLY, p11->C_CopyObject(session, key, &widen, 1, &copy));
    }
    /* pkcs11-tool --unwrap: a token object, with usage and length. */
    CK_ULONG len = 32;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret), ATTR(CKA_TOKEN, yes),     ATTR(CKA_KEY_TYPE, type_aes),
                        ATTR(CKA_VALUE_LEN, len),      ATTR(CKA_ENCRYPT, yes),   ATTR(CKA_DECRYPT, yes),
                        ATTR(CKA_SENSITIVE, yes),      ATTR(CKA_EXTRACTABLE, no)};
    RV(CKR_OK, unwrap(&oaep, in, n, t, COUNT(t), &key));
    CHECK(get_bool(key, CKA_TOKEN) && get_bool(key, CKA_SENSITIVE) && !get_bool(key, CKA_ALWAYS_SENSITIVE));
    RV(CKR_OK, p11->C_DestroyObject(session, key));
    RV(CKR_SESSION_READ_ONLY, p11->C_UnwrapKey(ro_session, &oaep, kek_private, in, n, t, COUNT(t), &key));
    RV(CKR_OK, p11->C_UnwrapKey(ro_session, &oaep, kek_private, in, n, &t[2], 2, &key));
    len = 16;
    RV(CKR_WRAPPED_KEY_INVALID, unwrap(&oaep, in, n, t, COUNT(t), &key));
    len = 17;
    RV(CKR_KEY_SIZE_RANGE, unwrap(&oaep, in, n, t, COUNT(t), &key));
}

static void what_unwrap_refuses(void)
{
    static const CK_ATTRIBUTE_TYPE widen[] = {CKA_WRAP, CKA_UNWRAP, CKA_DERIVE};
    CK_BYTE in[1024];
    CK_ULONG n = wrap_with(&oaep, in);
    CK_OBJECT_HANDLE key = 0;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes), ATTR(CKA_WRAP, yes)};
    for (size_t i = 0; i < COUNT(widen); i++) {
        t[2].type = widen[i];
        RV(CKR_TEMPLATE_INCONSISTENT, unwrap(&oaep, in, n, t, 3, &key));
    }
    t[2].type = CKA_TRUSTED;
    RV(CKR_ATTRIBUTE_READ_ONLY, unwrap(&oaep, in, n, t, 3, &key));
    t[2].type = CKA_LOCAL;
    RV(CKR_ATTRIBUTE_READ_ONLY, unwrap(&oaep, in, n, t, 3, &key));
    RV(CKR_TEMPLATE_INCOMPLETE, unwrap(&oaep, in, n, t, 1, &key));
    t[1].pValue = &type_rsa;
    RV(CKR_TEMPLATE_INCONSISTENT, unwrap(&oaep, in, n, t, 2, &key));
    t[0].pValue = &class_private;
    RV(CKR_TEMPLATE_INCONSISTENT, unwrap(&oaep, in, n, t, 2, &key));
    RV(CKR_WRAPPED_KEY_LEN_RANGE, unwrap_aes(&oaep, in, n - 1, &key));
    RV(CKR_WRAPPED_KEY_LEN_RANGE, unwrap_aes(&oaep, in, 0, &key));
    RV(CKR_ARGUMENTS_BAD, unwrap_aes(&oaep, NULL, n, &key));
    RV(CKR_UNWRAPPING_KEY_HANDLE_INVALID, p11->C_UnwrapKey(session, &oaep, 12345, in, n, NULL, 0, &key));
    RV(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, p11->C_UnwrapKey(session, &oaep, kek_public, in, n, NULL, 0, &key));
    in[100] ^= 1;
    RV(CKR_WRAPPED_KEY_INVALID, unwrap_aes(&oaep, in, n, &key));
}

static void an_odd_length_is_no_aes_key(void)
{
    CK_BYTE out[1024], v[64];
    CK_ULONG n = sizeof(out);
    CK_OBJECT_HANDLE key = 0, got = 0;
    CK_ATTRIBUTE g[] = {ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_generic),
                        ATTR_TEXT(CKA_VALUE, "seventeen bytes!!")};
    RV(CKR_OK, p11->C_CreateObject(session, g, 3, &key));
    RV(CKR_OK, p11->C_WrapKey(session, &oaep, kek_public, key, out, &n));
    RV(CKR_WRAPPED_KEY_INVALID, unwrap_aes(&oaep, out, n, &got));
    RV(CKR_OK, unwrap(&oaep, out, n, g, 2, &got));
    CHECK(get_bytes(got, CKA_VALUE, v, sizeof(v)) == 17);
}

static void old_dek_after_rotation(void)
{
    CK_BYTE in[1024], value[64];
    CK_ULONG n = wrap_with(&oaep, in);
    CK_OBJECT_HANDLE pub = 0, prv = 0, key = 0;
    CK_ATTRIBUTE t[] = {ATTR(CKA_KEY_TYPE, type_aes)};
    RV(CKR_OK, make_kek("wrap", 2048, &pub, &prv));
    RV(CKR_OK, p11->C_UnwrapKey(session, &oaep, prv, in, n, t, 1, &key));
    CHECK(get_bytes(key, CKA_VALUE, value, sizeof(value)) == 32 && memcmp(value, dek, 32) == 0);
}

static void needs_a_login(void)
{
    CK_BYTE in[1024];
    CK_ULONG n = wrap_with(&oaep, in);
    CK_OBJECT_HANDLE key = 0, open = 0;
    CK_ATTRIBUTE t[] = {
        ATTR(CKA_CLASS, class_secret), ATTR(CKA_KEY_TYPE, type_aes), {CKA_VALUE, in, 16}, ATTR(CKA_PRIVATE, no)};
    RV(CKR_OK, p11->C_Logout(session));
    RV(CKR_UNWRAPPING_KEY_HANDLE_INVALID, unwrap_aes(&oaep, in, n, &key));
    RV(CKR_OK, p11->C_CreateObject(session, t, 4, &open));
    n = sizeof(in);
    RV(CKR_USER_NOT_LOGGED_IN, p11->C_WrapKey(session, &oaep, kek_public, open, in, &n));
    RV(CKR_USER_NOT_LOGGED_IN, p11->C_CreateObject(session, t, 3, &key));
}

/* Another process makes the token anew: whatever a session asks of its objects, the token is gone. */
static void token_made_anew(void)
{
    CK_BYTE in[16] = "0123456789abcde", out[256];
    CK_ULONG n = sizeof(out);
    CK_UTF8CHAR label[32];
    CK_OBJECT_HANDLE o = 0;
    int status = -1;
    memset(label, ' ', sizeof(label));
    label[0] = 'n';
    RV(CKR_OK, p11->C_Login(session, CKU_USER, text(USER_PIN), strlen(USER_PIN)));
    CK_ATTRIBUTE find_kek[] = {ATTR_TEXT(CKA_LABEL, "wrap"), ATTR(CKA_CLASS, class_private)};
    CHECK(find(find_kek, 2, &kek_private, 1) == 1);
    CK_OBJECT_HANDLE key = aes_key(in, sizeof(in));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(p11->C_Initialize(NULL) != CKR_OK ||
              p11->C_InitToken(slot, text(SO_PIN), strlen(SO_PIN), label) != CKR_OK);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    RV(CKR_DEVICE_REMOVED, p11->C_WrapKey(session, &oaep, kek_public, key, out, &n));
    RV(CKR_DEVICE_REMOVED, p11->C_UnwrapKey(session, &oaep, kek_private, out, sizeof(out), find_kek, 1, &o));
    RV(CKR_DEVICE_REMOVED, p11->C_FindObjectsInit(session, NULL, 0));
    RV(CKR_OK, p11->C_CloseSession(session));
    RV(CKR_SESSION_HANDLE_INVALID, p11->C_CloseSession(session));
}

int main(void)
{
    start("");
    must("make_kek", make_kek("wrap", 2048, &kek_public, &kek_private));
    RUN(oaep_parameters);
    RUN(null_means_sha256);
    RUN(bad_parameters);
    RUN(rsa_aes);
    RUN(two_calls);
    RUN(what_can_be_wrapped);
    RUN(trojan_key_wraps_nothing);
    RUN(what_unwrap_makes);
    RUN(what_unwrap_refuses);
    RUN(an_odd_length_is_no_aes_key);
    RUN(old_dek_after_rotation);
    RUN(needs_a_login);
    RUN(token_made_anew);
    return finish();
}
