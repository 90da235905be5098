/* SPDX-License-Identifier: MIT */
/*
 * arp.c - ARP (RFC 826): answers requests for our address, and announces it.
 *
 * No table is kept: a reply goes back to the frame's source, so nobody's address ever needs to be
 * looked up. Packet: hardware type 1, protocol type 0x0800, lengths 6 and 4, operation, then
 * sender's and target's hardware and protocol addresses.
 */
#include "net.h"

#define ARP_LENGTH 28
#define ARP_OPERATION 6
#define ARP_SENDER_MAC 8
#define ARP_SENDER_IP 14
#define ARP_TARGET_MAC 18
#define ARP_TARGET_IP 24

/* The first eight bytes as they lie: types, lengths, operation. */
#define ARP_FORMAT 0x0000040600080100ull
#define ARP_FORMAT_MASK 0x0000FFFFFFFFFFFFull
#define ARP_REQUEST NET16(1)
#define ARP_REPLY NET16(2)

ULONG ArpProcess(PNET_INTERFACE Interface, const UCHAR *Source, const UCHAR *Packet, ULONG Length,
                 UCHAR *Reply)
{
    ULONG OurAddress = Interface->Address;
    ULONG SenderAddress;

    if (Length < ARP_LENGTH)
    {
        return NetDrop(Interface, NetDropArpShort);
    }
    if ((NetGet64(Packet) & ARP_FORMAT_MASK) != ARP_FORMAT)
    {
        return NetDrop(Interface, NetDropArpFormat);
    }
    if (NetGet16(Packet + ARP_OPERATION) != ARP_REQUEST)
    {
        return NetDrop(Interface, NetDropArpOperation);
    }
    if (NetGet32(Packet + ARP_SENDER_MAC) != NetGet32(Source) ||
        NetGet16(Packet + ARP_SENDER_MAC + 4) != NetGet16(Source + 4))
    {
        return NetDrop(Interface, NetDropArpSender);
    }

    SenderAddress = NetGet32(Packet + ARP_SENDER_IP);

    if (SenderAddress == OurAddress)
    {
        return NetDrop(Interface, NetDropArpConflict);
    }
    if (NetGet32(Packet + ARP_TARGET_IP) != OurAddress)
    {
        return NetDrop(Interface, NetDropArpTarget);
    }

    NetPut64(Reply, ARP_FORMAT | (ULONG64)ARP_REPLY << 48);
    NetPut32(Reply + ARP_SENDER_MAC, NetGet32(Interface->MacAddress));
    NetPut16(Reply + ARP_SENDER_MAC + 4, NetGet16(Interface->MacAddress + 4));
    NetPut32(Reply + ARP_SENDER_IP, OurAddress);
    NetPut32(Reply + ARP_TARGET_MAC, NetGet32(Source));
    NetPut16(Reply + ARP_TARGET_MAC + 4, NetGet16(Source + 4));
    NetPut32(Reply + ARP_TARGET_IP, SenderAddress);

    NetCount(Interface, NetArpReplies);
    return ARP_LENGTH;
}

ULONG ArpBuildAnnouncement(const NET_INTERFACE *Interface, UCHAR *Frame)
{
    UCHAR *Packet = Frame + NET_FRAME_HEADER;

    RtlZeroMemory(Frame, NET_FRAME_MINIMUM);
    RtlFillMemory(Frame, NET_MAC_LENGTH, 0xFF);
    RtlCopyMemory(Frame + NET_MAC_LENGTH, Interface->MacAddress, NET_MAC_LENGTH);
    NetPut16(Frame + 12, NET16(0x0806));

    NetPut64(Packet, ARP_FORMAT | (ULONG64)ARP_REQUEST << 48);
    RtlCopyMemory(Packet + ARP_SENDER_MAC, Interface->MacAddress, NET_MAC_LENGTH);
    NetPut32(Packet + ARP_SENDER_IP, Interface->Address);
    NetPut32(Packet + ARP_TARGET_IP, Interface->Address);
    return NET_FRAME_MINIMUM;
}
