/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - connecting interrupts as drivers do it: IoConnectInterrupt and its extended form.
 *
 * The object is the I/O manager's, the mechanism the kernel's (kernel/ke/interrupt.c). Of the
 * extended form's versions this kernel has the fully specified one: its bus driver hands a driver
 * the translated resource that names vector, IRQL and mode.
 */
#include <interrupt.h>

#include "iop.h"

#define IOP_TAG_INTERRUPT 'tnIi'

NTSTATUS IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine,
                            PVOID ServiceContext, PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql,
                            KIRQL SynchronizeIrql, KINTERRUPT_MODE InterruptMode,
                            BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                            BOOLEAN FloatingSave)
{
    PKINTERRUPT Interrupt;
    NTSTATUS Status;

    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    *InterruptObject = NULL;
    if (FloatingSave)
    {
        return STATUS_INVALID_PARAMETER; /* as Microsoft says: FALSE on x86 and x64 */
    }
    Interrupt = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, sizeof(*Interrupt),
                                IOP_TAG_INTERRUPT);
    if (Interrupt == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Interrupt->ServiceRoutine = ServiceRoutine;
    Interrupt->ServiceContext = ServiceContext;
    Interrupt->ActualLock = SpinLock != NULL ? SpinLock : &Interrupt->SpinLock;
    Interrupt->Vector = Vector;
    Interrupt->Irql = Irql;
    Interrupt->SynchronizeIrql = SynchronizeIrql;
    Interrupt->Mode = InterruptMode;
    Interrupt->ShareVector = ShareVector;
    Interrupt->ProcessorEnableMask = ProcessorEnableMask;

    /* Before connecting: the ISR may run at once, and look. */
    *InterruptObject = Interrupt;
    Status = KiConnectInterrupt(Interrupt);
    if (!NT_SUCCESS(Status))
    {
        *InterruptObject = NULL;
        ExFreePoolWithTag(Interrupt, IOP_TAG_INTERRUPT);
    }
    return Status;
}

VOID IoDisconnectInterrupt(PKINTERRUPT InterruptObject)
{
    KI_ASSERT_IRQL(PASSIVE_LEVEL);
    KiDisconnectInterrupt(InterruptObject);
    ExFreePoolWithTag(InterruptObject, IOP_TAG_INTERRUPT);
}

NTSTATUS IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters)
{
    IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS *Full = &Parameters->FullySpecified;
    USHORT Group = Parameters->Version == CONNECT_FULLY_SPECIFIED_GROUP ? Full->Group : 0;

    if (Parameters->Version != CONNECT_FULLY_SPECIFIED &&
        Parameters->Version != CONNECT_FULLY_SPECIFIED_GROUP)
    {
        Parameters->Version = CONNECT_FULLY_SPECIFIED_GROUP;
        return STATUS_NOT_SUPPORTED;
    }
    if (Group != 0)
    {
        return STATUS_INVALID_PARAMETER; /* device interrupts go to group 0 */
    }
    return IoConnectInterrupt(Full->InterruptObject, Full->ServiceRoutine, Full->ServiceContext,
                              Full->SpinLock, Full->Vector, Full->Irql, Full->SynchronizeIrql,
                              Full->InterruptMode, Full->ShareVector, Full->ProcessorEnableMask,
                              Full->FloatingSave);
}

VOID IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters)
{
    IoDisconnectInterrupt(Parameters->ConnectionContext.InterruptObject);
}
