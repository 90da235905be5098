/* SPDX-License-Identifier: MIT */
/*
 * spinlock.h - the ticket lock's two steps, inline, for the kernel's own short paths (spinlock.c
 * has the theory). Drivers call; so do checked builds, whose checks are in the routines.
 */
#pragma once

#include "ki.h"
#include "twin.h"

/* The twins break drivers' locks only: a kernel whose own locks are broken would not live to report
 * what a test has found. */
#if DBG
#define KI_LOCK_TWIN(Twin, Lock) (KI_TWIN(Twin) && (Lock)->Rank == KiRankNone)
#else
#define KI_LOCK_TWIN(Twin, Lock) FALSE
#endif

/* spinhalt.c: whether waiters halt, chosen once when all processors run; how many do, counted by
 * each of them. */
extern BOOLEAN KiLocksHalt;
extern volatile LONG KiHaltedWaiters;
VOID KiChooseLockWait(VOID);
/* Halts until it may be Ticket's turn; returns at once where nothing could end the halt. */
VOID KiHaltForTicket(PKI_SPIN_LOCK Lock, KI_TICKET Ticket);
/* Interrupts the processor that waits halted for that turn, if one does. */
VOID KiWakeTicket(PKI_SPIN_LOCK Lock, KI_TICKET Serving);

/* So often a waiter looks before it halts. */
#define KI_SPINS_BEFORE_HALT 64

/* Waits for this processor's turn. Out of line, so that the uncontended path reads straight
 * through; and static, so that the compiler sees which registers it leaves alone: a caller that
 * need not wait saves none for one that must. */
static DECLSPEC_NOINLINE __attribute__((unused)) VOID KiWaitForTicket(PKI_SPIN_LOCK Lock,
                                                                      KI_TICKET Ticket)
{
    ULONG Spins = 0;

    /* pairs with: KiGiveTicket */
    while (__atomic_load_n(&Lock->Serving, __ATOMIC_ACQUIRE) != Ticket)
    {
        YieldProcessor();
        if (++Spins % KI_SPINS_BEFORE_HALT == 0 && KiLocksHalt)
        {
            KiHaltForTicket(Lock, Ticket);
        }
    }
}

/* (n, s) -> (n + 1, s), then wait for s == n. */
FORCEINLINE VOID KiDrawTicket(PKI_SPIN_LOCK Lock)
{
    KI_TICKET Ticket;

    if (KI_LOCK_TWIN(KiTwinTicketNoAtomic, Lock))
    {
        Ticket = Lock->Next;
        KI_TWIN_DELAY(KiTwinTicketNoAtomic);
        Lock->Next = (KI_TICKET)(Ticket + 1);
    }
    else
    {
        Ticket = __atomic_fetch_add(&Lock->Next, 1, __ATOMIC_SEQ_CST);
    }

    if (Lock->Serving != Ticket)
    {
        KiWaitForTicket(Lock, Ticket);
    }
    /* Acquire: the compiler is all that has to be stopped. */
    KeMemoryBarrierWithoutFence(); /* pairs with: KiGiveTicket */
}

/* (n, s) -> (n, s + 1). Only the holder writes Serving, so one ordinary add does it, and an x86
 * store is a release once the compiler keeps its place. pairs with: KiDrawTicket and
 * KiWaitForTicket */
FORCEINLINE VOID KiGiveTicket(PKI_SPIN_LOCK Lock)
{
    KI_TICKET Serving = (KI_TICKET)(Lock->Serving + 1);

    KeMemoryBarrierWithoutFence(); /* pairs with: KiDrawTicket and KiWaitForTicket */
    Lock->Serving = Serving;
    KeMemoryBarrierWithoutFence(); /* pairs with: none; it only keeps the store from waiting */
    if (KiLocksHalt)
    {
        KeMemoryBarrier(); /* pairs with: KiHaltForTicket */
        if (ReadNoFence(&KiHaltedWaiters) != 0 && !KI_LOCK_TWIN(KiTwinTicketNoWake, Lock))
        {
            KiWakeTicket(Lock, Serving);
        }
    }
}

/* KeAcquireSpinLockAtDpcLevel, and its partner, for the kernel itself. */
FORCEINLINE VOID KiAcquireSpinLock(PKSPIN_LOCK SpinLock)
{
#if DBG
    KeAcquireSpinLockAtDpcLevel(SpinLock);
#else
    KiDrawTicket((PKI_SPIN_LOCK)SpinLock);
#endif
}

FORCEINLINE VOID KiReleaseSpinLock(PKSPIN_LOCK SpinLock)
{
#if DBG
    KeReleaseSpinLockFromDpcLevel(SpinLock);
#else
    KiGiveTicket((PKI_SPIN_LOCK)SpinLock);
#endif
}
