/* SPDX-License-Identifier: MIT */
/*
 * xstate.c - the extended registers in memory: FXSAVE's 512 bytes, and with XSAVE what follows.
 *
 * With XSAVE an area is in the standard format (SDM 1, 13.4): the legacy 512 bytes, a header of 64
 * whose first word says which components were in use, then each component at the offset that CPUID
 * leaf 0xD gives. Without it x87 and SSE are all there is. Components that this file does not name
 * stay disabled in XCR0, so an instruction that would use them faults instead of losing data.
 */
#include <arch/xstate.h>

#include "cpu.h"

#define COMPONENT_X87 0x1ull
#define COMPONENT_SSE 0x2ull
#define COMPONENT_AVX 0x4ull
#define COMPONENTS_LEGACY (COMPONENT_X87 | COMPONENT_SSE)

#define FIRST_EXTENDED_COMPONENT 2
#define LAST_EXTENDED_COMPONENT 2

#define LEGACY_SIZE 512u
#define HEADER_SIZE 64u
#define CPUID_LEAF_XSTATE 0xDu

/* What a reset loads: no component in use, so all are initialized; MXCSR alone is always read. */
typedef struct _ARCH_LEGACY_AREA
{
    USHORT ControlWord;
    USHORT StatusWord;
    USHORT TagWord; /* 0 in its low byte: all x87 registers are empty */
    USHORT Opcode;
    ULONG64 InstructionPointer;
    ULONG64 DataPointer;
    ULONG Mxcsr;
    UCHAR Rest[LEGACY_SIZE - 28];
    UCHAR Header[HEADER_SIZE];
} ARCH_LEGACY_AREA;

C_ASSERT(sizeof(ARCH_LEGACY_AREA) == LEGACY_SIZE + HEADER_SIZE);

static const ARCH_LEGACY_AREA ArchInitialArea DECLSPEC_ALIGN(ARCH_EXTENDED_ALIGNMENT) = {
    .ControlWord = 0x037F, /* exceptions masked, 64-bit precision, round to nearest */
    .Mxcsr = 0x1F80,       /* the same for SSE                                      */
};

VOID ArchReadExtendedFeatures(PARCH_FEATURES Features, ULONG MaximumLeaf)
{
    ULONG Info[4] = {0};
    ULONG64 Known = COMPONENTS_LEGACY;

    Features->ExtendedMask = COMPONENTS_LEGACY;
    Features->ExtendedSize = LEGACY_SIZE;
    if ((Features->Leaf1Ecx & CPUID_1_ECX_XSAVE) && MaximumLeaf >= CPUID_LEAF_XSTATE)
    {
        __cpuidex(Info, CPUID_LEAF_XSTATE, 0);
    }
    if ((Info[0] & COMPONENTS_LEGACY) != COMPONENTS_LEGACY)
    {
        Features->Leaf1Ecx &= ~CPUID_1_ECX_XSAVE;
        return;
    }
    if (Features->Leaf1Ecx & CPUID_1_ECX_AVX)
    {
        Known |= COMPONENT_AVX;
    }
    Features->ExtendedMask = Info[0] & Known;
    Features->ExtendedSize = LEGACY_SIZE + HEADER_SIZE;
    for (ULONG Component = FIRST_EXTENDED_COMPONENT; Component <= LAST_EXTENDED_COMPONENT;
         Component++)
    {
        if (Features->ExtendedMask & (1ull << Component))
        {
            __cpuidex(Info, CPUID_LEAF_XSTATE, Component);
            if (Info[1] + Info[0] > Features->ExtendedSize)
            {
                Features->ExtendedSize = Info[1] + Info[0];
            }
        }
    }
}

static BOOLEAN ArchUsesXsave(VOID)
{
    return (ArchFeatures.Leaf1Ecx & CPUID_1_ECX_XSAVE) != 0;
}

ULONG64 ArchExtendedMask(VOID)
{
    return ArchFeatures.ExtendedMask;
}

ULONG ArchExtendedSize(VOID)
{
    return ArchFeatures.ExtendedSize;
}

VOID ArchSaveExtendedRegisters(PVOID Area)
{
    if (ArchUsesXsave())
    {
        _xsave64(Area, ArchFeatures.ExtendedMask);
    }
    else
    {
        _fxsave64(Area);
    }
}

VOID ArchLoadExtendedRegisters(const VOID *Area)
{
    if (ArchUsesXsave())
    {
        _xrstor64(Area, ArchFeatures.ExtendedMask);
    }
    else
    {
        _fxrstor64(Area);
    }
}

VOID ArchResetExtendedRegisters(VOID)
{
    ArchLoadExtendedRegisters(&ArchInitialArea);
}
