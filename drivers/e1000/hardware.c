/* SPDX-License-Identifier: MIT */
/*
 * hardware.c - the device's registers outside the data path: reset, address, rings, link.
 *
 * The order is the manual's (317453, 14.3-14.5). Nothing is taken for granted that a register can
 * be told: an emulated device may answer a reset by clearing the reset bit and nothing else, and
 * the firmware may have left the receiver running. Every wait is bounded.
 */
#include "e1000.h"

#define E1000_RESET_POLLS 200            /* of 50 us: 10 ms for the reset bit to clear        */
#define E1000_EEPROM_LOAD 5000           /* us: the device reads its EEPROM after a reset      */
#define E1000_EEPROM_POLLS 200           /* of 50 us: 10 ms for one EEPROM word                */
#define E1000_DRAIN_TIME 10              /* us: a DMA in progress when the engines are stopped */
#define E1000_RESET_INTERVAL 10000000ull /* 100 ns units: one ring reset a second      */

/* CTRL bits that would force a speed, invert the link, tag frames, or send and obey pauses. */
#define E1000_CTRL_UNWANTED                                                                        \
    (1u << 3 | 1u << 7 | 1u << 11 | 1u << 12 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31)

static VOID E1000Wait(ULONG Microseconds)
{
    for (; Microseconds > 50; Microseconds -= 50)
    {
        KeStallExecutionProcessor(50);
    }
    KeStallExecutionProcessor(Microseconds);
}

VOID E1000QuietHardware(PE1000_EXTENSION Extension)
{
    E1000Write(Extension, E1000_IMC, MAXULONG);
    E1000Write(Extension, E1000_RCTL, 0);
    E1000Write(Extension, E1000_TCTL, 0);
    E1000Read(Extension, E1000_STATUS); /* posted writes have arrived */
    KeStallExecutionProcessor(E1000_DRAIN_TIME);
}

/* One 16-bit word of the EEPROM (5.3.1); FALSE if the device does not deliver it. */
static BOOLEAN E1000ReadEeprom(PE1000_EXTENSION Extension, ULONG Word, PUSHORT Value)
{
    E1000Write(Extension, E1000_EERD, E1000_EERD_START | Word << E1000_EERD_ADDRESS_SHIFT);

    for (ULONG i = 0; i < E1000_EEPROM_POLLS; i++)
    {
        ULONG Eerd = E1000Read(Extension, E1000_EERD);

        if (Eerd & E1000_EERD_DONE)
        {
            *Value = (USHORT)(Eerd >> E1000_EERD_DATA_SHIFT);
            return TRUE;
        }
        KeStallExecutionProcessor(50);
    }
    return FALSE;
}

/* A station has an individual address that is not all zeros. */
static BOOLEAN E1000IsStationAddress(const UCHAR *Mac)
{
    return !(Mac[0] & 1) && (Mac[0] | Mac[1] | Mac[2] | Mac[3] | Mac[4] | Mac[5]) != 0;
}

/* The station address: what the EEPROM says (words 0 to 2, 5.6.1), else what the firmware or the
 * reset left in receive address 0. Written back there, so the device filters by it. */
static BOOLEAN E1000ReadMac(PE1000_EXTENSION Extension)
{
    PUCHAR Mac = Extension->MacAddress;
    USHORT Words[3] = {0, 0, 0};
    ULONG Low;
    ULONG High;
    BOOLEAN Found = TRUE;

    for (ULONG i = 0; i < RTL_NUMBER_OF(Words) && Found; i++)
    {
        Found = E1000ReadEeprom(Extension, i, &Words[i]);
        Mac[2 * i] = (UCHAR)Words[i];
        Mac[2 * i + 1] = (UCHAR)(Words[i] >> 8);
    }

    if (!Found || !E1000IsStationAddress(Mac))
    {
        Low = E1000Read(Extension, E1000_RAL0);
        High = E1000Read(Extension, E1000_RAH0);
        for (ULONG i = 0; i < 4; i++)
        {
            Mac[i] = (UCHAR)(Low >> 8 * i);
        }
        Mac[4] = (UCHAR)High;
        Mac[5] = (UCHAR)(High >> 8);
    }

    if (!E1000IsStationAddress(Mac))
    {
        return FALSE;
    }

    /* Low before high: the valid bit is in the high word. */
    Low = Mac[0] | (ULONG)Mac[1] << 8 | (ULONG)Mac[2] << 16 | (ULONG)Mac[3] << 24;
    High = Mac[4] | (ULONG)Mac[5] << 8;
    E1000Write(Extension, E1000_RAL0, Low);
    E1000Write(Extension, E1000_RAH0, High | E1000_RAH_AV);
    return TRUE;
}

NTSTATUS E1000ResetHardware(PE1000_EXTENSION Extension)
{
    ULONG Control;
    ULONG Poll = 0;

    if (E1000Read(Extension, E1000_STATUS) == MAXULONG)
    {
        return STATUS_DEVICE_NOT_CONNECTED;
    }

    E1000QuietHardware(Extension);
    E1000Write(Extension, E1000_CTRL, E1000Read(Extension, E1000_CTRL) | E1000_CTRL_RST);

    /* The first microsecond after the write belongs to the device. */
    do
    {
        if (Poll++ == E1000_RESET_POLLS)
        {
            DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_ERROR_LEVEL, "e1000: reset does not end\n");
            return STATUS_IO_TIMEOUT;
        }
        KeStallExecutionProcessor(50);
    } while (E1000Read(Extension, E1000_CTRL) & E1000_CTRL_RST);

    E1000Wait(E1000_EEPROM_LOAD);
    E1000QuietHardware(Extension);
    E1000Read(Extension, E1000_ICR); /* causes and counts from before the reset */
    E1000Read(Extension, E1000_RUC);
    E1000Read(Extension, E1000_ROC);
    E1000Read(Extension, E1000_MPC);

    E1000Write(Extension, E1000_ITR, 0); /* interrupt at once, and once per batch: see dpc.c */
    E1000Write(Extension, E1000_RDTR, 0);
    E1000Write(Extension, E1000_RADV, 0);

    for (ULONG i = 0; i < E1000_MTA_WORDS; i++)
    {
        E1000Write(Extension, E1000_MTA + i * sizeof(ULONG), 0);
    }

    if (!E1000ReadMac(Extension))
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_ERROR_LEVEL, "e1000: no station address\n");
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }

    Control = E1000Read(Extension, E1000_CTRL) & ~E1000_CTRL_UNWANTED;
    E1000Write(Extension, E1000_CTRL, Control | E1000_CTRL_ASDE | E1000_CTRL_SLU);
    return STATUS_SUCCESS;
}

VOID E1000ProgramRings(PE1000_EXTENSION Extension)
{
    E1000_SHARED *Shared = Extension->Shared;
    ULONG64 RxRing = Extension->SharedAddress + FIELD_OFFSET(E1000_SHARED, RxRing);
    ULONG64 TxRing = Extension->SharedAddress + FIELD_OFFSET(E1000_SHARED, TxRing);

    for (ULONG i = 0; i < E1000_RING_SIZE; i++)
    {
        Shared->RxRing[i].BufferAddress = E1000RxBufferAddress(Extension, i);
        Shared->RxRing[i].Result = 0;
        Shared->TxRing[i].BufferAddress = E1000TxBufferAddress(Extension, i);
        Shared->TxRing[i].Command = 0;
        Shared->TxRing[i].Status = 0;
    }

    Extension->RxNext = 0;
    Extension->RxUnreturned = 0;
    Extension->RxEmptyInARow = 0;
    Extension->RxDiscard = FALSE;
    Extension->TxNext = 0;
    Extension->TxFlushed = 0;
    Extension->TxClean = 0;
    Extension->TxStuckSince = 0;
    Extension->LastLook.Valid = FALSE;

    E1000Write(Extension, E1000_RDBAL, (ULONG)RxRing);
    E1000Write(Extension, E1000_RDBAH, (ULONG)(RxRing >> 32));
    E1000Write(Extension, E1000_RDLEN, sizeof(Shared->RxRing));
    E1000Write(Extension, E1000_RDH, 0);
    E1000Write(Extension, E1000_RDT, E1000_RING_SIZE - 1); /* all but one: equal means empty */

    E1000Write(Extension, E1000_TDBAL, (ULONG)TxRing);
    E1000Write(Extension, E1000_TDBAH, (ULONG)(TxRing >> 32));
    E1000Write(Extension, E1000_TDLEN, sizeof(Shared->TxRing));
    E1000Write(Extension, E1000_TDH, 0);
    E1000Write(Extension, E1000_TDT, 0);
}

VOID E1000StartEngines(PE1000_EXTENSION Extension)
{
    E1000Write(Extension, E1000_TIPG, E1000_TIPG_COPPER);
    E1000Write(Extension, E1000_TCTL,
               E1000_TCTL_EN | E1000_TCTL_PSP | E1000_TCTL_CT | E1000_TCTL_COLD);
    E1000Write(Extension, E1000_RCTL,
               E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_RDMTS_EIGHTH | E1000_RCTL_SECRC);
}

/* What is in flight will not be reported any more. */
static VOID E1000AbortTransmit(PE1000_EXTENSION Extension)
{
    Extension->Counters.TxAborted += Extension->TxNext - Extension->TxClean;
    Extension->TxFlushed = Extension->TxNext;
    Extension->TxClean = Extension->TxNext;
}

VOID E1000ResetRings(PE1000_EXTENSION Extension, PCSTR Reason)
{
    ULONG64 Now = KeQueryInterruptTime();

    if (Extension->LastReset != 0 && Now - Extension->LastReset < E1000_RESET_INTERVAL &&
        !E1000_TWIN_IS(Extension, E1000TwinResetsAtOnce))
    {
        return;
    }

    if (!E1000IsPresent(Extension))
    {
        E1000NoteVanished(Extension);
        return;
    }

    Extension->LastReset = Now;
    Extension->Counters.RingResets++;
    E1000AbortTransmit(Extension);
    DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_WARNING_LEVEL, "e1000: %s: rings reset\n", Reason);

    E1000Write(Extension, E1000_RCTL, 0);
    E1000Write(Extension, E1000_TCTL, 0);
    E1000Read(Extension, E1000_STATUS); /* posted writes have arrived */
    KeStallExecutionProcessor(E1000_DRAIN_TIME);
    E1000ProgramRings(Extension);
    E1000StartEngines(Extension);
}

VOID E1000CollectDeviceCounters(PE1000_EXTENSION Extension)
{
    if (Extension->Running && E1000IsPresent(Extension))
    {
        Extension->Counters.RxDeviceUndersize += E1000Read(Extension, E1000_RUC);
        Extension->Counters.RxDeviceOversize += E1000Read(Extension, E1000_ROC);
        Extension->Counters.RxDeviceMissed += E1000Read(Extension, E1000_MPC);
    }
}

VOID E1000UpdateLink(PE1000_EXTENSION Extension)
{
    static const USHORT Speeds[] = {10, 100, 1000, 1000};
    ULONG Status = E1000Read(Extension, E1000_STATUS);
    BOOLEAN LinkUp = (Status & E1000_STATUS_LU) != 0;

    if (!E1000IsPresent(Extension))
    {
        E1000NoteVanished(Extension);
        return;
    }
    if (LinkUp == Extension->LinkUp)
    {
        return;
    }

    Extension->LinkUp = LinkUp;
    Extension->Counters.LinkChanges++;
    if (LinkUp)
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_INFO_LEVEL, "e1000: link up, %u Mb/s, %s duplex\n",
                   Speeds[(Status >> E1000_STATUS_SPEED_SHIFT) & 3],
                   Status & E1000_STATUS_FD ? "full" : "half");
    }
    else
    {
        DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_INFO_LEVEL, "e1000: link down\n");
    }
}

BOOLEAN E1000IsPresent(PE1000_EXTENSION Extension)
{
    ULONG Status = E1000Read(Extension, E1000_STATUS);

    /* All ones is what a bus answers for nobody. Some bridges answer zeros, which a card without a
     * link may also say; configuration space decides. */
    return Status != MAXULONG &&
           (Status != 0 || E1000ReadConfig(Extension, E1000_PCI_VENDOR) != E1000_PCI_NOBODY);
}

VOID E1000NoteVanished(PE1000_EXTENSION Extension)
{
    KIRQL OldIrql;

    if (!Extension->Running)
    {
        return;
    }

    Extension->Running = FALSE;
    Extension->LinkUp = FALSE;
    E1000AbortTransmit(Extension);

    OldIrql = E1000LockArea(Extension);
    Extension->Area.Vanished = TRUE;
    Extension->Area.Enabled = 0;
    E1000UnlockArea(Extension, OldIrql);

    DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_ERROR_LEVEL,
               "e1000: the device no longer answers; left alone from here on\n");

    /* Running was TRUE and is so only once after a start: the item is not queued. */
    KeClearEvent(&Extension->DetachIdle);
    IoQueueWorkItem(Extension->DetachItem, E1000DetachDevice, DelayedWorkQueue, Extension);
}
