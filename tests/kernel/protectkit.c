/* SPDX-License-Identifier: MIT */
/* protectkit.c - page tables of a test's own, and running out of a stack. See protectkit.h. */
#include "protectkit.h"

#define SPACE_PAGES 5 /* four tables, one page */
#define TABLE_FLAGS (KT_PTE_PRESENT | KT_PTE_WRITE | KT_PTE_USER)
#define RETURN_OPCODE 0xC3

#define CPUID_LEAF_7 7
#define CPUID_7_EBX_SMEP (1u << 7)
#define CPUID_7_EBX_SMAP (1u << 20)
#define CPUID_7_ECX_UMIP (1u << 2)
#define CPUID_LEAF_EXTENDED_1 0x80000001u
#define CPUID_EXT1_EDX_NX (1u << 20)

BOOLEAN KtMakeSpace(PKT_SPACE Space, ULONG64 Address, ULONG64 Flags)
{
    BOOLEAN Elsewhere = (Flags & KT_PTE_ADDRESS) != 0;
    PHYSICAL_ADDRESS Highest = {.QuadPart = 0xFFFFFFFF};
    ULONG64 Physical, Root;

    RtlZeroMemory(Space, sizeof(*Space));
    Space->Memory = MmAllocateContiguousMemory(SPACE_PAGES * PAGE_SIZE, Highest);
    KT_CHECK(Space->Memory != NULL, "no memory for page tables");
    if (Space->Memory == NULL)
    {
        return FALSE;
    }
    Physical = (ULONG64)MmGetPhysicalAddress(Space->Memory).QuadPart;
    Space->Address = Address;
    Space->KernelCr3 = __readcr3();
    Space->Bytes = Space->Memory + 4 * PAGE_SIZE;
    RtlZeroMemory(Space->Memory, SPACE_PAGES * PAGE_SIZE);
    RtlFillMemory(Space->Bytes, PAGE_SIZE, RETURN_OPCODE);
    Root = Space->KernelCr3 & ~(PAGE_SIZE - 1);
    RtlCopyMemory(Space->Memory, ArchPhysicalToVirtual(Root), PAGE_SIZE);
    for (ULONG Table = 0; Table < 4; Table++)
    {
        ULONG Index = (ULONG)(Address >> (PAGE_SHIFT + 9 * (3 - Table))) & 511;
        PULONG64 Entry = (PULONG64)(Space->Memory + Table * PAGE_SIZE) + Index;

        KT_CHECK(*Entry == 0, "%llx is in use", Address);
        *Entry = Table == 3 && Elsewhere ? 0 : Physical + (Table + 1) * PAGE_SIZE;
        *Entry |= Table < 3 ? TABLE_FLAGS : Flags;
    }
    return TRUE;
}

VOID KtFreeSpace(PKT_SPACE Space)
{
    MmFreeContiguousMemory(Space->Memory);
}

VOID KtEnterSpace(PKT_SPACE Space)
{
    __writecr3((ULONG64)MmGetPhysicalAddress(Space->Memory).QuadPart);
}

VOID KtLeaveSpace(PKT_SPACE Space)
{
    __writecr3(Space->KernelCr3);
}

static ULONG KtCpuid(ULONG Leaf, ULONG Register)
{
    ULONG Info[4];

    __cpuidex(Info, Leaf & 0x80000000u, 0);
    if (Info[0] < Leaf)
    {
        return 0;
    }
    __cpuidex(Info, Leaf, 0);
    return Info[Register];
}

BOOLEAN KtHasSmep(VOID)
{
    return (KtCpuid(CPUID_LEAF_7, 1) & CPUID_7_EBX_SMEP) != 0;
}

BOOLEAN KtHasSmap(VOID)
{
    return (KtCpuid(CPUID_LEAF_7, 1) & CPUID_7_EBX_SMAP) != 0;
}

BOOLEAN KtHasUmip(VOID)
{
    return (KtCpuid(CPUID_LEAF_7, 2) & CPUID_7_ECX_UMIP) != 0;
}

BOOLEAN KtHasNx(VOID)
{
    return (KtCpuid(CPUID_LEAF_EXTENDED_1, 3) & CPUID_EXT1_EDX_NX) != 0;
}

/* Each level keeps a kilobyte; the limit is far beyond any stack. */
static DECLSPEC_NOINLINE ULONG KtDescend(volatile ULONG *Limit, ULONG Depth)
{
    volatile UCHAR Page[1024];

    Page[Depth % sizeof(Page)] = (UCHAR)Depth;
    return Depth == *Limit ? 0 : KtDescend(Limit, Depth + 1) + Page[Depth % sizeof(Page)];
}

VOID KtOverflow(VOID)
{
    volatile ULONG Limit = 1000000;

    KtNote("%u", KtDescend(&Limit, 0));
}

PKI_PROCESSOR KtProcessor(VOID)
{
    return CONTAINING_RECORD(KiGetCurrentPrcb(), KI_PROCESSOR, Prcb);
}
