/* SPDX-License-Identifier: MIT */
/*
 * test_fadt.c - holds the FADT's reader to the specification over its revisions: which of an old
 * and a new field counts, what the flags switch off, and that a field cut off by the table's length
 * is absent, byte by byte.
 */
#include "acpitable.h"

static HALP_FADT_INFO Fadt;

static PCSTR ParseFadt(const VOID *Table, SIZE_T Length)
{
    memset(&Fadt, 0xA5, sizeof(Fadt));
    return HalpAcpiParseFadt(Table, Length, &Fadt);
}

#define FADT_LENGTH 244

static VOID SetRegister(PTABLE Table, ULONG Offset, UCHAR Space, UCHAR Width, ULONG64 Address)
{
    UCHAR Shape[4] = {Space, Width, 0, 3};

    Set(Table, Offset, Shape, 4);
    Set(Table, Offset + 4, &Address, 8);
}

/* A FADT with both old and new fields; offsets are the specification's. */
static VOID BuildFadt(PTABLE Table, UCHAR Revision, ULONG Length)
{
    ULONG64 XDsdt = 0x17FD0000;

    StartTable(Table, "FACP", Revision);
    Table->Length = Length;
    Set32(Table, 40, 0x7FD0000);
    Set(Table, 46, "\x09", 1);
    Set32(Table, 48, 0xB2);
    Set(Table, 52, "\xF1", 1);
    Set32(Table, 64, 0x604);
    Set32(Table, 68, 0x704);
    Set32(Table, 76, 0x608);
    Set(Table, 91, "\x04", 1);
    Set(Table, 108, "\x32", 1);
    Set(Table, 109, "\x12\x00", 2);
    Set32(Table, 112, 0x500); /* 32-bit timer, reset register */
    if (Length == FADT_LENGTH)
    {
        SetRegister(Table, 116, 1, 8, 0xCF9);
        Set(Table, 128, "\x0F", 1);
        Set(Table, 140, &XDsdt, 8);
        SetRegister(Table, 172, 1, 16, 0x1604);
        SetRegister(Table, 184, 1, 16, 0x1704);
        SetRegister(Table, 208, 0, 32, 0xFED80808);
    }
}

static void AFadtOfRevisionOneIsRead(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildFadt(&Table, 1, 116);
    assert_null(RunTable(ParseFadt, &Table));
    assert_int_equal(Fadt.Revision, 1);
    assert_int_equal(Fadt.DsdtAddress, 0x7FD0000);
    assert_int_equal(Fadt.SciInterrupt, 9);
    assert_int_equal(Fadt.SmiCommandPort, 0xB2);
    assert_int_equal(Fadt.AcpiEnableValue, 0xF1);
    assert_int_equal(Fadt.CenturyIndex, 0x32);
    assert_int_equal(Fadt.BootArchitecture, HALP_FADT_LEGACY_DEVICES | HALP_FADT_8042);
    assert_int_equal(Fadt.PmTimer.Space, HALP_ACPI_SPACE_IO);
    assert_int_equal(Fadt.PmTimer.Address, 0x608);
    assert_int_equal(Fadt.PmTimer.BitWidth, 32);
    assert_int_equal(Fadt.PmTimer.BitOffset, 0);
    assert_int_equal(Fadt.PmTimer.AccessSize, 0);
    assert_true(Fadt.PmTimer32Bit);
    assert_int_equal(Fadt.Pm1aControl.Address, 0x604);
    assert_int_equal(Fadt.Pm1aControl.BitWidth, 16);
    assert_int_equal(Fadt.Pm1bControl.Address, 0x704);
    assert_int_equal(Fadt.Reset.Address, 0);
    assert_false(Fadt.HardwareReduced);
}

static void NewFieldsOfAFadtArePreferred(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildFadt(&Table, 6, FADT_LENGTH);
    assert_null(RunTable(ParseFadt, &Table));
    assert_int_equal(Fadt.DsdtAddress, 0x17FD0000);
    assert_int_equal(Fadt.BootArchitecture, 0x12);
    assert_int_equal(Fadt.PmTimer.Space, HALP_ACPI_SPACE_MEMORY);
    assert_int_equal(Fadt.PmTimer.Address, 0xFED80808);
    assert_int_equal(Fadt.Pm1aControl.Address, 0x1604);
    assert_int_equal(Fadt.Pm1bControl.Address, 0x1704);
    assert_int_equal(Fadt.Reset.Space, HALP_ACPI_SPACE_IO);
    assert_int_equal(Fadt.Reset.Address, 0xCF9);
    assert_int_equal(Fadt.ResetValue, 0x0F);
}

static void EmptyOrStrangeNewFieldsFallBack(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildFadt(&Table, 6, FADT_LENGTH);
    Set(&Table, 140, "\0\0\0\0\0\0\0", 8);
    SetRegister(&Table, 172, 0x7F, 16, 0x1604);
    SetRegister(&Table, 184, 0x7F, 16, 0x1704);
    SetRegister(&Table, 208, 0, 0, 0);
    Set32(&Table, 68, 0);
    assert_null(RunTable(ParseFadt, &Table));
    assert_int_equal(Fadt.DsdtAddress, 0x7FD0000);
    assert_int_equal(Fadt.Pm1aControl.Space, HALP_ACPI_SPACE_IO);
    assert_int_equal(Fadt.Pm1aControl.Address, 0x604);
    assert_int_equal(Fadt.Pm1bControl.Address, 0);
    assert_int_equal(Fadt.PmTimer.Space, HALP_ACPI_SPACE_IO);
    assert_int_equal(Fadt.PmTimer.Address, 0x608);
}

static void FlagsDecideWhatAFadtOffers(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildFadt(&Table, 6, FADT_LENGTH);
    Set32(&Table, 112, 0);
    assert_null(RunTable(ParseFadt, &Table));
    assert_false(Fadt.PmTimer32Bit);
    assert_int_equal(Fadt.Reset.Address, 0);
    assert_int_equal(Fadt.ResetValue, 0);
    BuildFadt(&Table, 6, FADT_LENGTH);
    SetRegister(&Table, 116, 3, 8, 0xCF9); /* not memory, I/O or PCI */
    assert_null(RunTable(ParseFadt, &Table));
    assert_int_equal(Fadt.Reset.Address, 0);
    BuildFadt(&Table, 2, FADT_LENGTH);
    SetRegister(&Table, 116, 2, 8, 0xF80044); /* PCI: device 31, register 0x44 */
    assert_null(RunTable(ParseFadt, &Table));
    assert_int_equal(Fadt.Reset.Address, 0xF80044);
    assert_int_equal(Fadt.BootArchitecture, 0x12);
    BuildFadt(&Table, 6, FADT_LENGTH);
    Set(&Table, 91, "\0", 1); /* PM_TMR_LEN */
    assert_null(RunTable(ParseFadt, &Table));
    assert_int_equal(Fadt.PmTimer.Address, 0);
    BuildFadt(&Table, 6, FADT_LENGTH);
    Set32(&Table, 112, 0x100500); /* HW_REDUCED_ACPI */
    assert_null(RunTable(ParseFadt, &Table));
    assert_true(Fadt.HardwareReduced);
    assert_int_equal(Fadt.PmTimer.Address, 0);
    assert_int_equal(Fadt.Pm1aControl.Address, 0);
    assert_int_equal(Fadt.Reset.Address, 0xCF9);
}

static void AFieldThatIsCutIsAbsent(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Length = sizeof(HALP_ACPI_HEADER); Length <= FADT_LENGTH; Length++)
    {
        PCSTR Problem;

        BuildFadt(&Table, 6, FADT_LENGTH);
        Table.Length = Length;
        Problem = RunTable(ParseFadt, &Table);
        assert_int_equal(Problem == NULL, Length >= 116);
        assert_int_equal(Fadt.DsdtAddress, (Length >= 148)  ? 0x17FD0000
                                           : (Length >= 44) ? 0x7FD0000
                                                            : 0);
        assert_int_equal(Fadt.PmTimer.Address, (Length >= 220)  ? 0xFED80808
                                               : (Length >= 92) ? 0x608
                                                                : 0);
        assert_int_equal(Fadt.Pm1aControl.Address, (Length >= 184)  ? 0x1604
                                                   : (Length >= 68) ? 0x604
                                                                    : 0);
        assert_int_equal(Fadt.Reset.Address, (Length >= 128) ? 0xCF9 : 0);
        assert_int_equal(Fadt.ResetValue, (Length >= 129) ? 0x0F : 0);
        assert_int_equal(Fadt.BootArchitecture, (Length >= 111) ? 0x12 : 0);
    }
}

static void BadFadtsAreSurvived(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildFadt(&Table, 6, FADT_LENGTH);
    AssertCutsAreSurvived(ParseFadt, &Table);
    AssertWrongBytesAreSurvived(ParseFadt, &Table);
}

HOST_MAIN(cmocka_unit_test(AFadtOfRevisionOneIsRead),
          cmocka_unit_test(NewFieldsOfAFadtArePreferred),
          cmocka_unit_test(EmptyOrStrangeNewFieldsFallBack),
          cmocka_unit_test(FlagsDecideWhatAFadtOffers), cmocka_unit_test(AFieldThatIsCutIsAbsent),
          cmocka_unit_test(BadFadtsAreSurvived))
