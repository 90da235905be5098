/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - mutexes and mutants: objects that a thread owns.
 *
 * (1, -) free; (1 - n, T) owned n times by thread T. A release that frees it hands it to the first
 * waiter at once, so nobody overtakes. The object's side changes under its lock by whoever
 * releases; the owner's side - its list of mutants, and that a mutex keeps normal APCs away - by
 * the owner alone, when it comes back from its wait or releases. Microsoft: "Mutex Objects".
 * docs/waits.md. Laws L49-L54.
 */
#include <ex.h>

#include "spinlock.h"
#include "twin.h"
#include "wait.h"

VOID KeInitializeMutex(PRKMUTEX Mutex, ULONG Level)
{
    UNREFERENCED_PARAMETER(Level);
    RtlZeroMemory(Mutex, sizeof(*Mutex));
    KiInitializeHeader(&Mutex->Header, MutantObject, 1);
    Mutex->ApcDisable = !KI_TWIN(KiTwinMutexApcsOn);
}

VOID KeInitializeMutant(PRKMUTANT Mutant, BOOLEAN InitialOwner)
{
    RtlZeroMemory(Mutant, sizeof(*Mutant));
    KiInitializeHeader(&Mutant->Header, MutantObject, 1);
    if (InitialOwner)
    {
        LARGE_INTEGER Now = {.QuadPart = 0};

        KeWaitForSingleObject(Mutant, Executive, KernelMode, FALSE, &Now); /* free: cannot fail */
    }
}

/* The owner's side of its last release; at DISPATCH_LEVEL, so an APC that it lets in comes when the
 * IRQL falls. */
static VOID KiDisownMutant(PRKMUTANT Mutant, PKTHREAD Thread)
{
    RemoveEntryList(&Mutant->MutantListEntry);
    Thread->KernelApcDisable += Mutant->ApcDisable;
    if (Thread->KernelApcDisable == 0 && Thread->KernelApcPending)
    {
        KiNoteApcs(Thread);
    }
}

LONG KeReleaseMutant(PRKMUTANT Mutant, KPRIORITY Increment, BOOLEAN Abandoned, BOOLEAN Wait)
{
    PKTHREAD Thread = KeGetCurrentThread();
    KI_SIGNAL Signal;
    LONG Old;

    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    KiBeginSignal(&Signal, &Mutant->Header);
    Old = Mutant->Header.SignalState;
    if (Mutant->OwnerThread != Thread && !KI_TWIN(KiTwinMutexAnyReleases))
    {
        KiEndSignal(&Signal, Increment, FALSE);
        ExRaiseStatus(STATUS_MUTANT_NOT_OWNED);
    }
    Mutant->Header.SignalState = Abandoned || KI_TWIN(KiTwinMutexFreesAtOnce) ? 1 : Old + 1;
    if (Mutant->Header.SignalState == 1)
    {
        Mutant->Abandoned = Abandoned && !KI_TWIN(KiTwinMutantForgets);
        Mutant->OwnerThread = NULL;
        KiDisownMutant(Mutant, Thread);
        KiReleaseWaiters(&Signal);
    }
    KiEndSignal(&Signal, Increment, Wait);
    return Old;
}

LONG KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait)
{
    return KeReleaseMutant(Mutex, MUTANT_INCREMENT, FALSE, Wait);
}

LONG KeReadStateMutex(PRKMUTEX Mutex)
{
    KI_ASSERT_IRQL_MAX(DISPATCH_LEVEL);
    return ReadNoFence(&Mutex->Header.SignalState);
}
