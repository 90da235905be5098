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

/* The end of start-up (protect.c): makes what only start-up writes read-only, then walks all
 * mappings. Boot thread, PASSIVE_LEVEL, all processors active. */
VOID MiProtectKernel(VOID);

/* Gives pages that are mapped by 4 KiB pages other rights (ARCH_PAGE_...), on all processors.
 * Interrupts on, IRQL <= DISPATCH_LEVEL, no spin lock held. */
VOID MiProtectPages(PVOID Base, ULONG64 PageCount, ULONG Protection);

/* Walks the mappings of this processor's page tables; bug check 0x1A (MEMORY_MANAGEMENT) if one has
 * a right that it must not have: one of these, its address, its physical address, its size. */
#define MI_MAPPING_WRITABLE_EXECUTABLE 0xFFFF0001u
#define MI_MAPPING_EXECUTABLE 0xFFFF0002u   /* and not the kernel's text                      */
#define MI_MAPPING_LOW 0xFFFF0003u          /* below the kernel's half                        */
#define MI_MAPPING_USER 0xFFFF0004u         /* user code could reach it                       */
#define MI_MAPPING_WRITES_IMAGE 0xFFFF0005u /* writable, and the image's text or constants    */

typedef struct _MI_MAPPING_COUNTS
{
    ULONG64 Mappings;
    ULONG64 ExecutableBytes;
    ULONG64 WritableBytes;
} MI_MAPPING_COUNTS, *PMI_MAPPING_COUNTS;

VOID MiCheckMappings(PMI_MAPPING_COUNTS Counts);

typedef struct _MI_STATISTICS
{
    ULONG64 TotalPages; /* RAM given to the page-frame allocator, and its own database */
    ULONG64 FreePages;
    ULONG64 PoolPages;      /* pages that pool holds     */
    ULONG64 PoolBytesInUse; /* bytes that callers hold   */
    ULONG64 PoolAllocations;
} MI_STATISTICS, *PMI_STATISTICS;

VOID MiQueryStatistics(PMI_STATISTICS Statistics);
