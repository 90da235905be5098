# SPDX-License-Identifier: MIT
#
# io.mk - what host.mk must know about the tests of the I/O manager and of PCI. Included by it
# before its rules.

HOST_SOURCES_test_pci := kernel/io/pciscan.c
HOST_SOURCES_test_pci_intx := arch/x86_64/hal/intx.c kernel/io/pciscan.c
HOST_SOURCES_test_pci_start := $(addprefix kernel/io/, \
    irp.c driver.c device.c pci.c pciscan.c pnp.c) lib/printf.c
HOST_SOURCES_test_pci_irp := $(HOST_SOURCES_test_pci_start)

# Checked code; pool tags are four characters in quotes.
$(foreach Source,$(addprefix tests/host/,test_pci test_pci_intx test_pci_start test_pci_irp) \
    $(addprefix kernel/io/,device driver irp pci pciscan pnp), \
    $(eval HOST_CFLAGS_$(Source) := -DDBG=1 -Wno-multichar -Ikernel/io -Idrivers/include))
