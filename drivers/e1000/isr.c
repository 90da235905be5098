/* SPDX-License-Identifier: MIT */
/*
 * isr.c - the interrupt service routine, and the state area it shares with the DPC.
 *
 * PURPOSE
 *   An interrupt says "something happened" and is gone once its cause register is read. The ISR has
 *   to keep what it read until a DPC can act on it, and interrupts and DPCs do not pair off: a
 *   second interrupt can arrive before the first one's DPC has run, while it runs, and on another
 *   processor. So the ISR hands nothing over directly. It adds to a state area, and whichever DPC
 *   comes next takes all of it. Nothing is lost and nothing is handled twice.
 *
 * HOW IT WORKS
 *   The area counts: interrupts outstanding, and how many of them carried each cause. A flag could
 *   not tell one interrupt from two. As a state (o, c), o interrupts outstanding with causes c:
 *
 *       ISR    (o, c) -> (o + 1, c | ICR)   and the DPC is queued, or was already
 *       take   (o, c) -> (0, {})            the DPC now owns o and c
 *
 *   The invariant is that o > 0 implies a DPC that is queued or has not taken yet: each ISR queues
 *   the DPC after it adds, under the same lock, and a DPC is out of its queue before it takes. When
 *   KeInsertQueueDpc says FALSE the DPC is still in the queue, will take later, and finds this
 *   interrupt too: coalesced, not lost. For that reason the DPC's arguments carry nothing; a FALSE
 *   insertion would drop them.
 *
 *   Receive causes are masked in the device here and unmasked by the DPC when the ring is empty, so
 *   a busy receiver costs one interrupt for many frames. Link changes stay unmasked, and another
 *   device may share the line: the ISR runs again while the DPC is at work, as a rule and not by
 *   bad luck.
 *
 *   Reading ICR clears every bit, masked ones included. Whatever is read is therefore kept, even
 *   when only masked bits came back and the line was somebody else's. The return value answers the
 *   other question: was the line ours? It was if an enabled cause was among the bits. With no
 *   enabled cause at all (before start, after stop) the device cannot pull the line, and its
 *   registers are left alone.
 *
 *   The area checks itself. Check is the sum of the four words before it and is written last; each
 *   interrupt makes those words larger or leaves them, so a mixture of two states has neither
 *   state's sum. Sequence, which only the ISR moves, shows a whole interrupt that was overwritten.
 *   Under the lock neither can happen; the broken twins in twins.c make both happen at once.
 *
 * LOCKS AND IRQL
 *   The kernel raises to SynchronizeIrql and takes InterruptLock before it calls the ISR. The DPC
 *   gets the same two with KeAcquireInterruptSpinLock. Both are needed: the lock keeps out the ISR
 *   on other processors, the IRQL keeps it from arriving on this one, where it would spin for a
 *   lock whose owner it interrupted. No other lock is taken here.
 *
 * ORDERING
 *   The interrupt spin lock's release and acquire order everything in the area. The register reads
 *   and writes are uncached and stay in program order: ICR is read before IMC masks, so a cause
 *   that comes between the two stays in ICR and raises the line when the DPC unmasks. A frame's
 *   memory needs nothing here; see receive.c.
 *
 * FURTHER READING
 *   317453 13.4.17-13.4.21 and 3.2.7 "Receive Interrupts". Microsoft: "Writing an ISR",
 *   "Synchronizing Access to Device Data", "Handling Overlapped I/O Operations",
 *   "KeAcquireInterruptSpinLock". Laws L35, L40; regression R-o.
 */
#include "e1000.h"

/* One interrupt's causes, into the area. InterruptLock is held. */
static VOID E1000Accumulate(PE1000_EXTENSION Extension, ULONG Causes)
{
    E1000_STATE_AREA *Area = &Extension->Area;

    /* (o, c) -> (o + 1, c | Causes) */
    Area->Sequence++;
    Area->Outstanding++;
    E1000DelayPoint(Extension, "isr-state-area");
    Area->Causes |= Causes;

    Extension->Counters.InterruptsSeen++;
    for (ULONG Left = Causes; Left != 0; Left &= Left - 1)
    {
        ULONG Bit = (ULONG)__builtin_ctz(Left);

        Area->CauseCount[Bit]++;
        Extension->Counters.CausesSeen[Bit]++;
    }

    Area->Check = E1000StateSum(Area);
}

static BOOLEAN E1000Unclaimed(PE1000_EXTENSION Extension)
{
    Extension->Counters.IsrUnclaimed++;
    return FALSE;
}

/* The DPC, once more. InterruptLock is held, which makes "queued after added" one step. */
static VOID E1000RequestDpc(PE1000_EXTENSION Extension)
{
    if (KeInsertQueueDpc(&Extension->Dpc, NULL, NULL))
    {
        Extension->Counters.DpcQueued++;
    }
    else
    {
        Extension->Counters.DpcCoalesced++;
    }
}

/*
 * E1000InterruptService - KSERVICE_ROUTINE: quiets the device, saves the causes, asks for the DPC.
 *
 * TRUE if an enabled cause had pulled the line. Microsoft: "KSERVICE_ROUTINE callback function".
 */
BOOLEAN E1000InterruptService(PKINTERRUPT Interrupt, PVOID ServiceContext)
{
    PE1000_EXTENSION Extension = ServiceContext;
    E1000_STATE_AREA *Area = &Extension->Area;
    ULONG Enabled = Area->Enabled;
    ULONG Processor = KeGetCurrentProcessorIndex();
    ULONG Causes;

    UNREFERENCED_PARAMETER(Interrupt);

    Extension->Counters.IsrCalls++;
    Extension->Counters.IsrProcessors |= 1ull << (Processor < 63 ? Processor : 63);

    if (Enabled == 0)
    {
        return E1000Unclaimed(Extension);
    }

    Causes = E1000Read(Extension, E1000_ICR);

    if (Causes == MAXULONG)
    {
        /* Bits 17 and above read as 0 in a device that is there. The DPC says so. A device that is
         * not there does not pull the line: whoever does is for the next ISR to find. */
        Area->Vanished = TRUE;
        Area->Enabled = 0;
        E1000RequestDpc(Extension);
        if (E1000_TWIN_IS(Extension, E1000TwinAllOnesOurs))
        {
            Area->Enabled = Enabled; /* asks again, and claims again, each time */
            Extension->Counters.IsrClaimed++;
            return TRUE;
        }
        return E1000Unclaimed(Extension);
    }

    Causes &= E1000_CAUSE_MASK;
    if (Causes == 0)
    {
        if (E1000_TWIN_IS(Extension, E1000TwinClaimsAll))
        {
            Extension->Counters.IsrClaimed++;
            return TRUE;
        }
        return E1000Unclaimed(Extension);
    }

    if (Causes & Enabled & E1000_CAUSES_RECEIVE)
    {
        Area->Enabled = Enabled & ~E1000_CAUSES_RECEIVE;
        E1000Write(Extension, E1000_IMC, E1000_CAUSES_RECEIVE);
    }

    E1000Accumulate(Extension, Causes);
    E1000RequestDpc(Extension);

    /* A receive cause that the mask register has not stopped yet, since its write was posted, is
     * ours too. */
    if ((Causes & E1000_CAUSES_ENABLED) == 0)
    {
        return E1000Unclaimed(Extension);
    }

    Extension->Counters.IsrClaimed++;
    return TRUE;
}

BOOLEAN E1000ServeFromTimer(PE1000_EXTENSION Extension, BOOLEAN ReadCauses)
{
    E1000_STATE_AREA *Area = &Extension->Area;
    KIRQL OldIrql = E1000LockArea(Extension);
    BOOLEAN Queued = FALSE;

    if (!Area->Stopping && !Area->Vanished)
    {
        ULONG Causes = ReadCauses ? E1000Read(Extension, E1000_ICR) : 0;

        if (Causes == MAXULONG)
        {
            Area->Vanished = TRUE;
            Area->Enabled = 0;
        }
        else if ((Causes & E1000_CAUSE_MASK) != 0)
        {
            E1000Accumulate(Extension, Causes & E1000_CAUSE_MASK);
        }
        Queued = KeInsertQueueDpc(&Extension->Dpc, NULL, NULL);
        if (Queued)
        {
            Extension->Counters.DpcByTimer++;
        }
    }
    E1000UnlockArea(Extension, OldIrql);
    return Queued;
}
