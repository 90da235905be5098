/* SPDX-License-Identifier: MIT */
/*
 * options.h - the kernel's command line, as a structure.
 *
 * GRUB and QEMU both pass the arguments alone, separated by blanks. Parsing changes nothing but the
 * structure and needs nothing but the text, so it is tested on the host.
 */
#pragma once

#include <ntdef.h>

#define KI_OPTION_TEXT_SIZE 128

typedef enum _KI_SWITCH
{
    KiSwitchDefault, /* not said: the kernel chooses */
    KiSwitchOff,
    KiSwitchOn
} KI_SWITCH;

/* What to do after the tests, or after a bug check. */
typedef enum _KI_EXIT
{
    KiExitNone, /* not said: stay and serve the monitor */
    KiExitDebug,
    KiExitPowerOff,
    KiExitHalt,
    KiExitReboot
} KI_EXIT;

typedef enum _KI_NIC
{
    KiNicAny, /* not said: all that are found */
    KiNicE1000,
    KiNicE1000e,
    KiNicNone,
    KiNicPoll /* whichever is found, without its interrupt */
} KI_NIC;

/* What an NMI means that nobody in here sent. */
typedef enum _KI_NMI
{
    KiNmiReport, /* not said: it is counted and reported */
    KiNmiPanic   /* bug check 0x80 */
} KI_NMI;

#define KI_CONSOLE_SERIAL 0x1u
#define KI_CONSOLE_FRAMEBUFFER 0x2u /* or whatever the screen is */

#define KI_NIC_GSI_UNKNOWN 0xFFFFFFFFu

/* Texts are terminated, and empty if the option was not given. */
typedef struct _KI_OPTIONS
{
    ULONG NumberOfProcessors; /* numproc=, maxcpus=, onecpu, nosmp; default: all that fit */
    BOOLEAN SeedGiven;
    ULONG64 Seed;                    /* seed= */
    ULONG BudgetMilliseconds;        /* budget=: of a test under contention; default 200 */
    ULONG IdleSeconds;               /* idle=: of the idle report; default 1 */
    KI_EXIT Exit;                    /* exit= */
    ULONG LogLevel;                  /* log=; a KI_LOG_LEVEL: 0 error, 1 warning, 2 info, 3 trace */
    ULONG Console;                   /* console=; KI_CONSOLE_..., default both, 0: none */
    KI_SWITCH WriteCombining;        /* wc=: of the framebuffer; default on */
    KI_SWITCH Trace;                 /* trace= */
    KI_SWITCH X2Apic;                /* x2apic=, nox2apic */
    KI_SWITCH Poison;                /* poison=: free memory is not zero when the kernel starts */
    KI_SWITCH LockHalt;              /* lockhalt=: who waits for a spin lock halts, or spins */
    BOOLEAN TscUnstable;             /* tsc=unstable: do not use it as the counter */
    ULONG KeepLines;                 /* keep=: of the boot before to show; 0: keep nothing */
    KI_EXIT Panic;                   /* panic=: after a bug check; none: as exit= says */
    ULONG PanicSeconds;              /* panic=: how long its page stays up before a reboot */
    ULONG FirstRung;                 /* reset=: where the reset ladder begins; a HALP_RUNG */
    KI_NMI Nmi;                      /* nmi= */
    KI_NIC Nic;                      /* nic= */
    CHAR NicName[16];                /* nic=, as written */
    ULONG NicGsi;                    /* nic.gsi= */
    UCHAR IpAddress[4];              /* ip=, in the order in which it is written and sent */
    UCHAR IpPrefixLength;            /* ip= */
    CHAR Test[KI_OPTION_TEXT_SIZE];  /* test=, for KiMatchGlob */
    CHAR Bench[KI_OPTION_TEXT_SIZE]; /* bench=, for KiMatchGlob */
    CHAR Verifier[KI_OPTION_TEXT_SIZE]; /* verifier=, as written */
    CHAR Fault[KI_OPTION_TEXT_SIZE];    /* fault=: the broken twin to run */
} KI_OPTIONS, *PKI_OPTIONS;

/* Told of each argument that is ignored, in one sentence that is valid only during the call. */
typedef VOID KI_OPTION_PROBLEM(PVOID Context, PCSTR Text);

/* Fills *Options with the defaults and then with what CommandLine says; of an option given twice,
 * the last good one counts. An unknown option or a bad value is reported and changes nothing. */
VOID KiParseOptions(PCSTR CommandLine, PKI_OPTIONS Options, KI_OPTION_PROBLEM *Report,
                    PVOID Context);

/* TRUE if Text as a whole matches Pattern: alternatives separated by commas, in which * stands for
 * any number of characters, none included, and ? for exactly one. Time: the product of the
 * lengths. */
BOOLEAN KiMatchGlob(PCSTR Pattern, PCSTR Text);
