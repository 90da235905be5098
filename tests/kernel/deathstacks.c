/* SPDX-License-Identifier: MIT */
/*
 * deathstacks.c - deaths on top of something: in an ISR that interrupted a DPC, in an ISR or DPC
 * that forgot to restore its IRQL, with locks held, on another processor, and in the report itself.
 * Law L7. See death.c.
 */
#include "kt.h"

#include <arch/hal.h>
#include <interrupt.h>
#include <io.h>

#define DEATH_IRQL 9
#define DEATH_VECTOR 0x9E

static VOID MustNotReturn(VOID)
{
    KT_CHECK(FALSE, "the machine did not stop");
}

/* ------------------------------------------------------------------ In an ISR; PrepareToDie sends
 * the interrupt, RunUntilInterrupted is what it interrupts. */

static VOID PrepareToDie(PKSERVICE_ROUTINE Routine)
{
    PKINTERRUPT Interrupt;
    NTSTATUS Status = IoConnectInterrupt(&Interrupt, Routine, NULL, NULL, DEATH_VECTOR, DEATH_IRQL,
                                         DEATH_IRQL, LevelSensitive, FALSE, 1, FALSE);

    KT_CHECK(NT_SUCCESS(Status), "status %x", Status);
}

static DECLSPEC_NOINLINE VOID RunUntilInterrupted(VOID)
{
    HalpSendIpi(0, DEATH_VECTOR);
    KeStallExecutionProcessor(1000000);
    MustNotReturn();
}

static BOOLEAN DieInServiceRoutine(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, KeGetCurrentIrql(), 0, 0, 0);
}

static VOID InServiceRoutine(VOID)
{
    PrepareToDie(DieInServiceRoutine);
    RunUntilInterrupted();
}

/* Three stacks: the thread's, the DPC's, the ISR's. */

static VOID RunInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    RunUntilInterrupted();
}

static DECLSPEC_NOINLINE VOID QueueAndBeInterrupted(VOID)
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, RunInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    MustNotReturn();
}

static VOID InServiceRoutineOnDpc(VOID)
{
    PrepareToDie(DieInServiceRoutine);
    QueueAndBeInterrupted();
    MustNotReturn();
}

/* A fault, not a call: the frame of the exception lies on the ISR stack. */
static BOOLEAN FaultInServiceRoutine(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    return *(volatile BOOLEAN *)((PUCHAR)Context + 16);
}

static VOID FaultInIsr(VOID)
{
    PrepareToDie(FaultInServiceRoutine);
    RunUntilInterrupted();
}

/* ------------------------------------------------------------------ L7. */

static BOOLEAN ForgetToLower(PKINTERRUPT Interrupt, PVOID Context)
{
    KIRQL Old;

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DEATH_IRQL + 1, &Old);
    return TRUE;
}

static VOID IsrForgetsToLower(VOID)
{
    PrepareToDie(ForgetToLower);
    RunUntilInterrupted();
}

static BOOLEAN LowerTooFar(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    KeLowerIrql(DISPATCH_LEVEL);
    return TRUE;
}

static VOID IsrLowersTooFar(VOID)
{
    PrepareToDie(LowerTooFar);
    RunUntilInterrupted();
}

static VOID ForgetInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeRaiseIrqlToSynchLevel();
}

static VOID DpcForgetsToLower(VOID)
{
    KDPC Dpc;

    KeInitializeDpc(&Dpc, ForgetInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    MustNotReturn();
}

static VOID RaiseDownwards(VOID)
{
    KIRQL Old;

    KeRaiseIrql(DEATH_IRQL, &Old);
    KeRaiseIrql(DEATH_IRQL - 1, &Old);
    MustNotReturn();
}

/* ------------------------------------------------------------------ What the report shows. */

static DECLSPEC_NOINLINE VOID DieHoldingLock(VOID)
{
    static KSPIN_LOCK Lock;
    KIRQL Old;

    KeAcquireSpinLock(&Lock, &Old);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)&Lock, 0, 0, 0);
}

static VOID WithLockHeld(VOID)
{
    DieHoldingLock();
}

/* Set by the first processor when it is where the report shall find it. */
static volatile LONG WaitsForDeath;

static VOID DieElsewhere(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    KtWaitFor(&WaitsForDeath, TRUE, KT_MILLISECONDS(30000));
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, Processor, 0, 0, 0);
}

static DECLSPEC_NOINLINE VOID WaitForDeathElsewhere(VOID)
{
    static KT_JOB Job;

    KtStart(&Job, KtProcessors() - 1, DieElsewhere, NULL);
    for (;;)
    {
        WriteRelease(&WaitsForDeath, TRUE); /* pairs with: DieElsewhere */
        YieldProcessor();
    }
}

static VOID OnAnotherProcessor(VOID)
{
    WaitForDeathElsewhere();
}

/* At different IRQLs and with interrupts off, each in a routine of its own. */
static volatile LONG Stuck;

static DECLSPEC_NOINLINE VOID SpinAtSynchLevel(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    KeRaiseIrqlToSynchLevel();
    _disable();
    InterlockedIncrement(&Stuck);
    for (;;)
    {
        YieldProcessor();
    }
}

static DECLSPEC_NOINLINE VOID SpinAtHighLevel(PVOID Context, ULONG Processor)
{
    KIRQL Old;

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    KeRaiseIrql(HIGH_LEVEL, &Old);
    InterlockedIncrement(&Stuck);
    for (;;)
    {
        YieldProcessor();
    }
}

static VOID WhileOthersAreStuck(VOID)
{
    static KT_JOB Jobs[2];

    KtStart(&Jobs[0], 1, SpinAtSynchLevel, NULL);
    KtStart(&Jobs[1], 2, SpinAtHighLevel, NULL);
    KtWaitFor(&Stuck, 2, KT_SECONDS(20));
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)Stuck, 0, 0, 0);
}

/* The report prints the thread's name: here it faults. */
static VOID InTheReport(VOID)
{
    KiGetCurrentPrcb()->CurrentThread->Name = (PCSTR)0x10;
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 0, 0, 0, 0);
}

/* ------------------------------------------------------------------ More exceptions. */

static VOID Breakpoint(VOID)
{
    __asm__ volatile("int3");
    MustNotReturn();
}

/* No canonical address: #GP, not a page fault. */
static VOID ReadNoAddress(VOID)
{
    (void)*(volatile ULONG *)0x8000000000000000ull;
    MustNotReturn();
}

static VOID CallNull(VOID)
{
    VOID (*volatile Null)(VOID) = NULL;

    Null();
    MustNotReturn();
}

static const KT_CASE Cases[] = {
    {"in-service-routine", InServiceRoutine, 0, FALSE},
    {"in-service-routine-on-dpc", InServiceRoutineOnDpc, 0, FALSE},
    {"fault-in-isr", FaultInIsr, 0, FALSE},
    {"L7-isr-forgets-to-lower", IsrForgetsToLower, 0, TRUE},
    {"L7-isr-lowers-too-far", IsrLowersTooFar, 0, TRUE},
    {"dpc-forgets-to-lower", DpcForgetsToLower, 0, TRUE},
    {"raise-downwards", RaiseDownwards, 0, TRUE},
    {"with-lock-held", WithLockHeld, 0, TRUE},
    {"on-another-processor", OnAnotherProcessor, 2, FALSE},
    {"while-others-are-stuck", WhileOthersAreStuck, 3, FALSE},
    {"in-the-report", InTheReport, 0, FALSE},
    {"breakpoint", Breakpoint, 0, FALSE},
    {"read-no-address", ReadNoAddress, 0, FALSE},
    {"call-null", CallNull, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtDeathStacksSuite, "death", Cases);
