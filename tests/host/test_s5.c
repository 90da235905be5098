/* SPDX-License-Identifier: MIT */
/*
 * test_s5.c - holds the search for soft-off's sleep type (arch/x86_64/hal/s5.c) to AML's encodings:
 * each form that it may take, each that it must not, and any bytes at all. And the reset register's
 * address to what a register may be.
 */
#include "acpitable.h"

static UCHAR Types[2];

static PCSTR FindS5(const VOID *Table, SIZE_T Length)
{
    memset(Types, 0xA5, sizeof(Types));
    return HalpAcpiFindS5(Table, Length, Types);
}

#define CODE(...) ((const UCHAR[]){__VA_ARGS__}), sizeof((const UCHAR[]){__VA_ARGS__})

static VOID BuildDsdt(PTABLE Table, const UCHAR *Code, ULONG Length)
{
    StartTable(Table, "DSDT", 2);
    Put(Table, "\x10\x05\\_SB_\xA3", 8); /* something before */
    Put(Table, Code, Length);
    Put(Table, "\xA3\xA3\xA3", 3);
}

static VOID AssertTypes(const UCHAR *Code, ULONG Length, UCHAR TypeA, UCHAR TypeB)
{
    static TABLE Table;

    BuildDsdt(&Table, Code, Length);
    assert_null(RunTable(FindS5, &Table));
    assert_int_equal(Types[0], TypeA);
    assert_int_equal(Types[1], TypeB);
}

static VOID AssertNone(const UCHAR *Code, ULONG Length)
{
    static TABLE Table;

    BuildDsdt(&Table, Code, Length);
    assert_string_equal(RunTable(FindS5, &Table), "the DSDT has no plain package _S5");
}

#define NAME 0x08, '_', 'S', '5', '_'
#define ROOT_NAME 0x08, '\\', '_', 'S', '5', '_'

static void EachPlainFormIsTaken(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertTypes(CODE(NAME, 0x12, 0x06, 0x04, 0, 0, 0, 0), 0, 0); /* QEMU's */
    AssertTypes(CODE(ROOT_NAME, 0x12, 0x06, 0x04, 1, 1, 0, 0), 1, 1);
    AssertTypes(CODE(NAME, 0x12, 0x08, 0x04, 0x0A, 5, 0x0A, 6, 0, 0), 5, 6);
    AssertTypes(CODE(NAME, 0x12, 0x06, 0x02, 0x0A, 7, 0x0A, 0), 7, 0);
    AssertTypes(CODE(NAME, 0x12, 0x0A, 0x02, 0x0B, 7, 0, 0x0C, 3, 0, 0, 0), 7, 3);
    AssertTypes(CODE(NAME, 0x12, 0x47, 0x00, 0x04, 0x0A, 5, 0, 0), 5, 0); /* two-byte length */
    AssertTypes(CODE(NAME, 0x12, 0x88, 0x00, 0x00, 0x04, 0x0A, 5, 0, 0), 5, 0);
    AssertTypes(CODE(NAME, 0x12, 0x06, 0x04, 1, 0, 0, 0, NAME, 0x12, 0x05, 0x02, 0x0A, 1, 0), 1, 0);
}

static void WhateverIsNotPlainIsPassedOver(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertNone(CODE(0xA3));
    AssertNone(CODE('_', 'S', '5', '_', 0x12, 0x06, 0x04, 0, 0, 0, 0)); /* not defined here */
    AssertNone(CODE('\\', '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0, 0, 0, 0));
    AssertNone(CODE(NAME, 0x13, 0x06, 0x04, 0, 0, 0, 0));    /* VarPackage       */
    AssertNone(CODE(NAME, 0x12, 0x03, 0x01, 5, 5));          /* one element      */
    AssertNone(CODE(NAME, 0x12, 0x04, 0x04, 0x0A, 5, 0, 0)); /* ends too early   */
    AssertNone(CODE(NAME, 0x12, 0x01, 0x04, 0, 0));
    AssertNone(CODE(NAME, 0x12, 0x00, 0x04, 0, 0));
    AssertNone(CODE(NAME, 0x12, 0x3F, 0x04, 0, 0, 0, 0)); /* ends beyond      */
    AssertNone(CODE(NAME, 0x12, 0xCF, 0xFF, 0xFF, 0xFF, 0x04, 0, 0));
    AssertNone(CODE(NAME, 0x12, 0x06, 0x04, 0x0A, 8, 0, 0)); /* four bits        */
    AssertNone(CODE(NAME, 0x12, 0x06, 0x04, 0xFF, 0, 0, 0)); /* Ones             */
    AssertNone(CODE(NAME, 0x12, 0x0A, 0x02, '\\', '_', 'F', 'O', 'O', 0, 0, 0)); /* a reference */
    AssertNone(CODE(NAME, 0x12, 0x09, 0x02, 0x0C, 5, 0, 0, 1, 0, 0));
}

static void TwoThatDifferAreNotBelieved(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildDsdt(&Table, CODE(NAME, 0x12, 0x06, 0x04, 0, 0, 0, 0, NAME, 0x12, 0x06, 0x04, 1, 0, 0, 0));
    assert_string_equal(RunTable(FindS5, &Table), "the DSDT has two packages _S5, and they differ");
}

static void ATableThatIsNoneIsNamed(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    StartTable(&Table, "SSDT", 2);
    Put(&Table, CODE(NAME, 0x12, 0x06, 0x04, 0, 0, 0, 0));
    assert_non_null(RunTable(FindS5, &Table));
    StartTable(&Table, "DSDT", 2);
    assert_string_equal(RunTable(FindS5, &Table), "the DSDT has no plain package _S5");
}

static void BadDsdtsAreSurvived(void **State)
{
    static TABLE Table;
    UNREFERENCED_PARAMETER(State);

    BuildDsdt(&Table, CODE(ROOT_NAME, 0x12, 0x48, 0x00, 0x04, 0x0A, 5, 0x0B, 7, 0));
    AssertCutsAreSurvived(FindS5, &Table);
    AssertWrongBytesAreSurvived(FindS5, &Table);
}

/* The table ends at every byte of the package, with a right checksum each time. */
static void APackageThatIsCutIsNone(void **State)
{
    static TABLE Table;
    const UCHAR Code[] = {NAME, 0x12, 0x08, 0x04, 0x0A, 5, 0x0A, 6, 0, 0};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Length = 0; Length < sizeof(Code); Length++)
    {
        StartTable(&Table, "DSDT", 2);
        Put(&Table, Code, Length);
        assert_non_null(RunTable(FindS5, &Table));
    }
}

static VOID AssertReset(UCHAR Space, UCHAR Width, UCHAR Offset, ULONG64 Address, BOOLEAN Good)
{
    HALP_ACPI_REGISTER Register = {Space, Width, Offset, 0, Address};

    assert_int_equal(HalpAcpiResetProblem(&Register) == NULL, Good);
}

static void AResetRegisterIsOneThatCanBeWritten(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertReset(HALP_ACPI_SPACE_IO, 8, 0, 0xCF9, TRUE);
    AssertReset(HALP_ACPI_SPACE_IO, 0, 0, 0xFFFF, TRUE);
    AssertReset(HALP_ACPI_SPACE_IO, 8, 0, 0, FALSE);
    AssertReset(HALP_ACPI_SPACE_IO, 8, 0, 0x10000, FALSE);
    AssertReset(HALP_ACPI_SPACE_IO, 16, 0, 0xCF9, FALSE);
    AssertReset(HALP_ACPI_SPACE_IO, 8, 1, 0xCF9, FALSE);
    AssertReset(HALP_ACPI_SPACE_MEMORY, 8, 0, 0xFED80000, TRUE);
    AssertReset(HALP_ACPI_SPACE_PCI, 8, 0, 0x0000001F00070044, TRUE);
    AssertReset(HALP_ACPI_SPACE_PCI, 8, 0, 0x0000002000000044, FALSE);
    AssertReset(HALP_ACPI_SPACE_PCI, 8, 0, 0x0000000000080044, FALSE);
    AssertReset(HALP_ACPI_SPACE_PCI, 8, 0, 0x0000000000000144, FALSE);
    AssertReset(3, 8, 0, 0xCF9, FALSE);
    AssertReset(0x7F, 8, 0, 0xCF9, FALSE);
}

HOST_MAIN(cmocka_unit_test(EachPlainFormIsTaken), cmocka_unit_test(WhateverIsNotPlainIsPassedOver),
          cmocka_unit_test(TwoThatDifferAreNotBelieved), cmocka_unit_test(ATableThatIsNoneIsNamed),
          cmocka_unit_test(BadDsdtsAreSurvived), cmocka_unit_test(APackageThatIsCutIsNone),
          cmocka_unit_test(AResetRegisterIsOneThatCanBeWritten))
