/* Role × action: the only place that says yes or no. */
#include <string.h>

#include "token/token.h"

#define BIT(action) (1u << (action))
#define USE (BIT(CMK_ACT_LIST) | BIT(CMK_ACT_WRAP) | BIT(CMK_ACT_UNWRAP) | BIT(CMK_ACT_DECRYPT))
#define OBJECTS (BIT(CMK_ACT_OBJECT_USE) | BIT(CMK_ACT_OBJECT_CREATE) | BIT(CMK_ACT_OBJECT_DESTROY))
#define KEYS (BIT(CMK_ACT_KEY_CREATE) | BIT(CMK_ACT_KEY_ROTATE) | BIT(CMK_ACT_KEY_MANAGE))

static const struct role_row {
    const char *name;
    unsigned actions;
} roles[CMK_ROLE_COUNT] = {
    [CMK_ROLE_NONE] = {"none", 0},
    [CMK_ROLE_ADMIN] = {"admin", BIT(CMK_ACT_LIST) | BIT(CMK_ACT_USER_MANAGE) | BIT(CMK_ACT_VAULT_MANAGE)},
    [CMK_ROLE_OFFICER] = {"officer", USE | OBJECTS | KEYS},
    [CMK_ROLE_ENCRYPTION_USER] = {"encryption-user", USE | OBJECTS},
    [CMK_ROLE_WRAP_ONLY] = {"wrap-only", BIT(CMK_ACT_LIST) | BIT(CMK_ACT_WRAP)},
    [CMK_ROLE_AUDITOR] = {"auditor", BIT(CMK_ACT_LIST)},
};

bool cmk_policy_allows(cmk_role role, cmk_action action)
{
    if ((unsigned)role >= CMK_ROLE_COUNT || (unsigned)action >= CMK_ACT_COUNT)
        return false;
    return (roles[role].actions & BIT(action)) != 0;
}

const char *cmk_role_name(cmk_role role)
{
    return (unsigned)role < CMK_ROLE_COUNT ? roles[role].name : "unknown";
}

static const struct op_row {
    const char *name;
    uint32_t bit;
} ops[] = {{"wrapKey", CMK_OP_WRAP}, {"unwrapKey", CMK_OP_UNWRAP}, {"decrypt", CMK_OP_DECRYPT}};

static uint32_t op_bit(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strlen(ops[i].name) == len && memcmp(ops[i].name, name, len) == 0)
            return ops[i].bit;
    return 0;
}

uint32_t cmk_op_bit(const char *name)
{
    return op_bit(name, strlen(name));
}

cmk_rc cmk_ops_parse(const char *list, uint32_t *out)
{
    uint32_t found = 0;
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        uint32_t bit = op_bit(p, len);
        if (bit == 0)
            return cmk_fail(CMK_E_ARGUMENT, "\"%.*s\" is no operation: there are wrapKey, unwrapKey and decrypt",
                            len > 40 ? 40 : (int)len, p);
        found |= bit;
        p += len;
        if (*p == 0)
            break;
    }
    *out = found;
    return CMK_OK;
}
