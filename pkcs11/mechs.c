#include "pkcs11/mechs.h"

#include <string.h>

#include "pkcs11/module.h"

#ifndef CKZ_DATA_SPECIFIED
#define CKZ_DATA_SPECIFIED 1UL
#endif

static CK_RV parse_none(const CK_MECHANISM *in, cmk_mech *out)
{
    (void)out;
    return in->pParameter || in->ulParameterLen > 0 ? CKR_MECHANISM_PARAM_INVALID : CKR_OK;
}

static const struct {
    CK_MECHANISM_TYPE hash;
    CK_ULONG mgf;
    cmk_hash_id id;
} hashes[] = {
    {CKM_SHA_1, CKG_MGF1_SHA1, CMK_USE_SHA1},      {CKM_SHA224, CKG_MGF1_SHA224, CMK_USE_SHA224},
    {CKM_SHA256, CKG_MGF1_SHA256, CMK_USE_SHA256}, {CKM_SHA384, CKG_MGF1_SHA384, CMK_USE_SHA384},
    {CKM_SHA512, CKG_MGF1_SHA512, CMK_USE_SHA512},
};
#define HASHES (sizeof(hashes) / sizeof(hashes[0]))

/* Copies the label: a decryption uses it after the call that brought it. */
static CK_RV oaep_source(const CK_RSA_PKCS_OAEP_PARAMS *p, cmk_mech *out)
{
    size_t n = p->ulSourceDataLen;
    if (p->source == 0 && (n > 0 || p->pSourceData))
        return CKR_MECHANISM_PARAM_INVALID;
    if (p->source > CKZ_DATA_SPECIFIED || n > CMK_OAEP_LABEL_MAX || (n > 0 && !p->pSourceData))
        return CKR_MECHANISM_PARAM_INVALID;
    cmk_buf_add(&out->label, p->pSourceData, n);
    if (cmk_buf_ok(&out->label) != CMK_OK)
        return CKR_HOST_MEMORY;
    out->wrap.label = cmk_buf_view(&out->label);
    return CKR_OK;
}

/* mgf 0 is MGF1 with the same hash: pkcs11-provider sends that. */
static CK_RV oaep_params(const CK_RSA_PKCS_OAEP_PARAMS *p, cmk_mech *out)
{
    out->wrap.hash = out->wrap.mgf = 0;
    for (size_t i = 0; i < HASHES; i++) {
        if (hashes[i].hash == p->hashAlg)
            out->wrap.hash = hashes[i].id;
        if (hashes[i].mgf == p->mgf || (p->mgf == 0 && hashes[i].hash == p->hashAlg))
            out->wrap.mgf = hashes[i].id;
    }
    return out->wrap.hash && out->wrap.mgf ? oaep_source(p, out) : CKR_MECHANISM_PARAM_INVALID;
}

/* No parameter means SHA-256 with MGF1-SHA-256 and no label: pkcs11-tool sends none. */
static CK_RV parse_oaep(const CK_MECHANISM *in, cmk_mech *out)
{
    CK_RSA_PKCS_OAEP_PARAMS p;
    out->wrap.kind = CMK_WRAP_OAEP;
    if (!in->pParameter && in->ulParameterLen == 0) {
        out->wrap.hash = out->wrap.mgf = CMK_USE_SHA256;
        return CKR_OK;
    }
    if (!in->pParameter || in->ulParameterLen != sizeof(p))
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(&p, in->pParameter, sizeof(p));
    return oaep_params(&p, out);
}

static CK_RV parse_rsa_aes(const CK_MECHANISM *in, cmk_mech *out)
{
    CK_RSA_AES_KEY_WRAP_PARAMS p;
    CK_RSA_PKCS_OAEP_PARAMS oaep;
    out->wrap.kind = CMK_WRAP_RSA_AES;
    if (!in->pParameter || in->ulParameterLen != sizeof(p))
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(&p, in->pParameter, sizeof(p));
    if ((p.ulAESKeyBits != 128 && p.ulAESKeyBits != 192 && p.ulAESKeyBits != 256) || !p.pOAEPParams)
        return CKR_MECHANISM_PARAM_INVALID;
    out->wrap.aes_bits = (unsigned)p.ulAESKeyBits;
    memcpy(&oaep, p.pOAEPParams, sizeof(oaep));
    return oaep_params(&oaep, out);
}

static CK_RV parse_cbc(const CK_MECHANISM *in, cmk_mech *out)
{
    if (!in->pParameter || in->ulParameterLen != 16)
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(out->iv, in->pParameter, 16);
    out->dek.iv = cmk_bytes_of(out->iv, 16);
    return CKR_OK;
}

/* ulIvBits is ignored: applications disagree on what it holds. */
static CK_RV parse_gcm(const CK_MECHANISM *in, cmk_mech *out)
{
    CK_GCM_PARAMS p;
    if (!in->pParameter || in->ulParameterLen != sizeof(p))
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(&p, in->pParameter, sizeof(p));
    bool tag_ok =
        p.ulTagBits == 32 || p.ulTagBits == 64 || (p.ulTagBits >= 96 && p.ulTagBits <= 128 && p.ulTagBits % 8 == 0);
    if (!tag_ok || !p.pIv || p.ulIvLen == 0 || p.ulIvLen > CMK_IV_MAX || (!p.pAAD && p.ulAADLen > 0))
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(out->iv, p.pIv, p.ulIvLen);
    out->dek.iv = cmk_bytes_of(out->iv, p.ulIvLen);
    out->dek.aad = cmk_bytes_of(p.pAAD, p.ulAADLen);
    out->dek.tag_bits = (unsigned)p.ulTagBits;
    return CKR_OK;
}

#define CIPHER (CKF_ENCRYPT | CKF_DECRYPT)
#define WRAPPING (CKF_WRAP | CKF_UNWRAP)
/* clang-format off */
#define ROW(mech, key, min, max, flags, decrypt_flags, mode, parse) {mech, #mech, key, min, max, flags, decrypt_flags, mode, parse}
static const cmk_mech_row rows[] = {
    /*  mechanism                   key type            sizes       what for                where decrypt is allowed */
    ROW(CKM_RSA_PKCS_KEY_PAIR_GEN,  CKK_RSA,            2048, 4096, CKF_GENERATE_KEY_PAIR,  0,      0,               parse_none),
    ROW(CKM_RSA_PKCS_OAEP,          CKK_RSA,            2048, 4096, WRAPPING,               CIPHER, 0,               parse_oaep),
    ROW(CKM_RSA_AES_KEY_WRAP,       CKK_RSA,            2048, 4096, WRAPPING,               0,      0,               parse_rsa_aes),
    ROW(CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, 8,    4096, CKF_GENERATE,           0,      0,               parse_none),
    ROW(CKM_AES_KEY_GEN,            CKK_AES,            16,   32,   CKF_GENERATE,           0,      0,               parse_none),
    ROW(CKM_AES_CBC,                CKK_AES,            16,   32,   CIPHER,                 0,      CMK_DEK_CBC,     parse_cbc),
    ROW(CKM_AES_CBC_PAD,            CKK_AES,            16,   32,   CIPHER,                 0,      CMK_DEK_CBC_PAD, parse_cbc),
    ROW(CKM_AES_GCM,                CKK_AES,            16,   32,   CIPHER,                 0,      CMK_DEK_GCM,     parse_gcm),
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const cmk_mech_row *cmk_mech_row_of(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].type == type)
            return &rows[i];
    return NULL;
}

CK_RV cmk_mech_read(const CK_MECHANISM *in, CK_FLAGS use, cmk_mech *out)
{
    out->row = NULL;
    out->wrap = (cmk_wrap_mech){0};
    out->label = (cmk_buf)CMK_BUF_INIT;
    out->dek = (cmk_dek_params){0};
    if (!in)
        return CKR_ARGUMENTS_BAD;
    CK_MECHANISM copy;
    memcpy(&copy, in, sizeof(copy));
    const cmk_mech_row *row = cmk_mech_row_of(copy.mechanism);
    if (!row || !((row->flags | row->decrypt_flags) & use))
        return CKR_MECHANISM_INVALID;
    out->row = row;
    out->dek.mode = row->mode;
    out->dek.encrypt = use == CKF_ENCRYPT;
    return row->parse(&copy, out);
}

void cmk_mech_clear(cmk_mech *m)
{
    cmk_buf_free(&m->label);
}

static CK_RV mechanism_list(cmk_module *m, CK_SLOT_ID id, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count)
{
    cmk_slot *slot = NULL;
    if (!count)
        return CKR_ARGUMENTS_BAD;
    CK_RV rv = cmk_slot_get(m, id, &slot);
    if (rv != CKR_OK)
        return rv;
    CK_ULONG room = *count;
    *count = ROWS;
    if (!list)
        return CKR_OK;
    if (room < ROWS)
        return CKR_BUFFER_TOO_SMALL;
    for (size_t i = 0; i < ROWS; i++)
        list[i] = rows[i].type;
    return CKR_OK;
}

/* PKCS#11 v3.0 §5.5.5 C_GetMechanismList */
CK_RV C_GetMechanismList(CK_SLOT_ID slotID, CK_MECHANISM_TYPE_PTR pMechanismList, CK_ULONG_PTR pulCount)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    if (rv != CKR_OK)
        return rv;
    return cmk_leave(__func__, mechanism_list(m, slotID, pMechanismList, pulCount));
}

static CK_RV mechanism_info(cmk_module *m, CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)
{
    cmk_slot *slot = NULL;
    if (!info)
        return CKR_ARGUMENTS_BAD;
    CK_RV rv = cmk_slot_get(m, id, &slot);
    if (rv != CKR_OK)
        return rv;
    const cmk_mech_row *row = cmk_mech_row_of(type);
    if (!row)
        return CKR_MECHANISM_INVALID;
    *info = (CK_MECHANISM_INFO){row->min, row->max, row->flags};
    cmk_vault_info vault;
    if (row->decrypt_flags && slot->vault && cmk_vault_get_info(slot->vault, &vault) == CMK_OK &&
        (vault.allow_ops & CMK_OP_DECRYPT))
        info->flags |= row->decrypt_flags;
    return CKR_OK;
}

/* PKCS#11 v3.0 §5.5.6 C_GetMechanismInfo */
CK_RV C_GetMechanismInfo(CK_SLOT_ID slotID, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR pInfo)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    if (rv != CKR_OK)
        return rv;
    return cmk_leave(__func__, mechanism_info(m, slotID, type, pInfo));
}
