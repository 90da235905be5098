/* SPDX-License-Identifier: MIT */
/*
 * protectstacks.c - stacks: a guard page on either side of each, exceptions that need no good
 * stack, and canaries. See protect.c.
 */
#include "protectkit.h"

/* ------------------------------------------------------------------ Guard pages. */

static VOID TouchByte(PVOID Address)
{
    (void)*(volatile UCHAR *)Address;
}

static VOID MustBeGuarded(PCSTR Name, PVOID Top, SIZE_T Bytes)
{
    PUCHAR Below = (PUCHAR)Top - Bytes - 1;

    KtExpectBugCheck(PAGE_FAULT_IN_NONPAGED_AREA, (ULONG_PTR)Below, TouchByte, Below);
    KtExpectBugCheck(PAGE_FAULT_IN_NONPAGED_AREA, (ULONG_PTR)Top, TouchByte, Top);
    KT_CHECK(!KtHasFailed(), "%s stack, top %p", Name, Top);
}

static VOID GuardsAround(VOID)
{
    PVOID Small = MiAllocateKernelStack(MI_SMALL_STACK_SIZE, 0);

    KT_REQUIRE(Small != NULL, "no memory");
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        PKPRCB Prcb = KiProcessorBlock[Index];
        PKI_PROCESSOR Processor = CONTAINING_RECORD(Prcb, KI_PROCESSOR, Prcb);

        MustBeGuarded("ISR", Processor->Pcr.IsrStack, MI_KERNEL_STACK_SIZE);
        MustBeGuarded("DPC", Processor->Pcr.DpcStack, MI_KERNEL_STACK_SIZE);
        MustBeGuarded("idle", Prcb->IdleThread->InitialStack, Prcb->IdleThread->StackBytes);
        for (ULONG Ist = 0; Ist < ARCH_IST_STACKS; Ist++)
        {
            MustBeGuarded("exception", (PVOID)Processor->Pcr.Tss.Ist[Ist], ARCH_IST_STACK_SIZE);
        }
    }
    MustBeGuarded("boot thread's", KeGetCurrentThread()->InitialStack,
                  KeGetCurrentThread()->StackBytes);
    MustBeGuarded("small", Small, MI_SMALL_STACK_SIZE);
    MiFreeKernelStack(Small, MI_SMALL_STACK_SIZE);
}

/* ------------------------------------------------------------------ Stacks that are none: an
 * address that no stack has. */
#define NO_STACK ((PVOID)(MM_STACK_SPACE_BASE + MM_STACK_SPACE_SIZE - PAGE_SIZE))
#define LONGEST_SPIN 0x40000000ull

static KT_JOB NmiJob;

static VOID SendNmis(PVOID Context, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Processor);
    KtWaitFor(Context, 1, KT_SECONDS(20));
    KeStallExecutionProcessor(1000);
    HalpSendNmi(0);
}

static VOID AwaitNmi(PVOID Context)
{
    PKPRCB Prcb = KiGetCurrentPrcb();
    ULONG64 Before = Prcb->NmiCount;

    _disable();
    WriteRelease((volatile LONG *)Context, 1); /* pairs with: SendNmis */
    KtAwaitOnBadStack(&Prcb->NmiCount, Before, NO_STACK, LONGEST_SPIN);
    _enable();
    KT_CHECK(Prcb->NmiCount == Before + 1, "%llu NMIs", Prcb->NmiCount - Before);
}

/* 0 is no bug check: the NMI is counted, and the code that it met goes on. */
static VOID NmiWithoutStack(VOID)
{
    static volatile LONG IsThere;

    IsThere = 0;
    KtStart(&NmiJob, 1, SendNmis, (PVOID)&IsThere);
    KtExpectBugCheck(0, KT_ANY, AwaitNmi, (PVOID)&IsThere);
    KtJoin(&NmiJob);
}

static VOID RaiseMachineCheck(PVOID Context)
{
    _disable();
    KtMachineCheckOnBadStack(Context);
    _enable();
}

static VOID MachineCheckWithoutStack(VOID)
{
    KtExpectBugCheck(MACHINE_CHECK_EXCEPTION, KT_ANY, RaiseMachineCheck, NO_STACK);
}

#define MSR_MCG_CAP 0x179u
#define MSR_MCG_STATUS 0x17Au
#define MCG_CAP_COUNT 0xFFu
#define MCG_STATUS_OF_OTHERS 5u /* in progress; the interrupted code may go on */
#define CPUID_1_EDX_MCA (1u << 14)

static VOID RaiseOthersCheck(PVOID Context)
{
    _disable();
    __writemsr(MSR_MCG_STATUS, MCG_STATUS_OF_OTHERS);
    __asm__ volatile("int $18" ::: "memory");
    *(PULONG64)Context = __readmsr(MSR_MCG_STATUS);
    _enable();
}

/* The exception goes to all processors, the error is one's: no bug check by the others. */
static VOID MachineCheckOfOthers(VOID)
{
    ULONG64 Left = MAXULONG64;
    ULONG Info[4];

    __cpuidex(Info, 1, 0);
    if (!(Info[3] & CPUID_1_EDX_MCA) || (__readmsr(MSR_MCG_CAP) & MCG_CAP_COUNT) == 0)
    {
        KtSkip("no machine-check banks");
        return;
    }
    KtExpectBugCheck(0, KT_ANY, RaiseOthersCheck, &Left);
    KT_CHECK(Left == 0, "the status is %llx afterwards: a second one would be a shutdown", Left);
}

static VOID PushNowhere(PVOID Context)
{
    _disable();
    KtPushOnBadStack(Context);
    _enable();
}

#define VECTOR_DOUBLE_FAULT 8

static VOID FaultWithoutStack(VOID)
{
    KtExpectBugCheck(UNEXPECTED_KERNEL_MODE_TRAP, VECTOR_DOUBLE_FAULT, PushNowhere, NO_STACK);
}

/* ------------------------------------------------------------------ Canaries. */

#define CANARY_THREADS 8
#define CANARY_ROUNDS 50

static ULONG64 LoadedCanary(VOID)
{
    ULONG64 Canary;

    __asm__ volatile("mov %%gs:40, %0" : "=r"(Canary));
    return Canary;
}

/* On each processor in turn, with others that do the same in between. */
static VOID FollowCanary(PVOID Context)
{
    PULONG64 Canary = Context;

    *Canary = KeGetCurrentThread()->StackCanary;
    for (ULONG Round = 0; Round < CANARY_ROUNDS && !KtHasFailed(); Round++)
    {
        KiSetThreadProcessor(Round % KtProcessors());
        KT_CHECK(LoadedCanary() == *Canary, "on CPU %u the canary is %llx, the thread's %llx",
                 KeGetCurrentProcessorIndex(), LoadedCanary(), *Canary);
        KtYield();
        KT_CHECK(LoadedCanary() == *Canary, "after a switch the canary is %llx, the thread's %llx",
                 LoadedCanary(), *Canary);
    }
    KeRevertToUserAffinityThread();
}

static VOID CheckCanaries(const ULONG64 *Canaries)
{
    for (ULONG Index = 0; Index < CANARY_THREADS; Index++)
    {
        KT_CHECK(Canaries[Index] != 0 && (Canaries[Index] & 0xFF) == 0, "%llx", Canaries[Index]);
        for (ULONG Other = 0; Other < Index; Other++)
        {
            KT_CHECK(Canaries[Index] != Canaries[Other], "two threads have %llx", Canaries[Index]);
        }
    }
}

static VOID CanariesFollow(VOID)
{
    static KT_THREAD Threads[CANARY_THREADS];
    static ULONG64 Canaries[CANARY_THREADS];

    for (ULONG Index = 0; Index < CANARY_THREADS; Index++)
    {
        KtCreateThread(&Threads[Index], FollowCanary, &Canaries[Index], KI_DEFAULT_PRIORITY,
                       KT_ANYWHERE);
    }
    for (ULONG Index = 0; Index < CANARY_THREADS; Index++)
    {
        KtJoinThread(&Threads[Index]);
    }
    CheckCanaries(Canaries);
    KT_CHECK(LoadedCanary() == KeGetCurrentThread()->StackCanary, "%llx here, %llx the thread's",
             LoadedCanary(), KeGetCurrentThread()->StackCanary);
}

/* No bytes but the canary's are written, so that a kernel that does not look lives to say so. */
static DECLSPEC_NOINLINE VOID Overrun(PVOID Context)
{
    UCHAR Buffer[8];
    volatile UCHAR *volatile Start = Buffer;
    volatile SIZE_T *Length = Context;

    for (SIZE_T Index = 0; Index < *Length; Index++)
    {
        Start[Index] = 0x41;
    }
}

static VOID OverrunIsFound(VOID)
{
    SIZE_T Fits = 8, TooLong = 9;

    KtExpectBugCheck(0, KT_ANY, Overrun, &Fits);
    KtExpectBugCheck(DRIVER_OVERRAN_STACK_BUFFER, KT_ANY, Overrun, &TooLong);
}

static const KT_CASE Cases[] = {
    {"guards-around-stacks", GuardsAround, 0, TRUE},
    {"nmi-without-stack", NmiWithoutStack, 2, TRUE},
    {"machine-check-without-stack", MachineCheckWithoutStack, 0, TRUE},
    {"machine-check-of-others", MachineCheckOfOthers, 0, TRUE},
    {"fault-without-stack", FaultWithoutStack, 0, TRUE},
    {"canaries-follow", CanariesFollow, 0, FALSE},
    {"overrun-is-found", OverrunIsFound, 0, TRUE},
};

KT_DEFINE_SUITE(KtProtectStacksSuite, "protect", Cases);
