/* SPDX-License-Identifier: MIT */
/*
 * region.c - critical and guarded regions: a thread tells its APCs to wait.
 *
 * Two counts, below zero while the thread is inside, written by the thread alone: KernelApcDisable
 * holds back normal APCs, SpecialApcDisable all of them. Entering stops nobody but the thread's own
 * deliveries, which are on this same stack, so keeping the compiler from moving the body is all.
 *
 * Leaving is "count = 0, then look at pending"; an insertion is "pending, barrier, then send 0x1F"
 * (apc.c). Neither side misses the other although the leave has no barrier: the interrupt is one.
 * Taken before the store of the count it finds the region closed, delivers nothing, and the look
 * comes after it and sees pending; taken later, it finds the region open. A thread that is not
 * running has a switch before it, and Due.Apc behind that. pairs with: KeInsertQueueApc.
 */
#include "scheduler.h"
#include "twin.h"

/* APCs that the region held back may run: at once at PASSIVE_LEVEL, else when the IRQL falls there.
 * One gs: store: it marks the processor that the thread is on, or was, and then the switch has
 * marked the next one. */
static DECLSPEC_NOINLINE VOID KiDeliverHeldApcs(VOID)
{
    KI_CURRENT_PRCB->Due.Apc = TRUE;
    if (KeGetCurrentIrql() == PASSIVE_LEVEL)
    {
        KiServeAfterLower(PASSIVE_LEVEL);
    }
}

FORCEINLINE VOID KiRegionEnded(PKTHREAD Thread)
{
    if (Thread->KernelApcPending && !KI_TWIN(KiTwinRegionEndsBlind))
    {
        KiDeliverHeldApcs();
    }
}

/* A count may only be below zero when a region is left, and only then after one is entered. */
#if DBG
static VOID KiCheckRegion(PKTHREAD Thread, SHORT Count, PVOID Caller)
{
    if (Count >= 0)
    {
        KeBugCheckEx(
            APC_INDEX_MISMATCH, (ULONG_PTR)Caller, 0,
            ((ULONG)(USHORT)Thread->SpecialApcDisable << 16) | (USHORT)Thread->KernelApcDisable, 1);
    }
}
#else
#define KiCheckRegion(Thread, Count, Caller) ((void)0)
#endif

VOID KeEnterCriticalRegion(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    Thread->KernelApcDisable--;
    KiCheckRegion(Thread, Thread->KernelApcDisable, __builtin_return_address(0));
    KeMemoryBarrierWithoutFence(); /* pairs with: KiDeliverApcs on this thread */
}

VOID KeLeaveCriticalRegion(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KeMemoryBarrierWithoutFence(); /* pairs with: KiDeliverApcs on this thread */
    KiCheckRegion(Thread, Thread->KernelApcDisable, __builtin_return_address(0));
    if (++Thread->KernelApcDisable == 0 && Thread->SpecialApcDisable == 0)
    {
        KiRegionEnded(Thread);
    }
}

VOID KeEnterGuardedRegion(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    Thread->SpecialApcDisable--;
    KiCheckRegion(Thread, Thread->SpecialApcDisable, __builtin_return_address(0));
    KeMemoryBarrierWithoutFence(); /* pairs with: KiDeliverApcs on this thread */
}

VOID KeLeaveGuardedRegion(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();

    KI_ASSERT_IRQL_MAX(APC_LEVEL);
    KeMemoryBarrierWithoutFence(); /* pairs with: KiDeliverApcs on this thread */
    KiCheckRegion(Thread, Thread->SpecialApcDisable, __builtin_return_address(0));
    if (++Thread->SpecialApcDisable == 0)
    {
        KiRegionEnded(Thread);
    }
}

BOOLEAN KeAreApcsDisabled(VOID)
{
    PKTHREAD Thread = KeGetCurrentThread();

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return Thread->KernelApcDisable != 0 || Thread->SpecialApcDisable != 0;
}

BOOLEAN KeAreAllApcsDisabled(VOID)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return KeGetCurrentThread()->SpecialApcDisable != 0 || KeGetCurrentIrql() >= APC_LEVEL;
}
