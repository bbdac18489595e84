/* A caller's template, copied once: what the checks have seen is what is used, also when another thread of the
 * application writes to it meanwhile. */
#ifndef CMK_PKCS11_TEMPLATE_H
#define CMK_PKCS11_TEMPLATE_H

#include "pkcs11/attrs.h"

#define CMK_TEMPLATE_MAX 64                         /* attributes in a template */
#define CMK_TEMPLATE_BYTES_MAX ((size_t)256 * 1024) /* all their values */
#define CMK_TEMPLATE_NESTED_MAX 32                  /* attributes in an attribute array */
#define CMK_TEMPLATE_DEPTH_MAX 2                    /* an attribute array in an attribute array is the limit */
#define CMK_MECHS_MAX 64                            /* mechanisms in CKA_ALLOWED_MECHANISMS */
#define CMK_TEMPLATE_INLINE 512

typedef struct cmk_template {
    size_t count;
    cmk_attr attrs[CMK_TEMPLATE_MAX];
    uint8_t *bytes; /* the values: inside, or large */
    size_t used, cap;
    uint8_t inside[CMK_TEMPLATE_INLINE];
} cmk_template;

/* Makes out empty; every template that was initialised is cleared with cmk_template_clear(), which wipes it. */
void cmk_template_init(cmk_template *out);
void cmk_template_clear(cmk_template *t);
#define CMK_TEMPLATE_AUTO __attribute__((cleanup(cmk_template_clear))) cmk_template

/* Copies and checks: CKR_ARGUMENTS_BAD for NULL with a count or too many attributes; CKR_ATTRIBUTE_VALUE_INVALID for
 * NULL with a length, a CK_BBOOL that is not one byte 0 or 1, a CK_ULONG of another length than 8, no date, too large;
 * CKR_TEMPLATE_INCONSISTENT for an attribute that is named twice. Unknown types get row NULL and their bytes as they
 * are. out was initialised, and is to be cleared also after an error. */
CK_RV cmk_template_copy(const CK_ATTRIBUTE *attrs, CK_ULONG count, cmk_template *out);

/* The attribute of type, or NULL. */
const cmk_attr *cmk_template_find(const cmk_template *t, CK_ATTRIBUTE_TYPE type);
/* A boolean or number that the template names, else otherwise. */
bool cmk_template_bool(const cmk_template *t, CK_ATTRIBUTE_TYPE type, bool otherwise);
CK_ULONG cmk_template_ulong(const cmk_template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG otherwise);
/* The bytes that it names, else an empty view. */
cmk_bytes cmk_template_bytes(const cmk_template *t, CK_ATTRIBUTE_TYPE type);

#endif
