/* The `cmk11` command: reads what is asked for, opens the store, runs the row of the table, and reports. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cli/complete.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unreleased"
#endif

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

const char *cmk_cli_version(void)
{
    return PACKAGE_VERSION;
}

cmk_rc cmk_cli_usage(cmk_cli *cli, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cli->usage = true;
    return cmk_fail(CMK_E_ARGUMENT, "%s", text);
}

void cmk_cli_note(cmk_cli *cli, const char *fmt, ...)
{
    if (cli->note_count == CMK_CLI_NOTES_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(cli->notes[cli->note_count++], CMK_CLI_NOTE_SIZE, fmt, ap);
    va_end(ap);
}

cmk_rc cmk_cli_open_vault(cmk_cli *cli, cmk_vault **out)
{
    char shown[256];
    cmk_bytes name = cmk_bytes_str(cli->args[0]);
    cmk_rc rc = cmk_name_check(CMK_NAME_VAULT, name);
    if (rc != CMK_OK)
        return rc;
    rc = cmk_vault_open_name(cli->core, name, out);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_fail(rc, "no vault %s in %s: see cmk11 vault list", cmk_printable(name, shown, sizeof shown),
                        cli->config->store);
    return rc;
}

/* The command tells of its failure itself, in one line. So diagnostics on standard error stay off until somebody asks
 * for more than warnings; those that go to a file or to syslog are as configured. */
static cmk_rc start_log(const cmk_config *config)
{
    bool noise = strcmp(config->log_target, "stderr") == 0 && config->log_level <= CMK_LOG_WARN;
    return cmk_log_setup(config->log_target, noise ? CMK_LOG_NONE : config->log_level);
}

static cmk_rc open_store(cmk_cli *cli)
{
    cmk_rc rc = cmk_config_load(&cli->config);
    if (rc != CMK_OK)
        return rc;
    rc = start_log(cli->config);
    if (rc != CMK_OK)
        return rc;
    cmk_secret_require_mlock(cli->config->require_mlock);
    if (cli->verb->creates_store)
        return CMK_OK;
    rc = cmk_core_open(cli->config, false, &cli->core);
    if (rc == CMK_E_NOT_FOUND)
        return cmk_fail(rc, "no store at %s: make a vault with `cmk11 vault init NAME`", cli->config->store);
    return rc;
}

static cmk_rc print_version(cmk_cli *cli)
{
    if (cmk_cli_has(cli, CMK_OPT_JSON))
        return cmk_out_json(cli, json_pack("{ss ss}", "name", "cmk11", "version", cmk_cli_version()));
    cmk_out_line("cmk11 %s", cmk_cli_version());
    return CMK_OK;
}

static cmk_rc run(cmk_cli *cli, int argc, char **argv)
{
    cmk_rc rc = cmk_cli_parse(cli, argc, argv);
    if (rc != CMK_OK)
        return rc;
    if (cmk_cli_has(cli, CMK_OPT_HELP)) {
        cmk_cli_help_print(cli->noun, cli->verb);
        return CMK_OK;
    }
    if (!cli->verb || cmk_cli_has(cli, CMK_OPT_VERSION))
        return print_version(cli);
    if (cli->verb->run != cmk_cli_help)
        rc = open_store(cli);
    if (rc != CMK_OK)
        return rc;
    cmk_fail_clear();
    return cli->verb->run(cli);
}

int main(int argc, char **argv)
{
    cmk_cli cli = {0};
    const struct rlimit no_core = {0, 0};

    /* A core file would hold what the library's heap held of PINs and keys. */
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)umask(077);
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (argc >= 2 && strcmp(argv[1], "__complete") == 0) {
        cmk_cli_complete(argc - 2, argv + 2);
        return EXIT_DONE;
    }
    cmk_fail_clear();
    cmk_rc rc = run(&cli, argc > 0 ? argc - 1 : 0, argv + 1);
    if (rc == CMK_OK)
        rc = cmk_out_flush();
    else
        (void)fflush(stdout);
    if (rc == CMK_OK)
        cmk_out_notes(&cli);
    else
        cmk_out_failure(&cli, rc);
    cmk_core_close(cli.core);
    cmk_config_free(cli.config);
    if (rc == CMK_OK)
        return EXIT_DONE;
    return cli.usage ? EXIT_USAGE : EXIT_REFUSED;
}
