/* SPDX-License-Identifier: MIT */
/*
 * icmp.c - ICMP echo (RFC 792): the request comes back with its type changed.
 *
 * The message is copied and verified in one pass. Only the type differs in the reply, so its
 * checksum follows from the request's (RFC 1624): taking 8 out of the sum adds 8 to the sum's
 * complement. One's complement has two zeros, and which of them is meant the shortcut cannot know;
 * then, once in 65,536 messages, the sum is taken again.
 */
#include "net.h"

#define ICMP_HEADER 8
#define ICMP_CHECKSUM 2

#define ICMP_ECHO_REQUEST 8 /* type 8, code 0, as the two bytes lie */

ULONG IcmpProcess(PNET_INTERFACE Interface, const UCHAR *Message, ULONG Length, UCHAR *Reply)
{
    ULONG Sum;
    USHORT Checksum;

    if (Length < ICMP_HEADER)
    {
        return NetDrop(Interface, NetDropIcmpShort);
    }
    if (NetGet16(Message) != ICMP_ECHO_REQUEST)
    {
        return NetDrop(Interface, NetDropIcmpType);
    }
    if (NetSumFold(NetCopyAndSum(Reply, Message, Length, 0)) != NET_SUM_VALID)
    {
        return NetDrop(Interface, NetDropIcmpChecksum);
    }

    NetPut16(Reply, 0);

    Sum = (ULONG)NetGet16(Message + ICMP_CHECKSUM) + ICMP_ECHO_REQUEST;
    Checksum = (USHORT)(Sum + (Sum >> 16));

    if (Checksum == MAXUSHORT)
    {
        NetPut16(Reply + ICMP_CHECKSUM, 0);
        Checksum = (USHORT)~NetSumFold(NetSum(Reply, Length, 0));
    }
    NetPut16(Reply + ICMP_CHECKSUM, Checksum);

    NetCount(Interface, NetIcmpReplies);
    return Length;
}
