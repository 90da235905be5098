/* SPDX-License-Identifier: MIT */
/*
 * rtl.h - the run-time library: memory, strings, lists, checksums. Stateless; any IRQL.
 */
#pragma once

#include <ntdef.h>
#include <sal.h>

void *memcpy(void *Destination, const void *Source, size_t Length);
void *memmove(void *Destination, const void *Source, size_t Length);
void *memset(void *Destination, int Fill, size_t Length);
int memcmp(const void *Source1, const void *Source2, size_t Length);
size_t strlen(const char *String);
int strcmp(const char *String1, const char *String2);
int strncmp(const char *String1, const char *String2, size_t Length);

#define RtlCopyMemory(Destination, Source, Length) memcpy((Destination), (Source), (Length))
#define RtlMoveMemory(Destination, Source, Length) memmove((Destination), (Source), (Length))
#define RtlZeroMemory(Destination, Length) memset((Destination), 0, (Length))
#define RtlFillMemory(Destination, Length, Fill) memset((Destination), (Fill), (Length))
#define RtlEqualMemory(Source1, Source2, Length) (!memcmp((Source1), (Source2), (Length)))

/* Number of leading bytes that are equal. */
SIZE_T RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length);

#define RtlUshortByteSwap(Value) __builtin_bswap16(Value)
#define RtlUlongByteSwap(Value) __builtin_bswap32(Value)
#define RtlUlonglongByteSwap(Value) __builtin_bswap64(Value)

/*
 * printf into a buffer of DestinationSize bytes, always terminated. Conversions: %d %i %u %x %X %o
 * %p %s %c %% with flags "-0+ #", width and precision (numbers or *), and the length modifiers hh h
 * l ll z I64. STATUS_SUCCESS, STATUS_BUFFER_OVERFLOW if cut off, STATUS_INVALID_PARAMETER for a
 * buffer of no bytes. Microsoft: "RtlStringCbPrintfA", "RtlStringCbVPrintfA".
 */
NTSTATUS RtlStringCbVPrintfA(_Out_ PSTR Destination, SIZE_T DestinationSize, PCSTR Format,
                             va_list Arguments);
NTSTATUS RtlStringCbPrintfA(_Out_ PSTR Destination, SIZE_T DestinationSize, PCSTR Format, ...)
    __attribute__((format(printf, 3, 4)));

/* Doubly linked lists ("Singly and Doubly Linked Lists"); the caller synchronizes. */
FORCEINLINE VOID InitializeListHead(PLIST_ENTRY ListHead)
{
    ListHead->Flink = ListHead->Blink = ListHead;
}

FORCEINLINE BOOLEAN IsListEmpty(const LIST_ENTRY *ListHead)
{
    return ListHead->Flink == ListHead;
}

FORCEINLINE VOID InsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry)
{
    PLIST_ENTRY First = ListHead->Flink;
    Entry->Flink = First;
    Entry->Blink = ListHead;
    First->Blink = Entry;
    ListHead->Flink = Entry;
}

FORCEINLINE VOID InsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry)
{
    PLIST_ENTRY Last = ListHead->Blink;
    Entry->Flink = ListHead;
    Entry->Blink = Last;
    Last->Flink = Entry;
    ListHead->Blink = Entry;
}

/* TRUE if the list is empty afterwards. */
FORCEINLINE BOOLEAN RemoveEntryList(PLIST_ENTRY Entry)
{
    PLIST_ENTRY Next = Entry->Flink;
    PLIST_ENTRY Previous = Entry->Blink;
    Previous->Flink = Next;
    Next->Blink = Previous;
    return Next == Previous;
}

/* The first entry, or the head itself if the list is empty. */
FORCEINLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY ListHead)
{
    PLIST_ENTRY Entry = ListHead->Flink;
    RemoveEntryList(Entry);
    return Entry;
}

/* ------------------------------------------------------------------ A pairing heap: an ordered set
 * whose first element is at hand (lib/heap.c; the kernel's own, not for drivers). The caller
 * synchronizes, and provides the nodes. *Root is the node with the smallest Key, or NULL; equal
 * keys come in any order. Insert is O(1), Remove of any node O(log n) amortized. */
typedef struct _RTLP_HEAP_NODE
{
    struct _RTLP_HEAP_NODE *Child;    /* its first child                                    */
    struct _RTLP_HEAP_NODE *Sibling;  /* the next child of its parent                       */
    struct _RTLP_HEAP_NODE *Previous; /* the sibling before it; the parent of a first child */
    ULONG64 Key;
} RTLP_HEAP_NODE, *PRTLP_HEAP_NODE;

VOID RtlpInsertHeap(_Inout_ PRTLP_HEAP_NODE *Root, _Inout_ PRTLP_HEAP_NODE Node);
VOID RtlpRemoveHeap(_Inout_ PRTLP_HEAP_NODE *Root, _Inout_ PRTLP_HEAP_NODE Node);
/* Takes all nodes out; returns them chained by Sibling, in no order. */
PRTLP_HEAP_NODE RtlpUnravelHeap(_Inout_ PRTLP_HEAP_NODE *Root);
