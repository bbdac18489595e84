/* The wall clock and a monotonic one, behind a seam for unit tests. All times are seconds since 1970-01-01 UTC. */
#ifndef CMK_UTIL_CLOCK_H
#define CMK_UTIL_CLOCK_H

#include <stdint.h>

/* Seconds since 1970, from libc's time(), which libfaketime can fake. */
int64_t cmk_now(void);
/* Microseconds of a clock that never goes back; only differences mean something. */
uint64_t cmk_monotonic_us(void);
/* For unit tests: from now on cmk_now() answers fake(), or the real time again when NULL. */
void cmk_clock_set(int64_t (*fake)(void));

#endif
