/* SPDX-License-Identifier: MIT */
/*
 * test_net.c - the responder's parsers (drivers/net), case by case: each path, each kind of drop,
 * the checksum's arithmetic. test_netmodel.c tries the same parsers on everything in between.
 */
#include "test_net.h"

/* ------------------------------------------------------------------ The checksum. */

static USHORT Swap16(ULONG Value)
{
    return (USHORT)(Value << 8 | (Value & 0xFFFF) >> 8);
}

static void ChecksumMatchesOracleAtEveryLength(void **State)
{
    (void)State;
    for (ULONG Length = 0; Length <= 130; Length++)
    {
        for (ULONG Round = 0; Round < 20; Round++)
        {
            UCHAR *Data = malloc(Length);
            UCHAR *Copy = malloc(Length);
            USHORT Expected;

            for (ULONG i = 0; i < Length; i++)
            {
                /* every third round is all ones, where carries are densest */
                Data[i] = Round % 3 == 0 ? 0xFF : (UCHAR)HostRandom();
            }
            Expected = Swap16(NaiveSum(Data, Length, 0));

            assert_int_equal(NetSumFold(NetSum(Data, Length, 0)), Expected);
            assert_int_equal(NetSumFold(NetCopyAndSum(Copy, Data, Length, 0)), Expected);
            if (Length != 0)
            {
                assert_memory_equal(Copy, Data, Length);
            }
            free(Data);
            free(Copy);
        }
    }
}

static void ChecksumIgnoresOrderAndSplit(void **State)
{
    UCHAR Data[1500];
    USHORT Whole;

    (void)State;
    for (ULONG i = 0; i < sizeof(Data); i++)
    {
        Data[i] = (UCHAR)HostRandom();
    }
    Whole = NetSumFold(NetSum(Data, sizeof(Data), 0));

    for (ULONG Split = 0; Split <= sizeof(Data); Split += 2)
    {
        ULONG64 Tail = NetSum(Data + Split, sizeof(Data) - Split, 0);

        assert_int_equal(NetSumFold(NetSum(Data, Split, Tail)), Whole);
    }
}

/* RFC 1071 2(B): the sum of swapped words is the swapped sum. */
static void ChecksumSwapsWithItsWords(void **State)
{
    UCHAR Data[64];
    UCHAR Swapped[64];

    (void)State;
    for (ULONG Round = 0; Round < 1000; Round++)
    {
        for (ULONG i = 0; i < sizeof(Data); i += 2)
        {
            Data[i] = Swapped[i + 1] = (UCHAR)HostRandom();
            Data[i + 1] = Swapped[i] = (UCHAR)HostRandom();
        }
        assert_int_equal(NetSumFold(NetSum(Swapped, sizeof(Data), 0)),
                         Swap16(NetSumFold(NetSum(Data, sizeof(Data), 0))));
    }
}

static void ChecksumOverItselfIsValid(void **State)
{
    UCHAR Data[41];

    (void)State;
    for (ULONG Round = 0; Round < 1000; Round++)
    {
        for (ULONG i = 0; i < sizeof(Data); i++)
        {
            Data[i] = (UCHAR)HostRandom();
        }
        NetPut16(Data + 10, 0);
        NetPut16(Data + 10, (USHORT)~NetSumFold(NetSum(Data, sizeof(Data), 0)));
        assert_int_equal(NetSumFold(NetSum(Data, sizeof(Data), 0)), NET_SUM_VALID);
    }
}

static void ChecksumFoldsEveryEdge(void **State)
{
    static const ULONG64 Edges[] = {0,
                                    1,
                                    0xFFFF,
                                    0x10000,
                                    0x1FFFE,
                                    0xFFFFFFFF,
                                    0x100000000,
                                    0x1FFFFFFFE,
                                    0xFFFF0000FFFF0000,
                                    0xFFFFFFFF00000001,
                                    0x8000000000000000,
                                    0xFFFFFFFFFFFFFFFE,
                                    0xFFFFFFFFFFFFFFFF};

    (void)State;
    for (ULONG i = 0; i < sizeof(Edges) / sizeof(Edges[0]); i++)
    {
        /* a one's complement sum is the remainder by 0xFFFF, except that only 0 gives 0 */
        ULONG64 Expected = Edges[i] == 0 ? 0 : (Edges[i] - 1) % 0xFFFF + 1;

        assert_int_equal(NetSumFold(Edges[i]), Expected);
    }
    assert_true(NetSumAdd(~0ull, ~0ull) == ~0ull);
    assert_true(NetSumAdd(~0ull, 1) == 1);
    assert_true(NetSumAdd(~0ull, 0) == ~0ull);
    assert_true(NetSumAdd(1ull << 63, 1ull << 63) == 1);
}

/* ------------------------------------------------------------------ Ethernet and ARP. */

static void FrameDrops(void **State)
{
    UCHAR Frame[128];
    ULONG Length = BuildPing(Frame, 0, 56);

    (void)State;
    for (ULONG i = 0; i < 14; i++)
    {
        AssertCounted(Frame, i, NetDropFrameShort);
    }

    Frame[12] = 0x86;
    Frame[13] = 0xDD;
    AssertCounted(Frame, Length, NetDropFrameType);

    /* another station, a group, everybody: IPv4 is answered to none of them */
    BuildPing(Frame, 0, 56);
    Frame[5] ^= 1;
    AssertCounted(Frame, Length, NetDropFrameDestination);
    memcpy(Frame, "\x01\x00\x5E\x00\x00\x01", 6);
    AssertCounted(Frame, Length, NetDropFrameDestination);
    memcpy(Frame, BroadcastMac, 6);
    AssertCounted(Frame, Length, NetDropFrameDestination);

    BuildPing(Frame, 0, 56);
    Frame[6] |= 1;
    AssertCounted(Frame, Length, NetDropFrameSource);
}

static void ArpReplies(void **State)
{
    UCHAR Frame[64];
    ULONG Length = BuildArp(Frame, BroadcastMac);

    (void)State;
    AssertCounted(Frame, Length, NetArpReplies);

    Length = BuildArp(Frame, OurMac);
    AssertCounted(Frame, Length, NetArpReplies);

    /* a padded request, and an address probe (RFC 5227: sender 0.0.0.0) */
    memset(Frame + Length, 0x77, sizeof(Frame) - Length);
    AssertCounted(Frame, 60, NetArpReplies);
    memset(Frame + 28, 0, 4);
    AssertCounted(Frame, 60, NetArpReplies);
}

static void ArpDrops(void **State)
{
    UCHAR Frame[64];
    ULONG Length = BuildArp(Frame, BroadcastMac);

    (void)State;
    for (ULONG i = 14; i < Length; i++)
    {
        AssertCounted(Frame, i, NetDropArpShort);
    }
    for (ULONG i = 0; i < 6; i++)
    {
        BuildArp(Frame, BroadcastMac);
        Frame[14 + i] ^= 0x10;
        AssertCounted(Frame, Length, NetDropArpFormat);
    }

    BuildArp(Frame, BroadcastMac);
    Frame[21] = 2;
    AssertCounted(Frame, Length, NetDropArpOperation);

    BuildArp(Frame, BroadcastMac);
    Frame[27] ^= 1;
    AssertCounted(Frame, Length, NetDropArpSender);

    BuildArp(Frame, BroadcastMac);
    Frame[41] ^= 1;
    AssertCounted(Frame, Length, NetDropArpTarget);

    BuildArp(Frame, BroadcastMac);
    memcpy(Frame + 28, OurIp, 4);
    AssertCounted(Frame, Length, NetDropArpConflict);

    BuildArp(Frame, (const UCHAR *)"\x01\x00\x5E\x00\x00\x01");
    AssertCounted(Frame, Length, NetDropFrameDestination);
}

static void AnnouncementIsAGratuitousRequest(void **State)
{
    UCHAR *Frame = malloc(NET_FRAME_MINIMUM);
    UCHAR Expected[NET_FRAME_MINIMUM] = {0};

    (void)State;
    BuildArp(Expected, BroadcastMac);
    memcpy(Expected + 6, OurMac, 6);
    memcpy(Expected + 22, OurMac, 6);
    memcpy(Expected + 28, OurIp, 4);

    memset(Frame, FILL, NET_FRAME_MINIMUM);
    assert_int_equal(ArpBuildAnnouncement(&Interface, Frame), NET_FRAME_MINIMUM);
    assert_memory_equal(Frame, Expected, NET_FRAME_MINIMUM);
    free(Frame);
}

/* ------------------------------------------------------------------ IPv4. */

static void IpDrops(void **State)
{
    UCHAR Frame[128];
    UCHAR *Ip = Frame + 14;
    ULONG Length = BuildPing(Frame, 0, 56);

    (void)State;
    for (ULONG i = 14; i < 34; i++)
    {
        AssertCounted(Frame, i, NetDropIpShort);
    }
    for (ULONG i = 34; i < Length; i++)
    {
        AssertCounted(Frame, i, NetDropIpTotalLength);
    }

    Ip[0] = 0x65;
    AssertCounted(Frame, Length, NetDropIpVersion);
    Ip[0] = 0x44;
    AssertCounted(Frame, Length, NetDropIpHeaderLength);

    BuildIp(Frame, 1, 10, 0);
    AssertCounted(Frame, 14 + 59, NetDropIpHeaderLength);

    BuildPing(Frame, 0, 56);
    NaivePut16(Ip + 2, 19);
    AssertCounted(Frame, Length, NetDropIpTotalLength);
    NaivePut16(Ip + 2, Length - 14 + 1);
    AssertCounted(Frame, Length, NetDropIpTotalLength);

    BuildPing(Frame, 0, 56);
    Ip[1] ^= 1;
    AssertCounted(Frame, Length, NetDropIpChecksum);

    BuildPing(Frame, 0, 56);
    Ip[8] = 0;
    SealIp(Frame);
    AssertCounted(Frame, Length, NetDropIpTimeToLive);

    BuildPing(Frame, 0, 56);
    Ip[9] = 6;
    SealIp(Frame);
    AssertCounted(Frame, Length, NetDropIpProtocol);
}

static void IpFragments(void **State)
{
    UCHAR Frame[128];
    ULONG Length = BuildPing(Frame, 0, 56);

    (void)State;
    for (ULONG Bit = 0; Bit < 16; Bit++)
    {
        NaivePut16(Frame + 20, 1u << Bit);
        SealIp(Frame);
        /* bit 14 is don't-fragment, bit 15 reserved; the rest make a fragment */
        AssertCounted(Frame, Length, Bit < 14 ? NetDropIpFragment : NetIcmpReplies);
    }
}

static void IpAddresses(void **State)
{
    static const struct
    {
        UCHAR Address[4];
        NET_COUNTER AsSource;
    } Cases[] = {
        {{0, 0, 0, 0}, NetDropIpSource},        {{0, 1, 2, 3}, NetDropIpSource},
        {{127, 0, 0, 1}, NetDropIpSource},      {{224, 0, 0, 1}, NetDropIpSource},
        {{240, 1, 1, 1}, NetDropIpSource},      {{255, 255, 255, 255}, NetDropIpSource},
        {{10, 0, 2, 15}, NetDropIpSource},      {{10, 0, 2, 255}, NetDropIpSource},
        {{10, 0, 3, 255}, NetIcmpReplies},      {{1, 2, 3, 4}, NetIcmpReplies},
        {{223, 255, 255, 254}, NetIcmpReplies}, {{126, 0, 0, 1}, NetIcmpReplies},
    };
    UCHAR Frame[128];
    ULONG Length;

    (void)State;
    for (ULONG i = 0; i < sizeof(Cases) / sizeof(Cases[0]); i++)
    {
        Length = BuildPing(Frame, 0, 56);
        memcpy(Frame + 26, Cases[i].Address, 4);
        SealIp(Frame);
        AssertCounted(Frame, Length, Cases[i].AsSource);

        BuildPing(Frame, 0, 56);
        memcpy(Frame + 30, Cases[i].Address, 4);
        SealIp(Frame);
        AssertCounted(Frame, Length,
                      memcmp(Cases[i].Address, OurIp, 4) == 0 ? NetIcmpReplies
                                                              : NetDropIpDestination);
    }
}

static void IpOptionsAreSkipped(void **State)
{
    UCHAR Frame[256];

    (void)State;
    for (ULONG Words = 0; Words <= 10; Words++)
    {
        ULONG Length = BuildPing(Frame, Words, 33);

        assert_int_equal(Run(Frame, Length)->Length, 14 + 20 + 8 + 33);
        Length = BuildUdp(Frame, Words, 34);
        assert_int_equal(Run(Frame, Length)->Length, 14 + 20 + 8 + 34);
    }
}

static void PaddingIsNotEchoed(void **State)
{
    UCHAR Frame[256];
    ULONG Length = BuildPing(Frame, 0, 1);
    const VERDICT *Verdict;

    (void)State;
    memset(Frame + Length, 0x77, sizeof(Frame) - Length);

    /* the model's reply is zero past the message, and Run compares all 60 bytes */
    Verdict = Run(Frame, 60);
    assert_int_equal(Verdict->Length, 60);
    assert_int_equal(Verdict->Counter, NetIcmpReplies);
    assert_int_equal(Run(Frame, 200)->Length, 60);
}

/* ------------------------------------------------------------------ ICMP and UDP. */

static void IcmpDrops(void **State)
{
    UCHAR Frame[128];
    ULONG Length;

    (void)State;
    for (ULONG i = 0; i < 8; i++)
    {
        Length = BuildIp(Frame, 1, 0, i);
        memset(Frame + 34, 0, i);
        AssertCounted(Frame, Length, NetDropIcmpShort);
    }

    for (ULONG Type = 0; Type < 256; Type++)
    {
        Length = BuildPing(Frame, 0, 56);
        Frame[34] = (UCHAR)Type;
        SealIcmp(Frame + 34, 64);
        AssertCounted(Frame, Length, Type == 8 ? NetIcmpReplies : NetDropIcmpType);
    }

    Length = BuildPing(Frame, 0, 56);
    Frame[35] = 1;
    SealIcmp(Frame + 34, 64);
    AssertCounted(Frame, Length, NetDropIcmpType);

    BuildPing(Frame, 0, 56);
    Frame[50] ^= 0x80;
    AssertCounted(Frame, Length, NetDropIcmpChecksum);
}

static void UdpDrops(void **State)
{
    UCHAR Frame[128];
    UCHAR *Datagram = Frame + 34;
    ULONG Length;

    (void)State;
    for (ULONG i = 0; i < 8; i++)
    {
        Length = BuildIp(Frame, 17, 0, i);
        memset(Datagram, 0, i);
        AssertCounted(Frame, Length, NetDropUdpShort);
    }

    Length = BuildUdp(Frame, 0, 20);
    for (ULONG i = 0; i < 8; i++)
    {
        NaivePut16(Datagram + 4, i);
        AssertCounted(Frame, Length, NetDropUdpLength);
    }
    NaivePut16(Datagram + 4, 29);
    AssertCounted(Frame, Length, NetDropUdpLength);
    NaivePut16(Datagram + 4, 0xFFFF);
    AssertCounted(Frame, Length, NetDropUdpLength);

    /* shorter than the IP payload is legal: the rest is not the datagram's */
    NaivePut16(Datagram + 4, 27);
    SealUdp(Frame);
    assert_int_equal(Run(Frame, Length)->Length, 14 + 20 + 27);

    BuildUdp(Frame, 0, 20);
    NaivePut16(Datagram + 2, 9);
    SealUdp(Frame);
    AssertCounted(Frame, Length, NetDropUdpPort);
    NaivePut16(Datagram + 2, 0x0700);
    SealUdp(Frame);
    AssertCounted(Frame, Length, NetDropUdpPort);

    BuildUdp(Frame, 0, 20);
    NaivePut16(Datagram, 0);
    SealUdp(Frame);
    AssertCounted(Frame, Length, NetDropUdpSource);
    NaivePut16(Datagram, 7);
    SealUdp(Frame);
    AssertCounted(Frame, Length, NetDropUdpSource);

    BuildUdp(Frame, 0, 20);
    Datagram[20] ^= 4;
    AssertCounted(Frame, Length, NetDropUdpChecksum);
}

/* ------------------------------------------------------------------ Addresses and names. */

static void AddressesThatNoHostHas(void **State)
{
    static const NET_ADDRESS Bad[] = {
        {{0, 0, 0, 0}, 24},    {{0, 1, 1, 1}, 8},          {{127, 0, 0, 1}, 8},
        {{224, 0, 0, 1}, 24},  {{255, 255, 255, 255}, 32}, {{10, 0, 2, 0}, 24},
        {{10, 0, 2, 255}, 24}, {{10, 0, 2, 15}, 33},       {{10, 0, 2, 15}, 255},
        {{10, 0, 2, 15}, 28},  {{192, 168, 1, 3}, 30},
    };
    static const NET_ADDRESS Good[] = {
        {{10, 0, 2, 15}, 24},   {{10, 0, 2, 0}, 8},       {{192, 168, 1, 2}, 31},
        {{192, 168, 1, 3}, 31}, {{192, 168, 1, 255}, 32}, {{223, 1, 1, 1}, 0},
    };
    NET_INTERFACE Before;

    (void)State;
    for (ULONG i = 0; i < sizeof(Bad) / sizeof(Bad[0]); i++)
    {
        Before = Interface;
        assert_false(NetSetAddress(&Interface, &Bad[i]));
        assert_memory_equal(&Before, &Interface, sizeof(Before));
    }
    for (ULONG i = 0; i < sizeof(Good) / sizeof(Good[0]); i++)
    {
        assert_true(NetSetAddress(&Interface, &Good[i]));
        assert_memory_equal(&Interface.Address, Good[i].Address, 4);
    }

    assert_int_equal(Interface.SubnetBroadcast, 0xFFFFFFFF); /* 223.1.1.1/0 */
    assert_true(NetSetAddress(&Interface, &Good[2]));
    assert_int_equal(Interface.SubnetBroadcast, 0);
    assert_true(NetSetAddress(&Interface, &Good[1]));
    assert_int_equal(Interface.SubnetBroadcast, 0xFFFFFF0A); /* 10.255.255.255 as it lies */
}

static void EveryCounterHasItsName(void **State)
{
    (void)State;
    for (ULONG i = 0; i < NetCounterMaximum; i++)
    {
        assert_non_null(NetCounterNames[i]);
        for (ULONG j = 0; j < i; j++)
        {
            assert_string_not_equal(NetCounterNames[i], NetCounterNames[j]);
        }
    }
}

#define NET_TEST(Name) cmocka_unit_test_setup(Name, SetUp)

HOST_MAIN(NET_TEST(ChecksumMatchesOracleAtEveryLength), NET_TEST(ChecksumIgnoresOrderAndSplit),
          NET_TEST(ChecksumSwapsWithItsWords), NET_TEST(ChecksumOverItselfIsValid),
          NET_TEST(ChecksumFoldsEveryEdge), NET_TEST(FrameDrops), NET_TEST(ArpReplies),
          NET_TEST(ArpDrops), NET_TEST(AnnouncementIsAGratuitousRequest), NET_TEST(IpDrops),
          NET_TEST(IpFragments), NET_TEST(IpAddresses), NET_TEST(IpOptionsAreSkipped),
          NET_TEST(PaddingIsNotEchoed), NET_TEST(IcmpDrops), NET_TEST(UdpDrops),
          NET_TEST(AddressesThatNoHostHas), NET_TEST(EveryCounterHasItsName))
