/* Search and cold start in processes of their own, so that no cache of the parent's helps. */
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/lib/client.h"

#define SAMPLES 200

static double search_us(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n)
{
    CK_OBJECT_HANDLE found[4];
    CK_ULONG count = 0;
    double begin = client_seconds();
    MUST(p->C_FindObjectsInit(s, t, n));
    MUST(p->C_FindObjects(s, found, 4, &count));
    MUST(p->C_FindObjectsFinal(s));
    double end = client_seconds();
    if (count != 1)
        client_die("search: not exactly one object", count);
    return (end - begin) * 1e6;
}

static double scrypt_ms(void)
{
    unsigned char out[32];
    double begin = client_seconds();
    if (EVP_PBE_scrypt("0123456789", 10, (const unsigned char *)"salt salt salt s", 16, 1 << 16, 8, 1, 128ull << 20,
                       out, sizeof out) != 1)
        client_die("EVP_PBE_scrypt", 0);
    return (client_seconds() - begin) * 1e3;
}

/* Names spread over all keys, the same in every run. */
static CK_ULONG key_name(char out[16], unsigned i, unsigned keys)
{
    return (CK_ULONG)snprintf(out, 16, "k%06u", (unsigned)((i * 7919ull + 13) % keys));
}

static void search_child(unsigned keys)
{
    CK_FUNCTION_LIST *p = client_load();
    CK_SESSION_HANDLE s = client_login(p, client_slot(p, "bench"));
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    double v[4][SAMPLES];
    unsigned samples = keys < SAMPLES ? keys : SAMPLES;
    unsigned char ids[SAMPLES][64];
    CK_ULONG id_len[SAMPLES];
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < samples; i++) {
            char name[16];
            CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, name, key_name(name, i, keys)}};
            v[pass][i] = search_us(p, s, t, 2);
            CK_ATTRIBUTE id = {CKA_ID, ids[i], sizeof ids[i]};
            MUST(p->C_GetAttributeValue(s, client_find(p, s, CKO_PRIVATE_KEY, name), &id, 1));
            id_len[i] = id.ulValueLen;
        }
    MUST(p->C_Finalize(NULL));
    MUST(p->C_Initialize(NULL)); /* an empty cache again, for the searches by id */
    s = client_login(p, client_slot(p, "bench"));
    for (int pass = 2; pass < 4; pass++)
        for (unsigned i = 0; i < samples; i++) {
            CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, ids[i], id_len[i]}};
            v[pass][i] = search_us(p, s, t, 2);
        }
    for (int k = 0; k < 4; k++)
        printf("%.3f ", bench_median(v[k], samples));
    printf("\n");
}

static double resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        client_die("/proc/self/statm", 0);
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* The clock starts in the parent, before fork: its reading is in BENCH_BEGIN. */
static void cold_child(unsigned keys)
{
    const char *began = getenv("BENCH_BEGIN");
    const char *wrapped_hex = getenv("BENCH_WRAPPED");
    double begin = began ? strtod(began, NULL) : 0;
    unsigned char wrapped[512];
    size_t n = 0;
    for (; wrapped_hex && wrapped_hex[2 * n] && n < sizeof wrapped; n++) {
        char digits[3] = {wrapped_hex[2 * n], wrapped_hex[2 * n + 1], 0};
        wrapped[n] = (unsigned char)strtoul(digits, NULL, 16);
    }
    char name[16];
    key_name(name, 1, keys);
    CK_FUNCTION_LIST *p = client_load();
    CK_SLOT_ID slot = client_slot(p, "bench");
    double login = client_seconds();
    CK_SESSION_HANDLE s = client_login(p, slot);
    login = client_seconds() - login;
    CK_OBJECT_HANDLE key = client_find(p, s, CKO_PRIVATE_KEY, name);
    client_unwrap_once(p, s, key, wrapped, n);
    double end = client_seconds();
    double kib = resident_kib();
    printf("%.3f %.3f %.3f %.0f\n", login * 1e3, scrypt_ms(), (end - begin) * 1e3, kib);
}

/* Wraps a key under the KEK that cold_child() unwraps with; hex on standard output. */
static void wrap_child(unsigned keys)
{
    unsigned char out[512];
    CK_ULONG n = sizeof out;
    char name[16];
    key_name(name, 1, keys);
    CK_FUNCTION_LIST *p = client_load();
    CK_SESSION_HANDLE s = client_login(p, client_slot(p, "bench"));
    MUST(p->C_WrapKey(s, client_oaep(), client_find(p, s, CKO_PUBLIC_KEY, name), client_dek(p, s), out, &n));
    for (CK_ULONG i = 0; i < n; i++)
        printf("%02x", out[i]);
    printf("\n");
}

static const struct {
    const char *name;
    void (*run)(unsigned keys);
} children[] = {{"search", search_child}, {"cold", cold_child}, {"wrap", wrap_child}};

int bench_scale_child(const char *what)
{
    const char *keys = getenv("BENCH_KEYS");
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        if (keys && strcmp(children[i].name, what) == 0) {
            children[i].run((unsigned)strtoul(keys, NULL, 10));
            return 0;
        }
    return 2;
}

/* Runs this program as a child and gives its line of output. */
static void child_line(const char *self, const char *what, char *line, size_t size)
{
    char command[4096];
    snprintf(command, sizeof command, "'%s' --child %s", self, what);
    FILE *f = popen(command, "r");
    if (!f || !fgets(line, (int)size, f) || pclose(f) != 0)
        client_die("child process", 0);
    line[strcspn(line, "\n")] = 0;
}

bench_scale bench_measure_scale(const char *self, const char *directory, unsigned keys)
{
    bench_scale r = {.keys = keys};
    char line[2048], number[64];
    double total[5], login[5], scrypt[5];
    setenv("CMK11_STORE", directory, 1);
    snprintf(number, sizeof number, "%u", keys);
    setenv("BENCH_KEYS", number, 1);
    child_line(self, "search", line, sizeof line);
    if (sscanf(line, "%lf %lf %lf %lf", &r.first_us, &r.again_us, &r.first_id_us, &r.again_id_us) != 4)
        client_die("search child's answer", 0);
    child_line(self, "wrap", line, sizeof line);
    setenv("BENCH_WRAPPED", line, 1);
    for (int i = 0; i < 5; i++) {
        snprintf(number, sizeof number, "%.9f", client_seconds());
        setenv("BENCH_BEGIN", number, 1);
        child_line(self, "cold", line, sizeof line);
        if (sscanf(line, "%lf %lf %lf %lf", &login[i], &scrypt[i], &total[i], &r.memory_kib) != 4)
            client_die("cold child's answer", 0);
        total[i] -= scrypt[i];
    }
    r.login_ms = bench_median(login, 5);
    r.scrypt_ms = bench_median(scrypt, 5);
    r.cold_ms = bench_median(total, 5);
    return r;
}
