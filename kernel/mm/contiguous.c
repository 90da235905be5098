/* SPDX-License-Identifier: MIT */
/*
 * contiguous.c - physically contiguous memory for devices that move data themselves.
 *
 * The memory is an alias of nothing: it is the block's own place in the physical map, write-back,
 * whatever cache type the caller names. On x86 a device's accesses to memory snoop the caches, so
 * write-back is coherent, and a second mapping with another cache type would be the real danger
 * (SDM 3A, "Memory Cache Control": one page, one type).
 */
#include "mi.h"
#include "pfn.h"

#include <ki.h>

PHYSICAL_ADDRESS MmGetPhysicalAddress(PVOID BaseAddress)
{
    PHYSICAL_ADDRESS Result;
    ULONG64 Physical = ArchTranslate(BaseAddress);

    Result.QuadPart = Physical != ARCH_NOT_MAPPED ? (LONGLONG)Physical : 0;
    return Result;
}

/*
 * MmAllocateContiguousMemorySpecifyCache - contiguous, page-aligned memory within limits.
 *
 *   NumberOfBytes              rounded up to whole pages
 *   Lowest-, HighestAcceptableAddress   the block's first and last byte lie within them
 *   BoundaryAddressMultiple    0, or a power of two no multiple of which the block may cross
 *   CacheType                  without effect on memory: see above
 *
 * NULL if no such block is free. Contents undefined.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
PVOID MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes,
                                             PHYSICAL_ADDRESS LowestAcceptableAddress,
                                             PHYSICAL_ADDRESS HighestAcceptableAddress,
                                             PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                             MEMORY_CACHING_TYPE CacheType)
{
    UNREFERENCED_PARAMETER(CacheType);
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    ULONG64 Low = (ULONG64)LowestAcceptableAddress.QuadPart;
    ULONG64 High = (ULONG64)HighestAcceptableAddress.QuadPart;
    ULONG64 Boundary = (ULONG64)BoundaryAddressMultiple.QuadPart;
    ULONG64 PageCount = (NumberOfBytes >> PAGE_SHIFT) + (BYTE_OFFSET(NumberOfBytes) != 0);
    MI_FRAME_LIMITS Limits;

    KI_ASSERT_VALUES((Boundary & (Boundary - 1)) == 0, Boundary, NumberOfBytes);
    if (Boundary != 0 && Boundary < PAGE_SIZE)
    {
        return NULL; /* every page crosses a multiple of it */
    }
    Limits.LowFrame = (Low >> PAGE_SHIFT) + (BYTE_OFFSET(Low) != 0);
    Limits.EndFrame = (High >> PAGE_SHIFT) + (BYTE_OFFSET(High) == PAGE_SIZE - 1);
    Limits.BoundaryFrames = Boundary >> PAGE_SHIFT;

    /* Limits that leave out nothing are none: then the free lists will do. */
    BOOLEAN Limited = Low != 0 || Limits.EndFrame <= MiHighestFrame() || Boundary != 0;
    ULONG64 Physical = MiAllocateFrames(KeGetCurrentNodeNumber(), PageCount,
                                        Limited ? &Limits : NULL, MiPageContiguous);

    return Physical != 0 ? ArchPhysicalToVirtual(Physical) : NULL;
}

_IRQL_requires_max_(DISPATCH_LEVEL)
PVOID MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress)
{
    PHYSICAL_ADDRESS Zero = {.QuadPart = 0};

    return MmAllocateContiguousMemorySpecifyCache(NumberOfBytes, Zero, HighestAcceptableAddress,
                                                  Zero, MmCached);
}

/*
 * MmFreeContiguousMemory - gives such memory back.
 *
 * An address that was not returned by an allocation, or was freed already, is BAD_POOL_CALLER with
 * 0x60.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MmFreeContiguousMemory(PVOID BaseAddress)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    PMI_PAGE Page = MiLookupVirtual(BaseAddress);

    if (Page == NULL || !Page->Head || Page->Use != MiPageContiguous ||
        BYTE_OFFSET(BaseAddress) != 0)
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0x60, (ULONG_PTR)BaseAddress, 0, 0);
    }
    MiFreeFrames(MiVirtualToPhysical(BaseAddress), MiPageContiguous);
}

_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes,
                                        MEMORY_CACHING_TYPE CacheType)
{
    UNREFERENCED_PARAMETER(CacheType);

#if DBG
    PMI_PAGE Page = MiLookupVirtual(BaseAddress);

    KI_ASSERT_VALUES(Page == NULL || Page->PageCount == BYTES_TO_PAGES(NumberOfBytes), BaseAddress,
                     NumberOfBytes);
#else
    UNREFERENCED_PARAMETER(NumberOfBytes);
#endif
    MmFreeContiguousMemory(BaseAddress);
}
