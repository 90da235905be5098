/* SPDX-License-Identifier: MIT */
/*
 * test_printf.c - holds lib/printf.c to the C library's snprintf wherever rtl.h promises C's
 * meaning: every combination of flags, width, precision, size and conversion, and every buffer
 * size; and where it promises something else (I64, %p, NULL strings, unknown conversions, statuses)
 * to that.
 */
#include "host.h"

#include <rtl.h>

/* The tests build formats at run time, which the compiler cannot check; hence no attribute here. */
static NTSTATUS Format(PSTR Destination, SIZE_T DestinationSize, PCSTR Text, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Text);
    Status = RtlStringCbVPrintfA(Destination, DestinationSize, Text, Arguments);
    va_end(Arguments);
    return Status;
}

/* Formats with both and compares. */
#define ASSERT_AS_LIBC(Text, ...)                                                                  \
    do                                                                                             \
    {                                                                                              \
        CHAR Expected_[512], Actual_[512];                                                         \
        snprintf(Expected_, sizeof(Expected_), (Text), __VA_ARGS__);                               \
        NTSTATUS Status_ = Format(Actual_, sizeof(Actual_), (Text), __VA_ARGS__);                  \
        if (Status_ != STATUS_SUCCESS || strcmp(Expected_, Actual_) != 0)                          \
        {                                                                                          \
            fail_msg("format \"%s\": expected \"%s\", got \"%s\", status %#x", (Text), Expected_,  \
                     Actual_, (unsigned)Status_);                                                  \
        }                                                                                          \
    } while (0)

#define ASSERT_FORMATS(Expected, ...)                                                              \
    do                                                                                             \
    {                                                                                              \
        CHAR Actual_[512];                                                                         \
        assert_int_equal(Format(Actual_, sizeof(Actual_), __VA_ARGS__), STATUS_SUCCESS);           \
        assert_string_equal(Actual_, (Expected));                                                  \
    } while (0)

static const PCSTR Widths[] = {"", "1", "5", "30"};
static const PCSTR Precisions[] = {"", ".", ".0", ".1", ".4", ".27"};

/* Writes the flags that are set in Mask. */
static PCHAR WriteFlags(PCHAR Text, ULONG Mask, PCSTR Flags)
{
    for (ULONG Bit = 0; Flags[Bit] != '\0'; Bit++)
    {
        if (Mask & (1u << Bit))
        {
            *Text++ = Flags[Bit];
        }
    }
    *Text = '\0';
    return Text;
}

static VOID CompareInteger(PCSTR Text, PCSTR Size, ULONG64 Value)
{
    if (strcmp(Size, "l") == 0 || strcmp(Size, "ll") == 0 || strcmp(Size, "z") == 0)
    {
        ASSERT_AS_LIBC(Text, Value);
    }
    else
    {
        ASSERT_AS_LIBC(Text, (ULONG)Value);
    }
}

static VOID CompareIntegerFormats(PCSTR Conversion, PCSTR Flags, PCSTR Size)
{
    static const ULONG64 Values[] = {0,      1,          8,          42,          0x7F,
                                     0x80,   0xFF,       0x7FFF,     0x8000,      0xFFFF,
                                     123456, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,  0x100000000,
                                     9999,   1ull << 63, MAXULONG64, 10000000000, MAXULONG64 >> 1};

    for (ULONG Mask = 0; Mask < 1u << strlen(Flags); Mask++)
    {
        for (ULONG Width = 0; Width < RTL_NUMBER_OF(Widths); Width++)
        {
            for (ULONG Precision = 0; Precision < RTL_NUMBER_OF(Precisions); Precision++)
            {
                CHAR Text[32] = "<%";
                PCHAR End = WriteFlags(Text + 2, Mask, Flags);

                sprintf(End, "%s%s%s%s>", Widths[Width], Precisions[Precision], Size, Conversion);
                for (ULONG Index = 0; Index < RTL_NUMBER_OF(Values); Index++)
                {
                    CompareInteger(Text, Size, Values[Index]);
                }
            }
        }
    }
}

static void IntegersFormatAsInC(void **State)
{
    static const PCSTR Sizes[] = {"hh", "h", "", "l", "ll", "z"};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Size = 0; Size < RTL_NUMBER_OF(Sizes); Size++)
    {
        CompareIntegerFormats("d", "-0+ ", Sizes[Size]);
        CompareIntegerFormats("i", "-0+ ", Sizes[Size]);
        CompareIntegerFormats("u", "-0", Sizes[Size]);
        CompareIntegerFormats("x", "-0#", Sizes[Size]);
        CompareIntegerFormats("X", "-0#", Sizes[Size]);
        CompareIntegerFormats("o", "-0#", Sizes[Size]);
    }
}

static void StringsAndCharactersFormatAsInC(void **State)
{
    static const PCSTR Strings[] = {"", "a", "four", "exactly 27 characters long.",
                                    "rather longer than any of the widths and precisions"};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Left = 0; Left < 2; Left++)
    {
        for (ULONG Width = 0; Width < RTL_NUMBER_OF(Widths); Width++)
        {
            CHAR Text[32];

            sprintf(Text, "<%%%s%sc>", Left ? "-" : "", Widths[Width]);
            ASSERT_AS_LIBC(Text, 'x');
            ASSERT_AS_LIBC(Text, 0xE9);
            for (ULONG Precision = 0; Precision < RTL_NUMBER_OF(Precisions); Precision++)
            {
                sprintf(Text, "<%%%s%s%ss>", Left ? "-" : "", Widths[Width], Precisions[Precision]);
                for (ULONG Index = 0; Index < RTL_NUMBER_OF(Strings); Index++)
                {
                    ASSERT_AS_LIBC(Text, Strings[Index]);
                }
            }
        }
    }
}

static void StarsTakeArguments(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (int Width = -12; Width <= 12; Width++)
    {
        for (int Precision = -2; Precision <= 12; Precision++)
        {
            ASSERT_AS_LIBC("<%*d>", Width, -1234);
            ASSERT_AS_LIBC("<%0*d>", Width, -1234);
            ASSERT_AS_LIBC("<%.*d>", Precision, 1234);
            ASSERT_AS_LIBC("<%*.*x>%s", Width, Precision, 0xBEEF, "next");
            ASSERT_AS_LIBC("<%-*.*s>%d", Width, Precision, "some text", 7);
        }
    }
}

static void LiteralsAndSeveralArgumentsKeepTheirOrder(void **State)
{
    UNREFERENCED_PARAMETER(State);

    ASSERT_AS_LIBC("100%% of %s", "it");
    ASSERT_AS_LIBC("%d %s %c %llx %u %ld %zu %hhd %d %d %d", 1, "two", '3', 4ull, 5u, 6l, (size_t)7,
                   (CHAR)8, 9, 10, 11);
    ASSERT_FORMATS("plain", "plain");
    ASSERT_FORMATS("", "");
}

static void RandomFormatsFormatAsInC(void **State)
{
    static const PCSTR Pieces[] = {"%d",   "%-8d", "%08x",  "%#x",    "%+d",   "%5u",  "%.3d",
                                   "%o",   "%X",   "%%",    " text ", "%hhu",  "%hd",  "%3c",
                                   "%-4c", "%#o",  "%+.4d", "% 6d",   "%-#9x", "%012d"};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 20000; Round++)
    {
        CHAR Text[64] = "";
        int Value = (int)HostRandom();

        for (ULONG Count = (ULONG)HostRandomBelow(7); Count != 0; Count--)
        {
            strcat(Text, Pieces[HostRandomBelow(RTL_NUMBER_OF(Pieces))]);
        }
        ASSERT_AS_LIBC(Text, Value, Value >> 8, ~Value, Value & 0xFF, 0, Value ^ 0x5A5A);
    }
}

static void TextThatDoesNotFitIsCutOff(void **State)
{
    CHAR Whole[128];
    SIZE_T Length;
    UNREFERENCED_PARAMETER(State);

    snprintf(Whole, sizeof(Whole), "%s: %08x %+5d|%-6s|%c", "text", 0xABCDEFu, 42, "left", 'z');
    Length = strlen(Whole);
    for (SIZE_T Size = 1; Size <= Length + 2; Size++)
    {
        PCHAR Buffer = malloc(Size);
        NTSTATUS Status;

        memset(Buffer, '?', Size);
        Status = RtlStringCbPrintfA(Buffer, Size, "%s: %08x %+5d|%-6s|%c", "text", 0xABCDEFu, 42,
                                    "left", 'z');
        assert_int_equal(Status, (Size > Length) ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW);
        assert_int_equal(strlen(Buffer), (Size > Length) ? Length : Size - 1);
        assert_memory_equal(Buffer, Whole, strlen(Buffer));
        free(Buffer);
    }
}

static void ImpossibleBufferSizesAreRefused(void **State)
{
    CHAR Buffer[4] = "abc";
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(RtlStringCbPrintfA(Buffer, 0, "x"), STATUS_INVALID_PARAMETER);
    assert_int_equal(RtlStringCbPrintfA(Buffer, (SIZE_T)-1, "x"), STATUS_INVALID_PARAMETER);
    assert_string_equal(Buffer, "abc");
}

static void AbsurdWidthsEndAtTheBuffer(void **State)
{
    CHAR Buffer[8];
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(Format(Buffer, sizeof(Buffer), "%2147483647d", 1), STATUS_BUFFER_OVERFLOW);
    assert_string_equal(Buffer, "       ");
    assert_int_equal(Format(Buffer, sizeof(Buffer), "%.99999999999999999999d", 1),
                     STATUS_BUFFER_OVERFLOW);
    assert_string_equal(Buffer, "0000000");
    assert_int_equal(Format(Buffer, sizeof(Buffer), "%*d", MINLONG, 1), STATUS_BUFFER_OVERFLOW);
    assert_string_equal(Buffer, "1      ");
}

static void StringsNeedNoTerminatorWithinThePrecision(void **State)
{
    PCHAR Bare = HostCopy("abcd", 4);
    UNREFERENCED_PARAMETER(State);

    ASSERT_FORMATS("<abcd>", "<%.4s>", Bare);
    ASSERT_FORMATS("< abc>", "<%4.3s>", Bare);
    free(Bare);
}

static void WhatDiffersFromCIsAsPromised(void **State)
{
    UNREFERENCED_PARAMETER(State);

    ASSERT_FORMATS("FFFFF80000123ABC", "%p", (PVOID)0xFFFFF80000123ABC);
    ASSERT_FORMATS("0000000000000000", "%p", NULL);
    ASSERT_FORMATS("<  00000000DEADBEEF>", "<%18p>", (PVOID)0xDEADBEEF);
    ASSERT_FORMATS("<00000000DEADBEEF  >", "<%-18p>", (PVOID)0xDEADBEEF);
    ASSERT_FORMATS("(null)|(nu", "%s|%.3s", NULL, NULL);
    ASSERT_FORMATS("-1 18446744073709551615 ffff", "%I64d %I64u %I64x", -1ll, MAXULONG64,
                   0xFFFFull);
}

static void UnknownConversionsEndTheFormatting(void **State)
{
    int Untouched = 7;
    UNREFERENCED_PARAMETER(State);

    ASSERT_FORMATS("1 %y %s %d", "%d %y %s %d", 1, (PVOID)1, 2);
    ASSERT_FORMATS("%n", "%n", &Untouched);
    assert_int_equal(Untouched, 7);
    ASSERT_FORMATS("1%", "%d%", 1);
    ASSERT_FORMATS("%-08.3l", "%-08.3l");
    ASSERT_FORMATS("%f", "%f", 1.0);
}

/* The format itself is read to its terminator and no further, even inside a conversion. */
static void FormatsThatEndEarlyAreNotReadPast(void **State)
{
    static const CHAR Complete[] = "ab%-+ #012.345I64";
    UNREFERENCED_PARAMETER(State);

    for (SIZE_T Length = 0; Length < sizeof(Complete); Length++)
    {
        CHAR Cut[sizeof(Complete)];
        CHAR Buffer[64];
        PCHAR Text;

        memcpy(Cut, Complete, Length);
        Cut[Length] = '\0';
        Text = HostCopy(Cut, Length + 1);
        assert_int_equal(Format(Buffer, sizeof(Buffer), Text), STATUS_SUCCESS);
        assert_string_equal(Buffer, Cut);
        free(Text);
    }
}

HOST_MAIN(cmocka_unit_test(IntegersFormatAsInC), cmocka_unit_test(StringsAndCharactersFormatAsInC),
          cmocka_unit_test(StarsTakeArguments),
          cmocka_unit_test(LiteralsAndSeveralArgumentsKeepTheirOrder),
          cmocka_unit_test(RandomFormatsFormatAsInC), cmocka_unit_test(TextThatDoesNotFitIsCutOff),
          cmocka_unit_test(ImpossibleBufferSizesAreRefused),
          cmocka_unit_test(AbsurdWidthsEndAtTheBuffer),
          cmocka_unit_test(StringsNeedNoTerminatorWithinThePrecision),
          cmocka_unit_test(WhatDiffersFromCIsAsPromised),
          cmocka_unit_test(UnknownConversionsEndTheFormatting),
          cmocka_unit_test(FormatsThatEndEarlyAreNotReadPast))
