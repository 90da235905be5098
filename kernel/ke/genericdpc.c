/* SPDX-License-Identifier: MIT */
/*
 * genericdpc.c - one routine on every processor, in a DPC, with a barrier to meet at.
 *
 * PURPOSE
 *   KeIpiGenericCall stops all processors at IPI_LEVEL; that is too high for work that takes locks
 *   or queues things. KeGenericCallDpc does the same at DISPATCH_LEVEL.
 *
 * HOW IT WORKS
 *   The caller queues a High DPC to every processor and waits for an event; the last of them to say
 *   Done sets it. In between they may meet, as often as they like:
 *       (arrived, round) -> (arrived + 1, round)   each, locked add; waits for the round to change
 *       (n - 1, round)   -> (0, round + 1)         the last: it is the one who gets TRUE
 *   arrived is 0 again before anybody can begin the next round.
 *
 *   All of them have to run at the same time, or the barrier never opens:
 *   - One call at a time, by a lock: two calls could be queued in different orders.
 *   - All are queued before any can run here: the caller is at DISPATCH_LEVEL meanwhile. Below, an
 *     insertion into its own queue would run at once and wait for those not queued yet.
 *   - Before ours in a queue there may be other DPCs; they end, since no DPC may wait for a thread
 *     or for another DPC. One that starts a rendezvous is answered by those who wait at the
 *     barrier, for their interrupts are on.
 *   - Who spins at DISPATCH_LEVEL for a lock: the holder is at DISPATCH_LEVEL too, so no DPC of
 *     ours can be on top of it, and it lets go.
 *   Somebody who never comes is the DPC watchdog's case (watchdog.c).
 *
 * LOCKS AND IRQL
 *   KiCallDpcFree is an event used as a lock, taken at APC_LEVEL, so that no APC of the holder's
 *   thread comes to wait for it. The state below belongs to its holder and his DPCs.
 *
 * ORDERING
 *   Locked adds, and Round by release and acquire: what was written before the barrier is seen
 *   after it. pairs with: KeSignalCallDpcSynchronize. Done by the event.
 *
 * FURTHER READING
 *   docs/dpc.md. Law L33; regression R-f.
 */
#include "ki.h"
#include "twin.h"

static KEVENT KiCallDpcFree = {
    .Header = {.Lock = KI_RANKED_SPIN_LOCK(KiRankDispatcher),
               .Type = EventSynchronizationObject,
               .SignalState = TRUE,
               .WaitListHead = {&KiCallDpcFree.Header.WaitListHead,
                                &KiCallDpcFree.Header.WaitListHead}},
};
static KEVENT KiCallDpcDone = {
    .Header = {.Lock = KI_RANKED_SPIN_LOCK(KiRankDispatcher),
               .Type = EventSynchronizationObject,
               .SignalState = FALSE,
               .WaitListHead = {&KiCallDpcDone.Header.WaitListHead,
                                &KiCallDpcDone.Header.WaitListHead}},
};

/* Members: the caller, before the DPCs. The rest: the DPCs. */
typedef struct _KI_CALL_BARRIER
{
    LONG Members;
    volatile LONG Arrived;
    volatile LONG Round;
} KI_CALL_BARRIER, *PKI_CALL_BARRIER;

static KI_CALL_BARRIER KiCallDpcBarrier;
static volatile LONG KiCallDpcPending; /* the caller, before the DPCs; then they, locked add */

static VOID KiQueueCallDpc(ULONG Processor, PKDEFERRED_ROUTINE Routine, PVOID Context)
{
    PKDPC Dpc = &KiProcessorBlock[Processor]->CallDpc;

    KeInitializeDpc(Dpc, Routine, Context);
    Dpc->Importance = HighImportance;
    Dpc->Number = (USHORT)Processor;
    KeInsertQueueDpc(Dpc, (PVOID)&KiCallDpcPending, &KiCallDpcBarrier);
}

/* At DISPATCH_LEVEL: see HOW IT WORKS. */
static VOID KiQueueCallDpcs(PKDEFERRED_ROUTINE Routine, PVOID Context)
{
    BOOLEAN HereOnly = KI_TWIN(KiTwinCallHereOnly);
    ULONG First = HereOnly ? KeGetCurrentProcessorIndex() : 0;
    ULONG End = HereOnly ? First + 1 : KiProcessorCount;

    KiCallDpcBarrier.Members = (LONG)(End - First);
    KiCallDpcBarrier.Arrived = 0;
    WriteRelease(&KiCallDpcPending, (LONG)(End - First)); /* pairs with: KeSignalCallDpcDone */
    for (ULONG Processor = First; Processor < End; Processor++)
    {
        KiQueueCallDpc(Processor, Routine, Context);
    }
}

VOID KeGenericCallDpc(PKDEFERRED_ROUTINE Routine, PVOID Context)
{
    KIRQL OldIrql, QueueIrql;

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KeRaiseIrql(APC_LEVEL, &OldIrql);
    KeWaitForSingleObject(&KiCallDpcFree, Executive, KernelMode, FALSE, NULL);
    QueueIrql = KiRaiseIrqlToDpcLevel();
    KiQueueCallDpcs(Routine, Context);
    KiLowerIrql(QueueIrql);
    KeWaitForSingleObject(&KiCallDpcDone, Executive, KernelMode, FALSE, NULL);
    KeSetEvent(&KiCallDpcFree, IO_NO_INCREMENT, FALSE);
    KeLowerIrql(OldIrql);
}

VOID KeSignalCallDpcDone(PVOID SystemArgument1)
{
    LONG Left = InterlockedDecrement((volatile LONG *)SystemArgument1);

    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    KI_ASSERT_VALUES(Left >= 0, Left, KiCallDpcBarrier.Members);
    if (Left == 0)
    {
        KeSetEvent(&KiCallDpcDone, IO_NO_INCREMENT, FALSE);
    }
}

LOGICAL KeSignalCallDpcSynchronize(PVOID SystemArgument2)
{
    PKI_CALL_BARRIER Barrier = SystemArgument2;
    LONG Round = ReadAcquire(&Barrier->Round);

    KI_ASSERT_IRQL(DISPATCH_LEVEL);
    if (KI_TWIN(KiTwinBarrierOnce))
    {
        LONG Arrived = InterlockedIncrement(&Barrier->Arrived);

        while (ReadAcquire(&Barrier->Arrived) < Barrier->Members)
        {
            YieldProcessor();
        }
        return Arrived == Barrier->Members;
    }
    if (InterlockedIncrement(&Barrier->Arrived) == Barrier->Members)
    {
        Barrier->Arrived = 0;
        WriteRelease(&Barrier->Round, Round + 1); /* pairs with: the others' loop */
        return TRUE;
    }
    while (ReadAcquire(&Barrier->Round) == Round) /* pairs with: the last one's release */
    {
        YieldProcessor();
    }
    return FALSE;
}
