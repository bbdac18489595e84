/* Unit tests of util/: the configuration file and the diagnostics log. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/config.h"
#include "util/log.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char dir[64];
static char file[128];

/* A scratch directory, and an environment that points to nothing else. */
static void scratch(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/cmk11-unit-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    (void)snprintf(file, sizeof(file), "%s/cmk11.conf", dir);
    (void)unsetenv("CMK11_CONF");
    (void)unsetenv("CMK11_STORE");
    (void)unsetenv("XDG_DATA_HOME");
    (void)setenv("XDG_CONFIG_HOME", dir, 1);
    (void)setenv("HOME", dir, 1);
}

static void scratch_end(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    CU_ASSERT_EQUAL(system(command), 0);
}

static void put_at(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(text, 1, n, f), n);
    (void)fclose(f);
    (void)chmod(path, 0600);
}

/* Loads text as the file that CMK11_CONF names. */
static cmk_rc load(const char *text, cmk_config **c)
{
    put_at(file, text, strlen(text));
    (void)setenv("CMK11_CONF", file, 1);
    cmk_fail_clear();
    return cmk_config_load(c);
}

static void config_defaults(void)
{
    scratch();
    cmk_config *c = NULL;
    UNIT_OK(cmk_config_load(&c));
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    if (access("/etc/cmk11/cmk11.conf", F_OK) != 0) {
        char wanted[128];
        (void)snprintf(wanted, sizeof(wanted), "sqlite:%s/.local/share/cmk11", dir);
        CU_ASSERT_PTR_NULL(c->path);
        CU_ASSERT_STRING_EQUAL(c->store, geteuid() == 0 ? "sqlite:/var/lib/cmk11" : wanted);
        CU_ASSERT_PTR_NULL(c->audit_dir);
        CU_ASSERT_STRING_EQUAL(c->log_target, "stderr");
        CU_ASSERT_EQUAL(c->log_level, CMK_LOG_WARN);
        CU_ASSERT_TRUE(!c->require_mlock && c->import_secret_keys && c->busy_timeout_ms == 10000);
        CU_ASSERT_EQUAL(c->pin_count, 0);
    }
    cmk_config_free(c);
    cmk_config_free(NULL);
    scratch_end();
}

static void config_everything(void)
{
    scratch();
    cmk_config *c = NULL;
    UNIT_OK(load("# a comment\n; another\n\n"
                 "store = /srv/keys\r\n"
                 "  audit-directory = /var/log/cmk11 ; why\n"
                 "log=/var/log/cmk11.log\n"
                 "log-level = debug\n"
                 "require-mlock = on\n"
                 "import-secret-keys = off\n"
                 "busy-timeout-ms = 2500\n"
                 "vault-key prod = SHA256:" HEX64 "\n"
                 "\tvault-key  a:b = c =SHA256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff ; x",
                 &c));
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_STRING_EQUAL(c->path, file);
    CU_ASSERT_STRING_EQUAL(c->store, "sqlite:/srv/keys");
    CU_ASSERT_STRING_EQUAL(c->audit_dir, "/var/log/cmk11");
    CU_ASSERT_STRING_EQUAL(c->log_target, "/var/log/cmk11.log");
    CU_ASSERT_EQUAL(c->log_level, CMK_LOG_DEBUG);
    CU_ASSERT_TRUE(c->require_mlock && !c->import_secret_keys && c->busy_timeout_ms == 2500);
    CU_ASSERT_EQUAL_FATAL(c->pin_count, 2);
    CU_ASSERT_STRING_EQUAL(c->pins[0].name, "prod");
    CU_ASSERT_STRING_EQUAL(c->pins[0].fingerprint, "SHA256:" HEX64);
    CU_ASSERT_STRING_EQUAL(c->pins[1].name, "a:b = c");
    CU_ASSERT_STRING_EQUAL(c->pins[1].fingerprint, "SHA256:" HEX64);
    cmk_config_free(c);
    scratch_end();
}

static void config_refusals(void)
{
    static const struct {
        const char *text;
        const char *says; /* in the detail */
    } rows[] = {
        {"stroe = /x\n", ":1: stroe: unknown key; did you mean store?"},
        {"\nimport-secret-key = off\n", ":2: import-secret-key: unknown key; did you mean import-secret-keys?"},
        {"log-levle = debug\n", "did you mean log-level?"},
        {"x\x1b[2J = 1\n", "x\\x1b"},
        {"[store]\npath = x\n", ":1: [store]: there are no sections"},
        {"store = /x\n[empty]\n", ":2: [empty]"},
        {"store\n", ":1: must be KEY = VALUE"},
        {"store =\n", "must be sqlite:DIR"},
        {"store = sqlite:\n", "must be sqlite:DIR"},
        {"store = /a\nstore = /b\n", ":2: store: is set twice"},
        {"store = /a\n  store = /b\n", ":2: store: is set twice"},
        {"audit-directory = here\n", "absolute"},
        {"log = here\n", "absolute"},
        {"log-level = loud\n", "must be none"},
        {"require-mlock = yes\n", "on or off"},
        {"import-secret-keys = \n", "on or off"},
        {"busy-timeout-ms = -1\n", "number"},
        {"busy-timeout-ms = 1s\n", "number"},
        {"busy-timeout-ms = 600001\n", "number"},
        {"busy-timeout-ms = 99999999999999999999\n", "number"},
        {"vault-key = SHA256:" HEX64 "\n", ":1: vault-key: must name a vault"},
        {"vault-key a/b = SHA256:" HEX64 "\n", "must name a vault"},
        {"vault-key prod\n", "needs a value"},
        {"vault-key: prod = SHA256:" HEX64 "\n", "needs a value"},
        {"vault-key prod = SHA256:00\n", "64 hex digits"},
        {"vault-key prod = " HEX64 "\n", "64 hex digits"},
        {"vault-key p = SHA256:" HEX64 "\nvault-key p = SHA256:" HEX64 "\n",
         ":2: vault-key: this vault is pinned twice"},
        {"vault-keys prod = SHA256:" HEX64 "\n", "unknown key"},
    };
    scratch();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cmk_config *c = (cmk_config *)(void *)dir;
        cmk_rc rc = load(rows[i].text, &c);
        if (rc != CMK_E_CONFIG || !strstr(cmk_fail_detail(), rows[i].says) || !strstr(cmk_fail_detail(), file))
            printf("  row %zu: %s: %s\n", i, cmk_rc_name(rc), cmk_fail_detail());
        UNIT_RC(rc, CMK_E_CONFIG);
        CU_ASSERT_PTR_NULL(c);
        CU_ASSERT_PTR_NOT_NULL(strstr(cmk_fail_detail(), rows[i].says));
        CU_ASSERT_PTR_NOT_NULL(strstr(cmk_fail_detail(), file));
    }
    scratch_end();
}

static void config_long_lines(void)
{
    scratch();
    cmk_config *c = NULL;
    char text[1200] = "store = /";
    size_t n = strlen(text);
    memset(text + n, 'd', 1000);
    memcpy(text + n + 1000, "\n", 2);
    UNIT_RC(load(text, &c), CMK_E_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(cmk_fail_detail(), ":1: the line is too long"));
    put_at(file, "log = none\nsto\0re = /x\n", 23);
    UNIT_RC(cmk_config_load(&c), CMK_E_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(cmk_fail_detail(), ":2:"));
    scratch_end();
}

static void config_safety(void)
{
    scratch();
    cmk_config *c = NULL;
    UNIT_OK(load("log = none\n", &c));
    cmk_config_free(c);
    static const mode_t bad[] = {0620, 0602, 0666};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(chmod(file, bad[i]), 0);
        UNIT_RC(cmk_config_load(&c), CMK_E_PERMISSION);
        CU_ASSERT_PTR_NULL(c);
    }
    CU_ASSERT_EQUAL(chmod(file, 0644), 0);
    UNIT_OK(cmk_config_load(&c));
    cmk_config_free(c);
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(chown(file, 12345, (gid_t)-1), 0);
        UNIT_RC(cmk_config_load(&c), CMK_E_PERMISSION);
    }
    CU_ASSERT_EQUAL(setenv("CMK11_CONF", dir, 1), 0);
    UNIT_RC(cmk_config_load(&c), CMK_E_CONFIG);
    char missing[160];
    (void)snprintf(missing, sizeof(missing), "%s/missing", dir);
    (void)setenv("CMK11_CONF", missing, 1);
    UNIT_RC(cmk_config_load(&c), CMK_E_NOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(cmk_fail_detail(), missing));
    scratch_end();
}

static void config_places(void)
{
    scratch();
    cmk_config *c = NULL;
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/cmk11", dir);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/cmk11/cmk11.conf", dir);
    put_at(path, "busy-timeout-ms = 1\nstore = /from/file\n", 39);
    UNIT_OK(cmk_config_load(&c));
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_STRING_EQUAL(c->path, path);
    CU_ASSERT_EQUAL(c->busy_timeout_ms, 1);
    CU_ASSERT_STRING_EQUAL(c->store, "sqlite:/from/file");
    cmk_config_free(c);

    static const char *const stores[][2] = {{"/bare", "sqlite:/bare"},
                                            {"sqlite:/dir", "sqlite:/dir"},
                                            {"etcd://host", "etcd://host"},
                                            {"rel", "sqlite:rel"}};
    for (size_t i = 0; i < 4; i++) {
        (void)setenv("CMK11_STORE", stores[i][0], 1);
        UNIT_OK(cmk_config_load(&c));
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        CU_ASSERT_STRING_EQUAL(c->store, stores[i][1]);
        cmk_config_free(c);
    }
    (void)setenv("CMK11_STORE", "sqlite:", 1);
    UNIT_RC(cmk_config_load(&c), CMK_E_CONFIG);
    (void)setenv("CMK11_STORE", "", 1);

    /* ~/.config, and no HOME at all: the password database knows. */
    char below[200];
    (void)snprintf(below, sizeof(below), "%s/.config", dir);
    CU_ASSERT_EQUAL(mkdir(below, 0700), 0);
    (void)snprintf(below, sizeof(below), "mv %s/cmk11 %s/.config/", dir, dir);
    CU_ASSERT_EQUAL(system(below), 0);
    (void)unsetenv("XDG_CONFIG_HOME");
    UNIT_OK(cmk_config_load(&c));
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(c->busy_timeout_ms, 1);
    cmk_config_free(c);
    scratch_end();
}

static char *contents(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    (void)fclose(f);
    return text;
}

static void log_file(void)
{
    scratch();
    char path[128];
    char wanted[256];
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    UNIT_OK(cmk_log_setup(path, CMK_LOG_INFO));
    struct stat st;
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
    cmk_log(CMK_LOG_WARN, "line %d\nforged\x1b", 1);
    cmk_log(CMK_LOG_DEBUG, "not on");
    cmk_log(CMK_LOG_NONE, "never on");
    for (int i = 0; i < 3; i++)
        cmk_log_once(CMK_LOG_ERROR, "unit-once", "once");
    (void)snprintf(wanted, sizeof(wanted), "cmk11[%ld]: warning: line 1\\x0aforged\\x1b\ncmk11[%ld]: error: once\n",
                   (long)getpid(), (long)getpid());
    CU_ASSERT_STRING_EQUAL(contents(path), wanted);
    /* A long text is cut, in a line of its own. */
    char big[4096];
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    CU_ASSERT_EQUAL(truncate(path, 0), 0);
    cmk_log(CMK_LOG_INFO, "%s", big);
    const char *text = contents(path);
    CU_ASSERT_TRUE(strlen(text) > 900 && strlen(text) < 1200 && text[strlen(text) - 1] == '\n');
    /* Rotation: the next line makes the file anew. */
    CU_ASSERT_EQUAL(unlink(path), 0);
    cmk_log(CMK_LOG_INFO, "fresh");
    CU_ASSERT_PTR_NOT_NULL(strstr(contents(path), "info: fresh\n"));
    UNIT_OK(cmk_log_setup("none", CMK_LOG_DEBUG));
    cmk_log(CMK_LOG_ERROR, "nowhere");
    CU_ASSERT_PTR_NULL(strstr(contents(path), "nowhere"));
    UNIT_OK(cmk_log_setup("stderr", CMK_LOG_WARN));
    scratch_end();
}

static void log_refusals(void)
{
    UNIT_RC(cmk_log_setup("relative", CMK_LOG_WARN), CMK_E_CONFIG);
    UNIT_RC(cmk_log_setup("", CMK_LOG_WARN), CMK_E_CONFIG);
    UNIT_RC(cmk_log_setup(NULL, CMK_LOG_WARN), CMK_E_CONFIG);
    UNIT_RC(cmk_log_setup("stderr", (cmk_log_level)99), CMK_E_CONFIG);
    UNIT_RC(cmk_log_setup("/nonexistent/dir/log", CMK_LOG_WARN), CMK_E_IO);
    UNIT_RC(cmk_log_setup("/tmp", CMK_LOG_WARN), CMK_E_IO);
    UNIT_OK(cmk_log_setup("/dev/null", CMK_LOG_WARN));
    UNIT_OK(cmk_log_setup("syslog", CMK_LOG_NONE));
    UNIT_OK(cmk_log_setup("stderr", CMK_LOG_WARN));
}

static void *log_worker(void *arg)
{
    for (int i = 0; i < 100; i++) {
        cmk_log(CMK_LOG_INFO, "0123456789");
        cmk_log_once(CMK_LOG_INFO, "unit-threads", "just once");
        if (cmk_log_setup(arg, CMK_LOG_INFO) != CMK_OK)
            abort();
    }
    return NULL;
}

static void log_threads(void)
{
    scratch();
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    UNIT_OK(cmk_log_setup(path, CMK_LOG_INFO));
    pthread_t id[4];
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&id[i], NULL, log_worker, path), 0);
    for (size_t i = 0; i < 4; i++)
        (void)pthread_join(id[i], NULL);
    int lines = 0;
    int once = 0;
    char *save = NULL;
    for (char *l = strtok_r(contents(path), "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        lines++;
        once += strstr(l, ": info: just once") != NULL;
        CU_ASSERT_TRUE(strncmp(l, "cmk11[", 6) == 0);
    }
    CU_ASSERT_EQUAL(lines, 401);
    CU_ASSERT_EQUAL(once, 1);
    UNIT_OK(cmk_log_setup("stderr", CMK_LOG_WARN));
    scratch_end();
}

static const unit_test tests[] = {
    {"config-defaults", config_defaults},
    {"config-everything", config_everything},
    {"config-refusals", config_refusals},
    {"config-long-lines", config_long_lines},
    {"config-safety", config_safety},
    {"config-places", config_places},
    {"log-file", log_file},
    {"log-refusals", log_refusals},
    {"log-threads", log_threads},
};

UNIT_MAIN("util-config", tests)
