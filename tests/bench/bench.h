/* What the parts of the bench share. */
#ifndef CMK_BENCH_H
#define CMK_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "pkcs11/cryptoki.h"

typedef struct bench_ratio {
    double raw, module; /* operations a second, all threads together */
    double ratio;       /* median over the rounds of module / raw */
    double noise;       /* median of raw / raw */
} bench_ratio;

/* One configuration: bits of the KEK, unwrap or wrap, so many threads, rounds of three slices of so many seconds. KEKs
 * "kek-2048" … must exist. */
bench_ratio bench_throughput(CK_FUNCTION_LIST *p, CK_SLOT_ID slot, CK_SESSION_HANDLE session, unsigned bits,
                             bool unwrap, unsigned threads, unsigned rounds, double slice);

/* Sorts v and gives its median. */
double bench_median(double *v, size_t n);

/* Fills the vault "bench" in the store directory with n KEKs named k000000 … from a few RSA key pairs, in large
 * transactions; the vault is made too. */
void bench_fill(const char *directory, unsigned n);

typedef struct bench_scale {
    unsigned keys;
    double first_us, again_us;       /* search by label: first time in a process, and seen before */
    double first_id_us, again_id_us; /* by CKA_ID */
    double login_ms, scrypt_ms;      /* C_Login, and bare scrypt with the same cost */
    double cold_ms;                  /* a new process, from exec to the first unwrapped key, less scrypt_ms */
    double memory_kib;               /* resident after the first unwrap */
} bench_scale;

/* Measures search and cold start in processes of their own on a store that bench_fill() made. self is this program's
 * path. */
bench_scale bench_measure_scale(const char *self, const char *directory, unsigned keys);
/* What such a process does: prints its figures for the parent. */
int bench_scale_child(const char *what);

#endif
