# SPDX-License-Identifier: GPL-2.0-or-later
#
# make [O=dir] [V=1] [WERROR=1] [ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-]
# make check | check-unit | fuzz | demo | install DESTDIR= PREFIX=

MAKEFLAGS += --no-builtin-rules

ARCH ?= $(shell uname -m)
override ARCH := $(patsubst aarch64,arm64,$(ARCH))
O ?= .
PREFIX ?= /usr/local
CC = $(CROSS_COMPILE)gcc
PKG_CONFIG ?= pkg-config

# A cross build finds the other architecture's libraries in SYSROOT (tests/rig/arm64-sysroot makes
# one in the cache), or where Debian's multiarch has them.
ifneq ($(CROSS_COMPILE),)
CACHE := $(or $(LKVM_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lkvm)
SYSROOT ?= $(wildcard $(CACHE)/sysroot/$(ARCH))
TRIPLET := $(shell $(CC) -dumpmachine)
PKG_CONFIG_LIBDIR ?= $(SYSROOT)/usr/lib/$(TRIPLET)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig
PKG_CONFIG := PKG_CONFIG_LIBDIR=$(PKG_CONFIG_LIBDIR) $(PKG_CONFIG)
ifneq ($(SYSROOT),)
# Debian's cross compilers look into a folder of their own before the sysroot's.
CC += --sysroot=$(SYSROOT) $(addprefix -isystem $(SYSROOT)/usr/include,/$(TRIPLET) /)
PKG_CONFIG := PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) $(PKG_CONFIG)
endif
endif
VERSION := $(shell git -C $(CURDIR) describe --tags --always --dirty 2>/dev/null || echo unknown)

all:

V ?= 0
ifeq ($(V),1)
Q =
say =
else
Q = @
say = @printf '  %-7s %s\n' $(1) $(2);
endif

# --- libraries: what is missing is named in one line and left out ---

have = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo yes || echo no)
# Goals that install what is missing, or need nothing, do not complain first.
quiet := $(filter clean setup check demo,$(MAKECMDGOALS))

ifeq ($(quiet)$(call have,jansson),no)
$(error jansson is needed (Debian: libjansson-dev))
endif

LIBS := jansson
DEFINES :=
BUILD_OPTIONS := version: $(VERSION)\narch: $(ARCH)\n

# $(call optional,VARIABLE,pkg-config's name,its own name,what is off without it)
define optional
HAVE_$(1) := $(call have,$(2))
BUILD_OPTIONS := $$(BUILD_OPTIONS)$(3): $$(HAVE_$(1))\n
ifeq ($$(quiet)$$(HAVE_$(1)),no)
$$(info $(3): no ($(4)))
endif
endef

# The same, for what lkvm itself links.
define linked
$(call optional,$(1),$(2),$(3),$(4))
ifeq ($$(HAVE_$(1)),yes)
LIBS += $(2)
DEFINES += -DHAVE_$(1)
endif
endef

$(eval $(call linked,URING,liburing,liburing,disks are served by threads))
$(eval $(call linked,ZLIB,zlib,zlib,no qcow2 clusters and modules compressed by it))
$(eval $(call linked,ZSTD,libzstd,libzstd,no qcow2 clusters and modules compressed by it))
$(eval $(call linked,LZMA,liblzma,liblzma,no modules compressed by it))
$(eval $(call linked,SECCOMP,libseccomp,libseccomp,system calls stay as they are))
$(eval $(call linked,CAPNG,libcap-ng,libcap-ng,root keeps its capabilities))
# Headers only.
$(eval $(call optional,XXHASH,libxxhash,libxxhash,what was unpacked is not kept))
ifeq ($(HAVE_XXHASH),yes)
DEFINES += -DHAVE_XXHASH
endif
$(eval $(call optional,SLIRP,slirp,libslirp,user networking off))
$(eval $(call optional,SDL,sdl2 x11,SDL2,--sdl off))
$(eval $(call optional,VNC,libvncserver,libvncserver,--vnc off))
$(eval $(call optional,PNG,libpng,libpng,lkvm screenshot off))

# libfdt has no pkg-config file.
ifeq ($(ARCH),arm64)
LDLIBS_arm64 := -lfdt
endif

# --- what lkvm is made of, from the top down ---

OBJS := main.o
OBJS += builtin-run.o run-options.o builtin-sandbox.o builtin-setup.o builtin-exec.o builtin-wait.o
OBJS += builtin-list.o builtin-stop.o builtin-pause.o builtin-resume.o builtin-console.o
OBJS += builtin-balloon.o builtin-stat.o builtin-resize.o builtin-screenshot.o builtin-sendkey.o builtin-link.o
OBJS += builtin-debug.o builtin-version.o builtin-help.o builtin-select.o
OBJS += control.o control-commands.o control-client.o instance.o
OBJS += vm.o backends.o devices.o vcpu.o
OBJS += rootfs/rootfs.o rootfs/options.o rootfs/conf.o rootfs/initramfs.o rootfs/modules.o
OBJS += rootfs/drivers.o rootfs/shares.o
OBJS += rootfs/kernel-find.o rootfs/agent.o rootfs/session.o rootfs/frame.o guest/init-blob.o
OBJS += virtio/blk.o virtio/net.o virtio/net-pair.o virtio/net-ctrl.o virtio/console.o virtio/multiport.o virtio/multiport-port.o virtio/rng.o
OBJS += virtio/balloon.o virtio/9p.o virtio/input.o virtio/vhost.o
OBJS += virtio/vhost-user.o virtio/vhost-user-blk.o virtio/fs.o
OBJS += virtio/pci.o virtio/pci-legacy.o virtio/mmio.o virtio/device.o virtio/lend.o virtio/virtq.o
OBJS += virtio/vsock.o virtio/vsock-conn.o virtio/vsock-vhost.o virtio/scsi.o
OBJS += hw/serial.o hw/rtc.o hw/vesa.o hw/edid.o
OBJS += pci.o pci-msix.o mmio.o ioport.o ioeventfd.o bus.o irq.o memory.o
OBJS += disk/disk.o disk/params.o disk/limit.o disk/queue.o disk/raw.o disk/scsi.o
OBJS += disk/qcow2.o disk/qcow2-open.o disk/qcow2-table.o disk/qcow2-alloc.o disk/qcow2-check.o
OBJS += disk/qcow2-inflate.o
OBJS += $(if $(filter yes,$(HAVE_URING)),disk/uring.o,disk/uring-stub.o)
OBJS += 9p/params.o 9p/server.o 9p/op-name.o 9p/op-io.o 9p/op-attr.o 9p/fid.o 9p/share.o
OBJS += 9p/wire.o 9p/iov.o
OBJS += fs/params.o fs/virtiofsd.o fs/child.o
OBJS += net/params.o net/tap.o net/stream.o net/passt.o net/vsock.o
OBJS += ui/chardev.o ui/term.o ui/pty.o ui/port.o
OBJS += ui/display.o ui/display-params.o ui/seat.o ui/keys.o
OBJS += util/boot-file.o util/confine.o util/log.o util/util.o util/options.o util/loop.o util/worker.o util/stream.o util/unix.o
OBJS += util/base64.o util/device.o util/transport.o util/unpack.o util/cache.o util/plugin.o
OBJS_x86_64 := x86/arch.o x86/layout.o x86/ports.o x86/clock.o x86/cpuid.o x86/regs.o x86/dump.o
OBJS_x86_64 += x86/boot.o x86/bzimage.o x86/elf.o x86/flat.o x86/firmware.o
OBJS_x86_64 += x86/params.o x86/cmdline.o
OBJS_x86_64 += x86/acpi.o x86/dsdt.o x86/aml.o x86/mptable.o
OBJS_x86_64 += hw/i8042.o hw/acpi-pm.o
OBJS_arm64 := arm/arch.o arm/options.o arm/layout.o arm/gic.o arm/cpu.o arm/mte.o arm/pvtime.o
OBJS_arm64 += arm/space.o arm/suspend.o arm/dump.o arm/boot.o arm/image.o arm/fdt.o
OBJS_arm64 += hw/cfi_flash.o hw/pl061.o
OBJS += $(OBJS_$(ARCH))

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	    -Wundef -Wvla
CPPFLAGS_ALL := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude -I. $(DEFINES) \
		$(shell $(PKG_CONFIG) --cflags $(LIBS) 2>/dev/null) $(CPPFLAGS)
CFLAGS ?= -O2 -g
CFLAGS_ALL := -std=gnu11 $(WARNINGS) $(if $(WERROR),-Werror) -fno-strict-aliasing \
	      -fstack-protector-strong -pthread $(CFLAGS)
LDFLAGS_ALL := -pthread -Wl,-z,relro,-z,now $(LDFLAGS)
LDLIBS_ALL := $(shell $(PKG_CONFIG) --libs $(LIBS) 2>/dev/null) $(LDLIBS_$(ARCH)) $(LDLIBS)

OUT := $(abspath $(O))
LKVM := $(OUT)/lkvm

# Flags are part of what an object depends on; the file changes only when they do.
FLAGS_STAMP := $(OUT)/.flags
FLAGS_NOW := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL)

.PHONY: FORCE
$(FLAGS_STAMP): FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@

# Parts that need large libraries are shared objects, loaded when asked for (kvm/plugin.h). What they
# use of lkvm stands in util/plugin.list.
PLUGINS := $(if $(filter yes,$(HAVE_SDL)),sdl) $(if $(filter yes,$(HAVE_VNC)),vnc)
PLUGINS += $(if $(filter yes,$(HAVE_PNG)),png) $(if $(filter yes,$(HAVE_SLIRP)),user)
PLUGIN_SOURCES_sdl := ui/sdl.c
PLUGIN_SOURCES_vnc := ui/vnc.c ui/vnc-listen.c
PLUGIN_SOURCES_png := ui/png.c
PLUGIN_SOURCES_user := net/user.c
PLUGIN_LIB_sdl := sdl2 x11
PLUGIN_LIB_vnc := libvncserver
PLUGIN_LIB_png := libpng
PLUGIN_LIB_user := slirp
PLUGIN_FILES := $(patsubst %,$(OUT)/lkvm-%.so,$(PLUGINS))

.PHONY: all
all: $(LKVM) $(PLUGIN_FILES)

$(LKVM): $(addprefix $(OUT)/,$(OBJS)) util/plugin.list
	$(call say,LINK,$@) $(CC) $(LDFLAGS_ALL) -Wl,--dynamic-list=util/plugin.list -o $@ \
		$(filter %.o,$^) $(LDLIBS_ALL) -ldl

define plugin_rule
PLUGIN_OBJS += $(PLUGIN_SOURCES_$(1):%.c=$(OUT)/%.o)
$(PLUGIN_SOURCES_$(1):%.c=$(OUT)/%.o): CPPFLAGS_ALL += -fPIC \
	$(shell $(PKG_CONFIG) --cflags $(PLUGIN_LIB_$(1)))
$(OUT)/lkvm-$(1).so: $(PLUGIN_SOURCES_$(1):%.c=$(OUT)/%.o)
	$$(call say,PLUGIN,$$@) $$(CC) -shared $$(LDFLAGS_ALL) -o $$@ $$^ \
		$(shell $(PKG_CONFIG) --libs $(PLUGIN_LIB_$(1)))
endef
$(foreach p,$(PLUGINS),$(eval $(call plugin_rule,$(p))))

$(OUT)/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(OUT)/builtin-version.o: CPPFLAGS_ALL += -DLKVM_VERSION='"$(VERSION)"' \
	-DLKVM_BUILD_OPTIONS='"$(BUILD_OPTIONS)"'

-include $(patsubst %.o,$(OUT)/%.d,$(OBJS)) $(PLUGIN_OBJS:.o=.d)

# The init of guests whose root is a folder: a program of its own, without a libc, inside lkvm.
INIT_SOURCES := $(addprefix guest/,start-$(ARCH).S init.c mounts.c net.c dhcp.c)
INIT_SOURCES += $(addprefix guest/,command.c session.c spawn.c text.c)
INIT_HEADERS := $(wildcard guest/*.h)
INIT_CFLAGS := -std=gnu11 $(WARNINGS) $(if $(WERROR),-Werror) -Os -ffreestanding -nostdlib -static \
	       -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
	       -Wl,--build-id=none -Wl,-z,noexecstack -s

$(OUT)/guest/init: $(INIT_SOURCES) $(INIT_HEADERS) $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,GUEST,$@) $(CC) $(INIT_CFLAGS) -o $@ $(INIT_SOURCES)

$(OUT)/guest/init-blob.o: guest/init-blob.S $(OUT)/guest/init
	$(call say,AS,$<) $(CC) -DINIT_FILE='"$(OUT)/guest/init"' -c -o $@ $<

.PHONY: install
install: $(LKVM) $(PLUGIN_FILES)
	install -D -m 0755 $(LKVM) $(DESTDIR)$(PREFIX)/bin/lkvm
	$(foreach p,$(PLUGIN_FILES),install -D -m 0644 $(p) \
		$(DESTDIR)$(PREFIX)/lib/lkvm/$(notdir $(p)) &&) true
	install -D -m 0644 docs/lkvm.1 $(DESTDIR)$(PREFIX)/share/man/man1/lkvm.1
	install -D -m 0644 docs/completion.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/lkvm

.PHONY: clean
clean:
	rm -f $(LKVM) $(PLUGIN_FILES) $(FLAGS_STAMP) $(patsubst %.o,$(OUT)/%.[od],$(OBJS))
	rm -rf $(OUT)/tests-out

include tests/tests.mk
