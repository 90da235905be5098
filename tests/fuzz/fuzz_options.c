/* SPDX-License-Identifier: MIT */
/*
 * fuzz_options.c - the kernel's command line: any text.
 *
 * Oracle: each argument is taken or reported once, in one sentence; texts stay terminated and
 * numbers within their limits; and the same line means the same twice, whatever lay in the
 * structure before.
 */
#include "fuzz.h"

#include <ke.h>
#include <options.h>

#define LONGEST_LINE 1023

static ULONG Problems;

static VOID Report(PVOID Context, PCSTR Text)
{
    FUZZ_REQUIRE(Context == &Problems);
    FUZZ_REQUIRE(strlen(Text) < 512 && strncmp(Text, "option '", 8) == 0);
    FUZZ_REQUIRE(strstr(Text, "ignored: ") != NULL);
    Problems++;
}

static ULONG CountArguments(PCSTR Line)
{
    ULONG Count = 0;

    while (*(Line += strspn(Line, " \t\n\v\f\r")) != '\0')
    {
        Line += strcspn(Line, " \t\n\v\f\r");
        Count++;
    }
    return Count;
}

#define CHECK_TEXT(Text) FUZZ_REQUIRE(memchr((Text), 0, sizeof(Text)) != NULL)

static VOID CheckOptions(const KI_OPTIONS *Options)
{
    CHECK_TEXT(Options->NicName);
    CHECK_TEXT(Options->Test);
    CHECK_TEXT(Options->Bench);
    CHECK_TEXT(Options->Verifier);
    CHECK_TEXT(Options->Fault);
    FUZZ_REQUIRE(Options->NumberOfProcessors >= 1);
    FUZZ_REQUIRE(Options->NumberOfProcessors <= MAXIMUM_PROCESSORS);
    FUZZ_REQUIRE(Options->BudgetMilliseconds >= 1 && Options->IdleSeconds >= 1);
    FUZZ_REQUIRE(Options->Exit <= KiExitReboot && Options->Nic <= KiNicPoll);
    FUZZ_REQUIRE(Options->LogLevel <= 3);
    FUZZ_REQUIRE(Options->IpPrefixLength <= 32);
    FUZZ_REQUIRE(Options->IpAddress[0] != 0 && Options->IpAddress[0] < 224);
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static KI_OPTIONS First, Second;
    PSTR Line = malloc(Size + 1);
    PSTR Copy;
    ULONG Before;

    memcpy(Line, Data, Size);
    Line[Size] = '\0';
    Size = strnlen(Line, LONGEST_LINE);
    Line[Size] = '\0';
    Copy = FuzzCopy(Line, Size + 1); /* ends with its terminator */

    Problems = 0;
    memset(&First, 0xA5, sizeof(First));
    KiParseOptions(Copy, &First, Report, &Problems);
    FUZZ_REQUIRE(Problems <= CountArguments(Copy));
    CheckOptions(&First);

    Before = Problems;
    memset(&Second, 0x5A, sizeof(Second));
    KiParseOptions(Copy, &Second, Report, &Problems);
    FUZZ_REQUIRE(Problems == 2 * Before);
    FUZZ_REQUIRE(memcmp(&First, &Second, sizeof(First)) == 0);
    FUZZ_REQUIRE(strcmp(Line, Copy) == 0);
    free(Copy);
    free(Line);
    return 0;
}
