/* SPDX-License-Identifier: MIT */
/* rwspinlock.h - the reader/writer spin lock's word, taken apart: see rwspinlock.c. */
#pragma once

#include <ki.h>

/* From bit 0 up: readers inside, the ticket that is served, the next ticket. */
#define EXP_RW_READER_BITS 14
#define EXP_RW_TICKET_BITS 9
#define EXP_RW_SERVING_SHIFT EXP_RW_READER_BITS
#define EXP_RW_NEXT_SHIFT (EXP_RW_READER_BITS + EXP_RW_TICKET_BITS)
#define EXP_RW_READERS (1u << EXP_RW_READER_BITS)
#define EXP_RW_TICKETS (1u << EXP_RW_TICKET_BITS)
#define EXP_RW_NEXT_ONE (1u << EXP_RW_NEXT_SHIFT)

C_ASSERT(EXP_RW_NEXT_SHIFT + EXP_RW_TICKET_BITS == 32);

FORCEINLINE ULONG ExpRwReaders(ULONG Word)
{
    return Word % EXP_RW_READERS;
}

FORCEINLINE ULONG ExpRwServing(ULONG Word)
{
    return (Word >> EXP_RW_SERVING_SHIFT) % EXP_RW_TICKETS;
}

FORCEINLINE ULONG ExpRwNext(ULONG Word)
{
    return Word >> EXP_RW_NEXT_SHIFT;
}
