/* SPDX-License-Identifier: MIT */
/*
 * time.c - what time it is: the performance counter in 100 ns units, and the times made of it.
 *
 * Interrupt time, system time and tick count are all computed from the one counter when asked, so
 * nothing has to be counted by an interrupt and an idle machine keeps time. The conversion is a
 * multiplication by 2^32 * 10^7 / frequency, 128 bits wide. The counter is chosen in two steps: the
 * TSC serves during start-up, and stays only if no processor ever saw it behind what another had
 * read before (the warp test). All processors stand still while it is exchanged.
 *
 * System time is interrupt time and an offset, and to set the clock is to change the offset:
 * nothing else moves, least of all interrupt time, by which timers go (timer.c).
 */
#include <arch/hal.h>

#include "clock.h"

#define UNITS_PER_SECOND 10000000ull
#define SECONDS_1601_TO_1970 11644473600ull
#define WARP_ROUNDS 2000

/* Written by the boot processor during start-up: before others run, and once more while they wait
 * at IPI_LEVEL. */
static ULONG64 KiTimeMultiplier KI_RO_AFTER_INIT; /* 100 ns units per count, times 2^32 */
static ULONG64 KiTimeAtChange KI_RO_AFTER_INIT;   /* interrupt time when the counter was chosen */
static ULONG64 KiCounterAtChange KI_RO_AFTER_INIT;

/* System time less interrupt time. Whoever sets the clock, locked exchange; read by anyone. */
static volatile LONG64 KiSystemTimeOffset;

/* The warp test: the latest TSC that any processor has read, how often one read less, and by how
 * much at most. Any processor, at IPI_LEVEL; compare-exchange / locked add. */
static volatile LONG64 KiLatestTsc;
static volatile LONG KiWarps;
static volatile LONG64 KiLargestWarp;

static VOID KiSetMultiplier(VOID)
{
    KiTimeMultiplier = (UNITS_PER_SECOND << 32) / HalpCounterFrequency;
}

static ULONGLONG KiUnits(ULONG64 Counter)
{
    unsigned __int128 Product = (unsigned __int128)(Counter - KiCounterAtChange) * KiTimeMultiplier;

    return KiTimeAtChange + (ULONG64)(Product >> 32);
}

LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency)
{
    LARGE_INTEGER Counter = {.QuadPart = (LONGLONG)HalpQueryCounter()};

    if (PerformanceFrequency != NULL)
    {
        PerformanceFrequency->QuadPart = (LONGLONG)HalpCounterFrequency;
    }
    return Counter;
}

ULONGLONG KeQueryInterruptTime(VOID)
{
    return KiTimeMultiplier != 0 ? KiUnits(HalpQueryCounter()) : 0;
}

ULONGLONG KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    *QpcTimeStamp = HalpQueryCounter();
    return KiUnits(*QpcTimeStamp);
}

VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = KiQuerySystemTimeOffset() + (LONG64)KeQueryInterruptTime();
}

LONG64 KiQuerySystemTimeOffset(VOID)
{
    return ReadNoFence64(&KiSystemTimeOffset);
}

VOID KiChangeSystemTime(ULONGLONG SystemTime)
{
    InterlockedExchange64(&KiSystemTimeOffset, (LONG64)(SystemTime - KeQueryInterruptTime()));
}

VOID KeQueryTickCount(PLARGE_INTEGER TickCount)
{
    TickCount->QuadPart = (LONGLONG)(KeQueryInterruptTime() / KI_TICK_LENGTH);
}

ULONG KeQueryTimeIncrement(VOID)
{
    return KI_TICK_LENGTH;
}

VOID KeStallExecutionProcessor(ULONG MicroSeconds)
{
    HalpStall(MicroSeconds);
}

VOID KiInitializeTime(VOID)
{
    ULONG64 Cmos = HalpReadCmosTime();

    KiSetMultiplier();
    KiCounterAtChange = HalpQueryCounter();
    if (Cmos == 0)
    {
        KiLog(KiLogWarning, "clock: the CMOS clock cannot be read: system time starts in 1970");
    }
    KiChangeSystemTime((Cmos + SECONDS_1601_TO_1970) * UNITS_PER_SECOND);
}

static VOID KiNoteWarp(LONG64 Warp)
{
    LONG64 Largest = ReadAcquire64(&KiLargestWarp);

    while (Warp > Largest)
    {
        LONG64 Seen = InterlockedCompareExchange64(&KiLargestWarp, Warp, Largest);

        if (Seen == Largest)
        {
            break;
        }
        Largest = Seen;
    }
}

/* On every processor at once: nobody may read less than what somebody has read before. */
static ULONG_PTR KiWarpTest(ULONG_PTR Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG Round = 0; Round < WARP_ROUNDS; Round++)
    {
        LONG64 Latest = ReadAcquire64(&KiLatestTsc);
        LONG64 Mine;

        _mm_lfence();
        Mine = (LONG64)__rdtsc();
        if (Mine < Latest)
        {
            InterlockedIncrement(&KiWarps);
            KiNoteWarp(Latest - Mine);
        }
        InterlockedCompareExchange64(&KiLatestTsc, Mine, Latest);
    }
    return 0;
}

/* What the exchange of the counter says and awaits; on KiFinishTime's stack. */
typedef struct _KI_COUNTER_CHANGE
{
    PCSTR Why;
    volatile LONG Done; /* the boot processor, release */
} KI_COUNTER_CHANGE, *PKI_COUNTER_CHANGE;

/* On every processor at once: the boot processor exchanges the counter, and nobody reads time by
 * one half of the old and one of the new. */
static ULONG_PTR KiChangeCounter(ULONG_PTR Context)
{
    PKI_COUNTER_CHANGE Change = (PKI_COUNTER_CHANGE)Context;
    ULONG64 Now;

    if (KiGetCurrentPrcb()->Index != 0)
    {
        while (!ReadAcquire(&Change->Done)) /* pairs with: the boot processor's store below */
        {
            YieldProcessor();
        }
        return 0;
    }
    Now = KeQueryInterruptTime();
    Change->Why = HalpChooseCounter(KiWarps == 0);
    KiSetMultiplier();
    KiTimeAtChange = Now;
    KiCounterAtChange = HalpQueryCounter();
    WriteRelease(&Change->Done, TRUE);
    return 0;
}

VOID KiFinishTime(VOID)
{
    KI_COUNTER_CHANGE Change = {0};

    KeIpiGenericCall(KiWarpTest, 0);
    if (KiWarps != 0)
    {
        KiLog(KiLogWarning, "clock: the TSC went back %d times between CPUs, by up to %lld counts",
              KiWarps, KiLargestWarp);
    }
    KeIpiGenericCall(KiChangeCounter, (ULONG_PTR)&Change);
    KiLog(KiLogInfo, "clock: counter is the %s, %llu kHz: %s", HalpCounterName,
          HalpCounterFrequency / 1000, Change.Why);
}
