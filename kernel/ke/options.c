/* SPDX-License-Identifier: MIT */
/*
 * options.c - reads the kernel's command line.
 *
 * One table names each option, what it takes, and the routine that reads its value. A reader
 * changes the options only once it has accepted the whole value, so a bad one leaves what an
 * earlier argument or the default had set.
 */
#include <ke.h>
#include <options.h>
#include <rtl.h>

#define KI_LONGEST_ARGUMENT 255

/* Room for an argument and for what the table has to say about it. */
#define KI_PROBLEM_SIZE (KI_LONGEST_ARGUMENT + 128)

#define KI_HIGHEST_GSI 1023
#define KI_LONGEST_BUDGET 600000 /* ms */
#define KI_LONGEST_IDLE 3600     /* s */

#define KI_LONGEST_PANIC 3600 /* s */
#define KI_PANIC_SECONDS 30
#define KI_KEPT_LINES 100
#define KI_MOST_KEPT_LINES 500

#define KI_QUOTE_EXPANDED(Text) #Text
#define KI_QUOTE(Macro) KI_QUOTE_EXPANDED(Macro)

/* Reads the value of one option; NULL stands for an option without "=". FALSE: a bad value. */
typedef BOOLEAN KI_READ_OPTION(PCSTR Value, PKI_OPTIONS Options);

typedef struct _KI_OPTION
{
    PCSTR Name;
    KI_READ_OPTION *Read;
    PCSTR Takes;
} KI_OPTION;

typedef struct _KI_PROBLEM_SINK
{
    KI_OPTION_PROBLEM *Report;
    PVOID Context;
} KI_PROBLEM_SINK;

/* The digit's value, or a number above any base. */
static ULONG KiDigitValue(CHAR Character)
{
    if (Character >= '0' && Character <= '9')
    {
        return (ULONG)(Character - '0');
    }
    Character |= 0x20; /* to lower case */
    if (Character >= 'a' && Character <= 'f')
    {
        return (ULONG)(Character - 'a') + 10;
    }
    return MAXULONG;
}

/* Advances *Text over the digits of a number; FALSE without any, or if it exceeds Maximum, which is
 * at least as large as any digit. */
static BOOLEAN KiReadDigits(PCSTR *Text, ULONG Base, ULONG64 Maximum, PULONG64 Number)
{
    PCSTR FirstDigit = *Text;
    ULONG Digit;

    *Number = 0;
    for (; (Digit = KiDigitValue(**Text)) < Base; ++*Text)
    {
        if (*Number > (Maximum - Digit) / Base)
        {
            return FALSE;
        }
        *Number = *Number * Base + Digit;
    }
    return *Text != FirstDigit;
}

/* A value that is a number and nothing else: decimal, or hexadecimal after "0x". */
static BOOLEAN KiReadNumber(PCSTR Value, ULONG64 Minimum, ULONG64 Maximum, PULONG64 Number)
{
    ULONG Base = 10;

    if (Value == NULL)
    {
        return FALSE;
    }
    if (strncmp(Value, "0x", 2) == 0)
    {
        Base = 16;
        Value += 2;
    }
    return KiReadDigits(&Value, Base, Maximum, Number) && *Value == '\0' && *Number >= Minimum;
}

/* The place of Value's first Length characters in a list of words, or Count. */
static ULONG KiFindWord(PCSTR Value, SIZE_T Length, const PCSTR *Words, ULONG Count)
{
    ULONG Index = 0;

    while (Index < Count &&
           (strlen(Words[Index]) != Length || strncmp(Words[Index], Value, Length) != 0))
    {
        Index++;
    }
    return Index;
}

/* A value that is one of a few words; *Choice is its place among them. */
static BOOLEAN KiReadChoice(PCSTR Value, const PCSTR *Words, ULONG Count, PULONG Choice)
{
    if (Value == NULL)
    {
        return FALSE;
    }
    *Choice = KiFindWord(Value, strlen(Value), Words, Count);
    return *Choice < Count;
}

/* A value that is kept as it is written, if it fits and is not empty. */
static BOOLEAN KiReadText(PCSTR Value, PSTR Text, SIZE_T TextSize)
{
    if (Value == NULL || *Value == '\0' || strlen(Value) >= TextSize)
    {
        return FALSE;
    }
    RtlCopyMemory(Text, Value, strlen(Value) + 1);
    return TRUE;
}

static BOOLEAN KiReadSwitch(PCSTR Value, KI_SWITCH *Switch)
{
    static const PCSTR Words[] = {"off", "on"};
    ULONG Choice;

    if (!KiReadChoice(Value, Words, RTL_NUMBER_OF(Words), &Choice))
    {
        return FALSE;
    }
    *Switch = (Choice == 0) ? KiSwitchOff : KiSwitchOn;
    return TRUE;
}

static BOOLEAN KiReadNumproc(PCSTR Value, PKI_OPTIONS Options)
{
    ULONG64 Number;

    if (!KiReadNumber(Value, 1, MAXIMUM_PROCESSORS, &Number))
    {
        return FALSE;
    }
    Options->NumberOfProcessors = (ULONG)Number;
    return TRUE;
}

static BOOLEAN KiReadOneCpu(PCSTR Value, PKI_OPTIONS Options)
{
    if (Value != NULL)
    {
        return FALSE;
    }
    Options->NumberOfProcessors = 1;
    return TRUE;
}

static BOOLEAN KiReadSeed(PCSTR Value, PKI_OPTIONS Options)
{
    ULONG64 Number;

    if (!KiReadNumber(Value, 0, MAXULONG64, &Number))
    {
        return FALSE;
    }
    Options->Seed = Number;
    Options->SeedGiven = TRUE;
    return TRUE;
}

static BOOLEAN KiReadUlong(PCSTR Value, ULONG Maximum, PULONG Option)
{
    ULONG64 Number;

    if (!KiReadNumber(Value, 1, Maximum, &Number))
    {
        return FALSE;
    }
    *Option = (ULONG)Number;
    return TRUE;
}

static BOOLEAN KiReadBudget(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadUlong(Value, KI_LONGEST_BUDGET, &Options->BudgetMilliseconds);
}

static BOOLEAN KiReadIdle(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadUlong(Value, KI_LONGEST_IDLE, &Options->IdleSeconds);
}

static BOOLEAN KiReadTest(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadText(Value, Options->Test, sizeof(Options->Test));
}

static BOOLEAN KiReadBench(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadText(Value, Options->Bench, sizeof(Options->Bench));
}

static BOOLEAN KiReadVerifier(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadText(Value, Options->Verifier, sizeof(Options->Verifier));
}

static BOOLEAN KiReadFault(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadText(Value, Options->Fault, sizeof(Options->Fault));
}

static BOOLEAN KiReadExit(PCSTR Value, PKI_OPTIONS Options)
{
    static const PCSTR Words[] = {"debug", "poweroff", "halt", "reboot"};
    ULONG Choice;

    if (!KiReadChoice(Value, Words, RTL_NUMBER_OF(Words), &Choice))
    {
        return FALSE;
    }
    Options->Exit = (KI_EXIT)(KiExitDebug + Choice);
    return TRUE;
}

static BOOLEAN KiReadLog(PCSTR Value, PKI_OPTIONS Options)
{
    static const PCSTR Words[] = {"error", "warning", "info", "trace"};
    ULONG Choice;

    if (!KiReadChoice(Value, Words, RTL_NUMBER_OF(Words), &Choice))
    {
        return FALSE;
    }
    Options->LogLevel = Choice;
    return TRUE;
}

static BOOLEAN KiReadConsole(PCSTR Value, PKI_OPTIONS Options)
{
    static const PCSTR Words[] = {"serial", "fb"};
    ULONG Console = 0;

    if (Value == NULL)
    {
        return FALSE;
    }
    if (strcmp(Value, "none") == 0)
    {
        Options->Console = 0;
        return TRUE;
    }
    for (;;)
    {
        SIZE_T Length = 0;

        while (Value[Length] != '\0' && Value[Length] != ',')
        {
            Length++;
        }
        ULONG Sink = KiFindWord(Value, Length, Words, RTL_NUMBER_OF(Words));
        if (Sink == RTL_NUMBER_OF(Words))
        {
            return FALSE;
        }
        Console |= 1u << Sink;
        if (Value[Length] == '\0')
        {
            Options->Console = Console;
            return TRUE;
        }
        Value += Length + 1;
    }
}

C_ASSERT(KI_CONSOLE_SERIAL == 1u << 0 && KI_CONSOLE_FRAMEBUFFER == 1u << 1);

static BOOLEAN KiReadWriteCombining(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadSwitch(Value, &Options->WriteCombining);
}

static BOOLEAN KiReadTrace(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadSwitch(Value, &Options->Trace);
}

static BOOLEAN KiReadX2Apic(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadSwitch(Value, &Options->X2Apic);
}

static BOOLEAN KiReadNoX2Apic(PCSTR Value, PKI_OPTIONS Options)
{
    if (Value != NULL)
    {
        return FALSE;
    }
    Options->X2Apic = KiSwitchOff;
    return TRUE;
}

static BOOLEAN KiReadPoison(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadSwitch(Value, &Options->Poison);
}

static BOOLEAN KiReadLockHalt(PCSTR Value, PKI_OPTIONS Options)
{
    return KiReadSwitch(Value, &Options->LockHalt);
}

static BOOLEAN KiReadKeep(PCSTR Value, PKI_OPTIONS Options)
{
    KI_SWITCH Switch;

    if (KiReadSwitch(Value, &Switch))
    {
        Options->KeepLines = Switch == KiSwitchOn ? KI_KEPT_LINES : 0;
        return TRUE;
    }
    return KiReadUlong(Value, KI_MOST_KEPT_LINES, &Options->KeepLines);
}

/* halt, reboot, reboot,SECONDS, or SECONDS alone: to reboot after. */
static BOOLEAN KiReadPanic(PCSTR Value, PKI_OPTIONS Options)
{
    ULONG64 Seconds = KI_PANIC_SECONDS;

    if (Value == NULL)
    {
        return FALSE;
    }
    if (strcmp(Value, "halt") == 0)
    {
        Options->Panic = KiExitHalt;
        return TRUE;
    }
    if (strncmp(Value, "reboot,", 7) == 0)
    {
        Value += 7;
    }
    if (strcmp(Value, "reboot") != 0 && !KiReadNumber(Value, 0, KI_LONGEST_PANIC, &Seconds))
    {
        return FALSE;
    }
    Options->Panic = KiExitReboot;
    Options->PanicSeconds = (ULONG)Seconds;
    return TRUE;
}

static BOOLEAN KiReadReset(PCSTR Value, PKI_OPTIONS Options)
{
    static const PCSTR Words[] = {"acpi", "cf9", "8042", "fault"};
    ULONG Choice;

    if (!KiReadChoice(Value, Words, RTL_NUMBER_OF(Words), &Choice))
    {
        return FALSE;
    }
    Options->FirstRung = Choice;
    return TRUE;
}

static BOOLEAN KiReadTsc(PCSTR Value, PKI_OPTIONS Options)
{
    if (Value == NULL || strcmp(Value, "unstable") != 0)
    {
        return FALSE;
    }
    Options->TscUnstable = TRUE;
    return TRUE;
}

static BOOLEAN KiReadNmi(PCSTR Value, PKI_OPTIONS Options)
{
    static const PCSTR Words[] = {"report", "panic"};
    ULONG Choice;

    if (!KiReadChoice(Value, Words, RTL_NUMBER_OF(Words), &Choice))
    {
        return FALSE;
    }
    Options->Nmi = (KI_NMI)(KiNmiReport + Choice);
    return TRUE;
}

static BOOLEAN KiReadNic(PCSTR Value, PKI_OPTIONS Options)
{
    static const PCSTR Words[] = {"e1000", "e1000e", "none", "poll"};
    ULONG Choice;

    if (!KiReadChoice(Value, Words, RTL_NUMBER_OF(Words), &Choice))
    {
        return FALSE;
    }
    Options->Nic = (KI_NIC)(KiNicE1000 + Choice);
    return KiReadText(Value, Options->NicName, sizeof(Options->NicName));
}

static BOOLEAN KiReadNicGsi(PCSTR Value, PKI_OPTIONS Options)
{
    ULONG64 Number;

    if (!KiReadNumber(Value, 0, KI_HIGHEST_GSI, &Number))
    {
        return FALSE;
    }
    Options->NicGsi = (ULONG)Number;
    return TRUE;
}

/* A.B.C.D/LEN, where the address can be a host's: not 0.x.x.x, loopback, multicast or above. */
static BOOLEAN KiReadIp(PCSTR Value, PKI_OPTIONS Options)
{
    UCHAR Address[4];
    ULONG64 Number;

    if (Value == NULL)
    {
        return FALSE;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Address); Index++)
    {
        CHAR Separator = (Index < RTL_NUMBER_OF(Address) - 1) ? '.' : '/';

        if (!KiReadDigits(&Value, 10, MAXUCHAR, &Number) || *Value++ != Separator)
        {
            return FALSE;
        }
        Address[Index] = (UCHAR)Number;
    }
    if (!KiReadDigits(&Value, 10, 32, &Number) || *Value != '\0' || Address[0] == 0 ||
        Address[0] == 127 || Address[0] >= 224)
    {
        return FALSE;
    }
    RtlCopyMemory(Options->IpAddress, Address, sizeof(Address));
    Options->IpPrefixLength = (UCHAR)Number;
    return TRUE;
}

#define KI_TAKES_TEXT "up to 127 characters"
#define KI_TAKES_COUNT "a number from 1 to " KI_QUOTE(MAXIMUM_PROCESSORS)

C_ASSERT(KI_OPTION_TEXT_SIZE == 128);

static const KI_OPTION KiOptionTable[] = {
    {"numproc", KiReadNumproc, KI_TAKES_COUNT},
    {"maxcpus", KiReadNumproc, KI_TAKES_COUNT},
    {"onecpu", KiReadOneCpu, "no value"},
    {"nosmp", KiReadOneCpu, "no value"},
    {"test", KiReadTest, "a pattern of " KI_TAKES_TEXT},
    {"bench", KiReadBench, "a pattern of " KI_TAKES_TEXT},
    {"seed", KiReadSeed, "a number of 64 bits, decimal or 0x and hexadecimal"},
    {"budget", KiReadBudget, "a number of ms from 1 to " KI_QUOTE(KI_LONGEST_BUDGET)},
    {"idle", KiReadIdle, "a number of seconds from 1 to " KI_QUOTE(KI_LONGEST_IDLE)},
    {"exit", KiReadExit, "debug, poweroff, halt or reboot"},
    {"log", KiReadLog, "error, warning, info or trace"},
    {"console", KiReadConsole, "serial, fb or both, separated by a comma, or none"},
    {"verifier", KiReadVerifier, "a list of " KI_TAKES_TEXT},
    {"fault", KiReadFault, "a name of " KI_TAKES_TEXT},
    {"wc", KiReadWriteCombining, "on or off"},
    {"trace", KiReadTrace, "on or off"},
    {"x2apic", KiReadX2Apic, "on or off"},
    {"nox2apic", KiReadNoX2Apic, "no value"},
    {"poison", KiReadPoison, "on or off"},
    {"lockhalt", KiReadLockHalt, "on or off"},
    {"keep", KiReadKeep, "on, off or a number of lines from 1 to " KI_QUOTE(KI_MOST_KEPT_LINES)},
    {"panic", KiReadPanic, "halt, reboot, or a number of seconds to " KI_QUOTE(KI_LONGEST_PANIC)},
    {"reset", KiReadReset, "acpi, cf9, 8042 or fault"},
    {"tsc", KiReadTsc, "unstable"},
    {"nmi", KiReadNmi, "report or panic"},
    {"nic", KiReadNic, "e1000, e1000e, none or poll"},
    {"nic.gsi", KiReadNicGsi, "a number from 0 to " KI_QUOTE(KI_HIGHEST_GSI)},
    {"ip", KiReadIp, "a host's address and prefix length, A.B.C.D/LEN"},
};

static VOID KiReportOption(const KI_PROBLEM_SINK *Sink, PCSTR Format, ...)
    __attribute__((format(printf, 2, 3)));

static VOID KiReportOption(const KI_PROBLEM_SINK *Sink, PCSTR Format, ...)
{
    CHAR Text[KI_PROBLEM_SIZE];
    va_list Arguments;

    va_start(Arguments, Format);
    RtlStringCbVPrintfA(Text, sizeof(Text), Format, Arguments);
    va_end(Arguments);
    Sink->Report(Sink->Context, Text);
}

static VOID KiReadArgument(PCSTR Argument, SIZE_T Length, PKI_OPTIONS Options,
                           const KI_PROBLEM_SINK *Sink)
{
    CHAR Copy[KI_LONGEST_ARGUMENT + 1];
    SIZE_T NameLength = 0;

    if (Length > KI_LONGEST_ARGUMENT)
    {
        KiReportOption(Sink, "option '%.32s...' ignored: longer than %u characters", Argument,
                       KI_LONGEST_ARGUMENT);
        return;
    }
    RtlCopyMemory(Copy, Argument, Length);
    Copy[Length] = '\0';
    while (Copy[NameLength] != '\0' && Copy[NameLength] != '=')
    {
        NameLength++;
    }
    PCSTR Value = (Copy[NameLength] == '=') ? &Copy[NameLength + 1] : NULL;

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(KiOptionTable); Index++)
    {
        const KI_OPTION *Option = &KiOptionTable[Index];

        if (strlen(Option->Name) == NameLength && strncmp(Option->Name, Copy, NameLength) == 0)
        {
            if (!Option->Read(Value, Options))
            {
                KiReportOption(Sink, "option '%s' ignored: %s takes %s", Copy, Option->Name,
                               Option->Takes);
            }
            return;
        }
    }
    KiReportOption(Sink, "option '%s' ignored: no such option", Copy);
}

static VOID KiSetDefaultOptions(PKI_OPTIONS Options)
{
    static const UCHAR DefaultAddress[4] = {10, 0, 2, 15}; /* what QEMU's user network hands out */

    RtlZeroMemory(Options, sizeof(*Options));
    Options->NumberOfProcessors = MAXIMUM_PROCESSORS;
    Options->BudgetMilliseconds = 200;
    Options->IdleSeconds = 1;
    Options->LogLevel = 2;
    Options->Console = KI_CONSOLE_SERIAL | KI_CONSOLE_FRAMEBUFFER;
    Options->KeepLines = KI_KEPT_LINES;
    Options->NicGsi = KI_NIC_GSI_UNKNOWN;
    RtlCopyMemory(Options->IpAddress, DefaultAddress, sizeof(DefaultAddress));
    Options->IpPrefixLength = 24;
}

static BOOLEAN KiIsBlank(CHAR Character)
{
    return Character == ' ' || (Character >= '\t' && Character <= '\r');
}

VOID KiParseOptions(PCSTR CommandLine, PKI_OPTIONS Options, KI_OPTION_PROBLEM *Report,
                    PVOID Context)
{
    const KI_PROBLEM_SINK Sink = {Report, Context};

    KiSetDefaultOptions(Options);
    for (;;)
    {
        SIZE_T Length = 0;

        while (KiIsBlank(*CommandLine))
        {
            CommandLine++;
        }
        if (*CommandLine == '\0')
        {
            return;
        }
        while (CommandLine[Length] != '\0' && !KiIsBlank(CommandLine[Length]))
        {
            Length++;
        }
        KiReadArgument(CommandLine, Length, Options, &Sink);
        CommandLine += Length;
    }
}
