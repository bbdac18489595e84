/* Generation-tagged, reference-counted handles: a number given out once is never given out again for something else, so
 * a stale handle is an error and not somebody else's object.
 *
 * A handle is (generation << 24 | index) + never 0, and fits into 53 bits so that it survives a JSON or JavaScript
 * number. Up to 2^24 - 1 live entries. cmk_handle_get() takes a reference under the table's lock (rank CMK_RANK_TABLE),
 * so an object that another thread closes lives until the last user has put it back.
 */
#ifndef CMK_UTIL_HANDLE_H
#define CMK_UTIL_HANDLE_H

#include <stdint.h>

#include "util/error.h"

/* The first member of everything that lives in a handle table. refs is atomic. */
typedef struct cmk_ref {
    uint32_t refs;
    void (*destroy)(struct cmk_ref *self);
} cmk_ref;

/* Sets the count to 1 and remembers destroy, called by the last cmk_ref_put(). */
void cmk_ref_init(cmk_ref *r, void (*destroy)(cmk_ref *self));
/* One more reference. */
void cmk_ref_take(cmk_ref *r);
/* One less; the last one destroys. NULL is fine. */
void cmk_ref_put(cmk_ref *r);

typedef struct cmk_handles cmk_handles;

/* An empty table for at most max live entries. NULL when out of memory. Freed with cmk_handles_free(). */
cmk_handles *cmk_handles_new(const char *name, uint32_t max);
/* Puts back the table's reference of every entry and frees the table. NULL is fine. No other thread may be using it. */
void cmk_handles_free(cmk_handles *t);
/* Gives object a handle; the table takes over the caller's reference. CMK_E_NO_MEMORY, CMK_E_LIMIT. On error the
 * reference stays with the caller. */
CMK_MUST_USE cmk_rc cmk_handle_add(cmk_handles *t, cmk_ref *object, uint64_t *handle);
/* The object of handle with a reference for the caller, or NULL when the handle is stale or was never given out. */
cmk_ref *cmk_handle_get(cmk_handles *t, uint64_t handle);
/* Takes handle out; the table's reference passes to the caller. NULL when the handle is stale. */
cmk_ref *cmk_handle_remove(cmk_handles *t, uint64_t handle);
/* Live entries. */
uint32_t cmk_handles_count(cmk_handles *t);
/* Calls visit for each live entry under the table's lock; visit must not use the table. Stops when visit returns
 * nonzero. */
void cmk_handles_each(cmk_handles *t, int (*visit)(void *ctx, uint64_t handle, cmk_ref *object), void *ctx);

#endif
