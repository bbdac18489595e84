/* What the specification has and the module does not offer, generated from the one list of functions. */
#include "pkcs11/module.h"

static CK_RV unsupported(const char *function)
{
    cmk_module *m = NULL;
    CK_RV rv = cmk_enter(&m);
    return rv == CKR_OK ? cmk_leave(function, CKR_FUNCTION_NOT_SUPPORTED) : rv;
}

#define OFFERED(name, ...)
#define NOT_OFFERED(name, ...)                                                                                         \
    CK_RV name __VA_ARGS__                                                                                             \
    {                                                                                                                  \
        return unsupported(#name);                                                                                     \
    }

/* What nobody reads has a name all the same: the lists give whole declarations. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
/* NOLINTBEGIN(misc-unused-parameters) */
CMK_FUNCTIONS_2_40(OFFERED, NOT_OFFERED)
CMK_FUNCTIONS_3_0(OFFERED, NOT_OFFERED)
/* NOLINTEND(misc-unused-parameters) */
