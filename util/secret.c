/* Layout of a region of class slots, aligned to its size so that a pointer leads to its header by a mask:
 *
 *     header page(s) | guard page | slots, locked and left out of dumps … | guard page
 *
 * A slot holds the block, then the canary right behind its last byte. A larger block has a mapping laid out alike with
 * one slot, which begins within the first page behind the guard.
 *
 * Headers are wiped by fork, as the slots are: in the child a header without its magic tells that the block is the
 * parent's. The child gives up all regions and starts afresh, with a lock that no vanished thread holds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "util/secret.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "util/lock.h"
#include "util/log.h"

#define MAGIC UINT64_C(0x636d6b3131736563)
#define CANARY_SIZE 16
#define LARGEST_BLOCK ((size_t)16 * 1024 * 1024)
#define REGION_PAGES 16
#define OVERHEAD_PAGES 3
#define FREE_SLOT 0x8000U
#define NO_SLOT 0x7FFFU

static const size_t class_capacity[] = {32, 64, 128, 256, 512, 1024, 2048, 4096};
#define CLASS_COUNT (sizeof(class_capacity) / sizeof(class_capacity[0]))
#define LARGE CLASS_COUNT

typedef struct region {
    uint64_t magic;
    uint64_t generation; /* of the heap that made it */
    struct region *next; /* in its class's list of regions with a free slot */
    struct region *prev;
    size_t size;  /* of the whole mapping */
    size_t class; /* LARGE: a mapping of its own */
    size_t block; /* LARGE: bytes asked for; 0 once it is freed */
    uint8_t *data;
    uint8_t canary[CANARY_SIZE];
    uint16_t slot_count;
    uint16_t used;
    uint16_t first_free;
    uint16_t slot[]; /* bytes in use, or FREE_SLOT | the next free slot */
} region;

/* In a page that fork wipes; ready is 0 in a child that has not called yet. */
typedef struct fork_mark {
    int ready;
    pid_t pid;
} fork_mark;
enum { MARK_NEW, MARK_BUSY, MARK_READY };

static struct {
    cmk_mutex lock;
    region *partial[CLASS_COUNT];
    uint64_t generation;
    fork_mark *mark;
    size_t page;
    bool wiped_by_fork; /* the kernel knows MADV_WIPEONFORK */
} heap;
static pthread_once_t heap_once = PTHREAD_ONCE_INIT;
static bool require_mlock;

_Noreturn static void die(const char *what)
{
    (void)fprintf(stderr, "cmk11: secret memory: %s; ending the process\n", what);
    abort();
}

void cmk_wipe(void *p, size_t n)
{
    if (n > 0)
        explicit_bzero(p, n);
}

void cmk_secret_require_mlock(bool require)
{
    __atomic_store_n(&require_mlock, require, __ATOMIC_RELEASE);
}

static void *map(size_t size, int access, int flags)
{
    /* cppcheck's description of mmap() does not know that -1 is what anonymous memory needs */
    // cppcheck-suppress invalidFunctionArg
    void *p = mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    return p;
}

static void heap_first(void)
{
    long page = sysconf(_SC_PAGESIZE);
    heap.page = page > 0 ? (size_t)page : 4096;
    void *p = map(heap.page, PROT_READ | PROT_WRITE, 0);
    if (!p)
        return;
    heap.wiped_by_fork = madvise(p, heap.page, MADV_WIPEONFORK) == 0;
    heap.mark = p;
}

/* Sees to it that the heap is this process's own. False when out of memory at the very first call. */
static bool enter(void)
{
    (void)pthread_once(&heap_once, heap_first);
    fork_mark *m = heap.mark;
    if (!m)
        return false;
    /* Where the kernel can't wipe, only the pid tells, at the price of a system call. */
    if (!heap.wiped_by_fork && __atomic_load_n(&m->pid, __ATOMIC_ACQUIRE) != getpid()) {
        int ready = MARK_READY;
        (void)__atomic_compare_exchange_n(&m->ready, &ready, MARK_NEW, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    while (__atomic_load_n(&m->ready, __ATOMIC_ACQUIRE) != MARK_READY) {
        int fresh = MARK_NEW;
        if (!__atomic_compare_exchange_n(&m->ready, &fresh, MARK_BUSY, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            (void)sched_yield();
            continue;
        }
        cmk_mutex_init(&heap.lock, CMK_RANK_LEAF, "secret memory");
        memset(heap.partial, 0, sizeof(heap.partial));
        heap.generation++;
        __atomic_store_n(&m->pid, getpid(), __ATOMIC_RELEASE);
        __atomic_store_n(&m->ready, MARK_READY, __ATOMIC_RELEASE);
    }
    return true;
}

static size_t region_align(void)
{
    return REGION_PAGES * heap.page;
}

/* size bytes of address space without access, aligned to region_align(). */
static uint8_t *reserve(size_t size)
{
    size_t align = region_align();
    size_t whole = size + align;
    uint8_t *p = map(whole, PROT_NONE, MAP_NORESERVE);
    if (!p)
        return NULL;
    size_t before = (align - (size_t)((uintptr_t)p & (align - 1))) & (align - 1);
    uint8_t *start = p + before;
    if (before > 0)
        (void)munmap(p, before);
    if (whole - before > size)
        (void)munmap(start + size, whole - before - size);
    return start;
}

/* Locks and hides the slots. *unlocked tells that mlock was refused and that this is accepted. */
static cmk_rc protect(uint8_t *data, size_t size, bool *unlocked)
{
    (void)madvise(data, size, MADV_DONTDUMP);
    (void)madvise(data, size, MADV_WIPEONFORK);
    if (mlock(data, size) == 0)
        return CMK_OK;
    *unlocked = true;
    return __atomic_load_n(&require_mlock, __ATOMIC_ACQUIRE) ? CMK_E_LOCKED_MEMORY : CMK_OK;
}

/* A mapping with data_pages pages of slots. */
static cmk_rc region_new(size_t data_pages, size_t class, region **out, bool *unlocked)
{
    cmk_rc rc = CMK_E_NO_MEMORY;
    size_t size = (data_pages + OVERHEAD_PAGES) * heap.page;
    size_t data_size = data_pages * heap.page;
    uint8_t *base = reserve(size);
    if (!base)
        return rc;
    uint8_t *data = base + 2 * heap.page;
    if (mprotect(base, heap.page, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(data, data_size, PROT_READ | PROT_WRITE) != 0)
        goto out;
    region *r = (region *)(void *)base;
    (void)madvise(base, heap.page, MADV_WIPEONFORK);
    if (getrandom(r->canary, CANARY_SIZE, 0) != CANARY_SIZE)
        goto out;
    rc = protect(data, data_size, unlocked);
    if (rc != CMK_OK)
        goto out;
    r->magic = MAGIC;
    r->generation = heap.generation;
    r->size = size;
    r->class = class;
    r->data = data;
    *out = r;
    base = NULL;
out:
    if (base)
        (void)munmap(base, size);
    return rc;
}

static void region_free(region *r)
{
    (void)munmap((void *)r, r->size);
}

static size_t slot_size(const region *r)
{
    return class_capacity[r->class] + CANARY_SIZE;
}

static void list_add(region *r)
{
    region **head = &heap.partial[r->class];
    r->prev = NULL;
    r->next = *head;
    if (*head)
        (*head)->prev = r;
    *head = r;
}

static void list_remove(region *r)
{
    if (r->next)
        r->next->prev = r->prev;
    if (r->prev)
        r->prev->next = r->next;
    else
        heap.partial[r->class] = r->next;
}

/* A region of a class, all its slots free, put into its list. */
static cmk_rc region_add(size_t class, bool *unlocked)
{
    region *r = NULL;
    cmk_rc rc = region_new(REGION_PAGES - OVERHEAD_PAGES, class, &r, unlocked);
    if (rc != CMK_OK)
        return rc;
    size_t n = (REGION_PAGES - OVERHEAD_PAGES) * heap.page / slot_size(r);
    /* On large pages the header may not have room, nor the index bits, for all that would fit. */
    size_t room = (heap.page - sizeof(region)) / sizeof(r->slot[0]);
    n = n < room ? n : room;
    n = n < NO_SLOT ? n : NO_SLOT - 1;
    r->slot_count = (uint16_t)n;
    for (size_t i = 0; i < n; i++)
        r->slot[i] = (uint16_t)(FREE_SLOT | (i + 1 < n ? i + 1 : NO_SLOT));
    list_add(r);
    return CMK_OK;
}

static cmk_rc alloc_small(size_t n, void **out, bool *unlocked)
{
    size_t class = 0;
    while (class_capacity[class] < n)
        class ++;
    if (!heap.partial[class]) {
        cmk_rc rc = region_add(class, unlocked);
        if (rc != CMK_OK)
            return rc;
    }
    region *r = heap.partial[class];
    uint16_t i = r->first_free;
    r->first_free = (uint16_t)(r->slot[i] & NO_SLOT);
    r->slot[i] = (uint16_t)n;
    r->used++;
    if (r->first_free == NO_SLOT)
        list_remove(r);
    uint8_t *p = r->data + i * slot_size(r);
    memset(p, 0, n);
    memcpy(p + n, r->canary, CANARY_SIZE);
    *out = p;
    return CMK_OK;
}

static cmk_rc alloc_large(size_t n, void **out, bool *unlocked)
{
    region *r = NULL;
    size_t need = (n + 15) / 16 * 16 + CANARY_SIZE;
    size_t pages = (need + heap.page - 1) / heap.page;
    cmk_rc rc = region_new(pages, LARGE, &r, unlocked);
    if (rc != CMK_OK)
        return rc;
    r->block = n;
    /* As far back as it goes, so that an overrun meets the guard page soon. */
    uint8_t *p = r->data + (pages * heap.page - need);
    memcpy(p + n, r->canary, CANARY_SIZE);
    *out = p;
    return CMK_OK;
}

static cmk_rc secret_alloc(size_t n, void **out)
{
    *out = NULL;
    if (n == 0 || n > LARGEST_BLOCK)
        return cmk_fail(CMK_E_NO_MEMORY, "%zu bytes of secret memory: only 1 byte to 16 MiB are given out", n);
    if (!enter())
        return cmk_fail(CMK_E_NO_MEMORY, "out of memory for secrets");
    bool unlocked = false;
    cmk_mutex_lock(&heap.lock);
    cmk_rc rc = n <= class_capacity[CLASS_COUNT - 1] ? alloc_small(n, out, &unlocked) : alloc_large(n, out, &unlocked);
    cmk_mutex_unlock(&heap.lock);
    if (rc == CMK_E_LOCKED_MEMORY)
        return cmk_fail(rc, "memory for secrets can't be locked; raise RLIMIT_MEMLOCK or set require-mlock = off");
    if (rc != CMK_OK)
        return cmk_fail(rc, "out of memory for secrets");
    if (unlocked)
        cmk_log_once(CMK_LOG_WARN, "mlock",
                     "memory for secrets can't be locked and may be swapped out; raise RLIMIT_MEMLOCK");
    return CMK_OK;
}

void *cmk_secret_alloc(size_t n)
{
    void *p = NULL;
    return secret_alloc(n, &p) == CMK_OK ? p : NULL;
}

static void check_canary(const region *r, const uint8_t *p, size_t n)
{
    if (memcmp(p + n, r->canary, CANARY_SIZE) != 0)
        die("something wrote past the end of a block");
}

static void free_small(region *r, uint8_t *p)
{
    size_t at = (size_t)(p - r->data);
    size_t i = at / slot_size(r);
    if (p < r->data || at % slot_size(r) != 0 || i >= r->slot_count)
        die("a pointer that is no block was freed");
    if (r->slot[i] & FREE_SLOT)
        die("a block was freed twice");
    check_canary(r, p, r->slot[i]);
    cmk_wipe(p, r->slot[i] + (size_t)CANARY_SIZE);
    if (r->first_free == NO_SLOT)
        list_add(r);
    r->slot[i] = (uint16_t)(FREE_SLOT | r->first_free);
    r->first_free = (uint16_t)i;
    r->used--;
    /* The last region with room in a class stays, so that one block made and freed in a loop costs no system call. */
    if (r->used == 0 && (r->next || r->prev)) {
        list_remove(r);
        region_free(r);
    }
}

static void free_large(region *r, uint8_t *p)
{
    check_canary(r, p, r->block);
    cmk_wipe(p, r->block + CANARY_SIZE);
    region_free(r);
}

/* A block of the process that forked. Its memory reads as zeros, except where the kernel can't do that: wipe it here.
 */
static void free_inherited(const region *r, uint8_t *p)
{
    if (r->magic != MAGIC)
        return;
    size_t n = r->class == LARGE ? r->block : r->slot[(size_t)(p - r->data) / slot_size(r)];
    if (!(r->class != LARGE && (n & FREE_SLOT)))
        cmk_wipe(p, n);
}

void cmk_secret_free(void *p)
{
    if (!p || !enter())
        return;
    uint8_t *block = p;
    region *r = (region *)(void *)(block - ((uintptr_t)p & (region_align() - 1)));
    cmk_mutex_lock(&heap.lock);
    if (r->magic != 0 && r->magic != MAGIC)
        die("a pointer that is no block was freed");
    if (r->magic == 0 || r->generation != heap.generation)
        free_inherited(r, block);
    else if (r->class == LARGE)
        free_large(r, block);
    else
        free_small(r, block);
    cmk_mutex_unlock(&heap.lock);
}

cmk_rc cmk_secret_new(cmk_secret *s, size_t n)
{
    cmk_secret_clear(s);
    if (n == 0)
        return CMK_OK;
    void *p = NULL;
    cmk_rc rc = secret_alloc(n, &p);
    if (rc == CMK_OK)
        *s = (cmk_secret){p, n};
    return rc;
}

cmk_rc cmk_secret_copy(cmk_secret *s, cmk_bytes v)
{
    /* v may be a view of what s owns now, which therefore goes last. */
    cmk_secret fresh = CMK_SECRET_INIT;
    cmk_rc rc = cmk_secret_new(&fresh, v.len);
    if (rc == CMK_OK && fresh.data)
        memcpy(fresh.data, v.data, v.len);
    cmk_secret_clear(s);
    *s = fresh;
    return rc;
}

void cmk_secret_clear(cmk_secret *s)
{
    if (!s)
        return;
    cmk_secret_free(s->data);
    *s = (cmk_secret)CMK_SECRET_INIT;
}
