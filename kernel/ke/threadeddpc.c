/* SPDX-License-Identifier: MIT */
/*
 * threadeddpc.c - DPCs that run in a thread.
 *
 * PURPOSE
 *   An ordinary DPC holds up every thread of its processor, real-time ones included, and all other
 *   DPCs. A threaded one runs at PASSIVE_LEVEL in a thread of priority 31, which waits in turn for
 *   interrupts and ordinary DPCs only.
 *
 * HOW IT WORKS
 *   Each processor has a second queue, and a thread bound to the processor that runs it empty. A
 *   KDPC's life is the same as in dpc.c, with this queue's address in DpcData, so
 *   KeRemoveQueueDpc makes no difference between the two.
 *   An insertion comes from any IRQL, where no event may be set, so an ordinary DPC, Wake, does it:
 *       insert      lock: (..., FALSE) -> (... + dpc, TRUE), unlock; was FALSE: queue Wake
 *       Wake        set Event
 *       thread      wait for Event; then again and again
 *                       lock: (dpc + ..., TRUE) -> (..., TRUE), unlock, run dpc
 *                       lock: (empty, TRUE) -> (empty, FALSE), unlock, back to the wait
 *   The pair is (list, Awake). Awake TRUE means that somebody is between queueing Wake and the
 *   thread's look at the empty list, so it will see what is linked now. Wake may be still queued
 *   from an earlier round when it is to be queued again: then it runs after this link, and that is
 *   all that is asked of it. An Event too many makes the thread look in vain.
 *
 * LOCKS AND IRQL
 *   The queue's lock as in dpc.c: interrupts off, last in rank. From the link to the queueing of
 *   Wake the inserter is at DISPATCH_LEVEL or above: preempted in between, it would hold up the
 *   DPC for as long as it does not run.
 *
 * ORDERING
 *   Everything is under the lock, or follows from KeInsertQueueDpc's promise that what was written
 *   before the insertion is seen by the routine. pairs with: KiWakeDpcThread.
 *
 * FURTHER READING
 *   Microsoft: "Introduction to Threaded DPCs", "Synchronization and Threaded DPCs". docs/dpc.md.
 *   Laws L19-L22, L25, L26, L28, L29.
 */
#include <ex.h>
#include <mi.h>

#include "dpc.h"
#include "spinlock.h"

#define TAG_DPC_THREAD 'tcpD'

VOID KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    KeInitializeDpc(Dpc, DeferredRoutine, DeferredContext);
    Dpc->Type = ThreadedDpcObject;
}

/* Wake's routine, on the processor whose thread it wakes. */
static VOID KiWakeDpcThread(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PKI_THREADED_DPCS Threaded = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&Threaded->Event, IO_NO_INCREMENT, FALSE);
}

VOID KiInitializeThreadedDpcs(PKPRCB Prcb)
{
    PKI_THREADED_DPCS Threaded = &Prcb->Threaded;

    KiInitializeRankedSpinLock(&Threaded->Queue.Lock, KiRankDpcQueue);
    InitializeListHead(&Threaded->Queue.List);
    Threaded->Queue.Processor = Prcb->Index;
    KeInitializeEvent(&Threaded->Event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Threaded->Wake, KiWakeDpcThread, Threaded);
    Threaded->Wake.Importance = MediumHighImportance; /* at once, from any processor */
    Threaded->Wake.Number = (USHORT)Prcb->Index;
}

BOOLEAN KiInsertThreadedDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    KIRQL OldIrql = KiRaiseIrqlToDpcLevel(); /* see LOCKS AND IRQL; no change from above */
    BOOLEAN Enabled = ArchDisableInterrupts();
    USHORT Number = Dpc->Number;
    PKPRCB Prcb = Number == KI_DPC_UNTARGETED ? KiGetCurrentPrcb() : KiProcessorBlock[Number];
    PKI_THREADED_DPCS Threaded = &Prcb->Threaded;
    BOOLEAN Inserted, Wake;

    KiAcquireSpinLock(&Threaded->Queue.Lock);
    Inserted = KiLinkDpc(&Threaded->Queue, Dpc, SystemArgument1, SystemArgument2);
    Wake = Inserted && !Threaded->Awake;
    if (Wake)
    {
        Threaded->Awake = TRUE;
    }
    KiReleaseSpinLock(&Threaded->Queue.Lock);
    ArchRestoreInterrupts(Enabled);
    if (Wake)
    {
        KeInsertQueueDpc(&Threaded->Wake, NULL, NULL);
    }
    KiLowerIrql(OldIrql);
    return Inserted;
}

/* Takes the first DPC; or notes that the thread is going to wait, and returns NULL. */
static PKDPC KiTakeThreadedDpc(PKI_THREADED_DPCS Threaded, PKI_DPC_CALL Call)
{
    PKDPC Dpc = NULL;

    _disable();
    KiAcquireSpinLock(&Threaded->Queue.Lock);
    if (IsListEmpty(&Threaded->Queue.List))
    {
        Threaded->Awake = FALSE;
    }
    else
    {
        Dpc = KiFirstDpc(&Threaded->Queue, Call);
        KiUnlinkDpc(&Threaded->Queue, Dpc);
    }
    KiReleaseSpinLock(&Threaded->Queue.Lock);
    _enable();
    return Dpc;
}

static VOID KiDpcThread(PVOID Context)
{
    PKI_THREADED_DPCS Threaded = Context;
    KI_DPC_CALL Call;
    PKDPC Dpc;

    for (;;)
    {
        while ((Dpc = KiTakeThreadedDpc(Threaded, &Call)) != NULL)
        {
            Call.Routine(Dpc, Call.Context, Call.Argument1, Call.Argument2);
#if DBG
            if (KeGetCurrentIrql() != PASSIVE_LEVEL)
            {
                KeBugCheckEx(IRQL_UNEXPECTED_VALUE, (ULONG_PTR)KeGetCurrentIrql() << 16,
                             (ULONG_PTR)Call.Routine, (ULONG_PTR)Dpc, 0);
            }
#endif
            Threaded->RunCount++;
        }
        KeWaitForSingleObject(&Threaded->Event, Executive, KernelMode, FALSE, NULL);
    }
}

VOID KiStartDpcThreads(VOID)
{
    for (ULONG Index = 0; Index < KiProcessorCount; Index++)
    {
        PKPRCB Prcb = KiProcessorBlock[Index];
        PVOID Stack = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, Prcb->Node);
        PKTHREAD Thread = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
                                          sizeof(*Thread), TAG_DPC_THREAD);

        if (Stack == NULL || Thread == NULL)
        {
            KeBugCheckEx(PHASE0_INITIALIZATION_FAILED, Index, (ULONG_PTR)Stack, (ULONG_PTR)Thread,
                         0);
        }
        KiInitializeThread(Thread, Stack, MI_KERNEL_STACK_SIZE, "dpc", KiDpcThread, &Prcb->Threaded,
                           HIGH_PRIORITY, NULL);
        KiBindThread(Thread, Index);
        Prcb->Threaded.Thread = Thread;
        KiStartThread(Thread);
    }
}
