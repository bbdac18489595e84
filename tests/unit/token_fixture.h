/* What the tests of a vault's state share: a store of its own with one vault, on the memory backend or sqlite. */
#ifndef CMK_TESTS_TOKEN_FIXTURE_H
#define CMK_TESTS_TOKEN_FIXTURE_H

#include <stdlib.h>
#include <unistd.h>

#include "storage/backend.h"
#include "tests/unit/unit.h"
#include "token/principal.h"
#include "token/vault.h"

#define SO_PIN "so-secret-of-tests"
#define USER_PIN "user-secret-of-tests"
__attribute__((unused)) static const cmk_who SO = {.kind = CMK_WHO_SO};
__attribute__((unused)) static const cmk_who USER = {.kind = CMK_WHO_USER};

static inline cmk_bytes text(const char *s)
{
    return cmk_bytes_str(s);
}

static inline cmk_vault_spec spec_of(const char *name, bool with_user)
{
    cmk_vault_spec s = {.name = text(name), .so_pin = text(SO_PIN)};
    if (with_user)
        s.user_pin = text(USER_PIN);
    return s;
}

/* ---- where it runs: the memory backend, or sqlite in a directory of its own ---- */

typedef struct world {
    bool sqlite;
    char directory[64];
    cmk_core *core;
    cmk_vault_info info;
    cmk_vault *vault;
} world;

static inline cmk_rc world_store(world *w, cmk_store **out)
{
    const cmk_store_options options = {.create = true, .busy_timeout_ms = 5000};
    if (!w->sqlite)
        return cmk_store_memory_open(out);
    (void)snprintf(w->directory, sizeof(w->directory), "/tmp/cmk-token-state.XXXXXX");
    if (!mkdtemp(w->directory))
        return CMK_E_IO;
    return cmk_store_open(w->directory, &options, out);
}

static inline bool world_begin(world *w, bool sqlite, bool with_user)
{
    cmk_store *store = NULL;
    *w = (world){.sqlite = sqlite};
    cmk_vault_spec spec = spec_of("payments", with_user);
    UNIT_OK(world_store(w, &store));
    if (!store)
        return false;
    UNIT_OK(cmk_core_open_store(store, NULL, &w->core));
    UNIT_OK(cmk_vault_create(w->core, &spec, CMK_SLOT_ANY, &w->info));
    UNIT_OK(cmk_vault_open_name(w->core, text("payments"), &w->vault));
    if (!w->vault)
        CU_FAIL("no vault");
    return w->vault != NULL;
}

static inline void world_end(world *w)
{
    char command[128];
    cmk_vault_put(w->vault);
    cmk_core_close(w->core);
    (void)snprintf(command, sizeof(command), "rm -rf %s", w->directory);
    if (w->directory[0] && system(command) != 0)
        CU_FAIL("the test's directory can't be removed");
}

static inline cmk_rc login(cmk_vault *v, const cmk_who *who, const char *pin, cmk_login **out)
{
    return cmk_login_open(v, who, text(pin), out);
}

static inline cmk_rc login_once(cmk_vault *v, const cmk_who *who, const char *pin)
{
    cmk_login *l = NULL;
    cmk_rc rc = login(v, who, pin, &l);
    cmk_login_put(l);
    return rc;
}

static inline cmk_rc count_vaults(void *ctx, const cmk_vault_info *info)
{
    size_t *n = ctx;
    n[0]++;
    n[1] += info->health != CMK_OK;
    n[2] += info->state == CMK_VAULT_DELETED;
    return CMK_OK;
}

#endif
