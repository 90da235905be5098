/* SPDX-License-Identifier: MIT */
#include <start.h>
BOOLEAN KtRunTests(PCSTR Pattern) { UNREFERENCED_PARAMETER(Pattern); return TRUE; }
VOID KtRunBenchmarks(PCSTR Pattern) { UNREFERENCED_PARAMETER(Pattern); }
