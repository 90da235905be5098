/* SPDX-License-Identifier: MIT */
/* semaphore.c - semaphores: laws L55 to L57. */
#include "waitkit.h"

static VOID CountsDown(VOID)
{
    KSEMAPHORE Semaphore;

    KeInitializeSemaphore(&Semaphore, 2, 3);
    KT_CHECK(KeReadStateSemaphore(&Semaphore) == 2, "count %d", KeReadStateSemaphore(&Semaphore));
    KT_CHECK(KtAsk(&Semaphore) == STATUS_SUCCESS && KtAsk(&Semaphore) == STATUS_SUCCESS, "waits");
    KT_CHECK(KtAsk(&Semaphore) == STATUS_TIMEOUT && KeReadStateSemaphore(&Semaphore) == 0,
             "a third wait took one, count %d", KeReadStateSemaphore(&Semaphore));
    KT_CHECK(KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 2, FALSE) == 0, "previous count");
    KT_CHECK(KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 1, FALSE) == 2, "previous count");
}

/* ------------------------------------------------------------------ L56: past the limit. */

typedef struct _EXCESS
{
    KSEMAPHORE Semaphore;
    LONG Adjustment;
} EXCESS, *PEXCESS;

static VOID ReleaseTooMuch(PVOID Context)
{
    PEXCESS Excess = Context;

    KeReleaseSemaphore(&Excess->Semaphore, IO_NO_INCREMENT, Excess->Adjustment, FALSE);
}

static VOID PastTheLimit(VOID)
{
    static const LONG Adjustments[] = {0, -1, MINLONG, 2, MAXLONG};
    EXCESS Excess;

    KeInitializeSemaphore(&Excess.Semaphore, 4, 5);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Adjustments); Index++)
    {
        Excess.Adjustment = Adjustments[Index];
        KtExpectBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)STATUS_SEMAPHORE_LIMIT_EXCEEDED,
                         ReleaseTooMuch, &Excess);
        KT_CHECK(KeReadStateSemaphore(&Excess.Semaphore) == 4, "adjustment %d: count %d",
                 Adjustments[Index], KeReadStateSemaphore(&Excess.Semaphore));
    }
    KT_CHECK(KeReleaseSemaphore(&Excess.Semaphore, IO_NO_INCREMENT, 1, FALSE) == 4,
             "the last one that fits");
}

/* ------------------------------------------------------------------ L57: exactly so many. */

#define WAITERS 7

static struct
{
    KSEMAPHORE Semaphore;
    volatile LONG Released;
    KT_THREAD Threads[WAITERS];
} Crowd;

static VOID WaitOnce(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtWait(&Crowd.Semaphore);
    InterlockedIncrement(&Crowd.Released);
}

static LONG CountWaiting(VOID)
{
    LONG Waits = 0;

    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        Waits += Crowd.Threads[Index].Thread.State == Waiting;
    }
    return Waits;
}

/* A release of one that is not at 0 lets nobody go. */
static VOID Drain(PKSEMAPHORE Semaphore)
{
    while (KtAsk(Semaphore) == STATUS_SUCCESS)
    {
    }
}

static VOID ReleasesExactly(VOID)
{
    static const LONG Steps[] = {1, 3, 2};
    LONG Sum = 0;

    Crowd.Released = 0;
    KeInitializeSemaphore(&Crowd.Semaphore, 0, WAITERS);
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtCreateThread(&Crowd.Threads[Index], WaitOnce, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
        KtAwaitBlocked(&Crowd.Threads[Index]);
    }
    for (ULONG Step = 0; Step < RTL_NUMBER_OF(Steps) && !KtHasFailed(); Step++)
    {
        Sum += Steps[Step];
        KT_CHECK(KeReleaseSemaphore(&Crowd.Semaphore, IO_NO_INCREMENT, Steps[Step], FALSE) == 0,
                 "step %u", Step);
        KT_CHECK(KeReadStateSemaphore(&Crowd.Semaphore) == 0, "count %d with waiters",
                 KeReadStateSemaphore(&Crowd.Semaphore));
        KT_CHECK(KtWaitFor(&Crowd.Released, Sum, WAIT_LIMIT), "%d of %d", Crowd.Released, Sum);
        KT_CHECK(Crowd.Released == Sum && CountWaiting() == WAITERS - Sum,
                 "released %d, waiting %d, adjusted by %d", Crowd.Released, CountWaiting(), Sum);
    }
    KeReleaseSemaphore(&Crowd.Semaphore, IO_NO_INCREMENT, WAITERS - Sum, FALSE);
    KT_CHECK(KtHasFailed() || KtWaitFor(&Crowd.Released, WAITERS, WAIT_LIMIT), "%d of all",
             Crowd.Released);
    KT_CHECK(KeReadStateSemaphore(&Crowd.Semaphore) == 0, "count %d at the end",
             KeReadStateSemaphore(&Crowd.Semaphore));
    while (ReadAcquire(&Crowd.Released) < WAITERS) /* those that a broken one still holds */
    {
        Drain(&Crowd.Semaphore);
        KeReleaseSemaphore(&Crowd.Semaphore, IO_NO_INCREMENT, 1, FALSE);
        KtYield();
    }
    for (ULONG Index = 0; Index < WAITERS; Index++)
    {
        KtJoinThread(&Crowd.Threads[Index]);
    }
}

/* ------------------------------------------------------------------ L55: the sum is right, with
 * all processors at it. */

#define TAKERS 6
#define LIMIT 1000000

static struct
{
    KSEMAPHORE Semaphore;
    volatile LONG Given; /* locked add */
    volatile LONG Taken; /* locked add */
    volatile LONG Stop;
    KT_THREAD Threads[TAKERS];
} Flow;

static VOID Take(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    for (;;)
    {
        KtWait(&Flow.Semaphore);
        if (ReadAcquire(&Flow.Stop))
        {
            return;
        }
        InterlockedIncrement(&Flow.Taken);
    }
}

static VOID Give(PVOID Context, ULONG Processor)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    for (ULONG Round = 0; Round < 4 || KtNow() < End; Round++)
    {
        LONG Count = 1 + (LONG)(KtRandom(&Random) % 3);

        KeReleaseSemaphore(&Flow.Semaphore, SEMAPHORE_INCREMENT, Count, FALSE);
        InterlockedExchangeAdd(&Flow.Given, Count);
        if (KtRandom(&Random) % 4 == 0 && KtAsk(&Flow.Semaphore) == STATUS_SUCCESS)
        {
            InterlockedIncrement(&Flow.Taken);
        }
    }
}

static VOID SumIsRight(VOID)
{
    RtlZeroMemory(&Flow, sizeof(Flow));
    KeInitializeSemaphore(&Flow.Semaphore, 0, LIMIT);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtCreateThread(&Flow.Threads[Index], Take, NULL, KI_DEFAULT_PRIORITY + 1, KT_ANYWHERE);
    }
    KtParallel(Give, NULL);
    KT_CHECK(KtWaitFor(&Flow.Taken, Flow.Given, WAIT_LIMIT), "given %d, taken %d", Flow.Given,
             Flow.Taken);
    for (ULONG Index = 0; Index < TAKERS && !KtHasFailed(); Index++)
    {
        KtAwaitBlocked(&Flow.Threads[Index]);
    }
    KT_CHECK(Flow.Taken == Flow.Given && KeReadStateSemaphore(&Flow.Semaphore) == 0,
             "given %d, taken %d, count %d", Flow.Given, Flow.Taken,
             KeReadStateSemaphore(&Flow.Semaphore));
    WriteRelease(&Flow.Stop, TRUE);
    Drain(&Flow.Semaphore);
    KeReleaseSemaphore(&Flow.Semaphore, IO_NO_INCREMENT, LIMIT / 2, FALSE);
    for (ULONG Index = 0; Index < TAKERS; Index++)
    {
        KtJoinThread(&Flow.Threads[Index]);
    }
}

static const KT_CASE Cases[] = {
    {"semaphore-L55-counts-down", CountsDown, 0, FALSE},
    {"semaphore-L56-past-the-limit", PastTheLimit, 0, TRUE},
    {"semaphore-L57-releases-exactly", ReleasesExactly, 0, FALSE},
    {"semaphore-L55-sum-is-right", SumIsRight, 0, FALSE},
};

KT_DEFINE_SUITE(KtSemaphoreSuite, "ke", Cases);
