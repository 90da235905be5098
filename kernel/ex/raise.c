/* SPDX-License-Identifier: MIT */
/*
 * raise.c - raising a status. Microsoft's routines unwind to a handler; here there are no
 * structured exceptions, so an exception is one that nobody handles.
 */
#include <ex.h>
#include <ki.h>

/* Parameters: the exception, where it was raised, and two that depend on it. */
#define RAISE(Status)                                                                              \
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)(Status),                                     \
                 (ULONG_PTR)__builtin_return_address(0), 0, 0)

VOID ExRaiseStatus(NTSTATUS Status)
{
    RAISE(Status);
}

VOID ExRaiseAccessViolation(VOID)
{
    RAISE(STATUS_ACCESS_VIOLATION);
}

VOID ExRaiseDatatypeMisalignment(VOID)
{
    RAISE(STATUS_DATATYPE_MISALIGNMENT);
}
