/* crypto/: random numbers, hashes, records, password hashing, curves; published vectors and tampering. */
#include "crypto/ossl.h"
#include "tests/unit/unit.h"
#include "util/text.h"

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    UNIT_OK(cmk_unhex(hex, 2 * n, out, n));
    return n;
}

static void same(const uint8_t *got, const char *hex)
{
    uint8_t want[256];
    size_t n = unhex(hex, want);
    CU_ASSERT(memcmp(got, want, n) == 0);
}

static void test_random(void)
{
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    cmk_id x;
    cmk_id y;
    static uint8_t seed[3 * 1024 * 1024 / 2];
    UNIT_OK(cmk_crypto_init());
    UNIT_OK(cmk_random(a, sizeof(a)));
    UNIT_OK(cmk_random_add(seed, sizeof(seed)));
    UNIT_OK(cmk_random_add(NULL, 0));
    UNIT_OK(cmk_random(b, sizeof(b)));
    UNIT_OK(cmk_random(NULL, 0));
    UNIT_OK(cmk_random(seed, sizeof(seed)));
    CU_ASSERT(memcmp(a, b, sizeof(a)) != 0);
    UNIT_OK(cmk_id_new(&x));
    UNIT_OK(cmk_id_new(&y));
    CU_ASSERT(!cmk_id_equal(&x, &y));
    CU_ASSERT(cmk_equal_ct("abc", "abc", 3) && !cmk_equal_ct("abc", "abd", 3) && cmk_equal_ct(NULL, NULL, 0));
}

/* FIPS 180-4 example, RFC 4231 case 2 */
static void test_hash(void)
{
    uint8_t out[CMK_SHA256_SIZE];
    cmk_bytes parts[] = {cmk_bytes_str("a"), cmk_bytes_of(NULL, 0), cmk_bytes_str("bc")};
    UNIT_OK(cmk_sha256(parts, 3, out));
    same(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    UNIT_OK(cmk_sha256(NULL, 0, out));
    same(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    cmk_bytes message[] = {cmk_bytes_str("what do ya want "), cmk_bytes_str("for nothing?")};
    UNIT_OK(cmk_hmac_sha256(cmk_bytes_str("Jefe"), message, 2, out));
    same(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    UNIT_OK(cmk_hmac_sha256(cmk_bytes_of(NULL, 0), NULL, 0, out));
    same(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    CU_ASSERT_EQUAL(cmk_hash_size(CMK_SHA384), 48);
    CU_ASSERT_EQUAL(cmk_hash_size(CMK_HASH_NONE), 0);
    CU_ASSERT_EQUAL(cmk_hash_size((cmk_hash)99), 0);
}

/* RFC 5869 appendix A, cases 1 to 3 */
static void test_hkdf(void)
{
    uint8_t ikm[80];
    uint8_t salt[80];
    uint8_t info[80];
    uint8_t out[82];
    memset(ikm, 0x0b, 22);
    for (size_t i = 0; i < 80; i++)
        salt[i] = (uint8_t)i;
    for (size_t i = 0; i < 10; i++)
        info[i] = (uint8_t)(0xf0 + i);
    UNIT_OK(cmk_hkdf_sha256(cmk_bytes_of(ikm, 22), cmk_bytes_of(salt, 13), cmk_bytes_of(info, 10), out, 42));
    same(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    UNIT_OK(cmk_hkdf_sha256(cmk_bytes_of(ikm, 22), cmk_bytes_of(NULL, 0), cmk_bytes_of(NULL, 0), out, 42));
    same(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    for (size_t i = 0; i < 80; i++) {
        ikm[i] = (uint8_t)i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    UNIT_OK(cmk_hkdf_sha256(cmk_bytes_of(ikm, 80), cmk_bytes_of(salt, 80), cmk_bytes_of(info, 80), out, 82));
    same(out,
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2"
         "f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
    static uint8_t big[8161];
    UNIT_OK(cmk_hkdf_sha256(cmk_bytes_of(ikm, 80), cmk_bytes_of(NULL, 0), cmk_bytes_of(NULL, 0), big, 8160));
    UNIT_RC(cmk_hkdf_sha256(cmk_bytes_of(ikm, 80), cmk_bytes_of(NULL, 0), cmk_bytes_of(NULL, 0), big, 8161),
            CMK_E_ARGUMENT);
    UNIT_RC(cmk_hkdf_sha256(cmk_bytes_of(ikm, 80), cmk_bytes_of(NULL, 0), cmk_bytes_of(NULL, 0), big, 0),
            CMK_E_ARGUMENT);
}

static void test_aead(void)
{
    uint8_t key[CMK_KEY_SIZE];
    CMK_BUF_AUTO blob = CMK_BUF_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    cmk_bytes aad = cmk_bytes_str("where it belongs");
    UNIT_OK(cmk_random(key, sizeof(key)));
    cmk_buf_u8(&blob, 0xaa);
    UNIT_OK(cmk_aead_seal(key, aad, cmk_bytes_str("a secret"), &blob));
    CU_ASSERT_EQUAL(blob.len, 1 + 8 + CMK_AEAD_OVERHEAD);
    UNIT_OK(cmk_aead_open(key, aad, cmk_bytes_of(blob.data + 1, blob.len - 1), &plain));
    CU_ASSERT(plain.len == 8 && memcmp(plain.data, "a secret", 8) == 0);
    for (size_t bit = 0; bit < 8 * (blob.len - 1); bit++) {
        blob.data[1 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        UNIT_RC(cmk_aead_open(key, aad, cmk_bytes_of(blob.data + 1, blob.len - 1), &plain), CMK_E_TAMPERED);
        CU_ASSERT(plain.data == NULL && plain.len == 0);
        blob.data[1 + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    UNIT_RC(cmk_aead_open(key, cmk_bytes_str("elsewhere"), cmk_bytes_of(blob.data + 1, blob.len - 1), &plain),
            CMK_E_TAMPERED);
    for (size_t n = 0; n < blob.len - 1; n++)
        UNIT_RC(cmk_aead_open(key, aad, cmk_bytes_of(blob.data + 1, n), &plain), CMK_E_TAMPERED);
    key[0] ^= 1;
    UNIT_RC(cmk_aead_open(key, aad, cmk_bytes_of(blob.data + 1, blob.len - 1), &plain), CMK_E_TAMPERED);
    cmk_buf_reset(&blob);
    UNIT_OK(cmk_aead_seal(key, cmk_bytes_of(NULL, 0), cmk_bytes_of(NULL, 0), &blob));
    UNIT_OK(cmk_aead_open(key, cmk_bytes_of(NULL, 0), cmk_buf_view(&blob), &plain));
    CU_ASSERT(plain.data == NULL && plain.len == 0);
}

/* RFC 7914 §12 */
static void test_scrypt_vectors(void)
{
    uint8_t out[64];
    UNIT_OK(ossl_scrypt(16, 1, 1, cmk_bytes_of(NULL, 0), cmk_bytes_of(NULL, 0), out, 64));
    same(out,
         "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0"
         "d3628cf35e20c38d18906");
    UNIT_OK(ossl_scrypt(1024, 8, 16, cmk_bytes_str("NaCl"), cmk_bytes_str("password"), out, 64));
    same(out,
         "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a8"
         "3ee6d8360cbdfa2cc0640");
    UNIT_OK(ossl_scrypt(16384, 8, 1, cmk_bytes_str("SodiumChloride"), cmk_bytes_str("pleaseletmein"), out, 64));
    same(out,
         "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d6"
         "51e40dfcf017b45575887");
}

static void test_scrypt(void)
{
    cmk_scrypt_params p;
    uint8_t a[CMK_KEY_SIZE];
    uint8_t b[CMK_KEY_SIZE];
    UNIT_OK(cmk_scrypt_default(&p));
    UNIT_OK(cmk_scrypt_check(&p));
    UNIT_OK(cmk_scrypt(&p, cmk_bytes_str("1234"), a));
    UNIT_OK(ossl_scrypt((uint64_t)1 << p.log2n, p.r, p.p, cmk_bytes_of(p.salt, 32), cmk_bytes_str("1234"), b, 32));
    CU_ASSERT(memcmp(a, b, 32) == 0);
    UNIT_OK(cmk_scrypt(&p, cmk_bytes_str("1235"), b));
    CU_ASSERT(memcmp(a, b, 32) != 0);
    static const struct {
        uint8_t log2n;
        uint32_t r, p;
        cmk_rc rc;
    } rows[] = {
        {20, 8, 1, CMK_OK},
        {16, 8, 16, CMK_OK},
        {16, 8, 17, CMK_E_TAMPERED},
        {20, 8, 2, CMK_E_TAMPERED},
        {21, 8, 1, CMK_E_TAMPERED},
        {16, 129, 1, CMK_E_TAMPERED},
        {16, 0, 1, CMK_E_TAMPERED},
        {16, 8, 0, CMK_E_TAMPERED},
        {0, 8, 1, CMK_E_TAMPERED},
        {31, 8, 1, CMK_E_TAMPERED},
        {255, 8, 1, CMK_E_TAMPERED},
        {30, UINT32_MAX, UINT32_MAX, CMK_E_TAMPERED},
        {3, 8, 1, CMK_E_TAMPERED},
        {1, 8, 1, CMK_E_TAMPERED},
        {19, 1, 1, CMK_E_TAMPERED},
        {1, 1, UINT32_MAX, CMK_E_TAMPERED},
        {18, 2, 1, CMK_E_TAMPERED},
        {16, 16, 1, CMK_E_TAMPERED},
        {1, 262144, 1, CMK_E_TAMPERED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p.log2n = rows[i].log2n;
        p.r = rows[i].r;
        p.p = rows[i].p;
        UNIT_RC(cmk_scrypt_check(&p), rows[i].rc);
        if (rows[i].rc != CMK_OK)
            UNIT_RC(cmk_scrypt(&p, cmk_bytes_str("1234"), a), rows[i].rc);
    }
}

/* RFC 8032 §7.1, tests 1 to 3 */
static void test_ed25519(void)
{
    static const struct {
        const char *priv, *pub, *message, *sig;
    } rows[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bb"
         "e2465"
         "5141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302"
         "aeeb0"
         "0d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed"
         "28dc0"
         "27beceea1ec40a"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t priv[32];
        uint8_t pub[32];
        uint8_t message[2];
        uint8_t sig[CMK_SIGNATURE_SIZE];
        unhex(rows[i].priv, priv);
        unhex(rows[i].pub, pub);
        cmk_bytes m = cmk_bytes_of(message, unhex(rows[i].message, message));
        UNIT_OK(cmk_ed25519_check_pair(priv, pub));
        UNIT_OK(cmk_ed25519_sign(priv, m, sig));
        same(sig, rows[i].sig);
        UNIT_OK(cmk_ed25519_verify(pub, m, sig));
        sig[i * 20] ^= 4;
        UNIT_RC(cmk_ed25519_verify(pub, m, sig), CMK_E_TAMPERED);
        sig[i * 20] ^= 4;
        UNIT_RC(cmk_ed25519_verify(pub, cmk_bytes_str("other"), sig), CMK_E_TAMPERED);
        pub[3] ^= 1;
        UNIT_RC(cmk_ed25519_verify(pub, m, sig), CMK_E_TAMPERED);
        UNIT_RC(cmk_ed25519_check_pair(priv, pub), CMK_E_TAMPERED);
    }
    uint8_t priv[32];
    uint8_t pub[32];
    UNIT_OK(cmk_ed25519_generate(priv, pub));
    UNIT_OK(cmk_ed25519_check_pair(priv, pub));
}

/* RFC 7748 §5.2 and §6.1 */
static void test_x25519(void)
{
    uint8_t priv[32];
    uint8_t pub[32];
    uint8_t out[32];
    unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", priv);
    unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", pub);
    UNIT_OK(ossl_x25519(priv, pub, out));
    same(out, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", priv);
    unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", pub);
    UNIT_OK(cmk_x25519_check_pair(priv, pub));
    unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", pub);
    unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", priv);
    UNIT_OK(ossl_x25519(pub, priv, out));
    same(out, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    UNIT_RC(cmk_x25519_check_pair(pub, priv), CMK_E_TAMPERED);
    memset(priv, 0, 32);
    UNIT_RC(ossl_x25519(pub, priv, out), CMK_E_TAMPERED);
}

static void test_box(void)
{
    uint8_t priv[32];
    uint8_t pub[32];
    static const uint8_t small_order[32] = {1};
    CMK_BUF_AUTO box = CMK_BUF_INIT;
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    cmk_bytes context = cmk_bytes_str("for whom, and when");
    UNIT_OK(cmk_x25519_generate(priv, pub));
    UNIT_OK(cmk_box_seal(pub, context, cmk_bytes_str("a key"), &box));
    CU_ASSERT_EQUAL(box.len, 32 + 5 + CMK_AEAD_OVERHEAD);
    UNIT_OK(cmk_box_open(priv, pub, context, cmk_buf_view(&box), &plain));
    CU_ASSERT(plain.len == 5 && memcmp(plain.data, "a key", 5) == 0);
    for (size_t i = 0; i < box.len; i++) {
        box.data[i] ^= 0x40;
        UNIT_RC(cmk_box_open(priv, pub, context, cmk_buf_view(&box), &plain), CMK_E_TAMPERED);
        CU_ASSERT_PTR_NULL(plain.data);
        box.data[i] ^= 0x40;
    }
    UNIT_RC(cmk_box_open(priv, pub, cmk_bytes_str("else"), cmk_buf_view(&box), &plain), CMK_E_TAMPERED);
    UNIT_RC(cmk_box_open(priv, pub, context, cmk_bytes_of(box.data, 59), &plain), CMK_E_TAMPERED);
    memset(box.data, 0, 32);
    UNIT_RC(cmk_box_open(priv, pub, context, cmk_buf_view(&box), &plain), CMK_E_TAMPERED);
    size_t before = box.len;
    UNIT_RC(cmk_box_seal(small_order, context, cmk_bytes_str("a key"), &box), CMK_E_TAMPERED);
    CU_ASSERT_EQUAL(box.len, before);
}

/* Errors of ours leave the application's OpenSSL queue alone. */
static void test_error_queue(void)
{
    uint8_t key[CMK_KEY_SIZE] = {0};
    uint8_t blob[64] = {0};
    CMK_SECRET_AUTO plain = CMK_SECRET_INIT;
    ERR_clear_error();
    UNIT_RC(cmk_aead_open(key, cmk_bytes_of(NULL, 0), cmk_bytes_of(blob, 64), &plain), CMK_E_TAMPERED);
    UNIT_RC(cmk_ed25519_verify(key, cmk_bytes_of(NULL, 0), blob), CMK_E_TAMPERED);
    CU_ASSERT_EQUAL(ERR_peek_error(), 0);
    ERR_raise(ERR_LIB_USER, 77);
    unsigned long mine = ERR_peek_last_error();
    static const uint8_t wrong[32] = {0};
    UNIT_RC(ossl_x25519(key, wrong, blob), CMK_E_TAMPERED);
    CU_ASSERT_EQUAL(ERR_peek_last_error(), mine);
    CU_ASSERT_EQUAL(ERR_get_error(), mine);
    CU_ASSERT_EQUAL(ERR_get_error(), 0);
}

static const unit_test tests[] = {
    {"random", test_random},
    {"hash", test_hash},
    {"hkdf", test_hkdf},
    {"aead", test_aead},
    {"scrypt-vectors", test_scrypt_vectors},
    {"scrypt", test_scrypt},
    {"ed25519", test_ed25519},
    {"x25519", test_x25519},
    {"box", test_box},
    {"error-queue", test_error_queue},
};
UNIT_MAIN("crypto", tests)
