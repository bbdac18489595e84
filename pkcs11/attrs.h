/* The attribute table: one row for each attribute that the module knows. It drives creating, generating, unwrapping,
 * copying, reading, setting and searching, and says what a KEK's attributes are.
 *
 * Inside the module every value has one canonical form, the same in memory and in a token object's record: CK_BBOOL one
 * byte 0 or 1; CK_ULONG and each mechanism of a list 8 bytes, big-endian; an attribute array its entries, each type (4)
 * ‖ str(canonical value); all else as it is. Equal values have equal bytes.
 */
#ifndef CMK_PKCS11_ATTRS_H
#define CMK_PKCS11_ATTRS_H

#include <stdbool.h>

#include "pkcs11/cmk11.h"
#include "pkcs11/cryptoki.h"
#include "token/token.h"
#include "util/bytes.h"

#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID 4UL
#endif

typedef enum cmk_attr_kind {
    CMK_ATTR_BOOL,
    CMK_ATTR_ULONG,
    CMK_ATTR_BYTES,
    CMK_ATTR_DATE,
    CMK_ATTR_MECHS,
    CMK_ATTR_ARRAY
} cmk_attr_kind;

/* Object classes, as bits of a row's classes. */
#define CMK_CLASS_DATA 0x01u
#define CMK_CLASS_CERT 0x02u
#define CMK_CLASS_PUBLIC 0x04u
#define CMK_CLASS_PRIVATE 0x08u
#define CMK_CLASS_SECRET 0x10u

/* Which templates may name the attribute, as bits of a row's ops. */
#define CMK_IN_CREATE 0x01u
#define CMK_IN_GENERATE 0x02u
#define CMK_IN_UNWRAP 0x04u
#define CMK_IN_COPY 0x08u
#define CMK_IN_SET 0x10u
#define CMK_IN_KEK                                                                                                     \
    0x20u /* C_GenerateKeyPair on the token takes it as input; other rows must equal what the KEK will have */

/* What copy and set may do to a value that is there. */
typedef enum cmk_attr_change {
    CMK_CHANGE_FREE,
    CMK_CHANGE_TO_TRUE,   /* a bool: only from false to true */
    CMK_CHANGE_TO_FALSE,  /* a bool: only from true to false; so uses stay disjoint over time and over copies */
    CMK_CHANGE_COPY_DATA, /* by C_CopyObject of data objects only */
} cmk_attr_change;

typedef enum cmk_attr_default {
    CMK_DEFAULT_NONE, /* no value: CKR_ATTRIBUTE_TYPE_INVALID when read */
    CMK_DEFAULT_FALSE,
    CMK_DEFAULT_TRUE,
    CMK_DEFAULT_PRIVATE, /* TRUE, but for certificates and public keys */
    CMK_DEFAULT_PUBLIC,  /* TRUE for public keys only */
    CMK_DEFAULT_ZERO,
    CMK_DEFAULT_UNKNOWN, /* CK_UNAVAILABLE_INFORMATION */
    CMK_DEFAULT_EMPTY
} cmk_attr_default;

/* One half of a KEK version as an application sees it. */
typedef struct cmk_kek_view {
    CK_OBJECT_CLASS class; /* CKO_PUBLIC_KEY or CKO_PRIVATE_KEY */
    cmk_version *version;  /* NULL while it is only planned: then only what all KEKs have in common can be read */
    const cmk_version_info *info;
} cmk_kek_view;

/* A value in canonical form: view points into small or at something that outlives the value. */
typedef struct cmk_value {
    cmk_bytes view;
    uint8_t small[40];
} cmk_value;

#define CMK_ROW_SENSITIVE 0x01u    /* of a key: not readable unless SENSITIVE is false and EXTRACTABLE true */
#define CMK_ROW_ALL_VERSIONS 0x02u /* naming it in a search template looks among all versions of KEKs */
#define CMK_ROW_ONLY_FALSE 0x04u   /* no template may ask for TRUE */

typedef struct cmk_attr_row {
    CK_ATTRIBUTE_TYPE type;
    const char *name;
    /* Its value of a KEK object; NULL or false: a KEK has none. */
    bool (*kek)(const cmk_kek_view *kek, cmk_value *out);
    cmk_attr_kind kind;
    cmk_attr_change change;
    cmk_attr_default fallback;
    uint8_t classes;
    uint8_t ops;
    uint8_t flags;
} cmk_attr_row;

/* The row of type, or NULL. */
const cmk_attr_row *cmk_attr_row_of(CK_ATTRIBUTE_TYPE type);
/* All rows, for walking. */
const cmk_attr_row *cmk_attr_rows(size_t *n);
/* The class bit of an object class that the module has; 0 for others. */
unsigned cmk_class_bit(CK_OBJECT_CLASS class);

/* Canonical values. */
void cmk_value_bool(cmk_value *v, bool b);
void cmk_value_ulong(cmk_value *v, CK_ULONG n);
void cmk_value_bytes(cmk_value *v, cmk_bytes b);
/* And back; a value of another length reads as false or CK_UNAVAILABLE_INFORMATION. */
bool cmk_value_is_true(cmk_bytes canonical);
CK_ULONG cmk_value_to_ulong(cmk_bytes canonical);
/* The default of row for class; false: there is none. */
bool cmk_attr_fallback(const cmk_attr_row *row, CK_OBJECT_CLASS class, cmk_value *out);
/* Is mech in a canonical CKA_ALLOWED_MECHANISMS? An empty list allows all. */
bool cmk_mechs_allow(cmk_bytes list, CK_MECHANISM_TYPE mech);

/* An attribute with its canonical value, a view; row is NULL for types that the table does not know. */
typedef struct cmk_attr {
    CK_ATTRIBUTE_TYPE type;
    const cmk_attr_row *row;
    cmk_bytes value;
} cmk_attr;

/* An object's attributes that differ from the defaults: immutable once made, reference-counted, one block of memory. */
typedef struct cmk_attrs {
    uint32_t refs;
    size_t count;
    size_t bytes; /* of the values, which follow the entries */
    cmk_attr v[];
} cmk_attrs;

/* The attribute of type among n, or NULL. */
const cmk_attr *cmk_attr_find(const cmk_attr *v, size_t n, CK_ATTRIBUTE_TYPE type);
/* Makes attributes by copying v, in which no type is twice. NULL when out of memory. */
cmk_attrs *cmk_attrs_new(const cmk_attr *v, size_t n);
cmk_attrs *cmk_attrs_take(cmk_attrs *a);
void cmk_attrs_put(cmk_attrs *a);
/* Appends as a token object's record has them: format (1) ‖ entries type (4) ‖ str(value). */
void cmk_attrs_encode(const cmk_attrs *a, cmk_buf *out);
/* Reads that; CMK_E_FORMAT for what encode does not make. Types that this release does not know are kept. */
CMK_MUST_USE cmk_rc cmk_attrs_decode(cmk_bytes record, cmk_attrs **out);
/* Value of type, or its default for class. False: none. */
bool cmk_attrs_get(const cmk_attrs *a, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type, cmk_value *out);
bool cmk_attrs_true(const cmk_attrs *a, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type);
CK_ULONG cmk_attrs_ulong(const cmk_attrs *a, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type);
/* Walks the entries of a canonical attribute array. False at the end. */
bool cmk_array_next(cmk_reader *r, cmk_attr *out);

#endif
