// SPDX-License-Identifier: GPL-2.0-or-later
/* links: arm/space.c util/util.c util/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arm/arm.h"
#include "arm/layout.h"
#include "kvm/config.h"
#include "kvm/util.h"

#define TIB (UINT64_C(1) << 40)

static int host_bits; /* what KVM says that guests can have */

int ioctl(int fd, unsigned long request, ...)
{
	(void)fd, (void)request;
	return host_bits;
}

static struct arch_config arch;

static struct vm_config config(uint64_t size, uint64_t base)
{
	arch = (struct arch_config){0};
	return (struct vm_config){.ram_size = size, .ram_base = base, .arch = &arch};
}

/* Address bits of the machine made for it; -1: refused. */
static int bits_of(const struct vm_config *cfg)
{
	unsigned long type = 0;
	int saved = dup(STDERR_FILENO), ret;

	/* What is printed on errors is not what is tested here. */
	assert_non_null(freopen("/dev/null", "w", stderr));
	ret = space_check(cfg) < 0 || space_vm_type(3, cfg, &type) < 0 ? -1 : (int)type;
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return ret;
}

static int bits(uint64_t size, uint64_t base)
{
	struct vm_config cfg = config(size, base);

	return bits_of(&cfg);
}

/* RAM, and 64 GiB for BARs above it: no more bits than that takes. */
static void test_what_is_needed(void **state)
{
	(void)state;
	host_bits = 48;
	assert_int_equal(bits(256 * MIB, 0), 37);
	assert_int_equal(bits(60 * GIB, 0), 37);
	assert_int_equal(bits(63 * GIB, 0), 38);
	assert_int_equal(bits(256 * MIB, 100 * GIB), 38);
	assert_int_equal(bits(512 * GIB, 0), 0); /* 40, which has a number of its own */
	assert_int_equal(bits(2 * TIB, 0), 42);
	assert_int_equal(bits(GIB, 200 * TIB), 48);
}

/* A host with few bits gets a smaller window, or none; RAM must fit. */
static void test_small_host(void **state)
{
	struct vm_config cfg = config(20 * GIB, 0);
	struct pci_window window;

	(void)state;
	host_bits = 36;
	assert_int_equal(bits_of(&cfg), 36);
	window = space_mem64(3, &cfg);
	assert_int_equal(window.base, 22 * GIB);
	assert_int_equal(window.size, 42 * GIB);
	cfg = config(62 * GIB, 0);
	assert_int_equal(bits_of(&cfg), 36);
	assert_int_equal(space_mem64(3, &cfg).size, 0);
	assert_int_equal(bits(62 * GIB + LAYOUT_RAM_ALIGN, 0), -1);
	assert_int_equal(bits(256 * MIB, 64 * GIB), -1);
	assert_int_equal(bits(256 * MIB, 64 * GIB - 256 * MIB), 36);
}

/* KVM before 4.20 has 40 bits and takes no other wish. */
static void test_old_host(void **state)
{
	(void)state;
	host_bits = 0;
	assert_int_equal(bits(256 * MIB, 0), 0);
	assert_int_equal(bits(1000 * GIB, 0), 0);
	assert_int_equal(bits(1023 * GIB, 0), -1);
}

static void test_nonsense(void **state)
{
	(void)state;
	host_bits = 52;
	assert_int_equal(bits(256 * MIB, LAYOUT_RAM - LAYOUT_RAM_ALIGN), -1);
	assert_int_equal(bits(256 * MIB, LAYOUT_RAM + 4096), -1);
	assert_int_equal(bits(2 * MIB, 0), -1);
	assert_int_equal(bits(UINT64_MAX - LAYOUT_RAM + 1, 0), -1);
	assert_int_equal(bits(UINT64_MAX, 0), -1);
	assert_int_equal(bits(GIB, -(uint64_t)LAYOUT_RAM_ALIGN), -1);
	assert_int_equal(bits(UINT64_C(1) << 52, 0), -1);
}

/* All that a 32-bit guest has lies below 4 GiB. */
static void test_32_bits(void **state)
{
	struct vm_config cfg = config(2 * GIB, 0);

	(void)state;
	host_bits = 48;
	arch.aarch32 = true;
	assert_int_equal(bits_of(&cfg), 32);
	assert_int_equal(space_mem64(3, &cfg).size, 0);
	cfg.ram_size += LAYOUT_RAM_ALIGN;
	assert_int_equal(bits_of(&cfg), -1);
	cfg.ram_size = GIB;
	cfg.ram_base = 4 * GIB;
	assert_int_equal(bits_of(&cfg), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_needed), cmocka_unit_test(test_small_host),
		cmocka_unit_test(test_old_host),       cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_32_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
