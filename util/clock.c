#include "util/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t (*fake_now)(void);

int64_t cmk_now(void)
{
    int64_t (*fake)(void) = __atomic_load_n(&fake_now, __ATOMIC_ACQUIRE);
    return fake ? fake() : (int64_t)time(NULL);
}

uint64_t cmk_monotonic_us(void)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

void cmk_clock_set(int64_t (*fake)(void))
{
    __atomic_store_n(&fake_now, fake, __ATOMIC_RELEASE);
}
