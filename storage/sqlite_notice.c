/* Change notice without a lock: is everything as it was when the watching connection was asked last? See
 * docs/decisions/0002-change-notice.md for why this is enough. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "storage/sqlite.h"

/* The size in which SQLite asks for its log index; the header is at the beginning of the first such piece. */
#define SHM_REGION 32768
/* SQLite itself is asked again after this time, also when nothing seems to have changed. */
#define FULL_CHECK_MS 1000

enum {
    IDENTITY_WORDS = 6,
    F_WINDOW = 0, /* address of the mapping; 0: nothing is published */
    F_GENERATION,
    F_CHECKED,
    F_IDENTITY,
    F_HEADER = F_IDENTITY + IDENTITY_WORDS,
    FIELDS = F_HEADER + CMK_SQLITE_HEADER_WORDS
};

/* In a page of its own that a forked child finds zeroed, so that a child sees nothing published and takes the path that
 * looks at the process number. A sequence lock: turn is odd while somebody, who has the store's lock, writes. */
struct cmk_sqlite_notice {
    _Atomic uint64_t turn;
    _Atomic uint64_t field[FIELDS];
};

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t coarse_ms(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void identity_words(const cmk_sqlite_identity *identity, uint64_t out[IDENTITY_WORDS])
{
    const uint64_t words[IDENTITY_WORDS] = {
        identity->device,
        identity->inode,
        identity->shm_inode,
        (uint64_t)identity->size,
        (uint64_t)identity->changed.tv_sec,
        (uint64_t)identity->changed.tv_nsec,
    };
    memcpy(out, words, sizeof words);
}

/* ---- the published state ---- */

/* Acquiring loads and releasing stores instead of fences, which ThreadSanitizer does not know; they cost nothing on
 * x86. */
static void write_fields(cmk_sqlite_notice *n, const uint64_t field[FIELDS])
{
    uint64_t turn = atomic_load_explicit(&n->turn, memory_order_relaxed);
    atomic_store_explicit(&n->turn, turn + 1, memory_order_relaxed);
    for (size_t i = 0; i < FIELDS; i++)
        atomic_store_explicit(&n->field[i], field[i], memory_order_release);
    atomic_store_explicit(&n->turn, turn + 2, memory_order_release);
}

static bool read_fields(cmk_sqlite_notice *n, uint64_t field[FIELDS])
{
    uint64_t turn = atomic_load_explicit(&n->turn, memory_order_acquire);
    for (size_t i = 0; i < FIELDS; i++)
        field[i] = atomic_load_explicit(&n->field[i], memory_order_acquire);
    return (turn & 1) == 0 && atomic_load_explicit(&n->turn, memory_order_relaxed) == turn && field[F_WINDOW] != 0;
}

/* Another process writes there at any time. */
static void read_header(const uint64_t *window, uint64_t header[CMK_SQLITE_HEADER_WORDS])
{
    for (size_t i = 0; i < CMK_SQLITE_HEADER_WORDS; i++)
        header[i] = __atomic_load_n(&window[i], __ATOMIC_ACQUIRE);
}

bool cmk_sqlite_notice_unchanged(const cmk_sqlite_store *s, uint64_t *generation)
{
    uint64_t field[FIELDS];
    uint64_t header[CMK_SQLITE_HEADER_WORDS];
    uint64_t identity[IDENTITY_WORDS];
    cmk_sqlite_identity now;
    if (!s->notice || !read_fields(s->notice, field) || coarse_ms() - field[F_CHECKED] >= FULL_CHECK_MS)
        return false;
    read_header((const uint64_t *)(uintptr_t)field[F_WINDOW], header);
    if (memcmp(header, &field[F_HEADER], sizeof header) != 0)
        return false;
    cmk_sqlite_identify(s->path, s->shm_path, &now);
    identity_words(&now, identity);
    if (memcmp(identity, &field[F_IDENTITY], sizeof identity) != 0)
        return false;
    *generation = field[F_GENERATION];
    return true;
}

void cmk_sqlite_notice_withdraw(cmk_sqlite_store *s)
{
    static const uint64_t nothing[FIELDS];
    if (s->notice)
        write_fields(s->notice, nothing);
}

void cmk_sqlite_notice_publish(cmk_sqlite_store *s, const cmk_sqlite_snapshot *snapshot)
{
    uint64_t field[FIELDS] = {0};
    if (!s->notice)
        return;
    if (snapshot->window && s->seen.known && !s->replaced) {
        field[F_WINDOW] = (uint64_t)(uintptr_t)snapshot->window;
        field[F_GENERATION] = s->generation;
        field[F_CHECKED] = snapshot->taken_ms;
        identity_words(&s->seen, &field[F_IDENTITY]);
        memcpy(&field[F_HEADER], snapshot->header, sizeof snapshot->header);
    }
    write_fields(s->notice, field);
}

/* ---- the window on the log's index ---- */

static bool uses_log(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    bool wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &st, NULL) == SQLITE_OK &&
               sqlite3_step(st) == SQLITE_ROW && sqlite3_column_text(st, 0) &&
               strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
    sqlite3_finalize(st);
    return wal;
}

/* Where SQLite has the first piece of the -shm file mapped, or NULL. Only asked of a connection that has used the log:
 * on another the call would make the file. */
static void *index_of(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    void volatile *index = NULL;
    if (!uses_log(db) || sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file ||
        !file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap)
        return NULL;
    /* any other result: it is read-only, or not the shared file but memory of this process alone */
    if (file->pMethods->xShmMap(file, 0, SHM_REGION, 0, &index) != SQLITE_OK)
        return NULL;
    uintptr_t address = (uintptr_t)index;
    return address % page_size() == 0 ? (void *)address : NULL;
}

/* A second mapping of the page that SQLite has mapped. Not by opening the file: closing that descriptor, be it years
 * later, would drop the locks of every connection of this process. An old size of 0 asks for a copy of a shared
 * mapping, and fails on one that is not shared. */
static const uint64_t *open_window(const cmk_sqlite_slot *watch)
{
    if (watch->conn.access != CMK_SQLITE_WRITABLE)
        return NULL;
    void *index = index_of(watch->conn.db);
    void *window = index ? mremap(index, 0, page_size(), MREMAP_MAYMOVE) : MAP_FAILED;
    if (window == MAP_FAILED)
        return NULL;
    if (mprotect(window, page_size(), PROT_READ) == 0)
        return window;
    munmap(window, page_size());
    return NULL;
}

void cmk_sqlite_notice_look(cmk_sqlite_store *s, const cmk_sqlite_slot *watch, cmk_sqlite_snapshot *out)
{
    *out = (cmk_sqlite_snapshot){.taken_ms = coarse_ms()};
    if (!s->window_tried && s->notice && s->windows < CMK_SQLITE_WINDOWS) {
        const uint64_t *window = open_window(watch);
        if (window)
            s->window[s->windows++] = window;
        s->window_current = window;
    }
    s->window_tried = true; /* what could not be had is not asked for at every call */
    out->window = s->window_current;
    if (out->window)
        read_header(out->window, out->header);
}

void cmk_sqlite_notice_retire(cmk_sqlite_store *s)
{
    cmk_sqlite_notice_withdraw(s);
    s->window_current = NULL;
    s->window_tried = false;
}

/* ---- life ---- */

void cmk_sqlite_notice_init(cmk_sqlite_store *s)
{
    size_t size = page_size();
    _Static_assert(sizeof(cmk_sqlite_notice) <= 4096, "the notice fits a page");
    /* cppcheck-suppress invalidFunctionArg; anonymous memory has the descriptor -1 */
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, size, MADV_WIPEONFORK) == 0)
        s->notice = page;
    else
        munmap(page, size); /* an old kernel: SQLite is asked each time */
}

void cmk_sqlite_notice_free(cmk_sqlite_store *s)
{
    for (size_t i = 0; i < s->windows; i++)
        munmap((void *)(uintptr_t)s->window[i], page_size());
    s->windows = 0;
    if (s->notice)
        munmap(s->notice, page_size());
    s->notice = NULL;
}
