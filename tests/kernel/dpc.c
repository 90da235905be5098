/* SPDX-License-Identifier: MIT */
/*
 * dpc.c - one DPC at a time: where it runs, when, in which order, with which arguments, and what
 * insert and remove say. The storms are in dpcstorm.c.
 */
#include <arch/hal.h>

#include "kt.h"

#define RUN_LIMIT KT_SECONDS(20)
#define TEST_VECTOR 0x9C

/* One DPC and what its last run saw. Written by the DPC; Runs last, with a locked add. */
typedef struct _PROBE
{
    KDPC Dpc;
    PVOID Argument1, Argument2;
    ULONG Processor;
    KIRQL Irql;
    BOOLEAN Executing;
    PVOID Frame;
    ULONG Order;
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
    Probe->Irql = KeGetCurrentIrql();
    Probe->Executing = KeIsExecutingDpc();
    Probe->Frame = __builtin_frame_address(0);
    Probe->Order = (ULONG)InterlockedIncrement(&NextOrder);
    InterlockedIncrement(&Probe->Runs);
}

static VOID InitializeProbe(PPROBE Probe, KDPC_IMPORTANCE Importance)
{
    RtlZeroMemory(Probe, sizeof(*Probe));
    KeInitializeDpc(&Probe->Dpc, ProbeRoutine, Probe);
    KeSetImportanceDpc(&Probe->Dpc, Importance);
}

static VOID TargetProbe(PPROBE Probe, ULONG Processor)
{
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    KT_CHECK(NT_SUCCESS(KeSetTargetProcessorDpcEx(&Probe->Dpc, &Number)), "CPU %u", Processor);
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

static VOID LocalRunsAtOnce(VOID)
{
    PUCHAR Top = CONTAINING_RECORD(KiGetCurrentPrcb(), KI_PROCESSOR, Prcb)->Pcr.DpcStack;
    PROBE Probe;

    InitializeProbe(&Probe, MediumImportance);
    KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "not inserted");
    KT_CHECK(Probe.Runs == 1, "%d runs when the insertion returned", Probe.Runs);
    KT_CHECK(Probe.Irql == DISPATCH_LEVEL, "IRQL %u", Probe.Irql);
    KT_CHECK(Probe.Processor == KeGetCurrentProcessorIndex(), "CPU %u", Probe.Processor);
    KT_CHECK(Probe.Executing && !KeIsExecutingDpc(), "inside %u, outside %u", Probe.Executing,
             KeIsExecutingDpc());
    KT_CHECK((PUCHAR)Probe.Frame < Top && (PUCHAR)Probe.Frame > Top - 0x4000,
             "frame %p is not on the DPC stack below %p", Probe.Frame, Top);
}

/* High: to the head, so the last is first. All others: in their order. */
static VOID Order(VOID)
{
    static const KDPC_IMPORTANCE Importance[] = {MediumImportance, LowImportance,
                                                 HighImportance,   MediumImportance,
                                                 HighImportance,   MediumHighImportance};
    static const ULONG Expected[] = {3, 4, 2, 5, 1, 6};
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
        KT_CHECK(Probes[Index].Order == Expected[Index], "DPC %u ran as number %u, not %u", Index,
                 Probes[Index].Order, Expected[Index]);
    }
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

    /* Having removed the last one, the queue must still ask for the next (regression R-b). */
    KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "not inserted again");
    KT_CHECK(Probe.Runs == 1, "%d runs", Probe.Runs);
    KT_CHECK(!KeRemoveQueueDpc(&Probe.Dpc), "removed though it had run (regression R-a)");
}

static VOID RetargetQueued(VOID)
{
    PROBE Probe;
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    InitializeProbe(&Probe, MediumImportance);
    KeInsertQueueDpc(&Probe.Dpc, NULL, NULL);
    TargetProbe(&Probe, KtProcessors() - 1);
    KeLowerIrql(OldIrql);
    KT_CHECK(Probe.Runs == 1 && Probe.Processor == KeGetCurrentProcessorIndex(),
             "%d runs, the last on CPU %u", Probe.Runs, Probe.Processor);
}

/* An idle processor has no tick, so it is interrupted for every importance. */
static VOID EveryProcessorEveryImportance(VOID)
{
    PROBE Probe;

    for (ULONG Processor = 0; Processor < KtProcessors(); Processor++)
    {
        for (ULONG Importance = LowImportance; Importance <= MediumHighImportance; Importance++)
        {
            InitializeProbe(&Probe, (KDPC_IMPORTANCE)Importance);
            TargetProbe(&Probe, Processor);
            KT_CHECK(KeInsertQueueDpc(&Probe.Dpc, NULL, NULL), "not inserted");
            KT_REQUIRE(KtWaitFor(&Probe.Runs, 1, RUN_LIMIT), "importance %u never ran on CPU %u",
                       Importance, Processor);
            KT_CHECK(Probe.Processor == Processor && Probe.Irql == DISPATCH_LEVEL,
                     "ran on CPU %u at IRQL %u", Probe.Processor, Probe.Irql);
        }
    }
}

static VOID TargetRules(VOID)
{
    PROCESSOR_NUMBER None = {.Group = 0, .Number = 63, .Reserved = 1};
    PROBE Probe;

    InitializeProbe(&Probe, MediumImportance);
    KeSetTargetProcessorDpc(&Probe.Dpc, (CHAR)KeQueryActiveProcessorCountEx(0));
    KT_CHECK(Probe.Dpc.Number == KI_DPC_UNTARGETED, "a processor that is not active was accepted");
    KeSetTargetProcessorDpc(&Probe.Dpc, -1);
    KT_CHECK(Probe.Dpc.Number == KI_DPC_UNTARGETED, "-1 was accepted");
    KT_CHECK(KeSetTargetProcessorDpcEx(&Probe.Dpc, &None) == STATUS_INVALID_PARAMETER,
             "a processor that does not exist was accepted");
    KeSetTargetProcessorDpc(&Probe.Dpc, 0);
    KT_CHECK(Probe.Dpc.Number == 0, "target %u", Probe.Dpc.Number);
}

static VOID InsertWithoutRoutine(PVOID Context)
{
    KDPC Dpc;

    UNREFERENCED_PARAMETER(Context);
    KeInitializeDpc(&Dpc, NULL, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
}

static VOID NoRoutine(VOID)
{
    KtExpectBugCheck(TIMER_OR_DPC_INVALID, KT_ANY, InsertWithoutRoutine, NULL);
}

/* Low waits for the tick while DPCs are frequent, but not beyond the depth limit. */
static VOID LowImportanceWaits(VOID)
{
    PROBE Probes[KI_MAXIMUM_DPC_QUEUE_DEPTH + 1];
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Ticks = Prcb->ClockInterrupts;
    ULONG64 Start = KtNow();

    Prcb->DpcRate = 100; /* until the next tick measures it */
    InitializeProbe(&Probes[0], LowImportance);
    KeInsertQueueDpc(&Probes[0].Dpc, NULL, NULL);
    KT_CHECK(Probes[0].Runs == 0 || Prcb->ClockInterrupts != Ticks, "it ran before the tick");
    KT_CHECK(KtWaitFor(&Probes[0].Runs, 1, RUN_LIMIT), "it did not run at the next tick");
    KtNote("Low importance, frequent DPCs: ran after %llu us", (KtNow() - Start) / 10);

    Prcb->DpcRate = 100;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Probes); Index++)
    {
        InitializeProbe(&Probes[Index], LowImportance);
        KeInsertQueueDpc(&Probes[Index].Dpc, NULL, NULL);
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Probes); Index++)
    {
        KT_CHECK(Probes[Index].Runs == 1, "DPC %u of a deep queue has not run", Index);
    }
    Prcb->DpcRate = 0;
    InitializeProbe(&Probes[0], LowImportance);
    KeInsertQueueDpc(&Probes[0].Dpc, NULL, NULL);
    KT_CHECK(Probes[0].Runs == 1, "Low did not run at once though DPCs are rare");
}

/* ------------------------------------------------------------------ From an interrupt. */

static PROBE IsrProbe;
static volatile LONG IsrRuns;
static volatile LONG RunsSeenInIsr;

static VOID InsertFromIsr(PKTRAP_FRAME Frame)
{
    UNREFERENCED_PARAMETER(Frame);
    KeInsertQueueDpc(&IsrProbe.Dpc, NULL, NULL);
    RunsSeenInIsr = IsrProbe.Runs;
    InterlockedIncrement(&IsrRuns);
}

static VOID FromInterrupt(VOID)
{
    KIRQL OldIrql;

    HalpSetVectorRoutine(TEST_VECTOR, InsertFromIsr);
    InitializeProbe(&IsrProbe, MediumImportance);
    IsrRuns = 0;
    OldIrql = KeRaiseIrqlToDpcLevel();
    HalpSendIpi(KeGetCurrentProcessorIndex(), TEST_VECTOR);
    KT_CHECK(KtWaitFor(&IsrRuns, 1, RUN_LIMIT), "the interrupt did not come");
    KT_CHECK(RunsSeenInIsr == 0 && IsrProbe.Runs == 0, "it ran above DISPATCH_LEVEL");
    KeLowerIrql(OldIrql);
    KT_CHECK(IsrProbe.Runs == 1, "it had not run when the IRQL was low again");

    InitializeProbe(&IsrProbe, MediumImportance);
    HalpSendIpi(KeGetCurrentProcessorIndex(), TEST_VECTOR);
    KT_CHECK(KtWaitFor(&IsrRuns, 2, RUN_LIMIT), "the interrupt did not come");
    KT_CHECK(IsrProbe.Runs == 1, "it had not run when the interrupt had returned");
}

static const KT_CASE Cases[] = {
    {"dpc-L19-L20-insert-twice", InsertTwice, 0, FALSE},
    {"dpc-L23-L27-local-runs-at-once", LocalRunsAtOnce, 0, FALSE},
    {"dpc-L26-order", Order, 0, FALSE},
    {"dpc-L22-remove", Remove, 0, FALSE},
    {"dpc-L28-retarget-queued", RetargetQueued, 0, FALSE},
    {"dpc-L23-L32-every-processor", EveryProcessorEveryImportance, 0, FALSE},
    {"dpc-target-rules", TargetRules, 0, FALSE},
    {"dpc-no-routine", NoRoutine, 0, TRUE},
    {"dpc-L27-low-importance-waits", LowImportanceWaits, 0, FALSE},
    {"dpc-L30-from-interrupt", FromInterrupt, 0, FALSE},
};

KT_DEFINE_SUITE(KtDpcSuite, "ke", Cases);
