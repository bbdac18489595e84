/* The configuration file (cmk11.conf(5)): paths, caches, display. It may narrow what a vault allows, never widen it. */
#ifndef CMK_UTIL_CONFIG_H
#define CMK_UTIL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"
#include "util/log.h"

typedef struct cmk_vault_pin {
    char *name;        /* vault name */
    char *fingerprint; /* as cmk11 vault key-fingerprint prints it */
} cmk_vault_pin;

typedef struct cmk_config {
    char *path;               /* the file that was read, or NULL: built-in defaults */
    char *store;              /* "sqlite:DIR"; never NULL */
    char *audit_dir;          /* NULL: audit/ in the store's directory */
    char *log_target;         /* "stderr" */
    cmk_log_level log_level;  /* CMK_LOG_WARN */
    bool require_mlock;       /* false */
    bool import_secret_keys;  /* true; false refuses raw secret keys in C_CreateObject */
    uint32_t busy_timeout_ms; /* 10,000: how long a writer waits for another */
    cmk_vault_pin *pins;      /* vault-key NAME = FINGERPRINT */
    size_t pin_count;
} cmk_config;

/* Finds and reads the configuration: $CMK11_CONF, else $XDG_CONFIG_HOME/cmk11/cmk11.conf (~/.config/…), else
 * /etc/cmk11/cmk11.conf, else defaults; then $CMK11_STORE overrides the store. The environment is read with
 * secure_getenv. A file that is named by $CMK11_CONF and missing is an error. A file that others can write, or that
 * belongs to neither root nor the effective user, is refused (CMK_E_PERMISSION). An unknown section, key or value is
 * CMK_E_CONFIG with file, line and the nearest known key. *out is owned by the caller: cmk_config_free(). */
CMK_MUST_USE cmk_rc cmk_config_load(cmk_config **out);
/* Frees; NULL is fine. */
void cmk_config_free(cmk_config *c);

#endif
