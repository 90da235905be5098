/* SPDX-License-Identifier: MIT */
/*
 * e1000ctl.h - control requests of the 8254x driver, for tests, benchmarks and the monitor.
 *
 * Each is an IRP_MJ_INTERNAL_DEVICE_CONTROL sent to the top of the device's stack at PASSIVE_LEVEL,
 * with its structure in the system buffer (METHOD_BUFFERED), completed before the dispatch routine
 * returns. STATUS_DEVICE_NOT_READY if the device has not started, STATUS_BUFFER_TOO_SMALL for a
 * short buffer, STATUS_INVALID_PARAMETER for a value out of range.
 */
#pragma once

#include <ntddk.h>

#define E1000_CTL_CODE(Function)                                                                   \
    CTL_CODE(FILE_DEVICE_PHYSICAL_NETCARD, (Function), METHOD_BUFFERED, FILE_ANY_ACCESS)

/* Out: E1000_STATISTICS. */
#define IOCTL_E1000_QUERY_STATISTICS E1000_CTL_CODE(0x900)

/* In: ULONG, a processor index. From the next insertion on the DPC runs there, and is inserted with
 * MediumHighImportance, so a busy target is interrupted. It cannot be taken back, only moved. */
#define IOCTL_E1000_SET_DPC_TARGET E1000_CTL_CODE(0x901)

/* In: ULONG, bits of E1000_CAUSE_MASK. Writes them to the interrupt cause set register, so that the
 * device interrupts as if they had happened. LSC has no effect beyond the interrupt. */
#define IOCTL_E1000_FIRE_CAUSES E1000_CTL_CODE(0x902)

/* In: E1000_TWIN as a ULONG. Checked builds only, else STATUS_NOT_SUPPORTED. */
#define IOCTL_E1000_SET_TWIN E1000_CTL_CODE(0x903)

/* In: E1000_DELAY. Checked builds only, else STATUS_NOT_SUPPORTED. */
#define IOCTL_E1000_SET_DELAY E1000_CTL_CODE(0x904)

/* Bits of the interrupt cause registers (317453, 13.4.17). */
#define E1000_CAUSE_TXDW (1u << 0)   /* transmit descriptor written back             */
#define E1000_CAUSE_TXQE (1u << 1)   /* transmit queue empty                         */
#define E1000_CAUSE_LSC (1u << 2)    /* link status change                           */
#define E1000_CAUSE_RXDMT0 (1u << 4) /* receive descriptor minimum threshold reached */
#define E1000_CAUSE_RXO (1u << 6)    /* receiver overrun                             */
#define E1000_CAUSE_RXT0 (1u << 7)   /* receiver timer: with no delay set, a frame   */

#define E1000_CAUSE_BITS 17 /* bit 16 is the highest that the register defines */
#define E1000_CAUSE_MASK ((1u << E1000_CAUSE_BITS) - 1)

/*
 * Broken twins of the driver's rules: tests must see them fail. The first two enter the state area
 * that ISR and DPC share in a wrong way, the others leave a protection out.
 */
typedef enum _E1000_TWIN
{
    E1000TwinNone,       /* correct: the interrupt spin lock                                      */
    E1000TwinNoLock,     /* raises to SynchronizeIrql, takes no lock: holds off this CPU's ISR only.
                         TornStates rises, causes seen and consumed part                       */
    E1000TwinNoRaise,    /* takes the lock at DISPATCH_LEVEL: an ISR on this CPU spins for ever on a
                         lock its own CPU holds (checked: bug check 0xF)                       */
    E1000TwinBlindWatch, /* the watch does not look: a lost interrupt stops reception for good  */
    E1000TwinAllOnesOurs,  /* the ISR claims an interrupt whose cause read as all ones            */
    E1000TwinTrustsRing,   /* believes every length and address that a descriptor says            */
    E1000TwinResetsAtOnce, /* resets the rings as often as something is wrong with them          */
    E1000TwinNoBudget,     /* a DPC goes on for as long as there are frames                      */
    E1000TwinClaimsAll,    /* the ISR claims whatever comes on its line                          */
    E1000TwinMaximum
} E1000_TWIN;

/* Widens the windows in which the twins fail; the correct code may only become slower. */
typedef struct _E1000_DELAY
{
    ULONG Microseconds; /* the longest stall at a delay point, 0..1000; 0: none             */
    ULONG Seed;         /* each stall is drawn from 1..Microseconds by this seed            */
    ULONG Fires;        /* so many times the DPC's delay point fires E1000_CAUSE_LSC before it
                           stalls, so that an interrupt does arrive in its window. Each one
                           brings the next DPC, so one interrupt starts the whole series    */
} E1000_DELAY, *PE1000_DELAY;

#define E1000_DELAY_MAXIMUM 1000

/* Why a received frame did not reach the class. */
typedef enum _E1000_RX_DROP
{
    E1000RxDropNoClass,      /* nobody is connected                 */
    E1000RxDropError,        /* CRC, symbol, sequence or data error */
    E1000RxDropRunt,         /* shorter than NET_FRAME_MINIMUM      */
    E1000RxDropOversize,     /* longer than a tagged frame, 1518    */
    E1000RxDropFragment,     /* in several buffers; each counts     */
    E1000RxDropCorrupt,      /* length 0 or above the buffer, or not our address */
    E1000RxDropTransmitFull, /* no buffer to build a reply in       */
    E1000RxDropMaximum
} E1000_RX_DROP;

/* Names for people and scripts, by E1000_RX_DROP: "nic.runt" (drivers/e1000/receive.c). */
extern const PCSTR E1000RxDropNames[E1000RxDropMaximum];

/*
 * Each half is a snapshot under its lock. With the device quiet (no traffic, no DPC queued):
 *
 *   IsrCalls               == IsrClaimed + IsrUnclaimed
 *   InterruptsSeen         == InterruptsConsumed
 *   CausesSeen[i]          == CausesConsumed[i]               each cause is consumed exactly once
 *   DpcRuns                == DpcQueued + DpcRequeued + DpcByTimer   each queueing runs once
 *   TornStates             == 0
 *   RxFrames               == RxDelivered + sum of RxDropped
 *   RxDelivered            == RxReplies + RxNoReply
 *   RxReplies + TxSends    == TxQueued
 *   TxQueued               == TxCompleted + TxAborted + TxInFlight
 *
 * and, of the class's counters, NetFramesReceived == RxDelivered. The RX and TX equations hold at
 * any time.
 */
typedef struct _E1000_STATISTICS
{
    /* The interrupt half: written at SynchronizeIrql under the interrupt spin lock. */
    ULONG64 IsrCalls;
    ULONG64 IsrClaimed;         /* returned TRUE                                             */
    ULONG64 IsrUnclaimed;       /* returned FALSE: another device on the line                */
    ULONG64 InterruptsSeen;     /* reads of ICR that found a cause, by the ISR or the timer  */
    ULONG64 InterruptsConsumed; /* of those, taken over by a DPC                             */
    ULONG64 DpcQueued;          /* the ISR's KeInsertQueueDpc returned TRUE                  */
    ULONG64 DpcCoalesced;       /* it returned FALSE: the DPC was queued already             */
    ULONG64 DpcRequeued;        /* the DPC ran out of budget and queued itself               */
    ULONG64 DpcByTimer;         /* the timer queued it: a lost interrupt, a poll, a pause    */
    ULONG64 DpcRuns;            /* the DPC began                                             */
    ULONG64 LostInterrupts;     /* work that waited, unannounced, from one look to the next  */
    ULONG64 TornStates;         /* state areas that failed their own check                   */
    ULONG64 IsrProcessors;      /* mask: where the ISR has run (index 63 and above: bit 63)  */
    ULONG64 DpcProcessors;      /* the same for the DPC                                      */
    ULONG64 CausesSeen[E1000_CAUSE_BITS];     /* by cause bit: how many interrupts had it    */
    ULONG64 CausesConsumed[E1000_CAUSE_BITS]; /* of those, taken over by a DPC               */

    /* The ring half: written at DISPATCH_LEVEL under the ring lock. */
    ULONG64 RxFrames;          /* descriptors the DPC took from the ring       */
    ULONG64 RxDelivered;       /* given to the class                           */
    ULONG64 RxReplies;         /* the class answered                           */
    ULONG64 RxNoReply;         /* it did not                                   */
    ULONG64 RxOverruns;        /* interrupts that reported RXO                 */
    ULONG64 RxLow;             /* interrupts that reported RXDMT0              */
    ULONG64 RxDeviceOversize;  /* too long: dropped by the device itself       */
    ULONG64 RxDeviceUndersize; /* too short: the same                          */
    ULONG64 RxDeviceMissed;    /* no descriptor was free: the same             */
    ULONG64 RxPauses;          /* times reception paused for the sake of threads */
    ULONG64 TxSends;           /* frames from the class's Send                 */
    ULONG64 TxSendsRefused;    /* refused, and counted nowhere else           */
    ULONG64 TxQueued;          /* descriptors filled                           */
    ULONG64 TxCompleted;       /* taken back after the device was done         */
    ULONG64 TxAborted;         /* in flight at a ring reset, or when the device vanished */
    ULONG64 TxInFlight;        /* filled, and not yet taken back               */
    ULONG64 TxBatches;         /* writes of the transmit tail register         */
    ULONG64 RingResets;
    ULONG64 LinkChanges;
    ULONG64 RxDropped[E1000RxDropMaximum];
    BOOLEAN LinkUp;
    BOOLEAN Vanished; /* the device no longer answers                        */
    BOOLEAN Detached; /* and the driver has given back what it had for it    */
    BOOLEAN Polling;  /* no interrupt is relied on: there was no line, or it lost too many */
    UCHAR MacAddress[6];

    /* Where the interrupt was connected; constant after start. Without one Gsi is MAXULONG, the
     * others 0. */
    ULONG Gsi;
    ULONG Vector;
    ULONG Irql;
} E1000_STATISTICS, *PE1000_STATISTICS;
