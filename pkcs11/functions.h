/* Every function of PKCS#11, once, in the order of the specification's function lists. From here come the two lists
 * that applications get, the answers of what the module does not offer, and the expected exports.
 *
 * HAVE(name, …) is offered, LACK(name, …) answers CKR_FUNCTION_NOT_SUPPORTED. Parameters stand only where they are
 * needed: with what is not offered, and with what cryptoki.h may have to declare.
 */
#ifndef CMK_PKCS11_FUNCTIONS_H
#define CMK_PKCS11_FUNCTIONS_H

/* clang-format off */
#define CMK_FUNCTIONS_2_40(HAVE, LACK) \
    HAVE(C_Initialize) \
    HAVE(C_Finalize) \
    HAVE(C_GetInfo) \
    HAVE(C_GetFunctionList) \
    HAVE(C_GetSlotList) \
    HAVE(C_GetSlotInfo) \
    HAVE(C_GetTokenInfo) \
    HAVE(C_GetMechanismList) \
    HAVE(C_GetMechanismInfo) \
    HAVE(C_InitToken) \
    HAVE(C_InitPIN) \
    HAVE(C_SetPIN) \
    HAVE(C_OpenSession) \
    HAVE(C_CloseSession) \
    HAVE(C_CloseAllSessions) \
    HAVE(C_GetSessionInfo) \
    LACK(C_GetOperationState, (CK_SESSION_HANDLE session, CK_BYTE *state, CK_ULONG *state_len)) \
    LACK(C_SetOperationState, (CK_SESSION_HANDLE session, CK_BYTE *state, CK_ULONG state_len, CK_OBJECT_HANDLE encryption_key, \
                               CK_OBJECT_HANDLE authentication_key)) \
    HAVE(C_Login) \
    HAVE(C_Logout) \
    HAVE(C_CreateObject) \
    HAVE(C_CopyObject) \
    HAVE(C_DestroyObject) \
    HAVE(C_GetObjectSize) \
    HAVE(C_GetAttributeValue) \
    HAVE(C_SetAttributeValue) \
    HAVE(C_FindObjectsInit) \
    HAVE(C_FindObjects) \
    HAVE(C_FindObjectsFinal) \
    HAVE(C_EncryptInit) \
    HAVE(C_Encrypt) \
    HAVE(C_EncryptUpdate) \
    HAVE(C_EncryptFinal) \
    HAVE(C_DecryptInit) \
    HAVE(C_Decrypt) \
    HAVE(C_DecryptUpdate) \
    HAVE(C_DecryptFinal) \
    LACK(C_DigestInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism)) \
    LACK(C_Digest, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *digest, CK_ULONG *digest_len)) \
    LACK(C_DigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len)) \
    LACK(C_DigestKey, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)) \
    LACK(C_DigestFinal, (CK_SESSION_HANDLE session, CK_BYTE *digest, CK_ULONG *digest_len)) \
    LACK(C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_Sign, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature, CK_ULONG *signature_len)) \
    LACK(C_SignUpdate, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len)) \
    LACK(C_SignFinal, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_len)) \
    LACK(C_SignRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_SignRecover, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature, CK_ULONG *signature_len)) \
    LACK(C_VerifyInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_Verify, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature, CK_ULONG signature_len)) \
    LACK(C_VerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len)) \
    LACK(C_VerifyFinal, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len)) \
    LACK(C_VerifyRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_VerifyRecover, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len, CK_BYTE *data, CK_ULONG *data_len)) \
    LACK(C_DigestEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)) \
    LACK(C_DecryptDigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)) \
    LACK(C_SignEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)) \
    LACK(C_DecryptVerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)) \
    HAVE(C_GenerateKey) \
    HAVE(C_GenerateKeyPair) \
    HAVE(C_WrapKey) \
    HAVE(C_UnwrapKey) \
    LACK(C_DeriveKey, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base, CK_ATTRIBUTE *attributes, CK_ULONG count, \
                       CK_OBJECT_HANDLE *key)) \
    HAVE(C_SeedRandom) \
    HAVE(C_GenerateRandom) \
    HAVE(C_GetFunctionStatus) \
    HAVE(C_CancelFunction) \
    HAVE(C_WaitForSlotEvent)

#define CMK_FUNCTIONS_3_0(HAVE, LACK) \
    HAVE(C_GetInterfaceList, (CK_INTERFACE *list, CK_ULONG *count)) \
    HAVE(C_GetInterface, (CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags)) \
    HAVE(C_LoginUser, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_len, CK_UTF8CHAR *username, \
                       CK_ULONG username_len)) \
    HAVE(C_SessionCancel, (CK_SESSION_HANDLE session, CK_FLAGS flags)) \
    LACK(C_MessageEncryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_EncryptMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_size, CK_BYTE *in, \
                            CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)) \
    LACK(C_EncryptMessageBegin, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_size)) \
    LACK(C_EncryptMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, \
                                CK_ULONG *out_len, CK_FLAGS flags)) \
    LACK(C_MessageEncryptFinal, (CK_SESSION_HANDLE session)) \
    LACK(C_MessageDecryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_DecryptMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_size, CK_BYTE *in, \
                            CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)) \
    LACK(C_DecryptMessageBegin, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *aad, CK_ULONG aad_size)) \
    LACK(C_DecryptMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, \
                                CK_ULONG *out_len, CK_FLAGS flags)) \
    LACK(C_MessageDecryptFinal, (CK_SESSION_HANDLE session)) \
    LACK(C_MessageSignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_SignMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data, CK_ULONG data_len, \
                         CK_BYTE *signature, CK_ULONG *signature_len)) \
    LACK(C_SignMessageBegin, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len)) \
    LACK(C_SignMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data, CK_ULONG data_len, \
                             CK_BYTE *signature, CK_ULONG *signature_len)) \
    LACK(C_MessageSignFinal, (CK_SESSION_HANDLE session)) \
    LACK(C_MessageVerifyInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
    LACK(C_VerifyMessage, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data, CK_ULONG data_len, \
                           CK_BYTE *signature, CK_ULONG signature_len)) \
    LACK(C_VerifyMessageBegin, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len)) \
    LACK(C_VerifyMessageNext, (CK_SESSION_HANDLE session, void *parameter, CK_ULONG parameter_len, CK_BYTE *data, CK_ULONG data_len, \
                               CK_BYTE *signature, CK_ULONG signature_len)) \
    LACK(C_MessageVerifyFinal, (CK_SESSION_HANDLE session))
/* clang-format on */

#endif
