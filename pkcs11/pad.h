/* What the information structures have in common. */
#ifndef CMK_PKCS11_PAD_H
#define CMK_PKCS11_PAD_H

#include "pkcs11/cryptoki.h"

/* Text in a field of fixed size, padded with blanks, not terminated; cut when too long. */
void cmk_pad(CK_UTF8CHAR *out, size_t size, const char *text);
#define CMK_PAD(field, text) cmk_pad((field), sizeof(field), (text))
/* The release's major and minor number. */
CK_VERSION cmk_library_version(void);

#endif
