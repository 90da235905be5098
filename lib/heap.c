/* SPDX-License-Identifier: MIT */
/*
 * heap.c - the pairing heap of Fredman, Sedgewick, Sleator and Tarjan.
 *
 * A tree in which no node's key is less than its parent's; children are a list, newest first. Two
 * trees are melded by making the root with the greater key a child of the other: that is insertion,
 * one comparison. Removal leaves a list of children to be made one tree again: melded in pairs from
 * first to last, then the pairs from last to first, which is what keeps removal at O(log n) over
 * time. There is no recursion: a kernel stack is no place for a tree's depth.
 */
#include <rtl.h>

/* Two roots become one tree. A root's Sibling and Previous are nobody's business until it is in a
 * tree, and the survivor's are left as they are. */
static PRTLP_HEAP_NODE RtlpMeldHeaps(PRTLP_HEAP_NODE First, PRTLP_HEAP_NODE Second)
{
    PRTLP_HEAP_NODE Parent = First, Child = Second;

    if (Second->Key < First->Key)
    {
        Parent = Second;
        Child = First;
    }
    Child->Previous = Parent;
    Child->Sibling = Parent->Child;
    if (Child->Sibling != NULL)
    {
        Child->Sibling->Previous = Child;
    }
    Parent->Child = Child;
    return Parent;
}

/* The trees of a list of siblings become one; NULL if there are none. */
static PRTLP_HEAP_NODE RtlpMeldSiblings(PRTLP_HEAP_NODE First)
{
    PRTLP_HEAP_NODE Pairs = NULL; /* melded pairs by Sibling, the last first */
    PRTLP_HEAP_NODE Root = NULL;

    while (First != NULL)
    {
        PRTLP_HEAP_NODE Pair = First;
        PRTLP_HEAP_NODE Second = First->Sibling;

        First = NULL;
        if (Second != NULL)
        {
            First = Second->Sibling;
            Pair = RtlpMeldHeaps(Pair, Second);
        }
        Pair->Sibling = Pairs;
        Pairs = Pair;
    }
    while (Pairs != NULL)
    {
        PRTLP_HEAP_NODE Next = Pairs->Sibling;

        Root = Root == NULL ? Pairs : RtlpMeldHeaps(Root, Pairs);
        Pairs = Next;
    }
    if (Root != NULL)
    {
        Root->Sibling = NULL;
        Root->Previous = NULL;
    }
    return Root;
}

VOID RtlpInsertHeap(PRTLP_HEAP_NODE *Root, PRTLP_HEAP_NODE Node)
{
    Node->Child = NULL;
    Node->Sibling = NULL;
    Node->Previous = NULL;
    *Root = *Root == NULL ? Node : RtlpMeldHeaps(*Root, Node);
}

VOID RtlpRemoveHeap(PRTLP_HEAP_NODE *Root, PRTLP_HEAP_NODE Node)
{
    PRTLP_HEAP_NODE Rest;

    if (Node == *Root)
    {
        *Root = RtlpMeldSiblings(Node->Child);
        return;
    }
    /* What comes before a node is its parent exactly if the node is that one's first child. */
    if (Node->Previous->Child == Node)
    {
        Node->Previous->Child = Node->Sibling;
    }
    else
    {
        Node->Previous->Sibling = Node->Sibling;
    }
    if (Node->Sibling != NULL)
    {
        Node->Sibling->Previous = Node->Previous;
    }
    Rest = RtlpMeldSiblings(Node->Child);
    if (Rest != NULL)
    {
        *Root = RtlpMeldHeaps(*Root, Rest);
    }
}

/* Each node's children go in front of what is left to visit, so every list is walked once. */
PRTLP_HEAP_NODE RtlpUnravelHeap(PRTLP_HEAP_NODE *Root)
{
    PRTLP_HEAP_NODE First = *Root;

    for (PRTLP_HEAP_NODE Node = First; Node != NULL; Node = Node->Sibling)
    {
        PRTLP_HEAP_NODE Last = Node->Child;

        if (Last != NULL)
        {
            while (Last->Sibling != NULL)
            {
                Last = Last->Sibling;
            }
            Last->Sibling = Node->Sibling;
            Node->Sibling = Node->Child;
        }
    }
    *Root = NULL;
    return First;
}
