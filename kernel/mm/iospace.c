/* SPDX-License-Identifier: MIT */
/*
 * iospace.c - device registers: MmMapIoSpace and MmUnmapIoSpace.
 *
 * Every mapping gets addresses of its own in the IO region. A page of it that is RAM is mapped
 * write-back, because the physical map holds it write-back already and a page may have only one
 * cache type (SDM 3A, "Programming the PAT"); all others get what the caller asks for. The physical
 * map itself says which pages are RAM: it maps those and no others.
 *
 * MmUnmapIoSpace has four steps, in this order: take the pages out of the tables under the lock;
 * release the lock; have every processor drop them from its TLB; make the addresses reusable. The
 * third may not hold the lock, since a processor that spins for it with interrupts off would never
 * answer, and may not come after the fourth: space.c says what would happen.
 */
#include "mi.h"
#include "space.h"

#include <ki.h>

static MI_REGION MiIoRegion;

VOID MiInitializeIoSpace(VOID)
{
    MiInitializeRegion(&MiIoRegion, MM_IO_SPACE_BASE, MM_IO_SPACE_SIZE);
}

/* How many pages the bytes from Address on touch; 0 if there are none or the range wraps. */
static ULONG64 MiSpannedPages(ULONG64 Address, SIZE_T Bytes)
{
    ULONG64 Last = Address + Bytes - 1;

    if (Bytes == 0 || Last < Address)
    {
        return 0;
    }
    return (Last >> PAGE_SHIFT) - (Address >> PAGE_SHIFT) + 1;
}

static ULONG MiIoProtection(ULONG64 Physical, MEMORY_CACHING_TYPE CacheType)
{
    if (Physical < MM_PHYSICAL_MAP_SIZE &&
        ArchTranslate(ArchPhysicalToVirtual(Physical)) == Physical)
    {
        return ARCH_PAGE_WRITE; /* RAM */
    }
    switch (CacheType)
    {
    case MmCached:
        return ARCH_PAGE_WRITE;
    case MmWriteCombined:
        return ARCH_PAGE_WRITE | ARCH_PAGE_WRITE_COMBINED;
    default:
        return ARCH_PAGE_WRITE | ARCH_PAGE_UNCACHED;
    }
}

/* Maps pages [First, End) of the mapping under one hold of the lock. */
static BOOLEAN MiMapIoBatch(PMI_MAPPING Mapping, ULONG64 Physical, ULONG64 First, ULONG64 End,
                            MEMORY_CACHING_TYPE CacheType)
{
    BOOLEAN Mapped = TRUE;
    KIRQL OldIrql;

    KeAcquireSpinLock(&MiSystemPteLock, &OldIrql);
    for (ULONG64 Page = First; Page < End && Mapped; Page++)
    {
        ULONG64 Frame = Physical + Page * PAGE_SIZE;

        Mapped = ArchMapPage((PVOID)(Mapping->Base + Page * PAGE_SIZE), Frame,
                             MiIoProtection(Frame, CacheType));
    }
    KeReleaseSpinLock(&MiSystemPteLock, OldIrql);
    return Mapped;
}

/*
 * MmMapIoSpace - gives physical space an address.
 *
 *   PhysicalAddress   any byte; the result has the same offset within its page
 *   NumberOfBytes     not 0
 *   CacheType         for device memory; RAM is write-back
 *
 * NULL if the range is empty, wraps or is none that a processor can address, or if no address space
 * or page-table memory is left. In the last case the addresses are given up for good: a processor
 * may have cached a translation ahead of any use, and the caller, who may hold a spin lock, cannot
 * wait for every processor to forget it.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
PVOID MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes,
                   MEMORY_CACHING_TYPE CacheType)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    ULONG64 Address = (ULONG64)PhysicalAddress.QuadPart;
    ULONG64 PageCount = MiSpannedPages(Address, NumberOfBytes);
    PMI_MAPPING Mapping;

    if (PageCount == 0 || Address + (NumberOfBytes - 1) >= ArchPhysicalLimit())
    {
        return NULL;
    }
    Mapping = MiReserveMapping(&MiIoRegion, PageCount);
    if (Mapping == NULL)
    {
        return NULL;
    }
    for (ULONG64 First = 0; First < PageCount; First += MI_MAPPING_BATCH)
    {
        ULONG64 End = First + MI_MAPPING_BATCH < PageCount ? First + MI_MAPPING_BATCH : PageCount;

        if (!MiMapIoBatch(Mapping, Address - BYTE_OFFSET(Address), First, End, CacheType))
        {
            MiUnmapPages(Mapping->Base, End);
            return NULL;
        }
    }
    return (PVOID)(Mapping->Base + BYTE_OFFSET(Address));
}

/*
 * MmUnmapIoSpace - undoes MmMapIoSpace, with the same size.
 *
 * When it returns, no processor can reach the device through the address any more. An address that
 * is not mapped, or a size that is not the mapping's, is SYSTEM_PTE_MISUSE.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    ULONG64 Base = (ULONG64)PAGE_ALIGN(BaseAddress);
    ULONG64 PageCount = MiSpannedPages((ULONG64)BaseAddress, NumberOfBytes);
    PMI_MAPPING Mapping = MiClaimMapping(&MiIoRegion, Base, PageCount);

    MiUnmapPages(Base, PageCount);
    KiFlushTlbRange((PVOID)Base, PageCount);
    MiReleaseMapping(Mapping);
}
