/* SPDX-License-Identifier: MIT */
/*
 * control.c - internal control requests: the class's connection (netport.h) and the tests' handles
 * (e1000ctl.h). PASSIVE_LEVEL, one at a time, and none during start, stop or detachment.
 */
#include "e1000.h"

/* IOCTL_INTERNAL_NET_QUERY_PORT. */
static NTSTATUS E1000QueryPort(PE1000_EXTENSION Extension, PNET_PORT_INFORMATION Port)
{
    RtlCopyMemory(Port->MacAddress, Extension->MacAddress, NET_MAC_LENGTH);
    Port->LinkUp = Extension->LinkUp; /* one byte, and only a hint */
    return STATUS_SUCCESS;
}

/* IOCTL_INTERNAL_NET_CONNECT. */
static NTSTATUS E1000Connect(PE1000_EXTENSION Extension, PNET_CONNECT_DATA Connect)
{
    NTSTATUS Status = STATUS_DEVICE_BUSY;
    KIRQL OldIrql;

    Connect->Send = E1000Send;
    Connect->SendContext = Extension;

    KeAcquireSpinLock(&Extension->RingLock, &OldIrql);
    if (Extension->Receive == NULL)
    {
        Extension->ReceiveContext = Connect->ReceiveContext;
        Extension->Receive = Connect->Receive;
        Status = STATUS_SUCCESS;
    }
    KeReleaseSpinLock(&Extension->RingLock, OldIrql);
    return Status;
}

/* IOCTL_INTERNAL_NET_DISCONNECT. Receive is called under RingLock only, so no call is running once
 * the lock was ours. */
static NTSTATUS E1000Disconnect(PE1000_EXTENSION Extension)
{
    KIRQL OldIrql;

    KeAcquireSpinLock(&Extension->RingLock, &OldIrql);
    Extension->Receive = NULL;
    KeReleaseSpinLock(&Extension->RingLock, OldIrql);
    return STATUS_SUCCESS;
}

/* IOCTL_E1000_QUERY_STATISTICS: both halves at one instant, transmit buffers taken back first. */
static NTSTATUS E1000QueryStatistics(PE1000_EXTENSION Extension, PE1000_STATISTICS Statistics)
{
    KIRQL RingIrql;
    KIRQL AreaIrql;

    KeAcquireSpinLock(&Extension->RingLock, &RingIrql);
    if (Extension->Running)
    {
        E1000ReclaimTransmit(Extension);
        E1000CollectDeviceCounters(Extension);
    }

    AreaIrql = E1000LockArea(Extension);
    *Statistics = Extension->Counters;
    Statistics->Vanished = Extension->Area.Vanished;
    Statistics->Polling = Extension->Area.Polling;
    E1000UnlockArea(Extension, AreaIrql);

    Statistics->Detached = Extension->Detached;

    Statistics->TxInFlight = Extension->TxNext - Extension->TxClean;
    Statistics->LinkUp = Extension->LinkUp;
    KeReleaseSpinLock(&Extension->RingLock, RingIrql);

    RtlCopyMemory(Statistics->MacAddress, Extension->MacAddress, NET_MAC_LENGTH);
    Statistics->Gsi = Extension->Gsi;
    Statistics->Vector = Extension->InterruptResource.u.Interrupt.Vector;
    Statistics->Irql = Extension->InterruptResource.u.Interrupt.Level;
    return STATUS_SUCCESS;
}

/* IOCTL_E1000_SET_DPC_TARGET. Importance first: an insertion between the two goes where it went
 * before, only sooner. */
static NTSTATUS E1000SetDpcTarget(PE1000_EXTENSION Extension, const ULONG *ProcessorIndex)
{
    PROCESSOR_NUMBER Number;
    NTSTATUS Status = KeGetProcessorNumberFromIndex(*ProcessorIndex, &Number);

    if (NT_SUCCESS(Status))
    {
        KeSetImportanceDpc(&Extension->Dpc, MediumHighImportance);
        Status = KeSetTargetProcessorDpcEx(&Extension->Dpc, &Number);
    }
    return Status;
}

/* IOCTL_E1000_FIRE_CAUSES. */
static NTSTATUS E1000FireCauses(PE1000_EXTENSION Extension, const ULONG *Causes)
{
    if (*Causes == 0 || *Causes & ~E1000_CAUSE_MASK)
    {
        return STATUS_INVALID_PARAMETER;
    }
    E1000Write(Extension, E1000_ICS, *Causes);
    return STATUS_SUCCESS;
}

#if DBG

/* IOCTL_E1000_SET_TWIN. */
static NTSTATUS E1000SetTwin(PE1000_EXTENSION Extension, const ULONG *Twin)
{
    if (*Twin >= E1000TwinMaximum)
    {
        return STATUS_INVALID_PARAMETER;
    }
    Extension->Twin = *Twin;
    return STATUS_SUCCESS;
}

/* IOCTL_E1000_SET_DELAY. */
static NTSTATUS E1000SetDelay(PE1000_EXTENSION Extension, const E1000_DELAY *Delay)
{
    if (Delay->Microseconds > E1000_DELAY_MAXIMUM || Delay->Fires > MAXLONG)
    {
        return STATUS_INVALID_PARAMETER;
    }
    Extension->DelaySeed = Delay->Seed;
    Extension->DelayMicroseconds = Delay->Microseconds;
    InterlockedExchange(&Extension->DelayFires, (LONG)Delay->Fires);
    return STATUS_SUCCESS;
}

#else

static NTSTATUS E1000SetTwin(PE1000_EXTENSION Extension, const ULONG *Twin)
{
    UNREFERENCED_PARAMETER(Extension);
    UNREFERENCED_PARAMETER(Twin);
    return STATUS_NOT_SUPPORTED;
}

static NTSTATUS E1000SetDelay(PE1000_EXTENSION Extension, const E1000_DELAY *Delay)
{
    UNREFERENCED_PARAMETER(Extension);
    UNREFERENCED_PARAMETER(Delay);
    return STATUS_NOT_SUPPORTED;
}

#endif

/* One request, with the mutex held. */
static NTSTATUS E1000RunControl(PE1000_EXTENSION Extension, PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    ULONG Code = Location->Parameters.DeviceIoControl.IoControlCode;
    ULONG InputLength = Location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG OutputLength = Location->Parameters.DeviceIoControl.OutputBufferLength;
    PVOID Direct = Location->Parameters.DeviceIoControl.Type3InputBuffer;
    PVOID Buffer = Irp->AssociatedIrp.SystemBuffer;
    ULONG Needed = 0;

    Irp->IoStatus.Information = 0;

    switch (Code)
    {
    case IOCTL_INTERNAL_NET_QUERY_PORT:
        Needed = sizeof(NET_PORT_INFORMATION);
        break;
    case IOCTL_INTERNAL_NET_CONNECT:
        Needed = sizeof(NET_CONNECT_DATA);
        break;
    case IOCTL_INTERNAL_NET_DISCONNECT:
        break;
    case IOCTL_E1000_QUERY_STATISTICS:
        Needed = sizeof(E1000_STATISTICS);
        InputLength = OutputLength;
        break;
    case IOCTL_E1000_SET_DPC_TARGET:
    case IOCTL_E1000_FIRE_CAUSES:
    case IOCTL_E1000_SET_TWIN:
        Needed = sizeof(ULONG);
        break;
    case IOCTL_E1000_SET_DELAY:
        Needed = sizeof(E1000_DELAY);
        break;
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }

    if (InputLength < Needed)
    {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (!Extension->Started)
    {
        return STATUS_DEVICE_NOT_READY;
    }
    if (Extension->Detached && Code == IOCTL_E1000_FIRE_CAUSES)
    {
        return STATUS_DEVICE_NOT_CONNECTED;
    }

    switch (Code)
    {
    case IOCTL_INTERNAL_NET_QUERY_PORT:
        return E1000QueryPort(Extension, Direct);
    case IOCTL_INTERNAL_NET_CONNECT:
        return E1000Connect(Extension, Direct);
    case IOCTL_INTERNAL_NET_DISCONNECT:
        return E1000Disconnect(Extension);
    case IOCTL_E1000_QUERY_STATISTICS:
        Irp->IoStatus.Information = sizeof(E1000_STATISTICS);
        return E1000QueryStatistics(Extension, Buffer);
    case IOCTL_E1000_SET_DPC_TARGET:
        return E1000SetDpcTarget(Extension, Buffer);
    case IOCTL_E1000_FIRE_CAUSES:
        return E1000FireCauses(Extension, Buffer);
    case IOCTL_E1000_SET_TWIN:
        return E1000SetTwin(Extension, Buffer);
    default:
        return E1000SetDelay(Extension, Buffer);
    }
}

/*
 * E1000Control - runs one request. Status and information go into the IRP, which stays the caller's
 * to complete.
 */
NTSTATUS E1000Control(PE1000_EXTENSION Extension, PIRP Irp)
{
    NTSTATUS Status;

    KeWaitForSingleObject(&Extension->ControlMutex, Executive, KernelMode, FALSE, NULL);
    Status = E1000RunControl(Extension, Irp);
    KeReleaseMutex(&Extension->ControlMutex, FALSE);
    return Status;
}
