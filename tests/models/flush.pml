/* SPDX-License-Identifier: MIT */
/*
 * flush.pml - KeFlushQueuedDpcs: a marker at the tail of every queue.
 *
 * PURPOSE
 *   Models KeFlushQueuedDpcs in kernel/ke/dpc.c: on return, every DPC that was queued before the
 *   call, on any CPU, has returned; also one that had been dequeued already and was running. Law
 *   L29, mistake R-e. How a queue is locked, and that a CPU asked to look at its queue does look,
 *   is dpc.pml's.
 *
 * THE PROTOCOL: what the C must do
 *   At PASSIVE_LEVEL, with markers of one's own (the C has them on the caller's stack): set the
 *   count of CPUs, insert each CPU's marker in that CPU's queue as MediumHigh (at the tail, and
 *   asked for at once, so that no tick is needed), wait until the count is 0. The marker's routine
 *   decrements it, interlocked, and touches nothing afterwards. A CPU's queue of threaded DPCs
 *   needs a marker of its own, for the same reason.
 *   Why it is enough: on one CPU a routine starts only when the one before it has returned. When
 *   the marker runs, whatever ran when it was queued has returned; whatever was queued then stood
 *   in front of it, High or Low, and has run and returned, or has been removed. What is queued
 *   later may overtake it (High), but is none of the flush's business.
 *
 * STATE
 *   Two CPUs, each with a queue of up to three entries, in order, and the one that is running. An
 *   entry is a DPC, a marker, or OLD: a DPC that was queued or running when the flush was called.
 *   Entries are anonymous. A driver inserts for ever, anywhere, at the tail, and HEADS times at
 *   the head; a routine may queue itself again, at its CPU's tail, while it runs; the driver also
 *   removes. The flush is called for ever. The flusher has time to run on some CPU.
 *
 * WHAT IS PROVED
 *   When the flush returns, nothing OLD is queued or running anywhere. A marker is never queued
 *   twice. Nothing is stuck. Under weak fairness every flush returns, although the driver never
 *   stops: `ltl returns`.
 *
 * MUTANTS, and what each removes
 *   MUTANT_MARKER_AT_HEAD  the tail: a High marker overtakes what it should wait for
 *   MUTANT_QUEUES_EMPTY    the wait for what is running: it waits until it has seen each queue
 *                          empty (R-e)
 *   MUTANT_ONE_CPU         the other CPU's marker
 *   MUTANT_WAIT_FOR_IDLE   the marker: it waits until it has seen each CPU's queue empty with
 *                          nothing running. That is safe, but may never come (liveness)
 */
#define CPUS 2
#define ROOM 3
#define HEADS 2 /* inserts at the head; without a bound they could hold a marker back for ever */

#define NONE 0
#define DPC 1
#define OLD 2
#define MARKER 3

byte Slot[CPUS * ROOM]; /* the queues, head first     */
byte Depth[CPUS];
byte Running[CPUS]; /* NONE, or the routine that runs */
byte Pending;       /* markers that have not run      */
byte HeadsLeft = HEADS;
bit Flushing;

ltl returns { [] (Flushing -> <> !Flushing) }

#define SLOT(cpu, i) Slot[(cpu) * ROOM + (i)]
#define HAS_ROOM(cpu) (Depth[cpu] < ROOM - 1) /* the last place is kept for the marker */

inline InsertTail(cpu, entry)
{
    SLOT(cpu, Depth[cpu]) = entry;
    Depth[cpu]++
}

inline InsertHead(cpu, entry)
{
    SLOT(cpu, 2) = SLOT(cpu, 1);
    SLOT(cpu, 1) = SLOT(cpu, 0);
    SLOT(cpu, 0) = entry;
    Depth[cpu]++
}

inline RemoveHead(cpu)
{
    SLOT(cpu, 0) = SLOT(cpu, 1);
    SLOT(cpu, 1) = SLOT(cpu, 2);
    SLOT(cpu, 2) = NONE;
    Depth[cpu]--
}

/* KiRetireDpcList: dequeue under the lock, run, return. */
active [CPUS] proctype Cpu()
{
    byte me = _pid;

end_empty:
    do
    :: d_step { Depth[me] > 0 -> Running[me] = SLOT(me, 0); RemoveHead(me) };
       if
       :: d_step { Running[me] == MARKER -> Pending-- }
       :: d_step { Running[me] != MARKER && HAS_ROOM(me) -> InsertTail(me, DPC) }
       :: Running[me] != MARKER
       fi;
       Running[me] = NONE
    od
}

/* Inserts, at the tail for ever, and removes. Each choice is one critical section. */
active proctype Driver()
{
    byte cpu;

    do
    :: atomic {
           if
           :: cpu = 0
           :: cpu = 1
           fi;
           if
           :: HAS_ROOM(cpu) -> InsertTail(cpu, DPC)
           :: HAS_ROOM(cpu) && HeadsLeft > 0 -> HeadsLeft--; InsertHead(cpu, DPC)
           :: Depth[cpu] > 0 && SLOT(cpu, 0) != MARKER -> RemoveHead(cpu)
           :: true
           fi;
           cpu = 0
       }
    od
}

inline InsertMarker(cpu)
{
    d_step {
        for (i : 0 .. ROOM - 1)
        {
            assert(SLOT(cpu, i) != MARKER)
        };
        i = 0;
#ifdef MUTANT_MARKER_AT_HEAD
        InsertHead(cpu, MARKER)
#else
        InsertTail(cpu, MARKER)
#endif
    }
}

/* KeFlushQueuedDpcs, for ever */
active proctype Flusher()
{
    byte i;

    do
    :: d_step { /* the call; the checker marks what it must wait for */
           for (i : 0 .. CPUS * ROOM - 1)
           {
               Slot[i] = (Slot[i] == DPC -> OLD : Slot[i])
           };
           for (i : 0 .. CPUS - 1)
           {
               Running[i] = (Running[i] == DPC -> OLD : Running[i])
           };
           i = 0;
           Flushing = 1
       };

#if defined(MUTANT_QUEUES_EMPTY)
       Depth[0] == 0;
       Depth[1] == 0;
#elif defined(MUTANT_WAIT_FOR_IDLE)
       Depth[0] == 0 && Running[0] == NONE;
       Depth[1] == 0 && Running[1] == NONE;
#elif defined(MUTANT_ONE_CPU)
       Pending = 1;
       InsertMarker(0);
       Pending == 0;
#else
       Pending = CPUS;
       InsertMarker(0);
       InsertMarker(1);
       Pending == 0;
#endif

       d_step { /* the return */
           for (i : 0 .. CPUS * ROOM - 1)
           {
               assert(Slot[i] != OLD)
           };
           for (i : 0 .. CPUS - 1)
           {
               assert(Running[i] != OLD)
           };
           i = 0;
           Flushing = 0
       }
    od
}
