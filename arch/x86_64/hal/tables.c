/* SPDX-License-Identifier: MIT */
/*
 * tables.c - finding the ACPI tables, and the list of processors that follows from them.
 *
 * The RSDP comes from the loader (its copy, or its address); only a BIOS boot without either scans
 * the BIOS areas. Tables may lie anywhere, so each is mapped for as long as it is read. What is
 * missing or damaged is named once, and the kernel goes on without it: without a MADT, on the boot
 * processor alone.
 */
#include "halp.h"

#include <mm.h>

#define MAXIMUM_TABLE_SIZE 0x100000u
#define MAXIMUM_TABLES 256u
#define BIOS_AREA_START 0xE0000u
#define BIOS_AREA_SIZE 0x20000u
#define RSDP_ALIGNMENT 16u
#define RSDP_SIZE 36u

HALP_ACPI HalpAcpi KI_RO_AFTER_INIT;
ULONG HalpProcessorApicIds[MAXIMUM_PROCESSORS] KI_RO_AFTER_INIT;
ULONG HalpProcessorsListed KI_RO_AFTER_INIT;

static PVOID HalpMapPhysical(ULONG64 Physical, SIZE_T Length)
{
    PHYSICAL_ADDRESS Address = {.QuadPart = (LONGLONG)Physical};

    return MmMapIoSpace(Address, Length, MmCached);
}

PVOID HalpMapTable(ULONG64 Physical, PULONG Length)
{
    PHALP_ACPI_HEADER Header = HalpMapPhysical(Physical, sizeof(*Header));
    PVOID Table = NULL;

    if (Header == NULL)
    {
        KiLog(KiLogWarning, "ACPI: table at %llx cannot be reached: ignored", Physical);
        return NULL;
    }
    *Length = Header->Length;
    if (*Length < sizeof(*Header) || *Length > MAXIMUM_TABLE_SIZE)
    {
        KiLog(KiLogWarning, "ACPI: table at %llx says it is %u bytes long: ignored", Physical,
              *Length);
    }
    else
    {
        Table = HalpMapPhysical(Physical, *Length);
    }
    MmUnmapIoSpace(Header, sizeof(*Header));
    return Table;
}

static VOID HalpParseTable(PVOID Table, ULONG Length)
{
    PCSTR Signature = ((PHALP_ACPI_HEADER)Table)->Signature;
    PCSTR Problem = NULL;

    if (RtlEqualMemory(Signature, "APIC", 4) && !HalpAcpi.HaveMadt)
    {
        Problem = HalpAcpiParseMadt(Table, Length, &HalpAcpi.Madt);
        HalpAcpi.HaveMadt = Problem == NULL || HalpAcpi.Madt.ProcessorCount != 0;
    }
    else if (RtlEqualMemory(Signature, "FACP", 4) && !HalpAcpi.HaveFadt)
    {
        Problem = HalpAcpiParseFadt(Table, Length, &HalpAcpi.Fadt);
        HalpAcpi.HaveFadt = Problem == NULL;
    }
    else if (RtlEqualMemory(Signature, "HPET", 4) && !HalpAcpi.HaveHpet)
    {
        Problem = HalpAcpiParseHpet(Table, Length, &HalpAcpi.Hpet);
        HalpAcpi.HaveHpet = Problem == NULL;
    }
    else if (RtlEqualMemory(Signature, "MCFG", 4) && !HalpAcpi.HaveMcfg)
    {
        Problem = HalpAcpiParseMcfg(Table, Length, &HalpAcpi.Mcfg);
        HalpAcpi.HaveMcfg = Problem == NULL;
    }
    else if (RtlEqualMemory(Signature, "DMAR", 4) && !HalpAcpi.X2ApicOptOut)
    {
        Problem = HalpAcpiParseDmar(Table, Length, &HalpAcpi.X2ApicOptOut);
    }
    if (Problem != NULL)
    {
        KiLog(KiLogWarning, "ACPI: %.4s: %s", Signature, Problem);
    }
}

/* Reads the root table's entries. FALSE if the root itself is no good. */
static BOOLEAN HalpWalkRoot(ULONG64 Physical, PCSTR Signature)
{
    ULONG Length, Count;
    PVOID Root = Physical != 0 ? HalpMapTable(Physical, &Length) : NULL;
    PCSTR Problem;

    if (Root == NULL)
    {
        return FALSE;
    }
    Problem = HalpAcpiValidateTable(Root, Length, Signature);
    if (Problem != NULL)
    {
        KiLog(KiLogWarning, "ACPI: %s: %s", Signature, Problem);
        MmUnmapIoSpace(Root, Length);
        return FALSE;
    }
    Count = HalpAcpiRootEntryCount(Root, Length);
    if (Count > MAXIMUM_TABLES)
    {
        KiLog(KiLogWarning, "ACPI: %s: of %u tables the first %u are read", Signature, Count,
              MAXIMUM_TABLES);
    }
    for (ULONG Index = 0; Index < Count && Index < MAXIMUM_TABLES; Index++)
    {
        ULONG TableLength;
        ULONG64 Address = HalpAcpiRootEntry(Root, Length, Index);
        PVOID Table = Address != 0 ? HalpMapTable(Address, &TableLength) : NULL;

        if (Table != NULL)
        {
            HalpParseTable(Table, TableLength);
            MmUnmapIoSpace(Table, TableLength);
        }
    }
    MmUnmapIoSpace(Root, Length);
    return TRUE;
}

/* ACPI 5.2.5.1: on a BIOS machine the RSDP lies on a 16-byte boundary below 1 MiB. */
static PCSTR HalpScanBios(PHALP_RSDP_INFO Info)
{
    PCSTR Problem = "no RSDP from the loader, and none in the BIOS area";
    PUCHAR Area = HalpMapPhysical(BIOS_AREA_START, BIOS_AREA_SIZE);

    for (ULONG Offset = 0; Area != NULL && Offset <= BIOS_AREA_SIZE - RSDP_SIZE;
         Offset += RSDP_ALIGNMENT)
    {
        if (RtlEqualMemory(Area + Offset, "RSD PTR ", 8) &&
            HalpAcpiValidateRsdp(Area + Offset, RSDP_SIZE, Info) == NULL)
        {
            Problem = NULL;
            break;
        }
    }
    if (Area != NULL)
    {
        MmUnmapIoSpace(Area, BIOS_AREA_SIZE);
    }
    return Problem;
}

static PCSTR HalpFindRsdp(PBOOT_INFO BootInfo, PHALP_RSDP_INFO Info)
{
    PCSTR Problem;
    PVOID Rsdp;

    if (BootInfo->RsdpLength != 0)
    {
        return HalpAcpiValidateRsdp(BootInfo->Rsdp, BootInfo->RsdpLength, Info);
    }
    if (BootInfo->RsdpAddress != 0)
    {
        Rsdp = HalpMapPhysical(BootInfo->RsdpAddress, RSDP_SIZE);
        if (Rsdp == NULL)
        {
            return "the RSDP cannot be mapped";
        }
        Problem = HalpAcpiValidateRsdp(Rsdp, RSDP_SIZE, Info);
        MmUnmapIoSpace(Rsdp, RSDP_SIZE);
        return Problem;
    }
    if (BootInfo->Efi)
    {
        return "the loader passed no RSDP";
    }
    return HalpScanBios(Info);
}

static VOID HalpReportMadt(const HALP_MADT_INFO *Madt)
{
    KiLog(KiLogInfo, "ACPI: %u CPUs enabled, %u disabled, %u IOAPICs, %u overrides",
          Madt->ProcessorCount, Madt->DisabledProcessors, Madt->IoApicCount, Madt->OverrideCount);
    if (Madt->DuplicateProcessors != 0 || Madt->InvalidProcessors != 0)
    {
        KiLog(KiLogWarning, "ACPI: MADT: %u duplicate and %u invalid APIC ids ignored",
              Madt->DuplicateProcessors, Madt->InvalidProcessors);
    }
}

VOID HalpInitializeAcpi(PBOOT_INFO BootInfo)
{
    HALP_RSDP_INFO Rsdp = {0};
    PCSTR Problem = HalpFindRsdp(BootInfo, &Rsdp);

    if (Problem != NULL)
    {
        KiLog(KiLogWarning, "ACPI: %s: boot processor only, no IOAPIC", Problem);
        return;
    }
    if (!HalpWalkRoot(Rsdp.XsdtAddress, "XSDT") && !HalpWalkRoot(Rsdp.RsdtAddress, "RSDT"))
    {
        KiLog(KiLogWarning, "ACPI: no usable XSDT or RSDT: boot processor only, no IOAPIC");
        return;
    }
    HalpPrepareReset();
    HalpPreparePowerOff();
    if (!HalpAcpi.HaveMadt)
    {
        KiLog(KiLogWarning, "ACPI: no usable MADT: boot processor only, no IOAPIC");
        return;
    }
    HalpReportMadt(&HalpAcpi.Madt);
}

BOOLEAN HalpQueryMcfg(ULONG Bus, ULONG64 *Base)
{
    for (ULONG Index = 0; Index < HalpAcpi.Mcfg.RegionCount; Index++)
    {
        const HALP_MCFG_REGION *Region = &HalpAcpi.Mcfg.Regions[Index];

        if (Region->Segment == 0 && Bus >= Region->StartBus && Bus <= Region->EndBus)
        {
            *Base = Region->Base + ((ULONG64)Bus << 20);
            return TRUE;
        }
    }
    return FALSE;
}

/* The boot processor is found by its own id: firmware need not list it first, or at all. An xAPIC
 * cannot address an id above 254. */
VOID HalpListProcessors(VOID)
{
    ULONG Unreachable = 0, TooMany = HalpAcpi.Madt.ProcessorsDropped;

    HalpProcessorApicIds[0] = HalpApicId();
    HalpProcessorsListed = 1;
    for (ULONG Index = 0; Index < HalpAcpi.Madt.ProcessorCount; Index++)
    {
        ULONG Id = HalpAcpi.Madt.Processors[Index].ApicId;

        if (Id == HalpProcessorApicIds[0])
        {
            continue;
        }
        if (!HalpX2ApicMode && Id >= 255)
        {
            Unreachable++;
        }
        else if (HalpProcessorsListed == MAXIMUM_PROCESSORS)
        {
            TooMany++;
        }
        else
        {
            HalpProcessorApicIds[HalpProcessorsListed++] = Id;
        }
    }
    if (Unreachable != 0)
    {
        KiLog(KiLogWarning, "%u CPUs have APIC ids above 254, which need x2APIC: left off",
              Unreachable);
    }
    if (TooMany != 0)
    {
        KiLog(KiLogWarning, "%u CPUs beyond the %u that this kernel runs on: left off", TooMany,
              MAXIMUM_PROCESSORS);
    }
}
