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
    p.ulIvLen = 257;
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
    RUN(logout_ends_it);
    return finish();
}
