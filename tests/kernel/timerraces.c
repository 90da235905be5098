/* SPDX-License-Identifier: MIT */
/*
 * timerraces.c - timers set, cancelled and expiring at once on all processors: the books balance to
 * the last one, what a call has said stays true, and thousands come in their order. Laws L58-L62,
 * L65, L70, L71, L87; torture T3.
 */
#include <ex.h>
#include <timer.h>
#include <twin.h>

#include "kt.h"

#define LIMIT KT_SECONDS(30)
#define HOUR KT_SECONDS(3600)
#define TAG_TEST 'rmiT'

static LARGE_INTEGER After(ULONG64 Units)
{
    return (LARGE_INTEGER){.QuadPart = -(LONGLONG)Units};
}

/* ------------------------------------------------------------------ Books (L59, L60): each setting
 * has a DPC of its own, and ends in exactly one way. */

#define SETTINGS 400 /* of each processor */
#define TIMERS 4

typedef struct _SETTING
{
    KDPC Dpc;
    ULONG64 NotBefore;
    volatile LONG Runs; /* any processor, locked add */
} SETTING, *PSETTING;

/* Calls that said TRUE, or all of them: any processor, locked add. */
static struct
{
    KTIMER Timers[TIMERS];
    PSETTING Settings;
    volatile LONG Sets;
    volatile LONG Replaced;
    volatile LONG Cancelled;
} Books;

static VOID SettingRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PSETTING Setting = Context;
    ULONG64 Now = KtNow();

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KT_CHECK(Now >= Setting->NotBefore, "%llu x 100 ns early", Setting->NotBefore - Now);
    InterlockedIncrement(&Setting->Runs);
}

static VOID SetOne(PKTIMER Timer, PSETTING Setting, ULONG64 Draw)
{
    ULONG64 Units = Draw % 4 == 0 ? HOUR : (Draw >> 8) % 3000;
    LARGE_INTEGER Due = After(Units);

    KeInitializeDpc(&Setting->Dpc, SettingRoutine, Setting);
    Setting->NotBefore = KtNow() + Units;
    if (Draw % 16 == 1)
    {
        Due.QuadPart = 1;
        Setting->NotBefore = 0;
    }
    InterlockedIncrement(&Books.Sets);
    if (KeSetCoalescableTimer(Timer, Due, 0, Draw % 8 == 2, &Setting->Dpc))
    {
        InterlockedIncrement(&Books.Replaced);
    }
}

static VOID SetAndCancel(PVOID Context, ULONG Processor)
{
    PSETTING Settings = Books.Settings + (SIZE_T)Processor * SETTINGS;
    ULONG Next = 0;
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    while (Next < SETTINGS && !KtHasFailed())
    {
        ULONG64 Draw = KtRandom(&Random);
        PKTIMER Timer = &Books.Timers[(Draw >> 40) % TIMERS];

        if (Draw % 32 < 20)
        {
            SetOne(Timer, &Settings[Next++], Draw >> 5);
        }
        else if (Draw % 32 < 28)
        {
            if (KeCancelTimer(Timer))
            {
                InterlockedIncrement(&Books.Cancelled);
            }
        }
        else
        {
            KeStallExecutionProcessor((ULONG)(Draw >> 8) % 200);
        }
    }
}

static VOID CheckBooks(ULONG Count)
{
    LONG Expired = 0;

    for (ULONG Index = 0; Index < Count; Index++)
    {
        KT_CHECK(Books.Settings[Index].Runs <= 1, "one setting, %d DPCs",
                 Books.Settings[Index].Runs);
        Expired += Books.Settings[Index].Runs;
    }
    KT_CHECK(Expired == Books.Sets - Books.Replaced - Books.Cancelled,
             "%d expired; %d set, %d replaced, %d cancelled", Expired, Books.Sets, Books.Replaced,
             Books.Cancelled);
    KT_CHECK(Expired != 0 && Books.Replaced != 0 && Books.Cancelled != 0,
             "no race: %d expired, %d replaced, %d cancelled", Expired, Books.Replaced,
             Books.Cancelled);
    KtNote("%d set: %d expired, %d replaced, %d cancelled", Books.Sets, Expired, Books.Replaced,
           Books.Cancelled);
}

static VOID BooksBalance(VOID)
{
    ULONG Count = KtProcessors() * SETTINGS;

    RtlZeroMemory(&Books, sizeof(Books));
    Books.Settings = ExAllocatePool2(POOL_FLAG_NON_PAGED, Count * sizeof(SETTING), TAG_TEST);
    KT_REQUIRE(Books.Settings != NULL, "no memory");
    for (ULONG Index = 0; Index < TIMERS; Index++)
    {
        KeInitializeTimer(&Books.Timers[Index]);
    }
    KtParallel(SetAndCancel, NULL);
    for (ULONG Index = 0; Index < TIMERS; Index++)
    {
        Books.Cancelled += KeCancelTimer(&Books.Timers[Index]);
        KT_CHECK(!KeCancelTimer(&Books.Timers[Index]), "timer %u is set again", Index);
    }
    KeFlushQueuedDpcs();
    CheckBooks(Count);
    ExFreePoolWithTag(Books.Settings, TAG_TEST);
}

/* ------------------------------------------------------------------ What a call says (L60, L61,
 * L87), while the timer expires on another processor. */

#define LEAST_DUELS 20 /* a round is dear where processors outnumber those of the host */
#define CATCH_LIMIT KT_SECONDS(30) /* for a broken twin */
#define DUEL_UNITS 1000            /* 100 us */

static struct
{
    KTIMER Timer;
    KDPC Dpc;
    volatile LONG Runs;
    volatile LONG Armed; /* rounds begun: the timer's processor */
    volatile LONG Over;  /* rounds ended: the other             */
    volatile LONG Stop;  /* there are no more: the other        */
} Duel;

static VOID DuelRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Duel.Runs);
}

/* Sets the timer anew for each round; it expires on this processor if nobody prevents it. */
static VOID DuelOwner(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (LONG Round = 1; !KtHasFailed(); Round++)
    {
        WriteRelease(&Duel.Runs, 0);
        KT_CHECK(!KeSetTimer(&Duel.Timer, After(DUEL_UNITS), &Duel.Dpc), "it was not set");
        WriteRelease(&Duel.Armed, Round);
        if (!KtWaitFor(&Duel.Over, Round, LIMIT) || ReadAcquire(&Duel.Stop))
        {
            return;
        }
    }
}

/* Around the moment at which it is due; or that at which its processor has begun to expire it. */
static VOID AwaitMoment(PKT_RANDOM Random)
{
    ULONG64 Draw = KtRandom(Random);
    ULONG64 Due = Duel.Timer.HeapNode.Key;
    ULONG64 End = Draw % 2 == 0 ? Due + (Draw >> 8) % DUEL_UNITS - DUEL_UNITS / 4 : Due + LIMIT;

    while (KtNow() < End && (Draw % 2 == 0 || *(volatile BOOLEAN *)&Duel.Timer.Inserted))
    {
        YieldProcessor();
    }
}

/* Set means not signaled until that setting expires, whatever the last one was about to do. */
static VOID SetFarAndLook(VOID)
{
    ULONG64 End;

    KeSetTimer(&Duel.Timer, After(HOUR), NULL);
    End = KtNow() + KT_MILLISECONDS(1) / 2;
    while (KtNow() < End)
    {
        KT_REQUIRE(!KeReadStateTimer(&Duel.Timer), "signaled by what it was set to before");
    }
    KT_CHECK(KeCancelTimer(&Duel.Timer), "it was set");
    KeFlushQueuedDpcs(); /* also for a processor that stands still in the middle of it */
    KT_CHECK(!KeReadStateTimer(&Duel.Timer), "signaled by what it was set to before");
}

/* TRUE: its DPC never runs. FALSE: its DPC is queued, so that a flush waits for it. */
static VOID CancelAndFlush(VOID)
{
    BOOLEAN Cancelled = KeCancelTimer(&Duel.Timer);

    KeFlushQueuedDpcs();
    KT_CHECK(ReadAcquire(&Duel.Runs) == !Cancelled, "%d DPCs, cancel said %d", Duel.Runs,
             Cancelled);
    if (Cancelled)
    {
        KeStallExecutionProcessor(300);
        KT_CHECK(ReadAcquire(&Duel.Runs) == 0, "its DPC ran after all");
    }
}

static BOOLEAN TwinIsOn(VOID)
{
#if DBG
    return KiActiveTwin != KiTwinNone;
#else
    return FALSE;
#endif
}

static VOID RunDuel(VOID (*Strike)(VOID))
{
    ULONG64 End = KtNow() + (TwinIsOn() ? CATCH_LIMIT : KtBudget());
    LONG Round;
    KT_RANDOM Random;
    KT_JOB Job;

    RtlZeroMemory(&Duel, sizeof(Duel));
    KeInitializeTimer(&Duel.Timer);
    KeInitializeDpc(&Duel.Dpc, DuelRoutine, NULL);
    KtSeed(&Random, 1);
    KtStart(&Job, KtProcessors() - 1, DuelOwner, NULL);
    for (Round = 1; !ReadAcquire(&Duel.Stop); Round++)
    {
        KT_CHECK(KtWaitFor(&Duel.Armed, Round, LIMIT), "round %d was not begun", Round);
        AwaitMoment(&Random);
        Strike();
        if (KtHasFailed() || (Round >= LEAST_DUELS && KtNow() > End))
        {
            WriteRelease(&Duel.Stop, TRUE);
        }
        WriteRelease(&Duel.Over, Round);
    }
    KtNote("%d rounds", Round - 1);
    KtJoin(&Job);
    KeCancelTimer(&Duel.Timer);
    KeFlushQueuedDpcs();
}

static VOID SetIsExact(VOID)
{
    RunDuel(SetFarAndLook);
}

static VOID CancelIsExact(VOID)
{
    RunDuel(CancelAndFlush);
}

/* ------------------------------------------------------------------ Thousands (L58, L65). */

#define THOUSANDS 3000

typedef struct _ONE
{
    KTIMER Timer;
    KDPC Dpc;
    volatile LONG Runs;
} ONE, *PONE;

static struct
{
    PONE All;
    ULONG64 Latest[MAXIMUM_PROCESSORS]; /* key of the last that expired there: its DPCs */
    volatile LONG Expired;
    volatile LONG Cancelled;
} Mass;

/* DPCs of one processor run in the order in which the timers expired. */
static VOID OneRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PONE One = Context;
    PULONG64 Latest = &Mass.Latest[KeGetCurrentProcessorIndex()];

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KT_CHECK(One->Timer.HeapNode.Key >= *Latest, "%llu after %llu", One->Timer.HeapNode.Key,
             *Latest);
    KT_CHECK(KtNow() >= One->Timer.HeapNode.Key, "early");
    *Latest = One->Timer.HeapNode.Key;
    InterlockedIncrement(&One->Runs);
    InterlockedIncrement(&Mass.Expired);
}

/* Sets all of its share before the first is due; a loaded host may prevent that, and then what is
 * set late is due late. */
static VOID SetShare(PVOID Context, ULONG Processor)
{
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    for (ULONG Index = Processor; Index < THOUSANDS; Index += KtProcessors())
    {
        PONE One = &Mass.All[Index];

        KeInitializeTimer(&One->Timer);
        KeInitializeDpc(&One->Dpc, OneRoutine, One);
        KeSetTimer(&One->Timer,
                   After(KT_MILLISECONDS(20) + KtRandom(&Random) % KT_MILLISECONDS(60)), &One->Dpc);
    }
    for (ULONG Index = Processor; Index < THOUSANDS; Index += 3 * KtProcessors())
    {
        if (KeCancelTimer(&Mass.All[Index].Timer))
        {
            InterlockedIncrement(&Mass.Cancelled);
        }
    }
}

static VOID Thousands(VOID)
{
    ULONG64 End = KtNow() + LIMIT;

    RtlZeroMemory(&Mass, sizeof(Mass));
    Mass.All = ExAllocatePool2(POOL_FLAG_NON_PAGED, THOUSANDS * sizeof(ONE), TAG_TEST);
    KT_REQUIRE(Mass.All != NULL, "no memory");
    KtParallel(SetShare, NULL);
    while (ReadAcquire(&Mass.Expired) + Mass.Cancelled < THOUSANDS && KtNow() < End)
    {
        YieldProcessor();
    }
    KT_CHECK(Mass.Expired + Mass.Cancelled == THOUSANDS, "%d expired, %d cancelled", Mass.Expired,
             Mass.Cancelled);
    for (ULONG Index = 0; Index < THOUSANDS; Index++)
    {
        KT_CHECK(!KeCancelTimer(&Mass.All[Index].Timer), "timer %u is still set", Index);
        KT_CHECK(Mass.All[Index].Runs <= 1, "timer %u: %d DPCs", Index, Mass.All[Index].Runs);
    }
    KeFlushQueuedDpcs();
    KtNote("%d expired, %d cancelled", Mass.Expired, Mass.Cancelled);
    ExFreePoolWithTag(Mass.All, TAG_TEST);
}

/* ------------------------------------------------------------------ Time-outs (L70, L71): of many
 * threads, against a timer that signals what they wait for. */

#define TIMED_WAITS 60

static struct
{
    KEVENT Event; /* synchronization */
    KTIMER Timer;
    KDPC Dpc;
    volatile LONG Signals; /* that found it not set: DPCs of one processor */
    volatile LONG Satisfied;
    volatile LONG TimedOut;
} Timed;

static VOID SignalRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Timed.Signals += KeSetEvent(&Timed.Event, EVENT_INCREMENT, FALSE) == 0;
}

static VOID WaitAndCount(PVOID Context, ULONG Processor)
{
    KT_RANDOM Random;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    for (ULONG Round = 0; Round < TIMED_WAITS && !KtHasFailed(); Round++)
    {
        ULONG64 Units = KtRandom(&Random) % (KT_MILLISECONDS(2) * KtProcessors()) + 1;
        LARGE_INTEGER Timeout = After(Units);
        ULONG64 Start = KtNow();
        NTSTATUS Status;

        Status = KeWaitForSingleObject(&Timed.Event, Executive, KernelMode, FALSE, &Timeout);
        if (Status == STATUS_TIMEOUT)
        {
            KT_CHECK(KtNow() - Start >= Units, "%llu x 100 ns early", Units - (KtNow() - Start));
            InterlockedIncrement(&Timed.TimedOut);
        }
        else
        {
            KT_CHECK(Status == STATUS_SUCCESS, "status %x", (ULONG)Status);
            InterlockedIncrement(&Timed.Satisfied);
        }
        KT_CHECK(!KeGetCurrentThread()->Timer.Inserted, "its time-out is still set");
    }
}

static VOID TimeoutsOrSignals(VOID)
{
    LONG Left;

    RtlZeroMemory(&Timed, sizeof(Timed));
    KeInitializeEvent(&Timed.Event, SynchronizationEvent, FALSE);
    KeInitializeTimer(&Timed.Timer);
    KeInitializeDpc(&Timed.Dpc, SignalRoutine, NULL);
    KeSetTimerEx(&Timed.Timer, After(1), 1, &Timed.Dpc);
    KtParallel(WaitAndCount, NULL);
    KeCancelTimer(&Timed.Timer);
    KeFlushQueuedDpcs();
    Left = KeReadStateEvent(&Timed.Event);
    KT_CHECK(IsListEmpty(&Timed.Event.Header.WaitListHead), "somebody still waits");
    KT_CHECK(Timed.Satisfied + Left == Timed.Signals, "%d satisfied, %d left, %d signals",
             Timed.Satisfied, Left, Timed.Signals);
    KtNote("%d satisfied, %d timed out", Timed.Satisfied, Timed.TimedOut);
}

static const KT_CASE Cases[] = {
    {"timer-L59-L60-books-balance", BooksBalance, 0, FALSE},
    {"timer-L61-set-is-exact", SetIsExact, 2, FALSE},
    {"timer-L60-L87-cancel-is-exact", CancelIsExact, 2, FALSE},
    {"timer-L58-L65-thousands", Thousands, 0, FALSE},
    {"timer-L70-L71-time-outs-or-signals", TimeoutsOrSignals, 0, FALSE},
};

KT_DEFINE_SUITE(KtTimerRaceSuite, "ke", Cases);
