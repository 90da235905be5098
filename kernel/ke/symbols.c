/* SPDX-License-Identifier: MIT */
/*
 * symbols.c - which routine an address belongs to, and how control came there.
 *
 * The table is made from the linked image (tools/ksyms) and linked in again: offsets of the
 * routines from the image's text, ascending, and their names. Frames are followed by RBP. A trap
 * frame looks like a call frame whose return address is its vector, which no code address is; the
 * walk goes on at the interrupted RIP, on whatever stack that was.
 */
#include "symbols.h"

#include <arch/mmu.h>

typedef struct _KI_SYMBOL
{
    ULONG Offset; /* from KiImageTextStart */
    ULONG Name;   /* into KiSymbolNames    */
} KI_SYMBOL;

extern const KI_SYMBOL KiSymbols[];
extern const ULONG KiSymbolCount;
extern const CHAR KiSymbolNames[];
extern UCHAR KiImageTextStart[], KiImageTextEnd[];

PCSTR KiFindSymbol(ULONG64 Address, ULONG64 *Offset)
{
    ULONG64 Wanted = Address - (ULONG64)KiImageTextStart;
    ULONG Low = 0, High = KiSymbolCount;

    if (Address < (ULONG64)KiImageTextStart || Address >= (ULONG64)KiImageTextEnd || High == 0)
    {
        return NULL;
    }
    while (High - Low > 1)
    {
        ULONG Middle = Low + (High - Low) / 2;

        if (KiSymbols[Middle].Offset <= Wanted)
        {
            Low = Middle;
        }
        else
        {
            High = Middle;
        }
    }
    *Offset = Wanted - KiSymbols[Low].Offset;
    return &KiSymbolNames[KiSymbols[Low].Name];
}

static BOOLEAN KiIsReadable(ULONG64 Address)
{
    return Address % 8 == 0 && Address >= MM_PHYSICAL_MAP_BASE &&
           ArchTranslate((PVOID)Address) != ARCH_NOT_MAPPED &&
           ArchTranslate((PVOID)(Address + 8)) != ARCH_NOT_MAPPED;
}

VOID KiWalkStack(ULONG64 Rbp, ULONG Limit, KI_VISIT_FRAME *Visit, PVOID Context)
{
    for (ULONG Count = 0; Count < Limit && KiIsReadable(Rbp); Count++)
    {
        PULONG64 Frame = (PULONG64)Rbp;
        ULONG64 Return = Frame[1];

        if (Return < VECTOR_COUNT)
        {
            PKTRAP_FRAME Trap = CONTAINING_RECORD(Frame, KTRAP_FRAME, Rbp);

            Visit(Trap->Rip, Trap, Context);
        }
        else
        {
            Visit(Return, NULL, Context);
        }
        Rbp = Frame[0];
    }
}
