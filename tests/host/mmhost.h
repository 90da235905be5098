/* SPDX-License-Identifier: MIT */
/*
 * mmhost.h - the machine that the memory manager's host tests run on: physical memory in a host
 * mapping, page tables that are a table, locks that check their ranks, threads that stand for
 * processors, and bug checks that a test can expect.
 *
 * A test includes this first and then the kernel's .c files themselves: they are compiled with the
 * test, for either build (DBG), and the test sees their insides. Two macros of arch/mmu.h are
 * replaced; all else of the kernel's headers is used as it is.
 */
#pragma once

#ifndef DBG
#define DBG 1
#endif

#include "host.h"

#include <pthread.h>
#include <sys/mman.h>

/* Where physical address 0 and the kernel's stack space lie in this process. Address space only:
 * what is not touched costs nothing. */
static PUCHAR HostMemory;
static PUCHAR HostStackSpace;
#define HOST_MEMORY_BYTES (64ull << 30)
#define HOST_STACK_SPACE_BYTES (1ull << 30)

#define ArchPhysicalToVirtual HostUnusedPhysicalToVirtual
#include <arch/mmu.h>
#undef ArchPhysicalToVirtual
#undef MM_PHYSICAL_MAP_BASE
#undef MM_STACK_SPACE_BASE
#define MM_PHYSICAL_MAP_BASE ((ULONG64)HostMemory)
#define MM_STACK_SPACE_BASE ((ULONG64)HostStackSpace)

FORCEINLINE PVOID ArchPhysicalToVirtual(ULONG64 Physical)
{
    return (PVOID)(MM_PHYSICAL_MAP_BASE + Physical);
}

#include <ki.h>

/* Four-character tags are what the interface asks for. */
#pragma GCC diagnostic ignored "-Wmultichar"

/* ------------------------------------------------------------------ Bug checks. A test of one
 * processor can expect one; any other ends the program. */

static jmp_buf HostBugCheckJump;
static BOOLEAN HostBugCheckExpected;
static ULONG HostBugCheckCode;
static ULONG_PTR HostBugCheckParameters[4];

static VOID HostReleaseAllLocks(VOID);

VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                  ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4)
{
    if (!HostBugCheckExpected)
    {
        fprintf(stderr, "bug check %#x (%#llx, %#llx, %#llx, %#llx)\n", BugCheckCode,
                BugCheckParameter1, BugCheckParameter2, BugCheckParameter3, BugCheckParameter4);
        abort();
    }
    HostBugCheckCode = BugCheckCode;
    HostBugCheckParameters[0] = BugCheckParameter1;
    HostBugCheckParameters[1] = BugCheckParameter2;
    HostBugCheckParameters[2] = BugCheckParameter3;
    HostBugCheckParameters[3] = BugCheckParameter4;
    HostReleaseAllLocks();
    longjmp(HostBugCheckJump, 1);
}

/* Statement must end in that bug check with that first parameter. */
#define ASSERT_BUGCHECK(Code, Parameter1, Statement)                                               \
    do                                                                                             \
    {                                                                                              \
        HostBugCheckExpected = TRUE;                                                               \
        if (setjmp(HostBugCheckJump) == 0)                                                         \
        {                                                                                          \
            Statement;                                                                             \
            fail_msg("no bug check: %s", #Statement);                                              \
        }                                                                                          \
        HostBugCheckExpected = FALSE;                                                              \
        assert_int_equal(HostBugCheckCode, (Code));                                                \
        assert_int_equal(HostBugCheckParameters[0], (Parameter1));                                 \
    } while (0)

VOID KiAssertionFailed(PCSTR Condition, PCSTR File, ULONG Line, ULONG_PTR Value1, ULONG_PTR Value2)
{
    fprintf(stderr, "%s:%u: %s (%#llx, %#llx)\n", File, Line, Condition, Value1, Value2);
    abort();
}

/* ------------------------------------------------------------------ Processors, IRQL, locks. */

static __thread ULONG HostProcessor;
static __thread KIRQL HostIrql;
static __thread PKSPIN_LOCK HostHeldLocks[8];
static __thread ULONG HostHeldCount;

VOID KiAssertIrql(KIRQL Minimum, KIRQL Maximum, PCSTR Routine)
{
    if (HostIrql < Minimum || HostIrql > Maximum)
    {
        fprintf(stderr, "%s called at IRQL %u\n", Routine, HostIrql);
        abort();
    }
}

#define HOST_REQUIRE(Condition)                                                                    \
    do                                                                                             \
    {                                                                                              \
        if (!(Condition))                                                                          \
        {                                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #Condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

KIRQL KeRaiseIrqlToDpcLevel(VOID)
{
    KIRQL OldIrql = HostIrql;

    HOST_REQUIRE(OldIrql <= DISPATCH_LEVEL);
    HostIrql = DISPATCH_LEVEL;
    return OldIrql;
}

VOID KeLowerIrql(KIRQL NewIrql)
{
    HOST_REQUIRE(NewIrql <= HostIrql && HostHeldCount == 0);
    HostIrql = NewIrql;
}

ULONG KeGetCurrentProcessorIndex(VOID)
{
    HOST_REQUIRE(HostIrql >= DISPATCH_LEVEL);
    return HostProcessor;
}

USHORT KeGetCurrentNodeNumber(VOID)
{
    return 0;
}

/* Bit 0 is the lock; checked builds have the rank in the word's highest 16 bits. */
VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    HOST_REQUIRE(HostIrql >= DISPATCH_LEVEL && HostHeldCount < RTL_NUMBER_OF(HostHeldLocks));
    if (HostHeldCount != 0)
    {
        HOST_REQUIRE(!DBG || *HostHeldLocks[HostHeldCount - 1] >> 48 < *SpinLock >> 48);
    }
    while (__atomic_fetch_or(SpinLock, 1, __ATOMIC_ACQUIRE) & 1)
    {
        sched_yield();
    }
    HostHeldLocks[HostHeldCount++] = SpinLock;
}

VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    HOST_REQUIRE(HostHeldCount != 0 && HostHeldLocks[HostHeldCount - 1] == SpinLock);
    HostHeldCount--;
    __atomic_fetch_and(SpinLock, ~1ull, __ATOMIC_RELEASE);
}

KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL OldIrql = KeRaiseIrqlToDpcLevel();

    KeAcquireSpinLockAtDpcLevel(SpinLock);
    return OldIrql;
}

VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    KeReleaseSpinLockFromDpcLevel(SpinLock);
    KeLowerIrql(NewIrql);
}

static VOID HostReleaseAllLocks(VOID)
{
    while (HostHeldCount != 0)
    {
        KeReleaseSpinLockFromDpcLevel(HostHeldLocks[HostHeldCount - 1]);
    }
    HostIrql = PASSIVE_LEVEL;
}

VOID KiLog(KI_LOG_LEVEL Level, PCSTR Format, ...)
{
    UNREFERENCED_PARAMETER(Level);
    UNREFERENCED_PARAMETER(Format);
}

/* Runs Routine on Count processors at once, each with its number. */
typedef VOID HOST_PROCESSOR_ROUTINE(ULONG Processor);

typedef struct _HOST_PROCESSOR_START
{
    HOST_PROCESSOR_ROUTINE *Routine;
    ULONG Processor;
} HOST_PROCESSOR_START;

static PVOID HostProcessorMain(PVOID Argument)
{
    HOST_PROCESSOR_START *Start = Argument;

    HostProcessor = Start->Processor;
    Start->Routine(Start->Processor);
    return NULL;
}

static inline VOID HostRunProcessors(HOST_PROCESSOR_ROUTINE *Routine, ULONG Count)
{
    pthread_t Threads[16];
    HOST_PROCESSOR_START Starts[16];

    assert_true(Count <= RTL_NUMBER_OF(Threads));
    for (ULONG Index = 0; Index < Count; Index++)
    {
        Starts[Index].Routine = Routine;
        Starts[Index].Processor = Index;
        assert_int_equal(pthread_create(&Threads[Index], NULL, HostProcessorMain, &Starts[Index]),
                         0);
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        pthread_join(Threads[Index], NULL);
    }
}

/* ------------------------------------------------------------------ Physical memory. */

static BOOT_INFO HostBootInfo;

/* An empty machine: zeroed memory, no ranges. */
static inline VOID HostResetMachine(VOID)
{
    if (HostMemory != NULL)
    {
        munmap(HostMemory, HOST_MEMORY_BYTES);
        munmap(HostStackSpace, HOST_STACK_SPACE_BYTES);
    }
    HostMemory = mmap(NULL, HOST_MEMORY_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    HostStackSpace = mmap(NULL, HOST_STACK_SPACE_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(HostMemory != MAP_FAILED && HostStackSpace != MAP_FAILED);
    memset(&HostBootInfo, 0, sizeof(HostBootInfo));
}

static inline VOID HostAddRange(ULONG64 StartPage, ULONG64 EndPage, BOOT_MEMORY_TYPE Type)
{
    PBOOT_MEMORY_RANGE Range = &HostBootInfo.Ranges[HostBootInfo.RangeCount++];

    Range->Start = StartPage << PAGE_SHIFT;
    Range->End = EndPage << PAGE_SHIFT;
    Range->Type = Type;
}
