/* SPDX-License-Identifier: MIT */
/*
 * apc.c - asynchronous procedure calls: routines that run in the context of a given thread.
 *
 * PURPOSE
 *   A DPC borrows whatever thread its processor runs; an APC has to run in one thread, wherever it
 *   is: running here or on another processor, preempted, or waiting. It runs as soon as that thread
 *   is at PASSIVE_LEVEL on some processor and allows it.
 *
 * HOW IT WORKS
 *   A thread has one list of APCs, first come first, special ones before normal ones. A KAPC is
 *   (Inserted, args):
 *       insert   (FALSE, -) -> (TRUE, args)   FALSE if it was inserted, or the thread takes none
 *       deliver  (TRUE, args) -> (FALSE, -)   unlinked and copied first; then it runs, so that its
 *                                             kernel routine may free it or insert it again
 *       remove   (TRUE, args) -> (FALSE, -)   TRUE exactly if this call did it
 *   Only the thread itself delivers, at APC_LEVEL (KiDeliverApcs), whatever it may run:
 *       special   unless in a guarded region
 *       normal    unless in a guarded or critical region, or behind a normal one in progress
 *   first the kernel routine, at APC_LEVEL; then, if the APC is normal, the normal routine at
 *   PASSIVE_LEVEL, where special APCs may come on top of it, but no normal ones. So deliveries nest
 *   two deep and no deeper.
 *
 *   Due.Apc brings a thread to KiDeliverApcs, or vector 0x1F does. Who inserts chooses by where the
 *   thread is:
 *       current here          Due.Apc: seen when the IRQL falls to PASSIVE_LEVEL, which is within
 *                             the insertion itself if that is where it came from
 *       committed to a wait   (Committed) -> (Apc) if the APC may run: delivers, then waits again
 *       running elsewhere     0x1F straight to that processor, whose APIC holds it while IRQL >= 1
 *       anywhere else         nothing: it has a switch before it, which looks (KiNoteApcs)
 *   A delivery clears Due.Apc before it looks, whether it finds anything or not. What it may not
 *   run is left to what will end the obstacle: the end of the region (region.c), or of the normal
 *   APC in progress, whose own delivery goes on with the list.
 *
 * LOCKS AND IRQL
 *   ApcLock guards the list and everything marked so in KTHREAD. It is held at DISPATCH_LEVEL.
 *   Delivery itself holds nothing, and its thread may be preempted and moved at any point of it, so
 *   no processor's data is kept: Due.Apc is cleared by a single gs: store.
 *
 * ORDERING
 *   Each line is a Dekker pair: both sides store, then look at what the other stores.
 *       insertion: pending, barrier, look at WaitState    KiCommitWait: Committed (locked), look at
 *                                                         pending
 *       insertion: pending, barrier, look at State        KiFinishSwitch: Running, locked exchange,
 *                                                         look at pending
 *       alert: Alerted, barrier, look at WaitState        KiCommitWait: Committed (locked), look at
 *                                                         Alerted
 *   WaitState is looked at first, State afterwards: a thread that has committed is still Running
 *   for a moment, and a vector 0x1F then finds it gone. The end of a region needs no barrier:
 *   see region.c.
 *   Due.Apc is its own processor's: program order is enough. The switch replaces it with what the
 *   new thread needs; a flag left over costs a delivery that finds nothing.
 *
 * FURTHER READING
 *   Microsoft: "Types of APCs", "Disabling APCs", "Waits and APCs". docs/apc.md. Laws L51, L79,
 *   L80; regression R-k.
 */
#include <arch/hal.h>

#include "scheduler.h"
#include "spinlock.h"
#include "twin.h"

VOID KeInitializeApc(PRKAPC Apc, PRKTHREAD Thread, KAPC_ENVIRONMENT Environment,
                     PKKERNEL_ROUTINE KernelRoutine, PKRUNDOWN_ROUTINE RundownRoutine,
                     PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode, PVOID NormalContext)
{
    UNREFERENCED_PARAMETER(Environment); /* there is one address space */
    KI_ASSERT_VALUES(KernelRoutine != NULL, Apc, Thread);
    KI_ASSERT_VALUES(NormalRoutine == NULL || ApcMode == KernelMode, Apc, ApcMode);

    RtlZeroMemory(Apc, sizeof(*Apc));
    Apc->Type = ApcObject;
    Apc->ApcMode = NormalRoutine != NULL ? ApcMode : KernelMode;
    Apc->Thread = Thread;
    Apc->KernelRoutine = KernelRoutine;
    Apc->RundownRoutine = RundownRoutine;
    Apc->NormalRoutine = NormalRoutine;
    Apc->NormalContext = NormalRoutine != NULL ? NormalContext : NULL;
}

/* ----------------------------------------------------------------- The list. All under ApcLock. */

FORCEINLINE BOOLEAN KiIsSpecial(PKAPC Apc)
{
    return Apc->NormalRoutine == NULL;
}

/* Whether the thread could run Apc now, were it at PASSIVE_LEVEL. */
static BOOLEAN KiMayRun(PKTHREAD Thread, PKAPC Apc)
{
    if (Thread->SpecialApcDisable != 0 && !KI_TWIN(KiTwinApcIgnoresGuarded))
    {
        return FALSE;
    }
    if (KiIsSpecial(Apc))
    {
        return TRUE;
    }
    return (Thread->KernelApcDisable == 0 || KI_TWIN(KiTwinApcIgnoresCritical)) &&
           (!Thread->KernelApcInProgress || KI_TWIN(KiTwinApcNests));
}

/* The APC to run next: the first, if it may run; behind one that may not there is none that may. */
static PKAPC KiNextApc(PKTHREAD Thread)
{
    PKAPC Apc;

    if (IsListEmpty(&Thread->ApcListHead))
    {
        return NULL;
    }
    Apc = CONTAINING_RECORD(Thread->ApcListHead.Flink, KAPC, ApcListEntry);
    return KiMayRun(Thread, Apc) ? Apc : NULL;
}

/* (FALSE, -) -> (TRUE, args) */
static VOID KiLinkApc(PKTHREAD Thread, PKAPC Apc, PVOID Argument1, PVOID Argument2)
{
    PLIST_ENTRY Before = Thread->ApcListHead.Blink;

    Apc->SystemArgument1 = Argument1;
    Apc->SystemArgument2 = Argument2;
    Apc->Inserted = TRUE;
    while (KiIsSpecial(Apc) && Before != &Thread->ApcListHead &&
           !KiIsSpecial(CONTAINING_RECORD(Before, KAPC, ApcListEntry)))
    {
        Before = Before->Blink;
    }
    InsertHeadList(Before, &Apc->ApcListEntry); /* behind Before */
    Thread->KernelApcPending = TRUE;
}

/* (TRUE, args) -> (FALSE, -) */
static VOID KiUnlinkApc(PKTHREAD Thread, PKAPC Apc)
{
    RemoveEntryList(&Apc->ApcListEntry);
    Apc->Inserted = FALSE;
    Thread->KernelApcPending = !IsListEmpty(&Thread->ApcListHead);
}

static KIRQL KiLockApcs(PKTHREAD Thread)
{
    KIRQL OldIrql = KiRaiseIrqlToDpcLevel();

    KiAcquireSpinLock(&Thread->ApcLock);
    return OldIrql;
}

static VOID KiUnlockApcs(PKTHREAD Thread, KIRQL OldIrql)
{
    KiReleaseSpinLock(&Thread->ApcLock);
    KiLowerIrql(OldIrql);
}

/* ------------------------------------------------------------------ Insertion. */

/* How a thread is going to be brought to its APCs. */
typedef enum _KI_APC_PATH
{
    KiPathSwitch,    /* a switch or a wait's commit is before it: that looks */
    KiPathCurrent,   /* it runs here */
    KiPathWait,      /* it is committed to a wait */
    KiPathInterrupt, /* it runs on another processor */
} KI_APC_PATH;

/* Stale at once, but never after a look at pending that saw the list empty: see ORDERING. */
static KI_APC_PATH KiChoosePath(PKTHREAD Thread)
{
    KeMemoryBarrier(); /* pairs with: KiCommitWait's commit, KiFinishSwitch's exchange */
    if (Thread == KeGetCurrentThread())
    {
        return KiPathCurrent;
    }
    if (ReadAcquire(&Thread->WaitState) == KI_WAIT_COMMITTED)
    {
        return KiPathWait;
    }
    return ReadAcquire(&Thread->State) == Running ? KiPathInterrupt : KiPathSwitch;
}

/* Takes the path. Under ApcLock; TRUE if the thread's wait has been ended, and the caller is the
 * one to ready it. */
static BOOLEAN KiTakePath(PKTHREAD Thread, KI_APC_PATH Path)
{
    switch (Path)
    {
    case KiPathCurrent:
        if (!KI_TWIN(KiTwinApcNotDue))
        {
            KI_CURRENT_PRCB->Due.Apc = TRUE;
        }
        return FALSE;
    case KiPathWait:
        /* (Committed) -> (Apc). If the wait has become another one meanwhile, the thread has looked
         * by itself, and this wakes it in vain. */
        return Thread->WaitIrql == PASSIVE_LEVEL && KiNextApc(Thread) != NULL &&
               InterlockedCompareExchange(&Thread->WaitState, KI_WAIT_APC, KI_WAIT_COMMITTED) ==
                   KI_WAIT_COMMITTED;
    case KiPathInterrupt:
        HalpSendIpi(ReadULongAcquire(&Thread->Processor), APC_VECTOR);
        return FALSE;
    default:
        return FALSE;
    }
}

BOOLEAN KeInsertQueueApc(PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2,
                         KPRIORITY Increment)
{
    PKTHREAD Thread = Apc->Thread;
    KI_APC_PATH Path = KiPathSwitch;
    BOOLEAN Inserted, Wake = FALSE;
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiLockApcs(Thread);
    Inserted = Thread->ApcQueueable && !Apc->Inserted;
    if (Inserted)
    {
        if (KI_TWIN(KiTwinApcLooksFirst))
        {
            Path = KiChoosePath(Thread);
            KI_TWIN_DELAY(KiTwinApcLooksFirst);
        }
        KiLinkApc(Thread, Apc, SystemArgument1, SystemArgument2);
        if (!KI_TWIN(KiTwinApcLooksFirst))
        {
            Path = KiChoosePath(Thread);
        }
        Wake = KiTakePath(Thread, Path);
    }
    KiReleaseSpinLock(&Thread->ApcLock);
    if (Wake)
    {
        KiUnwaitThread(Thread, Increment);
    }
    KiLowerIrql(OldIrql); /* and if it is the current thread's, it runs here */
    return Inserted;
}

BOOLEAN KeRemoveQueueApc(PRKAPC Apc)
{
    PKTHREAD Thread = Apc->Thread;
    BOOLEAN Removed;
    KIRQL OldIrql;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiLockApcs(Thread);
    Removed = Apc->Inserted;
    if (Removed)
    {
        KiUnlinkApc(Thread, Apc);
    }
    KiUnlockApcs(Thread, OldIrql);
    return Removed;
}

BOOLEAN KiApcIsDeliverable(PKTHREAD Thread)
{
    BOOLEAN Deliverable;
    KIRQL OldIrql;

    if (!Thread->KernelApcPending || Thread->WaitIrql != PASSIVE_LEVEL)
    {
        return FALSE;
    }
    OldIrql = KiLockApcs(Thread);
    Deliverable = KiNextApc(Thread) != NULL;
    KiUnlockApcs(Thread, OldIrql);
    return Deliverable;
}

/* ------------------------------------------------------------------ Delivery, by the thread. */

/* What an APC said when it was taken: once it is out of the list it may change. */
typedef struct _KI_APC_CALL
{
    PKAPC Apc; /* for reports and as an argument; may be freed by its kernel routine */
    PKKERNEL_ROUTINE KernelRoutine;
    PKRUNDOWN_ROUTINE RundownRoutine;
    PKNORMAL_ROUTINE NormalRoutine;
    PVOID NormalContext;
    PVOID Argument1;
    PVOID Argument2;
} KI_APC_CALL, *PKI_APC_CALL;

static VOID KiCopyAndUnlink(PKTHREAD Thread, PKAPC Apc, PKI_APC_CALL Call)
{
    Call->Apc = Apc;
    Call->KernelRoutine = Apc->KernelRoutine;
    Call->RundownRoutine = Apc->RundownRoutine;
    Call->NormalRoutine = Apc->NormalRoutine;
    Call->NormalContext = Apc->NormalContext;
    Call->Argument1 = Apc->SystemArgument1;
    Call->Argument2 = Apc->SystemArgument2;
    KiUnlinkApc(Thread, Apc);
}

/* Takes the next APC; FALSE if there is none that may run. A normal one is in progress from here
 * on. */
static BOOLEAN KiTakeApc(PKTHREAD Thread, PKI_APC_CALL Call)
{
    KIRQL OldIrql = KiLockApcs(Thread);
    PKAPC Apc = KiNextApc(Thread);

    if (Apc != NULL)
    {
        KiCopyAndUnlink(Thread, Apc, Call);
        if (Call->NormalRoutine != NULL)
        {
            Thread->KernelApcInProgress = TRUE;
        }
    }
    KiUnlockApcs(Thread, OldIrql);
    return Apc != NULL;
}

#define KI_IN_KERNEL_ROUTINE 0 /* IRQL_UNEXPECTED_VALUE: both mean that P2..P4 are of an APC */
#define KI_IN_NORMAL_ROUTINE 1
#define KI_WORKER_ROUTINE 1 /* APC_INDEX_MISMATCH: P1 is not a system call */

/* Both region counts, as APC_INDEX_MISMATCH shows them. */
FORCEINLINE ULONG KiRegionCounts(PKTHREAD Thread)
{
    return ((ULONG)(USHORT)Thread->SpecialApcDisable << 16) | (USHORT)Thread->KernelApcDisable;
}

/* A routine must return at the IRQL and in the regions it was called in. */
static VOID KiCheckReturn(PKTHREAD Thread, PKI_APC_CALL Call, PVOID Routine, ULONG Which,
                          KIRQL Expected, ULONG Counts)
{
#if DBG
    KIRQL Irql = KeGetCurrentIrql();

    if (Irql != Expected)
    {
        KeBugCheckEx(IRQL_UNEXPECTED_VALUE, ((ULONG)Irql << 16) | ((ULONG)Expected << 8) | Which,
                     (ULONG_PTR)Call->KernelRoutine, (ULONG_PTR)Call->Apc,
                     (ULONG_PTR)Call->NormalRoutine);
    }
    if (KiRegionCounts(Thread) != Counts)
    {
        KeBugCheckEx(APC_INDEX_MISMATCH, (ULONG_PTR)Routine, 0, KiRegionCounts(Thread),
                     KI_WORKER_ROUTINE);
    }
#else
    UNREFERENCED_PARAMETER(Thread);
    UNREFERENCED_PARAMETER(Call);
    UNREFERENCED_PARAMETER(Routine);
    UNREFERENCED_PARAMETER(Which);
    UNREFERENCED_PARAMETER(Expected);
    UNREFERENCED_PARAMETER(Counts);
#endif
}

static VOID KiRunKernelRoutine(PKTHREAD Thread, PKI_APC_CALL Call)
{
    ULONG Counts = KiRegionCounts(Thread);

    Call->KernelRoutine(Call->Apc, &Call->NormalRoutine, &Call->NormalContext, &Call->Argument1,
                        &Call->Argument2);
    KiCheckReturn(Thread, Call, Call->KernelRoutine, KI_IN_KERNEL_ROUTINE, APC_LEVEL, Counts);
}

/* At PASSIVE_LEVEL, and back. Lowering delivers what special APCs there are: nested. */
static VOID KiRunNormalRoutine(PKTHREAD Thread, PKI_APC_CALL Call)
{
    ULONG Counts = KiRegionCounts(Thread);

    KiLowerIrql(PASSIVE_LEVEL);
    Call->NormalRoutine(Call->NormalContext, Call->Argument1, Call->Argument2);
    KiCheckReturn(Thread, Call, Call->NormalRoutine, KI_IN_NORMAL_ROUTINE, PASSIVE_LEVEL, Counts);
    __writecr8(APC_LEVEL);
}

static VOID KiRunApc(PKTHREAD Thread, PKI_APC_CALL Call)
{
    BOOLEAN Special = Call->NormalRoutine == NULL;

    KiRunKernelRoutine(Thread, Call);
    if (Special)
    {
        return;
    }
    if (Call->NormalRoutine != NULL)
    {
        KiRunNormalRoutine(Thread, Call);
    }
    Thread->KernelApcInProgress = FALSE;
}

VOID KiDeliverApcs(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KI_APC_CALL Call;

    KI_ASSERT_IRQL(APC_LEVEL);
    KI_CURRENT_PRCB->Due.Apc = FALSE;
    while (Thread->KernelApcPending && KiTakeApc(Thread, &Call))
    {
        KiRunApc(Thread, &Call);
    }
}

/* The EOI was sent at entry (trap.asm): what a kernel routine waits for may well need this vector
 * on this processor. The thread may be another than the sender meant, and then there may be
 * nothing: the one he meant was switched to later, and looked. */
VOID KiApcInterrupt(PKTRAP_FRAME Frame)
{
    UNREFERENCED_PARAMETER(Frame);
    KI_CURRENT_PRCB->ApcInterrupts++;
    KiDeliverApcs();
}

/* ------------------------------------------------------------------ The end of a thread. */

/* Takes the first APC, whether it may run or not. */
static BOOLEAN KiTakeFirstApc(PKTHREAD Thread, PKI_APC_CALL Call)
{
    KIRQL OldIrql = KiLockApcs(Thread);
    BOOLEAN Taken = !IsListEmpty(&Thread->ApcListHead);

    if (Taken)
    {
        KiCopyAndUnlink(Thread, CONTAINING_RECORD(Thread->ApcListHead.Flink, KAPC, ApcListEntry),
                        Call);
    }
    KiUnlockApcs(Thread, OldIrql);
    return Taken;
}

static VOID KiRefuseApcs(PKTHREAD Thread)
{
    KIRQL OldIrql = KiLockApcs(Thread);

    Thread->ApcQueueable = FALSE;
    KiUnlockApcs(Thread, OldIrql);
}

/*
 * What was accepted and may run, runs. What is left are normal APCs that a critical region holds
 * back, and which the thread does not live to allow; their owners have to hear of it, for the KAPC
 * is theirs to free: by the rundown routine, which is there for this, or else by the kernel
 * routine, as if it were going to be delivered. The normal routine is not called. The list is
 * finite, since nothing is accepted any more.
 */
VOID KiRundownApcs(PKTHREAD Thread)
{
    KI_APC_CALL Call;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KI_ASSERT_VALUES(Thread == KeGetCurrentThread(), Thread, KeGetCurrentThread());
    if (Thread->SpecialApcDisable != 0)
    {
        PLIST_ENTRY First = Thread->ApcListHead.Flink;

        KeBugCheckEx(
            KERNEL_APC_PENDING_DURING_EXIT,
            Thread->KernelApcPending ? (ULONG_PTR)CONTAINING_RECORD(First, KAPC, ApcListEntry) : 0,
            KiRegionCounts(Thread), PASSIVE_LEVEL, 0);
    }
    KiRefuseApcs(Thread);
    __writecr8(APC_LEVEL);
    KiDeliverApcs();
    while (KiTakeFirstApc(Thread, &Call))
    {
        if (Call.RundownRoutine != NULL)
        {
            KiLowerIrql(PASSIVE_LEVEL);
            Call.RundownRoutine(Call.Apc);
            __writecr8(APC_LEVEL);
        }
        else
        {
            KiRunKernelRoutine(Thread, &Call);
        }
    }
    KiLowerIrql(PASSIVE_LEVEL);
}

/* ------------------------------------------------------------------ Alerts: no call, only the end
 * of an alertable wait. They share the lock and the way of waking. */

/*
 * (Committed) -> (Alerted) under ApcLock, if the wait is alertable; TRUE if the caller has to ready
 * the thread. The wait that was looked at may have ended, and the one that the exchange finds be
 * another. Having won, the outcome is ours and the thread at rest: one that is not alertable is
 * begun again, as after an APC.
 */
static BOOLEAN KiTakeAlertableWait(PKTHREAD Thread)
{
    if (ReadAcquire(&Thread->WaitState) != KI_WAIT_COMMITTED || !Thread->Alertable ||
        InterlockedCompareExchange(&Thread->WaitState, KI_WAIT_ALERTED, KI_WAIT_COMMITTED) !=
            KI_WAIT_COMMITTED)
    {
        return FALSE;
    }
    if (!Thread->Alertable)
    {
        WriteRelease(&Thread->WaitState, KI_WAIT_APC); /* pairs with: KiCommitWait, when readied */
    }
    return TRUE;
}

VOID KiAlertThread(PKTHREAD Thread)
{
    KIRQL OldIrql;
    BOOLEAN Wake;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    OldIrql = KiLockApcs(Thread);
    Thread->Alerted = TRUE;
    KeMemoryBarrier(); /* pairs with: KiCommitWait's commit */
    Wake = KiTakeAlertableWait(Thread);
    KiReleaseSpinLock(&Thread->ApcLock);
    if (Wake)
    {
        KiUnwaitThread(Thread, IO_NO_INCREMENT);
    }
    KiLowerIrql(OldIrql);
}

BOOLEAN KiConsumeAlert(PKTHREAD Thread)
{
    BOOLEAN Alerted;
    KIRQL OldIrql;

    if (!Thread->Alerted)
    {
        return FALSE;
    }
    OldIrql = KiLockApcs(Thread);
    Alerted = Thread->Alerted;
    Thread->Alerted = FALSE;
    KiUnlockApcs(Thread, OldIrql);
    return Alerted;
}
