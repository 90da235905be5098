/* SPDX-License-Identifier: MIT */
/*
 * ps.h - system threads: created, found, ended. ("System Threads", docs/objects.md; how they are
 * scheduled is in kethread.h.)
 */
#pragma once

#include <ob.h>

/* A thread object; it begins with its KTHREAD, and both have one address. */
typedef struct _ETHREAD *PETHREAD;

typedef struct _CLIENT_ID
{
    HANDLE UniqueProcess; /* the system process: 4 */
    HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

/* At PASSIVE_LEVEL. To return is the same as PsTerminateSystemThread(STATUS_SUCCESS). */
typedef VOID KSTART_ROUTINE(PVOID StartContext);
typedef KSTART_ROUTINE *PKSTART_ROUTINE;

/*
 * Starts a thread of the system process that runs StartRoutine(StartContext) at PASSIVE_LEVEL, in a
 * critical region, with priority 8; *ThreadHandle, with DesiredAccess, is the caller's to close.
 * ObjectAttributes: NULL, or no name. ProcessHandle: NULL or NtCurrentProcess(). ClientId may be
 * NULL. Errors: STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER (attributes),
 * STATUS_INVALID_HANDLE (a process): then nothing is left of the thread.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PsCreateSystemThread(_Out_ PHANDLE ThreadHandle, ULONG DesiredAccess,
                              _In_opt_ POBJECT_ATTRIBUTES ObjectAttributes,
                              _In_opt_ HANDLE ProcessHandle, _Out_opt_ PCLIENT_ID ClientId,
                              PKSTART_ROUTINE StartRoutine, _In_opt_ PVOID StartContext);

/*
 * Ends the calling thread: its APCs are run down, its object becomes signaled and stays so.
 * Returns only STATUS_INVALID_PARAMETER, to a caller that was not made by PsCreateSystemThread. The
 * thread owns no mutex (bug check 0x4000008A), runs no work item (0xE9), and has left every region
 * that it entered (checked builds: 0x20).
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PsTerminateSystemThread(NTSTATUS ExitStatus);

/* The calling thread. Any IRQL. */
#define PsGetCurrentThread() ((PETHREAD)KeGetCurrentThread())

/* A thread's number: a multiple of 4, never used again; 0 for the processors' own threads. Any
 * IRQL. */
HANDLE PsGetThreadId(_In_ PETHREAD Thread);
HANDLE PsGetCurrentThreadId(VOID);
