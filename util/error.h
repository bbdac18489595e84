/* Result codes of everything below the PKCS#11 surface, their text, and the detail of the last failure.
 *
 * Functions that can fail return cmk_rc and start their local variable as CMK_E_INTERNAL, so that a path that forgets
 * to say it succeeded fails. Where a failure is found, cmk_fail() says in one sentence what, where and what to do; the
 * caller passes the code on. Details never hold secrets: no PIN, no key, no template value.
 */
#ifndef CMK_UTIL_ERROR_H
#define CMK_UTIL_ERROR_H

#define CMK_MUST_USE __attribute__((warn_unused_result))
#define CMK_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* One row each: code, name for machines (--json, logs), text for people. */
#define CMK_ERROR_TABLE(X)                                                                                             \
    X(CMK_OK, "ok", "done")                                                                                            \
    X(CMK_E_INTERNAL, "internal", "internal error")                                                                    \
    X(CMK_E_ARGUMENT, "argument", "invalid argument")                                                                  \
    X(CMK_E_NO_MEMORY, "no-memory", "out of memory")                                                                   \
    X(CMK_E_LOCKED_MEMORY, "locked-memory", "memory for secrets can't be locked")                                      \
    X(CMK_E_NAME, "name", "invalid name")                                                                              \
    X(CMK_E_NOT_FOUND, "not-found", "not found")                                                                       \
    X(CMK_E_EXISTS, "exists", "exists already")                                                                        \
    X(CMK_E_CONFLICT, "conflict", "changed by somebody else at the same time")                                         \
    X(CMK_E_BUSY, "busy", "the store is busy")                                                                         \
    X(CMK_E_LIMIT, "limit", "a stated limit is reached")                                                               \
    X(CMK_E_IO, "io", "input/output error")                                                                            \
    X(CMK_E_FULL, "disk-full", "no space left")                                                                        \
    X(CMK_E_READ_ONLY, "read-only", "the store can't be written")                                                      \
    X(CMK_E_PERMISSION, "permission", "unsafe or insufficient file permissions")                                       \
    X(CMK_E_STORE_DAMAGED, "store-damaged", "the store is damaged")                                                    \
    X(CMK_E_SCHEMA_NEWER, "schema-newer", "the store was made by a newer release")                                     \
    X(CMK_E_UNSUPPORTED_FS, "unsupported-fs", "the store is on a network file system")                                 \
    X(CMK_E_FORMAT, "format", "malformed record")                                                                      \
    X(CMK_E_TAMPERED, "tampered", "a record does not verify")                                                          \
    X(CMK_E_ROLLBACK, "rollback", "older state was put back")                                                          \
    X(CMK_E_CONFIG, "config", "invalid configuration")                                                                 \
    X(CMK_E_CRYPTO, "crypto", "cryptographic library failure")                                                         \
    X(CMK_E_PIN_INCORRECT, "pin-incorrect", "wrong PIN")                                                               \
    X(CMK_E_PIN_LOCKED, "pin-locked", "locked after too many wrong PINs")                                              \
    X(CMK_E_PIN_INVALID, "pin-invalid", "PIN not acceptable")                                                          \
    X(CMK_E_PIN_LENGTH, "pin-length", "PIN too short or too long")                                                     \
    X(CMK_E_PIN_NOT_SET, "pin-not-set", "PIN not initialised")                                                         \
    X(CMK_E_NOT_LOGGED_IN, "not-logged-in", "a login is needed")                                                       \
    X(CMK_E_FORBIDDEN, "forbidden", "the role does not allow this")                                                    \
    X(CMK_E_KEY_NOT_PERMITTED, "key-not-permitted", "the key may not be used for this")                                \
    X(CMK_E_ACTION_PROHIBITED, "action-prohibited", "not possible in this state")                                      \
    X(CMK_E_PROTECTED, "protected", "purge protection forbids this")                                                   \
    X(CMK_E_KEY_SIZE, "key-size", "key size not supported")                                                            \
    X(CMK_E_MECHANISM, "mechanism", "mechanism not supported")                                                         \
    X(CMK_E_MECHANISM_PARAM, "mechanism-param", "invalid mechanism parameter")                                         \
    X(CMK_E_WRAPPED_KEY, "wrapped-key", "the wrapped key does not open")                                               \
    X(CMK_E_WRAPPED_KEY_LENGTH, "wrapped-key-length", "wrong length of wrapped key")                                   \
    X(CMK_E_DATA_LENGTH, "data-length", "wrong length of data")                                                        \
    X(CMK_E_DECRYPT, "decrypt", "the encrypted data does not open")                                                    \
    X(CMK_E_BUFFER_TOO_SMALL, "buffer-too-small", "output buffer too small")                                           \
    X(CMK_E_FORKED, "forked", "not initialised after fork")                                                            \
    X(CMK_E_UNSUPPORTED, "unsupported", "not supported")

typedef enum cmk_rc {
#define CMK_ERROR_ENUM(code, name, text) code,
    CMK_ERROR_TABLE(CMK_ERROR_ENUM)
#undef CMK_ERROR_ENUM
        CMK_RC_COUNT
} cmk_rc;

/* The machine-readable name of rc ("not-found"), a static string; "unknown" for values outside the table. */
const char *cmk_rc_name(cmk_rc rc);

/* One short English phrase for rc, a static string. */
const char *cmk_rc_text(cmk_rc rc);

/* Remembers a sentence about this failure for the calling thread (at most 511 bytes, truncated on a UTF-8 boundary) and
 * returns rc, so that `return cmk_fail(CMK_E_NOT_FOUND, "vault %s: …", name);` is one statement. Never pass secrets. */
cmk_rc cmk_fail(cmk_rc rc, const char *fmt, ...) CMK_PRINTF(2, 3);
#ifdef __clang_analyzer__ /* it can't see into error.c, and would follow paths on which a failure turns into success   \
                           */
#define cmk_fail(rc, ...) (cmk_fail(rc, __VA_ARGS__), (rc))
#endif

/* The sentence of this thread's last cmk_fail(), or "" when there was none since cmk_fail_clear(). Valid until the next
 * cmk_fail() of the same thread. */
const char *cmk_fail_detail(void);

/* Forgets this thread's sentence; entry points call it first. */
void cmk_fail_clear(void);

#endif
