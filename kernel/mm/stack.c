/* SPDX-License-Identifier: MIT */
/*
 * stack.c - kernel stacks: page frames mapped between two pages that never are, so that a stack
 * that overflows faults (and double-faults, onto an IST stack) instead of writing into its
 * neighbour.
 *
 * Stacks of the two common sizes are not taken apart when they are freed: up to
 * MI_RECYCLED_STACKS of each size and node wait in a list, still mapped, and the next thread gets
 * its stack without a page-table change or a TLB shootdown. A recycled stack's link lies in its
 * lowest bytes.
 */
#include "mi.h"
#include "pfn.h"
#include "space.h"

#include <ki.h>
#include <twin.h>

#define MI_STACK_CLASSES 2
#define MI_RECYCLED_STACKS 16
#define MI_MAXIMUM_STACK_PAGES 16

typedef struct _MI_RECYCLED
{
    SINGLE_LIST_ENTRY Stacks; /* MiSystemPteLock */
    ULONG Count;              /* MiSystemPteLock */
} MI_RECYCLED, *PMI_RECYCLED;

static MI_REGION MiStackRegion;
static MI_RECYCLED MiRecycled[MI_MAXIMUM_NODES][MI_STACK_CLASSES];

VOID MiInitializeStackSpace(VOID)
{
    MiInitializeRegion(&MiStackRegion, MM_STACK_SPACE_BASE, MM_STACK_SPACE_SIZE);
}

/* The list for stacks of that size on that node, or NULL if such stacks are not recycled. */
static PMI_RECYCLED MiRecycledList(SIZE_T Bytes, USHORT Node)
{
    switch (Bytes)
    {
    case MI_KERNEL_STACK_SIZE:
        return &MiRecycled[Node][0];
    case MI_SMALL_STACK_SIZE:
        return &MiRecycled[Node][1];
    default:
        return NULL;
    }
}

static PVOID MiTakeRecycledStack(PMI_RECYCLED List)
{
    PSINGLE_LIST_ENTRY Entry;
    KIRQL OldIrql;

    KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
    Entry = List->Stacks.Next;
    if (Entry != NULL)
    {
        List->Stacks.Next = Entry->Next;
        List->Count--;
    }
    KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
    return Entry;
}

/* FALSE if the list has enough. */
static BOOLEAN MiRecycleStack(PMI_RECYCLED List, PVOID Base)
{
    PSINGLE_LIST_ENTRY Entry = Base;
    BOOLEAN Kept = FALSE;
    KIRQL OldIrql;

    KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
    for (PSINGLE_LIST_ENTRY Other = List->Stacks.Next; Other != NULL; Other = Other->Next)
    {
        KI_ASSERT_VALUES(Other != Entry, Base, List->Count); /* freed twice */
    }
    if (List->Count < MI_RECYCLED_STACKS)
    {
        Entry->Next = List->Stacks.Next;
        List->Stacks.Next = Entry;
        List->Count++;
        Kept = TRUE;
    }
    KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
    return Kept;
}

static BOOLEAN MiMapStackPage(PVOID Address, USHORT Node)
{
    ULONG64 Physical = MiAllocateFrames(Node, 1, NULL, MiPageStack);
    BOOLEAN Mapped = FALSE;

    if (Physical != 0)
    {
        KIRQL OldIrql;

        KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
        Mapped = ArchMapPage(Address, Physical, ARCH_PAGE_WRITE);
        KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
        if (!Mapped)
        {
            MiFreeFrames(Physical, MiPageStack);
        }
    }
    return Mapped;
}

/* Takes the first MappedPages pages of a stack out of the tables and frees everything: the frames
 * and the addresses only when no TLB holds them any more. */
static VOID MiDestroyStack(PMI_MAPPING Mapping, ULONG64 MappedPages)
{
    ULONG64 Frames[MI_MAXIMUM_STACK_PAGES];

    for (ULONG64 Page = 0; Page < MappedPages; Page++)
    {
        Frames[Page] = ArchTranslate((PVOID)(Mapping->Base + Page * PAGE_SIZE));
    }
    MiUnmapPages(Mapping->Base, MappedPages);
    KiFlushTlbRange((PVOID)Mapping->Base, MappedPages);
    for (ULONG64 Page = 0; Page < MappedPages; Page++)
    {
        MiFreeFrames(Frames[Page], MiPageStack);
    }
    MiReleaseMapping(Mapping);
}

static PVOID MiCreateStack(ULONG64 PageCount, USHORT Node)
{
    PMI_MAPPING Mapping = MiReserveMapping(&MiStackRegion, PageCount);

    if (Mapping == NULL)
    {
        return NULL;
    }
    for (ULONG64 Page = 0; Page < PageCount; Page++)
    {
        if (!MiMapStackPage((PVOID)(Mapping->Base + Page * PAGE_SIZE), Node))
        {
            MiDestroyStack(Mapping, Page);
            return NULL;
        }
    }
    if (KI_BOOT_TWIN(KiTwinStackNoGuard) &&
        ArchTranslate((PVOID)(Mapping->Base - PAGE_SIZE)) == ARCH_NOT_MAPPED)
    {
        MiMapStackPage((PVOID)(Mapping->Base - PAGE_SIZE), Node);
    }
    return (PVOID)Mapping->Base;
}

PVOID MiAllocateKernelStack(SIZE_T Bytes, USHORT Node)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    KI_ASSERT_VALUES(Bytes != 0 && Bytes % PAGE_SIZE == 0 && Node < MI_MAXIMUM_NODES &&
                         Bytes / PAGE_SIZE <= MI_MAXIMUM_STACK_PAGES,
                     Bytes, Node);

    PMI_RECYCLED List = MiRecycledList(Bytes, Node);
    PVOID Base = List != NULL ? MiTakeRecycledStack(List) : NULL;

    if (Base == NULL)
    {
        Base = MiCreateStack(Bytes >> PAGE_SHIFT, Node);
    }
    if (Base == NULL)
    {
        return NULL;
    }
    RtlZeroMemory(Base, Bytes);
    return (PUCHAR)Base + Bytes;
}

VOID MiFreeKernelStack(PVOID StackTop, SIZE_T Bytes)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    PUCHAR Base = (PUCHAR)StackTop - Bytes;
    PMI_PAGE Page = MiLookupPage(ArchTranslate(Base));

    if (Page == NULL || Page->Use != MiPageStack)
    {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x3, 0, 0, (ULONG_PTR)Base);
    }

    PMI_RECYCLED List = MiRecycledList(Bytes, MiPageNode(Page));

    if (List == NULL || !MiRecycleStack(List, Base))
    {
        MiDestroyStack(MiClaimMapping(&MiStackRegion, (ULONG64)Base, Bytes >> PAGE_SHIFT),
                       Bytes >> PAGE_SHIFT);
    }
}
