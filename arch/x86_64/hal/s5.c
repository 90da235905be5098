/* SPDX-License-Identifier: MIT */
/*
 * s5.c - finds the sleep type of soft-off in the DSDT, without interpreting it.
 *
 * The two values that power a machine off are in a package named _S5, in AML (ACPI Specification
 * 6.5, 7.4.2; encodings: 20.2). Nearly all firmware writes it as one plain definition,
 *     NameOp '_S5_' PackageOp PkgLength NumElements, then small integers
 * and only that is taken: each byte is checked, and whatever else bears that name is passed over. A
 * table with two that differ means that code chooses between them, so none is believed: a wrong
 * value would not switch off, but put the machine to a sleep that nobody has prepared.
 */
#include "acpi.h"

#include <rtl.h>

#define AML_ZERO 0x00
#define AML_ONE 0x01
#define AML_NAME 0x08
#define AML_BYTE 0x0A
#define AML_WORD 0x0B
#define AML_DWORD 0x0C
#define AML_PACKAGE 0x12
#define AML_ROOT '\\'
#define HIGHEST_SLEEP_TYPE 7 /* three bits of PM1_CNT */

/* What is left to read of a package. */
typedef struct _HALP_AML
{
    const UCHAR *Next;
    const UCHAR *End;
} HALP_AML;

static BOOLEAN HalpAmlByte(HALP_AML *Aml, PUCHAR Value)
{
    if (Aml->Next == Aml->End)
    {
        return FALSE;
    }
    *Value = *Aml->Next++;
    return TRUE;
}

/* An integer constant that fits a sleep type. */
static BOOLEAN HalpAmlSleepType(HALP_AML *Aml, PUCHAR Type)
{
    UCHAR Opcode, Byte;
    ULONG Bytes, Value = 0;

    if (!HalpAmlByte(Aml, &Opcode))
    {
        return FALSE;
    }
    switch (Opcode)
    {
    case AML_ZERO:
    case AML_ONE:
        *Type = Opcode;
        return TRUE;
    case AML_BYTE:
        Bytes = 1;
        break;
    case AML_WORD:
        Bytes = 2;
        break;
    case AML_DWORD:
        Bytes = 4;
        break;
    default:
        return FALSE;
    }
    for (ULONG Index = 0; Index < Bytes; Index++)
    {
        if (!HalpAmlByte(Aml, &Byte))
        {
            return FALSE;
        }
        Value |= (ULONG)Byte << (8 * Index);
    }
    *Type = (UCHAR)Value;
    return Value <= HIGHEST_SLEEP_TYPE;
}

/* PkgLength counts itself: one byte of six bits, or four bits and up to three bytes more. Narrows
 * Aml to the package. */
static BOOLEAN HalpAmlPackage(HALP_AML *Aml)
{
    const UCHAR *Start = Aml->Next;
    UCHAR Lead, Byte;
    ULONG Length;

    if (!HalpAmlByte(Aml, &Lead))
    {
        return FALSE;
    }
    Length = Lead >> 6 == 0 ? Lead & 0x3F : Lead & 0x0F;
    for (ULONG Index = 0; Index < Lead >> 6; Index++)
    {
        if (!HalpAmlByte(Aml, &Byte))
        {
            return FALSE;
        }
        Length |= (ULONG)Byte << (4 + 8 * Index);
    }
    if (Length < (ULONG)(Aml->Next - Start) || Length > (SIZE_T)(Aml->End - Start))
    {
        return FALSE;
    }
    Aml->End = Start + Length;
    return TRUE;
}

/* From PackageOp on. */
static BOOLEAN HalpAmlSleepPackage(HALP_AML Aml, UCHAR Types[2])
{
    UCHAR Opcode, Elements;

    return HalpAmlByte(&Aml, &Opcode) && Opcode == AML_PACKAGE && HalpAmlPackage(&Aml) &&
           HalpAmlByte(&Aml, &Elements) && Elements >= 2 && HalpAmlSleepType(&Aml, &Types[0]) &&
           HalpAmlSleepType(&Aml, &Types[1]);
}

/* TRUE if the name at that place is being defined: NameOp before it, or before a root prefix. */
static BOOLEAN HalpAmlIsDefined(const UCHAR *Start, const UCHAR *Name)
{
    if (Name - Start >= 2 && Name[-1] == AML_ROOT)
    {
        Name--;
    }
    return Name - Start >= 1 && Name[-1] == AML_NAME;
}

PCSTR HalpAcpiFindS5(const VOID *Dsdt, SIZE_T Length, UCHAR SleepTypes[2])
{
    PCSTR Problem = HalpAcpiValidateTable(Dsdt, Length, "DSDT");
    const UCHAR *Start, *End;
    BOOLEAN Found = FALSE;

    if (Problem != NULL)
    {
        return Problem;
    }
    Start = (const UCHAR *)Dsdt + sizeof(HALP_ACPI_HEADER);
    End = (const UCHAR *)Dsdt + ((const HALP_ACPI_HEADER *)Dsdt)->Length;
    for (const UCHAR *Name = Start; End - Name >= 4; Name++)
    {
        HALP_AML Aml = {Name + 4, End};
        UCHAR Types[2];

        if (!RtlEqualMemory(Name, "_S5_", 4) || !HalpAmlIsDefined(Start, Name) ||
            !HalpAmlSleepPackage(Aml, Types))
        {
            continue;
        }
        if (Found && !RtlEqualMemory(Types, SleepTypes, sizeof(Types)))
        {
            return "the DSDT has two packages _S5, and they differ";
        }
        RtlCopyMemory(SleepTypes, Types, sizeof(Types));
        Found = TRUE;
    }
    return Found ? NULL : "the DSDT has no plain package _S5";
}
