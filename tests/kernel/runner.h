/* SPDX-License-Identifier: MIT */
/* runner.h - the list of suites (registry.c). */
#pragma once

#include "kt.h"

extern const KT_SUITE *const KtSuites[];
extern const ULONG KtSuiteCount;
