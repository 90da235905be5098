/* SPDX-License-Identifier: MIT */
/*
 * test_glob.c - holds KiMatchGlob to a definition so plain that it cannot be wrong (and so slow
 * that it cannot be used), over all short patterns and texts of a small alphabet; and to its
 * promise of polynomial time.
 */
#include "host.h"

#include <options.h>

/* One alternative, by the definition: a star takes nothing, or one character and is still there. */
static BOOLEAN Matches(PCSTR Pattern, PCSTR Text)
{
    switch (*Pattern)
    {
    case '\0':
    case ',':
        return *Text == '\0';
    case '*':
        return Matches(Pattern + 1, Text) || (*Text != '\0' && Matches(Pattern, Text + 1));
    default:
        return *Text != '\0' && (*Pattern == '?' || *Pattern == *Text) &&
               Matches(Pattern + 1, Text + 1);
    }
}

static BOOLEAN MatchesAny(PCSTR Pattern, PCSTR Text)
{
    PCSTR Comma = strchr(Pattern, ',');

    return Matches(Pattern, Text) || (Comma != NULL && MatchesAny(Comma + 1, Text));
}

/* The Number-th string over an alphabet, in the order of their lengths. */
static VOID NthString(ULONG64 Number, PCSTR Alphabet, PCHAR String)
{
    ULONG64 Base = strlen(Alphabet);

    for (; Number != 0; Number = (Number - 1) / Base)
    {
        *String++ = Alphabet[(Number - 1) % Base];
    }
    *String = '\0';
}

static void AllShortPatternsMatchByDefinition(void **State)
{
    ULONG Matched = 0;
    UNREFERENCED_PARAMETER(State);

    for (ULONG PatternNumber = 0; PatternNumber < 3906; PatternNumber++) /* 5^0 + ... + 5^5 */
    {
        CHAR Pattern[16];

        NthString(PatternNumber, "ab*?,", Pattern);
        for (ULONG TextNumber = 0; TextNumber < 63; TextNumber++) /* 2^0 + ... + 2^5 */
        {
            CHAR Text[16];

            NthString(TextNumber, "ab", Text);
            if (KiMatchGlob(Pattern, Text) != MatchesAny(Pattern, Text))
            {
                fail_msg("pattern '%s', text '%s'", Pattern, Text);
            }
            Matched += MatchesAny(Pattern, Text);
        }
    }
    assert_in_range(Matched, 1000, 3906 * 63 - 1000);
}

static void LongRandomPatternsMatchByDefinition(void **State)
{
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 50000; Round++)
    {
        CHAR Pattern[24], Text[24];

        NthString(HostRandomBelow(1ull << 27), "aab*?,", Pattern);
        NthString(HostRandomBelow(1ull << 15), "ab", Text);
        if (KiMatchGlob(Pattern, Text) != MatchesAny(Pattern, Text))
        {
            fail_msg("pattern '%s', text '%s'", Pattern, Text);
        }
    }
}

static void TestNamesMatchAsUsersExpect(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_true(KiMatchGlob("*", "dpc/insert-remove"));
    assert_true(KiMatchGlob("dpc/*", "dpc/insert-remove"));
    assert_true(KiMatchGlob("irql/*,dpc/*", "dpc/insert-remove"));
    assert_true(KiMatchGlob("*remove", "dpc/insert-remove"));
    assert_false(KiMatchGlob("dpc", "dpc/insert-remove"));
    assert_false(KiMatchGlob("DPC/*", "dpc/insert-remove"));
    assert_false(KiMatchGlob("spinlock/*,irql/*", "dpc/insert-remove"));
    assert_true(KiMatchGlob("", ""));
    assert_false(KiMatchGlob("", "a"));
    assert_false(KiMatchGlob("a,", "b"));
}

static void EndsOfStringsAreRespected(void **State)
{
    PCHAR Pattern = HostCopy("a*b?", 5);
    PCHAR Text = HostCopy("aXb", 4);
    UNREFERENCED_PARAMETER(State);

    assert_false(KiMatchGlob(Pattern, Text));
    free(Pattern);
    free(Text);
}

/* A backtracking matcher takes longer than the age of the universe for this. */
static void ManyStarsTakePolynomialTime(void **State)
{
    CHAR Pattern[256], Text[4096];
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < 240; Index += 2)
    {
        Pattern[Index] = '*';
        Pattern[Index + 1] = 'a';
    }
    strcpy(Pattern + 240, "*b");
    memset(Text, 'a', sizeof(Text) - 1);
    Text[sizeof(Text) - 1] = '\0';
    assert_false(KiMatchGlob(Pattern, Text));
    Text[sizeof(Text) - 2] = 'b';
    assert_true(KiMatchGlob(Pattern, Text));
}

HOST_MAIN(cmocka_unit_test(AllShortPatternsMatchByDefinition),
          cmocka_unit_test(LongRandomPatternsMatchByDefinition),
          cmocka_unit_test(TestNamesMatchAsUsersExpect),
          cmocka_unit_test(EndsOfStringsAreRespected),
          cmocka_unit_test(ManyStarsTakePolynomialTime))
