/* SPDX-License-Identifier: MIT */
/*
 * twin.h - broken twins: deliberately wrong variants of a mechanism, chosen by fault=NAME.
 *
 * A test is worth what it can catch. Each twin is one wrong step at the place where the right one
 * stands, and names the test that must fail with it (tests/harness/matrix). It is active only while
 * a test case runs: the runner itself needs the right mechanism; but those of start-up's own steps
 * (KI_BOOT_TWIN) are from the moment the options are known. Delay points make the
 * window that a twin opens wide enough to be hit: a pause whose length follows from the seed. Both
 * exist in checked builds only; in free builds KI_TWIN is the constant FALSE.
 */
#pragma once

#include <ntdef.h>

/* Each twin: what KI_TWIN asks for, its name for fault=, where it is and what is wrong with it. */
/* clang-format off */
#define KI_TWINS(Twin)                                                                             \
    Twin(KiTwinRaiseAfterDraw, "raise-after-draw",                                                 \
         "spinlock.c: the IRQL is raised after the lock is taken")                                 \
    Twin(KiTwinTicketNoAtomic, "ticket-no-atomic",                                                 \
         "spinlock.c: the draw is a load and a store")                                             \
    Twin(KiTwinDpcRunsQueued, "dpc-runs-queued",                                                   \
         "dpc.c: dequeued after it ran")                                                           \
    Twin(KiTwinDpcFlagUnlocked, "dpc-flag-unlocked",                                               \
         "dpc.c: the request flag is cleared outside the lock")                                    \
    Twin(KiTwinStopPageWaits, "stop-page-waits",                                                   \
         "stoppage.c: no page while a stopped processor holds the log's flag")                     \
    Twin(KiTwinFlushNoThreads, "flush-ordinary-only",                                              \
         "dpcflush.c: no marker in the threaded queues")                                           \
    Twin(KiTwinCallHereOnly, "call-dpc-here-only",                                                 \
         "genericdpc.c: on the caller's processor only")                                           \
    Twin(KiTwinBarrierOnce, "call-dpc-barrier-once",                                               \
         "genericdpc.c: the barrier stays open")                                                   \
    Twin(KiTwinInterruptNoLock, "interrupt-no-lock",                                               \
         "interrupt.c: the ISR runs without the interrupt's lock")                                 \
    Twin(KiTwinNicNoLock, "nic-no-lock",                                                           \
         "drivers/e1000: the DPC takes no lock")                                                   \
    Twin(KiTwinNicNoRaise, "nic-no-raise",                                                         \
         "drivers/e1000: the DPC takes the lock without the IRQL")                                 \
    Twin(KiTwinNicBlind, "nic-watch-blind",                                                        \
         "drivers/e1000: the watch does not look")                                                 \
    Twin(KiTwinNicAllOnes, "nic-all-ones-ours",                                                    \
         "drivers/e1000: the ISR claims what reads as all ones")                                   \
    Twin(KiTwinNicTrusts, "nic-trusts-ring",                                                       \
         "drivers/e1000: what a descriptor says is believed")                                      \
    Twin(KiTwinNicResets, "nic-resets-at-once",                                                    \
         "drivers/e1000: rings are reset as often as they are wrong")                              \
    Twin(KiTwinNicNoBudget, "nic-no-budget",                                                       \
         "drivers/e1000: a DPC goes on while there are frames")                                    \
    Twin(KiTwinNicClaimsAll, "nic-claims-others",                                                  \
         "drivers/e1000: the ISR claims what comes on its line")                                   \
    Twin(KiTwinUnlinksEarly, "wait-unlinks-early",                                                 \
         "wait.c: a waiter may leave while its object is locked")                                  \
    Twin(KiTwinWaitLooksEarly, "wait-looks-early",                                                 \
         "wait.c: looks at the object before it has its lock")                                     \
    Twin(KiTwinWaitLastFirst, "wait-last-first",                                                   \
         "wait.c: a signal goes to who came last")                                                 \
    Twin(KiTwinWaitAllOneLock, "wait-all-one-lock",                                                \
         "waitall.c: a signaller looks at the other objects without their locks")                  \
    Twin(KiTwinWaitCommitStore, "wait-commit-store",                                               \
         "wait.c: a waiter stores Committed over what was decided meanwhile")                      \
    Twin(KiTwinSignalSpendsLost, "signal-spends-lost",                                             \
         "wait.c: a signal is spent on a wait that has ended already")                             \
    Twin(KiTwinSignalReleasesOne, "signal-releases-one",                                           \
         "wait.c: a signal for all releases one")                                                  \
    Twin(KiTwinSignalIgnoresAll, "signal-ignores-wait-all",                                        \
         "wait.c: signals without the lock that wait-all waiters need")                            \
    Twin(KiTwinWaitsRaised, "waits-raised",                                                        \
         "wait.c: may wait at any IRQL")                                                           \
    Twin(KiTwinTimeoutWinsLate, "timeout-wins-late",                                               \
         "wait.c: the time-out ends a wait that a signal has ended")                               \
    Twin(KiTwinTimeoutLeavesBlock, "timeout-leaves-block",                                         \
         "wait.c: a timed-out wait leaves its blocks linked")                                      \
    Twin(KiTwinTimeoutStaysSet, "timeout-stays-set",                                               \
         "wait.c: a satisfied wait leaves its time-out set")                                       \
    Twin(KiTwinWaitAllSpendsLost, "wait-all-spends-lost",                                          \
         "waitall.c: signals are spent on a wait that has ended already")                          \
    Twin(KiTwinWaitAllPiecemeal, "wait-all-piecemeal",                                             \
         "waitall.c: takes each object as it is signaled")                                         \
    Twin(KiTwinPulseStaysSet, "pulse-stays-set",                                                   \
         "event.c: a pulse leaves the event set")                                                  \
    Twin(KiTwinSemaphoreNoLimit, "semaphore-no-limit",                                             \
         "semaphore.c: the limit is ignored")                                                      \
    Twin(KiTwinSemaphoreLooksEarly, "semaphore-looks-early",                                       \
         "semaphore.c: reads the count before it has the lock")                                    \
    Twin(KiTwinMutexBarges, "mutex-barges",                                                        \
         "wait.c: a released mutex is free until its first waiter has run")                        \
    Twin(KiTwinMutexNoLimit, "mutex-no-limit",                                                     \
         "wait.c: recursion without a limit")                                                      \
    Twin(KiTwinMutexApcsOn, "mutex-apcs-on",                                                       \
         "mutex.c: an owner takes normal APCs")                                                    \
    Twin(KiTwinMutexAnyReleases, "mutex-any-releases",                                             \
         "mutex.c: who releases it need not own it")                                               \
    Twin(KiTwinMutexFreesAtOnce, "mutex-frees-at-once",                                            \
         "mutex.c: the first release of several frees it")                                         \
    Twin(KiTwinMutantForgets, "mutant-forgets",                                                    \
         "mutex.c: an abandoned mutant is like another")                                           \
    Twin(KiTwinQueueNoLimit, "queue-no-limit",                                                     \
         "queue.c: MaximumCount is ignored")                                                       \
    Twin(KiTwinTimerTwoHolds, "timer-two-holds",                                                   \
         "timer.c: expiry lets go of the lock before it signals")                                  \
    Twin(KiTwinTimerEarly, "timer-early",                                                          \
         "timer.c: what is due within a tick expires now")                                         \
    Twin(KiTwinTimerCancelGuess, "timer-cancel-guess",                                             \
         "timer.c: cancel returns what it saw before it had the lock")                             \
    Twin(KiTwinTimerNoKick, "timer-no-kick",                                                       \
         "timer.c: a remote processor's clock is not set anew")                                    \
    Twin(KiTwinTimerOwnOnly, "timer-own-only",                                                     \
         "systemtime.c: only the setter's own timers follow the clock")                            \
    Twin(KiTwinApcIgnoresGuarded, "apc-ignores-guarded",                                           \
         "apc.c: delivered in a guarded region")                                                   \
    Twin(KiTwinApcIgnoresCritical, "apc-ignores-critical",                                         \
         "apc.c: normal ones delivered in a critical region")                                      \
    Twin(KiTwinApcNests, "apc-nests",                                                              \
         "apc.c: a normal one delivered on top of another")                                        \
    Twin(KiTwinApcNotDue, "apc-not-due",                                                           \
         "apc.c: an insertion leaves its own processor's flag out")                                \
    Twin(KiTwinApcLooksFirst, "apc-looks-first",                                                   \
         "apc.c: looks where the thread is before it links")                                       \
    Twin(KiTwinRegionEndsBlind, "region-ends-blind",                                               \
         "region.c: the end of a region does not look for APCs")                                   \
    Twin(KiTwinSwitchNoSave, "switch-no-save",                                                     \
         "xstate.c: a switch loads extended registers, but saves none")                            \
    Twin(KiTwinObCountNotAtomic, "ob-count-not-atomic",                                            \
         "object.c: a dereference is a load and a store")                                          \
    Twin(KiTwinObLateReference, "ob-late-reference",                                               \
         "handle.c: the reference is taken after the lock is released")                            \
    Twin(KiTwinPsReapEarly, "ps-reap-early",                                                       \
         "ps/thread.c: to the reaper before the switch is over")                                   \
    Twin(KiTwinWorkQueuedTooLong, "work-queued-too-long",                                          \
         "work.c: the item is marked as not queued after it ran")                                  \
    Twin(KiTwinRwReaderJoins, "rw-reader-joins",                                                   \
         "ex/rwspinlock.c: a reader goes in while a writer waits")                                 \
    Twin(KiTwinFastMutexNoWake, "fast-mutex-no-wake",                                              \
         "mutexword.h: a release wakes nobody")                                                    \
    Twin(KiTwinPushAnySharer, "push-any-sharer",                                                   \
         "ex/pushlock.c: the first sharer to leave hands over")                                    \
    Twin(KiTwinResourceBarges, "resource-barges",                                                  \
         "ex/resource.c: new sharers overtake who waits exclusively")                              \
    Twin(KiTwinRundownNoWait, "rundown-no-wait",                                                   \
         "ex/rundown.c: the wait does not wait")                                                   \
    Twin(KiTwinSlistNoSequence, "slist-no-sequence",                                               \
         "ex/slist.c: a change leaves the sequence alone")                                         \
    Twin(KiTwinSchedIgnoresAffinity, "sched-ignores-affinity",                                     \
         "sched.c: a thread stays where it may not run any more")                                  \
    Twin(KiTwinSchedNoPreempt, "sched-no-preempt",                                                 \
         "ready.c: a busy processor is not asked to look")                                         \
    Twin(KiTwinSchedNoSteal, "sched-no-steal",                                                     \
         "ready.c: an idle processor looks at its own queues only")                                \
    Twin(KiTwinStealIgnoresAffinity, "steal-ignores-affinity",                                     \
         "ready.c: ... and takes what may not run there")                                          \
    Twin(KiTwinIdleNoLook, "idle-no-look",                                                         \
         "ready.c: who has queued a thread does not look who idles now")                           \
    Twin(KiTwinIdleHaltsBlind, "idle-halts-blind",                                                 \
         "idle.c: halts after it has run something, and does not look again")                      \
    Twin(KiTwinSchedNoCap, "sched-boost-no-cap",                                                   \
         "ready.c: a boost lifts a thread beyond 15")                                              \
    Twin(KiTwinSchedNoDecay, "sched-no-decay",                                                     \
         "sched.c: a boost stays")                                                                 \
    Twin(KiTwinSchedTailStarves, "sched-tail-starves",                                             \
         "sched.c: to the head of its queue at the end of a quantum")                              \
    Twin(KiTwinUnwaitIgnoresSwap, "unwait-ignores-swap",                                           \
         "wait.c: queued while its processor is on its stack")                                     \
    Twin(KiTwinPriorityNoRecheck, "priority-no-recheck",                                           \
         "ready.c: no second look at where a running thread runs")                                 \
    Twin(KiTwinIdleInLine, "idle-in-line",                                                         \
         "sched.c: an idle thread that is switched away from stays ready")                         \
    Twin(KiTwinZeroWaits, "zero-waits",                                                            \
         "wait.c: a time-out of 0 is waited for")                                                  \
    Twin(KiTwinEndSpent, "end-spent",                                                              \
         "wait.c: the first wait for an ended thread spends its signal")                           \
    Twin(KiTwinApcEoiLate, "apc-eoi-late",                                                         \
         "trap.asm: the APC vector's EOI comes after its APCs")                                    \
    Twin(KiTwinTicketNoWake, "ticket-no-wake",                                                     \
         "spinlock.h: nobody is woken for his turn")                                               \
    Twin(KiTwinHaltLooksEarly, "halt-looks-early",                                                 \
         "spinhalt.c: looks at the lock before it says that it halts")                             \
    Twin(KiTwinCanarySame, "canary-same",                                                          \
         "stackcheck.c: all threads have one canary")                                              \
    Twin(KiTwinCanaryStays, "canary-stays",                                                        \
         "switch.c: a switch leaves the canary of the thread before")                              \
    Twin(KiTwinOverrunUnreported, "overrun-unreported",                                            \
         "stackcheck.c: who overran a buffer ends, and nobody is told")                            \
    Twin(KiTwinNoWriteProtect, "no-write-protect",                                                 \
         "features.c: CR0.WP stays off")                                                           \
    Twin(KiTwinNoSmep, "no-smep",                                                                  \
         "features.c: CR4.SMEP stays off")                                                         \
    Twin(KiTwinNoSmap, "no-smap",                                                                  \
         "features.c: CR4.SMAP stays off")                                                         \
    Twin(KiTwinNoUmip, "no-umip",                                                                  \
         "features.c: CR4.UMIP stays off")                                                         \
    Twin(KiTwinRegistersDiffer, "registers-differ",                                                \
         "features.c: the other processors leave the PAT as it is")                                \
    Twin(KiTwinEntryKeepsAc, "entry-keeps-ac",                                                     \
         "entrypatch.c: the entry code does not clear EFLAGS.AC")                                  \
    Twin(KiTwinEntryKeepsDf, "entry-keeps-df",                                                     \
         "entrypatch.c: ... nor the direction flag")                                               \
    Twin(KiTwinNmiNoStack, "nmi-no-stack",                                                         \
         "processor.c: NMIs arrive on the stack that they interrupt")                              \
    Twin(KiTwinMachineCheckNoStack, "machine-check-no-stack",                                      \
         "processor.c: ... and machine checks")                                                    \
    Twin(KiTwinApKeepsLowTables, "ap-keeps-low-tables",                                            \
         "mp/start.c: the other processors stay on the trampoline's tables")                       \
    Twin(KiTwinIdentityMap, "identity-map",                                                        \
         "arch/mm/init.c: the first 2 MiB stay mapped at their own address")                       \
    Twin(KiTwinTextWritable, "text-writable",                                                      \
         "arch/mm/init.c: text is mapped writable")                                                \
    Twin(KiTwinDataExecutable, "data-executable",                                                  \
         "paging.c: no mapping is no-execute")                                                     \
    Twin(KiTwinNullMapped, "null-mapped",                                                          \
         "protect.c: a page at address 0")                                                         \
    Twin(KiTwinWalkBlind, "walk-blind",                                                            \
         "protect.c: the walk over the mappings finds nothing wrong")                              \
    Twin(KiTwinSealUndone, "seal-undone",                                                          \
         "protect.c: what start-up wrote becomes writable again")                                  \
    Twin(KiTwinSealAliasUndone, "seal-alias-undone",                                               \
         "protect.c: ... in the physical map")                                                     \
    Twin(KiTwinProtectNoShootdown, "protect-no-shootdown",                                         \
         "protect.c: other processors keep the old rights")                                        \
    Twin(KiTwinStackNoGuard, "stack-no-guard",                                                     \
         "mm/stack.c: the pages around a stack are mapped")                                        \
    Twin(KiTwinSpuriousEoi, "spurious-eoi",                                                        \
         "trap.c: an EOI for what is not in service")                                              \
    Twin(KiTwinStrayNoEoi, "stray-no-eoi",                                                         \
         "trap.c: no EOI for a stray that is in service")                                          \
    Twin(KiTwinIpiTwice, "ipi-twice",                                                              \
         "ipi.c: a request stays where a second interrupt finds it")                               \
    Twin(KiTwinStormNotMasked, "storm-not-masked",                                                 \
         "interrupt.c: a line that nobody claims stays open")                                      \
    Twin(KiTwinNmiEnables, "nmi-enables",                                                          \
         "nmi.c: the handler lets interrupts in")
/* clang-format on */

#define KI_TWIN_SYMBOL(Symbol, Name, What) Symbol,

typedef enum _KI_TWIN
{
    KiTwinNone,
    KI_TWINS(KI_TWIN_SYMBOL) KiTwinMaximum
} KI_TWIN_ID;

#if DBG
extern KI_TWIN_ID KiActiveTwin;
/* Constant after the options are read. */
extern KI_TWIN_ID KiSelectedTwin;
/* For a step of start-up, which no test case is there to see: wrong from the options on. */
#define KI_BOOT_TWIN(Twin) __builtin_expect(KiSelectedTwin == (Twin), 0)
#define KI_TWIN(Twin) __builtin_expect(KiActiveTwin == (Twin), 0)
/* A pause of up to a few hundred microseconds, if some twin is active. Any IRQL. */
VOID KiDelayPoint(VOID);
#define KI_TWIN_DELAY(Twin) (KI_TWIN(Twin) ? KiDelayPoint() : (void)0)
/* The same, some milliseconds: for a window that another processor has to hit, on a host that runs
 * one processor at a time. */
VOID KiLongDelayPoint(VOID);
#define KI_TWIN_LONG_DELAY(Twin) (KI_TWIN(Twin) ? KiLongDelayPoint() : (void)0)
/* Chooses the twin called Name; FALSE if there is none of that name. */
BOOLEAN KiSelectTwin(PCSTR Name);
/* Makes the chosen twin, if there is one, active or not. Other processors idle. */
VOID KiArmTwin(BOOLEAN Armed);
#else
#define KI_TWIN(Twin) FALSE
#define KI_BOOT_TWIN(Twin) FALSE
#define KI_TWIN_DELAY(Twin) ((void)0)
#define KI_TWIN_LONG_DELAY(Twin) ((void)0)
#define KiArmTwin(Armed) ((void)0)
#endif
