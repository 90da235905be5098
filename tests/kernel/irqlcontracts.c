/* SPDX-License-Identifier: MIT */
/*
 * irqlcontracts.c - each routine refuses the IRQLs that its documentation refuses, with 0xC4
 * (0xE5), before it has done anything; and takes the others. Law L5's spirit; SEMANTICS section 3.
 */
#include <ntddk.h>

#include "trapkit.h"

#define TAG_CONTRACT 'rtnC'

/* What the calls work on. Nothing of it changes when a call is refused. */
typedef struct _CONTRACT_OBJECTS
{
    KSPIN_LOCK Lock;
    KSPIN_LOCK QueuedLock;
    KLOCK_QUEUE_HANDLE Handle;
    PKINTERRUPT Interrupt;
    PVOID Pool;
    PVOID Contiguous;
    PVOID IoSpace;
    PIRP Irp;
    KDPC Dpc;
} CONTRACT_OBJECTS, *PCONTRACT_OBJECTS;

typedef VOID CONTRACT_CALL(PCONTRACT_OBJECTS Objects);

typedef struct _CONTRACT
{
    PCSTR Name;
    KIRQL Minimum, Maximum;
    CONTRACT_CALL *Call;
    BOOLEAN Harmless; /* leaves everything as it was: tried at the allowed levels as well */
} CONTRACT, *PCONTRACT;

static const PHYSICAL_ADDRESS Anywhere = {.QuadPart = 0x7FFFFFFFFFFFFFFF};
static const PHYSICAL_ADDRESS ApicPage = {.QuadPart = 0xFEE00000};

/* ------------------------------------------------------------------ The calls. */

static VOID AcquireAndRelease(PCONTRACT_OBJECTS Objects)
{
    KIRQL Old;

    KeAcquireSpinLock(&Objects->Lock, &Old);
    KeReleaseSpinLock(&Objects->Lock, Old);
}

static VOID AcquireAndReleaseForDpc(PCONTRACT_OBJECTS Objects)
{
    KIRQL Old = KeAcquireSpinLockForDpc(&Objects->Lock);

    KeReleaseSpinLockForDpc(&Objects->Lock, Old);
}

static VOID AcquireAndReleaseAtDpc(PCONTRACT_OBJECTS Objects)
{
    KeAcquireSpinLockAtDpcLevel(&Objects->Lock);
    KeReleaseSpinLockFromDpcLevel(&Objects->Lock);
}

static VOID Release(PCONTRACT_OBJECTS Objects)
{
    KeReleaseSpinLock(&Objects->Lock, PASSIVE_LEVEL);
}

static VOID ReleaseFromDpc(PCONTRACT_OBJECTS Objects)
{
    KeReleaseSpinLockFromDpcLevel(&Objects->Lock);
}

static VOID TryAndRelease(PCONTRACT_OBJECTS Objects)
{
    if (KeTryToAcquireSpinLockAtDpcLevel(&Objects->Lock))
    {
        KeReleaseSpinLockFromDpcLevel(&Objects->Lock);
    }
}

static VOID QueuedAcquireAndRelease(PCONTRACT_OBJECTS Objects)
{
    KeAcquireInStackQueuedSpinLock(&Objects->QueuedLock, &Objects->Handle);
    KeReleaseInStackQueuedSpinLock(&Objects->Handle);
}

static VOID QueuedAcquireAndReleaseAtDpc(PCONTRACT_OBJECTS Objects)
{
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Objects->QueuedLock, &Objects->Handle);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Objects->Handle);
}

static VOID QueuedRelease(PCONTRACT_OBJECTS Objects)
{
    KeReleaseInStackQueuedSpinLock(&Objects->Handle);
}

static VOID FlushDpcs(PCONTRACT_OBJECTS Objects)
{
    UNREFERENCED_PARAMETER(Objects);
    KeFlushQueuedDpcs();
}

static ULONG_PTR DoNothing(ULONG_PTR Argument)
{
    return Argument;
}

static VOID CallEverybody(PCONTRACT_OBJECTS Objects)
{
    UNREFERENCED_PARAMETER(Objects);
    KeIpiGenericCall(DoNothing, 0);
}

static BOOLEAN NeverMine(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    return FALSE;
}

static VOID ConnectAndDisconnect(PCONTRACT_OBJECTS Objects)
{
    ULONG Vector = KtUnusedVector(4, 1);
    PKINTERRUPT Interrupt;

    UNREFERENCED_PARAMETER(Objects);
    if (NT_SUCCESS(IoConnectInterrupt(&Interrupt, NeverMine, NULL, NULL, Vector, 4, 4, Latched,
                                      FALSE, 1, FALSE)))
    {
        IoDisconnectInterrupt(Interrupt);
    }
}

static VOID Disconnect(PCONTRACT_OBJECTS Objects)
{
    IoDisconnectInterrupt(Objects->Interrupt);
}

static VOID AllocateAndFree(PCONTRACT_OBJECTS Objects)
{
    PVOID Memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TAG_CONTRACT);

    UNREFERENCED_PARAMETER(Objects);
    if (Memory != NULL)
    {
        ExFreePoolWithTag(Memory, TAG_CONTRACT);
    }
}

static VOID Free(PCONTRACT_OBJECTS Objects)
{
    ExFreePoolWithTag(Objects->Pool, TAG_CONTRACT);
}

static VOID AllocateAndFreeContiguous(PCONTRACT_OBJECTS Objects)
{
    PVOID Memory = MmAllocateContiguousMemory(PAGE_SIZE, Anywhere);

    UNREFERENCED_PARAMETER(Objects);
    if (Memory != NULL)
    {
        MmFreeContiguousMemory(Memory);
    }
}

static VOID FreeContiguous(PCONTRACT_OBJECTS Objects)
{
    MmFreeContiguousMemory(Objects->Contiguous);
}

static VOID MapAndUnmap(PCONTRACT_OBJECTS Objects)
{
    PVOID Address = MmMapIoSpace(ApicPage, PAGE_SIZE, MmNonCached);

    UNREFERENCED_PARAMETER(Objects);
    if (Address != NULL)
    {
        MmUnmapIoSpace(Address, PAGE_SIZE);
    }
}

static VOID Unmap(PCONTRACT_OBJECTS Objects)
{
    MmUnmapIoSpace(Objects->IoSpace, PAGE_SIZE);
}

static VOID AllocateAndFreeIrp(PCONTRACT_OBJECTS Objects)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    UNREFERENCED_PARAMETER(Objects);
    if (Irp != NULL)
    {
        IoFreeIrp(Irp);
    }
}

static VOID FreeIrp(PCONTRACT_OBJECTS Objects)
{
    IoFreeIrp(Objects->Irp);
}

static VOID CompleteIrp(PCONTRACT_OBJECTS Objects)
{
    IoCompleteRequest(Objects->Irp, IO_NO_INCREMENT);
}

static VOID InsertAndRemoveDpc(PCONTRACT_OBJECTS Objects)
{
    KeInsertQueueDpc(&Objects->Dpc, NULL, NULL);
    KeRemoveQueueDpc(&Objects->Dpc);
}

static VOID Ask(PCONTRACT_OBJECTS Objects)
{
    ULONG64 Counter;
    LARGE_INTEGER Time;
    PROCESSOR_NUMBER Number;

    KeTestSpinLock(&Objects->Lock);
    KeInitializeSpinLock(&Objects->Lock);
    KeQueryPerformanceCounter(NULL);
    KeQueryInterruptTimePrecise(&Counter);
    KeQuerySystemTime(&Time);
    KeQueryTickCount(&Time);
    KeStallExecutionProcessor(1);
    KeGetCurrentProcessorNumberEx(&Number);
    KeGetProcessorIndexFromNumber(&Number);
    KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    KeIsExecutingDpc();
    MmGetPhysicalAddress(Objects);
}

static const CONTRACT Contracts[] = {
    {"KeAcquireSpinLock", PASSIVE_LEVEL, DISPATCH_LEVEL, AcquireAndRelease, TRUE},
    {"KeAcquireSpinLockForDpc", PASSIVE_LEVEL, DISPATCH_LEVEL, AcquireAndReleaseForDpc, TRUE},
    {"KeAcquireSpinLockAtDpcLevel", DISPATCH_LEVEL, HIGH_LEVEL, AcquireAndReleaseAtDpc, TRUE},
    {"KeReleaseSpinLock", DISPATCH_LEVEL, DISPATCH_LEVEL, Release, FALSE},
    {"KeReleaseSpinLockFromDpcLevel", DISPATCH_LEVEL, HIGH_LEVEL, ReleaseFromDpc, FALSE},
    {"KeTryToAcquireSpinLockAtDpcLevel", DISPATCH_LEVEL, HIGH_LEVEL, TryAndRelease, TRUE},
    {"KeAcquireInStackQueuedSpinLock", PASSIVE_LEVEL, DISPATCH_LEVEL, QueuedAcquireAndRelease,
     TRUE},
    {"KeAcquireInStackQueuedSpinLockAtDpcLevel", DISPATCH_LEVEL, HIGH_LEVEL,
     QueuedAcquireAndReleaseAtDpc, TRUE},
    {"KeReleaseInStackQueuedSpinLock", DISPATCH_LEVEL, DISPATCH_LEVEL, QueuedRelease, FALSE},
    {"KeFlushQueuedDpcs", PASSIVE_LEVEL, PASSIVE_LEVEL, FlushDpcs, TRUE},
    {"KeIpiGenericCall", PASSIVE_LEVEL, IPI_LEVEL - 1, CallEverybody, TRUE},
    {"KeInsertQueueDpc", PASSIVE_LEVEL, HIGH_LEVEL, InsertAndRemoveDpc, TRUE},
    {"IoConnectInterrupt", PASSIVE_LEVEL, PASSIVE_LEVEL, ConnectAndDisconnect, TRUE},
    {"IoDisconnectInterrupt", PASSIVE_LEVEL, PASSIVE_LEVEL, Disconnect, FALSE},
    {"IoAllocateIrp", PASSIVE_LEVEL, DISPATCH_LEVEL, AllocateAndFreeIrp, TRUE},
    {"IoFreeIrp", PASSIVE_LEVEL, DISPATCH_LEVEL, FreeIrp, FALSE},
    {"IoCompleteRequest", PASSIVE_LEVEL, DISPATCH_LEVEL, CompleteIrp, FALSE},
    {"ExAllocatePool2", PASSIVE_LEVEL, DISPATCH_LEVEL, AllocateAndFree, TRUE},
    {"ExFreePoolWithTag", PASSIVE_LEVEL, DISPATCH_LEVEL, Free, FALSE},
    {"MmAllocateContiguousMemory", PASSIVE_LEVEL, DISPATCH_LEVEL, AllocateAndFreeContiguous, TRUE},
    {"MmFreeContiguousMemory", PASSIVE_LEVEL, DISPATCH_LEVEL, FreeContiguous, FALSE},
    {"MmMapIoSpace", PASSIVE_LEVEL, DISPATCH_LEVEL, MapAndUnmap, TRUE},
    {"MmUnmapIoSpace", PASSIVE_LEVEL, DISPATCH_LEVEL, Unmap, FALSE},
    {"questions", PASSIVE_LEVEL, HIGH_LEVEL, Ask, TRUE},
};

/* ------------------------------------------------------------------ The table's two sides. */

typedef struct _CONTRACT_TRIAL
{
    const CONTRACT *Contract;
    PCONTRACT_OBJECTS Objects;
    KIRQL Level;
} CONTRACT_TRIAL, *PCONTRACT_TRIAL;

static VOID IgnoreDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static VOID CallAtLevel(PVOID Context)
{
    PCONTRACT_TRIAL Trial = Context;
    KIRQL Old;

    KeRaiseIrql(Trial->Level, &Old);
    Trial->Contract->Call(Trial->Objects);
    KT_CHECK(KeGetCurrentIrql() == Trial->Level, "%s: IRQL %u after, %u before",
             Trial->Contract->Name, KeGetCurrentIrql(), Trial->Level);
    KeLowerIrql(Old);
}

/* In both builds: the lowest and the highest level that are allowed, and one between. */
static VOID TakenAtTheirLevels(VOID)
{
    CONTRACT_OBJECTS Objects = {.Lock = 0};

    KeInitializeDpc(&Objects.Dpc, IgnoreDpc, NULL);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Contracts); Index++)
    {
        const CONTRACT *Contract = &Contracts[Index];
        CONTRACT_TRIAL Lowest = {Contract, &Objects, Contract->Minimum};
        CONTRACT_TRIAL Middle = {Contract, &Objects, (Contract->Minimum + Contract->Maximum) / 2};
        CONTRACT_TRIAL Highest = {Contract, &Objects, Contract->Maximum};

        if (Contract->Harmless)
        {
            CallAtLevel(&Lowest);
            CallAtLevel(&Middle);
            CallAtLevel(&Highest);
        }
    }
}

#if DBG
static VOID ExpectRefusal(PCONTRACT_TRIAL Trial)
{
    KI_LANDING_PAD Pad;
    ULONG Code = KiExpectBugCheck(&Pad, CallAtLevel, Trial);

    KT_CHECK(Code == DRIVER_VERIFIER_DETECTED_VIOLATION && Pad.Parameters[0] == 0xE5 &&
                 Pad.Parameters[1] == Trial->Level,
             "%s at IRQL %u: bug check 0x%X (0x%llX, %llu)", Trial->Contract->Name, Trial->Level,
             Code, Pad.Parameters[0], Pad.Parameters[1]);
}

static VOID TryWrongLevels(PCONTRACT_OBJECTS Objects)
{
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Contracts) && !KtHasFailed(); Index++)
    {
        CONTRACT_TRIAL Trial = {&Contracts[Index], Objects, PASSIVE_LEVEL};

        for (; Trial.Level <= HIGH_LEVEL && !KtHasFailed(); Trial.Level++)
        {
            if (Trial.Level < Trial.Contract->Minimum || Trial.Level > Trial.Contract->Maximum)
            {
                ExpectRefusal(&Trial);
            }
        }
    }
}

static VOID RefusedAtOthers(VOID)
{
    CONTRACT_OBJECTS Objects = {.Lock = 0};

    KeInitializeDpc(&Objects.Dpc, IgnoreDpc, NULL);
    Objects.Pool = ExAllocatePool2(POOL_FLAG_NON_PAGED, 32, TAG_CONTRACT);
    Objects.Contiguous = MmAllocateContiguousMemory(PAGE_SIZE, Anywhere);
    Objects.IoSpace = MmMapIoSpace(ApicPage, PAGE_SIZE, MmNonCached);
    Objects.Irp = IoAllocateIrp(1, FALSE);
    Objects.Interrupt = KtConnect(KtUnusedVector(4, 0), 4, NULL, Latched, FALSE, NeverMine, NULL);
    KT_REQUIRE(Objects.Pool != NULL && Objects.Contiguous != NULL && Objects.IoSpace != NULL &&
                   Objects.Irp != NULL && Objects.Interrupt != NULL,
               "no memory");
    TryWrongLevels(&Objects);
    IoDisconnectInterrupt(Objects.Interrupt);
    IoFreeIrp(Objects.Irp);
    MmUnmapIoSpace(Objects.IoSpace, PAGE_SIZE);
    MmFreeContiguousMemory(Objects.Contiguous);
    ExFreePoolWithTag(Objects.Pool, TAG_CONTRACT);
}
#else
static VOID RefusedAtOthers(VOID)
{
}
#endif

static const KT_CASE Cases[] = {
    {"irql-contracts-taken-at-their-levels", TakenAtTheirLevels, 0, FALSE},
    {"irql-contracts-refused-at-others", RefusedAtOthers, 0, TRUE},
};

KT_DEFINE_SUITE(KtIrqlContractSuite, "ke", Cases);
