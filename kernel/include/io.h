/* SPDX-License-Identifier: MIT */
/*
 * io.h - the I/O manager: driver and device objects, IRPs, Plug and Play start, interrupts.
 *
 * Structure fields carry Microsoft's names; fields that a driver may not touch, and those for
 * features this kernel lacks, are absent, so that using them fails to compile.
 */
#pragma once

#include <ex.h>
#include <ke.h>
#include <ntdef.h>
#include <sal.h>

struct _DEVICE_OBJECT;
struct _DRIVER_OBJECT;
struct _IRP;

/* ------------------------------------------------------------------ Resources ("CM_RESOURCE_LIST
 * structure"). */

#define CmResourceTypeNull 0
#define CmResourceTypePort 1
#define CmResourceTypeInterrupt 2
#define CmResourceTypeMemory 3

#define CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE 0x00
#define CM_RESOURCE_INTERRUPT_LATCHED 0x01
#define CmResourceShareDeviceExclusive 1
#define CmResourceShareShared 3

typedef struct _CM_PARTIAL_RESOURCE_DESCRIPTOR
{
    UCHAR Type; /* CmResourceType... */
    UCHAR ShareDisposition;
    USHORT Flags;
    union
    {
        struct
        {
            PHYSICAL_ADDRESS Start;
            ULONG Length;
        } Generic, Port, Memory;
        struct
        {
            USHORT Level; /* translated: the IRQL; raw: the line (GSI) */
            USHORT Group;
            ULONG Vector; /* translated: the vector; raw: the line (GSI) */
            KAFFINITY Affinity;
        } Interrupt;
    } u;
} CM_PARTIAL_RESOURCE_DESCRIPTOR, *PCM_PARTIAL_RESOURCE_DESCRIPTOR;

#define CM_MAXIMUM_DESCRIPTORS 8 /* six BARs, an interrupt, one to spare */

typedef struct _CM_PARTIAL_RESOURCE_LIST
{
    USHORT Version;
    USHORT Revision;
    ULONG Count;
    CM_PARTIAL_RESOURCE_DESCRIPTOR PartialDescriptors[CM_MAXIMUM_DESCRIPTORS];
} CM_PARTIAL_RESOURCE_LIST, *PCM_PARTIAL_RESOURCE_LIST;

typedef struct _CM_FULL_RESOURCE_DESCRIPTOR
{
    ULONG InterfaceType;
    ULONG BusNumber;
    CM_PARTIAL_RESOURCE_LIST PartialResourceList;
} CM_FULL_RESOURCE_DESCRIPTOR, *PCM_FULL_RESOURCE_DESCRIPTOR;

typedef struct _CM_RESOURCE_LIST
{
    ULONG Count;
    CM_FULL_RESOURCE_DESCRIPTOR List[1];
} CM_RESOURCE_LIST, *PCM_RESOURCE_LIST;

/* ------------------------------------------------------------------ The bus interface that a PCI
 * device object answers IRP_MN_QUERY_INTERFACE with ("BUS_INTERFACE_STANDARD structure"). */

#define PCI_WHICHSPACE_CONFIG 0

/* Reads or writes Length bytes of configuration space at Offset; returns the bytes moved. IRQL <=
 * DISPATCH_LEVEL. */
typedef ULONG GET_SET_DEVICE_DATA(PVOID Context, ULONG DataType, PVOID Buffer, ULONG Offset,
                                  ULONG Length);
typedef GET_SET_DEVICE_DATA *PGET_SET_DEVICE_DATA;

typedef struct _BUS_INTERFACE_STANDARD
{
    USHORT Size;
    USHORT Version;
    PVOID Context;
    PGET_SET_DEVICE_DATA SetBusData;
    PGET_SET_DEVICE_DATA GetBusData;
} BUS_INTERFACE_STANDARD, *PBUS_INTERFACE_STANDARD;

typedef struct _INTERFACE
{
    USHORT Size;
    USHORT Version;
    PVOID Context;
} INTERFACE, *PINTERFACE;

typedef struct _GUID
{
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID, *LPGUID;

extern const GUID GUID_BUS_INTERFACE_STANDARD;

/* ------------------------------------------------------------------ IRPs. */

#define IRP_MJ_CREATE 0x00
#define IRP_MJ_CLOSE 0x02
#define IRP_MJ_READ 0x03
#define IRP_MJ_WRITE 0x04
#define IRP_MJ_DEVICE_CONTROL 0x0E
#define IRP_MJ_INTERNAL_DEVICE_CONTROL 0x0F
#define IRP_MJ_POWER 0x16
#define IRP_MJ_SYSTEM_CONTROL 0x17
#define IRP_MJ_PNP 0x1B
#define IRP_MJ_MAXIMUM_FUNCTION 0x1B

#define IRP_MN_START_DEVICE 0x00
#define IRP_MN_REMOVE_DEVICE 0x02
#define IRP_MN_STOP_DEVICE 0x04
#define IRP_MN_QUERY_INTERFACE 0x08

/* I/O control codes ("Defining I/O Control Codes"). */
#define METHOD_BUFFERED 0
#define METHOD_NEITHER 3
#define FILE_ANY_ACCESS 0

#define CTL_CODE(DeviceType, Function, Method, Access)                                             \
    (((ULONG)(DeviceType) << 16) | ((ULONG)(Access) << 14) | ((ULONG)(Function) << 2) |            \
     (ULONG)(Method))

typedef struct _IO_STATUS_BLOCK
{
    NTSTATUS Status;
    ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;

typedef struct _IO_STACK_LOCATION
{
    UCHAR MajorFunction;
    UCHAR MinorFunction;
    UCHAR Flags;
    UCHAR Control;
    union
    {
        struct
        {
            ULONG OutputBufferLength;
            ULONG InputBufferLength;
            ULONG IoControlCode;
            PVOID Type3InputBuffer;
        } DeviceIoControl;
        struct
        {
            PCM_RESOURCE_LIST AllocatedResources;
            PCM_RESOURCE_LIST AllocatedResourcesTranslated;
        } StartDevice;
        struct
        {
            const GUID *InterfaceType;
            USHORT Size;
            USHORT Version;
            PINTERFACE Interface;
            PVOID InterfaceSpecificData;
        } QueryInterface;
    } Parameters;
    struct _DEVICE_OBJECT *DeviceObject;
} IO_STACK_LOCATION, *PIO_STACK_LOCATION;

#define IRP_MAXIMUM_STACK 4

typedef struct _IRP
{
    union
    {
        PVOID SystemBuffer;
    } AssociatedIrp;
    IO_STATUS_BLOCK IoStatus;
    CHAR StackCount;
    CHAR CurrentLocation;    /* counts down; StackCount + 1 before the first call */
    volatile LONG Completed; /* set once by IoCompleteRequest                     */
    KEVENT Returned;         /* private: it has come back                         */
    IO_STACK_LOCATION Stack[IRP_MAXIMUM_STACK];
} IRP, *PIRP;

FORCEINLINE PIO_STACK_LOCATION IoGetCurrentIrpStackLocation(PIRP Irp)
{
    return &Irp->Stack[Irp->CurrentLocation - 1];
}

FORCEINLINE PIO_STACK_LOCATION IoGetNextIrpStackLocation(PIRP Irp)
{
    return &Irp->Stack[Irp->CurrentLocation - 2];
}

/* Lets the next lower driver see this driver's own stack location. */
FORCEINLINE VOID IoSkipCurrentIrpStackLocation(PIRP Irp)
{
    Irp->CurrentLocation++;
}

/* Makes the first stack location of an IRP the current one: for a driver that allocated the IRP
 * with a location of its own. */
FORCEINLINE VOID IoSetNextIrpStackLocation(PIRP Irp)
{
    Irp->CurrentLocation--;
}

FORCEINLINE VOID IoCopyCurrentIrpStackLocationToNext(PIRP Irp)
{
    *IoGetNextIrpStackLocation(Irp) = *IoGetCurrentIrpStackLocation(Irp);
}

/* Passes the IRP to the driver of DeviceObject; returns what its dispatch routine returned. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS IoCallDriver(struct _DEVICE_OBJECT *DeviceObject, _Inout_ PIRP Irp);

/* Ends the IRP; its owner may reuse it at once. PriorityBoost is for the waiting thread. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID IoCompleteRequest(PIRP Irp, CHAR PriorityBoost);

/* Copies the stack location down, calls the lower driver, waits until it has completed the IRP:
 * TRUE, or FALSE if there is no stack location left. The caller still owns the IRP and must
 * complete it. */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN IoForwardIrpSynchronously(struct _DEVICE_OBJECT *DeviceObject, PIRP Irp);

/* An IRP with StackSize locations, zeroed; NULL if there is no memory. IoFreeIrp gives it back. */
_IRQL_requires_max_(DISPATCH_LEVEL)
PIRP IoAllocateIrp(CHAR StackSize, BOOLEAN ChargeQuota);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID IoFreeIrp(PIRP Irp);

/* ------------------------------------------------------------------ Drivers and devices. */

typedef NTSTATUS DRIVER_INITIALIZE(struct _DRIVER_OBJECT *DriverObject,
                                   PUNICODE_STRING RegistryPath);
typedef DRIVER_INITIALIZE *PDRIVER_INITIALIZE;
typedef NTSTATUS DRIVER_ADD_DEVICE(struct _DRIVER_OBJECT *DriverObject,
                                   struct _DEVICE_OBJECT *PhysicalDeviceObject);
typedef DRIVER_ADD_DEVICE *PDRIVER_ADD_DEVICE;
typedef NTSTATUS DRIVER_DISPATCH(struct _DEVICE_OBJECT *DeviceObject, _Inout_ PIRP Irp);
typedef DRIVER_DISPATCH *PDRIVER_DISPATCH;
typedef VOID DRIVER_UNLOAD(struct _DRIVER_OBJECT *DriverObject);
typedef DRIVER_UNLOAD *PDRIVER_UNLOAD;

typedef struct _DRIVER_EXTENSION
{
    struct _DRIVER_OBJECT *DriverObject;
    PDRIVER_ADD_DEVICE AddDevice;
} DRIVER_EXTENSION, *PDRIVER_EXTENSION;

typedef struct _DRIVER_OBJECT
{
    struct _DEVICE_OBJECT *DeviceObject; /* the driver's devices, by NextDevice */
    PDRIVER_EXTENSION DriverExtension;
    PCSTR DriverName;
    PDRIVER_INITIALIZE DriverInit;
    PDRIVER_UNLOAD DriverUnload;
    PDRIVER_DISPATCH MajorFunction[IRP_MJ_MAXIMUM_FUNCTION + 1];
    DRIVER_EXTENSION Extension;
} DRIVER_OBJECT, *PDRIVER_OBJECT;

#define FILE_DEVICE_NETWORK 0x00000012
#define FILE_DEVICE_PHYSICAL_NETCARD 0x00000017
#define FILE_DEVICE_UNKNOWN 0x00000022
#define FILE_DEVICE_BUS_EXTENDER 0x0000002A

#define DO_DEVICE_INITIALIZING 0x00000080

struct _IO_DPC_STATE;
typedef VOID IO_DPC_ROUTINE(PKDPC Dpc, struct _DEVICE_OBJECT *DeviceObject, PIRP Irp,
                            PVOID Context);
typedef IO_DPC_ROUTINE *PIO_DPC_ROUTINE;

typedef struct _DEVICE_OBJECT
{
    PDRIVER_OBJECT DriverObject;
    struct _DEVICE_OBJECT *NextDevice;
    struct _DEVICE_OBJECT *AttachedDevice; /* the device above, or NULL */
    struct _DEVICE_OBJECT *LowerDevice;    /* private: the device below */
    PIRP CurrentIrp;
    ULONG Flags;
    ULONG DeviceType;
    CHAR StackSize;
    PVOID DeviceExtension;
    KDPC Dpc;
    PIO_DPC_ROUTINE DpcRoutine; /* private: see IoInitializeDpcRequest */
} DEVICE_OBJECT, *PDEVICE_OBJECT;

/* A device object with a zeroed extension of that many bytes. DeviceName must be NULL: there is no
 * name space yet. STATUS_INSUFFICIENT_RESOURCES if there is no memory. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize,
                        PUNICODE_STRING DeviceName, ULONG DeviceType, ULONG DeviceCharacteristics,
                        BOOLEAN Exclusive, _Out_ PDEVICE_OBJECT *DeviceObject);
_IRQL_requires_(PASSIVE_LEVEL)
VOID IoDeleteDevice(PDEVICE_OBJECT DeviceObject);

/* Puts SourceDevice on top of TargetDevice's stack; returns the device it now lies on. */
_IRQL_requires_(PASSIVE_LEVEL)
PDEVICE_OBJECT IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice,
                                           PDEVICE_OBJECT TargetDevice);
_IRQL_requires_(PASSIVE_LEVEL)
VOID IoDetachDevice(_Inout_ PDEVICE_OBJECT TargetDevice);

/* The DPC that every device object contains ("DpcForIsr Routines"). */
VOID IoInitializeDpcRequest(PDEVICE_OBJECT DeviceObject, PIO_DPC_ROUTINE DpcRoutine);
VOID IoRequestDpc(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context);

/* ------------------------------------------------------------------ Work items ("System Worker
 * Threads"): a driver's call at PASSIVE_LEVEL, asked for at DISPATCH_LEVEL. */

typedef struct _IO_WORKITEM *PIO_WORKITEM;

/* At PASSIVE_LEVEL. The item is out of its queue: the routine may free it or queue it again. */
typedef VOID IO_WORKITEM_ROUTINE(PDEVICE_OBJECT DeviceObject, PVOID Context);
typedef IO_WORKITEM_ROUTINE *PIO_WORKITEM_ROUTINE;
typedef VOID IO_WORKITEM_ROUTINE_EX(PVOID IoObject, PVOID Context, PIO_WORKITEM IoWorkItem);
typedef IO_WORKITEM_ROUTINE_EX *PIO_WORKITEM_ROUTINE_EX;

/* A work item for DeviceObject; NULL if there is no memory. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject);
/* Frees it. Bug check 0xE4 (2) if it is queued. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID IoFreeWorkItem(PIO_WORKITEM IoWorkItem);

/* The same for memory of the driver's own, IoSizeofWorkItem() bytes of it, nonpaged. IoObject: its
 * driver or device object. */
ULONG IoSizeofWorkItem(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem);

/* Has the routine called once. Bug check 0xE4 (1) if the item is queued already. The device must
 * not be deleted before the routine has returned. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine,
                     WORK_QUEUE_TYPE QueueType, _In_opt_ PVOID Context);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine,
                       WORK_QUEUE_TYPE QueueType, _In_opt_ PVOID Context);

/* ------------------------------------------------------------------ Connecting interrupts. */

/*
 * Connects an ISR to a vector. SpinLock NULL: the interrupt object's own lock. SynchronizeIrql >=
 * Irql. ProcessorEnableMask: processors of group 0 that may take it. Errors:
 * STATUS_INVALID_PARAMETER (no active processor in the mask, a vector that is no device's, Irql not
 * the vector's, a vector in use and not shared by both with the same mode),
 * STATUS_INSUFFICIENT_RESOURCES. The ISR may run before this returns.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS IoConnectInterrupt(_Out_ PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine,
                            PVOID ServiceContext, PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql,
                            KIRQL SynchronizeIrql, KINTERRUPT_MODE InterruptMode,
                            BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                            BOOLEAN FloatingSave);

/* On return the ISR neither runs nor will run. The caller has silenced its device. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID IoDisconnectInterrupt(PKINTERRUPT InterruptObject);

#define CONNECT_FULLY_SPECIFIED 0x1
#define CONNECT_LINE_BASED 0x2
#define CONNECT_FULLY_SPECIFIED_GROUP 0x4

typedef struct _IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS
{
    PDEVICE_OBJECT PhysicalDeviceObject;
    PKINTERRUPT *InterruptObject;
    PKSERVICE_ROUTINE ServiceRoutine;
    PVOID ServiceContext;
    PKSPIN_LOCK SpinLock;
    KIRQL SynchronizeIrql;
    BOOLEAN FloatingSave;
    BOOLEAN ShareVector;
    ULONG Vector;
    KIRQL Irql;
    KINTERRUPT_MODE InterruptMode;
    KAFFINITY ProcessorEnableMask;
    USHORT Group;
} IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS;

typedef struct _IO_CONNECT_INTERRUPT_PARAMETERS
{
    ULONG Version; /* CONNECT_FULLY_SPECIFIED or CONNECT_FULLY_SPECIFIED_GROUP */
    union
    {
        IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS FullySpecified;
    };
} IO_CONNECT_INTERRUPT_PARAMETERS, *PIO_CONNECT_INTERRUPT_PARAMETERS;

typedef struct _IO_DISCONNECT_INTERRUPT_PARAMETERS
{
    ULONG Version;
    union
    {
        PKINTERRUPT InterruptObject;
    } ConnectionContext;
} IO_DISCONNECT_INTERRUPT_PARAMETERS, *PIO_DISCONNECT_INTERRUPT_PARAMETERS;

/* IoConnectInterrupt with its parameters in a structure; for a Version this kernel lacks it returns
 * STATUS_NOT_SUPPORTED and writes the one it has to Parameters->Version. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS IoConnectInterruptEx(_Inout_ PIO_CONNECT_INTERRUPT_PARAMETERS Parameters);
_IRQL_requires_(PASSIVE_LEVEL)
VOID IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters);

/* ------------------------------------------------------------------ Device registers, in program
 * order ("READ_REGISTER_ULONG"). Any IRQL. */

FORCEINLINE UCHAR READ_REGISTER_UCHAR(volatile UCHAR *Register)
{
    UCHAR Value = *Register;
    KeMemoryBarrierWithoutFence(); /* pairs with: the device's own order */
    return Value;
}

FORCEINLINE USHORT READ_REGISTER_USHORT(volatile USHORT *Register)
{
    USHORT Value = *Register;
    KeMemoryBarrierWithoutFence(); /* pairs with: the device's own order */
    return Value;
}

FORCEINLINE ULONG READ_REGISTER_ULONG(volatile ULONG *Register)
{
    ULONG Value = *Register;
    KeMemoryBarrierWithoutFence(); /* pairs with: the device's own order */
    return Value;
}

FORCEINLINE VOID WRITE_REGISTER_UCHAR(volatile UCHAR *Register, UCHAR Value)
{
    KeMemoryBarrierWithoutFence(); /* pairs with: the device's read of what this announces */
    *Register = Value;
}

FORCEINLINE VOID WRITE_REGISTER_USHORT(volatile USHORT *Register, USHORT Value)
{
    KeMemoryBarrierWithoutFence(); /* pairs with: the device's read of what this announces */
    *Register = Value;
}

/* Earlier stores to memory (a descriptor, say) are visible to the device before it sees this: x86
 * keeps stores in order, and the compiler is told to. */
FORCEINLINE VOID WRITE_REGISTER_ULONG(volatile ULONG *Register, ULONG Value)
{
    KeMemoryBarrierWithoutFence(); /* pairs with: the device's read of what this announces */
    *Register = Value;
}

/* ------------------------------------------------------------------ The debugger's output. */

/* Component ids and levels of DbgPrintEx that drivers here use. */
#define DPFLTR_IHVDRIVER_ID 77
#define DPFLTR_IHVNETWORK_ID 78
#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3

/* Write one line to the log. Any IRQL: the text goes into a lock-free ring and is put out at
 * PASSIVE_LEVEL. Return STATUS_SUCCESS. */
ULONG DbgPrint(PCSTR Format, ...) __attribute__((format(printf, 1, 2)));
ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
    __attribute__((format(printf, 3, 4)));
