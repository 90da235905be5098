/* SPDX-License-Identifier: MIT */
/* crew.c - runs a crew. See crew.h. */
#include "crew.h"

#define LOOK_EVERY KT_MILLISECONDS(5)
#define STALL_LIMIT KT_SECONDS(120)
#define PAUSE_EVERY 8    /* looks */
#define SHUFFLE_EVERY 64 /* turns */
#define RUNNER_PRIORITY HIGH_PRIORITY

BOOLEAN CrewIsOver(PCREW Crew)
{
    return ReadAcquire(&Crew->Over) != 0;
}

ULONG CrewSize(ULONG Lowest, ULONG Highest)
{
    ULONG Count = KtProcessors() * 2;

    Count = Count < Highest ? Count : Highest;
    return Count > Lowest ? Count : Lowest;
}

ULONG CrewDraw(PCREW_MEMBER Member, ULONG Count)
{
    return (ULONG)((KtRandom(&Member->Random) >> 32) % Count);
}

VOID CrewLinger(PCREW_MEMBER Member)
{
    switch (CrewDraw(Member, 8))
    {
    case 0:
        KtYield();
        break;
    case 1:
        KeStallExecutionProcessor(CrewDraw(Member, 32));
        break;
    default:
        break;
    }
}

/* Somewhere else, or anywhere again. */
static VOID Shuffle(PCREW_MEMBER Member)
{
    if (CrewDraw(Member, 2) == 0)
    {
        KeSetSystemAffinityThread(KtRandom(&Member->Random) & KeQueryActiveProcessors());
    }
    else
    {
        KeRevertToUserAffinityThread();
    }
}

static VOID MemberMain(PVOID Context)
{
    PCREW_MEMBER Member = Context;
    PCREW Crew = Member->Crew;

    while (!CrewIsOver(Crew))
    {
        if (ReadAcquire(&Crew->Pausing) && CrewDraw(Member, 2) == 0)
        {
            KtSleep(LOOK_EVERY / 2);
        }
        if (!Crew->Fixed && CrewDraw(Member, SHUFFLE_EVERY) == 0)
        {
            Shuffle(Member);
        }
        Crew->Turn(Member);
        Member->Turns++;
    }
    InterlockedIncrement(&Crew->Ended);
}

/* ------------------------------------------------------------------ The runner. */

static VOID StartMembers(PCREW Crew)
{
    for (ULONG Number = 0; Number < Crew->Count; Number++)
    {
        PCREW_MEMBER Member = &Crew->Members[Number];

        RtlZeroMemory(Member, sizeof(*Member));
        Member->Crew = Crew;
        Member->Number = Number;
        Member->LastProgress = KtNow();
        KtSeed(&Member->Random, Number + 1);
    }
    for (ULONG Number = 0; Number < Crew->Count; Number++)
    {
        PCREW_MEMBER Member = &Crew->Members[Number];

        KtCreateThread(&Member->Thread, MemberMain, Member, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    }
}

/* TRUE if the member has done its least. */
static BOOLEAN LookAtMember(PCREW Crew, PCREW_MEMBER Member)
{
    ULONG64 Turns = Member->Turns, Now = KtNow();

    if (Turns != Member->TurnsSeen)
    {
        Member->TurnsSeen = Turns;
        Member->LastProgress = Now;
    }
    else if (Now - Member->LastProgress > STALL_LIMIT)
    {
        PKTHREAD Thread = &Member->Thread.Thread;

        KiLog(KiLogError, "%s: member %u has made %llu turns and no more", Crew->Name,
              Member->Number, Turns);
        KeBugCheckEx(CLOCK_WATCHDOG_TIMEOUT, STALL_LIMIT, (ULONG_PTR)Thread,
                     (ULONG_PTR)Thread->State, (ULONG_PTR)Thread->WaitState);
    }
    return Turns >= Crew->Least;
}

static BOOLEAN HaveAllEnough(PCREW Crew)
{
    ULONG Watched = Crew->Leaders != 0 ? Crew->Leaders : Crew->Count;
    BOOLEAN Enough = TRUE;

    for (ULONG Number = 0; Number < Watched; Number++)
    {
        Enough &= LookAtMember(Crew, &Crew->Members[Number]);
    }
    return Enough;
}

static VOID Watch(PCREW Crew)
{
    ULONG64 End = KtNow() + KtBudget();

    for (ULONG Look = 1; (!HaveAllEnough(Crew) || KtNow() < End) && !KtHasFailed(); Look++)
    {
        WriteRelease(&Crew->Pausing, Look % PAUSE_EVERY == 0);
        KtSleep(LOOK_EVERY);
    }
    WriteRelease(&Crew->Pausing, FALSE);
}

static VOID Report(PCREW Crew)
{
    ULONG64 Total = 0, Least = MAXULONG64, Most = 0;

    for (ULONG Number = 0; Number < Crew->Count; Number++)
    {
        ULONG64 Turns = Crew->Members[Number].Turns;

        Total += Turns;
        Least = Turns < Least ? Turns : Least;
        Most = Turns > Most ? Turns : Most;
    }
    KtNote("%s: %llu turns of %u threads; of one %llu to %llu", Crew->Name, Total, Crew->Count,
           Least, Most);
}

VOID CrewRun(PCREW Crew)
{
    KPRIORITY OldPriority = KeSetPriorityThread(KeGetCurrentThread(), RUNNER_PRIORITY);

    Crew->Over = Crew->Pausing = Crew->Ended = 0;
    StartMembers(Crew);
    Watch(Crew);
    WriteRelease(&Crew->Over, TRUE);
    while (Crew->Finish != NULL && ReadAcquire(&Crew->Ended) != (LONG)Crew->Count)
    {
        Crew->Finish(Crew);
        KtSleep(LOOK_EVERY);
    }
    for (ULONG Number = 0; Number < Crew->Count; Number++)
    {
        KtJoinThread(&Crew->Members[Number].Thread);
    }
    KeSetPriorityThread(KeGetCurrentThread(), OldPriority);
    Report(Crew);
}
