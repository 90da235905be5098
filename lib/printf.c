/* SPDX-License-Identifier: MIT */
/*
 * printf.c - RtlStringCbPrintfA: formatted text into a buffer of fixed size.
 *
 * Each conversion is read into one RTLP_FIELD (flags, width, precision, size), turned into three
 * runs of characters (sign or prefix, zeros, digits or text), and laid out in the field by one
 * routine. Meanings are C's, with `l` the compiler's long (64 bits here) and %p sixteen upper-case
 * digits as on 64-bit Windows. An unknown conversion ends the formatting: the rest of the format is
 * copied as it stands, because the arguments can no longer be told apart.
 */
#include <rtl.h>

/* Microsoft's NTSTRSAFE_MAX_CCH; a larger size is a negative one that was not checked. */
#define RTLP_MAXIMUM_BUFFER 0x7FFFFFFFull

/* Digits of 2^64 - 1 in octal, the longest form. */
#define RTLP_MAXIMUM_DIGITS 22

typedef struct _RTLP_OUTPUT
{
    PCHAR Next;
    PCHAR Last; /* where the terminator goes if the text fills the buffer */
    BOOLEAN CutOff;
} RTLP_OUTPUT, *PRTLP_OUTPUT;

typedef enum _RTLP_SIZE
{
    RtlpSizeByte,
    RtlpSizeShort,
    RtlpSizeInt,
    RtlpSizeLong
} RTLP_SIZE;

typedef struct _RTLP_FIELD
{
    BOOLEAN Left;
    BOOLEAN Zero;
    BOOLEAN Plus;
    BOOLEAN Space;
    BOOLEAN Alternate;
    ULONG Width;
    LONG Precision; /* negative: none given */
    RTLP_SIZE Size;
    CHAR Conversion;
} RTLP_FIELD, *PRTLP_FIELD;

/* What is left to read. A va_list that routines share must live in a structure: as a parameter it
 * decays, on this ABI, to a pointer that cannot be passed on by address. */
typedef struct _RTLP_INPUT
{
    PCSTR Format;
    va_list Arguments;
} RTLP_INPUT, *PRTLP_INPUT;

static VOID RtlpPut(PRTLP_OUTPUT Output, CHAR Character)
{
    if (Output->Next == Output->Last)
    {
        Output->CutOff = TRUE;
        return;
    }
    *Output->Next++ = Character;
}

static VOID RtlpPutText(PRTLP_OUTPUT Output, PCSTR Text, SIZE_T Length)
{
    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        RtlpPut(Output, Text[Index]);
    }
}

/* Stops as soon as the buffer is full: a width of two billion must not cost two billion steps. */
static VOID RtlpPutRepeated(PRTLP_OUTPUT Output, CHAR Character, SIZE_T Count)
{
    while (Count-- != 0 && !Output->CutOff)
    {
        RtlpPut(Output, Character);
    }
}

/* Blanks, prefix, zeros, body, blanks: every conversion ends here. */
static VOID RtlpPutField(PRTLP_OUTPUT Output, const RTLP_FIELD *Field, PCSTR Prefix, SIZE_T Zeros,
                         PCSTR Body, SIZE_T BodyLength)
{
    SIZE_T PrefixLength = strlen(Prefix);
    SIZE_T Length = PrefixLength + Zeros + BodyLength;
    SIZE_T Padding = (Field->Width > Length) ? Field->Width - Length : 0;

    if (!Field->Left)
    {
        RtlpPutRepeated(Output, ' ', Padding);
    }
    RtlpPutText(Output, Prefix, PrefixLength);
    RtlpPutRepeated(Output, '0', Zeros);
    RtlpPutText(Output, Body, BodyLength);
    if (Field->Left)
    {
        RtlpPutRepeated(Output, ' ', Padding);
    }
}

static VOID RtlpPutNumber(PRTLP_OUTPUT Output, const RTLP_FIELD *Field, PCSTR Prefix, ULONG Base,
                          PCSTR DigitSet, ULONG64 Value)
{
    CHAR Digits[RTLP_MAXIMUM_DIGITS];
    SIZE_T First = RTLP_MAXIMUM_DIGITS;
    SIZE_T Zeros = 0;
    SIZE_T Length;

    for (ULONG64 Rest = Value; Rest != 0; Rest /= Base)
    {
        Digits[--First] = DigitSet[Rest % Base];
    }
    Length = RTLP_MAXIMUM_DIGITS - First;

    SIZE_T Wanted = (Field->Precision >= 0) ? (SIZE_T)Field->Precision : 1;
    if (Base == 8 && Field->Alternate && Wanted <= Length)
    {
        Wanted = Length + 1; /* C: "#" raises the precision until the first digit is a zero */
    }
    if (Wanted > Length)
    {
        Zeros = Wanted - Length;
    }
    if (Field->Zero && !Field->Left && Field->Precision < 0)
    {
        SIZE_T Used = strlen(Prefix) + Zeros + Length;
        Zeros += (Field->Width > Used) ? Field->Width - Used : 0;
    }
    RtlpPutField(Output, Field, Prefix, Zeros, Digits + First, Length);
}

static VOID RtlpPutSigned(PRTLP_OUTPUT Output, const RTLP_FIELD *Field, LONG64 Value)
{
    PCSTR Sign = Field->Plus ? "+" : Field->Space ? " " : "";
    ULONG64 Magnitude = (ULONG64)Value;

    if (Value < 0)
    {
        Sign = "-";
        Magnitude = 0 - Magnitude; /* unsigned, so that the most negative value is right too */
    }
    RtlpPutNumber(Output, Field, Sign, 10, "0123456789", Magnitude);
}

/* A string without a terminator is legal if the precision ends it, so strlen will not do. */
static VOID RtlpPutString(PRTLP_OUTPUT Output, const RTLP_FIELD *Field, PCSTR String)
{
    SIZE_T Limit = (Field->Precision >= 0) ? (SIZE_T)Field->Precision : RTLP_MAXIMUM_BUFFER;
    SIZE_T Length = 0;

    if (String == NULL)
    {
        String = "(null)";
    }
    while (Length < Limit && String[Length] != '\0')
    {
        Length++;
    }
    RtlpPutField(Output, Field, "", 0, String, Length);
}

static LONG64 RtlpNextSigned(PRTLP_INPUT Input, RTLP_SIZE Size)
{
    switch (Size)
    {
    case RtlpSizeByte:
        return (int8_t)va_arg(Input->Arguments, int);
    case RtlpSizeShort:
        return (SHORT)va_arg(Input->Arguments, int);
    case RtlpSizeInt:
        return va_arg(Input->Arguments, int);
    default:
        return va_arg(Input->Arguments, LONG64);
    }
}

static ULONG64 RtlpNextUnsigned(PRTLP_INPUT Input, RTLP_SIZE Size)
{
    switch (Size)
    {
    case RtlpSizeByte:
        return (UCHAR)va_arg(Input->Arguments, int);
    case RtlpSizeShort:
        return (USHORT)va_arg(Input->Arguments, int);
    case RtlpSizeInt:
        return va_arg(Input->Arguments, ULONG);
    default:
        return va_arg(Input->Arguments, ULONG64);
    }
}

/* Digits of the format as a number; one too large stays at MAXLONG. */
static LONG RtlpReadDigits(PRTLP_INPUT Input)
{
    LONG64 Value = 0;

    while (*Input->Format >= '0' && *Input->Format <= '9')
    {
        Value = Value * 10 + (*Input->Format++ - '0');
        Value = (Value > MAXLONG) ? MAXLONG : Value;
    }
    return (LONG)Value;
}

static VOID RtlpReadFlags(PRTLP_INPUT Input, PRTLP_FIELD Field)
{
    for (;; Input->Format++)
    {
        switch (*Input->Format)
        {
        case '-':
            Field->Left = TRUE;
            break;
        case '0':
            Field->Zero = TRUE;
            break;
        case '+':
            Field->Plus = TRUE;
            break;
        case ' ':
            Field->Space = TRUE;
            break;
        case '#':
            Field->Alternate = TRUE;
            break;
        default:
            return;
        }
    }
}

static VOID RtlpReadWidth(PRTLP_INPUT Input, PRTLP_FIELD Field)
{
    if (*Input->Format != '*')
    {
        Field->Width = (ULONG)RtlpReadDigits(Input);
        return;
    }

    LONG Width = va_arg(Input->Arguments, int);
    Input->Format++;
    Field->Left |= Width < 0;
    Field->Width = (Width < 0) ? 0u - (ULONG)Width : (ULONG)Width;
}

static VOID RtlpReadPrecision(PRTLP_INPUT Input, PRTLP_FIELD Field)
{
    Field->Precision = -1;
    if (*Input->Format != '.')
    {
        return;
    }
    Input->Format++;
    if (*Input->Format != '*')
    {
        Field->Precision = RtlpReadDigits(Input);
        return;
    }
    Input->Format++;
    Field->Precision = va_arg(Input->Arguments, int);
}

static RTLP_SIZE RtlpReadSize(PRTLP_INPUT Input)
{
    static const struct
    {
        CHAR Modifier[4];
        RTLP_SIZE Size;
    } Modifiers[] = {{"hh", RtlpSizeByte}, {"h", RtlpSizeShort}, {"ll", RtlpSizeLong},
                     {"l", RtlpSizeLong},  {"z", RtlpSizeLong},  {"I64", RtlpSizeLong}};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Modifiers); Index++)
    {
        SIZE_T Length = strlen(Modifiers[Index].Modifier);

        if (strncmp(Input->Format, Modifiers[Index].Modifier, Length) == 0)
        {
            Input->Format += Length;
            return Modifiers[Index].Size;
        }
    }
    return RtlpSizeInt;
}

/* Reads what follows a percent sign, up to and including the conversion character. If that is the
 * format's terminator, no conversion matches it, and the format is not looked at again. */
static VOID RtlpReadField(PRTLP_INPUT Input, PRTLP_FIELD Field)
{
    RtlZeroMemory(Field, sizeof(*Field));
    RtlpReadFlags(Input, Field);
    RtlpReadWidth(Input, Field);
    RtlpReadPrecision(Input, Field);
    Field->Size = RtlpReadSize(Input);
    Field->Conversion = *Input->Format++;
}

static VOID RtlpPutHexadecimal(PRTLP_OUTPUT Output, PRTLP_FIELD Field, ULONG64 Value)
{
    BOOLEAN Upper = Field->Conversion != 'x';
    PCSTR Prefix = (Field->Alternate && Value != 0) ? (Upper ? "0X" : "0x") : "";

    RtlpPutNumber(Output, Field, Prefix, 16, Upper ? "0123456789ABCDEF" : "0123456789abcdef",
                  Value);
}

/* FALSE if the conversion is unknown; no argument has been taken for it then. */
static BOOLEAN RtlpConvert(PRTLP_OUTPUT Output, PRTLP_INPUT Input, PRTLP_FIELD Field)
{
    CHAR Character;

    switch (Field->Conversion)
    {
    case 'd':
    case 'i':
        RtlpPutSigned(Output, Field, RtlpNextSigned(Input, Field->Size));
        return TRUE;
    case 'u':
        RtlpPutNumber(Output, Field, "", 10, "0123456789", RtlpNextUnsigned(Input, Field->Size));
        return TRUE;
    case 'o':
        RtlpPutNumber(Output, Field, "", 8, "01234567", RtlpNextUnsigned(Input, Field->Size));
        return TRUE;
    case 'x':
    case 'X':
        RtlpPutHexadecimal(Output, Field, RtlpNextUnsigned(Input, Field->Size));
        return TRUE;
    case 'p':
        Field->Precision = 2 * sizeof(PVOID);
        RtlpPutHexadecimal(Output, Field, RtlpNextUnsigned(Input, RtlpSizeLong));
        return TRUE;
    case 's':
        RtlpPutString(Output, Field, va_arg(Input->Arguments, PCSTR));
        return TRUE;
    case 'c':
        Character = (CHAR)va_arg(Input->Arguments, int);
        RtlpPutField(Output, Field, "", 0, &Character, 1);
        return TRUE;
    case '%':
        RtlpPut(Output, '%');
        return TRUE;
    default:
        return FALSE;
    }
}

NTSTATUS RtlStringCbVPrintfA(PSTR Destination, SIZE_T DestinationSize, PCSTR Format,
                             va_list Arguments)
{
    RTLP_OUTPUT Output;
    RTLP_INPUT Input;
    RTLP_FIELD Field;

    if (DestinationSize == 0 || DestinationSize > RTLP_MAXIMUM_BUFFER)
    {
        return STATUS_INVALID_PARAMETER;
    }
    Output.Next = Destination;
    Output.Last = Destination + DestinationSize - 1;
    Output.CutOff = FALSE;
    Input.Format = Format;
    va_copy(Input.Arguments, Arguments);

    while (*Input.Format != '\0' && !Output.CutOff)
    {
        PCSTR Start = Input.Format++;

        if (*Start != '%')
        {
            RtlpPut(&Output, *Start);
            continue;
        }
        RtlpReadField(&Input, &Field);
        if (!RtlpConvert(&Output, &Input, &Field))
        {
            RtlpPutText(&Output, Start, strlen(Start));
            break;
        }
    }
    va_end(Input.Arguments);
    *Output.Next = '\0';
    return Output.CutOff ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

NTSTATUS RtlStringCbPrintfA(PSTR Destination, SIZE_T DestinationSize, PCSTR Format, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCbVPrintfA(Destination, DestinationSize, Format, Arguments);
    va_end(Arguments);
    return Status;
}
