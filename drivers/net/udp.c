/* SPDX-License-Identifier: MIT */
/*
 * udp.c - UDP echo on port 7 (RFC 768, RFC 862): the datagram comes back with its ports swapped.
 *
 * Swapping addresses and ports does not change a one's complement sum, so the reply's checksum is
 * the request's; only a request that came without one needs the sum that the copy computed anyway.
 * A datagram from port 7 is not answered: two echo services would otherwise answer each other for
 * ever.
 */
#include "net.h"

#define UDP_HEADER 8
#define UDP_DESTINATION 2
#define UDP_LENGTH 4
#define UDP_CHECKSUM 6

#define UDP_PORT_ECHO NET16(7)
#define UDP_PROTOCOL_SUM NET16(17) /* the pseudo header's zero byte and protocol */

ULONG UdpProcess(PNET_INTERFACE Interface, ULONG64 AddressSum, const UCHAR *Datagram, ULONG Length,
                 UCHAR *Reply)
{
    USHORT SourcePort;
    USHORT RawLength;
    USHORT Checksum;
    USHORT Sum;
    ULONG DatagramLength;

    if (Length < UDP_HEADER)
    {
        return NetDrop(Interface, NetDropUdpShort);
    }

    RawLength = NetGet16(Datagram + UDP_LENGTH);
    DatagramLength = NET16(RawLength);

    if (DatagramLength < UDP_HEADER || DatagramLength > Length)
    {
        return NetDrop(Interface, NetDropUdpLength);
    }
    if (NetGet16(Datagram + UDP_DESTINATION) != UDP_PORT_ECHO)
    {
        return NetDrop(Interface, NetDropUdpPort);
    }

    SourcePort = NetGet16(Datagram);

    if (SourcePort == 0 || SourcePort == UDP_PORT_ECHO)
    {
        return NetDrop(Interface, NetDropUdpSource);
    }

    Sum = NetSumFold(
        NetCopyAndSum(Reply, Datagram, DatagramLength, AddressSum + UDP_PROTOCOL_SUM + RawLength));
    Checksum = NetGet16(Datagram + UDP_CHECKSUM);

    if (Checksum == 0)
    {
        /* A computed 0 is sent as its other representation: 0 on the wire means "none". */
        Checksum = Sum == MAXUSHORT ? MAXUSHORT : (USHORT)~Sum;
        NetPut16(Reply + UDP_CHECKSUM, Checksum);
    }
    else if (Sum != NET_SUM_VALID)
    {
        return NetDrop(Interface, NetDropUdpChecksum);
    }

    NetPut16(Reply, UDP_PORT_ECHO);
    NetPut16(Reply + UDP_DESTINATION, SourcePort);

    NetCount(Interface, NetUdpReplies);
    return DatagramLength;
}
