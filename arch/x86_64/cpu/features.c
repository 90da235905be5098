/* SPDX-License-Identifier: MIT */
/*
 * features.c - what the processors can do, and the control registers that follow from it.
 *
 * The kernel uses a feature only if every processor has it: the boot processor's CPUID is the
 * start, each AP's is ANDed in. A feature that is in use already (a bit in the page tables, a bit
 * in CR4) cannot be taken back, so an AP without it stops the machine: "all processors are
 * identical" is a promise of the driver model.
 */
#include "cpu.h"

#include <arch/mmu.h>
#include <rtl.h>
#include <twin.h>

ARCH_FEATURES ArchFeatures KI_RO_AFTER_INIT;

#define DEFAULT_PHYSICAL_BITS 36 /* without leaf 80000008h (SDM 3A 4.1.4) */
#define MAXIMUM_PHYSICAL_BITS 52 /* what a table entry has room for */

/* PAT: WB, WT, UC-, UC, WC, WT, UC-, UC. Entry 4 is ours; the others are the power-on values, so
 * the loader's mappings keep their meaning (SDM 3A 12.12). */
#define PAT_VALUE 0x0007040100070406ull

static VOID ArchReadFeatures(PARCH_FEATURES Features)
{
    ULONG Info[4];
    ULONG MaximumLeaf, MaximumExtended;

    RtlZeroMemory(Features, sizeof(*Features));
    __cpuidex(Info, 0, 0);
    MaximumLeaf = Info[0];
    __cpuidex(Info, 1, 0);
    Features->Signature = Info[0];
    Features->Leaf1Ecx = Info[2];
    Features->Leaf1Edx = Info[3];
    if (MaximumLeaf >= 7)
    {
        __cpuidex(Info, 7, 0);
        Features->Leaf7Ebx = Info[1];
        Features->Leaf7Ecx = Info[2];
    }
    ArchReadExtendedFeatures(Features, MaximumLeaf);
    __cpuidex(Info, 0x80000000u, 0);
    MaximumExtended = Info[0];
    __cpuidex(Info, 0x80000001u, 0);
    Features->Extended1Edx = Info[3];
    if (MaximumExtended >= 0x80000007u)
    {
        __cpuidex(Info, 0x80000007u, 0);
        Features->InvariantTsc = (Info[3] & (1u << 8)) != 0;
    }
    Features->PhysicalBits = DEFAULT_PHYSICAL_BITS;
    if (MaximumExtended >= 0x80000008u)
    {
        __cpuidex(Info, 0x80000008u, 0);
        Features->PhysicalBits = (UCHAR)Info[0];
    }
}

/* Bits that are in use once the boot processor runs: an AP must have them. */
#define NEEDED_1_EDX                                                                               \
    (CPUID_1_EDX_TSC | CPUID_1_EDX_MCE | CPUID_1_EDX_APIC | CPUID_1_EDX_PGE | CPUID_1_EDX_PAT |    \
     CPUID_1_EDX_FXSR | CPUID_1_EDX_SSE2)
#define NEEDED_7_EBX (CPUID_7_EBX_SMEP | CPUID_7_EBX_SMAP)
#define NEEDED_7_ECX CPUID_7_ECX_UMIP
#define NEEDED_EXT1_EDX (CPUID_EXT1_EDX_NX | CPUID_EXT1_EDX_1GB)

static VOID ArchRequire(ULONG Leaf, ULONG Mine, ULONG InUse, ULONG Needed)
{
    ULONG Missing = InUse & Needed & ~Mine;

    if (Missing != 0)
    {
        KeBugCheckEx(MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED, Leaf, Missing, Mine, InUse);
    }
}

VOID ArchDetectFeatures(BOOLEAN BootProcessor)
{
    ARCH_FEATURES Mine;

    ArchReadFeatures(&Mine);
    if (BootProcessor)
    {
        ArchFeatures = Mine;
        return;
    }

    ArchRequire(1, Mine.Leaf1Edx, ArchFeatures.Leaf1Edx, NEEDED_1_EDX);
    ArchRequire(7, Mine.Leaf7Ebx, ArchFeatures.Leaf7Ebx, NEEDED_7_EBX);
    ArchRequire(7, Mine.Leaf7Ecx, ArchFeatures.Leaf7Ecx, NEEDED_7_ECX);
    ArchRequire(0x80000001u, Mine.Extended1Edx, ArchFeatures.Extended1Edx, NEEDED_EXT1_EDX);

    InterlockedAnd((volatile LONG *)&ArchFeatures.Leaf1Ecx, (LONG)Mine.Leaf1Ecx);
    InterlockedAnd((volatile LONG *)&ArchFeatures.Leaf1Edx, (LONG)Mine.Leaf1Edx);
    InterlockedAnd((volatile LONG *)&ArchFeatures.Leaf7Ebx, (LONG)Mine.Leaf7Ebx);
    InterlockedAnd((volatile LONG *)&ArchFeatures.Leaf7Ecx, (LONG)Mine.Leaf7Ecx);
    InterlockedAnd((volatile LONG *)&ArchFeatures.Extended1Edx, (LONG)Mine.Extended1Edx);
    InterlockedAnd64((volatile LONG64 *)&ArchFeatures.ExtendedMask, (LONG64)Mine.ExtendedMask);
    if (Mine.Signature != ArchFeatures.Signature)
    {
        KiLog(KiLogWarning, "CPU signature %08x differs from the boot processor's %08x",
              Mine.Signature, ArchFeatures.Signature);
    }
    if (!Mine.InvariantTsc)
    {
        ArchFeatures.InvariantTsc = FALSE;
    }
}

ULONG64 ArchPhysicalLimit(VOID)
{
    ULONG Bits = ArchFeatures.PhysicalBits;

    return 1ull << (Bits < MAXIMUM_PHYSICAL_BITS ? Bits : MAXIMUM_PHYSICAL_BITS);
}

static ULONG64 ArchWantedCr4(VOID)
{
    ULONG64 Cr4 = CR4_PAE | CR4_DE;

    if (ArchFeatures.Leaf1Edx & CPUID_1_EDX_PGE)
    {
        Cr4 |= CR4_PGE;
    }
    if (ArchFeatures.Leaf1Edx & CPUID_1_EDX_MCE)
    {
        Cr4 |= CR4_MCE;
    }
    if (ArchFeatures.Leaf1Edx & CPUID_1_EDX_FXSR)
    {
        Cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    }
    if (ArchFeatures.Leaf1Ecx & CPUID_1_ECX_XSAVE)
    {
        Cr4 |= CR4_OSXSAVE;
    }
    if ((ArchFeatures.Leaf7Ebx & CPUID_7_EBX_SMEP) && !KI_BOOT_TWIN(KiTwinNoSmep))
    {
        Cr4 |= CR4_SMEP;
    }
    if ((ArchFeatures.Leaf7Ebx & CPUID_7_EBX_SMAP) && !KI_BOOT_TWIN(KiTwinNoSmap))
    {
        Cr4 |= CR4_SMAP;
    }
    if ((ArchFeatures.Leaf7Ecx & CPUID_7_ECX_UMIP) && !KI_BOOT_TWIN(KiTwinNoUmip))
    {
        Cr4 |= CR4_UMIP;
    }
    return Cr4;
}

VOID ArchSetControlRegisters(VOID)
{
    ULONG64 Cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
    ULONG64 Cr4 = ArchWantedCr4();
    ULONG64 Efer = EFER_LME;

    if (ArchFeatures.Extended1Edx & CPUID_EXT1_EDX_NX)
    {
        Efer |= EFER_NXE;
    }
    if (!KI_BOOT_TWIN(KiTwinNoWriteProtect))
    {
        Cr0 |= CR0_WP;
    }
    __writemsr(MSR_EFER, Efer);
    __writecr0(Cr0);
    __writecr4(Cr4);
    if (Cr4 & CR4_OSXSAVE)
    {
        _xsetbv(0, ArchFeatures.ExtendedMask);
    }
    if ((ArchFeatures.Leaf1Edx & CPUID_1_EDX_PAT) &&
        !(KI_BOOT_TWIN(KiTwinRegistersDiffer) && KI_CURRENT_PRCB->Index != 0))
    {
        __writemsr(MSR_PAT, PAT_VALUE);
    }
}

VOID ArchQueryProtections(PARCH_PROTECTIONS Protections)
{
    ULONG64 Cr4 = __readcr4();

    Protections->WriteProtect = (__readcr0() & CR0_WP) != 0;
    Protections->NoExecute = (__readmsr(MSR_EFER) & EFER_NXE) != 0;
    Protections->Smep = (Cr4 & CR4_SMEP) != 0;
    Protections->Smap = (Cr4 & CR4_SMAP) != 0;
    Protections->Umip = (Cr4 & CR4_UMIP) != 0;
}
