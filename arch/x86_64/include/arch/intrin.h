/* SPDX-License-Identifier: MIT */
/*
 * intrin.h - one-instruction access to the processor, named as the compiler intrinsics that
 * Microsoft documents ("x64 intrinsics list"): __readcr8, _disable, __rdtsc, and so on.
 *
 * Each asm statement is one instruction. Those that order memory clobber "memory", so the
 * compiler keeps its own accesses on the side where the source has them. Source of the
 * instructions' meaning: Intel SDM volume 2.
 */
#pragma once

#include <ntdef.h>

#define INTRINSIC FORCEINLINE

/* CR8 is the task-priority register: the IRQL (SDM 3A 11.8.6.1, "Interaction of Task Priorities
 * between CR8 and APIC"). The write is a compiler barrier: nothing moves across an IRQL change. */
INTRINSIC ULONG64 __readcr8(VOID)
{
    ULONG64 Value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(Value)::"memory");
    return Value;
}

INTRINSIC VOID __writecr8(ULONG64 Value)
{
    __asm__ volatile("mov %0, %%cr8" ::"r"(Value) : "memory");
}

#define KI_DEFINE_CR(Number)                                                                       \
    INTRINSIC ULONG64 __readcr##Number(VOID)                                                       \
    {                                                                                              \
        ULONG64 Value;                                                                             \
        __asm__ volatile("mov %%cr" #Number ", %0" : "=r"(Value)::"memory");                       \
        return Value;                                                                              \
    }                                                                                              \
    INTRINSIC VOID __writecr##Number(ULONG64 Value)                                                \
    {                                                                                              \
        __asm__ volatile("mov %0, %%cr" #Number ::"r"(Value) : "memory");                          \
    }

KI_DEFINE_CR(0)
KI_DEFINE_CR(2)
KI_DEFINE_CR(3)
KI_DEFINE_CR(4)

INTRINSIC VOID _disable(VOID)
{
    __asm__ volatile("cli" ::: "memory");
}

INTRINSIC VOID _enable(VOID)
{
    __asm__ volatile("sti" ::: "memory");
}

INTRINSIC VOID __halt(VOID)
{
    __asm__ volatile("hlt" ::: "memory");
}

/* STI takes effect after the next instruction, so no interrupt falls between the two: what arrived
 * before wakes the HLT. One statement, because the pair is one event. */
INTRINSIC VOID ArchEnableAndHalt(VOID)
{
    __asm__ volatile("sti; hlt" ::: "memory");
}

/* The vector's handler, as if interrupted, but the APIC knows nothing of it: no in-service bit. */
#define ArchSoftwareInterrupt(Vector) __asm__ volatile("int %0" ::"i"(Vector) : "memory")

INTRINSIC ULONG64 __readeflags(VOID)
{
    ULONG64 Flags;
    __asm__ volatile("pushfq; pop %0" : "=r"(Flags)::"memory");
    return Flags;
}

#define EFLAGS_IF 0x200ull

/* Interrupts off, and what they were; ArchRestoreInterrupts gives that back. */
INTRINSIC BOOLEAN ArchDisableInterrupts(VOID)
{
    BOOLEAN Enabled = (__readeflags() & EFLAGS_IF) != 0;
    _disable();
    return Enabled;
}

INTRINSIC VOID ArchRestoreInterrupts(BOOLEAN Enabled)
{
    if (Enabled)
    {
        _enable();
    }
}

/* Changes 16 bytes, aligned to 16, if they are *ComparandResult (low half first): returns 1; else
 * 0, and that is what they are. A full barrier. */
INTRINSIC UCHAR _InterlockedCompareExchange128(volatile LONG64 *Destination, LONG64 ExchangeHigh,
                                               LONG64 ExchangeLow, LONG64 *ComparandResult)
{
    UCHAR Changed;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(Changed), "+m"(*(volatile LONG64(*)[2])Destination),
                       "+a"(ComparandResult[0]), "+d"(ComparandResult[1])
                     : "b"(ExchangeLow), "c"(ExchangeHigh)
                     : "memory");
    return Changed;
}

INTRINSIC VOID _mm_pause(VOID)
{
    __asm__ volatile("pause" ::: "memory");
}

INTRINSIC VOID _mm_mfence(VOID)
{
    __asm__ volatile("mfence" ::: "memory");
}

INTRINSIC VOID _mm_lfence(VOID)
{
    __asm__ volatile("lfence" ::: "memory");
}

/* Writes the cache line of Address back to memory and drops it (SDM 2, CLFLUSH). */
INTRINSIC VOID _mm_clflush(const VOID *Address)
{
    __asm__ volatile("clflush (%0)" ::"r"(Address) : "memory");
}

INTRINSIC ULONG64 __rdtsc(VOID)
{
    ULONG Low, High;
    __asm__ volatile("rdtsc" : "=a"(Low), "=d"(High)::"memory");
    return ((ULONG64)High << 32) | Low;
}

/* 1 if the processor had a random number for *Value, else 0. Only where CPUID says RDRAND. */
INTRINSIC LONG _rdrand64_step(ULONG64 *Value)
{
    UCHAR Had;
    __asm__ volatile("rdrand %0" : "=r"(*Value), "=@ccc"(Had));
    return Had;
}

/* SMAP's override: kernel accesses to user pages are allowed while EFLAGS.AC is set (SDM 3A 4.6).
 * Only where CPUID says SMAP. */
INTRINSIC VOID _stac(VOID)
{
    __asm__ volatile("stac" ::: "memory", "cc");
}

INTRINSIC VOID _clac(VOID)
{
    __asm__ volatile("clac" ::: "memory", "cc");
}

INTRINSIC ULONG64 __readmsr(ULONG Register)
{
    ULONG Low, High;
    __asm__ volatile("rdmsr" : "=a"(Low), "=d"(High) : "c"(Register) : "memory");
    return ((ULONG64)High << 32) | Low;
}

INTRINSIC VOID __writemsr(ULONG Register, ULONG64 Value)
{
    __asm__ volatile("wrmsr" ::"c"(Register), "a"((ULONG)Value), "d"((ULONG)(Value >> 32))
                     : "memory");
}

/* CpuInfo receives EAX, EBX, ECX, EDX. */
INTRINSIC VOID __cpuidex(ULONG CpuInfo[4], ULONG Leaf, ULONG SubLeaf)
{
    __asm__ volatile("cpuid"
                     : "=a"(CpuInfo[0]), "=b"(CpuInfo[1]), "=c"(CpuInfo[2]), "=d"(CpuInfo[3])
                     : "a"(Leaf), "c"(SubLeaf)
                     : "memory");
}

INTRINSIC VOID _xsetbv(ULONG Register, ULONG64 Value)
{
    __asm__ volatile("xsetbv" ::"c"(Register), "a"((ULONG)Value), "d"((ULONG)(Value >> 32))
                     : "memory");
}

/* x87, SSE and more (SDM 1, chapters 10.5 and 13). Area: 512 bytes, 16-byte aligned; or for XSAVE
 * the components of Mask in their standard places, 64-byte aligned. */
INTRINSIC VOID _fxsave64(PVOID Area)
{
    __asm__ volatile("fxsave64 (%0)" ::"r"(Area) : "memory");
}

INTRINSIC VOID _fxrstor64(const VOID *Area)
{
    __asm__ volatile("fxrstor64 (%0)" ::"r"(Area) : "memory");
}

INTRINSIC VOID _xsave64(PVOID Area, ULONG64 Mask)
{
    __asm__ volatile("xsave64 (%0)" ::"r"(Area), "a"((ULONG)Mask), "d"((ULONG)(Mask >> 32))
                     : "memory");
}

INTRINSIC VOID _xrstor64(const VOID *Area, ULONG64 Mask)
{
    __asm__ volatile("xrstor64 (%0)" ::"r"(Area), "a"((ULONG)Mask), "d"((ULONG)(Mask >> 32))
                     : "memory");
}

INTRINSIC VOID __invlpg(PVOID Address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(Address) : "memory");
}

INTRINSIC VOID __wbinvd(VOID)
{
    __asm__ volatile("wbinvd" ::: "memory");
}

INTRINSIC UCHAR __inbyte(USHORT Port)
{
    UCHAR Value;
    __asm__ volatile("inb %1, %0" : "=a"(Value) : "Nd"(Port) : "memory");
    return Value;
}

INTRINSIC USHORT __inword(USHORT Port)
{
    USHORT Value;
    __asm__ volatile("inw %1, %0" : "=a"(Value) : "Nd"(Port) : "memory");
    return Value;
}

INTRINSIC ULONG __indword(USHORT Port)
{
    ULONG Value;
    __asm__ volatile("inl %1, %0" : "=a"(Value) : "Nd"(Port) : "memory");
    return Value;
}

INTRINSIC VOID __outbyte(USHORT Port, UCHAR Value)
{
    __asm__ volatile("outb %0, %1" ::"a"(Value), "Nd"(Port) : "memory");
}

INTRINSIC VOID __outword(USHORT Port, USHORT Value)
{
    __asm__ volatile("outw %0, %1" ::"a"(Value), "Nd"(Port) : "memory");
}

INTRINSIC VOID __outdword(USHORT Port, ULONG Value)
{
    __asm__ volatile("outl %0, %1" ::"a"(Value), "Nd"(Port) : "memory");
}
