/* SPDX-License-Identifier: MIT */
/* random.c - the processor's random numbers (SDM 1, 7.3.17). */
#include "cpu.h"

#define RDRAND_TRIES 10

BOOLEAN ArchReadRandom(PULONG64 Value)
{
    if (ArchFeatures.Leaf1Ecx & CPUID_1_ECX_RDRAND)
    {
        for (ULONG Try = 0; Try < RDRAND_TRIES; Try++)
        {
            if (_rdrand64_step(Value))
            {
                return TRUE;
            }
        }
    }
    return FALSE;
}
