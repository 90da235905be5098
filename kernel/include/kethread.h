/* SPDX-License-Identifier: MIT */
/*
 * kethread.h - threads as the scheduler sees them: priority, affinity, regions without APCs, APCs,
 * extended registers. Creating them is in ps.h. Part of ke.h.
 */
#pragma once

#include <kewait.h>

/* ------------------------------------------------------------------ Priorities ("Thread
 * Priority"). 1..15 vary with boosts, 16..31 are real time and do not. */
#define LOW_PRIORITY 0
#define LOW_REALTIME_PRIORITY 16
#define HIGH_PRIORITY 31
#define MAXIMUM_PRIORITY 32

#define IO_NO_INCREMENT 0
#define IO_CD_ROM_INCREMENT 1
#define IO_DISK_INCREMENT 1
#define IO_KEYBOARD_INCREMENT 6
#define IO_MAILSLOT_INCREMENT 2
#define IO_MOUSE_INCREMENT 6
#define IO_NAMED_PIPE_INCREMENT 2
#define IO_NETWORK_INCREMENT 2
#define IO_PARALLEL_INCREMENT 1
#define IO_SERIAL_INCREMENT 2
#define IO_SOUND_INCREMENT 8
#define IO_VIDEO_INCREMENT 1
#define EVENT_INCREMENT 1
#define SEMAPHORE_INCREMENT 1
#define MUTANT_INCREMENT 1

/* The running thread. Any IRQL. */
PKTHREAD KeGetCurrentThread(VOID);

/* Sets the run-time priority (1..31) and with it the base; returns the old one. */
_IRQL_requires_(PASSIVE_LEVEL)
KPRIORITY KeSetPriorityThread(_Inout_ PKTHREAD Thread, KPRIORITY Priority);

/* Its run-time priority. */
_IRQL_requires_(PASSIVE_LEVEL)
KPRIORITY KeQueryPriorityThread(_In_ PKTHREAD Thread);

/* Sets the base to the default (8) plus Increment, within 1..15 or 16..31 as it was; returns the
 * old increment. Microsoft: "KeSetBasePriorityThread". */
_IRQL_requires_(PASSIVE_LEVEL)
LONG KeSetBasePriorityThread(_Inout_ PKTHREAD Thread, LONG Increment);

/* Gives way to another ready thread of at least the same priority: STATUS_SUCCESS, or
 * STATUS_NO_YIELD_PERFORMED if there is none. Exported, undocumented, real meaning. */
_IRQL_requires_max_(APC_LEVEL)
NTSTATUS ZwYieldExecution(VOID);

/* ------------------------------------------------------------------ Affinity: where the calling
 * thread may run. */

/* Restricts it to the active processors of Affinity, in group 0; no effect if there are none. It
 * runs on one of them when this returns; at DISPATCH_LEVEL, when the IRQL falls. The Ex form
 * returns the previous system affinity, 0 if there was none, for KeRevertToUserAffinityThreadEx. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeSetSystemAffinityThread(KAFFINITY Affinity);
_IRQL_requires_max_(DISPATCH_LEVEL)
KAFFINITY KeSetSystemAffinityThreadEx(KAFFINITY Affinity);

/* Undoes it: the thread's own affinity; the Ex form, with Affinity not 0, that system affinity. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeRevertToUserAffinityThread(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeRevertToUserAffinityThreadEx(KAFFINITY Affinity);

/* The same for any group. Affinity: one group, reserved fields 0; one that names no active
 * processor has no effect, and then *PreviousAffinity is all zero. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeSetSystemGroupAffinityThread(_In_ PGROUP_AFFINITY Affinity,
                                    _Out_opt_ PGROUP_AFFINITY PreviousAffinity);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeRevertToUserGroupAffinityThread(_In_ PGROUP_AFFINITY PreviousAffinity);

/* ------------------------------------------------------------------ Regions ("Critical Regions and
 * Guarded Regions"): no normal kernel APCs in the first, no APCs at all in the second. They
 * nest. */
_IRQL_requires_max_(APC_LEVEL)
VOID KeEnterCriticalRegion(VOID);
_IRQL_requires_max_(APC_LEVEL)
VOID KeLeaveCriticalRegion(VOID);
_IRQL_requires_max_(APC_LEVEL)
VOID KeEnterGuardedRegion(VOID);
_IRQL_requires_max_(APC_LEVEL)
VOID KeLeaveGuardedRegion(VOID);

/* TRUE: in a critical or guarded region, whatever the IRQL / in a guarded region, or at APC_LEVEL
 * or above. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeAreApcsDisabled(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeAreAllApcsDisabled(VOID);

/* ------------------------------------------------------------------ APCs ("Types of APCs"): a call
 * in the context of a given thread. Exported, undocumented, real meaning. */

struct _KAPC;

typedef enum _KAPC_ENVIRONMENT
{
    OriginalApcEnvironment,
    AttachedApcEnvironment,
    CurrentApcEnvironment,
    InsertApcEnvironment
} KAPC_ENVIRONMENT;

/* At PASSIVE_LEVEL, after the kernel routine. */
typedef VOID KNORMAL_ROUTINE(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2);
typedef KNORMAL_ROUTINE *PKNORMAL_ROUTINE;

/* At APC_LEVEL; the KAPC is out of its queue and may be freed or queued again. May change what the
 * pointers point to; a normal routine set to NULL is not called. */
typedef VOID KKERNEL_ROUTINE(struct _KAPC *Apc, PKNORMAL_ROUTINE *NormalRoutine,
                             PVOID *NormalContext, PVOID *SystemArgument1, PVOID *SystemArgument2);
typedef KKERNEL_ROUTINE *PKKERNEL_ROUTINE;

/* At PASSIVE_LEVEL or APC_LEVEL, instead, if the thread ends first. */
typedef VOID KRUNDOWN_ROUTINE(struct _KAPC *Apc);
typedef KRUNDOWN_ROUTINE *PKRUNDOWN_ROUTINE;

typedef struct _KAPC
{
    UCHAR Type;
    CHAR ApcMode;
    BOOLEAN Inserted; /* under the thread's ApcLock */
    struct _KTHREAD *Thread;
    LIST_ENTRY ApcListEntry;
    PKKERNEL_ROUTINE KernelRoutine;
    PKRUNDOWN_ROUTINE RundownRoutine;
    PKNORMAL_ROUTINE NormalRoutine; /* NULL: a special APC */
    PVOID NormalContext;
    PVOID SystemArgument1;
    PVOID SystemArgument2;
} KAPC, *PKAPC, *PRKAPC;

/* Makes an APC for Thread: special if NormalRoutine is NULL, else normal. RundownRoutine may be
 * NULL. ApcMode is KernelMode. Any IRQL. */
VOID KeInitializeApc(_Out_ PRKAPC Apc, PRKTHREAD Thread, KAPC_ENVIRONMENT Environment,
                     PKKERNEL_ROUTINE KernelRoutine, PKRUNDOWN_ROUTINE RundownRoutine,
                     PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode, PVOID NormalContext);

/* Queues it. FALSE if it is queued already or the thread takes no more. Increment: for the
 * priority of a thread that it wakes. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeInsertQueueApc(_Inout_ PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2,
                         KPRIORITY Increment);

/* TRUE if this call took it out of its queue: it does not run. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN KeRemoveQueueApc(_Inout_ PRKAPC Apc);

/* ------------------------------------------------------------------ Extended registers ("Using
 * Floating Point or MMX in a WDM Driver"): x87, SSE, AVX. The kernel itself uses none; a driver
 * that does saves before and restores after. Both structures are opaque. */

typedef struct _KFLOATING_SAVE
{
    PVOID State; /* in the pool: see kernel/ke/xstate.c */
} KFLOATING_SAVE, *PKFLOATING_SAVE;

typedef struct _XSTATE_SAVE
{
    PVOID State; /* the same */
} XSTATE_SAVE, *PXSTATE_SAVE;

#define XSTATE_MASK_LEGACY_FLOATING_POINT 0x1ull /* x87, MMX */
#define XSTATE_MASK_LEGACY_SSE 0x2ull            /* XMM0 to XMM15, MXCSR */
#define XSTATE_MASK_LEGACY 0x3ull
#define XSTATE_MASK_GSSE 0x4ull /* AVX: the upper halves of YMM0 to YMM15 */
#define XSTATE_MASK_AVX XSTATE_MASK_GSSE

/* The bits of FeatureMask whose registers may be used on this machine. Any IRQL. */
ULONG64 RtlGetEnabledExtendedFeatures(ULONG64 FeatureMask);

/* Saves the caller's extended registers and lets him use those of Mask until the restore, however
 * often his thread is preempted or moved meanwhile. They begin empty, with default control words:
 * round to nearest, all exceptions masked. STATUS_INSUFFICIENT_RESOURCES; STATUS_NOT_SUPPORTED if
 * Mask has more than RtlGetEnabledExtendedFeatures grants. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS KeSaveExtendedProcessorState(ULONG64 Mask, _Out_ PXSTATE_SAVE XStateSave);

/* Gives the caller back what the save saved. In the thread or DPC that saved it, at the same IRQL,
 * the last saved first: anything else is bug check 0xE7 (INVALID_FLOATING_POINT_STATE), and so is
 * the end of a thread or DPC that has not restored. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID KeRestoreExtendedProcessorState(_In_ PXSTATE_SAVE XStateSave);

/* The same for Mask XSTATE_MASK_LEGACY. KeRestoreFloatingPointState returns STATUS_SUCCESS. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS KeSaveFloatingPointState(_Out_ PKFLOATING_SAVE FloatSave);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS KeRestoreFloatingPointState(_In_ PKFLOATING_SAVE FloatSave);
