# SPDX-License-Identifier: MIT
#
# fuzz.mk - the fuzz targets, built twice: build/host/fuzz_NAME with the host compiler and
# replay.c, for `make test`; build/fuzz/NAME with clang and libFuzzer, for `make fuzz`. Included by
# tests/host/host.mk after its flags.

FUZZ_BUILD ?= build/fuzz
FUZZ_CC ?= clang
FUZZ_CFLAGS := $(filter-out -Werror,$(HOST_CFLAGS)) -fsanitize=fuzzer-no-link \
    -Wno-unknown-warning-option

# What each target holds to account.
FUZZ_SOURCES_acpi := $(addprefix arch/x86_64/hal/,tables.c madt.c fadt.c acpi.c)
FUZZ_SOURCES_acpitable := $(addprefix arch/x86_64/hal/,madt.c fadt.c acpi.c)
FUZZ_SOURCES_s5 := arch/x86_64/hal/s5.c arch/x86_64/hal/acpi.c
FUZZ_SOURCES_memmap := boot/memmap.c
FUZZ_SOURCES_multiboot2 := boot/multiboot2.c boot/memmap.c
FUZZ_SOURCES_pvh := boot/pvh.c boot/memmap.c
FUZZ_SOURCES_options := kernel/ke/options.c lib/printf.c
FUZZ_SOURCES_pci := kernel/io/pciscan.c arch/x86_64/hal/intx.c
FUZZ_SOURCES_net := $(HOST_SOURCES_test_net)

FUZZ_NAMES := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_REPLAYS := $(addprefix $(HOST_BUILD)/fuzz_,$(FUZZ_NAMES))
FUZZ_TARGETS := $(addprefix $(FUZZ_BUILD)/,$(FUZZ_NAMES))
FUZZ_ALL_SOURCES := $(sort $(foreach Name,$(FUZZ_NAMES), \
    tests/fuzz/fuzz_$(Name).c $(FUZZ_SOURCES_$(Name))))

# Headers of the host tests are used with a cmocka that ends the process.
$(foreach Name,$(FUZZ_NAMES),$(eval HOST_CFLAGS_tests/fuzz/fuzz_$(Name) += -Itests/fuzz/shim))
HOST_CFLAGS_tests/fuzz/fuzz_pci += -DDBG=1 -Wno-multichar -Ikernel/io -Idrivers/include
HOST_CFLAGS_tests/fuzz/fuzz_net += -Idrivers/include

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_TARGETS)

define FUZZ_RULES
$(HOST_BUILD)/fuzz_$(1): $(HOST_BUILD)/tests/fuzz/fuzz_$(1).o $(HOST_BUILD)/fuzz_$(1).replay.o \
    $(FUZZ_SOURCES_$(1):%.c=$(HOST_BUILD)/%.o)
	$$(HOSTCC) $$(HOST_CFLAGS) $$^ -o $$@
$(HOST_BUILD)/fuzz_$(1).replay.o: tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz.mk
	@mkdir -p $$(@D)
	$$(HOSTCC) $$(HOST_CFLAGS) -DFUZZ_NAME='"$(1)"' -DFUZZ_CORPUS='"tests/fuzz/corpus/$(1)"' \
	    -c $$< -o $$@
$(FUZZ_BUILD)/$(1): $(FUZZ_BUILD)/tests/fuzz/fuzz_$(1).o $(FUZZ_SOURCES_$(1):%.c=$(FUZZ_BUILD)/%.o)
	$$(FUZZ_CC) $$(FUZZ_CFLAGS) -fsanitize=fuzzer $$^ -o $$@
endef
$(foreach Name,$(FUZZ_NAMES),$(eval $(call FUZZ_RULES,$(Name))))

$(FUZZ_ALL_SOURCES:%.c=$(FUZZ_BUILD)/%.o): $(FUZZ_BUILD)/%.o: %.c tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) $(HOST_CFLAGS_$*) -MMD -MP -c $< -o $@

-include $(FUZZ_ALL_SOURCES:%.c=$(FUZZ_BUILD)/%.d)
