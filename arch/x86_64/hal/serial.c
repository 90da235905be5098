/* SPDX-License-Identifier: MIT */
/*
 * serial.c - the two UARTs: COM1 carries the log and what is typed, COM2 the test results.
 *
 * A port is used only if it is there (its scratch register keeps what is written) and loops a byte
 * back. Writing waits a bounded time for room, once: then the line counts as stuck, and characters
 * are dropped until it has room again, for a line that nobody drains must not stop the kernel. How
 * many were lost is said in their place. Source: National Semiconductor PC16550D, section 8.
 */
#include "halp.h"

#define UART_DATA 0
#define UART_INTERRUPT_ENABLE 1
#define UART_FIFO_CONTROL 2
#define UART_LINE_CONTROL 3
#define UART_MODEM_CONTROL 4
#define UART_LINE_STATUS 5
#define UART_SCRATCH 7

#define LINE_8N1 0x03
#define LINE_DIVISOR_ACCESS 0x80
#define FIFO_ENABLE_CLEAR 0xC7
#define FIFO_ENABLE_EACH 0x01
#define INTERRUPT_RECEIVED 0x01
#define MODEM_DTR_RTS_OUT2 0x0B
#define MODEM_LOOPBACK 0x1E
#define STATUS_DATA_READY 0x01
#define STATUS_HOLDING_EMPTY 0x20
#define STATUS_ALL_SENT 0x40

#define UART_FIFO_DEPTH 16
#define PROBE_SPINS 10000u
#define WRITE_SPINS 200000u /* at most a tenth of a second at 115200 on any machine we know */

#define HALP_SERIAL_PORTS 2

typedef struct _HALP_SERIAL
{
    USHORT Base;
    BOOLEAN Present;
    ULONG Room;      /* characters that still fit the FIFO; the one writer at a time */
    BOOLEAN Stuck;   /* it had no room for WRITE_SPINS; the one writer at a time     */
    ULONG64 Dropped; /* characters given up on since then; the one writer at a time  */
} HALP_SERIAL, *PHALP_SERIAL;

static HALP_SERIAL HalpSerial[HALP_SERIAL_PORTS] = {{.Base = 0x3F8}, {.Base = 0x2F8}};

static BOOLEAN HalpLoopbackWorks(USHORT Base)
{
    BOOLEAN Works = FALSE;

    __outbyte(Base + UART_MODEM_CONTROL, MODEM_LOOPBACK);
    __outbyte(Base + UART_DATA, 0xA5);
    for (ULONG Spin = 0; Spin < PROBE_SPINS && !Works; Spin++)
    {
        if (__inbyte(Base + UART_LINE_STATUS) & STATUS_DATA_READY)
        {
            Works = __inbyte(Base + UART_DATA) == 0xA5;
            break;
        }
    }
    __outbyte(Base + UART_MODEM_CONTROL, MODEM_DTR_RTS_OUT2);
    return Works;
}

static BOOLEAN HalpProbeUart(USHORT Base)
{
    __outbyte(Base + UART_SCRATCH, 0x5A);
    if (__inbyte(Base + UART_SCRATCH) != 0x5A)
    {
        return FALSE;
    }
    __outbyte(Base + UART_INTERRUPT_ENABLE, 0);
    __outbyte(Base + UART_LINE_CONTROL, LINE_DIVISOR_ACCESS);
    __outbyte(Base + UART_DATA, 1); /* 115200 */
    __outbyte(Base + UART_INTERRUPT_ENABLE, 0);
    __outbyte(Base + UART_LINE_CONTROL, LINE_8N1);
    __outbyte(Base + UART_FIFO_CONTROL, FIFO_ENABLE_CLEAR);
    return HalpLoopbackWorks(Base);
}

VOID HalpInitializeSerial(VOID)
{
    for (ULONG Port = 0; Port < HALP_SERIAL_PORTS; Port++)
    {
        HalpSerial[Port].Present = HalpProbeUart(HalpSerial[Port].Base);
    }
}

BOOLEAN HalpSerialPresent(ULONG Port)
{
    return HalpSerial[Port].Present;
}

/* Once the holding register is empty the whole FIFO is, so sixteen characters go at once. */
static BOOLEAN HalpWaitForRoom(PHALP_SERIAL Serial)
{
    ULONG Spins = Serial->Stuck ? 1 : WRITE_SPINS;

    for (ULONG Spin = 0; Spin < Spins; Spin++)
    {
        if (__inbyte(Serial->Base + UART_LINE_STATUS) & STATUS_HOLDING_EMPTY)
        {
            Serial->Room = UART_FIFO_DEPTH;
            return TRUE;
        }
        YieldProcessor();
    }
    return FALSE;
}

static BOOLEAN HalpHasRoom(PHALP_SERIAL Serial)
{
    if (Serial->Room != 0)
    {
        return TRUE;
    }
    Serial->Stuck = !HalpWaitForRoom(Serial);
    return !Serial->Stuck;
}

static VOID HalpSerialPut(PHALP_SERIAL Serial, CHAR Character)
{
    if (!HalpHasRoom(Serial))
    {
        Serial->Dropped++;
        return;
    }
    __outbyte(Serial->Base + UART_DATA, (UCHAR)Character);
    Serial->Room--;
}

/* Says how much is missing here, if something is and there is room. */
static VOID HalpConfessDropped(PHALP_SERIAL Serial)
{
    CHAR Note[64];

    if (Serial->Dropped == 0 || !HalpHasRoom(Serial))
    {
        return;
    }
    RtlStringCbPrintfA(Note, sizeof(Note), "\r\n# serial: %llu characters dropped\r\n",
                       Serial->Dropped);
    Serial->Dropped = 0;
    for (PCSTR Next = Note; *Next != '\0'; Next++)
    {
        HalpSerialPut(Serial, *Next);
    }
}

VOID HalpSerialWrite(ULONG Port, PCSTR Text, SIZE_T Length)
{
    PHALP_SERIAL Serial = &HalpSerial[Port];

    if (!Serial->Present)
    {
        return;
    }
    Serial->Room = 0; /* the FIFO may have been filled by another writer: look again */
    HalpConfessDropped(Serial);
    for (SIZE_T Index = 0; Index < Length; Index++)
    {
        if (Text[Index] == '\n')
        {
            HalpSerialPut(Serial, '\r');
        }
        HalpSerialPut(Serial, Text[Index]);
    }
}

VOID HalpSerialSettle(ULONG Port)
{
    PHALP_SERIAL Serial = &HalpSerial[Port];

    for (ULONG Spin = 0; Serial->Present && !Serial->Stuck && Spin < WRITE_SPINS; Spin++)
    {
        if (__inbyte(Serial->Base + UART_LINE_STATUS) & STATUS_ALL_SENT)
        {
            break;
        }
        YieldProcessor();
    }
}

/* From one character on: nobody types sixteen at a time. */
VOID HalpSerialEnableReceive(ULONG Port)
{
    PHALP_SERIAL Serial = &HalpSerial[Port];

    __outbyte(Serial->Base + UART_FIFO_CONTROL, FIFO_ENABLE_EACH);
    __outbyte(Serial->Base + UART_INTERRUPT_ENABLE, INTERRUPT_RECEIVED);
}

BOOLEAN HalpSerialRead(ULONG Port, PUCHAR Byte)
{
    PHALP_SERIAL Serial = &HalpSerial[Port];

    if (!(__inbyte(Serial->Base + UART_LINE_STATUS) & STATUS_DATA_READY))
    {
        return FALSE;
    }
    *Byte = __inbyte(Serial->Base + UART_DATA);
    return TRUE;
}
