/* SPDX-License-Identifier: MIT */
/*
 * fuzz_acpi.c - the way to ACPI's tables: RSDP, RSDT or XSDT, and what they list, in a memory of
 * any contents; then the list of processors that follows.
 *
 * Input: a byte that says where the RSDP is and what to mend, then what lies at MEMORY_BASE, zeros
 * after it. Each mapping is a heap block of exactly the bytes asked for. Oracle: every mapping is
 * undone, with the length it was made with; what was read is consistent; the list of processors
 * begins with this one, and names none twice and none that this APIC cannot address.
 */
#include "acpicheck.h"

#include <halp.h>
#include <mm.h>

#define MEND 0x01
#define RSDP_COPIED 0x02 /* the loader gives a copy ...                        */
#define RSDP_SOUGHT 0x04 /* ... or nothing on a BIOS machine; else the address */
#define RSDP_SHORT 0x08  /* the copy is of revision 1                          */
#define X2APIC 0x10

#define MEMORY_BASE 0xE0000u
#define MEMORY_SIZE 0x20000u
#define RSDP_SIZE 36u
#define RSDP_V1_SIZE 20u
#define MAXIMUM_MAPS 8

static UCHAR Memory[MEMORY_SIZE];
static BOOLEAN Mending;
static ULONG OwnId;
BOOLEAN HalpX2ApicMode;

static struct
{
    PVOID Block;
    SIZE_T Length;
} Maps[MAXIMUM_MAPS];

PVOID MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE Type)
{
    ULONG64 Offset = (ULONG64)PhysicalAddress.QuadPart - MEMORY_BASE;

    FUZZ_REQUIRE(Type == MmCached && NumberOfBytes != 0);
    if (Offset > MEMORY_SIZE || NumberOfBytes > MEMORY_SIZE - Offset)
    {
        return NULL;
    }
    for (ULONG Index = 0; Index < MAXIMUM_MAPS; Index++)
    {
        if (Maps[Index].Block == NULL)
        {
            Maps[Index].Block = FuzzCopy(Memory + Offset, NumberOfBytes);
            Maps[Index].Length = NumberOfBytes;
            if (Mending && memcmp(Maps[Index].Block, "RSD ", 4) != 0)
            {
                MendTable(Maps[Index].Block, NumberOfBytes);
            }
            return Maps[Index].Block;
        }
    }
    FuzzFail("a few mappings at a time", __FILE__, __LINE__);
}

VOID MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    for (ULONG Index = 0; Index < MAXIMUM_MAPS; Index++)
    {
        if (Maps[Index].Block == BaseAddress)
        {
            FUZZ_REQUIRE(Maps[Index].Length == NumberOfBytes);
            free(BaseAddress);
            Maps[Index].Block = NULL;
            return;
        }
    }
    FuzzFail("only what is mapped is unmapped", __FILE__, __LINE__);
}

VOID KiLog(KI_LOG_LEVEL Level, PCSTR Format, ...)
{
    UNREFERENCED_PARAMETER(Level);
    FUZZ_REQUIRE(Format != NULL);
}

VOID HalpPrepareReset(VOID)
{
}

VOID HalpPreparePowerOff(VOID)
{
}

ULONG HalpApicId(VOID)
{
    return OwnId;
}

static VOID CheckTables(VOID)
{
    CheckMadt(&HalpAcpi.Madt, MEMORY_SIZE);
    CheckFadt(&HalpAcpi.Fadt);
    CheckMcfg(&HalpAcpi.Mcfg, MEMORY_SIZE);
    FUZZ_REQUIRE(!HalpAcpi.HaveHpet || HalpAcpi.Hpet.Address != 0);
    for (ULONG Bus = 0; Bus < 256; Bus++)
    {
        ULONG64 Base;

        FUZZ_REQUIRE(!HalpQueryMcfg(Bus, &Base) || HalpAcpi.Mcfg.RegionCount != 0);
    }
}

static VOID CheckProcessors(VOID)
{
    HalpListProcessors();
    FUZZ_REQUIRE(HalpProcessorsListed >= 1 && HalpProcessorsListed <= MAXIMUM_PROCESSORS);
    FUZZ_REQUIRE(HalpProcessorApicIds[0] == OwnId);
    for (ULONG Index = 1; Index < HalpProcessorsListed; Index++)
    {
        FUZZ_REQUIRE(HalpX2ApicMode || HalpProcessorApicIds[Index] < 255);
        for (ULONG Other = 0; Other < Index; Other++)
        {
            FUZZ_REQUIRE(HalpProcessorApicIds[Other] != HalpProcessorApicIds[Index]);
        }
    }
}

static VOID PlaceRsdp(PBOOT_INFO Info, ULONG Where)
{
    if (Mending)
    {
        MendSum(Memory, RSDP_V1_SIZE, 8);
        MendSum(Memory, RSDP_SIZE, 32);
    }
    if (Where & RSDP_COPIED)
    {
        Info->RsdpLength = (Where & RSDP_SHORT) ? RSDP_V1_SIZE : RSDP_SIZE;
        memcpy(Info->Rsdp, Memory, Info->RsdpLength);
    }
    else if (!(Where & RSDP_SOUGHT))
    {
        Info->RsdpAddress = MEMORY_BASE;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static BOOT_INFO Info;

    if (Size < 1)
    {
        return 0;
    }
    memset(Memory, 0, sizeof(Memory));
    memcpy(Memory, Data + 1, Size - 1 < MEMORY_SIZE ? Size - 1 : MEMORY_SIZE);
    memset(&Info, 0, sizeof(Info));
    memset(&HalpAcpi, 0, sizeof(HalpAcpi));
    Mending = (Data[0] & MEND) != 0;
    HalpX2ApicMode = (Data[0] & X2APIC) != 0;
    OwnId = Data[0] >> 5;
    PlaceRsdp(&Info, Data[0]);

    HalpInitializeAcpi(&Info);
    for (ULONG Index = 0; Index < MAXIMUM_MAPS; Index++)
    {
        FUZZ_REQUIRE(Maps[Index].Block == NULL);
    }
    CheckTables();
    CheckProcessors();
    return 0;
}
