# SPDX-License-Identifier: MIT
# The responder's parsers; drivers/net/driver.c is the kernel-side rest and stays out.
HOST_SOURCES_test_net := drivers/net/arp.c drivers/net/checksum.c drivers/net/counters.c \
    drivers/net/frame.c drivers/net/icmp.c drivers/net/ip.c drivers/net/udp.c
HOST_SOURCES_test_netmodel := $(HOST_SOURCES_test_net)
$(foreach Source,tests/host/test_net.c tests/host/test_netmodel.c $(HOST_SOURCES_test_net), \
    $(eval HOST_CFLAGS_$(Source:.c=) := -Idrivers/include))
