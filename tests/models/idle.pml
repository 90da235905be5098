/* SPDX-License-Identifier: MIT */
/*
 * idle.pml - who makes a thread ready and who goes to sleep look for each other.
 *
 * PURPOSE
 *   Models KiReadyThread and KiStealThread (kernel/ke/ready.c), KiReschedule and the choice in
 *   KiSwapThread (sched.c, switch.c), and the idle loop (idle.c): no ready thread waits while a
 *   processor that may run it sleeps. How a thread is handed over is switch.pml's.
 *
 * THE PROTOCOL: what the C must do
 *   Ready    an idle processor of the thread's affinity is claimed by clearing its bit in the idle
 *            mask, atomically; if there is none, the thread goes to any other. Under that one's
 *            Ready.Lock: link; the priority is above RunningPriority: Due.Schedule. After
 *            unlocking: interrupt it, if claimed or due. If not due: full barrier, and Offer.
 *   Offer    a thread that is queued: claim an idle processor of its affinity, if there is one, and
 *            interrupt it: it will look. The claim is final: who has cleared the bit interrupts.
 *   Choose   under Ready.Lock: Due.Schedule = FALSE; the best of the own queue, if it is better
 *            than what runs; RunningPriority. Under the lock again: link what was preempted. Full
 *            barrier. Whatever is now in the queue was perhaps told that it was due: Offer each.
 *   Idle     interrupts off. Set the own bit, with a locked instruction; look at the own queue,
 *            then at the others' for a thread that may run here. Nothing, and the own bit is still
 *            set: sti, hlt; from the start. It is not if an interrupt came in the middle and the
 *            processor has run a thread meanwhile, or if it has been claimed: from the start.
 *            Something: clear the own bit, with a locked instruction; take it, under its queue's
 *            lock; it is gone: from the start. RunningPriority, under the own Ready.Lock. Now Offer
 *            whatever is still in any queue: if the bit had been cleared already, somebody counts
 *            on this processor for a thread that it has not taken.
 *
 * STATE
 *   Of a queued thread, unless no idle processor may run it: somebody will look. He is
 *       a processor whose Due.Schedule is set, which will choose, and offer what it leaves;
 *       a processor that has been claimed and not yet set its bit again, or has 0x2F pending; or
 *       a processor with its bit set that has not come to that queue yet.
 *   ACTIVE processors that start idle, each running threads that end or compute for ever; the
 *   others are busy with something of the highest priority. Thread t has priority t + 1 and its
 *   affinity. Each is made ready once, by wakers on other processors, and again when it is
 *   preempted.
 *
 * STEPS
 *   Critical sections as in switch.pml. The claim and the interrupt that goes with it are one step:
 *   an interrupt that comes later wakes no less. Store buffers are in the mutants alone: there the
 *   link (with the lock's release behind it) or the bit comes out by a process of its own.
 *
 * WHAT IS PROVED
 *   When nothing can move any more, no processor sleeps while a thread that may run there is in any
 *   queue; no Due.Schedule is left over; every thread is in one queue, runs, or has ended.
 *
 * MUTANTS, and what each removes
 *   MUTANT_READY_NO_BARRIER  the barrier between link and mask
 *   MUTANT_IDLE_NO_BARRIER   the locked instruction that sets the bit
 *   MUTANT_BIT_AFTER_SCAN    the bit before the scan
 *   MUTANT_NO_SECOND_LOOK    the offer after a link that is not due
 *   MUTANT_MASK_BEFORE_LINK  the same with the mask as it was read for the choice
 *   MUTANT_NO_INTERRUPT      0x2F to a processor that was claimed
 *   MUTANT_CLAIM_BY_STORE    the atomic claim: somebody else's bit is lost
 *   MUTANT_LEFT_BEHIND       the offer of what a choice leaves in the queue
 *   MUTANT_CLAIM_NOT_PASSED  the offer when the idle loop is left
 *   MUTANT_BIT_KEPT          clearing the own bit: a busy processor is taken for idle
 *   MUTANT_NO_STEAL          the look into other queues
 *   MUTANT_OFFER_FIRST       the order of link and offer, of a thread that was preempted
 *   MUTANT_HALTS_BLIND       the look at the own bit before the halt
 */
/* One thread runs in the middle of a look, one on the other processor, one is left. */
#ifdef MUTANT_HALTS_BLIND
#define THREADS 3
#define WAKERS 1
#define BUSY 1
#endif
/* One runs, one is chosen, one is left. */
#ifdef MUTANT_LEFT_BEHIND
#define THREADS 3
#define BUSY 0
#endif

#ifndef ACTIVE
#define ACTIVE 2
#endif
#ifndef BUSY
#define BUSY 2
#endif
#ifndef THREADS
#define THREADS 2
#endif
#ifndef WAKERS
#define WAKERS 2
#endif
#ifdef BOUND /* thread 0 to processor 0 */
#define AFFINITY(t) ((t) == 0 -> 1 : 15)
#else
#define AFFINITY(t) 15
#endif

#define CPUS (ACTIVE + BUSY)
#define NONE 255

bit Lock[CPUS];             /* Ready.Lock, where it is held over several steps */
byte Queue[CPUS];           /* a set of threads; not empty: Summary            */
byte RunningPriority[CPUS]; /* 0: idle                                         */
bit DueSchedule[CPUS];
byte Mask;                  /* the idle mask                                   */
bit Irr[CPUS];              /* 0x2F                                            */

/* Stores that only their own processor sees yet. */
bit BitBuffered[CPUS];
byte Linked[CPUS];

byte NextThread; /* the next one that a waker makes ready */

/* The checker's own view. */
bit Asleep[CPUS];
bit Computes[THREADS]; /* for ever */
byte Places[THREADS]; /* queues it is in, processors it runs on */

#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) >> (n)) & 1)
#define PRIORITY(t) ((t) + 1)
#define MAY_RUN(t, c) HAS(AFFINITY(t), c)
#define BEST(set) (HAS(set, 2) -> 2 : (HAS(set, 1) -> 1 : 0))

/* Those of a set that may run on processor c. */
#define FOR(c, set) ((set) & (MAY_RUN(0, c) | (MAY_RUN(1, c) << 1) | (MAY_RUN(2, c) << 2)))

/* Claims processor c and interrupts it. */
inline ClaimAndInterrupt(t, c)
{
    HAS(Mask, c) && MAY_RUN(t, c) -> Mask = Mask & ~BIT(c); Irr[c] = 1
}

/* Offer: t is queued, or was. Only active processors are ever idle. */
inline Offer(t)
{
    if
    :: d_step { ClaimAndInterrupt(t, 0) }
    :: d_step { ClaimAndInterrupt(t, 1) }
#if ACTIVE > 2
    :: d_step { ClaimAndInterrupt(t, 2) }
#endif
    :: !(Mask & AFFINITY(t))
    fi
}

/* Offers what is in the queue of c. */
inline OfferQueue(c)
{
    do
    :: offered < THREADS && HAS(Queue[c], offered) -> Offer(offered); offered++
    :: d_step {
           offered < THREADS && !HAS(Queue[c], offered) ->
           offered = (Queue[c] < BIT(offered) -> THREADS : offered + 1)
       }
    :: offered == THREADS -> break
    od;
    offered = 0
}

inline Target(t, c)
{
    MAY_RUN(t, c) && !(Mask & AFFINITY(t)) -> target = c
}

inline Claim(t, c)
{
#ifdef MUTANT_CLAIM_BY_STORE
    HAS(Mask, c) && MAY_RUN(t, c) -> target = c; claimed = 1; copy = Mask
#else
    HAS(Mask, c) && MAY_RUN(t, c) -> target = c; claimed = 1; Mask = Mask & ~BIT(c)
#endif
}

/* KiReadyThread */
inline KiReadyThread(t)
{
    if
    :: d_step { Claim(t, 0) }
    :: d_step { Claim(t, 1) }
#if ACTIVE > 2
    :: d_step { Claim(t, 2) }
#endif
    :: d_step { Target(t, 0) }
#if BUSY > 0
    :: d_step { Target(t, ACTIVE) } /* a busy one */
#endif
#if BUSY > 1
    :: d_step { Target(t, ACTIVE + 1) }
#endif
    fi;
#ifdef MUTANT_CLAIM_BY_STORE
    d_step {
        if
        :: claimed -> Mask = copy & ~BIT(target)
        :: else
        fi;
        copy = 0
    };
#endif
#ifdef MUTANT_MASK_BEFORE_LINK
    seen = !(Mask & AFFINITY(t));
#endif
    d_step {
        !Lock[target] ->
        assert(Places[t] == 0);
        Places[t]++;
#ifdef MUTANT_READY_NO_BARRIER
        Lock[target] = 1; /* the link is in the store buffer, and the lock's release behind it */
        Linked[target] = BIT(t);
#else
        Queue[target] = Queue[target] | BIT(t);
#endif
        due = (PRIORITY(t) > RunningPriority[target]);
        DueSchedule[target] = DueSchedule[target] || due
#ifndef MUTANT_NO_INTERRUPT
        ;
        Irr[target] = Irr[target] || due || claimed
#endif
    };
#ifndef MUTANT_NO_SECOND_LOOK
    if
#ifdef MUTANT_MASK_BEFORE_LINK
    :: !due && !seen -> Offer(t)
    :: due || seen
#else
    :: !due -> Offer(t)
    :: due
#endif
    fi;
#endif
    d_step { target = 0; claimed = 0; due = 0; seen = 0 }
}

/* Takes the best of processor c's queue that may run on me. */
inline Take(c)
{
    new = BEST(FOR(me, Queue[c]));
    Queue[c] = Queue[c] & ~BIT(new);
    assert(Places[new] == 1)
}

/* KiRequeueThread: where it ran. Its barrier is the end of the step. */
inline KiRequeueThread(t)
{
    d_step {
        !Lock[me] ->
        assert(Places[t] == 0);
        Places[t]++;
        Queue[me] = Queue[me] | BIT(t);
        DueSchedule[me] = DueSchedule[me] || PRIORITY(t) > RunningPriority[me]
    }
}

/* KiReschedule */
inline Reschedule()
{
    d_step {
        !Lock[me] ->
        DueSchedule[me] = 0;
        if
        :: FOR(me, Queue[me]) != 0 && PRIORITY(BEST(FOR(me, Queue[me]))) > RunningPriority[me] ->
            old = current;
            Take(me);
            Places[old]--;
            current = new;
            new = 0;
            RunningPriority[me] = PRIORITY(current)
        :: else
        fi
    };
#ifdef MUTANT_OFFER_FIRST
    OfferQueue(me);
#endif
    if
    :: old != NONE -> KiRequeueThread(old); old = NONE
    :: old == NONE
    fi
#if !defined(MUTANT_LEFT_BEHIND) && !defined(MUTANT_OFFER_FIRST)
    ;
    OfferQueue(me)
#endif
}

/* Looks into the queue of processor c, if nothing is found yet. */
inline Scan(c)
{
    if
    :: c < CPUS && from == NONE && FOR(me, Queue[c]) != 0 -> from = c
    :: c >= CPUS || from != NONE || FOR(me, Queue[c]) == 0
    fi
}

proctype Cpu(byte me)
{
    byte current = NONE, old = NONE, from = NONE;
    byte new, target, offered, copy;
    bit claimed, due, seen, middle;

idle:
#if defined(MUTANT_IDLE_NO_BARRIER)
    BitBuffered[me] = 1;
#elif !defined(MUTANT_BIT_AFTER_SCAN)
    Mask = Mask | BIT(me);
#endif
    Scan(me);
#ifndef MUTANT_NO_STEAL
    Scan(0);
    Scan(1);
#if CPUS > 2
    Scan(2);
#endif
#if CPUS > 3
    Scan(3);
#endif
#endif
#ifdef MUTANT_BIT_AFTER_SCAN
    Mask = Mask | BIT(me);
#endif
    if
    :: from == NONE && Irr[me] && FOR(me, Queue[me]) != 0 -> /* an interrupt in the middle of it */
        Irr[me] = 0;
        from = me;
        middle = 1
    :: true
    fi;
halt:
    if
#ifndef MUTANT_HALTS_BLIND
    :: from == NONE && !HAS(Mask, me) && !BitBuffered[me] -> goto idle
    :: from == NONE && (HAS(Mask, me) || BitBuffered[me]) ->
#else
    :: from == NONE ->
#endif
        Asleep[me] = 1;
end_asleep:
        d_step { Irr[me] -> Irr[me] = 0; Asleep[me] = 0 };
        goto idle
    :: from != NONE
    fi;
#ifdef MUTANT_IDLE_NO_BARRIER
    !BitBuffered[me];
#endif
#ifndef MUTANT_BIT_KEPT
    Mask = Mask & ~BIT(me);
#endif
    if
    :: d_step { !Lock[from] && FOR(me, Queue[from]) != 0 ->
           Take(from);
           current = new;
           new = 0;
           if
           :: from == me -> RunningPriority[me] = PRIORITY(current); DueSchedule[me] = 0
           :: else
           fi
       }
    :: !Lock[from] && FOR(me, Queue[from]) == 0 -> from = NONE; middle = 0; goto idle
    fi;
    if
    :: d_step { from != me && !Lock[me] -> RunningPriority[me] = PRIORITY(current) }
    :: from == me
    fi;
    from = NONE;
#ifndef MUTANT_CLAIM_NOT_PASSED
    OfferQueue(0);
    OfferQueue(1);
#if CPUS > 2
    OfferQueue(2);
#endif
#if CPUS > 3
    OfferQueue(3);
#endif
#else
    OfferQueue(me);
#endif
    if
    :: DueSchedule[me] -> Reschedule() /* seen as the IRQL falls */
    :: !DueSchedule[me]
    fi;
end_runs:
    do
    :: Irr[me] ->
        Irr[me] = 0;
        if
        :: DueSchedule[me] -> Reschedule()
        :: !DueSchedule[me]
        fi
    :: !Computes[current] -> Computes[current] = 1
    :: !Computes[current] -> /* the thread ends: KiSwapThread */
        d_step {
            !Lock[me] ->
            DueSchedule[me] = 0;
            Places[current]--;
            if
            :: FOR(me, Queue[me]) != 0 ->
                Take(me);
                current = new;
                new = 0;
                RunningPriority[me] = PRIORITY(current)
            :: else -> current = NONE; RunningPriority[me] = 0
            fi
        };
        if
        :: current == NONE && !middle -> goto idle
        :: current == NONE && middle -> middle = 0; goto halt
        :: current != NONE ->
#ifndef MUTANT_LEFT_BEHIND
            OfferQueue(me)
#endif
        fi
    od
}

proctype Waker()
{
    byte t, target, copy;
    bit claimed, due, seen;

    do
    :: atomic { NextThread < THREADS -> t = NextThread; NextThread++ };
       KiReadyThread(t);
       t = 0
    :: NextThread >= THREADS -> break
    od
}

proctype StoreBuffers()
{
    byte c;

end_empty:
    do
    :: d_step { BitBuffered[0] -> BitBuffered[0] = 0; Mask = Mask | 1 }
    :: d_step { BitBuffered[1] -> BitBuffered[1] = 0; Mask = Mask | 2 }
    :: atomic {
           (Linked[0] || Linked[1] || Linked[CPUS - 2] || Linked[CPUS - 1]) ->
           if
           :: Linked[0] -> c = 0
           :: Linked[1] -> c = 1
           :: Linked[CPUS - 2] -> c = CPUS - 2
           :: Linked[CPUS - 1] -> c = CPUS - 1
           fi;
           Queue[c] = Queue[c] | Linked[c];
           Linked[c] = 0;
           Lock[c] = 0;
           c = 0
       }
    od
}

init
{
    byte i, j;

    atomic {
#if BUSY > 0
        for (i : ACTIVE .. CPUS - 1)
        {
            RunningPriority[i] = THREADS + 1
        };
        i = 0;
#endif
        run Cpu(0);
        run Cpu(1);
#if ACTIVE > 2
        run Cpu(2);
#endif
        run Waker();
#if WAKERS > 1
        run Waker();
#endif
#if defined(MUTANT_READY_NO_BARRIER) || defined(MUTANT_IDLE_NO_BARRIER)
        run StoreBuffers()
#endif
    };

    timeout ->
    d_step {
        for (i : 0 .. ACTIVE - 1)
        {
            assert(Asleep[i] || !DueSchedule[i]);
            for (j : 0 .. CPUS - 1)
            {
                assert(!Asleep[i] || FOR(i, Queue[j]) == 0)
            }
        }
    }
}
