/* SPDX-License-Identifier: MIT */
/*
 * test_console.c - what a keyboard's bytes mean (kernel/kd/scancode.c), and what becomes of
 * characters on a line (kernel/kd/line.c), each by example and with random input.
 */
#include "host.h"

#include <kdp.h>

static CHAR Decoded[256];

/* What a keyboard's bytes come to, from a fresh state. */
#define DECODE(...) Decode((const UCHAR[]){__VA_ARGS__}, sizeof((const UCHAR[]){__VA_ARGS__}))

static PCSTR Decode(const UCHAR *Bytes, ULONG Count)
{
    KDP_KEYS Keys = {0};
    ULONG Length = 0;

    for (ULONG Index = 0; Index < Count; Index++)
    {
        CHAR Character = KdpDecodeKey(&Keys, Bytes[Index]);

        if (Character != 0)
        {
            Decoded[Length++] = Character;
        }
    }
    Decoded[Length] = '\0';
    return Decoded;
}

static void LettersDigitsAndSigns(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_string_equal(DECODE(0x23, 0xA3, 0x12, 0x92, 0x26, 0xA6, 0x19, 0x99, 0x1C, 0x9C),
                        "help\r");
    assert_string_equal(DECODE(0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C,
                               0x0D, 0x0E, 0x0F, 0x39),
                        "1234567890-=\b\t ");
    assert_string_equal(DECODE(0x10, 0x19, 0x1A, 0x1B, 0x1E, 0x26, 0x27, 0x28, 0x29, 0x2B, 0x2C,
                               0x32, 0x33, 0x34, 0x35, 0x37),
                        "qp[]al;'`\\zm,./*");
    assert_string_equal(DECODE(0x01, 0x38, 0x3B, 0x44, 0x57, 0x58, 0x7F), ""); /* Esc, Alt, F1 */
}

static void ShiftAndCapsLock(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_string_equal(DECODE(0x2A, 0x1E, 0x02, 0x28, 0xAA, 0x1E), "A!\"a");
    assert_string_equal(DECODE(0x36, 0x1E, 0x35, 0xB6, 0x35), "A?/");
    assert_string_equal(DECODE(0x2A, 0x36, 0xAA, 0x1E, 0xB6, 0x1E), "Aa");
    assert_string_equal(DECODE(0x3A, 0xBA, 0x1E, 0x02, 0x2A, 0x1E, 0x02, 0xAA), "A1a!");
    assert_string_equal(DECODE(0x3A, 0xBA, 0x3A, 0xBA, 0x1E), "a");
}

static void ControlMakesControlCharacters(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_string_equal(DECODE(0x1D, 0x16, 0x2E, 0x9D, 0x16), "\x15\x03u");
    assert_string_equal(DECODE(0x1D, 0x02, 0x1C, 0x9D), "");
    assert_string_equal(DECODE(0xE0, 0x1D, 0x16, 0xE0, 0x9D, 0x16), "\x15u");
    assert_string_equal(DECODE(0x1D, 0xE0, 0x1D, 0x9D, 0x16), "\x15"); /* the right one is held */
}

static void ExtendedKeys(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_string_equal(DECODE(0xE0, 0x1C, 0xE0, 0x9C, 0xE0, 0x35), "\r/");
    assert_string_equal(DECODE(0xE0, 0x48, 0xE0, 0xC8, 0xE0, 0x53, 0x1E), "a"); /* arrow, delete */
    assert_string_equal(DECODE(0xE0, 0x2A, 0xE0, 0x37, 0x1E), "a");             /* no shift      */
    assert_string_equal(DECODE(0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5, 0x1E), "a"); /* Pause         */
}

/* After an overrun nothing is held: a release may have been lost. */
static void AnOverrunReleasesAll(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_string_equal(DECODE(0x2A, 0x1D, 0xFF, 0x1E), "a");
    assert_string_equal(DECODE(0x3A, 0x2A, 0x00, 0x1E), "A");
    assert_string_equal(DECODE(0xE0, 0x00, 0x1E), "a");
}

static void AnyBytesAreSurvived(void **State)
{
    KDP_KEYS Keys = {0};
    UNREFERENCED_PARAMETER(State);

    for (ULONG Round = 0; Round < 1000000; Round++)
    {
        CHAR Character = KdpDecodeKey(&Keys, (UCHAR)HostRandom());

        assert_true(Character >= 0 && Character < 0x7F);
    }
}

/* ------------------------------------------------------------------ Lines. */

static CHAR Screen[4096]; /* what the echo leaves visible, and bells as ^ */
static ULONG ScreenLength, ScreenCursor;
static KDP_LINE Line;

static VOID Echo(PCSTR Text)
{
    for (; *Text != '\0'; Text++)
    {
        if (*Text == '\b')
        {
            assert_true(ScreenCursor > 0);
            ScreenCursor--;
        }
        else
        {
            assert_true(ScreenCursor < sizeof(Screen) - 1);
            Screen[ScreenCursor++] = *Text == '\a' ? '^' : *Text;
        }
    }
    ScreenLength = ScreenCursor;
    Screen[ScreenLength] = '\0';
}

/* Types Text; how many lines it ended. The last one stays in Line. */
static ULONG Type(PCSTR Text)
{
    ULONG Ended = 0;

    memset(&Line, 0, sizeof(Line));
    ScreenCursor = 0;
    for (; *Text != '\0'; Text++)
    {
        if (KdpEditLine(&Line, *Text, Echo))
        {
            assert_int_equal(strlen(Line.Text), Line.Length);
            Line.Length = 0;
            Ended++;
        }
    }
    return Ended;
}

static VOID AssertTyped(PCSTR Text, PCSTR Result, PCSTR Shown)
{
    assert_int_equal(Type(Text), 1);
    assert_string_equal(Line.Text, Result);
    assert_string_equal(Screen, Shown);
}

static void ALineIsWhatIsLeft(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertTyped("help\r", "help", "help\n");
    AssertTyped("hellp\b\bp\n", "help", "help\n");
    AssertTyped("x\x7F\x7F\x7Fhelp\r", "help", "help\n");
    AssertTyped("nonsense\x15log\r", "log", "log\n");
    AssertTyped("nonsense\x03log\r", "log", "log\n");
    AssertTyped("\r", "", "\n");
    AssertTyped("\b\x15\r", "", "\n");
}

static void CrLfIsOneEnd(void **State)
{
    UNREFERENCED_PARAMETER(State);

    assert_int_equal(Type("a\r\nb\r\n"), 2);
    assert_int_equal(Type("a\n\nb\n"), 3);
    assert_int_equal(Type("a\r\rb\r"), 3);
    assert_int_equal(Type("\r\n\n"), 2);
}

static void EscapeSequencesAreNotText(void **State)
{
    UNREFERENCED_PARAMETER(State);

    AssertTyped("a\x1B[Ab\x1B[1;5Cc\x1BOPd\x1Bxe\r", "abcde", "abcde\n");
    AssertTyped("\x1B[3~ok\t\x01\r", "ok", "ok\n");
}

static void ALongLineRingsTheBell(void **State)
{
    CHAR Text[KDP_LINE_SIZE + 20];
    UNREFERENCED_PARAMETER(State);

    memset(Text, 'x', sizeof(Text));
    strcpy(Text + sizeof(Text) - 4, "\b\by");
    Type(Text);
    assert_int_equal(Line.Length, KDP_LINE_SIZE - 2);
    assert_true(strchr(Screen, '^') != NULL);
    strcpy(Text + sizeof(Text) - 2, "\r");
    assert_int_equal(Type(Text), 1);
    assert_true(strlen(Line.Text) < KDP_LINE_SIZE);
}

static void AnyCharactersAreSurvived(void **State)
{
    UNREFERENCED_PARAMETER(State);

    memset(&Line, 0, sizeof(Line));
    for (ULONG Round = 0; Round < 1000000; Round++)
    {
        ScreenCursor = 2000;
        if (KdpEditLine(&Line, (CHAR)(HostRandomBelow(3) ? 'a' : HostRandom()), Echo))
        {
            assert_int_equal(strlen(Line.Text), Line.Length);
            Line.Length = 0;
        }
        assert_true(Line.Length < KDP_LINE_SIZE);
    }
}

HOST_MAIN(cmocka_unit_test(LettersDigitsAndSigns), cmocka_unit_test(ShiftAndCapsLock),
          cmocka_unit_test(ControlMakesControlCharacters), cmocka_unit_test(ExtendedKeys),
          cmocka_unit_test(AnOverrunReleasesAll), cmocka_unit_test(AnyBytesAreSurvived),
          cmocka_unit_test(ALineIsWhatIsLeft), cmocka_unit_test(CrLfIsOneEnd),
          cmocka_unit_test(EscapeSequencesAreNotText), cmocka_unit_test(ALongLineRingsTheBell),
          cmocka_unit_test(AnyCharactersAreSurvived))
