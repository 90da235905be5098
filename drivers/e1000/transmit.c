/* SPDX-License-Identifier: MIT */
/*
 * transmit.c - the transmit ring: fixed buffers, filled in place, sent and taken back by batches.
 *
 * Three counters that only grow chase each other round the ring:
 *
 *     TxClean <= TxFlushed <= TxNext        in flight | filled, not yet given | free
 *
 *     fill      TxNext + 1                  the frame is in memory, its descriptor written
 *     flush     TxFlushed -> TxNext         one tail write; the batch's last descriptor reports
 *     reclaim   TxClean -> batch's end      when that descriptor has DD
 *
 * Descriptors complete in order, so one report a batch is enough: the device writes back one
 * descriptor where it would write up to 64. No transmit interrupt is enabled; buffers are taken
 * back when the next DPC, or the next shortage, looks.
 */
#include "e1000.h"

#define E1000_STUCK_TIME 10000000ull /* 100 ns units: a full ring that has not moved for 1 s */

VOID E1000ReclaimTransmit(PE1000_EXTENSION Extension)
{
    const E1000_TX_DESCRIPTOR *Ring = Extension->Shared->TxRing;

    while (Extension->TxClean != Extension->TxFlushed)
    {
        ULONG End = Extension->TxBatchEnd[Extension->TxClean & E1000_RING_MASK];

        /* pairs with: the device's write-back; the buffer may be filled again after it. */
        if (!(ReadAcquire(&Ring[(End - 1) & E1000_RING_MASK].Status) & E1000_TX_DD))
        {
            break;
        }

        Extension->Counters.TxCompleted += End - Extension->TxClean;
        Extension->TxClean = End;
        Extension->TxStuckSince = 0;
    }
}

VOID E1000FlushTransmit(PE1000_EXTENSION Extension)
{
    ULONG First = Extension->TxFlushed;
    ULONG End = Extension->TxNext;

    if (First == End)
    {
        return;
    }

    /* (filled) -> (in flight). The device has not seen these descriptors yet: it stops at the tail.
     * The register write orders the stores before it; pairs with: the device's fetch. */
    Extension->Shared->TxRing[(End - 1) & E1000_RING_MASK].Command |= E1000_TX_RS;
    Extension->TxBatchEnd[First & E1000_RING_MASK] = End;
    Extension->TxFlushed = End;
    Extension->Counters.TxBatches++;
    E1000Write(Extension, E1000_TDT, End & E1000_RING_MASK);
}

/* The ring is full: sends what is queued and looks for finished batches; TRUE if that made room. A
 * device that has not moved for a second is started afresh. */
static DECLSPEC_NOINLINE BOOLEAN E1000MakeRoom(PE1000_EXTENSION Extension)
{
    ULONG64 Now;

    E1000FlushTransmit(Extension);
    E1000ReclaimTransmit(Extension);

    if (Extension->TxNext - Extension->TxClean < E1000_RING_SIZE - 1)
    {
        return TRUE;
    }

    Now = KeQueryInterruptTime();
    if (Extension->TxStuckSince == 0)
    {
        Extension->TxStuckSince = Now;
    }
    else if (Extension->LinkUp && Now - Extension->TxStuckSince > E1000_STUCK_TIME)
    {
        E1000ResetRings(Extension, "transmitter stuck");
    }
    return FALSE;
}

/* One descriptor stays unused: with all of them in flight head and tail would be equal, which means
 * an empty ring. */
PUCHAR E1000NextTransmitBuffer(PE1000_EXTENSION Extension)
{
    if (Extension->TxNext - Extension->TxClean >= E1000_RING_SIZE - 1 && !E1000MakeRoom(Extension))
    {
        return NULL;
    }
    return Extension->Shared->TxBuffers[Extension->TxNext & E1000_RING_MASK];
}

VOID E1000QueueTransmit(PE1000_EXTENSION Extension, ULONG Length)
{
    ULONG Index = Extension->TxNext & E1000_RING_MASK;
    E1000_TX_DESCRIPTOR *Descriptor = &Extension->Shared->TxRing[Index];

    /* (free) -> (filled) */
    Descriptor->BufferAddress = E1000TxBufferAddress(Extension, Index);
    Descriptor->Command = Length | E1000_TX_EOP | E1000_TX_IFCS;
    Descriptor->Status = 0;
    Extension->TxNext++;
    Extension->Counters.TxQueued++;
}

/*
 * E1000Send - NET_SEND: transmits a frame of the class's own.
 */
NTSTATUS E1000Send(PVOID Context, const UCHAR *Frame, ULONG Length)
{
    PE1000_EXTENSION Extension = Context;
    NTSTATUS Status = STATUS_SUCCESS;
    PUCHAR Buffer = NULL;
    KIRQL OldIrql;

    if (Length < NET_FRAME_HEADER || Length > NET_FRAME_MAXIMUM)
    {
        return STATUS_INVALID_PARAMETER;
    }

    KeAcquireSpinLock(&Extension->RingLock, &OldIrql);

    if (!Extension->Running)
    {
        Status = STATUS_DEVICE_NOT_CONNECTED;
    }
    else
    {
        Buffer = E1000NextTransmitBuffer(Extension);
    }

    if (Buffer != NULL)
    {
        RtlCopyMemory(Buffer, Frame, Length);
        Extension->Counters.TxSends++;
        E1000QueueTransmit(Extension, Length);
        E1000FlushTransmit(Extension);
    }
    else
    {
        Extension->Counters.TxSendsRefused++;
        Status = NT_SUCCESS(Status) ? STATUS_DEVICE_BUSY : Status;
    }

    KeReleaseSpinLock(&Extension->RingLock, OldIrql);
    return Status;
}
