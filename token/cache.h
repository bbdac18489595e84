/* A bounded map from bytes to reference-counted objects; the least recently used entry goes first. Private to token/.
 *
 * Every entry carries a tag, by which its user tells how fresh it is (a change number, a revision). Thread-safe, with a
 * lock of its own of rank LEAF: it is used inside transactions too.
 */
#ifndef CMK_TOKEN_CACHE_H
#define CMK_TOKEN_CACHE_H

#include "util/bytes.h"
#include "util/handle.h"

#define CMK_CACHE_KEY_MAX 600

typedef struct cmk_cache cmk_cache;

/* An empty cache for at most max entries; memory grows with use. name is a static string. NULL when out of memory. */
cmk_cache *cmk_cache_new(const char *name, size_t max);
/* Puts back every object and frees. NULL is fine. */
void cmk_cache_free(cmk_cache *c);
/* Puts back every object. NULL is fine. */
void cmk_cache_clear(cmk_cache *c);
/* The object at key, with a reference for the caller, and its tag (tag may be NULL); NULL when there is none. */
cmk_ref *cmk_cache_get(cmk_cache *c, cmk_bytes key, uint64_t *tag);
/* Puts object there, with a reference of the cache's own, in place of what was there. Out of memory, or a key that is
 * too long: it is not kept. */
void cmk_cache_put(cmk_cache *c, cmk_bytes key, uint64_t tag, cmk_ref *object);
/* As cmk_cache_put(), but an object that is there already stays. Gives the one that is in force, with a reference for
 * the caller: of two threads that made one at once, both go on with the first. */
cmk_ref *cmk_cache_keep(cmk_cache *c, cmk_bytes key, uint64_t tag, cmk_ref *object);
/* Takes key out, if it is in. */
void cmk_cache_drop(cmk_cache *c, cmk_bytes key);

#endif
