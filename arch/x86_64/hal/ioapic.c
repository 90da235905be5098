/* SPDX-License-Identifier: MIT */
/*
 * ioapic.c - the I/O APICs: from interrupt lines to vectors.
 *
 * Each IOAPIC has an index and a data register, so a register access is two steps: one lock, with
 * interrupts off, covers all of them. Every redirection entry is masked at the start and belongs to
 * one vector once programmed; delivery is fixed, to one processor, physical destination.
 * Retargeting writes the destination's word alone: the vector stays, and an edge that came while
 * the entry was masked would be lost. MADT overrides say which line an ISA interrupt has, and with
 * which polarity and trigger. Source: Intel 82093AA datasheet, section 3.
 */
#include "halp.h"

#include <io.h>

#include <arch/mmu.h>
#include <mm.h>

#define IOAPIC_INDEX 0x00
#define IOAPIC_DATA 0x10
#define IOAPIC_REGISTER_VERSION 0x01
#define IOAPIC_REGISTER_REDIRECTION 0x10
#define IOAPIC_WINDOW 0x20
#define IOAPIC_HIGHEST_GSI 4095u /* more than any machine has; above it a base is garbage */

#define RTE_MASKED 0x10000u
#define RTE_LEVEL 0x8000u
#define RTE_ACTIVE_LOW 0x2000u

#define HALP_MAXIMUM_IOAPICS 16
#define HALP_MAXIMUM_LINES_EACH 240

typedef struct _HALP_IOAPIC
{
    volatile UCHAR *Registers;
    ULONG GsiBase;
    ULONG LineCount;
} HALP_IOAPIC, *PHALP_IOAPIC;

/* Filled by the boot processor before others start; constant afterwards. */
static HALP_IOAPIC HalpIoApics[HALP_MAXIMUM_IOAPICS] KI_RO_AFTER_INIT;
static ULONG HalpIoApicCount KI_RO_AFTER_INIT;

/* Guards every index/data pair and redirection entry; interrupts off. */
static KSPIN_LOCK HalpIoApicLock = KI_RANKED_SPIN_LOCK(KiRankIoApic);

static ULONG HalpIoApicRead(PHALP_IOAPIC IoApic, ULONG Register)
{
    WRITE_REGISTER_ULONG((volatile ULONG *)(IoApic->Registers + IOAPIC_INDEX), Register);
    return READ_REGISTER_ULONG((volatile ULONG *)(IoApic->Registers + IOAPIC_DATA));
}

static VOID HalpIoApicWrite(PHALP_IOAPIC IoApic, ULONG Register, ULONG Value)
{
    WRITE_REGISTER_ULONG((volatile ULONG *)(IoApic->Registers + IOAPIC_INDEX), Register);
    WRITE_REGISTER_ULONG((volatile ULONG *)(IoApic->Registers + IOAPIC_DATA), Value);
}

static BOOLEAN HalpLockIoApics(VOID)
{
    BOOLEAN Enabled = ArchDisableInterrupts();

    KeAcquireSpinLockAtDpcLevel(&HalpIoApicLock);
    return Enabled;
}

static VOID HalpUnlockIoApics(BOOLEAN Enabled)
{
    KeReleaseSpinLockFromDpcLevel(&HalpIoApicLock);
    ArchRestoreInterrupts(Enabled);
}

static PHALP_IOAPIC HalpIoApicOfLine(ULONG Gsi, PULONG Register)
{
    for (ULONG Index = 0; Index < HalpIoApicCount; Index++)
    {
        PHALP_IOAPIC IoApic = &HalpIoApics[Index];

        if (Gsi >= IoApic->GsiBase && Gsi - IoApic->GsiBase < IoApic->LineCount)
        {
            *Register = IOAPIC_REGISTER_REDIRECTION + (Gsi - IoApic->GsiBase) * 2;
            return IoApic;
        }
    }
    return NULL;
}

BOOLEAN HalpLineExists(ULONG Gsi)
{
    ULONG Register;

    return HalpIoApicOfLine(Gsi, &Register) != NULL;
}

ULONG HalpLineCount(VOID)
{
    ULONG Count = 0;

    for (ULONG Index = 0; Index < HalpIoApicCount; Index++)
    {
        ULONG End = HalpIoApics[Index].GsiBase + HalpIoApics[Index].LineCount;

        Count = End > Count ? End : Count;
    }
    return Count;
}

/* ISA lines are edge-triggered, active high, GSI = IRQ, unless an override says otherwise. */
HALP_LINE HalpIsaLine(ULONG Irq)
{
    HALP_LINE Line = {Irq, Latched, HalpActiveHigh};

    for (ULONG Index = 0; Index < HalpAcpi.Madt.OverrideCount; Index++)
    {
        const HALP_MADT_OVERRIDE *Override = &HalpAcpi.Madt.Overrides[Index];

        if (Override->Bus == 0 && Override->Source == Irq)
        {
            Line.Gsi = Override->Gsi;
            Line.Mode = Override->Trigger == HalpMadtTriggerLevel ? LevelSensitive : Latched;
            Line.Polarity = Override->Polarity == HalpMadtPolarityLow ? HalpActiveLow
                                                                      : HalpActiveHigh;
        }
    }
    return Line;
}

BOOLEAN HalpCanTakeLines(ULONG Processor)
{
    return CONTAINING_RECORD(KiProcessorBlock[Processor], KI_PROCESSOR, Prcb)->Pcr.ApicId <
           MAXUCHAR;
}

static VOID HalpWriteDestination(PHALP_IOAPIC IoApic, ULONG Register, ULONG Processor)
{
    PKI_PROCESSOR Target = CONTAINING_RECORD(KiProcessorBlock[Processor], KI_PROCESSOR, Prcb);

    HalpIoApicWrite(IoApic, Register + 1, Target->Pcr.ApicId << 24);
}

VOID HalpProgramLine(const HALP_LINE *Line, ULONG Vector, ULONG Processor)
{
    ULONG Register;
    PHALP_IOAPIC IoApic = HalpIoApicOfLine(Line->Gsi, &Register);
    ULONG Entry = RTE_MASKED | Vector;
    BOOLEAN Enabled;

    if (IoApic == NULL)
    {
        return;
    }
    if (Line->Mode == LevelSensitive)
    {
        Entry |= RTE_LEVEL;
    }
    if (Line->Polarity == HalpActiveLow)
    {
        Entry |= RTE_ACTIVE_LOW;
    }
    Enabled = HalpLockIoApics();
    HalpIoApicWrite(IoApic, Register, Entry);
    HalpWriteDestination(IoApic, Register, Processor);
    HalpUnlockIoApics(Enabled);
}

static VOID HalpSetLineMask(ULONG Gsi, BOOLEAN Masked)
{
    ULONG Register, Entry;
    PHALP_IOAPIC IoApic = HalpIoApicOfLine(Gsi, &Register);
    BOOLEAN Enabled;

    if (IoApic == NULL)
    {
        return;
    }
    Enabled = HalpLockIoApics();
    Entry = HalpIoApicRead(IoApic, Register) & ~RTE_MASKED;
    HalpIoApicWrite(IoApic, Register, Masked ? Entry | RTE_MASKED : Entry);
    HalpUnlockIoApics(Enabled);
}

VOID HalpMaskLine(ULONG Gsi)
{
    HalpSetLineMask(Gsi, TRUE);
}

VOID HalpUnmaskLine(ULONG Gsi)
{
    HalpSetLineMask(Gsi, FALSE);
}

VOID HalpRetargetLine(ULONG Gsi, ULONG Processor)
{
    ULONG Register;
    PHALP_IOAPIC IoApic = HalpIoApicOfLine(Gsi, &Register);
    BOOLEAN Enabled;

    if (IoApic == NULL)
    {
        return;
    }
    Enabled = HalpLockIoApics();
    HalpWriteDestination(IoApic, Register, Processor);
    HalpUnlockIoApics(Enabled);
}

ULONG64 HalpReadLine(ULONG Gsi)
{
    ULONG Register;
    PHALP_IOAPIC IoApic = HalpIoApicOfLine(Gsi, &Register);
    ULONG64 Entry;
    BOOLEAN Enabled;

    if (IoApic == NULL)
    {
        return RTE_MASKED;
    }
    Enabled = HalpLockIoApics();
    Entry = HalpIoApicRead(IoApic, Register);
    Entry |= (ULONG64)HalpIoApicRead(IoApic, Register + 1) << 32;
    HalpUnlockIoApics(Enabled);
    return Entry;
}

/* TRUE, with a warning, if its lines are another's, or none that a machine can have. */
static BOOLEAN HalpLinesCollide(ULONG64 Address, ULONG GsiBase, ULONG LineCount)
{
    if (GsiBase > IOAPIC_HIGHEST_GSI)
    {
        KiLog(KiLogWarning, "IOAPIC at %llx: lines from %u on are impossible: not used", Address,
              GsiBase);
        return TRUE;
    }
    for (ULONG Index = 0; Index < HalpIoApicCount; Index++)
    {
        const HALP_IOAPIC *Other = &HalpIoApics[Index];

        if (GsiBase < Other->GsiBase + Other->LineCount && GsiBase + LineCount > Other->GsiBase)
        {
            KiLog(KiLogWarning, "IOAPIC at %llx: lines %u to %u are another's: not used", Address,
                  GsiBase, GsiBase + LineCount - 1);
            return TRUE;
        }
    }
    return FALSE;
}

static VOID HalpAddIoApic(ULONG64 Address, ULONG GsiBase)
{
    PHALP_IOAPIC IoApic = &HalpIoApics[HalpIoApicCount];
    ULONG Version;

    IoApic->Registers = (volatile UCHAR *)HalpMapRegisters("IOAPIC", Address, IOAPIC_WINDOW);
    if (IoApic->Registers == NULL)
    {
        return;
    }
    Version = HalpIoApicRead(IoApic, IOAPIC_REGISTER_VERSION);
    IoApic->GsiBase = GsiBase;
    IoApic->LineCount = ((Version >> 16) & 0xFF) + 1;
    if (HalpLinesCollide(Address, GsiBase, IoApic->LineCount))
    {
        MmUnmapIoSpace((PVOID)IoApic->Registers, IOAPIC_WINDOW);
        return;
    }
    if (Version == MAXULONG || Version == 0 || IoApic->LineCount > HALP_MAXIMUM_LINES_EACH)
    {
        KiLog(KiLogWarning, "IOAPIC at %llx does not answer: its lines are unused", Address);
        MmUnmapIoSpace((PVOID)IoApic->Registers, IOAPIC_WINDOW);
        return;
    }
    for (ULONG Line = 0; Line < IoApic->LineCount; Line++)
    {
        HalpIoApicWrite(IoApic, IOAPIC_REGISTER_REDIRECTION + Line * 2, RTE_MASKED);
        HalpIoApicWrite(IoApic, IOAPIC_REGISTER_REDIRECTION + Line * 2 + 1, 0);
    }
    HalpIoApicCount++;
    KiLog(KiLogInfo, "IOAPIC at %llx: lines %u to %u", Address, GsiBase,
          GsiBase + IoApic->LineCount - 1);
}

VOID HalpInitializeIoApics(VOID)
{
    for (ULONG Index = 0;
         Index < HalpAcpi.Madt.IoApicCount && HalpIoApicCount < HALP_MAXIMUM_IOAPICS; Index++)
    {
        HalpAddIoApic(HalpAcpi.Madt.IoApics[Index].Address, HalpAcpi.Madt.IoApics[Index].GsiBase);
    }
    if (HalpIoApicCount == 0)
    {
        KiLog(KiLogWarning, "no IOAPIC: devices cannot interrupt by line");
    }
}
