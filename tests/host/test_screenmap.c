/* SPDX-License-Identifier: MIT */
/*
 * test_screenmap.c - which screens are taken, where they are mapped and how they are cached.
 *
 * The frames lie above 4 GiB, where the loader-time maps do not reach: nothing may be drawn before
 * the frame is mapped, and MmMapIoSpace is this file's.
 */
#include "host.h"

#include <arch/screen.h>
#include <ke.h>
#include <mm.h>

#define BASE 0x4000000000ull

static ULONG64 MappedAt;
static SIZE_T MappedBytes;
static MEMORY_CACHING_TYPE MappedAs;
static PVOID Memory; /* what the next mapping gets */

PVOID MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes,
                   MEMORY_CACHING_TYPE CacheType)
{
    MappedAt = (ULONG64)PhysicalAddress.QuadPart;
    MappedBytes = NumberOfBytes;
    MappedAs = CacheType;
    return Memory;
}

static BOOT_INFO Boot;

static VOID Describe(ULONG Width, ULONG Height, ULONG Pitch)
{
    memset(&Boot, 0, sizeof(Boot));
    Boot.Framebuffer = (BOOT_FRAMEBUFFER){.Type = BootFramebufferLinear,
                                          .Address = BASE,
                                          .Pitch = Pitch,
                                          .Width = Width,
                                          .Height = Height,
                                          .BitsPerPixel = 32,
                                          .RedShift = 16,
                                          .RedSize = 8,
                                          .GreenShift = 8,
                                          .GreenSize = 8,
                                          .BlueSize = 8};
}

static VOID AddRange(ULONG64 Start, ULONG64 End, BOOT_MEMORY_TYPE Type)
{
    Boot.Ranges[Boot.RangeCount++] = (BOOT_MEMORY_RANGE){Start, End, Type};
}

static void NoScreenIsNoProblem(void **State)
{
    ULONG Columns = 1, Rows = 1;
    UNREFERENCED_PARAMETER(State);

    memset(&Boot, 0, sizeof(Boot));
    assert_null(HalpInitializeScreen(&Boot, &Columns, &Rows));
    assert_int_equal(Columns + Rows, 0);
    assert_false(HalpMapScreen(TRUE));
    HalpClearScreen(7);

    Boot.Framebuffer.Problem = "a reason";
    assert_string_equal(HalpInitializeScreen(&Boot, &Columns, &Rows), "a reason");
    assert_int_equal(Columns + Rows, 0);
}

/* Memory of each kind: what is not reserved or defective is no place for a frame. */
static void FramesInMemoryAreRefused(void **State)
{
    static const struct
    {
        ULONG64 Start, End;
        BOOT_MEMORY_TYPE Type;
        BOOLEAN Taken;
    } Cases[] = {
        {0, BASE, BootMemoryUsable, TRUE},
        {BASE + 640 * 480 * 4, BASE << 1, BootMemoryUsable, TRUE},
        {0, BASE + 1, BootMemoryUsable, FALSE},
        {BASE + 640 * 480 * 4 - 1, BASE << 1, BootMemoryUsable, FALSE},
        {BASE + 4096, BASE + 8192, BootMemoryAcpiReclaim, FALSE},
        {0, BASE << 1, BootMemoryAcpiNvs, FALSE},
        {0, BASE << 1, BootMemoryReserved, TRUE},
        {0, BASE << 1, BootMemoryDefective, TRUE},
    };
    ULONG Columns, Rows;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Cases); Index++)
    {
        Describe(640, 480, 640 * 4);
        AddRange(Cases[Index].Start, Cases[Index].End, Cases[Index].Type);
        PCSTR Problem = HalpInitializeScreen(&Boot, &Columns, &Rows);

        assert_int_equal(Problem == NULL, Cases[Index].Taken);
        assert_int_equal(Columns, Cases[Index].Taken ? 80 : 0);
        assert_int_equal(Rows, Cases[Index].Taken ? 30 : 0);
    }
}

static void FramesThatAreTooSmallAreRefused(void **State)
{
    ULONG Columns, Rows;
    UNREFERENCED_PARAMETER(State);

    Describe(7, 480, 640 * 4);
    assert_non_null(HalpInitializeScreen(&Boot, &Columns, &Rows));
    assert_int_equal(Columns + Rows, 0);
}

/* Nothing is drawn before there is a mapping; then all of it is, and cached as asked for. */
static void AboveFourGigabytes(void **State)
{
    HALP_SCREEN_INFORMATION Screen;
    const HALP_CELL Cell = {'#', 0x17};
    ULONG Columns, Rows;
    UNREFERENCED_PARAMETER(State);

    for (ULONG Combine = 0; Combine < 2; Combine++)
    {
        Describe(16, 32, 100);
        assert_null(HalpInitializeScreen(&Boot, &Columns, &Rows));
        HalpClearScreen(7);
        HalpDrawCells(0, 0, &Cell, 1);

        Memory = malloc(100 * 32);
        memset(Memory, 0xE7, 100 * 32);
        assert_true(HalpMapScreen((BOOLEAN)Combine));
        assert_int_equal(MappedAt, BASE);
        assert_int_equal(MappedBytes, 100 * 32);
        assert_int_equal(MappedAs, Combine ? MmWriteCombined : MmNonCached);
        HalpQueryScreen(&Screen);
        assert_ptr_equal(Screen.Address, Memory);
        assert_int_equal(((PUCHAR)Memory)[0], 0xE7);
        HalpDrawCells(1, 1, &Cell, 1);
        assert_int_equal(((PULONG)((PUCHAR)Memory + 16 * 100))[8], 0x0000AA); /* the background */
        free(Memory);
    }

    Memory = NULL; /* it cannot be mapped: no screen, and drawing does nothing */
    Describe(16, 32, 100);
    assert_null(HalpInitializeScreen(&Boot, &Columns, &Rows));
    assert_false(HalpMapScreen(TRUE));
    HalpDrawCells(0, 0, &Cell, 1);
    HalpQueryScreen(&Screen);
    assert_int_equal(Screen.Type, BootFramebufferNone);
}

HOST_MAIN(cmocka_unit_test(NoScreenIsNoProblem), cmocka_unit_test(FramesInMemoryAreRefused),
          cmocka_unit_test(FramesThatAreTooSmallAreRefused), cmocka_unit_test(AboveFourGigabytes))
