/* An encryption or decryption under way: what crypt.c (the entry points) and cryptop.c (the work) share. */
#ifndef CMK_PKCS11_CRYPT_H
#define CMK_PKCS11_CRYPT_H

#include "pkcs11/kobject.h"
#include "pkcs11/mechs.h"

struct cmk_crypt_state {
    bool encrypt;
    bool multi; /* an update has been done */
    cmk_mech mech;
    cmk_kobject *key;
    cmk_login *login; /* of RSA */
    cmk_dek_op *op;   /* of AES */
    bool has_result;  /* done already, but the application's buffer was too small: kept for its next call */
    cmk_buf result;
};

/* The caller's output: data NULL asks for the size. */
typedef struct cmk_output {
    CK_BYTE *data;
    CK_ULONG *len;
} cmk_output;

/* Checks key and mechanism and makes the state. */
CK_RV cmk_crypt_new(cmk_call *c, bool encrypt, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                    cmk_crypt_state **out);
/* The three ways on; out.len is not NULL. CKR_BUFFER_TOO_SMALL, and CKR_OK for a size query, leave the operation as it
 * was. */
CK_RV cmk_crypt_once(cmk_crypt_state *s, cmk_bytes in, cmk_output out);
CK_RV cmk_crypt_update(cmk_crypt_state *s, cmk_bytes in, cmk_output out);
CK_RV cmk_crypt_final(cmk_crypt_state *s, cmk_bytes in, cmk_output out);

#endif
