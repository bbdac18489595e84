/* The only place that knows OpenSSL. Everything runs in an OSSL_LIB_CTX of our own with the default provider loaded by
 * name, so neither OPENSSL_CONF nor the application's own use of OpenSSL reaches in here. The context is made once a
 * process, at first use, and kept until the process ends: an exit handler of OpenSSL's may still call us. All functions
 * are thread-safe; objects are safe to use from several threads where their comment says so.
 *
 * Errors: CMK_E_CRYPTO with OpenSSL's reason as detail unless said otherwise. OpenSSL's error queue is left as it was
 * found.
 */
#ifndef CMK_CRYPTO_CRYPTO_H
#define CMK_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/error.h"
#include "util/secret.h"

/* Makes the library context if it is not there yet. Every other function does so itself; this reports failure early. */
CMK_MUST_USE cmk_rc cmk_crypto_init(void);

/* ---- random, hashes, constant time (crypto/basic.c) ---- */

/* n random bytes from the private DRBG; public ones (nonces, ids) may come from here too. */
CMK_MUST_USE cmk_rc cmk_random(void *out, size_t n);
/* Mixes n bytes into the DRBG as additional input; never lowers its entropy. n is bounded to 1 MiB a call by splitting.
 */
CMK_MUST_USE cmk_rc cmk_random_add(const void *seed, size_t n);
/* A fresh random id. */
CMK_MUST_USE cmk_rc cmk_id_new(cmk_id *out);
/* True if both have n equal bytes; time depends on n only. */
bool cmk_equal_ct(const void *a, const void *b, size_t n);

#define CMK_SHA256_SIZE 32
/* SHA-256 (FIPS 180-4) over the concatenation of n parts. */
CMK_MUST_USE cmk_rc cmk_sha256(const cmk_bytes *parts, size_t n, uint8_t out[CMK_SHA256_SIZE]);
/* HMAC-SHA-256 (FIPS 198-1) over the concatenation of n parts. */
CMK_MUST_USE cmk_rc cmk_hmac_sha256(cmk_bytes key, const cmk_bytes *parts, size_t n, uint8_t out[CMK_SHA256_SIZE]);
/* HKDF-SHA-256 (RFC 5869): extract with salt (may be empty), expand with info to len bytes (1 … 8,160). */
CMK_MUST_USE cmk_rc cmk_hkdf_sha256(cmk_bytes secret, cmk_bytes salt, cmk_bytes info, uint8_t *out, size_t len);

/* ---- hash functions that OAEP names ---- */
typedef enum cmk_hash {
    CMK_HASH_NONE,
    CMK_SHA1,
    CMK_SHA224,
    CMK_SHA256,
    CMK_SHA384,
    CMK_SHA512,
    CMK_HASH_COUNT
} cmk_hash;
/* Output size in bytes, 0 for NONE. */
size_t cmk_hash_size(cmk_hash h);

/* ---- authenticated encryption of records (crypto/aead.c): AES-256-GCM, NIST SP 800-38D ---- */
#define CMK_KEY_SIZE 32
#define CMK_AEAD_OVERHEAD (12 + 16)
/* Appends nonce (12, random) ‖ ciphertext ‖ tag (16) to out. key is CMK_KEY_SIZE bytes. */
CMK_MUST_USE cmk_rc cmk_aead_seal(const uint8_t key[CMK_KEY_SIZE], cmk_bytes aad, cmk_bytes plain, cmk_buf *out);
/* Opens what cmk_aead_seal() made into plain (owned by the caller). CMK_E_TAMPERED when it does not authenticate or is
 * too short; plain is then empty. */
CMK_MUST_USE cmk_rc cmk_aead_open(const uint8_t key[CMK_KEY_SIZE], cmk_bytes aad, cmk_bytes blob, cmk_secret *plain);

/* ---- password hashing (crypto/kdf.c): scrypt, RFC 7914 ---- */
typedef struct cmk_scrypt_params {
    uint8_t log2n;
    uint32_t r;
    uint32_t p;
    uint8_t salt[32];
} cmk_scrypt_params;
/* The cost that this build uses for new credentials (N = 2^16, r = 8, p = 1: 64 MiB; less where configured
 * --enable-weak-kdf-for-tests), with a fresh random salt. */
CMK_MUST_USE cmk_rc cmk_scrypt_default(cmk_scrypt_params *out);
/* Within the bounds (r = 8, 1 ≤ p ≤ 16, 16 ≤ log2n ≤ 20, from 4 in a weak build; 128·N·r·p ≤ 1 GiB)? CMK_E_TAMPERED
 * with a detail if not; does no work. */
CMK_MUST_USE cmk_rc cmk_scrypt_check(const cmk_scrypt_params *params);
/* Checks the bounds, then derives CMK_KEY_SIZE bytes from the PIN into out (secret memory of that size). Takes about
 * 200 ms and 64 MiB. */
CMK_MUST_USE cmk_rc cmk_scrypt(const cmk_scrypt_params *params, cmk_bytes pin, uint8_t out[CMK_KEY_SIZE]);

/* ---- signatures and sealing (crypto/curve.c): Ed25519 (RFC 8032), X25519 (RFC 7748) ---- */
#define CMK_CURVE_KEY_SIZE 32
#define CMK_SIGNATURE_SIZE 64
/* A fresh pair: priv in secret memory of 32 bytes, pub 32 bytes. */
CMK_MUST_USE cmk_rc cmk_ed25519_generate(uint8_t priv[CMK_CURVE_KEY_SIZE], uint8_t pub[CMK_CURVE_KEY_SIZE]);
/* Is pub the public half of priv? CMK_E_TAMPERED if not. */
CMK_MUST_USE cmk_rc cmk_ed25519_check_pair(const uint8_t priv[CMK_CURVE_KEY_SIZE],
                                           const uint8_t pub[CMK_CURVE_KEY_SIZE]);
CMK_MUST_USE cmk_rc cmk_ed25519_sign(const uint8_t priv[CMK_CURVE_KEY_SIZE], cmk_bytes message,
                                     uint8_t sig[CMK_SIGNATURE_SIZE]);
/* CMK_E_TAMPERED when the signature does not verify. */
CMK_MUST_USE cmk_rc cmk_ed25519_verify(const uint8_t pub[CMK_CURVE_KEY_SIZE], cmk_bytes message,
                                       const uint8_t sig[CMK_SIGNATURE_SIZE]);
CMK_MUST_USE cmk_rc cmk_x25519_generate(uint8_t priv[CMK_CURVE_KEY_SIZE], uint8_t pub[CMK_CURVE_KEY_SIZE]);
/* As cmk_ed25519_check_pair(), for X25519. */
CMK_MUST_USE cmk_rc cmk_x25519_check_pair(const uint8_t priv[CMK_CURVE_KEY_SIZE],
                                          const uint8_t pub[CMK_CURVE_KEY_SIZE]);
/* Seals plain to recipient: appends ephemeral public key (32) ‖ AEAD blob to out. The AEAD key is HKDF-SHA-256(shared
 * secret, info = context ‖ ephemeral public ‖ recipient public); the AEAD's associated data is context. An all-zero
 * shared secret is refused. */
CMK_MUST_USE cmk_rc cmk_box_seal(const uint8_t recipient[CMK_CURVE_KEY_SIZE], cmk_bytes context, cmk_bytes plain,
                                 cmk_buf *out);
/* Opens with the recipient's pair. CMK_E_TAMPERED. */
CMK_MUST_USE cmk_rc cmk_box_open(const uint8_t priv[CMK_CURVE_KEY_SIZE], const uint8_t pub[CMK_CURVE_KEY_SIZE],
                                 cmk_bytes context, cmk_bytes sealed, cmk_secret *plain);

/* ---- RSA (crypto/rsa.c): key-encryption keys, PKCS #1 v2.2 = RFC 8017 ---- */
typedef struct cmk_rsa_public cmk_rsa_public; /* prepared public key; immutable, safe in several threads */
typedef struct cmk_rsa_private
    cmk_rsa_private; /* prepared private key with blinding; safe in several threads at once */

/* Generates a pair of bits (2048, 3072 or 4096; CMK_E_KEY_SIZE) with public exponent e (big-endian, odd, ≥ 65537, at
 * most 8 bytes; CMK_E_ARGUMENT); *out is freed with cmk_rsa_private_free(). Takes up to seconds. Holds no lock. */
CMK_MUST_USE cmk_rc cmk_rsa_generate(unsigned bits, cmk_bytes e, cmk_rsa_private **out);
/* PKCS #8 DER (RFC 5208) of the private key, into secret memory. */
CMK_MUST_USE cmk_rc cmk_rsa_private_export(const cmk_rsa_private *key, cmk_secret *der);
/* Loads and checks PKCS #8 DER (CRT parameters present, key consistent as far as is cheap). CMK_E_FORMAT. */
CMK_MUST_USE cmk_rc cmk_rsa_private_load(cmk_bytes der, cmk_rsa_private **out);
/* Modulus (big-endian, no leading zeros) and exponent, appended to n and e. */
CMK_MUST_USE cmk_rc cmk_rsa_private_public(const cmk_rsa_private *key, cmk_buf *n, cmk_buf *e);
/* Wipes and frees. NULL is fine. */
void cmk_rsa_private_free(cmk_rsa_private *key);
/* Prepares a public key of 1024 … 16384 bits. CMK_E_FORMAT when n or e are no RSA key. */
CMK_MUST_USE cmk_rc cmk_rsa_public_new(cmk_bytes n, cmk_bytes e, cmk_rsa_public **out);
void cmk_rsa_public_free(cmk_rsa_public *key);
/* Size of the modulus in bytes. */
size_t cmk_rsa_public_size(const cmk_rsa_public *key);
size_t cmk_rsa_private_size(const cmk_rsa_private *key);
/* DER SubjectPublicKeyInfo (RFC 5280) appended to out. */
CMK_MUST_USE cmk_rc cmk_rsa_public_info(const cmk_rsa_public *key, cmk_buf *out);

typedef struct cmk_oaep {
    cmk_hash hash; /* never NONE */
    cmk_hash mgf;  /* MGF1's hash; never NONE */
    cmk_bytes label;
} cmk_oaep;
/* The longest plaintext for a modulus of size bytes (RFC 8017 §7.1.1: size - 2·hash - 2), or 0 when the key is too
 * small. */
size_t cmk_oaep_max(size_t size, cmk_hash hash);
/* out holds cmk_rsa_public_size() bytes, all of which are written. CMK_E_DATA_LENGTH when plain is too long. Keeps
 * ready-made contexts, so repeated calls with the same parameters and no label cost little more than the bare
 * operation. */
CMK_MUST_USE cmk_rc cmk_rsa_oaep_encrypt(cmk_rsa_public *key, const cmk_oaep *params, cmk_bytes plain, uint8_t *out);
/* plain becomes the message (may be empty, then data NULL). A ciphertext of another length than the modulus is
 * CMK_E_WRAPPED_KEY_LENGTH, before the private operation; every failure after it is CMK_E_WRAPPED_KEY and no detail.
 * Constant time in libcrypto. Keeps ready-made contexts. */
CMK_MUST_USE cmk_rc cmk_rsa_oaep_decrypt(cmk_rsa_private *key, const cmk_oaep *params, cmk_bytes cipher,
                                         cmk_secret *plain);

/* A self-signed X.509 v3 certificate (RFC 5280), DER appended to out: subject = issuer = CN common_name (UTF-8,
 * truncated to 64 characters), serial a random positive 16-byte integer, validity from not_before (seconds) to the end
 * of 9999, key usage keyEncipherment (critical), basicConstraints CA false (critical), subject key identifier;
 * sha256WithRSAEncryption. The one signature that a KEK ever makes. */
CMK_MUST_USE cmk_rc cmk_rsa_self_certificate(cmk_rsa_private *key, cmk_bytes common_name, int64_t not_before,
                                             cmk_buf *out);

/* ---- AES key wrap (crypto/keywrap.c) ---- */
/* AES-KWP, RFC 5649 / NIST SP 800-38F: kek of 16, 24 or 32 bytes; plain of 1 … 65,536 bytes; appends ciphertext to out.
 */
CMK_MUST_USE cmk_rc cmk_aes_kwp_wrap(cmk_bytes kek, cmk_bytes plain, cmk_buf *out);
/* CMK_E_WRAPPED_KEY when it does not verify. */
CMK_MUST_USE cmk_rc cmk_aes_kwp_unwrap(cmk_bytes kek, cmk_bytes wrapped, cmk_secret *plain);
/* CKM_RSA_AES_KEY_WRAP (PKCS#11 3.0 §2.1.21): a temporary AES key of aes_bits (128, 192, 256) under OAEP, then plain
 * under AES-KWP with it; concatenated. The temporary key is wiped. */
CMK_MUST_USE cmk_rc cmk_rsa_aes_wrap(cmk_rsa_public *key, const cmk_oaep *params, unsigned aes_bits, cmk_bytes plain,
                                     cmk_buf *out);
/* Errors as cmk_rsa_oaep_decrypt(); the temporary key's size must be aes_bits. */
CMK_MUST_USE cmk_rc cmk_rsa_aes_unwrap(cmk_rsa_private *key, const cmk_oaep *params, unsigned aes_bits,
                                       cmk_bytes wrapped, cmk_secret *plain);

/* ---- AES on data (crypto/cipher.c) ---- */
typedef enum cmk_cipher_mode { CMK_AES_CBC, CMK_AES_CBC_PAD, CMK_AES_GCM } cmk_cipher_mode;
typedef struct cmk_cipher cmk_cipher; /* one operation under way; one thread at a time */
typedef struct cmk_cipher_params {
    cmk_cipher_mode mode;
    bool encrypt;
    cmk_bytes iv;      /* CBC: 16 bytes; GCM: 1 … 128 bytes, as many as libcrypto takes */
    cmk_bytes aad;     /* GCM */
    unsigned tag_bits; /* GCM: 32, 64 or 96 … 128 in steps of 8 */
} cmk_cipher_params;
/* Starts an operation; key is 16, 24 or 32 bytes. CMK_E_MECHANISM_PARAM for parameters out of range, CMK_E_KEY_SIZE.
 * The parameters are copied. */
CMK_MUST_USE cmk_rc cmk_cipher_new(const cmk_cipher_params *params, cmk_bytes key, cmk_cipher **out);
/* How many bytes cmk_cipher_update() will write at most for in_len more bytes (exact for all modes but CBC_PAD
 * decryption); GCM decryption writes nothing before the end. */
size_t cmk_cipher_update_size(const cmk_cipher *c, size_t in_len);
/* How many bytes cmk_cipher_final() will write at most. */
size_t cmk_cipher_final_size(const cmk_cipher *c);
/* Processes in; out holds at least cmk_cipher_update_size() bytes, *out_len says how many were written. in and out may
 * be the same memory or not overlap. GCM decryption keeps the data (at most 64 MiB; CMK_E_DATA_LENGTH) and releases
 * nothing before the tag is verified. */
CMK_MUST_USE cmk_rc cmk_cipher_update(cmk_cipher *c, cmk_bytes in, uint8_t *out, size_t *out_len);
/* Finishes. Encryption: CMK_E_DATA_LENGTH when CBC without padding was not given whole blocks. Decryption:
 * CMK_E_DECRYPT when tag or padding are wrong, CMK_E_DATA_LENGTH for a length that no encryption gives. */
CMK_MUST_USE cmk_rc cmk_cipher_final(cmk_cipher *c, uint8_t *out, size_t *out_len);
/* Wipes and frees. NULL is fine. */
void cmk_cipher_free(cmk_cipher *c);

#endif
