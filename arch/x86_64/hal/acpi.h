/* SPDX-License-Identifier: MIT */
/*
 * acpi.h - reading ACPI's static tables (ACPI Specification 6.5, chapters 5.2 and 21).
 *
 * Each routine looks at bytes that the caller has mapped, (Table, Length), keeps no state, and
 * never reads beyond Length, whatever the bytes say. It returns NULL or a static English sentence
 * naming the problem, and has filled in what came before the problem; the rest is zero. Addresses
 * are physical.
 */
#pragma once

#include <ntdef.h>

/* The header of every table but the RSDP: map this much, read Length, map that much. */
typedef struct __attribute__((packed)) _HALP_ACPI_HEADER
{
    CHAR Signature[4];
    ULONG Length; /* of the table, header included */
    UCHAR Revision;
    UCHAR Checksum; /* makes the sum of the table's bytes zero */
    CHAR OemId[6];
    CHAR OemTableId[8];
    ULONG OemRevision;
    ULONG CreatorId;
    ULONG CreatorRevision;
} HALP_ACPI_HEADER, *PHALP_ACPI_HEADER;

C_ASSERT(sizeof(HALP_ACPI_HEADER) == 36);

/* ------------------------------------------------------------------ The way to the tables. */

typedef struct _HALP_RSDP_INFO
{
    UCHAR Revision;
    ULONG64 RsdtAddress; /* 0: none */
    ULONG64 XsdtAddress; /* 0: none; else preferred */
} HALP_RSDP_INFO, *PHALP_RSDP_INFO;

/* Length is what can be read, at least 20. Of an RSDP of revision 2 that is cut to its first 20
 * bytes, as in Multiboot2's old-RSDP tag, only the RSDT is found, and that is no problem. */
PCSTR HalpAcpiValidateRsdp(const VOID *Rsdp, SIZE_T Length, PHALP_RSDP_INFO Info);

/* Signature, length and checksum of a table of which Length bytes can be read. */
PCSTR HalpAcpiValidateTable(const VOID *Table, SIZE_T Length, PCSTR Signature);

/* A valid RSDT or XSDT: how many tables it lists, and the address of one; 0 for none. */
ULONG HalpAcpiRootEntryCount(const VOID *Root, SIZE_T Length);
ULONG64 HalpAcpiRootEntry(const VOID *Root, SIZE_T Length, ULONG Index);

/* ------------------------------------------------------------------ MADT ("APIC"): processors and
 * interrupt controllers. */

/* Twice what the kernel runs on, so that a boot processor listed late is not lost and the number of
 * processors is reported truly well beyond the limit. */
#define HALP_MADT_MAXIMUM_PROCESSORS 512
#define HALP_MADT_MAXIMUM_IO_APICS 16
#define HALP_MADT_MAXIMUM_OVERRIDES 48
#define HALP_MADT_MAXIMUM_NMIS 32

#define HALP_MADT_ENABLED 0x1u        /* a processor's Flags: ready for use ...             */
#define HALP_MADT_ONLINE_CAPABLE 0x2u /* ... or may become so, which this kernel never does */

/* How an interrupt line signals. "Conforms to the bus" has been resolved: these lines are ISA's or
 * NMIs, hence active high and edge-triggered. */
typedef enum _HALP_MADT_POLARITY
{
    HalpMadtPolarityHigh,
    HalpMadtPolarityLow
} HALP_MADT_POLARITY;

typedef enum _HALP_MADT_TRIGGER
{
    HalpMadtTriggerEdge,
    HalpMadtTriggerLevel
} HALP_MADT_TRIGGER;

typedef struct _HALP_MADT_PROCESSOR
{
    ULONG ApicId;
    ULONG AcpiUid;
    ULONG Flags;
    BOOLEAN X2ApicEntry;
} HALP_MADT_PROCESSOR, *PHALP_MADT_PROCESSOR;

typedef struct _HALP_MADT_IO_APIC
{
    UCHAR Id;
    ULONG Address;
    ULONG GsiBase;
} HALP_MADT_IO_APIC, *PHALP_MADT_IO_APIC;

/* ISA interrupt Source arrives at Gsi instead of at the GSI of its own number. */
typedef struct _HALP_MADT_OVERRIDE
{
    UCHAR Bus;
    UCHAR Source;
    ULONG Gsi;
    HALP_MADT_POLARITY Polarity;
    HALP_MADT_TRIGGER Trigger;
} HALP_MADT_OVERRIDE, *PHALP_MADT_OVERRIDE;

/* A GSI to be programmed as an NMI. */
typedef struct _HALP_MADT_NMI_SOURCE
{
    ULONG Gsi;
    HALP_MADT_POLARITY Polarity;
    HALP_MADT_TRIGGER Trigger;
} HALP_MADT_NMI_SOURCE, *PHALP_MADT_NMI_SOURCE;

/* The local APIC pin, 0 or 1, that takes NMIs: on one processor or on all. */
typedef struct _HALP_MADT_LOCAL_NMI
{
    BOOLEAN AllProcessors;
    ULONG AcpiUid; /* meaningless if AllProcessors */
    UCHAR Lint;
    HALP_MADT_POLARITY Polarity;
    HALP_MADT_TRIGGER Trigger;
} HALP_MADT_LOCAL_NMI, *PHALP_MADT_LOCAL_NMI;

/* 10 KiB: not for a kernel stack. */
typedef struct _HALP_MADT_INFO
{
    ULONG64 LocalApicAddress; /* the 64-bit override if there is one */
    BOOLEAN PcatCompatible;   /* there is a pair of 8259s, to be masked */

    /* Processors that are enabled and have a usable, new APIC id, in the table's order. */
    ULONG ProcessorCount;
    HALP_MADT_PROCESSOR Processors[HALP_MADT_MAXIMUM_PROCESSORS];
    ULONG ProcessorsDropped;   /* did not fit                                  */
    ULONG DuplicateProcessors; /* had the id of an earlier one                 */
    ULONG InvalidProcessors;   /* had the id that means "none"                 */
    ULONG DisabledProcessors;  /* not enabled ...                              */
    ULONG OnlineCapable;       /* ... of which this many might become enabled  */

    ULONG IoApicCount;
    HALP_MADT_IO_APIC IoApics[HALP_MADT_MAXIMUM_IO_APICS];
    ULONG IoApicsDropped;

    ULONG OverrideCount;
    HALP_MADT_OVERRIDE Overrides[HALP_MADT_MAXIMUM_OVERRIDES];
    ULONG OverridesDropped;

    ULONG NmiSourceCount;
    HALP_MADT_NMI_SOURCE NmiSources[HALP_MADT_MAXIMUM_NMIS];
    ULONG NmiSourcesDropped;

    ULONG LocalNmiCount;
    HALP_MADT_LOCAL_NMI LocalNmis[HALP_MADT_MAXIMUM_NMIS];
    ULONG LocalNmisDropped; /* did not fit, or name a pin that does not exist */

    ULONG UnknownEntries; /* of a type that means nothing to this kernel */
} HALP_MADT_INFO, *PHALP_MADT_INFO;

PCSTR HalpAcpiParseMadt(const VOID *Table, SIZE_T Length, PHALP_MADT_INFO Info);

/* ------------------------------------------------------------------ FADT ("FACP"): fixed
 * registers and features. */

#define HALP_ACPI_SPACE_MEMORY 0
#define HALP_ACPI_SPACE_IO 1
#define HALP_ACPI_SPACE_PCI 2

/* ACPI's Generic Address Structure. Address 0: no such register. */
typedef struct _HALP_ACPI_REGISTER
{
    UCHAR Space;
    UCHAR BitWidth;
    UCHAR BitOffset;
    UCHAR AccessSize; /* 0 undefined, 1 byte, 2 word, 3 dword, 4 qword */
    ULONG64 Address;
} HALP_ACPI_REGISTER, *PHALP_ACPI_REGISTER;

/* Bits of BootArchitecture. */
#define HALP_FADT_LEGACY_DEVICES 0x01u
#define HALP_FADT_8042 0x02u
#define HALP_FADT_NO_VGA 0x04u
#define HALP_FADT_NO_MSI 0x08u
#define HALP_FADT_NO_CMOS_RTC 0x20u

typedef struct _HALP_FADT_INFO
{
    UCHAR Revision;
    ULONG64 DsdtAddress;
    USHORT SciInterrupt;     /* an ISA interrupt number, or a GSI without 8259s */
    USHORT BootArchitecture; /* of revision 1, which lacks it: legacy devices and 8042 */
    UCHAR CenturyIndex;      /* in CMOS memory; 0: none */
    ULONG SmiCommandPort;    /* 0: always in ACPI mode; else AcpiEnableValue, written there, ... */
    UCHAR AcpiEnableValue;   /* ... makes the power registers ours                              */
    BOOLEAN HardwareReduced; /* no PM timer, no PM1 registers */
    HALP_ACPI_REGISTER PmTimer;
    BOOLEAN PmTimer32Bit; /* else 24 bits */
    HALP_ACPI_REGISTER Pm1aControl;
    HALP_ACPI_REGISTER Pm1bControl;
    HALP_ACPI_REGISTER Reset; /* write ResetValue there */
    UCHAR ResetValue;
} HALP_FADT_INFO, *PHALP_FADT_INFO;

PCSTR HalpAcpiParseFadt(const VOID *Table, SIZE_T Length, PHALP_FADT_INFO Info);

/* What is wrong with a reset register; NULL if it can be written. */
PCSTR HalpAcpiResetProblem(const HALP_ACPI_REGISTER *Register);

/* ------------------------------------------------------------------ DSDT: the sleep type of
 * soft-off, for PM1a and PM1b, as far as it stands there plainly (s5.c). */
PCSTR HalpAcpiFindS5(const VOID *Dsdt, SIZE_T Length, UCHAR SleepTypes[2]);

/* ------------------------------------------------------------------ HPET: the event timer. */

typedef struct _HALP_HPET_INFO
{
    ULONG64 Address;    /* of its registers, in memory */
    UCHAR Number;       /* which HPET this is */
    UCHAR Comparators;  /* 1..32 */
    USHORT MinimumTick; /* in counts, for periodic mode without lost interrupts */
} HALP_HPET_INFO, *PHALP_HPET_INFO;

PCSTR HalpAcpiParseHpet(const VOID *Table, SIZE_T Length, PHALP_HPET_INFO Info);

/* ------------------------------------------------------------------ MCFG: PCI Express
 * configuration space in memory (PCI Firmware Specification 3.3, 4.1.2). */

#define HALP_MCFG_MAXIMUM_REGIONS 16

/* Bus b of the segment lies at Base + (b << 20): Base is that of bus 0, even if StartBus is not. */
typedef struct _HALP_MCFG_REGION
{
    ULONG64 Base;
    USHORT Segment;
    UCHAR StartBus;
    UCHAR EndBus; /* inclusive */
} HALP_MCFG_REGION, *PHALP_MCFG_REGION;

typedef struct _HALP_MCFG_INFO
{
    ULONG RegionCount;
    HALP_MCFG_REGION Regions[HALP_MCFG_MAXIMUM_REGIONS];
    ULONG RegionsDropped; /* did not fit, or have no address, or end before they begin */
} HALP_MCFG_INFO, *PHALP_MCFG_INFO;

PCSTR HalpAcpiParseMcfg(const VOID *Table, SIZE_T Length, PHALP_MCFG_INFO Info);

/* ------------------------------------------------------------------ DMAR: DMA and interrupt
 * remapping (Intel VT-d specification 4.0, 8.1). Only whether firmware asks for xAPIC is read. */

PCSTR HalpAcpiParseDmar(const VOID *Table, SIZE_T Length, PBOOLEAN X2ApicOptOut);
