/* SPDX-License-Identifier: MIT */
/*
 * vectors.h - the one table that is both the vector map and the IRQL map.
 *
 * An interrupt's priority class is its vector's high nibble, and the local APIC delivers it only
 * while that class is above CR8 (SDM 3A 11.8.3.1). So IRQL = CR8 = vector >> 4, and choosing a
 * vector is choosing an IRQL. Read by C and, through the generated offsets, by assembly.
 */
#pragma once

#include <ke.h>

#define VECTOR_IRQL(Vector) ((KIRQL)((Vector) >> 4))

#define VECTOR_COUNT 256

#define APC_VECTOR 0x1F      /* software interrupt: kernel APCs                        */
#define DISPATCH_VECTOR 0x2F /* software interrupt: DPCs, the scheduler                */
#define PIC_VECTOR_BASE 0x30 /* the 8259 pair, masked; 0x37 and 0x3F can be spurious   */
#define CMCI_VECTOR 0x35     /* corrected machine checks; shares the 8259's dead range */
#define DEVICE_VECTOR_FIRST 0x40
#define DEVICE_VECTOR_LAST 0xBF
#define CLOCK_VECTOR 0xD1
#define SPURIOUS_VECTOR 0xDF
#define IPI_VECTOR 0xE1 /* rendezvous: KeIpiGenericCall, TLB shootdown            */
#define APIC_ERROR_VECTOR 0xE2
#define PROFILE_VECTOR 0xFE

C_ASSERT(VECTOR_IRQL(APC_VECTOR) == APC_LEVEL);
C_ASSERT(VECTOR_IRQL(DISPATCH_VECTOR) == DISPATCH_LEVEL);
C_ASSERT(VECTOR_IRQL(DEVICE_VECTOR_FIRST) > DISPATCH_LEVEL);
C_ASSERT(VECTOR_IRQL(DEVICE_VECTOR_LAST) < SYNCH_LEVEL);
C_ASSERT(VECTOR_IRQL(CLOCK_VECTOR) == CLOCK_LEVEL);
C_ASSERT(VECTOR_IRQL(IPI_VECTOR) == IPI_LEVEL);
C_ASSERT(VECTOR_IRQL(PROFILE_VECTOR) == PROFILE_LEVEL);
C_ASSERT((SPURIOUS_VECTOR & 0xF) == 0xF); /* SDM 3A 11.9: low bits hard-wired on old APICs */
