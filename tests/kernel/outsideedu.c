/* SPDX-License-Identifier: MIT */
/*
 * outsideedu.c - the interrupt of QEMU's edu device, for scenarios that keep its line up.
 *
 * The host raises the line (a write to register 60h) and lowers it (64h), or leaves that to the ISR
 * here, which serves its device unless the host has told it to be deaf. Source: QEMU, docs/specs,
 * "EDU device".
 */
#include "outside.h"

#include <io.h>
#include <iop.h>
#include <mm.h>

#include "trapkit.h"

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11E8
#define EDU_STATUS 0x24
#define EDU_ACKNOWLEDGE 0x64
#define EDU_WINDOW 0x100
#define EDU_IRQL 7

typedef struct _EDU
{
    volatile UCHAR *Registers;
    POUTSIDE_EDU Desk;
    PKINTERRUPT Interrupt;
} EDU, *PEDU;

static EDU Edus[OUTSIDE_EDUS];
static ULONG EduCount;

static BOOLEAN EduIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PEDU Edu = Context;
    ULONG Status = READ_REGISTER_ULONG((volatile ULONG *)(Edu->Registers + EDU_STATUS));

    UNREFERENCED_PARAMETER(Interrupt);
    Edu->Desk->Calls++;
    if (Status == 0 || (KtDesk.Argument & OUTSIDE_DEAF))
    {
        return FALSE;
    }
    WRITE_REGISTER_ULONG((volatile ULONG *)(Edu->Registers + EDU_ACKNOWLEDGE), Status);
    Edu->Desk->Claims++;
    return TRUE;
}

static VOID ConnectEdu(PEDU Edu, const IOP_PCI_FUNCTION *Function)
{
    HALP_LINE_CANDIDATE Candidates[HALP_MAXIMUM_CANDIDATES];
    IOP_PCI_BAR Bars[IOP_PCI_BARS];
    PHYSICAL_ADDRESS Address;
    NTSTATUS Status;
    KIRQL Irql;

    IopPciReadBars(Function, Bars);
    Address.QuadPart = (LONGLONG)Bars[0].Start;
    Edu->Registers = MmMapIoSpace(Address, EDU_WINDOW, MmNonCached);
    KT_REQUIRE(Edu->Registers != NULL, "edu at %llx", Bars[0].Start);
    IopPciWrite(Function, PCI_COMMAND, 2, PCI_ENABLE_MEMORY_SPACE);
    KT_REQUIRE(HalpPciInterruptCandidates(Function->Bus, Function->Device, Function->Function,
                                          Function->InterruptPin, Candidates) != 0,
               "edu in slot %u has no line", Function->Device);
    Edu->Desk->Gsi = Candidates[0].Line.Gsi;
    Edu->Desk->Vector = HalpAssignVector(&Candidates[0].Line, EDU_IRQL);
    Irql = (KIRQL)VECTOR_IRQL(Edu->Desk->Vector); /* a line that is shared has one already */
    Status = IoConnectInterrupt(&Edu->Interrupt, EduIsr, Edu, NULL, Edu->Desk->Vector, Irql, Irql,
                                LevelSensitive, TRUE, KeQueryActiveProcessors(), FALSE);
    KT_REQUIRE(NT_SUCCESS(Status), "edu in slot %u: status %x", Function->Device, Status);
    KiLog(KiLogInfo, "outside: edu in slot %u is on GSI %u, vector %02x", Function->Device,
          Edu->Desk->Gsi, Edu->Desk->Vector);
}

static VOID VisitFunction(const IOP_PCI_FUNCTION *Function, PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    if (Function->VendorId == EDU_VENDOR && Function->DeviceId == EDU_DEVICE &&
        Function->Device % 2 == 1 && EduCount < OUTSIDE_EDUS)
    {
        Edus[EduCount].Desk = &KtDesk.Edus[EduCount];
        ConnectEdu(&Edus[EduCount++], Function);
    }
}

VOID KtConnectEdus(VOID)
{
    EduCount = 0;
    IopPciScan(VisitFunction, NULL);
}

VOID KtDisconnectEdus(VOID)
{
    for (ULONG Index = 0; Index < EduCount; Index++)
    {
        if (Edus[Index].Interrupt != NULL)
        {
            IoDisconnectInterrupt(Edus[Index].Interrupt);
        }
        MmUnmapIoSpace((PVOID)Edus[Index].Registers, EDU_WINDOW);
    }
}
