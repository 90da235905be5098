/* SPDX-License-Identifier: MIT */
/*
 * lockcheck.c - who holds which lock, and whether he may take another (checked builds).
 *
 * Each processor keeps the locks it holds, innermost last; a holder is at DISPATCH_LEVEL or above,
 * so the list is that of one flow of control and of the interrupts stacked on it. From it follow,
 * before the processor would spin: the lock taken twice (0xF), the release of a lock not held here
 * (0x10), the two families mixed on one lock (0xC4, 0x1008/0x1009), and a lock of a rank not above
 * that of the last ranked one (0xC4, 0x1001), which is how two processors deadlock. Reader/writer
 * locks are in the list with how they were acquired; they have no rank. Hold times are
 * measured; the longest is kept with its caller.
 */
#include "lockcheck.h"

#if DBG

#define VERIFIER_HIERARCHY 0x1001u
#define VERIFIER_MIXED_ACQUIRE 0x1008u
#define VERIFIER_MIXED_RELEASE 0x1009u

/* A queued lock's word is a pointer to a node, so its top half is the kernel's address prefix; a
 * ticket lock's is (rank, owner), and no rank is that large. A word of 0 may be either's: never
 * used as a ticket lock, or free as a queued one. */
static BOOLEAN KiLooksQueued(KSPIN_LOCK Word)
{
    return (Word >> 48) == 0xFFFF;
}

static ULONG KiLockRank(PKSPIN_LOCK SpinLock)
{
    KI_SPIN_LOCK Lock = {.Word = *(volatile KSPIN_LOCK *)SpinLock};

    return KiLooksQueued(Lock.Word) ? KiRankNone : Lock.Rank;
}

static LONG KiFindHeldLock(PKPRCB Prcb, PKSPIN_LOCK SpinLock)
{
    for (LONG Index = (LONG)Prcb->HeldLockCount - 1; Index >= 0; Index--)
    {
        if (Prcb->HeldLocks[Index].Lock == SpinLock)
        {
            return Index;
        }
    }
    return -1;
}

static VOID KiCheckRank(PKPRCB Prcb, PKSPIN_LOCK SpinLock)
{
    ULONG Rank = KiLockRank(SpinLock);

    for (LONG Index = (LONG)Prcb->HeldLockCount - 1; Rank != KiRankNone && Index >= 0; Index--)
    {
        PKSPIN_LOCK Held = Prcb->HeldLocks[Index].Lock;
        BOOLEAN HasRank = Prcb->HeldLocks[Index].Kind < KiLockKindShared;
        ULONG HeldRank = HasRank ? KiLockRank(Held) : KiRankNone;

        if (HeldRank != KiRankNone && HeldRank >= Rank)
        {
            KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, VERIFIER_HIERARCHY,
                         (ULONG_PTR)SpinLock, (ULONG_PTR)Held, ((ULONG_PTR)HeldRank << 16) | Rank);
        }
    }
}

VOID KiLockCheckBeforeAcquire(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    KSPIN_LOCK Word = *(volatile KSPIN_LOCK *)SpinLock;

    if (KiFindHeldLock(Prcb, SpinLock) >= 0)
    {
        KeBugCheckEx(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)SpinLock, Word, 0, 0);
    }
    if (Kind == KiLockKindSpin ? KiLooksQueued(Word) : Word != 0 && !KiLooksQueued(Word))
    {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, VERIFIER_MIXED_ACQUIRE,
                     (ULONG_PTR)SpinLock, Word, Kind);
    }
    KiCheckRank(Prcb, SpinLock);
}

VOID KiLockCheckAcquired(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind, PVOID Caller)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    BOOLEAN Enabled = ArchDisableInterrupts(); /* an ISR pushes and pops between our two steps */
    ULONG Index = Prcb->HeldLockCount;

    KI_ASSERT_VALUES(Index < KI_MAXIMUM_HELD_LOCKS, Index, SpinLock);
    Prcb->HeldLocks[Index].Lock = SpinLock;
    Prcb->HeldLocks[Index].AcquireTime = __rdtsc();
    Prcb->HeldLocks[Index].Caller = Caller;
    Prcb->HeldLocks[Index].Kind = (UCHAR)Kind;
    Prcb->HeldLockCount = Index + 1;
    ArchRestoreInterrupts(Enabled);

    if (Kind == KiLockKindSpin)
    {
        ((PKI_SPIN_LOCK)SpinLock)->Owner = (USHORT)(Prcb->Index + 1);
    }
}

/* Takes Lock out of the list; returns how it was acquired. Word: for the report that it was not. */
static KI_LOCK_KIND KiForgetHeldLock(PKSPIN_LOCK SpinLock, ULONG64 Word)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    BOOLEAN Enabled = ArchDisableInterrupts();
    LONG Index = KiFindHeldLock(Prcb, SpinLock);
    KI_LOCK_KIND Kind;
    ULONG64 Held;

    if (Index < 0)
    {
        KeBugCheckEx(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, Word, 0, 0);
    }
    Kind = (KI_LOCK_KIND)Prcb->HeldLocks[Index].Kind;
    Held = __rdtsc() - Prcb->HeldLocks[Index].AcquireTime;
    if (Held > Prcb->LongestHold)
    {
        Prcb->LongestHold = Held;
        Prcb->LongestHoldCaller = Prcb->HeldLocks[Index].Caller;
    }
    Prcb->HeldLockCount--;
    for (ULONG Above = (ULONG)Index; Above < Prcb->HeldLockCount; Above++)
    {
        Prcb->HeldLocks[Above] = Prcb->HeldLocks[Above + 1];
    }
    ArchRestoreInterrupts(Enabled);
    return Kind;
}

VOID KiLockCheckBeforeRelease(PKSPIN_LOCK SpinLock, KI_LOCK_KIND Kind)
{
    KiForgetHeldLock(SpinLock, *SpinLock);
    if (KiLooksQueued(*SpinLock) != (Kind == KiLockKindQueued))
    {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, VERIFIER_MIXED_RELEASE,
                     (ULONG_PTR)SpinLock, *SpinLock, Kind);
    }
    if (Kind == KiLockKindSpin)
    {
        ((PKI_SPIN_LOCK)SpinLock)->Owner = 0;
    }
}

VOID KiLockCheckBeforeAcquireRw(volatile LONG *SpinLock)
{
    if (KiFindHeldLock(KiGetCurrentPrcb(), (PKSPIN_LOCK)SpinLock) >= 0)
    {
        KeBugCheckEx(SPIN_LOCK_ALREADY_OWNED, (ULONG_PTR)SpinLock, (ULONG)*SpinLock, 0, 0);
    }
}

VOID KiLockCheckBeforeReleaseRw(volatile LONG *SpinLock, KI_LOCK_KIND Kind)
{
    KI_LOCK_KIND Acquired = KiForgetHeldLock((PKSPIN_LOCK)SpinLock, (ULONG)*SpinLock);

    if (Acquired != Kind)
    {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, VERIFIER_MIXED_RELEASE,
                     (ULONG_PTR)SpinLock, (ULONG)*SpinLock, Kind);
    }
}

VOID KiLockCheckConverted(volatile LONG *SpinLock)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    LONG Index = KiFindHeldLock(Prcb, (PKSPIN_LOCK)SpinLock);

    if (Index < 0)
    {
        KeBugCheckEx(SPIN_LOCK_NOT_OWNED, (ULONG_PTR)SpinLock, (ULONG)*SpinLock, 0, 0);
    }
    Prcb->HeldLocks[Index].Kind = KiLockKindExclusive;
}

#endif
