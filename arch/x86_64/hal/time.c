/* SPDX-License-Identifier: MIT */
/*
 * time.c - the performance counter, the stall, the clock interrupt's timer, the CMOS clock.
 *
 * Which counter to read and how the timer is calibrated are two questions. The counter is the TSC
 * where it may be believed (it never changes speed and is the same on all processors), else the
 * HPET or PM timer, widened to 64 bits by software: the last value seen is kept and moved forward
 * by compare-exchange, so the counter never goes back and wraps are counted as long as somebody
 * reads it once per wrap.
 */
#include "halp.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_STATUS_A 0x0A
#define CMOS_UPDATING 0x80
#define CMOS_STATUS_B 0x0B
#define CMOS_BINARY 0x04
#define CMOS_24_HOUR 0x02
#define CMOS_PM 0x80
#define CMOS_SPINS 100000u
#define CMOS_TRIES 5

#define HUNDRED_NS 10000000ull
#define LONGEST_DELAY (HUNDRED_NS * 60) /* so that the product above fits 64 bits */
#define DELAY_PORT 0x80 /* POST code port: a write takes about a microsecond on an ISA bus */

ULONG64 HalpCounterFrequency KI_RO_AFTER_INIT;
PCSTR HalpCounterName KI_RO_AFTER_INIT;
ULONG64 HalpCounterKeepAlive KI_RO_AFTER_INIT;

static HALP_REFERENCE HalpReferences[HALP_MAXIMUM_REFERENCES] KI_RO_AFTER_INIT;
static ULONG HalpReferenceCount KI_RO_AFTER_INIT;

/* Set once by HalpChooseCounter, before any other processor reads the counter. */
static PHALP_REFERENCE HalpCounterReference KI_RO_AFTER_INIT; /* NULL: the TSC */
static ULONG64 HalpCounterBase KI_RO_AFTER_INIT;

/* The widened counter: moved forward by any processor, compare-exchange; never back. */
static volatile LONG64 HalpWidened;

static DECLSPEC_NOINLINE ULONG64 HalpReadWidened(PHALP_REFERENCE Reference)
{
    ULONG64 Mask = (1ull << Reference->Bits) - 1;

    for (;;)
    {
        LONG64 Last = ReadAcquire64(&HalpWidened);
        LONG64 Now = Last + (LONG64)((Reference->Read() - (ULONG64)Last) & Mask);

        if (InterlockedCompareExchange64(&HalpWidened, Now, Last) == Last)
        {
            return (ULONG64)Now;
        }
    }
}

/* LFENCE keeps the TSC from being read before an earlier load, such as that of a lock that another
 * processor released after reading its own: without it time could seem to go back. */
ULONG64 HalpQueryCounter(VOID)
{
    if (HalpCounterReference != NULL)
    {
        return HalpReadWidened(HalpCounterReference) - HalpCounterBase;
    }
    _mm_lfence();
    return __rdtsc() - HalpCounterBase;
}

BOOLEAN HalpTscUsable(VOID)
{
    ULONG Info[4];
    BOOLEAN Hypervisor, Invariant = FALSE;

    __cpuidex(Info, 1, 0);
    Hypervisor = (Info[2] >> 31) & 1;
    __cpuidex(Info, 0x80000000u, 0);
    if (Info[0] >= 0x80000007u)
    {
        __cpuidex(Info, 0x80000007u, 0);
        Invariant = (Info[3] >> 8) & 1;
    }
    return (Hypervisor || Invariant) && !KiOptions.TscUnstable;
}

VOID HalpInitializeTime(VOID)
{
    HalpReferenceCount = HalpFindReferences(HalpReferences);
    HalpCalibrate(HalpReferences, HalpReferenceCount);
    HalpCounterBase = __rdtsc();
    HalpCounterFrequency = HalpTscFrequency;
    HalpCounterName = "TSC";
}

/* The first that nothing speaks against and that is wide enough; NULL if there is none. */
static PHALP_REFERENCE HalpBestReference(VOID)
{
    for (ULONG Index = 0; Index < HalpReferenceCount; Index++)
    {
        if (!HalpReferences[Index].Refuted && HalpReferences[Index].Bits >= 24)
        {
            return &HalpReferences[Index];
        }
    }
    return NULL;
}

PCSTR HalpChooseCounter(BOOLEAN TscMonotone)
{
    PHALP_REFERENCE Reference = HalpBestReference();

    if (HalpTscUsable() && TscMonotone)
    {
        return "the same on all CPUs";
    }
    if (Reference == NULL)
    {
        return "not to be trusted, but there is nothing better";
    }
    HalpWidened = (LONG64)Reference->Read();
    HalpCounterBase = (ULONG64)HalpWidened;
    HalpCounterFrequency = Reference->Frequency;
    HalpCounterName = Reference->Name;
    HalpCounterKeepAlive = (1ull << Reference->Bits) * HUNDRED_NS / Reference->Frequency / 4;
    HalpCounterReference = Reference;
    return TscMonotone ? "the TSC may change its speed" : "the TSC differs between CPUs";
}

VOID HalpStall(ULONG MicroSeconds)
{
    ULONG64 Start = __rdtsc();
    ULONG64 Ticks = (HalpTscFrequency + 999999) / 1000000 * MicroSeconds;

    if (HalpTscFrequency == 0)
    {
        while (MicroSeconds-- != 0)
        {
            __outbyte(DELAY_PORT, 0);
        }
        return;
    }
    while (__rdtsc() - Start < Ticks)
    {
        YieldProcessor();
    }
}

VOID HalpArmClock(ULONG64 Delay)
{
    ULONG64 Ticks = Delay < HUNDRED_NS * 60 ? Delay * HalpApicTimerFrequency / HUNDRED_NS
                                            : MAXULONG;

    HalpApicWrite(APIC_LVT_TIMER, CLOCK_VECTOR); /* one-shot, unmasked */
    HalpApicWrite(APIC_TIMER_INITIAL, Ticks == 0 ? 1 : Ticks > MAXULONG ? MAXULONG : (ULONG)Ticks);
}

VOID HalpStopClock(VOID)
{
    HalpApicWrite(APIC_TIMER_INITIAL, 0);
}

static UCHAR HalpReadCmos(UCHAR Index)
{
    __outbyte(CMOS_INDEX, Index);
    return __inbyte(CMOS_DATA);
}

static ULONG HalpFromBcd(UCHAR Value, BOOLEAN Binary)
{
    return Binary ? Value : (Value >> 4) * 10u + (Value & 0xF);
}

/* Second, minute, hour, day, month, year as the chip holds them, not in the middle of an update. */
static BOOLEAN HalpReadCmosFields(UCHAR Fields[6])
{
    static const UCHAR Index[6] = {0x00, 0x02, 0x04, 0x07, 0x08, 0x09};
    ULONG Spin;

    for (Spin = 0; Spin < CMOS_SPINS && (HalpReadCmos(CMOS_STATUS_A) & CMOS_UPDATING); Spin++)
    {
        YieldProcessor();
    }
    for (ULONG Field = 0; Field < 6; Field++)
    {
        Fields[Field] = HalpReadCmos(Index[Field]);
    }
    return Spin < CMOS_SPINS;
}

/* Days since 1 January 1970 of a date in the Gregorian calendar, years counted from March. */
static ULONG64 HalpDays(ULONG Year, ULONG Month, ULONG Day)
{
    Year -= Month <= 2;
    Month = (Month + 9) % 12;
    return 365ull * Year + Year / 4 - Year / 100 + Year / 400 + (153 * Month + 2) / 5 + Day - 1 -
           719468;
}

ULONG64 HalpReadCmosTime(VOID)
{
    UCHAR Fields[6], Again[6];
    UCHAR Status = HalpReadCmos(CMOS_STATUS_B);
    BOOLEAN Binary = (Status & CMOS_BINARY) != 0;
    ULONG Hour, Year, Month, Day, Try;

    for (Try = 0; Try < CMOS_TRIES; Try++)
    {
        if (!HalpReadCmosFields(Fields) || !HalpReadCmosFields(Again))
        {
            return 0;
        }
        if (RtlEqualMemory(Fields, Again, sizeof(Fields)))
        {
            break;
        }
    }
    Month = HalpFromBcd(Fields[4], Binary);
    Day = HalpFromBcd(Fields[3], Binary);
    Hour = HalpFromBcd(Fields[2] & ~CMOS_PM, Binary);
    if (Try == CMOS_TRIES || Month < 1 || Month > 12 || Day < 1 || Day > 31)
    {
        return 0;
    }
    if (!(Status & CMOS_24_HOUR))
    {
        Hour = Hour % 12 + ((Fields[2] & CMOS_PM) ? 12 : 0);
    }
    Year = 2000 + HalpFromBcd(Fields[5], Binary);
    return HalpDays(Year, Month, Day) * 86400 + Hour * 3600ull +
           HalpFromBcd(Fields[1], Binary) * 60ull + HalpFromBcd(Fields[0], Binary);
}
