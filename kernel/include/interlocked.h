/* SPDX-License-Identifier: MIT */
/*
 * interlocked.h - atomic operations and explicit memory order.
 *
 * Every Interlocked routine without a suffix is a full barrier, as Microsoft documents; on x86 the
 * LOCK prefix gives exactly that, so the Acquire, Release and NoFence forms cost the same and
 * exist to say what the code relies on. Read...Acquire and Write...Release are plain moves on x86
 * (loads are not reordered with loads, stores not with stores: SDM 3A 9.2); what they stop is the
 * compiler. Any IRQL. Microsoft: "Using Interlocked operations", "KeMemoryBarrier",
 * "ReadULongAcquire".
 */
#pragma once

#include <ntdef.h>

FORCEINLINE LONG InterlockedIncrement(volatile LONG *Addend)
{
    return __atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedDecrement(volatile LONG *Addend)
{
    return __atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedExchange(volatile LONG *Target, LONG Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

/* Adds; returns the value before. */
FORCEINLINE LONG InterlockedExchangeAdd(volatile LONG *Addend, LONG Value)
{
    return __atomic_fetch_add(Addend, Value, __ATOMIC_SEQ_CST);
}

/* Stores Exchange if *Destination == Comparand; returns the value before, either way. */
FORCEINLINE LONG InterlockedCompareExchange(volatile LONG *Destination, LONG Exchange,
                                            LONG Comparand)
{
    __atomic_compare_exchange_n(Destination, &Comparand, Exchange, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return Comparand;
}

FORCEINLINE LONG InterlockedOr(volatile LONG *Destination, LONG Value)
{
    return __atomic_fetch_or(Destination, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedAnd(volatile LONG *Destination, LONG Value)
{
    return __atomic_fetch_and(Destination, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedIncrement64(volatile LONG64 *Addend)
{
    return __atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedDecrement64(volatile LONG64 *Addend)
{
    return __atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedExchange64(volatile LONG64 *Target, LONG64 Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedExchangeAdd64(volatile LONG64 *Addend, LONG64 Value)
{
    return __atomic_fetch_add(Addend, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedCompareExchange64(volatile LONG64 *Destination, LONG64 Exchange,
                                                LONG64 Comparand)
{
    __atomic_compare_exchange_n(Destination, &Comparand, Exchange, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return Comparand;
}

FORCEINLINE LONG64 InterlockedOr64(volatile LONG64 *Destination, LONG64 Value)
{
    return __atomic_fetch_or(Destination, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedAnd64(volatile LONG64 *Destination, LONG64 Value)
{
    return __atomic_fetch_and(Destination, Value, __ATOMIC_SEQ_CST);
}

#define InterlockedExchangePointer(Target, Value)                                                  \
    __atomic_exchange_n((PVOID volatile *)(Target), (PVOID)(Value), __ATOMIC_SEQ_CST)

FORCEINLINE PVOID InterlockedCompareExchangePointer(PVOID volatile *Destination, PVOID Exchange,
                                                    PVOID Comparand)
{
    __atomic_compare_exchange_n(Destination, &Comparand, Exchange, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return Comparand;
}

FORCEINLINE LONG ReadAcquire(const volatile LONG *Source)
{
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}

FORCEINLINE VOID WriteRelease(volatile LONG *Destination, LONG Value)
{
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}

FORCEINLINE LONG ReadNoFence(const volatile LONG *Source)
{
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}

FORCEINLINE VOID WriteNoFence(volatile LONG *Destination, LONG Value)
{
    __atomic_store_n(Destination, Value, __ATOMIC_RELAXED);
}

FORCEINLINE UCHAR ReadUCharAcquire(const volatile UCHAR *Source)
{
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}

FORCEINLINE VOID WriteUCharRelease(volatile UCHAR *Destination, UCHAR Value)
{
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}

FORCEINLINE ULONG ReadULongAcquire(const volatile ULONG *Source)
{
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}

FORCEINLINE VOID WriteULongRelease(volatile ULONG *Destination, ULONG Value)
{
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}

FORCEINLINE ULONG ReadULongNoFence(const volatile ULONG *Source)
{
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}

FORCEINLINE LONG64 ReadAcquire64(const volatile LONG64 *Source)
{
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}

FORCEINLINE VOID WriteRelease64(volatile LONG64 *Destination, LONG64 Value)
{
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}

FORCEINLINE LONG64 ReadNoFence64(const volatile LONG64 *Source)
{
    return __atomic_load_n(Source, __ATOMIC_RELAXED);
}

#define ReadPointerAcquire(Source) __atomic_load_n((Source), __ATOMIC_ACQUIRE)
#define WritePointerRelease(Destination, Value)                                                    \
    __atomic_store_n((Destination), (Value), __ATOMIC_RELEASE)

/* A full barrier for ordinary memory: on x86 it is needed only between a store and a later load. */
FORCEINLINE VOID KeMemoryBarrier(VOID)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Stops the compiler, not the processor. */
FORCEINLINE VOID KeMemoryBarrierWithoutFence(VOID)
{
    __asm__ volatile("" ::: "memory");
}
