/* SPDX-License-Identifier: MIT */
/*
 * dpc.h - what ordinary DPCs (dpc.c), threaded ones (threadeddpc.c) and the flush (dpcflush.c)
 * share: the way into a queue and out of it. dpc.c has the theory.
 */
#pragma once

#include "ki.h"

/* (NULL, -) -> (Queue, args). FALSE if it was in a queue. Under Queue's lock. */
FORCEINLINE BOOLEAN KiLinkDpc(PKI_DPC_QUEUE Queue, PRKDPC Dpc, PVOID Argument1, PVOID Argument2)
{
    if (InterlockedCompareExchangePointer((PVOID volatile *)&Dpc->DpcData, Queue, NULL) != NULL)
    {
        return FALSE;
    }
    Dpc->SystemArgument1 = Argument1;
    Dpc->SystemArgument2 = Argument2;
    if (Dpc->Importance == HighImportance)
    {
        InsertHeadList(&Queue->List, &Dpc->DpcListEntry);
    }
    else
    {
        InsertTailList(&Queue->List, &Dpc->DpcListEntry);
    }
    Queue->Depth++;
    Queue->QueueCount++;
    return TRUE;
}

/* (Queue, args) -> (NULL, -). Under Queue's lock. */
FORCEINLINE VOID KiUnlinkDpc(PKI_DPC_QUEUE Queue, PRKDPC Dpc)
{
    RemoveEntryList(&Dpc->DpcListEntry);
    Queue->Depth--;
    /* Last: from here on another processor may claim it. pairs with: KiLinkDpc's exchange */
    WritePointerRelease(&Dpc->DpcData, NULL);
}

/* What a DPC said when it was taken: once it is out of the queue it may change. */
typedef struct _KI_DPC_CALL
{
    PKDEFERRED_ROUTINE Routine;
    PVOID Context;
    PVOID Argument1;
    PVOID Argument2;
} KI_DPC_CALL, *PKI_DPC_CALL;

/* Copies what the first DPC says; the queue is not empty. Under Queue's lock. */
FORCEINLINE PKDPC KiFirstDpc(PKI_DPC_QUEUE Queue, PKI_DPC_CALL Call)
{
    PKDPC Dpc = CONTAINING_RECORD(Queue->List.Flink, KDPC, DpcListEntry);

    Call->Routine = Dpc->DeferredRoutine;
    Call->Context = Dpc->DeferredContext;
    Call->Argument1 = Dpc->SystemArgument1;
    Call->Argument2 = Dpc->SystemArgument2;
    return Dpc;
}

/* threadeddpc.c */
VOID KiInitializeThreadedDpcs(PKPRCB Prcb);
/* KeInsertQueueDpc for a threaded DPC. Any IRQL. */
BOOLEAN KiInsertThreadedDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2);
