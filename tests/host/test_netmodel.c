/* SPDX-License-Identifier: MIT */
/*
 * test_netmodel.c - the responder's parsers (drivers/net) against the model of test_net.h, by
 * exhaustion and at random: every length, every truncation, every corrupted byte, every checksum,
 * every size of reply buffer.
 */
#include "test_net.h"

static void PingOfEveryLength(void **State)
{
    UCHAR Frame[2048];

    (void)State;
    for (ULONG Data = 0; Data <= 1472; Data++)
    {
        ULONG Length = BuildPing(Frame, 0, Data);

        assert_int_equal(Run(Frame, Length)->Counter, NetIcmpReplies);
    }
}

/* The incremental update at its edges: choose the identifier so that the request's checksum takes
 * every value near the carry. */
static void PingOfEveryChecksum(void **State)
{
    UCHAR Frame[64];

    (void)State;
    for (ULONG Identifier = 0; Identifier <= 0xFFFF; Identifier++)
    {
        ULONG Length = BuildPing(Frame, 0, 0);

        NaivePut16(Frame + 38, Identifier);
        NaivePut16(Frame + 40, 0);
        SealIcmp(Frame + 34, 8);
        assert_int_equal(Run(Frame, Length)->Counter, NetIcmpReplies);
    }
}

static void UdpOfEveryLength(void **State)
{
    UCHAR Frame[2048];

    (void)State;
    for (ULONG Data = 0; Data <= 1472; Data++)
    {
        ULONG Length = BuildUdp(Frame, 0, Data);

        assert_int_equal(Run(Frame, Length)->Counter, NetUdpReplies);

        /* without a checksum: the reply has one all the same */
        NaivePut16(Frame + 40, 0);
        assert_int_equal(Run(Frame, Length)->Counter, NetUdpReplies);
    }
}

/* A checksum that comes out as 0 is sent as 0xFFFF, both ways. */
static void UdpChecksumZero(void **State)
{
    UCHAR Frame[64];
    ULONG Length = 0;
    ULONG Hits = 0;

    (void)State;
    for (ULONG Word = 0; Word <= 0xFFFF; Word++)
    {
        const VERDICT *Verdict;

        Length = BuildUdp(Frame, 0, 2);
        NaivePut16(Frame + 42, Word);
        NaivePut16(Frame + 40, 0);
        Verdict = Run(Frame, Length);
        assert_int_equal(Verdict->Counter, NetUdpReplies);
        Hits += NaiveGet16(Verdict->Reply + 40) == 0xFFFF;

        SealUdp(Frame);
        assert_int_equal(Run(Frame, Length)->Counter, NetUdpReplies);
    }
    assert_true(Hits > 0);
}

static ULONG BuildAny(UCHAR *Frame, ULONG Kind)
{
    switch (Kind)
    {
    case 0:
        return BuildArp(Frame, BroadcastMac);
    case 1:
        return BuildPing(Frame, 0, 57);
    case 2:
        return BuildPing(Frame, 3, 8);
    case 3:
        return BuildUdp(Frame, 0, 31);
    default:
        return BuildUdp(Frame, 10, 2);
    }
}

#define KINDS 5

static void TruncationAtEveryLength(void **State)
{
    UCHAR Frame[256];

    (void)State;
    for (ULONG Kind = 0; Kind < KINDS; Kind++)
    {
        ULONG Length = BuildAny(Frame, Kind);

        for (ULONG i = 0; i < Length; i++)
        {
            assert_int_equal(Run(Frame, i)->Length, 0);
        }
        assert_int_not_equal(Run(Frame, Length)->Length, 0);
    }
}

static void EverySingleByteCorruption(void **State)
{
    UCHAR Frame[256];

    (void)State;
    for (ULONG Kind = 0; Kind < KINDS; Kind++)
    {
        ULONG Length = BuildAny(Frame, Kind);

        for (ULONG i = 0; i < Length; i++)
        {
            for (ULONG Flip = 1; Flip < 256; Flip++)
            {
                Frame[i] ^= (UCHAR)Flip;
                Run(Frame, Length);
                Frame[i] ^= (UCHAR)Flip;
            }
        }
    }
}

static void EveryReplySize(void **State)
{
    UCHAR Frame[256];

    (void)State;
    for (ULONG Kind = 0; Kind < KINDS; Kind++)
    {
        ULONG Length = BuildAny(Frame, Kind);

        for (ULONG Size = 0; Size <= 256; Size++)
        {
            RunSized(Frame, Length, Size);
        }
        assert_int_equal(RunSized(Frame, Length, 59)->Counter, NetDropReplySize);
    }
    for (ULONG Length = BuildPing(Frame, 0, 100), Size = 60; Size < Length; Size++)
    {
        assert_int_equal(RunSized(Frame, Length, Size)->Counter, NetDropReplySize);
    }
}

/* Valid frames with a few random bytes replaced, headers resealed half of the time so that the
 * damage reaches the inner layers, and cut or extended at random. */
static void RandomFrames(void **State)
{
    UCHAR Frame[2048];

    (void)State;
    for (ULONG Round = 0; Round < 200000; Round++)
    {
        ULONG Kind = (ULONG)HostRandomBelow(KINDS);
        ULONG Length = BuildAny(Frame, Kind);
        ULONG Changes = (ULONG)HostRandomBelow(4);

        for (ULONG i = 0; i < Changes; i++)
        {
            Frame[HostRandomBelow(Length)] = (UCHAR)HostRandom();
        }
        if (Kind != 0 && HostRandomBelow(2) && (Frame[14] & 15) >= 5 &&
            14 + 4 * (Frame[14] & 15u) <= Length)
        {
            SealIp(Frame);
        }
        if (HostRandomBelow(4) == 0)
        {
            Length = (ULONG)HostRandomBelow(Length + 32);
        }
        Run(Frame, Length);
    }

    for (ULONG Round = 0; Round < 50000; Round++)
    {
        ULONG Length = (ULONG)HostRandomBelow(100);

        for (ULONG i = 0; i < Length; i++)
        {
            Frame[i] = (UCHAR)HostRandom();
        }
        memcpy(Frame, OurMac, 6);
        Frame[6] &= 0xFE;
        NaivePut16(Frame + 12, HostRandomBelow(2) ? 0x0800 : 0x0806);
        Run(Frame, Length);
    }
}

#define NET_TEST(Name) cmocka_unit_test_setup(Name, SetUp)

HOST_MAIN(NET_TEST(TruncationAtEveryLength), NET_TEST(EverySingleByteCorruption),
          NET_TEST(EveryReplySize), NET_TEST(RandomFrames), NET_TEST(PingOfEveryLength),
          NET_TEST(PingOfEveryChecksum), NET_TEST(UdpOfEveryLength), NET_TEST(UdpChecksumZero))
