/* SPDX-License-Identifier: MIT */
/* runner.h - the list of suites (registry.c), and where results go. */
#pragma once

#include "kt.h"

extern const KT_SUITE *const KtSuites[];
extern const ULONG KtSuiteCount;

/* Writes to the port that carries results: the second, or the first if it is the only one.
 * PASSIVE_LEVEL. */
VOID KtPrint(PCSTR Format, ...) __attribute__((format(printf, 1, 2)));

/* Creates the threads that KtStart's jobs run on (parallel.c). PASSIVE_LEVEL, once. */
VOID KtStartWorkers(VOID);
