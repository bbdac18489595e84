/* crypto/: AES-KWP, CBC and GCM; published vectors, every way to cut the data, in place and not, tampering. */
#include "crypto/crypto.h"
#include "tests/unit/unit.h"
#include "util/text.h"

#include <stdlib.h>

static cmk_bytes unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    UNIT_OK(cmk_unhex(hex, 2 * n, out, n));
    return cmk_bytes_of(out, n);
}

/* RFC 5649 §6 */
static void test_kwp_vectors(void)
{
    static const char *const rows[][2] = {
        {"c37b7e6492584340bed12207808941155068f738",
         "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
        {"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
    };
    uint8_t kek[24];
    cmk_bytes k = unhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", kek);
    for (size_t i = 0; i < 2; i++) {
        uint8_t a[64];
        uint8_t b[64];
        cmk_bytes plain = unhex(rows[i][0], a);
        cmk_bytes want = unhex(rows[i][1], b);
        CMK_BUF_AUTO out = CMK_BUF_INIT;
        CMK_SECRET_AUTO back = CMK_SECRET_INIT;
        UNIT_OK(cmk_aes_kwp_wrap(k, plain, &out));
        CU_ASSERT(cmk_bytes_equal(cmk_buf_view(&out), want));
        UNIT_OK(cmk_aes_kwp_unwrap(k, want, &back));
        CU_ASSERT(cmk_bytes_equal(cmk_secret_view(&back), plain));
    }
}

static void test_kwp(void)
{
    static uint8_t plain[65537];
    uint8_t kek[32];
    UNIT_OK(cmk_random(plain, sizeof(plain)));
    UNIT_OK(cmk_random(kek, sizeof(kek)));
    static const size_t sizes[] = {1, 7, 8, 9, 15, 16, 17, 32, 1217, 65536};
    for (size_t k = 16; k <= 32; k += 8)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            CMK_BUF_AUTO out = CMK_BUF_INIT;
            CMK_SECRET_AUTO back = CMK_SECRET_INIT;
            UNIT_OK(cmk_aes_kwp_wrap(cmk_bytes_of(kek, k), cmk_bytes_of(plain, sizes[i]), &out));
            UNIT_OK(cmk_aes_kwp_unwrap(cmk_bytes_of(kek, k), cmk_buf_view(&out), &back));
            CU_ASSERT(cmk_bytes_equal(cmk_secret_view(&back), cmk_bytes_of(plain, sizes[i])));
            out.data[out.len / 2] ^= 1;
            UNIT_RC(cmk_aes_kwp_unwrap(cmk_bytes_of(kek, k), cmk_buf_view(&out), &back), CMK_E_WRAPPED_KEY);
            CU_ASSERT_PTR_NULL(back.data);
        }
    CMK_BUF_AUTO out = CMK_BUF_INIT;
    CMK_SECRET_AUTO back = CMK_SECRET_INIT;
    UNIT_RC(cmk_aes_kwp_wrap(cmk_bytes_of(kek, 32), cmk_bytes_of(plain, 0), &out), CMK_E_DATA_LENGTH);
    UNIT_RC(cmk_aes_kwp_wrap(cmk_bytes_of(kek, 32), cmk_bytes_of(plain, 65537), &out), CMK_E_DATA_LENGTH);
    UNIT_RC(cmk_aes_kwp_wrap(cmk_bytes_of(kek, 31), cmk_bytes_of(plain, 8), &out), CMK_E_KEY_SIZE);
    CU_ASSERT_EQUAL(out.len, 0);
    for (size_t n = 0; n < 40; n++)
        UNIT_RC(cmk_aes_kwp_unwrap(cmk_bytes_of(kek, 32), cmk_bytes_of(plain, n), &back), CMK_E_WRAPPED_KEY);
}

/* One operation over data cut into steps of step bytes; in place when out starts as a copy of the data. Returns what
 * final said. */
static cmk_rc run(const cmk_cipher_params *p, cmk_bytes key, cmk_bytes in, size_t step, cmk_buf *out)
{
    cmk_cipher *c = NULL;
    size_t n = 0;
    uint8_t part[256];
    cmk_rc rc = cmk_cipher_new(p, key, &c);
    for (size_t at = 0; rc == CMK_OK && at < in.len; at += step) {
        size_t len = in.len - at < step ? in.len - at : step;
        size_t will = cmk_cipher_update_size(c, len);
        memset(part, 0x55, sizeof(part));
        memcpy(part, in.data + at, len); /* in place */
        rc = cmk_cipher_update(c, cmk_bytes_of(part, len), part, &n);
        CU_ASSERT_EQUAL(n, will);
        if (n > len)
            CU_ASSERT_EQUAL(part[n], 0x55);
        cmk_buf_add(out, part, n);
    }
    if (rc == CMK_OK) {
        size_t most = cmk_cipher_final_size(c);
        CU_ASSERT(most <= sizeof(part));
        rc = cmk_cipher_final(c, part, &n);
        CU_ASSERT(n <= most);
        cmk_buf_add(out, part, n);
    }
    cmk_cipher_free(c);
    return rc;
}

static void both_ways(cmk_cipher_params p, cmk_bytes key, cmk_bytes plain, cmk_bytes want)
{
    for (size_t step = 1; step <= plain.len + 1; step++) {
        CMK_BUF_AUTO there = CMK_BUF_INIT;
        CMK_BUF_AUTO back = CMK_BUF_INIT;
        p.encrypt = true;
        UNIT_OK(run(&p, key, plain, step, &there));
        if (want.data)
            CU_ASSERT(cmk_bytes_equal(cmk_buf_view(&there), want));
        p.encrypt = false;
        UNIT_OK(run(&p, key, cmk_buf_view(&there), step, &back));
        CU_ASSERT(cmk_bytes_equal(cmk_buf_view(&back), plain));
    }
}

/* The test cases of the GCM submission to NIST (McGrew, Viega): 1, 2, 4, 5, 16; ciphertext with the tag. */
static void test_gcm_vectors(void)
{
#define K1 "feffe9928665731c6d6a8f9467308308"
#define P4                                                                                                             \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657" \
    "ba637b39"
#define A4 "feedfacedeadbeeffeedfacedeadbeefabaddad2"
    static const struct {
        const char *key, *iv, *aad, *plain, *want;
    } rows[] = {
        {"00000000000000000000000000000000", "000000000000000000000000", "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
        {"00000000000000000000000000000000", "000000000000000000000000", "", "00000000000000000000000000000000",
         "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
        {K1, "cafebabefacedbaddecaf888", A4, P4,
         "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aa"
         "c973d5"
         "8e0915bc94fbc3221a5db94fae95ae7121a47"},
        {K1, "cafebabefacedbad", A4, P4,
         "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c742373806900e49f24b22b097544d4896b424989b5e1ebac0"
         "f07c23"
         "f45983612d2e79e3b0785561be14aaca2fccb"},
        {K1 K1, "cafebabefacedbaddecaf888", A4, P4,
         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7"
         "a0abcc"
         "9f66276fc6ece0f4e1768cddf8853bb2d551b"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t key[32];
        uint8_t iv[16];
        uint8_t aad[32];
        uint8_t plain[64];
        uint8_t want[96];
        cmk_cipher_params p = {
            .mode = CMK_AES_GCM, .iv = unhex(rows[i].iv, iv), .aad = unhex(rows[i].aad, aad), .tag_bits = 128};
        both_ways(p, unhex(rows[i].key, key), unhex(rows[i].plain, plain), unhex(rows[i].want, want));
    }
}

/* NIST SP 800-38A F.2.5 (CBC-AES256), first two blocks */
static void test_cbc(void)
{
    uint8_t key[32];
    uint8_t iv[16];
    uint8_t plain[80];
    uint8_t want[32];
    cmk_bytes k = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", key);
    cmk_cipher_params p = {.mode = CMK_AES_CBC, .iv = unhex("000102030405060708090a0b0c0d0e0f", iv)};
    cmk_bytes text = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51", plain);
    both_ways(p, k, text, unhex("f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d", want));
    UNIT_OK(cmk_random(plain, sizeof(plain)));
    both_ways(p, k, cmk_bytes_of(plain, 80), cmk_bytes_of(NULL, 0));
    p.mode = CMK_AES_CBC_PAD;
    for (size_t n = 0; n <= 80; n++)
        both_ways(p, cmk_bytes_of(key, 16 + n % 3 * 8), cmk_bytes_of(plain, n), cmk_bytes_of(NULL, 0));
}

static void test_cipher_refusals(void)
{
    static uint8_t zeros[256];
    cmk_bytes key = cmk_bytes_of(zeros, 16);
    cmk_cipher *c = NULL;
    CMK_BUF_AUTO out = CMK_BUF_INIT;
    cmk_cipher_params p = {.mode = CMK_AES_CBC, .encrypt = true, .iv = cmk_bytes_of(zeros, 16)};
    UNIT_RC(run(&p, key, cmk_bytes_of(zeros, 17), 5, &out), CMK_E_DATA_LENGTH);
    UNIT_RC(cmk_cipher_new(&p, cmk_bytes_of(zeros, 17), &c), CMK_E_KEY_SIZE);
    p.iv.len = 15;
    UNIT_RC(cmk_cipher_new(&p, key, &c), CMK_E_MECHANISM_PARAM);
    p = (cmk_cipher_params){.mode = CMK_AES_CBC_PAD, .iv = cmk_bytes_of(zeros, 16)};
    UNIT_RC(run(&p, key, cmk_bytes_of(zeros, 31), 31, &out), CMK_E_DATA_LENGTH);
    UNIT_RC(run(&p, key, cmk_bytes_of(zeros, 0), 1, &out), CMK_E_DATA_LENGTH);
    UNIT_RC(run(&p, key, cmk_bytes_of(zeros, 32), 32, &out), CMK_E_DECRYPT);
    p.mode = CMK_AES_CBC;
    UNIT_RC(run(&p, key, cmk_bytes_of(zeros, 31), 31, &out), CMK_E_DATA_LENGTH);
    p = (cmk_cipher_params){.mode = CMK_AES_GCM, .iv = cmk_bytes_of(zeros, 12), .tag_bits = 128};
    UNIT_RC(run(&p, key, cmk_bytes_of(zeros, 15), 15, &out), CMK_E_DATA_LENGTH);
    cmk_buf_reset(&out);
    UNIT_RC(run(&p, key, cmk_bytes_of(zeros, 100), 7, &out), CMK_E_DECRYPT);
    CU_ASSERT_EQUAL(out.len, 0);
    static const unsigned bad[] = {0, 8, 31, 40, 72, 88, 100, 136, 256};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        p.tag_bits = bad[i];
        UNIT_RC(cmk_cipher_new(&p, key, &c), CMK_E_MECHANISM_PARAM);
    }
    p.tag_bits = 128;
    p.iv.len = 0;
    UNIT_RC(cmk_cipher_new(&p, key, &c), CMK_E_MECHANISM_PARAM);
    p.iv.len = 129;
    UNIT_RC(cmk_cipher_new(&p, key, &c), CMK_E_MECHANISM_PARAM);
    p.mode = (cmk_cipher_mode)9;
    UNIT_RC(cmk_cipher_new(&p, key, &c), CMK_E_MECHANISM);
    CU_ASSERT_PTR_NULL(c);
    cmk_cipher_free(NULL);
}

/* What "unavailable" (-1) becomes when it is taken for a length. */
static void test_huge_lengths(void)
{
    static const cmk_cipher_mode modes[] = {CMK_AES_CBC, CMK_AES_CBC_PAD, CMK_AES_GCM};
    static uint8_t zeros[32];
    for (size_t i = 0; i < 2 * sizeof(modes) / sizeof(modes[0]); i++) {
        cmk_cipher *c = NULL;
        uint8_t out[48];
        size_t n = 0;
        cmk_cipher_params p = {.mode = modes[i / 2], .encrypt = i % 2 == 0, .tag_bits = 128};
        p.iv = cmk_bytes_of(zeros, p.mode == CMK_AES_GCM ? 12 : 16);
        CU_ASSERT_EQUAL_FATAL(cmk_cipher_new(&p, cmk_bytes_of(zeros, 16), &c), CMK_OK);
        UNIT_OK(cmk_cipher_update(c, cmk_bytes_of(zeros, 7), out, &n));
        CU_ASSERT(cmk_cipher_update_size(c, SIZE_MAX) == 0 || cmk_cipher_update_size(c, SIZE_MAX) > sizeof(out));
        UNIT_RC(cmk_cipher_update(c, cmk_bytes_of(zeros, SIZE_MAX), out, &n), CMK_E_DATA_LENGTH);
        UNIT_RC(cmk_cipher_update(c, cmk_bytes_of(zeros, SIZE_MAX - 6), out, &n), CMK_E_DATA_LENGTH);
        CU_ASSERT_EQUAL(n, 0);
        cmk_cipher_free(c);
    }
}

static void test_gcm_tags(void)
{
    static uint8_t data[128];
    static const unsigned bits[] = {32, 64, 96, 104, 112, 120, 128};
    UNIT_OK(cmk_random(data, sizeof(data)));
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        cmk_cipher_params p = {.mode = CMK_AES_GCM, .iv = cmk_bytes_of(data, 1 + 127 * (i & 1)), .tag_bits = bits[i]};
        both_ways(p, cmk_bytes_of(data, 32), cmk_bytes_of(data, 50), cmk_bytes_of(NULL, 0));
    }
}

/* More is refused, not truncated. */
static void test_gcm_limit(void)
{
    size_t n = CMK_BUF_MAX;
    size_t got = 0;
    uint8_t *data = calloc(1, n + 17);
    cmk_cipher *c = NULL;
    cmk_cipher_params p = {.mode = CMK_AES_GCM, .iv = cmk_bytes_of("123456789012", 12), .tag_bits = 128};
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    UNIT_OK(cmk_cipher_new(&p, cmk_bytes_of("0123456789abcdef", 16), &c));
    UNIT_RC(cmk_cipher_update(c, cmk_bytes_of(data, n + 17), data, &got), CMK_E_DATA_LENGTH);
    cmk_cipher_free(c);
    free(data);
}

static const unit_test tests[] = {
    {"kwp-vectors", test_kwp_vectors},  {"kwp", test_kwp},
    {"gcm-vectors", test_gcm_vectors},  {"cbc", test_cbc},
    {"refusals", test_cipher_refusals}, {"gcm-tags", test_gcm_tags},
    {"gcm-limit", test_gcm_limit},      {"huge-lengths", test_huge_lengths},
};
UNIT_MAIN("crypto-cipher", tests)
