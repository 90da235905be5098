/* SPDX-License-Identifier: MIT */
/*
 * waitall.pml - a wait for all of several objects: one lock for those who need several.
 *
 * PURPOSE
 *   Models kernel/ke/waitall.c (KiWaitForAll, KiTrySatisfyAll) and KiBeginSignal in wait.c, against
 *   ordinary waiters and signallers. Laws L66, L67. How a wait ends as such is wait.pml's.
 *
 * THE PROTOCOL: what the C must do
 *   Lock    KiWaitAllLock comes before object locks. Who holds it may hold several of those, in any
 *           order; who does not, one, and takes no further lock for an object while he holds it.
 *   Wait    state = Preparing; KiWaitAllLock; all objects' locks. All signaled: cas(state,
 *           Preparing, Satisfied), consume all. Else link a block to each and count it in its
 *           object's WaitAllCount. Release all; commit as ever. At the end unlink and count down,
 *           under each object's lock in turn.
 *   Signal  take the object's lock. WaitAllCount is not 0: release it, take KiWaitAllLock, take it
 *           again. Now it may be 0, which does not matter; but without KiWaitAllLock it stays 0 as
 *           long as the object's lock is held. Then the blocks, from the first one on, while the
 *           object is signaled: WaitAny as in wait.pml; WaitAll: take the other objects' locks; all
 *           are signaled: cas(state, Preparing or Committed, Satisfied), won: consume all, unlink
 *           this block. Release the others, and in any case go on to the next block.
 *   -DCLEAN_UP_LOCKED takes KiWaitAllLock to unlink too. It is not needed: who examines the wait
 *   holds the lock of an object in which it has a block, and so the wait cannot return.
 *
 * STATE
 *   As in wait.pml, with (X, Y), the signals of two objects. A wait-all moves (x, y) to
 *   (x - 1, y - 1) or not at all. X is a synchronization event, which is set and pulsed, Y a
 *   semaphore. Threads 0 and 2 wait for all, in opposite orders, 0 perhaps with a time-out; thread
 *   1 waits for any of a set of them. A queue is gone through by thread number, so that 1 stands
 *   behind one wait-all and before the other.
 *
 * STEPS
 *   As in wait.pml. A lock that is waited for while another is held is a step of its own.
 *
 * WHAT IS PROVED
 *   No wait-all has consumed one object and not the other while neither is locked. #signals ==
 *   #waits that returned with it + #left, for each object. Nothing is stuck. In the end no wait-all
 *   is blocked while both objects are signaled, no wait-any while one of its is, nobody with a
 *   time-out. Who goes through a queue with a wait-all in it holds KiWaitAllLock. When a wait
 *   returns, nobody is still inside its objects because of it, and it is in no queue.
 *
 * MUTANTS, and what each removes
 *   MUTANT_CALLERS_ORDER        KiWaitAllLock for the waiter: two waiters, opposite orders
 *   MUTANT_LOCK_KEPT            KiBeginSignal's release of the object before KiWaitAllLock
 *   MUTANT_COUNT_UNLOCKED       the object's lock for the look at WaitAllCount
 *   MUTANT_COUNT_LATE           the count in the same hold as the link
 *   MUTANT_COUNT_IGNORED        KiWaitAllLock for the signaller: two signallers, opposite orders
 *   MUTANT_ONE_BY_ONE           all locks at once: what was seen signaled has been taken meanwhile
 *   MUTANT_CONSUMED_IN_TURN     the same, consuming each as it is found: it is visible
 *   MUTANT_STOPS_AT_ALL         going on behind a wait-all that cannot be satisfied
 *   MUTANT_EXAMINE_THEN_LINK    one hold of the locks for the look and the links (R-q)
 *   MUTANT_SATISFY_WITHOUT_CAS  the cas: the wait has timed out, and consumes all the same
 */
#define THREADS 3
#define OBJECTS 2

#define X 0
#define Y 1

#ifndef SIGNALS
#define SIGNALS 2 /* of each object */
#endif
#ifndef ANY
#define ANY 3 /* what thread 1 waits for: 1 is X, 2 is Y */
#endif

#define PREPARING 0
#define COMMITTED 1
#define TIMED_OUT 2
#define SATISFIED 4 /* + the object, if it was for any */

byte WaitState[THREADS] = TIMED_OUT;
bit WaitAllLock;
bit Lock[OBJECTS];
byte Signal[OBJECTS];
byte Queue[OBJECTS]; /* a set of threads */
byte WaitAllCount[OBJECTS];
bit Readied[THREADS];
bit TimerSet; /* thread 0's */

/* The checker's own view; no code reads it to decide anything. */
byte Unanswered[OBJECTS]; /* signals given - waits that returned with it    */
byte Taken[OBJECTS];      /* consumed by wait-alls                          */
bit Winning[THREADS];     /* a signaller has ended its wait and is inside   */
bit WantsTimeout;

#define BIT(t) (1 << (t))
#define HAS(set, t) (((set) >> (t)) & 1)
#define IS_ALL(t) ((t) != 1)
#define CAN_END(t) (WaitState[t] == PREPARING || WaitState[t] == COMMITTED)

inline Ready(t)
{
    assert(!Readied[t]);
    Readied[t] = 1
}

inline Consume(which)
{
    assert(Signal[which] > 0);
    Signal[which]--
}

inline ConsumeAll()
{
    Consume(X);
    Consume(Y);
    Taken[X]++;
    Taken[Y]++
}

inline Link(object, t)
{
    assert(!HAS(Queue[object], t));
    Queue[object] = Queue[object] | BIT(t)
}

/* Commit, sleep. */
inline CommitAndSwap()
{
    if
    :: d_step { !over && timed -> TimerSet = 1 }
    :: over || !timed
    fi;
    if
    :: d_step {
           !over ->
           if
           :: WaitState[me] == PREPARING -> WaitState[me] = COMMITTED
           :: else -> over = 1
           fi
       }
    :: over
    fi;
    if
    :: d_step { !over && timed && !TimerSet && WaitState[me] == COMMITTED ->
           WaitState[me] = TIMED_OUT;
           over = 1
       }
    :: over || !(timed && !TimerSet && WaitState[me] == COMMITTED)
    fi;
    if
    :: over
    :: !over ->
end_blocked:
       d_step { Readied[me] -> Readied[me] = 0 }
    fi
}

inline CheckReturn()
{
    assert(!HAS(Queue[X], me) && !HAS(Queue[Y], me));
    assert(!Winning[me]);
    assert(!Readied[me]);
    TimerSet = (me == 0 -> 0 : TimerSet);
    if
    :: WaitState[me] == TIMED_OUT -> assert(timed)
    :: else ->
        assert(WaitState[me] >= SATISFIED);
        Unanswered[X] = (IS_ALL(me) || WaitState[me] == SATISFIED + X -> Unanswered[X] - 1 :
                         Unanswered[X]);
        Unanswered[Y] = (IS_ALL(me) || WaitState[me] == SATISFIED + Y -> Unanswered[Y] - 1 :
                         Unanswered[Y])
    fi;
    over = 0
}

/* A wait-all looks at both objects, whose locks are held. */
inline ExamineAll()
{
    if
    :: Signal[X] > 0 && Signal[Y] > 0 ->
        WaitState[me] = SATISFIED;
        ConsumeAll();
        over = 1
    :: else ->
        Link(X, me);
        Link(Y, me);
#ifndef MUTANT_COUNT_LATE
        WaitAllCount[X]++;
        WaitAllCount[Y]++
#endif
    fi
}

inline TakeBackAll(object)
{
    d_step {
        !Lock[object] ->
        if
        :: HAS(Queue[object], me) -> Queue[object] = Queue[object] & ~BIT(me)
        :: else
        fi;
        WaitAllCount[object] = WaitAllCount[object] - linked
    }
}

/* KiWaitForAll; first is the object that it locks first. */
proctype AllWaiter(byte me; byte first; bit mayTime)
{
    bit over, timed, linked, seen;

    atomic {
        if
        :: mayTime -> timed = 1
        :: timed = 0
        fi;
        WantsTimeout = (me == 0 -> timed : WantsTimeout);
        WaitState[me] = PREPARING
    };
#ifndef MUTANT_CALLERS_ORDER
    d_step { !WaitAllLock -> WaitAllLock = 1 };
#endif
#ifdef MUTANT_EXAMINE_THEN_LINK
    d_step { !Lock[X] && !Lock[Y] -> seen = (Signal[X] > 0 && Signal[Y] > 0) };
    d_step {
        !Lock[X] && !Lock[Y] ->
        if
        :: seen && Signal[X] > 0 && Signal[Y] > 0 ->
            WaitState[me] = SATISFIED;
            ConsumeAll();
            over = 1
        :: else ->
            Link(X, me);
            Link(Y, me);
            WaitAllCount[X]++;
            WaitAllCount[Y]++
        fi;
        linked = !over;
        WaitAllLock = 0
    };
#else
    d_step { !Lock[first] -> Lock[first] = 1 };
    d_step {
        !Lock[1 - first] ->
        ExamineAll();
        Lock[first] = 0;
        linked = !over;
#if !defined(MUTANT_CALLERS_ORDER) && !defined(MUTANT_COUNT_LATE)
        WaitAllLock = 0
#endif
    };
#endif
#ifdef MUTANT_COUNT_LATE
    d_step { WaitAllCount[X] = WaitAllCount[X] + linked };
    d_step { WaitAllCount[Y] = WaitAllCount[Y] + linked; WaitAllLock = 0 };
#endif
    CommitAndSwap();
#ifdef CLEAN_UP_LOCKED
    d_step { !WaitAllLock -> WaitAllLock = 1 };
#endif
    TakeBackAll(first);
    TakeBackAll(1 - first);
    d_step {
#ifdef CLEAN_UP_LOCKED
        WaitAllLock = 0;
#endif
        CheckReturn();
        linked = 0;
        seen = 0
    }
}

inline Examine(object)
{
    d_step {
        !Lock[object] ->
        if
        :: Signal[object] > 0 ->
            over = 1;
            if
            :: WaitState[me] == PREPARING -> WaitState[me] = SATISFIED + object; Consume(object)
            :: else
            fi
        :: else -> Link(object, me)
        fi
    }
}

inline TakeBack(object)
{
    d_step { !Lock[object] -> Queue[object] = Queue[object] & ~BIT(me) }
}

proctype AnyWaiter(byte me)
{
    bit over, timed;

    WaitState[me] = PREPARING;
#if ANY & 1
    Examine(X);
#endif
#if ANY & 2
    if
    :: !over -> Examine(Y)
    :: over
    fi;
#endif
    CommitAndSwap();
#if ANY & 1
    TakeBack(X);
#endif
#if ANY & 2
    TakeBack(Y);
#endif
    d_step { CheckReturn() }
}

inline Win()
{
    ready[t] = (WaitState[t] == COMMITTED);
    winner[t] = 1;
    WaitState[t] = (IS_ALL(t) -> SATISFIED : SATISFIED + object);
    Winning[t] = 1
}

/* One block. */
inline TryBlock()
{
    if
    :: d_step { !IS_ALL(t) ->
           if
           :: CAN_END(t) ->
               Win();
               Consume(object);
               Queue[object] = Queue[object] & ~BIT(t)
           :: else
           fi
       }
    :: IS_ALL(t) ->
        /* KiTrySatisfyAll */
#ifndef MUTANT_COUNT_IGNORED
        assert(all);
#endif
#if defined(MUTANT_ONE_BY_ONE)
        d_step { !Lock[1 - object] -> seen = (Signal[1 - object] > 0) };
        d_step {
            if
            :: seen && CAN_END(t) ->
                Win();
                ConsumeAll();
                Queue[object] = Queue[object] & ~BIT(t)
            :: else
            fi;
            seen = 0
        }
#elif defined(MUTANT_CONSUMED_IN_TURN)
        d_step {
            !Lock[1 - object] ->
            if
            :: Signal[1 - object] > 0 && CAN_END(t) ->
                Consume(1 - object);
                Taken[1 - object]++;
                seen = 1
            :: else
            fi
        };
        d_step {
            if
            :: seen && CAN_END(t) ->
                Win();
                Consume(object);
                Taken[object]++;
                Queue[object] = Queue[object] & ~BIT(t)
            :: else
            fi;
            seen = 0
        }
#else
        d_step {
            !Lock[1 - object] ->
            if
#ifdef MUTANT_SATISFY_WITHOUT_CAS
            :: Signal[1 - object] > 0 ->
#else
            :: Signal[1 - object] > 0 && CAN_END(t) ->
#endif
                Win();
                ConsumeAll();
                Queue[object] = Queue[object] & ~BIT(t)
            :: else
#ifdef MUTANT_STOPS_AT_ALL
                -> t = THREADS
#endif
            fi
        }
#endif
    fi
}

/* What is true when nobody is inside X and Y. */
inline CheckReleased()
{
    assert(Lock[X] || Lock[Y] || Taken[X] == Taken[Y])
}

proctype Signaller(byte object)
{
    byte signals = SIGNALS;
    byte t;
    bit all, pulse, seen;
    bit ready[THREADS], winner[THREADS];

    do
    :: signals > 0 ->
        atomic {
            signals--;
            if
            :: object == X -> pulse = 1
            :: pulse = 0
            fi
        };
        /* KiBeginSignal */
#if defined(MUTANT_COUNT_UNLOCKED)
        all = (WaitAllCount[object] > 0);
        if
        :: all -> d_step { !WaitAllLock -> WaitAllLock = 1 }
        :: !all
        fi;
        d_step { !Lock[object] -> Lock[object] = 1 };
#elif defined(MUTANT_COUNT_IGNORED)
        d_step { !Lock[object] -> Lock[object] = 1 };
#elif defined(MUTANT_LOCK_KEPT)
        d_step { !Lock[object] -> Lock[object] = 1; all = (WaitAllCount[object] > 0) };
        if
        :: d_step { all && !WaitAllLock -> WaitAllLock = 1 }
        :: !all
        fi;
#else
        d_step { !Lock[object] -> all = (WaitAllCount[object] > 0); Lock[object] = !all };
        if
        :: d_step { all && !WaitAllLock -> WaitAllLock = 1 };
           d_step { !Lock[object] -> Lock[object] = 1 }
        :: !all
        fi;
#endif
        d_step {
            if
            :: object == Y || Signal[object] == 0 ->
                Signal[object]++;
                Unanswered[object]++
            :: else
            fi
        };
        /* KiReleaseWaiters */
        do
        :: t < THREADS && Signal[object] > 0 && HAS(Queue[object], t) -> TryBlock(); t++
        :: t < THREADS && Signal[object] > 0 && !HAS(Queue[object], t) -> t++
        :: t >= THREADS || Signal[object] == 0 -> break
        od;
        true;
        d_step { /* KiEndSignal */
            if
            :: pulse && Signal[object] > 0 -> Signal[object] = 0; Unanswered[object]--
            :: else
            fi;
            Lock[object] = 0;
            CheckReleased();
            WaitAllLock = (all -> 0 : WaitAllLock);
            for (t : 0 .. THREADS - 1)
            {
                Winning[t] = Winning[t] && !winner[t];
                winner[t] = 0;
                if
                :: ready[t] -> Ready(t); ready[t] = 0
                :: else
                fi
            };
            t = 0;
            all = 0;
            pulse = 0
        }
    :: signals == 0 -> break
    od
}

/* Thread 0's time-out. */
proctype Timers()
{
end_not_due:
    d_step {
        TimerSet ->
        TimerSet = 0;
        if
        :: WaitState[0] == COMMITTED -> WaitState[0] = TIMED_OUT; Ready(0)
        :: else
        fi
    }
}

init
{
    byte i;

    atomic {
        run AllWaiter(0, X, 1);
        run AnyWaiter(1);
        run AllWaiter(2, Y, 0);
        run Signaller(X);
        run Signaller(Y);
        run Timers()
    };

    timeout ->
    d_step {
        assert(Taken[X] == Taken[Y]);
        for (i : 0 .. OBJECTS - 1)
        {
            assert(!Lock[i]);
            assert(Unanswered[i] == Signal[i]);
            assert(WaitAllCount[i] == HAS(Queue[i], 0) + HAS(Queue[i], 2));
            assert(Signal[i] == 0 || !HAS(Queue[i], 1))
        };
        assert(!WaitAllLock);
        assert(WaitState[0] != COMMITTED || !WantsTimeout);
        assert(WaitState[0] != COMMITTED || Signal[X] == 0 || Signal[Y] == 0);
        assert(WaitState[2] != COMMITTED || Signal[X] == 0 || Signal[Y] == 0)
    }
}
