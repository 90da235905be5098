/* SPDX-License-Identifier: MIT */
/*
 * i8042.c - the PC's keyboard controller: found, tested, set up; every wait bounded and named.
 *
 * Many machines have none, and firmware is a poor witness for that, so the ports decide: a status
 * of FF is nobody, and who is there answers a self-test. The second port (a mouse) is kept off, for
 * its bytes would fill the one buffer; the keyboard's reset may take most of a second. Source: IBM
 * PS/2 Hardware Interface Technical Reference, "Keyboard/Auxiliary Device Controller", "Keyboards".
 */
#include "i8042.h"

#define COMMAND_READ_SETTINGS 0x20
#define COMMAND_WRITE_SETTINGS 0x60
#define COMMAND_AUX_OFF 0xA7
#define COMMAND_SELF_TEST 0xAA
#define COMMAND_KEYBOARD_OFF 0xAD
#define COMMAND_KEYBOARD_ON 0xAE

#define SELF_TEST_PASSED 0x55

#define SETTING_KEYBOARD_INTERRUPT 0x01
#define SETTING_AUX_INTERRUPT 0x02
#define SETTING_KEYBOARD_OFF 0x10
#define SETTING_AUX_OFF 0x20
#define SETTING_TRANSLATE 0x40

#define KEYBOARD_RESET 0xFF
#define KEYBOARD_SCAN 0xF4
#define KEYBOARD_ACKNOWLEDGE 0xFA
#define KEYBOARD_TEST_PASSED 0xAA

#define STATUS_NOBODY 0xFF
#define FLUSH_LIMIT 64 /* bytes; the buffers hold no more than 20 */

static BOOLEAN HalpI8042Await(UCHAR Mask, UCHAR Wanted, ULONG Pauses)
{
    for (ULONG Waited = 0; Waited <= Pauses; Waited++)
    {
        if ((HalpI8042In(I8042_STATUS) & Mask) == Wanted)
        {
            return TRUE;
        }
        HalpI8042Pause(Waited);
    }
    return FALSE;
}

static BOOLEAN HalpI8042Send(USHORT Port, UCHAR Byte)
{
    if (!HalpI8042Await(I8042_INPUT_FULL, 0, I8042_QUICK_PAUSES))
    {
        return FALSE;
    }
    HalpI8042Out(Port, Byte);
    return TRUE;
}

static BOOLEAN HalpI8042Receive(PUCHAR Byte, ULONG Pauses)
{
    if (!HalpI8042Await(I8042_OUTPUT_FULL, I8042_OUTPUT_FULL, Pauses))
    {
        return FALSE;
    }
    *Byte = HalpI8042In(I8042_DATA);
    return TRUE;
}

static BOOLEAN HalpI8042Flush(VOID)
{
    for (ULONG Count = 0; Count < FLUSH_LIMIT; Count++)
    {
        if (!(HalpI8042In(I8042_STATUS) & I8042_OUTPUT_FULL))
        {
            return TRUE;
        }
        (VOID) HalpI8042In(I8042_DATA);
    }
    return FALSE;
}

static BOOLEAN HalpI8042Set(UCHAR Settings)
{
    return HalpI8042Send(I8042_STATUS, COMMAND_WRITE_SETTINGS) &&
           HalpI8042Send(I8042_DATA, Settings);
}

/* The controller, up to its settings; what is wrong with it, or NULL. */
static PCSTR HalpI8042StartController(PHALP_I8042 Controller)
{
    UCHAR Answer;

    if (HalpI8042In(I8042_STATUS) == STATUS_NOBODY)
    {
        return "there is no keyboard controller";
    }
    if (!HalpI8042Send(I8042_STATUS, COMMAND_KEYBOARD_OFF) ||
        !HalpI8042Send(I8042_STATUS, COMMAND_AUX_OFF))
    {
        return "the keyboard controller takes no command";
    }
    if (!HalpI8042Flush())
    {
        return "the keyboard controller's buffer does not become empty";
    }
    if (!HalpI8042Send(I8042_STATUS, COMMAND_SELF_TEST) ||
        !HalpI8042Receive(&Answer, I8042_SLOW_PAUSES))
    {
        return "the keyboard controller does not answer its self-test";
    }
    if (Answer != SELF_TEST_PASSED)
    {
        return "the keyboard controller fails its self-test";
    }
    if (!HalpI8042Send(I8042_STATUS, COMMAND_READ_SETTINGS) ||
        !HalpI8042Receive(&Controller->Settings, I8042_QUICK_PAUSES))
    {
        return "the keyboard controller does not tell its settings";
    }
    Controller->Settings &= (UCHAR) ~(SETTING_KEYBOARD_INTERRUPT | SETTING_AUX_INTERRUPT |
                                      SETTING_KEYBOARD_OFF);
    Controller->Settings |= SETTING_AUX_OFF | SETTING_TRANSLATE;
    if (!HalpI8042Set(Controller->Settings) || !HalpI8042Send(I8042_STATUS, COMMAND_KEYBOARD_ON))
    {
        return "the keyboard controller takes no settings";
    }
    return NULL;
}

/* One byte to the keyboard, and its acknowledgement; what else comes meanwhile is a key. */
static BOOLEAN HalpI8042Keyboard(UCHAR Byte)
{
    UCHAR Answer = 0;

    if (!HalpI8042Send(I8042_DATA, Byte))
    {
        return FALSE;
    }
    for (ULONG Count = 0; Count < FLUSH_LIMIT && Answer != KEYBOARD_ACKNOWLEDGE; Count++)
    {
        if (!HalpI8042Receive(&Answer, I8042_QUICK_PAUSES))
        {
            return FALSE;
        }
    }
    return Answer == KEYBOARD_ACKNOWLEDGE;
}

static PCSTR HalpI8042StartKeyboard(VOID)
{
    UCHAR Answer = 0;

    if (!HalpI8042Keyboard(KEYBOARD_RESET))
    {
        return "no keyboard answers the controller";
    }
    if (!HalpI8042Receive(&Answer, I8042_SLOW_PAUSES) || Answer != KEYBOARD_TEST_PASSED)
    {
        return "the keyboard does not pass its self-test";
    }
    return HalpI8042Keyboard(KEYBOARD_SCAN) ? NULL : "the keyboard does not begin to scan";
}

VOID HalpI8042Start(PHALP_I8042 Controller)
{
    *Controller = (HALP_I8042){0};
    Controller->Problem = HalpI8042StartController(Controller);
    Controller->Present = Controller->Problem == NULL;
    if (Controller->Present)
    {
        Controller->Problem = HalpI8042StartKeyboard();
        Controller->Keyboard = Controller->Problem == NULL;
    }
}

BOOLEAN HalpI8042Enable(PHALP_I8042 Controller)
{
    (VOID) HalpI8042Flush();
    return HalpI8042Set(Controller->Settings | SETTING_KEYBOARD_INTERRUPT);
}

BOOLEAN HalpI8042Read(PUCHAR Byte)
{
    for (ULONG Count = 0; Count < FLUSH_LIMIT; Count++)
    {
        UCHAR Status = HalpI8042In(I8042_STATUS);

        if (Status == STATUS_NOBODY || !(Status & I8042_OUTPUT_FULL))
        {
            return FALSE;
        }
        *Byte = HalpI8042In(I8042_DATA);
        if (!(Status & I8042_FROM_AUX))
        {
            return TRUE;
        }
    }
    return FALSE;
}
