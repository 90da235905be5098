/* SPDX-License-Identifier: MIT */
/*
 * acpicheck.h - what holds of what the ACPI table readers give, whatever the tables say.
 */
#pragma once

#include "fuzz.h"

#include <acpi.h>

static inline VOID MendSum(PUCHAR Data, SIZE_T Length, SIZE_T Place)
{
    UCHAR Sum = 0;

    Data[Place] = 0;
    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        Sum = (UCHAR)(Sum + Data[Index]);
    }
    Data[Place] = (UCHAR)(0 - Sum);
}

/* Makes the checksum of a table that lies wholly in Length bytes right. */
static inline VOID MendTable(PUCHAR Table, SIZE_T Length)
{
    ULONG Own;

    if (Length >= sizeof(HALP_ACPI_HEADER))
    {
        memcpy(&Own, Table + 4, sizeof(Own));
        if (Own >= sizeof(HALP_ACPI_HEADER) && Own <= Length)
        {
            MendSum(Table, Own, 9);
        }
    }
}

static inline VOID CheckMadt(const HALP_MADT_INFO *Info, SIZE_T Length)
{
    FUZZ_REQUIRE(Info->ProcessorCount <= HALP_MADT_MAXIMUM_PROCESSORS);
    FUZZ_REQUIRE(Info->IoApicCount <= HALP_MADT_MAXIMUM_IO_APICS);
    FUZZ_REQUIRE(Info->OverrideCount <= HALP_MADT_MAXIMUM_OVERRIDES);
    FUZZ_REQUIRE(Info->NmiSourceCount <= HALP_MADT_MAXIMUM_NMIS);
    FUZZ_REQUIRE(Info->LocalNmiCount <= HALP_MADT_MAXIMUM_NMIS);
    FUZZ_REQUIRE(Info->OnlineCapable <= Info->DisabledProcessors);
    /* The shortest entry that names a processor has eight bytes, any entry two. */
    FUZZ_REQUIRE((ULONG64)(Info->ProcessorCount + Info->ProcessorsDropped +
                           Info->DuplicateProcessors + Info->InvalidProcessors +
                           Info->DisabledProcessors) *
                         8 +
                     (ULONG64)Info->UnknownEntries * 2 <=
                 Length);
    for (ULONG Index = 0; Index < Info->ProcessorCount; Index++)
    {
        const HALP_MADT_PROCESSOR *Processor = &Info->Processors[Index];

        FUZZ_REQUIRE(Processor->Flags & HALP_MADT_ENABLED);
        FUZZ_REQUIRE(Processor->ApicId != (Processor->X2ApicEntry ? MAXULONG : MAXUCHAR));
        for (ULONG Other = 0; Other < Index; Other++)
        {
            FUZZ_REQUIRE(Info->Processors[Other].ApicId != Processor->ApicId);
        }
    }
    for (ULONG Index = 0; Index < Info->OverrideCount; Index++)
    {
        FUZZ_REQUIRE(Info->Overrides[Index].Polarity <= HalpMadtPolarityLow);
        FUZZ_REQUIRE(Info->Overrides[Index].Trigger <= HalpMadtTriggerLevel);
    }
    for (ULONG Index = 0; Index < Info->LocalNmiCount; Index++)
    {
        FUZZ_REQUIRE(Info->LocalNmis[Index].Lint <= 1);
    }
}

static inline VOID CheckFadt(const HALP_FADT_INFO *Info)
{
    FUZZ_REQUIRE(Info->PmTimer.Space <= HALP_ACPI_SPACE_IO);
    FUZZ_REQUIRE(Info->Pm1aControl.Space <= HALP_ACPI_SPACE_IO);
    FUZZ_REQUIRE(Info->Pm1bControl.Space <= HALP_ACPI_SPACE_IO);
    FUZZ_REQUIRE(Info->Reset.Space <= HALP_ACPI_SPACE_PCI);
    if (Info->HardwareReduced)
    {
        FUZZ_REQUIRE(Info->PmTimer.Address == 0 && Info->Pm1aControl.Address == 0);
    }
}

static inline VOID CheckHpet(const HALP_HPET_INFO *Info, PCSTR Problem)
{
    FUZZ_REQUIRE(Problem == NULL ? Info->Address != 0 : Info->Address == 0);
    FUZZ_REQUIRE(Info->Comparators <= 32 && (Info->Comparators != 0) == (Problem == NULL));
}

static inline VOID CheckMcfg(const HALP_MCFG_INFO *Info, SIZE_T Length)
{
    FUZZ_REQUIRE(Info->RegionCount <= HALP_MCFG_MAXIMUM_REGIONS);
    FUZZ_REQUIRE((ULONG64)(Info->RegionCount + Info->RegionsDropped) * 16 <= Length);
    for (ULONG Index = 0; Index < Info->RegionCount; Index++)
    {
        FUZZ_REQUIRE(Info->Regions[Index].Base != 0);
        FUZZ_REQUIRE(Info->Regions[Index].StartBus <= Info->Regions[Index].EndBus);
    }
}
