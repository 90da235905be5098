/* SPDX-License-Identifier: MIT */
/*
 * dpc.c - the DPC: takes the state area, works the rings, lets the device interrupt again.
 *
 * PURPOSE
 *   Everything an interrupt asks for that need not happen at device IRQL: frames received and
 *   answered, transmit buffers taken back, link changes noted. At DISPATCH_LEVEL the processor
 *   still takes device interrupts, so other devices, and this one's ISR, are not held up.
 *
 * HOW IT WORKS
 *   One run is: take the state area; work the rings under RingLock; finish. A run processes at most
 *   E1000_RX_BUDGET frames. If it used the budget up it queues itself again, so that other DPCs of
 *   this processor get their turn between; otherwise it unmasks the receive causes. DPCs come
 *   before threads, so a wire that is never silent could keep the threads of a processor out for
 *   good: after E1000_RX_FULL_RUNS full budgets in a row the next run is left to the timer, a
 *   millisecond later. What does not fit the ring meanwhile is the card's to drop and to count.
 *
 *   The device's receive interrupt and this DPC hand the baton to each other:
 *
 *       (unmasked, no DPC)  -> ISR -> (masked, queued)
 *       (masked, queued)    -> run -> (masked, queued)       budget used up
 *                                  -> (unmasked, no DPC)     ring empty
 *                                  -> (masked, timer set)    too many budgets in a row
 *       (masked, timer set) -> tick -> (masked, queued)
 *
 *   "Masked" always has a DPC queued or running, or the timer set for one, so reception cannot
 *   stall: the ISR queues one after masking, and a run ends in one of the three ways above. A frame
 *   that arrives after the run found the ring empty and before it unmasks has set its cause in ICR
 *   already; unmasking raises the line at once. That closes the classic gap without a second look
 *   at the ring.
 *
 *   Two runs at the same time are normal. A DPC is out of its queue before it runs, so an interrupt
 *   that arrives meanwhile (a link change, say) queues it again, on another processor if that is
 *   where the interrupt or the target is. Each run takes what is in the area at its own time, and
 *   the rings go by RingLock. If one unmasks while the other has queued itself, the worst is an
 *   interrupt that finds nothing to do.
 *
 *   A polled device stays masked: its runs are queued by the timer alone (watch.c), and by
 *   themselves.
 *
 *   Stop sets Stopping under InterruptLock. All insertions test or follow it under the same lock,
 *   so after that no insertion happens and one KeFlushQueuedDpcs is enough.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL. InterruptLock (raising to SynchronizeIrql) twice, for a few dozen instructions
 *   each, and never while a frame is processed; RingLock between the two. The class's routine is
 *   called under RingLock and may not call back.
 *
 * ORDERING
 *   The locks order all memory that processors share. Between processor and device: see receive.c
 *   and transmit.c, whose acquire read and register write pair with the device's write-back and
 *   fetch.
 *
 * FURTHER READING
 *   Microsoft: "Writing DPC Routines", "Guidelines for Writing DPC Routines", "CustomDpc routine".
 *   317453 3.2.7. Laws L19-L32, L40; regression R-o.
 */
#include "e1000.h"

/*
 * Empties the state area into Taken and does the accounting that proves nothing was lost.
 */
static VOID E1000TakeState(PE1000_EXTENSION Extension, E1000_TAKEN_STATE *Taken)
{
    E1000_STATE_AREA *Area = &Extension->Area;
    ULONG Processor = KeGetCurrentProcessorIndex();
    E1000_AREA_HOLD Hold;
    E1000_STATE_AREA Copy;

    E1000EnterArea(Extension, &Hold);

    Copy.Sequence = Area->Sequence;
    Copy.Taken = Area->Taken;
    Copy.Outstanding = Area->Outstanding;
    Copy.Causes = Area->Causes;
    E1000DelayPoint(Extension, "dpc-state-area");
    Copy.Check = ReadNoFence64((volatile LONG64 *)&Area->Check);

    Extension->Counters.DpcRuns++;
    Extension->Counters.DpcProcessors |= 1ull << (Processor < 63 ? Processor : 63);

    if (Copy.Check != E1000StateSum(&Copy) || Copy.Sequence - Copy.Taken != Copy.Outstanding)
    {
        Extension->Counters.TornStates++;
    }

    /* (o, c) -> (0, {}) */
    for (ULONG Left = Copy.Causes; Left != 0; Left &= Left - 1)
    {
        ULONG Bit = (ULONG)__builtin_ctz(Left);

        Taken->CauseCount[Bit] = Area->CauseCount[Bit];
        Area->CauseCount[Bit] = 0;
        Extension->Counters.CausesConsumed[Bit] += Taken->CauseCount[Bit];
    }
    Extension->Counters.InterruptsConsumed += Copy.Outstanding;

    Area->Taken = Copy.Sequence;
    Area->Outstanding = 0;
    Area->Causes = 0;
    Area->Check = E1000StateSum(Area);

    Taken->Causes = Copy.Causes;
    Taken->Stopping = Area->Stopping;
    Taken->Vanished = Area->Vanished;

    E1000LeaveArea(Extension, &Hold);
}

/* How a run ends. */
typedef enum _E1000_RUN_END
{
    E1000RunDone,  /* the ring is empty: unmask                     */
    E1000RunAgain, /* the budget is used up                         */
    E1000RunPause  /* too often in a row: the timer queues the next */
} E1000_RUN_END;

/* Ends a run: again, or unmask, or neither. */
static VOID E1000FinishDpc(PE1000_EXTENSION Extension, E1000_RUN_END End)
{
    E1000_STATE_AREA *Area = &Extension->Area;
    E1000_AREA_HOLD Hold;

    E1000EnterArea(Extension, &Hold);

    if (!Area->Stopping && !Area->Vanished)
    {
        if (End == E1000RunDone)
        {
            if (!Area->Polling)
            {
                /* (masked, running) -> (unmasked, -): causes that came meanwhile raise the line. */
                Area->Enabled = E1000_CAUSES_ENABLED;
                E1000Write(Extension, E1000_IMS, E1000_CAUSES_ENABLED);
            }
        }
        else if (End == E1000RunAgain && KeInsertQueueDpc(&Extension->Dpc, NULL, NULL))
        {
            /* (masked, running) -> (masked, queued); FALSE: the ISR has queued it meanwhile, which
             * is as good. */
            Extension->Counters.DpcRequeued++;
        }
    }

    E1000LeaveArea(Extension, &Hold);
}

/* The rings' share of a run. RingLock is held. */
static E1000_RUN_END E1000WorkRings(PE1000_EXTENSION Extension, const E1000_TAKEN_STATE *Taken)
{
    ULONG Frames;

    if (Taken->Causes & E1000_CAUSE_RXO)
    {
        Extension->Counters.RxOverruns += Taken->CauseCount[__builtin_ctz(E1000_CAUSE_RXO)];
    }
    if (Taken->Causes & E1000_CAUSE_RXDMT0)
    {
        Extension->Counters.RxLow += Taken->CauseCount[__builtin_ctz(E1000_CAUSE_RXDMT0)];
    }
    if (Taken->Causes & E1000_CAUSE_LSC)
    {
        E1000UpdateLink(Extension);
    }

    E1000ReclaimTransmit(Extension);
    Frames = E1000ReceiveFrames(
        Extension, E1000_TWIN_IS(Extension, E1000TwinNoBudget) ? MAXULONG : E1000_RX_BUDGET);
    E1000FlushTransmit(Extension);

    if (Frames != 0)
    {
        Extension->RxEmptyInARow = 0;
    }
    else if (Taken->Causes & E1000_CAUSE_RXT0)
    {
        E1000SuspectReceiveRing(Extension);
    }

    if (Frames != E1000_RX_BUDGET || !Extension->Running)
    {
        Extension->RxFullRuns = 0;
        return E1000RunDone;
    }
    if (++Extension->RxFullRuns < E1000_RX_FULL_RUNS)
    {
        return E1000RunAgain;
    }
    Extension->RxFullRuns = 0;
    E1000PauseReceive(Extension);
    return E1000RunPause;
}

/*
 * E1000DpcForIsr - KDEFERRED_ROUTINE: one run. Microsoft: "KDEFERRED_ROUTINE callback function".
 */
VOID E1000DpcForIsr(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PE1000_EXTENSION Extension = DeferredContext;
    E1000_TAKEN_STATE Taken;
    E1000_RUN_END End = E1000RunDone;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);

    E1000TakeState(Extension, &Taken);

    if (Taken.Stopping)
    {
        return;
    }

    KeAcquireSpinLockAtDpcLevel(&Extension->RingLock);
    if (Taken.Vanished)
    {
        E1000NoteVanished(Extension);
    }
    if (Extension->Running)
    {
        End = E1000WorkRings(Extension, &Taken);
    }
    KeReleaseSpinLockFromDpcLevel(&Extension->RingLock);

    E1000FinishDpc(Extension, End);
}
