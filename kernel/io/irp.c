/* SPDX-License-Identifier: MIT */
/*
 * irp.c - I/O request packets: made, sent down a stack of drivers, completed.
 *
 * CurrentLocation counts down: a new IRP stands one above its topmost location, each IoCallDriver
 * takes it one down, and 0 is below the bottom. An IRP belongs to whoever holds it last: a driver
 * that passed it on may not touch it before it comes back, and IoCompleteRequest gives it back.
 *
 * How it comes back, as (Completed, Returned):
 *     (0, reset) -> (1, reset) -> (1, set)   IoCompleteRequest, once; setting the event is its last
 *                                            access to the IRP
 *     (1, set) -> (1, reset) -> (0, reset)   the waiter, who owns the IRP now: the event is a
 *                                            synchronization event, so his wait resets it
 * The wait has no end, as Microsoft's has none: until the IRP comes back its memory and its buffers
 * are the lower driver's, and no status could say that safely. Each 10 seconds it names the driver
 * that holds the IRP. Microsoft: "Handling IRPs", "IoForwardIrpSynchronously".
 */
#include "iop.h"

#define IOP_REPORT_INTERVAL_SECONDS 10

/* IoAllocateIrp - see io.h. ChargeQuota is for processes, and there are none. */
PIRP IoAllocateIrp(CHAR StackSize, BOOLEAN ChargeQuota)
{
    UNREFERENCED_PARAMETER(ChargeQuota);
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    if (StackSize < 1 || StackSize > IRP_MAXIMUM_STACK)
    {
        return NULL;
    }

    PIRP Irp = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(IRP), IOP_TAG_IRP);

    if (Irp != NULL)
    {
        Irp->StackCount = StackSize;
        Irp->CurrentLocation = (CHAR)(StackSize + 1);
        KeInitializeEvent(&Irp->Returned, SynchronizationEvent, FALSE);
    }
    return Irp;
}

VOID IoFreeIrp(PIRP Irp)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    ExFreePoolWithTag(Irp, IOP_TAG_IRP);
}

/* IoCallDriver - see io.h. Without a stack location left for the driver it stops the machine with
 * NO_MORE_IRP_STACK_LOCATIONS (0x35): the caller has already written below the last one. */
NTSTATUS IoCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    if (--Irp->CurrentLocation <= 0)
    {
        KeBugCheckEx(NO_MORE_IRP_STACK_LOCATIONS, (ULONG_PTR)Irp, 0, 0, 0);
    }

    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    Stack->DeviceObject = DeviceObject;
    KI_ASSERT_VALUES(Stack->MajorFunction <= IRP_MJ_MAXIMUM_FUNCTION, Stack->MajorFunction, Irp);
    return DeviceObject->DriverObject->MajorFunction[Stack->MajorFunction](DeviceObject, Irp);
}

/* IoCompleteRequest - see io.h. Completing an IRP that is complete already stops the machine with
 * MULTIPLE_IRP_COMPLETE_REQUESTS (0x44). */
VOID IoCompleteRequest(PIRP Irp, CHAR PriorityBoost)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    KI_ASSERT_VALUES(Irp->IoStatus.Status != STATUS_PENDING, Irp, Irp->IoStatus.Status);

    /* (0, reset) -> (1, reset) */
    if (InterlockedExchange(&Irp->Completed, 1) != 0)
    {
        KeBugCheckEx(MULTIPLE_IRP_COMPLETE_REQUESTS, (ULONG_PTR)Irp, 0, 0, 0);
    }
    KeSetEvent(&Irp->Returned, PriorityBoost, FALSE); /* (1, reset) -> (1, set) */
}

/* Sends the IRP and returns when it has come back; it is the caller's again. DeviceObject may be
 * gone by then: removing it is one of the things an IRP can ask for. */
static VOID IopCallAndWait(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LARGE_INTEGER Interval = {.QuadPart = IOP_REPORT_INTERVAL_SECONDS * -10000000ll};
    PCSTR DriverName = DeviceObject->DriverObject->DriverName;
    ULONG Seconds = 0;

    IoCallDriver(DeviceObject, Irp);
    while (KeWaitForSingleObject(&Irp->Returned, Executive, KernelMode, FALSE, &Interval) ==
           STATUS_TIMEOUT)
    {
        Seconds += IOP_REPORT_INTERVAL_SECONDS;
        KiLog(KiLogWarning, "io: the driver \"%s\" or one below it has held an IRP for %u s",
              DriverName, Seconds);
    }
    WriteNoFence(&Irp->Completed, 0); /* (1, reset) -> (0, reset) */
}

/* IoForwardIrpSynchronously - see io.h. */
BOOLEAN IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    CHAR Location = Irp->CurrentLocation;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);

    if (Location <= 1)
    {
        return FALSE;
    }
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IopCallAndWait(DeviceObject, Irp);
    Irp->CurrentLocation = Location;
    return TRUE;
}

NTSTATUS IopInvalidDeviceRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}

NTSTATUS IopCallSynchronously(PDEVICE_OBJECT DeviceObject, const IO_STACK_LOCATION *Request,
                              PVOID SystemBuffer, NTSTATUS InitialStatus)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);

    PIRP Irp = IoAllocateIrp(DeviceObject->StackSize, FALSE);

    if (Irp == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *IoGetNextIrpStackLocation(Irp) = *Request;
    Irp->AssociatedIrp.SystemBuffer = SystemBuffer;
    Irp->IoStatus.Status = InitialStatus;

    IopCallAndWait(DeviceObject, Irp);

    NTSTATUS Status = Irp->IoStatus.Status;

    IoFreeIrp(Irp);
    return Status;
}

NTSTATUS IopDeviceControl(PDEVICE_OBJECT DeviceObject, ULONG IoControlCode, PVOID Buffer,
                          ULONG Length)
{
    IO_STACK_LOCATION Request = {
        .MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL,
        .Parameters.DeviceIoControl = {.OutputBufferLength = Length,
                                       .InputBufferLength = Length,
                                       .IoControlCode = IoControlCode},
    };

    return IopCallSynchronously(DeviceObject, &Request, Buffer, STATUS_INVALID_DEVICE_REQUEST);
}
