/* Memory for secrets: locked (mlock), left out of core dumps (MADV_DONTDUMP), not inherited by a forked child
 * (MADV_WIPEONFORK), between guard pages, wiped when freed.
 *
 * Small blocks (up to 4,096 bytes) share regions of locked pages, so that 10,000 DEKs do not need 10,000 mappings;
 * larger ones get a mapping of their own. A canary behind each block is checked when it is freed; damage ends the
 * process.
 */
#ifndef CMK_UTIL_SECRET_H
#define CMK_UTIL_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/error.h"

/* What happens when mlock is refused (RLIMIT_MEMLOCK): with require false the memory is used unlocked and one warning
 * is logged for the process; with true cmk_secret_alloc() fails with NULL. Call before the first allocation.
 * Thread-safe. */
void cmk_secret_require_mlock(bool require);

/* n bytes (1 … 16 MiB), zeroed, 16-byte aligned. NULL when out of memory, or locked memory is required and not to be
 * had. The caller frees with cmk_secret_free(). Thread-safe. */
void *cmk_secret_alloc(size_t n);

/* Wipes and frees. NULL is fine. Must be called in the process that allocated, or in a forked child (where the contents
 * read as zeros already). */
void cmk_secret_free(void *p);

/* Overwrites n bytes in a way the compiler does not remove. */
void cmk_wipe(void *p, size_t n);

/* A secret of a known length: len bytes at data, owned. */
typedef struct cmk_secret {
    uint8_t *data;
    size_t len;
} cmk_secret;
#define CMK_SECRET_INIT                                                                                                \
    {                                                                                                                  \
        NULL, 0                                                                                                        \
    }

/* Makes s own n fresh zero bytes; what it owned before is freed. n may be 0 (data NULL). CMK_E_NO_MEMORY,
 * CMK_E_LOCKED_MEMORY. */
CMK_MUST_USE cmk_rc cmk_secret_new(cmk_secret *s, size_t n);
/* Makes s own a copy of v. */
CMK_MUST_USE cmk_rc cmk_secret_copy(cmk_secret *s, cmk_bytes v);
/* Wipes, frees, and resets to CMK_SECRET_INIT. NULL is fine. */
void cmk_secret_clear(cmk_secret *s);
#define CMK_SECRET_AUTO __attribute__((cleanup(cmk_secret_clear))) cmk_secret

/* The secret as a view. */
static inline cmk_bytes cmk_secret_view(const cmk_secret *s)
{
    return (cmk_bytes){s->data, s->len};
}

#endif
