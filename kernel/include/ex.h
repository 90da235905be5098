/* SPDX-License-Identifier: MIT */
/*
 * ex.h - executive services: the pool, the executive's locks (exlock.h), lists (exlist.h).
 */
#pragma once

#include <ntdef.h>
#include <sal.h>

typedef ULONG64 POOL_FLAGS;

#define POOL_FLAG_UNINITIALIZED 0x0000000000000002ull
#define POOL_FLAG_CACHE_ALIGNED 0x0000000000000008ull
#define POOL_FLAG_NON_PAGED 0x0000000000000040ull

/* NumberOfBytes of nonpaged memory, zeroed unless POOL_FLAG_UNINITIALIZED, 16-byte aligned (64 with
 * POOL_FLAG_CACHE_ALIGNED, page-aligned from a page up) and within one page up to PAGE_SIZE. Tag is
 * four characters as in 'tseT', not 0. NULL if there is no memory, no size, no tag, no
 * POOL_FLAG_NON_PAGED, or a flag in the low half, the required one, that this kernel does not know;
 * those in the high half are optional and ignored. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);

/* Frees it; Tag must be the one it was allocated with (0 with ExFreePool: any). Bug check 0xC2
 * (BAD_POOL_CALLER) for a wrong tag, a double free or a pointer that is no allocation. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExFreePoolWithTag(PVOID P, ULONG Tag);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ExFreePool(PVOID P);

#include <exlist.h>
#include <exlock.h>
