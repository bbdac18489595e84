/* PKCS#11 v3.0 §5.8 and §5.10: encrypting and decrypting with data-encryption keys, and with KEKs whose vault allows
 * decrypt.
 *
 * Any error but CKR_BUFFER_TOO_SMALL ends the operation; a NULL length pointer is no call at all. */
#include "pkcs11/crypt.h"

static cmk_crypt_state **place(cmk_session *s, bool encrypt)
{
    return encrypt ? &s->encrypt : &s->decrypt;
}

static cmk_crypt_state *take(cmk_session *s, bool encrypt)
{
    CMK_WITH_MUTEX(&s->lock);
    cmk_crypt_state *state = *place(s, encrypt);
    *place(s, encrypt) = NULL;
    return state;
}

static bool active(cmk_session *s, bool encrypt)
{
    CMK_WITH_MUTEX(&s->lock);
    return *place(s, encrypt) != NULL;
}

static CK_RV install(cmk_session *s, bool encrypt, cmk_crypt_state *state)
{
    CMK_WITH_MUTEX(&s->lock);
    if (*place(s, encrypt))
        return CKR_OPERATION_ACTIVE;
    *place(s, encrypt) = state;
    return CKR_OK;
}

static CK_RV init(CK_SESSION_HANDLE session, const char *function, bool encrypt, const CK_MECHANISM *mechanism,
                  CK_OBJECT_HANDLE key)
{
    cmk_call c;
    cmk_crypt_state *state = NULL;
    CK_RV rv = cmk_call_begin(&c, session);
    if (rv == CKR_OK && !mechanism) { /* version 3.0: no mechanism cancels */
        state = take(c.s, encrypt);
        rv = state ? CKR_OK : CKR_ARGUMENTS_BAD;
    } else if (rv == CKR_OK) {
        rv = active(c.s, encrypt) ? CKR_OPERATION_ACTIVE : cmk_crypt_new(&c, encrypt, mechanism, key, &state);
        if (rv == CKR_OK)
            rv = install(c.s, encrypt, state);
        if (rv == CKR_OK)
            state = NULL;
    }
    cmk_crypt_free(state);
    return cmk_call_end(&c, function, rv);
}

typedef CK_RV step(cmk_crypt_state *s, cmk_bytes in, cmk_output out);

/* One step, and what it does to the operation. more: it goes on after success. */
static CK_RV run_locked(cmk_session *s, bool encrypt, step *go, bool more, cmk_bytes in, cmk_output out,
                        cmk_crypt_state **ended)
{
    CMK_WITH_MUTEX(&s->lock);
    cmk_crypt_state *state = *place(s, encrypt);
    if (!state)
        return CKR_OPERATION_NOT_INITIALIZED;
    if (!out.len)
        return CKR_ARGUMENTS_BAD;
    CK_RV rv = CKR_GENERAL_ERROR;
    if (!in.data && in.len > 0)
        rv = CKR_ARGUMENTS_BAD;
    else if (atomic_load(&state->key->logged_out))
        rv = CKR_USER_NOT_LOGGED_IN;
    else
        rv = go(state, in, out);
    bool goes_on = rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && (more || !out.data));
    if (!goes_on) {
        *ended = state;
        *place(s, encrypt) = NULL;
    }
    return rv;
}

static CK_RV run(CK_SESSION_HANDLE session, const char *function, bool encrypt, step *go, cmk_bytes in, cmk_output out)
{
    cmk_call c;
    cmk_crypt_state *ended = NULL;
    CK_RV rv = cmk_call_begin(&c, session);
    if (rv == CKR_OK)
        rv = run_locked(c.s, encrypt, go, go == cmk_crypt_update, in, out, &ended);
    cmk_crypt_free(ended);
    return cmk_call_end(&c, function, rv);
}

/* PKCS#11 v3.0 §5.8.1 C_EncryptInit */
CK_RV C_EncryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
    return init(hSession, __func__, true, pMechanism, hKey);
}

/* PKCS#11 v3.0 §5.8.2 C_Encrypt */
CK_RV C_Encrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pEncryptedData,
                CK_ULONG_PTR pulEncryptedDataLen)
{
    return run(hSession, __func__, true, cmk_crypt_once, cmk_bytes_of(pData, ulDataLen),
               (cmk_output){pEncryptedData, pulEncryptedDataLen});
}

/* PKCS#11 v3.0 §5.8.3 C_EncryptUpdate */
CK_RV C_EncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen, CK_BYTE_PTR pEncryptedPart,
                      CK_ULONG_PTR pulEncryptedPartLen)
{
    return run(hSession, __func__, true, cmk_crypt_update, cmk_bytes_of(pPart, ulPartLen),
               (cmk_output){pEncryptedPart, pulEncryptedPartLen});
}

/* PKCS#11 v3.0 §5.8.4 C_EncryptFinal */
CK_RV C_EncryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastEncryptedPart, CK_ULONG_PTR pulLastEncryptedPartLen)
{
    return run(hSession, __func__, true, cmk_crypt_final, cmk_bytes_of(NULL, 0),
               (cmk_output){pLastEncryptedPart, pulLastEncryptedPartLen});
}

/* PKCS#11 v3.0 §5.10.1 C_DecryptInit */
CK_RV C_DecryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
    return init(hSession, __func__, false, pMechanism, hKey);
}

/* PKCS#11 v3.0 §5.10.2 C_Decrypt */
CK_RV C_Decrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedData, CK_ULONG ulEncryptedDataLen, CK_BYTE_PTR pData,
                CK_ULONG_PTR pulDataLen)
{
    return run(hSession, __func__, false, cmk_crypt_once, cmk_bytes_of(pEncryptedData, ulEncryptedDataLen),
               (cmk_output){pData, pulDataLen});
}

/* PKCS#11 v3.0 §5.10.3 C_DecryptUpdate */
CK_RV C_DecryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart, CK_ULONG ulEncryptedPartLen,
                      CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen)
{
    return run(hSession, __func__, false, cmk_crypt_update, cmk_bytes_of(pEncryptedPart, ulEncryptedPartLen),
               (cmk_output){pPart, pulPartLen});
}

/* PKCS#11 v3.0 §5.10.4 C_DecryptFinal */
CK_RV C_DecryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastPart, CK_ULONG_PTR pulLastPartLen)
{
    return run(hSession, __func__, false, cmk_crypt_final, cmk_bytes_of(NULL, 0),
               (cmk_output){pLastPart, pulLastPartLen});
}
