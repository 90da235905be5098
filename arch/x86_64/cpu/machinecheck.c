/* SPDX-License-Identifier: MIT */
/*
 * machinecheck.c - errors that the hardware itself reports: the machine-check banks.
 *
 * PURPOSE
 *   Stop at an error that has destroyed something, with what the processor knows of it; go on after
 *   one that was corrected, and say so; and do not lose what a bank held before this start.
 *
 * HOW IT WORKS
 *   A bank is four registers: what it shall report, and of the last error its status, address and
 *   further facts. Status has bits for "valid", "uncorrected", "context corrupt", and for whether
 *   the other two mean anything.
 *       at start       each processor logs and clears what it finds, then enables all banks
 *       exception 18   uncorrected, or no way back to the interrupted code: bug check 0x9C. Else it
 *                      goes on, and leaves the bank to the next poll. A processor without an error
 *                      goes on too: Intel's send the exception to all, and who has the error stops
 *                      the machine and says which it is
 *       poll           a busy processor, every few seconds: corrected errors are logged and cleared
 *   Corrected errors raise no exception, so without the poll nobody would know of failing memory
 *   before it fails.
 *
 * LOCKS AND IRQL
 *   None: the registers are the processor's own, or shared with a neighbour who clears them too,
 *   and then one of the two logs the error, or both do. The exception may come inside the log or
 *   under any lock: the handler raises to HIGH_LEVEL before it logs, so that the log wakes nobody.
 *   One that comes back has logged between two steps of whoever was logging: that line is put out
 *   first. A processor that a bug check has stopped stays so.
 *
 * FURTHER READING
 *   Intel SDM 3B chapter 15 (machine-check architecture). Microsoft: "Bug Check 0x9C:
 *   MACHINE_CHECK_EXCEPTION". docs/faults.md.
 */
#include "cpu.h"

#define MSR_MCG_CAP 0x179u
#define MSR_MCG_STATUS 0x17Au
#define MSR_MCG_CTL 0x17Bu
#define MSR_MC0_CTL 0x400u /* bank b: + 4 * b; then status, address, miscellaneous */
#define MC_STATUS 1u
#define MC_ADDRESS 2u
#define MC_MISC 3u

#define MCG_CAP_COUNT 0xFFu
#define MCG_CAP_CTL (1ull << 8)
#define MCG_STATUS_RESTARTABLE (1ull << 0)

#define STATUS_VALID (1ull << 63)
#define STATUS_OVERFLOW (1ull << 62)
#define STATUS_UNCORRECTED (1ull << 61)
#define STATUS_MISC_VALID (1ull << 59)
#define STATUS_ADDRESS_VALID (1ull << 58)
#define STATUS_CONTEXT_CORRUPT (1ull << 57)
#define STATUS_FATAL (STATUS_UNCORRECTED | STATUS_CONTEXT_CORRUPT)

#define CPUID_1_EDX_MCA (1u << 14)

/* What the bug check's second parameter points at. */
typedef struct _ARCH_BANK_ERROR
{
    ULONG Bank;
    ULONG64 Status;
    ULONG64 Address; /* 0 unless the status says that it is valid */
    ULONG64 Misc;    /* the same */
    ULONG64 GlobalStatus;
} ARCH_BANK_ERROR, *PARCH_BANK_ERROR;

static ULONG ArchBankCount(VOID)
{
    return (ArchFeatures.Leaf1Edx & CPUID_1_EDX_MCA)
               ? (ULONG)(__readmsr(MSR_MCG_CAP) & MCG_CAP_COUNT)
               : 0;
}

/* FALSE if the bank holds no error. */
static BOOLEAN ArchReadBank(ULONG Bank, PARCH_BANK_ERROR Error)
{
    ULONG Registers = MSR_MC0_CTL + Bank * 4;

    Error->Bank = Bank;
    Error->Status = __readmsr(Registers + MC_STATUS);
    if (!(Error->Status & STATUS_VALID))
    {
        return FALSE;
    }
    Error->Address = (Error->Status & STATUS_ADDRESS_VALID) ? __readmsr(Registers + MC_ADDRESS) : 0;
    Error->Misc = (Error->Status & STATUS_MISC_VALID) ? __readmsr(Registers + MC_MISC) : 0;
    Error->GlobalStatus = __readmsr(MSR_MCG_STATUS);
    return TRUE;
}

static VOID ArchLogBank(KI_LOG_LEVEL Level, PCSTR What, const ARCH_BANK_ERROR *Error)
{
    KiLog(Level,
          "machine check: %s: CPU %u bank %u status %016llx%s address %llx misc %llx global %llx",
          What, KI_CURRENT_PRCB->Index, Error->Bank, Error->Status,
          (Error->Status & STATUS_OVERFLOW) ? " (and others)" : "", Error->Address, Error->Misc,
          Error->GlobalStatus);
}

static PCSTR ArchWhat(const ARCH_BANK_ERROR *Error)
{
    return (Error->Status & STATUS_FATAL) ? "not corrected, raised no exception"
                                          : "corrected by the hardware";
}

/* What: NULL, or how errors came to be there whatever they are. */
static VOID ArchLogAndClear(PCSTR What)
{
    ULONG Count = ArchBankCount();
    ARCH_BANK_ERROR Error;

    for (ULONG Bank = 0; Bank < Count; Bank++)
    {
        if (ArchReadBank(Bank, &Error))
        {
            ArchLogBank(KiLogWarning, What != NULL ? What : ArchWhat(&Error), &Error);
            __writemsr(MSR_MC0_CTL + Bank * 4 + MC_STATUS, 0);
        }
    }
}

/* Bank 0 of family 6 before model 1Ah is firmware's to enable (SDM 3B 15.3.2.1). */
static BOOLEAN ArchOwnsBankZero(VOID)
{
    ULONG Family = ArchFeatures.Signature >> 8 & 0xF;
    ULONG Model = (ArchFeatures.Signature >> 4 & 0xF) | (ArchFeatures.Signature >> 12 & 0xF0);

    return Family != 6 || Model >= 0x1A;
}

VOID ArchInitializeMachineChecks(VOID)
{
    ULONG Count = ArchBankCount();

    if (Count == 0)
    {
        return;
    }
    ArchLogAndClear("left from before this start");
    __writemsr(MSR_MCG_STATUS, 0);
    if (__readmsr(MSR_MCG_CAP) & MCG_CAP_CTL)
    {
        __writemsr(MSR_MCG_CTL, MAXULONG64);
    }
    for (ULONG Bank = ArchOwnsBankZero() ? 0 : 1; Bank < Count; Bank++)
    {
        __writemsr(MSR_MC0_CTL + Bank * 4, MAXULONG64);
    }
}

VOID ArchPollMachineChecks(VOID)
{
    ArchLogAndClear(NULL);
}

/* The worst of the banks: one with a fatal error, else any with an error. FALSE: none has one. */
static BOOLEAN ArchFindError(PARCH_BANK_ERROR Worst)
{
    ULONG Count = ArchBankCount();
    BOOLEAN Found = FALSE;
    ARCH_BANK_ERROR Error;

    for (ULONG Bank = 0; Bank < Count; Bank++)
    {
        if (ArchReadBank(Bank, &Error) &&
            (!Found || (!(Worst->Status & STATUS_FATAL) && (Error.Status & STATUS_FATAL))))
        {
            *Worst = Error;
            Found = TRUE;
        }
    }
    return Found;
}

static BOOLEAN ArchMayGoOn(VOID)
{
    return ArchBankCount() != 0 && (__readmsr(MSR_MCG_STATUS) & MCG_STATUS_RESTARTABLE);
}

VOID ArchMachineCheck(PKTRAP_FRAME Frame)
{
    ARCH_BANK_ERROR Error = {0};
    BOOLEAN Found = ArchFindError(&Error);

    if (KI_CURRENT_PRCB->Frozen)
    {
        HalpHalt(); /* as an NMI would: the report is another processor's */
    }
    __writecr8(HIGH_LEVEL);
    if (!(Error.Status & STATUS_FATAL) && ArchMayGoOn())
    {
        if (!Found)
        {
            KiLog(KiLogWarning, "machine check: CPU %u has no error in its banks: it goes on",
                  KI_CURRENT_PRCB->Index);
        }
        __writemsr(MSR_MCG_STATUS, 0); /* or the next one would reset the machine */
        __writecr8(Frame->PreviousIrql);
        return;
    }
    if (Found)
    {
        ArchLogBank(KiLogError, "fatal", &Error);
    }
    KiBugCheckFrame(MACHINE_CHECK_EXCEPTION, Found ? Error.Bank : ArchBankCount(),
                    (ULONG_PTR)&Error, Error.Status >> 32, (ULONG)Error.Status, Frame);
}
