/* SPDX-License-Identifier: MIT */
/*
 * ntdef.h - the types everything else is written in.
 *
 * Freestanding and self-contained: lib/ and every parser compile against this file alone, in the
 * kernel and on the host. Sizes are those of 64-bit Windows (LONG is 32 bits), so structures in
 * Microsoft's documentation keep their layout.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void VOID, *PVOID;
typedef char CHAR, *PCHAR;
typedef const char *PCSTR;
typedef char *PSTR;
typedef signed char SCHAR;
typedef uint8_t UCHAR, *PUCHAR, BOOLEAN, *PBOOLEAN;
typedef int16_t SHORT, *PSHORT;
typedef uint16_t USHORT, *PUSHORT;
typedef int32_t LONG, *PLONG;
typedef uint32_t ULONG, *PULONG, LOGICAL, *PLOGICAL;
typedef long long LONGLONG, LONG64, *PLONGLONG, *PLONG64;
typedef unsigned long long ULONGLONG, ULONG64, *PULONGLONG, *PULONG64;
typedef unsigned long long ULONG_PTR, *PULONG_PTR;
typedef long long LONG_PTR;
typedef unsigned long long SIZE_T, *PSIZE_T;
typedef LONG NTSTATUS, *PNTSTATUS;
typedef PVOID HANDLE, *PHANDLE;
typedef USHORT WCHAR, *PWCH;

typedef union _LARGE_INTEGER
{
    struct
    {
        ULONG LowPart;
        LONG HighPart;
    };
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _LIST_ENTRY
{
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY
{
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

/* A counted string; Length and MaximumLength are in bytes. */
typedef struct _UNICODE_STRING
{
    USHORT Length;
    USHORT MaximumLength;
    PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;

#define TRUE 1
#define FALSE 0

#define MAXUCHAR 0xFFu
#define MAXUSHORT 0xFFFFu
#define MAXULONG 0xFFFFFFFFu
#define MAXULONG64 0xFFFFFFFFFFFFFFFFull
#define MINLONG ((LONG)0x80000000)
#define MAXLONG 0x7FFFFFFF

#define NTAPI
#define FORCEINLINE static inline __attribute__((always_inline))
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define DECLSPEC_ALIGN(Bytes) __attribute__((aligned(Bytes)))
#define UNREFERENCED_PARAMETER(Parameter) ((void)(Parameter))
#define C_ASSERT(Expression) _Static_assert(Expression, #Expression)

#define FIELD_OFFSET(Type, Field) offsetof(Type, Field)
#define RTL_NUMBER_OF(Array) (sizeof(Array) / sizeof((Array)[0]))
#define RTL_FIELD_SIZE(Type, Field) (sizeof(((Type *)0)->Field))

/* It takes "(Name) - 1" for a cast. */
/* clang-format off */

/* The structure of type Type whose member Field lies at Address. */
#define CONTAINING_RECORD(Address, Type, Field)                                                    \
    ((Type *)((PUCHAR)(Address) - offsetof(Type, Field)))

#define PAGE_SHIFT 12
#define PAGE_SIZE 0x1000ull

#define BYTES_TO_PAGES(Size) (((ULONG64)(Size) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PAGE_ALIGN(Va) ((PVOID)((ULONG_PTR)(Va) & ~(PAGE_SIZE - 1)))
#define BYTE_OFFSET(Va) ((ULONG)((ULONG_PTR)(Va) & (PAGE_SIZE - 1)))
#define ALIGN_UP_BY(Value, Alignment)                                                              \
    (((ULONG64)(Value) + (Alignment) - 1) & ~((ULONG64)(Alignment) - 1))
#define ALIGN_DOWN_BY(Value, Alignment) ((ULONG64)(Value) & ~((ULONG64)(Alignment) - 1))

/* clang-format on */

#include <ntstatus.h>
