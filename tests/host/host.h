/* SPDX-License-Identifier: MIT */
/*
 * host.h - what the host tests share: cmocka with TAP output, exactly sized copies that let the
 * address sanitizer see each byte read too far, and random numbers that a seed repeats.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <ntdef.h>

/* A test that runs longer than this hangs: SIGALRM ends it, and the plan is left unfulfilled. */
#define HOST_TIME_LIMIT_SECONDS 120

/* A copy on the heap with nothing of ours after its last byte. To be freed. */
static inline PVOID HostCopy(const VOID *Data, SIZE_T Length)
{
    PVOID Copy = malloc(Length);

    assert_non_null(Copy);
    memcpy(Copy, Data, Length);
    return Copy;
}

static ULONG64 HostRandomState;

/* SplitMix64: every seed is a good one. */
static inline ULONG64 HostRandom(VOID)
{
    ULONG64 Value = HostRandomState += 0x9E3779B97F4A7C15ull;

    Value = (Value ^ (Value >> 30)) * 0xBF58476D1CE4E5B9ull;
    Value = (Value ^ (Value >> 27)) * 0x94D049BB133111EBull;
    return Value ^ (Value >> 31);
}

static inline ULONG64 HostRandomBelow(ULONG64 Limit)
{
    return HostRandom() % Limit;
}

/* The seed is SEED in the environment, or fixed, so that a plain run always does the same. */
static inline VOID HostStart(VOID)
{
    const CHAR *Seed = getenv("SEED");

    HostRandomState = (Seed != NULL) ? strtoull(Seed, NULL, 0) : 1;
    printf("# seed %#llx\n", (unsigned long long)HostRandomState);
    fflush(stdout);
    alarm(HOST_TIME_LIMIT_SECONDS);
    cmocka_set_message_output(CM_OUTPUT_TAP);
}

/* main() of a test program, from the routines to run. */
#define HOST_MAIN(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest Tests[] = {__VA_ARGS__};                                           \
                                                                                                   \
        HostStart();                                                                               \
        return cmocka_run_group_tests(Tests, NULL, NULL);                                          \
    }
