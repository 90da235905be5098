/* SPDX-License-Identifier: MIT */
/*
 * space.c - kernel address space: which addresses of a region are taken.
 *
 * A region keeps its ranges in a list sorted by address. A new range goes behind the last one while
 * the region has room there, else into the first gap: so an address is reused as late as possible,
 * and a stale pointer to an unmapped device faults for a long time. Each range is followed by a
 * page that is never mapped, and so is the region's first page: a run past either end faults.
 *
 * Reservation and mapping are two steps, and so are unmapping and release. Between unmapping and
 * release every processor drops the range from its TLB. Without that step in between, another
 * processor could still reach the old memory through the new owner's address: the page tables would
 * say the one thing and its TLB the other.
 */
#include "space.h"
#include "mi.h"

#include <ki.h>

#define MI_TAG_MAPPING 'paMM'

KSPIN_LOCK MiSystemPteLock = KI_RANKED_SPIN_LOCK(KiRankSystemPtes);

VOID MiInitializeRegion(PMI_REGION Region, ULONG64 Base, ULONG64 Size)
{
    Region->Base = Base;
    Region->Size = Size;
    InitializeListHead(&Region->Mappings);
}

/* First address behind the range at Entry and its guard page; for the list's head, the region's
 * first address behind its own guard page. */
static ULONG64 MiEndOfMapping(PMI_REGION Region, PLIST_ENTRY Entry)
{
    if (Entry == &Region->Mappings)
    {
        return Region->Base + PAGE_SIZE;
    }

    PMI_MAPPING Mapping = CONTAINING_RECORD(Entry, MI_MAPPING, Link);

    return Mapping->Base + (Mapping->PageCount + 1) * PAGE_SIZE;
}

/* The entry behind which Bytes of addresses are free, or NULL. MiSystemPteLock is held. */
static PLIST_ENTRY MiFindGap(PMI_REGION Region, ULONG64 Bytes)
{
    PLIST_ENTRY Head = &Region->Mappings;
    PLIST_ENTRY Entry = Head;

    if (Region->Base + Region->Size - MiEndOfMapping(Region, Head->Blink) >= Bytes)
    {
        return Head->Blink;
    }
    while (Entry->Flink != Head)
    {
        PMI_MAPPING Next = CONTAINING_RECORD(Entry->Flink, MI_MAPPING, Link);

        if (Next->Base - MiEndOfMapping(Region, Entry) >= Bytes)
        {
            return Entry;
        }
        Entry = Entry->Flink;
    }
    return NULL;
}

PMI_MAPPING MiReserveMapping(PMI_REGION Region, ULONG64 PageCount)
{
    if (PageCount == 0 || PageCount >= Region->Size >> PAGE_SHIFT)
    {
        return NULL;
    }

    PMI_MAPPING Mapping = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Mapping), MI_TAG_MAPPING);

    if (Mapping == NULL)
    {
        return NULL;
    }

    KIRQL OldIrql;

    KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);

    PLIST_ENTRY Before = MiFindGap(Region, (PageCount + 1) * PAGE_SIZE);

    if (Before != NULL)
    {
        Mapping->Base = MiEndOfMapping(Region, Before);
        Mapping->PageCount = PageCount;
        InsertHeadList(Before, &Mapping->Link); /* directly behind it */
    }
    KeReleaseSpinLock(&MiSystemPteLock, OldIrql);

    if (Before == NULL)
    {
        ExFreePoolWithTag(Mapping, MI_TAG_MAPPING);
        return NULL;
    }
    return Mapping;
}

VOID MiReleaseMapping(PMI_MAPPING Mapping)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
    RemoveEntryList(&Mapping->Link);
    KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
    ExFreePoolWithTag(Mapping, MI_TAG_MAPPING);
}

PMI_MAPPING MiClaimMapping(PMI_REGION Region, ULONG64 Base, ULONG64 PageCount)
{
    PMI_MAPPING Found = NULL;
    KIRQL OldIrql;

    KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
    for (PLIST_ENTRY Entry = Region->Mappings.Flink; Entry != &Region->Mappings && Found == NULL;
         Entry = Entry->Flink)
    {
        PMI_MAPPING Mapping = CONTAINING_RECORD(Entry, MI_MAPPING, Link);

        if (Mapping->Base == Base && !Mapping->Dying)
        {
            Found = Mapping;
        }
    }
    if (Found == NULL)
    {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x3, 0, 0, Base);
    }
    if (Found->PageCount != PageCount)
    {
        KeBugCheckEx(SYSTEM_PTE_MISUSE, 0x2, (ULONG_PTR)Found, Found->PageCount, PageCount);
    }
    Found->Dying = TRUE;
    KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
    return Found;
}

VOID MiUnmapPages(ULONG64 Base, ULONG64 PageCount)
{
    for (ULONG64 First = 0; First < PageCount; First += MI_MAPPING_BATCH)
    {
        ULONG64 Left = PageCount - First;
        ULONG64 Count = Left < MI_MAPPING_BATCH ? Left : MI_MAPPING_BATCH;
        KIRQL OldIrql;

        KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
        for (ULONG64 Page = First; Page < First + Count; Page++)
        {
            ArchUnmapPage((PVOID)(Base + Page * PAGE_SIZE));
        }
        KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
    }
}
