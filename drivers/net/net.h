/* SPDX-License-Identifier: MIT */
/*
 * net.h - what the responder's parsers share: the interface, raw access to packet bytes, and the
 * internet checksum.
 *
 * The parsers are pure: they read one frame, write one reply, and count. They call nothing of the
 * kernel's and include only <ntddk.h>, so the host tests compile the same files.
 *
 * Addresses, ports and types are kept as they lie in the packet (network byte order), and constants
 * are swapped at compile time instead.
 */
#pragma once

#include <netport.h>

/*
 * One processor's view of an interface. Receive calls run on any processor, at DISPATCH_LEVEL, so
 * each processor has its own copy and owns it while it is inside the call: counting needs no lock
 * and no interlocked operation, and identity and counters share cache lines that nobody else
 * writes. A reader adds the copies up.
 */
typedef struct DECLSPEC_ALIGN(64) _NET_INTERFACE
{
    /* Written at PASSIVE_LEVEL by NetSetAddress, a word at a time, and read by this processor at
     * DISPATCH_LEVEL without a lock: a frame that races with a change of address is judged by the
     * old one or the new one. Never 0. */
    ULONG Address;
    ULONG SubnetBroadcast; /* 0 if the subnet has none */

    /* Written before the interface is connected, constant after. */
    UCHAR MacAddress[NET_MAC_LENGTH];

    /* Written by this processor alone at DISPATCH_LEVEL; read by any: aligned words do not
     * tear. */
    ULONG64 Counters[NetCounterMaximum];
} NET_INTERFACE, *PNET_INTERFACE;

/* ------------------------------------------------------------------ Raw access. Packet fields have
 * no alignment; may_alias because the same bytes are read at several widths. */

typedef struct __attribute__((packed, may_alias)) _NET_WORD16
{
    USHORT Value;
} NET_WORD16;

typedef struct __attribute__((packed, may_alias)) _NET_WORD32
{
    ULONG Value;
} NET_WORD32;

typedef struct __attribute__((packed, may_alias)) _NET_WORD64
{
    ULONG64 Value;
} NET_WORD64;

FORCEINLINE USHORT NetGet16(const UCHAR *At)
{
    return ((const NET_WORD16 *)At)->Value;
}

FORCEINLINE ULONG NetGet32(const UCHAR *At)
{
    return ((const NET_WORD32 *)At)->Value;
}

FORCEINLINE ULONG64 NetGet64(const UCHAR *At)
{
    return ((const NET_WORD64 *)At)->Value;
}

FORCEINLINE VOID NetPut16(UCHAR *At, USHORT Value)
{
    ((NET_WORD16 *)At)->Value = Value;
}

FORCEINLINE VOID NetPut32(UCHAR *At, ULONG Value)
{
    ((NET_WORD32 *)At)->Value = Value;
}

FORCEINLINE VOID NetPut64(UCHAR *At, ULONG64 Value)
{
    ((NET_WORD64 *)At)->Value = Value;
}

/* Between host and packet order; a constant is swapped at compile time. */
#define NET16(Value) ((USHORT)RtlUshortByteSwap((USHORT)(Value)))

/* ------------------------------------------------------------------ Counting. */

FORCEINLINE VOID NetCount(PNET_INTERFACE Interface, NET_COUNTER Counter)
{
    Interface->Counters[Counter]++;
}

/* Counts a drop; 0 is every parser's "no reply". */
FORCEINLINE ULONG NetDrop(PNET_INTERFACE Interface, NET_COUNTER Counter)
{
    Interface->Counters[Counter]++;
    return 0;
}

/* ------------------------------------------------------------------ The internet checksum (RFC
 * 1071): the one's complement of the one's complement sum of 16-bit words. One's complement sums
 * do not care in which order or width the words are added, nor, apart from a final swap, in which
 * byte order: so eight bytes are added at a time, as they lie, and folded to 16 bits at the end. */

/* One's complement addition: the carry out of the top comes back in at the bottom. */
FORCEINLINE ULONG64 NetSumAdd(ULONG64 Sum, ULONG64 Word)
{
    ULONG64 Total;
    ULONG64 Carry = __builtin_add_overflow(Sum, Word, &Total);

    return Total + Carry; /* after a carry Total is at most 2^64 - 2 */
}

/* The 16-bit sum. Two folds are enough: the first leaves at most 2^33 - 2, so its three parts add
 * up to at most 0x1FFFE, and that folds to at most 0xFFFF. */
FORCEINLINE USHORT NetSumFold(ULONG64 Sum)
{
    ULONG64 Wide = (Sum & MAXULONG) + (Sum >> 32);
    ULONG Narrow = (ULONG)((Wide & 0xFFFF) + ((Wide >> 16) & 0xFFFF) + (Wide >> 32));

    return (USHORT)((Narrow & 0xFFFF) + (Narrow >> 16));
}

/* Adds Length bytes; an odd last byte is padded with a zero byte. */
ULONG64 NetSum(const UCHAR *Source, ULONG Length, ULONG64 Sum);

/* The same, and copies them: the payload is touched once. The ranges may not overlap. */
ULONG64 NetCopyAndSum(UCHAR *Destination, const UCHAR *Source, ULONG Length, ULONG64 Sum);

/* What the folded sum over data that contains its own, correct checksum is. */
#define NET_SUM_VALID 0xFFFF

/* ------------------------------------------------------------------ The layers. Each takes its own
 * part of the frame and writes its own part of the reply; it returns the bytes written, or 0 after
 * counting a drop. The caller has checked that the reply has room where a comment says so. */

/*
 * Answers one frame; see NET_RECEIVE for the parameters. IRQL: DISPATCH_LEVEL on the processor that
 * Interface belongs to.
 */
ULONG NetProcessFrame(PNET_INTERFACE Interface, const UCHAR *Frame, ULONG Length, UCHAR *Reply,
                      ULONG ReplySize);

/* Source is the frame's Ethernet source. Room: NET_FRAME_MINIMUM less the Ethernet header. */
ULONG ArpProcess(PNET_INTERFACE Interface, const UCHAR *Source, const UCHAR *Packet, ULONG Length,
                 UCHAR *Reply);

ULONG IpProcess(PNET_INTERFACE Interface, const UCHAR *Packet, ULONG Length, UCHAR *Reply,
                ULONG ReplySize);

/* Room: Length. */
ULONG IcmpProcess(PNET_INTERFACE Interface, const UCHAR *Message, ULONG Length, UCHAR *Reply);

/* AddressSum is the sum of the two addresses, the same for request and reply. Room: Length. */
ULONG UdpProcess(PNET_INTERFACE Interface, ULONG64 AddressSum, const UCHAR *Datagram, ULONG Length,
                 UCHAR *Reply);

/* Builds the announcement of our address (RFC 5227 2.3: a gratuitous ARP request) in Frame, which
 * has room for NET_FRAME_MINIMUM bytes; returns its length. */
ULONG ArpBuildAnnouncement(const NET_INTERFACE *Interface, UCHAR *Frame);

/* FALSE, and nothing changed, if no host may have that address. */
BOOLEAN NetSetAddress(PNET_INTERFACE Interface, const NET_ADDRESS *Address);
