/* SPDX-License-Identifier: MIT */
/*
 * slab.c - where the pool's small blocks come from: pages cut into blocks of one size.
 *
 * A size class has a list of the slabs that have a block left; full slabs are in no list, and come
 * back to it with their first returned block. Blocks are cut from a page when they are first asked
 * for, so a new slab costs nothing but its header. A slab that becomes empty is kept if it
 * is the class's only empty one, so that a pair of allocate and free at a slab's edge moves no
 * pages; else it goes back to the page frames.
 *
 * A class's lock (rank KiRankPool, DISPATCH_LEVEL) guards its list and its slabs' headers and free
 * blocks. Page frames are taken and given back outside it.
 */
#include "exp.h"

typedef struct DECLSPEC_ALIGN(64) _EXP_CLASS
{
    KSPIN_LOCK Lock;  /* KiRankPool, DISPATCH_LEVEL; guards the rest */
    LIST_ENTRY Slabs; /* with a block left; empty ones last          */
    ULONG EmptySlabs; /* how many of them have no block in use       */
} EXP_CLASS, *PEXP_CLASS;

/*
 * Multiples of 16; from 64 on nearly all of 64, for cache alignment. Of each size, as many as fit a
 * page behind the slab's header; a larger block would be alone there, and gets the whole page.
 */
const USHORT ExpBlockBytes[EXP_CLASSES] = {32,  48,  64,  80,  96,  112, 128, 160, 192,  224,
                                           256, 320, 384, 448, 576, 640, 768, 960, 1344, 1984};

C_ASSERT(EXP_SLAB_HEADER + 2 * EXP_LARGEST_BLOCK <= PAGE_SIZE);

static EXP_CLASS ExpClasses[EXP_CLASSES];

volatile LONG64 ExpPoolPages;

VOID ExpInitializeSlabs(VOID)
{
    for (ULONG Index = 0; Index < EXP_CLASSES; Index++)
    {
        KiInitializeRankedSpinLock(&ExpClasses[Index].Lock, KiRankPool);
        InitializeListHead(&ExpClasses[Index].Slabs);
    }
}

static PEXP_SLAB ExpNewSlab(ULONG Class)
{
    ULONG64 Physical = MiAllocateFrames(KeGetCurrentNodeNumber(), 1, NULL, MiPagePoolSlab);

    if (Physical == 0)
    {
        return NULL;
    }

    PEXP_SLAB Slab = ArchPhysicalToVirtual(Physical);

    Slab->Free = NULL;
    Slab->InUse = 0;
    Slab->Cut = 0;
    Slab->Capacity = (USHORT)((PAGE_SIZE - EXP_SLAB_HEADER) / ExpBlockBytes[Class]);
    Slab->Class = (UCHAR)Class;
    Slab->Seal = ExpSecret ^ (ULONG64)Slab;
    InterlockedIncrement64(&ExpPoolPages);
    return Slab;
}

/* One block of a slab that has one left. The class's lock is held. */
static PEXP_BLOCK ExpTakeFromSlab(PEXP_CLASS Class, PEXP_SLAB Slab)
{
    PEXP_BLOCK Block = Slab->Free;

    if (Block != NULL)
    {
        Slab->Free = Block->Next;
    }
    else
    {
        Block = (PEXP_BLOCK)((PUCHAR)Slab + EXP_SLAB_HEADER +
                             (SIZE_T)Slab->Cut * ExpBlockBytes[Slab->Class]);
        Block->Word = 0;
        Block->Class = Slab->Class;
        Block->State = EXP_FREED;
        Slab->Cut++;
    }
    if (Slab->InUse == 0)
    {
        Class->EmptySlabs--;
    }
    Slab->InUse++;
    if (Slab->InUse == Slab->Capacity)
    {
        RemoveEntryList(&Slab->Link);
    }
    return Block;
}

/* Takes blocks from the class's slabs as long as there are any; returns how many. */
static ULONG ExpTakeFromSlabs(PEXP_CLASS Class, ULONG Count, PEXP_BLOCK *Chain)
{
    ULONG Taken = 0;

    KeAcquireSpinLockAtDpcLevel(&Class->Lock);
    while (Taken < Count && !IsListEmpty(&Class->Slabs))
    {
        PEXP_SLAB Slab = CONTAINING_RECORD(Class->Slabs.Flink, EXP_SLAB, Link);
        PEXP_BLOCK Block = ExpTakeFromSlab(Class, Slab);

        Block->Next = *Chain;
        *Chain = Block;
        Taken++;
    }
    KeReleaseSpinLockFromDpcLevel(&Class->Lock);
    return Taken;
}

PEXP_BLOCK ExpTakeBlocks(ULONG Class, ULONG Count, PULONG Taken)
{
    PEXP_CLASS This = &ExpClasses[Class];
    PEXP_BLOCK Chain = NULL;

    *Taken = ExpTakeFromSlabs(This, Count, &Chain);
    while (*Taken == 0)
    {
        PEXP_SLAB Slab = ExpNewSlab(Class);

        if (Slab == NULL)
        {
            return NULL;
        }
        KeAcquireSpinLockAtDpcLevel(&This->Lock);
        InsertTailList(&This->Slabs, &Slab->Link);
        This->EmptySlabs++;
        KeReleaseSpinLockFromDpcLevel(&This->Lock);

        /* Other processors may have emptied it already: then once more. */
        *Taken = ExpTakeFromSlabs(This, Count, &Chain);
    }
    return Chain;
}

/* Returns one block: (full) -> (in the list), (in the list) -> (empty: kept, or surplus). Returns
 * the slab if it is surplus, taken out of the list, else NULL. The class's lock is held. */
static PEXP_SLAB ExpReturnToSlab(PEXP_CLASS Class, PEXP_BLOCK Block)
{
    PEXP_SLAB Slab = ExpSlabOfBlock(Block);

    if (Slab->Seal != (ExpSecret ^ (ULONG64)Slab) || Slab->Class != Block->Class)
    {
        KeBugCheckEx(BAD_POOL_HEADER, 0x20, (ULONG_PTR)Slab, (ULONG_PTR)Block, Block->Word);
    }
    Block->Next = Slab->Free;
    Slab->Free = Block;
    if (Slab->InUse == Slab->Capacity)
    {
        InsertHeadList(&Class->Slabs, &Slab->Link);
    }
    Slab->InUse--;
    if (Slab->InUse != 0)
    {
        return NULL;
    }
    RemoveEntryList(&Slab->Link);
    if (Class->EmptySlabs != 0)
    {
        return Slab;
    }
    Class->EmptySlabs++;
    InsertTailList(&Class->Slabs, &Slab->Link);
    return NULL;
}

VOID ExpReturnBlocks(ULONG Class, PEXP_BLOCK Chain)
{
    PEXP_CLASS This = &ExpClasses[Class];
    LIST_ENTRY Surplus;

    InitializeListHead(&Surplus);
    KeAcquireSpinLockAtDpcLevel(&This->Lock);
    while (Chain != NULL)
    {
        PEXP_BLOCK Next = Chain->Next;
        PEXP_SLAB Slab = ExpReturnToSlab(This, Chain);

        if (Slab != NULL)
        {
            InsertTailList(&Surplus, &Slab->Link);
        }
        Chain = Next;
    }
    KeReleaseSpinLockFromDpcLevel(&This->Lock);

    while (!IsListEmpty(&Surplus))
    {
        PEXP_SLAB Slab = CONTAINING_RECORD(RemoveHeadList(&Surplus), EXP_SLAB, Link);

        MiFreeFrames(MiVirtualToPhysical(Slab), MiPagePoolSlab);
        InterlockedDecrement64(&ExpPoolPages);
    }
}
