/* SPDX-License-Identifier: MIT */
/* apckit.c - see apckit.h. */
#include "apckit.h"

static volatile LONG NextOrder;

static VOID NormalRoutine(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2);

/* A special APC's test passes nothing in NormalContext, a normal one's kernel routine passes the
 * KT_APC on to its normal routine there, and keeps what was in it. */
static VOID KernelRoutine(PKAPC KernelApc, PKNORMAL_ROUTINE *Normal, PVOID *NormalContext,
                          PVOID *SystemArgument1, PVOID *SystemArgument2)
{
    PKT_APC Apc = CONTAINING_RECORD(KernelApc, KT_APC, Apc);

    KT_CHECK(!KernelApc->Inserted, "APC %p is still inserted", KernelApc);
    Apc->Thread = KeGetCurrentThread();
    Apc->Processor = KeGetCurrentProcessorIndex();
    Apc->KernelIrql = KeGetCurrentIrql();
    Apc->NormalContext = *NormalContext;
    Apc->Argument1 = *SystemArgument1;
    Apc->Argument2 = *SystemArgument2;
    Apc->Order = InterlockedIncrement(&NextOrder);
    if (*Normal != NULL)
    {
        *NormalContext = Apc;
    }
    if (Apc->OnKernel != NULL)
    {
        Apc->OnKernel(Apc);
    }
    InterlockedIncrement(&Apc->KernelRuns);
}

static VOID NormalRoutine(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PKT_APC Apc = NormalContext;

    Apc->NormalIrql = KeGetCurrentIrql();
    KT_CHECK(SystemArgument1 == Apc->Argument1 && SystemArgument2 == Apc->Argument2,
             "%p %p are not what the kernel routine passed on", SystemArgument1, SystemArgument2);
    KT_CHECK(KeGetCurrentThread() == Apc->Apc.Thread, "another thread");
    if (Apc->OnNormal != NULL)
    {
        Apc->OnNormal(Apc);
    }
    InterlockedIncrement(&Apc->NormalRuns);
}

static VOID RundownRoutine(PKAPC KernelApc)
{
    PKT_APC Apc = CONTAINING_RECORD(KernelApc, KT_APC, Apc);

    Apc->RundownIrql = KeGetCurrentIrql();
    Apc->Thread = KeGetCurrentThread();
    InterlockedIncrement(&Apc->Rundowns);
}

VOID KtInitializeSpecialApc(PKT_APC Apc, PKTHREAD Thread)
{
    RtlZeroMemory(Apc, sizeof(*Apc));
    KeInitializeApc(&Apc->Apc, Thread, OriginalApcEnvironment, KernelRoutine, RundownRoutine, NULL,
                    KernelMode, NULL);
}

VOID KtInitializeNormalApc(PKT_APC Apc, PKTHREAD Thread, PVOID NormalContext)
{
    RtlZeroMemory(Apc, sizeof(*Apc));
    KeInitializeApc(&Apc->Apc, Thread, OriginalApcEnvironment, KernelRoutine, RundownRoutine,
                    NormalRoutine, KernelMode, NormalContext);
}

BOOLEAN KtInsertApc(PKT_APC Apc)
{
    return KeInsertQueueApc(&Apc->Apc, NULL, NULL, IO_NO_INCREMENT);
}

VOID KtResetApcOrder(VOID)
{
    NextOrder = 0;
}

SHORT KtLeaveRegions(VOID)
{
    SHORT Depth = KeGetCurrentThread()->KernelApcDisable;

    for (SHORT Left = Depth; Left < 0; Left++)
    {
        KeLeaveCriticalRegion();
    }
    return Depth;
}

VOID KtEnterRegions(SHORT Depth)
{
    for (SHORT Left = Depth; Left < 0; Left++)
    {
        KeEnterCriticalRegion();
    }
}

/* ------------------------------------------------------------------ Targets. */

static VOID RunTarget(PVOID Context)
{
    PKT_TARGET Target = Context;
    SHORT Depth = KtLeaveRegions();

    WriteRelease(&Target->Ready, TRUE);
    Target->Body(Target);
    KtEnterRegions(Depth);
}

BOOLEAN KtStartTarget(PKT_TARGET Target, ULONG Processor, VOID (*Body)(PKT_TARGET Target))
{
    Target->Body = Body;
    Target->Thread = &Target->Own.Thread;
    Target->Ready = Target->Rounds = Target->Stop = 0;
    Target->Status = STATUS_PENDING;
    KeInitializeEvent(&Target->Event, SynchronizationEvent, FALSE);
    KtCreateThread(&Target->Own, RunTarget, Target, KI_DEFAULT_PRIORITY, Processor);
    if (KtAwait(&Target->Ready, TRUE))
    {
        return TRUE;
    }
    KT_CHECK(FALSE, "the thread on CPU %u did not begin", Processor);
    return FALSE;
}

VOID KtStopTarget(PKT_TARGET Target)
{
    WriteRelease(&Target->Stop, TRUE);
    KeSetEvent(&Target->Event, IO_NO_INCREMENT, FALSE);
    KtJoinThread(&Target->Own);
}

/* Mostly a pause: an emulator serializes what touches the APIC, the IRQL too, and a loop of that
 * keeps the others from their interrupts. */
static VOID GiveWay(VOID)
{
    if (!KiYieldThread())
    {
        for (ULONG Pause = 0; Pause < 100; Pause++)
        {
            YieldProcessor();
        }
    }
}

BOOLEAN KtAwait(volatile LONG *Value, LONG Wanted)
{
    ULONG64 End = KtNow() + KT_APC_LIMIT;

    while (ReadAcquire(Value) < Wanted)
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
        GiveWay();
    }
    return TRUE;
}

BOOLEAN KtAwaitCommitted(PKTHREAD Thread)
{
    ULONG64 End = KtNow() + KT_APC_LIMIT;

    while (ReadAcquire(&Thread->WaitState) != KI_WAIT_COMMITTED ||
           ReadAcquire(&Thread->State) != Waiting)
    {
        if (KtNow() > End)
        {
            return FALSE;
        }
        GiveWay();
    }
    return TRUE;
}

VOID KtTargetSpins(PKT_TARGET Target)
{
    while (!ReadAcquire(&Target->Stop))
    {
        Target->Rounds++;
        YieldProcessor();
    }
}

VOID KtTargetWaits(PKT_TARGET Target)
{
    LONG Status = KeWaitForSingleObject(&Target->Event, Executive, KernelMode, FALSE, NULL);

    WriteRelease(&Target->Status, Status);
    Target->Rounds = 1;
}
