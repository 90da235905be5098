/* SPDX-License-Identifier: MIT */
/*
 * madt.c - reads the MADT: which processors and interrupt controllers there are, and how ISA's
 * interrupts and NMIs are wired to them (ACPI Specification 6.5, 5.2.12).
 *
 * Firmware gets this table wrong in the field: entries of length zero or past the end, processors
 * listed twice or with no id. An entry that breaks the chain ends it; one that makes no sense in
 * itself is counted and passed over. Every turn of the loop advances, whatever the bytes say.
 */
#include "acpi.h"

#include <rtl.h>

#define HALP_MADT_PCAT_COMPAT 0x1u

typedef struct __attribute__((packed)) _HALP_MADT_TABLE
{
    HALP_ACPI_HEADER Header;
    ULONG LocalApicAddress;
    ULONG Flags;
} HALP_MADT_TABLE;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY
{
    UCHAR Type;
    UCHAR Length;
} HALP_MADT_ENTRY;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_LOCAL_APIC
{
    HALP_MADT_ENTRY Entry;
    UCHAR AcpiUid;
    UCHAR ApicId;
    ULONG Flags;
} HALP_MADT_ENTRY_LOCAL_APIC;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_IO_APIC
{
    HALP_MADT_ENTRY Entry;
    UCHAR Id;
    UCHAR Reserved;
    ULONG Address;
    ULONG GsiBase;
} HALP_MADT_ENTRY_IO_APIC;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_OVERRIDE
{
    HALP_MADT_ENTRY Entry;
    UCHAR Bus;
    UCHAR Source;
    ULONG Gsi;
    USHORT Flags;
} HALP_MADT_ENTRY_OVERRIDE;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_NMI_SOURCE
{
    HALP_MADT_ENTRY Entry;
    USHORT Flags;
    ULONG Gsi;
} HALP_MADT_ENTRY_NMI_SOURCE;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_LOCAL_NMI
{
    HALP_MADT_ENTRY Entry;
    UCHAR AcpiUid;
    USHORT Flags;
    UCHAR Lint;
} HALP_MADT_ENTRY_LOCAL_NMI;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_ADDRESS
{
    HALP_MADT_ENTRY Entry;
    USHORT Reserved;
    ULONG64 LocalApicAddress;
} HALP_MADT_ENTRY_ADDRESS;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_X2APIC
{
    HALP_MADT_ENTRY Entry;
    USHORT Reserved;
    ULONG ApicId;
    ULONG Flags;
    ULONG AcpiUid;
} HALP_MADT_ENTRY_X2APIC;

typedef struct __attribute__((packed)) _HALP_MADT_ENTRY_X2APIC_NMI
{
    HALP_MADT_ENTRY Entry;
    USHORT Flags;
    ULONG AcpiUid;
    UCHAR Lint;
    UCHAR Reserved[3];
} HALP_MADT_ENTRY_X2APIC_NMI;

/* "MPS INTI flags": polarity in bits 0-1 (1 high, 3 low), trigger in bits 2-3 (1 edge, 3 level);
 * 0 conforms to the bus, 2 is reserved. */
static HALP_MADT_POLARITY HalpAcpiPolarity(USHORT Flags)
{
    return ((Flags & 3) == 3) ? HalpMadtPolarityLow : HalpMadtPolarityHigh;
}

static HALP_MADT_TRIGGER HalpAcpiTrigger(USHORT Flags)
{
    return (((Flags >> 2) & 3) == 3) ? HalpMadtTriggerLevel : HalpMadtTriggerEdge;
}

static VOID HalpAcpiAddProcessor(PHALP_MADT_INFO Info, const HALP_MADT_PROCESSOR *Processor)
{
    if (!(Processor->Flags & HALP_MADT_ENABLED))
    {
        Info->DisabledProcessors++;
        Info->OnlineCapable += (Processor->Flags & HALP_MADT_ONLINE_CAPABLE) != 0;
        return;
    }
    for (ULONG Index = 0; Index < Info->ProcessorCount; Index++)
    {
        if (Info->Processors[Index].ApicId == Processor->ApicId)
        {
            Info->DuplicateProcessors++;
            return;
        }
    }
    if (Info->ProcessorCount == HALP_MADT_MAXIMUM_PROCESSORS)
    {
        Info->ProcessorsDropped++;
        return;
    }
    Info->Processors[Info->ProcessorCount++] = *Processor;
}

static VOID HalpAcpiReadLocalApic(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_LOCAL_APIC *Entry = Data;
    HALP_MADT_PROCESSOR Processor = {Entry->ApicId, Entry->AcpiUid, Entry->Flags, FALSE};

    if (Entry->ApicId == MAXUCHAR)
    {
        Info->InvalidProcessors++;
        return;
    }
    HalpAcpiAddProcessor(Info, &Processor);
}

static VOID HalpAcpiReadX2Apic(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_X2APIC *Entry = Data;
    HALP_MADT_PROCESSOR Processor = {Entry->ApicId, Entry->AcpiUid, Entry->Flags, TRUE};

    if (Entry->ApicId == MAXULONG)
    {
        Info->InvalidProcessors++;
        return;
    }
    HalpAcpiAddProcessor(Info, &Processor);
}

static VOID HalpAcpiReadIoApic(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_IO_APIC *Entry = Data;

    if (Info->IoApicCount == HALP_MADT_MAXIMUM_IO_APICS)
    {
        Info->IoApicsDropped++;
        return;
    }
    Info->IoApics[Info->IoApicCount++] = (HALP_MADT_IO_APIC){Entry->Id, Entry->Address,
                                                             Entry->GsiBase};
}

static VOID HalpAcpiReadOverride(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_OVERRIDE *Entry = Data;

    if (Info->OverrideCount == HALP_MADT_MAXIMUM_OVERRIDES)
    {
        Info->OverridesDropped++;
        return;
    }
    Info->Overrides[Info->OverrideCount++] = (HALP_MADT_OVERRIDE){
        Entry->Bus, Entry->Source, Entry->Gsi, HalpAcpiPolarity(Entry->Flags),
        HalpAcpiTrigger(Entry->Flags)};
}

static VOID HalpAcpiReadNmiSource(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_NMI_SOURCE *Entry = Data;

    if (Info->NmiSourceCount == HALP_MADT_MAXIMUM_NMIS)
    {
        Info->NmiSourcesDropped++;
        return;
    }
    Info->NmiSources[Info->NmiSourceCount++] = (HALP_MADT_NMI_SOURCE){
        Entry->Gsi, HalpAcpiPolarity(Entry->Flags), HalpAcpiTrigger(Entry->Flags)};
}

static VOID HalpAcpiAddLocalNmi(PHALP_MADT_INFO Info, const HALP_MADT_LOCAL_NMI *LocalNmi)
{
    if (LocalNmi->Lint > 1 || Info->LocalNmiCount == HALP_MADT_MAXIMUM_NMIS)
    {
        Info->LocalNmisDropped++;
        return;
    }
    Info->LocalNmis[Info->LocalNmiCount++] = *LocalNmi;
}

static VOID HalpAcpiReadLocalNmi(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_LOCAL_NMI *Entry = Data;
    HALP_MADT_LOCAL_NMI LocalNmi = {Entry->AcpiUid == MAXUCHAR, Entry->AcpiUid, Entry->Lint,
                                    HalpAcpiPolarity(Entry->Flags), HalpAcpiTrigger(Entry->Flags)};

    HalpAcpiAddLocalNmi(Info, &LocalNmi);
}

static VOID HalpAcpiReadX2ApicNmi(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_X2APIC_NMI *Entry = Data;
    HALP_MADT_LOCAL_NMI LocalNmi = {Entry->AcpiUid == MAXULONG, Entry->AcpiUid, Entry->Lint,
                                    HalpAcpiPolarity(Entry->Flags), HalpAcpiTrigger(Entry->Flags)};

    HalpAcpiAddLocalNmi(Info, &LocalNmi);
}

static VOID HalpAcpiReadAddressOverride(const VOID *Data, PHALP_MADT_INFO Info)
{
    const HALP_MADT_ENTRY_ADDRESS *Entry = Data;

    Info->LocalApicAddress = Entry->LocalApicAddress;
}

/* What an entry's type number means, and how much of it must be there to be read. */
static const struct
{
    UCHAR Type;
    UCHAR Length;
    VOID (*Read)(const VOID *Data, PHALP_MADT_INFO Info);
} HalpMadtTypes[] = {
    {0, sizeof(HALP_MADT_ENTRY_LOCAL_APIC), HalpAcpiReadLocalApic},
    {1, sizeof(HALP_MADT_ENTRY_IO_APIC), HalpAcpiReadIoApic},
    {2, sizeof(HALP_MADT_ENTRY_OVERRIDE), HalpAcpiReadOverride},
    {3, sizeof(HALP_MADT_ENTRY_NMI_SOURCE), HalpAcpiReadNmiSource},
    {4, sizeof(HALP_MADT_ENTRY_LOCAL_NMI), HalpAcpiReadLocalNmi},
    {5, sizeof(HALP_MADT_ENTRY_ADDRESS), HalpAcpiReadAddressOverride},
    {9, sizeof(HALP_MADT_ENTRY_X2APIC), HalpAcpiReadX2Apic},
    {10, sizeof(HALP_MADT_ENTRY_X2APIC_NMI), HalpAcpiReadX2ApicNmi},
};

/* Reads one entry that lies wholly in the table. */
static PCSTR HalpAcpiReadMadtEntry(const HALP_MADT_ENTRY *Entry, PHALP_MADT_INFO Info)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(HalpMadtTypes); Index++)
    {
        if (HalpMadtTypes[Index].Type == Entry->Type)
        {
            if (Entry->Length < HalpMadtTypes[Index].Length)
            {
                return "MADT: an entry is shorter than its type requires";
            }
            HalpMadtTypes[Index].Read(Entry, Info);
            return NULL;
        }
    }
    Info->UnknownEntries++;
    return NULL;
}

PCSTR HalpAcpiParseMadt(const VOID *Table, SIZE_T Length, PHALP_MADT_INFO Info)
{
    const HALP_MADT_TABLE *Madt = Table;
    PCSTR Problem = HalpAcpiValidateTable(Table, Length, "APIC");

    RtlZeroMemory(Info, sizeof(*Info));
    if (Problem != NULL)
    {
        return Problem;
    }
    if (Madt->Header.Length < sizeof(*Madt))
    {
        return "MADT: ends before its first entry";
    }
    Info->LocalApicAddress = Madt->LocalApicAddress;
    Info->PcatCompatible = (Madt->Flags & HALP_MADT_PCAT_COMPAT) != 0;

    for (ULONG Offset = sizeof(*Madt); Problem == NULL && Offset < Madt->Header.Length;)
    {
        const HALP_MADT_ENTRY *Entry = (const VOID *)((const UCHAR *)Table + Offset);
        ULONG Left = Madt->Header.Length - Offset;

        if (Left < sizeof(*Entry) || Entry->Length > Left)
        {
            return "MADT: an entry reaches past the end of the table";
        }
        if (Entry->Length < sizeof(*Entry))
        {
            return "MADT: an entry is shorter than its own header";
        }
        Problem = HalpAcpiReadMadtEntry(Entry, Info);
        Offset += Entry->Length;
    }
    return Problem;
}
