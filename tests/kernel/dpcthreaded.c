/* SPDX-License-Identifier: MIT */
/*
 * dpcthreaded.c - threaded DPCs: where and in what they run, in which order, and that none is lost,
 * whoever inserts it and at whatever IRQL.
 */
#include <arch/hal.h>
#include <scheduler.h>

#include "kt.h"

#define LIMIT KT_SECONDS(30)
#define TEST_VECTOR 0x9C

/* One DPC and what its last run saw. Written by the DPC; Runs last, with a locked add. */
typedef struct _PROBE
{
    KDPC Dpc;
    PVOID Argument1, Argument2;
    ULONG Processor;
    PKTHREAD Thread;
    KIRQL Irql;
    BOOLEAN Executing;
    LONG Order;
    volatile LONG Runs;
} PROBE, *PPROBE;

static volatile LONG NextOrder;

static VOID ProbeRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PPROBE Probe = Context;

    KT_CHECK(Dpc == &Probe->Dpc, "%p is not %p", Dpc, &Probe->Dpc);
    Probe->Argument1 = Argument1;
    Probe->Argument2 = Argument2;
    Probe->Processor = KeGetCurrentProcessorIndex();
    Probe->Thread = KeGetCurrentThread();
    Probe->Irql = KeGetCurrentIrql();
    Probe->Executing = KeIsExecutingDpc();
    Probe->Order = InterlockedIncrement(&NextOrder);
    InterlockedIncrement(&Probe->Runs);
}

static VOID InitializeProbe(PPROBE Probe, KDPC_IMPORTANCE Importance)
{
    RtlZeroMemory(Probe, sizeof(*Probe));
    KeInitializeThreadedDpc(&Probe->Dpc, ProbeRoutine, Probe);
    KeSetImportanceDpc(&Probe->Dpc, Importance);
}

static VOID Target(PKDPC Dpc, ULONG Processor)
{
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    KT_CHECK(NT_SUCCESS(KeSetTargetProcessorDpcEx(Dpc, &Number)), "CPU %u", Processor);
}

/* ------------------------------------------------------------------ One at a time. */

static VOID EveryProcessor(VOID)
{
    PROBE Probe;

    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        PKTHREAD Thread = KiProcessorBlock[Processor]->Threaded.Thread;

        for (ULONG Importance = LowImportance; Importance <= MediumHighImportance; Importance++)
        {
            InitializeProbe(&Probe, (KDPC_IMPORTANCE)Importance);
            Target(&Probe.Dpc, Processor);
            KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "not inserted");
            KT_REQUIRE(KtWaitFor(&Probe.Runs, 1, LIMIT), "importance %u never ran on CPU %u",
                       Importance, Processor);
            KT_CHECK(Probe.Processor == Processor && Probe.Thread == Thread,
                     "ran on CPU %u in thread %p", Probe.Processor, Probe.Thread);
            KT_CHECK(Probe.Irql == PASSIVE_LEVEL && !Probe.Executing, "IRQL %u, ordinary %u",
                     Probe.Irql, Probe.Executing);
            KT_CHECK(Thread->Priority == HIGH_PRIORITY, "priority %d", Thread->Priority);
        }
    }
}

/* Its thread is better than any caller. */
static VOID RunsBeforeTheCaller(VOID)
{
    ULONG Processor = KeGetCurrentProcessorIndex();
    PROBE Probe;

    InitializeProbe(&Probe, MediumImportance);
    KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "not inserted");
    KT_CHECK(Probe.Runs == 1, "%d runs when the insertion returned", Probe.Runs);
    KT_CHECK(Probe.Processor == Processor, "ran on CPU %u, not %u", Probe.Processor, Processor);
}

static VOID InsertTwice(VOID)
{
    PROBE Probe;
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    InitializeProbe(&Probe, MediumImportance);
    KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, (PVOID)1, (PVOID)2), "the first insertion failed");
    KT_CHECK(!KeInsertQueueDpc(&Probe.Dpc, (PVOID)3, (PVOID)4), "the second succeeded");
    KT_CHECK(Probe.Runs == 0, "it ran at DISPATCH_LEVEL");
    KeLowerIrql(OldIrql);
    KT_CHECK(Probe.Runs == 1, "%d runs", Probe.Runs);
    KT_CHECK(Probe.Argument1 == (PVOID)1 && Probe.Argument2 == (PVOID)2, "arguments %p %p",
             Probe.Argument1, Probe.Argument2);
}

static VOID Remove(VOID)
{
    PROBE Probe;
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    InitializeProbe(&Probe, MediumImportance);
    KT_CHECK(!KeRemoveQueueDpc(&Probe.Dpc), "removed though it was in no queue");
    KeInsertQueueDpc(&Probe.Dpc, NULL, NULL);
    KT_CHECK(KeRemoveQueueDpc(&Probe.Dpc), "not removed");
    KT_CHECK(!KeRemoveQueueDpc(&Probe.Dpc), "removed twice");
    KeLowerIrql(OldIrql);
    KT_CHECK(Probe.Runs == 0, "it ran after it was removed");
    KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "not inserted again");
    KT_CHECK(Probe.Runs == 1, "%d runs", Probe.Runs);
}

static VOID Order(VOID)
{
    static const KDPC_IMPORTANCE Importance[] = {MediumImportance, LowImportance,
                                                 HighImportance,   MediumImportance,
                                                 HighImportance,   MediumHighImportance};
    static const LONG Expected[] = {3, 4, 2, 5, 1, 6};
    PROBE Probes[RTL_NUMBER_OF(Importance)];
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    NextOrder = 0;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Probes); Index++)
    {
        InitializeProbe(&Probes[Index], Importance[Index]);
        KeInsertQueueDpc(&Probes[Index].Dpc, NULL, NULL);
    }
    KeLowerIrql(OldIrql);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Probes); Index++)
    {
        KT_CHECK(Probes[Index].Order == Expected[Index], "DPC %u ran as number %d, not %d", Index,
                 Probes[Index].Order, Expected[Index]);
    }
}

static VOID RetargetQueued(VOID)
{
    PROBE Probe;
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();
    ULONG Processor = KeGetCurrentProcessorIndex();

    InitializeProbe(&Probe, MediumImportance);
    KeInsertQueueDpc(&Probe.Dpc, NULL, NULL);
    Target(&Probe.Dpc, KtProcessors() - 1);
    KeLowerIrql(OldIrql);
    KT_CHECK(Probe.Runs == 1 && Probe.Processor == Processor, "%d runs, the last on CPU %u",
             Probe.Runs, Probe.Processor);
}

#define REQUEUES 1000

static volatile LONG Requeues;

static VOID RequeueRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(&Requeues) < REQUEUES)
    {
        KT_CHECK(KeInsertQueueDpc(Dpc, NULL, NULL), "it was still queued while it ran");
    }
}

static VOID RequeuesItself(VOID)
{
    KDPC Dpc;

    Requeues = 0;
    KeInitializeThreadedDpc(&Dpc, RequeueRoutine, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KT_CHECK(Requeues == REQUEUES, "%d runs", Requeues);
}

/* ------------------------------------------------------------------ With ordinary ones. */

typedef struct _PAIR
{
    KDPC Threaded, Ordinary;
    volatile LONG Entered, Interrupted, Left;
} PAIR, *PPAIR;

static VOID AwaitTheOrdinary(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PPAIR Pair = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    WriteRelease(&Pair->Entered, TRUE);
    KT_CHECK(KtWaitFor(&Pair->Interrupted, TRUE, LIMIT), "no ordinary DPC ran on top of it");
    WriteRelease(&Pair->Left, TRUE);
}

static VOID Interrupt(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KT_CHECK(KeIsExecutingDpc(), "an ordinary DPC that is none");
    WriteRelease(&((PPAIR)Context)->Interrupted, TRUE);
}

static VOID OrdinaryPreempts(VOID)
{
    PAIR Pair = {.Entered = FALSE};

    KeInitializeThreadedDpc(&Pair.Threaded, AwaitTheOrdinary, &Pair);
    KeInitializeDpc(&Pair.Ordinary, Interrupt, &Pair);
    KeSetImportanceDpc(&Pair.Ordinary, MediumHighImportance);
    Target(&Pair.Threaded, 1);
    Target(&Pair.Ordinary, 1);
    KeInsertQueueDpc(&Pair.Threaded, NULL, NULL);
    KT_CHECK(KtWaitFor(&Pair.Entered, TRUE, LIMIT), "it did not start");
    KeInsertQueueDpc(&Pair.Ordinary, NULL, NULL);
    KT_CHECK(KtWaitFor(&Pair.Left, TRUE, LIMIT), "it did not end");
    KeFlushQueuedDpcs();
}

#define FLUSH_HOLD KT_MILLISECONDS(50)
#define FLUSHES 3

/* Stays, unless the flush returns without it. */
static VOID StayAWhile(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PPAIR Pair = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    WriteRelease(&Pair->Entered, TRUE);
    KtWaitFor(&Pair->Interrupted, TRUE, FLUSH_HOLD);
    WriteRelease(&Pair->Left, TRUE);
}

/* The flush finds it out of its queue and running. */
static VOID FlushWaits(VOID)
{
    for (ULONG Round = 0; Round < FLUSHES; Round++)
    {
        PAIR Pair = {.Entered = FALSE};

        KeInitializeThreadedDpc(&Pair.Threaded, StayAWhile, &Pair);
        Target(&Pair.Threaded, 1);
        KeInsertQueueDpc(&Pair.Threaded, NULL, NULL);
        KT_CHECK(KtWaitFor(&Pair.Entered, TRUE, LIMIT), "it never started");
        KeFlushQueuedDpcs();
        KT_CHECK(ReadAcquire(&Pair.Left), "the flush returned before the DPC");
        WriteRelease(&Pair.Interrupted, TRUE);
        KtWaitFor(&Pair.Left, TRUE, LIMIT); /* Pair is on this stack */
    }
}

/* ------------------------------------------------------------------ None is lost (L32): the next
 * insertion follows as soon as the last one ran, where the thread looks again and goes to wait. */

#define HAND_OVERS 300

static VOID NoneLost(VOID)
{
    PROBE Probe;

    InitializeProbe(&Probe, MediumImportance);
    Target(&Probe.Dpc, 1);
    for (LONG Count = 1; Count <= HAND_OVERS; Count++)
    {
        KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "insertion %d: still queued", Count);
        KT_REQUIRE(KtWaitFor(&Probe.Runs, Count, LIMIT), "insertion %d never ran", Count);
    }
}

/* ------------------------------------------------------------------ The storm: threads and
 * interrupts on all processors insert, remove and retarget both kinds. */

#define BOOKS 12

typedef struct _BOOK
{
    KDPC Dpc;
    BOOLEAN Threaded;
    volatile LONG64 Inserted, Removed, Runs; /* any processor, locked add */
} BOOK, *PBOOK;

typedef struct DECLSPEC_ALIGN(64) _STORM_CPU
{
    KT_RANDOM FromThread, FromIsr; /* each its own */
    BOOLEAN InThreaded, InOrdinary;
} STORM_CPU, *PSTORM_CPU;

static BOOK Books[BOOKS];
static STORM_CPU Cpus[MAXIMUM_PROCESSORS];
static volatile LONG StormStop;
static ULONG64 StormEnd;

static VOID InsertBook(PBOOK Book, ULONG64 Draw)
{
    if (KeInsertQueueDpc(&Book->Dpc, (PVOID)Draw, (PVOID)~Draw))
    {
        InterlockedIncrement64(&Book->Inserted);
    }
}

static VOID BookRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PBOOK Book = Context;
    PSTORM_CPU Cpu = &Cpus[KeGetCurrentProcessorIndex()];
    PBOOLEAN Inside = Book->Threaded ? &Cpu->InThreaded : &Cpu->InOrdinary;
    KIRQL Expected = Book->Threaded ? PASSIVE_LEVEL : DISPATCH_LEVEL;

    UNREFERENCED_PARAMETER(Dpc);
    KT_CHECK((ULONG64)Argument2 == ~(ULONG64)Argument1, "arguments of two insertions: %p %p",
             Argument1, Argument2);
    KT_CHECK(KeGetCurrentIrql() == Expected, "IRQL %u", KeGetCurrentIrql());
    KT_CHECK(!*Inside, "two at once on CPU %u", KeGetCurrentProcessorIndex());
    *Inside = TRUE;
    if ((ULONG64)Argument1 % 8 == 0 && !ReadAcquire(&StormStop))
    {
        InsertBook(Book, (ULONG64)Argument1 + 1);
    }
    *Inside = FALSE;
    InterlockedIncrement64(&Book->Runs);
}

static VOID InsertFromIsr(PKTRAP_FRAME Frame)
{
    ULONG64 Draw = KtRandom(&Cpus[KeGetCurrentProcessorIndex()].FromIsr);

    UNREFERENCED_PARAMETER(Frame);
    if (!ReadAcquire(&StormStop))
    {
        InsertBook(&Books[(Draw >> 32) % BOOKS], Draw);
    }
}

static VOID InsertAtSomeLevel(PBOOK Book, ULONG64 Draw)
{
    static const KIRQL Levels[] = {PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL, SYNCH_LEVEL,
                                   HIGH_LEVEL};
    BOOLEAN Off = (Draw >> 16) % 8 == 0;
    BOOLEAN Enabled = TRUE;
    KIRQL OldIrql;

    KeRaiseIrql(Levels[(Draw >> 24) % RTL_NUMBER_OF(Levels)], &OldIrql);
    if (Off)
    {
        Enabled = ArchDisableInterrupts();
    }
    InsertBook(Book, Draw);
    if (Off)
    {
        ArchRestoreInterrupts(Enabled);
    }
    KeLowerIrql(OldIrql);
}

static VOID StormWorker(PVOID Context, ULONG Processor)
{
    PKT_RANDOM Random = &Cpus[Processor].FromThread;

    UNREFERENCED_PARAMETER(Context);
    for (ULONG Round = 0; !KtHasFailed() && (Round < 200 || KtNow() < StormEnd); Round++)
    {
        ULONG64 Draw = KtRandom(Random);
        PBOOK Book = &Books[(Draw >> 32) % BOOKS];

        switch ((Draw >> 8) % 8)
        {
        case 0:
            HalpSendIpi((ULONG)(Draw >> 40) % KtProcessors(), TEST_VECTOR);
            break;
        case 1:
            Target(&Book->Dpc, (ULONG)(Draw >> 40) % KtProcessors());
            break;
        case 2:
            KeSetImportanceDpc(&Book->Dpc, (KDPC_IMPORTANCE)((Draw >> 40) % 4));
            break;
        case 3:
            if (KeRemoveQueueDpc(&Book->Dpc))
            {
                InterlockedIncrement64(&Book->Removed);
            }
            break;
        default:
            InsertAtSomeLevel(Book, Draw);
            break;
        }
    }
}

static BOOLEAN Balances(PBOOK Book)
{
    LONG64 Runs = ReadAcquire64(&Book->Runs);

    return Runs == ReadAcquire64(&Book->Inserted) - ReadAcquire64(&Book->Removed);
}

static VOID PrepareStorm(VOID)
{
    RtlZeroMemory(Books, sizeof(Books));
    RtlZeroMemory(Cpus, sizeof(Cpus));
    StormStop = FALSE;
    StormEnd = KtNow() + KtBudget();
    for (ULONG Index = 0; Index < BOOKS; Index++)
    {
        Books[Index].Threaded = Index % 4 != 0;
        KeInitializeDpc(&Books[Index].Dpc, BookRoutine, &Books[Index]);
        if (Books[Index].Threaded)
        {
            KeInitializeThreadedDpc(&Books[Index].Dpc, BookRoutine, &Books[Index]);
        }
    }
    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        KtSeed(&Cpus[Processor].FromThread, Processor * 2);
        KtSeed(&Cpus[Processor].FromIsr, Processor * 2 + 1);
    }
}

static VOID Storm(VOID)
{
    LONG64 Runs = 0;

    PrepareStorm();
    HalpSetVectorRoutine(TEST_VECTOR, InsertFromIsr);
    KtParallel(StormWorker, NULL);
    WriteRelease(&StormStop, TRUE);
    KeFlushQueuedDpcs(); /* every interrupt that was sent has been taken */
    for (ULONG Index = 0; Index < BOOKS; Index++)
    {
        PBOOK Book = &Books[Index];
        ULONG64 End = KtNow() + LIMIT;

        while (!Balances(Book) && KtNow() < End)
        {
            KiYieldThread();
        }
        KT_CHECK(Balances(Book), "DPC %u: %lld inserted, %lld removed, %lld runs", Index,
                 Book->Inserted, Book->Removed, Book->Runs);
        KT_CHECK(Book->Dpc.DpcData == NULL, "DPC %u is still queued", Index);
        Runs += Book->Threaded ? Book->Runs : 0;
    }
    KT_CHECK(Runs >= BOOKS, "%lld threaded runs", Runs);
    KtNote("%lld threaded DPCs ran", Runs);
    KeFlushQueuedDpcs();
}

/* ------------------------------------------------------------------ Flushes from everywhere, each
 * for its own. */

static VOID InsertAndFlush(PVOID Context, ULONG Processor)
{
    PKT_RANDOM Random = &Cpus[Processor].FromThread;
    PROBE Probe;

    UNREFERENCED_PARAMETER(Context);
    InitializeProbe(&Probe, MediumImportance);
    for (LONG Round = 1; Round == 1 || (KtNow() < StormEnd && !KtHasFailed()); Round++)
    {
        ULONG64 Draw = KtRandom(Random);

        KeSetImportanceDpc(&Probe.Dpc, (KDPC_IMPORTANCE)(Draw % 4));
        Target(&Probe.Dpc, (ULONG)(Draw >> 8) % KtProcessors());
        KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "round %d: still queued", Round);
        KeFlushQueuedDpcs();
        KT_CHECK(Probe.Runs == Round, "round %d: %d runs after the flush", Round, Probe.Runs);
    }
    KtWaitFor(&Probe.Runs, 1, LIMIT); /* Probe is on this stack */
}

static VOID FlushesFromEverywhere(VOID)
{
    PrepareStorm();
    KtParallel(InsertAndFlush, NULL);
}

static const KT_CASE Cases[] = {
    {"dpcthreaded-L23-every-processor", EveryProcessor, 0, FALSE},
    {"dpcthreaded-L27-before-the-caller", RunsBeforeTheCaller, 0, FALSE},
    {"dpcthreaded-L19-L20-insert-twice", InsertTwice, 0, FALSE},
    {"dpcthreaded-L22-remove", Remove, 0, FALSE},
    {"dpcthreaded-L26-order", Order, 0, FALSE},
    {"dpcthreaded-L28-retarget-queued", RetargetQueued, 0, FALSE},
    {"dpcthreaded-L25-requeues-itself", RequeuesItself, 0, FALSE},
    {"dpcthreaded-L24-ordinary-preempts", OrdinaryPreempts, 2, FALSE},
    {"dpcthreaded-L29-flush-waits", FlushWaits, 2, FALSE},
    {"dpcthreaded-L32-none-lost", NoneLost, 2, FALSE},
    {"dpcthreaded-L21-L24-storm", Storm, 0, FALSE},
    {"dpcthreaded-L29-flushes-from-everywhere", FlushesFromEverywhere, 0, FALSE},
};

KT_DEFINE_SUITE(KtDpcThreadedSuite, "ke", Cases);
