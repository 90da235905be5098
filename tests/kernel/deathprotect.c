/* SPDX-License-Identifier: MIT */
/*
 * deathprotect.c - what the protections stop, in both builds: a bug check each. The report of an
 * overflow names the stack and the thread. docs/protections.md; see death.c.
 */
#include "protectkit.h"

#define DEATH_VECTOR 0x9B

static VOID MustNotReturn(VOID)
{
    KT_CHECK(FALSE, "the machine did not stop");
}

/* ------------------------------------------------------------------ Memory. */

static VOID ReadNull(VOID)
{
    volatile ULONG *volatile Null = NULL;

    KtNote("%u", *Null);
    MustNotReturn();
}

/* A member of a structure that is not there. */
static VOID WriteNearNull(VOID)
{
    volatile UCHAR *volatile Member = (volatile UCHAR *)0xFF8;

    *Member = 1;
    MustNotReturn();
}

static VOID WriteSealed(VOID)
{
    *(volatile ULONG *)&KiOptions.LogLevel = KiOptions.LogLevel;
    MustNotReturn();
}

static VOID WriteSealedAlias(VOID)
{
    volatile ULONG *Alias = ArchPhysicalToVirtual(ArchTranslate(&KiOptions.LogLevel));

    *Alias = KiOptions.LogLevel;
    MustNotReturn();
}

static VOID EnterUserPage(PKT_SPACE Space)
{
    if (KtMakeSpace(Space, KT_LOW_ADDRESS, KT_PTE_PRESENT | KT_PTE_WRITE | KT_PTE_USER))
    {
        KtEnterSpace(Space);
    }
}

static VOID ReadUserPage(VOID)
{
    KT_SPACE Space;

    EnterUserPage(&Space);
    (void)*(volatile UCHAR *)Space.Address;
    KtLeaveSpace(&Space);
    MustNotReturn();
}

static VOID ExecuteUserPage(VOID)
{
    KT_SPACE Space;

    EnterUserPage(&Space);
    ((VOID(*)(VOID))Space.Address)();
    KtLeaveSpace(&Space);
    MustNotReturn();
}

/* ------------------------------------------------------------------ Stacks. */

/* Length bytes into a buffer of eight: the ninth is the canary's first. */
static DECLSPEC_NOINLINE VOID Overrun(volatile ULONG *Length)
{
    UCHAR Buffer[8];
    volatile UCHAR *volatile Start = Buffer;

    for (ULONG Index = 0; Index < *Length; Index++)
    {
        Start[Index] = 0x41;
    }
}

static VOID OverrunInThread(PVOID Context)
{
    Overrun(Context);
}

static VOID OverrunStackBuffer(VOID)
{
    static KT_THREAD Thread;
    static volatile ULONG Length = 16;

    KtCreateThread(&Thread, OverrunInThread, (PVOID)&Length, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(&Thread);
    MustNotReturn();
}

static VOID OverflowInThread(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    KtOverflow();
    KiTerminateThread();
}

static VOID OverflowSmallStack(VOID)
{
    static KTHREAD Thread;
    LARGE_INTEGER Limit = {.QuadPart = -(LONGLONG)KT_SECONDS(20)};
    PVOID Top = MiAllocateKernelStack(MI_SMALL_STACK_SIZE, 0);

    KT_REQUIRE(Top != NULL, "no stack");
    KiInitializeThread(&Thread, Top, MI_SMALL_STACK_SIZE, "small", OverflowInThread, NULL,
                       KI_DEFAULT_PRIORITY, NULL);
    KiStartThread(&Thread);
    KeWaitForSingleObject(&Thread, Executive, KernelMode, FALSE, &Limit);
    MustNotReturn();
}

static VOID OverflowInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KtOverflow();
}

static VOID OverflowDpcStack(VOID)
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, OverflowInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    MustNotReturn();
}

static VOID OverflowInHandler(PKTRAP_FRAME Frame)
{
    UNREFERENCED_PARAMETER(Frame);
    KtOverflow();
}

static VOID OverflowIsrStack(VOID)
{
    HalpSetVectorRoutine(DEATH_VECTOR, OverflowInHandler);
    HalpSendIpi(0, DEATH_VECTOR);
    KeStallExecutionProcessor(1000000);
    MustNotReturn();
}

/* The dispatch interrupt runs on the stack that it interrupts: processor 1 idles. */
static VOID OverflowIdleStack(VOID)
{
    HalpSetVectorRoutine(DISPATCH_VECTOR, OverflowInHandler);
    HalpSendIpi(1, DISPATCH_VECTOR);
    KeStallExecutionProcessor(10000000);
    MustNotReturn();
}

/* Leaves an exception stack with room for the processor's own frame only. */
static VOID ShortenExceptionStack(ULONG Index)
{
    PKI_PROCESSOR Processor = KtProcessor();

    Processor->Pcr.Tss.Ist[Index] -= ARCH_IST_STACK_SIZE - 0x80;
}

static VOID OverflowNmiStack(VOID)
{
    ShortenExceptionStack(1);
    HalpSendNmi(0);
    KeStallExecutionProcessor(1000000);
    MustNotReturn();
}

static VOID OverflowMachineCheckStack(VOID)
{
    ShortenExceptionStack(2);
    ArchSoftwareInterrupt(18);
    MustNotReturn();
}

static const KT_CASE Cases[] = {
    {"read-null", ReadNull, 0, FALSE},
    {"write-near-null", WriteNearNull, 0, FALSE},
    {"write-sealed", WriteSealed, 0, FALSE},
    {"write-sealed-alias", WriteSealedAlias, 0, FALSE},
    {"read-user-page", ReadUserPage, 0, FALSE},
    {"execute-user-page", ExecuteUserPage, 0, FALSE},
    {"overrun-stack-buffer", OverrunStackBuffer, 0, FALSE},
    {"overflow-small-stack", OverflowSmallStack, 0, FALSE},
    {"overflow-dpc-stack", OverflowDpcStack, 0, FALSE},
    {"overflow-isr-stack", OverflowIsrStack, 0, FALSE},
    {"overflow-idle-stack", OverflowIdleStack, 2, FALSE},
    {"overflow-nmi-stack", OverflowNmiStack, 0, FALSE},
    {"overflow-machine-check-stack", OverflowMachineCheckStack, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtDeathProtectSuite, "death", Cases);
