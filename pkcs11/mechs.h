/* The mechanism table: one row for each mechanism, from which C_GetMechanismList, C_GetMechanismInfo and every function
 * that takes a mechanism work. */
#ifndef CMK_PKCS11_MECHS_H
#define CMK_PKCS11_MECHS_H

#include "pkcs11/cryptoki.h"
#include "token/token.h"

#define CMK_IV_MAX 128 /* what libcrypto's GCM takes */
#define CMK_OAEP_LABEL_MAX 65536

struct cmk_mech_row;

/* A mechanism with its parameter, copied once and checked. */
typedef struct cmk_mech {
    const struct cmk_mech_row *row;
    cmk_wrap_mech wrap; /* RSA_PKCS_OAEP, RSA_AES_KEY_WRAP; its label is a view of label */
    cmk_buf label;
    cmk_dek_params dek; /* AES_*; iv is a view of iv, aad one of the caller's memory, good during the call only */
    uint8_t iv[CMK_IV_MAX];
} cmk_mech;

typedef struct cmk_mech_row {
    CK_MECHANISM_TYPE type;
    const char *name;
    CK_KEY_TYPE key_type;
    CK_ULONG min, max;      /* as CK_MECHANISM_INFO wants them: bits, or bytes for AES */
    CK_FLAGS flags;         /* what it can do: CKF_ENCRYPT … CKF_GENERATE_KEY_PAIR */
    CK_FLAGS decrypt_flags; /* what else where the vault allows decrypt */
    cmk_dek_mode mode;      /* of the AES ciphers */
    CK_RV (*parse)(const CK_MECHANISM *in, cmk_mech *out);
} cmk_mech_row;

/* The row of type, or NULL. */
const cmk_mech_row *cmk_mech_row_of(CK_MECHANISM_TYPE type);
/* Reads mechanism for one use (a CKF_ flag): CKR_ARGUMENTS_BAD for NULL, CKR_MECHANISM_INVALID when it is not there or
 * not for this use, CKR_MECHANISM_PARAM_INVALID. out needs cmk_mech_clear(), also after an error. */
CK_RV cmk_mech_read(const CK_MECHANISM *in, CK_FLAGS use, cmk_mech *out);
void cmk_mech_clear(cmk_mech *m);
#define CMK_MECH_AUTO __attribute__((cleanup(cmk_mech_clear))) cmk_mech

#endif
