/* The open store, the table of vaults that the process has looked at, and their freshness. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "token/view_state.h"

/* ---- configuration: only the pins of vault keys are used after opening ---- */

static void config_drop(cmk_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->pin_count; i++) {
        free(c->pins[i].name);
        free(c->pins[i].fingerprint);
    }
    free(c->pins);
    free(c);
}

static cmk_config *config_keep(const cmk_config *from)
{
    cmk_config *c = calloc(1, sizeof(*c));
    if (!c || !from || from->pin_count == 0)
        return c;
    c->pins = calloc(from->pin_count, sizeof(*c->pins));
    bool ok = c->pins != NULL;
    for (size_t i = 0; ok && i < from->pin_count; i++) {
        c->pins[i].name = strdup(from->pins[i].name);
        c->pins[i].fingerprint = strdup(from->pins[i].fingerprint);
        c->pin_count = i + 1;
        ok = c->pins[i].name && c->pins[i].fingerprint;
    }
    if (ok)
        return c;
    config_drop(c);
    return NULL;
}

/* ---- open and close ---- */

cmk_rc cmk_core_open_store(cmk_store *store, const cmk_config *config, cmk_core **out)
{
    *out = NULL;
    cmk_core *core = calloc(1, sizeof(*core));
    cmk_config *kept = config_keep(config);
    if (!core || !kept) {
        free(core);
        config_drop(kept);
        cmk_store_close(store);
        return CMK_E_NO_MEMORY;
    }
    core->store = store;
    core->config = kept;
    cmk_mutex_init(&core->lock, CMK_RANK_CORE, "list of vaults");
    *out = core;
    return CMK_OK;
}

cmk_rc cmk_core_open(const cmk_config *config, bool create, cmk_core **out)
{
    cmk_store *store = NULL;
    const cmk_store_options options = {.create = create, .busy_timeout_ms = config->busy_timeout_ms};
    *out = NULL;
    cmk_rc rc = cmk_store_open(config->store, &options, &store);
    return rc == CMK_OK ? cmk_core_open_store(store, config, out) : rc;
}

cmk_rc cmk_core_set_group(cmk_core *core, gid_t gid)
{
    return cmk_store_set_group(core->store, gid);
}

static void core_free(cmk_core *core)
{
    while (core->vaults) {
        cmk_vault *v = core->vaults;
        core->vaults = v->next;
        cmk_vault_put(v);
    }
    config_drop(core->config);
    free(core);
}

void cmk_core_close(cmk_core *core)
{
    if (!core)
        return;
    cmk_store *store = core->store;
    cmk_mutex_destroy(&core->lock);
    core_free(core);
    cmk_store_close(store);
}

void cmk_core_abandon(cmk_core *core)
{
    static cmk_core *abandoned;
    if (!core)
        return;
    cmk_store_abandon(core->store);
    core->store = NULL;
    /* Another thread of the parent may have held any of the locks inside, for ever now: what they guard stays where it
     * is. */
    core->before = abandoned;
    abandoned = core;
}

/* ---- vaults in memory ---- */

static void vault_destroy(cmk_ref *ref)
{
    cmk_vault *v = (cmk_vault *)(void *)ref; /* ref is its first member */
    cmk_object_cache_free(v->objects);
    cmk_version_cache_free(v->versions);
    cmk_node_cache_free(v->nodes);
    cmk_secret_free(v->object_mac);
    for (size_t i = 0; i < CMK_TREE_COUNT; i++)
        cmk_buf_free(&v->roots[i].body);
    cmk_record_clear(&v->vault_row);
    cmk_rwlock_destroy(&v->lock);
    free(v);
}

static cmk_vault *vault_new(cmk_core *core, const cmk_id *id)
{
    cmk_vault *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    cmk_ref_init(&v->ref, vault_destroy);
    cmk_rwlock_init(&v->lock, CMK_RANK_VAULT, "vault");
    v->core = core;
    v->id = *id;
    v->nodes = cmk_node_cache_new();
    v->versions = cmk_version_cache_new();
    v->objects = cmk_object_cache_new();
    if (v->nodes && v->versions && v->objects)
        return v;
    cmk_vault_put(v);
    return NULL;
}

void cmk_vault_put(cmk_vault *vault)
{
    if (vault)
        cmk_ref_put(&vault->ref);
}

cmk_rc cmk_vault_by_id(cmk_core *core, const cmk_id *id, cmk_vault **out)
{
    CMK_WITH_MUTEX(&core->lock);
    cmk_vault *v = core->vaults;
    while (v && !cmk_id_equal(&v->id, id))
        v = v->next;
    if (!v) {
        v = vault_new(core, id);
        if (!v)
            return CMK_E_NO_MEMORY;
        v->next = core->vaults;
        core->vaults = v;
    }
    cmk_ref_take(&v->ref);
    *out = v;
    return CMK_OK;
}

/* ---- trust and freshness ---- */

cmk_rc cmk_vault_fingerprint(const cmk_id *id, const uint8_t admin_first[CMK_CURVE_KEY_SIZE],
                             char out[CMK_FINGERPRINT_TEXT])
{
    static const char label[] = "cmk11 vault fingerprint v1";
    uint8_t hash[CMK_SHA256_SIZE];
    const cmk_bytes parts[] = {cmk_bytes_of(label, sizeof(label)), cmk_bytes_of(id->b, CMK_ID_SIZE),
                               cmk_bytes_of(admin_first, CMK_CURVE_KEY_SIZE)};
    cmk_rc rc = cmk_sha256(parts, 3, hash);
    memcpy(out, "SHA256:", 8);
    if (rc == CMK_OK)
        cmk_hex(cmk_bytes_of(hash, sizeof(hash)), out + 7);
    return rc;
}

void cmk_vault_set_anchor(cmk_vault *vault, const uint8_t admin_public[CMK_CURVE_KEY_SIZE])
{
    cmk_rwlock_write(&vault->lock);
    memcpy(vault->anchor, admin_public, CMK_CURVE_KEY_SIZE);
    vault->anchored = true;
    cmk_rwlock_unlock(&vault->lock);
}

static const cmk_vault_pin *pin_of(const cmk_core *core, cmk_bytes name)
{
    for (size_t i = 0; i < core->config->pin_count; i++)
        if (cmk_bytes_equal(cmk_bytes_str(core->config->pins[i].name), name))
            return &core->config->pins[i];
    return NULL;
}

static cmk_rc check_pin(const cmk_vault *vault, const cmk_vault_rec *rec, const char *label)
{
    char fingerprint[CMK_FINGERPRINT_TEXT];
    const cmk_vault_pin *pin = rec->state == CMK_VAULT_LIVE ? pin_of(vault->core, rec->name) : NULL;
    if (!pin)
        return CMK_OK;
    cmk_rc rc = cmk_vault_fingerprint(&rec->id, rec->admin_first, fingerprint);
    if (rc != CMK_OK)
        return rc;
    if (strcasecmp(pin->fingerprint, fingerprint) != 0)
        return cmk_tampered(label, CMK_KIND_VAULT, cmk_bytes_of(NULL, 0),
                            "its key is not the one that vault-key in the configuration names");
    return CMK_OK;
}

cmk_rc cmk_vault_rec_check(const cmk_vault *vault, const cmk_vault_rec *rec, const char *label)
{
    cmk_bytes none = {NULL, 0};
    if (!cmk_id_equal(&rec->id, &vault->id))
        return cmk_tampered(label, CMK_KIND_VAULT, none, "it is another vault's");
    if (cmk_name_check(CMK_NAME_VAULT, rec->name) != CMK_OK)
        return cmk_tampered(label, CMK_KIND_VAULT, none, "it has a name that no release gives");
    /* No release changes admin keys yet, so nobody can have done so honestly. */
    if (rec->admin_generation != 1 || rec->succession.len > 0 ||
        memcmp(rec->admin_first, rec->admin_public, CMK_CURVE_KEY_SIZE) != 0)
        return cmk_tampered(label, CMK_KIND_VAULT, none, "its admin key is not the first one");
    if (vault->anchored && !cmk_equal_ct(vault->anchor, rec->admin_public, CMK_CURVE_KEY_SIZE))
        return cmk_tampered(label, CMK_KIND_VAULT, none, "its admin key is not the one that a login has confirmed");
    return check_pin(vault, rec, label);
}

cmk_rc cmk_vault_refresh(cmk_vault *vault)
{
    uint64_t now = 0;
    cmk_rc rc = cmk_store_generation(vault->core->store, &now);
    if (rc != CMK_OK)
        return rc;
    if (now != 0 && now == atomic_load(&vault->generation))
        return CMK_OK;
    cmk_view *view = NULL;
    rc = cmk_view_open(vault, CMK_TXN_READ, NULL, &view);
    if (rc != CMK_OK)
        return rc;
    bool live = cmk_view_vault(view)->state == CMK_VAULT_LIVE;
    cmk_view_close(&view);
    return live ? CMK_OK : cmk_fail(CMK_E_NOT_FOUND, "the vault is deleted");
}
