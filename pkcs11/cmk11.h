/* cmk11's vendor attributes: what a PKCS#11 application may name beyond the specification. libcmk11(7) explains them.
 *
 * Numbers are CKA_VENDOR_DEFINED | 0x034D4B00 + n and never change. Include a PKCS#11 header first if you want CK_
 * types; this header needs none.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef CMK11_H
#define CMK11_H

#define CKA_CMK (0x80000000UL | 0x034D4B00UL)

#define CKA_CMK_VERSION (CKA_CMK + 1UL)          /* CK_ULONG: 1, 2, 3 … within the key */
#define CKA_CMK_CURRENT (CKA_CMK + 2UL)          /* CK_BBOOL: is it what a versionless search finds */
#define CKA_CMK_ENABLED (CKA_CMK + 3UL)          /* CK_BBOOL: key and version together */
#define CKA_CMK_CREATED (CKA_CMK + 4UL)          /* CK_ULONG: seconds since 1970, UTC */
#define CKA_CMK_NOT_BEFORE (CKA_CMK + 5UL)       /* CK_ULONG: 0 = none */
#define CKA_CMK_EXPIRES (CKA_CMK + 6UL)          /* CK_ULONG: 0 = none */
#define CKA_CMK_DELETED (CKA_CMK + 7UL)          /* CK_BBOOL */
#define CKA_CMK_DELETED_AT (CKA_CMK + 8UL)       /* CK_ULONG */
#define CKA_CMK_PURGE_AT (CKA_CMK + 9UL)         /* CK_ULONG */
#define CKA_CMK_PURGE_PROTECTED (CKA_CMK + 10UL) /* CK_BBOOL */
#define CKA_CMK_ALL_VERSIONS (CKA_CMK + 11UL)    /* CK_BBOOL: only in search templates */
#define CKA_CMK_ROTATE_EVERY (CKA_CMK + 12UL)    /* CK_ULONG: seconds; 0 = no policy */

#endif
