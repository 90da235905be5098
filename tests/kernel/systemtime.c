/* SPDX-License-Identifier: MIT */
/*
 * systemtime.c - the clock is set: timers due at a system time follow it on every processor, all
 * others do not notice (L64). And timers that may be late meet (TolerableDelay).
 */
#include <clock.h>
#include <timer.h>

#include "kt.h"

#define LIMIT KT_SECONDS(15)
#define HOUR KT_SECONDS(3600)

static LARGE_INTEGER After(ULONG64 Units)
{
    return (LARGE_INTEGER){.QuadPart = -(LONGLONG)Units};
}

static LARGE_INTEGER SystemTimePlus(LONG64 Units)
{
    LARGE_INTEGER Time;

    KeQuerySystemTime(&Time);
    Time.QuadPart += Units;
    return Time;
}

static VOID MoveClock(LONG64 Units)
{
    KiSetSystemTime((ULONGLONG)SystemTimePlus(Units).QuadPart);
}

/* ------------------------------------------------------------------ A pair on each processor. */

typedef struct _PAIR
{
    KTIMER Relative;
    KTIMER Absolute;
} PAIR;

static PAIR Pairs[MAXIMUM_PROCESSORS];

static VOID SetPair(PVOID Context, ULONG Processor)
{
    PAIR *Pair = &Pairs[Processor];

    UNREFERENCED_PARAMETER(Context);
    KeInitializeTimer(&Pair->Relative);
    KeInitializeTimer(&Pair->Absolute);
    KeSetTimer(&Pair->Relative, After(HOUR), NULL);
    KeSetTimer(&Pair->Absolute, SystemTimePlus((LONG64)HOUR), NULL);
}

static BOOLEAN WaitForTimer(PKTIMER Timer)
{
    LARGE_INTEGER Limit = After(LIMIT);

    return KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, &Limit) == STATUS_SUCCESS;
}

/* Forward by two hours: what was to be in one hour has passed, by the clock only. */
static VOID AbsoluteFollows(VOID)
{
    ULONG64 Before = KtNow();

    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KtRunOn(Index, SetPair, NULL);
    }
    MoveClock(2 * (LONG64)HOUR);
    KT_CHECK(KtNow() - Before < HOUR, "interrupt time moved too");
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_CHECK(WaitForTimer(&Pairs[Index].Absolute), "CPU %u's did not follow", Index);
        KT_CHECK(!KeReadStateTimer(&Pairs[Index].Relative), "CPU %u: a relative one did", Index);
        if (KtHasFailed())
        {
            break;
        }
    }
    MoveClock(-2 * (LONG64)HOUR);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_CHECK(KeCancelTimer(&Pairs[Index].Relative), "CPU %u's was set", Index);
        KeCancelTimer(&Pairs[Index].Absolute);
    }
}

/* Backward: what was due soon is due in an hour, and what was to be after a while still is. */
static VOID AbsoluteIsPutOff(VOID)
{
    static KTIMER Absolute, Relative;

    KeInitializeTimer(&Absolute);
    KeInitializeTimer(&Relative);
    KeSetTimer(&Absolute, SystemTimePlus((LONG64)HOUR), NULL);
    MoveClock(-(LONG64)HOUR);
    KT_CHECK(Absolute.HeapNode.Key > KtNow() + HOUR, "due at %llu, now %llu", Absolute.HeapNode.Key,
             KtNow());
    KeSetTimer(&Relative, After(KT_MILLISECONDS(2)), NULL);
    KT_CHECK(WaitForTimer(&Relative), "a relative one waits for the clock");
    KT_CHECK(!KeReadStateTimer(&Absolute), "it expired before its time");
    MoveClock((LONG64)HOUR);
    KT_CHECK(KeCancelTimer(&Absolute), "it was set");
}

/* A time-out is a timer too. */
static KT_JOB TimeoutJob;
static volatile LONG TimeoutBegun;
static volatile LONG TimeoutOver;

static VOID WaitUntilHour(PVOID Context, ULONG Processor)
{
    LARGE_INTEGER Until = SystemTimePlus((LONG64)HOUR);
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    WriteRelease(&TimeoutBegun, TRUE);
    Status = KeDelayExecutionThread(KernelMode, FALSE, &Until);
    KT_CHECK(Status == STATUS_SUCCESS, "status %x", (ULONG)Status);
    WriteRelease(&TimeoutOver, TRUE);
}

static VOID DelayFollows(VOID)
{
    TimeoutBegun = TimeoutOver = FALSE;
    KtStart(&TimeoutJob, KtProcessors() - 1, WaitUntilHour, NULL);
    KT_CHECK(KtWaitFor(&TimeoutBegun, TRUE, LIMIT), "the thread never ran");
    MoveClock((LONG64)HOUR);
    KT_CHECK(KtWaitFor(&TimeoutOver, TRUE, LIMIT), "it still waits");
    KtJoin(&TimeoutJob);
    MoveClock(-(LONG64)HOUR);
}

/* Many set the clock while all set timers by it: each timer's place is the last clock's. */
#define CLOCKS 60

static VOID SetClockAndTimers(PVOID Context, ULONG Processor)
{
    PAIR *Pair = &Pairs[Processor];
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    KeInitializeTimer(&Pair->Absolute);
    for (ULONG Round = 0; Round < CLOCKS; Round++)
    {
        KeSetTimer(&Pair->Absolute, SystemTimePlus((LONG64)(100 * HOUR)), NULL);
        if (KtRandom(&Random) % 4 == 0)
        {
            MoveClock((LONG64)(KtRandom(&Random) % HOUR) - (LONG64)HOUR / 2);
        }
    }
}

static VOID ClocksAndTimers(VOID)
{
    LONG64 Offset = KiQuerySystemTimeOffset();

    KtParallel(SetClockAndTimers, NULL);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        PKTIMER Timer = &Pairs[Index].Absolute;

        KT_CHECK((LONG64)Timer->HeapNode.Key == (LONG64)Timer->DueTime - KiQuerySystemTimeOffset(),
                 "CPU %u's is in the place of another clock", Index);
        KT_CHECK(KeCancelTimer(Timer), "CPU %u's was set", Index);
    }
    KiSetSystemTime(KtNow() + (ULONG64)Offset);
}

static VOID SystemTimeIsSet(VOID)
{
    const ULONG64 Year2100 = 157469184000000000ull;
    LONG64 Offset = KiQuerySystemTimeOffset();
    LARGE_INTEGER Time, Ticks;
    ULONG64 Before = KtNow();

    KiSetSystemTime(Year2100);
    KeQuerySystemTime(&Time);
    KeQueryTickCount(&Ticks);
    KT_CHECK((ULONG64)Time.QuadPart >= Year2100 &&
                 (ULONG64)Time.QuadPart <= Year2100 + KtNow() - Before,
             "%lld", Time.QuadPart);
    KT_CHECK((ULONG64)Ticks.QuadPart <= KtNow() / KeQueryTimeIncrement(), "%lld ticks",
             Ticks.QuadPart);
    KiSetSystemTime(KtNow() + (ULONG64)Offset);
}

/* ------------------------------------------------------------------ Tolerance. */

static VOID CoalescedIsWithinBounds(VOID)
{
    KT_RANDOM Random;

    KtSeed(&Random, 0);
    KT_CHECK(KiCoalesce(5, 2) == 6, "%llu", KiCoalesce(5, 2));
    KT_CHECK(KiCoalesce(0x1001, 0xFFF) == 0x2000, "%llx", KiCoalesce(0x1001, 0xFFF));
    KT_CHECK(KiCoalesce(0x1000, 0xFFF) == 0x1000, "%llx", KiCoalesce(0x1000, 0xFFF));
    KT_CHECK(KiCoalesce(7, 0) == 7, "%llu", KiCoalesce(7, 0));
    KT_CHECK(KiCoalesce(MAXULONG64 - 1, 5) == MAXULONG64 - 1, "past the end of time");
    for (ULONG Round = 0; Round < 2000; Round++)
    {
        ULONG64 Due = KtRandom(&Random) >> (KtRandom(&Random) % 60 + 2);
        ULONG64 Tolerance = KtRandom(&Random) >> (KtRandom(&Random) % 60 + 2);
        ULONG64 Chosen = KiCoalesce(Due, Tolerance);
        ULONG64 Step = Chosen & -Chosen; /* it is a multiple of that, and not of twice that */

        KT_CHECK(Chosen >= Due && Chosen - Due <= Tolerance, "%llu for %llu + %llu", Chosen, Due,
                 Tolerance);
        if (Tolerance != 0 && Due > 1)
        {
            ULONG64 Better = (Due + 2 * Step - 1) & -(2 * Step);

            KT_CHECK(Better - Due > Tolerance, "%llx, though %llx is in %llx + %llx", Chosen,
                     Better, Due, Tolerance);
        }
    }
}

/* Due within a few milliseconds of one another, and each may be 100 ms late: a few points of time
 * do for all. */
#define LAZY 16

static VOID TolerantTimersMeet(VOID)
{
    static KTIMER Lazy[LAZY];
    ULONG Different = 0;

    for (ULONG Index = 0; Index < LAZY; Index++)
    {
        ULONG64 Due = KtNow() + HOUR + Index * KT_MILLISECONDS(1);

        KeInitializeTimer(&Lazy[Index]);
        KeSetCoalescableTimer(&Lazy[Index], After(HOUR + Index * KT_MILLISECONDS(1)), 0, 100, NULL);
        KT_CHECK(Lazy[Index].HeapNode.Key >= Due, "%llu before %llu", Lazy[Index].HeapNode.Key,
                 Due);
        KT_CHECK(Lazy[Index].HeapNode.Key <= Lazy[Index].DueTime + KT_MILLISECONDS(100),
                 "later than tolerable");
    }
    for (ULONG Index = 0; Index < LAZY; Index++)
    {
        Different += Index == 0 || Lazy[Index].HeapNode.Key != Lazy[Index - 1].HeapNode.Key;
        KeCancelTimer(&Lazy[Index]);
    }
    KT_CHECK(Different < LAZY / 2, "%u points of time for %u timers", Different, LAZY);
}

/* A period's step is counted from when it was due, not from when tolerance let it expire. */
static VOID ToleranceKeepsStep(VOID)
{
    static KTIMER Timer;
    ULONG64 First;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    KeSetCoalescableTimer(&Timer, After(KT_MILLISECONDS(3)), 3, 2, NULL);
    First = Timer.DueTime;
    for (ULONG Round = 0; Round < 6; Round++)
    {
        KT_CHECK(WaitForTimer(&Timer), "it never expired");
        KT_CHECK((Timer.DueTime - First) % KT_MILLISECONDS(3) == 0, "%llu x 100 ns out of step",
                 (Timer.DueTime - First) % KT_MILLISECONDS(3));
    }
    KT_CHECK(KeCancelTimer(&Timer), "it was set");
}

static const KT_CASE Cases[] = {
    {"systemtime-is-set", SystemTimeIsSet, 0, FALSE},
    {"systemtime-L64-absolute-follows", AbsoluteFollows, 0, FALSE},
    {"systemtime-L64-absolute-is-put-off", AbsoluteIsPutOff, 0, FALSE},
    {"systemtime-L64-delay-follows", DelayFollows, 2, FALSE},
    {"systemtime-L64-clocks-and-timers", ClocksAndTimers, 0, FALSE},
    {"timer-tolerance-bounds", CoalescedIsWithinBounds, 0, FALSE},
    {"timer-tolerance-meets", TolerantTimersMeet, 0, FALSE},
    {"timer-tolerance-keeps-step", ToleranceKeepsStep, 0, FALSE},
};

KT_DEFINE_SUITE(KtSystemTimeSuite, "ke", Cases);
