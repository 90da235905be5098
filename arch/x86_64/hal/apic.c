/* SPDX-License-Identifier: MIT */
/*
 * apic.c - the local APIC: the TPR's other half, and how one processor interrupts another.
 *
 * PURPOSE
 *   Deliver each vector to the processor it is meant for, and only while that processor's TPR lets
 *   it in. CR8 and the APIC's TPR are one register; this file never touches the TPR itself.
 *
 * HOW IT WORKS
 *   Registers are reached in one of two ways, chosen once: a page of memory (xAPIC, 8-bit ids) or
 *   MSRs (x2APIC, 32-bit ids). x2APIC is used when the processor has it, and is a must when
 *   firmware left it on: there is no way back to xAPIC but through disabling the APIC (SDM 3A
 *   11.12.5).
 *
 * LOCKS AND IRQL
 *   Registers are this processor's own, so there is no lock. The xAPIC's interrupt command register
 *   is two words: interrupts are off around the pair, or a handler that sends would split it. NMI
 *   handlers send nothing; the NMIs of a bug check may split a pair whose owner never goes on.
 *
 * ORDERING
 *   An xAPIC write is an uncached store: everything stored before is visible before the interrupt
 *   is. An x2APIC write is a WRMSR that is not serializing, so MFENCE;LFENCE goes before it (SDM 3A
 *   11.12.3). pairs with: the handler's first load, on the receiving processor.
 *
 * FURTHER READING
 *   Intel SDM 3A chapter 11 (APIC). docs/irql.md.
 */
#include "halp.h"

#include <arch/mmu.h>

#define MSR_APIC_BASE 0x1Bu
#define APIC_BASE_EXTD (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)
#define APIC_BASE_ADDRESS 0xFFFFFF000ull
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_ICR 0x830u
#define MSR_X2APIC_SELF_IPI 0x83Fu
#define CPUID_1_ECX_X2APIC (1u << 21)
#define CPUID_7_EDX_ARCH_CAPABILITIES (1u << 29)
#define MSR_ARCH_CAPABILITIES 0x10Au
#define ARCH_CAPABILITIES_XAPIC_DISABLE (1ull << 21)
#define MSR_XAPIC_DISABLE_STATUS 0xBDu
#define XAPIC_DISABLED 1ull

#define APIC_SPURIOUS_ENABLE 0x100u
#define ICR_IDLE_SPINS 1000000u
#define DRAIN_LIMIT 256u

BOOLEAN HalpX2ApicMode KI_RO_AFTER_INIT;

/* The registers can be read: set once, by the boot processor. */
static BOOLEAN HalpApicReachable KI_RO_AFTER_INIT;

volatile LONG HalpIcrTimeouts;

FORCEINLINE volatile ULONG *HalpApicRegister(ULONG Register)
{
    return (volatile ULONG *)(MM_APIC_BASE + Register);
}

ULONG HalpApicRead(ULONG Register)
{
    if (HalpX2ApicMode)
    {
        return (ULONG)__readmsr(MSR_X2APIC_FIRST + (Register >> 4));
    }
    return *HalpApicRegister(Register);
}

VOID HalpApicWrite(ULONG Register, ULONG Value)
{
    if (HalpX2ApicMode)
    {
        __writemsr(MSR_X2APIC_FIRST + (Register >> 4), Value);
        return;
    }
    *HalpApicRegister(Register) = Value;
}

ULONG HalpApicId(VOID)
{
    ULONG Id = HalpApicRead(APIC_ID);

    return HalpX2ApicMode ? Id : Id >> 24;
}

VOID HalpEndOfInterrupt(VOID)
{
    HalpApicWrite(APIC_EOI, 0);
}

/* An exception that comes before the APIC is mapped was not sent by it. */
BOOLEAN HalpIsInService(ULONG Vector)
{
    if (!HalpApicReachable)
    {
        return FALSE;
    }
    return (HalpApicRead(APIC_ISR + (Vector / 32) * 0x10) >> (Vector % 32)) & 1;
}

/* The xAPIC holds one command at a time; a healthy one is idle within microseconds. */
static VOID HalpWaitForIdleIcr(VOID)
{
    for (ULONG Spin = 0; Spin < ICR_IDLE_SPINS; Spin++)
    {
        if (!(*HalpApicRegister(APIC_ICR) & APIC_ICR_PENDING))
        {
            return;
        }
        YieldProcessor();
    }
    InterlockedIncrement(&HalpIcrTimeouts);
}

FORCEINLINE VOID HalpWriteX2Icr(ULONG64 Value)
{
    _mm_mfence(); /* pairs with: the receiver's first load; see ORDERING */
    _mm_lfence();
    __writemsr(MSR_X2APIC_ICR, Value);
}

VOID HalpApicCommand(ULONG ApicId, ULONG Command)
{
    BOOLEAN Enabled;

    if (HalpX2ApicMode)
    {
        HalpWriteX2Icr(((ULONG64)ApicId << 32) | Command);
        return;
    }
    Enabled = ArchDisableInterrupts();
    HalpWaitForIdleIcr();
    *HalpApicRegister(APIC_ICR_HIGH) = ApicId << 24;
    *HalpApicRegister(APIC_ICR) = Command;
    ArchRestoreInterrupts(Enabled);
}

VOID HalpSendIpi(ULONG Processor, ULONG Vector)
{
    PKI_PROCESSOR Target = CONTAINING_RECORD(KiProcessorBlock[Processor], KI_PROCESSOR, Prcb);

    HalpApicCommand(Target->Pcr.ApicId, APIC_ICR_FIXED | APIC_ICR_ASSERT | Vector);
}

/* The shorthand reaches whatever has an APIC, so it is used only where that is known to be ours:
 * the kernel runs on every processor of the MADT, and none is listed as disabled. */
BOOLEAN HalpSendIpiAllButSelf(ULONG Vector)
{
    ULONG Command = APIC_ICR_ALL_BUT_SELF | APIC_ICR_FIXED | APIC_ICR_ASSERT | Vector;

    if (!HalpAcpi.HaveMadt || HalpAcpi.Madt.DisabledProcessors != 0 ||
        HalpAcpi.Madt.ProcessorCount != KiProcessorCount)
    {
        return FALSE;
    }
    HalpApicCommand(0, Command);
    return TRUE;
}

VOID HalpSendIpiSelf(ULONG Vector)
{
    if (HalpX2ApicMode)
    {
        __writemsr(MSR_X2APIC_SELF_IPI, Vector);
        return;
    }
    HalpWaitForIdleIcr();
    *HalpApicRegister(APIC_ICR) = APIC_ICR_SELF | APIC_ICR_FIXED | APIC_ICR_ASSERT | Vector;
}

VOID HalpSendNmi(ULONG Processor)
{
    PKI_PROCESSOR Target = CONTAINING_RECORD(KiProcessorBlock[Processor], KI_PROCESSOR, Prcb);

    HalpApicCommand(Target->Pcr.ApicId, APIC_ICR_NMI | APIC_ICR_ASSERT);
}

/* Firmware may have left interrupts in service: end them, highest first. What is only requested
 * stays requested, and arrives as unclaimed once interrupts are on. */
static VOID HalpDrainInService(VOID)
{
    for (ULONG Count = 0; Count < DRAIN_LIMIT; Count++)
    {
        ULONG InService = 0;

        for (ULONG Word = 0; Word < 8; Word++)
        {
            InService |= HalpApicRead(APIC_ISR + Word * 0x10);
        }
        if (InService == 0)
        {
            return;
        }
        HalpEndOfInterrupt();
    }
    KiLog(KiLogWarning, "APIC: interrupts stay in service after %u EOIs", DRAIN_LIMIT);
}

/* SDM 3A 11.12.1.1: a processor may refuse to leave x2APIC mode, which is then not to be tried. */
static BOOLEAN HalpIsX2ApicLocked(VOID)
{
    ULONG Info[4];

    __cpuidex(Info, 0, 0);
    if (Info[0] < 7)
    {
        return FALSE;
    }
    __cpuidex(Info, 7, 0);
    return (Info[3] & CPUID_7_EDX_ARCH_CAPABILITIES) &&
           (__readmsr(MSR_ARCH_CAPABILITIES) & ARCH_CAPABILITIES_XAPIC_DISABLE) &&
           (__readmsr(MSR_XAPIC_DISABLE_STATUS) & XAPIC_DISABLED);
}

/* Decides the mode. The boot processor's word holds for all: an AP switches itself. */
static VOID HalpChooseApicMode(ULONG64 ApicBase)
{
    ULONG Info[4];
    BOOLEAN LeftOn = (ApicBase & APIC_BASE_EXTD) != 0;

    __cpuidex(Info, 1, 0);
    HalpX2ApicMode = LeftOn || ((Info[2] & CPUID_1_ECX_X2APIC) && KiOptions.X2Apic != KiSwitchOff &&
                                !(HalpAcpi.X2ApicOptOut && KiOptions.X2Apic != KiSwitchOn));
    if (!HalpX2ApicMode && HalpAcpi.X2ApicOptOut)
    {
        KiLog(KiLogInfo, "APIC: firmware asks for xAPIC (DMAR); x2apic=on overrules it");
    }
    if (LeftOn && KiOptions.X2Apic == KiSwitchOff)
    {
        /* It stays on even if it is not locked: the other processors may be in it too, and INIT
         * need not take them out of it. */
        KiLog(KiLogWarning, "APIC: x2APIC stays on: firmware left it on%s",
              HalpIsX2ApicLocked() ? " and locked it" : "");
    }
    if (!HalpX2ApicMode && !ArchMapPage((PVOID)MM_APIC_BASE, ApicBase & APIC_BASE_ADDRESS,
                                        ARCH_PAGE_WRITE | ARCH_PAGE_UNCACHED))
    {
        KeBugCheckEx(HAL_INITIALIZATION_FAILED, APIC_VERSION, ApicBase, 0, 0);
    }
}

static BOOLEAN HalpIsThisProcessor(ULONG AcpiUid)
{
    ULONG ApicId = HalpApicId();

    for (ULONG Index = 0; Index < HalpAcpi.Madt.ProcessorCount; Index++)
    {
        if (HalpAcpi.Madt.Processors[Index].ApicId == ApicId)
        {
            return HalpAcpi.Madt.Processors[Index].AcpiUid == AcpiUid;
        }
    }
    return FALSE;
}

/* LINT0 is the 8259's way in and stays masked; NMIs come by the pin that the MADT names for this
 * processor, or by LINT1, where PCs have them, if it names none. */
static VOID HalpProgramLocalPins(VOID)
{
    BOOLEAN Named = FALSE;

    HalpApicWrite(APIC_LVT_LINT0, APIC_LVT_MASKED);
    HalpApicWrite(APIC_LVT_LINT1, APIC_LVT_MASKED);
    for (ULONG Index = 0; Index < HalpAcpi.Madt.LocalNmiCount; Index++)
    {
        const HALP_MADT_LOCAL_NMI *Nmi = &HalpAcpi.Madt.LocalNmis[Index];

        if (Nmi->AllProcessors || HalpIsThisProcessor(Nmi->AcpiUid))
        {
            HalpApicWrite(Nmi->Lint == 0 ? APIC_LVT_LINT0 : APIC_LVT_LINT1,
                          Nmi->Polarity == HalpMadtPolarityLow ? APIC_LVT_NMI | APIC_LVT_ACTIVE_LOW
                                                               : APIC_LVT_NMI);
            Named = TRUE;
        }
    }
    if (!Named)
    {
        HalpApicWrite(APIC_LVT_LINT1, APIC_LVT_NMI);
    }
}

/* Brings this processor's APIC into the mode that all use, from whichever firmware left it in: INIT
 * keeps x2APIC on an AP, or does not. From x2APIC the way to xAPIC leads through "disabled", and
 * the way to x2APIC through xAPIC (SDM 3A 11.12.5.1). */
static VOID HalpEnterApicMode(ULONG64 ApicBase)
{
    ULONG64 Rest = ApicBase & ~(APIC_BASE_ENABLE | APIC_BASE_EXTD);

    if (HalpX2ApicMode)
    {
        if (!(ApicBase & APIC_BASE_EXTD))
        {
            __writemsr(MSR_APIC_BASE, Rest | APIC_BASE_ENABLE);
            __writemsr(MSR_APIC_BASE, Rest | APIC_BASE_ENABLE | APIC_BASE_EXTD);
        }
        return;
    }
    if (ApicBase & APIC_BASE_EXTD)
    {
        __writemsr(MSR_APIC_BASE, Rest);
    }
    __writemsr(MSR_APIC_BASE, Rest | APIC_BASE_ENABLE);
}

VOID HalpInitializeLocalApic(BOOLEAN BootProcessor)
{
    ULONG64 ApicBase = __readmsr(MSR_APIC_BASE);

    if (BootProcessor)
    {
        HalpChooseApicMode(ApicBase);
    }
    HalpEnterApicMode(ApicBase);
    if (BootProcessor)
    {
        HalpApicReachable = TRUE;
    }

    /* First of all: until the APIC is enabled here, LVT entries stay masked whatever is written. */
    HalpApicWrite(APIC_SPURIOUS, APIC_SPURIOUS_ENABLE | SPURIOUS_VECTOR);
    HalpApicWrite(APIC_LVT_TIMER, APIC_LVT_MASKED | CLOCK_VECTOR);
    HalpProgramLocalPins();
    HalpApicWrite(APIC_LVT_ERROR, APIC_ERROR_VECTOR);
    __writecr8(PASSIVE_LEVEL);
    HalpDrainInService();
    HalpApicWrite(APIC_ESR, 0);
    HalpApicWrite(APIC_TIMER_DIVIDE, 0xB); /* by 1 */
    ArchRecordProcessor(KiGetCurrentPrcb()->Index, HalpApicId());

    if (BootProcessor)
    {
        KiLog(KiLogInfo, "APIC: %s, id %u, version %02x", HalpX2ApicMode ? "x2APIC" : "xAPIC",
              HalpApicId(), HalpApicRead(APIC_VERSION) & 0xFF);
    }
}

/* The error status register: writing latches the errors since the last write (SDM 3A 11.5.3). */
ULONG HalpReadApicError(VOID)
{
    HalpApicWrite(APIC_ESR, 0);
    return HalpApicRead(APIC_ESR) & 0xFF;
}
