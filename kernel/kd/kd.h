/* SPDX-License-Identifier: MIT */
/*
 * kd.h - what the kernel shows on the machine's screen: the log, the stage of start-up, and the
 * page of a bug check. docs/screen.md is the tour.
 */
#pragma once

#include <ki.h>

#include "grid.h"

/*
 * Stages: the start-up's progress, on port 0x80 as two decimal digits (a POST card shows them so)
 * and in the screen's top right corner as three. 1 to 9 are the steps of KiSystemStartup's table.
 */
enum
{
    KdpStageThreads = 10,   /* the log's thread, DPC threads                         */
    KdpStageExecutive = 20, /* objects, system threads, work queues                  */
    KdpStageTime = 30,      /* the warp test on all processors, the counter's choice */
    KdpStagePci = 40,       /* how configuration space is reached                    */
    KdpStageDevices = 50,   /* drivers, devices, their lines, their start            */
    KdpStageReady = 60,     /* nothing is left of start-up                           */
    KdpStageTests = 70,
    KdpStageBenchmarks = 71,
    KdpStageEnd = 80,     /* exit=                                     */
    KdpStageNoBoot = 90,  /* boot/main.c: the loader's structure is no use */
    KdpStageStopped = 99, /* a bug check                               */
};

/* Shows the stage that begins. The boot processor, in start-up or in the boot thread. */
VOID KdpSetStage(ULONG Stage);

/* Finds the screen, if console= wants one; says in the log what was found. Once, at start-up, on
 * the loader's maps. */
VOID KdpInitializeScreen(PBOOT_INFO BootInfo);
/* Maps the screen for good and shows on it what was logged so far. Once there is memory. */
VOID KdpMapScreen(VOID);

/* A line of the log, its newline included if it has one, of which the first PrefixLength characters
 * say when and where. The holder of the log's drain flag, at any IRQL; draws now and then. */
VOID KdpPutLine(KI_LOG_LEVEL Level, PCSTR Line, SIZE_T Length, SIZE_T PrefixLength);
/* Text as it is: what is typed, and what answers it. The same caller. */
VOID KdpPutRaw(PCSTR Text, SIZE_T Length);
/* Draws what has not been drawn yet. The same caller. */
VOID KdpFlushScreen(VOID);

/* From here on the log does not go to the screen. */
VOID KdpStopLog(VOID);

/* A page of the caller's instead of the log, blank, or NULL if there is no screen; what is put on
 * the grid shows with KdpShowPage, all of it. While nobody logs: in a bug check, or with a sink of
 * the log's set. */
PKDP_GRID KdpBeginPage(UCHAR Color);
VOID KdpShowPage(VOID);

/* ------------------------------------------------------------------ Bug checks (stoppage.c). */

struct _KI_STOP;

/* In a bug check, on its one processor: from here on no line of the log goes to the screen, and the
 * page says what has stopped the machine, as far as that takes no pointers. */
VOID KdpBeginStopPage(const struct _KI_STOP *Stop);
/* The rest of the page: this processor's stack, the others. */
VOID KdpFinishStopPage(const struct _KI_STOP *Stop);
/* The report has failed itself: says so on the page, if there is one. Once. */
VOID KdpReportFailed(VOID);
