/* The attributes of a KEK's two objects: getters for the rows of attrs.c. True: out holds the value. */
#ifndef CMK_PKCS11_KEKATTRS_H
#define CMK_PKCS11_KEKATTRS_H

#include "pkcs11/attrs.h"

typedef bool cmk_kek_getter(const cmk_kek_view *kek, cmk_value *out);

/* Constants, the same for both halves, or for one half only. */
cmk_kek_getter cmk_kek_true, cmk_kek_false, cmk_kek_empty, cmk_kek_is_private, cmk_kek_private_true, cmk_kek_private_false,
    cmk_kek_public_true, cmk_kek_public_false, cmk_kek_class, cmk_kek_key_type, cmk_kek_gen_mechanism, cmk_kek_mechanisms,
    cmk_kek_unwrap_template, cmk_kek_wrap_template;
/* By the operations of the key. */
cmk_kek_getter cmk_kek_encrypt, cmk_kek_decrypt, cmk_kek_wrap, cmk_kek_unwrap_use;
/* By the version. */
cmk_kek_getter cmk_kek_label, cmk_kek_id, cmk_kek_unique_id, cmk_kek_start_date, cmk_kek_end_date, cmk_kek_local,
    cmk_kek_never_extractable, cmk_kek_destroyable, cmk_kek_modulus, cmk_kek_modulus_bits, cmk_kek_exponent, cmk_kek_public_info;
/* The vendor attributes. */
cmk_kek_getter cmk_kek_version, cmk_kek_current, cmk_kek_enabled, cmk_kek_created, cmk_kek_not_before, cmk_kek_expires,
    cmk_kek_deleted, cmk_kek_deleted_at, cmk_kek_purge_at, cmk_kek_purge_protected, cmk_kek_rotate_every;

#endif
