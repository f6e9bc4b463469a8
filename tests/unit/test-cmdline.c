// SPDX-License-Identifier: GPL-2.0-or-later
/* links: x86/cmdline.c util/util.c util/log.c */
/* virtio-mmio devices on the command line, for kernels that have no other way to find them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../x86/boot.h"
#include "kvm/config.h"
#include "kvm/virtio-mmio.h"

static const struct virtio_mmio_place places[] = {{0xfeb00000, 6}, {0xfeb00200, 14}};

static void test_added(void **state)
{
	struct vm_config cfg = {.no_acpi = true};
	char *line = cmdline_add_virtio_mmio(strdup("panic=-1 -- x"), &cfg, places, 2);

	(void)state;
	assert_string_equal(line, "virtio_mmio.device=512@0xfeb00000:6 "
				  "virtio_mmio.device=512@0xfeb00200:14 panic=-1 -- x");
	free(line);
}

static void test_left_alone(void **state)
{
	struct vm_config cfg = {.nodefaults = true};
	char *line = cmdline_add_virtio_mmio(strdup("mine"), &cfg, places, 2);

	(void)state;
	assert_string_equal(line, "mine");
	cfg.nodefaults = false;
	line = cmdline_add_virtio_mmio(line, &cfg, places, 0);
	assert_string_equal(line, "mine");
	free(line);
	assert_null(cmdline_add_virtio_mmio(NULL, &cfg, places, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
