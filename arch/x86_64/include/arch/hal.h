/* SPDX-License-Identifier: MIT */
/*
 * hal.h - the machine as the kernel sees it: processors to start, interrupts to send and route,
 * counters to read, ways to stop. Behind it lie the APICs, ACPI, the timers and the UARTs.
 */
#pragma once

#include <arch/trap.h>
#include <boot_info.h>
#include <ke.h>

/* ------------------------------------------------------------------ Start-up, in order. */

#define ARCH_IST_STACKS 3 /* #DF, NMI, #MC */
#define ARCH_IST_STACK_SIZE 0x2000ull

/* This processor's descriptor tables; on the boot processor also the IDT and the features. First on
 * each processor. */
struct _KI_PROCESSOR;
VOID ArchInitializeProcessor(struct _KI_PROCESSOR *Processor, PVOID IstStacks[ARCH_IST_STACKS]);
VOID ArchInitializeBootProcessor(struct _KI_PROCESSOR *Processor, PVOID IstStacks[ARCH_IST_STACKS]);
/* The boot processor's control registers, and the entry code fitted to it. After the options,
 * before memory. */
VOID ArchProtectBootProcessor(VOID);
/* Notes which processor this is (family, model, stepping, microcode, TSC adjustment), itself; and
 * logs what Count of them have noted, those unlike the first as warnings. */
VOID ArchRecordProcessor(ULONG Index, ULONG ApicId);
VOID ArchReportProcessors(ULONG Count);
/* An AP's features, checked against the others', and its control registers. */
VOID ArchInitializeFeatures(VOID);
/* Replaces the exception stacks of a processor; this one's own, or one that has not started. */
VOID ArchSetIstStacks(struct _KI_PROCESSOR *Processor, PVOID IstStacks[ARCH_IST_STACKS]);

/* Replaces the loader's page tables by the kernel's own. Boot processor, once. */
VOID ArchInitializeMemory(PBOOT_INFO BootInfo);
/* Gives the rest of early memory back to the map; the page-table allocator is set after this. */
VOID ArchCloseBootPages(PBOOT_INFO BootInfo);

/* Reads the ACPI tables. Boot processor, once, after memory. Reports what is missing. */
VOID HalpInitializeAcpi(PBOOT_INFO BootInfo);

/* Local APIC: boot processor first, then each AP. */
VOID HalpInitializeLocalApic(BOOLEAN BootProcessor);

/* 8259 off, IOAPICs found and masked. */
VOID HalpInitializeInterruptControllers(VOID);

/* Calibrates the TSC and the APIC timer. Boot processor. */
VOID HalpInitializeTime(VOID);

/* Chooses the performance counter, when all processors are up: TscMonotone is the warp test's
 * verdict. From here on HalpQueryCounter is what KeQueryPerformanceCounter returns. Returns the
 * reason for the choice. */
PCSTR HalpChooseCounter(BOOLEAN TscMonotone);

/* Lists the processors to start: needs ACPI and the boot processor's APIC. */
VOID HalpListProcessors(VOID);

/* ------------------------------------------------------------------ Processors. */

/* APIC ids of the processors that firmware lists as enabled, boot processor first. */
extern ULONG HalpProcessorApicIds[MAXIMUM_PROCESSORS];
extern ULONG HalpProcessorsListed;

/*
 * Starts processors 1..Count-1 at once, each with the prepared block and stack in Slots; returns
 * when all have answered or a shared time-out passes. Slots[i].State says which did.
 */
typedef struct _HALP_START_SLOT
{
    ULONG ApicId;
    volatile LONG State; /* HalpSlot...: claimed by the AP with a compare-exchange */
    PVOID StackTop;
    struct _KI_PROCESSOR *Processor;
    PVOID IstStacks[ARCH_IST_STACKS];
} HALP_START_SLOT, *PHALP_START_SLOT;

#define HALP_SLOT_OFFERED 0 /* the AP may claim it                          */
#define HALP_SLOT_CLAIMED 1 /* the AP runs with it                          */
#define HALP_SLOT_CLOSED 2  /* too late: an AP that comes now parks itself  */

VOID HalpStartProcessors(PHALP_START_SLOT Slots, ULONG Count);

/* How many processors came too late or without a slot, and have parked themselves. Any IRQL. */
LONG HalpParkedProcessors(VOID);
/* For tests: INIT and STARTUP to a processor that has no slot. FALSE if nothing was ever started,
 * so that there is no code for it to run. PASSIVE_LEVEL. */
BOOLEAN HalpStartUnlisted(ULONG ApicId);

/* A random number from the processor; FALSE, and *Value is what it was, if it has none to give.
 * Any IRQL, once the boot processor's features are known. */
BOOLEAN ArchReadRandom(PULONG64 Value);

/* ------------------------------------------------------------------ Sending interrupts. */

/* All of these: any IRQL. */

/* One vector to one processor (by index; itself included). */
VOID HalpSendIpi(ULONG Processor, ULONG Vector);
/* One vector to all others by one register write; FALSE, and nothing is sent, where it might reach
 * a processor that is not ours. */
BOOLEAN HalpSendIpiAllButSelf(ULONG Vector);
/* One vector to this processor: one register write. Interrupts off, or IRQL >= the vector's. */
VOID HalpSendIpiSelf(ULONG Vector);
/* NMI to one processor (by index), which must have loaded its IDT. */
VOID HalpSendNmi(ULONG Processor);
/* Whether an IOAPIC's 8-bit destination can name that processor. */
BOOLEAN HalpCanTakeLines(ULONG Processor);

/* TRUE if the vector is in service here (its ISR bit is set). */
BOOLEAN HalpIsInService(ULONG Vector);
/* Ends the highest interrupt in service. For handlers of vectors 0x10..0x1F and the spurious one;
 * all others get theirs from the common entry code. */
VOID HalpEndOfInterrupt(VOID);

/* Sends every vector to the one that counts strays. Boot processor, before interrupts are on. */
VOID HalpInitializeVectors(VOID);
/* Reads and clears this processor's APIC error status. */
ULONG HalpReadApicError(VOID);

/* ------------------------------------------------------------------ Machine checks. */

/* Logs and clears the errors that this processor's banks hold: those that raise no exception,
 * because the hardware has corrected them. Not to be preempted; any IRQL. */
VOID ArchPollMachineChecks(VOID);

/* ------------------------------------------------------------------ Interrupt lines (GSIs). */

typedef enum _HALP_POLARITY
{
    HalpPolarityDefault, /* as the MADT's overrides or the bus say */
    HalpActiveHigh,
    HalpActiveLow
} HALP_POLARITY;

typedef struct _HALP_LINE
{
    ULONG Gsi;
    KINTERRUPT_MODE Mode;
    HALP_POLARITY Polarity;
} HALP_LINE, *PHALP_LINE;

/* The GSI, mode and polarity of an ISA interrupt (0..15), overrides applied. */
HALP_LINE HalpIsaLine(ULONG Irq);
/* TRUE if some IOAPIC has that line. */
BOOLEAN HalpLineExists(ULONG Gsi);
/* Number of lines: GSIs 0..n-1 may exist. */
ULONG HalpLineCount(VOID);

/* Programs the line with its vector and target processor, masked; then unmasks, masks, retargets.
 * A line is programmed by the vector that owns it; any IRQL. */
VOID HalpProgramLine(const HALP_LINE *Line, ULONG Vector, ULONG Processor);
VOID HalpUnmaskLine(ULONG Gsi);
VOID HalpMaskLine(ULONG Gsi);
VOID HalpRetargetLine(ULONG Gsi, ULONG Processor);
/* The line's redirection entry as its IOAPIC holds it; that of a masked line if there is none. */
ULONG64 HalpReadLine(ULONG Gsi);

/*
 * The vector table of lines: which vector a GSI has. HalpAssignVector gives Line a vector in the
 * IRQL class asked for, or the vector it has already; 0 if the class is full.
 */
ULONG HalpAssignVector(const HALP_LINE *Line, KIRQL Irql);
/* The line behind a device vector; FALSE if it has none (a vector that only software sends). */
BOOLEAN HalpVectorLine(ULONG Vector, PHALP_LINE Line);

/* ------------------------------------------------------------------ Time. */

/* The performance counter and its frequency. Any IRQL. */
ULONG64 HalpQueryCounter(VOID);
extern ULONG64 HalpCounterFrequency;
extern PCSTR HalpCounterName;

/* 0, or the 100 ns units within which somebody must read the counter, lest a wrap be missed. */
extern ULONG64 HalpCounterKeepAlive;

/* Whether firmware-visible facts allow the TSC as a counter: invariant, or under a hypervisor. */
BOOLEAN HalpTscUsable(VOID);

/* Arms this processor's timer to raise CLOCK_VECTOR once, Delay 100 ns units from now (at least
 * one timer tick); or stops it. Interrupts off or IRQL >= CLOCK_LEVEL. */
VOID HalpArmClock(ULONG64 Delay);
VOID HalpStopClock(VOID);

/* Busy wait, before and after calibration. Any IRQL. */
VOID HalpStall(ULONG MicroSeconds);

/* Seconds since 1970 by the CMOS clock; 0 if it cannot be read. */
ULONG64 HalpReadCmosTime(VOID);

/* ------------------------------------------------------------------ PCI configuration space. */

/* Reads or writes 1, 2 or 4 bytes, aligned; all ones if there is nothing. Any IRQL. */
ULONG HalpPciRead(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size);
VOID HalpPciWrite(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, ULONG Size, ULONG Value);
/* Finds the configuration ports, which need no table and no memory; then the memory window too.
 * Boot processor, once each, in this order. */
VOID HalpProbePci(VOID);
VOID HalpInitializePci(VOID);

/*
 * Candidate lines of an INTx pin (1..4), best first, each with the rule that named it; returns how
 * many. Without an AML interpreter none is certain: the driver proves the one it gets.
 */
#define HALP_MAXIMUM_CANDIDATES 24
typedef struct _HALP_LINE_CANDIDATE
{
    HALP_LINE Line;
    PCSTR Rule;
} HALP_LINE_CANDIDATE, *PHALP_LINE_CANDIDATE;

ULONG HalpPciInterruptCandidates(ULONG Bus, ULONG Device, ULONG Function, ULONG Pin,
                                 HALP_LINE_CANDIDATE Candidates[HALP_MAXIMUM_CANDIDATES]);

/* ------------------------------------------------------------------ Output and the end. */

/* UARTs: 0 the log (COM1), 1 test results (COM2). FALSE if there is none. Writing waits a bounded
 * time for each character and drops what does not go out. */
BOOLEAN HalpSerialPresent(ULONG Port);
VOID HalpSerialWrite(ULONG Port, PCSTR Text, SIZE_T Length);
/* Waits, a bounded time, until the last character is on the line: a reset would lose what is in the
 * port's FIFO. Any IRQL. */
VOID HalpSerialSettle(ULONG Port);
VOID HalpInitializeSerial(VOID);

/* Lets a port interrupt when characters come; the next one, or FALSE if there is none. Any IRQL. */
VOID HalpSerialEnableReceive(ULONG Port);
BOOLEAN HalpSerialRead(ULONG Port, PUCHAR Byte);

/* The keyboard: looks for it and sets it up, saying what there is, in 4 s at most; FALSE if there
 * is no controller. PASSIVE_LEVEL. Enabling its interrupt drops what has been typed; FALSE if it
 * takes no command. The next byte of its scan codes (set 1), or FALSE: any IRQL. */
BOOLEAN HalpStartKeyboard(VOID);
BOOLEAN HalpEnableKeyboard(VOID);
BOOLEAN HalpReadKeyboard(PUCHAR Byte);

/* Ends the emulator with that status byte if it has isa-debug-exit; returns if it has not. */
VOID HalpDebugExit(ULONG Code);
#define HALP_EXIT_PASSED 0x10
#define HALP_EXIT_FAILED 0x11
#define HALP_EXIT_BUGCHECK 0x12
#define HALP_EXIT_UNSUPPORTED 0x13

/* Switches the machine off by ACPI's soft-off. Returns only if that failed, after at most 8 s, with
 * the reason; the obstacle is the part of it that is known beforehand, or NULL. Any IRQL. */
PCSTR HalpPowerOff(VOID);
PCSTR HalpPowerOffObstacle(VOID);

/* The reset ladder, in the order of options.h's reset=: a rung's name; why it cannot be tried, or
 * NULL; trying it, which returns if the machine still runs half a second later. Any IRQL. */
typedef enum _HALP_RUNG
{
    HalpRungAcpi,
    HalpRungCf9,
    HalpRungKeyboard,
    HalpRungFault,
    HalpRungs
} HALP_RUNG;
PCSTR HalpRungName(HALP_RUNG Rung);
PCSTR HalpRungProblem(HALP_RUNG Rung);
VOID HalpReset(HALP_RUNG Rung);
DECLSPEC_NORETURN VOID HalpHalt(VOID);

/* "TCG", "KVM", ... or "bare metal", and the processor's name. */
PCSTR HalpHypervisorName(VOID);
/* Whether CPUID says that there is one. */
BOOLEAN HalpIsUnderHypervisor(VOID);
