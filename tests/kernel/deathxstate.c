/* SPDX-License-Identifier: MIT */
/* deathxstate.c - a thread or a DPC that ends and has not restored extended registers. See death.c.
 */
#include "kt.h"

static VOID SaveAndForget(VOID)
{
    XSTATE_SAVE Save;

    KeSaveExtendedProcessorState(XSTATE_MASK_LEGACY, &Save);
}

static VOID EndWithoutRestore(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    SaveAndForget();
}

static VOID ThreadForgetsToRestore(VOID)
{
    static KT_THREAD Thread;

    KtCreateThread(&Thread, EndWithoutRestore, NULL, KI_DEFAULT_PRIORITY, KT_ANYWHERE);
    KtJoinThread(&Thread);
    KT_CHECK(FALSE, "the machine did not stop");
}

static VOID ReturnWithoutRestore(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    SaveAndForget();
}

static VOID DpcForgetsToRestore(VOID)
{
    static KDPC Dpc;

    KeInitializeDpc(&Dpc, ReturnWithoutRestore, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    KT_CHECK(FALSE, "the machine did not stop");
}

static const KT_CASE Cases[] = {
    {"thread-forgets-to-restore", ThreadForgetsToRestore, 0, FALSE},
    {"dpc-forgets-to-restore", DpcForgetsToRestore, 0, TRUE},
};

KT_DEFINE_EXPLICIT_SUITE(KtDeathExtendedStateSuite, "death", Cases);
