/* Random numbers (PKCS#11 v3.0 §5.21). */
#include "pkcs11/module.h"

typedef cmk_rc (*random_function)(CK_BYTE *data, size_t n);

static cmk_rc seed(CK_BYTE *data, size_t n)
{
    return cmk_token_seed(data, n);
}

static cmk_rc generate(CK_BYTE *data, size_t n)
{
    return cmk_token_random(data, n);
}

static CK_RV with_session(const char *name, CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG n, random_function run)
{
    cmk_module *m = NULL;
    cmk_session *s = NULL;
    CK_RV rv = cmk_enter(&m);
    if (rv != CKR_OK)
        return rv;
    rv = !data && n > 0 ? CKR_ARGUMENTS_BAD : cmk_session_get(m, handle, &s);
    if (rv == CKR_OK && n > 0)
        rv = cmk_ckr(run(data, n));
    cmk_session_put(s);
    return cmk_leave(name, rv);
}

/* §5.21.1 C_SeedRandom */
CK_RV C_SeedRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSeed, CK_ULONG ulSeedLen)
{
    return with_session(__func__, hSession, pSeed, ulSeedLen, seed);
}

/* §5.21.2 C_GenerateRandom */
CK_RV C_GenerateRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pRandomData, CK_ULONG ulRandomLen)
{
    return with_session(__func__, hSession, pRandomData, ulRandomLen, generate);
}
