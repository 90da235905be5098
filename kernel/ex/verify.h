/* SPDX-License-Identifier: MIT */
/*
 * verify.h - what checked builds ask of who takes or gives one of the executive's locks. A rule
 * that is broken is bug check 0xC4 with the sub-code, the IRQL and two values, in the order that
 * Microsoft gives them ("Bug Check 0xC4").
 */
#pragma once

#include <ki.h>

#if DBG
#define EXP_VERIFY(Condition, SubCode, Value1, Value2)                                             \
    do                                                                                             \
    {                                                                                              \
        if (!(Condition))                                                                          \
        {                                                                                          \
            KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, (SubCode), KeGetCurrentIrql(),        \
                         (ULONG_PTR)(Value1), (ULONG_PTR)(Value2));                                \
        }                                                                                          \
    } while (0)
#else
#define EXP_VERIFY(Condition, SubCode, Value1, Value2) ((void)0)
#endif

/* No normal APC can run on the caller, who is at APC_LEVEL or below. */
#define EXP_VERIFY_NO_APCS(SubCode, Lock)                                                          \
    EXP_VERIFY(KeGetCurrentIrql() <= APC_LEVEL && KeAreApcsDisabled(), (SubCode),                  \
               KI_CURRENT_PRCB->CurrentThread->KernelApcDisable, (Lock))
