/* SPDX-License-Identifier: MIT */
/*
 * init.c - start and stop: resources, rings, the interrupt and the proof that it works.
 *
 * Start goes from harmless to armed: memory space on, device reset, rings built, interrupt
 * connected and proven, and only then bus mastering and the engines. Stop undoes it in reverse and
 * copes with a start that ended half way, so a failed start leaves nothing behind and may be tried
 * again with another line.
 */
#include "e1000.h"

#define E1000_PROOF_SHOTS 3
#define E1000_PROOF_POLL_US 50
#define E1000_PROOF_POLLS 400     /* 20 ms for the interrupt that the driver fires itself */
#define E1000_CONFIRM_POLLS 20000 /* 1 s for those after one that came                    */
#define E1000_SILENCE_POLLS 10
#define E1000_DMA_LIMIT MAXULONG /* the card is asked for no address above 4 GiB             */

USHORT E1000ReadConfig(PE1000_EXTENSION Extension, ULONG Offset)
{
    BUS_INTERFACE_STANDARD *Bus = &Extension->Bus;
    USHORT Value = MAXUSHORT;

    Bus->GetBusData(Bus->Context, PCI_WHICHSPACE_CONFIG, &Value, Offset, sizeof(Value));
    return Value;
}

/* Sets and clears bits of the PCI command register. */
static VOID E1000SetCommand(PE1000_EXTENSION Extension, USHORT Set, USHORT Clear)
{
    BUS_INTERFACE_STANDARD *Bus = &Extension->Bus;
    USHORT Command = E1000ReadConfig(Extension, E1000_PCI_COMMAND);

    Command = (USHORT)((Command | Set) & ~Clear);
    Bus->SetBusData(Bus->Context, PCI_WHICHSPACE_CONFIG, &Command, E1000_PCI_COMMAND,
                    sizeof(Command));
}

/* The first descriptor of that type, or NULL. */
static const CM_PARTIAL_RESOURCE_DESCRIPTOR *E1000FindResource(const CM_RESOURCE_LIST *List,
                                                               UCHAR Type)
{
    const CM_PARTIAL_RESOURCE_LIST *Partial;

    if (List == NULL || List->Count == 0)
    {
        return NULL;
    }

    Partial = &List->List[0].PartialResourceList;
    for (ULONG i = 0; i < Partial->Count; i++)
    {
        if (Partial->PartialDescriptors[i].Type == Type)
        {
            return &Partial->PartialDescriptors[i];
        }
    }
    return NULL;
}

static NTSTATUS E1000TakeResources(PE1000_EXTENSION Extension, const CM_RESOURCE_LIST *Raw,
                                   const CM_RESOURCE_LIST *Translated)
{
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *Memory;
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *Interrupt;
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *RawInterrupt;

    Memory = E1000FindResource(Translated, CmResourceTypeMemory);
    Interrupt = E1000FindResource(Translated, CmResourceTypeInterrupt);
    RawInterrupt = E1000FindResource(Raw, CmResourceTypeInterrupt);

    if (Memory == NULL || Memory->u.Memory.Length < E1000_REGISTER_SPACE)
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_ERROR_LEVEL, "e1000: no register space\n");
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }

    Extension->MemoryResource = *Memory;
    RtlZeroMemory(&Extension->InterruptResource, sizeof(Extension->InterruptResource));
    if (Interrupt != NULL)
    {
        Extension->InterruptResource = *Interrupt;
    }
    Extension->Gsi = RawInterrupt != NULL ? RawInterrupt->u.Interrupt.Vector : MAXULONG;
    return STATUS_SUCCESS;
}

/* The device's memory. */
static BOOLEAN E1000AllocateShared(PE1000_EXTENSION Extension)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = E1000_DMA_LIMIT};

    Extension->Shared = MmAllocateContiguousMemory(sizeof(E1000_SHARED), Highest);
    if (Extension->Shared == NULL)
    {
        return FALSE;
    }

    Extension->SharedAddress = (ULONG64)MmGetPhysicalAddress(Extension->Shared).QuadPart;
    return TRUE;
}

/* Not while the device might still write there: a card that does not answer may only have lost its
 * address. It is harmless if nobody is in its place, or if it took the end of its bus mastering. */
static VOID E1000FreeShared(PE1000_EXTENSION Extension)
{
    if (Extension->Shared == NULL)
    {
        return;
    }
    if (E1000ReadConfig(Extension, E1000_PCI_VENDOR) == E1000_PCI_NOBODY ||
        !(E1000ReadConfig(Extension, E1000_PCI_COMMAND) & E1000_PCI_COMMAND_MASTER))
    {
        MmFreeContiguousMemory(Extension->Shared);
    }
    else
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_ERROR_LEVEL,
                   "e1000: bus mastering cannot be stopped: %u KiB of memory stay the card's\n",
                   (ULONG)(sizeof(E1000_SHARED) / 1024));
    }
    Extension->Shared = NULL;
}

static NTSTATUS E1000ConnectInterrupt(PE1000_EXTENSION Extension)
{
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *Resource = &Extension->InterruptResource;
    IO_CONNECT_INTERRUPT_PARAMETERS Connect = {.Version = CONNECT_FULLY_SPECIFIED};

    Connect.FullySpecified.PhysicalDeviceObject = Extension->PhysicalDevice;
    Connect.FullySpecified.InterruptObject = &Extension->Interrupt;
    Connect.FullySpecified.ServiceRoutine = E1000InterruptService;
    Connect.FullySpecified.ServiceContext = Extension;
    Connect.FullySpecified.SpinLock = &Extension->InterruptLock;
    Connect.FullySpecified.SynchronizeIrql = (KIRQL)Resource->u.Interrupt.Level;
    Connect.FullySpecified.FloatingSave = FALSE;
    Connect.FullySpecified.ShareVector = Resource->ShareDisposition == CmResourceShareShared;
    Connect.FullySpecified.Vector = Resource->u.Interrupt.Vector;
    Connect.FullySpecified.Irql = (KIRQL)Resource->u.Interrupt.Level;
    Connect.FullySpecified.InterruptMode = Resource->Flags & CM_RESOURCE_INTERRUPT_LATCHED
                                               ? Latched
                                               : LevelSensitive;
    Connect.FullySpecified.ProcessorEnableMask = Resource->u.Interrupt.Affinity;
    return IoConnectInterruptEx(&Connect);
}

/* Lets exactly these causes interrupt. */
static VOID E1000EnableCauses(PE1000_EXTENSION Extension, ULONG Causes)
{
    KIRQL OldIrql = E1000LockArea(Extension);

    Extension->Area.Enabled = Causes;
    E1000Write(Extension, E1000_IMC, ~Causes);
    E1000Write(Extension, E1000_IMS, Causes);
    E1000UnlockArea(Extension, OldIrql);
}

/* Waits, bounded, for Counter to go beyond Value. */
static BOOLEAN E1000Advances(const ULONG64 *Counter, ULONG64 Value, ULONG Polls)
{
    for (ULONG Poll = 0; Poll < Polls; Poll++)
    {
        if ((ULONG64)ReadNoFence64((const volatile LONG64 *)Counter) != Value)
        {
            return TRUE;
        }
        KeStallExecutionProcessor(E1000_PROOF_POLL_US);
    }
    return FALSE;
}

/*
 * Does this line reach the ISR? The driver makes the device interrupt by itself (ICS) and waits for
 * the ISR to see it. LSC is the cause to use: all it makes the DPC do is look at the link.
 *
 * A line that belongs to another device, and is busy, would bring the ISR too, and the ISR would
 * find the cause and seem to prove the line. So each shot comes after a while with all causes
 * masked, and the line counts as ours only if every shot hit and at least one came after silence.
 *
 * A card spaces its interrupts, and an emulated one may do so by a thread that has to wait for a
 * host's CPU: once a shot has hit, the next ones are given time.
 */
static BOOLEAN E1000ProveLine(PE1000_EXTENSION Extension)
{
    const E1000_STATISTICS *Counters = &Extension->Counters;
    BOOLEAN Silence = FALSE;

    for (ULONG Shot = 0; Shot < E1000_PROOF_SHOTS; Shot++)
    {
        ULONG64 Seen;

        E1000EnableCauses(Extension, 0);
        Silence |= !E1000Advances(&Counters->IsrCalls, Counters->IsrCalls, E1000_SILENCE_POLLS);

        Seen = Counters->InterruptsSeen;
        E1000EnableCauses(Extension, E1000_CAUSE_LSC);
        E1000Write(Extension, E1000_ICS, E1000_CAUSE_LSC);
        if (!E1000Advances(&Counters->InterruptsSeen, Seen,
                           Shot == 0 ? E1000_PROOF_POLLS : E1000_CONFIRM_POLLS))
        {
            return FALSE;
        }
    }
    return Silence;
}

static VOID E1000LogStart(PE1000_EXTENSION Extension)
{
    const UCHAR *Mac = Extension->MacAddress;
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *Resource = &Extension->InterruptResource;
    ULONG64 Affinity = Resource->u.Interrupt.Affinity;

    if (Extension->Area.Polling)
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_WARNING_LEVEL,
                   "e1000: MAC %02x:%02x:%02x:%02x:%02x:%02x, no interrupt line: polled\n", Mac[0],
                   Mac[1], Mac[2], Mac[3], Mac[4], Mac[5]);
        return;
    }
    DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_INFO_LEVEL,
               "e1000: MAC %02x:%02x:%02x:%02x:%02x:%02x, GSI %u, vector 0x%02x, IRQL %u, CPU %u\n",
               Mac[0], Mac[1], Mac[2], Mac[3], Mac[4], Mac[5], Extension->Gsi,
               Resource->u.Interrupt.Vector, Resource->u.Interrupt.Level,
               Affinity != 0 ? (ULONG)__builtin_ctzll(Affinity) : 0);
}

/* From connected to running. */
static NTSTATUS E1000Arm(PE1000_EXTENSION Extension)
{
    KIRQL OldIrql;

    if (!Extension->Area.Polling && !E1000ProveLine(Extension))
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_WARNING_LEVEL,
                   "e1000: GSI %u does not carry this device's interrupt\n", Extension->Gsi);
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }

    E1000LogStart(Extension);
    E1000SetCommand(Extension, E1000_PCI_COMMAND_MASTER, 0);

    KeAcquireSpinLock(&Extension->RingLock, &OldIrql);
    E1000StartEngines(Extension);
    Extension->Running = TRUE;
    E1000StartWatch(Extension);
    E1000UpdateLink(Extension);
    KeReleaseSpinLock(&Extension->RingLock, OldIrql);

    E1000EnableCauses(Extension, Extension->Area.Polling ? 0 : E1000_CAUSES_ENABLED);
    return STATUS_SUCCESS;
}

NTSTATUS E1000StartDevice(PE1000_EXTENSION Extension, const CM_RESOURCE_LIST *Raw,
                          const CM_RESOURCE_LIST *Translated)
{
    NTSTATUS Status = E1000TakeResources(Extension, Raw, Translated);

    if (!NT_SUCCESS(Status))
    {
        return Status;
    }

    RtlZeroMemory(&Extension->Area, sizeof(Extension->Area));
    RtlZeroMemory(&Extension->Counters, sizeof(Extension->Counters));
    Extension->Area.Polling = Extension->InterruptResource.Type != CmResourceTypeInterrupt;
    Extension->LastReset = 0;
    Extension->LinkUp = FALSE;
    Extension->Detached = FALSE;

    E1000SetCommand(Extension, E1000_PCI_COMMAND_MEMORY,
                    E1000_PCI_COMMAND_MASTER |
                        (Extension->Area.Polling ? 0 : E1000_PCI_COMMAND_NO_INTX));
    Extension->Registers = MmMapIoSpace(Extension->MemoryResource.u.Memory.Start,
                                        E1000_REGISTER_SPACE, MmNonCached);
    if (Extension->Registers == NULL)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    Status = E1000ResetHardware(Extension);
    if (NT_SUCCESS(Status) && !E1000AllocateShared(Extension))
    {
        Status = STATUS_INSUFFICIENT_RESOURCES;
    }
    if (NT_SUCCESS(Status))
    {
        E1000ProgramRings(Extension);
    }
    if (NT_SUCCESS(Status) && !Extension->Area.Polling)
    {
        Status = E1000ConnectInterrupt(Extension);
    }
    if (NT_SUCCESS(Status))
    {
        Status = E1000Arm(Extension);
    }
    Extension->Started = NT_SUCCESS(Status);
    if (!NT_SUCCESS(Status))
    {
        E1000StopDevice(Extension);
    }
    return Status;
}

VOID E1000StopDevice(PE1000_EXTENSION Extension)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS Disconnect = {.Version = CONNECT_FULLY_SPECIFIED};
    BOOLEAN Present;
    KIRQL OldIrql;

    if (Extension->Registers == NULL)
    {
        return;
    }

    KeAcquireSpinLock(&Extension->RingLock, &OldIrql);
    Extension->Running = FALSE;
    Extension->LinkUp = FALSE;
    Extension->Receive = NULL;
    KeReleaseSpinLock(&Extension->RingLock, OldIrql);

    OldIrql = E1000LockArea(Extension);
    Present = !Extension->Area.Vanished;
    Extension->Area.Stopping = TRUE;
    Extension->Area.Enabled = 0;
    if (Present)
    {
        E1000Write(Extension, E1000_IMC, MAXULONG);
    }
    E1000UnlockArea(Extension, OldIrql);

    /* After the disconnect no ISR runs; nobody has queued the DPC since Stopping was set, nor set
     * the timer since Running was not; so after the flush no DPC runs, and the memory they use may
     * go. */
    if (Extension->Interrupt != NULL)
    {
        Disconnect.ConnectionContext.InterruptObject = Extension->Interrupt;
        IoDisconnectInterruptEx(&Disconnect);
    }
    KeCancelTimer(&Extension->Timer);
    KeFlushQueuedDpcs();
    Extension->Interrupt = NULL;

    if (Present)
    {
        E1000QuietHardware(Extension);
    }
    E1000SetCommand(Extension, 0, E1000_PCI_COMMAND_MASTER);
    E1000FreeShared(Extension);
    MmUnmapIoSpace((PVOID)Extension->Registers, E1000_REGISTER_SPACE);
    Extension->Registers = NULL;
}

/*
 * E1000DetachDevice - IO_WORKITEM_ROUTINE: gives back what the driver had for a device that has
 * vanished. The device object stays, with its counters, until it is removed.
 */
VOID E1000DetachDevice(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    PE1000_EXTENSION Extension = Context;

    UNREFERENCED_PARAMETER(DeviceObject);

    KeWaitForSingleObject(&Extension->ControlMutex, Executive, KernelMode, FALSE, NULL);
    if (Extension->Started && !Extension->Detached)
    {
        E1000StopDevice(Extension);
        Extension->Detached = TRUE;
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_WARNING_LEVEL,
                   "e1000: detached: its interrupt is disconnected\n");
    }
    KeReleaseMutex(&Extension->ControlMutex, FALSE);

    /* The last access to the extension: who removes the device waits for it. */
    KeSetEvent(&Extension->DetachIdle, IO_NO_INCREMENT, FALSE);
}
