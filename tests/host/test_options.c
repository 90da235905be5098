/* SPDX-License-Identifier: MIT */
/*
 * test_options.c - holds kernel/ke/options.c to its table: each option with each good and bad kind
 * of value; to the sentences that users see; and to the rule that whatever is ignored is reported
 * once and changes nothing, for random command lines too.
 */
#include "host.h"

#include <options.h>

#define MAXIMUM_PROBLEMS 64
#define PROBLEM_LENGTH 512

static CHAR Problems[MAXIMUM_PROBLEMS][PROBLEM_LENGTH];
static ULONG ProblemCount;
static KI_OPTIONS Options;

static VOID Report(PVOID Context, PCSTR Text)
{
    assert_ptr_equal(Context, &ProblemCount);
    assert_true(ProblemCount < MAXIMUM_PROBLEMS);
    assert_true(strlen(Text) < PROBLEM_LENGTH);
    assert_int_equal(strncmp(Text, "option '", 8), 0);
    assert_non_null(strstr(Text, "ignored: "));
    strcpy(Problems[ProblemCount++], Text);
}

/* Parses from a copy that ends at its terminator; returns the number of problems. */
static ULONG Parse(PCSTR CommandLine)
{
    PVOID Copy = HostCopy(CommandLine, strlen(CommandLine) + 1);

    ProblemCount = 0;
    memset(&Options, 0xA5, sizeof(Options));
    KiParseOptions(Copy, &Options, Report, &ProblemCount);
    free(Copy);
    return ProblemCount;
}

static VOID AssertProblem(PCSTR CommandLine, PCSTR Problem)
{
    assert_int_equal(Parse(CommandLine), 1);
    assert_string_equal(Problems[0], Problem);
}

static VOID AssertDefaults(VOID)
{
    static const UCHAR Address[4] = {10, 0, 2, 15};

    assert_int_equal(Options.NumberOfProcessors, 256);
    assert_false(Options.SeedGiven);
    assert_int_equal(Options.Seed, 0);
    assert_int_equal(Options.BudgetMilliseconds, 200);
    assert_int_equal(Options.IdleSeconds, 1);
    assert_string_equal(Options.Test, "");
    assert_string_equal(Options.Bench, "");
    assert_int_equal(Options.Exit, KiExitNone);
    assert_int_equal(Options.LogLevel, 2);
    assert_int_equal(Options.Console, KI_CONSOLE_SERIAL | KI_CONSOLE_FRAMEBUFFER);
    assert_string_equal(Options.Verifier, "");
    assert_string_equal(Options.Fault, "");
    assert_int_equal(Options.Trace, KiSwitchDefault);
    assert_int_equal(Options.X2Apic, KiSwitchDefault);
    assert_false(Options.TscUnstable);
    assert_int_equal(Options.KeepLines, 100);
    assert_int_equal(Options.Panic, KiExitNone);
    assert_int_equal(Options.PanicSeconds, 0);
    assert_int_equal(Options.FirstRung, 0);
    assert_int_equal(Options.Nic, KiNicAny);
    assert_string_equal(Options.NicName, "");
    assert_int_equal(Options.NicGsi, KI_NIC_GSI_UNKNOWN);
    assert_memory_equal(Options.IpAddress, Address, 4);
    assert_int_equal(Options.IpPrefixLength, 24);
}

static void AnEmptyCommandLineMeansTheDefaults(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(Parse(""), 0);
    AssertDefaults();
    assert_int_equal(Parse(" \t  \r\n "), 0);
    AssertDefaults();
}

static void EveryOptionIsTaken(void **State)
{
    static const UCHAR Address[4] = {192, 168, 1, 200};
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(
        Parse("numproc=4 test=dpc/*,irql/* bench=* seed=0x1f exit=debug log=trace\t"
              "console=fb verifier=std,pool trace=on nic=e1000e nic.gsi=16 "
              "ip=192.168.1.200/16 wc=off x2apic=off tsc=unstable fault=dpc-lost budget=2000 "
              "idle=10 keep=7 panic=reboot,5 reset=8042 nmi=panic"),
        0);
    assert_int_equal(Options.NumberOfProcessors, 4);
    assert_string_equal(Options.Test, "dpc/*,irql/*");
    assert_string_equal(Options.Bench, "*");
    assert_true(Options.SeedGiven);
    assert_int_equal(Options.Seed, 0x1F);
    assert_int_equal(Options.BudgetMilliseconds, 2000);
    assert_int_equal(Options.IdleSeconds, 10);
    assert_int_equal(Options.Nmi, KiNmiPanic);
    assert_int_equal(Options.Exit, KiExitDebug);
    assert_int_equal(Options.LogLevel, 3);
    assert_int_equal(Options.Console, KI_CONSOLE_FRAMEBUFFER);
    assert_int_equal(Options.WriteCombining, KiSwitchOff);
    assert_string_equal(Options.Verifier, "std,pool");
    assert_int_equal(Options.Trace, KiSwitchOn);
    assert_int_equal(Options.Nic, KiNicE1000e);
    assert_string_equal(Options.NicName, "e1000e");
    assert_int_equal(Options.NicGsi, 16);
    assert_memory_equal(Options.IpAddress, Address, 4);
    assert_int_equal(Options.IpPrefixLength, 16);
    assert_int_equal(Options.X2Apic, KiSwitchOff);
    assert_true(Options.TscUnstable);
    assert_int_equal(Options.KeepLines, 7);
    assert_int_equal(Options.Panic, KiExitReboot);
    assert_int_equal(Options.PanicSeconds, 5);
    assert_int_equal(Options.FirstRung, 2);
    assert_string_equal(Options.Fault, "dpc-lost");
}

static void EveryWordIsKnown(void **State)
{
    static const PCSTR Exits[] = {"debug", "poweroff", "halt", "reboot"};
    static const PCSTR Levels[] = {"error", "warning", "info", "trace"};
    static const PCSTR Nics[] = {"e1000", "e1000e", "none", "poll"};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < 4; Index++)
    {
        CHAR Line[64];

        sprintf(Line, "exit=%s log=%s nic=%s", Exits[Index], Levels[Index], Nics[Index]);
        assert_int_equal(Parse(Line), 0);
        assert_int_equal(Options.Exit, KiExitDebug + Index);
        assert_int_equal(Options.LogLevel, Index);
        assert_int_equal(Options.Nic, KiNicE1000 + Index);
        assert_string_equal(Options.NicName, Nics[Index]);
    }
    assert_int_equal(KiExitReboot, KiExitDebug + 3);
    assert_int_equal(KiNicPoll, KiNicE1000 + 3);
    assert_int_equal(Parse("nox2apic poison=on"), 0);
    assert_int_equal(Options.X2Apic, KiSwitchOff);
    assert_int_equal(Options.Poison, KiSwitchOn);
    assert_int_equal(Parse("trace=off x2apic=on lockhalt=off console=fb,serial,fb"), 0);
    assert_int_equal(Options.Trace, KiSwitchOff);
    assert_int_equal(Options.X2Apic, KiSwitchOn);
    assert_int_equal(Options.LockHalt, KiSwitchOff);
    assert_int_equal(Options.Console, KI_CONSOLE_SERIAL | KI_CONSOLE_FRAMEBUFFER);
    assert_int_equal(Parse("keep=off panic=halt reset=fault"), 0);
    assert_int_equal(Options.KeepLines, 0);
    assert_int_equal(Options.Panic, KiExitHalt);
    assert_int_equal(Options.FirstRung, 3);
    assert_int_equal(Parse("keep=on panic=reboot"), 0);
    assert_int_equal(Options.KeepLines, 100);
    assert_int_equal(Options.Panic, KiExitReboot);
    assert_int_equal(Options.PanicSeconds, 30);
    assert_int_equal(Parse("panic=0 keep=500"), 0);
    assert_int_equal(Options.Panic, KiExitReboot);
    assert_int_equal(Options.PanicSeconds, 0);
    assert_int_equal(Parse("console=serial"), 0);
    assert_int_equal(Options.Console, KI_CONSOLE_SERIAL);
    assert_int_equal(Parse("console=none"), 0);
    assert_int_equal(Options.Console, 0);
}

static void SynonymsMeanTheSame(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(Parse("maxcpus=7"), 0);
    assert_int_equal(Options.NumberOfProcessors, 7);
    assert_int_equal(Parse("onecpu"), 0);
    assert_int_equal(Options.NumberOfProcessors, 1);
    assert_int_equal(Parse("nosmp"), 0);
    assert_int_equal(Options.NumberOfProcessors, 1);
}

static void TheLastGoodOneCounts(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(Parse("numproc=2 numproc=3"), 0);
    assert_int_equal(Options.NumberOfProcessors, 3);
    assert_int_equal(Parse("onecpu maxcpus=5"), 0);
    assert_int_equal(Options.NumberOfProcessors, 5);
    assert_int_equal(Parse("numproc=2 numproc=many nic=poll nic=realtek ip=1.2.3.4/8 ip=1.2.3/8"),
                     3);
    assert_int_equal(Options.NumberOfProcessors, 2);
    assert_int_equal(Options.Nic, KiNicPoll);
    assert_string_equal(Options.NicName, "poll");
    assert_int_equal(Options.IpAddress[3], 4);
    assert_int_equal(Options.IpPrefixLength, 8);
}

static void ProblemsAreSentences(void **State)
{
    CHAR Long[400];
    UNREFERENCED_PARAMETER(State);

    AssertProblem("numproc=abc",
                  "option 'numproc=abc' ignored: numproc takes a number from 1 to 256");
    AssertProblem("maxcpus=0", "option 'maxcpus=0' ignored: maxcpus takes a number from 1 to 256");
    AssertProblem("onecpu=1", "option 'onecpu=1' ignored: onecpu takes no value");
    AssertProblem("test", "option 'test' ignored: test takes a pattern of up to 127 characters");
    AssertProblem("nic=rtl", "option 'nic=rtl' ignored: nic takes e1000, e1000e, none or poll");
    AssertProblem("nic.gsi=1024",
                  "option 'nic.gsi=1024' ignored: nic.gsi takes a number from 0 to 1023");
    AssertProblem("tsc=stable", "option 'tsc=stable' ignored: tsc takes unstable");
    AssertProblem("quiet", "option 'quiet' ignored: no such option");
    AssertProblem("=4", "option '=4' ignored: no such option");
    AssertProblem("numproc2=4", "option 'numproc2=4' ignored: no such option");
    AssertProblem("num=4", "option 'num=4' ignored: no such option");
    AssertProblem("NUMPROC=4", "option 'NUMPROC=4' ignored: no such option");
    AssertDefaults();

    memset(Long, 'a', sizeof(Long));
    Long[256] = '\0';
    AssertProblem(Long, "option 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...' ignored: "
                        "longer than 255 characters");
    Long[255] = '\0';
    assert_int_equal(Parse(Long), 1);
    assert_non_null(strstr(Problems[0], "no such option"));
    memcpy(Long, "verifier=", 9); /* the longest message there is fits whole */
    assert_int_equal(Parse(Long), 1);
    assert_non_null(strstr(Problems[0], "verifier takes a list of up to 127 characters"));
}

static void BadValuesAreRefused(void **State)
{
    CHAR Bad[] = "numproc numproc= numproc=257 numproc=-1 numproc=1x numproc=0x numproc=+1 "
                 "numproc=99999999999999999999 seed seed= seed=18446744073709551616 seed=0x "
                 "seed=0x10000000000000000 seed=1f seed=1a seed=0x1g seed=0x/ exit exit= "
                 "budget budget=0 budget=600001 budget=1s idle= idle=0 idle=3601 "
                 "exit=debugger exit=DEBUG log= log=4 "
                 "console console= console=serial, console=,fb console=vga console=serialfb "
                 "console=none,fb console=fb,none wc wc=1 "
                 "keep keep= keep=0 keep=501 keep=yes panic panic= panic=reboot, panic=3601 "
                 "panic=halt,3 panic=reboot,x panic=-1 reset reset= reset=kbd "
                 "trace trace= trace=yes nmi= nmi=stop x2apic=1 lockhalt=1 tsc tsc= test= bench= "
                 "verifier= fault= "
                 "nic nic= nic=e100 nic=e1000e1 nic.gsi= nic.gsi=-1 ip ip= ip=1.2.3.4 ip=1.2.3.4/ "
                 "ip=1.2.3.4/33 ip=1.2.3.4.5/8 ip=1.2.3/8 ip=1.2.3.256/8 ip=1..3.4/8 "
                 "ip=1.2.3.4/8x ip=0.0.0.0/8 ip=127.0.0.1/8 ip=224.0.0.1/8 ip=255.255.255.255/32 "
                 "ip=0x0a.0.2.15/24 ip=1.2.3.4/0x8 onecpu= nosmp=yes";
    UNREFERENCED_PARAMETER(State);

    for (PCHAR Argument = strtok(Bad, " "); Argument != NULL; Argument = strtok(NULL, " "))
    {
        if (Parse(Argument) == 0)
        {
            fail_msg("'%s' was accepted", Argument);
        }
        AssertDefaults();
    }
}

static void ValuesAtTheirLimitsAreTaken(void **State)
{
    CHAR Line[200] = "test=";
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(Parse("numproc=1"), 0);
    assert_int_equal(Parse("numproc=256"), 0);
    assert_int_equal(Parse("numproc=0x10"), 0);
    assert_int_equal(Options.NumberOfProcessors, 16);
    assert_int_equal(Parse("seed=18446744073709551615"), 0);
    assert_int_equal(Options.Seed, MAXULONG64);
    assert_int_equal(Parse("seed=0xFFFFffffFFFFffff"), 0);
    assert_int_equal(Options.Seed, MAXULONG64);
    assert_int_equal(Parse("seed=0xabcdefABCDEF"), 0);
    assert_int_equal(Options.Seed, 0xABCDEFABCDEFull);
    assert_int_equal(Parse("seed=1234567890"), 0);
    assert_int_equal(Options.Seed, 1234567890);
    assert_int_equal(Parse("seed=0"), 0);
    assert_true(Options.SeedGiven);
    assert_int_equal(Parse("nic.gsi=0"), 0);
    assert_int_equal(Options.NicGsi, 0);
    assert_int_equal(Parse("nic.gsi=1023"), 0);
    assert_int_equal(Parse("ip=1.0.0.0/0"), 0);
    assert_int_equal(Parse("ip=223.255.255.255/32"), 0);
    assert_int_equal(Options.IpAddress[0], 223);

    memset(Line + 5, '?', 127);
    Line[5 + 127] = '\0';
    assert_int_equal(Parse(Line), 0);
    assert_string_equal(Options.Test, Line + 5);
    Line[5 + 127] = '?';
    Line[5 + 128] = '\0';
    assert_int_equal(Parse(Line), 1);
    assert_string_equal(Options.Test, "");
    assert_int_equal(Parse("test=a=b"), 0);
    assert_string_equal(Options.Test, "a=b");
}

/* Every argument is either taken or reported, and texts stay terminated. */
static void RandomCommandLinesAreSurvived(void **State)
{
    static const PCSTR Pieces[] = {"numproc", "=",  " ",     "4",        "ip",   "10.0.2.15/24",
                                   "console", ",",  "fb",    "seed",     "0x",   "\xFF",
                                   "nic",     ".",  "gsi",   "e1000",    "%s%n", "test",
                                   "\t",      "on", "trace", " onecpu ", "ip="};
    ULONG Taken = 0;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 50000; Round++)
    {
        CHAR Line[512] = "";
        CHAR Words[512];
        ULONG Arguments = 0;

        for (ULONG Count = (ULONG)HostRandomBelow(24); Count != 0; Count--)
        {
            strcat(Line, Pieces[HostRandomBelow(RTL_NUMBER_OF(Pieces))]);
        }
        strcpy(Words, Line);
        for (PCHAR Word = strtok(Words, " \t"); Word != NULL; Word = strtok(NULL, " \t"))
        {
            Arguments++;
        }
        assert_true(Parse(Line) <= Arguments);
        Taken += Arguments - ProblemCount;
        assert_non_null(memchr(Options.Test, 0, sizeof(Options.Test)));
        assert_in_range(Options.NumberOfProcessors, 1, 256);
        assert_in_range(Options.IpPrefixLength, 0, 32);
    }
    assert_in_range(Taken, 5000, 100000);
}

HOST_MAIN(cmocka_unit_test(AnEmptyCommandLineMeansTheDefaults),
          cmocka_unit_test(EveryOptionIsTaken), cmocka_unit_test(EveryWordIsKnown),
          cmocka_unit_test(SynonymsMeanTheSame), cmocka_unit_test(TheLastGoodOneCounts),
          cmocka_unit_test(ProblemsAreSentences), cmocka_unit_test(BadValuesAreRefused),
          cmocka_unit_test(ValuesAtTheirLimitsAreTaken),
          cmocka_unit_test(RandomCommandLinesAreSurvived))
