/* cmk11 store: what concerns the store as a whole. */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

#define GROUP_BUFFER 65536

static cmk_rc find_group(cmk_cli *cli, const char *name, gid_t *gid)
{
    struct group group, *found = NULL;
    char *buffer = malloc(GROUP_BUFFER);
    if (!buffer)
        return CMK_E_NO_MEMORY;
    int error = getgrnam_r(name, &group, buffer, GROUP_BUFFER, &found);
    if (found)
        *gid = group.gr_gid;
    free(buffer);
    if (found)
        return CMK_OK;
    if (error != 0)
        return cmk_fail(CMK_E_IO, "looking for the group %s: %s", name, strerror(error));
    return cmk_cli_usage(cli, "store group: this machine has no group %s", name);
}

cmk_rc cmk_cli_store_group(cmk_cli *cli)
{
    const char *name = cli->args[0];
    gid_t gid = (gid_t)-1;
    bool none = strcmp(name, "none") == 0;
    cmk_rc rc = none ? CMK_OK : find_group(cli, name, &gid);
    if (rc == CMK_OK)
        rc = cmk_core_set_group(cli->core, gid);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_JSON))
        return cmk_out_json(cli, json_pack("{ss ss?}", "store", cli->config->store, "group", none ? NULL : name));
    if (none)
        cmk_out_line("The store %s is its owner's alone.", cli->config->store);
    else
        cmk_out_line("The store %s is shared among the members of %s.", cli->config->store, name);
    return CMK_OK;
}
