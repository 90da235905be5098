/* SPDX-License-Identifier: MIT */
/*
 * infocheck.h - what holds of a BOOT_INFO after any parse, good or bad.
 */
#pragma once

#include "fuzz.h"

#include "bootp.h"

#define CHECK_TEXT(Text) FUZZ_REQUIRE(memchr((Text), 0, sizeof(Text)) != NULL)

static inline VOID CheckFramebuffer(const BOOT_FRAMEBUFFER *Frame)
{
    ULONG Bytes = Frame->Type == BootFramebufferText ? 2 : Frame->BitsPerPixel / 8u;

    FUZZ_REQUIRE(Frame->Type <= BootFramebufferText);
    if (Frame->Type == BootFramebufferNone)
    {
        return;
    }
    FUZZ_REQUIRE(Frame->Address != 0 && Frame->Width != 0 && Frame->Height != 0);
    FUZZ_REQUIRE((ULONG64)Frame->Width * Bytes <= Frame->Pitch);
    FUZZ_REQUIRE(Frame->Address + (ULONG64)Frame->Pitch * Frame->Height >= Frame->Address);
    if (Frame->Type == BootFramebufferLinear)
    {
        FUZZ_REQUIRE(Frame->BitsPerPixel == 24 || Frame->BitsPerPixel == 32);
        FUZZ_REQUIRE(Frame->RedShift + Frame->RedSize <= Frame->BitsPerPixel);
        FUZZ_REQUIRE(Frame->GreenShift + Frame->GreenSize <= Frame->BitsPerPixel);
        FUZZ_REQUIRE(Frame->BlueShift + Frame->BlueSize <= Frame->BitsPerPixel);
    }
}

static inline VOID CheckBootInfo(const BOOT_INFO *Info, PCSTR Problem)
{
    FUZZ_REQUIRE(Problem == NULL || strlen(Problem) > 5);
    FUZZ_REQUIRE(Info->RangeCount <= BOOT_MAXIMUM_RANGES);
    FUZZ_REQUIRE(Problem != NULL || Info->RangeCount != 0);
    FUZZ_REQUIRE(Info->ModuleCount <= BOOT_MAXIMUM_MODULES);
    FUZZ_REQUIRE(Info->RsdpLength == 0 || Info->RsdpLength == 20 || Info->RsdpLength == 36);
    FUZZ_REQUIRE(Info->Efi <= TRUE && Info->CommandLineTruncated <= TRUE);
    CHECK_TEXT(Info->CommandLine);
    CHECK_TEXT(Info->LoaderName);
    for (ULONG Index = 0; Index < Info->ModuleCount; Index++)
    {
        CHECK_TEXT(Info->Modules[Index].Name);
        FUZZ_REQUIRE(Info->Modules[Index].Start <= Info->Modules[Index].End);
    }
    CheckFramebuffer(&Info->Framebuffer);
}
