/* SPDX-License-Identifier: MIT */
/*
 * paging.h - page-table entries, for arch/mm and mp.
 */
#pragma once

#include "../cpu/cpu.h"

#define PTE_PRESENT (1ull << 0)
#define PTE_WRITE (1ull << 1)
#define PTE_USER (1ull << 2)
#define PTE_WRITE_THROUGH (1ull << 3)
#define PTE_CACHE_DISABLE (1ull << 4)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY (1ull << 6)
#define PTE_LARGE (1ull << 7)
#define PTE_PAT_4K (1ull << 7)
#define PTE_GLOBAL (1ull << 8)
#define PTE_NO_EXECUTE (1ull << 63)
#define PTE_ADDRESS 0x000FFFFFFFFFF000ull

extern ULONG64 ArchKernelCr3;

/* A page from the end of the highest usable memory below 4 GiB; 0 if there is none. Boot only. */
ULONG64 ArchAllocateBootPage(VOID);

/* A zeroed page table; its physical address, or 0. */
ULONG64 ArchNewTable(VOID);
ULONG64 ArchPteFlags(ULONG Protection);
BOOLEAN ArchMapAtLevel(ULONG64 Root, ULONG64 Va, ULONG64 Physical, ULONG64 Flags, ULONG Level);
VOID ArchSetTableWindow(ULONG64 Window);

/* The two pages below 1 MiB that APs start in, reserved before any allocator runs: the first is
 * mapped read/execute there, the second read/write. 0 if there is no room. */
extern ULONG64 ArchTrampolinePages;
