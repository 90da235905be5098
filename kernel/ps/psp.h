/* SPDX-License-Identifier: MIT */
/* psp.h - threads as objects: their private side. */
#pragma once

#include <obp.h>
#include <ps.h>

/* The thread object. Reference counts: one for the thread itself, from its creation until the
 * reaper has freed its stack; one for each handle; and its users'. */
typedef struct _ETHREAD
{
    KTHREAD Tcb; /* first: a PETHREAD is a PKTHREAD */
    CLIENT_ID Cid;
    PKSTART_ROUTINE StartRoutine;
    PVOID StartContext;
    NTSTATUS ExitStatus;    /* itself, before it is signaled */
    BOOLEAN ActiveExWorker; /* itself: it runs a work item, and may not end */
} ETHREAD;

C_ASSERT(FIELD_OFFSET(ETHREAD, Tcb) == 0);

#define PSP_SYSTEM_PROCESS_ID ((HANDLE)(ULONG_PTR)4)

/* Makes a thread with its stack and starts it not: KiStartThread does. The reference is the
 * thread's own. STATUS_INSUFFICIENT_RESOURCES. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PspCreateThread(PCSTR Name, PKSTART_ROUTINE StartRoutine, PVOID StartContext,
                         KPRIORITY Priority, _Out_ PETHREAD *Thread);

/* TRUE if the thread is an object; the others (idle threads, those of KiInitializeThread's other
 * callers) have no header before them. */
BOOLEAN PspIsThreadObject(const KTHREAD *Thread);

/* On a thread, after ObpInitialize. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID PspInitialize(VOID);
