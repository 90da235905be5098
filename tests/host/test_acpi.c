/* SPDX-License-Identifier: MIT */
/*
 * test_acpi.c - holds the readers of acpi.c (RSDP, table headers, RSDT and XSDT, HPET, MCFG) to the
 * specification on good tables, to the promised counts and named problems on bad ones, and to
 * reading nothing beyond (Table, Length).
 */
#include "acpitable.h"

static HALP_RSDP_INFO Rsdp;
static HALP_HPET_INFO Hpet;
static HALP_MCFG_INFO Mcfg;

static PCSTR ParseRsdp(const VOID *Table, SIZE_T Length)
{
    memset(&Rsdp, 0xA5, sizeof(Rsdp));
    return HalpAcpiValidateRsdp(Table, Length, &Rsdp);
}

static PCSTR ParseHpet(const VOID *Table, SIZE_T Length)
{
    memset(&Hpet, 0xA5, sizeof(Hpet));
    return HalpAcpiParseHpet(Table, Length, &Hpet);
}

static PCSTR ParseMcfg(const VOID *Table, SIZE_T Length)
{
    PCSTR Problem;

    memset(&Mcfg, 0xA5, sizeof(Mcfg));
    Problem = HalpAcpiParseMcfg(Table, Length, &Mcfg);
    assert_true(Mcfg.RegionCount <= HALP_MCFG_MAXIMUM_REGIONS);
    return Problem;
}

/* Root tables have no parser of their own: validate and walk, as the caller does. */
static PCSTR ParseRoot(const VOID *Table, SIZE_T Length)
{
    ULONG Count = HalpAcpiRootEntryCount(Table, Length);
    PCSTR NotXsdt = HalpAcpiValidateTable(Table, Length, "XSDT");
    PCSTR NotRsdt = HalpAcpiValidateTable(Table, Length, "RSDT");

    assert_true(Count <= Length / 4);
    for (ULONG Index = 0; Index <= Count; Index++)
    {
        HalpAcpiRootEntry(Table, Length, Index);
    }
    assert_int_equal(HalpAcpiRootEntry(Table, Length, Count), 0);
    return (NotXsdt == NULL) ? NULL : NotRsdt;
}

/* ------------------------------------------------------------------ RSDP and root tables. */

static ULONG BuildRsdp(UCHAR Data[36], UCHAR Revision)
{
    ULONG Rsdt = 0x7FE1234, Length = 36;
    ULONG64 Xsdt = 0x17FE5678;

    memset(Data, 0, 36);
    memcpy(Data, "RSD PTR ", 8);
    memcpy(Data + 9, "ILOCK ", 6);
    Data[15] = Revision;
    memcpy(Data + 16, &Rsdt, sizeof(Rsdt));
    Mend(Data, 20, 8);
    if (Revision < 2)
    {
        return 20;
    }
    memcpy(Data + 20, &Length, sizeof(Length));
    memcpy(Data + 24, &Xsdt, sizeof(Xsdt));
    Mend(Data, 36, 32);
    return 36;
}

static void RsdpsOfBothRevisionsAreRead(void **State)
{
    UCHAR Data[36];
    UNREFERENCED_PARAMETER(State);

    assert_null(Run(ParseRsdp, Data, BuildRsdp(Data, 0)));
    assert_int_equal(Rsdp.Revision, 0);
    assert_int_equal(Rsdp.RsdtAddress, 0x7FE1234);
    assert_int_equal(Rsdp.XsdtAddress, 0);
    assert_null(Run(ParseRsdp, Data, BuildRsdp(Data, 2)));
    assert_int_equal(Rsdp.Revision, 2);
    assert_int_equal(Rsdp.RsdtAddress, 0x7FE1234);
    assert_int_equal(Rsdp.XsdtAddress, 0x17FE5678);
    /* GRUB's copy of the first 20 bytes, and 36 readable bytes around a revision 0. */
    assert_null(Run(ParseRsdp, Data, 20));
    assert_int_equal(Rsdp.XsdtAddress, 0);
    BuildRsdp(Data, 0);
    memset(Data + 20, 0xEE, 16);
    assert_null(Run(ParseRsdp, Data, 36));
    assert_int_equal(Rsdp.XsdtAddress, 0);
}

static void EachBadRsdpHasAName(void **State)
{
    static const ULONG Impossible[] = {0, 35, 37, MAXULONG};
    UCHAR Data[36];
    UNREFERENCED_PARAMETER(State);

    BuildRsdp(Data, 2);
    for (ULONG Length = 0; Length < 20; Length++)
    {
        assert_string_equal(Run(ParseRsdp, Data, Length), "RSDP: shorter than 20 bytes");
    }
    Data[0] = 'X';
    assert_string_equal(Run(ParseRsdp, Data, 36), "RSDP: wrong signature");
    BuildRsdp(Data, 2);
    Data[9]++;
    assert_string_equal(Run(ParseRsdp, Data, 36), "RSDP: wrong checksum");
    assert_int_equal(Rsdp.RsdtAddress, 0);
    BuildRsdp(Data, 2);
    Data[33]++;
    assert_string_equal(Run(ParseRsdp, Data, 36), "RSDP: wrong extended checksum");
    assert_int_equal(Rsdp.RsdtAddress, 0x7FE1234);
    assert_int_equal(Rsdp.XsdtAddress, 0);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Impossible); Index++)
    {
        BuildRsdp(Data, 2);
        memcpy(Data + 20, &Impossible[Index], 4);
        assert_string_equal(Run(ParseRsdp, Data, 36), "RSDP: impossible length in revision 2");
    }
}

static void EveryWrongByteOfAnRsdpIsNoticed(void **State)
{
    UCHAR Data[36];
    UNREFERENCED_PARAMETER(State);

    for (ULONG Place = 0; Place < 36; Place++)
    {
        for (ULONG Value = 0; Value < 256; Value++)
        {
            BuildRsdp(Data, 2);
            if (Data[Place] != Value)
            {
                Data[Place] = (UCHAR)Value;
                assert_non_null(Run(ParseRsdp, Data, 36));
            }
        }
    }
}

static VOID BuildRoot(PTABLE Table, ULONG Count, BOOLEAN Extended)
{
    StartTable(Table, Extended ? "XSDT" : "RSDT", 1);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        Put32(Table, 0x7FE0000 + Index);
        Put(Table, "\x01\0\0\0", Extended ? 4 : 0);
    }
    EndTable(Table);
}

static void RootTablesListTheirEntries(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Extended = 0; Extended < 2; Extended++)
    {
        for (ULONG Count = 0; Count < 20; Count++)
        {
            ULONG64 High = Extended ? 0x100000000 : 0;
            PUCHAR Copy;

            BuildRoot(&Table, Count, (BOOLEAN)Extended);
            Put(&Table, "\1\2", 2); /* less than an entry */
            EndTable(&Table);
            Copy = OddCopy(Table.Data, Table.Length);
            assert_int_equal(HalpAcpiRootEntryCount(Copy, Table.Length), Count);
            for (ULONG Index = 0; Index < Count; Index++)
            {
                assert_int_equal(HalpAcpiRootEntry(Copy, Table.Length, Index),
                                 High + 0x7FE0000 + Index);
            }
            assert_int_equal(HalpAcpiRootEntry(Copy, Table.Length, Count), 0);
            assert_int_equal(HalpAcpiRootEntry(Copy, Table.Length, MAXULONG), 0);
            FreeOdd(Copy);
        }
    }
    StartTable(&Table, "APIC", 1);
    Put64(&Table, 1);
    EndTable(&Table);
    assert_int_equal(HalpAcpiRootEntryCount(Table.Data, Table.Length), 0);
    assert_int_equal(HalpAcpiRootEntry(Table.Data, Table.Length, 0), 0);
}

static void BadRootTablesAreSurvived(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildRoot(&Table, 6, TRUE);
    AssertCutsAreSurvived(ParseRoot, &Table);
    AssertWrongBytesAreSurvived(ParseRoot, &Table);
    BuildRoot(&Table, 6, FALSE);
    AssertCutsAreSurvived(ParseRoot, &Table);
    AssertWrongBytesAreSurvived(ParseRoot, &Table);
}

static PCSTR ValidateTest(const VOID *Table, SIZE_T Length)
{
    return HalpAcpiValidateTable(Table, Length, "TEST");
}

static void EachBadHeaderHasAName(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartTable(&Table, "TEST", 1);
    Put32(&Table, 1);
    EndTable(&Table);
    assert_null(Run(ValidateTest, Table.Data, Table.Length));
    assert_string_equal(Run(ValidateTest, Table.Data, 35),
                        "ACPI table: less than a header can be read");
    assert_string_equal(Run(ValidateTest, Table.Data, Table.Length - 1),
                        "ACPI table: longer than the memory it lies in");
    Table.Data[20]++;
    assert_string_equal(Run(ValidateTest, Table.Data, Table.Length), "ACPI table: wrong checksum");
    Table.Data[0]++;
    assert_string_equal(Run(ValidateTest, Table.Data, Table.Length), "ACPI table: wrong signature");
    Table.Data[0]--;
    Table.Data[4] = 35;
    assert_string_equal(Run(ValidateTest, Table.Data, Table.Length),
                        "ACPI table: shorter than its own header");
    /* Readable memory beyond the table does not count. */
    StartTable(&Table, "TEST", 1);
    EndTable(&Table);
    assert_null(Run(ValidateTest, Table.Data, Table.Length));
    Put32(&Table, 0x12345678);
    assert_null(Run(ValidateTest, Table.Data, Table.Length));
}

/* ------------------------------------------------------------------ HPET and MCFG. */

static VOID BuildHpet(PTABLE Table)
{
    StartTable(Table, "HPET", 1);
    Put32(Table, 0x8086A201); /* three comparators */
    Put(Table, "\0\x40\0\0", 4);
    Put64(Table, 0xFED00000);
    Put8(Table, 1);
    Put16(Table, 0x37EE);
    Put8(Table, 0);
}

static void AHpetTableIsRead(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildHpet(&Table);
    assert_null(RunTable(ParseHpet, &Table));
    assert_int_equal(Hpet.Address, 0xFED00000);
    assert_int_equal(Hpet.Number, 1);
    assert_int_equal(Hpet.Comparators, 3);
    assert_int_equal(Hpet.MinimumTick, 0x37EE);
    Set(&Table, 40, "\1", 1);
    assert_string_equal(RunTable(ParseHpet, &Table), "HPET: the registers do not lie in memory");
    BuildHpet(&Table);
    Set32(&Table, 44, 0);
    assert_string_equal(RunTable(ParseHpet, &Table), "HPET: the registers do not lie in memory");
    BuildHpet(&Table);
    Table.Length--;
    assert_string_equal(RunTable(ParseHpet, &Table), "HPET: the table is cut off");
    assert_int_equal(Hpet.Address, 0);
    BuildHpet(&Table);
    AssertCutsAreSurvived(ParseHpet, &Table);
    AssertWrongBytesAreSurvived(ParseHpet, &Table);
}

static VOID PutRegion(PTABLE Table, ULONG64 Base, USHORT Segment, UCHAR StartBus, UCHAR EndBus)
{
    Put64(Table, Base);
    Put16(Table, Segment);
    Put8(Table, StartBus);
    Put8(Table, EndBus);
    Put32(Table, 0);
}

static void AnMcfgTableIsRead(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartTable(&Table, "MCFG", 1);
    Put64(&Table, 0);
    assert_null(RunTable(ParseMcfg, &Table));
    assert_int_equal(Mcfg.RegionCount, 0);
    PutRegion(&Table, 0xB0000000, 0, 0, 255);
    PutRegion(&Table, 0, 0, 0, 255);        /* no address */
    PutRegion(&Table, 0xC0000000, 0, 9, 8); /* ends before it begins */
    PutRegion(&Table, 0x4000000000, 1, 7, 7);
    assert_null(RunTable(ParseMcfg, &Table));
    assert_int_equal(Mcfg.RegionCount, 2);
    assert_int_equal(Mcfg.RegionsDropped, 2);
    assert_int_equal(Mcfg.Regions[0].Base, 0xB0000000);
    assert_int_equal(Mcfg.Regions[0].EndBus, 255);
    assert_int_equal(Mcfg.Regions[1].Base, 0x4000000000);
    assert_int_equal(Mcfg.Regions[1].Segment, 1);
    assert_int_equal(Mcfg.Regions[1].StartBus, 7);
    AssertCutsAreSurvived(ParseMcfg, &Table);
    AssertWrongBytesAreSurvived(ParseMcfg, &Table);
    Table.Length--;
    assert_string_equal(RunTable(ParseMcfg, &Table), "MCFG: the table is cut off");
    assert_int_equal(Mcfg.RegionCount, 1);
    Table.Length = 43;
    assert_string_equal(RunTable(ParseMcfg, &Table), "MCFG: the table is cut off");

    StartTable(&Table, "MCFG", 1);
    Put64(&Table, 0);
    for (USHORT Index = 0; Index < HALP_MCFG_MAXIMUM_REGIONS + 4; Index++)
    {
        PutRegion(&Table, 0x10000000ull * (Index + 1), Index, 0, 255);
    }
    assert_null(RunTable(ParseMcfg, &Table));
    assert_int_equal(Mcfg.RegionCount, HALP_MCFG_MAXIMUM_REGIONS);
    assert_int_equal(Mcfg.RegionsDropped, 4);
}

static BOOLEAN OptOut;

static PCSTR ParseDmar(const VOID *Table, SIZE_T Length)
{
    return HalpAcpiParseDmar(Table, Length, &OptOut);
}

static VOID BuildDmar(PTABLE Table, UCHAR Flags)
{
    StartTable(Table, "DMAR", 1);
    Put8(Table, 38);
    Put8(Table, Flags);
    Put(Table, "\0\0\0\0\0\0\0\0\0", 10);
}

static void ADmarTableSaysWhetherX2ApicIsWelcome(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    for (UCHAR Flags = 0; Flags < 8; Flags++)
    {
        BuildDmar(&Table, Flags);
        assert_null(RunTable(ParseDmar, &Table));
        assert_int_equal(OptOut, (Flags & 2) != 0);
    }
    AssertCutsAreSurvived(ParseDmar, &Table);
    AssertWrongBytesAreSurvived(ParseDmar, &Table);
    Table.Length = 47;
    assert_string_equal(RunTable(ParseDmar, &Table), "DMAR: the table is cut off");
    assert_false(OptOut);
}

HOST_MAIN(cmocka_unit_test(RsdpsOfBothRevisionsAreRead), cmocka_unit_test(EachBadRsdpHasAName),
          cmocka_unit_test(EveryWrongByteOfAnRsdpIsNoticed),
          cmocka_unit_test(RootTablesListTheirEntries), cmocka_unit_test(BadRootTablesAreSurvived),
          cmocka_unit_test(EachBadHeaderHasAName), cmocka_unit_test(AHpetTableIsRead),
          cmocka_unit_test(AnMcfgTableIsRead),
          cmocka_unit_test(ADmarTableSaysWhetherX2ApicIsWelcome))
