/* SPDX-License-Identifier: MIT */
/*
 * space.h - kernel address space outside the physical map: ranges of it, and the lock on the page
 * tables behind them. space.c explains.
 */
#pragma once

#include <arch/mmu.h>
#include <ke.h>
#include <ntdef.h>

/* Pages mapped or unmapped while the lock is held once. */
#define MI_MAPPING_BATCH 32

/* One range of a region. Constant while it is in the list, except Dying. */
typedef struct _MI_MAPPING
{
    LIST_ENTRY Link;   /* the region's list, by address; MiSystemPteLock                */
    ULONG64 Base;      /* address of its first page                                     */
    ULONG64 PageCount; /* without the guard page that follows                           */
    BOOLEAN Dying;     /* being unmapped: set once, by the one who does; MiSystemPteLock */
} MI_MAPPING, *PMI_MAPPING;

typedef struct _MI_REGION
{
    ULONG64 Base;        /* constant */
    ULONG64 Size;        /* constant */
    LIST_ENTRY Mappings; /* ascending; MiSystemPteLock */
} MI_REGION, *PMI_REGION;

/* Rank KiRankSystemPtes, DISPATCH_LEVEL: guards the lists of regions, the recycled stacks, and all
 * changes of page tables. */
extern KSPIN_LOCK MiSystemPteLock;

VOID MiInitializeRegion(PMI_REGION Region, ULONG64 Base, ULONG64 Size);

/* Reserves PageCount pages of addresses with an unmapped page on either side; NULL if there is no
 * room, or no pool. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PMI_MAPPING MiReserveMapping(PMI_REGION Region, ULONG64 PageCount);

/* Makes the addresses reusable: no TLB may hold anything of them any more. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MiReleaseMapping(PMI_MAPPING Mapping);

/* Claims the mapping at Base for unmapping; SYSTEM_PTE_MISUSE if there is none, it has another
 * size, or somebody is unmapping it already. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PMI_MAPPING MiClaimMapping(PMI_REGION Region, ULONG64 Base, ULONG64 PageCount);

/* Takes pages out of the tables. TLBs still hold them. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID MiUnmapPages(ULONG64 Base, ULONG64 PageCount);

/* Once each, on the boot processor, before the first mapping and the first stack. */
VOID MiInitializeIoSpace(VOID);
VOID MiInitializeStackSpace(VOID);
