/* SPDX-License-Identifier: MIT */
/*
 * obhandle.c - handles lead to their object or to nothing, however they are abused and whoever
 * closes them meanwhile; events by handle and by name.
 */
#include "objkit.h"

static HANDLE MakeEvent(EVENT_TYPE Type, BOOLEAN State)
{
    HANDLE Handle = NULL;
    NTSTATUS Status = ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, NULL, Type, State);

    KT_CHECK(NT_SUCCESS(Status), "status %x", Status);
    return Handle;
}

/* The status of a lookup; what it finds is let go. */
static NTSTATUS Probe(HANDLE Handle)
{
    PVOID Object;
    NTSTATUS Status = ObReferenceObjectByHandle(Handle, 0, *ExEventObjectType, KernelMode, &Object,
                                                NULL);

    KT_CHECK((Object != NULL) == NT_SUCCESS(Status), "%p with status %x", Object, Status);
    if (Object != NULL)
    {
        ObDereferenceObject(Object);
    }
    return Status;
}

static VOID ReferToTheirObject(VOID)
{
    HANDLE Handle, Second;
    OBJECT_HANDLE_INFORMATION Information;
    PVOID Object, Same;

    KT_CHECK(NT_SUCCESS(ZwCreateEvent(&Handle, EVENT_MODIFY_STATE, NULL, NotificationEvent, TRUE)),
             "no event");
    KT_CHECK(Handle != NULL && (ULONG_PTR)Handle % 4 == 0, "handle %p", Handle);
    KT_REQUIRE(NT_SUCCESS(ObReferenceObjectByHandle(Handle, EVENT_ALL_ACCESS, *ExEventObjectType,
                                                    KernelMode, &Object, &Information)),
               "not found");
    KT_CHECK(Information.GrantedAccess == EVENT_MODIFY_STATE, "%x", Information.GrantedAccess);
    KT_CHECK(KeReadStateEvent(Object) == 1, "not set");
    KT_CHECK(NT_SUCCESS(Probe((PVOID)((ULONG_PTR)Handle | 3))), "its low bits mean nothing");

    KT_CHECK(ObReferenceObjectByHandle(Handle, 0, *PsThreadType, KernelMode, &Same, NULL) ==
                     STATUS_OBJECT_TYPE_MISMATCH &&
                 Same == NULL,
             "a thread?");
    KT_CHECK(ObReferenceObjectByHandle(Handle, SYNCHRONIZE, NULL, UserMode, &Same, NULL) ==
                 STATUS_ACCESS_DENIED,
             "more than was granted");
    KT_CHECK(NT_SUCCESS(ObReferenceObjectByHandle(Handle, EVENT_MODIFY_STATE, NULL, UserMode, &Same,
                                                  NULL)) &&
                 Same == Object,
             "what was granted");
    ObDereferenceObject(Same);

    KT_CHECK(NT_SUCCESS(ObOpenObjectByPointer(Object, OBJ_KERNEL_HANDLE, NULL, GENERIC_ALL,
                                              *ExEventObjectType, KernelMode, &Second)),
             "not opened");
    KT_CHECK(NT_SUCCESS(ZwClose(Handle)), "not closed");
    KT_CHECK(
        NT_SUCCESS(ObReferenceObjectByHandle(Second, 0, NULL, KernelMode, &Same, &Information)) &&
            Same == Object && Information.GrantedAccess == EVENT_ALL_ACCESS,
        "the second handle: %x", Information.GrantedAccess);
    ObDereferenceObject(Same);
    KT_CHECK(NT_SUCCESS(ZwClose(Second)), "not closed");
    KT_CHECK(KeReadStateEvent(Object) == 1, "the reference keeps it");
    ObDereferenceObject(Object);
}

static VOID GarbageIsRefused(VOID)
{
    static const ULONG_PTR Garbage[] = {0,
                                        1,
                                        4 * 0xFFFFull,
                                        0x7FFFFFFC,
                                        0x80000004,
                                        0xFFFFFFFC,
                                        ~0ull,
                                        ~0ull - 3,
                                        1ull << 40,
                                        0xFFFFFFFF80000004ull,
                                        0x123456789ABCDEF0ull};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Garbage); Index++)
    {
        HANDLE Handle = (HANDLE)Garbage[Index];

        KT_CHECK(Probe(Handle) == STATUS_INVALID_HANDLE, "%llx", Garbage[Index]);
        KT_CHECK(ZwClose(Handle) == STATUS_INVALID_HANDLE, "%llx", Garbage[Index]);
        KT_CHECK(ZwSetEvent(Handle, NULL) == STATUS_INVALID_HANDLE, "%llx", Garbage[Index]);
        KT_CHECK(ZwWaitForSingleObject(Handle, FALSE, NULL) == STATUS_INVALID_HANDLE, "%llx",
                 Garbage[Index]);
    }
}

#define STALE_HANDLES 3000

/* Far more than there are free entries: each is used again, and no old handle comes to life. */
static VOID ClosedOnesAreRefused(VOID)
{
    HANDLE First = MakeEvent(NotificationEvent, FALSE);
    HANDLE Previous = First;
    ULONG Handles = ObpQueryHandles();

    KT_CHECK(NT_SUCCESS(ZwClose(First)), "not closed");
    KT_CHECK(ZwClose(First) == STATUS_INVALID_HANDLE, "closed twice");
    for (ULONG Index = 0; Index < STALE_HANDLES && !KtHasFailed(); Index++)
    {
        HANDLE Handle = MakeEvent(NotificationEvent, FALSE);

        KT_CHECK(Handle != First && Handle != Previous, "%p again", Handle);
        KT_CHECK(Probe(First) == STATUS_INVALID_HANDLE, "%p lives again", First);
        KT_CHECK(Probe(Previous) == STATUS_INVALID_HANDLE, "%p lives again", Previous);
        KT_CHECK(NT_SUCCESS(ZwClose(Handle)), "not closed");
        Previous = Handle;
    }
    KT_CHECK(ObpQueryHandles() == Handles - 1, "%u handles, %u before", ObpQueryHandles(),
             Handles - 1);
}

#define MANY_HANDLES 700

static VOID TheTableGrows(VOID)
{
    HANDLE *Handles = ExAllocatePool2(POOL_FLAG_NON_PAGED, MANY_HANDLES * sizeof(*Handles),
                                      TAG_OBJECT);
    HANDLE Base = MakeEvent(NotificationEvent, FALSE);
    ULONG Before = ObpQueryHandles();
    PVOID Event, Object;
    KT_RANDOM Random;

    KT_REQUIRE(Handles != NULL, "no memory");
    KT_REQUIRE(NT_SUCCESS(ObReferenceObjectByHandle(Base, 0, NULL, KernelMode, &Event, NULL)),
               "not found");
    for (ULONG Index = 0; Index < MANY_HANDLES; Index++)
    {
        NTSTATUS Status = ObOpenObjectByPointer(Event, 0, NULL, 0, NULL, KernelMode,
                                                &Handles[Index]);

        KT_CHECK(NT_SUCCESS(Status), "handle %u: %x", Index, Status);
    }
    KT_CHECK(ObpQueryHandles() == Before + MANY_HANDLES, "%u handles", ObpQueryHandles());
    KT_CHECK(ObpHeader(Event)->HandleCount == MANY_HANDLES + 1 &&
                 ObpHeader(Event)->PointerCount == MANY_HANDLES + 2,
             "(%lld, %u)", ObpHeader(Event)->PointerCount, ObpHeader(Event)->HandleCount);
    KtSeed(&Random, 1);
    for (ULONG Left = MANY_HANDLES; Left != 0; Left--)
    {
        ULONG Index = (ULONG)(KtRandom(&Random) % Left);

        KT_CHECK(NT_SUCCESS(ObReferenceObjectByHandle(Handles[Index], 0, NULL, KernelMode, &Object,
                                                      NULL)) &&
                     Object == Event,
                 "handle %p", Handles[Index]);
        ObDereferenceObject(Event);
        KT_CHECK(NT_SUCCESS(ZwClose(Handles[Index])), "not closed");
        Handles[Index] = Handles[Left - 1];
    }
    KT_CHECK(ObpQueryHandles() == Before, "%u handles", ObpQueryHandles());
    ZwClose(Base);
    KT_CHECK(ObDereferenceObject(Event) == 0, "references left");
    ExFreePoolWithTag(Handles, TAG_OBJECT);
}

/* ------------------------------------------------------------------ Closed while they are used. */

#define FIRE_SLOTS 4

/* All processors want one lock, which is slow where the host has fewer. */
#define FIRE_MINIMUM 5
#define FIRE_MAXIMUM 500

static BOOLEAN GoOnFiring(ULONG Round, ULONG64 End)
{
    return !KtHasFailed() && (Round < FIRE_MINIMUM || (Round < FIRE_MAXIMUM && KtNow() < End));
}

typedef struct _HANDLE_FIRE
{
    HANDLE volatile Slots[FIRE_SLOTS];
    volatile LONG Found;
    volatile LONG Refused;
} HANDLE_FIRE, *PHANDLE_FIRE;

static VOID UseSlot(PHANDLE_FIRE Fire, ULONG Slot)
{
    PVOID Object;
    NTSTATUS Status = ObReferenceObjectByHandle(Fire->Slots[Slot], 0, *ExEventObjectType,
                                                KernelMode, &Object, NULL);

    if (!NT_SUCCESS(Status))
    {
        KT_CHECK(Status == STATUS_INVALID_HANDLE, "status %x", Status);
        InterlockedIncrement(&Fire->Refused);
        return;
    }
    KT_CHECK(((PKEVENT)Object)->Header.Type == EventNotificationObject, "type %u",
             ((PKEVENT)Object)->Header.Type);
    KeSetEvent(Object, IO_NO_INCREMENT, FALSE);
    ObDereferenceObject(Object);
    InterlockedIncrement(&Fire->Found);
}

static VOID ReplaceSlot(PHANDLE_FIRE Fire, ULONG Slot)
{
    HANDLE New = MakeEvent(NotificationEvent, FALSE);
    HANDLE Old = InterlockedExchangePointer(&Fire->Slots[Slot], New);

    KT_CHECK(NT_SUCCESS(ZwClose(Old)), "not closed");
    KT_CHECK(Probe(Old) == STATUS_INVALID_HANDLE, "%p is closed", Old);
}

static VOID FireAtHandles(PVOID Context, ULONG Processor)
{
    ULONG64 End = KtNow() + KtBudget();
    KT_RANDOM Random;

    KtSeed(&Random, Processor);
    for (ULONG Round = 0; GoOnFiring(Round, End); Round++)
    {
        ULONG Slot = (ULONG)(KtRandom(&Random) % FIRE_SLOTS);

        if (KtRandom(&Random) % 2 == 0)
        {
            ReplaceSlot(Context, Slot);
        }
        else
        {
            UseSlot(Context, Slot);
        }
    }
}

static VOID ClosedUnderFire(VOID)
{
    LONG64 Before = (*ExEventObjectType)->Objects;
    HANDLE_FIRE Fire = {{NULL}, 0, 0};

    for (ULONG Slot = 0; Slot < FIRE_SLOTS; Slot++)
    {
        Fire.Slots[Slot] = MakeEvent(NotificationEvent, FALSE);
    }
    KtParallel(FireAtHandles, &Fire);
    for (ULONG Slot = 0; Slot < FIRE_SLOTS; Slot++)
    {
        ZwClose(Fire.Slots[Slot]);
    }
    ObpFlushDeferred();
    KT_CHECK((*ExEventObjectType)->Objects == Before, "%lld events, %lld before",
             (*ExEventObjectType)->Objects, Before);
    KtNote("%d found, %d closed before", Fire.Found, Fire.Refused);
}

/* Processors in pairs. In each round one looks a handle up at the moment at which the other, who
 * made it, closes it: the object is found, and is the finder's, or the handle is refused. */
#define DUEL_MINIMUM 20
#define DUEL_MAXIMUM 300

typedef struct _DUEL
{
    HANDLE Handle;
    volatile LONG Made;   /* rounds for which Handle has been made: the closer */
    volatile LONG Looked; /* rounds in which the finder has begun to look      */
    volatile LONG Done;   /* rounds that the finder has ended                  */
    volatile LONG Last;   /* the last round; 0 until the closer knows          */
    LONG Found;
} DUEL, *PDUEL;

static BOOLEAN SpinFor(volatile LONG *Value, LONG Wanted)
{
    BOOLEAN Came = KtWaitFor(Value, Wanted, KT_LOST_AFTER);

    KT_CHECK(Came, "%d, wanted %d", *Value, Wanted);
    return Came;
}

static VOID CloseEach(PDUEL Duel)
{
    ULONG64 End = KtNow() + KtBudget();

    for (LONG Round = 1; Round <= DUEL_MAXIMUM; Round++)
    {
        HANDLE Handle = MakeEvent(NotificationEvent, FALSE);

        Duel->Handle = Handle;
        if (Round == DUEL_MAXIMUM || (Round >= DUEL_MINIMUM && KtNow() > End) || KtHasFailed())
        {
            WriteRelease(&Duel->Last, Round); /* pairs with: FindEach */
        }
        WriteRelease(&Duel->Made, Round); /* pairs with: FindEach */
        if (!SpinFor(&Duel->Looked, Round))
        {
            return;
        }
        KT_CHECK(NT_SUCCESS(ZwClose(Handle)), "not closed");
        if (!SpinFor(&Duel->Done, Round) || Duel->Last == Round)
        {
            return;
        }
    }
}

static VOID FindEach(PDUEL Duel)
{
    for (LONG Round = 1; SpinFor(&Duel->Made, Round); Round++)
    {
        LONG Last = Duel->Last;
        HANDLE Handle = Duel->Handle;
        NTSTATUS Status;

        WriteRelease(&Duel->Looked, Round); /* pairs with: CloseEach */
        Status = Probe(Handle);
        KT_CHECK(Status == STATUS_SUCCESS || Status == STATUS_INVALID_HANDLE, "status %x", Status);
        Duel->Found += Status == STATUS_SUCCESS;
        WriteRelease(&Duel->Done, Round); /* pairs with: CloseEach */
        if (Round == Last)
        {
            return;
        }
    }
}

static VOID FightDuel(PVOID Context, ULONG Processor)
{
    PDUEL Duel = &((PDUEL)Context)[Processor / 2];

    if (Processor % 2 == 1)
    {
        CloseEach(Duel);
    }
    else if (Processor + 1 < KtProcessors())
    {
        FindEach(Duel);
    }
}

static VOID ClosedWhileLookedUp(VOID)
{
    LONG64 Before = (*ExEventObjectType)->Objects;
    ULONG Pairs = KtProcessors() / 2;
    PDUEL Duels = ExAllocatePool2(POOL_FLAG_NON_PAGED, (Pairs + 1) * sizeof(*Duels), TAG_OBJECT);
    LONG Rounds = 0, Found = 0;

    KT_REQUIRE(Duels != NULL, "no memory");
    KtParallel(FightDuel, Duels);
    for (ULONG Index = 0; Index < Pairs; Index++)
    {
        Rounds += Duels[Index].Done;
        Found += Duels[Index].Found;
    }
    KT_CHECK((*ExEventObjectType)->Objects == Before, "%lld events left",
             (*ExEventObjectType)->Objects - Before);
    KtNote("%d rounds, %d found it open", Rounds, Found);
    ExFreePoolWithTag(Duels, TAG_OBJECT);
}

/* ------------------------------------------------------------------ Events. */

static VOID EventsByHandle(VOID)
{
    LARGE_INTEGER Now = {.QuadPart = 0};
    HANDLE Handle = MakeEvent(SynchronizationEvent, FALSE);
    HANDLE None;
    LONG Previous = -1;

    KT_CHECK(ZwWaitForSingleObject(Handle, FALSE, &Now) == STATUS_TIMEOUT, "set already");
    KT_CHECK(NT_SUCCESS(ZwSetEvent(Handle, &Previous)) && Previous == 0, "%d", Previous);
    KT_CHECK(NT_SUCCESS(ZwSetEvent(Handle, &Previous)) && Previous != 0, "%d", Previous);
    KT_CHECK(ZwWaitForSingleObject(Handle, FALSE, NULL) == STATUS_SUCCESS, "not set");
    KT_CHECK(ZwWaitForSingleObject(Handle, FALSE, &Now) == STATUS_TIMEOUT, "not reset");
    ZwClose(Handle);
    KT_CHECK(ZwCreateEvent(&None, 0, NULL, (EVENT_TYPE)7, FALSE) == STATUS_INVALID_PARAMETER &&
                 None == NULL,
             "a seventh kind");
}

static UNICODE_STRING Name(const USHORT *Text)
{
    UNICODE_STRING String = {0, 0, (PWCH)(ULONG_PTR)Text};

    while (Text[String.Length / sizeof(WCHAR)] != 0)
    {
        String.Length += sizeof(WCHAR);
    }
    String.MaximumLength = String.Length;
    return String;
}

static NTSTATUS CreateNamed(const USHORT *Text, ULONG Attributes, PHANDLE Handle)
{
    UNICODE_STRING String = Name(Text);
    OBJECT_ATTRIBUTES ObjectAttributes;

    InitializeObjectAttributes(&ObjectAttributes, &String, Attributes, NULL, NULL);
    return ZwCreateEvent(Handle, EVENT_ALL_ACCESS, &ObjectAttributes, NotificationEvent, FALSE);
}

static VOID OneNameOneObject(VOID)
{
    UNICODE_STRING String = Name(u"\\BaseNamedObjects\\First");
    LONG64 Before = (*ExEventObjectType)->Objects;
    HANDLE First, Second, Third;
    PKEVENT Event, Same;

    Event = IoCreateNotificationEvent(&String, &First);
    KT_REQUIRE(Event != NULL, "not created");
    KT_CHECK(KeReadStateEvent(Event) != 0, "a new one is set");
    KeClearEvent(Event);
    Same = IoCreateSynchronizationEvent(&String, &Second);
    KT_CHECK(Same == Event && First != Second, "%p and %p", (PVOID)Event, (PVOID)Same);
    KT_CHECK(KeReadStateEvent(Event) == 0, "opening changes nothing");
    KT_CHECK(CreateNamed(u"\\BaseNamedObjects\\First", 0, &Third) == STATUS_OBJECT_NAME_COLLISION,
             "made twice");
    KT_CHECK(CreateNamed(u"\\basenamedobjects\\FIRST", OBJ_OPENIF | OBJ_CASE_INSENSITIVE, &Third) ==
                 STATUS_OBJECT_NAME_EXISTS,
             "not found");
    ZwClose(Third);
    KT_CHECK(CreateNamed(u"\\basenamedobjects\\FIRST", 0, &Third) == STATUS_SUCCESS,
             "another name");
    KT_CHECK((*ExEventObjectType)->Objects == Before + 2, "%lld events",
             (*ExEventObjectType)->Objects - Before);
    ZwClose(Third);
    ZwClose(First);
    KT_CHECK(CreateNamed(u"\\BaseNamedObjects\\First", 0, &Third) == STATUS_OBJECT_NAME_COLLISION,
             "the second handle keeps the name");
    ObReferenceObject(Event);
    ZwClose(Second);
    KT_CHECK(CreateNamed(u"\\BaseNamedObjects\\First", 0, &Third) == STATUS_SUCCESS,
             "a reference keeps no name");
    ZwClose(Third);
    ObDereferenceObject(Event);
    KT_CHECK((*ExEventObjectType)->Objects == Before, "%lld events left",
             (*ExEventObjectType)->Objects - Before);
}

static VOID BadAttributesAreRefused(VOID)
{
    UNICODE_STRING Odd = {3, 3, (PWCH)(ULONG_PTR)u"ab"};
    UNICODE_STRING Empty = {0, 0, NULL};
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Handle;

    InitializeObjectAttributes(&Attributes, &Odd, 0, NULL, NULL);
    KT_CHECK(ZwCreateEvent(&Handle, 0, &Attributes, NotificationEvent, FALSE) ==
                 STATUS_OBJECT_NAME_INVALID,
             "half a character");
    InitializeObjectAttributes(&Attributes, NULL, 0x10, NULL, NULL);
    KT_CHECK(ZwCreateEvent(&Handle, 0, &Attributes, NotificationEvent, FALSE) ==
                 STATUS_INVALID_PARAMETER,
             "a permanent object");
    InitializeObjectAttributes(&Attributes, NULL, 0, (HANDLE)4, NULL);
    KT_CHECK(ZwCreateEvent(&Handle, 0, &Attributes, NotificationEvent, FALSE) ==
                 STATUS_INVALID_HANDLE,
             "a directory");
    Attributes.Length = 1;
    KT_CHECK(ZwCreateEvent(&Handle, 0, &Attributes, NotificationEvent, FALSE) ==
                 STATUS_INVALID_PARAMETER,
             "a short structure");
    InitializeObjectAttributes(&Attributes, &Empty, OBJ_KERNEL_HANDLE, NULL, NULL);
    KT_CHECK(ZwCreateEvent(&Handle, 0, &Attributes, NotificationEvent, FALSE) == STATUS_SUCCESS,
             "no name");
    ZwClose(Handle);
}

/* All processors open and close one name: at each moment there is one object of it. */
static VOID OpenAndClose(PVOID Context, ULONG Processor)
{
    UNICODE_STRING String = Name(u"\\Contended");
    ULONG64 End = KtNow() + KtBudget();

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Processor);
    for (ULONG Round = 0; GoOnFiring(Round, End); Round++)
    {
        HANDLE First, Second;
        PKEVENT Event = IoCreateNotificationEvent(&String, &First);
        PKEVENT Same = IoCreateNotificationEvent(&String, &Second);

        KT_CHECK(Event != NULL && Same == Event, "%p and %p", (PVOID)Event, (PVOID)Same);
        KT_CHECK(NT_SUCCESS(ZwClose(First)) && NT_SUCCESS(ZwClose(Second)), "not closed");
    }
}

static VOID NamesUnderFire(VOID)
{
    LONG64 Before = (*ExEventObjectType)->Objects;

    KtParallel(OpenAndClose, NULL);
    KT_CHECK((*ExEventObjectType)->Objects == Before, "%lld events left",
             (*ExEventObjectType)->Objects - Before);
}

static const KT_CASE Cases[] = {
    {"handle-refers", ReferToTheirObject, 0, FALSE},
    {"handle-garbage-refused", GarbageIsRefused, 0, FALSE},
    {"handle-closed-refused", ClosedOnesAreRefused, 0, FALSE},
    {"handle-table-grows", TheTableGrows, 0, FALSE},
    {"handle-L87-closed-under-fire", ClosedUnderFire, 0, FALSE},
    {"handle-L87-closed-while-looked-up", ClosedWhileLookedUp, 2, FALSE},
    {"event-by-handle", EventsByHandle, 0, FALSE},
    {"event-one-name-one-object", OneNameOneObject, 0, FALSE},
    {"event-bad-attributes", BadAttributesAreRefused, 0, FALSE},
    {"event-names-under-fire", NamesUnderFire, 0, FALSE},
};

KT_DEFINE_SUITE(KtHandleSuite, "ob", Cases);
