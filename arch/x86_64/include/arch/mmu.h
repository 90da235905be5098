/* SPDX-License-Identifier: MIT */
/*
 * mmu.h - page tables as the memory manager sees them.
 *
 * Address space (48-bit, four levels):
 *   FFFF8000_00000000  physical map: all RAM, read/write, never executable, write-back; the kernel
 *                      image's own text and read-only pages are read-only here too
 *   FFFFA000_00000000  device registers (MmMapIoSpace)
 *   FFFFB000_00000000  kernel stacks, each between guard pages
 *   FFFFFFFF_80000000  the kernel image, at its physical address plus this
 *   FFFFFFFF_FFE00000  the local APIC's page, at an address that fits a 32-bit displacement
 * There is no identity map. The caller of the map and unmap routines serialises them (the memory
 * manager's page-table lock).
 */
#pragma once

#include <ntdef.h>

#define MM_PHYSICAL_MAP_BASE 0xFFFF800000000000ull
#define MM_PHYSICAL_MAP_SIZE 0x0000200000000000ull
#define MM_IO_SPACE_BASE 0xFFFFA00000000000ull
#define MM_IO_SPACE_SIZE 0x0000001000000000ull
#define MM_STACK_SPACE_BASE 0xFFFFB00000000000ull
#define MM_STACK_SPACE_SIZE 0x0000000100000000ull
#define MM_IMAGE_BASE 0xFFFFFFFF80000000ull
#define MM_APIC_BASE 0xFFFFFFFFFFE00000ull

/* Protection and cache type of a mapping. Never both writable and executable. */
#define ARCH_PAGE_READ 0x0
#define ARCH_PAGE_WRITE 0x1
#define ARCH_PAGE_EXECUTE 0x2
#define ARCH_PAGE_UNCACHED 0x4
#define ARCH_PAGE_WRITE_COMBINED 0x8 /* uncached on processors without a PAT */
#define ARCH_PAGE_USER 0x10 /* only as ArchVisitMappings reports it: nothing is mapped so */

/* The address at which physical memory that is RAM can be read and written. */
FORCEINLINE PVOID ArchPhysicalToVirtual(ULONG64 Physical)
{
    return (PVOID)(MM_PHYSICAL_MAP_BASE + Physical);
}

/* TRUE if any byte of the Length from Physical on is RAM by firmware's map, or if they wrap.
 * Device registers cannot be there: a write to them would change somebody's memory. Constant after
 * ArchInitializeMemory; any IRQL. */
BOOLEAN ArchTouchesRam(ULONG64 Physical, ULONG64 Length);

/* The first physical address that the processor has no lines for: a table entry that holds it
 * faults when it is used. */
ULONG64 ArchPhysicalLimit(VOID);

/* Where page-table pages come from: returns a page's physical address, or 0 if there is none.
 * Until the memory manager sets one, early boot's own allocator is used. */
typedef ULONG64 ARCH_PAGE_TABLE_ALLOCATOR(VOID);
VOID ArchSetPageTableAllocator(ARCH_PAGE_TABLE_ALLOCATOR *Allocator);

/* Maps one 4 KiB page; the address must be unmapped. FALSE if a page-table page cannot be had. */
BOOLEAN ArchMapPage(PVOID VirtualAddress, ULONG64 Physical, ULONG Protection);

/* Unmaps one page; returns its physical address, or ARCH_NOT_MAPPED. TLBs still hold it until each
 * processor has called ArchFlushTlb for it. */
#define ARCH_NOT_MAPPED 0xFFFFFFFFFFFFFFFFull
ULONG64 ArchUnmapPage(PVOID VirtualAddress);

/* Gives a mapped 4 KiB page other rights; FALSE if there is none at that address. TLBs may hold the
 * old rights until each processor has called ArchFlushTlb for it. */
BOOLEAN ArchProtectPage(PVOID VirtualAddress, ULONG Protection);

/* The page-table entry for an address, present or not; 0 if there is no table for it. */
ULONG64 ArchReadEntry(PVOID VirtualAddress);

/* FALSE on a processor without the no-execute bit: everything mapped is executable there. */
BOOLEAN ArchHasNoExecute(VOID);

/* Physical address of any mapped byte, or ARCH_NOT_MAPPED. Any page size. */
ULONG64 ArchTranslate(PVOID VirtualAddress);

/* How a mapped 4 KiB page is cached: ARCH_PAGE_UNCACHED, ARCH_PAGE_WRITE_COMBINED, or 0 for
 * write-back, and for what is no such page. */
ULONG ArchQueryCaching(PVOID VirtualAddress);

/* Drops this processor's TLB entries for PageCount 4 KiB pages. */
VOID ArchFlushTlb(PVOID VirtualAddress, SIZE_T PageCount);

/* Calls Visit for each leaf mapping of this processor's page tables until it returns FALSE, with
 * its rights: ARCH_PAGE_WRITE, _EXECUTE, _USER. */
typedef BOOLEAN ARCH_VISIT_MAPPING(ULONG64 VirtualAddress, ULONG64 Physical, ULONG64 Size,
                                   ULONG Rights, PVOID Context);
VOID ArchVisitMappings(ARCH_VISIT_MAPPING *Visit, PVOID Context);

/* What this processor enforces, read back from its control registers. */
typedef struct _ARCH_PROTECTIONS
{
    BOOLEAN WriteProtect, NoExecute, Smep, Smap, Umip;
} ARCH_PROTECTIONS, *PARCH_PROTECTIONS;
VOID ArchQueryProtections(PARCH_PROTECTIONS Protections);
