/* SPDX-License-Identifier: MIT */
/*
 * frame.c - the Ethernet layer: which frames are for us, and the reply's first 14 bytes.
 *
 * ARP is answered whether it was broadcast or sent to us; IPv4 only when the frame was sent to our
 * own address, since a host does not answer what the link broadcast (RFC 1122 3.2.2).
 */
#include "net.h"

#define NET_TYPE_IPV4 NET16(0x0800)
#define NET_TYPE_ARP NET16(0x0806)

static BOOLEAN NetIsSameMac(const UCHAR *First, const UCHAR *Second)
{
    return NetGet32(First) == NetGet32(Second) && NetGet16(First + 4) == NetGet16(Second + 4);
}

static BOOLEAN NetIsBroadcastMac(const UCHAR *Mac)
{
    return NetGet32(Mac) == MAXULONG && NetGet16(Mac + 4) == MAXUSHORT;
}

static VOID NetCopyMac(UCHAR *Destination, const UCHAR *Source)
{
    NetPut32(Destination, NetGet32(Source));
    NetPut16(Destination + 4, NetGet16(Source + 4));
}

ULONG NetProcessFrame(PNET_INTERFACE Interface, const UCHAR *Frame, ULONG Length, UCHAR *Reply,
                      ULONG ReplySize)
{
    const UCHAR *Source = Frame + NET_MAC_LENGTH;
    ULONG ReplyLength;
    USHORT Type;

    NetCount(Interface, NetFramesReceived);

    if (Length < NET_FRAME_HEADER)
    {
        return NetDrop(Interface, NetDropFrameShort);
    }
    if (ReplySize < NET_FRAME_MINIMUM)
    {
        return NetDrop(Interface, NetDropReplySize);
    }
    if (Source[0] & 1)
    {
        return NetDrop(Interface, NetDropFrameSource);
    }

    Type = NetGet16(Frame + 12);

    if (NetIsSameMac(Frame, Interface->MacAddress))
    {
        if (Type != NET_TYPE_IPV4 && Type != NET_TYPE_ARP)
        {
            return NetDrop(Interface, NetDropFrameType);
        }
    }
    else if (Type != NET_TYPE_ARP || !NetIsBroadcastMac(Frame))
    {
        return NetDrop(Interface, NetDropFrameDestination);
    }

    if (Type == NET_TYPE_IPV4)
    {
        ReplyLength = IpProcess(Interface, Frame + NET_FRAME_HEADER, Length - NET_FRAME_HEADER,
                                Reply + NET_FRAME_HEADER, ReplySize - NET_FRAME_HEADER);
    }
    else
    {
        ReplyLength = ArpProcess(Interface, Source, Frame + NET_FRAME_HEADER,
                                 Length - NET_FRAME_HEADER, Reply + NET_FRAME_HEADER);
    }
    if (ReplyLength == 0)
    {
        return 0;
    }

    NetCopyMac(Reply, Source);
    NetCopyMac(Reply + NET_MAC_LENGTH, Interface->MacAddress);
    NetPut16(Reply + 12, Type);

    /* The reply's buffer still holds an older frame: what the minimum length adds is zeroed, so
     * that no byte of another conversation leaves the machine. */
    for (ReplyLength += NET_FRAME_HEADER; ReplyLength < NET_FRAME_MINIMUM; ReplyLength++)
    {
        Reply[ReplyLength] = 0;
    }
    return ReplyLength;
}

/*
 * Addresses are compared in host order here, where prefixes are arithmetic: the subnet's first and
 * last addresses name the subnet and everybody on it, except for prefixes 31 and 32, which have
 * neither (RFC 3021).
 */
BOOLEAN NetSetAddress(PNET_INTERFACE Interface, const NET_ADDRESS *Address)
{
    const UCHAR *Octets = Address->Address;
    ULONG Broadcast = 0;
    ULONG Host = (ULONG)Octets[0] << 24 | (ULONG)Octets[1] << 16 | (ULONG)Octets[2] << 8 |
                 (ULONG)Octets[3];

    if (Octets[0] == 0 || Octets[0] == 127 || Octets[0] >= 224 || Address->PrefixLength > 32)
    {
        return FALSE;
    }

    if (Address->PrefixLength < 31)
    {
        ULONG HostBits = MAXULONG >> Address->PrefixLength;

        if ((Host & HostBits) == 0 || (Host & HostBits) == HostBits)
        {
            return FALSE;
        }
        Broadcast = Host | HostBits;
    }

    Interface->SubnetBroadcast = RtlUlongByteSwap(Broadcast);
    Interface->Address = RtlUlongByteSwap(Host);
    return TRUE;
}
