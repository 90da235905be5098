# SPDX-License-Identifier: MIT
#
# console.mk - what host.mk must know about the tests of the kept log, of the console's reader and
# of power. Included by it before its rules.

HOST_SOURCES_test_keep := kernel/ke/keep.c
HOST_SOURCES_test_keepplace := boot/keep.c boot/memmap.c
HOST_SOURCES_test_s5 := arch/x86_64/hal/s5.c arch/x86_64/hal/fadt.c arch/x86_64/hal/acpi.c
HOST_SOURCES_test_i8042 := arch/x86_64/hal/i8042.c
HOST_SOURCES_test_console := kernel/kd/scancode.c kernel/kd/line.c

$(foreach Source,tests/host/test_console kernel/kd/scancode kernel/kd/line, \
    $(eval HOST_CFLAGS_$(Source) := -Ikernel/kd))
