/* SPDX-License-Identifier: MIT */
/*
 * test_keep.c - holds the kept log's format (kernel/ke/keep.c) to what it promises: what was stored
 * comes back; a bank of garbage, of another version, with any byte changed, or with a slot half
 * written is never believed further than it is whole; and nothing outside the bank is touched.
 */
#include "host.h"

#include <keep.h>

#define HEADER_VERSION 8
#define HEADER_SLOT_SIZE 12
#define HEADER_SLOTS 16
#define HEADER_GENERATION 24
#define HEADER_CHECKSUM 40
#define HEADER_END 48
#define SLOT_LENGTH 20
#define SLOT_TEXT 28

static KI_KEEP_INFO Info;
static KI_KEEP_LINE Line;

/* A bank that ends where the sanitizer watches. To be freed. */
static PUCHAR NewBank(ULONG64 Generation)
{
    PUCHAR Bank = malloc(KI_KEEP_BANK_SIZE);

    assert_non_null(Bank);
    memset(Bank, 0xCC, KI_KEEP_BANK_SIZE);
    KiKeepFormat(Bank, Generation, HostRandom());
    return Bank;
}

static PUCHAR Slot(PUCHAR Bank, ULONG64 Position)
{
    return Bank + KI_KEEP_SLOT_SIZE * (1 + Position % KI_KEEP_SLOTS);
}

static VOID Store(PVOID Bank, ULONG64 Position)
{
    CHAR Text[32];

    snprintf(Text, sizeof(Text), "line %llu", (unsigned long long)Position);
    KiKeepStore(Bank, Position, Position * 3, (ULONG)(Position % 300), 2, 1, Text);
}

static VOID AssertLine(const VOID *Bank, ULONG64 Position)
{
    CHAR Text[32];

    snprintf(Text, sizeof(Text), "line %llu", (unsigned long long)Position);
    assert_true(KiKeepRead(Bank, Position, &Line));
    assert_string_equal(Line.Text, Text);
    assert_true(Line.Position == Position && Line.Time == Position * 3);
    assert_int_equal(Line.Processor, Position % 300);
    assert_int_equal(Line.Irql, 2);
    assert_int_equal(Line.Level, 1);
}

static void WhatIsStoredComesBack(void **State)
{
    PUCHAR Bank = NewBank(7);
    UNREFERENCED_PARAMETER(State);

    assert_null(KiKeepExamine(Bank, &Info));
    assert_int_equal(Info.Generation, 7);
    assert_int_equal(Info.End, KiKeepNotEnded);
    assert_int_equal(Info.Lines, 0);
    assert_int_equal(Info.Next, 0);
    for (ULONG64 Position = 0; Position < 3 * KI_KEEP_SLOTS; Position++)
    {
        Store(Bank, Position);
        AssertLine(Bank, Position);
    }
    assert_null(KiKeepExamine(Bank, &Info));
    assert_int_equal(Info.Lines, KI_KEEP_SLOTS);
    assert_int_equal(Info.Damaged, 0);
    assert_int_equal(Info.Next, 3 * KI_KEEP_SLOTS);
    assert_false(KiKeepRead(Bank, 2 * KI_KEEP_SLOTS - 1, &Line)); /* overwritten since */
    AssertLine(Bank, 2 * KI_KEEP_SLOTS);
    free(Bank);
}

static void ALongLineIsCutAndAStrangeOneMadePrintable(void **State)
{
    PUCHAR Bank = NewBank(1);
    CHAR Text[2 * KI_KEEP_TEXT_SIZE];
    UNREFERENCED_PARAMETER(State);

    memset(Text, 'x', sizeof(Text));
    Text[sizeof(Text) - 1] = '\0';
    KiKeepStore(Bank, KI_KEEP_SLOTS - 1, 0, 0, 0, 0, Text); /* the last slot: nothing behind it */
    assert_true(KiKeepRead(Bank, KI_KEEP_SLOTS - 1, &Line));
    assert_int_equal(strlen(Line.Text), KI_KEEP_TEXT_SIZE - 1);
    KiKeepStore(Bank, 0, 0, 0, 0, 0, "a\nb\033[2J\377c");
    assert_true(KiKeepRead(Bank, 0, &Line));
    assert_string_equal(Line.Text, "a.b.[2J.c");
    KiKeepStore(Bank, 1, 0, 0, 0, 0, "ended\n");
    assert_true(KiKeepRead(Bank, 1, &Line));
    assert_string_equal(Line.Text, "ended");
    KiKeepStore(Bank, 1, 0, 0, 0, 0, "");
    assert_true(KiKeepRead(Bank, 1, &Line));
    assert_string_equal(Line.Text, "");
    free(Bank);
}

static void TheEndIsWhatWasMarked(void **State)
{
    PUCHAR Bank = NewBank(1);
    UNREFERENCED_PARAMETER(State);

    for (KI_KEEP_END End = KiKeepNotEnded + 1; End < KiKeepEnds; End++)
    {
        KiKeepMarkEnd(Bank, End);
        assert_null(KiKeepExamine(Bank, &Info));
        assert_int_equal(Info.End, End);
    }
    Bank[HEADER_END] ^= 0x40; /* no such word */
    assert_null(KiKeepExamine(Bank, &Info));
    assert_int_equal(Info.End, KiKeepNotEnded);
    free(Bank);
}

static void AColdStartIsNoLog(void **State)
{
    static const UCHAR Fills[] = {0x00, 0xFF, 0xCC, 0xDD, 0xAA, 0x55};
    PUCHAR Bank = malloc(KI_KEEP_BANK_SIZE);
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Fills); Index++)
    {
        memset(Bank, Fills[Index], KI_KEEP_BANK_SIZE);
        assert_ptr_equal(KiKeepExamine(Bank, &Info), KiKeepNothing);
    }
    for (ULONG Round = 0; Round < 50; Round++)
    {
        for (ULONG Index = 0; Index < KI_KEEP_BANK_SIZE; Index += 8)
        {
            ULONG64 Value = HostRandom();

            memcpy(Bank + Index, &Value, 8);
        }
        assert_ptr_equal(KiKeepExamine(Bank, &Info), KiKeepNothing);
    }
    free(Bank);
}

static VOID AssertHeaderProblem(ULONG Offset, PCSTR Problem)
{
    PUCHAR Bank = NewBank(3);

    Store(Bank, 0);
    Bank[Offset] ^= 1;
    assert_string_equal(KiKeepExamine(Bank, &Info), Problem);
    assert_int_equal(Info.Lines, 0);
    free(Bank);
}

static void AWrongHeaderIsNamed(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertHeaderProblem(0, "there is none");
    AssertHeaderProblem(HEADER_VERSION, "it is of another version");
    AssertHeaderProblem(HEADER_SLOT_SIZE, "its sizes are not this kernel's");
    AssertHeaderProblem(HEADER_SLOTS, "its sizes are not this kernel's");
    AssertHeaderProblem(HEADER_GENERATION, "its header's checksum is wrong");
    AssertHeaderProblem(HEADER_CHECKSUM, "its header's checksum is wrong");
}

/* Every byte of the header up to its checksum counts. */
static void EachByteOfTheHeaderCounts(void **State)
{
    PUCHAR Bank = NewBank(3);
    UNREFERENCED_PARAMETER(State);

    for (ULONG Offset = 0; Offset < HEADER_END; Offset++)
    {
        for (ULONG Bit = 0; Bit < 8; Bit++)
        {
            Bank[Offset] ^= 1 << Bit;
            assert_non_null(KiKeepExamine(Bank, &Info));
            Bank[Offset] ^= 1 << Bit;
        }
    }
    assert_null(KiKeepExamine(Bank, &Info));
    free(Bank);
}

/* Any bit of a line wrong: that line is lost, and no other. The length's bits reach beyond. */
static void ADamagedLineCostsItself(void **State)
{
    PUCHAR Bank = NewBank(3);
    ULONG Used = SLOT_TEXT + 6; /* "line 5" */
    UNREFERENCED_PARAMETER(State);

    for (ULONG64 Position = 0; Position < 10; Position++)
    {
        Store(Bank, Position);
    }
    for (ULONG Bit = 0; Bit < Used * 8; Bit++)
    {
        Slot(Bank, 5)[Bit / 8] ^= 1 << Bit % 8;
        assert_false(KiKeepRead(Bank, 5, &Line));
        AssertLine(Bank, 4);
        AssertLine(Bank, 6);
        assert_null(KiKeepExamine(Bank, &Info));
        assert_int_equal(Info.Lines, 9);
        assert_int_equal(Info.Next, 10);
        assert_true(Info.Damaged == 1);
        Slot(Bank, 5)[Bit / 8] ^= 1 << Bit % 8;
    }
    memset(Slot(Bank, 5) + SLOT_LENGTH, 0xFF, 4);
    assert_false(KiKeepRead(Bank, 5, &Line));
    free(Bank);
}

/* A reset in the middle of a line, at each byte: the old line or the new one, or neither. */
static void ATornLineIsNeither(void **State)
{
    PUCHAR Bank = NewBank(3), Later = malloc(KI_KEEP_BANK_SIZE);
    UCHAR Old[KI_KEEP_SLOT_SIZE], New[KI_KEEP_SLOT_SIZE];
    UNREFERENCED_PARAMETER(State);

    KiKeepStore(Bank, 9, 100, 1, 2, 0, "the first text of this slot");
    memcpy(Old, Slot(Bank, 9), sizeof(Old));
    KiKeepStore(Bank, 9 + KI_KEEP_SLOTS, 200, 2, 3, 1, "another, of the next round, longer");
    memcpy(New, Slot(Bank, 9), sizeof(New));
    memcpy(Later, Bank, KI_KEEP_BANK_SIZE);
    for (ULONG Cut = 1; Cut < SLOT_TEXT + 34; Cut++)
    {
        memcpy(Slot(Later, 9), New, Cut);
        memcpy(Slot(Later, 9) + Cut, Old + Cut, sizeof(Old) - Cut);
        assert_false(KiKeepRead(Later, 9, &Line));
        assert_false(KiKeepRead(Later, 9 + KI_KEEP_SLOTS, &Line));
        assert_null(KiKeepExamine(Later, &Info));
        assert_int_equal(Info.Lines, 0);
        assert_int_equal(Info.Damaged, 1);
    }
    free(Later);
    free(Bank);
}

/* A line that an earlier boot left, and one in a slot that is not its own. */
static void AnEarlierBootsLineIsNotThisOnes(void **State)
{
    PUCHAR Bank = NewBank(3);
    UCHAR Old[KI_KEEP_SLOT_SIZE];
    UNREFERENCED_PARAMETER(State);

    Store(Bank, 4);
    memcpy(Old, Slot(Bank, 4), sizeof(Old));
    memcpy(Slot(Bank, 8), Old, sizeof(Old));
    assert_null(KiKeepExamine(Bank, &Info));
    assert_int_equal(Info.Lines, 1);
    assert_int_equal(Info.Damaged, 1);
    KiKeepFormat(Bank, 4, HostRandom());
    assert_false(KiKeepRead(Bank, 4, &Line));
    memcpy(Slot(Bank, 4), Old, sizeof(Old));
    assert_false(KiKeepRead(Bank, 4, &Line));
    free(Bank);
}

/* Slots of noise behind a good header: survived, and no line of noise is shown. */
static void NoiseBehindAHeaderIsSurvived(void **State)
{
    PUCHAR Bank = NewBank(3);
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 20; Round++)
    {
        for (ULONG Index = KI_KEEP_SLOT_SIZE; Index < KI_KEEP_BANK_SIZE; Index += 8)
        {
            ULONG64 Value = HostRandomBelow(4) != 0 ? HostRandomBelow(600) : HostRandom();

            memcpy(Bank + Index, &Value, 8);
        }
        assert_null(KiKeepExamine(Bank, &Info));
        assert_int_equal(Info.Lines, 0);
        for (ULONG64 Position = 0; Position < KI_KEEP_SLOTS; Position++)
        {
            assert_false(KiKeepRead(Bank, Position, &Line));
        }
    }
    free(Bank);
}

HOST_MAIN(cmocka_unit_test(WhatIsStoredComesBack),
          cmocka_unit_test(ALongLineIsCutAndAStrangeOneMadePrintable),
          cmocka_unit_test(TheEndIsWhatWasMarked), cmocka_unit_test(AColdStartIsNoLog),
          cmocka_unit_test(AWrongHeaderIsNamed), cmocka_unit_test(EachByteOfTheHeaderCounts),
          cmocka_unit_test(ADamagedLineCostsItself), cmocka_unit_test(ATornLineIsNeither),
          cmocka_unit_test(AnEarlierBootsLineIsNotThisOnes),
          cmocka_unit_test(NoiseBehindAHeaderIsSurvived))
