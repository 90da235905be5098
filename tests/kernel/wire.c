/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the network from outside: whatever the host sends, each frame is accounted for.
 *
 * The explicit suite "wire" is one half of a test whose other half is the host (run-ping in
 * tests/harness), which pings, floods and sends frames that must be dropped. Meanwhile this half
 * moves the interrupt line and the DPC from processor to processor. When the wire has been silent
 * for a while it balances the books and prints every counter, for the host to compare.
 */
#include <interrupt.h>
#include <netport.h>

#include "kt.h"
#include "nic.h"

#define MAXIMUM_NICS 4
#define FIRST_FRAME_LIMIT KT_SECONDS(60)
#define WHOLE_LIMIT KT_SECONDS(240)
#define SILENCE KT_SECONDS(3)
#define MOVE_US 5000

typedef struct _WIRE
{
    PDEVICE_OBJECT Devices[MAXIMUM_NICS];
    ULONG Count;
    ULONG Moves;
} WIRE, *PWIRE;

static VOID FindNics(PWIRE Wire)
{
    while (Wire->Count < MAXIMUM_NICS)
    {
        PDEVICE_OBJECT Device = IopFindDevice("e1000", Wire->Count);

        if (Device == NULL)
        {
            break;
        }
        Wire->Devices[Wire->Count++] = Device;
    }
}

static ULONG64 CountFrames(PWIRE Wire)
{
    E1000_STATISTICS Statistics;
    ULONG64 Frames = 0;

    for (ULONG Nic = 0; Nic < Wire->Count; Nic++)
    {
        KtNicQuery(Wire->Devices[Nic], &Statistics);
        Frames += Statistics.RxFrames;
    }
    return Frames;
}

/* Every line to the next processor, every second time every DPC too: all pairs come up. */
static VOID MoveOn(PWIRE Wire)
{
    ULONG Processors = KeQueryActiveProcessorCountEx(0);
    ULONG LineTarget = ++Wire->Moves % Processors;
    ULONG DpcTarget = Wire->Moves / Processors % Processors;
    E1000_STATISTICS Statistics;

    for (ULONG Nic = 0; Nic < Wire->Count; Nic++)
    {
        KtNicQuery(Wire->Devices[Nic], &Statistics);
        if (!Statistics.Polling)
        {
            KiRetargetInterrupt(KiFirstInterrupt(Statistics.Vector), LineTarget);
        }
        KtNicControl(Wire->Devices[Nic], IOCTL_E1000_SET_DPC_TARGET, &DpcTarget, sizeof(DpcTarget));
    }
}

/* FALSE if no frame came, or they never stopped. */
static BOOLEAN ServeUntilSilent(PWIRE Wire)
{
    ULONG64 Start = KtNow(), LastChange = Start;
    ULONG64 First = CountFrames(Wire), Seen = First;

    for (;;)
    {
        ULONG64 Now = KtNow();
        ULONG64 Frames = CountFrames(Wire);

        if (Frames != Seen)
        {
            Seen = Frames;
            LastChange = Now;
        }
        if (Seen != First && Now - LastChange > SILENCE)
        {
            return TRUE;
        }
        if ((Seen == First && Now - Start > FIRST_FRAME_LIMIT) || Now - Start > WHOLE_LIMIT)
        {
            return FALSE;
        }
        MoveOn(Wire);
        KeStallExecutionProcessor(MOVE_US);
    }
}

static VOID AddClassCounters(PDEVICE_OBJECT Device, ULONG64 Delivered,
                             ULONG64 Totals[NetCounterMaximum])
{
    NET_STATISTICS Statistics = {0};
    ULONG64 Others = 0;

    KtNicControl(Device, IOCTL_NET_QUERY_STATISTICS, &Statistics, sizeof(Statistics));
    for (ULONG Counter = 0; Counter < NetCounterMaximum; Counter++)
    {
        Totals[Counter] += Statistics.Counters[Counter];
        Others += Counter != NetFramesReceived ? Statistics.Counters[Counter] : 0;
    }
    KT_CHECK(Statistics.Counters[NetFramesReceived] == Others, "%llu received, %llu accounted for",
             Statistics.Counters[NetFramesReceived], Others);
    KT_CHECK(Statistics.Counters[NetFramesReceived] == Delivered, "%llu received, %llu delivered",
             Statistics.Counters[NetFramesReceived], Delivered);
}

static VOID NothingLost(VOID)
{
    ULONG64 Totals[NetCounterMaximum] = {0};
    WIRE Wire = {0};

    FindNics(&Wire);
    KT_REQUIRE(Wire.Count != 0, "no e1000 here");
    KiLog(KiLogInfo, "wire: ready");
    KT_CHECK(ServeUntilSilent(&Wire), "no frame came, or the wire was never silent");
    for (ULONG Nic = 0; Nic < Wire.Count; Nic++)
    {
        E1000_STATISTICS Statistics;

        KtNicSettle(Wire.Devices[Nic], &Statistics);
        KtCheckBooks(&Statistics);
        AddClassCounters(Wire.Devices[Nic], Statistics.RxDelivered, Totals);
        KtNote("NIC %u: %llu frames, %llu interrupts, %llu DPC runs, ISR on %llx, DPC on %llx", Nic,
               Statistics.RxFrames, Statistics.InterruptsSeen, Statistics.DpcRuns,
               Statistics.IsrProcessors, Statistics.DpcProcessors);
    }
    for (ULONG Counter = 0; Counter < NetCounterMaximum; Counter++)
    {
        KtNote("counter %s %llu", NetCounterNames[Counter], Totals[Counter]);
    }
    KtNote("line and DPC moved %u times", Wire.Moves);
}

static const KT_CASE Cases[] = {
    {"L40-nothing-lost", NothingLost, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtWireSuite, "wire", Cases);
