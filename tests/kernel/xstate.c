/* SPDX-License-Identifier: MIT */
/*
 * xstate.c - extended registers belong to who saved: across switches, preemption, migration, nested
 * saves and DPCs. Each case fills all of them with a pattern of its own and reads them back.
 */
#include <scheduler.h>

#include "kt.h"

#define WAIT_LIMIT KT_SECONDS(60)
#define MAXIMUM_WORKERS 32
#define HIGHER_PRIORITY 12

/* As KtFillRegisters and KtReadRegisters have it. */
typedef struct DECLSPEC_ALIGN(16) _REGISTERS
{
    USHORT ControlWord;
    USHORT StatusWord;
    USHORT TagWord;
    USHORT Opcode;
    ULONG64 InstructionPointer;
    ULONG64 DataPointer;
    ULONG Mxcsr;
    ULONG MxcsrMask;
    struct
    {
        ULONG64 Mantissa;
        USHORT Exponent;
        USHORT Reserved[3];
    } St[8];
    ULONG64 Xmm[16][2];
    UCHAR Reserved[96];
    ULONG64 High[16][2];
} REGISTERS, *PREGISTERS;

C_ASSERT(offsetof(REGISTERS, Mxcsr) == 24);
C_ASSERT(offsetof(REGISTERS, St) == 32);
C_ASSERT(offsetof(REGISTERS, Xmm) == 160);
C_ASSERT(offsetof(REGISTERS, High) == 512);

VOID KtFillRegisters(const REGISTERS *Registers, ULONG Avx);
VOID KtReadRegisters(PREGISTERS Registers, ULONG Avx);

#define FRESH_CONTROL_WORD 0x037F
#define FRESH_MXCSR 0x1F80u
#define ALL_TAGS 0xFF

static ULONG HasAvx(VOID)
{
    return RtlGetEnabledExtendedFeatures(XSTATE_MASK_AVX) != 0;
}

static ULONG64 AllFeatures(VOID)
{
    return RtlGetEnabledExtendedFeatures(MAXULONG64);
}

/* Random numbers in all registers, normal ones in the x87's, so that a load keeps every bit; and a
 * random rounding mode in both control words. */
static VOID FillWithPattern(PREGISTERS Registers, PKT_RANDOM Random)
{
    RtlZeroMemory(Registers, sizeof(*Registers));
    Registers->ControlWord = (USHORT)(FRESH_CONTROL_WORD | (KtRandom(Random) & 3) << 10);
    Registers->Mxcsr = (ULONG)(FRESH_MXCSR | (KtRandom(Random) & 3) << 13);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Registers->St); Index++)
    {
        Registers->St[Index].Mantissa = KtRandom(Random) | 1ull << 63;
        Registers->St[Index].Exponent = (USHORT)(0x3F80 + (KtRandom(Random) & 0xFF));
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Registers->Xmm); Index++)
    {
        Registers->Xmm[Index][0] = KtRandom(Random);
        Registers->Xmm[Index][1] = KtRandom(Random);
        Registers->High[Index][0] = KtRandom(Random);
        Registers->High[Index][1] = KtRandom(Random);
    }
    KtFillRegisters(Registers, HasAvx());
}

/* TRUE if the registers hold exactly that. The first that does not is reported. */
static BOOLEAN StillHold(const REGISTERS *Wanted, PCSTR When)
{
    REGISTERS Found;
    PCSTR Name = NULL;
    ULONG Number = 0;

    RtlZeroMemory(&Found, sizeof(Found));
    KtReadRegisters(&Found, HasAvx());
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Found.Xmm) && Name == NULL; Index++)
    {
        Number = Index;
        if (Found.Xmm[Index][0] != Wanted->Xmm[Index][0] ||
            Found.Xmm[Index][1] != Wanted->Xmm[Index][1])
        {
            Name = "XMM";
        }
        else if (HasAvx() && (Found.High[Index][0] != Wanted->High[Index][0] ||
                              Found.High[Index][1] != Wanted->High[Index][1]))
        {
            Name = "YMM, upper half,";
        }
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Found.St) && Name == NULL; Index++)
    {
        if (Found.St[Index].Mantissa != Wanted->St[Index].Mantissa ||
            Found.St[Index].Exponent != Wanted->St[Index].Exponent)
        {
            Name = "ST";
            Number = Index;
        }
    }
    if (Name == NULL && Found.ControlWord != Wanted->ControlWord)
    {
        Name = "x87 control word";
        Number = Found.ControlWord;
    }
    if (Name == NULL && Found.Mxcsr != Wanted->Mxcsr)
    {
        Name = "MXCSR";
        Number = Found.Mxcsr;
    }
    KT_CHECK(Name == NULL, "%s: %s %u differs", When, Name, Number);
    return Name == NULL;
}

/* What a save gives: empty registers, control words as they are by default. */
static VOID AreFresh(PCSTR When)
{
    REGISTERS Found;

    KtReadRegisters(&Found, HasAvx());
    KT_CHECK(Found.ControlWord == FRESH_CONTROL_WORD, "%s: x87 control word %x", When,
             Found.ControlWord);
    KT_CHECK((Found.TagWord & ALL_TAGS) == 0, "%s: x87 tags %x", When, Found.TagWord);
    KT_CHECK(Found.Mxcsr == FRESH_MXCSR, "%s: MXCSR %x", When, Found.Mxcsr);
}

static VOID SaveAll(PXSTATE_SAVE Save)
{
    NTSTATUS Status = KeSaveExtendedProcessorState(AllFeatures(), Save);

    KT_CHECK(Status == STATUS_SUCCESS, "status %x", Status);
}

static VOID IsFresh(VOID)
{
    REGISTERS Pattern;
    KFLOATING_SAVE Floating;
    XSTATE_SAVE Save;
    KT_RANDOM Random;

    KtSeed(&Random, 1);
    SaveAll(&Save);
    FillWithPattern(&Pattern, &Random);
    KeRestoreExtendedProcessorState(&Save);

    SaveAll(&Save);
    AreFresh("after what another left behind");
    FillWithPattern(&Pattern, &Random);
    KT_CHECK(KeSaveFloatingPointState(&Floating) == STATUS_SUCCESS, "no save");
    AreFresh("in a nested save");
    KT_CHECK(KeRestoreFloatingPointState(&Floating) == STATUS_SUCCESS, "no restore");
    StillHold(&Pattern, "around it");
    KeRestoreExtendedProcessorState(&Save);
}

/* Components that this machine has not are refused, and a refusal changes nothing. */
static VOID RefusesMask(VOID)
{
    ULONG64 Features = AllFeatures();
    REGISTERS Pattern;
    XSTATE_SAVE Save, Refused;
    KT_RANDOM Random;
    NTSTATUS Status;

    KT_CHECK((Features & XSTATE_MASK_LEGACY) == XSTATE_MASK_LEGACY, "features %llx", Features);
    KT_CHECK(RtlGetEnabledExtendedFeatures(XSTATE_MASK_LEGACY_SSE) == XSTATE_MASK_LEGACY_SSE,
             "not what was asked for");
    KtNote("features 0x%llx", Features);
    KtSeed(&Random, 2);
    SaveAll(&Save);
    FillWithPattern(&Pattern, &Random);
    Status = KeSaveExtendedProcessorState(Features | 1ull << 62, &Refused);
    KT_CHECK(Status == STATUS_NOT_SUPPORTED, "status %x", Status);
    StillHold(&Pattern, "after the refusal");
    KeRestoreExtendedProcessorState(&Save);
}

/* Saves, fills, goes Depth levels deeper, raising the IRQL on the way, and finds its own again. */
static VOID Nest(PKT_RANDOM Random, ULONG Depth)
{
    REGISTERS Pattern;
    XSTATE_SAVE Save;

    SaveAll(&Save);
    AreFresh("nested");
    FillWithPattern(&Pattern, Random);
    if (Depth != 0)
    {
        KIRQL OldIrql = KeGetCurrentIrql();

        if (Depth % 2 == 0 && OldIrql < DISPATCH_LEVEL)
        {
            KeRaiseIrql(OldIrql + 1, &OldIrql);
        }
        Nest(Random, Depth - 1);
        KeLowerIrql(OldIrql);
    }
    StillHold(&Pattern, "after the inner one");
    KeRestoreExtendedProcessorState(&Save);
}

static VOID Nested(VOID)
{
    KT_RANDOM Random;

    KtSeed(&Random, 3);
    for (ULONG Depth = 0; Depth < 6; Depth++)
    {
        Nest(&Random, Depth);
    }
}

/* ------------------------------------------------------------------ DPCs on top of a thread that
 * uses the registers. */

typedef struct _INTRUDER
{
    KDPC Dpc;
    KT_RANDOM Random;
    volatile LONG Runs; /* the DPC, when it is done */
} INTRUDER, *PINTRUDER;

static VOID Intrude(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PINTRUDER Intruder = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Nest(&Intruder->Random, 1);
    InterlockedIncrement(&Intruder->Runs);
}

static VOID InitializeIntruder(PINTRUDER Intruder, ULONG64 Stream)
{
    RtlZeroMemory(Intruder, sizeof(*Intruder));
    KtSeed(&Intruder->Random, Stream);
    KeInitializeDpc(&Intruder->Dpc, Intrude, Intruder);
    KeSetImportanceDpc(&Intruder->Dpc, MediumHighImportance);
}

static VOID TargetIntruder(PINTRUDER Intruder, ULONG Processor)
{
    PROCESSOR_NUMBER Number;

    KeGetProcessorNumberFromIndex(Processor, &Number);
    KeSetTargetProcessorDpcEx(&Intruder->Dpc, &Number);
}

/* Queued below DISPATCH_LEVEL on its own processor, the DPC has run when the insertion returns; at
 * DISPATCH_LEVEL, when the IRQL falls. */
static VOID UnderDpc(VOID)
{
    INTRUDER Intruder;
    REGISTERS Pattern;
    XSTATE_SAVE Save;
    KIRQL OldIrql;

    InitializeIntruder(&Intruder, 4);
    KeInsertQueueDpc(&Intruder.Dpc, NULL, NULL);
    SaveAll(&Save);
    for (LONG Round = 1; Round <= 10; Round++)
    {
        FillWithPattern(&Pattern, &Intruder.Random);
        KeInsertQueueDpc(&Intruder.Dpc, NULL, NULL);
        StillHold(&Pattern, "after a DPC");
        KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
        KeInsertQueueDpc(&Intruder.Dpc, NULL, NULL);
        KeLowerIrql(OldIrql);
        StillHold(&Pattern, "after a DPC that was held back");
    }
    KeRestoreExtendedProcessorState(&Save);
    KeFlushQueuedDpcs();
    KT_CHECK(Intruder.Runs == 21, "%d runs", Intruder.Runs);
}

/* ------------------------------------------------------------------ Threads. */

typedef struct _WORKER
{
    KT_THREAD Thread;
    ULONG Number;
    KT_RANDOM Random;
    INTRUDER Intruder;
    volatile LONG Rounds; /* itself */
} WORKER, *PWORKER;

static WORKER Workers[MAXIMUM_WORKERS];
static volatile LONG Stop;
static volatile LONG Arrived; /* locked add by each */

/* Runs Count threads of Routine, numbered from First; processor by number, or anywhere. */
static ULONG StartWorkers(ULONG First, ULONG Count, BOOLEAN Bound, KPRIORITY Priority,
                          VOID (*Routine)(PVOID Context))
{
    ULONG Number = First;

    for (; Number < First + Count && Number < MAXIMUM_WORKERS; Number++)
    {
        PWORKER Worker = &Workers[Number];

        Worker->Number = Number;
        Worker->Rounds = 0;
        KtSeed(&Worker->Random, 100 + Number);
        InitializeIntruder(&Worker->Intruder, 200 + Number);
        KtCreateThread(&Worker->Thread, Routine, Worker, Priority,
                       Bound ? Number % KtProcessors() : KT_ANYWHERE);
    }
    return Number;
}

static VOID JoinWorkers(ULONG First, ULONG End)
{
    for (ULONG Number = First; Number < End; Number++)
    {
        KtJoinThread(&Workers[Number].Thread);
    }
}

static ULONG TwoPerProcessor(VOID)
{
    ULONG Count = 2 * KtProcessors();

    return Count < MAXIMUM_WORKERS ? Count : MAXIMUM_WORKERS;
}

static VOID Sleep(LONGLONG Milliseconds)
{
    LARGE_INTEGER Interval = {.QuadPart = -(LONGLONG)KT_MILLISECONDS(Milliseconds)};

    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

/* Gives the processor to a thread like this one, and finds its own registers again. Nobody begins
 * before all are there, so each turn goes to another one. */
static VOID TakeTurns(PVOID Context)
{
    PWORKER Worker = Context;
    REGISTERS Pattern;
    XSTATE_SAVE Save;

    InterlockedIncrement(&Arrived);
    while (ReadAcquire(&Arrived) != (LONG)TwoPerProcessor())
    {
        KiYieldThread();
    }
    SaveAll(&Save);
    for (ULONG Round = 0; Round < 20 && !KtHasFailed(); Round++)
    {
        FillWithPattern(&Pattern, &Worker->Random);
        KiYieldThread();
        StillHold(&Pattern, "after giving way");
        KiYieldThread();
        StillHold(&Pattern, "after giving way again");
    }
    KeRestoreExtendedProcessorState(&Save);
}

static VOID AcrossSwitches(VOID)
{
    Arrived = 0;
    JoinWorkers(0, StartWorkers(0, TwoPerProcessor(), TRUE, KI_DEFAULT_PRIORITY, TakeTurns));
}

/* Never gives way. */
static VOID SpinWithPattern(PVOID Context)
{
    PWORKER Worker = Context;
    REGISTERS Pattern;
    XSTATE_SAVE Save;

    SaveAll(&Save);
    do
    {
        FillWithPattern(&Pattern, &Worker->Random);
        for (ULONG Look = 0; Look < 50; Look++)
        {
            if (!StillHold(&Pattern, "while being preempted"))
            {
                break;
            }
        }
        Worker->Rounds++;
    } while (!ReadAcquire(&Stop) && !KtHasFailed());
    KeRestoreExtendedProcessorState(&Save);
}

/* Wakes up again and again, over whoever spins here, and uses the registers. */
static VOID PreemptOthers(PVOID Context)
{
    PWORKER Worker = Context;
    REGISTERS Pattern;
    XSTATE_SAVE Save;

    SaveAll(&Save);
    for (ULONG Round = 0; Round < 10 && !KtHasFailed(); Round++)
    {
        FillWithPattern(&Pattern, &Worker->Random);
        Sleep(1);
        StillHold(&Pattern, "after a sleep");
        Worker->Rounds++;
    }
    KeRestoreExtendedProcessorState(&Save);
}

static VOID AcrossPreemption(VOID)
{
    ULONG Processors = KtProcessors() < MAXIMUM_WORKERS / 2 ? KtProcessors() : MAXIMUM_WORKERS / 2;
    ULONG Spinners, End;

    Stop = FALSE;
    Spinners = StartWorkers(0, Processors, TRUE, KI_DEFAULT_PRIORITY, SpinWithPattern);
    End = StartWorkers(Processors, Processors, TRUE, HIGHER_PRIORITY, PreemptOthers);
    JoinWorkers(Processors, End);
    WriteRelease(&Stop, TRUE);
    JoinWorkers(0, Spinners);
    for (ULONG Number = Processors; Number < End; Number++)
    {
        KT_CHECK(Workers[Number].Rounds == 10, "thread %u woke %d times", Number,
                 Workers[Number].Rounds);
    }
}

static VOID Wander(PVOID Context)
{
    PWORKER Worker = Context;
    REGISTERS Pattern;
    XSTATE_SAVE Save;

    SaveAll(&Save);
    for (ULONG Round = 0; Round < 20 && !KtHasFailed(); Round++)
    {
        ULONG Processor = (ULONG)(KtRandom(&Worker->Random) % KtProcessors());

        FillWithPattern(&Pattern, &Worker->Random);
        KiSetThreadProcessor(Processor);
        KT_CHECK(KeGetCurrentProcessorIndex() == Processor, "on %u instead of %u",
                 KeGetCurrentProcessorIndex(), Processor);
        StillHold(&Pattern, "on another processor");
    }
    KeRestoreExtendedProcessorState(&Save);
}

static VOID AcrossProcessors(VOID)
{
    JoinWorkers(0, StartWorkers(0, TwoPerProcessor(), FALSE, KI_DEFAULT_PRIORITY, Wander));
}

/* One of everything that may come between a save and its restore. */
static VOID Disturb(PWORKER Worker)
{
    LONG Runs = Worker->Intruder.Runs;

    switch (KtRandom(&Worker->Random) % 6)
    {
    case 0:
        KiYieldThread();
        break;
    case 1:
        Sleep(1);
        break;
    case 2:
        KiSetThreadProcessor((ULONG)(KtRandom(&Worker->Random) % KtProcessors()));
        break;
    case 3:
        Nest(&Worker->Random, 3);
        break;
    default:
        TargetIntruder(&Worker->Intruder, (ULONG)(KtRandom(&Worker->Random) % KtProcessors()));
        KeInsertQueueDpc(&Worker->Intruder.Dpc, NULL, NULL);
        KT_CHECK(KtWaitFor(&Worker->Intruder.Runs, Runs + 1, WAIT_LIMIT), "the DPC did not run");
        break;
    }
}

static VOID LiveDangerously(PVOID Context)
{
    PWORKER Worker = Context;
    ULONG64 End = KtNow() + KtBudget();
    REGISTERS Pattern;
    XSTATE_SAVE Save;

    do
    {
        SaveAll(&Save);
        FillWithPattern(&Pattern, &Worker->Random);
        for (ULONG Round = 0; Round < 5; Round++)
        {
            Disturb(Worker);
            StillHold(&Pattern, "in the turmoil");
        }
        KeRestoreExtendedProcessorState(&Save);
    } while (KtNow() < End && !KtHasFailed());
    KeFlushQueuedDpcs();
}

static VOID Torture(VOID)
{
    JoinWorkers(0, StartWorkers(0, TwoPerProcessor(), FALSE, KI_DEFAULT_PRIORITY, LiveDangerously));
}

/* ------------------------------------------------------------------ Violations: bug check 0xE7. */

#define STATE_INVALID 0
#define STATE_IRQL 1
#define STATE_THREAD 2

static VOID Restore(PVOID Save)
{
    KeRestoreExtendedProcessorState(Save);
}

static VOID RestoreFromElsewhere(PVOID Save)
{
    KtExpectBugCheck(INVALID_FLOATING_POINT_STATE, STATE_THREAD, Restore, Save);
}

static VOID RestoreInDpc(PKDPC Dpc, PVOID Save, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KtExpectBugCheck(INVALID_FLOATING_POINT_STATE, STATE_THREAD, Restore, Save);
}

static VOID CheckAll(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KiCheckExtendedState(NULL);
}

static VOID Violations(VOID)
{
    XSTATE_SAVE Outer, Inner, Gone;
    KT_THREAD Thread;
    KIRQL OldIrql;
    KDPC Dpc;

    SaveAll(&Outer);
    SaveAll(&Inner);
    KtExpectBugCheck(INVALID_FLOATING_POINT_STATE, STATE_INVALID, Restore, &Outer);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KtExpectBugCheck(INVALID_FLOATING_POINT_STATE, STATE_IRQL, Restore, &Inner);
    KeLowerIrql(OldIrql);
    KeInitializeDpc(&Dpc, RestoreInDpc, &Inner);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    KtCreateThread(&Thread, RestoreFromElsewhere, &Inner, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(&Thread);
    Gone = Inner;
    Gone.State = NULL;
    KtExpectBugCheck(INVALID_FLOATING_POINT_STATE, STATE_INVALID, Restore, &Gone);
    KtExpectBugCheck(INVALID_FLOATING_POINT_STATE, KT_ANY, CheckAll, NULL);
    KeRestoreExtendedProcessorState(&Inner);
    KT_CHECK(Inner.State == NULL, "still there");
    KeRestoreExtendedProcessorState(&Outer);
    KiCheckExtendedState(NULL);
}

static const KT_CASE Cases[] = {
    {"xstate-fresh", IsFresh, 0, FALSE},
    {"xstate-refuses-mask", RefusesMask, 0, FALSE},
    {"xstate-nested", Nested, 0, FALSE},
    {"xstate-under-dpc", UnderDpc, 0, FALSE},
    {"xstate-across-switches", AcrossSwitches, 0, FALSE},
    {"xstate-across-preemption", AcrossPreemption, 0, FALSE},
    {"xstate-across-processors", AcrossProcessors, 2, FALSE},
    {"xstate-torture", Torture, 0, FALSE},
    {"xstate-violations", Violations, 0, TRUE},
};

KT_DEFINE_SUITE(KtExtendedStateSuite, "ke", Cases);
