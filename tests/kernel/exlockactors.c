/* SPDX-License-Identifier: MIT */
/* exlockactors.c - threads that do what a test tells them. See exlocks.h. */
#include "exlocks.h"

ACTOR Actors[MAXIMUM_ACTORS];

static VOID ActorMain(PVOID Context)
{
    PACTOR Actor = Context;

    for (;;)
    {
        KeWaitForSingleObject(&Actor->Go, Executive, KernelMode, FALSE, NULL);
        if (Actor->Step == NULL)
        {
            return;
        }
        Actor->Step(Actor);
        InterlockedIncrement(&Actor->Finished);
    }
}

VOID HireActors(ULONG Count, PVOID Context)
{
    for (ULONG Number = 0; Number < Count; Number++)
    {
        PACTOR Actor = &Actors[Number];

        Actor->Context = Context;
        Actor->Number = Number;
        Actor->Started = 0;
        Actor->Finished = 0;
        KeInitializeEvent(&Actor->Go, SynchronizationEvent, FALSE);
        KtCreateThread(&Actor->Thread, ActorMain, Actor, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    }
}

VOID DismissActors(ULONG Count)
{
    for (ULONG Number = 0; Number < Count; Number++)
    {
        Finish(Number);
        Actors[Number].Step = NULL;
        KeSetEvent(&Actors[Number].Go, IO_NO_INCREMENT, FALSE);
        KtJoinThread(&Actors[Number].Thread);
    }
}

VOID Begin(ULONG Number, VOID (*Step)(PACTOR Actor))
{
    PACTOR Actor = &Actors[Number];

    Finish(Number);
    Actor->Step = Step;
    Actor->Started++;
    KeSetEvent(&Actor->Go, IO_NO_INCREMENT, FALSE);
}

BOOLEAN IsFinished(ULONG Number)
{
    return ReadAcquire(&Actors[Number].Finished) == Actors[Number].Started;
}

VOID Finish(ULONG Number)
{
    UNTIL(IsFinished(Number));
}

VOID Do(ULONG Number, VOID (*Step)(PACTOR Actor))
{
    Begin(Number, Step);
    Finish(Number);
}
