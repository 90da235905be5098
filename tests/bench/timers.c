/* SPDX-License-Identifier: MIT */
/* timers.c - setting and cancelling, and how late a thread is that sleeps by a periodic timer. */
#include "threads.h"

#define PERIOD_MS 1
#define PERIOD KT_MILLISECONDS(PERIOD_MS)
#define FAR_AWAY KT_SECONDS(3600)
#define MANY 100

static KTIMER Timers[MANY];

static VOID SetTimer(PKTIMER Timer, ULONG64 Delay)
{
    LARGE_INTEGER DueTime = {.QuadPart = -(LONGLONG)Delay};

    KeSetTimer(Timer, DueTime, NULL);
}

static VOID SetAndCancel(VOID)
{
    KeInitializeTimer(&Timers[0]);
    KB_MEASURE("thread-timer-pair", (SetTimer(&Timers[0], FAR_AWAY), KeCancelTimer(&Timers[0])));

    /* The same beside many others that are due before and after it. */
    for (ULONG Index = 1; Index < MANY; Index++)
    {
        KeInitializeTimer(&Timers[Index]);
        SetTimer(&Timers[Index], FAR_AWAY + Index * PERIOD - MANY / 2 * PERIOD);
    }
    KB_MEASURE("thread-timer-pair-of-100",
               (SetTimer(&Timers[0], FAR_AWAY), KeCancelTimer(&Timers[0])));
    for (ULONG Index = 1; Index < MANY; Index++)
    {
        KeCancelTimer(&Timers[Index]);
    }
}

/* How late the thread is, each time, behind the next expiry that it has not seen yet; those that
 * passed meanwhile are skipped, and it was late for the first of them. */
static VOID Jitter(VOID)
{
    LARGE_INTEGER DueTime = {.QuadPart = -(LONGLONG)PERIOD};
    ULONG64 Due;

    KeInitializeTimerEx(&Timers[0], SynchronizationTimer);
    Due = KtNow() + PERIOD;
    KeSetTimerEx(&Timers[0], DueTime, PERIOD_MS, NULL);
    KbBegin("thread-jitter", "us", 10);
    for (ULONG Round = 0; Round < KB_MAXIMUM_SAMPLES; Round++)
    {
        ULONG64 Now;

        KbWait(&Timers[0]);
        Now = KtNow();
        KbSample(Now - Due);
        do
        {
            Due += PERIOD;
        } while (Due <= Now);
    }
    KbEnd();
    KeCancelTimer(&Timers[0]);
}

static const KB_BENCH Benches[] = {
    {"thread-timer", SetAndCancel, 1},
    {"thread-jitter", Jitter, 1},
};

KB_DEFINE_GROUP(KbTimerGroup, Benches);
