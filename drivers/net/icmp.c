/* SPDX-License-Identifier: MIT */
/*
 * icmp.c - ICMP echo (RFC 792): the request comes back with its type changed.
 *
 * The message is copied and verified in one pass. Only the type differs in the reply, so its
 * checksum follows from the request's: taking 8 out of the sum adds 8 to the sum's complement. Where
 * the result is zero this arithmetic gives 0xFFFF and not 0, which is what RFC 1624 section 3 asks
 * for: over a message of zeros only 0xFFFF is valid.
 */
#include "net.h"

#define ICMP_HEADER 8
#define ICMP_CHECKSUM 2

#define ICMP_ECHO_REQUEST 8 /* type 8, code 0, as the two bytes lie */

ULONG IcmpProcess(PNET_INTERFACE Interface, const UCHAR *Message, ULONG Length, UCHAR *Reply)
{
    ULONG Checksum;

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

    Checksum = (ULONG)NetGet16(Message + ICMP_CHECKSUM) + ICMP_ECHO_REQUEST;

    NetPut16(Reply, 0);
    NetPut16(Reply + ICMP_CHECKSUM, (USHORT)(Checksum + (Checksum >> 16)));

    NetCount(Interface, NetIcmpReplies);
    return Length;
}
