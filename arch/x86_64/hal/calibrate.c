/* SPDX-License-Identifier: MIT */
/*
 * calibrate.c - how fast the TSC and the APIC timer run.
 *
 * The ladder: what the processor says (CPUID 15h), what the hypervisor says (leaf 40000010h), what
 * a measurement against HPET, PM timer or PIT says, what the processor is called (CPUID 16h). Two
 * answers that agree within one percent are enough, and the first of them counts. Where two do not
 * agree a third one decides: CPUID may tell of a chip that is not what runs. A measurement reads
 * both counters close together at the two ends of a 10 ms window: each end is the best of several
 * tries, so an interruption of the whole machine (SMM, a busy host) between two reads does no harm.
 */
#include "halp.h"

#define WINDOW_PER_SECOND 100 /* 10 ms */
#define END_TRIES 8
#define WINDOW_SPINS 50000000u
#define WINDOW_COUNTS (1ull << 33) /* of the TSC: seconds */
#define MINIMUM_FREQUENCY 1000000ull
#define DISAGREEMENT_PERCENT 1

ULONG64 HalpTscFrequency KI_RO_AFTER_INIT;
ULONG64 HalpApicTimerFrequency KI_RO_AFTER_INIT;

typedef struct _HALP_SAMPLE
{
    ULONG64 Reference;
    ULONG64 Tsc;
    ULONG Timer; /* APIC timer: counts down */
} HALP_SAMPLE;

/* What one source says. */
typedef struct _HALP_ANSWER
{
    PCSTR Name;
    ULONG64 Tsc;
    ULONG64 Timer;
    PHALP_REFERENCE Reference; /* NULL: not measured */
} HALP_ANSWER;

#define MAXIMUM_ANSWERS 3

/* The reading in which least time passed between the first and the last of the three reads. */
static HALP_SAMPLE HalpSample(const HALP_REFERENCE *Reference)
{
    HALP_SAMPLE Best = {0};
    ULONG64 BestGap = MAXULONG64;

    for (ULONG Try = 0; Try < END_TRIES; Try++)
    {
        ULONG64 Before = __rdtsc();
        ULONG64 Value = Reference->Read();
        ULONG Timer = HalpApicRead(APIC_TIMER_CURRENT);
        ULONG64 Gap = __rdtsc() - Before;

        if (Gap < BestGap)
        {
            BestGap = Gap;
            Best.Reference = Value;
            Best.Tsc = Before + Gap / 2;
            Best.Timer = Timer;
        }
    }
    return Best;
}

static BOOLEAN HalpMeasure(const HALP_REFERENCE *Reference, ULONG64 *Tsc, ULONG64 *Timer)
{
    ULONG64 Mask = (1ull << Reference->Bits) - 1;
    ULONG64 Window = Reference->Frequency / WINDOW_PER_SECOND;
    HALP_SAMPLE First, Last;
    ULONG64 Elapsed;
    ULONG Spin = 0;

    HalpApicWrite(APIC_TIMER_INITIAL, MAXULONG);
    First = HalpSample(Reference);
    while (((Reference->Read() - First.Reference) & Mask) < Window)
    {
        if (++Spin == WINDOW_SPINS || __rdtsc() - First.Tsc > WINDOW_COUNTS)
        {
            KiLog(KiLogWarning, "calibration: %s stopped counting", Reference->Name);
            return FALSE;
        }
    }
    Last = HalpSample(Reference);
    HalpApicWrite(APIC_TIMER_INITIAL, 0);

    Elapsed = (Last.Reference - First.Reference) & Mask;
    if (Elapsed < Window)
    {
        KiLog(KiLogWarning, "calibration: %s wrapped while the machine stood still",
              Reference->Name);
        return FALSE;
    }
    *Tsc = (Last.Tsc - First.Tsc) * Reference->Frequency / Elapsed;
    *Timer = (ULONG64)(First.Timer - Last.Timer) * Reference->Frequency / Elapsed;
    return *Tsc >= MINIMUM_FREQUENCY && *Timer >= MINIMUM_FREQUENCY;
}

/* CPUID 15h: EBX/EAX is TSC to crystal, ECX the crystal's Hz, which also drives the APIC timer. */
static BOOLEAN HalpAskProcessor(ULONG64 *Tsc, ULONG64 *Timer)
{
    ULONG Info[4];

    __cpuidex(Info, 0, 0);
    if (Info[0] < 0x15)
    {
        return FALSE;
    }
    __cpuidex(Info, 0x15, 0);
    if (Info[0] == 0 || Info[1] == 0 || Info[2] == 0)
    {
        return FALSE;
    }
    *Tsc = (ULONG64)Info[2] * Info[1] / Info[0];
    *Timer = Info[2];
    return TRUE;
}

/* CPUID 16h: EAX is the nominal frequency in MHz, at which the TSC of such processors counts; the
 * crystal follows by the ratio of 15h. Rounded, so good for a check, or where there is nothing
 * else. */
static BOOLEAN HalpAskNominal(ULONG64 *Tsc, ULONG64 *Timer)
{
    ULONG Info[4];
    ULONG Ratio[4];

    __cpuidex(Info, 0, 0);
    if (Info[0] < 0x16)
    {
        return FALSE;
    }
    __cpuidex(Ratio, 0x15, 0);
    __cpuidex(Info, 0x16, 0);
    if (Ratio[0] == 0 || Ratio[1] == 0 || Ratio[2] != 0 || (Info[0] & MAXUSHORT) == 0)
    {
        return FALSE;
    }
    *Tsc = (ULONG64)(Info[0] & MAXUSHORT) * 1000000;
    *Timer = *Tsc * Ratio[0] / Ratio[1];
    return TRUE;
}

/* The leaf that VMware defined and KVM took over: EAX TSC kHz, EBX APIC timer kHz. */
static BOOLEAN HalpAskHypervisor(ULONG64 *Tsc, ULONG64 *Timer)
{
    ULONG Info[4];

    __cpuidex(Info, 1, 0);
    if (!(Info[2] & (1u << 31)))
    {
        return FALSE;
    }
    __cpuidex(Info, 0x40000000u, 0);
    if (Info[0] < 0x40000010u)
    {
        return FALSE;
    }
    __cpuidex(Info, 0x40000010u, 0);
    *Tsc = Info[0] * 1000ull;
    *Timer = Info[1] * 1000ull;
    return *Tsc != 0 && *Timer != 0;
}

static BOOLEAN HalpAgrees(ULONG64 One, ULONG64 Other)
{
    ULONG64 Difference = One > Other ? One - Other : Other - One;

    return Difference <= One / 100 * DISAGREEMENT_PERCENT;
}

static BOOLEAN HalpAnswersAgree(const HALP_ANSWER *One, const HALP_ANSWER *Other)
{
    return HalpAgrees(One->Tsc, Other->Tsc) && HalpAgrees(One->Timer, Other->Timer);
}

/* The first answer that another one agrees with; NULL if there is none. */
static const HALP_ANSWER *HalpConfirmedAnswer(const HALP_ANSWER *Answers, ULONG Count)
{
    for (ULONG One = 0; One < Count; One++)
    {
        for (ULONG Other = One + 1; Other < Count; Other++)
        {
            if (HalpAnswersAgree(&Answers[One], &Answers[Other]))
            {
                return &Answers[One];
            }
        }
    }
    return NULL;
}

/* Two answers that agree are enough; of two that do not, a third one decides. */
static ULONG HalpCollectAnswers(PHALP_REFERENCE References, ULONG ReferenceCount,
                                HALP_ANSWER Answers[MAXIMUM_ANSWERS])
{
    ULONG Count = 0;

    Answers[Count].Name = "CPUID 15h";
    Count += HalpAskProcessor(&Answers[Count].Tsc, &Answers[Count].Timer);
    Answers[Count].Name = "hypervisor";
    Count += HalpAskHypervisor(&Answers[Count].Tsc, &Answers[Count].Timer);
    for (ULONG Index = 0; Index < ReferenceCount && Count < MAXIMUM_ANSWERS &&
                          HalpConfirmedAnswer(Answers, Count) == NULL;
         Index++)
    {
        HALP_ANSWER *Answer = &Answers[Count];

        Answer->Name = References[Index].Name;
        Answer->Reference = &References[Index];
        References[Index].Refuted = !HalpMeasure(&References[Index], &Answer->Tsc,
                                                 &Answer->Timer) &&
                                    !HalpMeasure(&References[Index], &Answer->Tsc, &Answer->Timer);
        Count += !References[Index].Refuted;
    }
    if (Count < MAXIMUM_ANSWERS && HalpConfirmedAnswer(Answers, Count) == NULL)
    {
        Answers[Count].Reference = NULL;
        Answers[Count].Name = "CPUID 16h";
        Count += HalpAskNominal(&Answers[Count].Tsc, &Answers[Count].Timer);
    }
    return Count;
}

static VOID HalpReportAnswers(const HALP_ANSWER *Answers, ULONG Count, const HALP_ANSWER *Chosen)
{
    KiLog(KiLogInfo, "clock: TSC %llu kHz, APIC timer %llu kHz by %s", Chosen->Tsc / 1000,
          Chosen->Timer / 1000, Chosen->Name);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        const HALP_ANSWER *Answer = &Answers[Index];

        if (Answer != Chosen && HalpAnswersAgree(Chosen, Answer))
        {
            KiLog(KiLogInfo, "clock: %s agrees within %u %%", Answer->Name, DISAGREEMENT_PERCENT);
        }
        else if (Answer != Chosen)
        {
            KiLog(KiLogWarning, "clock: %s says TSC %llu kHz, APIC timer %llu kHz; %s is believed",
                  Answer->Name, Answer->Tsc / 1000, Answer->Timer / 1000, Chosen->Name);
        }
    }
    if (Count == 1)
    {
        KiLog(KiLogWarning, "clock: nothing to check %s by", Chosen->Name);
    }
}

/* Who contradicts two that agree is not used to tell the time by either. */
static VOID HalpRefuteAnswers(const HALP_ANSWER *Answers, ULONG Count, const HALP_ANSWER *Confirmed)
{
    for (ULONG Index = 0; Index < Count; Index++)
    {
        const HALP_ANSWER *Answer = &Answers[Index];

        if (Answer->Reference != NULL && !HalpAnswersAgree(Confirmed, Answer))
        {
            Answer->Reference->Refuted = TRUE;
        }
    }
}

VOID HalpCalibrate(PHALP_REFERENCE References, ULONG Count)
{
    BOOLEAN Enabled = ArchDisableInterrupts();
    HALP_ANSWER Answers[MAXIMUM_ANSWERS] = {0};
    ULONG AnswerCount = HalpCollectAnswers(References, Count, Answers);
    const HALP_ANSWER *Chosen = HalpConfirmedAnswer(Answers, AnswerCount);

    ArchRestoreInterrupts(Enabled);
    if (AnswerCount == 0)
    {
        KiLog(KiLogError, "clock: no CPUID leaf, HPET, PM timer or PIT tells how fast the APIC "
                          "timer runs");
        KeBugCheckEx(HAL_INITIALIZATION_FAILED, Count, 0, 0, 0);
    }
    if (Chosen != NULL)
    {
        HalpRefuteAnswers(Answers, AnswerCount, Chosen);
    }
    Chosen = (Chosen != NULL) ? Chosen : &Answers[0];
    HalpTscFrequency = Chosen->Tsc;
    HalpApicTimerFrequency = Chosen->Timer;
    HalpReportAnswers(Answers, AnswerCount, Chosen);
}
