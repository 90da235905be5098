/* SPDX-License-Identifier: MIT */
/*
 * apcstorm.c - APCs against everything at once: threads that wait, move and enter regions get APCs
 * from all processors, and the books balance; insertions race with the commit of a wait and with
 * the end of a region; alerts with waits that are alertable and that are not. Laws L76, L79, L80.
 */
#include <twin.h>

#include "apckit.h"

#define MINIMUM_ROUNDS 50      /* however slow the host is */
#define MINIMUM_INSERTIONS 500 /* by each processor */

static BOOLEAN GoesOn(ULONG Round, ULONG64 End)
{
    return !KtHasFailed() && (Round < MINIMUM_ROUNDS || KtNow() < End);
}

/* ------------------------------------------------------------------ Books: for each APC, what was
 * inserted and not removed has run once, in its own thread, or was run down. All counts: any
 * processor, locked add. */

#define MOST_TARGETS 4
#define BOOKS_EACH 4

typedef struct _BOOK
{
    KAPC Apc;
    struct _STORM_TARGET *Target;
    volatile LONG64 Inserted, Removed, Runs, NormalRuns, Rundowns;
} BOOK, *PBOOK;

typedef struct _STORM_TARGET
{
    KT_TARGET Target;
    BOOLEAN RunsDown;     /* ends in the middle of it */
    volatile LONG Inside; /* in a normal routine; itself */
    BOOK Books[BOOKS_EACH];
    KT_RANDOM Random;
} STORM_TARGET, *PSTORM_TARGET;

typedef struct _STORM
{
    ULONG Targets;
    ULONG64 End;
    STORM_TARGET Target[MOST_TARGETS];
    KT_RANDOM Random[MAXIMUM_PROCESSORS];
} STORM, *PSTORM;

static STORM Storm;

static VOID InsertBook(PBOOK Book, ULONG64 Draw)
{
    /* Counted first: it may have run before the insertion returns. */
    InterlockedIncrement64(&Book->Inserted);
    if (!KeInsertQueueApc(&Book->Apc, (PVOID)Draw, (PVOID)~Draw, (Draw >> 8) % 3))
    {
        InterlockedDecrement64(&Book->Inserted);
    }
}

static VOID BookKernel(PKAPC Apc, PKNORMAL_ROUTINE *Normal, PVOID *NormalContext,
                       PVOID *SystemArgument1, PVOID *SystemArgument2)
{
    PBOOK Book = CONTAINING_RECORD(Apc, BOOK, Apc);

    UNREFERENCED_PARAMETER(Normal);
    UNREFERENCED_PARAMETER(NormalContext);
    KT_CHECK(KeGetCurrentThread() == Apc->Thread, "thread %p ran the APC of %p",
             KeGetCurrentThread(), Apc->Thread);
    KT_CHECK((ULONG64)*SystemArgument2 == ~(ULONG64)*SystemArgument1,
             "arguments of two insertions: %p %p", *SystemArgument1, *SystemArgument2);
    KT_CHECK(KeGetCurrentIrql() == APC_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(KeGetCurrentThread()->SpecialApcDisable == 0, "in a guarded region");
    InterlockedIncrement64(&Book->Runs);
}

static VOID BookNormal(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PBOOK Book = NormalContext;
    PSTORM_TARGET Self = Book->Target;

    UNREFERENCED_PARAMETER(SystemArgument2);
    KT_CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(!KeAreApcsDisabled(), "in a region");
    KT_CHECK(InterlockedIncrement(&Self->Inside) == 1, "one normal APC on top of another");
    if ((ULONG64)SystemArgument1 % 4 == 0)
    {
        YieldProcessor();
    }
    InterlockedDecrement(&Self->Inside);
    InterlockedIncrement64(&Book->NormalRuns);
}

static VOID BookRundown(PKAPC Apc)
{
    PBOOK Book = CONTAINING_RECORD(Apc, BOOK, Apc);

    KT_CHECK(KeGetCurrentThread() == Apc->Thread, "thread %p ran down the APC of %p",
             KeGetCurrentThread(), Apc->Thread);
    InterlockedIncrement64(&Book->Rundowns);
}

/* A short wait, for an event that the storm sets or a time-out. */
static VOID StormWait(PSTORM_TARGET Self, ULONG64 Draw)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)(Draw % 2000)};

    KeWaitForSingleObject(&Self->Target.Event, Executive, KernelMode, FALSE, &Timeout);
}

static VOID StormWaitRaised(PSTORM_TARGET Self, ULONG64 Draw)
{
    KIRQL OldIrql;

    KeRaiseIrql(APC_LEVEL, &OldIrql);
    StormWait(Self, Draw);
    KeLowerIrql(OldIrql);
}

static VOID StormStep(PSTORM_TARGET Self)
{
    ULONG64 Draw = KtRandom(&Self->Random);

    switch ((Draw >> 32) % 8)
    {
    case 0:
        KeEnterCriticalRegion();
        StormWait(Self, Draw);
        KeLeaveCriticalRegion();
        break;
    case 1:
        KeEnterGuardedRegion();
        StormWait(Self, Draw);
        KeLeaveGuardedRegion();
        break;
    case 2:
        StormWaitRaised(Self, Draw);
        break;
    case 3:
        KiSetThreadProcessor((ULONG)(Draw >> 40) % KtProcessors());
        break;
    case 4:
        KeEnterCriticalRegion();
        KeEnterGuardedRegion();
        KeLeaveCriticalRegion();
        KeLeaveGuardedRegion();
        break;
    default:
        StormWait(Self, Draw);
        break;
    }
}

static VOID StormBody(PKT_TARGET Target)
{
    PSTORM_TARGET Self = CONTAINING_RECORD(Target, STORM_TARGET, Target);

    while (!ReadAcquire(&Target->Stop) && !(Self->RunsDown && Target->Rounds == MINIMUM_ROUNDS))
    {
        StormStep(Self);
        Target->Rounds++;
    }
    if (Self->RunsDown)
    {
        KeEnterCriticalRegion();
        StormWait(Self, 1999); /* so that there is something left */
    }
}

static VOID StormInsert(PVOID Context, ULONG Processor)
{
    static const KIRQL Levels[] = {PASSIVE_LEVEL, PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL};
    PKT_RANDOM Random = &Storm.Random[Processor];

    UNREFERENCED_PARAMETER(Context);
    for (ULONG Round = 0; Round < MINIMUM_INSERTIONS || GoesOn(Round, Storm.End); Round++)
    {
        ULONG64 Draw = KtRandom(Random);
        PSTORM_TARGET Target = &Storm.Target[(Draw >> 16) % Storm.Targets];
        PBOOK Book = &Target->Books[(Draw >> 24) % BOOKS_EACH];
        KIRQL OldIrql;

        KeRaiseIrql(Levels[(Draw >> 32) % RTL_NUMBER_OF(Levels)], &OldIrql);
        if ((Draw >> 40) % 8 == 0)
        {
            KeSetEvent(&Target->Target.Event, EVENT_INCREMENT, FALSE);
        }
        else if ((Draw >> 40) % 8 == 1)
        {
            if (KeRemoveQueueApc(&Book->Apc))
            {
                InterlockedIncrement64(&Book->Removed);
            }
        }
        else
        {
            InsertBook(Book, Draw);
        }
        KeLowerIrql(OldIrql);
        if ((Draw >> 48) % 4 == 0)
        {
            KiYieldThread(); /* to the targets, which share the processors */
        }
    }
}

static BOOLEAN Balances(PBOOK Book)
{
    LONG64 Done = ReadAcquire64(&Book->Runs) + ReadAcquire64(&Book->Rundowns) +
                  ReadAcquire64(&Book->Removed);

    return Done == ReadAcquire64(&Book->Inserted);
}

/* Nobody helps: what was accepted is delivered by itself, while the thread lives. */
static VOID AwaitBalance(PBOOK Book, ULONG Target, ULONG Index)
{
    ULONG64 End = KtNow() + KT_APC_LIMIT;

    while (!Balances(Book) && KtNow() < End)
    {
        YieldProcessor();
    }
    KT_CHECK(Balances(Book),
             "APC %u of thread %u: %lld inserted, %lld removed, %lld runs, %lld run"
             " down",
             Index, Target, Book->Inserted, Book->Removed, Book->Runs, Book->Rundowns);
}

static VOID PrepareBooks(PSTORM_TARGET Target)
{
    for (ULONG Index = 0; Index < BOOKS_EACH; Index++)
    {
        PBOOK Book = &Target->Books[Index];

        Book->Target = Target;
        KeInitializeApc(&Book->Apc, Target->Target.Thread, OriginalApcEnvironment, BookKernel,
                        BookRundown, Index % 2 == 0 ? NULL : BookNormal, KernelMode, Book);
    }
}

static VOID AwaitStorm(PSTORM_TARGET Target, ULONG Number, PLONG64 Runs, PLONG64 Rundowns)
{
    if (Target->RunsDown)
    {
        KtStopTarget(&Target->Target);
    }
    for (ULONG Index = 0; Index < BOOKS_EACH; Index++)
    {
        PBOOK Book = &Target->Books[Index];

        AwaitBalance(Book, Number, Index);
        *Runs += Book->Runs;
        *Rundowns += Book->Rundowns;
    }
    if (!Target->RunsDown)
    {
        KtStopTarget(&Target->Target);
    }
    for (ULONG Index = 0; Index < BOOKS_EACH; Index++)
    {
        PBOOK Book = &Target->Books[Index];

        KT_CHECK(Index % 2 == 0 || Book->NormalRuns == Book->Runs, "%lld normal runs of %lld",
                 Book->NormalRuns, Book->Runs);
        KT_CHECK(!KeRemoveQueueApc(&Book->Apc), "APC %u was still queued", Index);
    }
}

static VOID RunStorm(BOOLEAN RunsDown)
{
    LONG64 Runs = 0, Rundowns = 0;
    ULONG Started;

    RtlZeroMemory(&Storm, sizeof(Storm));
    Storm.Targets = KtProcessors() < MOST_TARGETS ? KtProcessors() : MOST_TARGETS;
    Storm.End = KtNow() + KtBudget();
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        KtSeed(&Storm.Random[Processor], Processor);
    }
    for (Started = 0; Started < Storm.Targets; Started++)
    {
        PSTORM_TARGET Target = &Storm.Target[Started];

        KtSeed(&Target->Random, 1000 + Started);
        Target->RunsDown = RunsDown;
        if (!KtStartTarget(&Target->Target, Started, StormBody))
        {
            return;
        }
        PrepareBooks(Target);
    }
    KtParallel(StormInsert, NULL);
    for (ULONG Index = 0; Index < Started; Index++)
    {
        AwaitStorm(&Storm.Target[Index], Index, &Runs, &Rundowns);
    }
    KT_CHECK(RunsDown || Runs > 0, "no APC ran");
    KtNote("%lld ran, %lld were run down", Runs, Rundowns);
}

static VOID StormOnMovingThreads(VOID)
{
    RunStorm(FALSE);
}

static VOID StormOnEndingThreads(VOID)
{
    RunStorm(TRUE);
}

/* ---------------------------------------------------------------- The commit of a wait (L80): each
 * round the thread goes to wait while an APC is on its way, and only the APC can tell whether the
 * two saw each other: the event comes afterwards. */

#define LONGEST_PAUSE_US 64 /* from either side, so that each comes first in some rounds */

static VOID WaitsInRounds(PKT_TARGET Target)
{
    volatile LONG *Go = Target->Context; /* the round that has begun: both are at it */
    KT_RANDOM Random;

    KtSeed(&Random, 8);
    while (!ReadAcquire(&Target->Stop))
    {
        LONG Round = InterlockedIncrement(&Target->Rounds);

        while (ReadAcquire(Go) < Round && !ReadAcquire(&Target->Stop))
        {
            YieldProcessor();
        }
        KeStallExecutionProcessor((ULONG)(KtRandom(&Random) % LONGEST_PAUSE_US));
        KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE, NULL);
    }
}

static VOID RaceWithCommit(VOID)
{
    /* A broken twin is hunted until it is caught. */
    ULONG64 End = KtNow() + (KI_TWIN(KiTwinApcLooksFirst) ? KT_APC_LIMIT : KtBudget());
    volatile LONG Go = 0;
    KT_TARGET Target;
    KT_RANDOM Random;
    LONG Round = 0;
    KT_APC Apc;

    KtSeed(&Random, 7);
    Target.Context = (PVOID)&Go;
    if (!KtStartTarget(&Target, KtProcessors() - 1, WaitsInRounds))
    {
        return;
    }
    KtInitializeSpecialApc(&Apc, Target.Thread);
    while (GoesOn((ULONG)Round, End))
    {
        Round++;
        if (!KtWaitFor(&Target.Rounds, Round, KT_APC_LIMIT))
        {
            KT_CHECK(FALSE, "round %d did not begin", Round);
            break;
        }
        WriteRelease(&Go, Round);
        KeStallExecutionProcessor((ULONG)(KtRandom(&Random) % LONGEST_PAUSE_US));
        KtInsertApc(&Apc);
        KT_CHECK(KtAwait(&Apc.KernelRuns, Round),
                 "round %d: the APC does not reach the waiting thread", Round);
        KeSetEvent(&Target.Event, IO_NO_INCREMENT, FALSE);
    }
    KtStopTarget(&Target);
    KT_CHECK(!KeRemoveQueueApc(&Apc.Apc), "it was still queued");
    KtNote("%d rounds", Round);
}

/* ------------------------------------------------------------------ The end of a region (L79): the
 * thread is outside for some instructions at a time, and makes no call that would look for it. */

static VOID EntersAndLeaves(PKT_TARGET Target)
{
    while (!ReadAcquire(&Target->Stop))
    {
        KeEnterCriticalRegion();
        Target->Rounds++;
        KeLeaveCriticalRegion();
    }
}

static VOID RaceWithRegionEnd(VOID)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_TARGET Target;
    LONG Round = 0;
    KT_APC Apc;

    if (!KtStartTarget(&Target, KtProcessors() - 1, EntersAndLeaves))
    {
        return;
    }
    KtInitializeNormalApc(&Apc, Target.Thread, NULL);
    while (GoesOn((ULONG)Round, End))
    {
        Round++;
        KtInsertApc(&Apc);
        KT_CHECK(KtAwait(&Apc.NormalRuns, Round), "round %d: the APC stays where it is", Round);
    }
    KtStopTarget(&Target);
    KT_CHECK(!KeRemoveQueueApc(&Apc.Apc), "it was still queued");
    KtNote("%d rounds, %d regions", Round, Target.Rounds);
}

/* ------------------------------------------------------------------ Alerts. */

/* Rounds counts the alerted waits. The event is set once, to end it: whichever wait that ends. */
static VOID WaitsToBeAlerted(PKT_TARGET Target)
{
    LARGE_INTEGER Short = {.QuadPart = -100};

    for (;;)
    {
        NTSTATUS Status = KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE,
                                                &Short);

        if (Status == STATUS_SUCCESS)
        {
            return;
        }
        KT_CHECK(Status == STATUS_TIMEOUT, "not alertable: %x", Status);
        Status = KeWaitForSingleObject(&Target->Event, Executive, KernelMode, TRUE, NULL);
        if (Status == STATUS_SUCCESS)
        {
            return;
        }
        KT_CHECK(Status == STATUS_ALERTED, "alertable: %x", Status);
        InterlockedIncrement(&Target->Rounds);
    }
}

/* Each alert ends one alertable wait, whenever it comes. */
static VOID RaceWithAlert(VOID)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_TARGET Target;
    LONG Round = 0;

    if (!KtStartTarget(&Target, KtProcessors() - 1, WaitsToBeAlerted))
    {
        return;
    }
    while (GoesOn((ULONG)Round, End))
    {
        Round++;
        KiAlertThread(Target.Thread);
        KT_CHECK(KtAwait(&Target.Rounds, Round), "alert %d was lost", Round);
    }
    KT_CHECK(Target.Rounds == Round, "%d alerted waits by %d alerts", Target.Rounds, Round);
    KtStopTarget(&Target);
    KtNote("%d rounds", Round);
}

static const KT_CASE Cases[] = {
    {"apc-L80-races-with-commit", RaceWithCommit, 2, FALSE},
    {"region-L79-races-with-insert", RaceWithRegionEnd, 2, FALSE},
    {"apc-alert-races-with-wait", RaceWithAlert, 2, FALSE},
    {"apc-L76-storm", StormOnMovingThreads, 0, FALSE},
    {"apc-L76-storm-ending", StormOnEndingThreads, 0, FALSE},
};

KT_DEFINE_SUITE(KtApcStormSuite, "ke", Cases);
