/* SPDX-License-Identifier: MIT */
/*
 * keyboard.c - the keyboard controller (i8042.c) at its ports, and what is said about it.
 *
 * The FADT's bit for it is wrong on some machines in either way; so it is named where it disagrees
 * with the ports, and decides nothing.
 */
#include "halp.h"
#include "i8042.h"

#define PAUSE_US 20
#define QUICK_PAUSES 100 /* so long a pause is a stall; then the processor is given away */
#define PAUSE_UNITS (-10000)

static HALP_I8042 HalpKeyboard;

UCHAR HalpI8042In(USHORT Port)
{
    return __inbyte(Port);
}

VOID HalpI8042Out(USHORT Port, UCHAR Value)
{
    __outbyte(Port, Value);
}

VOID HalpI8042Pause(ULONG Waited)
{
    LARGE_INTEGER Interval = {.QuadPart = PAUSE_UNITS};

    if (Waited < QUICK_PAUSES)
    {
        HalpStall(PAUSE_US);
    }
    else
    {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
}

BOOLEAN HalpStartKeyboard(VOID)
{
    BOOLEAN Promised = !HalpAcpi.HaveFadt || (HalpAcpi.Fadt.BootArchitecture & HALP_FADT_8042);

    HalpI8042Start(&HalpKeyboard);
    if (HalpKeyboard.Present != Promised)
    {
        KiLog(KiLogInfo, "keyboard: firmware says that there is %s controller",
              Promised ? "a" : "no");
    }
    if (HalpKeyboard.Problem != NULL)
    {
        KiLog(KiLogInfo, "keyboard: %s", HalpKeyboard.Problem);
    }
    else
    {
        KiLog(KiLogInfo, "keyboard: at the controller of ports 60 and 64, passed its self-test");
    }
    return HalpKeyboard.Present;
}

BOOLEAN HalpEnableKeyboard(VOID)
{
    return HalpI8042Enable(&HalpKeyboard);
}

BOOLEAN HalpReadKeyboard(PUCHAR Byte)
{
    return HalpI8042Read(Byte);
}
