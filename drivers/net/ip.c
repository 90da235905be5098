/* SPDX-License-Identifier: MIT */
/*
 * ip.c - IPv4 (RFC 791, RFC 1122): header checks, and the header of the reply.
 *
 * The checks are in the order in which each makes the next one's reads safe. Options are stepped
 * over and not sent back; fragments are dropped, so a reply is never longer than its request. The
 * reply is an atomic datagram (RFC 6864): don't-fragment set and identification 0.
 */
#include "net.h"

#define IP_HEADER 20
#define IP_TTL 8
#define IP_PROTOCOL 9
#define IP_CHECKSUM 10
#define IP_SOURCE 12
#define IP_DESTINATION 16

#define IP_FRAGMENT_MASK NET16(0x3FFF) /* more fragments, and the offset */
#define IP_DONT_FRAGMENT NET16(0x4000)

#define IP_PROTOCOL_ICMP 1
#define IP_PROTOCOL_UDP 17
#define IP_REPLY_TTL 64

/* FALSE for a source that no single host has: answering it would reach nobody, or everybody, or
 * ourselves. */
static BOOLEAN IpIsHostSource(const NET_INTERFACE *Interface, ULONG Source)
{
    UCHAR FirstOctet = (UCHAR)Source; /* network order: the first octet is the lowest byte */

    return FirstOctet != 0 && FirstOctet != 127 && FirstOctet < 224 &&
           Source != Interface->Address && Source != Interface->SubnetBroadcast;
}

/* The header's sum: at most 15 words of 32 bits, which 64 bits hold without a carry. */
static ULONG64 IpHeaderSum(const UCHAR *Packet, ULONG HeaderLength)
{
    ULONG64 Sum = 0;

    for (ULONG i = 0; i < HeaderLength; i += 4)
    {
        Sum += NetGet32(Packet + i);
    }
    return Sum;
}

/* Writes the 20 bytes before a reply's payload. */
static VOID IpBuildReplyHeader(const UCHAR *Packet, UCHAR *Reply, ULONG TotalLength)
{
    ULONG First = 0x45u | (ULONG)Packet[1] << 8 | (ULONG)NET16(TotalLength) << 16;
    ULONG Second = (ULONG)IP_DONT_FRAGMENT << 16;
    ULONG Third = IP_REPLY_TTL | (ULONG)Packet[IP_PROTOCOL] << 8;
    ULONG Ours = NetGet32(Packet + IP_DESTINATION);
    ULONG Theirs = NetGet32(Packet + IP_SOURCE);
    ULONG64 Sum = (ULONG64)First + Second + Third + Ours + Theirs;

    NetPut32(Reply, First);
    NetPut32(Reply + 4, Second);
    NetPut32(Reply + IP_TTL, Third);
    NetPut16(Reply + IP_CHECKSUM, (USHORT)~NetSumFold(Sum));
    NetPut32(Reply + IP_SOURCE, Ours);
    NetPut32(Reply + IP_DESTINATION, Theirs);
}

ULONG IpProcess(PNET_INTERFACE Interface, const UCHAR *Packet, ULONG Length, UCHAR *Reply,
                ULONG ReplySize)
{
    ULONG HeaderLength;
    ULONG TotalLength;
    ULONG PayloadLength;
    ULONG ReplyLength;
    ULONG Source;
    ULONG Destination;

    if (Length < IP_HEADER)
    {
        return NetDrop(Interface, NetDropIpShort);
    }
    if (Packet[0] >> 4 != 4)
    {
        return NetDrop(Interface, NetDropIpVersion);
    }

    HeaderLength = (Packet[0] & 0xFu) * 4;

    if (HeaderLength < IP_HEADER || HeaderLength > Length)
    {
        return NetDrop(Interface, NetDropIpHeaderLength);
    }

    /* The frame may be longer than the datagram (padding), never shorter. */
    TotalLength = NET16(NetGet16(Packet + 2));

    if (TotalLength < HeaderLength || TotalLength > Length)
    {
        return NetDrop(Interface, NetDropIpTotalLength);
    }
    if (NetSumFold(IpHeaderSum(Packet, HeaderLength)) != NET_SUM_VALID)
    {
        return NetDrop(Interface, NetDropIpChecksum);
    }
    if (NetGet16(Packet + 6) & IP_FRAGMENT_MASK)
    {
        return NetDrop(Interface, NetDropIpFragment);
    }
    if (Packet[IP_TTL] == 0)
    {
        return NetDrop(Interface, NetDropIpTimeToLive);
    }

    Source = NetGet32(Packet + IP_SOURCE);
    Destination = NetGet32(Packet + IP_DESTINATION);

    if (Destination != Interface->Address)
    {
        return NetDrop(Interface, NetDropIpDestination);
    }
    if (!IpIsHostSource(Interface, Source))
    {
        return NetDrop(Interface, NetDropIpSource);
    }

    PayloadLength = TotalLength - HeaderLength;

    if (IP_HEADER + PayloadLength > ReplySize)
    {
        return NetDrop(Interface, NetDropReplySize);
    }

    switch (Packet[IP_PROTOCOL])
    {
    case IP_PROTOCOL_ICMP:
        ReplyLength = IcmpProcess(Interface, Packet + HeaderLength, PayloadLength,
                                  Reply + IP_HEADER);
        break;

    case IP_PROTOCOL_UDP:
        ReplyLength = UdpProcess(Interface, (ULONG64)Source + Destination, Packet + HeaderLength,
                                 PayloadLength, Reply + IP_HEADER);
        break;

    default:
        return NetDrop(Interface, NetDropIpProtocol);
    }

    if (ReplyLength == 0)
    {
        return 0;
    }

    IpBuildReplyHeader(Packet, Reply, IP_HEADER + ReplyLength);
    return IP_HEADER + ReplyLength;
}
