/* SPDX-License-Identifier: MIT */
#include <start.h>
VOID KtRunBenchmarks(PCSTR Pattern) { UNREFERENCED_PARAMETER(Pattern); }
