/* PKCS#11 as the module sees it: p11-kit's header, and what version 3.0 of the specification adds where the installed
 * header stops at 2.40 (Debian 12). Written from the specification: PKCS#11 Cryptographic Token Interface Base
 * Specification Version 3.0, OASIS Standard.
 */
#ifndef CMK_PKCS11_CRYPTOKI_H
#define CMK_PKCS11_CRYPTOKI_H

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

/* The entry points are what the library exports; all else is hidden. */
#pragma GCC visibility push(default)

#ifndef CRYPTOKI_COMPAT
#define CRYPTOKI_COMPAT 1
#endif
#include <p11-kit/pkcs11.h>

#include "pkcs11/functions.h"

/* ---- types ---- */

#if !defined(HAVE_CK_RSA_AES_KEY_WRAP_PARAMS)
typedef struct CK_RSA_AES_KEY_WRAP_PARAMS {
    CK_ULONG ulAESKeyBits;
    CK_RSA_PKCS_OAEP_PARAMS *pOAEPParams;
} CK_RSA_AES_KEY_WRAP_PARAMS;
#endif

#if !defined(HAVE_CK_INTERFACE)
typedef struct CK_INTERFACE {
    CK_CHAR *pInterfaceName;
    CK_VOID_PTR pFunctionList;
    CK_FLAGS flags;
} CK_INTERFACE;
typedef CK_INTERFACE *CK_INTERFACE_PTR;
typedef CK_INTERFACE_PTR *CK_INTERFACE_PTR_PTR;
#endif

/* ---- functions ---- */

#if !defined(HAVE_CK_FUNCTION_LIST_3_0)
#define CMK_CK_DECLARE(name, ...)                                                                                      \
    typedef CK_RV(*CK_##name) __VA_ARGS__;                                                                             \
    CK_RV name __VA_ARGS__;
CMK_FUNCTIONS_3_0(CMK_CK_DECLARE, CMK_CK_DECLARE)
#undef CMK_CK_DECLARE

/* The 2.40 list with more members at its end. */
typedef struct CK_FUNCTION_LIST_3_0 {
    CK_VERSION version;
#define CMK_CK_MEMBER(name, ...) CK_##name name;
    CMK_FUNCTIONS_2_40(CMK_CK_MEMBER, CMK_CK_MEMBER)
    CMK_FUNCTIONS_3_0(CMK_CK_MEMBER, CMK_CK_MEMBER)
#undef CMK_CK_MEMBER
} CK_FUNCTION_LIST_3_0;
typedef CK_FUNCTION_LIST_3_0 *CK_FUNCTION_LIST_3_0_PTR;
#endif

#pragma GCC visibility pop

/* ---- constants ---- */

#ifndef CKF_INTERFACE_FORK_SAFE
#define CKF_INTERFACE_FORK_SAFE 0x1UL
#endif
#ifndef CKF_END_OF_MESSAGE
#define CKF_END_OF_MESSAGE 0x1UL
#endif
#ifndef CKF_MESSAGE_ENCRYPT
#define CKF_MESSAGE_ENCRYPT 0x2UL
#endif
#ifndef CKF_MESSAGE_DECRYPT
#define CKF_MESSAGE_DECRYPT 0x4UL
#endif
#ifndef CKF_MESSAGE_SIGN
#define CKF_MESSAGE_SIGN 0x8UL
#endif
#ifndef CKF_MESSAGE_VERIFY
#define CKF_MESSAGE_VERIFY 0x10UL
#endif
#ifndef CKF_MULTI_MESSAGE
#define CKF_MULTI_MESSAGE 0x20UL
#endif
#ifndef CKF_FIND_OBJECTS
#define CKF_FIND_OBJECTS 0x40UL
#endif
#ifndef CKF_ERROR_STATE
#define CKF_ERROR_STATE (1UL << 24)
#endif
#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID 0x4UL
#endif
#ifndef CKA_PROFILE_ID
#define CKA_PROFILE_ID 0x601UL
#endif
#ifndef CKO_PROFILE
#define CKO_PROFILE 0x9UL
#endif
#ifndef CKP_BASELINE_PROVIDER
#define CKP_BASELINE_PROVIDER 0x1UL
#endif
#ifndef CKP_EXTENDED_PROVIDER
#define CKP_EXTENDED_PROVIDER 0x2UL
#endif
#ifndef CKM_AES_KEY_WRAP_KWP
#define CKM_AES_KEY_WRAP_KWP 0x210BUL
#endif
#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED 0x42UL
#endif
#ifndef CKR_TOKEN_RESOURCE_EXCEEDED
#define CKR_TOKEN_RESOURCE_EXCEEDED 0x201UL
#endif
#ifndef CKR_OPERATION_CANCEL_FAILED
#define CKR_OPERATION_CANCEL_FAILED 0x202UL
#endif

#endif
