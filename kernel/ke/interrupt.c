/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - interrupt objects: the ISR and whatever shares its data exclude each other on every
 * processor.
 *
 * PURPOSE
 *   A driver's ISR and its other code share a device's state. The IRQL keeps the ISR off this
 *   processor while the other code runs; the interrupt's spin lock keeps it off all others. Both
 *   together, always in this order, are what KeSynchronizeExecution, KeAcquireInterruptSpinLock and
 *   the dispatcher below have in common.
 *
 * HOW IT WORKS
 *   A vector has a chain of interrupt objects, in connect order. For each, the dispatcher raises to
 *   the object's SynchronizeIrql, takes its lock, calls the ISR, releases, lowers. A
 *   level-sensitive chain stops at the first ISR that claims: if another device asserts too, the
 *   line stays up and the interrupt comes again. A latched chain goes round until a whole pass
 *   claims nothing, for an edge that arrives while the line is up is no second edge. A level
 *   interrupt that nobody claims comes back at once and for ever: after KI_STORM_LIMIT of them
 *   within the back-off time the line is masked, reported, and tried again later with a doubled
 *   back-off.
 *
 * LOCKS AND IRQL
 *   KiVectorLock (HIGH_LEVEL) guards the chains' shape and the lines' masks against other changes.
 *   The dispatcher takes only the objects' own locks: it may read a chain while an object is taken
 *   out of it. So disconnecting unlinks, keeps the object's Next intact, and then waits until every
 *   processor has run a DPC: a DPC runs only below every ISR, so each dispatcher that could have
 *   seen the object has finished.
 *
 * ORDERING
 *   An object is complete before its pointer is published, with release; the dispatcher reads with
 *   acquire. pairs with: KiConnectInterrupt and KiDeviceInterrupt. The line is unmasked last.
 *
 * FURTHER READING
 *   Microsoft: "Introduction to Interrupt Service Routines", "KeSynchronizeExecution",
 *   "IoConnectInterrupt". docs/interrupts.md. Laws L35-L39, L41, L42; regression R-o.
 */
#include "interrupt.h"

#include "spinlock.h"
#include "twin.h"

#define KI_STORM_LIMIT 100u       /* unclaimed interrupts within the back-off time */
#define KI_MAXIMUM_EDGE_PASSES 64 /* then the line is taken for stuck              */
#define KI_MAXIMUM_BACKOFF (KI_STORM_BACKOFF * 64ull)

typedef struct _KI_VECTOR
{
    PKINTERRUPT volatile First; /* under KiVectorLock; read by the dispatcher */
    BOOLEAN HasLine;            /* these four under KiVectorLock              */
    HALP_LINE Line;
    ULONG Target;
    ULONG Storms;

    volatile LONG64 Interrupts;  /* any processor, locked add                 */
    volatile LONG64 Unclaimed;   /* any processor, locked add                 */
    volatile LONG64 WindowStart; /* interrupt time when WindowCount began     */
    volatile LONG WindowCount;   /* unclaimed since; approximate by design    */
    volatile LONG Masked;        /* TRUE while masked for a storm             */
    ULONG64 RetryTime;           /* under KiVectorLock: when to unmask        */
    ULONG64 Backoff;
} KI_VECTOR, *PKI_VECTOR;

static KI_VECTOR KiVectors[VECTOR_COUNT];
static KSPIN_LOCK KiVectorLock = KI_RANKED_SPIN_LOCK(KiRankVectors);

/* Lines masked for a storm: under KiVectorLock; read without it by the idle loop. */
static volatile LONG KiStormCount;

static KIRQL KiLockVectors(VOID)
{
    KIRQL OldIrql;

    KeRaiseIrql(HIGH_LEVEL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&KiVectorLock);
    return OldIrql;
}

static VOID KiUnlockVectors(KIRQL OldIrql)
{
    KeReleaseSpinLockFromDpcLevel(&KiVectorLock);
    KeLowerIrql(OldIrql);
}

/* ------------------------------------------------------------------ The exclusion. */

FORCEINLINE VOID KiAcquireInterruptLock(PKINTERRUPT Interrupt)
{
    if (!KI_TWIN(KiTwinInterruptNoLock))
    {
        KiAcquireSpinLock(Interrupt->ActualLock);
    }
}

FORCEINLINE VOID KiReleaseInterruptLock(PKINTERRUPT Interrupt)
{
    if (!KI_TWIN(KiTwinInterruptNoLock))
    {
        KiReleaseSpinLock(Interrupt->ActualLock);
    }
}

KIRQL KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt)
{
    KIRQL OldIrql;

    KeRaiseIrql(Interrupt->SynchronizeIrql, &OldIrql);
    KiAcquireInterruptLock(Interrupt);
    return OldIrql;
}

VOID KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql)
{
    KiReleaseInterruptLock(Interrupt);
    KeLowerIrql(OldIrql);
}

BOOLEAN KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                               PVOID SynchronizeContext)
{
    KIRQL OldIrql = KeAcquireInterruptSpinLock(Interrupt);
    BOOLEAN Result = SynchronizeRoutine(SynchronizeContext);

    KeReleaseInterruptSpinLock(Interrupt, OldIrql);
    return Result;
}

/* ------------------------------------------------------------------ The dispatcher. */

FORCEINLINE BOOLEAN KiCallServiceRoutine(PKINTERRUPT Interrupt)
{
    BOOLEAN Serviced;

    if (Interrupt->SynchronizeIrql > Interrupt->Irql)
    {
        __writecr8(Interrupt->SynchronizeIrql);
    }
    KiAcquireInterruptLock(Interrupt);
    Serviced = Interrupt->ServiceRoutine(Interrupt, Interrupt->ServiceContext);
#if DBG
    if (KeGetCurrentIrql() != Interrupt->SynchronizeIrql)
    {
        KeBugCheckEx(IRQL_UNEXPECTED_VALUE,
                     ((ULONG_PTR)KeGetCurrentIrql() << 16) |
                         ((ULONG_PTR)Interrupt->SynchronizeIrql << 8) | 3,
                     (ULONG_PTR)Interrupt->ServiceRoutine, (ULONG_PTR)Interrupt, 0);
    }
#endif
    KiReleaseInterruptLock(Interrupt);
    if (Interrupt->SynchronizeIrql > Interrupt->Irql)
    {
        __writecr8(Interrupt->Irql);
    }
    return Serviced;
}

FORCEINLINE BOOLEAN KiDispatchLevelChain(PKINTERRUPT Interrupt)
{
    do
    {
        if (KiCallServiceRoutine(Interrupt))
        {
            return TRUE;
        }
        Interrupt = ReadPointerAcquire(&Interrupt->Next); /* pairs with: KiConnectInterrupt */
    } while (Interrupt != NULL);
    return FALSE;
}

static DECLSPEC_NOINLINE BOOLEAN KiDispatchEdgeChain(PKI_VECTOR Entry)
{
    BOOLEAN Claimed = FALSE;

    for (ULONG Pass = 0; Pass < KI_MAXIMUM_EDGE_PASSES; Pass++)
    {
        BOOLEAN ClaimedNow = FALSE;
        PKINTERRUPT Interrupt = ReadPointerAcquire(&Entry->First);

        while (Interrupt != NULL)
        {
            ClaimedNow |= KiCallServiceRoutine(Interrupt);
            Interrupt = ReadPointerAcquire(&Interrupt->Next);
        }
        if (!ClaimedNow)
        {
            break;
        }
        Claimed = TRUE;
    }
    return Claimed;
}

/* Masks the line until Backoff has passed, and doubles Backoff for the next time. */
static VOID KiMaskStorm(ULONG Vector, PKI_VECTOR Entry)
{
    KIRQL OldIrql = KiLockVectors();
    BOOLEAN Masked = FALSE;

    if (Entry->HasLine && Entry->First != NULL && !Entry->Masked)
    {
        HalpMaskLine(Entry->Line.Gsi);
        Entry->RetryTime = KeQueryInterruptTime() + Entry->Backoff;
        Entry->Backoff = Entry->Backoff < KI_MAXIMUM_BACKOFF ? Entry->Backoff * 2 : Entry->Backoff;
        Entry->Storms++;
        Entry->Masked = TRUE;
        KiStormCount++;
        Masked = TRUE;
    }
    KiUnlockVectors(OldIrql);
    if (Masked)
    {
        HalpSendIpi(0, DISPATCH_VECTOR); /* its idle loop arms the clock for the retry */
        KiLog(KiLogError,
              "interrupt storm: GSI %u (vector %02x): %u interrupts that nobody claims: "
              "line masked",
              Entry->Line.Gsi, Vector, KI_STORM_LIMIT);
    }
}

static DECLSPEC_NOINLINE VOID KiCountUnclaimed(ULONG Vector)
{
    PKI_VECTOR Entry = &KiVectors[Vector];
    LONG64 Now = (LONG64)KeQueryInterruptTime();

    InterlockedIncrement64(&Entry->Unclaimed);
    if (Now - ReadNoFence64(&Entry->WindowStart) > KI_STORM_BACKOFF)
    {
        InterlockedExchange64(&Entry->WindowStart, Now);
        InterlockedExchange(&Entry->WindowCount, 0);
    }
    if (InterlockedIncrement(&Entry->WindowCount) == KI_STORM_LIMIT &&
        !KI_TWIN(KiTwinStormNotMasked))
    {
        KiMaskStorm(Vector, Entry);
    }
}

/* The handler of every device vector: at the vector's IRQL, interrupts on, EOI after we return. */
static VOID KiDeviceInterrupt(PKTRAP_FRAME Frame)
{
    PKI_VECTOR Entry = &KiVectors[Frame->Vector];
    PKINTERRUPT First = ReadPointerAcquire(&Entry->First); /* pairs with: KiConnectInterrupt */
    BOOLEAN Claimed = FALSE;

    KI_CURRENT_PRCB->InterruptCount++;
    InterlockedIncrement64(&Entry->Interrupts);
    if (First != NULL)
    {
        Claimed = First->Mode == LevelSensitive ? KiDispatchLevelChain(First)
                                                : KiDispatchEdgeChain(Entry);
    }
    if (!Claimed)
    {
        KiCountUnclaimed((ULONG)Frame->Vector);
    }
}

/* ------------------------------------------------------------------ Connecting. */

static ULONG KiFirstProcessor(KAFFINITY Mask)
{
    for (ULONG Index = 0; Index < KeQueryActiveProcessorCountEx(0); Index++)
    {
        if ((Mask >> Index & 1) && HalpCanTakeLines(Index))
        {
            return Index;
        }
    }
    return INVALID_PROCESSOR_INDEX;
}

static BOOLEAN KiMayConnect(PKI_VECTOR Entry, PKINTERRUPT Interrupt)
{
    PKINTERRUPT First = Entry->First;

    return First == NULL ||
           (First->ShareVector && Interrupt->ShareVector && First->Mode == Interrupt->Mode);
}

/* Puts the object at the chain's end. TRUE if it is the first. Under KiVectorLock. */
static BOOLEAN KiAppendInterrupt(PKI_VECTOR Entry, PKINTERRUPT Interrupt)
{
    PKINTERRUPT volatile *Link = &Entry->First;
    BOOLEAN IsFirst = *Link == NULL;

    while (*Link != NULL)
    {
        Link = &(*Link)->Next;
    }
    Interrupt->Next = NULL;
    WritePointerRelease(Link, Interrupt); /* pairs with: KiDeviceInterrupt */
    return IsFirst;
}

NTSTATUS KiConnectInterrupt(PKINTERRUPT Interrupt)
{
    ULONG Vector = Interrupt->Vector;
    ULONG Target = KiFirstProcessor(Interrupt->ProcessorEnableMask);
    PKI_VECTOR Entry;
    HALP_LINE Line;
    BOOLEAN HasLine;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    if (Vector < DEVICE_VECTOR_FIRST || Vector > DEVICE_VECTOR_LAST ||
        Interrupt->Irql != VECTOR_IRQL(Vector) || Interrupt->SynchronizeIrql < Interrupt->Irql ||
        Interrupt->SynchronizeIrql > SYNCH_LEVEL || Target == INVALID_PROCESSOR_INDEX ||
        Interrupt->ServiceRoutine == NULL)
    {
        return STATUS_INVALID_PARAMETER;
    }
    HasLine = HalpVectorLine(Vector, &Line);
    Entry = &KiVectors[Vector];

    OldIrql = KiLockVectors();
    if (!KiMayConnect(Entry, Interrupt))
    {
        KiUnlockVectors(OldIrql);
        return STATUS_INVALID_PARAMETER;
    }
    if (KiAppendInterrupt(Entry, Interrupt))
    {
        Entry->HasLine = HasLine;
        Entry->Target = Target;
        Entry->Backoff = KI_STORM_BACKOFF;
        HalpSetVectorRoutine(Vector, KiDeviceInterrupt);
        if (HasLine)
        {
            Line.Mode = Interrupt->Mode;
            Entry->Line = Line;
            HalpProgramLine(&Line, Vector, Target);
            HalpUnmaskLine(Line.Gsi);
        }
    }
    KiUnlockVectors(OldIrql);
    return STATUS_SUCCESS;
}

VOID KiDisconnectInterrupt(PKINTERRUPT Interrupt)
{
    PKI_VECTOR Entry = &KiVectors[Interrupt->Vector];
    PKINTERRUPT volatile *Link = &Entry->First;
    KIRQL OldIrql;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    OldIrql = KiLockVectors();
    while (*Link != NULL && *Link != Interrupt)
    {
        Link = &(*Link)->Next;
    }
    if (*Link == Interrupt)
    {
        *Link = Interrupt->Next; /* its own Next stays: a dispatcher may stand on it */
    }
    if (Entry->First == NULL && Entry->HasLine)
    {
        HalpMaskLine(Entry->Line.Gsi);
        if (Entry->Masked)
        {
            Entry->Masked = FALSE;
            KiStormCount--;
        }
    }
    KiUnlockVectors(OldIrql);
    KeFlushQueuedDpcs(); /* the grace period: see LOCKS AND IRQL */
}

NTSTATUS KiRetargetInterrupt(PKINTERRUPT Interrupt, ULONG Processor)
{
    PKI_VECTOR Entry = &KiVectors[Interrupt->Vector];
    KIRQL OldIrql;

    if (Processor >= KeQueryActiveProcessorCountEx(0) ||
        !(Interrupt->ProcessorEnableMask >> Processor & 1) || !HalpCanTakeLines(Processor))
    {
        return STATUS_INVALID_PARAMETER;
    }
    OldIrql = KiLockVectors();
    Entry->Target = Processor;
    if (Entry->HasLine)
    {
        HalpRetargetLine(Entry->Line.Gsi, Processor);
    }
    KiUnlockVectors(OldIrql);
    return STATUS_SUCCESS;
}

PKINTERRUPT KiFirstInterrupt(ULONG Vector)
{
    return ReadPointerAcquire(&KiVectors[Vector].First); /* pairs with: KiConnectInterrupt */
}

/* ------------------------------------------------------------------ Storms and statistics. */

BOOLEAN KiStormsPending(VOID)
{
    return ReadNoFence(&KiStormCount) != 0;
}

VOID KiRetryStormyLines(VOID)
{
    ULONG64 Now;
    KIRQL OldIrql;

    if (!KiStormsPending())
    {
        return;
    }
    Now = KeQueryInterruptTime();
    OldIrql = KiLockVectors();
    for (ULONG Vector = DEVICE_VECTOR_FIRST; Vector <= DEVICE_VECTOR_LAST; Vector++)
    {
        PKI_VECTOR Entry = &KiVectors[Vector];

        if (Entry->Masked && Now >= Entry->RetryTime)
        {
            Entry->Masked = FALSE;
            KiStormCount--;
            InterlockedExchange(&Entry->WindowCount, 0);
            HalpUnmaskLine(Entry->Line.Gsi);
        }
    }
    KiUnlockVectors(OldIrql);
}

VOID KiQueryVector(ULONG Vector, PKI_VECTOR_STATISTICS Statistics)
{
    PKI_VECTOR Entry = &KiVectors[Vector];

    Statistics->Interrupts = (ULONG64)ReadNoFence64(&Entry->Interrupts);
    Statistics->Unclaimed = (ULONG64)ReadNoFence64(&Entry->Unclaimed);
    Statistics->Storms = Entry->Storms;
    Statistics->Masked = (BOOLEAN)ReadNoFence(&Entry->Masked);
    Statistics->Target = Entry->Target;
}
