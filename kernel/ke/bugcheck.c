/* SPDX-License-Identifier: MIT */
/*
 * bugcheck.c - the end: one report, however many processors die at once.
 *
 * PURPOSE
 *   When the kernel finds its own state wrong, stop everything, say exactly once what was found and
 *   where each processor was, and end the run as exit= says.
 *
 * HOW IT WORKS
 *   The first processor to get here owns the report:
 *       (nobody) -> (me)    compare-exchange; everybody else freezes himself, at once
 *   The owner sends an NMI to each other: it reaches those that spin with interrupts off. Each
 *   stores its registers and sets Frozen; the owner waits a bounded time and reports who did not.
 *   A second bug check by the owner himself means that reporting failed: it says so and halts.
 *
 * LOCKS AND IRQL
 *   None, and any; interrupts go off at once and stay off. Nothing here waits for a lock that a
 *   frozen processor may hold: the log switches to writing straight through.
 *
 * ORDERING
 *   A processor's freeze frame is stored before Frozen (release), and read after it (acquire).
 *   pairs with: KiFreeze and KiAwaitFrozen.
 *
 * FURTHER READING
 *   Microsoft: "Bug Check Code Reference", "KeBugCheckEx". docs/testing.md. Regression R-n.
 */
#include <arch/hal.h>
#include <kd.h>

#include "bugcheck.h"
#include "expect.h"
#include "nmi.h"
#include "stacks.h"
#include "symbols.h"

#define NOBODY (-1)
#define FREEZE_LIMIT_US 1000000
#define FREEZE_STEP_US 100
#define STACK_LIMIT 24
#define REPORT_FAILED "*** the report of this bug check failed itself\n"

/* Who reports: compare-exchange, once; any processor. */
static volatile LONG KiBugCheckOwner = NOBODY;

/* Set by the owner when the report has begun. */
static BOOLEAN KiReporting;

/* What the owner reports, while he draws its page's first part. */
static const KI_STOP *KiStopOnScreen;

/* How often reporting, and then ending the boot, have failed: the owner's. */
static ULONG KiReportFailures;

static const struct
{
    ULONG Code;
    PCSTR Name;
} KiBugCheckNames[] = {
#define NAME(Code)                                                                                 \
    {                                                                                              \
        Code, #Code                                                                                \
    }
    NAME(APC_INDEX_MISMATCH),
    NAME(IRQL_NOT_GREATER_OR_EQUAL),
    NAME(IRQL_NOT_LESS_OR_EQUAL),
    NAME(SPIN_LOCK_ALREADY_OWNED),
    NAME(SPIN_LOCK_NOT_OWNED),
    NAME(BAD_POOL_HEADER),
    NAME(MEMORY_MANAGEMENT),
    NAME(KMODE_EXCEPTION_NOT_HANDLED),
    NAME(KERNEL_APC_PENDING_DURING_EXIT),
    NAME(PHASE0_INITIALIZATION_FAILED),
    NAME(MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED),
    NAME(PAGE_FAULT_IN_NONPAGED_AREA),
    NAME(HAL_INITIALIZATION_FAILED),
    NAME(UNEXPECTED_KERNEL_MODE_TRAP),
    NAME(NMI_HARDWARE_FAILURE),
    NAME(MACHINE_CHECK_EXCEPTION),
    NAME(ACPI_BIOS_ERROR),
    NAME(ATTEMPTED_SWITCH_FROM_DPC),
    NAME(ATTEMPTED_WRITE_TO_READONLY_MEMORY),
    NAME(BAD_POOL_CALLER),
    NAME(DRIVER_VERIFIER_DETECTED_VIOLATION),
    NAME(TIMER_OR_DPC_INVALID),
    NAME(IRQL_UNEXPECTED_VALUE),
    NAME(DRIVER_IRQL_NOT_LESS_OR_EQUAL),
    NAME(MANUALLY_INITIATED_CRASH),
    NAME(RESOURCE_NOT_OWNED),
    NAME(INVALID_FLOATING_POINT_STATE),
    NAME(HARDWARE_INTERRUPT_STORM),
    NAME(DRIVER_OVERRAN_STACK_BUFFER),
    NAME(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY),
    NAME(CLOCK_WATCHDOG_TIMEOUT),
    NAME(DPC_WATCHDOG_VIOLATION),
#undef NAME
};

PCSTR KiBugCheckName(ULONG Code)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(KiBugCheckNames); Index++)
    {
        if (KiBugCheckNames[Index].Code == Code)
        {
            return KiBugCheckNames[Index].Name;
        }
    }
    return "UNKNOWN";
}

/* Stores where this processor was and stops it for ever. Interrupts off, or on the NMI stack. */
static DECLSPEC_NORETURN VOID KiFreeze(PKTRAP_FRAME Frame)
{
    PKPRCB Prcb = KiGetCurrentPrcb();

    if (Frame != NULL)
    {
        Prcb->FreezeFrame = *Frame;
    }
    Prcb->FreezeFrameAddress = Frame;
    WriteRelease(&Prcb->Frozen, TRUE); /* pairs with: KiAwaitFrozen */
    HalpHalt();
}

VOID KiNonMaskableInterrupt(PKTRAP_FRAME Frame)
{
    LONG Owner = ReadAcquire(&KiBugCheckOwner);

    KI_CURRENT_PRCB->NmiCount++;
    if (KI_CURRENT_PRCB->Frozen)
    {
        HalpHalt(); /* it had stopped itself: its frame stays what it was */
    }
    if (Owner != NOBODY && Owner != (LONG)KI_CURRENT_PRCB->Index)
    {
        KiFreeze(Frame);
    }
    if (Owner == NOBODY)
    {
        KiNoteNmi(Frame);
    }
}

/* The other processors that can be stopped: not those that were never started, or have not loaded
 * their IDT. An NMI would reset the machine through them, so it is never broadcast. */
PKPRCB KiOtherProcessor(ULONG Index, ULONG Owner)
{
    PKPRCB Prcb = ReadPointerAcquire(&KiProcessorBlock[Index]);

    return Prcb != NULL && Index != Owner && ReadAcquire(&Prcb->CanTakeNmi) ? Prcb : NULL;
}

static VOID KiFreezeOthers(ULONG Owner)
{
    for (ULONG Index = 0; Index < MAXIMUM_PROCESSORS; Index++)
    {
        if (KiOtherProcessor(Index, Owner) != NULL)
        {
            HalpSendNmi(Index);
        }
    }
}

static VOID KiAwaitFrozen(ULONG Owner)
{
    ULONG Waited = 0;

    for (ULONG Index = 0; Index < MAXIMUM_PROCESSORS; Index++)
    {
        PKPRCB Prcb = KiOtherProcessor(Index, Owner);

        while (Prcb != NULL && !ReadAcquire(&Prcb->Frozen) && Waited < FREEZE_LIMIT_US)
        {
            HalpStall(FREEZE_STEP_US);
            Waited += FREEZE_STEP_US;
        }
    }
}

static VOID KiReportAddress(ULONG64 Rip, PKTRAP_FRAME Trap, PVOID Context)
{
    ULONG64 Offset;
    PCSTR Name = KiFindSymbol(Rip, &Offset);

    UNREFERENCED_PARAMETER(Context);
    if (Trap != NULL)
    {
        KiLog(KiLogError, "      -- vector %02llx, IRQL before %llu --", Trap->Vector,
              Trap->PreviousIrql);
    }
    if (Name != NULL)
    {
        KiLog(KiLogError, "      %016llx %s+0x%llx", Rip, Name, Offset);
    }
    else
    {
        KiLog(KiLogError, "      %016llx", Rip);
    }
}

static VOID KiReportRegisters(const KTRAP_FRAME *Frame)
{
    KiLog(KiLogError, "   rip %016llx rsp %016llx rbp %016llx rfl %08llx", Frame->Rip, Frame->Rsp,
          Frame->Rbp, Frame->Rflags);
    KiLog(KiLogError, "   rax %016llx rcx %016llx rdx %016llx rsi %016llx", Frame->Rax, Frame->Rcx,
          Frame->Rdx, Frame->Rsi);
    KiLog(KiLogError, "   rdi %016llx r8  %016llx r9  %016llx r10 %016llx", Frame->Rdi, Frame->R8,
          Frame->R9, Frame->R10);
    if (Frame->Full)
    {
        KiLog(KiLogError, "   r11 %016llx rbx %016llx r12 %016llx r13 %016llx", Frame->R11,
              Frame->Rbx, Frame->R12, Frame->R13);
        KiLog(KiLogError, "   r14 %016llx r15 %016llx", Frame->R14, Frame->R15);
    }
}

static VOID KiReportHeldLocks(PKPRCB Prcb)
{
#if DBG
    for (ULONG Index = 0; Index < Prcb->HeldLockCount && Index < KI_MAXIMUM_HELD_LOCKS; Index++)
    {
        ULONG64 Offset = 0;
        PCSTR Name = KiFindSymbol((ULONG64)Prcb->HeldLocks[Index].Caller, &Offset);

        KiLog(KiLogError, "   holds lock %016llx taken in %s+0x%llx",
              (ULONG64)Prcb->HeldLocks[Index].Lock, Name != NULL ? Name : "?", Offset);
    }
#else
    UNREFERENCED_PARAMETER(Prcb);
#endif
}

static VOID KiReportOther(PKPRCB Prcb)
{
    if (!ReadAcquire(&Prcb->Frozen))
    {
        KiLog(KiLogError, "CPU %u did not stop", Prcb->Index);
        return;
    }
    KiLog(KiLogError, "CPU %u IRQL %llu thread %s%s", Prcb->Index, Prcb->FreezeFrame.PreviousIrql,
          Prcb->CurrentThread != NULL ? Prcb->CurrentThread->Name : "none",
          Prcb->DpcRoutineActive ? ", in a DPC" : "");
    if (Prcb->FreezeFrameAddress != NULL)
    {
        KiReportRegisters(&Prcb->FreezeFrame);
        KiReportHeldLocks(Prcb);
        KiReportAddress(Prcb->FreezeFrame.Rip, NULL, NULL);
        KiWalkStack(Prcb->FreezeFrame.Rbp, STACK_LIMIT, KiReportAddress, NULL);
    }
    else
    {
        KiLog(KiLogError, "   it was about to report a bug check of its own");
    }
}

#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_PAGE_FAULT 14

/* Which stack the trap found. A double fault whose address is in a guard page is an overflow: the
 * first fault could not be delivered there. */
static VOID KiReportStack(const KTRAP_FRAME *Frame)
{
    ULONG64 Address = __readcr2();
    KI_STACK_PLACE Place;

    if ((Frame->Vector == VECTOR_DOUBLE_FAULT || Frame->Vector == VECTOR_PAGE_FAULT) &&
        KiFindStack(Address, &Place) && Address < Place.Base)
    {
        KiLog(KiLogError, "   %s: %016llx is in the guard page below the %s stack of CPU %u",
              Frame->Vector == VECTOR_DOUBLE_FAULT ? "stack overflow" : "guard page", Address,
              Place.Kind, Place.Processor);
    }
    else if (KiFindStack(Frame->Rsp, &Place))
    {
        KiLog(KiLogError, "   on the %s stack of CPU %u, %lld bytes left", Place.Kind,
              Place.Processor, (LONG64)(Frame->Rsp - Place.Base));
    }
    else
    {
        KiLog(KiLogError, "   rsp is on no stack that is known");
    }
}

static VOID KiReport(const KI_STOP *Stop)
{
    PKPRCB Prcb = Stop->Prcb;
    const ULONG_PTR *Parameters = Stop->Parameters;

    KiLog(KiLogError, "*** STOP: 0x%08X %s (0x%llX, 0x%llX, 0x%llX, 0x%llX)", Stop->Code,
          KiBugCheckName(Stop->Code), Parameters[0], Parameters[1], Parameters[2], Parameters[3]);
    KiLog(KiLogError, "CPU %u IRQL %u thread %s%s", Prcb->Index, Stop->Irql,
          Prcb->CurrentThread != NULL ? Prcb->CurrentThread->Name : "none",
          Prcb->DpcRoutineActive ? ", in a DPC" : "");
    if (Stop->Frame != NULL)
    {
        KiReportStack(Stop->Frame);
        KiReportRegisters(Stop->Frame);
        KiReportAddress(Stop->Frame->Rip, NULL, NULL);
    }
    KiReportHeldLocks(Prcb);
    KiWalkStack(Stop->Rbp, STACK_LIMIT, KiReportAddress, NULL);
    for (ULONG Index = 0; Index < MAXIMUM_PROCESSORS; Index++)
    {
        PKPRCB Other = KiOtherProcessor(Index, Prcb->Index);

        if (Other != NULL)
        {
            KiReportOther(Other);
        }
    }
    KiLog(KiLogError,
          "PANIC-JSON: {\"code\":%u,\"name\":\"%s\",\"cpu\":%u,\"irql\":%u,"
          "\"p\":[%llu,%llu,%llu,%llu]}",
          Stop->Code, KiBugCheckName(Stop->Code), Prcb->Index, Stop->Irql, Parameters[0],
          Parameters[1], Parameters[2], Parameters[3]);
}

/* The report itself has led here. What says so may fail in turn: once. If it was the screen, the
 * report goes on without. */
static DECLSPEC_NORETURN VOID KiFailReport(VOID)
{
    const KI_STOP *Stop = KiStopOnScreen;

    if (Stop != NULL)
    {
        KiStopOnScreen = NULL;
        KiLogEmergency();
        KiLog(KiLogError, "screen: the bug check's page could not be drawn");
        KiReport(Stop);
        KiExit(HALP_EXIT_BUGCHECK);
    }
    switch (KiReportFailures++)
    {
    case 0:
        HalpSerialWrite(0, REPORT_FAILED, sizeof(REPORT_FAILED) - 1);
        KdpReportFailed();
        KiExit(HALP_EXIT_BUGCHECK);
    case 1:
        KiExit(HALP_EXIT_BUGCHECK);
    default: /* what ends the boot fails too: nothing that has state to be wrong */
        if (KiOptions.Exit == KiExitDebug)
        {
            HalpDebugExit(HALP_EXIT_BUGCHECK);
        }
        HalpHalt();
    }
}

VOID KiBugCheckFrame(ULONG Code, ULONG_PTR Parameter1, ULONG_PTR Parameter2, ULONG_PTR Parameter3,
                     ULONG_PTR Parameter4, PKTRAP_FRAME Frame)
{
    KI_STOP Stop = {.Code = Code,
                    .Parameters = {Parameter1, Parameter2, Parameter3, Parameter4},
                    .Frame = Frame,
                    .Rbp = Frame != NULL ? Frame->Rbp : (ULONG64)__builtin_frame_address(0),
                    .Irql = Frame != NULL ? (KIRQL)Frame->PreviousIrql : KeGetCurrentIrql()};
    LONG Owner;

#if DBG
    KiLandIfExpected(Code, Stop.Parameters);
#endif
    _disable();
    Stop.Prcb = KiGetCurrentPrcb();
    Owner = InterlockedCompareExchange(&KiBugCheckOwner, (LONG)Stop.Prcb->Index, NOBODY);
    if (Owner != NOBODY && Owner != (LONG)Stop.Prcb->Index)
    {
        Stop.Prcb->FreezeFrame.PreviousIrql = Stop.Irql;
        KiFreeze(Frame);
    }
    if (Owner != NOBODY || KiReporting)
    {
        KiFailReport();
    }
    KiReporting = TRUE;
    KiFreezeOthers(Stop.Prcb->Index);
    KiAwaitFrozen(Stop.Prcb->Index);
    KiStopOnScreen = &Stop;
    KdpBeginStopPage(&Stop);
    KiStopOnScreen = NULL;
    KiLogEmergency();
    KiReport(&Stop);
    KdpFinishStopPage(&Stop);
    KiExit(HALP_EXIT_BUGCHECK);
}

VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                  ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4)
{
    KiBugCheckFrame(BugCheckCode, BugCheckParameter1, BugCheckParameter2, BugCheckParameter3,
                    BugCheckParameter4, NULL);
}

VOID KeBugCheck(ULONG BugCheckCode)
{
    KeBugCheckEx(BugCheckCode, 0, 0, 0, 0);
}

VOID KiAssertionFailed(PCSTR Condition, PCSTR File, ULONG Line, ULONG_PTR Value1, ULONG_PTR Value2)
{
    KiLog(KiLogError, "assertion failed: %s (%llx, %llx) at %s:%u", Condition, Value1, Value2, File,
          Line);
    KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, KI_ASSERTION_FAILED, Value1, Value2, Line);
}
