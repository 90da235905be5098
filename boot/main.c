/* SPDX-License-Identifier: MIT */
/*
 * main.c - the first C code: the loader's structure becomes a BOOT_INFO, and the kernel starts.
 *
 * It runs on the temporary maps of entry.asm, where physical memory below 4 GiB lies at its own
 * address. A structure it cannot use ends the boot with one sentence: on COM1, and on the screen if
 * the loader has said by then, or the VGA itself does, that there is VGA text.
 */
#include <arch/intrin.h>
#include <boot_info.h>
#include <rtl.h>

#define MULTIBOOT2_BOOTLOADER_MAGIC 0x36D76289u
#define PVH_START_MAGIC 0x336EC578u
#define IDENTITY_MAP_SIZE 0x100000000ull
#define MAXIMUM_STRUCTURE_SIZE 0x100000u

#define COM1 0x3F8
#define LINE_STATUS_EMPTY 0x20
#define TRANSMIT_SPINS 100000

#define POST_CODE_PORT 0x80
#define POST_CODE_NO_BOOT 0x90 /* docs/screen.md, "Stages" */

DECLSPEC_NORETURN VOID BootMain(ULONG Magic, ULONG64 Structure);
DECLSPEC_NORETURN VOID KiSystemStartup(PBOOT_INFO BootInfo);

static BOOT_INFO BootInformation;

/* To COM1, and from *Cell on if that is not NULL. */
static VOID BootWrite(PCSTR Text, volatile USHORT **Cell)
{
    for (; *Text != '\0'; Text++)
    {
        for (ULONG Spin = 0; Spin < TRANSMIT_SPINS; Spin++)
        {
            if (__inbyte(COM1 + 5) & LINE_STATUS_EMPTY)
            {
                break;
            }
        }
        __outbyte(COM1, (UCHAR)*Text);
        if (*Cell != NULL && *Text >= ' ')
        {
            *(*Cell)++ = (USHORT)(0x4F00 | (UCHAR)*Text);
        }
    }
}

static const VOID *BootMapIdentity(ULONG64 Physical, ULONG64 Length);

static DECLSPEC_NORETURN VOID BootFail(PCSTR Problem)
{
    const BOOT_FRAMEBUFFER *Screen = &BootInformation.Framebuffer;
    volatile USHORT *Cell = NULL;

    __outbyte(POST_CODE_PORT, POST_CODE_NO_BOOT);
    if (Screen->Type == BootFramebufferText &&
        BootMapIdentity(Screen->Address, Screen->Pitch * Screen->Height) != NULL)
    {
        Cell = (volatile USHORT *)Screen->Address;
    }
    BootWrite("Interlock cannot boot: ", &Cell);
    BootWrite(Problem, &Cell);
    BootWrite(". Stopped.\r\n", &Cell);
    for (;;)
    {
        _disable();
        __halt();
    }
}

static const VOID *BootMapIdentity(ULONG64 Physical, ULONG64 Length)
{
    if (Physical == 0 || Physical >= IDENTITY_MAP_SIZE || Length > IDENTITY_MAP_SIZE - Physical)
    {
        return NULL;
    }
    return (const VOID *)Physical;
}

/* BootMain - called once by entry.asm; interrupts off; Structure is physical. */
VOID BootMain(ULONG Magic, ULONG64 Structure)
{
    PCSTR Problem = NULL;

    if (Magic == MULTIBOOT2_BOOTLOADER_MAGIC)
    {
        const ULONG *Header = BootMapIdentity(Structure, MAXIMUM_STRUCTURE_SIZE);

        if (Header == NULL || Header[0] > MAXIMUM_STRUCTURE_SIZE)
        {
            BootFail("the Multiboot2 structure lies outside memory or is longer than 1 MiB");
        }
        Problem = BootParseMultiboot2(Header, Header[0], &BootInformation);
    }
    else if (Magic == PVH_START_MAGIC)
    {
        Problem = BootParsePvh(Structure, BootMapIdentity, &BootInformation);
        BootProbeVgaText(&BootInformation.Framebuffer);
    }
    else
    {
        BootFail("the loader speaks neither Multiboot2 nor PVH");
    }

    if (Problem != NULL)
    {
        BootFail(Problem);
    }
    BootNormalizeMemoryMap(&BootInformation);
    BootChooseKeptLog(&BootInformation);
    KiSystemStartup(&BootInformation);
}
