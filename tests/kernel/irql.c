/* SPDX-License-Identifier: MIT */
/*
 * irql.c - the IRQL is a register of one processor: raising and lowering nest like a stack, and
 * what is raised here is raised nowhere else. Laws L1, L4, L5, L6, L8.
 */
#include "trapkit.h"

#include <ex.h>

#define LEVELS (HIGH_LEVEL + 1)
#define WALK_STEPS 2000
#define WALK_DEPTH 64

/* ------------------------------------------------------------------ L1. */

static VOID CheckLevel(KIRQL Expected)
{
    KT_CHECK(KeGetCurrentIrql() == Expected, "IRQL %u, expected %u", KeGetCurrentIrql(), Expected);
    KT_CHECK(__readcr8() == Expected, "CR8 %llu, expected %u", __readcr8(), Expected);
    KT_CHECK(KtTaskPriority() == (ULONG)Expected << 4, "TPR %02x, expected %02x", KtTaskPriority(),
             Expected << 4);
}

static VOID RaiseToEach(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG From = PASSIVE_LEVEL; From < LEVELS; From++)
    {
        for (ULONG To = From; To < LEVELS; To++)
        {
            KIRQL Passive, Old;

            KeRaiseIrql((KIRQL)From, &Passive);
            CheckLevel((KIRQL)From);
            KeRaiseIrql((KIRQL)To, &Old);
            CheckLevel((KIRQL)To);
            KT_CHECK(Old == From, "raised from %u, told %u", From, Old);
            KeLowerIrql(Old);
            CheckLevel((KIRQL)From);
            KeLowerIrql(Passive);
            CheckLevel(PASSIVE_LEVEL);
        }
    }
}

static VOID IsTheTaskPriority(VOID)
{
    KtParallel(RaiseToEach, NULL);
}

/* ------------------------------------------------------------------ L4. */

static VOID WalkUpAndDown(PVOID Context, ULONG Processor)
{
    KIRQL Stack[WALK_DEPTH];    /* what each raise returned ...    */
    KIRQL Expected[WALK_DEPTH]; /* ... and what it ought to have */
    KT_RANDOM Random;
    ULONG Depth = 0;
    KIRQL Level = PASSIVE_LEVEL;

    UNREFERENCED_PARAMETER(Context);
    KtSeed(&Random, Processor);
    for (ULONG Step = 0; Step < WALK_STEPS; Step++)
    {
        if (Depth == WALK_DEPTH || (Depth != 0 && KtRandom(&Random) % 2 == 0))
        {
            Depth--;
            KT_CHECK(Stack[Depth] == Expected[Depth], "depth %u: %u, expected %u", Depth,
                     Stack[Depth], Expected[Depth]);
            KeLowerIrql(Stack[Depth]);
            Level = Expected[Depth];
        }
        else
        {
            KIRQL Next = (KIRQL)(Level + KtRandom(&Random) % 4);

            Next = Next > HIGH_LEVEL ? HIGH_LEVEL : Next;
            Expected[Depth] = Level;
            KeRaiseIrql(Next, &Stack[Depth]);
            Depth++;
            Level = Next;
        }
        KT_CHECK(KeGetCurrentIrql() == Level, "IRQL %u, expected %u", KeGetCurrentIrql(), Level);
    }
    KeLowerIrql(PASSIVE_LEVEL);
}

static VOID NestsLikeAStack(VOID)
{
    KtParallel(WalkUpAndDown, NULL);
}

static VOID NamedRaises(VOID)
{
    for (ULONG From = PASSIVE_LEVEL; From <= SYNCH_LEVEL; From++)
    {
        KIRQL Passive, Old;

        KeRaiseIrql((KIRQL)From, &Passive);
        if (From <= DISPATCH_LEVEL)
        {
            Old = KeRaiseIrqlToDpcLevel();
            KT_CHECK(Old == From && KeGetCurrentIrql() == DISPATCH_LEVEL, "%u from %u, told %u",
                     KeGetCurrentIrql(), From, Old);
            KeLowerIrql(Old);
        }
        Old = KeRaiseIrqlToSynchLevel();
        KT_CHECK(Old == From && KeGetCurrentIrql() == SYNCH_LEVEL, "%u from %u, told %u",
                 KeGetCurrentIrql(), From, Old);
        KeLowerIrql(Old);
        KeLowerIrql(Passive);
    }
}

/* ------------------------------------------------------------------ L5. */

typedef struct _LEVEL_PAIR
{
    KIRQL From;
    ULONG To;
} LEVEL_PAIR, *PLEVEL_PAIR;

static VOID RaiseWrongly(PVOID Context)
{
    PLEVEL_PAIR Pair = Context;
    KIRQL Old;

    KeRaiseIrql(Pair->From, &Old);
    KeRaiseIrql((KIRQL)Pair->To, &Old);
}

static VOID LowerWrongly(PVOID Context)
{
    PLEVEL_PAIR Pair = Context;
    KIRQL Old;

    KeRaiseIrql(Pair->From, &Old);
    KeLowerIrql((KIRQL)Pair->To);
}

static VOID RaiseToDpcWrongly(PVOID Context)
{
    KIRQL Old;

    KeRaiseIrql(((PLEVEL_PAIR)Context)->From, &Old);
    KeRaiseIrqlToDpcLevel();
}

static VOID RaiseToSynchWrongly(PVOID Context)
{
    KIRQL Old;

    KeRaiseIrql(((PLEVEL_PAIR)Context)->From, &Old);
    KeRaiseIrqlToSynchLevel();
}

static VOID WrongWayStops(VOID)
{
    for (ULONG From = PASSIVE_LEVEL; From < LEVELS; From++)
    {
        LEVEL_PAIR Pair = {(KIRQL)From, 0};

        for (Pair.To = 0; Pair.To < From; Pair.To++)
        {
            KtExpectBugCheck(IRQL_NOT_GREATER_OR_EQUAL, From, RaiseWrongly, &Pair);
        }
        for (Pair.To = From + 1; Pair.To <= LEVELS; Pair.To++)
        {
            KtExpectBugCheck(IRQL_NOT_LESS_OR_EQUAL, Pair.To, LowerWrongly, &Pair);
        }
        Pair.To = LEVELS;
        KtExpectBugCheck(IRQL_NOT_GREATER_OR_EQUAL, From, RaiseWrongly, &Pair);
        if (From > DISPATCH_LEVEL)
        {
            KtExpectBugCheck(IRQL_NOT_GREATER_OR_EQUAL, From, RaiseToDpcWrongly, &Pair);
        }
        if (From > SYNCH_LEVEL)
        {
            KtExpectBugCheck(IRQL_NOT_GREATER_OR_EQUAL, From, RaiseToSynchWrongly, &Pair);
        }
    }
}

/* ------------------------------------------------------------------ L6: one processor stays at
 * HIGH_LEVEL until all others have had their interrupts. */

#define ELSEWHERE_ROUNDS 50
#define ELSEWHERE_VECTOR 0x7C

typedef struct _ELSEWHERE
{
    volatile LONG Raised;
    volatile LONG Done;
    volatile LONG Taken[MAXIMUM_PROCESSORS];
} ELSEWHERE, *PELSEWHERE;

static ELSEWHERE Elsewhere;

static VOID CountHere(PKTRAP_FRAME Frame)
{
    if (Frame->Vector == ELSEWHERE_VECTOR)
    {
        InterlockedIncrement(&Elsewhere.Taken[KeGetCurrentProcessorIndex()]);
    }
    KtChainVector(Frame);
}

static VOID StayHigh(VOID)
{
    LONG Others = (LONG)KtProcessors() - 1;
    KIRQL Old;

    KeRaiseIrql(HIGH_LEVEL, &Old);
    HalpSendIpi(KeGetCurrentProcessorIndex(), ELSEWHERE_VECTOR);
    WriteRelease(&Elsewhere.Raised, TRUE);
    KT_CHECK(KtWaitFor(&Elsewhere.Done, Others, KT_SECONDS(30)),
             "%d of %d had their interrupts while this CPU was at HIGH_LEVEL", Elsewhere.Done,
             Others);
    KT_CHECK(KtWaitRequested(ELSEWHERE_VECTOR) &&
                 Elsewhere.Taken[KeGetCurrentProcessorIndex()] == 0,
             "an interrupt was taken at HIGH_LEVEL");
    KeLowerIrql(Old);
    KT_CHECK(KtWaitFor(&Elsewhere.Taken[KeGetCurrentProcessorIndex()], 1, KT_SECONDS(5)),
             "not taken after lowering");
}

static VOID TakeInterrupts(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    if (Processor == 0)
    {
        StayHigh();
        return;
    }
    KtWaitFor(&Elsewhere.Raised, TRUE, KT_SECONDS(30));
    for (LONG Round = 1; Round <= ELSEWHERE_ROUNDS; Round++)
    {
        HalpSendIpi(Processor, ELSEWHERE_VECTOR);
        if (!KtWaitFor(&Elsewhere.Taken[Processor], Round, KT_SECONDS(10)))
        {
            return; /* the one at HIGH_LEVEL says so */
        }
    }
    InterlockedIncrement(&Elsewhere.Done);
}

static VOID RaisedHereOnly(VOID)
{
    RtlZeroMemory(&Elsewhere, sizeof(Elsewhere));
    KtTakeVectors(CountHere);
    KtParallel(TakeInterrupts, NULL);
    KtGiveVectors();
}

/* ------------------------------------------------------------------ L8: at DISPATCH_LEVEL the
 * clock ticks on, and yet nothing else gets this processor: no DPC, no thread that another one
 * wakes, whatever its priority. */

#define TICKS_AT_DISPATCH 3

typedef struct _STAY
{
    KDPC Dpc;
    KT_THREAD Thread;
    KEVENT Wake;
    volatile LONG DpcRuns;
    volatile LONG WorkRuns;
} STAY, *PSTAY;

static VOID StayDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&((PSTAY)Context)->DpcRuns);
}

static VOID StayWork(PVOID Context)
{
    KeWaitForSingleObject(&((PSTAY)Context)->Wake, Executive, KernelMode, FALSE, NULL);
    InterlockedIncrement(&((PSTAY)Context)->WorkRuns);
}

static volatile LONG AtDispatch;

/* Tempts the next processor. */
static VOID Tempt(PSTAY Stays, ULONG Processor)
{
    KT_CHECK(KeInsertQueueDpc(&Stays[Processor].Dpc, NULL, NULL), "DPC of CPU %u", Processor);
    KeSetEvent(&Stays[Processor].Wake, IO_NO_INCREMENT, FALSE);
}

static VOID StayAtDispatch(PVOID Context, ULONG Processor)
{
    PSTAY Stays = Context;
    ULONG64 End = KtNow() + KT_SECONDS(30);
    KIRQL Old = KeRaiseIrqlToDpcLevel();
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Ticks = Prcb->ClockInterrupts + TICKS_AT_DISPATCH;
    ULONG64 Dpcs = Prcb->DpcCount;

    InterlockedIncrement(&AtDispatch);
    KT_CHECK(KtWaitFor(&AtDispatch, (LONG)KtProcessors(), KT_SECONDS(30)), "%d CPUs came",
             AtDispatch);
    Tempt(Stays, (Processor + 1) % KtProcessors());
    while (Prcb->ClockInterrupts < Ticks && KtNow() < End && !KtHasFailed())
    {
        KT_CHECK(KeGetCurrentProcessorIndex() == Processor, "CPU %u moved to %u", Processor,
                 KeGetCurrentProcessorIndex());
        KT_CHECK(Prcb->DpcCount == Dpcs, "a DPC ran at DISPATCH_LEVEL");
    }
    KT_CHECK(Prcb->ClockInterrupts >= Ticks, "no tick at DISPATCH_LEVEL");
    KT_CHECK(Stays[Processor].WorkRuns == 0 && Stays[Processor].DpcRuns == 0,
             "work ran %d times, the DPC %d", Stays[Processor].WorkRuns, Stays[Processor].DpcRuns);
    KeLowerIrql(Old);
}

static VOID PrepareStay(PSTAY Stay, ULONG Processor)
{
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    KeInitializeDpc(&Stay->Dpc, StayDpc, Stay);
    KeSetTargetProcessorDpcEx(&Stay->Dpc, &Number);
    KeInitializeEvent(&Stay->Wake, SynchronizationEvent, FALSE);
    KtCreateThread(&Stay->Thread, StayWork, Stay, HIGH_PRIORITY, Processor);
}

static VOID NotPreemptedAtDispatch(VOID)
{
    PSTAY Stays = ExAllocatePool2(POOL_FLAG_NON_PAGED, KtProcessors() * sizeof(STAY), 'tseT');

    KT_REQUIRE(Stays != NULL, "no memory");
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        PrepareStay(&Stays[Index], Index);
    }
    AtDispatch = 0;
    KtParallel(StayAtDispatch, Stays);
    KeFlushQueuedDpcs();
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        KT_CHECK(Stays[Index].DpcRuns == 1, "CPU %u ran its DPC %d times", Index,
                 Stays[Index].DpcRuns);
        KtJoinThread(&Stays[Index].Thread);
        KT_CHECK(Stays[Index].WorkRuns == 1, "CPU %u: the thread ran %d times", Index,
                 Stays[Index].WorkRuns);
    }
    ExFreePoolWithTag(Stays, 'tseT');
}

static const KT_CASE Cases[] = {
    {"irql-L1-is-the-task-priority", IsTheTaskPriority, 0, FALSE},
    {"irql-L4-nests-like-a-stack", NestsLikeAStack, 0, FALSE},
    {"irql-L4-named-raises", NamedRaises, 0, FALSE},
    {"irql-L5-wrong-way-stops", WrongWayStops, 0, TRUE},
    {"irql-L6-raised-here-only", RaisedHereOnly, 2, FALSE},
    {"irql-L8-not-preempted-at-dispatch", NotPreemptedAtDispatch, 0, FALSE},
};

KT_DEFINE_SUITE(KtIrqlSuite, "ke", Cases);
