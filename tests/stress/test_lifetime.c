/* A host that uses OpenSSL itself loads, uses and unloads the module 1,000 times; and one whose exit handlers call into
 * it. Prints PASS or FAIL. */
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/client.h"

static long resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        return -1;
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void host_uses_openssl(void)
{
    unsigned char digest[32], random[16];
    unsigned n = 0;
    if (RAND_bytes(random, sizeof random) != 1 ||
        EVP_Digest(random, sizeof random, digest, &n, EVP_sha256(), NULL) != 1)
        client_die("the host's own OpenSSL", 0);
}

static void use(CK_FUNCTION_LIST *p, CK_OBJECT_HANDLE *prv)
{
    CK_SESSION_HANDLE s = client_login(p, client_slot(p, "life"));
    CK_BYTE wrapped[512];
    CK_ULONG n = sizeof wrapped;
    *prv = client_find(p, s, CKO_PRIVATE_KEY, "kek");
    MUST(p->C_WrapKey(s, client_oaep(), client_find(p, s, CKO_PUBLIC_KEY, "kek"), client_dek(p, s), wrapped, &n));
    client_unwrap_once(p, s, *prv, wrapped, n);
}

static int cycles(void)
{
    long before = 0;
    int rounds = getenv("CMK11_STRESS_CYCLES") ? (int)strtol(getenv("CMK11_STRESS_CYCLES"), NULL, 10) : 1000;
    for (int i = 0; i < rounds; i++) {
        void *module;
        CK_OBJECT_HANDLE prv;
        CK_FUNCTION_LIST *p = client_open(&module);
        MUST(p->C_Initialize(NULL));
        use(p, &prv);
        host_uses_openssl();
        MUST(p->C_Finalize(NULL));
        dlclose(module);
        host_uses_openssl();
        if (i == rounds / 5)
            before = resident_kib();
    }
    long grown = resident_kib() - before;
    int bad = rounds >= 100 && grown > 2048; /* a few cycles say nothing: caches still fill */
    printf("%s stress/dlopen-cycles: %d cycles, resident memory grew by %ld KiB after the first fifth\n",
           bad ? "FAIL" : "PASS", rounds, grown);
    return bad;
}

static CK_FUNCTION_LIST *at_exit_p;
static CK_SESSION_HANDLE at_exit_session;
static void close_at_exit(void)
{
    CK_RV a = at_exit_p->C_CloseSession(at_exit_session), b = at_exit_p->C_Finalize(NULL);
    if (a != CKR_OK || b != CKR_OK)
        _exit(3);
}

/* The child leaves by exit() with the module open; handler says when C_CloseSession and C_Finalize come. */
static int exit_case(const char *name, void (*arrange)(void))
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        CK_OBJECT_HANDLE prv;
        host_uses_openssl();
        at_exit_p = client_open(NULL);
        arrange();
        MUST(at_exit_p->C_Initialize(NULL));
        use(at_exit_p, &prv);
        at_exit_session = client_session(at_exit_p, client_slot(at_exit_p, "life"));
        exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        status = -1;
    printf("%s stress/%s: status %#x\n", status ? "FAIL" : "PASS", name, (unsigned)status);
    return status != 0;
}
static void by_openssl(void)
{
    OPENSSL_atexit(close_at_exit);
}
static void by_libc(void)
{
    atexit(close_at_exit);
}
static void by_nobody(void)
{
}

int main(void)
{
    char dir[] = "/tmp/cmk11-life.XXXXXX", store[64], command[80];
    if (!mkdtemp(dir))
        return 1;
    snprintf(store, sizeof store, "sqlite:%s/store", dir);
    setenv("CMK11_STORE", store, 1);
    CK_FUNCTION_LIST *p = client_load();
    client_make_kek(p, client_login(p, client_init_vault(p, "life")), "kek", 2048);
    MUST(p->C_Finalize(NULL));
    int bad = exit_case("exit-by-openssl-handler", by_openssl) + exit_case("exit-by-libc-handler", by_libc) +
              exit_case("exit-without-finalise", by_nobody);
    bad += cycles();
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0 || bad > 0;
}
