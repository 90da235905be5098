/* SPDX-License-Identifier: MIT */
/*
 * acpi.c - finds ACPI's tables and reads the short ones: RSDP, RSDT and XSDT, HPET, MCFG, DMAR.
 *
 * The packed layouts assume no alignment, because an XSDT's 64-bit entries begin at offset 36 and
 * firmware puts tables anywhere. Nothing is read before its length has been checked.
 */
#include "acpi.h"

#include <rtl.h>

#define HALP_RSDP_V1_LENGTH 20
#define HALP_RSDP_V2_LENGTH 36

typedef struct __attribute__((packed)) _HALP_RSDP_TABLE
{
    CHAR Signature[8];
    UCHAR Checksum; /* over the first 20 bytes */
    CHAR OemId[6];
    UCHAR Revision;
    ULONG RsdtAddress;
    ULONG Length; /* from here on: revision 2 */
    ULONG64 XsdtAddress;
    UCHAR ExtendedChecksum; /* over all of it */
    UCHAR Reserved[3];
} HALP_RSDP_TABLE;

typedef struct __attribute__((packed)) _HALP_HPET_TABLE
{
    HALP_ACPI_HEADER Header;
    ULONG BlockId;
    UCHAR AddressSpace;
    UCHAR RegisterShape[3];
    ULONG64 Address;
    UCHAR Number;
    USHORT MinimumTick;
    UCHAR PageProtection;
} HALP_HPET_TABLE;

typedef struct __attribute__((packed)) _HALP_MCFG_TABLE
{
    HALP_ACPI_HEADER Header;
    UCHAR Reserved[8];
} HALP_MCFG_TABLE;

typedef struct __attribute__((packed)) _HALP_MCFG_ENTRY
{
    ULONG64 Base;
    USHORT Segment;
    UCHAR StartBus;
    UCHAR EndBus;
    ULONG Reserved;
} HALP_MCFG_ENTRY;

typedef struct __attribute__((packed)) _HALP_DMAR_TABLE
{
    HALP_ACPI_HEADER Header;
    UCHAR AddressWidth;
    UCHAR Flags;
    UCHAR Reserved[10];
} HALP_DMAR_TABLE;

#define HALP_DMAR_X2APIC_OPT_OUT 0x2u

/* ------------------------------------------------------------------ RSDP, headers, root tables. */

static UCHAR HalpAcpiSum(const VOID *Data, SIZE_T Length)
{
    const UCHAR *Bytes = Data;
    UCHAR Sum = 0;

    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        Sum = (UCHAR)(Sum + Bytes[Index]);
    }
    return Sum;
}

PCSTR HalpAcpiValidateRsdp(const VOID *Rsdp, SIZE_T Length, PHALP_RSDP_INFO Info)
{
    const HALP_RSDP_TABLE *Table = Rsdp;

    RtlZeroMemory(Info, sizeof(*Info));
    if (Length < HALP_RSDP_V1_LENGTH)
    {
        return "RSDP: shorter than 20 bytes";
    }
    if (!RtlEqualMemory(Table->Signature, "RSD PTR ", sizeof(Table->Signature)))
    {
        return "RSDP: wrong signature";
    }
    if (HalpAcpiSum(Rsdp, HALP_RSDP_V1_LENGTH) != 0)
    {
        return "RSDP: wrong checksum";
    }
    Info->Revision = Table->Revision;
    Info->RsdtAddress = Table->RsdtAddress;
    if (Table->Revision < 2 || Length < HALP_RSDP_V2_LENGTH)
    {
        return NULL;
    }
    if (Table->Length < HALP_RSDP_V2_LENGTH || Table->Length > Length)
    {
        return "RSDP: impossible length in revision 2";
    }
    if (HalpAcpiSum(Rsdp, Table->Length) != 0)
    {
        return "RSDP: wrong extended checksum";
    }
    Info->XsdtAddress = Table->XsdtAddress;
    return NULL;
}

PCSTR HalpAcpiValidateTable(const VOID *Table, SIZE_T Length, PCSTR Signature)
{
    const HALP_ACPI_HEADER *Header = Table;

    if (Length < sizeof(*Header))
    {
        return "ACPI table: less than a header can be read";
    }
    if (!RtlEqualMemory(Header->Signature, Signature, sizeof(Header->Signature)))
    {
        return "ACPI table: wrong signature";
    }
    if (Header->Length < sizeof(*Header))
    {
        return "ACPI table: shorter than its own header";
    }
    if (Header->Length > Length)
    {
        return "ACPI table: longer than the memory it lies in";
    }
    if (HalpAcpiSum(Table, Header->Length) != 0)
    {
        return "ACPI table: wrong checksum";
    }
    return NULL;
}

/* Bytes per entry: 4 in an RSDT, 8 in an XSDT, 0 in anything else. */
static ULONG HalpAcpiRootEntrySize(const HALP_ACPI_HEADER *Root, SIZE_T Length)
{
    if (Length < sizeof(*Root) || Root->Length < sizeof(*Root) || Root->Length > Length)
    {
        return 0;
    }
    if (RtlEqualMemory(Root->Signature, "XSDT", sizeof(Root->Signature)))
    {
        return sizeof(ULONG64);
    }
    return RtlEqualMemory(Root->Signature, "RSDT", sizeof(Root->Signature)) ? sizeof(ULONG) : 0;
}

ULONG HalpAcpiRootEntryCount(const VOID *Root, SIZE_T Length)
{
    const HALP_ACPI_HEADER *Header = Root;
    ULONG EntrySize = HalpAcpiRootEntrySize(Root, Length);

    return (EntrySize == 0) ? 0 : (Header->Length - (ULONG)sizeof(*Header)) / EntrySize;
}

ULONG64 HalpAcpiRootEntry(const VOID *Root, SIZE_T Length, ULONG Index)
{
    ULONG EntrySize = HalpAcpiRootEntrySize(Root, Length);
    ULONG64 Address = 0;

    if (Index < HalpAcpiRootEntryCount(Root, Length))
    {
        const UCHAR *Entries = (const UCHAR *)Root + sizeof(HALP_ACPI_HEADER);
        RtlCopyMemory(&Address, Entries + (SIZE_T)Index * EntrySize, EntrySize);
    }
    return Address;
}

/* ------------------------------------------------------------------ HPET, MCFG, DMAR. */

PCSTR HalpAcpiParseHpet(const VOID *Table, SIZE_T Length, PHALP_HPET_INFO Info)
{
    const HALP_HPET_TABLE *Hpet = Table;
    PCSTR Problem = HalpAcpiValidateTable(Table, Length, "HPET");

    RtlZeroMemory(Info, sizeof(*Info));
    if (Problem != NULL)
    {
        return Problem;
    }
    if (Hpet->Header.Length < sizeof(*Hpet))
    {
        return "HPET: the table is cut off";
    }
    if (Hpet->AddressSpace != HALP_ACPI_SPACE_MEMORY || Hpet->Address == 0)
    {
        return "HPET: the registers do not lie in memory";
    }
    Info->Address = Hpet->Address;
    Info->Number = Hpet->Number;
    Info->Comparators = (UCHAR)(((Hpet->BlockId >> 8) & 0x1F) + 1);
    Info->MinimumTick = Hpet->MinimumTick;
    return NULL;
}

static VOID HalpAcpiAddRegion(PHALP_MCFG_INFO Info, const HALP_MCFG_ENTRY *Entry)
{
    if (Entry->Base == 0 || Entry->EndBus < Entry->StartBus ||
        Info->RegionCount == HALP_MCFG_MAXIMUM_REGIONS)
    {
        Info->RegionsDropped++;
        return;
    }
    Info->Regions[Info->RegionCount++] = (HALP_MCFG_REGION){Entry->Base, Entry->Segment,
                                                            Entry->StartBus, Entry->EndBus};
}

PCSTR HalpAcpiParseMcfg(const VOID *Table, SIZE_T Length, PHALP_MCFG_INFO Info)
{
    const HALP_ACPI_HEADER *Header = Table;
    PCSTR Problem = HalpAcpiValidateTable(Table, Length, "MCFG");
    ULONG Offset = sizeof(HALP_MCFG_TABLE);

    RtlZeroMemory(Info, sizeof(*Info));
    if (Problem != NULL)
    {
        return Problem;
    }
    for (; Offset + sizeof(HALP_MCFG_ENTRY) <= Header->Length; Offset += sizeof(HALP_MCFG_ENTRY))
    {
        HalpAcpiAddRegion(Info, (const VOID *)((const UCHAR *)Table + Offset));
    }
    return (Offset != Header->Length) ? "MCFG: the table is cut off" : NULL;
}

PCSTR HalpAcpiParseDmar(const VOID *Table, SIZE_T Length, PBOOLEAN X2ApicOptOut)
{
    const HALP_DMAR_TABLE *Dmar = Table;
    PCSTR Problem = HalpAcpiValidateTable(Table, Length, "DMAR");

    *X2ApicOptOut = FALSE;
    if (Problem != NULL)
    {
        return Problem;
    }
    if (Dmar->Header.Length < sizeof(*Dmar))
    {
        return "DMAR: the table is cut off";
    }
    *X2ApicOptOut = (Dmar->Flags & HALP_DMAR_X2APIC_OPT_OUT) != 0;
    return NULL;
}
