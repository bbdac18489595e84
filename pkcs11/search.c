/* PKCS#11 v3.0 §5.7, searching. What a search finds is decided at C_FindObjectsInit; handles are made as they are
 * fetched, so that a search through many keys costs no handle for each. */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/kobject.h"

/* One result: a session object's handle, one half of a version, or a token object. */
typedef struct found {
    CK_OBJECT_HANDLE handle;
    cmk_version *version;
    CK_OBJECT_CLASS class;
    cmk_object *object;
} found;

struct cmk_search {
    found *items;
    size_t count, cap, next;
};

/* Candidates, which the token layer visits while it holds locks: only references are taken then. */
typedef struct candidates {
    cmk_version **versions;
    size_t version_count, version_cap;
    cmk_object **objects;
    size_t object_count, object_cap;
} candidates;

static bool grow(void **array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 8;
    void *bigger = reallocarray(*array, more, size);
    if (!bigger)
        return false;
    *array = bigger;
    *cap = more;
    return true;
}

static void put_found(found *f)
{
    cmk_version_put(f->version);
    cmk_object_put(f->object);
}

void cmk_search_free(cmk_search *search)
{
    if (!search)
        return;
    for (size_t i = search->next; i < search->count; i++)
        put_found(&search->items[i]);
    free(search->items);
    free(search);
}

static CK_RV add(cmk_search *s, found f)
{
    void *items = s->items;
    if (!grow(&items, &s->cap, s->count, sizeof(found)))
        return CKR_HOST_MEMORY;
    s->items = items;
    if (f.version)
        (void)cmk_version_take(f.version);
    if (f.object)
        (void)cmk_object_take(f.object);
    s->items[s->count++] = f;
    return CKR_OK;
}

static cmk_rc collect_version(void *ctx, cmk_version *version)
{
    candidates *all = ctx;
    void *array = all->versions;
    if (!grow(&array, &all->version_cap, all->version_count, sizeof(cmk_version *)))
        return CMK_E_NO_MEMORY;
    all->versions = array;
    all->versions[all->version_count++] = cmk_version_take(version);
    return CMK_OK;
}

static cmk_rc collect_object(void *ctx, cmk_object *object)
{
    candidates *all = ctx;
    void *array = all->objects;
    if (!grow(&array, &all->object_cap, all->object_count, sizeof(cmk_object *)))
        return CMK_E_NO_MEMORY;
    all->objects = array;
    all->objects[all->object_count++] = cmk_object_take(object);
    return CMK_OK;
}

static void candidates_free(candidates *all)
{
    for (size_t i = 0; i < all->version_count; i++)
        cmk_version_put(all->versions[i]);
    for (size_t i = 0; i < all->object_count; i++)
        cmk_object_put(all->objects[i]);
    free(all->versions);
    free(all->objects);
}

/* ---- KEKs ---- */

/* Does the template name what tells versions of a key apart? Then all versions are in view, else the current ones. */
static bool names_versions(const cmk_template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->attrs[i].row && (t->attrs[i].row->flags & CMK_ROW_ALL_VERSIONS))
            return true;
    }
    return cmk_template_bool(t, CKA_CMK_ALL_VERSIONS, false);
}

static cmk_rc find_one(cmk_vault *vault, cmk_version_by by, cmk_bytes value, candidates *all)
{
    cmk_version *version = NULL;
    if (value.len == 0)
        return CMK_OK;
    cmk_rc rc = cmk_version_find(vault, by, value, &version);
    if (rc == CMK_OK)
        rc = collect_version(all, version);
    cmk_version_put(version);
    return rc == CMK_E_NOT_FOUND ? CMK_OK : rc;
}

typedef struct id_list {
    cmk_id *ids;
    size_t count, cap;
} id_list;

static cmk_rc collect_id(void *ctx, const cmk_version_info *version)
{
    id_list *list = ctx;
    void *ids = list->ids;
    if (!grow(&ids, &list->cap, list->count, sizeof(cmk_id)))
        return CMK_E_NO_MEMORY;
    list->ids = ids;
    list->ids[list->count++] = version->id;
    return CMK_OK;
}

static cmk_rc versions_of_key(cmk_vault *vault, cmk_bytes name, candidates *all)
{
    cmk_key_info *key = malloc(sizeof(*key));
    id_list list = {NULL, 0, 0};
    if (!key)
        return CMK_E_NO_MEMORY;
    cmk_rc rc = cmk_key_find(vault, name, false, key);
    if (rc == CMK_OK)
        rc = cmk_key_versions(vault, &key->id, collect_id, &list);
    for (size_t i = 0; rc == CMK_OK && i < list.count; i++)
        rc = find_one(vault, CMK_BY_VERSION_ID, cmk_bytes_of(list.ids[i].b, CMK_ID_SIZE), all);
    free(list.ids);
    free(key);
    return rc == CMK_E_NOT_FOUND ? CMK_OK : rc;
}

/* The versions that may match: by an index where the template names something that has one. */
static cmk_rc kek_candidates(cmk_vault *vault, const cmk_template *t, candidates *all)
{
    cmk_id id;
    bool versions = names_versions(t);
    const cmk_attr *unique = cmk_template_find(t, CKA_UNIQUE_ID), *label = cmk_template_find(t, CKA_LABEL);
    if (unique) {
        if (cmk_unhex((const char *)unique->value.data, unique->value.len, id.b, sizeof(id.b)) != CMK_OK)
            return CMK_OK;
        return find_one(vault, CMK_BY_VERSION_ID, cmk_bytes_of(id.b, sizeof(id.b)), all);
    }
    if (cmk_template_find(t, CKA_ID))
        return find_one(vault, CMK_BY_CKA_ID, cmk_template_bytes(t, CKA_ID), all);
    if (cmk_template_find(t, CKA_MODULUS))
        return find_one(vault, CMK_BY_MODULUS, cmk_template_bytes(t, CKA_MODULUS), all);
    if (label && label->value.len == 0)
        return CMK_OK;
    if (label)
        return versions ? versions_of_key(vault, label->value, all)
                        : find_one(vault, CMK_BY_KEY_NAME, label->value, all);
    return cmk_version_each(vault, versions, collect_version, all);
}

static bool kek_matches(const cmk_kek_view *kek, const cmk_template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const cmk_attr *a = &t->attrs[i];
        cmk_value v;
        if (a->type == CKA_CMK_ALL_VERSIONS)
            continue;
        if (!a->row || !a->row->kek || !(a->row->classes & cmk_class_bit(kek->class)) || !a->row->kek(kek, &v) ||
            !cmk_bytes_equal(v.view, a->value))
            return false;
    }
    return true;
}

static CK_RV match_version(cmk_version *version, bool user, const cmk_template *t, cmk_search *s)
{
    static const CK_OBJECT_CLASS halves[] = {CKO_PUBLIC_KEY, CKO_PRIVATE_KEY};
    cmk_version_info info;
    CK_RV rv = CKR_OK;
    cmk_rc rc = cmk_version_get_info(version, &info);
    if (rc != CMK_OK)
        return rc == CMK_E_NOT_FOUND ? CKR_OK : cmk_ckr(rc);
    for (size_t i = 0; rv == CKR_OK && i < (user ? 2 : 1); i++) {
        const cmk_kek_view kek = {halves[i], version, &info};
        if (kek_matches(&kek, t))
            rv = add(s, (found){.version = version, .class = halves[i]});
    }
    return rv;
}

/* Looks at what all KEKs have in common, so that a search for something else does not read them all. */
static bool may_mean_keks(const cmk_template *t)
{
    CK_OBJECT_CLASS class = cmk_template_ulong(t, CKA_CLASS, CKO_PUBLIC_KEY);
    for (size_t i = 0; i < t->count; i++) {
        const cmk_attr *a = &t->attrs[i];
        if (a->type != CKA_CMK_ALL_VERSIONS && !(a->row && a->row->kek))
            return false;
    }
    return (class == CKO_PUBLIC_KEY || class == CKO_PRIVATE_KEY) &&
           cmk_template_ulong(t, CKA_KEY_TYPE, CKK_RSA) == CKK_RSA && !cmk_template_bool(t, CKA_CMK_DELETED, false);
}

static CK_RV search_keks(cmk_call *c, const cmk_template *t, cmk_search *s)
{
    candidates all = {0};
    if (!may_mean_keks(t))
        return CKR_OK;
    bool user = cmk_call_user(c) != NULL;
    cmk_rc rc = kek_candidates(c->s->slot->vault, t, &all);
    CK_RV rv = rc == CMK_OK ? CKR_OK : cmk_ckr(rc);
    for (size_t i = 0; rv == CKR_OK && i < all.version_count; i++)
        rv = match_version(all.versions[i], user, t, s);
    candidates_free(&all);
    return rv;
}

/* ---- token objects ---- */

static CK_RV match_object(cmk_call *c, cmk_object *object, const cmk_template *t, cmk_search *s)
{
    CMK_LOOK_AUTO look = {0};
    /* A stand-in: a handle is made only when the application fetches it. */
    cmk_kobject o = {.kind = CMK_KOBJECT_TOKEN, .slot = c->s->slot, .object = object};
    o.is_private = cmk_object_is_private(object);
    CK_RV rv = cmk_look_begin(c, &o, &look);
    if (rv != CKR_OK)
        return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
    return cmk_look_matches(c, &look, t) ? add(s, (found){.object = object}) : CKR_OK;
}

static CK_RV search_objects(cmk_call *c, const cmk_template *t, cmk_search *s)
{
    candidates all = {0};
    const cmk_attr *id = cmk_template_find(t, CKA_ID), *label = cmk_template_find(t, CKA_LABEL);
    const cmk_attr *key = id ? id : label;
    cmk_object_by by = {.label = !id};
    if (key)
        by.value = key->value;
    if (cmk_template_ulong(t, CKA_CLASS, CKO_DATA) == CKO_PRIVATE_KEY)
        return CKR_OK;
    cmk_rc rc = cmk_object_each(c->s->slot->vault, cmk_call_user(c), key && key->value.len > 0 ? &by : NULL,
                                collect_object, &all);
    CK_RV rv = rc == CMK_OK ? CKR_OK : cmk_ckr(rc);
    for (size_t i = 0; rv == CKR_OK && i < all.object_count; i++)
        rv = match_object(c, all.objects[i], t, s);
    candidates_free(&all);
    return rv;
}

/* ---- session objects ---- */

typedef struct session_search {
    cmk_call *c;
    const cmk_template *t;
    bool user;
} session_search;

static bool match_session(void *ctx, cmk_kobject *o)
{
    session_search *q = ctx;
    CMK_LOOK_AUTO look = {0};
    CK_RV rv = cmk_look_begin(q->c, o, &look);
    return rv == CKR_OK && (q->user || !o->is_private) && cmk_look_matches(q->c, &look, q->t);
}

static CK_RV search_session(cmk_call *c, const cmk_template *t, cmk_search *s)
{
    CK_OBJECT_HANDLE *handles = NULL;
    size_t n = 0;
    session_search q = {c, t, cmk_call_user(c) != NULL};
    CK_RV rv = cmk_kobject_session_handles(c, t, match_session, &q, &handles, &n);
    for (size_t i = 0; rv == CKR_OK && i < n; i++)
        rv = add(s, (found){.handle = handles[i]});
    free(handles);
    return rv;
}

static CK_RV search_all(cmk_call *c, const cmk_template *t, cmk_search *s)
{
    const cmk_attr *token = cmk_template_find(t, CKA_TOKEN);
    bool on_token = !token || cmk_value_is_true(token->value);
    bool in_session = !token || !cmk_value_is_true(token->value);
    CK_RV rv = CKR_OK;
    if (on_token)
        rv = search_keks(c, t, s);
    if (rv == CKR_OK && on_token)
        rv = search_objects(c, t, s);
    if (rv == CKR_OK && in_session)
        rv = search_session(c, t, s);
    return rv;
}

/* ---- entry points ---- */

static bool active(cmk_session *s)
{
    CMK_WITH_MUTEX(&s->lock);
    return s->search != NULL;
}

static CK_RV begin(cmk_call *c, const cmk_template *t)
{
    if (active(c->s))
        return CKR_OPERATION_ACTIVE;
    cmk_search *s = calloc(1, sizeof(*s));
    if (!s)
        return CKR_HOST_MEMORY;
    CK_RV rv = search_all(c, t, s);
    cmk_mutex_lock(&c->s->lock);
    if (rv == CKR_OK && c->s->search)
        rv = CKR_OPERATION_ACTIVE;
    if (rv == CKR_OK) {
        c->s->search = s;
        s = NULL;
    }
    cmk_mutex_unlock(&c->s->lock);
    cmk_search_free(s);
    return rv;
}

/* PKCS#11 v3.0 §5.7.7 C_FindObjectsInit */
CK_RV C_FindObjectsInit(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
    cmk_call c;
    CMK_TEMPLATE_AUTO t = {0};
    cmk_template_init(&t);
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = cmk_template_copy(pTemplate, ulCount, &t);
    if (rv == CKR_OK)
        rv = begin(&c, &t);
    return cmk_call_end(&c, __func__, rv);
}

/* Takes the next result out of the search, with its references. */
static CK_RV next(cmk_session *session, found *out, bool *end)
{
    CMK_WITH_MUTEX(&session->lock);
    cmk_search *s = session->search;
    if (!s)
        return CKR_OPERATION_NOT_INITIALIZED;
    *end = s->next == s->count;
    if (!*end)
        *out = s->items[s->next++];
    return CKR_OK;
}

static CK_RV handle_of(cmk_call *c, const found *f, CK_OBJECT_HANDLE *out)
{
    if (f->version)
        return cmk_kobject_of_version(c, f->version, f->class, 0, out);
    if (f->object)
        return cmk_kobject_of_object(c, f->object, out);
    *out = f->handle;
    return CKR_OK;
}

static CK_RV fetch(cmk_call *c, CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)
{
    bool end = false;
    found f = {0};
    CK_ULONG n = 0;
    if (!count || (!objects && max > 0))
        return CKR_ARGUMENTS_BAD;
    if (max == 0) {
        *count = 0;
        return active(c->s) ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
    }
    while (n < max) {
        CK_RV rv = next(c->s, &f, &end);
        if (rv != CKR_OK)
            return rv;
        if (end)
            break;
        rv = handle_of(c, &f, &objects[n]);
        put_found(&f);
        if (rv == CKR_OK)
            n++;
        else if (rv != CKR_USER_NOT_LOGGED_IN) /* somebody logged out: what was private is out of view */
            return rv;
    }
    *count = n;
    return CKR_OK;
}

/* PKCS#11 v3.0 §5.7.8 C_FindObjects */
CK_RV C_FindObjects(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE_PTR phObject, CK_ULONG ulMaxObjectCount,
                    CK_ULONG_PTR pulObjectCount)
{
    cmk_call c;
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK)
        rv = fetch(&c, phObject, ulMaxObjectCount, pulObjectCount);
    return cmk_call_end(&c, __func__, rv);
}

/* PKCS#11 v3.0 §5.7.9 C_FindObjectsFinal */
CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE hSession)
{
    cmk_call c;
    cmk_search *search = NULL;
    CK_RV rv = cmk_call_begin(&c, hSession);
    if (rv == CKR_OK) {
        cmk_mutex_lock(&c.s->lock);
        search = c.s->search;
        c.s->search = NULL;
        cmk_mutex_unlock(&c.s->lock);
        rv = search ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
    }
    cmk_search_free(search);
    return cmk_call_end(&c, __func__, rv);
}
