/* SPDX-License-Identifier: MIT */
/*
 * halp.h - what the files of hal/ share with one another and with mp/.
 */
#pragma once

#include <arch/hal.h>
#include <ki.h>

#include "acpi.h"

/* ------------------------------------------------------------------ ACPI (tables.c). */
typedef struct _HALP_ACPI
{
    BOOLEAN HaveMadt, HaveHpet, HaveFadt, HaveMcfg;
    BOOLEAN X2ApicOptOut; /* firmware asks the system not to use x2APIC */
    HALP_MADT_INFO Madt;
    HALP_HPET_INFO Hpet;
    HALP_FADT_INFO Fadt;
    HALP_MCFG_INFO Mcfg;
} HALP_ACPI;

VOID HalpInitializePic(VOID);
VOID HalpInitializeIoApics(VOID);

/* Maps registers at an address that a table gives, uncached; NULL, with a warning that names them,
 * if it lies in memory or out of reach (window.c). IRQL <= DISPATCH_LEVEL. */
volatile VOID *HalpMapRegisters(PCSTR Name, ULONG64 Physical, SIZE_T Length);

/* Make resets and power-off possible from a bug check (reset.c, power.c). */
VOID HalpPrepareReset(VOID);
VOID HalpPreparePowerOff(VOID);

/* Maps a whole ACPI table; NULL, with a report, if it is not there or absurd (tables.c). */
PVOID HalpMapTable(ULONG64 Physical, PULONG Length);

/* Filled once by the boot processor before others start; constant afterwards. */
extern HALP_ACPI HalpAcpi;

/* The ECAM window of a bus; FALSE if MCFG names none. */
BOOLEAN HalpQueryMcfg(ULONG Bus, ULONG64 *Base);

/* ------------------------------------------------------------------ Local APIC (apic.c). */
#define APIC_ID 0x020
#define APIC_VERSION 0x030
#define APIC_TPR 0x080
#define APIC_EOI 0x0B0
#define APIC_LDR 0x0D0
#define APIC_SPURIOUS 0x0F0
#define APIC_ISR 0x100
#define APIC_IRR 0x200
#define APIC_ESR 0x280
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_CMCI 0x2F0
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_THERMAL 0x330
#define APIC_LVT_PERFORMANCE 0x340
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3E0

#define APIC_LVT_MASKED 0x10000u
#define APIC_LVT_NMI 0x400u
#define APIC_LVT_ACTIVE_LOW 0x2000u
#define APIC_ICR_FIXED 0x000u
#define APIC_ICR_NMI 0x400u
#define APIC_ICR_INIT 0x500u
#define APIC_ICR_STARTUP 0x600u
#define APIC_ICR_PENDING 0x1000u
#define APIC_ICR_ASSERT 0x4000u
#define APIC_ICR_LEVEL 0x8000u
#define APIC_ICR_SELF 0x40000u
#define APIC_ICR_ALL_BUT_SELF 0xC0000u

/* TRUE in x2APIC mode; decided by the boot processor, the same on all. Read by trap.asm. */
extern BOOLEAN HalpX2ApicMode;

/* Times that the command register was still busy when a wait for it ended: any processor, any IRQL,
 * locked add. */
extern volatile LONG HalpIcrTimeouts;

ULONG HalpApicRead(ULONG Register);
VOID HalpApicWrite(ULONG Register, ULONG Value);
/* Sends Command to the APIC id; interrupts need not be off. */
VOID HalpApicCommand(ULONG ApicId, ULONG Command);
ULONG HalpApicId(VOID);

/* ------------------------------------------------------------------ Time (time.c, reference.c,
 * calibrate.c). */

/* A free-running counter that is not the TSC: Read returns Bits bits, counting up. */
typedef struct _HALP_REFERENCE
{
    PCSTR Name;
    ULONG64 (*Read)(VOID);
    ULONG Bits;
    ULONG64 Frequency;
    BOOLEAN Refuted; /* by HalpCalibrate: it stops, or disagrees with two that agree */
} HALP_REFERENCE, *PHALP_REFERENCE;

/* HPET, ACPI PM timer and PIT, in that order, as far as they exist and count; returns how many. The
 * PIT's 16 bits are good for calibration only. */
#define HALP_MAXIMUM_REFERENCES 3
ULONG HalpFindReferences(HALP_REFERENCE References[HALP_MAXIMUM_REFERENCES]);

extern ULONG64 HalpTscFrequency;       /* Hz; 0 until calibrated */
extern ULONG64 HalpApicTimerFrequency; /* Hz with divisor 1      */

VOID HalpCalibrate(PHALP_REFERENCE References, ULONG Count);
