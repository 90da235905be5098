/* SPDX-License-Identifier: MIT */
/*
 * test_heap.c - holds lib/heap.c to what a timer queue needs: the first node is a smallest one
 * after every insertion and removal, whichever node is removed; the links are whole; nodes that
 * leave are those that were put in.
 */
#include "host.h"

#include <rtl.h>

#define NODES 600
#define STEPS 20000

typedef struct _ITEM
{
    ULONG64 Guard;
    RTLP_HEAP_NODE Node;
    BOOLEAN Inside;
} ITEM, *PITEM;

static ITEM Items[NODES];
static PRTLP_HEAP_NODE Root;

static VOID Clear(VOID)
{
    memset(Items, 0, sizeof(Items));
    Root = NULL;
}

static VOID Insert(ULONG Index, ULONG64 Key)
{
    Items[Index].Node.Key = Key;
    Items[Index].Inside = TRUE;
    RtlpInsertHeap(&Root, &Items[Index].Node);
}

static VOID Remove(PRTLP_HEAP_NODE Node)
{
    PITEM Item = CONTAINING_RECORD(Node, ITEM, Node);

    assert_true(Item->Inside);
    Item->Inside = FALSE;
    RtlpRemoveHeap(&Root, Node);
}

/* Checks the links and keys of a list of siblings and all below; returns the number of nodes. */
static ULONG CheckSiblings(PRTLP_HEAP_NODE First, PRTLP_HEAP_NODE Parent)
{
    PRTLP_HEAP_NODE Previous = Parent;
    ULONG Count = 0;

    for (PRTLP_HEAP_NODE Node = First; Node != NULL; Node = Node->Sibling)
    {
        assert_ptr_equal(Node->Previous, Previous);
        assert_true(CONTAINING_RECORD(Node, ITEM, Node)->Inside);
        if (Parent != NULL)
        {
            assert_true(Node->Key >= Parent->Key);
        }
        Count += 1 + CheckSiblings(Node->Child, Node);
        Previous = Node;
    }
    return Count;
}

static ULONG CheckHeap(VOID)
{
    if (Root != NULL)
    {
        assert_null(Root->Sibling);
    }
    return CheckSiblings(Root, NULL);
}

static ULONG64 SmallestInside(VOID)
{
    ULONG64 Smallest = MAXULONG64;

    for (ULONG Index = 0; Index < NODES; Index++)
    {
        if (Items[Index].Inside && Items[Index].Node.Key < Smallest)
        {
            Smallest = Items[Index].Node.Key;
        }
    }
    return Smallest;
}

static void OneNodeComesAndGoes(void **State)
{
    UNREFERENCED_PARAMETER(State);
    Clear();
    memset(&Items[0].Node, 0xEE, sizeof(Items[0].Node)); /* what it held before is of no concern */
    Insert(0, 7);
    assert_ptr_equal(Root, &Items[0].Node);
    assert_int_equal(CheckHeap(), 1);
    Remove(Root);
    assert_null(Root);
}

static void RandomStepsKeepTheSmallestFirst(void **State)
{
    ULONG Count = 0;

    UNREFERENCED_PARAMETER(State);
    Clear();
    for (ULONG Step = 0; Step < STEPS; Step++)
    {
        ULONG Index = (ULONG)HostRandomBelow(NODES);

        if (!Items[Index].Inside)
        {
            Insert(Index, HostRandomBelow(Step % 3 == 0 ? 8 : 1000000)); /* many are equal */
            Count++;
        }
        else if (Step % 2 == 0)
        {
            Remove(&Items[Index].Node);
            Count--;
        }
        else
        {
            Remove(Root);
            Count--;
        }
        if (Root == NULL)
        {
            assert_int_equal(Count, 0);
            continue;
        }
        if (Step % 16 == 0)
        {
            assert_true(Root->Key == SmallestInside());
            assert_int_equal(CheckHeap(), Count);
        }
    }
}

typedef enum _ORDER
{
    Rising,
    Falling,
    Mixed,
    OrderCount
} ORDER;

/* Each makes a tree of another shape: a list of children, a chain, anything. */
static void NodesComeOutInOrder(void **State)
{
    UNREFERENCED_PARAMETER(State);
    for (ORDER Order = Rising; Order < OrderCount; Order++)
    {
        ULONG64 Last = 0;

        Clear();
        for (ULONG Index = 0; Index < NODES; Index++)
        {
            Insert(Index, Order == Rising    ? Index
                          : Order == Falling ? NODES - Index
                                             : HostRandomBelow(NODES));
        }
        for (ULONG Left = NODES; Left != 0; Left--)
        {
            assert_non_null(Root);
            assert_true(Root->Key >= Last);
            Last = Root->Key;
            Remove(Root);
            assert_int_equal(CheckHeap(), Left - 1);
        }
        assert_null(Root);
    }
}

static void UnravellingGivesEachNodeOnce(void **State)
{
    UNREFERENCED_PARAMETER(State);
    Clear();
    assert_null(RtlpUnravelHeap(&Root));
    for (ULONG Round = 0; Round < 20; Round++)
    {
        ULONG Wanted = Round * 29, Count = 0;
        PRTLP_HEAP_NODE Node;

        Clear();
        for (ULONG Index = 0; Index < Wanted; Index++)
        {
            Insert(Index, HostRandomBelow(NODES));
        }
        for (ULONG Index = 0; Index < Wanted / 4; Index++)
        {
            Remove(Root); /* only then is the tree more than a root and its children */
        }
        Node = RtlpUnravelHeap(&Root);
        assert_null(Root);
        while (Node != NULL)
        {
            PRTLP_HEAP_NODE Next = Node->Sibling;

            assert_true(CONTAINING_RECORD(Node, ITEM, Node)->Inside);
            CONTAINING_RECORD(Node, ITEM, Node)->Inside = FALSE;
            RtlpInsertHeap(&Root, Node); /* its links may be overwritten at once */
            Count++;
            Node = Next;
        }
        assert_int_equal(Count, Wanted - Wanted / 4);
    }
}

HOST_MAIN(cmocka_unit_test(OneNodeComesAndGoes), cmocka_unit_test(RandomStepsKeepTheSmallestFirst),
          cmocka_unit_test(NodesComeOutInOrder), cmocka_unit_test(UnravellingGivesEachNodeOnce))
