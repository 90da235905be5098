/* SPDX-License-Identifier: MIT */
/*
 * torturewaits.c - tokens that go round by events, philosophers, a bounded buffer. Laws L43, L47,
 * L55, L57, L66, L71.
 *
 * Each would stop for good after one lost wake-up, and the crew's watch would see it.
 */
#include "crew.h"

/* ------------------------------------------------------------------ Rings: a member waits for its
 * event and sets the next one's. One token goes round in each ring; it is at one place. */

#define LEAST_HOPS 12

typedef struct _RING_SEAT
{
    KEVENT Event;
    BOOLEAN Here; /* the token came with the last wait: itself */
    ULONG64 Hops; /* itself */
} RING_SEAT, *PRING_SEAT;

static CREW Crew;
static RING_SEAT Seats[CREW_MOST];
static ULONG RingSize;
static volatile LONG Holders[CREW_MOST]; /* of a ring's token, by the ring's first seat */
static volatile ULONG64 Hops[CREW_MOST]; /* the same: who has the token */

static VOID AwaitToken(PRING_SEAT Seat)
{
    NTSTATUS Status = KeWaitForSingleObject(&Seat->Event, Executive, KernelMode, FALSE, NULL);

    KT_CHECK(Status == STATUS_SUCCESS, "status 0x%X", (ULONG)Status);
}

static VOID Hop(PCREW_MEMBER Member)
{
    ULONG First = Member->Number / RingSize * RingSize;
    ULONG Next = First + (Member->Number + 1 - First) % RingSize;
    PRING_SEAT Seat = &Seats[Member->Number];

    if (!Seat->Here)
    {
        AwaitToken(Seat);
    }
    Seat->Here = FALSE;
    if (CrewIsOver(Member->Crew))
    {
        return;
    }
    KT_CHECK(InterlockedIncrement(&Holders[First]) == 1, "%d tokens", Holders[First]);
    Hops[First]++;
    Seat->Hops++;
    CrewLinger(Member);
    InterlockedDecrement(&Holders[First]);
    if (CrewDraw(Member, 2) == 0)
    {
        KeSetEvent(&Seats[Next].Event, EVENT_INCREMENT, FALSE);
        return;
    }
    KeSetEvent(&Seats[Next].Event, EVENT_INCREMENT, TRUE);
    AwaitToken(Seat);
    Seat->Here = TRUE;
}

static VOID WakeAllSeats(PCREW This)
{
    for (ULONG Seat = 0; Seat < This->Count; Seat++)
    {
        KeSetEvent(&Seats[Seat].Event, EVENT_INCREMENT, FALSE);
    }
}

static VOID RunRings(PCSTR Name, ULONG Size)
{
    RtlZeroMemory(&Crew, sizeof(Crew));
    RtlZeroMemory(Seats, sizeof(Seats));
    RingSize = Size;
    Crew.Name = Name;
    Crew.Count = CrewSize(4, CREW_MOST) / Size * Size;
    Crew.Least = LEAST_HOPS;
    Crew.Turn = Hop;
    Crew.Finish = WakeAllSeats;
    for (ULONG Seat = 0; Seat < Crew.Count; Seat++)
    {
        KeInitializeEvent(&Seats[Seat].Event, SynchronizationEvent, Seat % Size == 0);
        Holders[Seat] = 0;
        Hops[Seat] = 0;
    }
    CrewRun(&Crew);
    for (ULONG First = 0; First < Crew.Count; First += Size)
    {
        ULONG64 Total = 0;

        for (ULONG Seat = First; Seat < First + Size; Seat++)
        {
            Total += Seats[Seat].Hops;
        }
        KT_CHECK(Total == Hops[First], "%llu hops, the token counted %llu", Total, Hops[First]);
    }
}

static VOID EventRing(VOID)
{
    RunRings("ring", CrewSize(4, CREW_MOST));
}

static VOID PingPong(VOID)
{
    RunRings("ping-pong", 2);
}

/* ------------------------------------------------------------------ Philosophers: everybody wants
 * his fork and one or two that follow, all at once, in any order. */

#define LEAST_MEALS 4
#define MOST_FORKS 3

typedef union _FORK
{
    DISPATCHER_HEADER Header;
    KEVENT Event;
    KMUTEX Mutex;
    KSEMAPHORE Semaphore;
} FORK, *PFORK;

static FORK Forks[CREW_MOST];
static volatile LONG ForkHolder[CREW_MOST]; /* member + 1: who has the fork */

static VOID PutBack(PFORK Fork)
{
    switch (Fork->Header.Type)
    {
    case MutantObject:
        KeReleaseMutex(&Fork->Mutex, FALSE);
        break;
    case SemaphoreObject:
        KeReleaseSemaphore(&Fork->Semaphore, SEMAPHORE_INCREMENT, 1, FALSE);
        break;
    default:
        KeSetEvent(&Fork->Event, EVENT_INCREMENT, FALSE);
        break;
    }
}

/* Fills in numbers and objects, forwards or backwards. */
static ULONG ChooseForks(PCREW_MEMBER Member, PULONG Numbers, PVOID *Objects)
{
    ULONG Count = 1 + CrewDraw(Member, MOST_FORKS);
    BOOLEAN Backwards = CrewDraw(Member, 2) == 0;

    for (ULONG Index = 0; Index < Count; Index++)
    {
        ULONG Place = Backwards ? Count - 1 - Index : Index;

        Numbers[Place] = (Member->Number + Index) % Member->Crew->Count;
        Objects[Place] = &Forks[Numbers[Place]];
    }
    return Count;
}

static BOOLEAN TakeForks(PCREW_MEMBER Member, ULONG Count, PVOID *Objects, BOOLEAN ForEver)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)KT_MILLISECONDS(CrewDraw(Member, 3))};
    NTSTATUS Status;

    if (Count == 1)
    {
        Status = KeWaitForSingleObject(Objects[0], Executive, KernelMode, FALSE, NULL);
    }
    else
    {
        Status = KeWaitForMultipleObjects(Count, Objects, WaitAll, Executive, KernelMode, FALSE,
                                          ForEver ? NULL : &Timeout, NULL);
    }
    KT_CHECK(Status == STATUS_SUCCESS || Status == STATUS_TIMEOUT, "status 0x%X", (ULONG)Status);
    return Status == STATUS_SUCCESS;
}

static VOID Eat(PCREW_MEMBER Member)
{
    ULONG Numbers[MOST_FORKS];
    PVOID Objects[MOST_FORKS];
    ULONG Count;

    Count = ChooseForks(Member, Numbers, Objects);
    if (!TakeForks(Member, Count, Objects, CrewDraw(Member, 2) == 0))
    {
        TakeForks(Member, Count, Objects, TRUE);
    }
    for (ULONG Index = 0; Index < Count; Index++)
    {
        LONG Other = InterlockedExchange(&ForkHolder[Numbers[Index]], (LONG)Member->Number + 1);

        KT_CHECK(Other == 0, "fork %u is member %d's", Numbers[Index], Other - 1);
    }
    CrewLinger(Member);
    for (ULONG Index = 0; Index < Count; Index++)
    {
        WriteRelease(&ForkHolder[Numbers[Index]], 0);
        PutBack(&Forks[Numbers[Index]]);
    }
    CrewLinger(Member);
}

static VOID Philosophers(VOID)
{
    RtlZeroMemory(&Crew, sizeof(Crew));
    Crew.Name = "philosophers";
    Crew.Count = CrewSize(5, 8);
    Crew.Least = LEAST_MEALS;
    Crew.Turn = Eat;
    for (ULONG Number = 0; Number < Crew.Count; Number++)
    {
        ForkHolder[Number] = 0;
        switch (Number % 3)
        {
        case 0:
            KeInitializeEvent(&Forks[Number].Event, SynchronizationEvent, TRUE);
            break;
        case 1:
            KeInitializeMutex(&Forks[Number].Mutex, 0);
            break;
        default:
            KeInitializeSemaphore(&Forks[Number].Semaphore, 1, 1);
            break;
        }
    }
    CrewRun(&Crew);
    for (ULONG Number = 0; Number < Crew.Count; Number++)
    {
        KT_CHECK(Forks[Number].Header.SignalState == 1, "fork %u: state %d", Number,
                 Forks[Number].Header.SignalState);
        KT_CHECK(IsListEmpty(&Forks[Number].Header.WaitListHead) &&
                     Forks[Number].Header.WaitAllCount == 0,
                 "fork %u: somebody is left in its list", Number);
    }
}

/* ------------------------------------------------------------------ A bounded buffer: even members
 * put in, odd ones take out, up to three at a time. */

#define SLOTS 8
#define LEAST_ITEMS 12
#define PATIENCE KT_MILLISECONDS(50)

static struct
{
    KSEMAPHORE Room, Items;
    KMUTEX Guard;

    /* Guard. */
    ULONG64 Slots[SLOTS];
    ULONG First, Count;
    ULONG64 Put, Taken; /* so many */
} Buffer;

static ULONG64 Sums[CREW_MOST]; /* of what each member has put in or taken out: itself */

static BOOLEAN AwaitUnlessOver(PKSEMAPHORE Semaphore, PCREW_MEMBER Member)
{
    LARGE_INTEGER Timeout = {.QuadPart = -(LONGLONG)PATIENCE};

    while (KeWaitForSingleObject(Semaphore, Executive, KernelMode, FALSE, &Timeout) ==
           STATUS_TIMEOUT)
    {
        if (CrewIsOver(Member->Crew))
        {
            return FALSE;
        }
    }
    return TRUE;
}

static VOID PutIn(PCREW_MEMBER Member)
{
    if (!AwaitUnlessOver(&Buffer.Room, Member))
    {
        return;
    }
    KeWaitForSingleObject(&Buffer.Guard, Executive, KernelMode, FALSE, NULL);
    KT_CHECK(Buffer.Count < SLOTS, "%u items in %u slots", Buffer.Count, SLOTS);
    Buffer.Slots[(Buffer.First + Buffer.Count++) % SLOTS] = ++Buffer.Put;
    Sums[Member->Number] += Buffer.Put;
    KeReleaseMutex(&Buffer.Guard, FALSE);
    CrewLinger(Member);
    KeReleaseSemaphore(&Buffer.Items, SEMAPHORE_INCREMENT, 1, FALSE);
}

static VOID TakeOne(PCREW_MEMBER Member)
{
    ULONG64 Item;

    KeWaitForSingleObject(&Buffer.Guard, Executive, KernelMode, FALSE, NULL);
    KT_CHECK(Buffer.Count > 0, "no item, but a count for one");
    Item = Buffer.Slots[Buffer.First];
    Buffer.First = (Buffer.First + 1) % SLOTS;
    Buffer.Count--;
    KT_CHECK(Item == ++Buffer.Taken, "item %llu came as number %llu", Item, Buffer.Taken);
    KeReleaseMutex(&Buffer.Guard, FALSE);
    Sums[Member->Number] += Item;
}

static VOID TakeOut(PCREW_MEMBER Member)
{
    LARGE_INTEGER Now = {.QuadPart = 0};
    ULONG Wanted = 1 + CrewDraw(Member, 3);
    LONG Count = 1;

    if (!AwaitUnlessOver(&Buffer.Items, Member))
    {
        return;
    }
    TakeOne(Member);
    while (--Wanted != 0 && KeWaitForSingleObject(&Buffer.Items, Executive, KernelMode, FALSE,
                                                  &Now) == STATUS_SUCCESS)
    {
        TakeOne(Member);
        Count++;
    }
    CrewLinger(Member);
    KeReleaseSemaphore(&Buffer.Room, SEMAPHORE_INCREMENT, Count, FALSE);
}

static VOID PutInOrTakeOut(PCREW_MEMBER Member)
{
    if (Member->Number % 2 == 0)
    {
        PutIn(Member);
    }
    else
    {
        TakeOut(Member);
    }
}

static VOID BoundedBuffer(VOID)
{
    LONG Left;
    ULONG64 In = 0, Out = 0, Inside = 0;

    RtlZeroMemory(&Crew, sizeof(Crew));
    RtlZeroMemory(&Buffer, sizeof(Buffer));
    RtlZeroMemory(Sums, sizeof(Sums));
    Crew.Name = "bounded buffer";
    Crew.Count = CrewSize(4, 12) / 2 * 2;
    Crew.Least = LEAST_ITEMS;
    Crew.Turn = PutInOrTakeOut;
    KeInitializeSemaphore(&Buffer.Room, SLOTS, SLOTS);
    KeInitializeSemaphore(&Buffer.Items, 0, SLOTS);
    KeInitializeMutex(&Buffer.Guard, 0);
    CrewRun(&Crew);
    Left = (LONG)(Buffer.Put - Buffer.Taken);
    for (ULONG Number = 0; Number < Crew.Count; Number += 2)
    {
        In += Sums[Number];
        Out += Sums[Number + 1];
    }
    for (ULONG64 Item = Buffer.Taken + 1; Item <= Buffer.Put; Item++)
    {
        Inside += Item;
    }
    KT_CHECK(In == Out + Inside, "%llu in, %llu out, %llu inside", In, Out, Inside);
    KT_CHECK(KeReadStateSemaphore(&Buffer.Items) == Left &&
                 KeReadStateSemaphore(&Buffer.Room) == SLOTS - Left,
             "%d items: counts %d and %d", Left, KeReadStateSemaphore(&Buffer.Items),
             KeReadStateSemaphore(&Buffer.Room));
}

static const KT_CASE Cases[] = {
    {"L47-event-ring", EventRing, 0, FALSE},
    {"L47-ping-pong", PingPong, 0, FALSE},
    {"L66-philosophers", Philosophers, 0, FALSE},
    {"L55-L57-bounded-buffer", BoundedBuffer, 0, FALSE},
};

KT_DEFINE_EXPLICIT_SUITE(KtTortureWaitSuite, "torture", Cases);
