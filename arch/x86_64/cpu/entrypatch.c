/* SPDX-License-Identifier: MIT */
/*
 * entrypatch.c - the entry code's flags: EFLAGS.AC and DF are clear in every handler.
 *
 * An interrupt gate leaves both as they were. With AC set, SMAP does not hold (SDM 3A 4.6), and
 * code that is interrupted while it reaches a user page must not lend that right to the handler.
 * CLAC clears AC, but is no instruction where there is no SMAP; so trap.asm has a three-byte NOP in
 * each such place, listed in a section of its own, and where there is SMAP start-up writes CLAC
 * over it, on the loader's maps: the kernel's own let nobody write text. DF is cleared by CLD,
 * everywhere.
 */
#include "cpu.h"

#include <twin.h>

#define CLAC_SIZE 3
#define CLD_OPCODE 0xFC
#define NOP_OPCODE 0x90

/* Addresses of the NOPs; the CLD follows each. */
extern PUCHAR KiEntryPatchesStart[], KiEntryPatchesEnd[];

VOID ArchPatchEntry(VOID)
{
    static const UCHAR Clac[CLAC_SIZE] = {0x0F, 0x01, 0xCA};
    BOOLEAN HasSmap = (ArchFeatures.Leaf7Ebx & CPUID_7_EBX_SMAP) != 0;

    for (PUCHAR *Patch = KiEntryPatchesStart; Patch < KiEntryPatchesEnd; Patch++)
    {
        KI_ASSERT_VALUES((*Patch)[CLAC_SIZE] == CLD_OPCODE, *Patch, (*Patch)[CLAC_SIZE]);
        if (HasSmap && !KI_BOOT_TWIN(KiTwinEntryKeepsAc))
        {
            RtlCopyMemory(*Patch, Clac, CLAC_SIZE);
        }
        if (KI_BOOT_TWIN(KiTwinEntryKeepsDf))
        {
            (*Patch)[CLAC_SIZE] = NOP_OPCODE;
        }
    }
}
