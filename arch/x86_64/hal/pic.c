/* SPDX-License-Identifier: MIT */
/*
 * pic.c - the 8259 pair, put out of the way.
 *
 * It is remapped to the reserved vectors 0x30..0x3F and masked, because a masked 8259 can still
 * raise its spurious interrupt (7 of either chip), and at the power-on vectors that would look like
 * an exception. LINT0 is masked too, so in truth nothing arrives. Source: Intel 8259A datasheet;
 * the IMCR of the MultiProcessor Specification 3.6.2.1.
 */
#include "halp.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xA0
#define PIC2_DATA 0xA1
#define ICW1_INIT_ICW4 0x11
#define ICW4_8086 0x01
#define IMCR_INDEX 0x22
#define IMCR_DATA 0x23

VOID HalpInitializePic(VOID)
{
    if (HalpAcpi.HaveMadt && !HalpAcpi.Madt.PcatCompatible)
    {
        return; /* the machine has none */
    }
    __outbyte(PIC1_DATA, 0xFF);
    __outbyte(PIC2_DATA, 0xFF);
    __outbyte(PIC1_COMMAND, ICW1_INIT_ICW4);
    __outbyte(PIC2_COMMAND, ICW1_INIT_ICW4);
    __outbyte(PIC1_DATA, PIC_VECTOR_BASE);
    __outbyte(PIC2_DATA, PIC_VECTOR_BASE + 8);
    __outbyte(PIC1_DATA, 1 << 2);
    __outbyte(PIC2_DATA, 2);
    __outbyte(PIC1_DATA, ICW4_8086);
    __outbyte(PIC2_DATA, ICW4_8086);
    __outbyte(PIC1_DATA, 0xFF);
    __outbyte(PIC2_DATA, 0xFF);

    /* The IMCR, where a board has one, connects INTR to the APIC rather than to the processor. */
    __outbyte(IMCR_INDEX, 0x70);
    __outbyte(IMCR_DATA, 0x01);
}

VOID HalpInitializeInterruptControllers(VOID)
{
    HalpInitializePic();
    HalpInitializeIoApics();
}
