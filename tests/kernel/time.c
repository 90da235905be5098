/* SPDX-License-Identifier: MIT */
/* time.c - the counter never goes back, whoever reads it; the derived times agree with it. */
#include "kt.h"

#define ROUNDS 2000

/* The last reading that any processor has published: locked. */
static volatile LONG64 Published;

static VOID ReadAndPublish(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Round = 0; Round < ROUNDS; Round++)
    {
        LONG64 Before = ReadAcquire64(&Published);
        LONG64 Mine = KeQueryPerformanceCounter(NULL).QuadPart;

        KT_CHECK(Mine >= Before, "%lld after another CPU's %lld", Mine, Before);
        InterlockedCompareExchange64(&Published, Mine, Before);
    }
}

static VOID CounterMonotone(VOID)
{
    Published = 0;
    KtParallel(ReadAndPublish, NULL);
}

static VOID TimesAgree(VOID)
{
    LARGE_INTEGER Frequency, Ticks;
    ULONG64 Counter, Precise = KeQueryInterruptTimePrecise(&Counter);
    ULONG64 Before, After;

    KeQueryPerformanceCounter(&Frequency);
    Before = KeQueryInterruptTime();
    KeStallExecutionProcessor(2000);
    After = KeQueryInterruptTime();
    KT_CHECK(Frequency.QuadPart >= 1000000, "frequency %lld", Frequency.QuadPart);
    KT_CHECK(Before >= Precise, "%llu before %llu", Before, Precise);
    KT_CHECK(After - Before >= 20000 * 99 / 100, "2 ms stall took %llu x 100 ns", After - Before);
    KeQueryTickCount(&Ticks);
    KT_CHECK((ULONG64)Ticks.QuadPart >= After / KeQueryTimeIncrement(), "%lld ticks at %llu",
             Ticks.QuadPart, After);
}

static VOID SystemTimeIsPlausible(VOID)
{
    const ULONG64 Year2020 = 132223104000000000ull, Year2120 = 163780416000000000ull;
    LARGE_INTEGER Now, Later;

    KeQuerySystemTime(&Now);
    KeStallExecutionProcessor(1000);
    KeQuerySystemTime(&Later);
    KT_CHECK((ULONG64)Now.QuadPart > Year2020 && (ULONG64)Now.QuadPart < Year2120, "%lld",
             Now.QuadPart);
    KT_CHECK(Later.QuadPart > Now.QuadPart, "%lld then %lld", Now.QuadPart, Later.QuadPart);
}

static const KT_CASE Cases[] = {
    {"time-L84-monotone-across-cpus", CounterMonotone, 0, FALSE},
    {"time-derived-times", TimesAgree, 0, FALSE},
    {"time-system-time", SystemTimeIsPlausible, 0, FALSE},
};

KT_DEFINE_SUITE(KtTimeSuite, "ke", Cases);
