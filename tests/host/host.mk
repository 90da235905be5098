# SPDX-License-Identifier: MIT
#
# host.mk - unit tests that run on the build machine, under the address and undefined-behaviour
# sanitizers. Each tests/host/test_NAME.c becomes build/host/test_NAME, linked with the sources
# that HOST_SOURCES_test_NAME lists, and writes TAP; the fuzz targets' corpora are replayed by
# programs of the same kind (tests/fuzz/fuzz.mk). Included by the top Makefile; alone:
#     make -f tests/host/host.mk host-tests

HOSTCC ?= gcc
HOST_BUILD ?= build/host
HOST_CFLAGS := -std=gnu11 -g -O1 -Wall -Wextra -Werror \
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
    -Ikernel/include -Iboot/include -Iarch/x86_64/include -Iarch/x86_64/hal -Ikernel/ke -Ilib \
    -Iboot -Itests/host

# What each test holds to account. Other folders keep their lists in tests/host/FOLDER.mk.
HOST_SOURCES_test_rtl := lib/memory.c
HOST_SOURCES_test_heap := lib/heap.c
HOST_SOURCES_test_printf := lib/printf.c
HOST_SOURCES_test_memmap := boot/memmap.c
HOST_SOURCES_test_multiboot2 := boot/multiboot2.c boot/memmap.c
HOST_SOURCES_test_pvh := boot/pvh.c boot/memmap.c
HOST_SOURCES_test_acpi := arch/x86_64/hal/acpi.c
HOST_SOURCES_test_madt := arch/x86_64/hal/madt.c arch/x86_64/hal/acpi.c
HOST_SOURCES_test_fadt := arch/x86_64/hal/fadt.c arch/x86_64/hal/acpi.c
HOST_SOURCES_test_options := kernel/ke/options.c lib/printf.c
HOST_SOURCES_test_glob := kernel/ke/glob.c

# Flags of one source file, named without its .c. On the host memcpy and its kin are the C
# library's, with the sanitizers' checks in them; ours get other names beside them.
HOST_CFLAGS_lib/memory := $(foreach Name,memcpy memmove memset memcmp strlen strcmp strncmp, \
    -D$(Name)=RtlpHost_$(Name))

include $(filter-out tests/host/host.mk,$(sort $(wildcard tests/host/*.mk)))

HOST_TEST_NAMES := $(notdir $(basename $(wildcard tests/host/test_*.c)))
HOST_TESTS := $(addprefix $(HOST_BUILD)/,$(HOST_TEST_NAMES))
HOST_SOURCES := $(sort $(foreach Test,$(HOST_TEST_NAMES), \
    tests/host/$(Test).c $(HOST_SOURCES_$(Test))))

include tests/fuzz/fuzz.mk
HOST_TESTS += $(FUZZ_REPLAYS)
HOST_SOURCES += $(FUZZ_ALL_SOURCES)
HOST_OBJECTS := $(sort $(HOST_SOURCES:%.c=$(HOST_BUILD)/%.o))

.PHONY: host-tests
host-tests: $(HOST_TESTS)

$(HOST_OBJECTS): $(HOST_BUILD)/%.o: %.c $(wildcard tests/host/*.mk)
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_CFLAGS) $(HOST_CFLAGS_$*) -MMD -MP -c $< -o $@

define HOST_LINK_RULE
$(HOST_BUILD)/$(1): $(HOST_BUILD)/tests/host/$(1).o $(HOST_SOURCES_$(1):%.c=$(HOST_BUILD)/%.o)
	$$(HOSTCC) $$(HOST_CFLAGS) $$^ -lcmocka -o $$@
endef
$(foreach Test,$(HOST_TEST_NAMES),$(eval $(call HOST_LINK_RULE,$(Test))))

-include $(HOST_OBJECTS:.o=.d)
