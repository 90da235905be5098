/* SPDX-License-Identifier: MIT */
/*
 * mi.h - what the memory manager offers the rest of the kernel.
 */
#pragma once

#include <boot_info.h>
#include <ex.h>
#include <mm.h>
#include <ntdef.h>

/* Takes over all usable ranges of the normalized memory map: afterwards page frames, pool,
 * contiguous memory and stacks can be had. Once, on the boot processor, before any other starts. */
VOID MiInitializeMemory(PBOOT_INFO BootInfo);

/* One page frame, preferably of Node; its physical address, or 0 if there is none left. Contents
 * undefined. IRQL <= DISPATCH_LEVEL. */
ULONG64 MiAllocatePageFrame(USHORT Node);
VOID MiFreePageFrame(ULONG64 Physical);

/* A kernel stack of that many bytes (whole pages, at most 64 KiB) on Node, with an unmapped guard
 * page below and above; returns its top (exclusive, 16-byte aligned) or NULL. Contents zeroed.
 * MiFreeKernelStack returns it: stacks of the two sizes named here to a list that the next
 * allocation is served from, others after a TLB shootdown. Both may have to do one, so the rules
 * are those of MmUnmapIoSpace's caller; and nobody runs on the stack any more. */
#define MI_KERNEL_STACK_SIZE 0x4000ull
#define MI_SMALL_STACK_SIZE 0x2000ull
PVOID MiAllocateKernelStack(SIZE_T Bytes, USHORT Node);
VOID MiFreeKernelStack(PVOID StackTop, SIZE_T Bytes);

typedef struct _MI_STATISTICS
{
    ULONG64 TotalPages; /* RAM given to the page-frame allocator, and its own database */
    ULONG64 FreePages;
    ULONG64 PoolPages;      /* pages that pool holds     */
    ULONG64 PoolBytesInUse; /* bytes that callers hold   */
    ULONG64 PoolAllocations;
} MI_STATISTICS, *PMI_STATISTICS;

VOID MiQueryStatistics(PMI_STATISTICS Statistics);
