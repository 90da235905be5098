/* SPDX-License-Identifier: MIT */
/*
 * outsidenic.c - what the network card's driver counts, for scenarios that break the card.
 *
 * A second page beside the desk (outside.h): lines of text, "NAME VALUE", written anew before each
 * answer, so that the host needs to know no layout. The host finds it by the log.
 */
#include <mm.h>
#include <netport.h>

#include "nic.h"
#include "outside.h"

#define PAGE_SIZE_TEXT 4096
#define NIC_NAME "nic."

typedef struct DECLSPEC_ALIGN(4096) _NIC_DESK
{
    CHAR Text[PAGE_SIZE_TEXT];
} NIC_DESK;

static NIC_DESK NicDesk;
static ULONG NicLength;
static PDEVICE_OBJECT NicDevice; /* NULL: there is no card, and nothing to say */

static VOID Say(PCSTR Prefix, PCSTR Name, ULONG64 Value)
{
    SIZE_T Left = sizeof(NicDesk.Text) - NicLength;
    CHAR Line[80];

    RtlStringCbPrintfA(Line, sizeof(Line), "%s%s %llu\n", Prefix, Name, Value);
    if (strlen(Line) < Left)
    {
        RtlCopyMemory(NicDesk.Text + NicLength, Line, strlen(Line) + 1);
        NicLength += (ULONG)strlen(Line);
    }
}

static VOID SayPort(const E1000_STATISTICS *S)
{
    const struct
    {
        PCSTR Name;
        ULONG64 Value;
    } Values[] = {
        {"time", KtNow() / KT_MILLISECONDS(1)},
        {"gsi", S->Gsi},
        {"link", S->LinkUp},
        {"polling", S->Polling},
        {"vanished", S->Vanished},
        {"detached", S->Detached},
        {"isr_claimed", S->IsrClaimed},
        {"isr_unclaimed", S->IsrUnclaimed},
        {"dpc_runs", S->DpcRuns},
        {"dpc_requeued", S->DpcRequeued},
        {"lost", S->LostInterrupts},
        {"resets", S->RingResets},
        {"link_changes", S->LinkChanges},
        {"rx_frames", S->RxFrames},
        {"rx_delivered", S->RxDelivered},
        {"rx_overruns", S->RxOverruns},
        {"rx_pauses", S->RxPauses},
        {"rx_long", S->RxDeviceOversize},
        {"rx_missed", S->RxDeviceMissed},
        {"tx_queued", S->TxQueued},
        {"tx_aborted", S->TxAborted},
        {"tx_in_flight", S->TxInFlight},
        {"tx_refused", S->TxSendsRefused},
    };

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Values); Index++)
    {
        Say(NIC_NAME, Values[Index].Name, Values[Index].Value);
    }
    for (ULONG Kind = 0; Kind < E1000RxDropMaximum; Kind++)
    {
        Say("", E1000RxDropNames[Kind], S->RxDropped[Kind]);
    }
}

VOID KtOpenNicDesk(VOID)
{
    ULONG Twin = KtNicTwin();

    NicDevice = IopFindDevice("e1000", 0);
    if (NicDevice == NULL)
    {
        return;
    }
#if DBG
    KtNicControl(NicDevice, IOCTL_E1000_SET_TWIN, &Twin, sizeof(Twin));
#else
    UNREFERENCED_PARAMETER(Twin);
#endif
    KtFillNicDesk();
    KiLog(KiLogInfo, "outside: network desk at %llx",
          (ULONG64)MmGetPhysicalAddress(NicDesk.Text).QuadPart);
}

/* As slow as the host wants the driver to be. */
static VOID ObeyHost(VOID)
{
#if DBG
    static BOOLEAN Slow;
    BOOLEAN Wanted = (KtDesk.Argument & OUTSIDE_SLOW_NIC) != 0;
    E1000_DELAY Delay = {.Microseconds = Wanted ? E1000_DELAY_MAXIMUM : 0,
                         .Seed = (ULONG)KiOptions.Seed};

    if (Wanted != Slow)
    {
        Slow = Wanted;
        KtNicControl(NicDevice, IOCTL_E1000_SET_DELAY, &Delay, sizeof(Delay));
    }
#endif
}

VOID KtFillNicDesk(VOID)
{
    NET_STATISTICS Net = {0};
    E1000_STATISTICS Statistics;

    if (NicDevice == NULL)
    {
        return;
    }
    ObeyHost();
    NicLength = 0;
    KtNicQuery(NicDevice, &Statistics);
    SayPort(&Statistics);
    KtNicControl(NicDevice, IOCTL_NET_QUERY_STATISTICS, &Net, sizeof(Net));
    for (ULONG Counter = 0; Counter < NetCounterMaximum; Counter++)
    {
        Say("", NetCounterNames[Counter], Net.Counters[Counter]);
    }
}

/* The responder announces an address that it is given: a card that is gone must refuse. */
static VOID CheckSendFails(ULONG64 Before)
{
    NET_STATISTICS Net = {0};
    E1000_STATISTICS Now;

    KtNicControl(NicDevice, IOCTL_NET_QUERY_STATISTICS, &Net, sizeof(Net));
    KtNicControl(NicDevice, IOCTL_NET_SET_ADDRESS, &Net.Address, sizeof(Net.Address));
    KtNicQuery(NicDevice, &Now);
    KT_CHECK(Now.TxSendsRefused == Before + 1, "%llu sends refused before, %llu after", Before,
             Now.TxSendsRefused);
}

VOID KtCloseNicDesk(VOID)
{
    E1000_STATISTICS Statistics;

    if (NicDevice == NULL)
    {
        return;
    }
    KtNicSettle(NicDevice, &Statistics);
    KtCheckBooks(&Statistics);
    KT_CHECK(Statistics.TxInFlight == 0, "%llu frames in flight on a silent wire",
             Statistics.TxInFlight);
    if (Statistics.Detached)
    {
        CheckSendFails(Statistics.TxSendsRefused);
    }
    KtNote("%llu frames, %llu interrupts lost, %llu resets", Statistics.RxFrames,
           Statistics.LostInterrupts, Statistics.RingResets);
}
