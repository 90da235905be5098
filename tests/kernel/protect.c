/* SPDX-License-Identifier: MIT */
/*
 * protect.c - each protection is violated, on each processor where that can matter, and must answer
 * with its bug check; docs/protections.md has the table. Checked builds come back from it
 * (expect.h); what both builds do is in deathprotect.c.
 */
#include "protectkit.h"

#define MSR_PAT 0x277u
#define MSR_EFER 0xC0000080u
#define EFER_NXE 0x800ull
#define CR0_WP (1ull << 16)
#define CR4_UMIP (1ull << 11)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)

/* ------------------------------------------------------------------ Control registers. */

typedef struct _REGISTERS
{
    ULONG64 Cr0, Cr3, Cr4, Efer, Pat;
} REGISTERS;

static REGISTERS Registers[MAXIMUM_PROCESSORS];

static VOID ReadRegisters(PVOID Context, ULONG Processor)
{
    REGISTERS *Mine = &Registers[Processor];

    UNREFERENCED_PARAMETER(Context);
    Mine->Cr0 = __readcr0();
    Mine->Cr3 = __readcr3();
    Mine->Cr4 = __readcr4();
    Mine->Efer = __readmsr(MSR_EFER);
    Mine->Pat = __readmsr(MSR_PAT);
}

static VOID RegistersEqual(VOID)
{
    const REGISTERS *First = &Registers[0];

    KtParallel(ReadRegisters, NULL);
    for (ULONG Index = 1; Index < KtProcessors(); Index++)
    {
        const REGISTERS *Other = &Registers[Index];

        KT_CHECK(Other->Cr0 == First->Cr0, "CPU %u: CR0 %llx, CPU 0: %llx", Index, Other->Cr0,
                 First->Cr0);
        KT_CHECK(Other->Cr3 == First->Cr3, "CPU %u: CR3 %llx, CPU 0: %llx", Index, Other->Cr3,
                 First->Cr3);
        KT_CHECK(Other->Cr4 == First->Cr4, "CPU %u: CR4 %llx, CPU 0: %llx", Index, Other->Cr4,
                 First->Cr4);
        KT_CHECK(Other->Efer == First->Efer, "CPU %u: EFER %llx, CPU 0: %llx", Index, Other->Efer,
                 First->Efer);
        KT_CHECK(Other->Pat == First->Pat, "CPU %u: PAT %llx, CPU 0: %llx", Index, Other->Pat,
                 First->Pat);
    }
}

/* Whatever the processor has is on. */
static VOID RegistersOn(VOID)
{
    KtParallel(ReadRegisters, NULL);
    for (ULONG Index = 0; Index < KtProcessors(); Index++)
    {
        const REGISTERS *Mine = &Registers[Index];

        KT_CHECK((Mine->Cr0 & CR0_WP) != 0, "CPU %u: CR0 %llx has no WP", Index, Mine->Cr0);
        KT_CHECK(((Mine->Cr4 & CR4_SMEP) != 0) == KtHasSmep(), "CPU %u: CR4 %llx, SMEP", Index,
                 Mine->Cr4);
        KT_CHECK(((Mine->Cr4 & CR4_SMAP) != 0) == KtHasSmap(), "CPU %u: CR4 %llx, SMAP", Index,
                 Mine->Cr4);
        KT_CHECK(((Mine->Cr4 & CR4_UMIP) != 0) == KtHasUmip(), "CPU %u: CR4 %llx, UMIP", Index,
                 Mine->Cr4);
        KT_CHECK(((Mine->Efer & EFER_NXE) != 0) == KtHasNx(), "CPU %u: EFER %llx, NXE", Index,
                 Mine->Efer);
    }
}

/* The lower half of the table that each processor really uses. */
static VOID LowHalfEmpty(PVOID Context, ULONG Processor)
{
    PULONG64 Top = ArchPhysicalToVirtual(__readcr3() & ~(PAGE_SIZE - 1));

    UNREFERENCED_PARAMETER(Context);
    for (ULONG Index = 0; Index < 256; Index++)
    {
        KT_CHECK(Top[Index] == 0, "CPU %u: entry %u is %llx", Processor, Index, Top[Index]);
    }
}

static VOID NoIdentityMap(VOID)
{
    KtParallel(LowHalfEmpty, NULL);
}

/* ------------------------------------------------------------------ Read-only memory. The writes
 * change nothing: where the protection is missing, no more is broken than that. */

static VOID WriteSame(PVOID Address)
{
    *(volatile UCHAR *)Address = *(volatile UCHAR *)Address;
}

static VOID MustNotBeWritten(PVOID Address, ULONG Processor)
{
    UNREFERENCED_PARAMETER(Processor);
    KtExpectBugCheck(ATTEMPTED_WRITE_TO_READONLY_MEMORY, (ULONG_PTR)Address, WriteSame, Address);
}

static VOID WriteProtected(VOID)
{
    KtParallel(MustNotBeWritten, (PVOID)(ULONG_PTR)WriteProtected);
}

static VOID Sealed(VOID)
{
    static const struct
    {
        PCSTR Name;
        PVOID Address;
    } Variables[] = {{"KiOptions", &KiOptions},
                     {"KiProcessorBlock", KiProcessorBlock},
                     {"KiProcessorCount", (PVOID)&KiProcessorCount},
                     {"HalpProcessorApicIds", HalpProcessorApicIds},
                     {"HalpCounterFrequency", &HalpCounterFrequency}};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Variables); Index++)
    {
        KtParallel(MustNotBeWritten, Variables[Index].Address);
        KT_CHECK(!KtHasFailed(), "%s", Variables[Index].Name);
    }
}

static VOID SealedAlias(VOID)
{
    KtParallel(MustNotBeWritten, ArchPhysicalToVirtual(ArchTranslate(&KiOptions)));
}

static VOID IdtSealed(VOID)
{
    struct __attribute__((packed))
    {
        USHORT Limit;
        PUCHAR Base;
    } Idt;

    __asm__ volatile("sidt %0" : "=m"(Idt));
    KtParallel(MustNotBeWritten, Idt.Base);
    KtParallel(MustNotBeWritten, ArchPhysicalToVirtual(ArchTranslate(Idt.Base)));
}

/* A page's rights change for processors that have used it: their TLBs must forget the old ones. */
static volatile LONG Touched, Changed;

static VOID TouchAndRetry(PVOID Context, ULONG Processor)
{
    PUCHAR Byte = Context;

    InterlockedIncrement((volatile LONG *)Byte);
    InterlockedIncrement(&Touched);
    if (Processor == 0)
    {
        KtWaitFor(&Touched, (LONG)KtProcessors(), KT_SECONDS(20));
        MiProtectPages(Byte, 1, ARCH_PAGE_READ);
        WriteRelease(&Changed, 1); /* pairs with: the others' wait */
    }
    KtWaitFor(&Changed, 1, KT_SECONDS(20));
    MustNotBeWritten(Byte, Processor);
}

static VOID RightsEverywhere(VOID)
{
    PUCHAR Top = MiAllocateKernelStack(MI_KERNEL_STACK_SIZE, 0);
    PUCHAR Page = Top - MI_KERNEL_STACK_SIZE;

    KT_REQUIRE(Top != NULL, "no memory");
    Touched = Changed = 0;
    KtParallel(TouchAndRetry, Page);
    MiProtectPages(Page, 1, ARCH_PAGE_WRITE);
    MiFreeKernelStack(Top, MI_KERNEL_STACK_SIZE);
}

/* ------------------------------------------------------------------ The walk over all mappings. */

static VOID Walk(PVOID Context)
{
    MI_MAPPING_COUNTS Counts;

    UNREFERENCED_PARAMETER(Context);
    MiCheckMappings(&Counts);
}

static VOID WalkFinds(ULONG64 Address, ULONG64 Flags, ULONG Wrong)
{
    KT_SPACE Space;

    if (KtMakeSpace(&Space, Address, KT_PTE_PRESENT | Flags))
    {
        KtEnterSpace(&Space);
        KtExpectBugCheck(MEMORY_MANAGEMENT, Wrong, Walk, NULL);
        KtLeaveSpace(&Space);
        KtFreeSpace(&Space);
    }
}

static ULONG64 PageOf(PVOID Address)
{
    return ArchTranslate(Address) & KT_PTE_ADDRESS;
}

static VOID WalkFindsAll(VOID)
{
    MI_MAPPING_COUNTS Counts;

    if (!KtHasNx())
    {
        KtSkip("no NX");
        return;
    }
    WalkFinds(KT_HIGH_ADDRESS, KT_PTE_WRITE, MI_MAPPING_WRITABLE_EXECUTABLE);
    WalkFinds(KT_HIGH_ADDRESS, 0, MI_MAPPING_EXECUTABLE);
    WalkFinds(KT_LOW_ADDRESS, KT_PTE_NO_EXECUTE, MI_MAPPING_LOW);
    WalkFinds(KT_HIGH_ADDRESS, KT_PTE_USER | KT_PTE_NO_EXECUTE, MI_MAPPING_USER);
    WalkFinds(KT_HIGH_ADDRESS, PageOf(&KiOptions) | KT_PTE_WRITE | KT_PTE_NO_EXECUTE,
              MI_MAPPING_WRITES_IMAGE);
    WalkFinds(KT_HIGH_ADDRESS,
              PageOf((PVOID)(ULONG_PTR)WalkFindsAll) | KT_PTE_WRITE | KT_PTE_NO_EXECUTE,
              MI_MAPPING_WRITES_IMAGE);
    MiCheckMappings(&Counts);
    KT_CHECK(Counts.Mappings > 100 && Counts.ExecutableBytes != 0, "%llu mappings, %llu executable",
             Counts.Mappings, Counts.ExecutableBytes);
}

/* ------------------------------------------------------------------ Execution. */

static VOID Call(PVOID Address)
{
    ((VOID(*)(VOID))Address)();
}

static UCHAR DataReturns[16] = {0xC3};

static VOID CallData(PVOID Context, ULONG Processor)
{
    PUCHAR Alias = ArchPhysicalToVirtual(ArchTranslate((PVOID)(ULONG_PTR)CallData));
    UCHAR StackReturns[16] = {0xC3};

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    KtExpectBugCheck(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, (ULONG_PTR)DataReturns, Call,
                     DataReturns);
    KtExpectBugCheck(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, (ULONG_PTR)StackReturns, Call,
                     StackReturns);
    KtExpectBugCheck(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, (ULONG_PTR)Alias, Call, Alias);
}

static VOID NoExecute(VOID)
{
    if (!KtHasNx())
    {
        KtSkip("no NX");
        return;
    }
    KtParallel(CallData, NULL);
}

/* ------------------------------------------------------------------ User pages. */

static VOID Read(PVOID Address)
{
    (void)*(volatile UCHAR *)Address;
}

#define USER_PAGE (KT_PTE_PRESENT | KT_PTE_WRITE | KT_PTE_USER)

static VOID Smep(VOID)
{
    KT_SPACE Space;

    if (!KtHasSmep())
    {
        KtSkip("no SMEP");
        return;
    }
    if (KtMakeSpace(&Space, KT_LOW_ADDRESS, USER_PAGE))
    {
        KtEnterSpace(&Space);
        KtExpectBugCheck(ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, Space.Address, Call,
                         (PVOID)Space.Address);
        KtLeaveSpace(&Space);
        KtFreeSpace(&Space);
    }
}

#if DBG
#define FAULT_USER_ADDRESS 0xF

static VOID MustNotTouchUser(VOID (*Access)(PVOID Address), ULONG64 Address, ULONG64 Operation)
{
    KI_LANDING_PAD Pad;
    ULONG Found = KiExpectBugCheck(&Pad, Access, (PVOID)Address);

    KT_CHECK(Found == PAGE_FAULT_IN_NONPAGED_AREA, "got bug check 0x%X (0 is none)", Found);
    KT_CHECK(Found == 0 || (Pad.Parameters[0] == Address && Pad.Parameters[1] == Operation &&
                            Pad.Parameters[3] == FAULT_USER_ADDRESS),
             "parameters %llx, %llx, %llx, %llx", Pad.Parameters[0], Pad.Parameters[1],
             Pad.Parameters[2], Pad.Parameters[3]);
}
#else
#define MustNotTouchUser(Access, Address, Operation) ((void)(Access))
#endif

static VOID SmapTouches(ULONG64 Address)
{
    MustNotTouchUser(Read, Address, 0);
    MustNotTouchUser(WriteSame, Address, 0);
    _stac();
    Read((PVOID)Address);
    WriteSame((PVOID)Address);
    _clac();
    MustNotTouchUser(Read, Address, 0);
}

static VOID Smap(VOID)
{
    KT_SPACE Space;

    if (!KtHasSmap())
    {
        KtSkip("no SMAP");
        return;
    }
    if (KtMakeSpace(&Space, KT_LOW_ADDRESS, USER_PAGE))
    {
        KtEnterSpace(&Space);
        SmapTouches(Space.Address);
        KtLeaveSpace(&Space);
        KtFreeSpace(&Space);
    }
}

/* ------------------------------------------------------------------ Entry. */

#define FLAGS_VECTOR 0x9C /* protectasm.asm */

extern HALP_VECTOR_ROUTINE *HalpVectorRoutines[VECTOR_COUNT];

static volatile LONG Entries;
static volatile ULONG64 EntryFlags, InterruptedFlags;
static HALP_VECTOR_ROUTINE *DispatchRoutine;

static VOID RecordFlags(PKTRAP_FRAME Frame)
{
    EntryFlags |= __readeflags();
    InterruptedFlags |= Frame->Rflags;
    InterlockedIncrement(&Entries);
    if (Frame->Vector == DISPATCH_VECTOR)
    {
        DispatchRoutine(Frame);
    }
}

static VOID EntryClears(VOID (*Interrupt)(ULONG64 Flags), ULONG64 Flags)
{
    Entries = 0;
    EntryFlags = InterruptedFlags = 0;
    Interrupt(Flags);
    KT_CHECK(Entries != 0 && (InterruptedFlags & Flags) == Flags,
             "%d interrupts of flags %llx, wanted %llx", Entries, InterruptedFlags, Flags);
    KT_CHECK((EntryFlags & Flags) == 0, "the handler runs with flags %llx", EntryFlags);
    KT_CHECK((__readeflags() & (EFLAGS_AC | EFLAGS_DF)) == 0, "%llx afterwards", __readeflags());
}

static VOID EntryClearsFlags(VOID)
{
    ULONG64 Flags = EFLAGS_DF | (KtHasSmap() ? EFLAGS_AC : 0);
    HALP_VECTOR_ROUTINE *Before = HalpVectorRoutines[FLAGS_VECTOR];

    HalpSetVectorRoutine(FLAGS_VECTOR, RecordFlags);
    EntryClears(KtInterruptWithFlags, Flags);
    HalpSetVectorRoutine(FLAGS_VECTOR, Before);

    DispatchRoutine = HalpVectorRoutines[DISPATCH_VECTOR];
    HalpSetVectorRoutine(DISPATCH_VECTOR, RecordFlags);
    EntryClears(KtDispatchWithFlags, Flags);
    HalpSetVectorRoutine(DISPATCH_VECTOR, DispatchRoutine);
}

/* ------------------------------------------------------------------ Address 0. */

static VOID NullPage(VOID)
{
    static const ULONG64 Near[] = {0, 8, 0x100, 0xFF8, 0xFFF};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Near); Index++)
    {
        KtExpectBugCheck(PAGE_FAULT_IN_NONPAGED_AREA, Near[Index], Read, (PVOID)Near[Index]);
        KtExpectBugCheck(PAGE_FAULT_IN_NONPAGED_AREA, Near[Index], Call, (PVOID)Near[Index]);
    }
}

static const KT_CASE Cases[] = {
    {"registers-equal", RegistersEqual, 2, FALSE},
    {"registers-on", RegistersOn, 0, FALSE},
    {"no-identity-map", NoIdentityMap, 0, FALSE},
    {"write-protected", WriteProtected, 0, TRUE},
    {"sealed", Sealed, 0, TRUE},
    {"sealed-alias", SealedAlias, 0, TRUE},
    {"sealed-idt", IdtSealed, 0, TRUE},
    {"rights-everywhere", RightsEverywhere, 2, TRUE},
    {"walk-finds", WalkFindsAll, 0, TRUE},
    {"no-execute", NoExecute, 0, TRUE},
    {"smep", Smep, 0, TRUE},
    {"smap", Smap, 0, TRUE},
    {"entry-clears-flags", EntryClearsFlags, 0, FALSE},
    {"null-page", NullPage, 0, TRUE},
};

KT_DEFINE_SUITE(KtProtectSuite, "protect", Cases);
