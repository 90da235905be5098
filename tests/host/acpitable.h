/* SPDX-License-Identifier: MIT */
/*
 * acpitable.h - builds ACPI tables for the tests of their readers, and holds every reader to two
 * things: it survives, within the bytes it is given, a table cut at any length and a table with any
 * byte set to any value, both with the checksum broken by that and with it mended.
 */
#pragma once

#include "host.h"

#include <acpi.h>

#define TABLE_SIZE 0x4000

typedef struct _TABLE
{
    ULONG Length;
    UCHAR Data[TABLE_SIZE];
} TABLE, *PTABLE;

static inline VOID Put(PTABLE Table, const VOID *Data, ULONG Length)
{
    assert_true(Table->Length + Length <= TABLE_SIZE);
    memcpy(Table->Data + Table->Length, Data, Length);
    Table->Length += Length;
}

static inline VOID Put8(PTABLE Table, UCHAR Value)
{
    Put(Table, &Value, sizeof(Value));
}

static inline VOID Put16(PTABLE Table, USHORT Value)
{
    Put(Table, &Value, sizeof(Value));
}

static inline VOID Put32(PTABLE Table, ULONG Value)
{
    Put(Table, &Value, sizeof(Value));
}

static inline VOID Put64(PTABLE Table, ULONG64 Value)
{
    Put(Table, &Value, sizeof(Value));
}

/* Makes Length bytes of Data add up to zero by the byte at Place. */
static inline VOID Mend(PUCHAR Data, ULONG Length, ULONG Place)
{
    UCHAR Sum = 0;

    Data[Place] = 0;
    for (ULONG Index = 0; Index < Length; Index++)
    {
        Sum = (UCHAR)(Sum + Data[Index]);
    }
    Data[Place] = (UCHAR)(0 - Sum);
}

static inline VOID StartTable(PTABLE Table, PCSTR Signature, UCHAR Revision)
{
    memset(Table, 0, sizeof(*Table));
    Put(Table, Signature, 4);
    Put32(Table, 0);
    Put8(Table, Revision);
    Put8(Table, 0);
    Put(Table, "ILOCK ILOCKTBL\1\0\0\0TEST\1\0\0\0", 26);
    assert_int_equal(Table->Length, sizeof(HALP_ACPI_HEADER));
}

/* Sets length and checksum: the table is valid then, whatever it holds. */
static inline VOID EndTable(PTABLE Table)
{
    memcpy(Table->Data + 4, &Table->Length, sizeof(Table->Length));
    if (Table->Length >= sizeof(HALP_ACPI_HEADER))
    {
        Mend(Table->Data, Table->Length, 9);
    }
}

/* A copy at an odd address with the end of the heap block at the table's end. */
static inline PUCHAR OddCopy(const UCHAR *Data, ULONG Length)
{
    PUCHAR Block = malloc(Length + 1);

    assert_non_null(Block);
    memcpy(Block + 1, Data, Length);
    return Block + 1;
}

static inline VOID FreeOdd(PUCHAR Copy)
{
    free(Copy - 1);
}

/* A reader under test: puts what it reads into a variable of its own. */
typedef PCSTR PARSE(const VOID *Table, SIZE_T Length);

static inline VOID Set(PTABLE Table, ULONG Offset, const VOID *Data, ULONG Length)
{
    memcpy(Table->Data + Offset, Data, Length);
}

static inline VOID Set32(PTABLE Table, ULONG Offset, ULONG Value)
{
    Set(Table, Offset, &Value, sizeof(Value));
}

static inline PCSTR Run(PARSE *Parse, const UCHAR *Data, ULONG Length)
{
    PUCHAR Copy = OddCopy(Data, Length);
    PCSTR Problem = Parse(Copy, Length);

    FreeOdd(Copy);
    return Problem;
}

static inline PCSTR RunTable(PARSE *Parse, PTABLE Table)
{
    EndTable(Table);
    return Run(Parse, Table->Data, Table->Length);
}

static inline VOID AssertCutsAreSurvived(PARSE *Parse, PTABLE Table)
{
    ULONG Whole = Table->Length;

    EndTable(Table);
    assert_null(Run(Parse, Table->Data, Whole));
    for (ULONG Length = 0; Length < Whole; Length++)
    {
        assert_non_null(Run(Parse, Table->Data, Length)); /* the header says more than there is */
    }
    for (ULONG Length = 0; Length < Whole; Length++)
    {
        Table->Length = Length;
        EndTable(Table); /* the header says what there is */
        if (Run(Parse, Table->Data, Length) == NULL)
        {
            assert_true(Length >= sizeof(HALP_ACPI_HEADER));
        }
    }
    Table->Length = Whole;
    EndTable(Table);
}

static inline VOID AssertWrongBytesAreSurvived(PARSE *Parse, PTABLE Table)
{
    EndTable(Table);
    for (ULONG Place = 0; Place < Table->Length; Place++)
    {
        UCHAR Saved = Table->Data[Place];
        UCHAR SavedSum = Table->Data[9];
        BOOLEAN InLength = Place >= 4 && Place < 8; /* a shorter table may add up to zero, too */

        for (ULONG Value = 0; Value < 256; Value++)
        {
            if (Value == Saved)
            {
                continue;
            }
            Table->Data[Place] = (UCHAR)Value;
            assert_true(Run(Parse, Table->Data, Table->Length) != NULL || InLength);
            if (Place != 9)
            {
                Mend(Table->Data, Table->Length, 9);
                Run(Parse, Table->Data, Table->Length);
                Table->Data[9] = SavedSum;
            }
        }
        Table->Data[Place] = Saved;
    }
    assert_null(Run(Parse, Table->Data, Table->Length));
}
