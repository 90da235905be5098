/* SPDX-License-Identifier: MIT */
/*
 * receive.c - the receive ring: frames in, replies straight into the transmit ring.
 *
 * A descriptor is a tuple (owner, DD). The device owns those from its head up to the tail register:
 *
 *     (device, 0) -> (driver, 1)   the frame is in memory, the device writes the descriptor back
 *     (driver, 1) -> (driver, 0)   processed: E1000RecycleDescriptor
 *     (driver, 0) -> (device, 0)   the tail moves past it, E1000_RX_RETURN_BATCH at a time
 *
 * The buffer is answered from where it lies and never leaves its descriptor, so nothing is copied
 * and nothing can leak. What the descriptor says is checked before it is believed: the ring is
 * memory that a device writes. That goes for the address too: had somebody else changed it, the
 * frame would lie elsewhere, and this buffer would still hold an old one.
 */
#include "e1000.h"

const PCSTR E1000RxDropNames[E1000RxDropMaximum] = {
    [E1000RxDropNoClass] = "nic.no_class",
    [E1000RxDropError] = "nic.error",
    [E1000RxDropRunt] = "nic.runt",
    [E1000RxDropOversize] = "nic.oversize",
    [E1000RxDropFragment] = "nic.fragment",
    [E1000RxDropCorrupt] = "nic.corrupt",
    [E1000RxDropTransmitFull] = "nic.tx_full",
};

/* Why a descriptor's frame cannot be delivered; E1000RxDropMaximum if it can. Kept out of line: the
 * good frame has been told apart with two comparisons. */
static DECLSPEC_NOINLINE E1000_RX_DROP E1000Classify(PE1000_EXTENSION Extension, ULONG Index,
                                                     ULONG64 Result)
{
    ULONG Length = E1000_RX_LENGTH(Result);
    ULONG64 Address = Extension->Shared->RxRing[Index].BufferAddress;
    BOOLEAN Discard = Extension->RxDiscard;

    if (E1000_TWIN_IS(Extension, E1000TwinTrustsRing))
    {
        return E1000RxDropMaximum;
    }
    if (Length == 0 || Length > E1000_BUFFER_SIZE ||
        Address != E1000RxBufferAddress(Extension, Index))
    {
        E1000ResetRings(Extension, "receive descriptor damaged");
        return E1000RxDropCorrupt;
    }

    /* A frame in several buffers: all of them go, up to the one with its end. */
    Extension->RxDiscard = !(Result & E1000_RX_EOP);

    if (Discard || Extension->RxDiscard)
    {
        return E1000RxDropFragment;
    }
    if (Result & E1000_RX_ERRORS)
    {
        return E1000RxDropError;
    }
    if (Length < NET_FRAME_MINIMUM)
    {
        return E1000RxDropRunt;
    }
    if (Length > E1000_RX_MAXIMUM)
    {
        return E1000RxDropOversize;
    }
    return E1000RxDropMaximum;
}

/* Hands one whole frame to the class and queues its reply. */
static VOID E1000Deliver(PE1000_EXTENSION Extension, const UCHAR *Frame, ULONG Length)
{
    PUCHAR Reply;
    ULONG ReplyLength;

    if (Extension->Receive == NULL)
    {
        Extension->Counters.RxDropped[E1000RxDropNoClass]++;
        return;
    }

    Reply = E1000NextTransmitBuffer(Extension);
    if (Reply == NULL)
    {
        Extension->Counters.RxDropped[E1000RxDropTransmitFull]++;
        return;
    }

    Extension->Counters.RxDelivered++;
    ReplyLength = Extension->Receive(Extension->ReceiveContext, Frame, Length, Reply,
                                     NET_FRAME_MAXIMUM);

    if (ReplyLength == 0)
    {
        Extension->Counters.RxNoReply++;
        return;
    }

    Extension->Counters.RxReplies++;
    E1000QueueTransmit(Extension, ReplyLength);
}

/* (driver, 1) -> (driver, 0), and in batches (device, 0). The address is written again each time:
 * if something has written over the ring, the next use of this descriptor heals it. */
static VOID E1000RecycleDescriptor(PE1000_EXTENSION Extension)
{
    ULONG Index = Extension->RxNext;
    E1000_RX_DESCRIPTOR *Descriptor = &Extension->Shared->RxRing[Index];

    Descriptor->BufferAddress = E1000RxBufferAddress(Extension, Index);
    Descriptor->Result = 0;
    Extension->RxNext = (Index + 1) & E1000_RING_MASK;

    if (++Extension->RxUnreturned == E1000_RX_RETURN_BATCH)
    {
        /* The register write orders the stores above before it; pairs with: the device's fetch. */
        Extension->RxUnreturned = 0;
        E1000Write(Extension, E1000_RDT, Index);
    }
}

ULONG E1000ReceiveFrames(PE1000_EXTENSION Extension, ULONG Budget)
{
    const ULONG64 Mask = E1000_RX_DD | E1000_RX_EOP | E1000_RX_ERRORS;
    const ULONG64 Good = E1000_RX_DD | E1000_RX_EOP;
    E1000_SHARED *Shared = Extension->Shared;
    ULONG Frames;

    for (Frames = 0; Frames < Budget; Frames++)
    {
        ULONG Index = Extension->RxNext;
        ULONG64 Resets = Extension->Counters.RingResets;
        E1000_RX_DROP Drop = E1000RxDropMaximum;
        ULONG64 Result;
        ULONG Length;

        /* Acquire: the frame is read after DD is seen. pairs with: the device's write-back, which
         * comes after its write of the frame. */
        Result = (ULONG64)ReadAcquire64(&Shared->RxRing[Index].Result);

        if (!(Result & E1000_RX_DD))
        {
            break;
        }

        Length = E1000_RX_LENGTH(Result);
        Extension->Counters.RxFrames++;

        if ((Result & Mask) != Good || Extension->RxDiscard ||
            Shared->RxRing[Index].BufferAddress != E1000RxBufferAddress(Extension, Index) ||
            Length - NET_FRAME_MINIMUM > E1000_RX_MAXIMUM - NET_FRAME_MINIMUM)
        {
            Drop = E1000Classify(Extension, Index, Result);
        }

        if (Drop == E1000RxDropMaximum)
        {
            E1000Deliver(Extension, Shared->RxBuffers[Index], Length);
        }
        else
        {
            Extension->Counters.RxDropped[Drop]++;
        }

        if (Resets != Extension->Counters.RingResets || !Extension->Running)
        {
            return Frames + 1; /* this descriptor was the last of its ring */
        }
        E1000RecycleDescriptor(Extension);
    }
    return Frames;
}

/*
 * A stale receive cause is common: its frame was found by the run before. Several in a row are not,
 * and then the device's own position is worth an expensive register read. If the head has moved on
 * and the descriptor it left behind is still empty, driver and device disagree about the ring.
 */
VOID E1000SuspectReceiveRing(PE1000_EXTENSION Extension)
{
    ULONG Head;

    if (++Extension->RxEmptyInARow < E1000_RX_SUSPECT)
    {
        return;
    }

    Extension->RxEmptyInARow = 0;
    Head = E1000Read(Extension, E1000_RDH);

    if (Head == MAXULONG)
    {
        E1000NoteVanished(Extension);
    }
    else if (Head != Extension->RxNext &&
             !(ReadAcquire64(&Extension->Shared->RxRing[Extension->RxNext].Result) & E1000_RX_DD))
    {
        E1000ResetRings(Extension, "receive head elsewhere");
    }
}
