/* SPDX-License-Identifier: MIT */
/*
 * kt.h - tests that run inside the kernel.
 *
 * A case is a routine; it runs in the boot thread, which stays on processor 0, at PASSIVE_LEVEL
 * while all other processors are idle, and must leave the machine that way. It passes if no
 * KT_CHECK failed, on any processor. Its name is suite/what-Lnn, where Lnn is the law it holds the
 * kernel to. Suites are listed in registry.c; adding one is two lines there.
 */
#pragma once

#include <expect.h>
#include <ki.h>
#include <ntddk.h>

typedef struct _KT_CASE
{
    PCSTR Name;
    VOID (*Routine)(VOID);
    ULONG MinimumProcessors; /* with fewer it is skipped; 0 means 1        */
    BOOLEAN CheckedOnly;     /* needs a checked build: skipped in free ones */
} KT_CASE, *PKT_CASE;

typedef struct _KT_SUITE
{
    PCSTR Name;
    const KT_CASE *Cases;
    ULONG Count;
    BOOLEAN Explicit; /* runs only if the pattern names the suite */
} KT_SUITE, *PKT_SUITE;

#define KT_DEFINE_SUITE(Symbol, SuiteName, SuiteCases)                                             \
    const KT_SUITE Symbol = {SuiteName, SuiteCases, RTL_NUMBER_OF(SuiteCases), FALSE}

/* The same for cases that only a pattern that names the suite means: those that end in a bug check
 * and so each need a boot of their own, and long ones. */
#define KT_DEFINE_EXPLICIT_SUITE(Symbol, SuiteName, SuiteCases)                                    \
    const KT_SUITE Symbol = {SuiteName, SuiteCases, RTL_NUMBER_OF(SuiteCases), TRUE}

/* Fails the running case, from any processor at any IRQL, with a printf-like explanation that shows
 * the values; the first few explanations become TAP diagnostics. The case goes on. */
#define KT_CHECK(Condition, Format, ...)                                                           \
    ((Condition) ? (void)0                                                                         \
                 : KtFail(__FILE__, __LINE__, #Condition, Format __VA_OPT__(, ) __VA_ARGS__))

/* The same, and leaves the routine. */
#define KT_REQUIRE(Condition, Format, ...)                                                         \
    do                                                                                             \
    {                                                                                              \
        if (!(Condition))                                                                          \
        {                                                                                          \
            KtFail(__FILE__, __LINE__, #Condition, Format __VA_OPT__(, ) __VA_ARGS__);             \
            return;                                                                                \
        }                                                                                          \
    } while (0)

VOID KtFail(PCSTR File, ULONG Line, PCSTR Condition, PCSTR Format, ...)
    __attribute__((format(printf, 4, 5)));

/* TRUE once the running case has failed: long loops may stop. */
BOOLEAN KtHasFailed(VOID);

/* A line of information about the running case ("# ..."), e.g. a measured delay. PASSIVE_LEVEL. */
VOID KtNote(PCSTR Format, ...) __attribute__((format(printf, 1, 2)));

/* Skips the rest of the case: it counts as "ok # SKIP reason". The routine must return at once. */
VOID KtSkip(PCSTR Reason);

/* Number of processors. */
ULONG KtProcessors(VOID);

/* Runs Routine(Context, index) on all processors, index being the processor's, and returns when all
 * are done. All of them are inside before any begins. PASSIVE_LEVEL. */
typedef VOID KT_PARALLEL_ROUTINE(PVOID Context, ULONG Processor);
VOID KtParallel(KT_PARALLEL_ROUTINE *Routine, PVOID Context);

/* Runs Routine(Context, Processor) on one processor at PASSIVE_LEVEL and waits for it; or starts it
 * there and goes on, to be waited for with KtJoin. Not on the caller's own processor. */
typedef struct _KT_JOB
{
    KT_PARALLEL_ROUTINE *Routine;
    PVOID Context;
    ULONG Processor;
    volatile LONG Done; /* by the worker */
} KT_JOB, *PKT_JOB;
VOID KtStart(PKT_JOB Job, ULONG Processor, KT_PARALLEL_ROUTINE *Routine, PVOID Context);
VOID KtJoin(PKT_JOB Job);
VOID KtRunOn(ULONG Processor, KT_PARALLEL_ROUTINE *Routine, PVOID Context);

/* A thread of the test's own, on a stack from the pool of stacks: runs Routine(Context) at that
 * priority, on that processor or, with KT_ANYWHERE, on any. The memory is the test's, until
 * KtJoinThread has waited for the thread and given its stack back. */
#define KT_ANYWHERE 0xFFFFFFFFu
typedef struct _KT_THREAD
{
    KTHREAD Thread;
    VOID (*Routine)(PVOID Context);
    PVOID Context;
    volatile LONG Reaped;
} KT_THREAD, *PKT_THREAD;
VOID KtCreateThread(PKT_THREAD Thread, VOID (*Routine)(PVOID Context), PVOID Context,
                    KPRIORITY Priority, ULONG Processor);
VOID KtJoinThread(PKT_THREAD Thread);

/* Waits: for some 100 ns units; for the other threads that are ready here, if there are any. */
VOID KtSleep(ULONG64 Units);
VOID KtYield(VOID);

/* Time. A case should take well under a second; one under contention runs for KtBudget() 100 ns
 * units (budget=, in ms) and checks a minimum of progress instead of a fixed amount. */
ULONG64 KtNow(VOID); /* 100 ns units */
ULONG64 KtBudget(VOID);
/* Spins (with YieldProcessor) until *Value is at least Wanted; FALSE after Limit 100 ns units. */
BOOLEAN KtWaitFor(volatile LONG *Value, LONG Wanted, ULONG64 Limit);
#define KT_MILLISECONDS(Count) ((ULONG64)(Count)*10000)
#define KT_SECONDS(Count) ((ULONG64)(Count)*10000000)

/* Pseudo-random numbers from the boot's seed: each stream is its own variable. */
typedef struct _KT_RANDOM
{
    ULONG64 State;
} KT_RANDOM, *PKT_RANDOM;
VOID KtSeed(PKT_RANDOM Random, ULONG64 Stream);
ULONG64 KtRandom(PKT_RANDOM Random);

/* Checked builds: Routine(Context) must cause bug check Code, with Parameter1 if it is not KT_ANY.
 * The IRQL and held locks are restored afterwards; a lock word that it changed is the test's to
 * initialize again. */
#define KT_ANY 0xFFFFFFFFFFFFFFFFull
#if DBG
VOID KtExpectBugCheck(ULONG Code, ULONG_PTR Parameter1, VOID (*Routine)(PVOID Context),
                      PVOID Context);
#else
#define KtExpectBugCheck(Code, Parameter1, Routine, Context)                                       \
    ((void)(Parameter1), (void)(Routine), (void)(Context))
#endif
