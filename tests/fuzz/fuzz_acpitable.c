/* SPDX-License-Identifier: MIT */
/*
 * fuzz_acpitable.c - the readers of MADT, FADT, HPET, MCFG and DMAR, each given one table.
 *
 * Input: a byte that chooses the reader and whether to make signature, length and checksum right,
 * then the table. Without mending, the validation itself is what is tried.
 */
#include "acpicheck.h"

#define MEND 0x80

static VOID Parse(ULONG Reader, const VOID *Table, SIZE_T Length)
{
    static HALP_MADT_INFO Madt;
    static HALP_FADT_INFO Fadt;
    static HALP_HPET_INFO Hpet;
    static HALP_MCFG_INFO Mcfg;
    BOOLEAN OptOut;

    switch (Reader)
    {
    case 0:
        memset(&Madt, 0xA5, sizeof(Madt));
        HalpAcpiParseMadt(Table, Length, &Madt);
        CheckMadt(&Madt, Length);
        break;
    case 1:
        memset(&Fadt, 0xA5, sizeof(Fadt));
        HalpAcpiParseFadt(Table, Length, &Fadt);
        CheckFadt(&Fadt);
        break;
    case 2:
        memset(&Hpet, 0xA5, sizeof(Hpet));
        CheckHpet(&Hpet, HalpAcpiParseHpet(Table, Length, &Hpet));
        break;
    case 3:
        memset(&Mcfg, 0xA5, sizeof(Mcfg));
        HalpAcpiParseMcfg(Table, Length, &Mcfg);
        CheckMcfg(&Mcfg, Length);
        break;
    default:
        OptOut = 0xA5;
        HalpAcpiParseDmar(Table, Length, &OptOut);
        FUZZ_REQUIRE(OptOut <= TRUE);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static const PCSTR Signatures[] = {"APIC", "FACP", "HPET", "MCFG", "DMAR"};
    ULONG Reader, Length;
    PUCHAR Table;

    if (Size < 1)
    {
        return 0;
    }
    Reader = (Data[0] & 0x7F) % RTL_NUMBER_OF(Signatures);
    Length = (ULONG)Size - 1;
    Table = FuzzCopy(Data + 1, Length);
    if ((Data[0] & MEND) && Length >= sizeof(HALP_ACPI_HEADER))
    {
        memcpy(Table, Signatures[Reader], 4);
        memcpy(Table + 4, &Length, sizeof(Length));
        MendTable(Table, Length);
        FUZZ_REQUIRE(HalpAcpiValidateTable(Table, Length, Signatures[Reader]) == NULL);
    }
    Parse(Reader, Table, Length);
    free(Table);
    return 0;
}
