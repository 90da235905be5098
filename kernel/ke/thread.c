/* SPDX-License-Identifier: MIT */
/*
 * thread.c - a thread's beginning and end.
 *
 * A new thread is given a stack that looks as if it had been switched away from just before its
 * first routine; the rest is the scheduler's. One that ends signals itself, and the processor that
 * then switches away from it hands it to the reaper (switch.c). Microsoft: "Creating System
 * Threads"; the routines for drivers are in kernel/ps.
 */
#include <arch/hal.h>
#include <mi.h>

#include "switch.h"
#include "wait.h"

#define SAVED_REGISTERS 6 /* switch.asm */

/* On the stack of a thread that is not running, lowest address first. */
typedef struct _KI_START_FRAME
{
    ULONG64 Registers[SAVED_REGISTERS]; /* the last is RBP: 0 ends backtraces */
    VOID (*Return)(VOID);
} KI_START_FRAME, *PKI_START_FRAME;

C_ASSERT(sizeof(KI_START_FRAME) % 16 == 8); /* KiThreadEntry's RSP is the stack's top: aligned */

/* What idle threads have too. */
VOID KiInitializeThreadObject(PKTHREAD Thread, PVOID StackTop, SIZE_T StackBytes, PCSTR Name)
{
    RtlZeroMemory(Thread, sizeof(*Thread));
    KiInitializeHeader(&Thread->Header, ThreadObject, 0);
    KiInitializeRankedSpinLock(&Thread->Lock, KiRankThread);
    KiInitializeRankedSpinLock(&Thread->ApcLock, KiRankApc);
    InitializeListHead(&Thread->MutantListHead);
    InitializeListHead(&Thread->ApcListHead);
    KiInitializeHeader(&Thread->Timer.Header, KI_TIMEOUT_OBJECT, 0);
    Thread->Name = Name;
    Thread->StackCanary = KiNewStackCanary();
    Thread->InitialStack = StackTop;
    Thread->StackBytes = StackBytes;
    Thread->Quantum = KI_QUANTUM;
}

VOID KiInitializeThread(PKTHREAD Thread, PVOID StackTop, SIZE_T StackBytes, PCSTR Name,
                        VOID (*StartRoutine)(PVOID Context), PVOID StartContext, KPRIORITY Priority,
                        const GROUP_AFFINITY *Affinity)
{
    PKI_START_FRAME Frame = (PKI_START_FRAME)StackTop - 1;

    KI_ASSERT_VALUES(Priority >= 1 && Priority <= HIGH_PRIORITY, Priority, Thread);
    KiInitializeThreadObject(Thread, StackTop, StackBytes, Name);
    RtlZeroMemory(Frame, sizeof(*Frame));
    Frame->Return = KiThreadEntry;
    Thread->KernelStack = Frame;
    Thread->StartRoutine = (PVOID)StartRoutine;
    Thread->StartContext = StartContext;
    Thread->Priority = Thread->BasePriority = (SCHAR)Priority;
    Thread->Processor = Thread->IdealProcessor = KeGetCurrentProcessorIndex();
    if (Affinity != NULL)
    {
        Thread->Affinity = *Affinity;
    }
    else
    {
        Thread->Affinity.Group = (USHORT)(Thread->Processor / MAXIMUM_PROC_PER_GROUP);
        Thread->Affinity.Mask = KeQueryGroupAffinity(Thread->Affinity.Group);
    }
    Thread->UserAffinity = Thread->Affinity;
    Thread->KernelApcDisable = -1;
}

VOID KiStartThread(PKTHREAD Thread)
{
    KIRQL OldIrql = KiRaiseIrqlToDpcLevel();

    KI_ASSERT_VALUES(Thread->State == Initialized, Thread, Thread->State);
    Thread->ApcQueueable = TRUE;
    KiReadyThread(Thread);
    KiLowerIrql(OldIrql);
}

BOOLEAN KiRunThread(PKTHREAD Thread, PCSTR Name, VOID (*StartRoutine)(PVOID Context),
                    KPRIORITY Priority)
{
    PVOID StackTop = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);

    if (StackTop == NULL)
    {
        return FALSE;
    }
    KiInitializeThread(Thread, StackTop, MI_KERNEL_STACK_SIZE, Name, StartRoutine, NULL, Priority,
                       NULL);
    KiStartThread(Thread);
    return TRUE;
}

/* A mutex must not be held by nobody; a mutant tells its next owner. */
static VOID KiAbandonMutants(PKTHREAD Thread)
{
    while (!IsListEmpty(&Thread->MutantListHead))
    {
        PKMUTANT Mutant = CONTAINING_RECORD(Thread->MutantListHead.Flink, KMUTANT, MutantListEntry);

        if (Mutant->ApcDisable != 0)
        {
            KeBugCheckEx(THREAD_TERMINATE_HELD_MUTEX, (ULONG_PTR)Thread, (ULONG_PTR)Mutant, 0, 0);
        }
        KeReleaseMutant(Mutant, MUTANT_INCREMENT, TRUE, FALSE);
    }
}

VOID KiTerminateThread(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KI_SIGNAL Signal;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KiCheckExtendedState(NULL);
    KiAbandonMutants(Thread);
    KiRundownApcs(Thread);
    KiAbandonMutants(Thread); /* which the last APCs may have taken */
    KiDisassociateQueue(Thread);

    KiBeginSignal(&Signal, &Thread->Header);
    Thread->Header.SignalState = 1;
    KiReleaseWaiters(&Signal);
    KiEndSignal(&Signal, IO_NO_INCREMENT, TRUE); /* no way back below DISPATCH_LEVEL */
    KiSwapThread(Terminated);
    KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, KI_ASSERTION_FAILED, (ULONG_PTR)Thread, 0, 0);
}
