/* SPDX-License-Identifier: MIT */
/*
 * switch.pml - a thread changes processors: nobody runs it before it is saved, and nobody waits.
 *
 * PURPOSE
 *   Models KiSwapThread and KiFinishSwitch (kernel/ke/switch.c), KiUnwaitThread (wait.c),
 *   KiReadyThread, KiTakeReadyThread and KiStealThread (ready.c) and KeSetPriorityThread
 *   (priority.c). Law L76. Who may end a wait is wait.pml's; that an idle processor looks is
 *   idle.pml's.
 *
 * THE PROTOCOL: what the C must do
 *   Switch  Giving way: SwapState = Claimed first. Under the processor's own Ready.Lock: State of
 *           the old thread, choice of the new one (Ready -> Standby -> Running; SwapState = InUse
 *           before it runs), RunningPriority. Then registers and stack. On the new stack, for the
 *           old thread: terminated = (State == Terminated); previous = xchg(SwapState, Saved);
 *           Claimed: KiReadyThread; terminated: KiThreadTerminated. State is read before the
 *           exchange: afterwards the thread may run elsewhere, and end there.
 *   Unwait  by the one who has ended the wait: cas(SwapState, InUse, Claimed). It succeeds: nothing
 *           else is touched, the processor that switches away goes on. It fails: State =
 *           DeferredReady, KiReadyThread.
 *   Ready   under Thread.Lock and the Ready.Lock of the processor chosen: State = Ready, Processor,
 *           link.
 *   Take    under the Ready.Lock of the queue's processor: unlink, State = Standby; a thief then
 *           stores Processor, in that order: with Processor he has the thread under his own lock.
 *   Set     KeSetPriorityThread: Thread.Lock; read Processor; its Ready.Lock; Processor again: if
 *           it has changed, from the start. Now the thread can neither come nor go.
 *
 * STATE
 *   Of a thread: (State, SwapState, whose stack pointer is in its stack).
 *       (Running, InUse, p)            it runs on p
 *       (Running | Waiting, InUse, p)  it has committed a wait, and p is switching away
 *       (.., Claimed, p)               it is ready, but p has not let go of it: p will queue it
 *       (Waiting, Saved, -)            it waits
 *       (DeferredReady, Saved, -)      in the hands of who readies it
 *       (Ready, Saved, -)              in one queue
 *       (Standby, Saved | InUse, -)    chosen
 *   Two processors; two threads, each of which waits or gives way OPS times, in any mixture, and
 *   ends; a waker, which is on a third processor or in a DPC; a setter of priorities. A queue is a
 *   set, and any thread in it may be taken.
 *
 * STEPS
 *   A critical section is one step, as in wait.pml, except that a thief's two stores are two:
 *   others read them without that lock. Memory is sequentially consistent: the words that are read
 *   without a lock are SwapState, changed by locked instructions alone once the thread is visible,
 *   and State and Processor, whose stores x86 keeps in order.
 *
 * WHAT IS PROVED
 *   A thread runs on one processor, and only when it is saved; it is in one queue at most, and
 *   under the priority it has; taken, it was Ready; RunningPriority is the priority of what runs.
 *   In the end each thread has ended, and was reaped once: none was lost. Nothing is stuck.
 *
 * MUTANTS, and what each removes
 *   MUTANT_CLAIM_BY_STORE      the waker's cas: the thread is Claimed after it was let go, and lost
 *   MUTANT_SAVED_BY_STORE      the exchange: a claim is overwritten, and the thread is lost
 *   MUTANT_QUEUED_AT_ONCE      the claim: the waker queues it whatever SwapState says
 *   MUTANT_PREEMPTED_QUEUED    the same for a thread that gives way
 *   MUTANT_IN_USE_LATE         InUse before it runs: stored as it switches away, it is too late
 *   MUTANT_CLAIMER_SETS_STATE  "nothing else is touched": DeferredReady is stored over Running
 *   MUTANT_REAPED_BY_STATE     State before the exchange: reaped twice
 *   MUTANT_THIEF_MOVES_FIRST   Standby before Processor: the setter finds it Ready, in no queue
 *   MUTANT_STEAL_UNLOCKED      the other processor's Ready.Lock: taken twice
 *   MUTANT_SET_UNCHECKED       the second look at Processor
 *   MUTANT_SET_THREAD_UNLOCKED Thread.Lock: it becomes ready meanwhile
 *   MUTANT_SET_READY_UNLOCKED  Ready.Lock: it is taken meanwhile
 */
#define CPUS 2
#define THREADS 2
#define NONE 255

#ifndef OPS
#define OPS 2
#endif
#ifndef SETS
#define SETS 1
#endif

#define READY 0
#define STANDBY 1
#define RUNNING 2
#define WAITING 3
#define DEFERRED_READY 4
#define TERMINATED 5

#define SAVED 0
#define IN_USE 1
#define CLAIMED 2

byte State[THREADS];
byte SwapState[THREADS];
byte Processor[THREADS];
byte Priority[THREADS] = 1;
bit Committed[THREADS]; /* WaitState */
bit ThreadLock[THREADS];

bit ReadyLock[CPUS]; /* only where it is held over several steps */
byte Queue[CPUS];    /* a set of threads                          */
byte RunningPriority[CPUS];

/* The checker's own view; no code reads it to decide anything. */
byte Stack[THREADS] = NONE; /* the processor that uses it           */
byte Listed[THREADS];       /* the priority under which it is linked */
byte Left[THREADS] = OPS;
bit Reaped[THREADS];

#define BIT(t) (1 << (t))
#define HAS(set, t) (((set) >> (t)) & 1)

inline Link(p, t)
{
    assert(!HAS(Queue[0], t) && !HAS(Queue[1], t));
    Queue[p] = Queue[p] | BIT(t);
    Listed[t] = Priority[t]
}

inline Unlink(p, t)
{
    assert(HAS(Queue[p], t));
    assert(Listed[t] == Priority[t]);
    Queue[p] = Queue[p] & ~BIT(t)
}

/* The second half: the processor chosen is q. */
inline ReadyOn(t, q)
{
    !ReadyLock[q] ->
    assert(!HAS(Queue[0], t) && !HAS(Queue[1], t));
    Queue[q] = Queue[q] | BIT(t);
    Listed[t] = level;
    assert(Listed[t] == Priority[t]);
    State[t] = READY;
    Processor[t] = q;
    ThreadLock[t] = 0;
    level = 0
}

inline KiReadyThread(t)
{
    d_step { !ThreadLock[t] -> ThreadLock[t] = 1; level = Priority[t] };
    if
    :: d_step { ReadyOn(t, 0) }
    :: d_step { ReadyOn(t, 1) }
    fi
}

/* Standby -> Running: under the processor's own Ready.Lock. */
inline Choose(t)
{
    assert(State[t] == STANDBY && Processor[t] == me);
    State[t] = RUNNING;
    RunningPriority[me] = Priority[t];
#ifndef MUTANT_IN_USE_LATE
    SwapState[t] = IN_USE;
#endif
    new = t
}

/* KiTakeReadyThread */
inline TakeAndChoose(t)
{
    Unlink(me, t);
    assert(State[t] == READY);
    State[t] = STANDBY;
    Choose(t)
}

/* The old thread's registers are saved, the new one's loaded. */
inline SwitchStacks()
{
    if
    :: old != NONE -> assert(Stack[old] == me); Stack[old] = NONE
    :: else
    fi;
    if
    :: new != NONE -> assert(Stack[new] == NONE); Stack[new] = me
    :: else
    fi;
    current = new;
    new = NONE
}

/* KiFinishSwitch */
inline FinishSwitch()
{
    if
    :: old == NONE
    :: old != NONE ->
        terminated = (State[old] == TERMINATED);
#ifdef MUTANT_SAVED_BY_STORE
        previous = SwapState[old];
        SwapState[old] = SAVED;
#else
        d_step { previous = SwapState[old]; SwapState[old] = SAVED };
#endif
        if
        :: previous == CLAIMED -> KiReadyThread(old)
        :: previous != CLAIMED
        fi;
#ifdef MUTANT_REAPED_BY_STATE
        terminated = (State[old] == TERMINATED);
#endif
        d_step {
            if
            :: terminated -> assert(!Reaped[old]); Reaped[old] = 1
            :: else
            fi;
            terminated = 0;
            previous = 0;
            old = NONE
        }
    fi
}

/* Leaves the current thread, in state newState, for one of the own queue or the idle thread. */
inline KiSwapThread(newState)
{
    if
    :: d_step { !ReadyLock[me] && HAS(Queue[me], 0) -> State[old] = newState; TakeAndChoose(0) }
    :: d_step { !ReadyLock[me] && HAS(Queue[me], 1) -> State[old] = newState; TakeAndChoose(1) }
    :: d_step { !ReadyLock[me] -> State[old] = newState; RunningPriority[me] = 0 }
    fi;
    d_step { SwitchStacks() };
    FinishSwitch()
}

/* KiStealThread. The first of the two stores that others read: */
inline StealFirst(t)
{
#ifdef MUTANT_THIEF_MOVES_FIRST
    Processor[t] = me
#else
    Unlink(1 - me, t);
    assert(State[t] == READY);
    State[t] = STANDBY
#endif
}

inline StealSecond(t)
{
#ifdef MUTANT_THIEF_MOVES_FIRST
    Unlink(1 - me, t);
    assert(State[t] == READY);
    State[t] = STANDBY
#else
    Processor[t] = me
#endif
}

inline KiStealThread(t)
{
#ifdef MUTANT_STEAL_UNLOCKED
    HAS(Queue[1 - me], t);
    d_step { StealFirst(t) };
    d_step { StealSecond(t) };
#else
    d_step { HAS(Queue[1 - me], t) && !ReadyLock[1 - me] -> ReadyLock[1 - me] = 1; StealFirst(t) };
    d_step { StealSecond(t); ReadyLock[1 - me] = 0 };
#endif
    d_step { !ReadyLock[me] -> Choose(t) }
}

proctype Cpu(byte me)
{
    byte current = NONE, old = NONE, new = NONE;
    byte previous, level;
    bit terminated;

    do
    :: current == NONE ->
        /* the idle thread, which is never queued */
end_asleep:
        if
        :: d_step { !ReadyLock[me] && HAS(Queue[me], 0) -> TakeAndChoose(0) }
        :: d_step { !ReadyLock[me] && HAS(Queue[me], 1) -> TakeAndChoose(1) }
        :: KiStealThread(0)
        :: KiStealThread(1)
        fi;
        d_step { SwitchStacks() }
    :: current != NONE ->
        d_step {
            assert(State[current] == RUNNING);
            assert(Stack[current] == me);
            assert(ReadyLock[me] || RunningPriority[me] == Priority[current]);
            old = current
        };
        if
        :: d_step { Left[old] > 0 -> Left[old]--; Committed[old] = 1 };
#ifdef MUTANT_IN_USE_LATE
           SwapState[old] = IN_USE;
#endif
           KiSwapThread(WAITING)
        :: d_step { Left[old] > 0 -> Left[old]-- };
#ifdef MUTANT_PREEMPTED_QUEUED
           KiReadyThread(old);
           d_step { old = NONE; RunningPriority[me] = 0 }
#else
           SwapState[old] = CLAIMED;
           KiSwapThread(DEFERRED_READY)
#endif
        :: Left[old] == 0 ->
           KiSwapThread(TERMINATED)
        fi
    od
}

/* KiUnwaitThread, after the wait's end has been decided. */
proctype Waker()
{
    byte thread, level;
    bit claimed;

end_nobody_waits:
    do
    :: atomic {
           if
           :: Committed[0] -> thread = 0
           :: Committed[1] -> thread = 1
           fi;
           Committed[thread] = 0
       };
#ifdef MUTANT_CLAIM_BY_STORE
       claimed = (SwapState[thread] == IN_USE);
#endif
#ifndef MUTANT_QUEUED_AT_ONCE
       d_step {
           if
#ifdef MUTANT_CLAIM_BY_STORE
           :: claimed -> SwapState[thread] = CLAIMED
#else
           :: SwapState[thread] == IN_USE -> SwapState[thread] = CLAIMED; claimed = 1
#endif
           :: else
           fi
       };
#endif
#ifdef MUTANT_CLAIMER_SETS_STATE
       State[thread] = DEFERRED_READY;
#endif
       if
       :: claimed
       :: !claimed ->
           State[thread] = DEFERRED_READY;
           KiReadyThread(thread)
       fi;
       d_step { claimed = 0; thread = 0 }
    od
}

/* KeSetPriorityThread's change: under both locks. */
inline SetPriority(state)
{
    if
    :: state == READY ->
        Unlink(p, 0);
        Priority[0] = 3 - Priority[0];
        Link(p, 0)
    :: state == RUNNING ->
        Priority[0] = 3 - Priority[0];
        RunningPriority[p] = Priority[0]
    :: else -> Priority[0] = 3 - Priority[0]
    fi
}

/* KeSetPriorityThread, for thread 0. */
proctype Setter()
{
    byte p, state;
    byte sets = SETS;

    do
    :: sets > 0 ->
#ifndef MUTANT_SET_THREAD_UNLOCKED
       d_step { !ThreadLock[0] -> ThreadLock[0] = 1 };
#endif
       p = Processor[0];
       do
#if defined(MUTANT_SET_UNCHECKED)
       :: d_step { !ReadyLock[p] -> SetPriority(State[0]) };
          break
#elif defined(MUTANT_SET_READY_UNLOCKED)
       :: state = State[0];
          d_step { SetPriority(state); state = 0 };
          break
#else
       :: d_step { !ReadyLock[p] && Processor[0] == p -> SetPriority(State[0]) };
          break
       :: d_step { !ReadyLock[p] && Processor[0] != p -> p = Processor[0] }
#endif
       od;
       true;
       d_step { ThreadLock[0] = 0; p = 0; sets-- }
    :: sets == 0 -> break
    od
}

init
{
    byte i;

    atomic {
        for (i : 0 .. THREADS - 1)
        {
            Queue[0] = Queue[0] | BIT(i);
            Listed[i] = Priority[i];
            Left[i] = OPS
        };
        run Cpu(0);
        run Cpu(1);
        run Waker();
        run Waker();
        run Setter()
    };

    timeout ->
    d_step {
        for (i : 0 .. THREADS - 1)
        {
            assert(State[i] == TERMINATED);
            assert(Reaped[i])
        }
    }
}
