/* SPDX-License-Identifier: MIT */
/*
 * apc.pml - an APC and its thread look for each other, and one of them finds the other.
 *
 * PURPOSE
 *   Models kernel/ke/apc.c: KeInsertQueueApc, KiDeliverApcs, the handler of vector 0x1F, KiNoteApcs
 *   in a switch, the look at KernelApcPending when a wait is committed, and where regions end. How
 *   a wait ends otherwise is wait.pml's, how a thread changes processors switch.pml's.
 *
 * THE PROTOCOL: what the C must do
 *   Insert   under ApcLock: link, Pending = TRUE. Full barrier. The thread is current here: Due.Apc
 *            = TRUE, and whatever ends the high IRQL looks. Else, first: WaitState is Committed and
 *            the APC could be delivered: cas(WaitState, Committed, Apc), won: ready it; lost: who
 *            won has it look. Else: State is Running: send 0x1F to Processor. In that order: a
 *            thread that has committed its wait is still Running until it has switched, and it
 *            does not look again.
 *   Switch   State = Running; a locked instruction; Due.Apc = Pending.
 *   Wait     commit, with a locked instruction; then look at Pending, and at Alerted. Either may
 *            make it take the wait back: cas(WaitState, Committed, Apc or Alerted). It does not
 *            switch then, so Due.Apc = Pending.
 *   Deliver  at APC_LEVEL, from PASSIVE_LEVEL: Due.Apc = FALSE first; then, unless in a guarded
 *            region, take APCs from the list, each under ApcLock, until it is empty. Lower, then
 *            look at Due.Apc again. From 0x1F, from KiServeDue(PASSIVE_LEVEL), after a wait that
 *            ended with Apc, from the end of a guarded region.
 *   Due      KiServeDue(APC_LEVEL) leaves Due.Apc as it is.
 *   Leave    the region's count, then Pending: at PASSIVE_LEVEL deliver, at APC_LEVEL Due.Apc =
 *            TRUE. No barrier: who inserts sends 0x1F in any case, to this processor.
 *
 * STATE
 *   Of the thread: (IRQL, guarded, where). Where: runs on p, preempted, waits. Of its APCs: the
 *   number in its list, and who will look:
 *       (PASSIVE, no, runs on p)      0x1F is on its way to p, or whoever is on top of it looks
 *       (APC, -, runs on p)           0x1F is pending at p, or Due.Apc of p is set
 *       (-, guarded, runs)            the end of the region
 *       (-, -, preempted or waits)    the switch to it, or who inserts ends its wait
 *   Two processors; one thread, which takes up to OPS steps in any order (raise, lower, enter,
 *   leave, wait, queue an APC to itself) and may be preempted, and continued anywhere, at any point
 *   below DISPATCH_LEVEL; an inserter on a third processor; one in a DPC on the thread's processor;
 *   somebody who may end a wait, or not.
 *
 * STEPS
 *   One access that others see is one step. The three stores that a load must not overtake have a
 *   store buffer: they are put in it, and come out at some time by a process of its own; a locked
 *   instruction waits until it is empty. The inserter's lock is released behind his store. Due.Apc
 *   and the IRQL belong to the thread's processor.
 *
 * WHAT IS PROVED
 *   An APC runs at PASSIVE_LEVEL outside guarded regions (its caller's level), never before it is
 *   linked. When nothing can move any more, the thread computes at PASSIVE_LEVEL and outside
 *   regions, or waits: then its list is empty, unless the wait is one that lets no APC in.
 *
 * MUTANTS, and what each removes
 *   MUTANT_INSERT_NO_BARRIER  the barrier between Pending and the look at the thread
 *   MUTANT_SWITCH_NO_BARRIER  the locked instruction between Running and the look at Pending
 *   MUTANT_COMMIT_NO_BARRIER  the same of the commit
 *   MUTANT_SWITCH_NO_LOOK     KiNoteApcs
 *   MUTANT_COMMIT_NO_LOOK     the look after the commit
 *   MUTANT_TAKEN_BACK_BLIND   Due.Apc = Pending where an alert takes a wait back
 *   MUTANT_RUNNING_FIRST      WaitState before State: 0x1F goes to a thread that switches away
 *   MUTANT_NO_INTERRUPT       vector 0x1F
 *   MUTANT_LOOK_BEFORE_LOWER  lower, then look
 *   MUTANT_DUE_CLEARED_LAST   Due.Apc = FALSE before the list is looked at
 *   MUTANT_DUE_CLEARED_HIGH   KiServeDue(APC_LEVEL) leaves it
 *   MUTANT_LEAVE_NO_LOOK      the look where a guarded region ends
 *   MUTANT_LEAVE_HIGH         the same at APC_LEVEL
 *   MUTANT_GUARD_IGNORED      the look at the region after the commit: it wakes itself for ever
 *   MUTANT_DELIVERED_HIGH     "from PASSIVE_LEVEL", after a wait at APC_LEVEL
 */
#ifndef OPS
#define OPS 3
#endif
#ifndef PREEMPTIONS
#define PREEMPTIONS 1
#endif
#ifndef REMOTE
#define REMOTE 1 /* APCs from another processor */
#endif
#ifndef LOCAL
#define LOCAL 1 /* APCs from a DPC */
#endif

#define PASSIVE_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2

#define RUNNING 0
#define READY 1
#define WAITING 2

#define IDLE 0 /* no wait */
#define PREPARING 1
#define COMMITTED 2
#define SATISFIED 3
#define APC 4
#define ALERTED 5

/* The thread. */
byte State = RUNNING;
byte Processor;
byte WaitState;
byte WaitIrql;
byte Irql;
bit Guarded;

/* Its APCs: under ApcLock; Pending is read without it. */
bit ApcLock;
byte Listed;
bit Pending;

/* Stores that only their own processor sees yet. */
bit RunningBuffered;
bit CommitBuffered;
bit PendingBuffered;

bit Due; /* Due.Apc of the processor that the thread runs on, or comes to */
bit Irr; /* 0x1F is pending there */

/* The machine: the thread has no processor, or one is switching to it, at DISPATCH_LEVEL; a frame
 * lies on top of it; who ended its wait has readied it. */
bit Out;
bit Arriving;
bit Frame;
bit Readied;

bit Alerted; /* before the wait; others have no part in it */

/* The checker's own view. */
byte Preemptions = PREEMPTIONS;

#define DRAINED (!RunningBuffered && !CommitBuffered)

/* KiDeliverApcs, at APC_LEVEL; from is the level that it returns to. */
inline KiDeliverApcs(from)
{
#ifndef MUTANT_DUE_CLEARED_LAST
    Due = 0;
#endif
    do
    :: d_step {
           !ApcLock && Listed > 0 && !Guarded ->
           assert(from == PASSIVE_LEVEL);
           Listed--;
           Pending = (Listed > 0)
       }
    :: !ApcLock && (Listed == 0 || Guarded) -> break
    od;
#ifdef MUTANT_DUE_CLEARED_LAST
    Due = 0;
#else
    true
#endif
}

/* KeLowerIrql(PASSIVE_LEVEL) */
inline LowerToPassive()
{
#ifdef MUTANT_LOOK_BEFORE_LOWER
    seen = Due;
    Irql = PASSIVE_LEVEL;
    if
    :: seen -> seen = 0; Irql = APC_LEVEL; KiDeliverApcs(PASSIVE_LEVEL); Irql = PASSIVE_LEVEL
    :: !seen
    fi
#else
    do
    :: Irql = PASSIVE_LEVEL;
       if
       :: Due -> Irql = APC_LEVEL; KiDeliverApcs(PASSIVE_LEVEL)
       :: !Due -> break
       fi
    od
#endif
}

/* The next thread takes the processor, and with it what was pending there. */
inline LeaveProcessor()
{
    Out = 1;
    Due = 0;
    Irr = 0
}

/* KeWaitForSingleObject */
inline Wait()
{
    d_step { WaitIrql = Irql; Irql = DISPATCH_LEVEL };
again:
    DRAINED -> WaitState = PREPARING;
    if
    :: WaitState == SATISFIED /* the commit fails */
#ifdef MUTANT_COMMIT_NO_BARRIER
    :: d_step { WaitState == PREPARING -> CommitBuffered = 1 };
#else
    :: d_step { WaitState == PREPARING -> WaitState = COMMITTED };
#endif
#ifndef MUTANT_COMMIT_NO_LOOK
#ifdef MUTANT_GUARD_IGNORED
        seen = (Pending && WaitIrql == PASSIVE_LEVEL);
#else
        seen = (Pending && WaitIrql == PASSIVE_LEVEL && !Guarded);
#endif
#endif
        d_step {
            DRAINED ->
            if
            :: seen && WaitState == COMMITTED -> WaitState = APC; assert(!Guarded)
            :: !seen && Alerted && WaitState == COMMITTED -> WaitState = ALERTED; Alerted = 0
            :: else -> State = WAITING; LeaveProcessor() /* KiSwapThread */
            fi;
            seen = 0
        };
end_blocked:
        true /* it runs again, perhaps elsewhere */
    fi;
#ifndef MUTANT_TAKEN_BACK_BLIND
    if
    :: WaitState == ALERTED -> Due = Pending
    :: WaitState != ALERTED
    fi;
#endif
    if
#ifdef MUTANT_DELIVERED_HIGH
    :: WaitState == APC ->
#else
    :: WaitState == APC && WaitIrql == APC_LEVEL -> goto again
    :: WaitState == APC && WaitIrql == PASSIVE_LEVEL ->
#endif
        Irql = APC_LEVEL;
        KiDeliverApcs(WaitIrql);
        Irql = DISPATCH_LEVEL;
        goto again
    :: WaitState != APC
    fi;
    WaitState = IDLE;
    if
    :: WaitIrql == PASSIVE_LEVEL -> LowerToPassive()
    :: WaitIrql == APC_LEVEL ->
        WaitIrql = PASSIVE_LEVEL;
#ifdef MUTANT_DUE_CLEARED_HIGH
        d_step { Irql = APC_LEVEL; Due = 0 }
#else
        Irql = APC_LEVEL
#endif
    fi
}

/* KeLeaveGuardedRegion */
inline Leave()
{
    Guarded = 0;
#ifndef MUTANT_LEAVE_NO_LOOK
    if
    :: Pending && Irql == PASSIVE_LEVEL ->
        Irql = APC_LEVEL;
        KiDeliverApcs(PASSIVE_LEVEL);
        LowerToPassive()
#ifndef MUTANT_LEAVE_HIGH
    :: Pending && Irql == APC_LEVEL -> Due = 1
#endif
    :: else
    fi
#endif
}

proctype Thread() provided (!Out && !Frame)
{
    byte ops = OPS;
    bit seen;

    if
    :: Alerted = 1
    :: true
    fi;
    do
    :: d_step { ops > 0 && Irql == PASSIVE_LEVEL -> ops--; Irql = APC_LEVEL }
    :: d_step { ops > 0 && !Guarded -> ops--; Guarded = 1 }
    :: ops > 0 ->
        ops--;
        Wait()
    :: d_step {
           ops > 0 && !ApcLock -> /* KeInsertQueueApc, for itself */
           ops--;
           Listed++;
           Pending = 1;
           Due = 1
       };
       if
       :: Irql == PASSIVE_LEVEL -> LowerToPassive()
       :: Irql == APC_LEVEL
       fi
    :: Irql == APC_LEVEL -> LowerToPassive()
    :: Guarded -> Leave()
    :: ops == 0 && Irql == PASSIVE_LEVEL && !Guarded -> break
    od;
end_computes:
    false
}

/* What lies on top of the thread at PASSIVE_LEVEL and delivers: 0x1F, a DPC's exit, a switch. */
proctype Interrupt() provided (!Out)
{
end_none:
    do
    :: d_step {
           Irr && !Frame && Irql == PASSIVE_LEVEL ->
           Irr = 0;
           Frame = 1;
           Irql = APC_LEVEL
       }
    :: Frame ->
        KiDeliverApcs(PASSIVE_LEVEL);
        d_step { /* interrupts off */
            if
            :: !Due -> Irql = PASSIVE_LEVEL; Frame = 0
            :: else
            fi
        }
    od
}

/* Preempts the thread, and continues it when it is ready, here or there. */
proctype Scheduler()
{
end_none:
    do
    :: d_step {
           !Out && Irql < DISPATCH_LEVEL && Preemptions > 0 && DRAINED ->
           Preemptions--;
           State = READY;
           Readied = 1;
           LeaveProcessor()
       }
    :: atomic {
           Out && Readied ->
           Readied = 0;
           Arriving = 1;
           if
           :: Processor = 0
           :: Processor = 1
           fi
       };
#ifdef MUTANT_SWITCH_NO_LOOK
       State = RUNNING;
#else
       RunningBuffered = 1;
#ifndef MUTANT_SWITCH_NO_BARRIER
       DRAINED;
#endif
       Due = Pending; /* KiNoteApcs */
#endif
       d_step {
           if
           :: Irql == PASSIVE_LEVEL && Due -> Frame = 1; Irql = APC_LEVEL
#ifdef MUTANT_DUE_CLEARED_HIGH
           :: Irql == APC_LEVEL -> Due = 0
#endif
           :: else
           fi;
           Arriving = 0;
           Out = 0
       }
    od
}

proctype StoreBuffers()
{
end_empty:
    do
    :: d_step { RunningBuffered -> RunningBuffered = 0; State = RUNNING }
    :: d_step { CommitBuffered -> CommitBuffered = 0; WaitState = COMMITTED }
    :: d_step { PendingBuffered -> PendingBuffered = 0; Pending = 1; ApcLock = 0 }
    od
}

/* KiUnwaitThread: it runs again as soon as it has switched away. */
inline Unwait()
{
    assert(!Readied);
    Readied = 1
}

/* Ends a wait, or does not. */
proctype Signaller()
{
    if
    :: d_step { WaitState == PREPARING && !CommitBuffered -> WaitState = SATISFIED }
    :: d_step { WaitState == COMMITTED -> WaitState = SATISFIED; Unwait() }
    :: true
    fi
}

inline EndCommittedWait()
{
    deliverable = (WaitIrql == PASSIVE_LEVEL && !Guarded);
    d_step {
        if
        :: deliverable && WaitState == COMMITTED -> WaitState = APC; Unwait()
        :: else
        fi;
        deliverable = 0
    }
}

/* It is lost on a processor that the thread has left. */
inline InterruptProcessor()
{
    processor = Processor;
#ifndef MUTANT_NO_INTERRUPT
    d_step {
        Irr = Irr || (processor == Processor && (!Out || Arriving));
        processor = 0
    }
#endif
}

/* KeInsertQueueApc, on a third processor. */
proctype RemoteInserter()
{
    byte inserts = REMOTE;
    byte processor;
    bit deliverable;

    do
    :: inserts > 0 ->
        d_step { !ApcLock -> ApcLock = 1; Listed++; PendingBuffered = 1; inserts-- };
#ifndef MUTANT_INSERT_NO_BARRIER
        !PendingBuffered;
#endif
#ifdef MUTANT_RUNNING_FIRST
        if
        :: State == RUNNING -> InterruptProcessor()
        :: State != RUNNING ->
            if
            :: WaitState == COMMITTED -> EndCommittedWait()
            :: WaitState != COMMITTED
            fi
        fi;
#else
        if
        :: WaitState == COMMITTED -> EndCommittedWait()
        :: WaitState != COMMITTED ->
            if
            :: State == RUNNING -> InterruptProcessor()
            :: State != RUNNING
            fi
        fi;
#endif
    :: inserts == 0 -> break
    od
}

/* KeInsertQueueApc, in a DPC that interrupts the thread. Below DISPATCH_LEVEL its exit delivers. */
proctype LocalInserter()
{
    byte inserts = LOCAL;

end_none:
    do
    :: d_step {
           inserts > 0 && !Out && Irql < DISPATCH_LEVEL && !ApcLock ->
           inserts--;
           Listed++;
           Pending = 1;
           Due = 1;
           if
           :: Irql == PASSIVE_LEVEL -> Frame = 1; Irql = APC_LEVEL
           :: else
           fi
       }
    :: inserts == 0 -> break
    od
}

init
{
    atomic {
        run Thread();
        run Interrupt();
        run Scheduler();
        run StoreBuffers();
        run Signaller();
        run RemoteInserter();
        run LocalInserter()
    };

    timeout ->
    d_step {
        assert(Irql == PASSIVE_LEVEL || (Out && WaitState == COMMITTED));
        assert(Listed == 0 || (Out && (Guarded || WaitIrql == APC_LEVEL)))
    }
}
