/* SPDX-License-Identifier: MIT */
/*
 * pfn.c - page frames: who owns each page of RAM.
 *
 * PURPOSE
 *   Hands out blocks of consecutive page frames and takes them back, so that an allocation fails
 *   only when no such block exists, and so that giving back what was never handed out is found at
 *   once.
 *
 * HOW IT WORKS
 *   Memory is a few runs of usable frames. The database has one 16-byte entry for each frame of
 *   each run (holes cost nothing), in one array; an entry's place in it is the page's index.
 *   pfndb.c builds it.
 *
 *   Free frames form a binary buddy system. A free block has 2^order pages and starts at a multiple
 *   of its size; its buddy is the other half of the block of twice the size.
 *       allocate   take the smallest block that is big enough, keep what is asked, free the rest
 *       free       while the buddy is a free block of the same order, merge: order -> order + 1
 *   Freeing the rest is the split: 1 page out of 8 leaves blocks of 1, 2 and 4. Blocks need not be
 *   powers of two: what an owner does not ask for he does not pay for.
 *
 *   Requests with limits, and those that no single free block satisfies, scan the runs instead:
 *   from block to block, free or allocated, gathering free neighbours into a stretch until the
 *   request fits.
 *
 *   Frames below 1 MiB stay out: firmware and the AP trampoline have uses for them.
 *
 * LOCKS AND IRQL
 *   Each node has one lock, rank KiRankPageFrames, held at DISPATCH_LEVEL, never two at a time. It
 *   guards the node's free lists and the entries of its free pages. A scan lets go of the lock
 *   between stretches, at each 4 MiB, so its hold time does not grow with memory.
 *
 * ORDERING
 *   None beyond the locks. The runs are written before other processors start.
 *
 * FURTHER READING
 *   Knuth, The Art of Computer Programming 1, 2.5, "The buddy system". Microsoft: "Bug Check 0x4E:
 *   PFN_LIST_CORRUPT".
 */
#include "mi.h"
#include "pfndb.h"

#include <ki.h>

#define MI_POISON_FREE 0xCC
#define MI_POISON_FRESH_LIMIT 64 /* pages */

/* ------------------------------------------------------------------ Free blocks. From here to the
 * scan the caller holds the node's lock, or is alone. */

static VOID MiInsertFreeBlock(PMI_NODE Node, PMI_PAGE Page, UCHAR Order)
{
    ULONG Index = (ULONG)(Page - MiPages);
    ULONG Next = Node->FreeHead[Order];

    Page->Use = MiPageFree;
    Page->Order = Order;
    Page->Next = Next;
    Page->Previous = MI_NO_PAGE;
    if (Next != MI_NO_PAGE)
    {
        MiPages[Next].Previous = Index;
    }
    Node->FreeHead[Order] = Index;
    Node->FreePages += 1ll << Order;
}

static VOID MiRemoveFreeBlock(PMI_NODE Node, PMI_PAGE Page)
{
    if (Page->Previous != MI_NO_PAGE)
    {
        MiPages[Page->Previous].Next = Page->Next;
    }
    else
    {
        Node->FreeHead[Page->Order] = Page->Next;
    }
    if (Page->Next != MI_NO_PAGE)
    {
        MiPages[Page->Next].Previous = Page->Previous;
    }
    Page->Use = MiPageUnused;
    Node->FreePages -= 1ll << Page->Order;
}

/* Frees one aligned block: (block, buddy free) -> (twice the block), as often as that goes. */
static VOID MiFreeBlock(PMI_NODE Node, const MI_RUN *Run, ULONG64 Frame, UCHAR Order)
{
    while (Order < MI_MAXIMUM_ORDER)
    {
        ULONG64 Buddy = Frame ^ (1ull << Order);

        if (Buddy < Run->FirstFrame || Buddy >= Run->EndFrame)
        {
            break;
        }

        PMI_PAGE BuddyPage = MiPageOfFrame(Run, Buddy);

        if (BuddyPage->Use != MiPageFree || BuddyPage->Order != Order)
        {
            break;
        }
        MiRemoveFreeBlock(Node, BuddyPage);
        Frame &= ~(1ull << Order);
        Order++;
    }
    MiInsertFreeBlock(Node, MiPageOfFrame(Run, Frame), Order);
}

VOID MiFreeRange(PMI_NODE Node, const MI_RUN *Run, ULONG64 Frame, ULONG64 EndFrame)
{
    while (Frame < EndFrame)
    {
        ULONG Order = (ULONG)__builtin_ctzll(Frame | (1ull << MI_MAXIMUM_ORDER));

        while (Frame + (1ull << Order) > EndFrame)
        {
            Order--;
        }
        MiFreeBlock(Node, Run, Frame, (UCHAR)Order);
        Frame += 1ull << Order;
    }
}

static VOID MiMarkAllocated(const MI_RUN *Run, ULONG64 Frame, ULONG64 PageCount, MI_PAGE_USE Use)
{
    PMI_PAGE Page = MiPageOfFrame(Run, Frame);

    for (ULONG64 Index = 0; Index < PageCount; Index++)
    {
        Page[Index].Use = (UCHAR)Use;
    }
    Page->Head = TRUE;
    Page->PageCount = (ULONG)PageCount;
}

/* ------------------------------------------------------------------ Without limits: the lists. */

/* Returns a frame number, or 0 if no single free block is big enough. */
static ULONG64 MiAllocateFromLists(PMI_NODE Node, ULONG64 PageCount, MI_PAGE_USE Use)
{
    UCHAR Order = 0;

    while (Order <= MI_MAXIMUM_ORDER &&
           ((1ull << Order) < PageCount || Node->FreeHead[Order] == MI_NO_PAGE))
    {
        Order++;
    }
    if (Order > MI_MAXIMUM_ORDER)
    {
        return 0;
    }

    PMI_PAGE Page = &MiPages[Node->FreeHead[Order]];
    const MI_RUN *Run = &MiRuns[Page->Run];
    ULONG64 Frame = MiFrameOfPage(Page);

    MiRemoveFreeBlock(Node, Page);
    MiMarkAllocated(Run, Frame, PageCount, Use);
    MiFreeRange(Node, Run, Frame + PageCount, Frame + (1ull << Order));
    return Frame;
}

/* ------------------------------------------------------------------ With limits: the scan. */

/* Where in the free stretch [Start, End) the request fits; 0 if nowhere. */
static ULONG64 MiFitInStretch(ULONG64 Start, ULONG64 End, ULONG64 PageCount,
                              const MI_FRAME_LIMITS *Limits)
{
    ULONG64 Boundary = Limits->BoundaryFrames;

    Start = Start > Limits->LowFrame ? Start : Limits->LowFrame;
    End = End < Limits->EndFrame ? End : Limits->EndFrame;
    if (Boundary != 0 && (Start ^ (Start + PageCount - 1)) >= Boundary)
    {
        Start = ALIGN_UP_BY(Start, Boundary);
    }
    return Start < End && End - Start >= PageCount ? Start : 0;
}

/* Takes [Frame, Frame + PageCount), all of it free, out of whatever free blocks hold it; the first
 * of these starts at BlockFrame. */
static VOID MiCarve(PMI_NODE Node, const MI_RUN *Run, ULONG64 BlockFrame, ULONG64 Frame,
                    ULONG64 PageCount, MI_PAGE_USE Use)
{
    ULONG64 End = Frame + PageCount;
    ULONG64 Before = Frame;

    while (BlockFrame < End)
    {
        PMI_PAGE Page = MiPageOfFrame(Run, BlockFrame);
        ULONG64 BlockEnd = BlockFrame + (1ull << Page->Order);

        if (BlockEnd > Frame)
        {
            MiRemoveFreeBlock(Node, Page);
            Before = BlockFrame < Before ? BlockFrame : Before;
        }
        BlockFrame = BlockEnd;
    }
    MiMarkAllocated(Run, Frame, PageCount, Use);
    MiFreeRange(Node, Run, Before, Frame);
    MiFreeRange(Node, Run, End, BlockFrame);
}

/*
 * Scans one run for the request; returns a frame number, or 0. The lock is held on entry and exit,
 * but between stretches, at multiples of the largest block, it is let go: only there is it certain
 * that a free block which changes meanwhile still starts at the frame where the scan goes on.
 */
static ULONG64 MiScanRun(PMI_NODE Node, const MI_RUN *Run, ULONG64 PageCount,
                         const MI_FRAME_LIMITS *Limits, MI_PAGE_USE Use)
{
    ULONG64 Largest = 1ull << MI_MAXIMUM_ORDER;
    ULONG64 From = ALIGN_DOWN_BY(Limits->LowFrame, Largest);
    ULONG64 Frame = From > Run->FirstFrame ? From : Run->FirstFrame;
    ULONG64 End = Run->EndFrame < Limits->EndFrame ? Run->EndFrame : Limits->EndFrame;
    ULONG64 Stretch = 0; /* first frame of the free stretch that ends at Frame; 0 if none does */

    while (Frame < End)
    {
        PMI_PAGE Page = MiPageOfFrame(Run, Frame);

        if (Page->Use != MiPageFree)
        {
            Stretch = 0;
            Frame += Page->Head ? Page->PageCount : 1;
        }
        else
        {
            Stretch = Stretch != 0 ? Stretch : Frame;
            Frame += 1ull << Page->Order;

            ULONG64 Found = MiFitInStretch(Stretch, Frame, PageCount, Limits);

            if (Found != 0)
            {
                MiCarve(Node, Run, Stretch, Found, PageCount, Use);
                return Found;
            }
        }
        if (Stretch == 0 && Frame % Largest == 0)
        {
            KeReleaseSpinLockFromDpcLevel(&Node->Lock);
            KeAcquireSpinLockAtDpcLevel(&Node->Lock);
        }
    }
    return 0;
}

static ULONG64 MiAllocateByScan(USHORT NodeNumber, ULONG64 PageCount, const MI_FRAME_LIMITS *Limits,
                                MI_PAGE_USE Use)
{
    ULONG64 Frame = 0;

    for (ULONG Index = 0; Index < MiRunCount && Frame == 0; Index++)
    {
        if (MiRuns[Index].Node == NodeNumber)
        {
            Frame = MiScanRun(&MiNodes[NodeNumber], &MiRuns[Index], PageCount, Limits, Use);
        }
    }
    return Frame;
}

/* ------------------------------------------------------------------ The interface. */

static ULONG64 MiAllocateFromNode(USHORT NodeNumber, ULONG64 PageCount,
                                  const MI_FRAME_LIMITS *Limits, MI_PAGE_USE Use)
{
    static const MI_FRAME_LIMITS NoLimits = {0, MAXULONG64 >> PAGE_SHIFT, 0};
    PMI_NODE Node = &MiNodes[NodeNumber];
    ULONG64 Frame = 0;
    KIRQL OldIrql;

    KeAcquireSpinLock(&Node->Lock, &OldIrql);
    if (Limits == NULL)
    {
        Frame = MiAllocateFromLists(Node, PageCount, Use);
    }
    if (Frame == 0 && PageCount <= (ULONG64)Node->FreePages && (Limits != NULL || PageCount > 1))
    {
        Frame = MiAllocateByScan(NodeNumber, PageCount, Limits != NULL ? Limits : &NoLimits, Use);
    }
    KeReleaseSpinLock(&Node->Lock, OldIrql);
    return Frame;
}

ULONG64 MiAllocateFrames(USHORT Node, ULONG64 PageCount, const MI_FRAME_LIMITS *Limits,
                         MI_PAGE_USE Use)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    ULONG64 Frame = 0;

    if (PageCount == 0 || PageCount > MiManagedPages)
    {
        return 0;
    }
    if (Limits != NULL && Limits->BoundaryFrames != 0 && PageCount > Limits->BoundaryFrames)
    {
        return 0;
    }
    for (USHORT Try = 0; Try < MiNodeCount && Frame == 0; Try++)
    {
        Frame = MiAllocateFromNode((USHORT)((Node + Try) % MiNodeCount), PageCount, Limits, Use);
    }
#if DBG
    /* An emulator's RAM begins as zeros, a machine's does not: nobody may rely on either. Large
     * blocks are left out for time. */
    if (Frame != 0 && PageCount <= MI_POISON_FRESH_LIMIT)
    {
        RtlFillMemory(ArchPhysicalToVirtual(Frame << PAGE_SHIFT), PageCount << PAGE_SHIFT,
                      MI_POISON_FREE);
    }
#endif
    return Frame << PAGE_SHIFT;
}

VOID MiFreeFrames(ULONG64 Physical, MI_PAGE_USE Use)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);

    ULONG64 Frame = Physical >> PAGE_SHIFT;
    PMI_RUN Run = MiFindRun(Frame);

    if (Run == NULL)
    {
        KeBugCheckEx(PFN_LIST_CORRUPT, 0x99, Frame, MAXULONG, Use);
    }

    PMI_PAGE Page = MiPageOfFrame(Run, Frame);
    PMI_NODE Node = &MiNodes[Run->Node];
    ULONG64 PageCount = Page->PageCount; /* 0 unless a block starts here */
    KIRQL OldIrql;

#if DBG
    RtlFillMemory(ArchPhysicalToVirtual(Frame << PAGE_SHIFT), PageCount << PAGE_SHIFT,
                  MI_POISON_FREE);
#endif

    KeAcquireSpinLock(&Node->Lock, &OldIrql);
    if (!Page->Head || Page->Use != Use)
    {
        KeBugCheckEx(PFN_LIST_CORRUPT, 0x99, Frame, Page->Use, Use);
    }
    for (ULONG64 Index = 0; Index < PageCount; Index++)
    {
        Page[Index].Use = MiPageUnused;
    }
    Page->Head = FALSE;
    Page->PageCount = 0;
    MiFreeRange(Node, Run, Frame, Frame + PageCount);
    KeReleaseSpinLock(&Node->Lock, OldIrql);
}

ULONG64 MiAllocatePageFrame(USHORT Node)
{
    return MiAllocateFrames(Node, 1, NULL, MiPageFrame);
}

VOID MiFreePageFrame(ULONG64 Physical)
{
    MiFreeFrames(Physical, MiPageFrame);
}
