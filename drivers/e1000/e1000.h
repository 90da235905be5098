/* SPDX-License-Identifier: MIT */
/*
 * e1000.h - the 82540EM: registers, descriptors, and what the driver knows about one device.
 *
 * Registers, bits and section numbers are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual" (317453).
 */
#pragma once

#include <e1000ctl.h>
#include <netport.h>
#include <ntddk.h>

/* ------------------------------------------------------------------ Registers (13.4, 13.5): byte
 * offsets into memory BAR 0, each accessed as one 32-bit word. */

#define E1000_REGISTER_SPACE 0x20000

#define E1000_CTRL 0x00000   /* 13.4.1  device control          */
#define E1000_STATUS 0x00008 /* 13.4.2  device status           */
#define E1000_EERD 0x00014   /* 13.4.4  EEPROM read             */
#define E1000_ICR 0x000C0    /* 13.4.17 interrupt cause read: reading clears it */
#define E1000_ITR 0x000C4    /* 13.4.18 interrupt throttling    */
#define E1000_ICS 0x000C8    /* 13.4.19 interrupt cause set     */
#define E1000_IMS 0x000D0    /* 13.4.20 interrupt mask set      */
#define E1000_IMC 0x000D8    /* 13.4.21 interrupt mask clear    */
#define E1000_RCTL 0x00100   /* 13.4.22 receive control         */
#define E1000_TCTL 0x00400   /* 13.4.33 transmit control        */
#define E1000_TIPG 0x00410   /* 13.4.34 transmit inter packet gap */
#define E1000_RDBAL 0x02800  /* 13.4.25 receive ring base, low  */
#define E1000_RDBAH 0x02804  /* 13.4.26 and high                */
#define E1000_RDLEN 0x02808  /* 13.4.27 its length in bytes     */
#define E1000_RDH 0x02810    /* 13.4.28 receive head: the device's position */
#define E1000_RDT 0x02818    /* 13.4.29 receive tail: the device may use up to here */
#define E1000_RDTR 0x02820   /* 13.4.30 receive interrupt delay */
#define E1000_RADV 0x0282C   /* 13.4.31 its absolute bound      */
#define E1000_TDBAL 0x03800  /* 13.4.36 the same for transmit   */
#define E1000_TDBAH 0x03804  /* 13.4.37                         */
#define E1000_TDLEN 0x03808  /* 13.4.38                         */
#define E1000_TDH 0x03810    /* 13.4.39                         */
#define E1000_TDT 0x03818    /* 13.4.40                         */
#define E1000_MPC 0x04010    /* 13.7    missed packets count: reading clears it     */
#define E1000_RUC 0x040A4    /* 13.7    receive undersize count: reading clears it */
#define E1000_ROC 0x040AC    /* 13.7    receive oversize count: the same           */
#define E1000_MTA 0x05200    /* 13.5.1  multicast table array   */
#define E1000_RAL0 0x05400   /* 13.5.2  receive address 0, low  */
#define E1000_RAH0 0x05404   /* 13.5.3  and high                */

#define E1000_MTA_WORDS 128

#define E1000_CTRL_ASDE (1u << 5) /* speed from the PHY       */
#define E1000_CTRL_SLU (1u << 6)  /* set link up              */
#define E1000_CTRL_RST (1u << 26) /* device reset             */

#define E1000_STATUS_FD (1u << 0)  /* full duplex              */
#define E1000_STATUS_LU (1u << 1)  /* link up                  */
#define E1000_STATUS_SPEED_SHIFT 6 /* 0: 10, 1: 100, 2, 3: 1000 Mb/s */

#define E1000_EERD_START (1u << 0)
#define E1000_EERD_DONE (1u << 4)
#define E1000_EERD_ADDRESS_SHIFT 8
#define E1000_EERD_DATA_SHIFT 16

#define E1000_RCTL_EN (1u << 1)
#define E1000_RCTL_RDMTS_EIGHTH (2u << 8) /* RXDMT0 when an eighth of the ring is left */
#define E1000_RCTL_BAM (1u << 15)         /* accept broadcast                          */
#define E1000_RCTL_SECRC (1u << 26)       /* strip the frame check sequence            */
/* BSIZE and BSEX 0: buffers of 2048 bytes. LPE 0: no long frames. SBP 0: no bad ones. */

#define E1000_TCTL_EN (1u << 1)
#define E1000_TCTL_PSP (1u << 3)      /* pad short packets                     */
#define E1000_TCTL_CT (0x0Fu << 4)    /* collision threshold, as recommended   */
#define E1000_TCTL_COLD (0x40u << 12) /* collision distance for full duplex    */

#define E1000_TIPG_COPPER (10u | 8u << 10 | 6u << 20)

#define E1000_RAH_AV (1u << 31) /* address valid */

/* PCI configuration space. */
#define E1000_PCI_VENDOR 0
#define E1000_PCI_NOBODY 0xFFFF /* the vendor id where no function answers */
#define E1000_PCI_COMMAND 4
#define E1000_PCI_COMMAND_MEMORY 0x0002
#define E1000_PCI_COMMAND_MASTER 0x0004
#define E1000_PCI_COMMAND_NO_INTX 0x0400

/* ------------------------------------------------------------------ Descriptors. */

/* Receive descriptor (3.2.3). The second word is read and written whole: length 0..15, checksum
 * 16..31, status 32..39, errors 40..47, special 48..63. */
typedef struct _E1000_RX_DESCRIPTOR
{
    ULONG64 BufferAddress;
    volatile LONG64 Result;
} E1000_RX_DESCRIPTOR;

#define E1000_RX_LENGTH(Result) ((ULONG)((Result)&0xFFFF))
#define E1000_RX_DD (1ull << 32)        /* the device is done with it */
#define E1000_RX_EOP (1ull << 33)       /* it holds a frame's end     */
#define E1000_RX_ERRORS (0x97ull << 40) /* CE, SE, SEQ, CXE, RXE (3.2.3.2), no checksum ones */

/* Legacy transmit descriptor (3.3.3): length 0..15, command 24..31, then status 0..3. */
typedef struct _E1000_TX_DESCRIPTOR
{
    ULONG64 BufferAddress;
    ULONG Command;
    volatile LONG Status;
} E1000_TX_DESCRIPTOR;

#define E1000_TX_EOP (1u << 24)  /* end of packet                        */
#define E1000_TX_IFCS (1u << 25) /* append the frame check sequence      */
#define E1000_TX_RS (1u << 27)   /* report status: write DD back         */
#define E1000_TX_DD 1

#define E1000_RING_SIZE 256 /* descriptors, a power of two; * 16 bytes is a page  */
#define E1000_RING_MASK (E1000_RING_SIZE - 1)
#define E1000_BUFFER_SIZE 2048
#define E1000_RX_BUDGET 64       /* frames a DPC processes before it queues itself again      */
#define E1000_RX_FULL_RUNS 16    /* runs with a full budget before threads get a millisecond  */
#define E1000_RX_RETURN_BATCH 16 /* buffers returned by one write of the tail register        */
#define E1000_RX_MAXIMUM 1518    /* a full frame with a VLAN tag                              */
#define E1000_RX_SUSPECT 4       /* receive interrupts in a row without a frame: look closer  */

C_ASSERT(sizeof(E1000_RX_DESCRIPTOR) == 16 && sizeof(E1000_TX_DESCRIPTOR) == 16);

/*
 * All the memory that the device reads and writes, in one block with the receive ring first. A head
 * register has 16 bits: should the device ever run past the end of its ring, the megabyte behind it
 * that it can write descriptors to is in this block, and nobody else's.
 */
typedef struct _E1000_SHARED
{
    E1000_RX_DESCRIPTOR RxRing[E1000_RING_SIZE];
    E1000_TX_DESCRIPTOR TxRing[E1000_RING_SIZE];
    UCHAR RxBuffers[E1000_RING_SIZE][E1000_BUFFER_SIZE];
    UCHAR TxBuffers[E1000_RING_SIZE][E1000_BUFFER_SIZE];
} E1000_SHARED;

C_ASSERT(sizeof(E1000_SHARED) >= 0x10000 * sizeof(E1000_RX_DESCRIPTOR));
C_ASSERT(FIELD_OFFSET(E1000_SHARED, RxBuffers) % E1000_BUFFER_SIZE == 0);

/* ------------------------------------------------------------------ The state area. */

#define E1000_CAUSES_RECEIVE (E1000_CAUSE_RXT0 | E1000_CAUSE_RXDMT0 | E1000_CAUSE_RXO)
#define E1000_CAUSES_ENABLED (E1000_CAUSES_RECEIVE | E1000_CAUSE_LSC)

/*
 * What the ISR leaves for the DPC; isr.c has the theory.
 *
 * Every field: written by the ISR and by the DPC, on any processor, at SynchronizeIrql under
 * InterruptLock; read under it too.
 */
typedef struct _E1000_STATE_AREA
{
    ULONG Sequence;    /* interrupts ever accumulated (wraps)                            */
    ULONG Taken;       /* Sequence when a DPC last emptied the area                      */
    ULONG Outstanding; /* interrupts since then                                          */
    ULONG Causes;      /* the OR of their cause bits                                     */
    ULONG CauseCount[E1000_CAUSE_BITS]; /* how many of them had each bit                 */
    ULONG64 Check;    /* E1000StateSum of the first four, written last                  */
    ULONG Enabled;    /* causes that may raise the line: the driver's copy of IMS       */
    BOOLEAN Stopping; /* no DPC may be queued and nothing enabled any more              */
    BOOLEAN Vanished; /* the device no longer answers                                   */
    BOOLEAN Polling;  /* nothing is enabled, the timer asks; changes under RingLock too */
} E1000_STATE_AREA;

/* What a DPC took out of it. */
typedef struct _E1000_TAKEN_STATE
{
    ULONG Causes;
    ULONG CauseCount[E1000_CAUSE_BITS]; /* valid for the bits of Causes */
    BOOLEAN Stopping;
    BOOLEAN Vanished;
} E1000_TAKEN_STATE;

/* A DPC's hold on the state area. */
typedef struct _E1000_AREA_HOLD
{
    KIRQL OldIrql;
    UCHAR Twin; /* E1000_TWIN it was entered by; checked builds */
} E1000_AREA_HOLD;

/* What the watch saw at one look; watch.c has the theory. */
typedef struct _E1000_LOOK
{
    ULONG64 DpcRuns;     /* of Counters                                               */
    ULONG RxNext;        /* of the extension                                          */
    ULONG TxClean;       /* the same                                                  */
    ULONG TxHead;        /* TDH                                                       */
    BOOLEAN Valid;       /* there was such a look, and the rings are still the same   */
    BOOLEAN Unannounced; /* a frame, or a change of link, that the DPC has not seen   */
    BOOLEAN OutOfStep;   /* the receiver is elsewhere than RxNext                     */
    BOOLEAN TxWaiting;   /* frames in flight                                          */
} E1000_LOOK;

/* ------------------------------------------------------------------ The device extension. */

typedef struct _E1000_EXTENSION
{
    /* Constant after AddDevice. */
    PDEVICE_OBJECT PhysicalDevice;
    PDEVICE_OBJECT LowerDevice;
    PIO_WORKITEM DetachItem;

    /* PASSIVE_LEVEL: held by start, stop, control requests and the detachment, which a system
     * thread does whenever the device vanishes. Guards Started and Detached. */
    KMUTEX ControlMutex;
    BOOLEAN Started;  /* between a start that succeeded and the stop                    */
    BOOLEAN Detached; /* vanished since, and stopped as far as the machine is concerned */

    /* Cleared under RingLock by whoever queues DetachItem, set by its routine when it has done. */
    KEVENT DetachIdle;

    /* Written by start and stop at PASSIVE_LEVEL while the ISR leaves the device alone (Enabled is
     * 0) and no DPC is queued; constant between. */
    BUS_INTERFACE_STANDARD Bus;
    volatile ULONG *Registers; /* NULL: stopped                                  */
    PKINTERRUPT Interrupt;     /* NULL: stopped, or started without a line       */
    E1000_SHARED *Shared;
    ULONG64 SharedAddress; /* where the device finds it: physical */
    UCHAR MacAddress[NET_MAC_LENGTH];
    CM_PARTIAL_RESOURCE_DESCRIPTOR MemoryResource;
    CM_PARTIAL_RESOURCE_DESCRIPTOR InterruptResource; /* translated */
    ULONG Gsi;

    /* Rank 0 (a driver's lock), held at SynchronizeIrql: by the kernel around the ISR, and by the
     * DPC through KeAcquireInterruptSpinLock. Guards Area and the interrupt half of Counters. May
     * be taken under RingLock, never the other way round. */
    KSPIN_LOCK InterruptLock;
    E1000_STATE_AREA Area;

    /* Queued by the ISR, and by itself, under InterruptLock. */
    KDPC Dpc;

    /* Rank 0, held at DISPATCH_LEVEL: by each DPC while it works on the rings, since two may run at
     * once, and by the routines that the class calls. Guards everything down to Counters, and the
     * ring half of Counters. */
    KSPIN_LOCK RingLock;
    BOOLEAN Running; /* the rings are set up and the device was there when last asked */
    BOOLEAN LinkUp;
    BOOLEAN RxDiscard;   /* inside a frame that does not fit one buffer                   */
    ULONG RxNext;        /* next descriptor to look at, 0..E1000_RING_MASK                */
    ULONG RxUnreturned;  /* processed descriptors behind it that the device may not use yet */
    ULONG RxEmptyInARow; /* receive interrupts without a frame, in a row                  */
    ULONG TxNext;        /* descriptors ever filled;    TxClean <= TxFlushed <= TxNext,   */
    ULONG TxFlushed;     /* ever given to the device;   TxNext - TxClean < ring size;     */
    ULONG TxClean;       /* ever done;                  each wraps at 2^32                */
    ULONG TxBatchEnd[E1000_RING_SIZE]; /* by a batch's first descriptor: where it ends    */
    ULONG64 TxStuckSince; /* interrupt time when the ring was first found full; 0: moving */
    ULONG64 LastReset;    /* interrupt time of the last ring reset                        */
    ULONG RxFullRuns;     /* runs with a full budget, in a row                            */
    BOOLEAN RxPaused;     /* receive causes stay masked until the timer queues the DPC    */

    /* The watch, also under RingLock. The timer is set under it while Running, and by nobody
     * else. */
    KTIMER Timer;
    KDPC TimerDpc;
    E1000_LOOK LastLook;
    ULONG64 NextLook;      /* interrupt time                                          */
    ULONG64 LastTraffic;   /* interrupt time when TrafficSeen last changed            */
    ULONG64 TrafficSeen;   /* frames in and out by then                               */
    ULONG64 ClaimedAtLoss; /* IsrClaimed when an interrupt was last found lost        */
    ULONG LostInARow;      /* losses without one claimed interrupt between            */
    PNET_RECEIVE Receive;  /* NULL: no class is connected                                  */
    PVOID ReceiveContext;

    /* Each half under its lock, as E1000_STATISTICS says. */
    E1000_STATISTICS Counters;

#if DBG
    /* Written by control requests at PASSIVE_LEVEL, a word at a time; read by ISR and DPC without a
     * lock, which only decides from which run on they count. */
    volatile ULONG Twin;
    volatile ULONG DelayMicroseconds;
    volatile ULONG DelaySeed;
    volatile LONG DelayDraws; /* interlocked, by whoever reaches a delay point */
    volatile LONG DelayFires; /* interlocked, by the DPC's delay point         */
#endif
} E1000_EXTENSION, *PE1000_EXTENSION;

/* ------------------------------------------------------------------ Register access. Any IRQL. */

FORCEINLINE ULONG E1000Read(PE1000_EXTENSION Extension, ULONG Offset)
{
    return READ_REGISTER_ULONG(Extension->Registers + Offset / sizeof(ULONG));
}

FORCEINLINE VOID E1000Write(PE1000_EXTENSION Extension, ULONG Offset, ULONG Value)
{
    WRITE_REGISTER_ULONG(Extension->Registers + Offset / sizeof(ULONG), Value);
}

/* Physical addresses of the buffers. */
FORCEINLINE ULONG64 E1000RxBufferAddress(const E1000_EXTENSION *Extension, ULONG Index)
{
    return Extension->SharedAddress + FIELD_OFFSET(E1000_SHARED, RxBuffers) +
           Index * E1000_BUFFER_SIZE;
}

FORCEINLINE ULONG64 E1000TxBufferAddress(const E1000_EXTENSION *Extension, ULONG Index)
{
    return Extension->SharedAddress + FIELD_OFFSET(E1000_SHARED, TxBuffers) +
           Index * E1000_BUFFER_SIZE;
}

/* ------------------------------------------------------------------ isr.c, dpc.c */

KSERVICE_ROUTINE E1000InterruptService;
KDEFERRED_ROUTINE E1000DpcForIsr;

/* What the ISR does, for the timer: reads the causes if ReadCauses, and queues the DPC. TRUE if
 * that was not queued already. DISPATCH_LEVEL. */
BOOLEAN E1000ServeFromTimer(PE1000_EXTENSION Extension, BOOLEAN ReadCauses);

/* The sum that Check must equal. */
FORCEINLINE ULONG64 E1000StateSum(const E1000_STATE_AREA *Area)
{
    return (ULONG64)Area->Sequence + Area->Taken + Area->Outstanding + Area->Causes;
}

/* ------------------------------------------------------------------ receive.c, transmit.c: all at
 * DISPATCH_LEVEL under RingLock, with Running TRUE, where nothing else is said. */

/* Processes at most Budget descriptors; returns how many. */
ULONG E1000ReceiveFrames(PE1000_EXTENSION Extension, ULONG Budget);

/* After a receive interrupt that found no frame: is the device where the driver thinks it is? */
VOID E1000SuspectReceiveRing(PE1000_EXTENSION Extension);

/* The next free transmit buffer (E1000_BUFFER_SIZE bytes), or NULL if the ring is full. It stays
 * the next one until E1000QueueTransmit. */
PUCHAR E1000NextTransmitBuffer(PE1000_EXTENSION Extension);

/* Gives the next buffer, holding Length bytes of frame, to the ring; the device sees it at the next
 * flush. */
VOID E1000QueueTransmit(PE1000_EXTENSION Extension, ULONG Length);

/* Hands all queued descriptors to the device with one register write. */
VOID E1000FlushTransmit(PE1000_EXTENSION Extension);

/* Takes back what the device has sent. */
VOID E1000ReclaimTransmit(PE1000_EXTENSION Extension);

/* NET_SEND. Takes RingLock itself. */
NET_SEND E1000Send;

/* ------------------------------------------------------------------ watch.c */

KDEFERRED_ROUTINE E1000TimerDpc;

/* Begins to look. Under RingLock, Running. */
VOID E1000StartWatch(PE1000_EXTENSION Extension);

/* Lets threads have a millisecond: the timer will queue the DPC. Under RingLock, Running. */
VOID E1000PauseReceive(PE1000_EXTENSION Extension);

/* ------------------------------------------------------------------ init.c */

NTSTATUS E1000StartDevice(PE1000_EXTENSION Extension, const CM_RESOURCE_LIST *Raw,
                          const CM_RESOURCE_LIST *Translated);

/* Silences the device, disconnects, waits for the DPC, frees everything. Nothing if stopped. */
VOID E1000StopDevice(PE1000_EXTENSION Extension);

/* After the device has vanished: the same in a system thread. */
IO_WORKITEM_ROUTINE E1000DetachDevice;

/* A register of configuration space, as a bus without the device answers it: all ones. <=
 * DISPATCH_LEVEL. */
USHORT E1000ReadConfig(PE1000_EXTENSION Extension, ULONG Offset);

/* ------------------------------------------------------------------ hardware.c */

/* Quiet, reset, MAC address, link. STATUS_DEVICE_NOT_READY, STATUS_DEVICE_NOT_CONNECTED. */
NTSTATUS E1000ResetHardware(PE1000_EXTENSION Extension);

/* Masks every cause and stops both engines. Any IRQL. */
VOID E1000QuietHardware(PE1000_EXTENSION Extension);

/* Points the device at two empty rings, engines stopped. */
VOID E1000ProgramRings(PE1000_EXTENSION Extension);

/* Starts both engines. */
VOID E1000StartEngines(PE1000_EXTENSION Extension);

/* At most once a second: stops the engines, drops what is in flight, starts afresh. Under
 * RingLock. */
VOID E1000ResetRings(PE1000_EXTENSION Extension, PCSTR Reason);

/* Adds what the device has counted since the last time. Under RingLock. */
VOID E1000CollectDeviceCounters(PE1000_EXTENSION Extension);

/* Reads STATUS, logs a change. Under RingLock. */
VOID E1000UpdateLink(PE1000_EXTENSION Extension);

/* Is it still there? All ones from STATUS, or nobody in configuration space, say that it is not.
 * Under RingLock, Running. */
BOOLEAN E1000IsPresent(PE1000_EXTENSION Extension);

/* Notes once that the device is gone and has it detached. Under RingLock. */
VOID E1000NoteVanished(PE1000_EXTENSION Extension);

/* ------------------------------------------------------------------ control.c */

NTSTATUS E1000Control(PE1000_EXTENSION Extension, PIRP Irp);

/* ------------------------------------------------------------------ The way into the state area
 * of everybody but the ISR, and the DPC's, which has twins; and the delay points. */

/* Without an interrupt there is no ISR to keep out, and DISPATCH_LEVEL is enough. */
FORCEINLINE KIRQL E1000LockArea(PE1000_EXTENSION Extension)
{
    KIRQL OldIrql;

    if (Extension->Interrupt != NULL)
    {
        return KeAcquireInterruptSpinLock(Extension->Interrupt);
    }
    KeAcquireSpinLock(&Extension->InterruptLock, &OldIrql);
    return OldIrql;
}

FORCEINLINE VOID E1000UnlockArea(PE1000_EXTENSION Extension, KIRQL OldIrql)
{
    if (Extension->Interrupt != NULL)
    {
        KeReleaseInterruptSpinLock(Extension->Interrupt, OldIrql);
    }
    else
    {
        KeReleaseSpinLock(&Extension->InterruptLock, OldIrql);
    }
}

#if DBG

/* TRUE while a test has that twin selected. Any IRQL. */
#define E1000_TWIN_IS(Extension, Which) ((Extension)->Twin == (ULONG)(Which))

/* twins.c */
VOID E1000EnterArea(PE1000_EXTENSION Extension, E1000_AREA_HOLD *Hold);
VOID E1000LeaveArea(PE1000_EXTENSION Extension, const E1000_AREA_HOLD *Hold);
VOID E1000DelayPoint(PE1000_EXTENSION Extension, PCSTR Name);

#else

FORCEINLINE VOID E1000EnterArea(PE1000_EXTENSION Extension, E1000_AREA_HOLD *Hold)
{
    Hold->OldIrql = E1000LockArea(Extension);
}

FORCEINLINE VOID E1000LeaveArea(PE1000_EXTENSION Extension, const E1000_AREA_HOLD *Hold)
{
    E1000UnlockArea(Extension, Hold->OldIrql);
}

#define E1000DelayPoint(Extension, Name) ((void)0)
#define E1000_TWIN_IS(Extension, Which) FALSE

#endif
