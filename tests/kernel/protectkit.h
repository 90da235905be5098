/* SPDX-License-Identifier: MIT */
/*
 * protectkit.h - page tables of a test's own, with a page that the kernel would never map, and
 * stacks to run out of.
 */
#pragma once

#include <arch/hal.h>
#include <arch/mmu.h>
#include <mi.h>

#include "kt.h"

#define EFLAGS_DF 0x400ull
#define EFLAGS_AC 0x40000ull

/* A leaf entry's bits, for the page (SDM 3A 4.5). */
#define KT_PTE_PRESENT (1ull << 0)
#define KT_PTE_WRITE (1ull << 1)
#define KT_PTE_USER (1ull << 2)
#define KT_PTE_ADDRESS 0x000FFFFFFFFFF000ull
#define KT_PTE_NO_EXECUTE (1ull << 63)

/* Where the page may go: an address of user code's, and one of the kernel's that is not in use. */
#define KT_LOW_ADDRESS 0x10000ull
#define KT_HIGH_ADDRESS 0xFFFF900000010000ull

/* The kernel's mappings and one more page at Address, on four tables of its own. Bytes: the page,
 * where the kernel maps it. Entering needs a thread that stays on its processor (the boot thread)
 * and lasts until KtLeaveSpace; a bug check that the thread expects may come between. */
typedef struct _KT_SPACE
{
    PUCHAR Memory;
    PUCHAR Bytes;
    ULONG64 Address;
    ULONG64 KernelCr3;
} KT_SPACE, *PKT_SPACE;

/* FALSE, and the case has failed, if there is no memory. Flags may
 * name another page by its physical address; the kit's own holds return instructions. */
BOOLEAN KtMakeSpace(PKT_SPACE Space, ULONG64 Address, ULONG64 Flags);
VOID KtFreeSpace(PKT_SPACE Space);
VOID KtEnterSpace(PKT_SPACE Space);
VOID KtLeaveSpace(PKT_SPACE Space);

/* TRUE if CPUID lists the feature. */
BOOLEAN KtHasSmep(VOID);
BOOLEAN KtHasSmap(VOID);
BOOLEAN KtHasUmip(VOID);
BOOLEAN KtHasNx(VOID);

/* Calls itself until the stack is at its end. */
VOID KtOverflow(VOID);

/* This processor's block, for a thread that stays on it. */
PKI_PROCESSOR KtProcessor(VOID);

/* protectasm.asm. */
VOID KtAwaitOnBadStack(volatile ULONG64 *Counter, ULONG64 Seen, PVOID BadStack, ULONG64 Spins);
VOID KtMachineCheckOnBadStack(PVOID BadStack);
VOID KtPushOnBadStack(PVOID BadStack);
VOID KtInterruptWithFlags(ULONG64 Flags);
VOID KtDispatchWithFlags(ULONG64 Flags);
