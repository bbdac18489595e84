/* What a template may say when an object is made, copied or changed, and what the module adds: the rules behind the
 * attribute table. */
#ifndef CMK_PKCS11_RULES_H
#define CMK_PKCS11_RULES_H

#include "pkcs11/kobject.h"

/* The smallest and largest secret key that is no AES key, in bytes. */
#define CMK_SECRET_MAX 512

/* An object on its way: its attributes are views of templates, other objects and computed. */
typedef struct cmk_making {
    unsigned op; /* one CMK_IN_ bit */
    CK_OBJECT_CLASS class;
    CK_KEY_TYPE key_type;
    bool token;
    bool is_private;
    size_t count;
    cmk_attr list[CMK_TEMPLATE_MAX + 64];
    size_t computed_count;
    cmk_value computed[16];
} cmk_making;

/* Starts an object of class from t for op: CKR_ATTRIBUTE_TYPE_INVALID for what the class does not have,
 * CKR_ATTRIBUTE_READ_ONLY for what this op does not accept, CKR_TEMPLATE_INCONSISTENT for another class than t says.
 * Then access: CKR_SESSION_READ_ONLY, CKR_USER_NOT_LOGGED_IN. */
CK_RV cmk_making_start(cmk_call *c, unsigned op, CK_OBJECT_CLASS class, const cmk_template *t, cmk_making *out);
/* Starts a copy: base's attributes, changed as t says. */
CK_RV cmk_making_copy(cmk_call *c, const cmk_look *base, const cmk_template *t, cmk_making *out);
/* All attributes of an object that is there. CKR_FUNCTION_FAILED when they are more than any object of this release
 * has. */
CK_RV cmk_making_take(cmk_making *k, const cmk_attrs *from);
/* A secret key's type and disjoint uses; mechanism is what generates it, or CK_UNAVAILABLE_INFORMATION. Completes the
 * computed attributes. */
CK_RV cmk_making_secret(cmk_making *k, CK_KEY_TYPE key_type, CK_MECHANISM_TYPE mechanism);
/* Does a secret of n bytes fit the key type and the CKA_VALUE_LEN of the template? */
bool cmk_making_fits(const cmk_making *k, size_t n);
/* Sets one attribute: the view must outlive k; a bool or number is kept in k. */
void cmk_making_set(cmk_making *k, CK_ATTRIBUTE_TYPE type, cmk_bytes value);
void cmk_making_set_bool(cmk_making *k, CK_ATTRIBUTE_TYPE type, bool b);
void cmk_making_set_ulong(cmk_making *k, CK_ATTRIBUTE_TYPE type, CK_ULONG n);
/* Takes one attribute out again. */
void cmk_making_drop(cmk_making *k, CK_ATTRIBUTE_TYPE type);
/* What it has been given so far, else the class's default. */
bool cmk_making_true(const cmk_making *k, CK_ATTRIBUTE_TYPE type);
/* Makes the session or token object. value is emptied, or NULL for what has no secret value. */
CK_RV cmk_making_finish(cmk_call *c, cmk_making *k, cmk_secret *value, CK_OBJECT_HANDLE *out);

/* May a value of row change from before to after? (C_CopyObject, C_SetAttributeValue: op.) */
CK_RV cmk_rules_change(const cmk_attr_row *row, unsigned op, CK_OBJECT_CLASS class, cmk_bytes before, cmk_bytes after);
/* What the record of a token object with these attributes says; spec's views are of attrs and record. */
CMK_MUST_USE cmk_rc cmk_rules_spec(const cmk_attrs *attrs, cmk_buf *record, cmk_object_spec *spec);
/* Uses of a token secret key that no key may have together. */
CK_RV cmk_rules_disjoint(const cmk_making *k);
/* Does k obey a canonical CKA_UNWRAP_TEMPLATE or CKA_WRAP_TEMPLATE: has every attribute in it that value? */
bool cmk_rules_obeys(const cmk_making *k, cmk_bytes array);

#endif
