/* SPDX-License-Identifier: MIT */
/*
 * reference.c - counters whose frequency is known: HPET, ACPI PM timer, PIT channel 2.
 *
 * They calibrate the TSC and the APIC timer, and stand in for the TSC where it cannot be trusted. A
 * counter is offered only if it is seen to count. Sources: IA-PC HPET Specification 1.0a; ACPI
 * 4.8.2.1 (PM timer, 3.579545 MHz); Intel 8254 datasheet (1.193182 MHz).
 */
#include "halp.h"

#include <io.h>

#include <mm.h>

#define HPET_WINDOW 0x400
#define HPET_CAPABILITIES_PERIOD 0x004
#define HPET_CONFIGURATION 0x010
#define HPET_COUNTER 0x0F0
#define HPET_ENABLE 0x1u
#define HPET_MAXIMUM_PERIOD 100000000u /* femtoseconds, by its specification */
#define HPET_MINIMUM_PERIOD 100000u    /* 10 GHz: above that it is garbage   */
#define FEMTOSECONDS 1000000000000000ull

#define PM_TIMER_FREQUENCY 3579545u
#define PIT_FREQUENCY 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_GATE 0x61
#define PIT_CHANNEL2_MODE2_BOTH 0xB4
#define PIT_LATCH_CHANNEL2 0x80

#define ALIVE_SPINS 100000u

static volatile UCHAR *HalpHpet KI_RO_AFTER_INIT;
static USHORT HalpPmTimerPort KI_RO_AFTER_INIT;
static volatile ULONG *HalpPmTimerRegister KI_RO_AFTER_INIT;

/* The low half only, even of a 64-bit counter: a bus may split a 64-bit read, and the halves then
 * belong to different counts. time.c widens it. */
static ULONG64 HalpReadHpet(VOID)
{
    return READ_REGISTER_ULONG((volatile ULONG *)(HalpHpet + HPET_COUNTER));
}

static ULONG64 HalpReadPmTimer(VOID)
{
    return HalpPmTimerRegister != NULL ? (ULONG64)READ_REGISTER_ULONG(HalpPmTimerRegister)
                                       : __indword(HalpPmTimerPort);
}

/* The PIT counts down and is read a byte at a time, from a latch. */
static ULONG64 HalpReadPit(VOID)
{
    USHORT Count;

    __outbyte(PIT_COMMAND, PIT_LATCH_CHANNEL2);
    Count = __inbyte(PIT_CHANNEL2);
    Count |= (USHORT)(__inbyte(PIT_CHANNEL2) << 8);
    return (USHORT)~Count;
}

static BOOLEAN HalpCounts(ULONG64 (*Read)(VOID))
{
    ULONG64 First = Read();

    for (ULONG Spin = 0; Spin < ALIVE_SPINS; Spin++)
    {
        if (Read() != First)
        {
            return TRUE;
        }
    }
    return FALSE;
}

/* For a counter that a table promises. */
static BOOLEAN HalpIsAlive(const HALP_REFERENCE *Reference)
{
    if (HalpCounts(Reference->Read))
    {
        return TRUE;
    }
    KiLog(KiLogWarning, "%s does not count: not used", Reference->Name);
    return FALSE;
}

static BOOLEAN HalpOpenHpet(PHALP_REFERENCE Reference)
{
    ULONG Period;

    if (!HalpAcpi.HaveHpet)
    {
        return FALSE;
    }
    HalpHpet = (volatile UCHAR *)HalpMapRegisters("HPET", HalpAcpi.Hpet.Address, HPET_WINDOW);
    if (HalpHpet == NULL)
    {
        return FALSE;
    }
    Period = READ_REGISTER_ULONG((volatile ULONG *)(HalpHpet + HPET_CAPABILITIES_PERIOD));
    if (Period < HPET_MINIMUM_PERIOD || Period > HPET_MAXIMUM_PERIOD)
    {
        KiLog(KiLogWarning, "HPET: a period of %u fs is impossible: not used", Period);
        return FALSE;
    }
    WRITE_REGISTER_ULONG((volatile ULONG *)(HalpHpet + HPET_CONFIGURATION),
                         READ_REGISTER_ULONG((volatile ULONG *)(HalpHpet + HPET_CONFIGURATION)) |
                             HPET_ENABLE);
    Reference->Name = "HPET";
    Reference->Frequency = FEMTOSECONDS / Period;
    Reference->Read = HalpReadHpet;
    Reference->Bits = 32;
    return HalpIsAlive(Reference);
}

static BOOLEAN HalpOpenPmTimer(PHALP_REFERENCE Reference)
{
    const HALP_ACPI_REGISTER *Register = &HalpAcpi.Fadt.PmTimer;

    if (!HalpAcpi.HaveFadt || Register->Address == 0)
    {
        return FALSE;
    }
    if (Register->Space == HALP_ACPI_SPACE_IO && Register->Address > MAXUSHORT - sizeof(ULONG) + 1)
    {
        KiLog(KiLogWarning, "ACPI PM timer at port %llx: there is no such port: not used",
              Register->Address);
    }
    else if (Register->Space == HALP_ACPI_SPACE_IO)
    {
        HalpPmTimerPort = (USHORT)Register->Address;
    }
    else if (Register->Space == HALP_ACPI_SPACE_MEMORY)
    {
        HalpPmTimerRegister = HalpMapRegisters("ACPI PM timer", Register->Address, sizeof(ULONG));
    }
    if (HalpPmTimerPort == 0 && HalpPmTimerRegister == NULL)
    {
        return FALSE;
    }
    Reference->Name = "ACPI PM timer";
    Reference->Read = HalpReadPmTimer;
    Reference->Bits = HalpAcpi.Fadt.PmTimer32Bit ? 32 : 24;
    Reference->Frequency = PM_TIMER_FREQUENCY;
    return HalpIsAlive(Reference);
}

static BOOLEAN HalpOpenPit(PHALP_REFERENCE Reference)
{
    __outbyte(PIT_GATE, (__inbyte(PIT_GATE) & ~2) | 1); /* gate on, speaker off */
    __outbyte(PIT_COMMAND, PIT_CHANNEL2_MODE2_BOTH);
    __outbyte(PIT_CHANNEL2, 0);
    __outbyte(PIT_CHANNEL2, 0);
    Reference->Name = "PIT";
    Reference->Read = HalpReadPit;
    Reference->Bits = 16;
    Reference->Frequency = PIT_FREQUENCY;
    return HalpCounts(HalpReadPit);
}

ULONG HalpFindReferences(HALP_REFERENCE References[HALP_MAXIMUM_REFERENCES])
{
    ULONG Count = 0;

    Count += HalpOpenHpet(&References[Count]);
    Count += HalpOpenPmTimer(&References[Count]);
    Count += HalpOpenPit(&References[Count]);
    return Count;
}
