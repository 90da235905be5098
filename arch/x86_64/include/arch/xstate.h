/* SPDX-License-Identifier: MIT */
/*
 * xstate.h - the extended registers (x87, SSE, AVX) as one block: saved, loaded, and reset. How
 * they lie in memory is the machine layer's business.
 */
#pragma once

#include <ntdef.h>

#define ARCH_EXTENDED_ALIGNMENT 64

/* The components that every processor has and that are saved and loaded, by their bits in XCR0.
 * Constant once all processors have started. Any IRQL. */
ULONG64 ArchExtendedMask(VOID);
/* Bytes of an area for them. */
ULONG ArchExtendedSize(VOID);

/* This processor's registers to Area and back. Area: ARCH_EXTENDED_ALIGNMENT; zeroed before the
 * first save, saved to before the first load. Any IRQL. */
VOID ArchSaveExtendedRegisters(PVOID Area);
VOID ArchLoadExtendedRegisters(const VOID *Area);
/* All registers empty, rounding to nearest, all floating-point exceptions masked. Any IRQL. */
VOID ArchResetExtendedRegisters(VOID);
