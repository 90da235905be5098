/* SPDX-License-Identifier: MIT */
/*
 * ready.c - threads that could run: which processor each waits for, and how idle ones find them.
 *
 * PURPOSE
 *   Each processor has its own queues of ready threads, one for each priority, under its own lock.
 *   A thread that becomes ready is put where it can run soonest; a processor without one takes one
 *   from another.
 *
 * HOW IT WORKS
 *   KiReadyThread chooses, among the processors of the thread's affinity:
 *       1. an idle one, its last or ideal one first: claimed by clearing its bit in the idle mask,
 *          so that two threads made ready at once get two processors
 *       2. its last one, or its ideal one, where it would preempt what runs
 *       3. its last one, to wait there
 *   and asks that processor to reschedule if the thread is better than what runs there. A thread
 *   that has to wait may still be wanted: by a processor that became idle after the choice. So the
 *   mask is read again after the thread is in its queue, and who is found idle is asked to look.
 *   A processor that was asked takes one thread; of those it leaves - in its own queues, when it
 *   has chosen, and in all others', when it was idle - it offers one to the next idle processor
 *   (KiOfferReady), which does the same.
 *   A thread that was preempted or gave way is put back where it ran (KiRequeueThread), and
 *   offered. An idle processor looks at its own queue, then at each other one's summary and at the
 *   union of its threads' affinities; it locks a queue only if that may hold a thread for it, and
 *   takes the best.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL. The thread's Lock, then the chosen processor's Ready.Lock; the thread's is
 *   released first, for once the queue is unlocked the thread may run, end and be freed.
 *
 * ORDERING
 *   Made ready:  link the thread;  full barrier;  read the idle mask.
 *   Idle:        set its bit (locked);            read the summaries.
 *   One of the two sees the other. pairs with: KiIdleLoop and KiReadyThread.
 *
 * FURTHER READING
 *   docs/scheduler.md; tests/models/idle.pml. Laws L46, L73, L74, L76-L78; regression R-i.
 */
#include <arch/hal.h>

#include "switch.h"

volatile LONG64 KiIdleMask[MAXIMUM_GROUPS];

VOID KiInitializeReadyQueues(PKPRCB Prcb)
{
    KiInitializeRankedSpinLock(&Prcb->Ready.Lock, KiRankReady);
    Prcb->Ready.RunningPriority = KI_IDLE_PRIORITY;
    for (ULONG Priority = 0; Priority < MAXIMUM_PRIORITY; Priority++)
    {
        InitializeListHead(&Prcb->Ready.List[Priority]);
    }
}

FORCEINLINE PKPRCB KiProcessorOf(USHORT Group, ULONG Number)
{
    return KiProcessorBlock[(ULONG)Group * MAXIMUM_PROC_PER_GROUP + Number];
}

FORCEINLINE ULONG KiLowestBit(KAFFINITY Mask)
{
    return (ULONG)__builtin_ctzll(Mask);
}

/* A kind of neighbour: if Index is a processor of that group and mask, its bit. */
FORCEINLINE KAFFINITY KiBitOf(ULONG Index, USHORT Group)
{
    return Index / MAXIMUM_PROC_PER_GROUP == Group ? (KAFFINITY)1 << Index % MAXIMUM_PROC_PER_GROUP
                                                   : 0;
}

/* Which of some idle processors a thread is given: its last one, its ideal one, this one, any. */
static KAFFINITY KiBestIdle(PKTHREAD Thread, KAFFINITY Idle)
{
    USHORT Group = Thread->Affinity.Group;
    KAFFINITY Last = KiBitOf(Thread->Processor, Group);
    KAFFINITY Ideal = KiBitOf(Thread->IdealProcessor, Group);
    KAFFINITY Own = KiBitOf(KI_CURRENT_PRCB->Index, Group);

    return (Idle & Last) ? Last : (Idle & Ideal) ? Ideal : (Idle & Own) ? Own : Idle & -Idle;
}

/* Claims an idle processor for the thread, or returns NULL. Under the thread's Lock. */
static PKPRCB KiClaimIdleProcessor(PKTHREAD Thread)
{
    USHORT Group = Thread->Affinity.Group;
    KAFFINITY Idle;

    while ((Idle = (KAFFINITY)ReadNoFence64(&KiIdleMask[Group]) & Thread->Affinity.Mask) != 0)
    {
        KAFFINITY Bit = KiBestIdle(Thread, Idle);

        if ((KAFFINITY)InterlockedAnd64(&KiIdleMask[Group], (LONG64)~Bit) & Bit)
        {
            return KiProcessorOf(Group, KiLowestBit(Bit));
        }
    }
    return NULL;
}

/* RunningPriority is only a hint here: the lock is not held. */
static PKPRCB KiChooseProcessor(PKTHREAD Thread)
{
    PKPRCB Prcb = KiClaimIdleProcessor(Thread);
    USHORT Group = Thread->Affinity.Group;
    KAFFINITY Mask = Thread->Affinity.Mask;

    if (Prcb != NULL)
    {
        return Prcb;
    }
    if (KiBitOf(Thread->Processor, Group) & Mask)
    {
        Prcb = KiProcessorBlock[Thread->Processor];
        if (Thread->Priority > Prcb->Ready.RunningPriority)
        {
            return Prcb;
        }
    }
    if ((KiBitOf(Thread->IdealProcessor, Group) & Mask) &&
        (Prcb == NULL ||
         Thread->Priority > KiProcessorBlock[Thread->IdealProcessor]->Ready.RunningPriority))
    {
        Prcb = KiProcessorBlock[Thread->IdealProcessor];
    }
    return Prcb != NULL ? Prcb : KiProcessorOf(Group, KiLowestBit(Mask));
}

VOID KiKickProcessor(PKPRCB Prcb)
{
    if (Prcb->Index != KI_CURRENT_PRCB->Index)
    {
        HalpSendIpi(Prcb->Index, DISPATCH_VECTOR);
    }
}

VOID KiRequestReschedule(PKPRCB Prcb)
{
    Prcb->Due.Schedule = TRUE;
}

/* Asks an idle processor to look around, if there is one in Mask that could run a thread. Its bit
 * stays set: it finds work, or it does not. */
static VOID KiWakeIdleProcessor(USHORT Group, KAFFINITY Mask)
{
    KAFFINITY Idle = (KAFFINITY)ReadNoFence64(&KiIdleMask[Group]) & Mask;
    PKPRCB Prcb;

    if (Idle == 0 || KI_TWIN(KiTwinIdleNoLook))
    {
        return;
    }
    Prcb = KiProcessorOf(Group, KiLowestBit(Idle));
    KiLockReady(Prcb);
    KiRequestReschedule(Prcb);
    KiReleaseSpinLock(&Prcb->Ready.Lock);
    KiKickProcessor(Prcb);
}

/* Under both locks. */
FORCEINLINE VOID KiLinkReady(PKI_READY_QUEUES Queues, PKTHREAD Thread)
{
    PLIST_ENTRY List = &Queues->List[Thread->Priority];

    if (Thread->AtFront)
    {
        InsertHeadList(List, &Thread->QueueEntry);
    }
    else
    {
        InsertTailList(List, &Thread->QueueEntry);
    }
    Queues->Wanted = Thread->Affinity.Mask | (Queues->Summary != 0 ? Queues->Wanted : 0);
    Queues->Summary |= 1u << Thread->Priority;
}

static VOID KiUnlinkReady(PKI_READY_QUEUES Queues, PKTHREAD Thread)
{
    if (RemoveEntryList(&Thread->QueueEntry))
    {
        Queues->Summary &= ~(1u << Thread->Priority);
    }
}

/* To the end of another list, or of its own. The summary is not for a moment without the thread: an
 * idle processor reads it without the lock, and nobody would tell that one again. Under both
 * locks. */
static VOID KiMoveReady(PKI_READY_QUEUES Queues, PKTHREAD Thread, KPRIORITY Priority)
{
    ULONG Emptied = RemoveEntryList(&Thread->QueueEntry) ? 1u << Thread->Priority : 0;

    Thread->Priority = (SCHAR)Priority;
    Thread->AtFront = FALSE;
    InsertTailList(&Queues->List[Priority], &Thread->QueueEntry);
    Queues->Summary = (Queues->Summary & ~Emptied) | 1u << Priority;
}

/* What a wait that ended gives a thread, unless it is real time: its boost. Not a new quantum: one
 * that waits often would never come to the end of it, and its boosts would never wear off. Under
 * the thread's Lock; it is in no queue. */
static VOID KiApplyBoost(PKTHREAD Thread)
{
    if (Thread->State != Waiting)
    {
        return;
    }
    Thread->AtFront = FALSE;
    if (Thread->Priority < LOW_REALTIME_PRIORITY && Thread->WaitIncrement > 0)
    {
        LONG Boosted = Thread->BasePriority + Thread->WaitIncrement;

        if (Boosted >= LOW_REALTIME_PRIORITY && !KI_TWIN(KiTwinSchedNoCap))
        {
            Boosted = LOW_REALTIME_PRIORITY - 1;
        }
        Thread->Priority = (SCHAR)(Boosted > Thread->Priority ? Boosted : Thread->Priority);
    }
}

VOID KiReadyThread(PKTHREAD Thread)
{
    KAFFINITY Mask;
    USHORT Group;
    BOOLEAN Runs;
    PKPRCB Prcb;

    KiAcquireSpinLock(&Thread->Lock);
    KiApplyBoost(Thread);
    Thread->State = DeferredReady;
    Mask = Thread->Affinity.Mask;
    Group = Thread->Affinity.Group;
    Prcb = KiChooseProcessor(Thread);
    KI_TWIN_LONG_DELAY(KiTwinIdleNoLook);

    KiLockReady(Prcb);
    Thread->Processor = Prcb->Index;
    Thread->State = Ready;
    KiLinkReady(&Prcb->Ready, Thread);
    Runs = Thread->Priority > Prcb->Ready.RunningPriority;
    if (KI_TWIN(KiTwinSchedNoPreempt) && Prcb->CurrentThread != Prcb->IdleThread)
    {
        Runs = FALSE;
    }
    if (Runs)
    {
        KiRequestReschedule(Prcb);
    }
    KiReleaseSpinLock(&Thread->Lock);
    KiReleaseSpinLock(&Prcb->Ready.Lock);

    if (Runs)
    {
        KiKickProcessor(Prcb);
        return;
    }
    KeMemoryBarrier(); /* pairs with: KiIdleLoop */
    KiWakeIdleProcessor(Group, Mask);
}

VOID KiRequeueThread(PKPRCB Prcb, PKTHREAD Thread)
{
    KiLockReady(Prcb);
    Thread->State = Ready;
    KiLinkReady(&Prcb->Ready, Thread);
    if (Thread->Priority > Prcb->Ready.RunningPriority)
    {
        KiRequestReschedule(Prcb);
    }
    KiReleaseSpinLock(&Prcb->Ready.Lock);
    KeMemoryBarrier(); /* the link, then the idle mask. pairs with: KiIdleLoop */
}

PKTHREAD KiTakeReadyThread(PKPRCB Prcb, KPRIORITY Lowest)
{
    ULONG Summary = Prcb->Ready.Summary;
    PKTHREAD Thread;
    LONG Highest;

    if (Summary == 0)
    {
        return NULL;
    }
    Highest = 31 - __builtin_clz(Summary);
    if (Highest < Lowest)
    {
        return NULL;
    }
    Thread = CONTAINING_RECORD(Prcb->Ready.List[Highest].Flink, KTHREAD, QueueEntry);
    KiUnlinkReady(&Prcb->Ready, Thread);
    Thread->State = Standby;
    return Thread;
}

/* The best thread of Victim's queues that Prcb may run; NULL if there is none. Under Victim's
 * Ready.Lock. */
static PKTHREAD KiFindReadyThread(PKPRCB Victim, PKPRCB Prcb)
{
    for (ULONG Summary = Victim->Ready.Summary; Summary != 0;)
    {
        ULONG Priority = 31u - (ULONG)__builtin_clz(Summary);
        PLIST_ENTRY Head = &Victim->Ready.List[Priority];

        for (PLIST_ENTRY Entry = Head->Flink; Entry != Head; Entry = Entry->Flink)
        {
            PKTHREAD Thread = CONTAINING_RECORD(Entry, KTHREAD, QueueEntry);

            if (KiMayRunOn(Thread, Prcb) || KI_TWIN(KiTwinStealIgnoresAffinity))
            {
                return Thread;
            }
        }
        Summary &= ~(1u << Priority);
    }
    return NULL;
}

/* Read without the lock: what is not seen here was linked after this processor's bit was set, and
 * who linked it will see the bit. Without it, a processor with nothing to do would take the locks
 * of those who are busy with threads that it may not run. */
static BOOLEAN KiMayHoldThreadFor(PKPRCB Victim, PKPRCB Prcb)
{
    return Victim->Ready.Summary != 0 && Victim->Group == Prcb->Group &&
           (((Victim->Ready.Wanted >> Prcb->GroupNumber) & 1) != 0 ||
            KI_TWIN(KiTwinStealIgnoresAffinity));
}

PKTHREAD KiStealThread(PKPRCB Prcb)
{
    ULONG Count = KiProcessorCount;

    for (ULONG Step = 1; Step < Count; Step++)
    {
        PKPRCB Victim = KiProcessorBlock[(Prcb->Index + Step) % Count];
        PKTHREAD Thread = NULL;

        if (KiMayHoldThreadFor(Victim, Prcb) && !KI_TWIN(KiTwinSchedNoSteal))
        {
            KiLockReady(Victim);
            Thread = KiFindReadyThread(Victim, Prcb);
            if (Thread != NULL)
            {
                KiUnlinkReady(&Victim->Ready, Thread);
                Thread->State = Standby;
                Thread->Processor = Prcb->Index;
            }
            KiReleaseSpinLock(&Victim->Ready.Lock);
        }
        if (Thread != NULL)
        {
            return Thread;
        }
    }
    return NULL;
}

/* The affinity of a thread in Prcb's queues that an idle processor may run; FALSE if there is none.
 * Under its Ready.Lock. */
static BOOLEAN KiFindOffer(PKPRCB Prcb, PGROUP_AFFINITY Affinity)
{
    for (ULONG Priority = 0; Priority < MAXIMUM_PRIORITY; Priority++)
    {
        PLIST_ENTRY Head = &Prcb->Ready.List[Priority];

        for (PLIST_ENTRY Entry = Head->Flink; Entry != Head; Entry = Entry->Flink)
        {
            *Affinity = CONTAINING_RECORD(Entry, KTHREAD, QueueEntry)->Affinity;
            if ((KAFFINITY)ReadNoFence64(&KiIdleMask[Affinity->Group]) & Affinity->Mask)
            {
                return TRUE;
            }
        }
    }
    return FALSE;
}

/* The mask is read after the choice that left the threads there, with the switch's exchange or the
 * queue's lock between. Of an empty queue Wanted is only what it was. */
VOID KiOfferReady(PKPRCB Prcb)
{
    GROUP_AFFINITY Affinity;
    BOOLEAN Found;

    if (Prcb->Ready.Summary == 0 ||
        ((KAFFINITY)ReadNoFence64(&KiIdleMask[Prcb->Group]) & Prcb->Ready.Wanted) == 0)
    {
        return;
    }
    KiLockReady(Prcb);
    /* An idle processor that has threads is on its way to them, and offers what it leaves. */
    Found = Prcb->Ready.RunningPriority != KI_IDLE_PRIORITY && KiFindOffer(Prcb, &Affinity);
    KiReleaseSpinLock(&Prcb->Ready.Lock);
    if (Found)
    {
        KiWakeIdleProcessor(Affinity.Group, Affinity.Mask);
    }
}

VOID KiOfferAllReady(VOID)
{
    for (ULONG Index = 0; Index < KiProcessorCount; Index++)
    {
        KiOfferReady(KiProcessorBlock[Index]);
    }
}

/* Locks the processor that has the thread - queued, standing by or running - or had it last; the
 * thread's Lock is held, so it is not put in a queue meanwhile, but it may be taken from one. */
static PKPRCB KiLockProcessorOf(PKTHREAD Thread)
{
    for (;;)
    {
        PKPRCB Prcb = KiProcessorBlock[Thread->Processor];

        KI_TWIN_LONG_DELAY(KiTwinPriorityNoRecheck);
        KiLockReady(Prcb);
        if (Thread->Processor == Prcb->Index ||
            (KI_TWIN(KiTwinPriorityNoRecheck) && Thread->State == Running))
        {
            return Prcb;
        }
        KiReleaseSpinLock(&Prcb->Ready.Lock);
    }
}

VOID KiChangePriority(PKTHREAD Thread, KPRIORITY Priority)
{
    PKPRCB Prcb = KiLockProcessorOf(Thread);
    BOOLEAN Look;

    if (Thread->State == Ready)
    {
        KiMoveReady(&Prcb->Ready, Thread, Priority);
        Thread->Quantum = KI_QUANTUM;
    }
    else
    {
        Thread->Priority = (SCHAR)Priority;
        if (Prcb->CurrentThread == Thread)
        {
            Prcb->Ready.RunningPriority = Priority;
        }
    }
    Look = KiIsBetterReady(Prcb);
    if (Look)
    {
        KiRequestReschedule(Prcb);
    }
    KiReleaseSpinLock(&Prcb->Ready.Lock);
    if (Look)
    {
        KiKickProcessor(Prcb);
    }
}

VOID KiChangeAffinity(PKTHREAD Thread, const GROUP_AFFINITY *Affinity)
{
    PKPRCB Prcb = KiLockProcessorOf(Thread);

    KI_ASSERT_VALUES(Prcb->CurrentThread == Thread, Thread, Prcb->CurrentThread);
    Thread->Affinity = *Affinity;
    if (!KiMayRunOn(Thread, Prcb))
    {
        KiRequestReschedule(Prcb);
    }
    KiReleaseSpinLock(&Prcb->Ready.Lock);
}
