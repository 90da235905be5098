/* SPDX-License-Identifier: MIT */
/*
 * reader.c - reads what is typed on a keyboard and into the first serial port.
 *
 * PURPOSE
 *   Two sources, either of which a machine may lack, become lines, and lines become commands.
 *
 * HOW IT WORKS
 *   Each source is a device of the ISA: a line of its own, an ISR that moves bytes to a ring, one
 *   DPC for both that wakes the thread, and the thread, which knows keys, lines and commands. The
 *   sources share nothing, so half a line on one does not end up in the other's. Nothing polls: a
 *   machine that nobody types on is not woken.
 *
 * LOCKS AND IRQL
 *   Ring and Head are the ISR's, under its interrupt's lock; Tail is the thread's. Setting a
 *   keyboard up may take seconds, so that is the thread's work too, and boot goes on meanwhile.
 *
 * ORDERING
 *   The byte is stored before Head (release) and read after it (acquire). pairs with: each other,
 *   in KdpServiceSource and KdpTakeByte.
 *
 * FURTHER READING
 *   docs/keyboard.md. arch/x86_64/hal/i8042.c, serial.c.
 */
#include <arch/hal.h>
#include <arch/vectors.h>
#include <io.h>
#include <log.h>
#include <mi.h>

#include "kdp.h"

#define KDP_RING_SIZE 128 /* a power of two */
#define KDP_PRIORITY (LOW_REALTIME_PRIORITY - 1)
#define KDP_LOG_PORT 0

typedef struct _KDP_SOURCE
{
    PCSTR Name;
    ULONG Irq;
    BOOLEAN (*Start)(VOID);  /* FALSE: there is no such device; it has said so */
    BOOLEAN (*Enable)(VOID); /* its interrupt, once the ISR is connected        */
    BOOLEAN (*Read)(PUCHAR Byte);
    CHAR (*Decode)(UCHAR Byte);
    PKINTERRUPT Interrupt;
    KDP_LINE Line;      /* the thread */
    volatile LONG Head; /* the ISR, under its lock: bytes stored, ever */
    volatile LONG Tail; /* the thread: bytes taken, ever               */
    volatile LONG Lost; /* the ISR: bytes that found the ring full     */
    LONG LostReported;  /* the thread */
    UCHAR Ring[KDP_RING_SIZE];
} KDP_SOURCE, *PKDP_SOURCE;

static KEVENT KdpEvent; /* there is a byte, perhaps */
static KDPC KdpDpc;
static KDP_KEYS KdpKeys; /* the thread */

static CHAR KdpDecodeScanCode(UCHAR Byte)
{
    return KdpDecodeKey(&KdpKeys, Byte);
}

static CHAR KdpDecodeSerial(UCHAR Byte)
{
    return (CHAR)Byte;
}

static BOOLEAN KdpStartSerial(VOID)
{
    return HalpSerialPresent(KDP_LOG_PORT);
}

static BOOLEAN KdpEnableSerial(VOID)
{
    HalpSerialEnableReceive(KDP_LOG_PORT);
    return TRUE;
}

static BOOLEAN KdpReadSerial(PUCHAR Byte)
{
    return HalpSerialRead(KDP_LOG_PORT, Byte);
}

static KDP_SOURCE KdpSources[] = {
    {.Name = "serial port",
     .Irq = 4,
     .Start = KdpStartSerial,
     .Enable = KdpEnableSerial,
     .Read = KdpReadSerial,
     .Decode = KdpDecodeSerial},
    {.Name = "keyboard",
     .Irq = 1,
     .Start = HalpStartKeyboard,
     .Enable = HalpEnableKeyboard,
     .Read = HalpReadKeyboard,
     .Decode = KdpDecodeScanCode},
};

/* Reads no more than a ring's worth at once: a device that always has another byte is broken, and
 * comes back by its interrupt, if at all. */
static BOOLEAN KdpServiceSource(PKINTERRUPT Interrupt, PVOID Context)
{
    PKDP_SOURCE Source = Context;
    ULONG Count = 0;
    UCHAR Byte;

    UNREFERENCED_PARAMETER(Interrupt);
    for (; Count < KDP_RING_SIZE && Source->Read(&Byte); Count++)
    {
        /* pairs with: KdpTakeByte */
        if (Source->Head - ReadAcquire(&Source->Tail) == KDP_RING_SIZE)
        {
            Source->Lost++;
            continue;
        }
        Source->Ring[Source->Head % KDP_RING_SIZE] = Byte;
        WriteRelease(&Source->Head, Source->Head + 1); /* pairs with: KdpTakeByte */
    }
    if (Count != 0)
    {
        KeInsertQueueDpc(&KdpDpc, NULL, NULL);
    }
    return Count != 0;
}

static VOID KdpWakeReader(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&KdpEvent, IO_KEYBOARD_INCREMENT, FALSE);
}

static BOOLEAN KdpTakeByte(PKDP_SOURCE Source, PUCHAR Byte)
{
    LONG Tail = Source->Tail;

    if (ReadAcquire(&Source->Head) == Tail) /* pairs with: KdpServiceSource */
    {
        return FALSE;
    }
    *Byte = Source->Ring[Tail % KDP_RING_SIZE];
    WriteRelease(&Source->Tail, Tail + 1); /* pairs with: KdpServiceSource */
    return TRUE;
}

static VOID KdpEcho(PCSTR Text)
{
    KiLogRaw(Text);
}

static VOID KdpReadSource(PKDP_SOURCE Source)
{
    UCHAR Byte;

    while (KdpTakeByte(Source, &Byte))
    {
        CHAR Character = Source->Decode(Byte);

        if (Character != 0 && KdpEditLine(&Source->Line, Character, KdpEcho))
        {
            KdpRunCommand(Source->Line.Text);
            Source->Line.Length = 0;
            KdpPrint(KDP_PROMPT);
        }
    }
    if (Source->Lost != Source->LostReported)
    {
        KiLog(KiLogWarning, "console: %s: %d bytes lost", Source->Name,
              Source->Lost - Source->LostReported);
        Source->LostReported = Source->Lost;
    }
}

/* A vector of the lowest device IRQLs: nothing waits for a key. */
static NTSTATUS KdpConnect(PKDP_SOURCE Source)
{
    HALP_LINE Line = HalpIsaLine(Source->Irq);
    ULONG Vector = 0;

    for (KIRQL Irql = VECTOR_IRQL(DEVICE_VECTOR_FIRST);
         Vector == 0 && Irql <= VECTOR_IRQL(DEVICE_VECTOR_LAST); Irql++)
    {
        Vector = HalpLineExists(Line.Gsi) ? HalpAssignVector(&Line, Irql) : 0;
    }
    if (Vector == 0)
    {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return IoConnectInterrupt(&Source->Interrupt, KdpServiceSource, Source, NULL, Vector,
                              VECTOR_IRQL(Vector), VECTOR_IRQL(Vector), Line.Mode, FALSE,
                              KeQueryActiveProcessors(), FALSE);
}

static BOOLEAN KdpStartSource(PKDP_SOURCE Source)
{
    NTSTATUS Status;

    if (!Source->Start())
    {
        return FALSE;
    }
    Status = KdpConnect(Source);
    if (!NT_SUCCESS(Status))
    {
        KiLog(KiLogWarning, "console: no interrupt for the %s: status %08X: not read", Source->Name,
              Status);
        return FALSE;
    }
    if (!Source->Enable())
    {
        KiLog(KiLogWarning, "console: the %s takes no command: not read", Source->Name);
        IoDisconnectInterrupt(Source->Interrupt);
        return FALSE;
    }
    return TRUE;
}

static VOID KdpReader(PVOID Context)
{
    BOOLEAN Read[RTL_NUMBER_OF(KdpSources)];
    BOOLEAN Any = FALSE;

    UNREFERENCED_PARAMETER(Context);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(KdpSources); Index++)
    {
        Read[Index] = KdpStartSource(&KdpSources[Index]);
        Any |= Read[Index];
    }
    if (!Any)
    {
        KiLog(KiLogInfo, "console: nothing to type on");
        KiTerminateThread();
    }
    KiLog(KiLogInfo, "console: reading %s%s%s; type help", Read[0] ? KdpSources[0].Name : "",
          Read[0] && Read[1] ? " and " : "", Read[1] ? KdpSources[1].Name : "");
    KdpPrint(KDP_PROMPT);
    for (;;)
    {
        KeWaitForSingleObject(&KdpEvent, Executive, KernelMode, FALSE, NULL);
        for (ULONG Index = 0; Index < RTL_NUMBER_OF(KdpSources); Index++)
        {
            KdpReadSource(&KdpSources[Index]);
        }
    }
}

VOID KdpStartReader(VOID)
{
    static KTHREAD Reader;

    KeInitializeEvent(&KdpEvent, SynchronizationEvent, FALSE);
    KeInitializeDpc(&KdpDpc, KdpWakeReader, NULL);
    if (!KiRunThread(&Reader, "console", KdpReader, KDP_PRIORITY))
    {
        KiLog(KiLogWarning, "console: no memory for its thread: nothing is read");
    }
}
