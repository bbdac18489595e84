/* 64 threads, each with its own session, for a while (CMK11_STRESS_SECONDS, default 60): wrap, unwrap, search, read
 * attributes, generate, encrypt, open and close sessions, while the main thread rotates. Prints PASS or FAIL; data
 * races are ThreadSanitizer's to find.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/client.h"

#define THREADS 64

static CK_FUNCTION_LIST *p;
static CK_SLOT_ID slot;
static atomic_bool stop;
static atomic_ulong operations, mismatches;

static void expect(int good)
{
    if (!good)
        atomic_fetch_add(&mismatches, 1);
    atomic_fetch_add(&operations, 1);
}

/* A DEK goes out under the KEK and comes back the same: compared by what it encrypts. */
static void round_trip(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE pub, CK_OBJECT_HANDLE prv)
{
    CK_OBJECT_HANDLE dek = client_dek(p, s), back;
    CK_BYTE wrapped[512], iv[16] = {7}, in[40] = {1, 2, 3}, a[48], b[48];
    CK_ULONG n = sizeof wrapped, la = sizeof a, lb = sizeof b;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}};
    CK_MECHANISM cbc = {CKM_AES_CBC_PAD, iv, sizeof iv};
    MUST(p->C_WrapKey(s, client_oaep(), pub, dek, wrapped, &n));
    MUST(p->C_UnwrapKey(s, client_oaep(), prv, wrapped, n, t, 2, &back));
    MUST(p->C_EncryptInit(s, &cbc, dek));
    MUST(p->C_Encrypt(s, in, sizeof in, a, &la));
    MUST(p->C_EncryptInit(s, &cbc, back));
    MUST(p->C_Encrypt(s, in, sizeof in, b, &lb));
    expect(la == lb && memcmp(a, b, la) == 0);
    wrapped[n / 2] ^= 1;
    CK_RV rv = p->C_UnwrapKey(s, client_oaep(), prv, wrapped, n, t, 2, &back);
    expect(rv == CKR_WRAPPED_KEY_INVALID);
    MUST(p->C_DestroyObject(s, dek));
}

static void look_around(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE prv)
{
    CK_BYTE modulus[512], random[32];
    CK_ATTRIBUTE t[] = {{CKA_MODULUS, modulus, sizeof modulus}};
    CK_SESSION_INFO info;
    CK_TOKEN_INFO token;
    MUST(p->C_GetAttributeValue(s, prv, t, 1));
    MUST(p->C_GetSessionInfo(s, &info));
    MUST(p->C_GetTokenInfo(slot, &token));
    MUST(p->C_GenerateRandom(s, random, sizeof random));
    expect(info.state == CKS_RW_USER_FUNCTIONS && t[0].ulValueLen >= 256);
}

static void *work(void *arg)
{
    unsigned n = 0;
    (void)arg;
    while (!atomic_load(&stop)) {
        CK_SESSION_HANDLE s = client_session(p, slot);
        CK_OBJECT_HANDLE pub = client_find(p, s, CKO_PUBLIC_KEY, "kek"),
                         prv = client_find(p, s, CKO_PRIVATE_KEY, "kek");
        for (int i = 0; i < 4 && !atomic_load(&stop); i++, n++)
            n % 2 ? round_trip(s, pub, prv) : look_around(s, prv);
        MUST(p->C_CloseSession(s));
    }
    return NULL;
}

int main(void)
{
    const char *text = getenv("CMK11_STRESS_SECONDS");
    double seconds = text ? strtod(text, NULL) : 60;
    char dir[] = "/tmp/cmk11-stress.XXXXXX", store[64], command[80];
    pthread_t threads[THREADS];
    if (!mkdtemp(dir))
        return 1;
    snprintf(store, sizeof store, "sqlite:%s/store", dir);
    setenv("CMK11_STORE", store, 1);
    p = client_load();
    slot = client_init_vault(p, "stress");
    CK_SESSION_HANDLE s = client_login(p, slot);
    client_make_kek(p, s, "kek", 2048);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            client_die("pthread_create", 0);
    double begin = client_seconds();
    for (int i = 0; client_seconds() - begin < seconds; i++) {
        char name[32];
        snprintf(name, sizeof name, "other-%d", i);
        client_make_kek(p, s, i % 4 == 3 ? "kek" : name, 2048); /* every fourth rotates the key in use */
        struct timespec pause = {1, 0};
        nanosleep(&pause, NULL);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    MUST(p->C_Finalize(NULL));
    unsigned long bad = atomic_load(&mismatches);
    printf("%s stress/threads: %lu checks by %d threads in %.0f s, %lu wrong\n", bad ? "FAIL" : "PASS",
           atomic_load(&operations), THREADS, seconds, bad);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0 || bad > 0;
}
