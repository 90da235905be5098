/* SPDX-License-Identifier: MIT */
/*
 * test_i8042.c - the keyboard controller's protocol (arch/x86_64/hal/i8042.c) against a controller
 * made here, which can be absent, stuck, silent or slow in each of the ways that are known:
 * whatever it does, the start ends within its limit and names what is wrong.
 */
#include "host.h"

#include <i8042.h>

typedef enum _FAULT
{
    None,
    Absent,       /* FF everywhere                           */
    InputFull,    /* never takes a byte                      */
    OutputFull,   /* always has another byte                 */
    Silent,       /* takes everything, answers nothing       */
    TestFails,    /* its self-test                           */
    NoSettings,   /* answers its self-test only              */
    NoKeyboard,   /* nobody acknowledges                     */
    KeyboardBad,  /* the keyboard's self-test                */
    KeyboardSlow, /* ... takes nearly as long as it may      */
    Chatty,       /* keys come between the answers           */
    MouseBytes    /* the buffer is full of the mouse's bytes */
} FAULT;

static struct
{
    FAULT Fault;
    UCHAR Command; /* the last one that wants a byte     */
    UCHAR Settings;
    UCHAR Buffer[64]; /* what it has for us; bit 8 of Aux: from the mouse */
    UCHAR Aux[64];
    ULONG Count;
    ULONG Delay; /* pauses until the buffer is seen */
    ULONG Pauses, Outs;
    BOOLEAN KeyboardOn, AuxOff;
} Machine;

static VOID Offer(UCHAR Byte, UCHAR Aux)
{
    assert_true(Machine.Count < RTL_NUMBER_OF(Machine.Buffer));
    Machine.Buffer[Machine.Count] = Byte;
    Machine.Aux[Machine.Count++] = Aux;
}

static VOID Answer(UCHAR Byte)
{
    if (Machine.Fault != Silent)
    {
        Offer(Byte, 0);
    }
}

UCHAR HalpI8042In(USHORT Port)
{
    UCHAR Byte = 0;

    if (Machine.Fault == Absent)
    {
        return 0xFF;
    }
    if (Port == I8042_STATUS)
    {
        if (Machine.Fault == InputFull)
        {
            return I8042_INPUT_FULL;
        }
        if (Machine.Fault == OutputFull)
        {
            return I8042_OUTPUT_FULL;
        }
        if (Machine.Count == 0 || Machine.Delay != 0)
        {
            return 0;
        }
        return I8042_OUTPUT_FULL | (Machine.Aux[0] ? I8042_FROM_AUX : 0);
    }
    assert_int_equal(Port, I8042_DATA);
    if (Machine.Count != 0)
    {
        Byte = Machine.Buffer[0];
        Machine.Count--;
        memmove(Machine.Buffer, Machine.Buffer + 1, Machine.Count);
        memmove(Machine.Aux, Machine.Aux + 1, Machine.Count);
    }
    return Byte;
}

static VOID ToKeyboard(UCHAR Byte)
{
    if (Machine.Fault == NoKeyboard || Machine.Fault == Silent)
    {
        return;
    }
    if (Machine.Fault == Chatty)
    {
        Offer(0x1E, 0);
        Offer(0x9E, 0);
    }
    Offer(0xFA, 0);
    if (Byte == 0xFF)
    {
        Offer(Machine.Fault == KeyboardBad ? 0xFC : 0xAA, 0);
    }
}

VOID HalpI8042Out(USHORT Port, UCHAR Value)
{
    Machine.Outs++;
    if (Port == I8042_DATA)
    {
        if (Machine.Command == 0x60)
        {
            Machine.Settings = Value;
            Machine.Command = 0;
        }
        else
        {
            ToKeyboard(Value);
        }
        return;
    }
    Machine.Command = 0;
    switch (Value)
    {
    case 0x20:
        if (Machine.Fault != NoSettings)
        {
            Answer(Machine.Settings);
        }
        break;
    case 0x60:
        Machine.Command = Value;
        break;
    case 0xA7:
        Machine.AuxOff = TRUE;
        break;
    case 0xAA:
        Machine.Settings = 0x30; /* some forget what they were told */
        Answer(Machine.Fault == TestFails ? 0xFC : 0x55);
        break;
    case 0xAD:
        Machine.KeyboardOn = FALSE;
        break;
    case 0xAE:
        Machine.KeyboardOn = TRUE;
        break;
    default:
        fail_msg("command %02X", Value);
    }
}

/* The slow keyboard's answer to its reset is there when somebody has waited for it long enough. */
VOID HalpI8042Pause(ULONG Waited)
{
    Machine.Pauses++;
    if (Machine.Delay != 0)
    {
        Machine.Delay--;
    }
    assert_true(Waited <= I8042_SLOW_PAUSES);
}

static HALP_I8042 Start(FAULT Fault)
{
    HALP_I8042 Controller;

    memset(&Machine, 0, sizeof(Machine));
    memset(&Controller, 0xA5, sizeof(Controller));
    Machine.Fault = Fault;
    Machine.Settings = 0x47;
    Machine.KeyboardOn = TRUE;
    if (Fault == MouseBytes)
    {
        for (ULONG Index = 0; Index < 16; Index++)
        {
            Offer((UCHAR)Index, 1);
        }
    }
    if (Fault == KeyboardSlow)
    {
        Machine.Delay = I8042_QUICK_PAUSES;
    }
    HalpI8042Start(&Controller);
    assert_true(Machine.Pauses <= 2 * I8042_SLOW_PAUSES + 12 * I8042_QUICK_PAUSES);
    return Controller;
}

static VOID AssertGood(FAULT Fault)
{
    HALP_I8042 Controller = Start(Fault);

    assert_null(Controller.Problem);
    assert_true(Controller.Present && Controller.Keyboard);
    assert_true(Machine.KeyboardOn && Machine.AuxOff);
    assert_int_equal(Machine.Settings, 0x60); /* translation, no mouse, no interrupt yet */
    assert_int_equal(Machine.Count, 0);
    assert_true(HalpI8042Enable(&Controller));
    assert_int_equal(Machine.Settings, 0x61);
}

static VOID AssertBad(FAULT Fault, BOOLEAN Present, PCSTR Problem)
{
    HALP_I8042 Controller = Start(Fault);

    assert_string_equal(Controller.Problem, Problem);
    assert_int_equal(Controller.Present, Present);
    assert_false(Controller.Keyboard);
}

static void AGoodControllerIsSetUp(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertGood(None);
    assert_int_equal(Machine.Pauses, 0);
    AssertGood(Chatty);
    AssertGood(MouseBytes);
    AssertGood(KeyboardSlow);
}

static void EachFaultIsNamedInTime(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertBad(Absent, FALSE, "there is no keyboard controller");
    assert_int_equal(Machine.Outs, 0);
    AssertBad(InputFull, FALSE, "the keyboard controller takes no command");
    AssertBad(OutputFull, FALSE, "the keyboard controller's buffer does not become empty");
    AssertBad(Silent, FALSE, "the keyboard controller does not answer its self-test");
    AssertBad(TestFails, FALSE, "the keyboard controller fails its self-test");
    AssertBad(NoSettings, FALSE, "the keyboard controller does not tell its settings");
    AssertBad(NoKeyboard, TRUE, "no keyboard answers the controller");
    AssertBad(KeyboardBad, TRUE, "the keyboard does not pass its self-test");
}

static void OnlyTheKeyboardsBytesAreRead(void **State)
{
    UCHAR Byte = 0;
    UNREFERENCED_PARAMETER(State);

    Start(None);
    assert_false(HalpI8042Read(&Byte));
    Offer(0x11, 1);
    Offer(0x1E, 0);
    Offer(0x22, 1);
    assert_true(HalpI8042Read(&Byte));
    assert_int_equal(Byte, 0x1E);
    assert_false(HalpI8042Read(&Byte));
    Machine.Fault = Absent; /* unplugged, or never there */
    assert_false(HalpI8042Read(&Byte));
}

HOST_MAIN(cmocka_unit_test(AGoodControllerIsSetUp), cmocka_unit_test(EachFaultIsNamedInTime),
          cmocka_unit_test(OnlyTheKeyboardsBytesAreRead))
