#include "pkcs11/kobject.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 64
#define ANY_CLASS ((CK_OBJECT_CLASS)-1) /* token objects are known by their id alone */

typedef struct kindex {
    cmk_kobject **buckets;
    size_t cap, count;
} kindex;

/* A slot's objects that have handles. Guarded by the slot's lock. */
typedef struct cmk_kobjects {
    kindex by_id;              /* all but session objects */
    kindex by_name[CMK_LINKS]; /* session objects */
    cmk_kobject *sessions;     /* the same as a list */
} cmk_kobjects;

/* ---- index ---- */

static bool index_grow(kindex *x, unsigned link)
{
    if (x->count < x->cap)
        return true;
    kindex bigger = {NULL, x->cap ? x->cap * 2 : FIRST_BUCKETS, x->count};
    bigger.buckets = calloc(bigger.cap, sizeof(cmk_kobject *));
    if (!bigger.buckets)
        return false;
    for (size_t i = 0; i < x->cap; i++) {
        for (cmk_kobject *o = x->buckets[i], *next = NULL; o; o = next) {
            cmk_kobject_link *l = &o->links[link];
            cmk_kobject **head = &bigger.buckets[l->hash & (bigger.cap - 1)];
            next = l->next;
            *l = (cmk_kobject_link){l->hash, NULL, *head};
            if (*head)
                (*head)->links[link].prev = o;
            *head = o;
        }
    }
    free(x->buckets);
    *x = bigger;
    return true;
}

static cmk_kobject *index_first(const kindex *x, uint64_t hash)
{
    return x->cap ? x->buckets[hash & (x->cap - 1)] : NULL;
}

/* There is room. */
static void index_add(kindex *x, unsigned link, cmk_kobject *o, uint64_t hash)
{
    cmk_kobject **head = &x->buckets[hash & (x->cap - 1)];
    o->links[link] = (cmk_kobject_link){hash, NULL, *head};
    if (*head)
        (*head)->links[link].prev = o;
    *head = o;
    x->count++;
}

static void index_remove(kindex *x, unsigned link, cmk_kobject *o)
{
    cmk_kobject_link *l = &o->links[link];
    if (l->prev)
        l->prev->links[link].next = l->next;
    else
        x->buckets[l->hash & (x->cap - 1)] = l->next;
    if (l->next)
        l->next->links[link].prev = l->prev;
    x->count--;
}

/* ---- by id ---- */

static const cmk_id *id_of(const cmk_kobject *o)
{
    return o->kind == CMK_KOBJECT_KEK ? cmk_version_id(o->version) : cmk_object_id(o->object);
}

static CK_OBJECT_CLASS key_class(const cmk_kobject *o)
{
    return o->kind == CMK_KOBJECT_KEK ? o->class : ANY_CLASS;
}

/* Ids are random, so that their first bytes are a hash already. */
static uint64_t id_hash(const cmk_id *id, CK_OBJECT_CLASS class)
{
    uint64_t h = 0;
    memcpy(&h, id->b, sizeof(h));
    return h + class;
}

static cmk_kobject *find_by_id(const cmk_kobjects *t, const cmk_id *id, CK_OBJECT_CLASS class)
{
    cmk_kobject *o = t ? index_first(&t->by_id, id_hash(id, class)) : NULL;
    while (o && !(key_class(o) == class && cmk_id_equal(id_of(o), id)))
        o = o->links[CMK_LINK_ID].next;
    return o;
}

/* ---- by name ---- */

static const CK_ATTRIBUTE_TYPE name_types[CMK_LINKS] = {[CMK_LINK_LABEL] = CKA_LABEL, [CMK_LINK_CKA_ID] = CKA_ID};

/* FNV-1a. Names that collide on purpose slow down only the application that chose them. */
static uint64_t name_hash(cmk_bytes name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ name.data[i]) * 0x100000001b3u;
    return h;
}

static void names_add(cmk_kobjects *t, cmk_kobject *o)
{
    for (unsigned i = 0; i < CMK_LINKS; i++) {
        const cmk_attr *a = cmk_attr_find(o->attrs->v, o->attrs->count, name_types[i]);
        index_add(&t->by_name[i], i, o, name_hash(a ? a->value : cmk_bytes_of(NULL, 0)));
    }
}

static void names_remove(cmk_kobjects *t, cmk_kobject *o)
{
    for (unsigned i = 0; i < CMK_LINKS; i++)
        index_remove(&t->by_name[i], i, o);
}

/* ---- both ---- */

static bool make_room(cmk_kobjects *t, const cmk_kobject *o)
{
    if (o->kind != CMK_KOBJECT_SESSION)
        return index_grow(&t->by_id, CMK_LINK_ID);
    bool room = true;
    for (unsigned i = 0; room && i < CMK_LINKS; i++)
        room = index_grow(&t->by_name[i], i);
    return room;
}

static void link_in(cmk_kobjects *t, cmk_kobject *o)
{
    o->listed = true;
    if (o->kind != CMK_KOBJECT_SESSION) {
        index_add(&t->by_id, CMK_LINK_ID, o, id_hash(id_of(o), key_class(o)));
        return;
    }
    names_add(t, o);
    o->next = t->sessions;
    if (o->next)
        o->next->prev = o;
    t->sessions = o;
}

static void link_out(cmk_kobjects *t, cmk_kobject *o)
{
    o->listed = false;
    if (o->kind != CMK_KOBJECT_SESSION) {
        index_remove(&t->by_id, CMK_LINK_ID, o);
        return;
    }
    names_remove(t, o);
    if (o->prev)
        o->prev->next = o->next;
    else
        t->sessions = o->next;
    if (o->next)
        o->next->prev = o->prev;
    o->prev = o->next = NULL;
}

void cmk_objects_slot_free(cmk_slot *slot)
{
    if (slot->objects) {
        free(slot->objects->by_id.buckets);
        for (unsigned i = 0; i < CMK_LINKS; i++)
            free(slot->objects->by_name[i].buckets);
    }
    free(slot->objects);
    slot->objects = NULL;
}

/* ---- life ---- */

static void destroy(cmk_ref *self)
{
    cmk_kobject *o = (cmk_kobject *)self;
    cmk_version_put(o->version);
    cmk_object_put(o->object);
    cmk_attrs_put(o->attrs);
    cmk_secret_clear(&o->value);
    cmk_mutex_destroy(&o->lock);
    free(o);
}

static cmk_kobject *new_kobject(cmk_call *c, cmk_kobject_kind kind, CK_OBJECT_CLASS class, bool is_private)
{
    cmk_kobject *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    cmk_ref_init(&o->ref, destroy);
    cmk_mutex_init(&o->lock, CMK_RANK_LEAF, "object");
    o->kind = kind;
    o->slot = c->s->slot;
    o->class = class;
    o->is_private = is_private;
    return o;
}

void cmk_kobject_put(cmk_kobject *o)
{
    if (o)
        cmk_ref_put(&o->ref);
}

/* Gives o a handle under the slot's lock. A private object whose login ended meanwhile gets none, whoever has logged in
 * since. */
static CK_RV publish(cmk_call *c, cmk_kobject *o)
{
    cmk_slot *slot = o->slot;
    if (o->is_private && !(slot->login && slot->user == CKU_USER))
        return CKR_USER_NOT_LOGGED_IN;
    if (!slot->objects)
        slot->objects = calloc(1, sizeof(*slot->objects));
    if (!slot->objects || !make_room(slot->objects, o))
        return CKR_HOST_MEMORY;
    uint64_t handle = 0;
    cmk_rc rc = cmk_handle_add(c->m->objects, &o->ref, &handle);
    if (rc != CMK_OK)
        return cmk_ckr(rc);
    o->handle = (CK_OBJECT_HANDLE)handle;
    link_in(slot->objects, o);
    return CKR_OK;
}

/* The handle of an object with an id: the one it has, or a new one for fresh, whose reference is taken over either way.
 */
static CK_RV publish_indexed(cmk_call *c, cmk_kobject *fresh, CK_OBJECT_HANDLE *out)
{
    cmk_mutex_lock(&c->s->slot->lock);
    cmk_kobject *there = find_by_id(c->s->slot->objects, id_of(fresh), key_class(fresh));
    CK_RV rv = there ? CKR_OK : publish(c, fresh);
    if (rv == CKR_OK)
        *out = there ? there->handle : fresh->handle;
    cmk_mutex_unlock(&c->s->slot->lock);
    if (there || rv != CKR_OK)
        cmk_kobject_put(fresh);
    return rv;
}

static bool handle_of(cmk_call *c, const cmk_id *id, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out)
{
    CMK_WITH_MUTEX(&c->s->slot->lock);
    const cmk_kobject *o = find_by_id(c->s->slot->objects, id, class);
    if (o)
        *out = o->handle;
    return o != NULL;
}

CK_RV cmk_kobject_of_version(cmk_call *c, cmk_version *version, CK_OBJECT_CLASS class, CK_SESSION_HANDLE made_by,
                             CK_OBJECT_HANDLE *out)
{
    if (handle_of(c, cmk_version_id(version), class, out))
        return CKR_OK;
    cmk_kobject *o = new_kobject(c, CMK_KOBJECT_KEK, class, class == CKO_PRIVATE_KEY);
    if (!o)
        return CKR_HOST_MEMORY;
    o->version = cmk_version_take(version);
    o->owner = made_by;
    return publish_indexed(c, o, out);
}

CK_RV cmk_kobject_of_object(cmk_call *c, cmk_object *object, CK_OBJECT_HANDLE *out)
{
    if (handle_of(c, cmk_object_id(object), ANY_CLASS, out))
        return CKR_OK;
    cmk_kobject *o = new_kobject(c, CMK_KOBJECT_TOKEN, ANY_CLASS, cmk_object_is_private(object));
    if (!o)
        return CKR_HOST_MEMORY;
    o->object = cmk_object_take(object);
    return publish_indexed(c, o, out);
}

CK_RV cmk_kobject_new(cmk_call *c, CK_OBJECT_CLASS class, cmk_attrs *attrs, cmk_secret *value, CK_OBJECT_HANDLE *out)
{
    bool is_private = cmk_attrs_true(attrs, class, CKA_PRIVATE);
    cmk_kobject *o = new_kobject(c, CMK_KOBJECT_SESSION, class, is_private);
    if (!o) {
        cmk_attrs_put(attrs);
        return CKR_HOST_MEMORY;
    }
    o->attrs = attrs;
    o->owner = c->s->handle;
    o->value = *value;
    *value = (cmk_secret)CMK_SECRET_INIT;
    cmk_mutex_lock(&o->slot->lock);
    /* A session that another thread is closing has had its objects destroyed already. */
    CK_RV rv = c->s->closed ? CKR_SESSION_CLOSED : publish(c, o);
    if (rv == CKR_OK)
        *out = o->handle;
    cmk_mutex_unlock(&o->slot->lock);
    if (rv != CKR_OK)
        cmk_kobject_put(o);
    return rv;
}

CK_RV cmk_kobject_get(cmk_call *c, CK_OBJECT_HANDLE handle, cmk_kobject **out)
{
    cmk_kobject *o = (cmk_kobject *)cmk_handle_get(c->m->objects, handle);
    if (!o)
        return CKR_OBJECT_HANDLE_INVALID;
    if (o->slot != c->s->slot) {
        cmk_kobject_put(o);
        return CKR_OBJECT_HANDLE_INVALID;
    }
    *out = o;
    return CKR_OK;
}

CK_RV cmk_kobject_open(cmk_call *c, CK_OBJECT_HANDLE handle, cmk_kobject **out)
{
    CK_RV rv = cmk_kobject_get(c, handle, out);
    if (rv != CKR_OK || !(*out)->is_private || cmk_call_user(c))
        return rv;
    cmk_kobject_put(*out);
    *out = NULL;
    return CKR_OBJECT_HANDLE_INVALID;
}

/* Takes o's handle back; the slot is locked. The reference that the table had is the caller's. */
static cmk_ref *retire(cmk_module *m, cmk_kobject *o)
{
    cmk_ref *ref = cmk_handle_remove(m->objects, o->handle);
    if (ref)
        link_out(o->slot->objects, o);
    return ref;
}

void cmk_kobject_kill(cmk_module *m, cmk_kobject *o)
{
    cmk_slot *slot = o->slot;
    cmk_mutex_lock(&slot->lock);
    cmk_ref *ref = retire(m, o);
    cmk_mutex_unlock(&slot->lock);
    cmk_ref_put(ref);
}

cmk_kobject *cmk_kobject_sibling(cmk_module *m, cmk_kobject *o)
{
    CMK_WITH_MUTEX(&o->slot->lock);
    CK_OBJECT_CLASS other = o->class == CKO_PRIVATE_KEY ? CKO_PUBLIC_KEY : CKO_PRIVATE_KEY;
    const cmk_kobject *sibling = find_by_id(o->slot->objects, id_of(o), other);
    return sibling ? (cmk_kobject *)cmk_handle_get(m->objects, sibling->handle) : NULL;
}

/* Objects taken out of the slot wait in a chain until no lock is held: their last reference may free a lot. */
static void put_all(cmk_kobject *gone)
{
    while (gone) {
        cmk_kobject *next = gone->chain;
        gone->chain = NULL;
        cmk_kobject_put(gone);
        gone = next;
    }
}

static void retire_to(cmk_module *m, cmk_kobject *o, cmk_kobject **gone)
{
    if (retire(m, o)) {
        o->chain = *gone;
        *gone = o;
    }
}

void cmk_objects_close_session(cmk_module *m, cmk_session *s)
{
    cmk_kobject *gone = NULL;
    cmk_mutex_lock(&s->slot->lock);
    for (cmk_kobject *o = s->slot->objects ? s->slot->objects->sessions : NULL, *next = NULL; o; o = next) {
        next = o->next;
        if (o->owner == s->handle)
            retire_to(m, o, &gone);
    }
    cmk_mutex_unlock(&s->slot->lock);
    put_all(gone);
}

void cmk_objects_logout(cmk_module *m, cmk_slot *slot)
{
    cmk_kobject *gone = NULL;
    cmk_mutex_lock(&slot->lock);
    cmk_kobjects *t = slot->objects;
    for (cmk_kobject *o = t ? t->sessions : NULL, *next = NULL; o; o = next) {
        next = o->next;
        if (o->is_private)
            retire_to(m, o, &gone);
    }
    for (size_t i = 0; t && i < t->by_id.cap; i++) {
        for (cmk_kobject *o = t->by_id.buckets[i], *next = NULL; o; o = next) {
            next = o->links[CMK_LINK_ID].next;
            if (o->is_private)
                retire_to(m, o, &gone);
        }
    }
    for (cmk_kobject *o = gone; o; o = o->chain)
        atomic_store(&o->logged_out, true);
    cmk_mutex_unlock(&slot->lock);
    put_all(gone);
}

bool cmk_kobject_replace(cmk_kobject *o, const cmk_attrs *old, cmk_attrs *attrs)
{
    cmk_kobjects *t = o->slot->objects;
    cmk_mutex_lock(&o->slot->lock);
    cmk_mutex_lock(&o->lock);
    cmk_attrs *before = o->attrs;
    bool same = before == old;
    if (same && o->listed)
        names_remove(t, o);
    if (same)
        o->attrs = attrs;
    if (same && o->listed)
        names_add(t, o); /* in the room that it had */
    cmk_mutex_unlock(&o->lock);
    cmk_mutex_unlock(&o->slot->lock);
    cmk_attrs_put(same ? before : attrs);
    return same;
}

/* The first session object that t may mean; *link is how to go on, CMK_LINKS: along the list of all. */
static cmk_kobject *first_session(const cmk_kobjects *t, const cmk_template *names, unsigned *link)
{
    for (*link = CMK_LINKS; t && (*link)-- > 0;) {
        const cmk_attr *a = cmk_template_find(names, name_types[*link]);
        if (a)
            return index_first(&t->by_name[*link], name_hash(a->value));
    }
    *link = CMK_LINKS;
    return t ? t->sessions : NULL;
}

CK_RV cmk_kobject_session_handles(cmk_call *c, const cmk_template *t, bool (*visit)(void *ctx, cmk_kobject *o),
                                  void *ctx, CK_OBJECT_HANDLE **out, size_t *n)
{
    CMK_WITH_MUTEX(&c->s->slot->lock);
    size_t room = 0;
    unsigned link = CMK_LINKS;
    *n = 0;
    *out = NULL;
    cmk_kobject *o = first_session(c->s->slot->objects, t, &link);
    for (; o; o = link == CMK_LINKS ? o->next : o->links[link].next) {
        if (!visit(ctx, o))
            continue;
        if (*n == room) {
            room = room ? room * 2 : 16;
            CK_OBJECT_HANDLE *more = reallocarray(*out, room, sizeof(*more));
            if (!more)
                return CKR_HOST_MEMORY;
            *out = more;
        }
        (*out)[(*n)++] = o->handle;
    }
    return CKR_OK;
}
