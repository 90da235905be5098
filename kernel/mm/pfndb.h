/* SPDX-License-Identifier: MIT */
/*
 * pfndb.h - what pfndb.c (the database) and pfn.c (the allocator on top of it) share, and nobody
 * else sees.
 */
#pragma once

#include "pfn.h"

#include <ki.h>

#define MI_MAXIMUM_ORDER 10 /* the largest free block: 4 MiB */
#define MI_NO_PAGE MAXULONG

typedef struct _MI_RUN
{
    ULONG64 FirstFrame;
    ULONG64 EndFrame; /* exclusive */
    ULONG FirstIndex; /* of FirstFrame in MiPages */
    USHORT Node;
} MI_RUN, *PMI_RUN;

typedef struct DECLSPEC_ALIGN(64) _MI_NODE
{
    KSPIN_LOCK Lock;                      /* KiRankPageFrames, DISPATCH_LEVEL; guards the rest */
    ULONG FreeHead[MI_MAXIMUM_ORDER + 1]; /* index of each order's first free block            */
    volatile LONG64 FreePages;            /* also read without the lock, as a snapshot         */
} MI_NODE, *PMI_NODE;

/* Written by MiInitializePageFrames, constant afterwards; runs ascend and never touch. */
extern MI_RUN MiRuns[BOOT_MAXIMUM_RANGES];
extern ULONG MiRunCount;
extern PMI_PAGE MiPages;
extern ULONG64 MiManagedPages;
extern USHORT MiNodeCount;

extern MI_NODE MiNodes[MI_MAXIMUM_NODES];

/* The run that holds a frame, or NULL. */
PMI_RUN MiFindRun(ULONG64 Frame);

FORCEINLINE PMI_PAGE MiPageOfFrame(const MI_RUN *Run, ULONG64 Frame)
{
    return &MiPages[Run->FirstIndex + (Frame - Run->FirstFrame)];
}

FORCEINLINE ULONG64 MiFrameOfPage(const MI_PAGE *Page)
{
    const MI_RUN *Run = &MiRuns[Page->Run];

    return Run->FirstFrame + ((ULONG64)(Page - MiPages) - Run->FirstIndex);
}

/* Frees pages that are marked unused, as the largest aligned blocks they are made of. The node's
 * lock is held, or nobody else runs yet. */
VOID MiFreeRange(PMI_NODE Node, const MI_RUN *Run, ULONG64 Frame, ULONG64 EndFrame);
