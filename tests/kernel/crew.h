/* SPDX-License-Identifier: MIT */
/*
 * crew.h - threads that do one thing over and over until the time is up, for the torture tests.
 *
 * Each member must get somewhere: the run ends when the budget is spent and every member has done
 * its least, and a member that does nothing for a long time stops the machine, so that the report
 * shows where everybody is. Meanwhile the crew is disturbed: now and then all of it pauses, and
 * members move to other processors.
 */
#pragma once

#include "kt.h"

#define CREW_MOST 24

typedef struct _CREW_MEMBER
{
    KT_THREAD Thread;
    KT_RANDOM Random; /* itself */
    struct _CREW *Crew;
    ULONG Number;
    volatile ULONG64 Turns; /* itself; the runner reads it */
    ULONG64 TurnsSeen;      /* the runner */
    ULONG64 LastProgress;   /* the runner */
} CREW_MEMBER, *PCREW_MEMBER;

typedef struct _CREW
{
    /* Given to CrewRun. */
    PCSTR Name;
    ULONG Count;   /* members */
    ULONG Leaders; /* the first so many only are waited for; 0: all */
    ULONG64 Least; /* turns of each */
    BOOLEAN Fixed; /* members stay on the processors they choose themselves */
    /* One turn. A member that has to wait for another checks CrewIsOver, or is woken by Finish. */
    VOID (*Turn)(PCREW_MEMBER Member);
    /* Called when all is to end, until all members have: wakes whoever waits. May be NULL. */
    VOID (*Finish)(struct _CREW *Crew);
    PVOID Context;

    volatile LONG Over;    /* the runner */
    volatile LONG Pausing; /* the runner */
    volatile LONG Ended;   /* members, locked */
    CREW_MEMBER Members[CREW_MOST];
} CREW, *PCREW;

/* Runs it for KtBudget(). The crew's memory is the caller's and may be static. */
VOID CrewRun(PCREW Crew);

/* TRUE when members should come back from what they are doing. */
BOOLEAN CrewIsOver(PCREW Crew);

/* A number of members for this machine: about two for each processor, from Lowest to Highest. Where
 * all of them want one lock the highest is small, for a host with fewer processors than the guest
 * hands a lock over slowly. */
ULONG CrewSize(ULONG Lowest, ULONG Highest);

/* A number from 0 to Count - 1, by lot. */
ULONG CrewDraw(PCREW_MEMBER Member, ULONG Count);

/* A short while: nothing, a stall, or giving way, by lot. PASSIVE_LEVEL. */
VOID CrewLinger(PCREW_MEMBER Member);
