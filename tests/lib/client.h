/* A PKCS#11 client for bench and stress tests: loads the module as any application does. */
#ifndef CMK_TESTS_CLIENT_H
#define CMK_TESTS_CLIENT_H

#include "pkcs11/cryptoki.h"

#define CLIENT_SO_PIN "bench-so-pin"
#define CLIENT_PIN "bench-user-pin"

/* Ends the program with a message when a call fails. */
#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        CK_RV must_rv = (call);                                                                                        \
        if (must_rv != CKR_OK)                                                                                         \
            client_die(#call, must_rv);                                                                                \
    } while (0)
_Noreturn void client_die(const char *what, CK_RV rv);

/* Loads $CMK11_MODULE and initialises it on the store in $CMK11_STORE. */
CK_FUNCTION_LIST *client_load(void);
/* The same without C_Initialize; *module is for dlclose(), and may be NULL. */
CK_FUNCTION_LIST *client_open(void **module);
/* The slot of the vault with this label; ends the program when there is none. */
CK_SLOT_ID client_slot(CK_FUNCTION_LIST *p, const char *label);
/* Makes a vault with label and both PINs in the slot of the uninitialised token. */
CK_SLOT_ID client_init_vault(CK_FUNCTION_LIST *p, const char *label);
/* A logged-in read-write session. */
CK_SESSION_HANDLE client_login(CK_FUNCTION_LIST *p, CK_SLOT_ID slot);
CK_SESSION_HANDLE client_session(CK_FUNCTION_LIST *p, CK_SLOT_ID slot);
/* Makes a KEK pair. */
void client_make_kek(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s, const char *label, CK_ULONG bits);
/* The object of a class with this label. */
CK_OBJECT_HANDLE client_find(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s, CK_OBJECT_CLASS class, const char *label);
/* An extractable AES-256 session key. */
CK_OBJECT_HANDLE client_dek(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s);
/* OAEP with SHA-256 and MGF1-SHA-256. */
CK_MECHANISM *client_oaep(void);
/* Unwraps an AES key into a session object and destroys it. */
void client_unwrap_once(CK_FUNCTION_LIST *p, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE key, const unsigned char *wrapped,
                        CK_ULONG len);
/* Seconds of a monotonic clock. */
double client_seconds(void);

#endif
