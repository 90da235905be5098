/* SPDX-License-Identifier: MIT */
/*
 * stackcheck.c - the canary behind the buffers of a stack frame, one value for each thread.
 *
 * A routine with an array or an address-taken variable stores the thread's canary above them on
 * entry and compares it before it returns (-fstack-protector-strong); the compiler reads it at
 * gs:40, where the switch puts the value of the thread that will run. So a value that has leaked
 * from one thread is of no use in another, and an overrun is found before the return address that
 * it may have changed is used. The lowest byte is 0: a string that runs over ends there, or is
 * found. Microsoft: "Bug Check 0xF7: DRIVER_OVERRAN_STACK_BUFFER".
 */
#include <arch/hal.h>

#include "twin.h"

#include "ki.h"

#define CANARY_MASK 0xFFFFFFFFFFFFFF00ull
#define GOLDEN_RATIO 0x9E3779B97F4A7C15ull

/* Advanced by interlocked add, so two canaries of the same instant differ. */
static volatile LONG64 KiCanarySequence;

/* The finishing step of a hash: each bit of Value reaches every bit of the result. */
static ULONG64 KiScramble(ULONG64 Value)
{
    Value = (Value ^ (Value >> 33)) * 0xFF51AFD7ED558CCDull;
    Value = (Value ^ (Value >> 33)) * 0xC4CEB9FE1A85EC53ull;
    return Value ^ (Value >> 33);
}

ULONG64 KiNewStackCanary(VOID)
{
    ULONG64 Value = (ULONG64)InterlockedExchangeAdd64(&KiCanarySequence, (LONG64)GOLDEN_RATIO);
    ULONG64 Random = 0;

    if (KI_TWIN(KiTwinCanarySame))
    {
        return ~0xFFull;
    }
    ArchReadRandom(&Random);
    Value = KiScramble(KiScramble(Value ^ __rdtsc()) + Random) & CANARY_MASK;
    return Value != 0 ? Value : CANARY_MASK;
}

/* Where the compiler's check goes when it fails: the frame's canary is no longer the thread's. What
 * stands in its place is not passed on. */
DECLSPEC_NORETURN VOID __stack_chk_fail(VOID);

VOID __stack_chk_fail(VOID)
{
    ULONG64 Canary = KeGetCurrentThread() != NULL ? KeGetCurrentThread()->StackCanary : 0;

    if (KI_TWIN(KiTwinOverrunUnreported))
    {
        KiTerminateThread();
    }
    KeBugCheckEx(DRIVER_OVERRAN_STACK_BUFFER, 0, Canary, ~Canary, 0);
}
