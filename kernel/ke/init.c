/* SPDX-License-Identifier: MIT */
/*
 * init.c - start-up: one table, one line a step, each with what works afterwards.
 *
 * The boot processor runs KiBootSteps from the loader's hand-over to the point where every
 * processor sits in its idle loop; the last step is work for its own idle thread, at PASSIVE_LEVEL,
 * with the whole kernel there to use. An application processor runs the short list in
 * KiApplicationProcessorStartup. Port 0x80 and the screen's corner show the number of the step that
 * is running; what a step has logged is put out before the next one begins.
 */
#include <arch/hal.h>
#include <arch/mmu.h>
#include <iop.h>
#include <kd.h>
#include <mi.h>

#include "clock.h"
#include "keep.h"
#include "log.h"
#include "start.h"
#include "trap.h"
#include "twin.h"

#define EARLY_IST_STACK_SIZE 0x1000

KI_OPTIONS KiOptions KI_RO_AFTER_INIT;

static PBOOT_INFO KiBootInfo;

/* The boot processor's block, where GS points from entry.asm on, and its first exception stacks;
 * the stacks are replaced by guarded ones as soon as there is memory. */
KI_PROCESSOR KiBootProcessor DECLSPEC_ALIGN(64);
static UCHAR KiEarlyIstStacks[ARCH_IST_STACKS][EARLY_IST_STACK_SIZE] DECLSPEC_ALIGN(16);

static VOID KiStepProcessor(VOID)
{
    PVOID Stacks[ARCH_IST_STACKS];

    for (ULONG Index = 0; Index < ARCH_IST_STACKS; Index++)
    {
        Stacks[Index] = KiEarlyIstStacks[Index] + EARLY_IST_STACK_SIZE;
    }
    KiPrepareProcessor(&KiBootProcessor, 0);
    HalpInitializeVectors();
    ArchInitializeBootProcessor(&KiBootProcessor, Stacks);
    KiBootProcessor.Prcb.CanTakeNmi = TRUE;
    KiProcessorBlock[0] = &KiBootProcessor.Prcb;
    KiProcessorCount = 1;
}

static VOID KiReportOption(PVOID Context, PCSTR Text)
{
    UNREFERENCED_PARAMETER(Context);
    KiLog(KiLogWarning, "%s", Text);
}

static VOID KiStepOptions(VOID)
{
    HalpInitializeSerial();
    KiParseOptions(KiBootInfo->CommandLine, &KiOptions, KiReportOption, NULL);
    if (!KiOptions.SeedGiven)
    {
        KiOptions.Seed = __rdtsc();
    }
#if DBG
    if (KiOptions.Fault[0] != '\0' && !KiSelectTwin(KiOptions.Fault))
    {
        KiLog(KiLogWarning, "option 'fault=%s' ignored: there is no such broken twin",
              KiOptions.Fault);
    }
#endif
}

static VOID KiStepProtection(VOID)
{
    ArchProtectBootProcessor();
}

/* Devices first: what still writes to memory must stop before that memory has owners. */
static VOID KiStepMemory(VOID)
{
    HalpProbePci();
    IopPciSilence(KiBootInfo->Efi);
    ArchInitializeMemory(KiBootInfo);
    ArchCloseBootPages(KiBootInfo);
    MiInitializeMemory(KiBootInfo);
    KdpMapScreen();
    KiOpenKeptLog(KiBootInfo->KeptLog != 0 ? ArchPhysicalToVirtual(KiBootInfo->KeptLog) : NULL);
}

static VOID KiStepFirmware(VOID)
{
    HalpInitializeAcpi(KiBootInfo);
}

static VOID KiStepInterrupts(VOID)
{
    HalpInitializeLocalApic(TRUE);
    HalpInitializeInterruptControllers();
    KiInitializeTraps();
}

static VOID KiStepTime(VOID)
{
    HalpInitializeTime();
    KiInitializeTime();
}

typedef struct _KI_BOOT_STEP
{
    PCSTR Name;
    VOID (*Routine)(VOID);
    PCSTR Afterwards;
} KI_BOOT_STEP;

static const KI_BOOT_STEP KiBootSteps[] = {
    {"log", KiInitializeLog, "KiLog, into the ring"},
    {"processor", KiStepProcessor, "exceptions, GS, IRQL, locks"},
    {"options", KiStepOptions, "KiOptions, the serial ports, the screen on the loader's maps"},
    {"protection", KiStepProtection, "CR0, CR4, EFER and PAT as on every processor"},
    {"memory", KiStepMemory, "page frames, pool, MmMapIoSpace; the loader's maps are gone"},
    {"firmware", KiStepFirmware, "the ACPI tables' contents"},
    {"interrupts", KiStepInterrupts, "APIC, IOAPIC, vectors; still masked by CLI"},
    {"time", KiStepTime, "stall, counter, clock"},
    {"processors", KiStartAllProcessors, "every other CPU in its idle loop"},
};

VOID KiSystemStartup(PBOOT_INFO BootInfo)
{
    KiStartTimes.Entered = __rdtsc();
    KiBootInfo = BootInfo;
    KiOptions.LogLevel = KiLogInfo; /* until the command line is read */
    for (ULONG Step = 0; Step < RTL_NUMBER_OF(KiBootSteps); Step++)
    {
        KdpSetStage(Step + 1);
        KiBootSteps[Step].Routine();
        if (Step == 2)
        {
            KiReportBanner(BootInfo);
            KdpInitializeScreen(BootInfo);
        }
        if (Step >= 2)
        {
            KiLog(KiLogTrace, "step %u %s: %s", Step + 1, KiBootSteps[Step].Name,
                  KiBootSteps[Step].Afterwards);
            KiLogDrain();
        }
    }
    KiEnterIdleThread(KiBootWork, BootInfo);
}
