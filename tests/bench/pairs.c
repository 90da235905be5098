/* SPDX-License-Identifier: MIT */
/*
 * pairs.c - which locks threads share that have nothing to do with each other.
 *
 * Pairs of threads wake each other in turns, each pair by events and on processors of its own: both
 * threads on one of them, or one on each. While all are at it, and nobody else does anything, the
 * ready queues' locks are watched: how often each is taken, and by which processors. What a pair
 * takes should be its own. (With two processors a pair's are idle in between, and an idle processor
 * looks into all queues for work; that shows.)
 */
#include <wait.h>

#include "threads.h"

#define EXCHANGES 1000
#define MAXIMUM_PAIRS 8

/* There and Back: both threads. The rest: constant while the pair runs. */
typedef struct DECLSPEC_ALIGN(64) _PAIR
{
    KEVENT There, Back;
    KT_THREAD First, Second;
    ULONG FirstProcessor, SecondProcessor;
} PAIR, *PPAIR;

static PAIR Pairs[MAXIMUM_PAIRS];
static ULONG PairCount;

/* Locked add by each pair's first thread; Watching and Counted: by the last that came. */
static volatile LONG Arrived, Finished, Watching, Counted;

static struct
{
    ULONG64 ReadyLocks; /* acquisitions of all pairs' ready queues' locks     */
    ULONG64 Outside;    /* processors that took such a lock of another's pair */
    ULONG64 WaitAll;    /* acquisitions of KiWaitAllLock                      */
} Watched;

/* A ticket lock counts its acquisitions by itself. */
static KI_TICKET WaitAllTickets(VOID)
{
    return ((volatile KI_SPIN_LOCK *)&KiWaitAllLock)->Next;
}

static VOID WaitUntil(volatile LONG *Value, LONG Wanted)
{
    while (ReadAcquire(Value) != Wanted)
    {
        YieldProcessor();
    }
}

/* Calls Visit for each processor of each pair. */
static VOID ForEachQueue(VOID (*Visit)(PKI_READY_QUEUES Queues, PPAIR Pair))
{
    for (ULONG Index = 0; Index < PairCount; Index++)
    {
        PPAIR Pair = &Pairs[Index];

        Visit(&KiProcessorBlock[Pair->FirstProcessor]->Ready, Pair);
        if (Pair->SecondProcessor != Pair->FirstProcessor)
        {
            Visit(&KiProcessorBlock[Pair->SecondProcessor]->Ready, Pair);
        }
    }
}

static VOID BeginWatching(PKI_READY_QUEUES Queues, PPAIR Pair)
{
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Pair);
    KeAcquireSpinLock(&Queues->Lock, &OldIrql);
    Queues->Acquisitions = 0;
    Queues->Acquirers = 0;
    KeReleaseSpinLock(&Queues->Lock, OldIrql);
}

static VOID EndWatching(PKI_READY_QUEUES Queues, PPAIR Pair)
{
    ULONG64 Own = 1ull << Pair->FirstProcessor | 1ull << Pair->SecondProcessor;
    KIRQL OldIrql;

    KeAcquireSpinLock(&Queues->Lock, &OldIrql);
    Watched.ReadyLocks += Queues->Acquisitions;
    for (ULONG64 Others = Queues->Acquirers & ~Own; Others != 0; Others &= Others - 1)
    {
        Watched.Outside++;
    }
    KeReleaseSpinLock(&Queues->Lock, OldIrql);
}

static VOID Exchange(PVOID Context)
{
    PPAIR Pair = Context;

    if (InterlockedIncrement(&Arrived) == (LONG)PairCount)
    {
        ForEachQueue(BeginWatching);
        Watched.WaitAll = WaitAllTickets();
        WriteRelease(&Watching, TRUE);
    }
    WaitUntil(&Watching, TRUE);
    for (ULONG Round = 0; Round < EXCHANGES; Round++)
    {
        KeSetEvent(&Pair->There, IO_NO_INCREMENT, FALSE);
        KbWait(&Pair->Back);
    }
    if (InterlockedIncrement(&Finished) == (LONG)PairCount)
    {
        Watched.WaitAll = (KI_TICKET)(WaitAllTickets() - Watched.WaitAll);
        ForEachQueue(EndWatching);
        WriteRelease(&Counted, TRUE);
    }
    WaitUntil(&Counted, TRUE);
    KeSetEvent(&Pair->There, IO_NO_INCREMENT, FALSE);
}

static VOID Answer(PVOID Context)
{
    PPAIR Pair = Context;

    for (ULONG Round = 0; Round < EXCHANGES; Round++)
    {
        KbWait(&Pair->There);
        KeSetEvent(&Pair->Back, IO_NO_INCREMENT, FALSE);
    }
    KbWait(&Pair->There); /* until all is counted */
}

static VOID StartPair(PPAIR Pair)
{
    KeInitializeEvent(&Pair->There, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Pair->Back, SynchronizationEvent, FALSE);
    KtCreateThread(&Pair->Second, Answer, Pair, KI_DEFAULT_PRIORITY, Pair->SecondProcessor);
    KtCreateThread(&Pair->First, Exchange, Pair, KI_DEFAULT_PRIORITY, Pair->FirstProcessor);
}

static VOID RunPairs(BOOLEAN Across, PCSTR LocksName, PCSTR OutsideName, PCSTR WaitAllName)
{
    RtlZeroMemory(&Watched, sizeof(Watched));
    Arrived = Finished = Watching = Counted = 0;
    PairCount = KtProcessors() / 2 < MAXIMUM_PAIRS ? KtProcessors() / 2 : MAXIMUM_PAIRS;
    for (ULONG Index = 0; Index < PairCount; Index++)
    {
        Pairs[Index].FirstProcessor = 2 * Index;
        Pairs[Index].SecondProcessor = 2 * Index + Across;
    }
    for (ULONG Index = 0; Index < PairCount; Index++)
    {
        StartPair(&Pairs[Index]);
    }
    for (ULONG Index = 0; Index < PairCount; Index++)
    {
        KtJoinThread(&Pairs[Index].First);
        KtJoinThread(&Pairs[Index].Second);
    }
    KbBegin(LocksName, "locks", 2 * EXCHANGES * PairCount);
    KbSample(Watched.ReadyLocks);
    KbEnd();
    KbReport(OutsideName, "processors", Watched.Outside);
    KbReport(WaitAllName, "locks", Watched.WaitAll);
}

static VOID PairsHere(VOID)
{
    RunPairs(FALSE, "thread-pairs-locks", "thread-pairs-outside", "thread-pairs-waitall");
}

static VOID PairsAcross(VOID)
{
    RunPairs(TRUE, "thread-pairs-across-locks", "thread-pairs-across-outside",
             "thread-pairs-across-waitall");
}

static const KB_BENCH Benches[] = {
    {"thread-pairs", PairsHere, 4},
    {"thread-pairs-across", PairsAcross, 4},
};

KB_DEFINE_GROUP(KbPairGroup, Benches);
