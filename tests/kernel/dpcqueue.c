/* SPDX-License-Identifier: MIT */
/*
 * dpcqueue.c - what an insertion asks for, and what a DPC may rely on while it runs: when its queue
 * is drained, that its processor does nothing else below DIRQL, where it may run twice at once, and
 * what happens with interrupts off. Laws L23-L25, L27, L28; regressions R-b, R-g.
 */
#include <arch/hal.h>
#include <io.h>

#include "trapkit.h"

#define LIMIT KT_SECONDS(20)
#define DEVICE_IRQL 5

typedef struct _COUNTED_DPC
{
    KDPC Dpc;
    volatile LONG Runs; /* by the DPC, with a locked add, after: */
    volatile ULONG Processor;
} COUNTED_DPC, *PCOUNTED_DPC;

static VOID CountRun(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PCOUNTED_DPC Counted = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Counted->Processor = KeGetCurrentProcessorIndex();
    InterlockedIncrement(&Counted->Runs);
}

static VOID Target(PKDPC Dpc, ULONG Processor)
{
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    KT_CHECK(NT_SUCCESS(KeSetTargetProcessorDpcEx(Dpc, &Number)), "CPU %u", Processor);
}

static VOID InitializeCounted(PCOUNTED_DPC Counted, KDPC_IMPORTANCE Importance)
{
    RtlZeroMemory(Counted, sizeof(*Counted));
    KeInitializeDpc(&Counted->Dpc, CountRun, Counted);
    KeSetImportanceDpc(&Counted->Dpc, Importance);
}

static BOOLEAN Insert(PCOUNTED_DPC Counted)
{
    return KeInsertQueueDpc(&Counted->Dpc, NULL, NULL);
}

/* ---------------------------------------------------------- When an insertion asks (L27). */

#define FREQUENT 100 /* DPCs in the last tick */

typedef struct _ASKS
{
    KDPC_IMPORTANCE Importance;
    ULONG Before; /* DPCs in the queue */
    ULONG Rate;
    BOOLEAN Asks;
} ASKS;

static const ASKS OwnQueue[] = {
    {LowImportance, 0, FREQUENT, FALSE},
    {LowImportance, 0, KI_MINIMUM_DPC_RATE, FALSE},
    {LowImportance, 0, KI_MINIMUM_DPC_RATE - 1, TRUE},
    {LowImportance, KI_MAXIMUM_DPC_QUEUE_DEPTH - 1, FREQUENT, FALSE},
    {LowImportance, KI_MAXIMUM_DPC_QUEUE_DEPTH, FREQUENT, TRUE},
    {MediumImportance, 0, FREQUENT, TRUE},
    {MediumHighImportance, 0, FREQUENT, TRUE},
    {HighImportance, 0, FREQUENT, TRUE},
};

static const ASKS OtherQueue[] = {
    {LowImportance, 0, 0, FALSE},
    {LowImportance, KI_MAXIMUM_DPC_QUEUE_DEPTH - 1, 0, FALSE},
    {LowImportance, KI_MAXIMUM_DPC_QUEUE_DEPTH, 0, TRUE},
    {MediumImportance, 0, 0, FALSE},
    {MediumImportance, KI_MAXIMUM_DPC_QUEUE_DEPTH - 1, 0, FALSE},
    {MediumImportance, KI_MAXIMUM_DPC_QUEUE_DEPTH, 0, TRUE},
    {MediumHighImportance, 0, 0, TRUE},
    {HighImportance, 0, 0, TRUE},
};

#define MOST_DPCS (KI_MAXIMUM_DPC_QUEUE_DEPTH + 1)

/* The queue's processor is at HIGH_LEVEL: no tick asks in our place, and nothing is drained. */
static VOID CheckAsks(const ASKS *Row, PCOUNTED_DPC Dpcs, ULONG Processor)
{
    PKPRCB Prcb = KiProcessorBlock[Processor];

    for (ULONG Index = 0; Index <= Row->Before; Index++)
    {
        InitializeCounted(&Dpcs[Index], Index < Row->Before ? LowImportance : Row->Importance);
        Target(&Dpcs[Index].Dpc, Processor);
        KT_CHECK(!Prcb->Due.Dpc, "importance %u: asked at depth %u", Row->Importance, Index);
        KT_CHECK(Insert(&Dpcs[Index]), "importance %u: DPC %u", Row->Importance, Index);
    }
    KT_CHECK(Prcb->Due.Dpc == Row->Asks, "importance %u, %u before, rate %u: requested %u",
             Row->Importance, Row->Before, Row->Rate, Prcb->Due.Dpc);
    KT_CHECK(Prcb->Dpc.Depth == Row->Before + 1, "depth %u", Prcb->Dpc.Depth);
}

static VOID AwaitRuns(const ASKS *Row, PCOUNTED_DPC Dpcs)
{
    for (ULONG Index = 0; Index <= Row->Before; Index++)
    {
        KT_CHECK(KtWaitFor(&Dpcs[Index].Runs, 1, LIMIT),
                 "importance %u, %u before: DPC %u never ran", Row->Importance, Row->Before, Index);
    }
}

static VOID OwnQueueAsks(VOID)
{
    static COUNTED_DPC Dpcs[MOST_DPCS];
    PKPRCB Prcb = KiGetCurrentPrcb();

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(OwnQueue); Index++)
    {
        KIRQL OldIrql;
        ULONG Rate;

        KeRaiseIrql(HIGH_LEVEL, &OldIrql);
        Rate = Prcb->DpcRate;
        Prcb->DpcRate = OwnQueue[Index].Rate;
        CheckAsks(&OwnQueue[Index], Dpcs, Prcb->Index);
        Prcb->DpcRate = Rate;
        KeLowerIrql(OldIrql);
        KT_CHECK(!OwnQueue[Index].Asks || Dpcs[OwnQueue[Index].Before].Runs == 1,
                 "row %u: asked, but has not run after the IRQL fell", Index);
        AwaitRuns(&OwnQueue[Index], Dpcs);
    }
}

typedef struct _BUSY
{
    KIRQL Irql;
    volatile LONG Busy;
    volatile LONG Enough;
} BUSY, *PBUSY;

static VOID StayBusy(PVOID Context, ULONG Processor)
{
    PBUSY Busy = Context;
    KIRQL OldIrql;

    UNREFERENCED_PARAMETER(Processor);
    KeRaiseIrql(Busy->Irql, &OldIrql);
    WriteRelease(&Busy->Busy, TRUE);
    KT_CHECK(KtWaitFor(&Busy->Enough, TRUE, KT_SECONDS(60)), "nobody said %s", "enough");
    KeLowerIrql(OldIrql);
}

static VOID StartBusy(PKT_JOB Job, PBUSY Busy, KIRQL Irql)
{
    Busy->Irql = Irql;
    Busy->Busy = Busy->Enough = FALSE;
    KtStart(Job, 1, StayBusy, Busy);
    KT_CHECK(KtWaitFor(&Busy->Busy, TRUE, KT_SECONDS(60)), "CPU 1 did not get to IRQL %u", Irql);
}

static VOID StopBusy(PKT_JOB Job, PBUSY Busy)
{
    WriteRelease(&Busy->Enough, TRUE);
    KtJoin(Job);
}

static VOID OtherQueueAsks(VOID)
{
    static COUNTED_DPC Dpcs[MOST_DPCS];
    BUSY Busy;
    KT_JOB Job;

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(OtherQueue); Index++)
    {
        StartBusy(&Job, &Busy, HIGH_LEVEL);
        CheckAsks(&OtherQueue[Index], Dpcs, 1);
        KT_CHECK(Dpcs[0].Runs == 0, "row %u ran at HIGH_LEVEL", Index);
        StopBusy(&Job, &Busy);
        AwaitRuns(&OtherQueue[Index], Dpcs);
    }
}

/* A removed DPC leaves the request behind; what is inserted next must run all the same (R-b). */
static VOID RemovedThenInserted(VOID)
{
    static COUNTED_DPC Counted;
    BUSY Busy;
    KT_JOB Job;

    InitializeCounted(&Counted, HighImportance);
    Target(&Counted.Dpc, 1);
    for (LONG Round = 1; Round <= 20 && !KtHasFailed(); Round++)
    {
        BOOLEAN While = Round % 2 == 0;

        StartBusy(&Job, &Busy, DISPATCH_LEVEL);
        KT_CHECK(Insert(&Counted), "round %d", Round);
        KT_CHECK(KeRemoveQueueDpc(&Counted.Dpc), "round %d", Round);
        if (While)
        {
            KT_CHECK(Insert(&Counted), "round %d", Round);
        }
        StopBusy(&Job, &Busy);
        if (!While)
        {
            KT_CHECK(Insert(&Counted), "round %d", Round);
        }
        KT_CHECK(KtWaitFor(&Counted.Runs, Round, LIMIT), "round %d: the second never ran", Round);
        KT_CHECK(Counted.Runs == Round, "round %d: %d runs", Round, Counted.Runs);
    }
}

/* ---------------------------------------------------------- Medium, local, below
 * DISPATCH_LEVEL: has run when the insertion returns, though another processor's request for the
 * same queue is still on its way (L27). */

typedef struct _CROSSFIRE
{
    COUNTED_DPC Mine, Theirs;
    volatile LONG Stop;
} CROSSFIRE, *PCROSSFIRE;

static VOID FireAtProcessor0(PCROSSFIRE Crossfire)
{
    for (LONG Round = 1; !ReadAcquire(&Crossfire->Stop); Round++)
    {
        Insert(&Crossfire->Theirs);
        while (ReadAcquire(&Crossfire->Theirs.Runs) < Round && !ReadAcquire(&Crossfire->Stop))
        {
            YieldProcessor();
        }
    }
}

static VOID InsertAndLook(PCROSSFIRE Crossfire)
{
    ULONG64 End = KtNow() + KtBudget();

    for (LONG Round = 1; KtNow() < End && !KtHasFailed(); Round++)
    {
        KT_CHECK(Insert(&Crossfire->Mine), "round %d: still queued", Round);
        KT_CHECK(Crossfire->Mine.Runs == Round, "round %d: %d runs when the insertion returned",
                 Round, Crossfire->Mine.Runs);
    }
    WriteRelease(&Crossfire->Stop, TRUE);
}

static VOID CrossfireWorker(PVOID Context, ULONG Processor)
{
    if (Processor == 0)
    {
        InsertAndLook(Context);
    }
    else if (Processor == 1)
    {
        FireAtProcessor0(Context);
    }
}

/* The same without chance: another processor has set Due.Dpc, and has yet to interrupt. */
static VOID MediumHasRunWhileAsked(VOID)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    COUNTED_DPC Counted;

    for (KIRQL Level = PASSIVE_LEVEL; Level <= APC_LEVEL; Level++)
    {
        KIRQL OldIrql;

        InitializeCounted(&Counted, MediumImportance);
        KeRaiseIrql(Level, &OldIrql);
        Prcb->Due.Dpc = TRUE;
        Insert(&Counted);
        KT_CHECK(Counted.Runs == 1, "IRQL %u: %d runs when the insertion returned", Level,
                 Counted.Runs);
        KT_CHECK(!Prcb->Due.Dpc, "IRQL %u: requested, with the queue drained", Level);
        KeLowerIrql(OldIrql);
        KeFlushQueuedDpcs(); /* Counted is on this stack */
    }
}

static VOID MediumHasRunUnderFire(VOID)
{
    static CROSSFIRE Crossfire;

    RtlZeroMemory(&Crossfire, sizeof(Crossfire));
    InitializeCounted(&Crossfire.Mine, MediumImportance);
    InitializeCounted(&Crossfire.Theirs, HighImportance);
    Target(&Crossfire.Theirs.Dpc, 0);
    KtParallel(CrossfireWorker, &Crossfire);
    KeFlushQueuedDpcs();
}

/* ---------------------------------------------------------- Where (L23, L28). */

static VOID InsertHere(PVOID Context, ULONG Processor)
{
    static const KIRQL Levels[] = {PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL, DEVICE_IRQL,
                                   HIGH_LEVEL};
    COUNTED_DPC Counted;

    UNREFERENCED_PARAMETER(Context);
    InitializeCounted(&Counted, MediumImportance);
    for (LONG Index = 0; Index < (LONG)RTL_NUMBER_OF(Levels); Index++)
    {
        KIRQL OldIrql;

        KeRaiseIrql(Levels[Index], &OldIrql);
        KT_CHECK(Insert(&Counted), "IRQL %u", Levels[Index]);
        KT_CHECK(Counted.Runs == Index + (Levels[Index] < DISPATCH_LEVEL), "IRQL %u: %d runs",
                 Levels[Index], Counted.Runs);
        KeLowerIrql(OldIrql);
        KT_CHECK(Counted.Runs == Index + 1 && Counted.Processor == Processor,
                 "IRQL %u: %d runs, on CPU %u", Levels[Index], Counted.Runs, Counted.Processor);
    }
}

static VOID UntargetedRunsWhereInserted(VOID)
{
    KtParallel(InsertHere, NULL);
}

static VOID NextInsertionMoves(VOID)
{
    static COUNTED_DPC Counted;
    KIRQL OldIrql;

    InitializeCounted(&Counted, MediumImportance);
    Target(&Counted.Dpc, 0);
    OldIrql = KeRaiseIrqlToDpcLevel();
    Insert(&Counted);
    Target(&Counted.Dpc, 1);
    KT_CHECK(!Insert(&Counted), "inserted twice, by way of another %s", "target");
    KeLowerIrql(OldIrql);
    KT_CHECK(Counted.Runs == 1 && Counted.Processor == 0, "%d runs, on CPU %u", Counted.Runs,
             Counted.Processor);
    Insert(&Counted);
    KT_CHECK(KtWaitFor(&Counted.Runs, 2, LIMIT), "%d runs", Counted.Runs);
    KT_CHECK(Counted.Processor == 1, "on CPU %u", Counted.Processor);
    KeSetTargetProcessorDpc(&Counted.Dpc, (CHAR)KeQueryActiveProcessorCountEx(0));
    KT_CHECK(Counted.Dpc.Number == 1, "a number that is not active changed it to %u",
             Counted.Dpc.Number);
}

/* ---------------------------------------------------------- Twice at once (L25): only by an
 * insertion after it was dequeued, and then on another processor. */

typedef struct _TWICE
{
    KDPC Dpc;
    volatile LONG Inside;
    volatile LONG Runs;
} TWICE, *PTWICE;

static VOID MeetMyself(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PTWICE Twice = Context;

    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Twice->Inside);
    if (KeGetCurrentProcessorIndex() == 0)
    {
        Target(Dpc, 1);
        KT_CHECK(KeInsertQueueDpc(Dpc, NULL, NULL), "still queued while it %s", "runs");
    }
    KT_CHECK(KtWaitFor(&Twice->Inside, 2, LIMIT), "CPU %u is alone", KeGetCurrentProcessorIndex());
    InterlockedIncrement(&Twice->Runs);
}

static VOID RunsTwiceAtOnce(VOID)
{
    static TWICE Twice;

    RtlZeroMemory(&Twice, sizeof(Twice));
    KeInitializeDpc(&Twice.Dpc, MeetMyself, &Twice);
    KeSetTargetProcessorDpc(&Twice.Dpc, 0);
    KeInsertQueueDpc(&Twice.Dpc, NULL, NULL);
    KT_CHECK(KtWaitFor(&Twice.Runs, 2, LIMIT), "%d runs", Twice.Runs);
}

/* ---------------------------------------------------------- Alone on its processor (L24):
 * the thread stands still, another DPC waits, interrupts come, on their own stack. */

typedef struct _ALONE
{
    ULONG Vector;
    KDPC First, Second;
    volatile LONG Steps;      /* of the thread */
    volatile LONG Interrupts; /* ISR runs */
    volatile LONG FirstRuns, SecondRuns;
    BOOLEAN InsideFirst, ExecutingInIsr, IsrOnDpcStack;
} ALONE, *PALONE;

static BOOLEAN IsOnDpcStack(PVOID Frame)
{
    PUCHAR Top = CONTAINING_RECORD(KiGetCurrentPrcb(), KI_PROCESSOR, Prcb)->Pcr.DpcStack;

    return (PUCHAR)Frame < Top && (PUCHAR)Frame >= Top - PAGE_SIZE;
}

static BOOLEAN AloneIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PALONE Alone = Context;

    UNREFERENCED_PARAMETER(Interrupt);
    Alone->ExecutingInIsr = KeIsExecutingDpc();
    Alone->IsrOnDpcStack = IsOnDpcStack(__builtin_frame_address(0));
    KeInsertQueueDpc(Alone->Interrupts == 0 ? &Alone->First : &Alone->Second, NULL, NULL);
    InterlockedIncrement(&Alone->Interrupts);
    return TRUE;
}

static VOID AloneFirst(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PALONE Alone = Context;
    LONG Steps = Alone->Steps;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Alone->InsideFirst = TRUE;
    KT_CHECK(!Alone->ExecutingInIsr, "KeIsExecutingDpc in an ISR over the %s", "thread");
    HalpSendIpi(KeGetCurrentProcessorIndex(), Alone->Vector);
    KT_CHECK(KtWaitFor(&Alone->Interrupts, 2, LIMIT), "%d interrupts", Alone->Interrupts);
    KT_CHECK(Alone->ExecutingInIsr && !Alone->IsrOnDpcStack, "in the ISR: executing %u, stack %u",
             Alone->ExecutingInIsr, Alone->IsrOnDpcStack);
    KT_CHECK(IsOnDpcStack(__builtin_frame_address(0)), "frame %p", __builtin_frame_address(0));
    KeStallExecutionProcessor(2000);
    KT_CHECK(Alone->SecondRuns == 0, "the second ran inside the %s", "first");
    KT_CHECK(Alone->Steps == Steps, "the thread went on: %d, %d", Steps, Alone->Steps);
    Alone->InsideFirst = FALSE;
    InterlockedIncrement(&Alone->FirstRuns);
}

static VOID AloneSecond(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PALONE Alone = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KT_CHECK(!Alone->InsideFirst, "inside the %s", "first");
    InterlockedIncrement(&Alone->SecondRuns);
}

static VOID AloneOnItsProcessor(VOID)
{
    static ALONE Alone;
    PKINTERRUPT Interrupt;
    ULONG64 End = KtNow() + LIMIT;

    RtlZeroMemory(&Alone, sizeof(Alone));
    KeInitializeDpc(&Alone.First, AloneFirst, &Alone);
    KeInitializeDpc(&Alone.Second, AloneSecond, &Alone);
    Alone.Vector = KtUnusedVector(DEVICE_IRQL, 0);
    Interrupt = KtConnect(Alone.Vector, DEVICE_IRQL, NULL, LevelSensitive, FALSE, AloneIsr, &Alone);
    HalpSendIpi(KeGetCurrentProcessorIndex(), Alone.Vector);
    while (Alone.FirstRuns == 0 && KtNow() < End)
    {
        Alone.Steps++;
    }
    KT_CHECK(Alone.FirstRuns == 1 && Alone.SecondRuns == 1,
             "%d and %d runs when the thread goes on", Alone.FirstRuns, Alone.SecondRuns);
    IoDisconnectInterrupt(Interrupt);
}

/* ---------------------------------------------------------- Interrupts off: nothing runs, and
 * they stay off, until the caller turns them on. */

static VOID CheckStillOff(PCOUNTED_DPC Counted, PCSTR What)
{
    KT_CHECK(!(__readeflags() & EFLAGS_IF), "%s turned interrupts on", What);
    KT_CHECK(Counted->Runs == 0, "%s: %d runs with interrupts off", What, Counted->Runs);
}

static VOID InsertWithInterruptsOff(VOID)
{
    COUNTED_DPC Counted;

    for (ULONG Importance = LowImportance + 1; Importance <= MediumHighImportance; Importance++)
    {
        InitializeCounted(&Counted, (KDPC_IMPORTANCE)Importance);
        _disable();
        Insert(&Counted);
        CheckStillOff(&Counted, "insertion");
        _enable();
        KT_CHECK(KtWaitFor(&Counted.Runs, 1, LIMIT), "importance %u never ran", Importance);
    }
}

static VOID LowerWithInterruptsOff(VOID)
{
    COUNTED_DPC Counted;
    KSPIN_LOCK Lock = 0;
    KIRQL OldIrql;

    InitializeCounted(&Counted, MediumImportance);
    KeAcquireSpinLock(&Lock, &OldIrql);
    Insert(&Counted);
    _disable();
    KeReleaseSpinLock(&Lock, OldIrql);
    CheckStillOff(&Counted, "the release");
    KT_CHECK(KeGetCurrentIrql() == OldIrql, "IRQL %u", KeGetCurrentIrql());
    _enable();
    KT_CHECK(KtWaitFor(&Counted.Runs, 1, LIMIT), "%d runs", Counted.Runs);
}

/* ---------------------------------------------------------- R-g: KeIsExecutingDpc finds its
 * processor and reads the flag in one instruction, or a thread that moves between two reads another
 * processor's. No thread moves yet, so this looks at the instruction. */

#define PREFIX_GS 0x65
#define OPCODE_TWO_BYTES 0x0F
#define OPCODE_MOVZX_BYTE 0xB6
#define OPCODE_MOV_BYTE 0x8A
#define OPCODE_RET 0xC3
#define LONGEST_ROUTINE 32

static VOID ExecutingIsOneLoad(VOID)
{
    const UCHAR *Code = (const UCHAR *)(ULONG_PTR)KeIsExecutingDpc;
    ULONG Prefixes = 0, Length = 0;
    BOOLEAN ByteLoad;

    while (Length < LONGEST_ROUTINE && Code[Length] != PREFIX_GS)
    {
        Length++;
    }
    ByteLoad = Code[Length + 1] == OPCODE_MOV_BYTE ||
               (Code[Length + 1] == OPCODE_TWO_BYTES && Code[Length + 2] == OPCODE_MOVZX_BYTE);
    KT_CHECK(ByteLoad, "code %02x %02x %02x", Code[Length], Code[Length + 1], Code[Length + 2]);
    for (; Length < LONGEST_ROUTINE && Code[Length] != OPCODE_RET; Length++)
    {
        Prefixes += Code[Length] == PREFIX_GS;
    }
    KT_CHECK(Prefixes == 1, "%u loads from this processor's block", Prefixes);
}

static const KT_CASE Cases[] = {
    {"dpc-L27-own-queue-asks", OwnQueueAsks, 0, FALSE},
    {"dpc-L27-other-queue-asks", OtherQueueAsks, 2, FALSE},
    {"dpc-R-b-removed-then-inserted", RemovedThenInserted, 2, FALSE},
    {"dpc-L27-medium-while-asked", MediumHasRunWhileAsked, 0, FALSE},
    {"dpc-L27-medium-under-fire", MediumHasRunUnderFire, 2, FALSE},
    {"dpc-L23-untargeted-runs-here", UntargetedRunsWhereInserted, 0, FALSE},
    {"dpc-L28-next-insertion-moves", NextInsertionMoves, 2, FALSE},
    {"dpc-L25-twice-at-once", RunsTwiceAtOnce, 2, FALSE},
    {"dpc-L24-alone", AloneOnItsProcessor, 0, FALSE},
    {"dpc-insert-with-interrupts-off", InsertWithInterruptsOff, 0, FALSE},
    {"dpc-lower-with-interrupts-off", LowerWithInterruptsOff, 0, FALSE},
    {"dpc-R-g-executing-is-one-load", ExecutingIsOneLoad, 0, FALSE},
};

KT_DEFINE_SUITE(KtDpcQueueSuite, "ke", Cases);
