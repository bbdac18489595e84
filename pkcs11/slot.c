/* Slots: one for each vault at the number that the store keeps for it, and one with an uninitialised token (PKCS#11
 * v3.0 §5.5).
 *
 * The store may change under us at any time. A cmk_slot belongs to one vault for life; when the store shows another
 * vault in its place it is marked removed, and a new cmk_slot takes over the number. So nothing that a session hangs on
 * ever changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/module.h"
#include "pkcs11/pad.h"
#include "util/log.h"

/* ---- which vault is where ---- */

static cmk_slot *find(const cmk_module *m, CK_SLOT_ID id)
{
    cmk_slot *s = m->slots;
    while (s && (s->id != id || atomic_load(&s->removed)))
        s = s->next;
    return s;
}

static bool still_there(cmk_vault *vault, CK_SLOT_ID id)
{
    cmk_vault_info info;
    return cmk_vault_get_info(vault, &info) == CMK_OK && info.state == CMK_VAULT_LIVE && info.slot == id;
}

/* The vault that the store has for id, with a reference; CKR_OK and NULL for the uninitialised token. */
static CK_RV resolve(cmk_module *m, CK_SLOT_ID id, cmk_vault **out)
{
    cmk_core *core = NULL;
    uint32_t unused = 0;
    *out = NULL;
    cmk_rc rc = cmk_module_core(m, false, &core);
    if (rc != CMK_OK)
        return cmk_ckr(rc);
    if (core && id < CMK_SLOT_ANY)
        rc = cmk_vault_open_slot(core, (uint32_t)id, out);
    if (core && rc == CMK_OK && *out)
        return CKR_OK;
    cmk_rc listed = core ? cmk_core_free_slot(core, &unused) : CMK_OK;
    if (listed != CMK_OK)
        return cmk_ckr(listed);
    if (id == unused)
        return CKR_OK;
    return rc == CMK_OK || rc == CMK_E_NOT_FOUND ? CKR_SLOT_ID_INVALID : cmk_ckr(rc);
}

static cmk_slot *slot_new(CK_SLOT_ID id, cmk_vault *vault)
{
    cmk_slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    slot->id = id;
    slot->vault = vault;
    cmk_mutex_init(&slot->lock, CMK_RANK_SLOT, "slot");
    return slot;
}

void cmk_slot_free(cmk_slot *slot)
{
    if (slot->login)
        cmk_login_end(slot->login);
    cmk_login_put(slot->login);
    cmk_vault_put(slot->vault);
    cmk_objects_slot_free(slot);
    cmk_mutex_destroy(&slot->lock);
    free(slot);
}

/* Makes the slot of id show vault, whose reference it takes over. *gone is the slot that showed another before, or
 * NULL. */
static cmk_slot *show(cmk_module *m, CK_SLOT_ID id, cmk_vault *vault, cmk_slot **gone)
{
    CMK_WITH_MUTEX(&m->lock);
    cmk_slot *slot = find(m, id);
    *gone = NULL;
    if (slot && slot->vault == vault) {
        cmk_vault_put(vault);
        return slot;
    }
    cmk_slot *fresh = slot_new(id, vault);
    if (!fresh) {
        cmk_vault_put(vault);
        return NULL;
    }
    if (slot)
        atomic_store(&slot->removed, true);
    *gone = slot;
    fresh->next = m->slots;
    m->slots = fresh;
    return fresh;
}

static cmk_slot *find_locked(cmk_module *m, CK_SLOT_ID id)
{
    CMK_WITH_MUTEX(&m->lock);
    return find(m, id);
}

/* There is no such slot any more. */
static void hide(cmk_module *m, CK_SLOT_ID id)
{
    cmk_mutex_lock(&m->lock);
    cmk_slot *slot = find(m, id);
    if (slot)
        atomic_store(&slot->removed, true);
    cmk_mutex_unlock(&m->lock);
    if (slot)
        (void)cmk_slot_logout(m, slot, NULL);
}

CK_RV cmk_slot_get(cmk_module *m, CK_SLOT_ID id, cmk_slot **out)
{
    cmk_vault *vault = NULL;
    cmk_slot *gone = NULL;
    *out = find_locked(m, id);
    if (*out && (*out)->vault && still_there((*out)->vault, id))
        return CKR_OK;
    CK_RV rv = resolve(m, id, &vault);
    if (rv == CKR_SLOT_ID_INVALID)
        hide(m, id);
    if (rv != CKR_OK)
        return rv;
    *out = show(m, id, vault, &gone);
    if (gone)
        (void)cmk_slot_logout(m, gone, NULL);
    return *out ? CKR_OK : CKR_HOST_MEMORY;
}

CK_RV cmk_slot_check(cmk_module *m, cmk_slot *slot)
{
    cmk_slot *now = NULL;
    CK_RV rv = atomic_load(&slot->removed) ? CKR_OK : cmk_slot_get(m, slot->id, &now);
    if (atomic_load(&slot->removed))
        return CKR_DEVICE_REMOVED;
    return rv;
}

CK_RV cmk_slot_error(cmk_module *m, cmk_slot *slot, CK_RV rv)
{
    /* What token/ calls not found may be the vault. */
    static const CK_RV gone[] = {CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_HANDLE_INVALID,
                                 CKR_UNWRAPPING_KEY_HANDLE_INVALID};
    bool removed = atomic_load(&slot->removed);
    for (size_t i = 0; !removed && i < sizeof(gone) / sizeof(gone[0]); i++)
        removed = rv == gone[i] && cmk_slot_check(m, slot) == CKR_DEVICE_REMOVED;
    return removed ? CKR_DEVICE_REMOVED : rv;
}

bool cmk_slot_logout(cmk_module *m, cmk_slot *slot, const cmk_login *expected)
{
    cmk_mutex_lock(&slot->lock);
    cmk_login *login = slot->login;
    bool mine = login && (!expected || login == expected);
    if (mine)
        slot->login = NULL;
    cmk_mutex_unlock(&slot->lock);
    if (!mine)
        return false;
    cmk_login_end(login);
    cmk_login_put(login);
    cmk_objects_logout(m, slot);
    return true;
}

/* ---- the list ---- */

typedef struct id_list {
    CK_SLOT_ID *ids; /* NULL: count only */
    CK_ULONG room, count;
    CK_SLOT_ID last; /* added last */
    uint32_t lost;   /* vaults whose slot nobody knows any more */
} id_list;

/* Live vaults come by slot number, so one that is there twice (a copy) comes twice in a row. */
static void add_id(id_list *l, CK_SLOT_ID id)
{
    if (l->count > 0 && l->last == id)
        return;
    l->last = id;
    if (l->ids && l->count < l->room)
        l->ids[l->count] = id;
    l->count++;
}

static cmk_rc add_vault(void *ctx, const cmk_vault_info *info)
{
    id_list *list = ctx;
    if (info->slot != CMK_SLOT_ANY)
        add_id(list, info->slot);
    else
        list->lost++;
    return CMK_OK;
}

static cmk_rc list_slots(cmk_module *m, id_list *list)
{
    cmk_core *core = NULL;
    uint32_t unused = 0;
    cmk_rc rc = cmk_module_core(m, false, &core);
    if (rc == CMK_E_PERMISSION) {
        cmk_log_once(CMK_LOG_WARN, "slots-permission", "no slots are shown: %s", cmk_fail_detail());
        return CMK_OK;
    }
    if (rc == CMK_OK && core)
        rc = cmk_vault_list(core, false, add_vault, list);
    if (rc == CMK_OK && core)
        rc = cmk_core_free_slot(core, &unused);
    CK_SLOT_ID highest = list->count > 0 && list->last > unused ? list->last : unused;
    if (rc == CMK_OK)
        add_id(list, unused);
    /* A vault whose record is lost is shown all the same, as a slot that answers only with an error. */
    for (uint32_t i = 1; rc == CMK_OK && i <= list->lost; i++)
        add_id(list, highest + i);
    return rc;
}

static CK_RV slot_list(cmk_module *m, CK_SLOT_ID *ids, CK_ULONG *count)
{
    if (!count)
        return CKR_ARGUMENTS_BAD;
    id_list list = {ids, *count, 0, 0, 0};
    cmk_rc rc = list_slots(m, &list);
    if (rc != CMK_OK)
        return cmk_ckr(rc);
    *count = list.count;
    return ids && list.count > list.room ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

/* §5.5.1 C_GetSlotList. Every slot has a token, so tokenPresent makes no difference. */
CK_RV C_GetSlotList(CK_BBOOL tokenPresent, CK_SLOT_ID_PTR pSlotList, CK_ULONG_PTR pulCount)
{
    cmk_module *m = NULL;
    (void)tokenPresent;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, slot_list(m, pSlotList, pulCount)) : rv;
}

/* ---- one slot ---- */

typedef struct slot_look {
    CK_SLOT_ID id;
    bool found;
    cmk_slot *slot; /* NULL: its vault is damaged */
    cmk_vault_info vault;
} slot_look;

static cmk_rc take_info(void *ctx, const cmk_vault_info *info)
{
    slot_look *look = ctx;
    if (info->slot == look->id && !look->found) {
        look->found = true;
        look->vault = *info;
    }
    return CMK_OK;
}

/* A damaged vault is there too, with what can be told of it. */
static CK_RV look_at(cmk_module *m, CK_SLOT_ID id, slot_look *out)
{
    cmk_core *core = NULL;
    *out = (slot_look){.id = id};
    CK_RV rv = cmk_slot_get(m, id, &out->slot);
    if (rv == CKR_OK)
        return rv;
    out->slot = NULL;
    if (rv == CKR_DEVICE_ERROR && cmk_module_core(m, false, &core) == CMK_OK && core &&
        cmk_vault_list(core, false, take_info, out) == CMK_OK && out->found)
        return CKR_OK;
    return rv;
}

static CK_RV slot_info(cmk_module *m, CK_SLOT_ID id, CK_SLOT_INFO *out)
{
    slot_look look;
    char text[64];
    if (!out)
        return CKR_ARGUMENTS_BAD;
    CK_RV rv = look_at(m, id, &look);
    if (rv != CKR_OK)
        return rv;
    (void)snprintf(text, sizeof(text), "cmk11 slot %lu", id);
    *out = (CK_SLOT_INFO){.flags = CKF_TOKEN_PRESENT, .firmwareVersion = cmk_library_version()};
    CMK_PAD(out->slotDescription, text);
    CMK_PAD(out->manufacturerID, "cmk11");
    return CKR_OK;
}

/* §5.5.2 C_GetSlotInfo */
CK_RV C_GetSlotInfo(CK_SLOT_ID slotID, CK_SLOT_INFO_PTR pInfo)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, slot_info(m, slotID, pInfo)) : rv;
}

/* ---- its token ---- */

static CK_FLAGS pin_flags(cmk_vault *vault, const cmk_who *who, CK_FLAGS low, CK_FLAGS final, CK_FLAGS locked)
{
    cmk_pin_status status;
    if (cmk_pin_get_status(vault, who, &status) != CMK_OK || !status.set || status.failures == 0)
        return 0;
    if (status.failures >= status.threshold)
        return low | locked;
    return status.failures + 1 == status.threshold ? low | final : low;
}

static CK_FLAGS vault_flags(const slot_look *look)
{
    const cmk_who so = {.kind = CMK_WHO_SO};
    const cmk_who user = {.kind = CMK_WHO_USER};
    CK_FLAGS flags = CKF_TOKEN_INITIALIZED;
    if (look->vault.user_pin_set)
        flags |= CKF_USER_PIN_INITIALIZED;
    if (look->vault.health != CMK_OK)
        flags |= CKF_WRITE_PROTECTED;
    if (!look->slot)
        return flags;
    return flags | pin_flags(look->slot->vault, &so, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED) |
           pin_flags(look->slot->vault, &user, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED);
}

static void fill_token(const slot_look *look, CK_TOKEN_INFO *out)
{
    *out = (CK_TOKEN_INFO){
        .flags = CKF_RNG | CKF_LOGIN_REQUIRED | CKF_RESTORE_KEY_NOT_NEEDED,
        .ulMaxSessionCount = CMK_SESSIONS_MAX,
        .ulMaxRwSessionCount = CMK_SESSIONS_MAX,
        .ulMaxPinLen = CMK_PIN_MAX,
        .ulMinPinLen = CMK_PIN_MIN,
        .ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulTotalPrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .firmwareVersion = cmk_library_version(),
    };
    bool initialised = !look->slot || look->slot->vault;
    CMK_PAD(out->label, initialised ? look->vault.name : "");
    CMK_PAD(out->manufacturerID, "cmk11");
    CMK_PAD(out->model, "cmk11 vault");
    CMK_PAD(out->serialNumber, initialised ? look->vault.serial : "");
    CMK_PAD(out->utcTime, "");
    if (initialised)
        out->flags |= vault_flags(look);
    if (!look->slot)
        return;
    CMK_WITH_MUTEX(&look->slot->lock);
    out->ulSessionCount = look->slot->sessions;
    out->ulRwSessionCount = look->slot->sessions - look->slot->ro_sessions;
}

static CK_RV token_info(cmk_module *m, CK_SLOT_ID id, CK_TOKEN_INFO *out)
{
    slot_look look;
    if (!out)
        return CKR_ARGUMENTS_BAD;
    CK_RV rv = look_at(m, id, &look);
    if (rv == CKR_OK && look.slot && look.slot->vault)
        rv = cmk_ckr(cmk_vault_get_info(look.slot->vault, &look.vault));
    if (rv == CKR_OK)
        fill_token(&look, out);
    return rv;
}

/* §5.5.3 C_GetTokenInfo */
CK_RV C_GetTokenInfo(CK_SLOT_ID slotID, CK_TOKEN_INFO_PTR pInfo)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, token_info(m, slotID, pInfo)) : rv;
}

static CK_RV wait_for_event(CK_FLAGS flags, const CK_SLOT_ID *slot, const void *reserved)
{
    if (!slot || reserved)
        return CKR_ARGUMENTS_BAD;
    return flags & CKF_DONT_BLOCK ? CKR_NO_EVENT : CKR_FUNCTION_NOT_SUPPORTED;
}

/* §5.5.4 C_WaitForSlotEvent. Tokens don't come and go by themselves. */
CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(__func__, wait_for_event(flags, pSlot, pReserved)) : rv;
}
