/* SPDX-License-Identifier: MIT */
/*
 * waitlife.c - what a thread has waited for may go as soon as the wait is over: an event on the
 * waiter's stack is not touched any more by who set it. Law L87.
 */
#include "kt.h"

#define POISON 0xA5
#define LIMIT KT_SECONDS(60)

/* One event for the two of them, again and again. */
typedef struct _EXCHANGE
{
    KEVENT Event;
    volatile LONG Asked, Set; /* rounds: the waiter, the setter */
    volatile LONG Stop;       /* the waiter                     */
} EXCHANGE, *PEXCHANGE;

/* Sets it as soon as the other's block is linked, which is before he has left his processor. */
static VOID SetWhenLinked(PVOID Context, ULONG Processor)
{
    PEXCHANGE Exchange = Context;
    PLIST_ENTRY Waiters = &Exchange->Event.Header.WaitListHead;
    LONG Round = 0;

    UNREFERENCED_PARAMETER(Processor);
    while (!ReadAcquire(&Exchange->Stop))
    {
        if (ReadAcquire(&Exchange->Asked) != Round)
        {
            Round++;
            while (ReadPointerAcquire((PVOID volatile *)&Waiters->Flink) == Waiters)
            {
                YieldProcessor();
            }
            KeSetEvent(&Exchange->Event, IO_NO_INCREMENT, FALSE);
            WriteRelease(&Exchange->Set, Round);
        }
    }
}

static VOID CheckPoison(PKEVENT Event)
{
    PUCHAR Bytes = (PUCHAR)Event;

    for (ULONG Index = 0; Index < sizeof(*Event); Index++)
    {
        KT_CHECK(Bytes[Index] == POISON, "byte %u was written after the wait", Index);
    }
}

static VOID ObjectMayGo(VOID)
{
    static EXCHANGE Exchange;
    ULONG64 End = KtNow() + KtBudget();
    LONG Round = 0;
    KT_JOB Job;

    RtlZeroMemory(&Exchange, sizeof(Exchange));
    KtStart(&Job, 1, SetWhenLinked, &Exchange);
    do
    {
        Round++;
        KeInitializeEvent(&Exchange.Event, Round % 2 ? NotificationEvent : SynchronizationEvent,
                          FALSE);
        WriteRelease(&Exchange.Asked, Round);
        KeWaitForSingleObject(&Exchange.Event, Executive, KernelMode, FALSE, NULL);
        RtlFillMemory(&Exchange.Event, sizeof(Exchange.Event), POISON);
        KT_CHECK(KtWaitFor(&Exchange.Set, Round, LIMIT), "round %d: the setter is lost", Round);
        CheckPoison(&Exchange.Event);
    } while (!KtHasFailed() && (KtNow() < End || Round < 500));
    WriteRelease(&Exchange.Stop, TRUE);
    KtJoin(&Job);
    KtNote("%d rounds", Round);
}

static const KT_CASE Cases[] = {
    {"wait-L87-object-may-go", ObjectMayGo, 2, FALSE},
};

KT_DEFINE_SUITE(KtWaitLifeSuite, "ke", Cases);
