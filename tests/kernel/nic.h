/* SPDX-License-Identifier: MIT */
/* nic.h - asking the network driver, for nic.c and wire.c. */
#pragma once

#include <e1000ctl.h>
#include <iop.h>

VOID KtNicControl(PDEVICE_OBJECT Device, ULONG Code, PVOID Buffer, ULONG Length);
VOID KtNicQuery(PDEVICE_OBJECT Device, PE1000_STATISTICS Statistics);

/* The driver's name for the twin that fault= has chosen. */
E1000_TWIN KtNicTwin(VOID);

/* Waits, bounded, until nothing has changed for a while: no interrupt, no DPC, no frame. */
VOID KtNicSettle(PDEVICE_OBJECT Device, PE1000_STATISTICS Statistics);

/* The equations of e1000ctl.h, all of which hold while the device is quiet. */
VOID KtCheckBooks(const E1000_STATISTICS *Statistics);
