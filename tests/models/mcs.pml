/* SPDX-License-Identifier: MIT */
/*
 * mcs.pml - the in-stack queued spin lock: a queue of waiters, each spinning on its own node.
 *
 * PURPOSE
 *   Models kernel/ke/queuedlock.c: KeAcquireInStackQueuedSpinLockAtDpcLevel and
 *   KeReleaseInStackQueuedSpinLockFromDpcLevel. Laws L9, L12, L17. That the IRQL is raised before
 *   the exchange and lowered after the release is the same rule, with the same proof, as in
 *   ticket.pml, so IRQL and interrupts are left out here.
 *
 * STATE
 *   The lock is one word, Tail: the newest node, or 0 when free. A node is the LockQueue part of a
 *   KLOCK_QUEUE_HANDLE in its owner's stack frame: Next, the node behind it, and Wait, TRUE until
 *   the node in front hands over. Nodes are numbered 1 .. CPUS, one for each CPU, and each is used
 *   again at once for the next acquisition, as a stack frame is.
 *       acquire   Next = 0, Wait = 1; previous = xchg(Tail, node); if previous != 0:
 *                 previous->Next = node; spin until Wait == 0
 *       release   if Next == 0 and cas(Tail, node, 0): free. If the cas fails, somebody has done
 *                 the exchange and will set Next: spin until it is there. Next->Wait = 0.
 *   Each Promela statement is one memory access; atomic and d_step stand only for one locked
 *   instruction and for the checker's bookkeeping. Memory is sequentially consistent here.
 *
 * WHAT IS PROVED
 *   At most one CPU is inside. CPUs enter in the order of their exchanges, so each waits for at
 *   most CPUS - 1 hand-overs. Nobody touches a node whose owner has left (it is stack). No waiter
 *   is lost: no state is stuck. Under weak fairness whoever has done the exchange is served.
 *
 * MUTANTS, and what each removes
 *   MUTANT_NO_WAIT_FOR_NEXT  the wait for Next after a failed cas: the waiter links itself to a
 *                            node that its owner has left, and nobody wakes it
 *   MUTANT_STORE_TAIL        the cas: a plain store cuts off whoever has just queued itself
 *   MUTANT_WAIT_SET_LATE     Wait = 1 before the node can be seen: it overwrites the hand-over
 */
#define CPUS 4

byte Tail;           /* any CPU, by xchg and cas                              */
byte Next[CPUS + 1]; /* written once, by the CPU behind                       */
bit Wait[CPUS + 1];  /* set by the owner, cleared by the CPU in front         */

/* The checker's own view; no code reads it to decide anything. */
byte Inside;           /* CPUs between acquire and release                    */
byte Out;              /* CPUs between their exchange and their release       */
byte Ahead[CPUS + 1];  /* hand-overs still to come before this CPU's          */
bit Waiting[CPUS + 1]; /* has done the exchange, has not entered              */
bit Live[CPUS + 1];    /* the node is in use, from its first to its last line */

ltl served { [] (Waiting[1] -> <> !Waiting[1]) }

inline NoteExchange()
{
    Ahead[me] = Out;
    assert(Ahead[me] <= CPUS - 1);
    Out++;
    Waiting[me] = 1
}

inline NoteEnter()
{
    Waiting[me] = 0;
    Inside++;
    assert(Inside == 1);
    assert(Ahead[me] == 0)
}

inline NoteRelease()
{
    Inside--;
    Out--;
    for (i : 1 .. CPUS)
    {
        if
        :: Waiting[i] && Ahead[i] > 0 -> Ahead[i]--
        :: else
        fi
    }
    i = 0
}

inline Acquire()
{
    d_step { Live[me] = 1; Next[me] = 0 };
#ifndef MUTANT_WAIT_SET_LATE
    Wait[me] = 1;
#endif
    d_step { previous = Tail; Tail = me; NoteExchange() };
    if
    :: previous == 0
    :: else ->
        d_step { assert(Live[previous]); Next[previous] = me; previous = 0 };
#ifdef MUTANT_WAIT_SET_LATE
        Wait[me] = 1;
#endif
        Wait[me] == 0
    fi;
    d_step { NoteEnter() }
}

/* Wakes the node behind. This is the last touch of both nodes: their owners may now leave. */
inline HandOver()
{
    next = Next[me];
    d_step { assert(Live[next]); NoteRelease(); Live[me] = 0; Wait[next] = 0; next = 0 }
}

inline Release()
{
    if
    :: Next[me] != 0 -> HandOver()
    :: else ->
#ifdef MUTANT_STORE_TAIL
        d_step { Tail = 0; NoteRelease(); Live[me] = 0 }
#else
        if
        :: d_step { Tail == me -> Tail = 0; NoteRelease(); Live[me] = 0 }
#ifdef MUTANT_NO_WAIT_FOR_NEXT
        :: else -> d_step { NoteRelease(); Live[me] = 0 }
#else
        :: else -> Next[me] != 0 -> HandOver()
#endif
        fi
#endif
    fi
}

active [CPUS] proctype Cpu()
{
    byte me = _pid + 1;
    byte previous, next, i;

    do
    :: true ->
        Acquire();
        Release()
    od
}
