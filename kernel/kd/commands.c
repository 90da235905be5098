/* SPDX-License-Identifier: MIT */
/*
 * commands.c - what can be typed: one table, a routine a command.
 *
 * A routine gets what follows the command's name, runs at PASSIVE_LEVEL in the console's thread,
 * and may wait. What would end the run says what it does and, where that destroys anything, wants
 * to be told twice.
 */
#include <arch/hal.h>
#include <keep.h>
#include <log.h>

#include "kdp.h"

#define LINES_SHOWN 40
#define LINES_AT_ONCE 64 /* fewer than the log's ring holds */

typedef struct _KDP_COMMAND
{
    PCSTR Name;
    VOID (*Routine)(PCSTR Arguments);
    PCSTR Help;
} KDP_COMMAND;

VOID KdpPrint(PCSTR Format, ...)
{
    CHAR Text[320];
    va_list Arguments;

    va_start(Arguments, Format);
    RtlStringCbVPrintfA(Text, sizeof(Text), Format, Arguments);
    va_end(Arguments);
    KiLogRaw(Text);
}

static VOID KdpHelp(PCSTR Arguments);

static VOID KdpCpus(PCSTR Arguments)
{
    UNREFERENCED_PARAMETER(Arguments);
    KdpPrint("cpu  thread           switches   interrupts         dpcs        halts\n");
    for (ULONG Index = 0; Index < KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS); Index++)
    {
        PKPRCB Prcb = KiProcessorBlock[Index];

        KdpPrint("%3u  %-12s %12llu %12llu %12llu %12llu\n", Index, KiQueryRunningName(Prcb),
                 Prcb->ContextSwitches, Prcb->InterruptCount, Prcb->DpcCount, Prcb->IdleHalts);
    }
}

static VOID KdpLog(PCSTR Arguments)
{
    BOOLEAN Previous = strcmp(Arguments, "previous") == 0;
    ULONG Count = strcmp(Arguments, "all") == 0 || Previous ? KI_KEEP_SLOTS : LINES_SHOWN;
    const VOID *Bank = KiKeptBank(Previous);
    KI_KEEP_INFO Info;
    KI_KEEP_LINE Line;

    if (Bank == NULL || KiKeepExamine(Bank, &Info) != NULL)
    {
        KdpPrint("there is no %s\n", Previous ? "log of the boot before" : "kept log");
        return;
    }
    for (ULONG64 Position = Info.Next > Count ? Info.Next - Count : 0; Position < Info.Next;
         Position++)
    {
        if (KiKeepRead(Bank, Position, &Line))
        {
            KdpPrint("| %llu.%06llu %u/%x %s\n", Line.Time / 10000000, Line.Time / 10 % 1000000,
                     Line.Processor, Line.Irql, Line.Text);
        }
        if (Position % LINES_AT_ONCE == 0)
        {
            KiLogFlush();
        }
    }
}

static VOID KdpReboot(PCSTR Arguments)
{
    UNREFERENCED_PARAMETER(Arguments);
    KiEndRun(KiExitReboot, HALP_EXIT_PASSED);
}

static VOID KdpPowerOff(PCSTR Arguments)
{
    UNREFERENCED_PARAMETER(Arguments);
    KiEndRun(KiExitPowerOff, HALP_EXIT_PASSED);
}

static VOID KdpBugCheck(PCSTR Arguments)
{
    if (strcmp(Arguments, "now") != 0)
    {
        KdpPrint("this stops every processor with bug check 0xE2 and its report; what follows, "
                 "panic= says.\nTo do it: bugcheck now\n");
        return;
    }
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 0, 0, 0, 0);
}

static const KDP_COMMAND KdpCommands[] = {
    {"help", KdpHelp, "this list"},
    {"cpus", KdpCpus, "what each processor runs and has done"},
    {"log", KdpLog, "the last 40 lines; log all: all that are kept; log previous: the boot before"},
    {"reboot", KdpReboot, "resets the machine"},
    {"poweroff", KdpPowerOff, "switches the machine off"},
    {"bugcheck", KdpBugCheck, "what it would do; bugcheck now: does it"},
};

static VOID KdpHelp(PCSTR Arguments)
{
    UNREFERENCED_PARAMETER(Arguments);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(KdpCommands); Index++)
    {
        KdpPrint("%-10s %s\n", KdpCommands[Index].Name, KdpCommands[Index].Help);
    }
}

static PCSTR KdpSkipBlanks(PCSTR Text)
{
    while (*Text == ' ')
    {
        Text++;
    }
    return Text;
}

VOID KdpRunCommand(PCSTR Line)
{
    PCSTR Name = KdpSkipBlanks(Line);
    SIZE_T Length = 0;

    while (Name[Length] != '\0' && Name[Length] != ' ')
    {
        Length++;
    }
    if (Length == 0)
    {
        return;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(KdpCommands); Index++)
    {
        PCSTR Known = KdpCommands[Index].Name;

        if (strlen(Known) == Length && strncmp(Known, Name, Length) == 0)
        {
            KdpCommands[Index].Routine(KdpSkipBlanks(Name + Length));
            return;
        }
    }
    KdpPrint("no such command: %.*s; help lists them\n", (int)Length, Name);
}
