#include "pkcs11/kekattrs.h"

#include <stdio.h>
#include <string.h>

#define DAY 86400

static bool is_private(const cmk_kek_view *kek)
{
    return kek->class == CKO_PRIVATE_KEY;
}

static bool set_bool(cmk_value *out, bool b)
{
    cmk_value_bool(out, b);
    return true;
}

static bool set_ulong(cmk_value *out, CK_ULONG n)
{
    cmk_value_ulong(out, n);
    return true;
}

static bool set_bytes(cmk_value *out, cmk_bytes b)
{
    cmk_value_bytes(out, b);
    return true;
}

/* Times before 1970 are none. */
static bool set_time(cmk_value *out, int64_t t)
{
    return set_ulong(out, t > 0 ? (CK_ULONG)t : 0);
}

/* CK_DATE of a number of days since 1970. */
static bool set_date(cmk_value *out, int64_t days)
{
    int y = 0;
    unsigned m = 0, d = 0;
    cmk_civil_from_days(days, &y, &m, &d);
    if (y < 0 || y > 9999)
        return set_bytes(out, cmk_bytes_of("", 0));
    char text[32];
    (void)snprintf(text, sizeof(text), "%04d%02u%02u", y, m % 100, d % 100);
    memcpy(out->small, text, 8);
    return set_bytes(out, cmk_bytes_of(out->small, 8));
}

#define GETTER(name, expression)                                                                                       \
    bool name(const cmk_kek_view *kek, cmk_value *out)                                                                 \
    {                                                                                                                  \
        (void)kek;                                                                                                     \
        return (expression);                                                                                           \
    }
#define OPS(bit) ((kek->info->ops & (bit)) != 0)

GETTER(cmk_kekattr_true, set_bool(out, true))
GETTER(cmk_kekattr_false, set_bool(out, false))
GETTER(cmk_kekattr_empty, set_bytes(out, cmk_bytes_of("", 0)))
GETTER(cmk_kekattr_is_private, set_bool(out, is_private(kek)))
GETTER(cmk_kekattr_private_true, is_private(kek) && set_bool(out, true))
GETTER(cmk_kekattr_private_false, is_private(kek) && set_bool(out, false))
GETTER(cmk_kekattr_public_false, !is_private(kek) && set_bool(out, false))
GETTER(cmk_kekattr_class, set_ulong(out, kek->class))
GETTER(cmk_kekattr_key_type, set_ulong(out, CKK_RSA))
GETTER(cmk_kekattr_encrypt, !is_private(kek) && set_bool(out, OPS(CMK_OP_DECRYPT)))
GETTER(cmk_kekattr_decrypt, is_private(kek) && set_bool(out, OPS(CMK_OP_DECRYPT)))
GETTER(cmk_kekattr_wrap, !is_private(kek) && set_bool(out, OPS(CMK_OP_WRAP)))
GETTER(cmk_kekattr_unwrap_use, is_private(kek) && set_bool(out, OPS(CMK_OP_UNWRAP)))
GETTER(cmk_kekattr_label, set_bytes(out, cmk_bytes_str(kek->info->key_name)))
GETTER(cmk_kekattr_local, set_bool(out, kek->info->origin != CMK_ORIGIN_IMPORTED))
GETTER(cmk_kekattr_never_extractable, is_private(kek) && set_bool(out, kek->info->origin != CMK_ORIGIN_IMPORTED))
GETTER(cmk_kekattr_destroyable, set_bool(out, is_private(kek) && kek->info->current))
GETTER(cmk_kekattr_modulus, kek->version &&set_bytes(out, cmk_version_modulus(kek->version)))
GETTER(cmk_kekattr_modulus_bits, kek->version && !is_private(kek) && set_ulong(out, kek->info->bits))
GETTER(cmk_kekattr_exponent, kek->version &&set_bytes(out, cmk_version_exponent(kek->version)))
GETTER(cmk_kekattr_public_info, kek->version &&set_bytes(out, cmk_version_public_info(kek->version)))
GETTER(cmk_kekattr_version, set_ulong(out, kek->info->number))
GETTER(cmk_kekattr_current, set_bool(out, kek->info->current))
GETTER(cmk_kekattr_enabled, set_bool(out, kek->info->enabled && kek->info->key_enabled))
GETTER(cmk_kekattr_created, set_time(out, kek->info->created))
GETTER(cmk_kekattr_not_before, set_time(out, kek->info->not_before))
GETTER(cmk_kekattr_expires, set_time(out, kek->info->expires))
GETTER(cmk_kekattr_deleted, set_bool(out, kek->info->deleted_at != 0))
GETTER(cmk_kekattr_deleted_at, set_time(out, kek->info->deleted_at))
GETTER(cmk_kekattr_purge_at, set_time(out, kek->info->purge_at))
GETTER(cmk_kekattr_purge_protected, set_bool(out, kek->info->purge_protected))
GETTER(cmk_kekattr_rotate_every, set_ulong(out, kek->info->rotate_every))

bool cmk_kekattr_gen_mechanism(const cmk_kek_view *kek, cmk_value *out)
{
    bool made_here = kek->info->origin != CMK_ORIGIN_IMPORTED;
    return set_ulong(out, made_here ? CKM_RSA_PKCS_KEY_PAIR_GEN : CK_UNAVAILABLE_INFORMATION);
}

bool cmk_kekattr_mechanisms(const cmk_kek_view *kek, cmk_value *out)
{
    (void)kek;
    cmk_value one;
    cmk_value_ulong(&one, CKM_RSA_PKCS_OAEP);
    memcpy(out->small, one.view.data, 8);
    cmk_value_ulong(&one, CKM_RSA_AES_KEY_WRAP);
    memcpy(out->small + 8, one.view.data, 8);
    return set_bytes(out, cmk_bytes_of(out->small, 16));
}

/* What every key that a KEK unwraps is: no KEK of its own (ATTRIBUTE = FALSE). */
#define FALSE_ENTRY(type)                                                                                              \
    (uint8_t)((type) >> 24), (uint8_t)((type) >> 16 & 0xff), (uint8_t)((type) >> 8 & 0xff), (uint8_t)((type)&0xff), 0, \
        0, 0, 1, 0

bool cmk_kekattr_unwrap_template(const cmk_kek_view *kek, cmk_value *out)
{
    static const uint8_t narrow[] = {FALSE_ENTRY(CKA_WRAP), FALSE_ENTRY(CKA_UNWRAP), FALSE_ENTRY(CKA_DERIVE),
                                     FALSE_ENTRY(CKA_TRUSTED)};
    return is_private(kek) && set_bytes(out, cmk_bytes_of(narrow, sizeof(narrow)));
}

GETTER(cmk_kekattr_wrap_template, !is_private(kek) && set_bytes(out, cmk_bytes_of("", 0)))

bool cmk_kekattr_id(const cmk_kek_view *kek, cmk_value *out)
{
    return kek->version && set_bytes(out, cmk_bytes_of(kek->info->cka_id, kek->info->cka_id_len));
}

bool cmk_kekattr_unique_id(const cmk_kek_view *kek, cmk_value *out)
{
    if (!kek->version)
        return false;
    char hex[2 * CMK_ID_SIZE + 1];
    memcpy(out->small, cmk_id_hex(cmk_version_id(kek->version), hex), sizeof(hex) - 1);
    return set_bytes(out, cmk_bytes_of(out->small, sizeof(hex) - 1));
}

bool cmk_kekattr_start_date(const cmk_kek_view *kek, cmk_value *out)
{
    int64_t t = kek->info->not_before;
    return t > 0 ? set_date(out, t / DAY) : cmk_kekattr_empty(kek, out);
}

/* END_DATE d means that it expires on d + 1 at 00:00 UTC. */
bool cmk_kekattr_end_date(const cmk_kek_view *kek, cmk_value *out)
{
    int64_t t = kek->info->expires;
    return t > 0 ? set_date(out, (t + DAY - 1) / DAY - 1) : cmk_kekattr_empty(kek, out);
}
