/* make bench: the figures of docs/performance.md, measured. See --help. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/lib/client.h"

static const char usage[] =
    "usage: bench [--json FILE] [--rounds N] [--slice SECONDS] [--keys N,N,…] [--only throughput|scale]\n"
    "  $CMK11_MODULE names the module. Stores are made in a new directory under $TMPDIR and removed.\n";

typedef struct options {
    const char *json, *only;
    unsigned rounds;
    double slice;
    unsigned keys[8];
    size_t key_count;
} options;

static const struct {
    unsigned bits;
    bool unwrap;
    unsigned threads;
    double target;
} configurations[] = {
    {2048, true, 1, 0.97},  {2048, true, 2, 0.97},  {3072, true, 1, 0.97},  {3072, true, 2, 0.97},
    {2048, false, 1, 0.80}, {2048, false, 2, 0.80}, {3072, false, 1, 0.80}, {3072, false, 2, 0.80},
};

static void run_throughput(const options *o, const char *dir, FILE *json)
{
    char store[512];
    snprintf(store, sizeof store, "sqlite:%s/throughput", dir);
    setenv("CMK11_STORE", store, 1);
    CK_FUNCTION_LIST *p = client_load();
    CK_SLOT_ID slot = client_init_vault(p, "bench");
    CK_SESSION_HANDLE s = client_login(p, slot);
    client_make_kek(p, s, "kek-2048", 2048);
    client_make_kek(p, s, "kek-3072", 3072);
    printf("%-28s %12s %12s %8s %10s %8s\n", "", "OpenSSL/s", "cmk11/s", "ratio", "raw/raw", "target");
    fprintf(json, "{\"throughput\":[");
    for (size_t i = 0; i < sizeof configurations / sizeof *configurations; i++) {
        unsigned bits = configurations[i].bits, threads = configurations[i].threads;
        const char *op = configurations[i].unwrap ? "unwrap" : "wrap";
        bench_ratio r = bench_throughput(p, slot, s, bits, configurations[i].unwrap, threads, o->rounds, o->slice);
        printf("%-6s RSA-%u OAEP, %u thread%s %12.1f %12.1f %8.3f %10.3f %8.2f\n", op, bits, threads,
               threads > 1 ? "s" : " ", r.raw, r.module, r.ratio, r.noise, configurations[i].target);
        fflush(stdout);
        fprintf(json,
                "%s{\"operation\":\"%s\",\"bits\":%u,\"threads\":%u,\"raw_per_s\":%.1f,\"module_per_s\":%.1f,\"ratio\":"
                "%.4f,\"raw_to_raw\":%.4f,\"target\":%.2f}",
                i ? "," : "", op, bits, threads, r.raw, r.module, r.ratio, r.noise, configurations[i].target);
    }
    fprintf(json, "]");
    MUST(p->C_Finalize(NULL));
}

static void run_scale(const options *o, const char *self, const char *dir, FILE *json)
{
    printf("\n%-10s %10s %10s %10s %10s %10s %12s %12s\n", "KEKs", "label 1st", "label", "id 1st", "id", "cold ms",
           "login ms", "memory KiB");
    fprintf(json, "%s\"scale\":[", o->only ? "{" : ",");
    for (size_t i = 0; i < o->key_count; i++) {
        char store[512];
        snprintf(store, sizeof store, "%s/scale-%u", dir, o->keys[i]);
        double begin = client_seconds();
        bench_fill(store, o->keys[i]);
        double fill = client_seconds() - begin;
        bench_scale r = bench_measure_scale(self, store, o->keys[i]);
        printf("%-10u %8.1fus %8.1fus %8.1fus %8.1fus %10.1f %12.1f %12.0f   (filled in %.1f s)\n", r.keys, r.first_us,
               r.again_us, r.first_id_us, r.again_id_us, r.cold_ms, r.login_ms, r.memory_kib, fill);
        fflush(stdout);
        fprintf(json,
                "%s{\"keys\":%u,\"search_label_first_us\":%.2f,\"search_label_us\":%.2f,\"search_id_first_us\":%.2f,"
                "\"search_id_us\":%.2f,\"cold_start_ms_beyond_scrypt\":%.2f,\"login_ms\":%.1f,"
                "\"scrypt_ms\":%.1f,\"resident_kib\":%.0f}",
                i ? "," : "", r.keys, r.first_us, r.again_us, r.first_id_us, r.again_id_us, r.cold_ms, r.login_ms,
                r.scrypt_ms, r.memory_kib);
    }
    fprintf(json, "]");
    printf("targets: search by label or id <= 20 us once seen, <= 200 us the first time; cold start <= 20 ms beyond "
           "scrypt\n");
}

static options parse(int argc, char **argv)
{
    static const struct option longs[] = {{"json", 1, NULL, 'j'}, {"rounds", 1, NULL, 'r'}, {"slice", 1, NULL, 's'},
                                          {"keys", 1, NULL, 'k'}, {"only", 1, NULL, 'o'},   {"help", 0, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    options o = {.rounds = 30, .slice = 0.05, .keys = {100, 10000, 100000}, .key_count = 3};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'j')
            o.json = optarg;
        else if (c == 'r')
            o.rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 's')
            o.slice = strtod(optarg, NULL);
        else if (c == 'o')
            o.only = optarg;
        else if (c == 'k') {
            o.key_count = 0;
            for (char *t = strtok(optarg, ","); t && o.key_count < 8; t = strtok(NULL, ","))
                o.keys[o.key_count++] = (unsigned)strtoul(t, NULL, 10);
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        return bench_scale_child(argv[2]);
    options o = parse(argc, argv);
    char dir[256], self[4096];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/cmk11-bench.XXXXXX", tmp ? tmp : "/tmp");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    FILE *json = fopen(o.json ? o.json : "/dev/null", "w");
    if (!mkdtemp(dir) || n < 0 || !json) {
        perror("bench");
        return 1;
    }
    self[n] = 0;
    if (!o.only || strcmp(o.only, "throughput") == 0)
        run_throughput(&o, dir, json);
    if (!o.only || strcmp(o.only, "scale") == 0)
        run_scale(&o, self, dir, json);
    fprintf(json, "}\n");
    fclose(json);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0;
}
