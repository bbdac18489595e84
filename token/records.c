/* The codec of docs/decisions/0001: one table of fields a record type, one encoder and one decoder that walk it. */
#include "token/records.h"

#include <string.h>

#include "util/clock.h"

#define FORMAT_1 1

typedef struct kind_row {
    cmk_kind kind;
    cmk_tree_id tree;
    const char *name;
} kind_row;

static const kind_row kinds[] = {
    {CMK_KIND_ROOT, CMK_TREE_NONE, "root"},
    {CMK_KIND_NODE, CMK_TREE_NONE, "node"},
    {CMK_KIND_BUCKET, CMK_TREE_NONE, "bucket"},
    {CMK_KIND_VAULT, CMK_TREE_ADMIN, "vault"},
    {CMK_KIND_PRINCIPAL, CMK_TREE_ADMIN, "principal"},
    {CMK_KIND_SEALED, CMK_TREE_ADMIN, "sealed keys"},
    {CMK_KIND_CREDENTIAL, CMK_TREE_NONE, "credential"},
    {CMK_KIND_KEY, CMK_TREE_OFFICER, "key"},
    {CMK_KIND_VERSION, CMK_TREE_OFFICER, "version"},
    {CMK_KIND_KEYKEY, CMK_TREE_OFFICER, "key key"},
    {CMK_KIND_MATERIAL, CMK_TREE_NONE, "material"},
    {CMK_KIND_CERTIFICATE, CMK_TREE_NONE, "certificate"},
    {CMK_KIND_OBJECT, CMK_TREE_OBJECT, "object"},
};

static const kind_row *kind_find(cmk_kind kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].kind == kind)
            return &kinds[i];
    return NULL;
}

cmk_tree_id cmk_kind_tree(cmk_kind kind)
{
    const kind_row *row = kind_find(kind);
    return row ? row->tree : CMK_TREE_NONE;
}

const char *cmk_kind_name(cmk_kind kind)
{
    const kind_row *row = kind_find(kind);
    return row ? row->name : "unknown";
}

typedef enum field_type {
    F_CONST, /* one byte that is always min; not in the structure */
    F_U8,    /* min … max */
    F_U32,
    F_U64,
    F_ID,    /* 16 bytes */
    F_RAW,   /* 32 bytes */
    F_RAW_S, /* 32 bytes as str */
    F_STR,   /* str of min … max bytes */
    F_REST   /* the rest of the body, min … max bytes; last */
} field_type;

enum { RAW_SIZE = 32 };

typedef struct field {
    const char *name;
    field_type type;
    size_t offset;
    uint64_t min, max;
} field;

typedef struct layout {
    const char *name;
    uint8_t format;
    size_t size;
    const field *fields;
    size_t count;
} layout;

/* Times fit into int64_t, so that nobody needs to look when converting. */
#define TIME_MAX ((uint64_t)INT64_MAX)
#define BLOB_MAX ((uint64_t)CMK_RECORD_BODY_MAX)

#define U8(member, low, high)                                                                                          \
    {                                                                                                                  \
#member, F_U8, offsetof(REC, member), (low), (high)                                                            \
    }
#define BOOL(member) U8(member, 0, 1)
#define U32(member, low, high)                                                                                         \
    {                                                                                                                  \
#member, F_U32, offsetof(REC, member), (low), (high)                                                           \
    }
#define U64(member, high)                                                                                              \
    {                                                                                                                  \
#member, F_U64, offsetof(REC, member), 0, (high)                                                               \
    }
#define TIME(member) U64(member, TIME_MAX)
#define ID(member)                                                                                                     \
    {                                                                                                                  \
#member, F_ID, offsetof(REC, member), 0, 0                                                                     \
    }
#define RAW(member)                                                                                                    \
    {                                                                                                                  \
#member, F_RAW, offsetof(REC, member), 0, 0                                                                    \
    }
#define RAW_S(member)                                                                                                  \
    {                                                                                                                  \
#member, F_RAW_S, offsetof(REC, member), 0, 0                                                                  \
    }
#define STR(member, low, high)                                                                                         \
    {                                                                                                                  \
#member, F_STR, offsetof(REC, member), (low), (high)                                                           \
    }
#define REST(member, low, high)                                                                                        \
    {                                                                                                                  \
#member, F_REST, offsetof(REC, member), (low), (high)                                                          \
    }
#define CONST(what, value)                                                                                             \
    {                                                                                                                  \
        what, F_CONST, 0, (value), (value)                                                                             \
    }
#define OPS_ALL ((uint64_t)(CMK_OP_WRAP | CMK_OP_UNWRAP | CMK_OP_DECRYPT))

#define REC cmk_vault_rec
static const field vault_fields[] = {
    ID(id),
    STR(name, 1, CMK_VAULT_NAME_MAX),
    STR(serial, CMK_SERIAL_BYTES, CMK_SERIAL_BYTES),
    U32(slot, 0, UINT32_MAX - 1),
    U8(state, CMK_VAULT_LIVE, CMK_VAULT_DELETED),
    TIME(created),
    TIME(changed),
    TIME(deleted_at),
    TIME(purge_at),
    ID(changed_by),
    U32(retention_days, CMK_RETENTION_DAYS_MIN, CMK_RETENTION_DAYS_MAX),
    BOOL(purge_protection),
    BOOL(wrap_without_login),
    BOOL(dual_control),
    BOOL(show_certificates),
    U32(allow_ops, 0, OPS_ALL),
    U32(audit_sync, 0, 1),
    U32(pin_attempts, 1, 1000),
    U32(pin_backoff_s, 0, UINT32_MAX),
    U32(admin_generation, 1, UINT32_MAX),
    U32(officer_generation, 1, UINT32_MAX),
    U32(vault_key_generation, 1, UINT32_MAX),
    U32(object_key_generation, 1, UINT32_MAX),
    RAW(admin_first),
    RAW(admin_public),
    RAW(officer_public),
    STR(succession, 0, 65536),
};
#undef REC

#define REC cmk_principal_rec
static const field principal_fields[] = {
    ID(id),
    STR(name, 1, CMK_PRINCIPAL_NAME_MAX),
    U8(role, CMK_ROLE_ADMIN, CMK_ROLE_COUNT - 1),
    U8(state, CMK_PRINCIPAL_ACTIVE, CMK_PRINCIPAL_REMOVED),
    TIME(created),
    TIME(changed),
    TIME(expires),
    ID(created_by),
    ID(changed_by),
    BOOL(limited),
    RAW(x25519_public),
    RAW(log_public),
    U64(min_credential, TIME_MAX),
};
#undef REC

#define REC cmk_credential_rec
static const field credential_fields[] = {
    CONST("kdf", 1),
    {"kdf.log2n", F_U8, offsetof(REC, kdf.log2n), 1, 63},
    {"kdf.r", F_U32, offsetof(REC, kdf.r), 1, UINT32_MAX},
    {"kdf.p", F_U32, offsetof(REC, kdf.p), 1, UINT32_MAX},
    RAW_S(kdf.salt),
    U8(host_secret_kind, 1, 1),
    STR(host_secret_ref, 0, 1024),
    RAW(x25519_public),
    RAW(log_public),
    RAW(commitment),
    REST(blob, 0, 1024),
};
#undef REC

#define REC cmk_key_rec
static const field key_fields[] = {
    ID(id),
    STR(name, 1, CMK_KEY_NAME_MAX),
    BOOL(enabled),
    TIME(created),
    TIME(changed),
    TIME(deleted_at),
    TIME(purge_at),
    ID(created_by),
    ID(changed_by),
    U32(current, 0, UINT32_MAX),
    U32(versions, 0, CMK_VERSIONS_MAX),
    U32(last_number, 0, UINT32_MAX),
    U32(ops, 0, OPS_ALL),
    U32(keykey_generation, 1, UINT32_MAX),
    TIME(rotate_every),
    TIME(rotate_before_expiry),
    TIME(expires_in),
    STR(tags, 0, (uint64_t)CMK_TAGS_MAX *(8 + CMK_TAG_NAME_MAX + CMK_TAG_VALUE_MAX)),
};
#undef REC

#define REC cmk_version_rec
static const field version_fields[] = {
    ID(key),
    ID(id),
    U32(number, 1, UINT32_MAX),
    U8(origin, CMK_ORIGIN_GENERATED, CMK_ORIGIN_IMPORTED),
    BOOL(enabled),
    TIME(created),
    TIME(changed),
    TIME(not_before),
    TIME(expires),
    ID(created_by),
    ID(changed_by),
    U32(bits, 1024, 16384),
    STR(modulus, 128, 2048),
    STR(exponent, 1, 256),
    STR(cka_id, 0, CMK_CKA_ID_MAX),
    U32(mechanisms, 0, 3),
    U32(keykey_generation, 1, UINT32_MAX),
    RAW(material_hash),
    RAW(certificate_hash),
};
#undef REC

#define REC cmk_object_rec
static const field object_fields[] = {
    ID(id),
    BOOL(is_private),
    TIME(created),
    TIME(changed),
    ID(author),
    U32(object_key_generation, 1, UINT32_MAX),
    STR(attributes, 0, BLOB_MAX),
    STR(blob, 0, BLOB_MAX),
    STR(signature, 0, CMK_CURVE_KEY_SIZE + CMK_SIGNATURE_SIZE),
};
#undef REC

static void encode_field(const field *f, const uint8_t *at, cmk_buf *out)
{
    uint32_t u32;
    uint64_t u64;
    cmk_bytes view;
    switch (f->type) {
    case F_CONST:
        cmk_buf_u8(out, (uint8_t)f->min);
        break;
    case F_U8:
        cmk_buf_u8(out, *at);
        break;
    case F_U32:
        memcpy(&u32, at, sizeof(u32));
        cmk_buf_u32(out, u32);
        break;
    case F_U64:
        memcpy(&u64, at, sizeof(u64));
        cmk_buf_u64(out, u64);
        break;
    case F_ID:
        cmk_buf_add(out, at, CMK_ID_SIZE);
        break;
    case F_RAW:
        cmk_buf_add(out, at, RAW_SIZE);
        break;
    case F_RAW_S:
        cmk_buf_str(out, cmk_bytes_of(at, RAW_SIZE));
        break;
    case F_STR:
        memcpy(&view, at, sizeof(view));
        cmk_buf_str(out, view);
        break;
    case F_REST:
        memcpy(&view, at, sizeof(view));
        cmk_buf_add(out, view.data, view.len);
        break;
    }
}

static void encode(const layout *l, const void *rec, cmk_buf *out)
{
    cmk_buf_u8(out, l->format);
    for (size_t i = 0; i < l->count; i++)
        encode_field(&l->fields[i], (const uint8_t *)rec + l->fields[i].offset, out);
}

/* A number: read by the width of its type, checked against the row, stored in that width. */
static bool decode_number(const field *f, cmk_reader *r, uint8_t *at)
{
    uint64_t v = 0;
    if (f->type == F_U64) {
        v = cmk_read_u64(r);
        memcpy(at, &v, sizeof(v));
    } else if (f->type == F_U32) {
        uint32_t u32 = cmk_read_u32(r);
        memcpy(at, &u32, sizeof(u32));
        v = u32;
    } else {
        uint8_t u8 = cmk_read_u8(r);
        if (f->type == F_U8)
            *at = u8;
        v = u8;
    }
    return v >= f->min && v <= f->max;
}

static bool decode_field(const field *f, cmk_reader *r, uint8_t *at)
{
    cmk_bytes view;
    switch (f->type) {
    case F_CONST:
    case F_U8:
    case F_U32:
    case F_U64:
        return decode_number(f, r, at);
    case F_ID:
        cmk_read_raw(r, at, CMK_ID_SIZE);
        return true;
    case F_RAW:
        cmk_read_raw(r, at, RAW_SIZE);
        return true;
    case F_RAW_S:
        view = cmk_read_str(r, RAW_SIZE);
        if (view.len != RAW_SIZE)
            return false;
        memcpy(at, view.data, RAW_SIZE);
        return true;
    case F_STR:
    case F_REST:
        view = f->type == F_STR ? cmk_read_str(r, (size_t)f->max) : cmk_read_view(r, r->left);
        memcpy(at, &view, sizeof(view));
        return view.len >= f->min && view.len <= f->max;
    }
    return false;
}

static cmk_rc decode(const layout *l, cmk_bytes body, void *rec)
{
    cmk_reader r = cmk_reader_of(body);
    memset(rec, 0, l->size);
    uint8_t format = cmk_read_u8(&r);
    if (format != l->format)
        return cmk_fail(CMK_E_FORMAT, "%s record of format %u: this release reads format %u", l->name, format,
                        l->format);
    for (size_t i = 0; i < l->count; i++)
        if (!decode_field(&l->fields[i], &r, (uint8_t *)rec + l->fields[i].offset) || r.failed)
            return cmk_fail(CMK_E_FORMAT, "%s record: field %s is cut off or out of range", l->name, l->fields[i].name);
    if (cmk_reader_end(&r) != CMK_OK)
        return cmk_fail(CMK_E_FORMAT, "%s record: bytes after its last field", l->name);
    return CMK_OK;
}

#define CODEC(type)                                                                                                    \
    static const layout type##_layout = {#type, FORMAT_1, sizeof(cmk_##type##_rec), type##_fields,                     \
                                         sizeof(type##_fields) / sizeof(type##_fields[0])};                            \
    void cmk_##type##_rec_encode(const cmk_##type##_rec *rec, cmk_buf *out)                                            \
    {                                                                                                                  \
        encode(&type##_layout, rec, out);                                                                              \
    }                                                                                                                  \
    cmk_rc cmk_##type##_rec_decode(cmk_bytes body, cmk_##type##_rec *rec)                                              \
    {                                                                                                                  \
        return decode(&type##_layout, body, rec);                                                                      \
    }
CODEC(vault)
CODEC(principal)
CODEC(credential)
CODEC(key)
CODEC(version)
CODEC(object)

uint64_t cmk_record_time(void)
{
    int64_t now = cmk_now();
    return now > 0 ? (uint64_t)now : 0;
}

cmk_record_key cmk_rkey(const cmk_id *vault, cmk_kind kind, const void *id, size_t id_len)
{
    cmk_record_key key = {.vault = *vault, .kind = (uint8_t)kind};
    if (id_len > CMK_RECORD_ID_MAX)
        id_len = CMK_RECORD_ID_MAX; /* no kind has a longer one */
    key.id_len = (uint8_t)id_len;
    if (id_len > 0)
        memcpy(key.id, id, id_len);
    return key;
}

cmk_record_key cmk_rkey_id(const cmk_id *vault, cmk_kind kind, const cmk_id *id)
{
    return cmk_rkey(vault, kind, id->b, sizeof(id->b));
}

cmk_record_key cmk_rkey_numbered(const cmk_id *vault, cmk_kind kind, const cmk_id *id, uint32_t number)
{
    uint8_t bytes[CMK_ID_SIZE + 4];
    memcpy(bytes, id->b, CMK_ID_SIZE);
    for (unsigned i = 0; i < 4; i++)
        bytes[CMK_ID_SIZE + i] = (uint8_t)(number >> (24 - 8 * i));
    return cmk_rkey(vault, kind, bytes, sizeof(bytes));
}
