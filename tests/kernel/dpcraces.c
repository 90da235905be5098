/* SPDX-License-Identifier: MIT */
/*
 * dpcraces.c - DPCs that interrupts, routines and all processors insert, remove and send elsewhere
 * at once: the books balance without anybody's flush, nothing that was due is left when a thread
 * goes on, and flushes from everywhere wait for what came before each. Laws L19-L22, L24, L27, L29,
 * L30, L32; regressions R-a, R-d, R-e, R-r; torture T2.
 */
#include <arch/hal.h>
#include <io.h>

#include "trapkit.h"

#define LIMIT KT_SECONDS(30)
#define DEVICE_IRQL 7
#define MINIMUM_ROUNDS 200 /* the time may be over before all processors have begun */

/* TRUE while a worker is to go on. */
static BOOLEAN GoesOn(ULONG Round, ULONG64 End)
{
    return !KtHasFailed() && (Round < MINIMUM_ROUNDS || KtNow() < End);
}

static VOID Target(PKDPC Dpc, ULONG Processor)
{
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    KeSetTargetProcessorDpcEx(Dpc, &Number);
}

/* ---------------------------------------------------------- Books: for each DPC, what was
 * inserted and not removed has run. All three: any processor, locked add. */

typedef struct _BOOK
{
    KDPC Dpc;
    volatile LONG64 Inserted;
    volatile LONG64 Removed;
    volatile LONG64 Runs;
} BOOK, *PBOOK;

#define MOST_BOOKS 8

typedef struct DECLSPEC_ALIGN(64) _STORM_CPU
{
    BOOLEAN InsideDpc; /* its DPCs only */
    KT_RANDOM FromThread, FromIsr, FromDpc;
} STORM_CPU, *PSTORM_CPU;

typedef struct _STORM
{
    ULONG Books;
    ULONG Vector;
    BOOLEAN Requeues;
    volatile LONG Stop;
    ULONG64 End;
    BOOK Book[MOST_BOOKS];
    STORM_CPU Cpus[MAXIMUM_PROCESSORS];
} STORM, *PSTORM;

static STORM Storm;

/* The second argument tells whether the first is from the same insertion. */
static VOID InsertBook(PBOOK Book, ULONG64 Draw)
{
    if (KeInsertQueueDpc(&Book->Dpc, (PVOID)Draw, (PVOID)~Draw))
    {
        InterlockedIncrement64(&Book->Inserted);
    }
}

static VOID RemoveBook(PBOOK Book)
{
    if (KeRemoveQueueDpc(&Book->Dpc))
    {
        InterlockedIncrement64(&Book->Removed);
    }
}

static PBOOK AnyBook(ULONG64 Draw)
{
    return &Storm.Book[(Draw >> 32) % Storm.Books];
}

static VOID BookRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PBOOK Book = Context;
    PSTORM_CPU Cpu = &Storm.Cpus[KeGetCurrentProcessorIndex()];
    ULONG64 Draw = KtRandom(&Cpu->FromDpc);

    KT_CHECK(Dpc == &Book->Dpc, "%p is not %p", Dpc, &Book->Dpc);
    KT_CHECK((ULONG64)Argument2 == ~(ULONG64)Argument1, "arguments of two insertions: %p %p",
             Argument1, Argument2);
    KT_CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(!Cpu->InsideDpc, "two DPCs at once on CPU %u", KeGetCurrentProcessorIndex());
    Cpu->InsideDpc = TRUE;
    if (Storm.Requeues && Draw % 4 == 0 && !ReadAcquire(&Storm.Stop))
    {
        InsertBook(Draw % 8 == 0 ? Book : AnyBook(Draw), Draw);
    }
    Cpu->InsideDpc = FALSE;
    InterlockedIncrement64(&Book->Runs);
}

static BOOLEAN StormIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    ULONG64 Draw = KtRandom(&Storm.Cpus[KeGetCurrentProcessorIndex()].FromIsr);

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    if (ReadAcquire(&Storm.Stop))
    {
        return TRUE;
    }
    if (Draw % 4 == 0)
    {
        RemoveBook(AnyBook(Draw));
    }
    else
    {
        InsertBook(AnyBook(Draw), Draw);
    }
    return TRUE;
}

static VOID InsertAtSomeLevel(PBOOK Book, ULONG64 Draw)
{
    static const KIRQL Levels[] = {PASSIVE_LEVEL,  PASSIVE_LEVEL, APC_LEVEL,
                                   DISPATCH_LEVEL, DEVICE_IRQL,   HIGH_LEVEL};
    BOOLEAN Enabled = TRUE;
    KIRQL OldIrql;

    KeRaiseIrql(Levels[(Draw >> 24) % RTL_NUMBER_OF(Levels)], &OldIrql);
    if ((Draw >> 20) % 8 == 0)
    {
        Enabled = ArchDisableInterrupts();
    }
    InsertBook(Book, Draw);
    if ((Draw >> 20) % 8 == 0)
    {
        ArchRestoreInterrupts(Enabled);
    }
    KeLowerIrql(OldIrql);
}

static VOID StormStep(PKT_RANDOM Random)
{
    ULONG64 Draw = KtRandom(Random);
    PBOOK Book = AnyBook(Draw);

    switch ((Draw >> 16) % 8)
    {
    case 0:
        HalpSendIpi((ULONG)((Draw >> 40) % KtProcessors()), Storm.Vector);
        break;
    case 1:
    case 2:
        Target(&Book->Dpc, (ULONG)((Draw >> 40) % KtProcessors()));
        break;
    case 3:
        KeSetImportanceDpc(&Book->Dpc, (KDPC_IMPORTANCE)((Draw >> 40) % 4));
        break;
    case 4:
        RemoveBook(Book);
        break;
    default:
        InsertAtSomeLevel(Book, Draw);
        break;
    }
}

static VOID StormFromThread(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    for (ULONG Round = 0; GoesOn(Round, Storm.End); Round++)
    {
        StormStep(&Storm.Cpus[Processor].FromThread);
    }
}

static VOID PrepareStorm(ULONG Books, BOOLEAN Requeues)
{
    RtlZeroMemory(&Storm, sizeof(Storm));
    Storm.Books = Books;
    Storm.Requeues = Requeues;
    Storm.Vector = KtUnusedVector(DEVICE_IRQL, 0);
    Storm.End = KtNow() + KtBudget();
    for (ULONG Index = 0; Index < Books; Index++)
    {
        KeInitializeDpc(&Storm.Book[Index].Dpc, BookRoutine, &Storm.Book[Index]);
    }
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        KtSeed(&Storm.Cpus[Processor].FromThread, Processor * 3);
        KtSeed(&Storm.Cpus[Processor].FromIsr, Processor * 3 + 1);
        KtSeed(&Storm.Cpus[Processor].FromDpc, Processor * 3 + 2);
    }
}

static BOOLEAN Balances(PBOOK Book)
{
    LONG64 Runs = ReadAcquire64(&Book->Runs);

    return Runs == ReadAcquire64(&Book->Inserted) - ReadAcquire64(&Book->Removed);
}

/* Nobody flushes: what was queued runs by itself (L32). */
static VOID AwaitBalance(PBOOK Book, ULONG Index)
{
    ULONG64 End = KtNow() + LIMIT;

    while (!Balances(Book) && KtNow() < End)
    {
        YieldProcessor();
    }
    KT_CHECK(Balances(Book), "DPC %u: %lld inserted, %lld removed, %lld runs", Index,
             Book->Inserted, Book->Removed, Book->Runs);
    KT_CHECK(Book->Dpc.DpcData == NULL, "DPC %u is still in the queue of CPU %u", Index,
             Book->Dpc.DpcData->Processor);
}

static VOID CheckQueuesAreEmpty(VOID)
{
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        PKI_DPC_QUEUE Queue = &KiProcessorBlock[Index]->Dpc;

        KT_CHECK(Queue->Depth == 0 && IsListEmpty(&Queue->List), "CPU %u: depth %u", Index,
                 Queue->Depth);
    }
}

static VOID RunStorm(ULONG Books, BOOLEAN Requeues)
{
    PKINTERRUPT Interrupt;
    LONG64 Runs = 0;

    PrepareStorm(Books, Requeues);
    Interrupt = KtConnect(Storm.Vector, DEVICE_IRQL, NULL, LevelSensitive, FALSE, StormIsr, NULL);
    KtParallel(StormFromThread, NULL);
    WriteRelease(&Storm.Stop, TRUE);
    IoDisconnectInterrupt(Interrupt); /* no ISR from here on */
    for (ULONG Index = 0; Index < Books; Index++)
    {
        AwaitBalance(&Storm.Book[Index], Index);
        Runs += Storm.Book[Index].Runs;
    }
    KeFlushQueuedDpcs();
    CheckQueuesAreEmpty();
    KT_CHECK(Runs >= Books, "%lld runs", Runs);
    KtNote("%lld DPCs ran", Runs);
}

static VOID StormFromEverywhere(VOID)
{
    RunStorm(MOST_BOOKS, TRUE);
}

/* One DPC for all: each insertion races with retargets, removals and its own routine. */
static VOID StormOnOneDpc(VOID)
{
    RunStorm(1, FALSE);
}

/* ---------------------------------------------------------- Remove against run (R-a). */

static VOID InsertOrRemove(PVOID Context, ULONG Processor)
{
    PBOOK Book = Context;

    for (ULONG Round = 0; GoesOn(Round, Storm.End); Round++)
    {
        if (Processor % 2 == 0)
        {
            InsertBook(Book, Processor);
        }
        else
        {
            RemoveBook(Book);
        }
    }
}

static VOID RemoveRacesWithRun(VOID)
{
    PBOOK Book = &Storm.Book[0];

    PrepareStorm(1, FALSE);
    KeSetImportanceDpc(&Book->Dpc, HighImportance);
    Target(&Book->Dpc, KtProcessors() - 1);
    KtParallel(InsertOrRemove, Book);
    AwaitBalance(Book, 0);
    KtNote("%lld inserted, %lld removed, %lld ran", Book->Inserted, Book->Removed, Book->Runs);
}

/* ------------------------------------------------------------------ Insert against insert (L19,
 * L20): the DPC has no target, so each processor would put it in a queue of its own, under a lock
 * of its own. All are at DISPATCH_LEVEL until they have compared. */

typedef struct _CLAIM
{
    KDPC Dpc;
    volatile LONG Started, Compared, Finished; /* by each, once a round */
    volatile LONG Queued;                      /* insertions that said TRUE */
    volatile LONG Runs;
    volatile LONG Stop; /* written by processor 0, read after all have compared */
} CLAIM, *PCLAIM;

static VOID CountClaim(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PCLAIM Claim = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Claim->Runs);
}

static VOID AwaitAll(volatile LONG *Counter, LONG Round)
{
    LONG Wanted = Round * (LONG)KtProcessors();

    InterlockedIncrement(Counter);
    while (ReadAcquire(Counter) < Wanted)
    {
        YieldProcessor();
    }
}

static VOID ClaimAtOnce(PVOID Context, ULONG Processor)
{
    PCLAIM Claim = Context;
    ULONG64 End = KtNow() + KtBudget();

    for (LONG Round = 1; !Claim->Stop; Round++)
    {
        KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

        AwaitAll(&Claim->Started, Round);
        InterlockedExchangeAdd(&Claim->Queued, KeInsertQueueDpc(&Claim->Dpc, NULL, NULL));
        if (Processor == 0 && (KtNow() >= End || KtHasFailed()))
        {
            Claim->Stop = TRUE;
        }
        AwaitAll(&Claim->Compared, Round);
        KT_CHECK(Claim->Queued == Round, "%d insertions in %d rounds", Claim->Queued, Round);
        KeLowerIrql(OldIrql);
        AwaitAll(&Claim->Finished, Round); /* it has run */
        KT_CHECK(Claim->Runs == Round, "%d runs in %d rounds", Claim->Runs, Round);
    }
}

static VOID OneInsertionQueues(VOID)
{
    static CLAIM Claim;

    RtlZeroMemory(&Claim, sizeof(Claim));
    KeInitializeDpc(&Claim.Dpc, CountClaim, &Claim);
    KtParallel(ClaimAtOnce, &Claim);
    KtNote("%d rounds", Claim.Queued);
}

/* ---------------------------------------------------------- Nothing due is left behind (L27,
 * L30, L32): when a thread goes on at PASSIVE_LEVEL, what interrupts queued here has run.
 * Inserted and Runs are of one processor, so program order is all it takes to compare them. */

typedef struct DECLSPEC_ALIGN(64) _DUE_CPU
{
    KDPC FromIsr, FromThread;
    volatile ULONG64 Inserted; /* the ISR, after it inserted */
    volatile ULONG64 Runs;     /* the DPC                    */
} DUE_CPU, *PDUE_CPU;

static DUE_CPU Due[MAXIMUM_PROCESSORS];
static ULONG DueVector;
static ULONG64 DueEnd;

static VOID DueFromIsr(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PDUE_CPU Cpu = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Cpu->Runs++;
}

static VOID DueFromThread(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static BOOLEAN DueIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PDUE_CPU Cpu = &Due[KeGetCurrentProcessorIndex()];

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    if (KeInsertQueueDpc(&Cpu->FromIsr, NULL, NULL))
    {
        Cpu->Inserted++;
    }
    return TRUE;
}

static VOID CheckNothingIsDue(PDUE_CPU Cpu)
{
    ULONG64 Inserted = Cpu->Inserted;
    ULONG64 Runs = Cpu->Runs;

    KT_CHECK(Runs >= Inserted, "%llu runs of %llu at PASSIVE_LEVEL", Runs, Inserted);
}

static VOID DueWorker(PVOID Context, ULONG Processor)
{
    PDUE_CPU Cpu = &Due[Processor];
    ULONG Next = (Processor + 1) % KtProcessors();

    UNREFERENCED_PARAMETER(Context);
    for (ULONG Round = 0; GoesOn(Round, DueEnd); Round++)
    {
        KIRQL OldIrql;

        HalpSendIpi(Next, DueVector);
        CheckNothingIsDue(Cpu);
        KeInsertQueueDpc(&Cpu->FromThread, NULL, NULL);
        CheckNothingIsDue(Cpu);
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        HalpSendIpi(Next, DueVector);
        KeLowerIrql(OldIrql);
        CheckNothingIsDue(Cpu);
    }
}

static VOID NothingDueIsLeft(VOID)
{
    PKINTERRUPT Interrupt;

    RtlZeroMemory(Due, sizeof(Due));
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        KeInitializeDpc(&Due[Processor].FromIsr, DueFromIsr, &Due[Processor]);
        KeInitializeDpc(&Due[Processor].FromThread, DueFromThread, NULL);
    }
    DueEnd = KtNow() + KtBudget();
    DueVector = KtUnusedVector(DEVICE_IRQL, 0);
    Interrupt = KtConnect(DueVector, DEVICE_IRQL, NULL, LevelSensitive, FALSE, DueIsr, NULL);
    KtParallel(DueWorker, NULL);
    KeFlushQueuedDpcs(); /* a DPC has run everywhere: each interrupt that was sent has been taken */
    IoDisconnectInterrupt(Interrupt);
    KeFlushQueuedDpcs();
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        KT_CHECK(Due[Processor].Runs == Due[Processor].Inserted && Due[Processor].Runs != 0,
                 "CPU %u: %llu runs of %llu", Processor, Due[Processor].Runs,
                 Due[Processor].Inserted);
    }
}

/* ---------------------------------------------------------- Round and round over idle
 * processors (R-c, R-d): the DPC sends itself on while the one it comes from goes back to sleep. */

/* Low asks a busy processor for nothing, and an idle one has no tick: whoever inserts while the
 * other goes from one to the other must be seen by one side. */
static VOID SayAndReturn(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Processor);
    WriteRelease((volatile LONG *)Context, TRUE);
}

static VOID LowWhileGoingIdle(VOID)
{
    PBOOK Book = &Storm.Book[0];
    PKT_RANDOM Random = &Storm.Cpus[0].FromThread;

    PrepareStorm(1, FALSE);
    KeSetImportanceDpc(&Book->Dpc, LowImportance);
    Target(&Book->Dpc, 1);
    for (ULONG Round = 0; GoesOn(Round, Storm.End); Round++)
    {
        volatile LONG Returning = FALSE;
        KT_JOB Job;

        KtStart(&Job, 1, SayAndReturn, (PVOID)&Returning);
        KT_CHECK(KtWaitFor(&Returning, TRUE, LIMIT), "round %u: no work was done", Round);
        for (ULONG64 Delay = KtRandom(Random) % 16; Delay != 0; Delay--)
        {
            YieldProcessor();
        }
        InsertBook(Book, Round);
        AwaitBalance(Book, 0);
        KtJoin(&Job);
    }
}

typedef struct _RELAY
{
    KDPC Dpc;
    KT_RANDOM Random;
    LONG Hops;
    volatile LONG Hop;
    volatile LONG Done;
} RELAY, *PRELAY;

static VOID HopOn(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PRELAY Relay = Context;
    ULONG64 Draw = KtRandom(&Relay->Random);

    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(&Relay->Hop) >= Relay->Hops)
    {
        WriteRelease(&Relay->Done, TRUE);
        return;
    }
    KeStallExecutionProcessor(
        (ULONG)(Draw % 32)); /* until the next is nearly, just, or long idle */
    KeSetImportanceDpc(Dpc, (KDPC_IMPORTANCE)((Draw >> 8) % 4));
    Target(Dpc, 1 + (ULONG)((Draw >> 16) % (KtProcessors() - 1)));
    KeInsertQueueDpc(Dpc, NULL, NULL);
}

static VOID RelayOverIdleProcessors(VOID)
{
    static RELAY Relay;

    RtlZeroMemory(&Relay, sizeof(Relay));
    KtSeed(&Relay.Random, 4);
    Relay.Hops = 400;
    KeInitializeDpc(&Relay.Dpc, HopOn, &Relay);
    Target(&Relay.Dpc, 1);
    KeInsertQueueDpc(&Relay.Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Relay.Done, TRUE, LIMIT), "lost on CPU %u after %d hops", Relay.Dpc.Number,
             Relay.Hop);
}

/* ---------------------------------------------------------- Flushes from everywhere (L29). */

static VOID SlowBook(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PBOOK Book = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument2);
    KeStallExecutionProcessor((ULONG)(ULONG_PTR)Argument1);
    InterlockedIncrement64(&Book->Runs);
}

static VOID InsertAndFlush(PVOID Context, ULONG Processor)
{
    PKT_RANDOM Random = &Storm.Cpus[Processor].FromThread;
    BOOK Book;

    UNREFERENCED_PARAMETER(Context);
    RtlZeroMemory(&Book, sizeof(Book));
    KeInitializeDpc(&Book.Dpc, SlowBook, &Book);
    for (LONG64 Round = 1; Round == 1 || (KtNow() < Storm.End && !KtHasFailed()); Round++)
    {
        ULONG64 Draw = KtRandom(Random);

        KeSetImportanceDpc(&Book.Dpc, (KDPC_IMPORTANCE)(Draw % 4));
        Target(&Book.Dpc, (ULONG)((Draw >> 8) % KtProcessors()));
        KT_CHECK(KeInsertQueueDpc(&Book.Dpc, (PVOID)((Draw >> 32) % 64), NULL),
                 "round %lld: still queued", Round);
        KeFlushQueuedDpcs();
        KT_CHECK(Book.Runs == Round, "round %lld: %lld runs after the flush", Round, Book.Runs);
    }
    KeFlushQueuedDpcs(); /* Book is on this stack */
}

static VOID FlushesFromEverywhere(VOID)
{
    PrepareStorm(0, FALSE);
    KtParallel(InsertAndFlush, NULL);
}

static const KT_CASE Cases[] = {
    {"dpc-L21-L24-storm-from-everywhere", StormFromEverywhere, 0, FALSE},
    {"dpc-R-r-storm-on-one", StormOnOneDpc, 0, FALSE},
    {"dpc-L19-one-insertion-queues", OneInsertionQueues, 0, FALSE},
    {"dpc-R-a-remove-races-with-run", RemoveRacesWithRun, 2, FALSE},
    {"dpc-L30-L32-nothing-due-is-left", NothingDueIsLeft, 0, FALSE},
    {"dpc-R-d-while-going-idle", LowWhileGoingIdle, 2, FALSE},
    {"dpc-R-d-relay-over-idle", RelayOverIdleProcessors, 3, FALSE},
    {"dpc-L29-flushes-from-everywhere", FlushesFromEverywhere, 0, FALSE},
};

KT_DEFINE_SUITE(KtDpcRaceSuite, "ke", Cases);
