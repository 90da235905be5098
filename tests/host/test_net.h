/* SPDX-License-Identifier: MIT */
/*
 * test_net.h - what the responder's tests share: requests to build, and a model to compare with.
 *
 * The model is the same protocols written a second time, byte by byte and as naively as the RFCs
 * read. Run gives one frame to both and wants the same verdict and the same reply. Frame and reply
 * live in allocations of exactly their size, so a read or write past either end stops a sanitized
 * run.
 */
#pragma once

#include "host.h"

#include "../../drivers/net/net.h"

#define FILL 0xA5 /* what a fresh reply buffer holds */

static const UCHAR OurMac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const UCHAR PeerMac[6] = {0x02, 0x00, 0x00, 0xAA, 0xBB, 0xCC};
static const UCHAR BroadcastMac[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
static const UCHAR OurIp[4] = {10, 0, 2, 15};
static const UCHAR PeerIp[4] = {10, 0, 2, 2};
static const UCHAR SubnetBroadcastIp[4] = {10, 0, 2, 255};

/* ------------------------------------------------------------------ Naive arithmetic. */

static inline ULONG NaiveGet16(const UCHAR *At)
{
    return (ULONG)At[0] << 8 | At[1];
}

static inline void NaivePut16(UCHAR *At, ULONG Value)
{
    At[0] = (UCHAR)(Value >> 8);
    At[1] = (UCHAR)Value;
}

/* RFC 1071 as its text has it: 16-bit big-endian words, carries folded as they come. */
static inline ULONG NaiveSum(const UCHAR *Data, ULONG Length, ULONG Sum)
{
    for (ULONG i = 0; i < Length; i += 2)
    {
        Sum += (ULONG)Data[i] << 8 | (i + 1 < Length ? Data[i + 1] : 0u);
        Sum = (Sum & 0xFFFF) + (Sum >> 16);
    }
    return Sum;
}

/* UDP's sum with its pseudo header; Source and Destination are 4 bytes each. */
static inline ULONG NaiveUdpSum(const UCHAR *Source, const UCHAR *Destination,
                                const UCHAR *Datagram, ULONG Length)
{
    UCHAR Pseudo[12];

    memcpy(Pseudo, Source, 4);
    memcpy(Pseudo + 4, Destination, 4);
    Pseudo[8] = 0;
    Pseudo[9] = 17;
    NaivePut16(Pseudo + 10, Length);
    return NaiveSum(Datagram, Length, NaiveSum(Pseudo, sizeof(Pseudo), 0));
}

/* ------------------------------------------------------------------ The model. */

typedef struct _VERDICT
{
    NET_COUNTER Counter;
    ULONG Length; /* of the reply; 0: dropped */
    UCHAR Reply[2048];
} VERDICT;

static inline void ModelDrop(VERDICT *Verdict, NET_COUNTER Counter)
{
    Verdict->Counter = Counter;
    Verdict->Length = 0;
}

static inline void ModelArp(VERDICT *Verdict, const UCHAR *Frame, ULONG Length)
{
    static const UCHAR Format[6] = {0, 1, 8, 0, 6, 4};
    const UCHAR *Arp = Frame + 14;
    UCHAR *Out = Verdict->Reply + 14;

    if (Length < 14 + 28)
    {
        ModelDrop(Verdict, NetDropArpShort);
    }
    else if (memcmp(Arp, Format, 6) != 0)
    {
        ModelDrop(Verdict, NetDropArpFormat);
    }
    else if (NaiveGet16(Arp + 6) != 1)
    {
        ModelDrop(Verdict, NetDropArpOperation);
    }
    else if (memcmp(Arp + 8, Frame + 6, 6) != 0)
    {
        ModelDrop(Verdict, NetDropArpSender);
    }
    else if (memcmp(Arp + 14, OurIp, 4) == 0)
    {
        ModelDrop(Verdict, NetDropArpConflict);
    }
    else if (memcmp(Arp + 24, OurIp, 4) != 0)
    {
        ModelDrop(Verdict, NetDropArpTarget);
    }
    else
    {
        memcpy(Out, Format, 6);
        NaivePut16(Out + 6, 2);
        memcpy(Out + 8, OurMac, 6);
        memcpy(Out + 14, OurIp, 4);
        memcpy(Out + 18, Arp + 8, 6);
        memcpy(Out + 24, Arp + 14, 4);
        Verdict->Counter = NetArpReplies;
        Verdict->Length = 14 + 28;
    }
}

/* Length is the message's; Out the reply's payload. */
static inline void ModelIcmp(VERDICT *Verdict, const UCHAR *Message, ULONG Length, UCHAR *Out)
{
    if (Length < 8)
    {
        ModelDrop(Verdict, NetDropIcmpShort);
    }
    else if (Message[0] != 8 || Message[1] != 0)
    {
        ModelDrop(Verdict, NetDropIcmpType);
    }
    else if (NaiveSum(Message, Length, 0) != 0xFFFF)
    {
        ModelDrop(Verdict, NetDropIcmpChecksum);
    }
    else
    {
        memcpy(Out, Message, Length);
        Out[0] = 0;
        NaivePut16(Out + 2, 0);
        NaivePut16(Out + 2, ~NaiveSum(Out, Length, 0));
        Verdict->Counter = NetIcmpReplies;
        Verdict->Length = 34 + Length;
    }
}

static inline void ModelUdp(VERDICT *Verdict, const UCHAR *Ip, const UCHAR *Datagram, ULONG Length,
                            UCHAR *Out)
{
    ULONG Own = Length >= 8 ? NaiveGet16(Datagram + 4) : 0;

    if (Length < 8)
    {
        ModelDrop(Verdict, NetDropUdpShort);
    }
    else if (Own < 8 || Own > Length)
    {
        ModelDrop(Verdict, NetDropUdpLength);
    }
    else if (NaiveGet16(Datagram + 2) != 7)
    {
        ModelDrop(Verdict, NetDropUdpPort);
    }
    else if (NaiveGet16(Datagram) == 0 || NaiveGet16(Datagram) == 7)
    {
        ModelDrop(Verdict, NetDropUdpSource);
    }
    else if (NaiveGet16(Datagram + 6) != 0 &&
             NaiveUdpSum(Ip + 12, Ip + 16, Datagram, Own) != 0xFFFF)
    {
        ModelDrop(Verdict, NetDropUdpChecksum);
    }
    else
    {
        ULONG Checksum;

        memcpy(Out, Datagram, Own);
        memcpy(Out, Datagram + 2, 2);
        memcpy(Out + 2, Datagram, 2);
        NaivePut16(Out + 6, 0);
        Checksum = ~NaiveUdpSum(Ip + 16, Ip + 12, Out, Own) & 0xFFFF;
        NaivePut16(Out + 6, Checksum == 0 ? 0xFFFF : Checksum);
        Verdict->Counter = NetUdpReplies;
        Verdict->Length = 34 + Own;
    }
}

static inline BOOLEAN ModelIsBadSource(const UCHAR *Ip)
{
    return Ip[0] == 0 || Ip[0] == 127 || Ip[0] >= 224 || memcmp(Ip, OurIp, 4) == 0 ||
           memcmp(Ip, SubnetBroadcastIp, 4) == 0;
}

static inline void ModelIp(VERDICT *Verdict, const UCHAR *Ip, ULONG Length, ULONG ReplySize)
{
    ULONG Header;
    ULONG Total;
    UCHAR *Out = Verdict->Reply + 14;

    if (Length < 20)
    {
        ModelDrop(Verdict, NetDropIpShort);
        return;
    }
    if (Ip[0] >> 4 != 4)
    {
        ModelDrop(Verdict, NetDropIpVersion);
        return;
    }
    Header = 4 * (Ip[0] & 15u);
    if (Header < 20 || Header > Length)
    {
        ModelDrop(Verdict, NetDropIpHeaderLength);
        return;
    }
    Total = NaiveGet16(Ip + 2);
    if (Total < Header || Total > Length)
    {
        ModelDrop(Verdict, NetDropIpTotalLength);
        return;
    }
    if (NaiveSum(Ip, Header, 0) != 0xFFFF)
    {
        ModelDrop(Verdict, NetDropIpChecksum);
        return;
    }
    if ((NaiveGet16(Ip + 6) & 0x3FFF) != 0)
    {
        ModelDrop(Verdict, NetDropIpFragment);
        return;
    }
    if (Ip[8] == 0)
    {
        ModelDrop(Verdict, NetDropIpTimeToLive);
        return;
    }
    if (memcmp(Ip + 16, OurIp, 4) != 0)
    {
        ModelDrop(Verdict, NetDropIpDestination);
        return;
    }
    if (ModelIsBadSource(Ip + 12))
    {
        ModelDrop(Verdict, NetDropIpSource);
        return;
    }
    if (34 + Total - Header > ReplySize)
    {
        ModelDrop(Verdict, NetDropReplySize);
        return;
    }

    if (Ip[9] == 1)
    {
        ModelIcmp(Verdict, Ip + Header, Total - Header, Out + 20);
    }
    else if (Ip[9] == 17)
    {
        ModelUdp(Verdict, Ip, Ip + Header, Total - Header, Out + 20);
    }
    else
    {
        ModelDrop(Verdict, NetDropIpProtocol);
    }

    if (Verdict->Length != 0)
    {
        memset(Out, 0, 20);
        Out[0] = 0x45;
        Out[1] = Ip[1];
        NaivePut16(Out + 2, Verdict->Length - 14);
        NaivePut16(Out + 6, 0x4000);
        Out[8] = 64;
        Out[9] = Ip[9];
        memcpy(Out + 12, Ip + 16, 4);
        memcpy(Out + 16, Ip + 12, 4);
        NaivePut16(Out + 10, ~NaiveSum(Out, 20, 0));
    }
}

static inline void Model(VERDICT *Verdict, const UCHAR *Frame, ULONG Length, ULONG ReplySize)
{
    ULONG Type = Length >= 14 ? NaiveGet16(Frame + 12) : 0;
    BOOLEAN Ours = Length >= 14 && memcmp(Frame, OurMac, 6) == 0;
    BOOLEAN Everybody = Length >= 14 && memcmp(Frame, BroadcastMac, 6) == 0;

    memset(Verdict, 0, sizeof(*Verdict));

    if (Length < 14)
    {
        ModelDrop(Verdict, NetDropFrameShort);
    }
    else if (ReplySize < 60)
    {
        ModelDrop(Verdict, NetDropReplySize);
    }
    else if (Frame[6] & 1)
    {
        ModelDrop(Verdict, NetDropFrameSource);
    }
    else if (!Ours && !(Everybody && Type == 0x0806))
    {
        ModelDrop(Verdict, NetDropFrameDestination);
    }
    else if (Type == 0x0806)
    {
        ModelArp(Verdict, Frame, Length);
    }
    else if (Type == 0x0800)
    {
        ModelIp(Verdict, Frame + 14, Length - 14, ReplySize);
    }
    else
    {
        ModelDrop(Verdict, NetDropFrameType);
    }

    if (Verdict->Length != 0)
    {
        memcpy(Verdict->Reply, Frame + 6, 6);
        memcpy(Verdict->Reply + 6, OurMac, 6);
        NaivePut16(Verdict->Reply + 12, Type);
        if (Verdict->Length < 60)
        {
            Verdict->Length = 60; /* the reply was zeroed */
        }
    }
}

/* ------------------------------------------------------------------ Running the real thing. */

static NET_INTERFACE Interface;

static inline int SetUp(void **State)
{
    static const NET_ADDRESS Address = {{10, 0, 2, 15}, 24};

    (void)State;
    memset(&Interface, 0, sizeof(Interface));
    memcpy(Interface.MacAddress, OurMac, 6);
    return NetSetAddress(&Interface, &Address) ? 0 : -1;
}

/* Every frame is counted once as received and once as what became of it. */
static inline void AssertConserved(void)
{
    ULONG64 Sum = 0;

    for (ULONG i = NetFramesReceived + 1; i < NetCounterMaximum; i++)
    {
        Sum += Interface.Counters[i];
    }
    assert_int_equal(Interface.Counters[NetFramesReceived], Sum);
}

/* Processes Length bytes of Frame, and checks counter and reply against the model. Returns the
 * verdict, which stays valid until the next call. */
static const VERDICT *RunSized(const UCHAR *Frame, ULONG Length, ULONG ReplySize)
{
    static VERDICT Verdict;
    UCHAR *In = malloc(Length);
    UCHAR *Out = malloc(ReplySize);
    ULONG64 Before[NetCounterMaximum];
    ULONG ReplyLength;

    memcpy(Before, Interface.Counters, sizeof(Before));
    if (Length != 0)
    {
        memcpy(In, Frame, Length);
    }
    if (ReplySize != 0)
    {
        memset(Out, FILL, ReplySize);
    }

    Model(&Verdict, Frame, Length, ReplySize);
    ReplyLength = NetProcessFrame(&Interface, In, Length, Out, ReplySize);

    assert_int_equal(ReplyLength, Verdict.Length);
    if (ReplyLength != 0)
    {
        assert_memory_equal(Out, Verdict.Reply, ReplyLength);
    }
    if (Length != 0)
    {
        assert_memory_equal(In, Frame, Length);
    }
    for (ULONG i = 0; i < NetCounterMaximum; i++)
    {
        ULONG64 Expected = i == NetFramesReceived || i == Verdict.Counter ? 1 : 0;

        assert_int_equal(Interface.Counters[i] - Before[i], Expected);
    }
    AssertConserved();

    free(In);
    free(Out);
    return &Verdict;
}

static const VERDICT *Run(const UCHAR *Frame, ULONG Length)
{
    return RunSized(Frame, Length, NET_FRAME_MAXIMUM);
}

static inline void AssertCounted(const UCHAR *Frame, ULONG Length, NET_COUNTER Counter)
{
    assert_int_equal(Run(Frame, Length)->Counter, Counter);
}

/* ------------------------------------------------------------------ Building requests. */

static inline ULONG BuildFrame(UCHAR *Frame, const UCHAR *Destination, ULONG Type)
{
    memcpy(Frame, Destination, 6);
    memcpy(Frame + 6, PeerMac, 6);
    NaivePut16(Frame + 12, Type);
    return 14;
}

static inline ULONG BuildArp(UCHAR *Frame, const UCHAR *Destination)
{
    static const UCHAR Request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    UCHAR *Arp = Frame + BuildFrame(Frame, Destination, 0x0806);

    memcpy(Arp, Request, 8);
    memcpy(Arp + 8, PeerMac, 6);
    memcpy(Arp + 14, PeerIp, 4);
    memset(Arp + 18, 0, 6);
    memcpy(Arp + 24, OurIp, 4);
    return 14 + 28;
}

static inline void SealIp(UCHAR *Frame)
{
    UCHAR *Ip = Frame + 14;

    NaivePut16(Ip + 10, 0);
    NaivePut16(Ip + 10, ~NaiveSum(Ip, 4 * (Ip[0] & 15u), 0));
}

/* An IPv4 frame with OptionWords of options; the payload, of PayloadLength bytes, is the caller's
 * to fill in. Returns the frame's length. */
static inline ULONG BuildIp(UCHAR *Frame, ULONG Protocol, ULONG OptionWords, ULONG PayloadLength)
{
    UCHAR *Ip = Frame + BuildFrame(Frame, OurMac, 0x0800);
    ULONG Header = 20 + 4 * OptionWords;

    memset(Ip, 1, Header); /* options of type 1: no operation */
    Ip[0] = (UCHAR)(0x40 | Header / 4);
    Ip[1] = 0x10;
    NaivePut16(Ip + 2, Header + PayloadLength);
    NaivePut16(Ip + 4, 0x1234);
    NaivePut16(Ip + 6, 0x4000);
    Ip[8] = 63;
    Ip[9] = (UCHAR)Protocol;
    memcpy(Ip + 12, PeerIp, 4);
    memcpy(Ip + 16, OurIp, 4);
    SealIp(Frame);
    return 14 + Header + PayloadLength;
}

static inline void SealIcmp(UCHAR *Message, ULONG Length)
{
    NaivePut16(Message + 2, 0);
    NaivePut16(Message + 2, ~NaiveSum(Message, Length, 0));
}

/* An echo request with DataLength bytes of data. */
static inline ULONG BuildPing(UCHAR *Frame, ULONG OptionWords, ULONG DataLength)
{
    ULONG Length = BuildIp(Frame, 1, OptionWords, 8 + DataLength);
    UCHAR *Message = Frame + 34 + 4 * OptionWords;

    Message[0] = 8;
    Message[1] = 0;
    NaivePut16(Message + 4, 0xBEEF);
    NaivePut16(Message + 6, 7);
    for (ULONG i = 0; i < DataLength; i++)
    {
        Message[8 + i] = (UCHAR)HostRandom();
    }
    SealIcmp(Message, 8 + DataLength);
    return Length;
}

static inline void SealUdp(UCHAR *Frame)
{
    UCHAR *Ip = Frame + 14;
    UCHAR *Datagram = Ip + 4 * (Ip[0] & 15u);
    ULONG Checksum;

    NaivePut16(Datagram + 6, 0);
    Checksum = ~NaiveUdpSum(Ip + 12, Ip + 16, Datagram, NaiveGet16(Datagram + 4)) & 0xFFFF;
    NaivePut16(Datagram + 6, Checksum == 0 ? 0xFFFF : Checksum);
}

/* A datagram to port 7 with DataLength bytes, checksummed. */
static inline ULONG BuildUdp(UCHAR *Frame, ULONG OptionWords, ULONG DataLength)
{
    ULONG Length = BuildIp(Frame, 17, OptionWords, 8 + DataLength);
    UCHAR *Datagram = Frame + 34 + 4 * OptionWords;

    NaivePut16(Datagram, 40000);
    NaivePut16(Datagram + 2, 7);
    NaivePut16(Datagram + 4, 8 + DataLength);
    for (ULONG i = 0; i < DataLength; i++)
    {
        Datagram[8 + i] = (UCHAR)HostRandom();
    }
    SealUdp(Frame);
    return Length;
}
