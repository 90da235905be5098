/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share: their one entry, the assertion that a violated oracle ends
 * in, exactly sized copies, and a reader that takes numbers off the input's front.
 *
 * A target is a pure function of its input: no state survives a call, so that each input found is
 * one file that repeats what it did. The address sanitizer sees each byte read too far, because
 * what the code under test gets is a heap block of exactly that size.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ntdef.h>

/* The entry that libFuzzer and replay.c call. Inputs are never longer than FUZZ_LONGEST. */
int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

#define FUZZ_LONGEST 0x4000

static inline DECLSPEC_NORETURN VOID FuzzFail(const char *Condition, const char *File, int Line)
{
    fprintf(stderr, "%s:%d: violated: %s\n", File, Line, Condition);
    fflush(stderr);
    abort();
}

#define FUZZ_REQUIRE(Condition)                                                                    \
    do                                                                                             \
    {                                                                                              \
        if (!(Condition))                                                                          \
        {                                                                                          \
            FuzzFail(#Condition, __FILE__, __LINE__);                                              \
        }                                                                                          \
    } while (0)

/* A copy with nothing of ours after its last byte. To be freed. */
static inline PVOID FuzzCopy(const VOID *Data, SIZE_T Length)
{
    PVOID Copy = calloc(1, Length);

    FUZZ_REQUIRE(Copy != NULL || Length == 0);
    if (Length != 0)
    {
        memcpy(Copy, Data, Length);
    }
    return Copy;
}

typedef struct _FUZZ_INPUT
{
    const uint8_t *Data;
    size_t Left;
} FUZZ_INPUT;

/* The next Size bytes as a number; what the input lacks is zero. */
static inline ULONG64 FuzzTake(FUZZ_INPUT *Input, size_t Size)
{
    ULONG64 Value = 0;
    size_t Length = Size < Input->Left ? Size : Input->Left;

    memcpy(&Value, Input->Data, Length);
    Input->Data += Length;
    Input->Left -= Length;
    return Value;
}
