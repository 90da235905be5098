/* SPDX-License-Identifier: MIT */
/*
 * xstate.c - extended registers (x87, SSE, AVX): who owns what they hold.
 *
 * PURPOSE
 *   The kernel is compiled without these registers, so neither interrupts nor most thread switches
 *   touch them. A driver that wants them saves first, and then they are his until he restores: in a
 *   thread, wherever and however often it is preempted; in a DPC, on top of whatever the thread
 *   beneath has in them; nested as deep as he likes.
 *
 * HOW IT WORKS
 *   Each save in force has a block from the pool with an area for its *own* registers, not for
 *   those that it found. The blocks of one thread form a stack, Thread->ExtendedState the
 *   innermost, and the rule is: the innermost block's registers are in the processor while the
 *   thread runs, all others are in their areas; while it does not run, all are in their areas.
 *       save      (top = Outer, live = Outer's) -> (top = Block, live = fresh)
 *                 Outer's go to Outer's area
 *       restore   (top = Block, live = Block's) -> (top = Outer, live = Outer's)
 *                 Block's are dropped, Outer's come from Outer's area
 *       switch    what is live goes to the old thread's top, and comes from the new one's
 *   With top NULL there is nothing to keep or to bring back.
 *   A DPC uses the stack of the thread that it interrupted: that thread cannot run before the DPC
 *   has returned, and by then the DPC has restored.
 *
 * LOCKS AND IRQL
 *   None: the stack belongs to its thread, whose code, DPCs on top of it included, runs on one
 *   processor at a time. A switch looks at it at DISPATCH_LEVEL, where no DPC comes between.
 *
 * ORDERING
 *   A DPC or a switch may come between any two steps, takes what is live for the top's, and gives
 *   it back. So a save stores Outer's registers before it makes Block the top and resets them
 *   afterwards; a restore loads Outer's while Block is still the top. Either other order would have
 *   them overwritten in Outer's area. Program order, kept by the compiler: each of these
 *   instructions is a barrier to it.
 *
 * FURTHER READING
 *   Microsoft: "Using Floating Point or MMX in a WDM Driver", "KeSaveExtendedProcessorState", "Bug
 *   Check 0xE7". Intel SDM 1, chapter 13; 3A, chapter 14.
 */
#include <arch/xstate.h>
#include <ex.h>

#include "scheduler.h"
#include "twin.h"

#define TAG_EXTENDED_STATE 'tSxE'

/* Bug check 0xE7, parameter 1: the first three are Microsoft's. */
#define KI_STATE_INVALID 0 /* not the innermost save, or restored already; 2: State; 3: the top   */
#define KI_STATE_IRQL 1    /* 2: the save's IRQL; 3: the current one                              */
#define KI_STATE_THREAD 2  /* 2: the save's thread; 3: the current one; 4: the save's DPC, or 0   */
#define KI_STATE_LEFT                                                                              \
    0xFFFF0001u /* not restored at the end of 2: the thread; 3: or its DPC; 4: State */

/* One save in force. All fields constant, but for the area. */
typedef struct _KI_EXTENDED_STATE
{
    struct _KI_EXTENDED_STATE *Outer;
    PKTHREAD Thread;
    PKDPC Dpc; /* NULL: the thread itself */
    KIRQL Irql;
    UCHAR Area[] DECLSPEC_ALIGN(ARCH_EXTENDED_ALIGNMENT);
} KI_EXTENDED_STATE, *PKI_EXTENDED_STATE;

/* The DPC that calls; NULL: a thread does, for none runs while a DPC does. */
static PKDPC KiCallersDpc(VOID)
{
    return KI_CURRENT_PRCB->RunningDpc;
}

static NTSTATUS KiSaveExtendedState(ULONG64 Mask, PVOID *State)
{
    PKTHREAD Thread = KeGetCurrentThread();
    PKI_EXTENDED_STATE Block, Outer;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (Mask & ~ArchExtendedMask())
    {
        return STATUS_NOT_SUPPORTED;
    }
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED,
                            sizeof(*Block) + ArchExtendedSize(), TAG_EXTENDED_STATE);
    if (Block == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Outer = Thread->ExtendedState;
    Block->Outer = Outer;
    Block->Thread = Thread;
    Block->Dpc = KiCallersDpc();
    Block->Irql = KeGetCurrentIrql();

    if (Outer != NULL)
    {
        ArchSaveExtendedRegisters(Outer->Area);
    }
    Thread->ExtendedState = Block;
    ArchResetExtendedRegisters();
    *State = Block;
    return STATUS_SUCCESS;
}

static VOID KiRestoreExtendedState(PVOID *State)
{
    PKTHREAD Thread = KeGetCurrentThread();
    PKI_EXTENDED_STATE Block = *State, Top = Thread->ExtendedState;
    KIRQL Irql = KeGetCurrentIrql();

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    if (Block != NULL && (Block->Thread != Thread || Block->Dpc != KiCallersDpc()))
    {
        KeBugCheckEx(INVALID_FLOATING_POINT_STATE, KI_STATE_THREAD, (ULONG_PTR)Block->Thread,
                     (ULONG_PTR)Thread, (ULONG_PTR)Block->Dpc);
    }
    if (Block == NULL || Block != Top)
    {
        KeBugCheckEx(INVALID_FLOATING_POINT_STATE, KI_STATE_INVALID, (ULONG_PTR)Block,
                     (ULONG_PTR)Top, 0);
    }
    if (Block->Irql != Irql)
    {
        KeBugCheckEx(INVALID_FLOATING_POINT_STATE, KI_STATE_IRQL, Block->Irql, Irql, 0);
    }

    if (Block->Outer != NULL)
    {
        ArchLoadExtendedRegisters(Block->Outer->Area);
    }
    Thread->ExtendedState = Block->Outer;
    *State = NULL;
    ExFreePoolWithTag(Block, TAG_EXTENDED_STATE);
}

VOID KiSwapExtendedState(PKTHREAD Old, PKTHREAD New)
{
    PKI_EXTENDED_STATE OldTop = Old->ExtendedState, NewTop = New->ExtendedState;

    if (OldTop != NULL && !KI_TWIN(KiTwinSwitchNoSave))
    {
        ArchSaveExtendedRegisters(OldTop->Area);
    }
    if (NewTop != NULL)
    {
        ArchLoadExtendedRegisters(NewTop->Area);
    }
}

VOID KiCheckExtendedState(PVOID Before)
{
    PKI_EXTENDED_STATE Top = KeGetCurrentThread()->ExtendedState;

    if (Top != Before)
    {
        KeBugCheckEx(INVALID_FLOATING_POINT_STATE, KI_STATE_LEFT, (ULONG_PTR)KeGetCurrentThread(),
                     (ULONG_PTR)KiCallersDpc(), (ULONG_PTR)Top);
    }
}

ULONG64 RtlGetEnabledExtendedFeatures(ULONG64 FeatureMask)
{
    return FeatureMask & ArchExtendedMask();
}

NTSTATUS KeSaveExtendedProcessorState(ULONG64 Mask, PXSTATE_SAVE XStateSave)
{
    XStateSave->State = NULL;
    return KiSaveExtendedState(Mask, &XStateSave->State);
}

VOID KeRestoreExtendedProcessorState(PXSTATE_SAVE XStateSave)
{
    KiRestoreExtendedState(&XStateSave->State);
}

NTSTATUS KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    FloatSave->State = NULL;
    return KiSaveExtendedState(XSTATE_MASK_LEGACY, &FloatSave->State);
}

NTSTATUS KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    KiRestoreExtendedState(&FloatSave->State);
    return STATUS_SUCCESS;
}
