/* SPDX-License-Identifier: MIT */
/*
 * test_pci_irp.c - IRPs find their way through a stack and back, device objects come and go, and
 * drivers read configuration space through the bus.
 */
#include "test_pci_start.h"

#include <pthread.h>

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

HOST_MAIN(CASE(DriversReadAndWriteConfiguration), CASE(UnknownRequestsAreRefused),
          CASE(IrpsHaveAsManyLocationsAsAsked), CASE(CompletingTwiceStopsTheMachine),
          CASE(AForwardedIrpIsAwaited), CASE(ADeviceHasADpc), CASE(StacksHaveLimits))
