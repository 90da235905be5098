/* SPDX-License-Identifier: MIT */
/*
 * identity.c - which processors these are, down to the microcode, for whoever reads a report from a
 * machine that nobody here has seen.
 *
 * Each processor writes its own entry before it counts as ready; the boot processor reads them
 * when all are. Equal neighbours share a line. Sources: Intel SDM 3A 10.11.7.1 (the microcode's
 * revision), 18.17.3 (IA32_TSC_ADJUST); AMD64 APM 2, "Patch Level MSR".
 */
#include "cpu.h"

#define MSR_MICROCODE 0x8Bu
#define MSR_TSC_ADJUST 0x3Bu
#define CPUID_7_EBX_TSC_ADJUST (1u << 1)
#define VENDOR_INTEL 0x756E6547u /* "Genu" */
#define VENDOR_AMD 0x68747541u   /* "Auth" */

typedef struct _ARCH_IDENTITY
{
    ULONG Signature; /* CPUID 1, EAX */
    ULONG Microcode; /* 0: cannot be told */
    LONG64 TscAdjust;
    ULONG ApicId;
} ARCH_IDENTITY, *PARCH_IDENTITY;

static ARCH_IDENTITY ArchIdentities[MAXIMUM_PROCESSORS];

static ULONG ArchFamily(ULONG Signature)
{
    ULONG Family = (Signature >> 8) & 0xF;

    return Family == 0xF ? Family + ((Signature >> 20) & 0xFF) : Family;
}

static ULONG ArchModel(ULONG Signature)
{
    ULONG Base = (Signature >> 8) & 0xF;
    ULONG Model = (Signature >> 4) & 0xF;

    return Base == 6 || Base == 0xF ? Model | ((Signature >> 12) & 0xF0) : Model;
}

/* Only where the register is known to exist: reading one that does not is an exception. */
static ULONG ArchReadMicrocode(ULONG Signature)
{
    ULONG Info[4];

    __cpuidex(Info, 0, 0);
    if (Info[1] == VENDOR_INTEL && ArchFamily(Signature) >= 6)
    {
        __writemsr(MSR_MICROCODE, 0);
        __cpuidex(Info, 1, 0); /* makes the processor write it */
        return (ULONG)(__readmsr(MSR_MICROCODE) >> 32);
    }
    if (Info[1] == VENDOR_AMD && ArchFamily(Signature) >= 0xF)
    {
        return (ULONG)__readmsr(MSR_MICROCODE);
    }
    return 0;
}

VOID ArchRecordProcessor(ULONG Index, ULONG ApicId)
{
    PARCH_IDENTITY Identity = &ArchIdentities[Index];
    ULONG Info[4];

    __cpuidex(Info, 0, 0);
    ULONG MaximumLeaf = Info[0];

    Identity->ApicId = ApicId;
    __cpuidex(Info, 1, 0);
    Identity->Signature = Info[0];
    Identity->Microcode = ArchReadMicrocode(Info[0]);
    if (MaximumLeaf >= 7)
    {
        __cpuidex(Info, 7, 0);
        if (Info[1] & CPUID_7_EBX_TSC_ADJUST)
        {
            Identity->TscAdjust = (LONG64)__readmsr(MSR_TSC_ADJUST);
        }
    }
}

static BOOLEAN ArchIsAlike(const ARCH_IDENTITY *One, const ARCH_IDENTITY *Other)
{
    return One->Signature == Other->Signature && One->Microcode == Other->Microcode &&
           One->TscAdjust == Other->TscAdjust;
}

VOID ArchReportProcessors(ULONG Count)
{
    ULONG First = 0;

    for (ULONG Index = 0; Index < Count; Index++)
    {
        const ARCH_IDENTITY *Identity = &ArchIdentities[Index];

        KiLog(KiLogTrace, "CPU %u: APIC id %u", Index, Identity->ApicId);
        if (Index + 1 < Count && ArchIsAlike(Identity, Identity + 1))
        {
            continue;
        }
        KiLog(ArchIsAlike(Identity, &ArchIdentities[0]) ? KiLogInfo : KiLogWarning,
              "CPU %u to %u: family %u model %u stepping %u, microcode 0x%x, TSC adjusted by %lld",
              First, Index, ArchFamily(Identity->Signature), ArchModel(Identity->Signature),
              Identity->Signature & 0xF, Identity->Microcode, Identity->TscAdjust);
        First = Index + 1;
    }
}
