/* SPDX-License-Identifier: MIT */
/* registry.c - the suites, in the order they run: from what everything else stands on upwards. */
#include "runner.h"

/* clang-format off */

#define SUITES(Suite)                                                                              \
    Suite(KtProcessorSuite)                                                                        \
    Suite(KtTimeSuite)                                                                             \
    Suite(KtLogSuite)                                                                              \
    Suite(KtKeepSuite)                                                                             \
    Suite(KtIrqlSuite)                                                                             \
    Suite(KtIrqlContractSuite)                                                                     \
    Suite(KtIrqlVectorSuite)                                                                       \
    Suite(KtTrapSuite)                                                                             \
    Suite(KtInterruptConnectSuite)                                                                 \
    Suite(KtInterruptLockSuite)                                                                    \
    Suite(KtInterruptChainSuite)                                                                   \
    Suite(KtInterruptLineSuite)                                                                    \
    Suite(KtIpiSuite)                                                                              \
    Suite(KtSpinSuite)                                                                             \
    Suite(KtSpinHaltSuite)                                                                         \
    Suite(KtQueuedSuite)                                                                           \
    Suite(KtLockCheckSuite)                                                                        \
    Suite(KtDpcSuite)                                                                              \
    Suite(KtDpcQueueSuite)                                                                         \
    Suite(KtDpcStormSuite)                                                                         \
    Suite(KtDpcRaceSuite)                                                                          \
    Suite(KtTimerSuite)                                                                            \
    Suite(KtTimerRaceSuite)                                                                        \
    Suite(KtSystemTimeSuite)                                                                       \
    Suite(KtEventSuite)                                                                            \
    Suite(KtMutexSuite)                                                                            \
    Suite(KtSemaphoreSuite)                                                                        \
    Suite(KtExListSuite)                                                                           \
    Suite(KtWaitSuite)                                                                             \
    Suite(KtWaitIrqlSuite)                                                                         \
    Suite(KtWaitAllSuite)                                                                          \
    Suite(KtApcSuite)                                                                              \
    Suite(KtApcThreadSuite)                                                                        \
    Suite(KtApcStormSuite)                                                                         \
    Suite(KtWaitLifeSuite)                                                                         \
    Suite(KtSchedulerSuite)                                                                        \
    Suite(KtSchedulerIdleSuite)                                                                    \
    Suite(KtSchedulerAffinitySuite)                                                                \
    Suite(KtSchedulerPrioritySuite)                                                                \
    Suite(KtSchedulerStateSuite)                                                                   \
    Suite(KtDpcThreadedSuite)                                                                      \
    Suite(KtDpcGenericSuite)                                                                       \
    Suite(KtDpcWatchdogSuite)                                                                      \
    Suite(KtQueueSuite)                                                                            \
    Suite(KtExMutexSuite)                                                                          \
    Suite(KtExSharedSuite)                                                                         \
    Suite(KtExRwSpinSuite)                                                                         \
    Suite(KtExTortureSuite)                                                                        \
    Suite(KtExtendedStateSuite)                                                                    \
    Suite(KtMemorySuite)                                                                           \
    Suite(KtPoolSuite)                                                                             \
    Suite(KtSpaceSuite)                                                                            \
    Suite(KtProtectSuite)                                                                          \
    Suite(KtProtectStacksSuite)                                                                    \
    Suite(KtObjectSuite)                                                                           \
    Suite(KtHandleSuite)                                                                           \
    Suite(KtThreadObjectSuite)                                                                     \
    Suite(KtWorkSuite)                                                                             \
    Suite(KtScreenSuite)                                                                           \
    Suite(KtNicSuite)                                                                              \
    Suite(KtLinearSuite)                                                                           \
    Suite(KtTortureLockSuite)                                                                      \
    Suite(KtTortureWaitSuite)                                                                      \
    Suite(KtTortureSchedulerSuite)                                                                 \
    Suite(KtTortureMixSuite)                                                                       \
    Suite(KtWireSuite)                                                                             \
    Suite(KtOutsideSuite)                                                                          \
    Suite(KtIdleSuite)                                                                             \
    Suite(KtHangSuite)                                                                             \
    Suite(KtDeathSuite)                                                                            \
    Suite(KtDeathStacksSuite)                                                                      \
    Suite(KtDeathWatchdogSuite)                                                                    \
    Suite(KtDeathObjectSuite)                                                                      \
    Suite(KtDeathExtendedStateSuite)                                                               \
    Suite(KtDeathProtectSuite)                                                                     \
    Suite(KtScreenPageSuite)                                                                       \
    Suite(KtDeathScreenSuite)

/* clang-format on */

#define DECLARE(Suite) extern const KT_SUITE Suite;
#define REFER(Suite) &Suite,

SUITES(DECLARE)

const KT_SUITE *const KtSuites[] = {SUITES(REFER)};
const ULONG KtSuiteCount = RTL_NUMBER_OF(KtSuites);
