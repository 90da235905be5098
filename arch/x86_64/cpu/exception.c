/* SPDX-License-Identifier: MIT */
/*
 * exception.c - what each exception means for a kernel that never expects one.
 *
 * Every exception is somebody's mistake and ends in the bug check that Microsoft's reference gives
 * it. The exceptions to that: NMIs (they freeze a processor during a bug check, or are counted),
 * machine checks that were corrected, the spurious interrupt, and vectors 0x10..0x1E when they were
 * sent as interrupts - the in-service bit tells, for a real exception never sets it.
 */
#include "cpu.h"

#include <arch/mmu.h>

#define EXCEPTION_DIVIDE 0
#define EXCEPTION_NMI 2
#define EXCEPTION_BREAKPOINT 3
#define EXCEPTION_OVERFLOW 4
#define EXCEPTION_INVALID_OPCODE 6
#define EXCEPTION_DOUBLE_FAULT 8
#define EXCEPTION_GENERAL_PROTECTION 13
#define EXCEPTION_PAGE_FAULT 14
#define EXCEPTION_MACHINE_CHECK 18

#define PF_PRESENT 0x1
#define PF_WRITE 0x2
#define PF_EXECUTE 0x10

/* NTSTATUS values that a bug check 0x1E reports as its first parameter ([MS-ERREF] 2.3.1). */
#define STATUS_ILLEGAL_INSTRUCTION 0xC000001Du
#define STATUS_BREAKPOINT 0x80000003u
#define STATUS_INTEGER_DIVIDE_BY_ZERO 0xC0000094u
#define STATUS_INTEGER_OVERFLOW 0xC0000095u

VOID KiDispatchException(PKTRAP_FRAME Frame);

/* Bug check 0x50's last parameter: what kind of fault. */
#define FAULT_NOT_PRESENT 0x2
#define FAULT_USER_ADDRESS 0xF

/* A page that user code could reach: SMAP keeps the kernel's data accesses off it. */
static BOOLEAN KiIsUserAddress(ULONG64 Address)
{
    return Address >> 47 == 0;
}

/* Microsoft, "Bug Check 0xA", "0x50", "0xBE", "0xFC": which of them depends on what was wrong. */
static DECLSPEC_NORETURN VOID KiPageFault(PKTRAP_FRAME Frame)
{
    ULONG64 Address = __readcr2();
    ULONG64 Error = Frame->ErrorCode;
    ULONG_PTR Operation = (Error & PF_EXECUTE) ? 0x10 : (Error & PF_WRITE) ? 2 : 0;

    if ((Error & PF_PRESENT) && (Error & PF_EXECUTE))
    {
        KiBugCheckFrame(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, Address,
                        ArchReadEntry((PVOID)Address), (ULONG_PTR)Frame, 0, Frame);
    }
    if ((Error & PF_PRESENT) && KiIsUserAddress(Address))
    {
        KiBugCheckFrame(PAGE_FAULT_IN_NONPAGED_AREA, Address, Operation, Frame->Rip,
                        FAULT_USER_ADDRESS, Frame);
    }
    if ((Error & PF_PRESENT) && (Error & PF_WRITE))
    {
        KiBugCheckFrame(ATTEMPTED_WRITE_TO_READONLY_MEMORY, Address, ArchReadEntry((PVOID)Address),
                        (ULONG_PTR)Frame, 0, Frame);
    }
    if (Frame->PreviousIrql >= DISPATCH_LEVEL)
    {
        ULONG Access = (Error & PF_EXECUTE) ? 8 : (Error & PF_WRITE) ? 1 : 0;

        KiBugCheckFrame(IRQL_NOT_LESS_OR_EQUAL, Address, Frame->PreviousIrql, Access, Frame->Rip,
                        Frame);
    }
    KiBugCheckFrame(PAGE_FAULT_IN_NONPAGED_AREA, Address, Operation, Frame->Rip, FAULT_NOT_PRESENT,
                    Frame);
}

static ULONG KiExceptionStatus(ULONG64 Vector)
{
    switch (Vector)
    {
    case EXCEPTION_DIVIDE:
        return STATUS_INTEGER_DIVIDE_BY_ZERO;
    case EXCEPTION_BREAKPOINT:
        return STATUS_BREAKPOINT;
    case EXCEPTION_OVERFLOW:
        return STATUS_INTEGER_OVERFLOW;
    case EXCEPTION_INVALID_OPCODE:
        return STATUS_ILLEGAL_INSTRUCTION;
    case EXCEPTION_GENERAL_PROTECTION:
        return (ULONG)STATUS_ACCESS_VIOLATION;
    default:
        return 0;
    }
}

/*
 * KiDispatchException - from trap.asm; interrupts off, any IRQL. Returns only after an NMI, a
 * corrected machine check, or an interrupt in exception's clothing.
 */
VOID KiDispatchException(PKTRAP_FRAME Frame)
{
    ULONG64 Vector = Frame->Vector;
    ULONG Status;

    if (Vector == EXCEPTION_NMI)
    {
        KiNonMaskableInterrupt(Frame);
        return;
    }
    if (Vector == SPURIOUS_VECTOR || (Vector >= 16 && HalpIsInService((ULONG)Vector)))
    {
        KiStrayInterrupt((ULONG)Vector);
        return;
    }

    if (Vector == EXCEPTION_PAGE_FAULT)
    {
        KiPageFault(Frame);
    }
    if (Vector == EXCEPTION_MACHINE_CHECK)
    {
        ArchMachineCheck(Frame);
        return;
    }

    Status = KiExceptionStatus(Vector);
    if (Status != 0)
    {
        KiBugCheckFrame(KMODE_EXCEPTION_NOT_HANDLED, Status, Frame->Rip, Frame->ErrorCode, 0,
                        Frame);
    }
    KiBugCheckFrame(UNEXPECTED_KERNEL_MODE_TRAP, Vector, Frame->ErrorCode, Frame->Rip, 0, Frame);
}
