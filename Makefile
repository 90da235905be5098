# SPDX-License-Identifier: MIT
#
# Interlock. `make help` lists what there is.

BUILD ?= checked
OUT := build/$(BUILD)

# A cross compiler if there is one, else the native one if this is an x86-64 machine.
CROSS := $(firstword $(foreach Prefix,x86_64-elf- x86_64-linux-gnu-, \
    $(if $(shell command -v $(Prefix)gcc 2>/dev/null),$(Prefix))))
CC := $(CROSS)gcc
LD := $(CROSS)ld
NM := $(CROSS)nm
NASM := nasm

ifeq ($(filter checked free,$(BUILD)),)
$(error BUILD is checked or free, not '$(BUILD)')
endif
DBG := $(if $(filter checked,$(BUILD)),1,0)

INCLUDES := -Ikernel/include -Iboot/include -Iarch/x86_64/include -Iarch/x86_64/hal -Ikernel/ke \
    -Ikernel/kd -Ikernel/mm -Ikernel/io -Ikernel/ex -Ikernel/ob -Ikernel/ps -Idrivers/include

CFLAGS := -std=gnu11 -O2 -g -DDBG=$(DBG) $(INCLUDES) \
    -ffreestanding -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
    -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie \
    -fno-omit-frame-pointer -momit-leaf-frame-pointer -fno-optimize-sibling-calls \
    -fno-tree-loop-distribute-patterns -fno-strict-aliasing -fcf-protection=none \
    -fstack-protector-strong -mstack-protector-guard=tls -mstack-protector-guard-reg=gs \
    -mstack-protector-guard-offset=40 \
    -fno-asynchronous-unwind-tables --param=min-pagesize=0 \
    -ffile-prefix-map=$(CURDIR)/= -ffile-prefix-map=$(CURDIR)=. \
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
    -Wno-multichar -Wframe-larger-than=4096
# No -g: NASM would write the folder's name into the kernel, which then differs from folder to folder.
ASFLAGS := -f elf64 -w+error -I$(OUT)/
LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none -T linker.ld

C_SOURCES := $(sort $(wildcard boot/*.c arch/x86_64/*/*.c kernel/*/*.c drivers/*.c drivers/*/*.c \
    lib/*.c tests/kernel/*.c tests/bench/*.c))
ASM_SOURCES := $(sort $(wildcard boot/*.asm arch/x86_64/*/*.asm tests/kernel/*.asm))
OBJECTS := $(C_SOURCES:%.c=$(OUT)/%.o) $(ASM_SOURCES:%.asm=$(OUT)/%.asm.o)
KERNEL := $(OUT)/interlock.elf
ISO := $(OUT)/interlock.iso

.PHONY: all iso clean help run test test-host test-guest test-long test-machines fuzz bench lint \
    models ping debug usb doctor reproducible
.DELETE_ON_ERROR:
$(if $(V),,.SILENT:)

all: $(KERNEL)

help:
	sed -n 's/^#: //p' Makefile

#: make                     build build/$BUILD/interlock.elf (BUILD=checked, or free)
#: make iso                 ... and interlock.iso, for BIOS and UEFI, CD and USB stick
#: make run [SMP=4] [UEFI=1] [MACHINE=pc|q35] [NIC=e1000] [WINDOW=1]   boot it in QEMU; also MEM=256M,
#:                          KERNEL_ARGS="...", DIRECT=1 (no GRUB), MENU=1 (GRUB's), DRIVERS="a.sys"
#: make test                everything that must pass; test-host, test-guest [SMP="1 4"] [T=glob]
#: make test-long           that, and the configurations that are left out of it for time
#: make test-machines       every machine, firmware, boot medium and fault of theirs; a table
#: make fuzz [SECONDS=60] [TARGET=name]   look for inputs that break the parsers
#: make ping                raw ARP and ICMP to a running `make run`
#: make bench               measure, on the free build; table and JSON
#: make models              check the protocol models, and that their mutants fail
#: make lint                house rules: layers, names, format, and what the documents say
#: make debug               boot under gdb
#: make reproducible        build twice, in two folders, and compare kernel and ISO
#: make usb DEV=/dev/sdX    write the image to a USB stick
#: make doctor              which tools are there, with versions
#: make clean               remove build/

$(OUT)/%.o: %.c Makefile
	mkdir -p $(@D)
	echo "  CC    $<"
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(OUT)/offsets.inc: arch/x86_64/offsets.c Makefile
	mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -MT $@ -MF $(OUT)/offsets.d -S $< -o $(OUT)/offsets.s
	sed -n 's/^->\([A-Za-z0-9]*\) \$$\?\(-\?[0-9]*\)$$/%define \1 \2/p' $(OUT)/offsets.s > $@

$(OUT)/%.asm.o: %.asm $(OUT)/offsets.inc Makefile
	mkdir -p $(@D)
	echo "  NASM  $<"
	$(NASM) $(ASFLAGS) $< -o $@

# The screen's glyphs, from a console font: any 8x16 PSF with the characters of ASCII will do.
FONT ?= /usr/share/consolefonts/spleen-8x16.psfu.gz
$(OUT)/font.o: tools/font.py Makefile $(wildcard $(FONT))
	mkdir -p $(@D)
	tools/font.py $(FONT) > $(OUT)/font.c
	$(CC) $(CFLAGS) -c $(OUT)/font.c -o $@

# Linked twice: once to learn where every routine is, once with that table in it.
$(OUT)/ksyms0.asm.o: tools/ksyms Makefile
	mkdir -p $(@D)
	tools/ksyms < /dev/null > $(OUT)/ksyms0.asm
	$(NASM) $(ASFLAGS) $(OUT)/ksyms0.asm -o $@

$(KERNEL): $(OBJECTS) $(OUT)/font.o $(OUT)/ksyms0.asm.o linker.ld
	echo "  LD    $@"
	$(LD) $(LDFLAGS) $(OBJECTS) $(OUT)/font.o $(OUT)/ksyms0.asm.o -o $(OUT)/interlock0.elf
	$(NM) -n $(OUT)/interlock0.elf | tools/ksyms > $(OUT)/ksyms.asm
	$(NASM) $(ASFLAGS) $(OUT)/ksyms.asm -o $(OUT)/ksyms.asm.o
	$(LD) $(LDFLAGS) $(OBJECTS) $(OUT)/font.o $(OUT)/ksyms.asm.o -o $@

iso: $(ISO)

# Each target that runs something first sees to the tools it needs.
tools-%:
	tools/packages check $(subst -, ,$*) || tools/packages install $(subst -, ,$*)

RUN_SETTINGS = SMP="$(SMP)" MACHINE="$(MACHINE)" MEM="$(MEM)" NIC="$(NIC)" UEFI="$(UEFI)" \
    DIRECT="$(DIRECT)" MENU="$(MENU)" KERNEL_ARGS="$(KERNEL_ARGS)" DRIVERS="$(DRIVERS)"

run: tools-build-run
	$(MAKE) $(KERNEL)
	tools/run $(RUN_SETTINGS) $(if $(filter command% environment,$(origin WINDOW)),DISPLAY=$(WINDOW)) \
	    $(if $(filter command%,$(origin DISPLAY)),DISPLAY=$(DISPLAY))

debug: tools-build-run
	$(MAKE) $(KERNEL)
	tools/run $(RUN_SETTINGS) DIRECT=1 GDB=1

ping:
	tests/harness/ping.py $(PING)

include tests/host/host.mk

# Everything that must pass, read by one prove: host tests, models, lint, the guest's matrix.
TEST_PROGRAMS = $(HOST_TESTS) tests/models/run.sh tests/harness/selftest/run \
    tests/harness/selftest/usb tools/lint

test: tools-build-run-test-model
	$(MAKE) BUILD=checked build/checked/interlock.elf build/checked/interlock.iso
	$(MAKE) BUILD=free build/free/interlock.elf
	$(MAKE) host-tests
	tests/harness/run-tests $(TEST_PROGRAMS)

test-long: tools-build-run-test-model-fuzz
	$(MAKE) BUILD=checked build/checked/interlock.elf build/checked/interlock.iso
	$(MAKE) BUILD=free build/free/interlock.elf
	$(MAKE) host-tests
	tests/harness/run-tests --tier long $(TEST_PROGRAMS) tests/fuzz/run

# The configurations of tests/harness/matrix.txt that have a group.
test-machines: tools-build-run-test
	$(MAKE) BUILD=checked build/checked/interlock.elf build/checked/interlock.iso
	tests/harness/run-tests --guest-only --machines

test-host: tools-build-test
	$(MAKE) host-tests
	tests/harness/run-tests --host-only $(HOST_TESTS)

test-guest: tools-build-run-test
	$(MAKE) $(KERNEL) $(ISO)
	tests/harness/run-tests --guest-only $(if $(SMP),--smp "$(SMP)") $(if $(T),--glob '$(T)')

fuzz: tools-build-test-fuzz
	tests/fuzz/run $(if $(SECONDS),--seconds $(SECONDS)) $(if $(TARGET),--target $(TARGET))

models: tools-model
	tests/models/run.sh

lint:
	$(MAKE) $(KERNEL)
	tools/lint $(OUT)

bench: tools-build-run
	$(MAKE) BUILD=free build/free/interlock.elf
	tests/bench/run $(if $(T),--glob '$(T)')

reproducible: tools-build
	tools/reproducible

usb: $(ISO)
	tools/usb "$(DEV)" $(ISO)

doctor:
	tools/packages doctor

$(ISO): $(KERNEL) tools/make-iso tests/harness/tables.py
	tools/make-iso $(KERNEL) $@

clean:
	rm -rf build

-include $(C_SOURCES:%.c=$(OUT)/%.d) $(OUT)/offsets.d
