/* C_Encrypt… and C_Decrypt…: ciphers with data-encryption keys, and what a KEK refuses. */
#include "tests/api/objects.h"

static CK_OBJECT_HANDLE key;
static CK_BYTE iv[16] = "initial vector!";
static CK_GCM_PARAMS gcm_params = {iv, 12, 96, (CK_BYTE *)(uintptr_t) "aad", 3, 128};
static CK_MECHANISM cbc = {CKM_AES_CBC, iv, 16}, pad = {CKM_AES_CBC_PAD, iv, 16},
                    gcm = {CKM_AES_GCM, &gcm_params, sizeof(gcm_params)};
static CK_BYTE plain[1000];

static CK_ULONG encrypt(CK_MECHANISM *m, CK_ULONG n, CK_BYTE *out, CK_ULONG room)
{
    RV(CKR_OK, p11->C_EncryptInit(session, m, key));
    RV(CKR_OK, p11->C_Encrypt(session, plain, n, out, &room));
    return room;
}

static void there_and_back(void)
{
    CK_MECHANISM *all[] = {&cbc, &pad, &gcm};
    for (size_t i = 0; i < COUNT(all); i++) {
        for (CK_ULONG n = 16; n <= 992; n += i == 0 ? 16 : 61) {
            CK_BYTE enc[1100], dec[1100];
            CK_ULONG m = encrypt(all[i], n, enc, sizeof(enc)), got = 0;
            RV(CKR_OK, p11->C_DecryptInit(session, all[i], key));
            RV(CKR_OK, p11->C_Decrypt(session, enc, m, NULL, &got));
            CHECK(got >= n && got <= m);
            got = n; /* exactly what is needed, whatever the size query said */
            RV(CKR_OK, p11->C_Decrypt(session, enc, m, dec, &got));
            CHECK(got == n && memcmp(dec, plain, n) == 0);
        }
    }
}

static void in_pieces(void)
{
    CK_MECHANISM *all[] = {&cbc, &pad, &gcm};
    for (size_t i = 0; i < COUNT(all); i++) {
        CK_BYTE whole[1100], enc[1100], dec[1100];
        CK_ULONG m = encrypt(all[i], 320, whole, sizeof(whole)), done = 0;
        RV(CKR_OK, p11->C_EncryptInit(session, all[i], key));
        for (CK_ULONG at = 0, len; at < 320; at += 40, done += len) {
            len = sizeof(enc) - done;
            RV(CKR_OK, p11->C_EncryptUpdate(session, plain + at, 40, enc + done, &len));
        }
        CK_ULONG len = sizeof(enc) - done;
        RV(CKR_OK, p11->C_EncryptFinal(session, enc + done, &len));
        CHECK(done + len == m && memcmp(enc, whole, m) == 0);
        RV(CKR_OK, p11->C_DecryptInit(session, all[i], key));
        done = 0;
        for (CK_ULONG at = 0; at < m; at += 16, done += len) {
            len = sizeof(dec) - done;
            RV(CKR_OK, p11->C_DecryptUpdate(session, enc + at, 16, dec + done, &len));
        }
        len = sizeof(dec) - done;
        RV(CKR_OK, p11->C_DecryptFinal(session, dec + done, &len));
        CHECK(done + len == 320 && memcmp(dec, plain, 320) == 0);
    }
}

static void sizes_keep_the_operation(void)
{
    CK_BYTE out[64];
    CK_ULONG n = 0;
    RV(CKR_OK, p11->C_EncryptInit(session, &gcm, key));
    RV(CKR_OK, p11->C_Encrypt(session, plain, 20, NULL, &n));
    CHECK(n == 36);
    n = 35;
    RV(CKR_BUFFER_TOO_SMALL, p11->C_Encrypt(session, plain, 20, out, &n));
    CHECK(n == 36);
    RV(CKR_ARGUMENTS_BAD, p11->C_Encrypt(session, plain, 20, out, NULL));
    RV(CKR_OK, p11->C_Encrypt(session, plain, 20, out, &n));
    RV(CKR_OPERATION_NOT_INITIALIZED, p11->C_Encrypt(session, plain, 20, out, &n));
}

static void errors_end_it(void)
{
    CK_BYTE out[64];
    CK_ULONG n = sizeof(out);
    RV(CKR_OK, p11->C_EncryptInit(session, &cbc, key));
    RV(CKR_OPERATION_ACTIVE, p11->C_EncryptInit(session, &cbc, key));
    RV(CKR_DATA_LEN_RANGE, p11->C_Encrypt(session, plain, 17, out, &n));
    RV(CKR_OPERATION_NOT_INITIALIZED, p11->C_EncryptFinal(session, out, &n));
    RV(CKR_OK, p11->C_EncryptInit(session, &cbc, key));
    RV(CKR_OK, p11->C_EncryptUpdate(session, plain, 16, out, &n));
    RV(CKR_OPERATION_ACTIVE, p11->C_Encrypt(session, plain, 16, out, &n));
    RV(CKR_OPERATION_NOT_INITIALIZED, p11->C_EncryptFinal(session, out, &n));
    RV(CKR_OK, p11->C_EncryptInit(session, &cbc, key));
    RV(CKR_OK, p11->C_EncryptInit(session, NULL, key));
    RV(CKR_ARGUMENTS_BAD, p11->C_EncryptInit(session, NULL, key));
    CK_BYTE enc[64];
    CK_ULONG m = encrypt(&gcm, 20, enc, sizeof(enc));
    enc[3] ^= 1;
    RV(CKR_OK, p11->C_DecryptInit(session, &gcm, key));
    n = sizeof(out);
    RV(CKR_ENCRYPTED_DATA_INVALID, p11->C_Decrypt(session, enc, m, out, &n));
    RV(CKR_OPERATION_NOT_INITIALIZED, p11->C_Decrypt(session, enc, m, out, &n));
    RV(CKR_OK, p11->C_DecryptInit(session, &pad, key));
    RV(CKR_ENCRYPTED_DATA_LEN_RANGE, p11->C_Decrypt(session, enc, 17, out, &n));
}

static void bad_beginnings(void)
{
    CK_GCM_PARAMS p = gcm_params;
    CK_MECHANISM m = {CKM_AES_GCM, &p, sizeof(p)}, short_iv = {CKM_AES_CBC, iv, 15}, none = {CKM_AES_CBC, NULL, 16},
                 ecb = {CKM_AES_ECB, NULL, 0}, oaep = {CKM_RSA_PKCS_OAEP, NULL, 0};
    RV(CKR_MECHANISM_PARAM_INVALID, p11->C_EncryptInit(session, &short_iv, key));
    RV(CKR_MECHANISM_PARAM_INVALID, p11->C_EncryptInit(session, &none, key));
    RV(CKR_MECHANISM_INVALID, p11->C_EncryptInit(session, &ecb, key));
    RV(CKR_KEY_TYPE_INCONSISTENT, p11->C_EncryptInit(session, &oaep, key));
    RV(CKR_KEY_HANDLE_INVALID, p11->C_EncryptInit(session, &cbc, 4711));
    p.ulTagBits = 129;
    RV(CKR_MECHANISM_PARAM_INVALID, p11->C_EncryptInit(session, &m, key));
    p = gcm_params;
    CK_BYTE long_iv[129] = {1};
    p.pIv = long_iv;
    p.ulIvLen = 128;
    RV(CKR_OK, p11->C_EncryptInit(session, &m, key));
    RV(CKR_OK, p11->C_EncryptInit(session, NULL, key));
    p.ulIvLen = 129;
    RV(CKR_MECHANISM_PARAM_INVALID, p11->C_EncryptInit(session, &m, key));
    p = gcm_params;
    p.pAAD = NULL;
    RV(CKR_MECHANISM_PARAM_INVALID, p11->C_EncryptInit(session, &m, key));
    CK_MECHANISM_TYPE only = CKM_AES_GCM;
    CK_OBJECT_HANDLE k = 0, g = 0;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class_secret),
                        ATTR(CKA_KEY_TYPE, type_aes),
                        {CKA_VALUE, plain, 16},
                        ATTR(CKA_ALLOWED_MECHANISMS, only),
                        ATTR(CKA_DECRYPT, no)};
    RV(CKR_OK, p11->C_CreateObject(session, t, 5, &k));
    RV(CKR_MECHANISM_INVALID, p11->C_EncryptInit(session, &cbc, k));
    RV(CKR_KEY_FUNCTION_NOT_PERMITTED, p11->C_DecryptInit(session, &gcm, k));
    t[1].pValue = &type_generic;
    RV(CKR_OK, p11->C_CreateObject(session, t, 3, &g));
    RV(CKR_KEY_TYPE_INCONSISTENT, p11->C_EncryptInit(session, &gcm, g));
}

static void a_kek_does_not_decrypt(void)
{
    CK_OBJECT_HANDLE pub = 0, prv = 0;
    CK_MECHANISM oaep = {CKM_RSA_PKCS_OAEP, NULL, 0}, raw = {CKM_RSA_X_509, NULL, 0};
    RV(CKR_OK, make_kek("crypt", 2048, &pub, &prv));
    RV(CKR_KEY_FUNCTION_NOT_PERMITTED, p11->C_DecryptInit(session, &oaep, prv));
    RV(CKR_KEY_FUNCTION_NOT_PERMITTED, p11->C_EncryptInit(session, &oaep, pub));
    RV(CKR_MECHANISM_INVALID, p11->C_DecryptInit(session, &raw, prv));
    RV(CKR_KEY_TYPE_INCONSISTENT, p11->C_DecryptInit(session, &cbc, prv));
}

/* Runs the command with one vault's PINs in its environment. */
static void command(const char *arguments)
{
    char line[512];
    const char *cmk11 = getenv("CMK11");
    (void)setenv("CMK11_PIN", USER_PIN, 1);
    (void)setenv("CMK11_SO_PIN", SO_PIN, 1);
    snprintf(line, sizeof(line), "'%s' %s >/dev/null 2>&1", cmk11 ? cmk11 : "cmk11", arguments);
    CHECK(system(line) == 0);
}

static CK_OBJECT_HANDLE named(CK_SESSION_HANDLE s, const char *label, CK_OBJECT_CLASS *class)
{
    CK_OBJECT_HANDLE o = 0;
    CK_ULONG n = 0;
    CK_ATTRIBUTE t[] = {{CKA_LABEL, text(label), strlen(label)}, {CKA_CLASS, class, sizeof(*class)}};
    RV(CKR_OK, p11->C_FindObjectsInit(s, t, 2));
    RV(CKR_OK, p11->C_FindObjects(s, &o, 1, &n));
    RV(CKR_OK, p11->C_FindObjectsFinal(s));
    CHECK(n == 1);
    return o;
}

/* Encrypts for the key and decrypts in every way that the sizes allow. */
static void decrypts(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE pub, CK_OBJECT_HANDLE prv)
{
    CK_BYTE enc[256], dec[256];
    CK_ULONG n = sizeof(enc), got = 0;
    RV(CKR_OK, p11->C_EncryptInit(s, m, pub));
    RV(CKR_OK, p11->C_Encrypt(s, plain, 32, enc, &n));
    CHECK(n == 256);
    RV(CKR_OK, p11->C_DecryptInit(s, m, prv));
    RV(CKR_OK, p11->C_Decrypt(s, enc, n, NULL, &got));
    CHECK(got >= 32 && got < 256);
    got = 31;
    RV(CKR_BUFFER_TOO_SMALL, p11->C_Decrypt(s, enc, n, dec, &got));
    CHECK(got == 32);
    RV(CKR_OK, p11->C_Decrypt(s, enc, n, dec, &got));
    CHECK(got == 32 && memcmp(dec, plain, 32) == 0);
    RV(CKR_OPERATION_NOT_INITIALIZED, p11->C_Decrypt(s, enc, n, dec, &got));
    RV(CKR_OK, p11->C_DecryptInit(s, m, prv));
    enc[100] ^= 1;
    RV(CKR_ENCRYPTED_DATA_INVALID, p11->C_Decrypt(s, enc, n, dec, &got));
    RV(CKR_OK, p11->C_DecryptInit(s, m, prv));
    RV(CKR_ENCRYPTED_DATA_LEN_RANGE, p11->C_Decrypt(s, enc, 255, dec, &got));
}

/* A vault and a key whose policy has decrypt, which is what applications of OpenSSL's need. */
static void decrypts_where_the_policy_says_so(void)
{
    CK_RSA_PKCS_OAEP_PARAMS label = {CKM_SHA384, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, plain, 3};
    CK_MECHANISM oaep = {CKM_RSA_PKCS_OAEP, NULL, 0}, labelled = {CKM_RSA_PKCS_OAEP, &label, sizeof(label)};
    CK_SESSION_HANDLE s = 0;
    CK_SLOT_ID slots[4];
    CK_ULONG n = COUNT(slots);
    CK_MECHANISM_INFO info = {0, 0, 0};
    command("vault init open --allow-ops wrapKey,unwrapKey,decrypt");
    command("key create open both --size 2048 --ops wrapKey,unwrapKey,decrypt");
    command("key create open only --size 2048");
    RV(CKR_OK, p11->C_GetSlotList(CK_TRUE, slots, &n));
    RV(CKR_OK, p11->C_GetMechanismInfo(slots[1], CKM_RSA_PKCS_OAEP, &info));
    CHECK((info.flags & CKF_DECRYPT) && (info.flags & CKF_UNWRAP));
    RV(CKR_OK, p11->C_GetMechanismInfo(slot, CKM_RSA_PKCS_OAEP, &info));
    CHECK(!(info.flags & CKF_DECRYPT));
    RV(CKR_OK, p11->C_OpenSession(slots[1], CKF_SERIAL_SESSION, NULL, NULL, &s));
    CK_OBJECT_HANDLE pub = named(s, "both", &class_public), open_pub = named(s, "only", &class_public);
    RV(CKR_USER_NOT_LOGGED_IN, p11->C_EncryptInit(s, &oaep, pub));
    RV(CKR_OK, p11->C_Login(s, CKU_USER, text(USER_PIN), strlen(USER_PIN)));
    CK_OBJECT_HANDLE prv = named(s, "both", &class_private), open_prv = named(s, "only", &class_private);
    decrypts(s, &oaep, pub, prv);
    decrypts(s, &labelled, pub, prv);
    RV(CKR_KEY_FUNCTION_NOT_PERMITTED, p11->C_DecryptInit(s, &oaep, open_prv));
    RV(CKR_KEY_FUNCTION_NOT_PERMITTED, p11->C_EncryptInit(s, &oaep, open_pub));
    RV(CKR_KEY_FUNCTION_NOT_PERMITTED, p11->C_DecryptInit(s, &oaep, pub));
    RV(CKR_OK, p11->C_DecryptInit(s, &oaep, prv));
    RV(CKR_OK, p11->C_Logout(s));
    CK_BYTE enc[256] = {0};
    n = sizeof(enc);
    RV(CKR_USER_NOT_LOGGED_IN, p11->C_Decrypt(s, enc, sizeof(enc), enc, &n));
    RV(CKR_OK, p11->C_CloseSession(s));
}

static void logout_ends_it(void)
{
    CK_BYTE out[64];
    CK_ULONG n = sizeof(out);
    RV(CKR_OK, p11->C_EncryptInit(session, &cbc, key));
    RV(CKR_OK, p11->C_Logout(session));
    CHECK(p11->C_EncryptUpdate(session, plain, 16, out, &n) != CKR_OK);
}

int main(void)
{
    start("");
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (CK_BYTE)(i * 7);
    key = aes_key((const CK_BYTE *)"0123456789abcdef0123456789abcdef", 32);
    RUN(there_and_back);
    RUN(in_pieces);
    RUN(sizes_keep_the_operation);
    RUN(errors_end_it);
    RUN(bad_beginnings);
    RUN(a_kek_does_not_decrypt);
    RUN(decrypts_where_the_policy_says_so);
    RUN(logout_ends_it);
    return finish();
}
