# SPDX-License-Identifier: GPL-2.0-or-later
# Tiny guests for x86-64: tests/guest/NAME.c becomes $(OUT)/tests/guest/NAME.elf. With a PVH note
# it is NAME-pvh.elf; NAME.S is a flat real-mode binary, NAME.bin. tests.mk includes this.

GUEST_LIB := $(wildcard tests/guest/lib/*.c) tests/guest/lib/start.S
GUEST_OUT := $(OUT)/tests/guest
GUEST_CC ?= gcc
GUEST_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Itests/guest/lib -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-pic \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
GUEST_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-n \
	-Wl,--no-warn-rwx-segments -T tests/guest/guest.ld

ifeq ($(ARCH),x86_64)
GUEST_IMAGES += $(patsubst tests/guest/%.c,$(GUEST_OUT)/%.elf,$(wildcard tests/guest/*.c))
GUEST_IMAGES += $(patsubst tests/guest/%.S,$(GUEST_OUT)/%.bin,$(wildcard tests/guest/*.S))
GUEST_IMAGES += $(GUEST_OUT)/hello-pvh.elf
endif

GUEST_DEPS := $(GUEST_LIB) $(wildcard tests/guest/lib/*.h) tests/guest/guest.ld \
	tests/guest/guest.mk

$(GUEST_OUT)/%-pvh.elf: tests/guest/%.c tests/guest/lib/pvh.S $(GUEST_DEPS)
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_LDFLAGS) -o $@ $< \
		tests/guest/lib/pvh.S $(GUEST_LIB)

$(GUEST_OUT)/%.elf: tests/guest/%.c $(GUEST_DEPS)
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_LDFLAGS) -o $@ $< $(GUEST_LIB)

$(GUEST_OUT)/%.bin: tests/guest/%.S tests/guest/guest.mk
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(GUEST_CC) -nostdlib -static -no-pie -Wl,--build-id=none \
		-Wl,--oformat=binary -Wl,-Ttext=0 -Wl,-e0 -o $@ $<
