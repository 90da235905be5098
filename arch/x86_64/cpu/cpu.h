/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - the machine layer's private view of a processor: registers, features, descriptors.
 */
#pragma once

#include <arch/hal.h>
#include <arch/pcr.h>
#include <ki.h>

#define MSR_APIC_BASE 0x1Bu
#define MSR_PAT 0x277u
#define MSR_EFER 0xC0000080u
#define MSR_GS_BASE 0xC0000101u
#define MSR_KERNEL_GS_BASE 0xC0000102u

#define EFER_LME 0x100ull
#define EFER_NXE 0x800ull

#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_PG (1ull << 31)

#define CR4_DE (1ull << 3)
#define CR4_PAE (1ull << 5)
#define CR4_MCE (1ull << 6)
#define CR4_PGE (1ull << 7)
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP (1ull << 11)
#define CR4_OSXSAVE (1ull << 18)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18

/* IST numbers: 1-based indices into the TSS. */
#define IST_DOUBLE_FAULT 1
#define IST_NMI 2
#define IST_MACHINE_CHECK 3

/* What the kernel depends on, read by each processor from its own CPUID. */
typedef struct _ARCH_FEATURES
{
    ULONG Leaf1Ecx, Leaf1Edx;
    ULONG Leaf7Ebx, Leaf7Ecx;
    ULONG Extended1Edx;
    ULONG Signature; /* family, model, stepping */
    BOOLEAN InvariantTsc;
    UCHAR PhysicalBits;   /* address lines; the boot processor's */
    ULONG64 ExtendedMask; /* register components to save, by their bits in XCR0 */
    ULONG ExtendedSize;   /* bytes they take in memory; the boot processor's    */
} ARCH_FEATURES, *PARCH_FEATURES;

#define CPUID_1_ECX_X2APIC (1u << 21)
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_XSAVE (1u << 26)
#define CPUID_1_ECX_AVX (1u << 28)
#define CPUID_1_ECX_HYPERVISOR (1u << 31)
#define CPUID_1_ECX_RDRAND (1u << 30)
#define CPUID_1_EDX_TSC (1u << 4)
#define CPUID_1_EDX_MCE (1u << 7)
#define CPUID_1_EDX_APIC (1u << 9)
#define CPUID_1_EDX_PGE (1u << 13)
#define CPUID_1_EDX_PAT (1u << 16)
#define CPUID_1_EDX_FXSR (1u << 24)
#define CPUID_1_EDX_SSE2 (1u << 26)
#define CPUID_7_EBX_SMEP (1u << 7)
#define CPUID_7_EBX_SMAP (1u << 20)
#define CPUID_7_ECX_UMIP (1u << 2)
#define CPUID_EXT1_EDX_NX (1u << 20)
#define CPUID_EXT1_EDX_1GB (1u << 26)

/* Reads what there is to save besides the general registers (xstate.c). Leaf1Ecx is set; it loses
 * its XSAVE bit if that is of no use. */
VOID ArchReadExtendedFeatures(PARCH_FEATURES Features, ULONG MaximumLeaf);

/* The intersection over all started processors: written by the boot processor, then narrowed under
 * interlocked AND by each AP before it counts as active. */
extern ARCH_FEATURES ArchFeatures;

/* Reads this processor's features; the boot processor sets ArchFeatures by them, an AP narrows it
 * and stops the machine with 0x3E if it lacks what is already in use. */
VOID ArchDetectFeatures(BOOLEAN BootProcessor);

/* CR0, CR4, EFER and PAT as the kernel wants them, from ArchFeatures. */
VOID ArchSetControlRegisters(VOID);

/* Writes into the entry code what this processor can do (entrypatch.c). Boot processor, while text
 * is writable: before the kernel's own page tables. */
VOID ArchPatchEntry(VOID);
/* Machine checks (machinecheck.c): enables this processor's banks, once its features are known and
 * before CR4 lets exception 18 in; the exception itself, which returns if the interrupted code can
 * go on. */
VOID ArchInitializeMachineChecks(VOID);
VOID ArchMachineCheck(PKTRAP_FRAME Frame);

VOID ArchInitializeIdt(VOID);
VOID ArchLoadIdt(VOID);
