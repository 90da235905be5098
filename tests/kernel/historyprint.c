/* SPDX-License-Identifier: MIT */
/* historyprint.c - a history as a line of text, in the form of tests/harness/history.py. */
#include <arch/hal.h>

#include "history.h"
#include "runner.h"

static const PCSTR OperationNames[HistoryOperationCount] = {
    [HistorySet] = "set",     [HistoryReset] = "reset", [HistoryClear] = "clear",
    [HistoryPulse] = "pulse", [HistoryRead] = "read",   [HistoryWait] = "wait",
    [HistoryAny] = "any",     [HistoryAll] = "all",     [HistoryRelease] = "release",
    [HistoryHead] = "head",   [HistoryTail] = "tail",   [HistoryRemove] = "remove",
    [HistoryLook] = "look",
};

static ULONG64 Nanoseconds(ULONG64 Counts)
{
    return Counts / HalpCounterFrequency * 1000000000 +
           Counts % HalpCounterFrequency * 1000000000 / HalpCounterFrequency;
}

VOID HistoryPrintHead(const HISTORY_KINDS *Kinds, LONG Round)
{
    static const PCSTR Names[] = {"sync:", "note:", "sem:", "mutex", "queue"};

    KtPrint("# history %s %d ", Kinds->Name, Round);
    for (ULONG Object = 0; Object < Kinds->ObjectCount; Object++)
    {
        KtPrint("%s%s", Object == 0 ? "" : ",", Names[Kinds->Objects[Object].Kind]);
        if (Kinds->Objects[Object].Kind <= HistorySemaphore)
        {
            KtPrint("%d", Kinds->Objects[Object].First);
        }
        if (Kinds->Objects[Object].Kind == HistorySemaphore)
        {
            KtPrint("/%d", HistoryLimit(Kinds, Object));
        }
    }
}

static VOID PrintOperands(const HISTORY_CALL *Call)
{
    PCSTR Separator = "";

    if (Call->Operation == HistoryLook)
    {
        KtPrint("%u", Call->Objects);
        return;
    }
    for (ULONG Object = 0; Object < HISTORY_OBJECTS; Object++)
    {
        if (Call->Objects & (1u << Object))
        {
            KtPrint("%s%u", Separator, Object);
            Separator = "+";
        }
    }
    switch (Call->Operation)
    {
    case HistoryRelease:
        if (Call->Argument == 0)
        {
            break;
        }
        /* fall through */
    case HistoryWait:
    case HistoryAny:
    case HistoryAll:
    case HistoryHead:
    case HistoryTail:
    case HistoryRemove:
        KtPrint(",%lld", Call->Argument);
        break;
    default:
        break;
    }
}

VOID HistoryPrintCall(ULONG Thread, const HISTORY_CALL *Call, ULONG64 Base)
{
    KtPrint(" %u:%s(", Thread, OperationNames[Call->Operation]);
    PrintOperands(Call);
    switch (Call->Result)
    {
    case RESULT_TIMEOUT:
        KtPrint(")=timeout");
        break;
    case RESULT_LIMIT:
        KtPrint(")=limit");
        break;
    case RESULT_NOT_OWNER:
        KtPrint(")=notowner");
        break;
    default:
        KtPrint(")=%d", Call->Result);
        break;
    }
    KtPrint("@%llx-%llx", Nanoseconds(Call->Start - Base), Nanoseconds(Call->End - Base));
}
