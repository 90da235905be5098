/* SPDX-License-Identifier: MIT */
/*
 * mm.h - memory for drivers: physically contiguous memory and device registers.
 */
#pragma once

#include <ntdef.h>
#include <sal.h>

typedef enum _MEMORY_CACHING_TYPE
{
    MmNonCached,    /* uncached: device registers */
    MmCached,       /* write-back: memory         */
    MmWriteCombined /* write-combining: frame buffers */
} MEMORY_CACHING_TYPE;

/* The physical address behind a valid kernel address; 0 if nothing is mapped there. Any IRQL. */
PHYSICAL_ADDRESS MmGetPhysicalAddress(PVOID BaseAddress);

/* Maps NumberOfBytes of physical space; NULL if the range is empty or wraps, or no address space
 * or page-table memory is left. RAM is mapped write-back whatever the caller asks for, so no page
 * ever has two cache types. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PVOID MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes,
                   MEMORY_CACHING_TYPE CacheType);

/* Undoes MmMapIoSpace with the same size. Returns when no processor's TLB holds the mapping, so the
 * caller is one that may start a rendezvous: interrupts on, IRQL <= DISPATCH_LEVEL, no spin lock
 * held. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes);

/* Physically contiguous, page-aligned memory within [Lowest, Highest], crossing no multiple of
 * Boundary (0: no limit; else a power of two); NULL if there is none. Contents undefined. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PVOID MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes,
                                             PHYSICAL_ADDRESS LowestAcceptableAddress,
                                             PHYSICAL_ADDRESS HighestAcceptableAddress,
                                             PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                             MEMORY_CACHING_TYPE CacheType);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes,
                                        MEMORY_CACHING_TYPE CacheType);
_IRQL_requires_max_(DISPATCH_LEVEL)
PVOID MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MmFreeContiguousMemory(PVOID BaseAddress);
