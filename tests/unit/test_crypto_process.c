/* crypto/ and the process around it: OPENSSL_CONF, fork, exit handlers. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "crypto/crypto.h"
#include "tests/unit/unit.h"

#include <malloc.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const cmk_oaep oaep = {CMK_SHA256, CMK_SHA256, {NULL, 0}};
static cmk_rsa_private *priv;
static cmk_rsa_public *pub;

static bool keys_make(void)
{
    static const uint8_t f4[] = {1, 0, 1};
    CMK_BUF_AUTO n = CMK_BUF_INIT;
    CMK_BUF_AUTO e = CMK_BUF_INIT;
    return cmk_rsa_generate(2048, cmk_bytes_of(f4, 3), &priv) == CMK_OK &&
           cmk_rsa_private_public(priv, &n, &e) == CMK_OK &&
           cmk_rsa_public_new(cmk_buf_view(&n), cmk_buf_view(&e), &pub) == CMK_OK;
}

static void keys_free(void)
{
    cmk_rsa_private_free(priv);
    cmk_rsa_public_free(pub);
    priv = NULL;
    pub = NULL;
}

static bool round_trip(void)
{
    uint8_t wrapped[256];
    CMK_SECRET_AUTO back = CMK_SECRET_INIT;
    return cmk_rsa_oaep_encrypt(pub, &oaep, cmk_bytes_str("a key"), wrapped) == CMK_OK &&
           cmk_rsa_oaep_decrypt(priv, &oaep, cmk_bytes_of(wrapped, 256), &back) == CMK_OK && back.len == 5 &&
           memcmp(back.data, "a key", 5) == 0;
}

static bool everything(void)
{
    uint8_t key[32];
    uint8_t pubkey[32];
    uint8_t sig[CMK_SIGNATURE_SIZE];
    cmk_scrypt_params kdf;
    CMK_BUF_AUTO out = CMK_BUF_INIT;
    CMK_BUF_AUTO cert = CMK_BUF_INIT;
    CMK_SECRET_AUTO back = CMK_SECRET_INIT;
    return cmk_ed25519_generate(key, pubkey) == CMK_OK && cmk_ed25519_sign(key, cmk_bytes_str("m"), sig) == CMK_OK &&
           cmk_ed25519_verify(pubkey, cmk_bytes_str("m"), sig) == CMK_OK &&
           cmk_x25519_generate(key, pubkey) == CMK_OK &&
           cmk_box_seal(pubkey, cmk_bytes_str("c"), cmk_bytes_str("p"), &out) == CMK_OK &&
           cmk_box_open(key, pubkey, cmk_bytes_str("c"), cmk_buf_view(&out), &back) == CMK_OK &&
           cmk_scrypt_default(&kdf) == CMK_OK && cmk_scrypt(&kdf, cmk_bytes_str("1234"), key) == CMK_OK &&
           cmk_random_add("x", 1) == CMK_OK && round_trip() && cmk_rsa_public_info(pub, &out) == CMK_OK &&
           cmk_rsa_self_certificate(priv, cmk_bytes_str("k"), 0, &cert) == CMK_OK &&
           cmk_rsa_private_export(priv, &back) == CMK_OK;
}

/* Runs first, before anything has initialised libcrypto. libcrypto itself reads the file into the application's default
 * context when an EVP_PKEY_CTX is made anywhere in the process (it looks for engines); what the file says must not
 * reach ours. This one leaves the default context without any usable algorithm. */
static void test_configuration(void)
{
    char path[] = "/tmp/cmk11-openssl-XXXXXX";
    static const char text[] = "openssl_conf = init\n[init]\nalg_section = alg\n[alg]\ndefault_properties = fips=yes\n";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT(write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
    close(fd);
    setenv("OPENSSL_CONF", path, 1);
    UNIT_OK(cmk_crypto_init());
    CU_ASSERT(keys_make() && everything());
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
    CU_ASSERT_PTR_NULL(md);
    EVP_MD_free(md);
    CU_ASSERT(everything());
    unlink(path);
    keys_free();
}

static int child_status(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The sanitizers' own allocators can't be used in a child of a process with several threads. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUSY 0
#else
#define BUSY 3
#endif
static atomic_bool stop;
static void *busy(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        (void)round_trip();
    return NULL;
}

/* Children use and free the keys while the parent's other threads are in the middle of operations with them. */
static void test_fork(void)
{
    pthread_t t[BUSY + 1];
    const size_t threads = BUSY;
    CU_ASSERT_FATAL(keys_make());
    CU_ASSERT(round_trip());
    for (size_t i = 0; i < threads; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, busy, NULL), 0);
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(60);
            bool ok = round_trip() && everything();
            keys_free();
            _exit(ok ? 0 : 1);
        }
        CU_ASSERT_EQUAL(child_status(pid), 0);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    keys_free();
}

/* Random numbers of parent and child differ. */
static void test_fork_random(void)
{
    uint8_t mine[16];
    uint8_t theirs[16] = {0};
    int p[2];
    CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
    UNIT_OK(cmk_random(mine, sizeof(mine)));
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = cmk_random(mine, sizeof(mine)) == CMK_OK && write(p[1], mine, sizeof(mine)) == (ssize_t)sizeof(mine);
        _exit(ok ? 0 : 1);
    }
    UNIT_OK(cmk_random(mine, sizeof(mine)));
    CU_ASSERT(read(p[0], theirs, sizeof(theirs)) == (ssize_t)sizeof(theirs));
    CU_ASSERT(memcmp(mine, theirs, sizeof(mine)) != 0);
    CU_ASSERT_EQUAL(child_status(pid), 0);
    close(p[0]);
    close(p[1]);
}

static int exit_pipe;
static void at_openssl_exit(void)
{
    bool ok = round_trip();
    keys_free();
    ok = write(exit_pipe, ok ? "y" : "n", 1) == 1 && ok;
}

static void at_exit(void)
{
    keys_free();
    (void)!write(exit_pipe, "z", 1);
}

/* What an application's provider or engine does: it calls us while libcrypto is being taken down, and after. */
static void test_exit(void)
{
    char answer[4] = {0};
    int p[2];
    for (int late = 0; late < 2; late++) {
        CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(60);
            exit_pipe = p[1];
            bool ok = keys_make() && round_trip();
            if (late) {
                /* libcrypto has been cleaned up by then */
                OPENSSL_cleanup();
                at_exit();
                _exit(ok ? 0 : 1);
            }
            ok = OPENSSL_atexit(at_openssl_exit) == 1 && ok;
            OPENSSL_cleanup(); /* what exit() calls, without CUnit's and the sanitizers' own handlers */
            _exit(ok ? 0 : 1);
        }
        close(p[1]);
        CU_ASSERT_EQUAL(child_status(pid), 0);
        CU_ASSERT(read(p[0], answer, sizeof(answer)) == 1);
        CU_ASSERT_EQUAL(answer[0], late ? 'z' : 'y');
        close(p[0]);
    }
}

/* libcrypto's memory goes through these, so that what it frees can be looked at. */
static uint8_t prime[2][128]; /* big- and little-endian */
static atomic_bool watching;
static atomic_int unwiped;

static void look(void *p)
{
    size_t n = p && atomic_load(&watching) ? malloc_usable_size(p) : 0;
    for (size_t i = 0; n > 0 && i < 2; i++)
        if (memmem(p, n, prime[i], sizeof(prime[i])))
            atomic_fetch_add(&unwiped, 1);
}

static void *watched_malloc(size_t n, const char *where, int line)
{
    (void)where;
    (void)line;
    void *p = malloc(n);
    if (p)
        memset(p, 0, malloc_usable_size(p)); /* what a block held before, it did not get from its new owner */
    return p;
}

static void watched_free(void *p, const char *where, int line)
{
    (void)where;
    (void)line;
    look(p);
    free(p);
}

static void *watched_realloc(void *p, size_t n, const char *where, int line)
{
    void *moved = n > 0 ? watched_malloc(n, where, line) : NULL;
    size_t old = p ? malloc_usable_size(p) : 0;
    if (moved && p)
        memcpy(moved, p, old < n ? old : n);
    if (moved || n == 0)
        watched_free(p, where, line);
    return moved;
}

/* A key's prime is in no memory that was given back, whatever was done with the key. */
static void test_wiped(void)
{
    CMK_SECRET_AUTO der = CMK_SECRET_INIT;
    cmk_rsa_private *loaded = NULL;
    BIGNUM *p = NULL;
    CU_ASSERT_FATAL(keys_make());
    UNIT_OK(cmk_rsa_private_export(priv, &der));
    const unsigned char *at = der.data;
    EVP_PKEY *plain = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
    CU_ASSERT_EQUAL_FATAL(EVP_PKEY_get_bn_param(plain, OSSL_PKEY_PARAM_RSA_FACTOR1, &p), 1);
    CU_ASSERT(BN_bn2binpad(p, prime[0], 128) == 128 && BN_bn2lebinpad(p, prime[1], 128) == 128);
    atomic_store(&watching, true);
    UNIT_OK(cmk_rsa_private_export(priv, &der));
    CU_ASSERT_EQUAL(atomic_load(&unwiped), 0);
    UNIT_OK(cmk_rsa_private_load(cmk_secret_view(&der), &loaded));
    CU_ASSERT_EQUAL(atomic_load(&unwiped), 0);
    der.data[der.len / 2] ^= 1;
    cmk_rsa_private *none = NULL;
    UNIT_RC(cmk_rsa_private_load(cmk_secret_view(&der), &none), CMK_E_FORMAT);
    CU_ASSERT(round_trip());
    cmk_rsa_private_free(loaded);
    keys_free();
    CU_ASSERT_EQUAL(atomic_load(&unwiped), 0);
    /* that the test would notice */
    EVP_PKEY_free(plain);
    uint8_t *copy = OPENSSL_malloc(128);
    memcpy(copy, prime[0], 128);
    OPENSSL_free(copy);
    CU_ASSERT_EQUAL(atomic_load(&unwiped), 1);
    atomic_store(&watching, false);
    BN_clear_free(p);
}

static const unit_test tests[] = {
    {"configuration", test_configuration},
    {"fork", test_fork},
    {"fork-random", test_fork_random},
    {"exit", test_exit},
    {"wiped", test_wiped},
};

int main(int argc, char **argv)
{
    /* before libcrypto allocates anything, else it refuses */
    if (CRYPTO_set_mem_functions(watched_malloc, watched_realloc, watched_free) != 1)
        return 99;
    return unit_main("crypto-process", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
