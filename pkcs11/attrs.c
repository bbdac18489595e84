#include "pkcs11/attrs.h"

#include <stdlib.h>
#include <string.h>

#include "pkcs11/kekattrs.h"

#define DATA CMK_CLASS_DATA
#define CERT CMK_CLASS_CERT
#define PUB CMK_CLASS_PUBLIC
#define PRV CMK_CLASS_PRIVATE
#define SEC CMK_CLASS_SECRET
#define KEYS (PUB | PRV | SEC)
#define ALL (DATA | CERT | KEYS)

#define NEW (CMK_IN_CREATE | CMK_IN_GENERATE | CMK_IN_UNWRAP)
#define COPY CMK_IN_COPY
#define SET CMK_IN_SET
#define EDIT (CMK_IN_COPY | CMK_IN_SET)
#define KEK CMK_IN_KEK

#define VERSIONS CMK_ROW_ALL_VERSIONS
#define SECRET CMK_ROW_SENSITIVE

/* clang-format off */
#define ROW(attr, kind, classes, ops, change, fallback, flags, kek)                                                    \
    {attr, #attr, kek, CMK_ATTR_##kind, CMK_CHANGE_##change, CMK_DEFAULT_##fallback, classes, ops, flags}

/* In rising order of the attribute's number. */
static const cmk_attr_row rows[] = {
    /*  attribute                   value  classes           may be named in change          default  flags     of a KEK */
    ROW(CKA_CLASS,                  ULONG, ALL,              NEW,         FREE,           NONE,    0,        cmk_kekattr_class),
    ROW(CKA_TOKEN,                  BOOL,  ALL,              NEW | COPY,  FREE,           FALSE,   0,        cmk_kekattr_true),
    ROW(CKA_PRIVATE,                BOOL,  ALL,              NEW | COPY,  TO_TRUE,        PRIVATE, 0,        cmk_kekattr_is_private),
    ROW(CKA_LABEL,                  BYTES, ALL,              NEW | EDIT | KEK, FREE,      EMPTY,   0,        cmk_kekattr_label),
    ROW(CKA_UNIQUE_ID,              BYTES, ALL,              0,           FREE,           NONE,    VERSIONS, cmk_kekattr_unique_id),
    ROW(CKA_APPLICATION,            BYTES, DATA,             NEW | EDIT,  FREE,           EMPTY,   0,        NULL),
    ROW(CKA_VALUE,                  BYTES, DATA | CERT | SEC, CMK_IN_CREATE | EDIT, COPY_DATA, EMPTY, SECRET | VERSIONS, NULL),
    ROW(CKA_OBJECT_ID,              BYTES, DATA,             NEW | EDIT,  FREE,           EMPTY,   0,        NULL),
    ROW(CKA_CERTIFICATE_TYPE,       ULONG, CERT,             NEW,         FREE,           NONE,    0,        NULL),
    ROW(CKA_ISSUER,                 BYTES, CERT,             NEW | EDIT,  FREE,           EMPTY,   0,        NULL),
    ROW(CKA_SERIAL_NUMBER,          BYTES, CERT,             NEW | EDIT,  FREE,           EMPTY,   VERSIONS, NULL),
    ROW(CKA_TRUSTED,                BOOL,  CERT | PUB | SEC, NEW | EDIT,  TO_FALSE,       FALSE,   CMK_ROW_ONLY_FALSE, cmk_kekattr_public_false),
    ROW(CKA_CERTIFICATE_CATEGORY,   ULONG, CERT,             NEW,         FREE,           ZERO,    0,        NULL),
    ROW(CKA_JAVA_MIDP_SECURITY_DOMAIN, ULONG, CERT,          NEW,         FREE,           ZERO,    0,        NULL),
    ROW(CKA_URL,                    BYTES, CERT,             NEW,         FREE,           EMPTY,   0,        NULL),
    ROW(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, BYTES, CERT,         NEW,         FREE,           EMPTY,   0,        NULL),
    ROW(CKA_HASH_OF_ISSUER_PUBLIC_KEY,  BYTES, CERT,         NEW,         FREE,           EMPTY,   0,        NULL),
    ROW(CKA_CHECK_VALUE,            BYTES, CERT | SEC,       0,           FREE,           EMPTY,   0,        NULL),
    ROW(CKA_KEY_TYPE,               ULONG, KEYS,             NEW,         FREE,           NONE,    0,        cmk_kekattr_key_type),
    ROW(CKA_SUBJECT,                BYTES, CERT | PUB | PRV, NEW | EDIT,  FREE,           EMPTY,   0,        cmk_kekattr_empty),
    ROW(CKA_ID,                     BYTES, CERT | KEYS,      NEW | EDIT | KEK, FREE,      EMPTY,   VERSIONS, cmk_kekattr_id),
    ROW(CKA_SENSITIVE,              BOOL,  PRV | SEC,        NEW | EDIT,  TO_TRUE,        FALSE,   0,        cmk_kekattr_private_true),
    ROW(CKA_ENCRYPT,                BOOL,  PUB | SEC,        NEW | EDIT | KEK, TO_FALSE, TRUE,   0,        cmk_kekattr_encrypt),
    ROW(CKA_DECRYPT,                BOOL,  PRV | SEC,        NEW | EDIT | KEK, TO_FALSE, TRUE,   0,        cmk_kekattr_decrypt),
    ROW(CKA_WRAP,                   BOOL,  PUB | SEC,        NEW | EDIT | KEK, TO_FALSE, PUBLIC, 0,    cmk_kekattr_wrap),
    ROW(CKA_UNWRAP,                 BOOL,  PRV | SEC,        NEW | EDIT | KEK, TO_FALSE, FALSE, 0,     cmk_kekattr_unwrap_use),
    ROW(CKA_SIGN,                   BOOL,  PRV | SEC,        NEW | EDIT,  FREE,           TRUE,    0,        cmk_kekattr_private_false),
    ROW(CKA_SIGN_RECOVER,           BOOL,  PRV,              NEW | EDIT,  FREE,           TRUE,    0,        cmk_kekattr_private_false),
    ROW(CKA_VERIFY,                 BOOL,  PUB | SEC,        NEW | EDIT,  FREE,           TRUE,    0,        cmk_kekattr_public_false),
    ROW(CKA_VERIFY_RECOVER,         BOOL,  PUB,              NEW | EDIT,  FREE,           TRUE,    0,        cmk_kekattr_public_false),
    ROW(CKA_DERIVE,                 BOOL,  KEYS,             NEW | EDIT,  TO_FALSE,       FALSE,   0,        cmk_kekattr_false),
    ROW(CKA_START_DATE,             DATE,  CERT | KEYS,      NEW | EDIT | KEK, FREE,      EMPTY,   0,        cmk_kekattr_start_date),
    ROW(CKA_END_DATE,               DATE,  CERT | KEYS,      NEW | EDIT | KEK, FREE,      EMPTY,   0,        cmk_kekattr_end_date),
    ROW(CKA_MODULUS,                BYTES, PUB | PRV,        CMK_IN_CREATE, FREE,         NONE,    VERSIONS, cmk_kekattr_modulus),
    ROW(CKA_MODULUS_BITS,           ULONG, PUB,              KEK,         FREE,           NONE,    0,        cmk_kekattr_modulus_bits),
    ROW(CKA_PUBLIC_EXPONENT,        BYTES, PUB | PRV,        CMK_IN_CREATE | KEK, FREE,   NONE,    0,        cmk_kekattr_exponent),
    ROW(CKA_PRIVATE_EXPONENT,       BYTES, PRV,              CMK_IN_CREATE, FREE,         NONE,    SECRET,   NULL),
    ROW(CKA_PRIME_1,                BYTES, PRV,              CMK_IN_CREATE, FREE,         NONE,    SECRET,   NULL),
    ROW(CKA_PRIME_2,                BYTES, PRV,              CMK_IN_CREATE, FREE,         NONE,    SECRET,   NULL),
    ROW(CKA_EXPONENT_1,             BYTES, PRV,              CMK_IN_CREATE, FREE,         NONE,    SECRET,   NULL),
    ROW(CKA_EXPONENT_2,             BYTES, PRV,              CMK_IN_CREATE, FREE,         NONE,    SECRET,   NULL),
    ROW(CKA_COEFFICIENT,            BYTES, PRV,              CMK_IN_CREATE, FREE,         NONE,    SECRET,   NULL),
    ROW(CKA_PUBLIC_KEY_INFO,        BYTES, CERT | PUB | PRV, 0,           FREE,           EMPTY,   VERSIONS, cmk_kekattr_public_info),
    ROW(CKA_VALUE_LEN,              ULONG, SEC,              NEW,         FREE,           NONE,    0,        NULL),
    ROW(CKA_EXTRACTABLE,            BOOL,  PRV | SEC,        NEW | EDIT,  TO_FALSE,       TRUE,    0,        cmk_kekattr_private_false),
    ROW(CKA_LOCAL,                  BOOL,  KEYS,             0,           FREE,           FALSE,   0,        cmk_kekattr_local),
    ROW(CKA_NEVER_EXTRACTABLE,      BOOL,  PRV | SEC,        0,           FREE,           FALSE,   0,        cmk_kekattr_never_extractable),
    ROW(CKA_ALWAYS_SENSITIVE,       BOOL,  PRV | SEC,        0,           FREE,           FALSE,   0,        cmk_kekattr_private_true),
    ROW(CKA_KEY_GEN_MECHANISM,      ULONG, KEYS,             0,           FREE,           UNKNOWN, 0,        cmk_kekattr_gen_mechanism),
    ROW(CKA_MODIFIABLE,             BOOL,  ALL,              NEW | COPY,  TO_FALSE,       TRUE,    0,        cmk_kekattr_true),
    ROW(CKA_COPYABLE,               BOOL,  ALL,              NEW | EDIT,  TO_FALSE,       TRUE,    0,        cmk_kekattr_false),
    ROW(CKA_DESTROYABLE,            BOOL,  ALL,              NEW | EDIT,  FREE,           TRUE,    0,        cmk_kekattr_destroyable),
    ROW(CKA_ALWAYS_AUTHENTICATE,    BOOL,  PRV,              NEW,         FREE,           FALSE,   0,        cmk_kekattr_private_false),
    ROW(CKA_WRAP_WITH_TRUSTED,      BOOL,  PRV | SEC,        NEW | EDIT,  TO_TRUE,        FALSE,   0,        cmk_kekattr_private_false),
    ROW(CKA_WRAP_TEMPLATE,          ARRAY, PUB | SEC,        NEW,         FREE,           EMPTY,   0,        cmk_kekattr_wrap_template),
    ROW(CKA_UNWRAP_TEMPLATE,        ARRAY, PRV | SEC,        NEW,         FREE,           EMPTY,   0,        cmk_kekattr_unwrap_template),
    ROW(CKA_ALLOWED_MECHANISMS,     MECHS, KEYS,             NEW,         FREE,           EMPTY,   0,        cmk_kekattr_mechanisms),
    ROW(CKA_CMK_VERSION,            ULONG, PUB | PRV,        0,           FREE,           NONE,    VERSIONS, cmk_kekattr_version),
    ROW(CKA_CMK_CURRENT,            BOOL,  PUB | PRV,        0,           FREE,           NONE,    VERSIONS, cmk_kekattr_current),
    ROW(CKA_CMK_ENABLED,            BOOL,  PUB | PRV,        0,           FREE,           NONE,    0,        cmk_kekattr_enabled),
    ROW(CKA_CMK_CREATED,            ULONG, PUB | PRV,        0,           FREE,           NONE,    0,        cmk_kekattr_created),
    ROW(CKA_CMK_NOT_BEFORE,         ULONG, PUB | PRV,        KEK,         FREE,           NONE,    0,        cmk_kekattr_not_before),
    ROW(CKA_CMK_EXPIRES,            ULONG, PUB | PRV,        KEK,         FREE,           NONE,    0,        cmk_kekattr_expires),
    ROW(CKA_CMK_DELETED,            BOOL,  PUB | PRV,        0,           FREE,           NONE,    0,        cmk_kekattr_deleted),
    ROW(CKA_CMK_DELETED_AT,         ULONG, PUB | PRV,        0,           FREE,           NONE,    0,        cmk_kekattr_deleted_at),
    ROW(CKA_CMK_PURGE_AT,           ULONG, PUB | PRV,        0,           FREE,           NONE,    0,        cmk_kekattr_purge_at),
    ROW(CKA_CMK_PURGE_PROTECTED,    BOOL,  PUB | PRV,        0,           FREE,           NONE,    0,        cmk_kekattr_purge_protected),
    ROW(CKA_CMK_ALL_VERSIONS,       BOOL,  PUB | PRV,        0,           FREE,           NONE,    0,        NULL),
    ROW(CKA_CMK_ROTATE_EVERY,       ULONG, PUB | PRV,        0,           FREE,           NONE,    0,        cmk_kekattr_rotate_every),
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const cmk_attr_row *cmk_attr_rows(size_t *n)
{
    *n = ROWS;
    return rows;
}

const cmk_attr_row *cmk_attr_row_of(CK_ATTRIBUTE_TYPE type)
{
    size_t low = 0, high = ROWS;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (rows[mid].type == type)
            return &rows[mid];
        if (rows[mid].type < type)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

unsigned cmk_class_bit(CK_OBJECT_CLASS class)
{
    static const uint8_t bits[] = {[CKO_DATA] = DATA,
                                   [CKO_CERTIFICATE] = CERT,
                                   [CKO_PUBLIC_KEY] = PUB,
                                   [CKO_PRIVATE_KEY] = PRV,
                                   [CKO_SECRET_KEY] = SEC};
    return class < sizeof(bits) ? bits[class] : 0;
}

void cmk_value_bool(cmk_value *v, bool b)
{
    v->small[0] = b;
    v->view = cmk_bytes_of(v->small, 1);
}

void cmk_value_ulong(cmk_value *v, CK_ULONG n)
{
    for (size_t i = 0; i < 8; i++)
        v->small[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    v->view = cmk_bytes_of(v->small, 8);
}

void cmk_value_bytes(cmk_value *v, cmk_bytes b)
{
    v->view = b;
}

bool cmk_value_is_true(cmk_bytes canonical)
{
    return canonical.len == 1 && canonical.data[0] == 1;
}

CK_ULONG cmk_value_to_ulong(cmk_bytes canonical)
{
    if (canonical.len != 8)
        return CK_UNAVAILABLE_INFORMATION;
    uint64_t n = 0;
    for (size_t i = 0; i < 8; i++)
        n = n << 8 | canonical.data[i];
    return (CK_ULONG)n;
}

bool cmk_attr_fallback(const cmk_attr_row *row, CK_OBJECT_CLASS class, cmk_value *out)
{
    bool open = class == CKO_CERTIFICATE || class == CKO_PUBLIC_KEY;
    switch (row->fallback) {
    case CMK_DEFAULT_NONE:
        return false;
    case CMK_DEFAULT_FALSE:
    case CMK_DEFAULT_TRUE:
        cmk_value_bool(out, row->fallback == CMK_DEFAULT_TRUE);
        return true;
    case CMK_DEFAULT_PRIVATE:
        cmk_value_bool(out, !open);
        return true;
    case CMK_DEFAULT_PUBLIC:
        cmk_value_bool(out, class == CKO_PUBLIC_KEY);
        return true;
    case CMK_DEFAULT_ZERO:
        cmk_value_ulong(out, 0);
        return true;
    case CMK_DEFAULT_UNKNOWN:
        cmk_value_ulong(out, CK_UNAVAILABLE_INFORMATION);
        return true;
    case CMK_DEFAULT_EMPTY:
        cmk_value_bytes(out, cmk_bytes_of("", 0));
        return true;
    }
    return false;
}

bool cmk_mechs_allow(cmk_bytes list, CK_MECHANISM_TYPE mech)
{
    for (size_t i = 0; i + 8 <= list.len; i += 8)
        if (cmk_value_to_ulong(cmk_bytes_of(list.data + i, 8)) == mech)
            return true;
    return list.len == 0;
}
