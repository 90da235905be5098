/* SPDX-License-Identifier: MIT */
/*
 * ticket.pml - the ticket lock behind KSPIN_LOCK, with the IRQL that makes it safe on one CPU.
 *
 * PURPOSE
 *   Models kernel/ke/spinlock.c: KeAcquireSpinLockRaiseToDpc, KeAcquireSpinLockAtDpcLevel,
 *   KeTryToAcquireSpinLockAtDpcLevel and their releases. Laws L9, L10, L13, L17.
 *
 * STATE
 *   One lock, (Next, Serving). Three CPUs; on each a thread that takes the lock for ever, and a
 *   DPC that wants the same lock and may start whenever this CPU's IRQL is below DISPATCH_LEVEL.
 *   A running DPC sits on top of the thread: the thread does not move until it has returned.
 *   The counters wrap at 4 (the C: at 2^32), so they wrap many times in the state space. Equality
 *   stays exact because fewer CPUs than that draw at once, and a CPU draws once at a time: at
 *   DISPATCH_LEVEL nothing else on it may draw.
 *   Each Promela statement is one memory access. atomic and d_step stand only for one locked
 *   instruction, for the hardware's delivery of an interrupt, and for the checker's bookkeeping.
 *   Memory is sequentially consistent here: that the holder's stores are seen by the next holder
 *   (L15) is the business of the release store and the acquire load, and of the litmus tests.
 *
 * WHAT IS PROVED
 *   At most one CPU is inside. The CPUs enter in the order in which they drew, so each waits for
 *   at most CPUS - 1 hand-overs. Next - Serving is the number of tickets out, at every draw, try
 *   and release. No state is stuck. Under weak fairness (each CPU keeps running) whoever draws is
 *   served: that is `ltl served`; the CPUs are alike, so CPU 0 stands for all.
 *
 * MUTANTS, and what each removes
 *   MUTANT_DRAW_LOAD_STORE       the locked add: the draw is a load, then a store
 *   MUTANT_DRAW_BEFORE_RAISE     raise before draw: the DPC waits behind its own CPU's thread
 *   MUTANT_LOWER_BEFORE_RELEASE  release before lower: the same, at the other end
 *   MUTANT_WRAP                  fewer CPUs than the modulus: three CPUs, counters that wrap at 2
 *   MUTANT_TEST_AND_SET          the tickets: any waiter may win, and one may starve (liveness)
 */
#define CPUS 3
#define PASSIVE_LEVEL 0
#define DISPATCH_LEVEL 2

#ifdef MUTANT_WRAP
#define WRAP 2
#else
#define WRAP 4
#endif

byte Next;       /* any CPU, by locked add                                    */
byte Serving;    /* the holder alone                                          */
byte Irql[CPUS]; /* CR8                                                       */
bit InDpc[CPUS]; /* the DPC routine runs on this CPU, on top of its thread    */

/* The checker's own view; no code reads it to decide anything. */
byte Inside;       /* CPUs between acquire and release                        */
byte Out;          /* tickets drawn and not yet given back                    */
byte Ahead[CPUS];  /* hand-overs still to come before this CPU's              */
bit Waiting[CPUS]; /* has drawn, has not entered                              */

ltl served { [] (Waiting[0] -> <> !Waiting[0]) }

inline NoteDraw()
{
    assert((Next + WRAP - Serving) % WRAP == Out % WRAP);
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
    assert(Ahead[me] == 0);
    assert(Irql[me] == DISPATCH_LEVEL)
}

inline NoteRelease()
{
    Inside--;
    Out--;
    for (i : 0 .. CPUS - 1)
    {
        if
        :: Waiting[i] && Ahead[i] > 0 -> Ahead[i]--
        :: else
        fi
    }
    i = 0
}

/* (n, s) -> (n + 1, s): one locked add */
inline Draw()
{
#ifdef MUTANT_DRAW_LOAD_STORE
    ticket = Next;
    d_step { NoteDraw(); Next = (ticket + 1) % WRAP }
#else
    d_step { NoteDraw(); ticket = Next; Next = (Next + 1) % WRAP }
#endif
}

/* wait until s == n */
inline Enter()
{
    d_step { Serving == ticket -> NoteEnter(); ticket = 0 }
}

inline Acquire()
{
#ifdef MUTANT_TEST_AND_SET
    Waiting[me] = 1;
    atomic { Next == 0 -> Next = 1; NoteEnter() }
#else
    Draw();
    Enter()
#endif
}

/*
 * KeTryToAcquireSpinLockAtDpcLevel: read the whole word; if n == s, one locked compare-exchange of
 * that word to (n + 1, s). It never waits, and a failure changes nothing.
 */
inline TryToAcquire()
{
    d_step { ticket = Next; serving = Serving };
    if
    :: d_step {
           ticket == serving && Next == ticket && Serving == serving ->
           assert(Out == 0);
           NoteDraw();
           Next = (Next + 1) % WRAP;
           NoteEnter();
           ticket = 0;
           serving = 0;
           entered = 1
       }
    :: d_step {
           ticket != serving || Next != ticket || Serving != serving ->
           ticket = 0;
           serving = 0
       }
    fi
}

/* (n, s) -> (n, s + 1): a load and a plain store are enough, for only the holder writes Serving */
inline Release()
{
#ifdef MUTANT_TEST_AND_SET
    d_step { Next = 0; NoteRelease() }
#else
    serving = Serving;
    d_step {
        NoteRelease();
        Serving = (serving + 1) % WRAP;
        serving = 0;
        assert((Next + WRAP - Serving) % WRAP == Out % WRAP)
    }
#endif
}

/*
 * A thread: KeAcquireSpinLock, KeReleaseSpinLock, for ever. Below DISPATCH_LEVEL a DPC may run on
 * top of it, and then it does not move: a step taken there waits for NOT_INTERRUPTED. At
 * DISPATCH_LEVEL no DPC starts, so no step there needs it.
 */
#define NOT_INTERRUPTED (!InDpc[me])

active [CPUS] proctype Thread()
{
    byte me = _pid;
    byte ticket, serving, i;

    do
    :: true ->
#ifdef MUTANT_DRAW_BEFORE_RAISE
        atomic { NOT_INTERRUPTED -> Draw() };
        atomic { NOT_INTERRUPTED -> Irql[me] = DISPATCH_LEVEL };
        Enter();
#else
        atomic { NOT_INTERRUPTED -> Irql[me] = DISPATCH_LEVEL };
        Acquire();
#endif
#ifdef MUTANT_LOWER_BEFORE_RELEASE
        Irql[me] = PASSIVE_LEVEL;
        atomic { NOT_INTERRUPTED -> Release() }
#else
        Release();
        Irql[me] = PASSIVE_LEVEL
#endif
    od
}

/* A DPC of the same CPU: the AtDpcLevel pair. The hardware holds it back while IRQL >= 2. */
active [CPUS] proctype Dpc()
{
    byte me = _pid - CPUS;
    byte ticket, serving, i;
    bit entered;

    do
    :: d_step { Irql[me] < DISPATCH_LEVEL -> Irql[me] = DISPATCH_LEVEL; InDpc[me] = 1 };
        if
        :: Acquire();
           entered = 1
#ifndef MUTANT_TEST_AND_SET
        :: TryToAcquire()
#endif
        fi;
        if
        :: entered -> Release(); entered = 0
        :: else
        fi;
        d_step { Irql[me] = PASSIVE_LEVEL; InDpc[me] = 0 }
    od
}
