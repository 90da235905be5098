# SPDX-License-Identifier: MIT
#
# io.mk - what host.mk must know about the tests of the I/O manager and of PCI. Included by it
# before its rules.

HOST_SOURCES_test_pci := arch/x86_64/hal/intx.c kernel/io/pciscan.c
HOST_CFLAGS_tests/host/test_pci := -Ikernel/io

HOST_SOURCES_test_pci_start := kernel/io/irp.c kernel/io/driver.c kernel/io/device.c \
    kernel/io/pci.c kernel/io/pciscan.c kernel/io/pnp.c lib/printf.c
HOST_CFLAGS_tests/host/test_pci_start := -Ikernel/io -Idrivers/include

# Checked code; pool tags are four characters in quotes.
$(foreach Source,device driver irp pci pciscan pnp, \
    $(eval HOST_CFLAGS_kernel/io/$(Source) := -DDBG=1 -Wno-multichar -Idrivers/include))
