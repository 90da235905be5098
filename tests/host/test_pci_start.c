/* SPDX-License-Identifier: MIT */
/*
 * test_pci_start.c - the I/O manager on a made-up PC: stacks are built, started line by line, taken
 * apart, and IRPs find their way.
 *
 * The I/O manager is the real one; below it are tables for PCI, a vector table that may have a line
 * already, and malloc for pool; above it two drivers made here, a port and a class, that start as a
 * script tells them and write down what they were sent.
 */
#include "host.h"

#include <pthread.h>

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
static FUNCTION *AddNic(ULONG Device, ULONG Id)
{
    FUNCTION *Function = AddFunction(Device, Id, NIC_CLASS);
    const ULONG Bars[] = {0xFEBC0000 - Device * 0x20000, 0x0000C001};

    memcpy(&Function->Registers[0x10], Bars, sizeof(Bars));
    memcpy(&Function->Writable[0x10], (ULONG[]){0xFFFE0000, 0xFFFFFFC0}, 8);
    return Function;
}

static USHORT CommandOf(const FUNCTION *Function)
{
    USHORT Command;

    memcpy(&Command, &Function->Registers[PCI_COMMAND], sizeof(Command));
    return Command;
}

static int NewMachine(void **State)
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
static int EndMachine(void **State)
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

static const CM_PARTIAL_RESOURCE_DESCRIPTOR *FindResource(const CM_RESOURCE_LIST *List, UCHAR Type)
{
    const CM_PARTIAL_RESOURCE_LIST *Partial = &List->List[0].PartialResourceList;

    assert_int_equal(List->Count, 1);
    for (ULONG Index = 0; Index < Partial->Count; Index++)
    {
        if (Partial->PartialDescriptors[Index].Type == Type)
        {
            return &Partial->PartialDescriptors[Index];
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ Starting. */

static void TheSecondLineIsTheOne(void **State)
{
    FUNCTION *Nic = AddNic(3, NIC_ID);
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *Raw, *Translated;

    (void)State;
    StartAnswer[0] = STATUS_DEVICE_CONFIGURATION_ERROR;
    IopInitialize();
    assert_int_equal(StartCount, 2);
    for (ULONG Start = 0; Start < StartCount; Start++)
    {
        Raw = FindResource(&StartRaw[Start], CmResourceTypeInterrupt);
        Translated = FindResource(&StartTranslated[Start], CmResourceTypeInterrupt);
        assert_int_equal(Raw->u.Interrupt.Vector, 20 + Start);
        assert_int_equal(Raw->u.Interrupt.Level, 20 + Start);
        assert_int_equal(Translated->u.Interrupt.Vector, 0x60 + Start);
        assert_int_equal(Translated->u.Interrupt.Level, 6);
        assert_int_equal(Translated->u.Interrupt.Affinity, 0xF);
        assert_int_equal(Translated->Flags, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE);
        assert_int_equal(Translated->ShareDisposition, CmResourceShareShared);

        Translated = FindResource(&StartTranslated[Start], CmResourceTypeMemory);
        assert_int_equal(Translated->u.Memory.Start.QuadPart, 0xFEB60000);
        assert_int_equal(Translated->u.Memory.Length, 0x20000);
        Translated = FindResource(&StartTranslated[Start], CmResourceTypePort);
        assert_int_equal(Translated->u.Port.Start.QuadPart, 0xC000);
        assert_int_equal(Translated->u.Port.Length, 0x40);

        /* Memory and ports, no bus mastering, the pin free. */
        assert_int_equal(StartCommand[Start], 0x0003);
    }
    assert_int_equal(CommandOf(Nic), 0x0003);

    PDEVICE_OBJECT Top = IopFindDevice("e1000", 0);

    assert_ptr_equal(Top, IopFindDevice("net", 0));
    assert_ptr_equal(Top, IopFindDevice("pci", 0));
    assert_int_equal(Top->StackSize, 3);
    assert_string_equal(Top->DriverObject->DriverName, "net");
    assert_null(IopFindDevice("e1000", 1));
    assert_null(IopFindDevice("broken", 0));
}

static void TheAddressComesBeforeTheStart(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    IopInitialize();
    assert_int_equal(AddressCount, 1);
    assert_int_equal(StartsBeforeAddress, 0);
    assert_memory_equal(AddressSeen.Address, KiOptions.IpAddress, 4);
    assert_int_equal(AddressSeen.PrefixLength, 22);
}

static void NoLineMeansPolling(void **State)
{
    FUNCTION *Nic = AddNic(3, NIC_ID);

    (void)State;
    StartAnswer[0] = StartAnswer[1] = StartAnswer[2] = STATUS_DEVICE_CONFIGURATION_ERROR;
    IopInitialize();
    assert_int_equal(StartCount, 4);
    assert_null(FindResource(&StartTranslated[3], CmResourceTypeInterrupt));
    assert_null(FindResource(&StartRaw[3], CmResourceTypeInterrupt));
    assert_int_equal(CommandOf(Nic), 0x0403);
    assert_non_null(IopFindDevice("net", 0));
}

static void ADriverMayRefuseToPoll(void **State)
{
    FUNCTION *Nic = AddNic(3, NIC_ID);

    (void)State;
    StartAnswer[0] = StartAnswer[1] = StartAnswer[2] = STATUS_DEVICE_CONFIGURATION_ERROR;
    StartAnswer[3] = STATUS_NOT_SUPPORTED;
    IopInitialize();
    assert_int_equal(StartCount, 4);
    assert_null(IopFindDevice("net", 0));
    assert_null(IopFindDevice("e1000", 0));
    assert_non_null(IopFindDevice("pci", 0));
    assert_int_equal(CommandOf(Nic), 0x0400);
}

static void OtherFailuresAreFinal(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    StartAnswer[0] = STATUS_DEVICE_NOT_READY;
    IopInitialize();
    assert_int_equal(StartCount, 1);
    assert_null(IopFindDevice("e1000", 0));
}

static void AFailingUpperDriverTakesTheStackDown(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    ClassAddAnswer = STATUS_INSUFFICIENT_RESOURCES;
    IopInitialize();
    assert_int_equal(StartCount, 0);
    assert_null(IopFindDevice("e1000", 0));
}

static void AMissingDriverIsNoDisaster(void **State)
{
    (void)State;
    AddFunction(2, 0x00FF1AF4, 0);
    AddNic(3, NIC_ID);
    IopInitialize();
    assert_int_equal(StartCount, 1);
    assert_non_null(IopFindDevice("net", 0));
}

/* A line that has a vector keeps it, whatever its IRQL; a full class gives way to the next; and
 * without any free vector a line is not offered. */
static void VectorsComeFromTheTable(void **State)
{
    static const ULONG Lines[] = {20, 21}, Vectors[] = {0xA7, 0x70};

    (void)State;
    AddNic(3, NIC_ID);
    VectorLines[0xA7] = (HALP_LINE){20, LevelSensitive, HalpActiveHigh};
    for (ULONG Vector = 0x50; Vector < 0x80; Vector++)
    {
        VectorLines[Vector] = (HALP_LINE){100 + Vector, LevelSensitive, HalpActiveLow};
    }
    VectorLines[0x70].Gsi = 0;
    StartAnswer[0] = StartAnswer[1] = STATUS_DEVICE_CONFIGURATION_ERROR;
    IopInitialize();
    assert_int_equal(StartCount, 3);
    for (ULONG Start = 0; Start < 2; Start++)
    {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *Raw, *Translated;

        Raw = FindResource(&StartRaw[Start], CmResourceTypeInterrupt);
        Translated = FindResource(&StartTranslated[Start], CmResourceTypeInterrupt);
        assert_int_equal(Raw->u.Interrupt.Vector, Lines[Start]);
        assert_int_equal(Translated->u.Interrupt.Vector, Vectors[Start]);
        assert_int_equal(Translated->u.Interrupt.Level, VECTOR_IRQL(Vectors[Start]));
    }
    assert_null(FindResource(&StartTranslated[2], CmResourceTypeInterrupt));
    assert_int_equal(VectorLines[0xA7].Polarity, HalpActiveLow);
}

static void OnlyOneNetworkCardStarts(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    AddNic(4, NIC_ID);
    AddNic(5, NIC_ID);
    StartAnswer[0] = STATUS_DEVICE_NOT_READY; /* the first does not work */
    IopInitialize();
    assert_int_equal(StartCount, 2);
    assert_int_equal(
        FindResource(&StartRaw[1], CmResourceTypeMemory)->u.Memory.Start.QuadPart, 0xFEB40000);
    assert_non_null(IopFindDevice("net", 0));
    assert_null(IopFindDevice("net", 1));
    assert_int_equal(CommandOf(&Functions[2]), 0);
}

static void OtherDevicesStartBesidesIt(void **State)
{
    FUNCTION *Edu = AddFunction(2, 0x11E81234, 0x00FF0010);

    (void)State;
    AddNic(3, NIC_ID);
    KiOptions.Nic = KiNicPoll;
    IopInitialize();
    assert_int_equal(StartCount, 2);
    assert_non_null(FindResource(&StartRaw[0], CmResourceTypeInterrupt)); /* edu: nic= is not its */
    assert_null(FindResource(&StartRaw[1], CmResourceTypeInterrupt));
    assert_int_equal(CommandOf(Edu), 0); /* no addresses, so nothing to decode */
    assert_int_equal(AddressCount, 1);
}

static void TheOptionChoosesTheCard(void **State)
{
    (void)State;
    AddNic(3, NIC_ID);
    KiOptions.Nic = KiNicNone;
    strcpy(KiOptions.NicName, "none");
    IopInitialize();
    assert_int_equal(StartCount, 0);
    assert_null(IopFindDevice("pci", 0));
    assert_int_equal(CommandOf(&Functions[0]), 0x0003);

    KiOptions.Nic = KiNicE1000e;
    strcpy(KiOptions.NicName, "e1000e");
    IopInitialize();
    assert_int_equal(StartCount, 0);

    KiOptions.Nic = KiNicE1000;
    strcpy(KiOptions.NicName, "e1000");
    IopInitialize();
    assert_int_equal(StartCount, 1);
}

static void BusMasteringIsTakenFromStrangers(void **State)
{
    static const struct
    {
        ULONG Class;
        BOOLEAN Keeps, KeepsUnderEfi;
    } Cases[] = {
        {0x01018000, FALSE, FALSE}, /* IDE              */
        {0x02000000, FALSE, FALSE}, /* an unknown NIC   */
        {0x06010000, TRUE, TRUE},   /* ISA bridge       */
        {0x03000000, TRUE, TRUE},   /* VGA              */
        {0x08002000, TRUE, TRUE},   /* IOAPIC           */
        {0x08010000, FALSE, FALSE}, /* DMA controller   */
        {0x0C033000, TRUE, FALSE},  /* xHCI             */
        {0x0C050000, FALSE, FALSE}, /* SMBus            */
    };

    (void)State;
    for (ULONG Efi = FALSE; Efi <= TRUE; Efi++)
    {
        FunctionCount = 0;
        IopFirmwareIsEfi = (BOOLEAN)Efi;
        for (ULONG Index = 0; Index < RTL_NUMBER_OF(Cases); Index++)
        {
            AddFunction(Index, 0x12345678, Cases[Index].Class);
        }
        IopInitialize();
        for (ULONG Index = 0; Index < RTL_NUMBER_OF(Cases); Index++)
        {
            BOOLEAN Keeps = Efi ? Cases[Index].KeepsUnderEfi : Cases[Index].Keeps;

            assert_int_equal(CommandOf(&Functions[Index]), Keeps ? 0x0007 : 0x0003);
        }
    }
}

/* ------------------------------------------------------------------ The bus interface. */

static void DriversReadAndWriteConfiguration(void **State)
{
    BUS_INTERFACE_STANDARD Interface = {.Size = 0};
    IO_STACK_LOCATION Request = {
        .MajorFunction = IRP_MJ_PNP,
        .MinorFunction = IRP_MN_QUERY_INTERFACE,
        .Parameters.QueryInterface = {.InterfaceType = &GUID_BUS_INTERFACE_STANDARD,
                                      .Size = sizeof(Interface),
                                      .Version = 1,
                                      .Interface = (PINTERFACE)&Interface},
    };
    const GUID Unknown = {.Data1 = 1};
    FUNCTION *Nic = AddNic(3, NIC_ID);
    UCHAR Data[16];
    PDEVICE_OBJECT Top;

    (void)State;
    IopInitialize();
    Top = IopFindDevice("net", 0);
    assert_int_equal(IopCallSynchronously(Top, &Request, NULL, STATUS_NOT_SUPPORTED),
                     STATUS_SUCCESS);

    assert_int_equal(Interface.GetBusData(Interface.Context, PCI_WHICHSPACE_CONFIG, Data, 1, 11),
                     11);
    assert_memory_equal(Data, &Nic->Registers[1], 11);
    assert_int_equal(Interface.SetBusData(Interface.Context, PCI_WHICHSPACE_CONFIG,
                                          (USHORT[]){0x0146}, PCI_COMMAND, 2),
                     2);
    assert_int_equal(CommandOf(Nic), 0x0146);
    assert_int_equal(Interface.GetBusData(Interface.Context, 1, Data, 0, 4), 0);
    assert_int_equal(Interface.GetBusData(Interface.Context, 0, Data, 4095, 2), 0);
    assert_int_equal(Interface.GetBusData(Interface.Context, 0, Data, MAXULONG, 2), 0);
    assert_int_equal(Interface.SetBusData(Interface.Context, 0, Data, 2, MAXULONG), 0);

    Request.Parameters.QueryInterface.Size--;
    assert_int_equal(IopCallSynchronously(Top, &Request, NULL, STATUS_NOT_SUPPORTED),
                     STATUS_BUFFER_TOO_SMALL);
    Request.Parameters.QueryInterface.InterfaceType = &Unknown;
    assert_int_equal(IopCallSynchronously(Top, &Request, NULL, STATUS_NOT_SUPPORTED),
                     STATUS_NOT_SUPPORTED);
}

/* ------------------------------------------------------------------ IRPs and devices. */

static void UnknownRequestsAreRefused(void **State)
{
    IO_STACK_LOCATION Request = {.MajorFunction = IRP_MJ_READ};
    PDEVICE_OBJECT Top;

    (void)State;
    AddNic(3, NIC_ID);
    IopInitialize();
    Top = IopFindDevice("net", 0);
    assert_int_equal(IopCallSynchronously(Top, &Request, NULL, STATUS_SUCCESS),
                     STATUS_INVALID_DEVICE_REQUEST);
    assert_int_equal(IopDeviceControl(Top, 0x1234, NULL, 0), STATUS_INVALID_DEVICE_REQUEST);
}

static void IrpsHaveAsManyLocationsAsAsked(void **State)
{
    (void)State;
    assert_null(IoAllocateIrp(0, FALSE));
    assert_null(IoAllocateIrp(-1, FALSE));
    assert_null(IoAllocateIrp(IRP_MAXIMUM_STACK + 1, FALSE));

    PIRP Irp = IoAllocateIrp(1, FALSE);

    assert_non_null(Irp);
    assert_ptr_equal(IoGetNextIrpStackLocation(Irp), &Irp->Stack[0]);
    Irp->CurrentLocation--;
    assert_false(IoForwardIrpSynchronously(NULL, Irp));
    ASSERT_BUG_CHECK(NO_MORE_IRP_STACK_LOCATIONS, IoCallDriver(NULL, Irp));
    IoFreeIrp(Irp);
}

static void CompletingTwiceStopsTheMachine(void **State)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    (void)State;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    ASSERT_BUG_CHECK(MULTIPLE_IRP_COMPLETE_REQUESTS, IoCompleteRequest(Irp, IO_NO_INCREMENT));
    IoFreeIrp(Irp);
}

static PIRP PendingIrp;

static void *CompleteLater(void *Context)
{
    usleep(20000);
    PendingIrp->IoStatus.Status = STATUS_CANCELLED;
    IoCompleteRequest(PendingIrp, IO_NO_INCREMENT);
    return Context;
}

static NTSTATUS Pend(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    pthread_t Thread;

    (void)DeviceObject;
    PendingIrp = Irp;
    assert_int_equal(pthread_create(&Thread, NULL, CompleteLater, NULL), 0);
    pthread_detach(Thread);
    return STATUS_PENDING;
}

static void AForwardedIrpIsAwaited(void **State)
{
    DRIVER_OBJECT Driver = {.DriverName = "slow", .MajorFunction = {[IRP_MJ_WRITE] = Pend}};
    DEVICE_OBJECT Device = {.DriverObject = &Driver, .StackSize = 1};
    PIRP Irp = IoAllocateIrp(2, FALSE);

    (void)State;
    IoSetNextIrpStackLocation(Irp);
    IoGetCurrentIrpStackLocation(Irp)->MajorFunction = IRP_MJ_WRITE;
    assert_true(IoForwardIrpSynchronously(&Device, Irp));
    assert_int_equal(Irp->IoStatus.Status, STATUS_CANCELLED);
    assert_int_equal(Irp->Completed, 0);
    assert_ptr_equal(IoGetCurrentIrpStackLocation(Irp), &Irp->Stack[1]);
    IoFreeIrp(Irp);
}

static PVOID DpcArguments[4];

static VOID DpcRoutine(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    DpcArguments[0] = Dpc;
    DpcArguments[1] = DeviceObject;
    DpcArguments[2] = Irp;
    DpcArguments[3] = Context;
}

static void ADeviceHasADpc(void **State)
{
    DEVICE_OBJECT Device;
    IRP Irp;
    int Context;

    (void)State;
    IoInitializeDpcRequest(&Device, DpcRoutine);
    IoRequestDpc(&Device, &Irp, &Context);
    assert_ptr_equal(DpcArguments[0], &Device.Dpc);
    assert_ptr_equal(DpcArguments[1], &Device);
    assert_ptr_equal(DpcArguments[2], &Irp);
    assert_ptr_equal(DpcArguments[3], &Context);
}

static void StacksHaveLimits(void **State)
{
    DRIVER_OBJECT Driver = {.DriverName = "stack"};
    PDEVICE_OBJECT Devices[IRP_MAXIMUM_STACK + 1], Extra;
    UNICODE_STRING Name = {.Length = 0};

    (void)State;
    assert_int_equal(IoCreateDevice(&Driver, 0, &Name, 0, 0, FALSE, &Extra),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(IoCreateDevice(&Driver, MAXULONG, NULL, 0, 0, FALSE, &Extra),
                     STATUS_INVALID_PARAMETER);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Devices); Index++)
    {
        assert_int_equal(IoCreateDevice(&Driver, 0, NULL, 0, 0, FALSE, &Devices[Index]),
                         STATUS_SUCCESS);
        assert_null(Devices[Index]->DeviceExtension);
        if (Index == 1) /* the device below is not ready yet */
        {
            assert_null(IoAttachDeviceToDeviceStack(Devices[1], Devices[0]));
            Devices[0]->Flags &= ~DO_DEVICE_INITIALIZING;
        }
        if (Index != 0)
        {
            PDEVICE_OBJECT Below = IoAttachDeviceToDeviceStack(Devices[Index], Devices[0]);

            assert_ptr_equal(Below, Index < IRP_MAXIMUM_STACK ? Devices[Index - 1] : NULL);
        }
        if (Index != 0)
        {
            Devices[Index]->Flags &= ~DO_DEVICE_INITIALIZING;
        }
    }
    assert_ptr_equal(IopGetTopOfStack(Devices[0]), Devices[IRP_MAXIMUM_STACK - 1]);

    /* From the bottom up, as a remove request does it: each goes when the one above has let go. */
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Devices); Index++)
    {
        if (Index != 0 && Index < IRP_MAXIMUM_STACK)
        {
            IoDetachDevice(Devices[Index - 1]);
        }
        IoDeleteDevice(Devices[Index]);
        if (Index == 0)
        {
            ASSERT_BUG_CHECK(DRIVER_VERIFIER_DETECTED_VIOLATION, IoDeleteDevice(Devices[0]));
        }
    }
    assert_null(Driver.DeviceObject);
}

#define CASE(Name) cmocka_unit_test_setup_teardown(Name, NewMachine, EndMachine)

HOST_MAIN(CASE(TheSecondLineIsTheOne), CASE(TheAddressComesBeforeTheStart),
          CASE(NoLineMeansPolling), CASE(ADriverMayRefuseToPoll), CASE(OtherFailuresAreFinal),
          CASE(AFailingUpperDriverTakesTheStackDown), CASE(AMissingDriverIsNoDisaster),
          CASE(VectorsComeFromTheTable), CASE(OnlyOneNetworkCardStarts),
          CASE(OtherDevicesStartBesidesIt), CASE(TheOptionChoosesTheCard),
          CASE(BusMasteringIsTakenFromStrangers), CASE(DriversReadAndWriteConfiguration),
          CASE(UnknownRequestsAreRefused), CASE(IrpsHaveAsManyLocationsAsAsked),
          CASE(CompletingTwiceStopsTheMachine), CASE(AForwardedIrpIsAwaited),
          CASE(ADeviceHasADpc), CASE(StacksHaveLimits))
