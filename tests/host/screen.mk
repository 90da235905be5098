# SPDX-License-Identifier: MIT
# The screen: its drawer and its grid of text, with the kernel's own font.
FONT ?= /usr/share/consolefonts/spleen-8x16.psfu.gz

HOST_SOURCES_test_screen := arch/x86_64/hal/frame.c kernel/kd/grid.c $(HOST_BUILD)/font.c
HOST_SOURCES_test_screenmap := arch/x86_64/hal/screen.c arch/x86_64/hal/frame.c $(HOST_BUILD)/font.c
$(foreach Source,tests/host/test_screen kernel/kd/grid, \
    $(eval HOST_CFLAGS_$(Source) := -Ikernel/kd))

$(HOST_BUILD)/font.c: tools/font.py $(wildcard $(FONT))
	@mkdir -p $(@D)
	tools/font.py $(FONT) > $@
