/* SPDX-License-Identifier: MIT */
/*
 * watch.c - the driver's timer: the watch over a device that interrupts, the polling of one that
 * cannot, and the pauses of a receiver that never finds its ring empty.
 *
 * PURPOSE
 *   The driver sleeps until the device interrupts, so an interrupt that gets lost - in a chip, in a
 *   wrong route, on a masked line - is the end of reception: nobody looks, nothing is unmasked, no
 *   further interrupt comes. A transmitter that hangs, and registers that somebody has changed, are
 *   as silent. The watch looks once a second, whoever is silent. Where no line works at all, the
 *   same timer does the interrupt's work.
 *
 * HOW IT WORKS
 *   One timer, with one DPC of its own. What it does next:
 *
 *       watching     every second, a quarter of it later if that saves a clock interrupt
 *       suspicious   in a quarter of a second: the second look at what the first has seen
 *       polling      in 1 ms, or 10 ms after a tenth of a second without a frame; and each second
 *                    the same look as a watching one
 *       paused       in 1 ms: the DPC again (dpc.c)
 *
 *   A single look proves nothing: what it finds may be about to be announced. So a look is kept and
 *   compared with the next. If the same work waits at both, and no DPC has run between:
 *
 *       a frame in memory, or a link that changed   the interrupt is lost: the timer reads the
 *                                                   causes and queues the DPC, which goes on as if
 *                                                   it had come
 *       RDH elsewhere than the driver               the rings are set up afresh, with at most one
 *       frames in flight, and TDH does not move     reset a second
 *
 *   If the DPC was queued all the time, just not run, nothing is lost: KeInsertQueueDpc says FALSE.
 *   Registers that say what the driver never wrote, or a position outside the ring, need no second
 *   look. Nor does a frame in the ring while there is none where the driver expects the next, since
 *   the device fills it in order. All ones, or an empty slot, mean that the device is gone.
 *
 *       (watching) -> (polling)    after E1000_LOSSES_TO_POLL losses with no interrupt between
 *
 *   and never back: a line that has lost so many is not proven by one that came.
 *
 *   An idle machine pays one interrupt a second on one processor, which replaces one that the clock
 *   takes anyway where its counter needs to be read. Looking less often when nothing has happened
 *   for long would save that, and would let the first frame after the silence wait for so long.
 *
 * LOCKS AND IRQL
 *   DISPATCH_LEVEL. RingLock for all of a look; InterruptLock for a few instructions, within
 *   RingLock and after it. The timer is set under RingLock and only while Running, so who has
 *   cleared Running under RingLock cancels it once and for all.
 *
 * ORDERING
 *   A receive descriptor is read with acquire: pairs with: the device's write-back. All else is
 *   under the locks, or a register.
 *
 * FURTHER READING
 *   Microsoft: "KeSetCoalescableTimer", "CustomTimerDpc routine". 317453 13.4.28, 13.4.29, 13.4.39,
 *   13.4.40 (heads and tails), 13.4.17 (ICR).
 */
#include "e1000.h"

#define E1000_MILLISECOND 10000ll /* in the timer's units, 100 ns */
#define E1000_WATCH_MS 1000
#define E1000_WATCH_TOLERANCE_MS 250
#define E1000_SECOND_LOOK_MS 250
#define E1000_POLL_BUSY_MS 1
#define E1000_POLL_IDLE_MS 10
#define E1000_POLL_LINGER_MS 100 /* busy for so long after a frame */
#define E1000_LOSSES_TO_POLL 3

static VOID E1000SetTimer(PE1000_EXTENSION Extension, ULONG Milliseconds, ULONG Tolerance)
{
    LARGE_INTEGER Due = {.QuadPart = -(LONG64)Milliseconds * E1000_MILLISECOND};

    KeSetCoalescableTimer(&Extension->Timer, Due, 0, Tolerance, &Extension->TimerDpc);
}

/* Frames, in either direction, since the last call. */
static BOOLEAN E1000HasTraffic(PE1000_EXTENSION Extension)
{
    ULONG64 Traffic = Extension->Counters.RxFrames + Extension->Counters.TxQueued;
    BOOLEAN Changed = Traffic != Extension->TrafficSeen;

    Extension->TrafficSeen = Traffic;
    return Changed;
}

/* When to be called next. */
static VOID E1000SetNextTimer(PE1000_EXTENSION Extension, ULONG64 Now)
{
    ULONG64 Left = Extension->NextLook > Now ? (Extension->NextLook - Now) / E1000_MILLISECOND : 0;
    ULONG Wait = (ULONG)Left + 1;

    if (Extension->Area.Polling)
    {
        if (E1000HasTraffic(Extension))
        {
            Extension->LastTraffic = Now;
        }
        E1000SetTimer(Extension,
                      Now - Extension->LastTraffic < E1000_POLL_LINGER_MS * E1000_MILLISECOND
                          ? E1000_POLL_BUSY_MS
                          : E1000_POLL_IDLE_MS,
                      0);
    }
    else
    {
        E1000SetTimer(Extension, Wait, Wait > E1000_SECOND_LOOK_MS ? E1000_WATCH_TOLERANCE_MS : 0);
    }
}

VOID E1000StartWatch(PE1000_EXTENSION Extension)
{
    ULONG64 Now = KeQueryInterruptTime();

    Extension->LastLook.Valid = FALSE;
    Extension->RxPaused = FALSE;
    Extension->RxFullRuns = 0;
    Extension->LostInARow = 0;
    Extension->TrafficSeen = 0;
    Extension->LastTraffic = Now;
    Extension->NextLook = Now + E1000_WATCH_MS * E1000_MILLISECOND;
    E1000SetNextTimer(Extension, Now);
}

VOID E1000PauseReceive(PE1000_EXTENSION Extension)
{
    Extension->RxPaused = TRUE;
    Extension->Counters.RxPauses++;
    E1000SetTimer(Extension, E1000_POLL_BUSY_MS, 0);
}

static BOOLEAN E1000FrameWaitsAt(PE1000_EXTENSION Extension, ULONG Index)
{
    /* pairs with: the device's write-back. */
    return (ReadAcquire64(&Extension->Shared->RxRing[Index & E1000_RING_MASK].Result) &
            E1000_RX_DD) != 0;
}

/* A frame somewhere, but not where the next is expected? Looked for backwards: the device goes
 * forwards, so whatever it has filled after RxNext is seen after RxNext is. */
static BOOLEAN E1000FrameStrays(PE1000_EXTENSION Extension)
{
    for (ULONG Distance = 1; Distance < E1000_RING_SIZE; Distance++)
    {
        if (E1000FrameWaitsAt(Extension, Extension->RxNext - Distance))
        {
            return !E1000FrameWaitsAt(Extension, Extension->RxNext);
        }
    }
    return FALSE;
}

/* What is certainly wrong with the rings, or NULL. */
static PCSTR E1000RingComplaint(PE1000_EXTENSION Extension, ULONG RxHead, ULONG TxHead)
{
    ULONG RxTail = (Extension->RxNext - Extension->RxUnreturned - 1) & E1000_RING_MASK;

    if (RxHead >= E1000_RING_SIZE)
    {
        return "receive head out of range";
    }
    if (TxHead >= E1000_RING_SIZE)
    {
        return "transmit head out of range";
    }
    if (E1000Read(Extension, E1000_RDT) != RxTail)
    {
        return "receive tail elsewhere";
    }
    if (E1000Read(Extension, E1000_TDT) != (Extension->TxFlushed & E1000_RING_MASK))
    {
        return "transmit tail elsewhere";
    }
    if (E1000FrameStrays(Extension))
    {
        return "receiver out of step";
    }
    return NULL;
}

/* One look, without consequences. */
static VOID E1000Look(PE1000_EXTENSION Extension, ULONG Status, ULONG RxHead, ULONG TxHead,
                      E1000_LOOK *Look)
{
    BOOLEAN FrameWaits = E1000FrameWaitsAt(Extension, Extension->RxNext);
    BOOLEAN LinkUp = (Status & E1000_STATUS_LU) != 0;
    KIRQL OldIrql = E1000LockArea(Extension);

    Look->DpcRuns = Extension->Counters.DpcRuns;
    E1000UnlockArea(Extension, OldIrql);

    Look->RxNext = Extension->RxNext;
    Look->TxClean = Extension->TxClean;
    Look->TxHead = TxHead;
    Look->Unannounced = FrameWaits || LinkUp != Extension->LinkUp;
    Look->OutOfStep = !FrameWaits && RxHead != Extension->RxNext;
    Look->TxWaiting = Extension->TxClean != Extension->TxFlushed;
    Look->Valid = TRUE;
}

/* (watching) -> (polling) */
static VOID E1000GiveUpInterrupt(PE1000_EXTENSION Extension)
{
    KIRQL OldIrql = E1000LockArea(Extension);

    Extension->Area.Polling = TRUE;
    Extension->Area.Enabled = 0;
    E1000Write(Extension, E1000_IMC, MAXULONG);
    E1000UnlockArea(Extension, OldIrql);

    Extension->LastTraffic = KeQueryInterruptTime();
    DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_WARNING_LEVEL,
               "e1000: %u interrupts lost in a row: polled from here on\n", Extension->LostInARow);
}

/* An interrupt was lost; the DPC that it should have brought is queued now. */
static VOID E1000NoteLoss(PE1000_EXTENSION Extension)
{
    ULONG64 Claimed;
    ULONG64 Lost;
    KIRQL OldIrql = E1000LockArea(Extension);

    Lost = ++Extension->Counters.LostInterrupts;
    Claimed = Extension->Counters.IsrClaimed;
    E1000UnlockArea(Extension, OldIrql);

    Extension->LostInARow = Claimed == Extension->ClaimedAtLoss ? Extension->LostInARow + 1 : 1;
    Extension->ClaimedAtLoss = Claimed;

    if ((Lost & (Lost - 1)) == 0) /* the first, the second, the fourth... */
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_WARNING_LEVEL,
                   "e1000: interrupt lost, found by the watch (%llu so far)\n", Lost);
    }
    if (Extension->LostInARow >= E1000_LOSSES_TO_POLL)
    {
        E1000GiveUpInterrupt(Extension);
    }
}

/* Compares this look with the last one and acts. Returns whether a second look is due soon. */
static BOOLEAN E1000Compare(PE1000_EXTENSION Extension, const E1000_LOOK *Last,
                            const E1000_LOOK *Look)
{
    BOOLEAN Same = Last->Valid && Last->DpcRuns == Look->DpcRuns && Last->RxNext == Look->RxNext;

    if (Extension->Area.Polling)
    {
        E1000UpdateLink(Extension);
    }
    else if (Look->Unannounced)
    {
        if (!Same || !Last->Unannounced)
        {
            return TRUE;
        }
        if (E1000ServeFromTimer(Extension, TRUE))
        {
            E1000NoteLoss(Extension);
            E1000UpdateLink(Extension);
        }
        return FALSE;
    }
    if (Look->OutOfStep)
    {
        /* A polled device's DPC runs all the time; the position is what counts. */
        if (!Last->Valid || Last->RxNext != Look->RxNext || !Last->OutOfStep)
        {
            return TRUE;
        }
        E1000ResetRings(Extension, "receive head elsewhere");
    }
    else if (Look->TxWaiting && Last->Valid && Last->TxWaiting && Last->TxClean == Look->TxClean &&
             Last->TxHead == Look->TxHead)
    {
        E1000ResetRings(Extension, Extension->LinkUp ? "transmitter stuck"
                                                     : "frames kept by a link that is down");
    }
    return FALSE;
}

/* One look, and what follows from it. */
static VOID E1000Watch(PE1000_EXTENSION Extension, ULONG64 Now)
{
    E1000_LOOK Last = Extension->LastLook;
    ULONG Status = E1000Read(Extension, E1000_STATUS);
    ULONG RxHead = E1000Read(Extension, E1000_RDH);
    ULONG TxHead = E1000Read(Extension, E1000_TDH);
    PCSTR Complaint;
    BOOLEAN Soon = FALSE;

    Extension->NextLook = Now + E1000_WATCH_MS * E1000_MILLISECOND;
    if (E1000_TWIN_IS(Extension, E1000TwinBlindWatch))
    {
        return;
    }
    if (!E1000IsPresent(Extension))
    {
        E1000NoteVanished(Extension);
        return;
    }

    E1000ReclaimTransmit(Extension);
    Complaint = E1000RingComplaint(Extension, RxHead, TxHead);
    if (Complaint != NULL)
    {
        E1000ResetRings(Extension, Complaint);
        return;
    }

    E1000Look(Extension, Status, RxHead, TxHead, &Extension->LastLook);
    Soon = E1000Compare(Extension, &Last, &Extension->LastLook);
    if (Soon)
    {
        Extension->NextLook = Now + E1000_SECOND_LOOK_MS * E1000_MILLISECOND;
    }
}

/*
 * E1000TimerDpc - KDEFERRED_ROUTINE: looks if that is due, polls, ends a pause.
 */
VOID E1000TimerDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PE1000_EXTENSION Extension = DeferredContext;
    ULONG64 Now = KeQueryInterruptTime();
    BOOLEAN Serve = FALSE;
    BOOLEAN Polling = FALSE;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);

    KeAcquireSpinLockAtDpcLevel(&Extension->RingLock);
    if (Extension->Running)
    {
        Serve = Extension->RxPaused;
        Extension->RxPaused = FALSE;
        if (Now >= Extension->NextLook)
        {
            E1000Watch(Extension, Now);
        }
    }
    if (Extension->Running)
    {
        Polling = Extension->Area.Polling;
        E1000SetNextTimer(Extension, Now);
    }
    KeReleaseSpinLockFromDpcLevel(&Extension->RingLock);

    if (Serve || Polling)
    {
        (VOID) E1000ServeFromTimer(Extension, Polling);
    }
}
