/* The attributes of a KEK's two objects: getters for the rows of attrs.c. True: out holds the value. */
#ifndef CMK_PKCS11_KEKATTRS_H
#define CMK_PKCS11_KEKATTRS_H

#include "pkcs11/attrs.h"

typedef bool cmk_kek_getter(const cmk_kek_view *kek, cmk_value *out);

/* Constants, the same for both halves, or for one half only. */
cmk_kek_getter cmk_kekattr_true, cmk_kekattr_false, cmk_kekattr_empty, cmk_kekattr_is_private, cmk_kekattr_private_true,
    cmk_kekattr_private_false, cmk_kekattr_public_false, cmk_kekattr_class, cmk_kekattr_key_type,
    cmk_kekattr_gen_mechanism, cmk_kekattr_mechanisms, cmk_kekattr_unwrap_template, cmk_kekattr_wrap_template;
/* By the operations of the key. */
cmk_kek_getter cmk_kekattr_encrypt, cmk_kekattr_decrypt, cmk_kekattr_wrap, cmk_kekattr_unwrap_use;
/* By the version. */
cmk_kek_getter cmk_kekattr_label, cmk_kekattr_id, cmk_kekattr_unique_id, cmk_kekattr_start_date, cmk_kekattr_end_date,
    cmk_kekattr_local, cmk_kekattr_never_extractable, cmk_kekattr_destroyable, cmk_kekattr_modulus,
    cmk_kekattr_modulus_bits, cmk_kekattr_exponent, cmk_kekattr_public_info;
/* The vendor attributes. */
cmk_kek_getter cmk_kekattr_version, cmk_kekattr_current, cmk_kekattr_enabled, cmk_kekattr_created,
    cmk_kekattr_not_before, cmk_kekattr_expires, cmk_kekattr_deleted, cmk_kekattr_deleted_at, cmk_kekattr_purge_at,
    cmk_kekattr_purge_protected, cmk_kekattr_rotate_every;

#endif
