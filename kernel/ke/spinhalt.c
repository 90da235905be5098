/* SPDX-License-Identifier: MIT */
/*
 * spinhalt.c - waiting for a ticket without burning the processor that the holder needs.
 *
 * PURPOSE
 *   A ticket lock is handed to one particular waiter. On a real machine he is spinning and takes it
 *   within nanoseconds. A virtual processor may not be running at all just then: its host has fewer
 *   processors than the guest, and they are busy with the waiters behind him, who spin. Each
 *   hand-over then takes as long as a time slice. So under a hypervisor a waiter spins a little and
 *   then halts, and whoever releases the lock to him interrupts him.
 *
 * HOW IT WORKS
 *   waiter     (spinning) -> (announced)   his processor's block says which lock and ticket; one
 *                                          more is counted in KiHaltedWaiters
 *              (announced) -> (halted)     unless it is his turn by now; STI takes effect after HLT
 *   releaser   stores Serving, and if anybody is halted looks for the one whose turn it is, and
 *              sends him vector 0xE1, the rendezvous interrupt, which without a request does
 *              nothing but end the HLT
 *   The order in which the lock is taken is the tickets', as ever.
 *
 * LOCKS AND IRQL
 *   Halting needs an interrupt that can end it: with interrupts off, or at IPI_LEVEL or above, a
 *   waiter goes on spinning. What interrupts a halted waiter may itself wait for another lock: it
 *   puts the outer announcement back, and the return from it ends the outer HLT.
 *
 * ORDERING
 *   Waiter: announce; count (locked); read Serving. Releaser: store Serving; full barrier; read the
 *   count. One of the two sees the other. pairs with: KiGiveTicket.
 *
 * FURTHER READING
 *   docs/locks.md, with the measurement. tests/models/spinhalt.pml. Law L17.
 */
#include <arch/hal.h>

#include "spinlock.h"

BOOLEAN KiLocksHalt KI_RO_AFTER_INIT;
volatile LONG KiHaltedWaiters;

VOID KiChooseLockWait(VOID)
{
    KiLocksHalt = KiOptions.LockHalt == KiSwitchDefault ? HalpIsUnderHypervisor()
                                                        : KiOptions.LockHalt == KiSwitchOn;
    KiLocksHalt &= KiProcessorCount > 1;
}

VOID KiHaltForTicket(PKI_SPIN_LOCK Lock, KI_TICKET Ticket)
{
    KIRQL Irql = KeGetCurrentIrql();
    KI_AWAITED_TICKET Outer;
    BOOLEAN Early;
    PKPRCB Prcb;

    if (Irql < DISPATCH_LEVEL || Irql >= IPI_LEVEL || !ArchDisableInterrupts())
    {
        return;
    }
    Early = KI_LOCK_TWIN(KiTwinHaltLooksEarly, Lock) && Lock->Serving != Ticket;
    KI_TWIN_LONG_DELAY(KiTwinHaltLooksEarly);
    Prcb = KiGetCurrentPrcb();
    Outer = Prcb->Awaited;
    Prcb->Awaited.Ticket = Ticket;
    WritePointerRelease(&Prcb->Awaited.Lock, Lock);
    InterlockedIncrement(&KiHaltedWaiters); /* pairs with: KiGiveTicket */
    if (Early || __atomic_load_n(&Lock->Serving, __ATOMIC_ACQUIRE) != Ticket)
    {
        ArchEnableAndHalt();
    }
    else
    {
        _enable();
    }
    InterlockedDecrement(&KiHaltedWaiters);
    Prcb->Awaited = Outer;
}

/* The lock itself is not touched: its next owner may have freed it. */
VOID KiWakeTicket(PKI_SPIN_LOCK Lock, KI_TICKET Serving)
{
    for (ULONG Index = 0; Index < KiProcessorCount; Index++)
    {
        PKPRCB Prcb = KiProcessorBlock[Index];

        if (ReadPointerAcquire(&Prcb->Awaited.Lock) == Lock && Prcb->Awaited.Ticket == Serving)
        {
            HalpSendIpi(Index, IPI_VECTOR);
            return;
        }
    }
}
