/* SPDX-License-Identifier: MIT */
/*
 * poolchk.c - what is wrong with a free: the pool's checks and the bug checks they end in, with
 * Microsoft's parameters ("Bug Check 0xC2: BAD_POOL_CALLER", "Bug Check 0x19: BAD_POOL_HEADER").
 * Nothing here runs when all is well, except the red zones of checked builds.
 */
#include "exp.h"

/* P lies in a slab's page, but its header is not that of an allocated block. */
static DECLSPEC_NORETURN VOID ExpBadBlock(PVOID P)
{
    PEXP_SLAB Slab = PAGE_ALIGN(P);
    PEXP_BLOCK Block = (PEXP_BLOCK)P - 1;
    ULONG Offset = BYTE_OFFSET(P) - EXP_SLAB_HEADER - (ULONG)sizeof(EXP_BLOCK);

    if (Slab->Seal != (ExpSecret ^ (ULONG64)Slab))
    {
        KeBugCheckEx(BAD_POOL_HEADER, 0x20, (ULONG_PTR)Slab, (ULONG_PTR)P, Slab->Seal);
    }

    ULONG BlockBytes = ExpBlockBytes[Slab->Class];

    if (BYTE_OFFSET(P) < EXP_SLAB_HEADER + sizeof(EXP_BLOCK) || Offset % BlockBytes != 0 ||
        Offset / BlockBytes >= Slab->Cut)
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0x46, (ULONG_PTR)P, 0, 0);
    }
    if (Block->State == EXP_FREED && Block->Class == Slab->Class)
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0x7, 0, Block->Word, (ULONG_PTR)P);
    }
    KeBugCheckEx(BAD_POOL_HEADER, 0x20, (ULONG_PTR)Block, (ULONG_PTR)Block + BlockBytes,
                 Block->Word);
}

VOID ExpBadFree(PVOID P)
{
    PMI_PAGE Page = MiLookupVirtual(P);

    if (Page == NULL && (LONG64)P >= 0) /* the lower half: no kernel address at all */
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0x40, (ULONG_PTR)P, MM_PHYSICAL_MAP_BASE, 0);
    }
    if (Page == NULL)
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0x42, (ULONG_PTR)P, 0, 0);
    }
    if (Page->Use == MiPagePoolSlab)
    {
        ExpBadBlock(P);
    }
    if (Page->Use == MiPagePoolLarge)
    {
        KeBugCheckEx(BAD_POOL_CALLER, 0x46, (ULONG_PTR)P, 0, 0);
    }
    KeBugCheckEx(BAD_POOL_CALLER, 0x41, (ULONG_PTR)P, MiVirtualToPhysical(P) >> PAGE_SHIFT,
                 MiHighestFrame());
}

VOID ExpFillRedZone(PVOID P, SIZE_T Bytes, SIZE_T Slack)
{
    RtlFillMemory((PUCHAR)P + Bytes, Slack, EXP_RED_ZONE);
}

VOID ExpCheckRedZone(PVOID P, SIZE_T Bytes, SIZE_T Slack)
{
    PUCHAR Zone = (PUCHAR)P + Bytes;

    for (SIZE_T Index = 0; Index < Slack; Index++)
    {
        if (Zone[Index] != EXP_RED_ZONE)
        {
            KeBugCheckEx(BAD_POOL_HEADER, 0x21, (ULONG_PTR)P, Bytes, Zone[Index]);
        }
    }
}
