/* SPDX-License-Identifier: MIT */
/*
 * fuzz_s5.c - the search for soft-off's package in a DSDT of any contents.
 *
 * Input: a byte of which bit 7 asks to mend header and checksum, then the table. Oracle: whatever
 * is found fits PM1_CNT's three bits, and the name is in the table; a search that finds nothing
 * says why.
 */
#include "acpicheck.h"

#define MEND 0x80

static BOOLEAN IsNamed(const UCHAR *Table, SIZE_T Length)
{
    for (SIZE_T At = sizeof(HALP_ACPI_HEADER); At + 4 <= Length; At++)
    {
        if (memcmp(Table + At, "_S5_", 4) == 0)
        {
            return TRUE;
        }
    }
    return FALSE;
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    UCHAR Types[2] = {0xA5, 0xA5};
    ULONG Length;
    PUCHAR Table;
    PCSTR Problem;

    if (Size < 1)
    {
        return 0;
    }
    Length = (ULONG)Size - 1;
    Table = FuzzCopy(Data + 1, Length);
    if ((Data[0] & MEND) && Length >= sizeof(HALP_ACPI_HEADER))
    {
        memcpy(Table, "DSDT", 4);
        memcpy(Table + 4, &Length, sizeof(Length));
        MendTable(Table, Length);
    }
    Problem = HalpAcpiFindS5(Table, Length, Types);
    if (Problem == NULL)
    {
        FUZZ_REQUIRE(Types[0] <= 7 && Types[1] <= 7);
        FUZZ_REQUIRE(IsNamed(Table, Length));
    }
    else
    {
        FUZZ_REQUIRE(strlen(Problem) > 5);
    }
    free(Table);
    return 0;
}
