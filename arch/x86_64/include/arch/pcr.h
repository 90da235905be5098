/* SPDX-License-Identifier: MIT */
/*
 * pcr.h - the processor control region: what the machine layer keeps for each processor.
 *
 * GS points at it; the kernel's own block (KPRCB) follows it in the same allocation. Offsets that
 * assembly uses are generated from here.
 */
#pragma once

#include <ntdef.h>

typedef struct __attribute__((packed)) _ARCH_TSS
{
    ULONG Reserved0;
    ULONG64 Rsp[3];
    ULONG64 Reserved1;
    ULONG64 Ist[7];
    ULONG64 Reserved2;
    USHORT Reserved3;
    USHORT IoMapBase;
} ARCH_TSS;

#define ARCH_GDT_ENTRIES 6

/* All fields: this processor only, once it runs; before that, whoever starts it. */
typedef struct DECLSPEC_ALIGN(64) _KPCR
{
    struct _KPCR *Self;
    PVOID IsrStack;        /* top; device and clock interrupts run on it ...         */
    PVOID DpcStack;        /* top; DPC routines run on it                            */
    LONG InterruptNesting; /* ... when this goes from 0 to 1; written by trap.asm    */
    ULONG ApicId;
    ULONG64 StartTime;   /* TSC when an AP took its slot, for the boot's timings   */
    ULONG64 StackCanary; /* the running thread's: the switch. Stack checks read gs:40 */
    ARCH_TSS Tss DECLSPEC_ALIGN(16);
    ULONG64 Gdt[ARCH_GDT_ENTRIES] DECLSPEC_ALIGN(16);
} KPCR, *PKPCR;

C_ASSERT(offsetof(KPCR, StackCanary) == 40); /* -mstack-protector-guard-offset */
