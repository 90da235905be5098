/* SPDX-License-Identifier: MIT */
/*
 * dpc.c - deferred procedure calls: work that an interrupt leaves for a lower IRQL.
 *
 * PURPOSE
 *   An ISR does what cannot wait and queues the rest. The rest runs at DISPATCH_LEVEL, on the
 *   processor whose queue it is in, one routine at a time, as soon as that processor's IRQL allows.
 *
 * HOW IT WORKS
 *   Each processor has a queue. A KDPC is (queue, args): queue NULL while it is in none.
 *       insert   (NULL, -) -> (q, args)   claimed by compare-exchange under q's lock, so a DPC
 *                                         whose target changes under our feet is in one queue
 *       retire   (q, args) -> (NULL, -)   unlinked and its arguments copied first; then it runs, so
 *                                         it may be queued again, elsewhere even, while it does
 *       remove   (q, args) -> (NULL, -)   under q's lock; TRUE exactly if this call did it
 *   Due.Dpc says that the queue is going to be drained without anybody's further help:
 *       0 -> 1   under the lock, by an insertion that is not content to wait for the next tick
 *       1 -> 0   under the lock, by the drain that has found the queue empty
 *   and whoever sets it also sees to the drain: from another processor by an interrupt, vector 0x2F
 *   straight to the target, whose APIC holds it back while the TPR is at DISPATCH_LEVEL or above;
 *   on the processor itself by nothing at all, for whatever ends its high IRQL - KeLowerIrql, or
 *   the interrupt's exit - looks at Due afterwards (irql.c, trap.asm). A caller below
 *   DISPATCH_LEVEL drains right here, so his Medium DPC has run when KeInsertQueueDpc returns.
 *
 *   Importance decides the end of the queue (High: head) and whether to request:
 *                          own processor                another processor
 *       High, MediumHigh   always                       always
 *       Medium             always                       if deep, or its processor is idle
 *       Low                if deep, or DPCs are rare    if deep, or its processor is idle
 *   Deep is more than KI_MAXIMUM_DPC_QUEUE_DEPTH. What is not requested runs at the next tick of a
 *   busy processor; an idle one has no ticks, hence the exception.
 *
 * LOCKS AND IRQL
 *   A DPC may be queued from any IRQL, so the queue's lock is held with interrupts off, and is last
 *   in rank. Routines run with it released, at DISPATCH_LEVEL, interrupts on, on the DPC stack.
 *
 * ORDERING
 *   Everything is under the lock but two things. DpcData is read by KeRemoveQueueDpc to find which
 *   lock to take, and looked at again once it is held. Due.Dpc is read by its own processor when
 *   it lowers: an insertion there came earlier in its own program order; one from elsewhere sent an
 *   interrupt. pairs with: KiLowerIrql, KiInterruptExit (trap.asm), KiIdleLoop.
 *
 * FURTHER READING
 *   Microsoft: "Introduction to DPC Objects", "Organization of DPC Queues". Models:
 *   tests/models/dpc.pml, flush.pml. docs/dpc.md. Laws L19-L30, L32; regressions R-a to R-e, R-g,
 *   R-r.
 */
#include "ki.h"

#include <arch/hal.h>

#include "clock.h"
#include "dpc.h"
#include "scheduler.h"
#include "spinlock.h"
#include "twin.h"

#define DPC_OBJECT 19 /* KOBJECTS.DpcObject */

VOID KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    RtlZeroMemory(Dpc, sizeof(*Dpc));
    Dpc->Type = DPC_OBJECT;
    Dpc->Importance = MediumImportance;
    Dpc->Number = KI_DPC_UNTARGETED;
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
}

VOID KiInitializeDpcQueue(PKPRCB Prcb)
{
    KiInitializeRankedSpinLock(&Prcb->Dpc.Lock, KiRankDpcQueue);
    InitializeListHead(&Prcb->Dpc.List);
    Prcb->Dpc.Processor = Prcb->Index;
    KiInitializeThreadedDpcs(Prcb);
}

VOID KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance)
{
    Dpc->Importance = (UCHAR)Importance;
}

VOID KeSetTargetProcessorDpc(PRKDPC Dpc, CHAR Number)
{
    if (Number >= 0 && (ULONG)Number < KeQueryActiveProcessorCountEx(0))
    {
        Dpc->Number = (USHORT)Number;
    }
}

NTSTATUS KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber)
{
    ULONG Index = KeGetProcessorIndexFromNumber(ProcNumber);

    if (Index == INVALID_PROCESSOR_INDEX)
    {
        return STATUS_INVALID_PARAMETER;
    }
    Dpc->Number = (USHORT)Index;
    return STATUS_SUCCESS;
}

FORCEINLINE PKPRCB KiOwner(PKI_DPC_QUEUE Queue)
{
    return CONTAINING_RECORD(Queue, KPRCB, Dpc);
}

/* Whether this insertion wants the queue drained now. Under the queue's lock. */
static BOOLEAN KiWantsDrain(PKPRCB Prcb, PKI_DPC_QUEUE Queue, UCHAR Importance)
{
    BOOLEAN Own = Queue == &Prcb->Dpc;

    if (Own && Importance == MediumImportance)
    {
        return TRUE;
    }
    if (Importance == HighImportance || Importance == MediumHighImportance)
    {
        return TRUE;
    }
    return Queue->Depth > KI_MAXIMUM_DPC_QUEUE_DEPTH || Queue->Idle ||
           (Own && Prcb->DpcRate < KI_MINIMUM_DPC_RATE);
}

/*
 * Sees to it that a queue whose Due.Dpc flag this processor has set gets drained. Interrupts
 * were Enabled and are still off. With interrupts off below DISPATCH_LEVEL nothing of ours comes
 * after, so the APIC remembers for us. Out of line: an ISR's insertion has nothing to do here.
 */
static DECLSPEC_NOINLINE VOID KiDispatchRequest(PKPRCB Prcb, PKI_DPC_QUEUE Queue, BOOLEAN Enabled)
{
    if (Queue != &Prcb->Dpc)
    {
        HalpSendIpi(Queue->Processor, DISPATCH_VECTOR);
        ArchRestoreInterrupts(Enabled);
    }
    else if (!Enabled)
    {
        HalpSendIpiSelf(DISPATCH_VECTOR);
    }
    else
    {
        _enable();
        KiServeAfterLower(KeGetCurrentIrql());
    }
}

BOOLEAN KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    BOOLEAN Request = FALSE;
    BOOLEAN Enabled, Inserted;
    PKI_DPC_QUEUE Queue;
    PKPRCB Prcb;
    USHORT Number;

#if DBG
    if (Dpc->DeferredRoutine == NULL)
    {
        KeBugCheckEx(TIMER_OR_DPC_INVALID, 0, (ULONG_PTR)Dpc, 0, 0);
    }
#endif
    if (Dpc->Type == ThreadedDpcObject)
    {
        return KiInsertThreadedDpc(Dpc, SystemArgument1, SystemArgument2);
    }
    Enabled = ArchDisableInterrupts();
    Prcb = KiGetCurrentPrcb();
    Number = Dpc->Number;
    Queue = Number == KI_DPC_UNTARGETED ? &Prcb->Dpc : &KiProcessorBlock[Number]->Dpc;

    KiAcquireSpinLock(&Queue->Lock);
    Inserted = KiLinkDpc(Queue, Dpc, SystemArgument1, SystemArgument2);
    /* What another processor requested here is still on its way; ours must not wait for it. */
    if (Inserted && (KiOwner(Queue)->Due.Dpc ? Queue == &Prcb->Dpc
                                             : KiWantsDrain(Prcb, Queue, Dpc->Importance)))
    {
        KiOwner(Queue)->Due.Dpc = TRUE;
        Request = TRUE;
    }
    KiReleaseSpinLock(&Queue->Lock);

    /* On the processor itself at a high IRQL a request needs nothing: see HOW IT WORKS. */
    if (Request && (Queue != &Prcb->Dpc || KeGetCurrentIrql() < DISPATCH_LEVEL))
    {
        KiDispatchRequest(Prcb, Queue, Enabled);
    }
    else
    {
        ArchRestoreInterrupts(Enabled);
    }
    return Inserted;
}

/* A DPC seen in a queue that is in another when that queue's lock is held was in none between. */
BOOLEAN KeRemoveQueueDpc(PRKDPC Dpc)
{
    BOOLEAN Enabled = ArchDisableInterrupts();
    BOOLEAN Removed = FALSE;
    PKI_DPC_QUEUE Queue = ReadPointerAcquire(&Dpc->DpcData);

    if (Queue != NULL)
    {
        KiAcquireSpinLock(&Queue->Lock);
        if (Dpc->DpcData == Queue)
        {
            KiUnlinkDpc(Queue, Dpc);
            Removed = TRUE;
        }
        KiReleaseSpinLock(&Queue->Lock);
    }
    ArchRestoreInterrupts(Enabled);
    return Removed;
}

/* The queue is empty, its lock held, interrupts off: undoes all three. Due.Dpc is cleared under
 * the lock: the one instant at which a later insertion must ask again. */
FORCEINLINE VOID KiEndDrain(PKI_DPC_QUEUE Queue)
{
    if (!KI_TWIN(KiTwinDpcFlagUnlocked))
    {
        KiOwner(Queue)->Due.Dpc = FALSE;
    }
    KiReleaseSpinLock(&Queue->Lock);
    _enable();

    if (KI_TWIN(KiTwinDpcFlagUnlocked))
    {
        KI_TWIN_DELAY(KiTwinDpcFlagUnlocked);
        KiOwner(Queue)->Due.Dpc = FALSE;
    }
}

/* Takes the first DPC, or ends the drain and returns NULL. */
FORCEINLINE PKDPC KiTakeDpc(PKI_DPC_QUEUE Queue, PKI_DPC_CALL Call)
{
    PKDPC Dpc;

    _disable();
    KiAcquireSpinLock(&Queue->Lock);
    if (IsListEmpty(&Queue->List))
    {
        KiEndDrain(Queue);
        return NULL;
    }
    Dpc = KiFirstDpc(Queue, Call);
    if (!KI_TWIN(KiTwinDpcRunsQueued))
    {
        KiUnlinkDpc(Queue, Dpc);
    }
    KiReleaseSpinLock(&Queue->Lock);
    _enable();
    return Dpc;
}

static VOID KiFinishTwin(PKI_DPC_QUEUE Queue, PKDPC Dpc)
{
    _disable();
    KiAcquireSpinLock(&Queue->Lock);
    KiUnlinkDpc(Queue, Dpc);
    KiReleaseSpinLock(&Queue->Lock);
    _enable();
}

/* An idle processor has no tick; while it runs DPCs it needs one, for the watchdog. */
static DECLSPEC_NOINLINE VOID KiTickForDpcs(PKPRCB Prcb)
{
    _disable();
    KiStartTick(Prcb);
    _enable();
}

/* On the DPC stack. */
static VOID KiRunDpcs(PVOID Context)
{
    PKPRCB Prcb = Context;
    KI_DPC_CALL Call;
    PKDPC Dpc;

    Prcb->DpcRoutineActive = TRUE;
    if (Prcb->Due.Timer)
    {
        KiExpireTimers(Prcb);
    }
    while ((Dpc = KiTakeDpc(&Prcb->Dpc, &Call)) != NULL)
    {
#if DBG
        PVOID ExtendedState = Prcb->CurrentThread->ExtendedState;
#endif

        Prcb->RunningDpc = Dpc;
        if (Prcb->NextTick == MAXULONG64)
        {
            KiTickForDpcs(Prcb);
        }
        Call.Routine(Dpc, Call.Context, Call.Argument1, Call.Argument2);
#if DBG
        if (KeGetCurrentIrql() != DISPATCH_LEVEL)
        {
            KeBugCheckEx(IRQL_UNEXPECTED_VALUE,
                         ((ULONG_PTR)KeGetCurrentIrql() << 16) | (DISPATCH_LEVEL << 8),
                         (ULONG_PTR)Call.Routine, (ULONG_PTR)Dpc, 0);
        }
        KiCheckExtendedState(ExtendedState);
#endif
        Prcb->DpcCount++;
        if (KI_TWIN(KiTwinDpcRunsQueued))
        {
            KiFinishTwin(&Prcb->Dpc, Dpc);
        }
    }
    Prcb->RunningDpc = NULL;
    Prcb->DpcRoutineActive = FALSE;
}

VOID KiRetireDpcList(VOID)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KI_ASSERT_VALUES(!Prcb->DpcRoutineActive, Prcb->Index, Prcb->RunningDpc);
    ArchCallOnStack(Prcb, KiRunDpcs, CONTAINING_RECORD(Prcb, KI_PROCESSOR, Prcb)->Pcr.DpcStack);
}

BOOLEAN KeIsExecutingDpc(VOID)
{
    return KI_CURRENT_PRCB->DpcRoutineActive;
}
