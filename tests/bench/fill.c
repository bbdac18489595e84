/* Fills a vault with many KEKs quickly: the records are those of cmk_key_create(), but a few RSA pairs serve for all,
 * and a transaction holds thousands. Only the first KEK with a modulus has its index leaf, so searches by modulus are
 * not for this store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/lib/client.h"
#include "token/prepared.h"
#include "util/clock.h"

#define PAIRS 4
#define BATCH 5000

/* Ends the program when a step fails. */
#define STEP(expr)                                                                                                     \
    do {                                                                                                               \
        cmk_rc step_rc = (expr);                                                                                       \
        if (step_rc != CMK_OK) {                                                                                       \
            fprintf(stderr, "fill: %s: %s: %s\n", #expr, cmk_rc_name(step_rc), cmk_fail_detail());                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

typedef struct pair {
    cmk_secret pkcs8;
    cmk_buf modulus, exponent, certificate;
    bool indexed;
} pair;

typedef struct filler {
    cmk_login *login;
    cmk_vault *vault;
    pair pairs[PAIRS];
    uint64_t now;
} filler;

static void make_pair(pair *p, int64_t now)
{
    static const uint8_t f4[] = {1, 0, 1};
    cmk_rsa_private *key = NULL;
    STEP(cmk_rsa_generate(2048, cmk_bytes_of(f4, sizeof f4), &key));
    STEP(cmk_rsa_private_export(key, &p->pkcs8));
    STEP(cmk_rsa_private_public(key, &p->modulus, &p->exponent));
    cmk_buf_u8(&p->certificate, CMK_FORMAT_CERTIFICATE);
    STEP(cmk_rsa_self_certificate(key, cmk_bytes_str("bench"), now, &p->certificate));
    cmk_rsa_private_free(key);
}

static void put(cmk_view *view, const cmk_record_key *rk, cmk_buf *body)
{
    STEP(cmk_buf_ok(body));
    STEP(cmk_view_put_body(view, rk, cmk_buf_view(body), 0));
    cmk_buf_reset(body);
}

static void put_version(filler *f, cmk_view *view, pair *p, const cmk_id *key, const uint8_t *keykey)
{
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    CMK_BUF_AUTO material = CMK_BUF_INIT;
    uint8_t hash[CMK_SHA256_SIZE];
    cmk_version_rec v = {.key = *key,
                         .number = 1,
                         .origin = CMK_ORIGIN_GENERATED,
                         .enabled = 1,
                         .created = f->now,
                         .changed = f->now,
                         .created_by = f->login->principal,
                         .changed_by = f->login->principal,
                         .bits = 2048,
                         .modulus = cmk_buf_view(&p->modulus),
                         .exponent = cmk_buf_view(&p->exponent),
                         .mechanisms = CMK_VERSION_OAEP | CMK_VERSION_RSA_AES,
                         .keykey_generation = 1};
    STEP(cmk_id_new(&v.id));
    v.cka_id = cmk_bytes_of(v.id.b, CMK_ID_SIZE);
    cmk_record_key mk = cmk_rkey_numbered(&f->vault->id, CMK_KIND_MATERIAL, key, 1);
    cmk_record_key ck = cmk_rkey_numbered(&f->vault->id, CMK_KIND_CERTIFICATE, key, 1);
    cmk_record_key vk = cmk_rkey_numbered(&f->vault->id, CMK_KIND_VERSION, key, 1);
    STEP(cmk_material_seal(&mk, &v.id, 1, keykey, cmk_secret_view(&p->pkcs8), &material));
    STEP(cmk_body_hash(&mk, cmk_buf_view(&material), v.material_hash));
    STEP(cmk_body_hash(&ck, cmk_buf_view(&p->certificate), v.certificate_hash));
    put(view, &mk, &material);
    STEP(cmk_view_put_body(view, &ck, cmk_buf_view(&p->certificate), 0));
    cmk_version_rec_encode(&v, &body);
    put(view, &vk, &body);
    STEP(cmk_view_index(view, CMK_INDEX_VERSION_ID, v.cka_id, vk.id, vk.id_len));
    STEP(cmk_view_index(view, CMK_INDEX_CKA_ID, v.cka_id, vk.id, vk.id_len));
    if (!p->indexed) {
        cmk_bytes modulus = cmk_buf_view(&p->modulus);
        STEP(cmk_sha256(&modulus, 1, hash));
        STEP(cmk_view_index(view, CMK_INDEX_MODULUS, cmk_bytes_of(hash, sizeof hash), vk.id, vk.id_len));
        p->indexed = true;
    }
}

static void put_key(filler *f, cmk_view *view, unsigned number, uint8_t *keykey)
{
    CMK_BUF_AUTO body = CMK_BUF_INIT;
    char name[16];
    snprintf(name, sizeof name, "k%06u", number);
    cmk_key_rec key = {.name = cmk_bytes_str(name),
                       .enabled = 1,
                       .created = f->now,
                       .changed = f->now,
                       .created_by = f->login->principal,
                       .changed_by = f->login->principal,
                       .current = 1,
                       .versions = 1,
                       .last_number = 1,
                       .ops = CMK_OP_WRAP | CMK_OP_UNWRAP,
                       .keykey_generation = 1};
    STEP(cmk_id_new(&key.id));
    STEP(cmk_random(keykey, CMK_KEY_SIZE));
    cmk_record_key kk = cmk_rkey_numbered(&f->vault->id, CMK_KIND_KEYKEY, &key.id, 1);
    cmk_record_key rk = cmk_rkey_id(&f->vault->id, CMK_KIND_KEY, &key.id);
    STEP(cmk_keykey_seal(f->login, &kk, cmk_view_vault(view)->vault_key_generation, keykey, &body));
    put(view, &kk, &body);
    cmk_key_rec_encode(&key, &body);
    put(view, &rk, &body);
    STEP(cmk_view_index(view, CMK_INDEX_KEY_NAME, key.name, key.id.b, CMK_ID_SIZE));
    put_version(f, view, &f->pairs[number % PAIRS], &key.id, keykey);
}

static void put_keys(filler *f, unsigned n)
{
    uint8_t *keykey = cmk_secret_alloc(CMK_KEY_SIZE);
    for (unsigned i = 0; i < n;) {
        CMK_WRITER_AUTO *w = NULL;
        cmk_view *view = NULL;
        STEP(cmk_writer_open(f->login, &w));
        STEP(cmk_view_open(f->vault, CMK_TXN_WRITE, &w->signers, &view));
        for (unsigned end = i + BATCH; i < n && i < end; i++)
            put_key(f, view, i, keykey);
        STEP(cmk_view_commit(&view));
    }
    cmk_secret_free(keykey);
}

void bench_fill(const char *directory, unsigned n)
{
    char url[4096];
    snprintf(url, sizeof url, "sqlite:%s", directory);
    cmk_config config = {.store = url, .busy_timeout_ms = 10000, .import_secret_keys = true};
    cmk_core *core = NULL;
    cmk_vault_info info;
    filler f = {.now = (uint64_t)cmk_now()};
    const cmk_vault_spec spec = {
        .name = cmk_bytes_str("bench"), .so_pin = cmk_bytes_str(CLIENT_SO_PIN), .user_pin = cmk_bytes_str(CLIENT_PIN)};
    const cmk_who user = {.kind = CMK_WHO_USER};
    STEP(cmk_core_open(&config, true, &core));
    STEP(cmk_vault_create(core, &spec, CMK_SLOT_ANY, &info));
    STEP(cmk_vault_open_name(core, spec.name, &f.vault));
    STEP(cmk_login_open(f.vault, &user, spec.user_pin, &f.login));
    for (int i = 0; i < PAIRS; i++)
        make_pair(&f.pairs[i], (int64_t)f.now);
    put_keys(&f, n);
    for (int i = 0; i < PAIRS; i++) {
        cmk_secret_clear(&f.pairs[i].pkcs8);
        cmk_buf_free(&f.pairs[i].modulus);
        cmk_buf_free(&f.pairs[i].exponent);
        cmk_buf_free(&f.pairs[i].certificate);
    }
    cmk_login_put(f.login);
    cmk_vault_put(f.vault);
    cmk_core_close(core);
}
