/* Wrap and unwrap through the module against bare EVP_PKEY_encrypt and EVP_PKEY_decrypt with prepared contexts, same
 * key size and hash: slices of the three kinds raw, module, raw again take turns, so that the machine's moods hit all
 * alike. The ratio printed is the median over the rounds of module/raw; raw/raw shows the noise.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/lib/client.h"

enum { KIND_RAW, KIND_MODULE, KIND_RAW_AGAIN, KINDS };
#define THREADS_MAX 64

typedef struct worker {
    struct run *run;
    EVP_PKEY_CTX *raw; /* its own key object: the best that bare OpenSSL can do */
    CK_SESSION_HANDLE session;
    unsigned char cipher_raw[512], cipher_module[512];
    double done[KINDS]; /* operations a second in the present round */
} worker;

typedef struct run {
    CK_FUNCTION_LIST *p;
    CK_OBJECT_HANDLE pub, prv, dek;
    bool unwrap;
    unsigned bytes, threads, rounds;
    double slice;
    pthread_barrier_t barrier;
    worker workers[THREADS_MAX];
} run;

static void raw_once(worker *w)
{
    unsigned char out[512], plain[32] = {1};
    size_t n = sizeof out;
    int ok = w->run->unwrap ? EVP_PKEY_decrypt(w->raw, out, &n, w->cipher_raw, w->run->bytes)
                            : EVP_PKEY_encrypt(w->raw, out, &n, plain, sizeof plain);
    if (ok != 1)
        client_die("EVP_PKEY", 0);
}

static void module_once(worker *w)
{
    run *r = w->run;
    if (r->unwrap) {
        client_unwrap_once(r->p, w->session, r->prv, w->cipher_module, r->bytes);
        return;
    }
    unsigned char out[512];
    CK_ULONG n = sizeof out;
    MUST(r->p->C_WrapKey(w->session, client_oaep(), r->pub, r->dek, out, &n));
}

static void *work(void *arg)
{
    worker *w = arg;
    for (unsigned round = 0; round < w->run->rounds; round++) {
        for (int kind = 0; kind < KINDS; kind++) {
            pthread_barrier_wait(&w->run->barrier);
            double begin = client_seconds(), now = begin;
            unsigned n = 0;
            do {
                for (int k = 0; k < 4; k++, n++)
                    kind == KIND_MODULE ? module_once(w) : raw_once(w);
                now = client_seconds();
            } while (now - begin < w->run->slice);
            w->done[kind] = n / (now - begin);
        }
        pthread_barrier_wait(&w->run->barrier); /* the main thread reads the round */
        pthread_barrier_wait(&w->run->barrier);
    }
    return NULL;
}

static EVP_PKEY_CTX *raw_context(EVP_PKEY *key, bool decrypt)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (!c || (decrypt ? EVP_PKEY_decrypt_init(c) : EVP_PKEY_encrypt_init(c)) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()) != 1 || EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_sha256()) != 1)
        client_die("EVP_PKEY_CTX", 0);
    return c;
}

static void prepare(run *r, CK_SLOT_ID slot, EVP_PKEY *key)
{
    for (unsigned i = 0; i < r->threads; i++) {
        worker *w = &r->workers[i];
        EVP_PKEY *own = EVP_PKEY_dup(key);
        unsigned char plain[32] = {1};
        size_t n = sizeof w->cipher_raw;
        CK_ULONG m = sizeof w->cipher_module;
        EVP_PKEY_CTX *enc = raw_context(own, false);
        if (EVP_PKEY_encrypt(enc, w->cipher_raw, &n, plain, sizeof plain) != 1)
            client_die("EVP_PKEY_encrypt", 0);
        EVP_PKEY_CTX_free(enc);
        w->run = r;
        w->raw = raw_context(own, r->unwrap);
        EVP_PKEY_free(own);
        w->session = client_session(r->p, slot);
        MUST(r->p->C_WrapKey(w->session, client_oaep(), r->pub, r->dek, w->cipher_module, &m));
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static bench_ratio measure(run *r)
{
    pthread_t threads[THREADS_MAX];
    double *ratio = calloc(r->rounds, sizeof *ratio), *noise = calloc(r->rounds, sizeof *noise);
    bench_ratio result = {0};
    pthread_barrier_init(&r->barrier, NULL, r->threads + 1);
    for (unsigned i = 0; i < r->threads; i++)
        if (pthread_create(&threads[i], NULL, work, &r->workers[i]) != 0)
            client_die("pthread_create", 0);
    for (unsigned round = 0; round < r->rounds; round++) {
        double sum[KINDS] = {0};
        for (int kind = 0; kind < KINDS + 1; kind++)
            pthread_barrier_wait(&r->barrier);
        for (unsigned i = 0; i < r->threads; i++)
            for (int kind = 0; kind < KINDS; kind++)
                sum[kind] += r->workers[i].done[kind];
        ratio[round] = sum[KIND_MODULE] / ((sum[KIND_RAW] + sum[KIND_RAW_AGAIN]) / 2);
        noise[round] = sum[KIND_RAW_AGAIN] / sum[KIND_RAW];
        result.raw += (sum[KIND_RAW] + sum[KIND_RAW_AGAIN]) / 2 / r->rounds;
        result.module += sum[KIND_MODULE] / r->rounds;
        pthread_barrier_wait(&r->barrier);
    }
    for (unsigned i = 0; i < r->threads; i++) {
        pthread_join(threads[i], NULL);
        EVP_PKEY_CTX_free(r->workers[i].raw);
        MUST(r->p->C_CloseSession(r->workers[i].session));
    }
    pthread_barrier_destroy(&r->barrier);
    result.ratio = bench_median(ratio, r->rounds);
    result.noise = bench_median(noise, r->rounds);
    free(ratio);
    free(noise);
    return result;
}

bench_ratio bench_throughput(CK_FUNCTION_LIST *p, CK_SLOT_ID slot, CK_SESSION_HANDLE session, unsigned bits,
                             bool unwrap, unsigned threads, unsigned rounds, double slice)
{
    static run r;
    char label[32];
    memset(&r, 0, sizeof r);
    snprintf(label, sizeof label, "kek-%u", bits);
    EVP_PKEY *key = EVP_RSA_gen(bits);
    r = (run){.p = p, .unwrap = unwrap, .bytes = bits / 8, .threads = threads, .rounds = rounds, .slice = slice};
    r.pub = client_find(p, session, CKO_PUBLIC_KEY, label);
    r.prv = client_find(p, session, CKO_PRIVATE_KEY, label);
    r.dek = client_dek(p, session);
    prepare(&r, slot, key);
    bench_ratio result = measure(&r);
    MUST(p->C_DestroyObject(session, r.dek));
    EVP_PKEY_free(key);
    return result;
}
