/* SPDX-License-Identifier: MIT */
/*
 * test_rtl.c - holds lib/memory.c to the C standard: every routine, for all short lengths and all
 * alignments, does what the C library's does, returns what it returns, and touches no byte beyond
 * its operands. And rtl.h's lists to "Singly and Doubly Linked Lists".
 */
#include "host.h"

#include <rtl.h>

/* lib/memory.c's routines, as host.mk renames them. */
void *RtlpHost_memcpy(void *Destination, const void *Source, size_t Length);
void *RtlpHost_memmove(void *Destination, const void *Source, size_t Length);
void *RtlpHost_memset(void *Destination, int Fill, size_t Length);
int RtlpHost_memcmp(const void *Source1, const void *Source2, size_t Length);
size_t RtlpHost_strlen(const char *String);
int RtlpHost_strcmp(const char *String1, const char *String2);
int RtlpHost_strncmp(const char *String1, const char *String2, size_t Length);

/* Longer than three turns of the 32-byte loops, so that each loop is entered with each rest. */
#define LONGEST 131
#define ALIGNMENTS 9
#define ARENA (LONGEST + 2 * ALIGNMENTS + 64)

static int Sign(int Value)
{
    return (Value > 0) - (Value < 0);
}

static VOID FillRandom(PUCHAR Data, SIZE_T Length)
{
    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        Data[Index] = (UCHAR)HostRandom();
    }
}

static void MemcpyCopiesExactly(void **State)
{
    UCHAR Actual[ARENA], Expected[ARENA];
    UNREFERENCED_PARAMETER(State);

    for (SIZE_T Length = 0; Length <= LONGEST; Length++)
    {
        for (SIZE_T Offset = 0; Offset < ALIGNMENTS; Offset++)
        {
            UCHAR Content[LONGEST];
            PUCHAR Source;

            FillRandom(Content, Length);
            FillRandom(Actual, sizeof(Actual));
            memcpy(Expected, Actual, sizeof(Actual));
            memcpy(Expected + Offset, Content, Length);
            Source = HostCopy(Content, Length);
            assert_ptr_equal(RtlpHost_memcpy(Actual + Offset, Source, Length), Actual + Offset);
            assert_memory_equal(Actual, Expected, sizeof(Actual));
            free(Source);
        }
    }
}

static void MemmoveCopiesOverlappingMemory(void **State)
{
    UCHAR Actual[ARENA], Expected[ARENA];
    UNREFERENCED_PARAMETER(State);

    for (SIZE_T Length = 0; Length <= LONGEST; Length++)
    {
        for (SIZE_T To = 0; To <= ARENA - LONGEST; To++)
        {
            SIZE_T From = (ARENA - LONGEST) / 2;

            FillRandom(Actual, sizeof(Actual));
            memcpy(Expected, Actual, sizeof(Actual));
            memmove(Expected + To, Expected + From, Length);
            assert_ptr_equal(RtlpHost_memmove(Actual + To, Actual + From, Length), Actual + To);
            assert_memory_equal(Actual, Expected, sizeof(Actual));
        }
    }
}

static void MemsetFillsExactly(void **State)
{
    static const int Fills[] = {0, 1, 0x7F, 0x80, 0xFF, -1, 0x1234};
    UCHAR Actual[ARENA], Expected[ARENA];
    UNREFERENCED_PARAMETER(State);

    for (SIZE_T Length = 0; Length <= LONGEST; Length++)
    {
        for (SIZE_T Offset = 0; Offset < ALIGNMENTS; Offset++)
        {
            int Fill = Fills[HostRandomBelow(RTL_NUMBER_OF(Fills))];

            FillRandom(Actual, sizeof(Actual));
            memcpy(Expected, Actual, sizeof(Actual));
            memset(Expected + Offset, Fill, Length);
            assert_ptr_equal(RtlpHost_memset(Actual + Offset, Fill, Length), Actual + Offset);
            assert_memory_equal(Actual, Expected, sizeof(Actual));
        }
    }
}

static void ComparisonsFindTheFirstDifference(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (SIZE_T Length = 0; Length <= LONGEST; Length++)
    {
        UCHAR Content[LONGEST];
        PUCHAR First, Second;

        FillRandom(Content, Length);
        First = HostCopy(Content, Length);
        Second = HostCopy(Content, Length);
        assert_int_equal(RtlpHost_memcmp(First, Second, Length), 0);
        assert_int_equal(RtlCompareMemory(First, Second, Length), Length);
        for (SIZE_T Place = 0; Place < Length; Place++)
        {
            /* A second difference further on, of the opposite sign, must not count. */
            Second[Length - 1] = (UCHAR)~First[Length - 1];
            Second[Place] = (UCHAR)(First[Place] ^ (1 + HostRandomBelow(255)));
            assert_int_equal(RtlCompareMemory(First, Second, Length), Place);
            assert_int_equal(Sign(RtlpHost_memcmp(First, Second, Length)),
                             Sign((int)First[Place] - (int)Second[Place]));
            memcpy(Second, First, Length);
        }
        free(First);
        free(Second);
    }
}

static void StrlenCountsToTheTerminator(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (SIZE_T Length = 0; Length <= LONGEST; Length++)
    {
        CHAR Content[LONGEST + 1];
        PCHAR String;

        memset(Content, 0x80 | 'a', Length);
        Content[Length] = '\0';
        String = HostCopy(Content, Length + 1);
        assert_int_equal(RtlpHost_strlen(String), Length);
        free(String);
    }
}

static void StringsCompareAsUnsignedCharacters(void **State)
{
    static const PCSTR Strings[] = {"",  "a",    "ab",   "abc",      "abd",      "ab ",
                                    "A", "\x7F", "\x80", "\xFF\x01", "abcdefgh", "abcdefgi"};
    UNREFERENCED_PARAMETER(State);

    for (ULONG First = 0; First < RTL_NUMBER_OF(Strings); First++)
    {
        for (ULONG Second = 0; Second < RTL_NUMBER_OF(Strings); Second++)
        {
            PCHAR Left = HostCopy(Strings[First], strlen(Strings[First]) + 1);
            PCHAR Right = HostCopy(Strings[Second], strlen(Strings[Second]) + 1);

            assert_int_equal(Sign(RtlpHost_strcmp(Left, Right)), Sign(strcmp(Left, Right)));
            for (SIZE_T Limit = 0; Limit < 20; Limit++)
            {
                assert_int_equal(Sign(RtlpHost_strncmp(Left, Right, Limit)),
                                 Sign(strncmp(Left, Right, Limit)));
            }
            free(Left);
            free(Right);
        }
    }
}

static void StrncmpStopsAtItsLimit(void **State)
{
    PCHAR Left = HostCopy("abcd", 4);
    PCHAR Right = HostCopy("abcd", 4);
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(RtlpHost_strncmp(Left, Right, 4), 0);
    free(Left);
    free(Right);
}

typedef struct _NUMBERED
{
    ULONG Number;
    LIST_ENTRY Link;
} NUMBERED;

static ULONG NumberOf(PLIST_ENTRY Entry)
{
    return CONTAINING_RECORD(Entry, NUMBERED, Link)->Number;
}

static void ListsKeepTheirOrder(void **State)
{
    LIST_ENTRY Head;
    NUMBERED Item[4] = {{.Number = 0}, {.Number = 1}, {.Number = 2}, {.Number = 3}};
    UNREFERENCED_PARAMETER(State);

    InitializeListHead(&Head);
    assert_true(IsListEmpty(&Head));
    InsertTailList(&Head, &Item[1].Link);
    InsertTailList(&Head, &Item[2].Link);
    InsertHeadList(&Head, &Item[0].Link);
    InsertTailList(&Head, &Item[3].Link);
    assert_false(IsListEmpty(&Head));

    assert_false(RemoveEntryList(&Item[2].Link));
    assert_int_equal(NumberOf(RemoveHeadList(&Head)), 0);
    assert_int_equal(NumberOf(Head.Flink), 1);
    assert_int_equal(NumberOf(Head.Blink), 3);
    assert_int_equal(NumberOf(Head.Blink->Blink), 1);
    assert_false(RemoveEntryList(&Item[1].Link));
    assert_true(RemoveEntryList(&Item[3].Link));
    assert_true(IsListEmpty(&Head));
    assert_ptr_equal(RemoveHeadList(&Head), &Head);
}

static void ByteSwapsReverseBytes(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(RtlUshortByteSwap(0x1234), 0x3412);
    assert_int_equal(RtlUlongByteSwap(0x12345678u), 0x78563412u);
    assert_int_equal(RtlUlonglongByteSwap(0x0123456789ABCDEFull), 0xEFCDAB8967452301ull);
}

HOST_MAIN(cmocka_unit_test(MemcpyCopiesExactly), cmocka_unit_test(MemmoveCopiesOverlappingMemory),
          cmocka_unit_test(MemsetFillsExactly), cmocka_unit_test(ComparisonsFindTheFirstDifference),
          cmocka_unit_test(StrlenCountsToTheTerminator),
          cmocka_unit_test(StringsCompareAsUnsignedCharacters),
          cmocka_unit_test(StrncmpStopsAtItsLimit), cmocka_unit_test(ListsKeepTheirOrder),
          cmocka_unit_test(ByteSwapsReverseBytes))
