# SPDX-License-Identifier: GPL-2.0-or-later
# The tests' part of the root Makefile, which sets OUT (the build folder), LKVM,
# say and the flags.

RUN_TESTS := O=$(OUT) LKVM=$(LKVM) tests/run

.PHONY: setup check check-unit check-guest check-boot check-host demo test-programs unit-programs

# --- unit tests: a line "/* links: a.c b.c */" in tests/unit/test-NAME.c says
# what of lkvm goes into the program $(OUT)/tests/unit/test-NAME, and a line
# "/* libs: x */" which libraries (pkg-config's names); without one, no program ---

unit_words = $(shell sed -n 's|^/\* $(1): \(.*\) \*/.*|\1|p' tests/unit/$(2).c)

# A word -lNAME is a library that has no pkg-config file.
unit_pkgs = $(filter-out -l%,$(call unit_words,libs,$(1)))
unit_libs = $(filter -l%,$(call unit_words,libs,$(1)))

UNIT_PROGRAMS :=
UNIT_DEPS :=
define unit_rule
ifneq ($(call have,$(call unit_pkgs,$(1)) cmocka),no)
UNIT_PROGRAMS += $(OUT)/tests/unit/$(1)
UNIT_DEPS += $(patsubst %.c,$(OUT)/%.d,tests/unit/$(1).c $(call unit_words,links,$(1)))
$(OUT)/tests/unit/$(1): $(OUT)/tests/unit/$(1).o \
		$(patsubst %.c,$(OUT)/%.o,$(call unit_words,links,$(1)))
	$$(call say,LINK,$$@) $$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ \
		$(shell $(PKG_CONFIG) --libs cmocka $(call unit_pkgs,$(1)) 2>/dev/null) \
		$(call unit_libs,$(1)) \
		$$(LDLIBS_ALL)
endif
endef
ifneq ($(filter check% %-programs,$(MAKECMDGOALS))$(findstring tests/unit/,$(MAKECMDGOALS)),)
$(foreach t,$(wildcard tests/unit/test-*.c),$(eval $(call unit_rule,$(notdir $(t:.c=)))))
-include $(sort $(UNIT_DEPS))
endif

# --- fuzzers: tests/fuzz/fuzz-NAME.c says what it links as unit tests do; `make fuzz` builds all into
# $(OUT)/fuzz, with objects of their own, as they are instrumented ---

FUZZ_CC ?= clang
FUZZ_CFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -pthread \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined
fuzz_words = $(shell sed -n 's|^/\* $(1): \(.*\) \*/.*|\1|p' tests/fuzz/$(2).c)

FUZZERS :=
define fuzz_rule
FUZZERS += $(OUT)/fuzz/$(1)
$(OUT)/fuzz/$(1): $(patsubst %.c,$(OUT)/fuzz/%.o,tests/fuzz/$(1).c $(call fuzz_words,links,$(1)))
	$$(call say,FUZZ,$$@) $(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $$@ $$^ \
		$(shell $(PKG_CONFIG) --libs $(LIBS) $(call fuzz_words,libs,$(1)) 2>/dev/null) $$(LDLIBS)
endef
ifneq ($(filter fuzz,$(MAKECMDGOALS)),)
$(foreach f,$(wildcard tests/fuzz/fuzz-*.c),$(eval $(call fuzz_rule,$(notdir $(f:.c=)))))
-include $(shell find $(OUT)/fuzz -name '*.d' 2>/dev/null)
endif
$(OUT)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<) $(FUZZ_CC) $(CPPFLAGS_ALL) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP \
		-c -o $@ $<
.PHONY: fuzz
fuzz: $(FUZZERS)

# --- tiny guests: guest.mk adds to GUEST_IMAGES, all in $(OUT)/tests/guest ---

GUEST_IMAGES :=
-include tests/guest/guest.mk

# --- the conformance suite of virtio devices: its own files, and the real devices and transports ---

CONFORMANCE := $(OUT)/tests/conformance/conformance
CONFORMANCE_OBJS := $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/conformance/*.c) \
	virtio/device.c virtio/lend.c virtio/virtq.c \
	virtio/pci.c virtio/pci-legacy.c virtio/mmio.c \
	virtio/blk.c virtio/net.c virtio/net-pair.c virtio/net-ctrl.c virtio/vhost.c \
	virtio/console.c virtio/rng.c virtio/balloon.c virtio/input.c \
	virtio/vsock.c virtio/vsock-conn.c net/vsock.c util/unix.c util/options.c \
	virtio/multiport.c virtio/multiport-port.c util/stream.c virtio/9p.c $(wildcard 9p/*.c) \
	virtio/vhost-user.c virtio/vhost-user-blk.c virtio/fs.c \
	virtio/scsi.c disk/scsi.c virtio/vsock-vhost.c util/device.c \
	pci.c pci-msix.c bus.c memory.c disk/queue.c disk/uring.c disk/limit.c ui/seat.c \
	util/worker.c util/loop.c util/util.c util/log.c)
$(CONFORMANCE): $(CONFORMANCE_OBJS)
	$(call say,LINK,$@) $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
-include $(wildcard $(OUT)/tests/conformance/*.d)

unit-programs: $(UNIT_PROGRAMS) $(CONFORMANCE)

# --- programs that boot tests put into their guests: static, of one file ---

BOOT_TOOLS := $(patsubst %.c,$(OUT)/%,$(wildcard tests/boot/*-tool.c))

$(OUT)/tests/boot/%: tests/boot/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(if $(WERROR),-Werror) \
		-O2 -static -s -o $@ $<

# --- what bench/*.sh measure with ---

BENCH_TOOLS :=
ifeq ($(ARCH),x86_64)
BENCH_TOOLS += $(patsubst %.c,$(OUT)/%,$(wildcard bench/*-tool.c))
BENCH_TOOLS += $(patsubst %.c,$(OUT)/%.elf,$(wildcard bench/*-guest.c))
BENCH_TOOLS += $(patsubst %.S,$(OUT)/%.bin,$(wildcard bench/*.S))
endif

$(OUT)/bench/%: bench/%.c $(wildcard bench/*.h) $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(if $(WERROR),-Werror) \
		-O2 -static -s -o $@ $<

$(OUT)/bench/%.bin: bench/%.S tests/guest/guest.mk
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(GUEST_CC) -nostdlib -static -no-pie -Wl,--build-id=none \
		-Wl,--oformat=binary -Wl,-Ttext=0 -Wl,-e0 -o $@ $<

# For every VMM that starts guests by PVH.
$(OUT)/bench/%-guest.elf: bench/%-guest.c bench/driver.c $(wildcard bench/*.h) tests/guest/lib/pvh.S \
		$(GUEST_DEPS)
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(GUEST_CC) $(GUEST_CFLAGS) -O2 $(GUEST_LDFLAGS) -o $@ $< \
		bench/driver.c tests/guest/lib/pvh.S $(GUEST_LIB)
.PHONY: bench
bench: $(BENCH_TOOLS)

test-programs: unit-programs $(GUEST_IMAGES) $(BOOT_TOOLS) $(BENCH_TOOLS)

# --- what people call ---

# Packages by name and Debian's kernels; does nothing where all is there.
setup:
	tests/rig/install
	tests/rig/fetch

# A make of its own builds, as only after setup are the libraries there to find.
check:
	tests/rig/install
	$(MAKE) -j$(shell nproc) WERROR=1 all test-programs
	tests/rig/fetch
	$(RUN_TESTS)

check-unit: unit-programs
	$(RUN_TESTS) --tier unit

check-guest: all $(GUEST_IMAGES)
	$(RUN_TESTS) --tier guest

check-boot: all $(BOOT_TOOLS)
	$(RUN_TESTS) --tier boot

check-host: all
	$(RUN_TESTS) --tier host

demo:
	@tests/demo.sh
