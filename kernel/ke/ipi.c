/* SPDX-License-Identifier: MIT */
/*
 * ipi.c - rendezvous: one routine on every processor, and the caller waits for all of them.
 *
 * PURPOSE
 *   KeIpiGenericCall for code that must run while nothing else does, and the TLB shootdown for
 *   mappings that are to be reused.
 *
 * HOW IT WORKS
 *   The initiator publishes a request in each other processor's PRCB and sends vector 0xE1. Per
 *   target:
 *       (posted)    initiator stores the request's address, sends the interrupt
 *       (arrived)   target takes it, at IPI_LEVEL; a simultaneous call waits here for Go
 *       (done)      target has run the routine; it never touches the request again
 *   A simultaneous call (KeIpiGenericCall) sets Go when all have arrived and runs the routine
 *   itself at IPI_LEVEL; a shootdown has no Go and each target runs as it comes.
 *
 * LOCKS AND IRQL
 *   Rendezvous are serialised by one lock, taken at CLOCK_LEVEL, one below IPI_LEVEL: high enough
 *   that nothing on this processor can start a second one in the middle, low enough that another
 *   initiator's interrupt still gets in while we wait. Inside, a processor waits only for those
 *   already called. Callers hold no lock that another processor may spin for at IPI_LEVEL or with
 *   interrupts off. Every wait is bounded: a processor that does not come within
 *   RENDEZVOUS_LIMIT_SECONDS is sent the interrupt once more, then named by bug check 0x101.
 *
 * ORDERING
 *   Request before pointer (release), pointer before interrupt (the APIC write). Arrived and Done
 *   are locked adds, read with acquire. pairs with: KiIpiInterrupt. A mapping is removed before the
 *   interrupt is sent, and its INVLPG comes after it arrives.
 *
 * FURTHER READING
 *   Microsoft: "KeIpiGenericCall". Intel SDM 3A 4.10.5 (TLB shootdown). docs/interrupts.md. Law
 *   L83; regressions R-m, R-p.
 */
#include "ki.h"

#include <arch/hal.h>
#include <arch/mmu.h>

#include "trap.h"
#include "twin.h"

#define RENDEZVOUS_IRQL (IPI_LEVEL - 1)
#define RENDEZVOUS_LIMIT_SECONDS 30

/* On the initiator's stack. Arrived and Done: any target, locked add. Go: the initiator. */
typedef struct _KI_RENDEZVOUS
{
    PKIPI_BROADCAST_WORKER Worker;
    ULONG_PTR Context;
    BOOLEAN Simultaneous;
    volatile LONG Arrived;
    volatile LONG Go;
    volatile LONG Done;
} KI_RENDEZVOUS, *PKI_RENDEZVOUS;

/* Serialises all rendezvous; at RENDEZVOUS_IRQL. */
static KSPIN_LOCK KiRendezvousLock = KI_RANKED_SPIN_LOCK(KiRankRendezvous);

/* The handler of vector 0xE1. Without a request it was a duplicate: nothing to do. */
VOID KiIpiInterrupt(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    PKI_RENDEZVOUS Request = ReadPointerAcquire(&Prcb->Rendezvous);

    UNREFERENCED_PARAMETER(Frame);
    if (Request == NULL)
    {
        return;
    }
    if (!KI_TWIN(KiTwinIpiTwice))
    {
        WritePointerRelease(&Prcb->Rendezvous, NULL);
    }
    InterlockedIncrement(&Request->Arrived);
    if (Request->Simultaneous)
    {
        while (!ReadAcquire(&Request->Go)) /* pairs with: KiRendezvous */
        {
            YieldProcessor();
        }
    }
    Request->Worker(Request->Context);
    InterlockedIncrement(&Request->Done);
}

/* Who has not taken the request yet, for the report. */
static ULONG KiFindLaggard(PKI_RENDEZVOUS Request)
{
    for (ULONG Index = 0; Index < KiProcessorCount; Index++)
    {
        if (KiProcessorBlock[Index]->Rendezvous == Request)
        {
            return Index;
        }
    }
    return INVALID_PROCESSOR_INDEX;
}

/* Waits, interrupts on, until *Counter reaches Count. */
static VOID KiAwait(PKI_RENDEZVOUS Request, volatile LONG *Counter, LONG Count)
{
    ULONG64 Limit = HalpCounterFrequency * RENDEZVOUS_LIMIT_SECONDS;
    ULONG64 Start = HalpQueryCounter();
    BOOLEAN Resent = FALSE;

    for (ULONG Spin = 1; ReadAcquire(Counter) != Count; Spin++)
    {
        YieldProcessor();
        if (Spin % 4096 == 0 && HalpQueryCounter() - Start > (Resent ? Limit : Limit / 2))
        {
            ULONG Laggard = KiFindLaggard(Request);

            if (Resent)
            {
                KeBugCheckEx(
                    CLOCK_WATCHDOG_TIMEOUT, RENDEZVOUS_LIMIT_SECONDS, IPI_VECTOR,
                    Laggard == INVALID_PROCESSOR_INDEX ? 0 : (ULONG_PTR)KiProcessorBlock[Laggard],
                    Laggard);
            }
            if (Laggard != INVALID_PROCESSOR_INDEX)
            {
                HalpSendIpi(Laggard, IPI_VECTOR);
            }
            Resent = TRUE;
        }
    }
}

/* Publishes the request to all others, then interrupts them: one by one where a single write to all
 * might reach a processor that firmware keeps. */
static VOID KiPostRequest(PKI_RENDEZVOUS Request, ULONG Self, ULONG Count)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        if (Index != Self)
        {
            WritePointerRelease(&KiProcessorBlock[Index]->Rendezvous, Request);
        }
    }
    if (Count == 1 || HalpSendIpiAllButSelf(IPI_VECTOR))
    {
        return;
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        if (Index != Self)
        {
            HalpSendIpi(Index, IPI_VECTOR);
        }
    }
}

static ULONG_PTR KiRendezvous(PKIPI_BROADCAST_WORKER Worker, ULONG_PTR Context,
                              BOOLEAN Simultaneous)
{
    KI_RENDEZVOUS Request = {.Worker = Worker, .Context = Context, .Simultaneous = Simultaneous};
    LONG Others = (LONG)KiProcessorCount - 1;
    KIRQL OldIrql, LockIrql;
    ULONG_PTR Result;
    ULONG Self;

    KI_ASSERT_IRQL_MAX(RENDEZVOUS_IRQL);
    KI_ASSERT_VALUES(Others == 0 || (__readeflags() & EFLAGS_IF), Others, Worker);
    KeRaiseIrql(RENDEZVOUS_IRQL, &OldIrql);
    KeAcquireSpinLockAtDpcLevel(&KiRendezvousLock);
    Self = KeGetCurrentProcessorIndex();
    KiPostRequest(&Request, Self, (ULONG)Others + 1);
    if (Simultaneous)
    {
        KiAwait(&Request, &Request.Arrived, Others);
    }

    KeRaiseIrql(IPI_LEVEL, &LockIrql);
    WriteRelease(&Request.Go, TRUE); /* pairs with: KiIpiInterrupt */
    Result = Worker(Context);
    KeLowerIrql(LockIrql);

    KiAwait(&Request, &Request.Done, Others);
    KeReleaseSpinLockFromDpcLevel(&KiRendezvousLock);
    KeLowerIrql(OldIrql);
    return Result;
}

ULONG_PTR KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context)
{
    return KiRendezvous(BroadcastFunction, Context, TRUE);
}

typedef struct _KI_TLB_RANGE
{
    PVOID VirtualAddress;
    SIZE_T PageCount;
} KI_TLB_RANGE, *PKI_TLB_RANGE;

static ULONG_PTR KiFlushTlbWorker(ULONG_PTR Context)
{
    PKI_TLB_RANGE Range = (PKI_TLB_RANGE)Context;

    ArchFlushTlb(Range->VirtualAddress, Range->PageCount);
    return 0;
}

VOID KiFlushTlbRange(PVOID VirtualAddress, SIZE_T PageCount)
{
    KI_TLB_RANGE Range = {VirtualAddress, PageCount};

    KiRendezvous(KiFlushTlbWorker, (ULONG_PTR)&Range, FALSE);
}
