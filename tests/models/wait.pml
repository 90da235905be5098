/* SPDX-License-Identifier: MIT */
/*
 * wait.pml - how a wait ends: one word per thread, one lock per object, no lock over both.
 *
 * PURPOSE
 *   Models kernel/ke/wait.c: KeWaitForSingleObject and KeWaitForMultipleObjects (WaitAny), the
 *   signallers (KiBeginSignal .. KiEndSignal), a wait's time-out (KiSetTimeout, KiCancelTimeout,
 *   KiExpireTimers) and an APC's way into a wait. Laws L43, L47, L48, L55, L67, L70; mistake R-q.
 *   A thread's switch is switch.pml's, APCs outside waits are apc.pml's, wait-all is waitall.pml's.
 *
 * THE PROTOCOL: what the C must do
 *   Wait    at DISPATCH_LEVEL: state = Preparing. For each object, under its lock: not signaled:
 *           link a block at the tail; signaled: cas(state, Preparing, Satisfied + k), consume if it
 *           succeeds, and go no further. Set the time-out. cas(state, Preparing, Committed): if it
 *           fails, the wait is over. Else look, in this order, after the commit: an APC is pending:
 *           cas(state, Committed, Apc); the time-out is no longer set: cas(state, Committed,
 *           TimedOut). Neither, or the cas has failed: KiSwapThread, for somebody readies it.
 *           Then, however the wait has ended: unlink each block, under its object's lock; that of
 *           the object that ended the wait is taken too, though its block is unlinked already:
 *           then the winner has left the object, and it may be freed. Take back the time-out.
 *           After Apc: deliver, begin again.
 *   Signal  under the object's lock, for each block from the first one on, while the object is
 *           signaled: cas(state, Preparing or Committed, Satisfied + k). Won: consume, unlink the
 *           block. Lost: leave it to its thread. After the lock is released: ready those that were
 *           Committed.
 *   Expiry  under the lock of the timers: unlink; cas(state, Committed, TimedOut); won: ready. If
 *           the state was Preparing, the thread will see that the time-out is no longer set.
 *           -DTIMEOUT_WHILE_PREPARING: the cas takes Preparing too, and the thread need not look.
 *   APC     pending = TRUE; barrier; state is Committed: cas(state, Committed, Apc); won: ready.
 *
 * STATE
 *   Of a wait: (state, the queues its blocks are in, time-out set, owed), "owed" being a commit
 *   that nobody has answered yet: whoever moves the state on from Committed answers it, by readying
 *   the thread or, if he is the thread itself, by not giving the processor away.
 *       (-, 0, -, -)         -> (Preparing, 0..n, -, -)       the thread
 *       (Preparing, n, T, -) -> (Committed, n, T, owed)       the thread
 *       (Preparing, n, T, -) -> (Satisfied + k, n - 1, T, -)  a signaller; the commit fails
 *       (Committed, n, T, owed) -> (Satisfied + k | TimedOut | Apc, n or n - 1, T, readied)
 *       (any end, n, T, -)   -> (any end, 0, -, -)            the thread
 *   Object 0 is a synchronization event, 1 a semaphore. Thread 0 waits for both, with or without a
 *   time-out, and has an APC queued to it; thread 1 waits for one of them. Two signallers set,
 *   pulse and release.
 *
 * STEPS
 *   A critical section with one access from outside its lock in it (a compare-exchange of a state)
 *   is one step: taking the lock can be put off to it, releasing it can be put before what follows.
 *   Where there are more, the lock is a bit that is held over the steps. Readying a thread is
 *   joined to the release, or the cas, before it: until then nobody but the thread itself, which
 *   waits for it, can tell. A look at pending or at the time-out is joined to the cas that follows
 *   it: what was seen stays so, as only the thread itself undoes it. Memory is sequentially
 *   consistent: the pair that needs barriers is (state, pending), and apc.pml has its store
 *   buffers.
 *
 * WHAT IS PROVED
 *   #signals == #waits that returned Satisfied + #left in the object, for each object. While an
 *   object is unlocked and signaled, no block in its queue belongs to a wait that could still end
 *   by it. A thread is readied once per commit, and never without one. When a wait returns, its
 *   blocks are in no queue, its time-out is not set, nobody is still inside the object because of
 *   it, and if it returned TimedOut, its own time-out has expired. In the end a thread is blocked
 *   only if its objects are not signaled, it has no time-out and no APC pending.
 *
 * MUTANTS, and what each removes
 *   MUTANT_PREPARING_LATE       Preparing before the first link: a signaller passes the block over
 *   MUTANT_EXAMINE_THEN_LINK    one hold of the lock for the look and the link (R-q)
 *   MUTANT_TAKE_WITHOUT_CAS     the waiter's own cas, when it finds an object signaled
 *   MUTANT_SATISFY_WITHOUT_CAS  the signaller's cas: two objects end one wait
 *   MUTANT_COMMIT_BY_STORE      the cas of the commit: it overwrites Satisfied
 *   MUTANT_READY_IF_PREPARING   "if it was Committed": readied, although it never blocks
 *   MUTANT_APC_BEFORE_COMMIT    commit, then look for APCs: in that order
 *   MUTANT_APC_LOST_RETURNS     the switch after the thread's own cas to Apc has failed
 *   MUTANT_TIMEOUT_NOT_SEEN     the look at the time-out after the commit
 *   MUTANT_TIMEOUT_BY_STORE     the cas of the expiry
 *   MUTANT_EXPIRY_UNLOCKED      one hold of the timers' lock for unlink and cas: it ends a later
 *                               wait
 *   MUTANT_TIMEOUT_LEFT         taking back the time-out
 *   MUTANT_UNLINK_UNLOCKED      the lock, when the thread unlinks: somebody else's block is lost
 *   MUTANT_LEFT_LINKED          the unlinking of the blocks that did not end the wait
 *   MUTANT_WINNER_NOT_AWAITED   the lock of the object that ended the wait: the winner is still in
 */
#define THREADS 2
#define OBJECTS 2

#define EVENT 0
#define SEMAPHORE 1

/*
 * One history: the signals of each of two signallers, the waits of thread 0, and what thread 1
 * waits for, once: 1 is the event, 2 the semaphore. run.sh proves (1, 1, 2, 1) and others.
 */
#ifndef SIGNALS
#define SIGNALS 1
#endif
#ifndef SECOND_SIGNALS
#define SECOND_SIGNALS 1
#endif
#ifndef WAITS
#define WAITS 2
#endif
#ifndef SINGLE
#define SINGLE 1
#endif

#define PREPARING 0
#define COMMITTED 1
#define TIMED_OUT 2
#define APC 3
#define SATISFIED 4 /* + the object */

byte WaitState[THREADS] = SATISFIED; /* as a wait before has left it */

/* An object: its signals, and its blocks, as the numbers + 1 of their threads. Under Lock. */
bit Lock[OBJECTS];
byte Signal[OBJECTS];
byte First[OBJECTS];
byte Second[OBJECTS];

/* Thread 0's time-out, under TimerLock; TimerSet is also read without it. Its APC. */
bit TimerLock;
bit TimerSet;
bit ApcPending;

/* KiUnwaitThread has been called: KiSwapThread returns. */
byte Readied[THREADS];

/* The checker's own view; no code reads it to decide anything. */
bit Owed[THREADS];      /* committed, and not answered                         */
byte Unanswered[OBJECTS]; /* signals given - waits that returned Satisfied     */
bit Winning[THREADS];   /* a signaller has ended its wait and holds the lock   */
bit WantsTimeout;       /* thread 0's wait has one                             */
bit Expired;            /* and it has expired                                  */

#define IS_LINKED(object, thread) (First[object] == (thread) + 1 || Second[object] == (thread) + 1)
#define CAN_END(thread) (WaitState[thread] == PREPARING || WaitState[thread] == COMMITTED)

/* Under the object's lock. */
inline LinkTail(object, thread)
{
    assert(!IS_LINKED(object, thread));
    assert(Second[object] == 0);
    if
    :: First[object] == 0 -> First[object] = (thread) + 1
    :: else -> Second[object] = (thread) + 1
    fi
}

inline Unlink(object, thread)
{
    if
    :: First[object] == (thread) + 1 ->
        First[object] = Second[object];
        Second[object] = 0
    :: else ->
        Second[object] = (Second[object] == (thread) + 1 -> 0 : Second[object])
    fi
}

/* What is true whenever the lock is released. */
inline CheckReleased(object)
{
    assert(Signal[object] == 0 || First[object] == 0 || !CAN_END(First[object] - 1));
    assert(Signal[object] == 0 || Second[object] == 0 || !CAN_END(Second[object] - 1))
}

/* KiUnwaitThread */
inline Ready(thread)
{
    assert(Owed[thread]);
    assert(Readied[thread] == 0);
    Owed[thread] = 0;
    Readied[thread] = 1
}

/* The thread itself moves its state on from Committed, if nobody has. */
inline EndOwnWait(end)
{
    if
    :: WaitState[me] == COMMITTED ->
        WaitState[me] = end;
        Owed[me] = 0;
        over = 1
    :: else
    fi
}

/* Looks at one object and links a block. */
inline Examine(object)
{
#ifdef MUTANT_EXAMINE_THEN_LINK
    d_step { !Lock[object] -> seen = (Signal[object] > 0) };
#endif
    d_step {
        !Lock[object] ->
        if
#ifdef MUTANT_EXAMINE_THEN_LINK
        :: seen && Signal[object] > 0 ->
#else
        :: Signal[object] > 0 ->
#endif
            over = 1;
#ifdef MUTANT_PREPARING_LATE
            WaitState[me] = (object == EVENT -> PREPARING : WaitState[me]);
#endif
            if
#ifdef MUTANT_TAKE_WITHOUT_CAS
            :: true ->
#else
            :: WaitState[me] == PREPARING ->
#endif
                WaitState[me] = SATISFIED + object;
                Signal[object]--
            :: else
            fi
        :: else -> LinkTail(object, me)
        fi
#ifndef MUTANT_EXAMINE_THEN_LINK
        ;
        CheckReleased(object)
#endif
    }
#ifdef MUTANT_EXAMINE_THEN_LINK
#endif
}

/* Each block is the thread's own again, when it has had the object's lock. */
inline TakeBack(object)
{
#if defined(MUTANT_LEFT_LINKED)
    skip
#elif defined(MUTANT_UNLINK_UNLOCKED)
    d_step { first = First[object]; second = Second[object] };
    d_step {
        if
        :: first == me + 1 -> First[object] = second; Second[object] = 0
        :: second == me + 1 -> First[object] = first; Second[object] = 0
        :: else
        fi;
        first = 0;
        second = 0
    }
#elif defined(MUTANT_WINNER_NOT_AWAITED)
    if
    :: !IS_LINKED(object, me)
    :: else -> d_step { !Lock[object] -> Unlink(object, me); CheckReleased(object) }
    fi
#else
    d_step { !Lock[object] -> Unlink(object, me); CheckReleased(object) }
#endif
}

/* At PASSIVE_LEVEL, whatever has ended the wait. */
inline DeliverApcs()
{
    if
    :: me == 0 -> ApcPending = 0
    :: else
    fi
}

inline CheckReturn()
{
    assert(!IS_LINKED(EVENT, me) && !IS_LINKED(SEMAPHORE, me));
    assert(!Owed[me] && Readied[me] == 0);
    assert(!Winning[me]);
    assert(me != 0 || !TimerSet);
    if
    :: WaitState[me] >= SATISFIED ->
        assert(Unanswered[WaitState[me] - SATISFIED] > 0);
        Unanswered[WaitState[me] - SATISFIED]--
    :: WaitState[me] == TIMED_OUT -> assert(timed && Expired)
    :: WaitState[me] == APC
    fi
}

inline Commit()
{
    if
#ifndef MUTANT_COMMIT_BY_STORE
    :: WaitState[me] != PREPARING -> over = 1
#endif
    :: else -> WaitState[me] = COMMITTED; Owed[me] = 1
    fi
}

proctype Thread(byte me; byte objects; byte waits)
{
    bit over, timed, seen;
    byte first, second;

    do
    :: atomic {
           waits > 0 -> waits--;
           if
           :: me == 0 -> timed = 1
           :: timed = 0
           fi;
           if
           :: me == 0 -> WantsTimeout = timed; Expired = 0
           :: else
           fi
#ifndef MUTANT_PREPARING_LATE
           ;
           WaitState[me] = PREPARING
#endif
       };
again:
       if
       :: objects & 1 -> Examine(EVENT)
       :: !(objects & 1)
       fi;
#ifdef MUTANT_PREPARING_LATE
       d_step {
           if
           :: !over -> WaitState[me] = PREPARING
           :: else
           fi
       };
#endif
       if
       :: !over && (objects & 2) -> Examine(SEMAPHORE)
       :: over || !(objects & 2)
       fi;
       if
       :: d_step { !over && timed && !TimerLock -> TimerSet = 1 }
       :: over || !timed
       fi;
#ifdef MUTANT_APC_BEFORE_COMMIT
       seen = (me == 0 && ApcPending);
#endif
#ifdef MUTANT_COMMIT_BY_STORE
       over = over || (WaitState[me] != PREPARING);
#endif
       if
       :: d_step { !over -> Commit() }
       :: over
       fi;
       if
#ifdef MUTANT_APC_BEFORE_COMMIT
       :: d_step { !over && me == 0 && seen -> EndOwnWait(APC) }
       :: over || me != 0 || !seen
#else
       :: d_step {
              !over && me == 0 && ApcPending ->
              EndOwnWait(APC);
#ifdef MUTANT_APC_LOST_RETURNS
              over = 1
#endif
          }
       :: over || me != 0 || !ApcPending
#endif
       fi;
       if
#if !defined(MUTANT_TIMEOUT_NOT_SEEN) && !defined(TIMEOUT_WHILE_PREPARING)
       :: d_step { !over && timed && !TimerSet -> EndOwnWait(TIMED_OUT) }
       :: over || !timed || TimerSet
#else
       :: true
#endif
       fi;
       if
       :: over
       :: !over ->
end_blocked:
           d_step { Readied[me] > 0 -> Readied[me]-- } /* KiSwapThread */
       fi;
       if
       :: objects & 1 -> TakeBack(EVENT)
       :: !(objects & 1)
       fi;
       if
       :: objects & 2 -> TakeBack(SEMAPHORE)
       :: !(objects & 2)
       fi;
       if
       :: d_step {
#ifndef MUTANT_TIMEOUT_LEFT
              !TimerLock -> TimerSet = (me == 0 -> 0 : TimerSet);
#endif
              CheckReturn();
              DeliverApcs();
              over = 0;
              seen = 0
          }
       fi;
       if
       :: d_step { WaitState[me] == APC -> WaitState[me] = PREPARING }; goto again
       :: WaitState[me] != APC
       fi
    :: waits == 0 -> break
    od
}

inline EndWait()
{
    WaitState[waiter - 1] = SATISFIED + object;
    Winning[waiter - 1] = 1
}

/* Tries to end the wait of the block at hand; none is at hand if the object is not signaled. */
inline TryToEnd()
{
    if
    :: Signal[object] == 0 -> waiter = 0
    :: Signal[object] > 0 && waiter != 0 && CAN_END(waiter - 1) ->
        committed = (WaitState[waiter - 1] == COMMITTED);
#ifndef MUTANT_SATISFY_WITHOUT_CAS
        EndWait();
#endif
        won = 1
    :: else
    fi
}

/* Consumes, if the wait has been ended, and goes to the next block. */
inline Settle()
{
    next = (First[object] == waiter -> Second[object] : 0);
    if
    :: won ->
#ifdef MUTANT_SATISFY_WITHOUT_CAS
        EndWait();
#endif
        Signal[object]--;
#ifdef MUTANT_READY_IF_PREPARING
        ready[waiter - 1] = 1;
#else
        ready[waiter - 1] = committed;
#endif
        winner[waiter - 1] = 1;
        Unlink(object, waiter - 1)
    :: else
    fi;
    waiter = next;
    next = 0;
    won = 0;
    committed = 0
}

inline ReadyAll()
{
    if
    :: ready[0] -> Ready(0); ready[0] = 0
    :: else
    fi;
    if
    :: ready[1] -> Ready(1); ready[1] = 0
    :: else
    fi
}

proctype Signaller(byte signals)
{
    byte object, waiter, next;
    bit pulse, won, committed;
    bit ready[THREADS], winner[THREADS];

    do
    :: atomic {
           signals > 0 -> signals--;
           if
           :: !Lock[EVENT] -> object = EVENT
           :: !Lock[EVENT] -> object = EVENT; pulse = 1
           :: !Lock[SEMAPHORE] -> object = SEMAPHORE
           fi;
           Lock[object] = 1;
           if
           :: object == SEMAPHORE || Signal[object] == 0 ->
               Signal[object]++;
               Unanswered[object]++
           :: else
           fi;
           waiter = First[object];
           TryToEnd()
       };
       do
       :: d_step { waiter != 0 -> Settle(); TryToEnd() }
       :: waiter == 0 -> break
       od;
       true;
       d_step { /* KiEndSignal */
           if
           :: pulse && Signal[object] > 0 -> Signal[object] = 0; Unanswered[object]--
           :: else
           fi;
           pulse = 0;
           Winning[0] = Winning[0] && !winner[0];
           Winning[1] = Winning[1] && !winner[1];
           winner[0] = 0;
           winner[1] = 0;
           CheckReleased(object);
           Lock[object] = 0;
           object = 0;
           ReadyAll()
       }
    :: signals == 0 -> break
    od
}

/* KiExpireTimers, for thread 0's time-out. */
proctype Timers()
{
    bit won;

end_not_due:
    do
    :: d_step {
           !TimerLock && TimerSet ->
#ifndef MUTANT_EXPIRY_UNLOCKED
           TimerLock = 1;
#endif
           Expired = 1;
           TimerSet = 0
       };
#ifdef MUTANT_TIMEOUT_BY_STORE
       won = (WaitState[0] == COMMITTED);
#endif
       d_step {
           if
#ifdef MUTANT_TIMEOUT_BY_STORE
           :: won -> WaitState[0] = TIMED_OUT
#else
           :: WaitState[0] == COMMITTED -> WaitState[0] = TIMED_OUT; won = 1
#endif
#ifdef TIMEOUT_WHILE_PREPARING
           :: WaitState[0] == PREPARING -> WaitState[0] = TIMED_OUT
#endif
           :: else
           fi;
           if
           :: won -> Ready(0)
           :: else
           fi;
           won = 0;
           TimerLock = 0
       }
    od
}

/* KeInsertQueueApc, for thread 0. */
proctype ApcInserter()
{
    ApcPending = 1;
    d_step {
        if
        :: WaitState[0] == COMMITTED -> WaitState[0] = APC; Ready(0)
        :: else
        fi
    }
}

init
{
    byte i;

    atomic {
        run Thread(0, 3, WAITS);
        run Thread(1, SINGLE, 1);
        run Signaller(SIGNALS);
#if SECOND_SIGNALS > 0
        run Signaller(SECOND_SIGNALS);
#endif
        run Timers();
        run ApcInserter()
    };

    timeout ->
    d_step {
        for (i : 0 .. OBJECTS - 1)
        {
            assert(Unanswered[i] == Signal[i]);
            assert(Signal[i] == 0 || First[i] == 0)
        };
        assert(WaitState[0] != COMMITTED || !(WantsTimeout || ApcPending));
        for (i : 0 .. THREADS - 1)
        {
            assert(WaitState[i] != PREPARING);
            assert(WaitState[i] != COMMITTED || (Owed[i] && (IS_LINKED(0, i) || IS_LINKED(1, i))));
            assert(WaitState[i] == COMMITTED || !Owed[i])
        }
    }
}
