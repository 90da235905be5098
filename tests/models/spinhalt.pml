/* SPDX-License-Identifier: MIT */
/*
 * spinhalt.pml - waiters of a ticket lock that halt, and are woken for their turns.
 *
 * PURPOSE
 *   Models kernel/ke/spinhalt.c and KiGiveTicket of spinlock.h: a waiter announces which turn it
 *   waits for, counts itself, looks once more and halts; who releases stores Serving, looks at the
 *   count, and interrupts the one whose turn it is. The tickets themselves are ticket.pml's. Law
 *   L17.
 *
 * STATE
 *   CPUs with two locks, and a thread on each that takes and releases one ROUNDS times: the first
 *   CPU's either lock, the others' lock A. On the last CPU an ISR, which takes lock B, may start at
 *   any moment at which interrupts are on: also on top of a waiter, spinning, halting or halted.
 *   Interrupts that the releaser sends stay pending while interrupts are off; one that is delivered
 *   ends a HLT if there is one, and else is used up for nothing.
 *   Stores go through a buffer for each CPU, in order, as on x86: its own loads see it, others do
 *   not until it has drained, and a locked instruction or a fence waits for that. Each Promela
 *   statement is one access; what is read and written with interrupts off by its own CPU alone is
 *   one step.
 *
 * WHAT IS PROVED
 *   One holder at a time. No state is stuck: nobody halts for a turn that has come or that nobody
 *   will tell him of, although no other interrupt, such as a clock's, ever ends a HLT here.
 *
 * MUTANTS, and what each removes
 *   MUTANT_NO_FENCE               the barrier between storing Serving and reading the count
 *   MUTANT_NO_LOCKED_COUNT        the locked increment: the announcement may still be in the buffer
 *                                 when Serving is read
 *   MUTANT_CHECK_BEFORE_ANNOUNCE  the look after the announcement: it is before
 *   MUTANT_NO_KICK                the interrupt
 *   MUTANT_ANY_WAITER             the ticket in the announcement: the first who waits for
 *                                 the lock is woken
 *   MUTANT_INTERRUPTS_ON          the CLI: the interrupt may come between the look and the HLT
 */
#ifdef MUTANT_ANY_WAITER /* it takes two who wait for one lock */
#define CPUS 3
#define ROUNDS 1
#define NO_ISR
#endif
#ifndef CPUS
#define CPUS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define LOCKS 2
#define A 0
#define B 1
#define WRAP 4
#define DEPTH 4

/* Memory that is written by plain stores. */
#define SERVING(lock) (lock)
#define LOCK(cpu) (LOCKS + (cpu))            /* Awaited.Lock: lock + 1, or 0 */
#define TICKET(cpu) (LOCKS + CPUS + (cpu))   /* Awaited.Ticket               */
byte Memory[LOCKS + 2 * CPUS];

byte Address[CPUS * DEPTH]; /* the store buffers, oldest first */
byte Value[CPUS * DEPTH];
byte Length[CPUS];

/* Written by locked instructions. */
byte Next[LOCKS];
byte Count; /* KiHaltedWaiters */

bit Pending[CPUS]; /* the interrupt 0xE1 */
bit Masked[CPUS];  /* interrupts off     */
bit InIsr[CPUS];
bit Halted[CPUS + 1]; /* the thread of each CPU; last, the ISR */

/* The checker's own view. */
byte Inside[LOCKS];

#define ISR CPUS
#ifdef NO_ISR
#define FIRST_HARDWARE CPUS
#else
#define FIRST_HARDWARE (CPUS + 1)
#endif
#define GO (me == ISR || !InIsr[cpu])
#define DRAINED (Length[cpu] == 0)

inline Put(address, value)
{
    assert(Length[cpu] < DEPTH);
    Address[cpu * DEPTH + Length[cpu]] = address;
    Value[cpu * DEPTH + Length[cpu]] = value;
    Length[cpu]++
}

inline Get(address, variable)
{
    variable = Memory[address];
    k = 0;
    do
    :: k < Length[cpu] ->
        if
        :: Address[cpu * DEPTH + k] == address -> variable = Value[cpu * DEPTH + k]
        :: else
        fi;
        k++
    :: else -> break
    od;
    k = 0
}

/* Room in the buffer is the hardware's business: a store waits for it. */
inline Store(address, value)
{
    d_step { GO && Length[cpu] < DEPTH -> Put(address, value) }
}

inline Load(address, variable)
{
    d_step { GO -> Get(address, variable) }
}

/* KiHaltForTicket */
inline Halt(lock)
{
#ifndef MUTANT_INTERRUPTS_ON
    d_step { GO -> Masked[cpu] = 1 };
#endif
    d_step { GO -> Get(LOCK(cpu), outerLock); Get(TICKET(cpu), outerTicket) };
#ifdef MUTANT_CHECK_BEFORE_ANNOUNCE
    Load(SERVING(lock), seen);
#endif
    Store(TICKET(cpu), ticket);
    Store(LOCK(cpu), lock + 1);
#ifdef MUTANT_NO_LOCKED_COUNT
    d_step { GO -> Count++ };
#else
    d_step { GO && DRAINED -> Count++ };
#endif
#ifndef MUTANT_CHECK_BEFORE_ANNOUNCE
    Load(SERVING(lock), seen);
#endif
    if
    :: d_step { GO && seen != ticket -> Masked[cpu] = 0; Halted[me] = 1 };
       d_step { GO && !Halted[me] -> seen = 0 }
    :: d_step { GO && seen == ticket -> Masked[cpu] = 0; seen = 0 }
    fi;
    d_step { GO && DRAINED -> Count-- };
    Store(TICKET(cpu), outerTicket);
    Store(LOCK(cpu), outerLock);
    d_step { outerLock = 0; outerTicket = 0 }
}

/* KiDrawTicket: it may go on spinning for as long as it likes. */
inline Acquire(lock)
{
    d_step { GO && DRAINED -> ticket = Next[lock]; Next[lock] = (Next[lock] + 1) % WRAP };
    do
    :: Load(SERVING(lock), seen);
       if
       :: seen == ticket -> break
       :: else -> seen = 0; Halt(lock)
       fi
    od;
    atomic { seen = 0; assert(Inside[lock] == 0); Inside[lock]++ }
}

/* KiGiveTicket and KiWakeTicket */
inline Release(lock)
{
    d_step { GO && Length[cpu] < DEPTH ->
        Inside[lock]--;
        ticket = (ticket + 1) % WRAP;
        Put(SERVING(lock), ticket)
    };
#ifndef MUTANT_NO_FENCE
    d_step { GO && DRAINED -> skip };
#endif
    d_step { GO -> seen = Count };
    if
    :: seen == 0
    :: else ->
        i = 0;
        do
        :: i < CPUS ->
            Load(LOCK(i), seen);
            if
            :: seen == lock + 1 ->
#ifndef MUTANT_ANY_WAITER
                Load(TICKET(i), seen);
#else
                seen = ticket;
#endif
                if
                :: seen == ticket ->
#ifndef MUTANT_NO_KICK
                    d_step { GO -> Pending[i] = 1 };
#endif
                    break
                :: else
                fi
            :: else
            fi;
            i++
        :: else -> break
        od
    fi;
    atomic { i = 0; seen = 0; ticket = 0 }
}

active [CPUS] proctype Thread()
{
    byte me = _pid;
    byte cpu = _pid;
    byte ticket, seen, outerLock, outerTicket, i, k, rounds;

    do
    :: rounds < ROUNDS -> Acquire(A); Release(A); rounds++
#ifndef NO_ISR
    :: rounds < ROUNDS && cpu == 0 -> Acquire(B); Release(B); rounds++
#endif
    :: rounds == ROUNDS -> break
    od
}

#ifndef NO_ISR
active proctype Isr()
{
    byte me = ISR;
    byte cpu = CPUS - 1;
    byte ticket, seen, outerLock, outerTicket, i, k, rounds;

    do
    :: rounds < ROUNDS ->
       d_step { !Masked[cpu] -> InIsr[cpu] = 1 };
       Acquire(B);
       Release(B);
       d_step { InIsr[cpu] = 0; Halted[cpu] = 0 };
       rounds++
    :: rounds == ROUNDS -> break
    od
}
#endif

/* Of each CPU: its oldest store reaches memory; its pending interrupt is delivered. */
active [CPUS] proctype Hardware()
{
    byte cpu = _pid - FIRST_HARDWARE;
    byte k;

end:
    do
    :: d_step {
           Length[cpu] > 0 ->
           Memory[Address[cpu * DEPTH]] = Value[cpu * DEPTH];
           Length[cpu]--;
           do
           :: k < Length[cpu] ->
               Address[cpu * DEPTH + k] = Address[cpu * DEPTH + k + 1];
               Value[cpu * DEPTH + k] = Value[cpu * DEPTH + k + 1];
               k++
           :: else -> break
           od;
           Address[cpu * DEPTH + k] = 0;
           Value[cpu * DEPTH + k] = 0;
           k = 0
       }
    :: d_step {
           Pending[cpu] && !Masked[cpu] ->
           Pending[cpu] = 0;
           if
           :: InIsr[cpu] -> Halted[ISR] = 0
           :: else -> Halted[cpu] = 0
           fi
       }
    od
}
