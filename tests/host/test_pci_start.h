/* SPDX-License-Identifier: MIT */
/*
 * test_pci_start.h - a made-up PC for the I/O manager's tests.
 *
 * The I/O manager is the real one; below it are tables for PCI, a vector table that may have a line
 * already, and malloc for pool; above it two drivers made here, a port and a class, that start as a
 * script tells them and write down what they were sent. Included by one file of each test program.
 */
#pragma once

#include "host.h"

#include "iop.h"

#include <boot_drivers.h>
#include <netport.h>

/* ------------------------------------------------------------------ The machine. */

#define MAXIMUM_FUNCTIONS 8
#define NIC_ID 0x100E8086u
#define NIC_CLASS 0x02000000u

typedef struct _FUNCTION
{
    ULONG Device;
    UCHAR Registers[256];
    UCHAR Writable[256];
} FUNCTION;

static FUNCTION Functions[MAXIMUM_FUNCTIONS];
static ULONG FunctionCount;

static HALP_LINE_CANDIDATE Candidates[HALP_MAXIMUM_CANDIDATES];
static ULONG CandidateCount;
static HALP_LINE VectorLines[VECTOR_COUNT]; /* Gsi 0: none */

KI_OPTIONS KiOptions;

#define RAM_END 0x08000000ull

BOOLEAN ArchTouchesRam(ULONG64 Physical, ULONG64 Length)
{
    assert_true(Length != 0 && Physical <= MAXULONG64 - Length);
    return Physical < RAM_END;
}

static jmp_buf BugCheckLanding;
static ULONG BugCheckCode;
static ULONG64 InterruptTime;

ULONG HalpPciRead(ULONG Bus, ULONG Device, ULONG Number, ULONG Offset, ULONG Size)
{
    ULONG Value = MAXULONG;

    assert_int_equal(Offset & (Size - 1), 0);
    for (ULONG Index = 0; Bus == 0 && Number == 0 && Index < FunctionCount; Index++)
    {
        if (Functions[Index].Device == Device)
        {
            memcpy(&Value, &Functions[Index].Registers[Offset & 0xFF], Size);
        }
    }
    return Size == 4 ? Value : Value & ((1u << (8 * Size)) - 1);
}

VOID HalpPciWrite(ULONG Bus, ULONG Device, ULONG Number, ULONG Offset, ULONG Size, ULONG Value)
{
    assert_int_equal(Offset & (Size - 1), 0);
    for (ULONG Index = 0; Bus == 0 && Number == 0 && Index < FunctionCount; Index++)
    {
        FUNCTION *Function = &Functions[Index];

        for (ULONG Byte = 0; Function->Device == Device && Byte < Size; Byte++)
        {
            UCHAR Mask = Function->Writable[Offset + Byte];
            UCHAR *Register = &Function->Registers[Offset + Byte];

            *Register = (UCHAR)((*Register & ~Mask) | ((Value >> (8 * Byte)) & Mask));
        }
    }
}

ULONG HalpPciInterruptCandidates(ULONG Bus, ULONG Device, ULONG Function, ULONG Pin,
                                 HALP_LINE_CANDIDATE Found[HALP_MAXIMUM_CANDIDATES])
{
    (void)Bus;
    (void)Device;
    (void)Function;
    (void)Pin;
    memcpy(Found, Candidates, sizeof(Candidates));
    return CandidateCount;
}

ULONG HalpAssignVector(const HALP_LINE *Line, KIRQL Irql)
{
    for (ULONG Vector = 0; Vector < VECTOR_COUNT; Vector++)
    {
        if (VectorLines[Vector].Gsi == Line->Gsi)
        {
            VectorLines[Vector] = *Line;
            return Vector;
        }
    }
    for (ULONG Vector = (ULONG)Irql << 4; VECTOR_IRQL(Vector) == Irql; Vector++)
    {
        if (VectorLines[Vector].Gsi == 0)
        {
            VectorLines[Vector] = *Line;
            return Vector;
        }
    }
    return 0;
}

KAFFINITY KeQueryActiveProcessors(VOID)
{
    return 0xF;
}

ULONGLONG KeQueryInterruptTime(VOID)
{
    return InterruptTime += 1000;
}

/* No other processor is here, and the IRQL is the test's own: locks and levels are tested where
 * they are made. */
KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    assert_int_equal(*SpinLock & 1, 0);
    *SpinLock |= 1;
    return PASSIVE_LEVEL;
}

VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    assert_int_equal(*SpinLock & 1, 1);
    assert_int_equal(NewIrql, PASSIVE_LEVEL);
    *SpinLock &= ~1ull;
}

VOID KiAssertIrql(KIRQL Minimum, KIRQL Maximum, PCSTR Routine)
{
    (void)Maximum;
    (void)Routine;
    assert_int_equal(Minimum, PASSIVE_LEVEL);
}

PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    assert_true(Flags & POOL_FLAG_NON_PAGED);
    assert_int_not_equal(Tag, 0);
    return calloc(1, NumberOfBytes);
}

VOID ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    (void)Tag;
    free(P);
}

VOID KiLog(KI_LOG_LEVEL Level, PCSTR Format, ...)
{
    va_list Arguments;

    (void)Level;
    va_start(Arguments, Format);
    printf("# ");
    vprintf(Format, Arguments);
    printf("\n");
    va_end(Arguments);
}

VOID KiLogDrain(VOID)
{
}

VOID KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
}

/* A queue that is empty at once. */
BOOLEAN KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    Dpc->DeferredRoutine(Dpc, Dpc->DeferredContext, SystemArgument1, SystemArgument2);
    return TRUE;
}

/* An event is its state, which another thread of the test may set; a wait polls it. */
VOID KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    assert_int_equal(Type, SynchronizationEvent);
    Event->Header.SignalState = State;
}

LONG KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    assert_int_equal(Increment, IO_NO_INCREMENT);
    assert_false(Wait);
    return InterlockedExchange(&Event->Header.SignalState, TRUE);
}

NTSTATUS KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                               BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    PRKEVENT Event = Object;

    assert_int_equal(WaitReason, Executive);
    assert_int_equal(WaitMode, KernelMode);
    assert_false(Alertable);
    assert_true(Timeout == NULL || Timeout->QuadPart < 0);
    while (InterlockedExchange(&Event->Header.SignalState, FALSE) == FALSE)
    {
        usleep(1000);
    }
    return STATUS_SUCCESS;
}

DECLSPEC_NORETURN VOID KeBugCheckEx(ULONG Code, ULONG_PTR Parameter1, ULONG_PTR Parameter2,
                                    ULONG_PTR Parameter3, ULONG_PTR Parameter4)
{
    (void)Parameter1;
    (void)Parameter2;
    (void)Parameter3;
    (void)Parameter4;
    BugCheckCode = Code;
    longjmp(BugCheckLanding, 1);
}

DECLSPEC_NORETURN VOID KiAssertionFailed(PCSTR Condition, PCSTR File, ULONG Line, ULONG_PTR Value1,
                                         ULONG_PTR Value2)
{
    printf("# assertion %s, %s:%u (%llx, %llx)\n", Condition, File, Line, Value1, Value2);
    KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0, 0, 0, 0);
}

#define ASSERT_BUG_CHECK(Code, Statement)                                                          \
    do                                                                                             \
    {                                                                                              \
        BugCheckCode = 0;                                                                          \
        if (setjmp(BugCheckLanding) == 0)                                                          \
        {                                                                                          \
            Statement;                                                                             \
        }                                                                                          \
        assert_int_equal(BugCheckCode, (Code));                                                    \
    } while (0)

/* ------------------------------------------------------------------ The drivers. */

#define MAXIMUM_STARTS 32

typedef struct _EXTENSION
{
    PDEVICE_OBJECT LowerDevice;
} EXTENSION, *PEXTENSION;

/* What the port was sent, and what it is to answer. */
static ULONG StartCount;
static CM_RESOURCE_LIST StartRaw[MAXIMUM_STARTS];
static CM_RESOURCE_LIST StartTranslated[MAXIMUM_STARTS];
static USHORT StartCommand[MAXIMUM_STARTS]; /* of the device, once the bus has started it */
static NTSTATUS StartAnswer[MAXIMUM_STARTS];
static NTSTATUS ClassAddAnswer;
static ULONG AddressCount;
static ULONG StartsBeforeAddress;
static NET_ADDRESS AddressSeen;

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS Pass(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PEXTENSION Extension = DeviceObject->DeviceExtension;

    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(Extension->LowerDevice, Irp);
}

static NTSTATUS Remove(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PEXTENSION Extension = DeviceObject->DeviceExtension;
    PDEVICE_OBJECT Lower = Extension->LowerDevice;
    NTSTATUS Status = Pass(DeviceObject, Irp);

    IoDetachDevice(Lower);
    IoDeleteDevice(DeviceObject);
    return Status;
}

static NTSTATUS AddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDevice)
{
    PDEVICE_OBJECT DeviceObject;
    PEXTENSION Extension;

    assert_int_equal(IoCreateDevice(DriverObject, sizeof(EXTENSION), NULL, FILE_DEVICE_NETWORK, 0,
                                    FALSE, &DeviceObject),
                     STATUS_SUCCESS);
    Extension = DeviceObject->DeviceExtension;
    Extension->LowerDevice = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDevice);
    assert_non_null(Extension->LowerDevice);
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static NTSTATUS PortPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PEXTENSION Extension = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG Start = StartCount;

    switch (Stack->MinorFunction)
    {
    case IRP_MN_START_DEVICE:
        assert_true(Start < MAXIMUM_STARTS);
        assert_true(IoForwardIrpSynchronously(Extension->LowerDevice, Irp));
        assert_int_equal(Irp->IoStatus.Status, STATUS_SUCCESS);
        assert_ptr_equal(Stack, IoGetCurrentIrpStackLocation(Irp));
        StartRaw[Start] = *Stack->Parameters.StartDevice.AllocatedResources;
        StartTranslated[Start] = *Stack->Parameters.StartDevice.AllocatedResourcesTranslated;
        memcpy(&StartCommand[Start], &Functions[0].Registers[PCI_COMMAND], sizeof(USHORT));
        return Complete(Irp, StartAnswer[StartCount++]);
    case IRP_MN_REMOVE_DEVICE:
        return Remove(DeviceObject, Irp);
    default:
        return Pass(DeviceObject, Irp);
    }
}

static NTSTATUS ClassPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PEXTENSION Extension = DeviceObject->DeviceExtension;

    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction)
    {
    case IRP_MN_START_DEVICE:
        assert_true(IoForwardIrpSynchronously(Extension->LowerDevice, Irp));
        return Complete(Irp, Irp->IoStatus.Status);
    case IRP_MN_REMOVE_DEVICE:
        return Remove(DeviceObject, Irp);
    default:
        return Pass(DeviceObject, Irp);
    }
}

static NTSTATUS ClassControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    (void)DeviceObject;
    if (Stack->Parameters.DeviceIoControl.IoControlCode != IOCTL_NET_SET_ADDRESS)
    {
        return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST);
    }
    assert_int_equal(Stack->Parameters.DeviceIoControl.InputBufferLength, sizeof(NET_ADDRESS));
    AddressSeen = *(PNET_ADDRESS)Irp->AssociatedIrp.SystemBuffer;
    AddressCount++;
    StartsBeforeAddress = StartCount;
    return Complete(Irp, STATUS_SUCCESS);
}

static NTSTATUS ClassAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDevice)
{
    return NT_SUCCESS(ClassAddAnswer) ? AddDevice(DriverObject, PhysicalDevice) : ClassAddAnswer;
}

static NTSTATUS PortEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    assert_int_equal(RegistryPath->Length, 0);
    DriverObject->MajorFunction[IRP_MJ_PNP] = PortPnp;
    DriverObject->DriverExtension->AddDevice = AddDevice;
    return STATUS_SUCCESS;
}

static NTSTATUS ClassEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->MajorFunction[IRP_MJ_PNP] = ClassPnp;
    DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = ClassControl;
    DriverObject->DriverExtension->AddDevice = ClassAddDevice;
    return STATUS_SUCCESS;
}

static NTSTATUS FailingEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)DriverObject;
    (void)RegistryPath;
    return STATUS_UNSUCCESSFUL;
}

const BOOT_DRIVER BootDrivers[] = {
    {"e1000", PortEntry}, {"broken", FailingEntry}, {"net", ClassEntry}};
const ULONG BootDriverCount = RTL_NUMBER_OF(BootDrivers);

const BOOT_DEVICE_MATCH BootDeviceMatches[] = {
    {"PCI\\VEN_8086&DEV_100E", "e1000", "net"},
    {"PCI\\VEN_1AF4&DEV_00FF", "broken", NULL},
    {"PCI\\VEN_1234&DEV_11E8", "e1000", NULL},
};
const ULONG BootDeviceMatchCount = RTL_NUMBER_OF(BootDeviceMatches);

/* ------------------------------------------------------------------ Setting up, taking down. */

static FUNCTION *AddFunction(ULONG Device, ULONG Id, ULONG Class)
{
    FUNCTION *Function = &Functions[FunctionCount++];
    const USHORT Command = 0x0007;

    assert_true(FunctionCount <= MAXIMUM_FUNCTIONS);
    memset(Function, 0, sizeof(*Function));
    Function->Device = Device;
    memcpy(&Function->Registers[0x00], &Id, sizeof(Id));
    memcpy(&Function->Registers[0x08], &Class, sizeof(Class));
    memcpy(&Function->Registers[PCI_COMMAND], &Command, sizeof(Command));
    memset(&Function->Writable[PCI_COMMAND], 0xFF, 2);
    Function->Registers[0x3D] = 1;
    return Function;
}

/* Base address registers like the 82540EM's: 128 KiB of memory and 64 ports. */
static inline FUNCTION *AddNic(ULONG Device, ULONG Id)
{
    FUNCTION *Function = AddFunction(Device, Id, NIC_CLASS);
    const ULONG Bars[] = {0xFEBC0000 - Device * 0x20000, 0x0000C001};

    memcpy(&Function->Registers[0x10], Bars, sizeof(Bars));
    memcpy(&Function->Writable[0x10], (ULONG[]){0xFFFE0000, 0xFFFFFFC0}, 8);
    return Function;
}

static inline USHORT CommandOf(const FUNCTION *Function)
{
    USHORT Command;

    memcpy(&Command, &Function->Registers[PCI_COMMAND], sizeof(Command));
    return Command;
}

static inline int NewMachine(void **State)
{
    (void)State;
    FunctionCount = StartCount = AddressCount = StartsBeforeAddress = 0;
    ClassAddAnswer = STATUS_SUCCESS;
    memset(StartAnswer, 0, sizeof(StartAnswer));
    memset(VectorLines, 0, sizeof(VectorLines));
    memset(&KiOptions, 0, sizeof(KiOptions));
    memcpy(KiOptions.IpAddress, (UCHAR[]){192, 168, 7, 9}, 4);
    KiOptions.IpPrefixLength = 22;
    IopFirmwareIsEfi = FALSE;
    CandidateCount = 3;
    for (ULONG Index = 0; Index < CandidateCount; Index++)
    {
        Candidates[Index] = (HALP_LINE_CANDIDATE){{20 + Index, LevelSensitive, HalpActiveLow}, "a"};
    }
    return 0;
}

static VOID SendRemove(PDEVICE_OBJECT PhysicalDevice)
{
    IO_STACK_LOCATION Request = {.MajorFunction = IRP_MJ_PNP,
                                 .MinorFunction = IRP_MN_REMOVE_DEVICE};

    assert_int_equal(IopCallSynchronously(IopGetTopOfStack(PhysicalDevice), &Request, NULL,
                                          STATUS_NOT_SUPPORTED),
                     STATUS_SUCCESS);
}

/* Unplugs everything; the drivers stay loaded. */
static inline int EndMachine(void **State)
{
    (void)State;
    while (!IsListEmpty(&IopPciDevices))
    {
        PIOP_PCI_DEVICE Device = CONTAINING_RECORD(IopPciDevices.Flink, IOP_PCI_DEVICE, Link);

        RemoveHeadList(&IopPciDevices);
        SendRemove(Device->Self);
        assert_null(Device->Self->AttachedDevice);
        IoDeleteDevice(Device->Self);
    }
    for (ULONG Index = 0; Index < BootDriverCount; Index++)
    {
        PDRIVER_OBJECT Driver = IopFindDriver(BootDrivers[Index].Name);

        assert_true(Driver == NULL || Driver->DeviceObject == NULL);
    }
    return 0;
}

#define CASE(Name) cmocka_unit_test_setup_teardown(Name, NewMachine, EndMachine)
