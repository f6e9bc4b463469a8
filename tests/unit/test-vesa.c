// SPDX-License-Identifier: GPL-2.0-or-later
/* links: hw/vesa.c hw/edid.c ui/display.c ui/seat.c util/loop.c util/log.c util/util.c */
/*
 * What a picture costs: how often KVM is asked for the log of written pages, counted over minutes of
 * a clock that is the test's, and what of the picture is passed on. Guest memory, the PCI bus and the
 * back end are the test's as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "kvm/display.h"
#include "kvm/loop.h"
#include "kvm/memory.h"
#include "kvm/pci.h"
#include "kvm/plugin.h"
#include "kvm/seat.h"
#include "kvm/util.h"
#include "kvm/vesa.h"

#define WIDTH  640
#define HEIGHT 480
#define SLOT   3
#define SECOND UINT64_C(1000000000)

/* --- the clock: it stands still, but for run() --- */

static _Atomic uint64_t clock_ns = 1000 * SECOND;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t now = atomic_load(&clock_ns);

	(void)id;
	*ts = (struct timespec){.tv_sec = now / SECOND, .tv_nsec = now % SECOND};
	return 0;
}

/* --- guest memory and the PCI bus --- */

static struct {
	uint8_t *vram;
	int nr_mapped;
	atomic_uint nr_logs; /* times that the log was asked for */
	atomic_bool paints;  /* the guest writes a pixel before each */
	atomic_bool fails;
	atomic_bool talks; /* the guest writes a register every 0.1 ms */
	const struct pci_bar_layout *bar[PCI_NR_BARS];
	void *dev;
	uint32_t base;
} machine;

int memory_map_slot(struct memory *mem, uint64_t gpa, uint64_t size, void *hva, uint32_t flags)
{
	(void)mem;
	assert_int_equal(size, VESA_VRAM_SIZE);
	assert_int_equal(flags, 1); /* KVM_MEM_LOG_DIRTY_PAGES */
	if (gpa == 0)
		return -EEXIST;
	machine.vram = hva;
	machine.nr_mapped++;
	return SLOT;
}

void memory_unmap_slot(struct memory *mem, int slot)
{
	(void)mem;
	assert_int_equal(slot, SLOT);
	machine.nr_mapped--;
}

int memory_get_dirty(struct memory *mem, int slot, void *bitmap)
{
	(void)mem;
	assert_int_equal(slot, SLOT);
	atomic_fetch_add(&machine.nr_logs, 1);
	if (atomic_load(&machine.fails))
		return -EIO;
	if (atomic_load(&machine.paints)) {
		machine.vram[WIDTH * 4 * 100 + 4 * 7]++; /* line 100, pixel 7 */
		((uint8_t *)bitmap)[WIDTH * 4 * 100 / 4096 / 8] |= 1u << WIDTH * 4 * 100 / 4096 % 8;
	}
	return 0;
}

void pci_function_init(struct pci_function *fn, struct pci *pci, const char *name, void *dev,
		       const struct pci_id *id)
{
	(void)fn;
	(void)pci;
	(void)name;
	(void)id;
	machine.dev = dev;
}

void pci_config_set(struct pci_function *fn, unsigned int reg, unsigned int len, uint32_t val)
{
	(void)fn;
	(void)reg;
	(void)len;
	(void)val;
}

uint32_t pci_config_get(struct pci_function *fn, unsigned int reg, unsigned int len)
{
	(void)fn;
	(void)reg;
	(void)len;
	return machine.base | 8; /* prefetchable */
}

int pci_add_bar(struct pci_function *fn, unsigned int bar, const struct pci_bar_layout *layout)
{
	(void)fn;
	machine.bar[bar] = layout;
	return 0;
}

int pci_function_add(struct pci_function *fn, int bdf)
{
	(void)fn;
	(void)bdf;
	machine.base = 0xc0000000;
	machine.bar[0]->moved(machine.dev, 0, machine.base);
	return 0;
}

void pci_function_remove(struct pci_function *fn)
{
	(void)fn;
	machine.bar[0]->moved(machine.dev, 0, PCI_BAR_NOT_DECODED);
}

static void dispi_write(unsigned int nr, uint16_t val)
{
	machine.bar[2]->ops->write(machine.dev, 0x500 + 2 * nr, 2, val);
}

static uint16_t dispi_read(unsigned int nr)
{
	return machine.bar[2]->ops->read(machine.dev, 0x500 + 2 * nr, 2);
}

/* --- the back end: it lets time pass, and counts --- */

static struct {
	atomic_bool watched;
	atomic_uint nr_wakes;
	/* Protects all below. */
	pthread_mutex_t lock;
	pthread_cond_t change;
	uint64_t left; /* nanoseconds until it stops and waits for the test */
	bool woken;
	unsigned int nr_updates, nr_resizes;
	struct display_rect last;
} people = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static void *people_open(struct display *display, const struct display_params *params,
			 struct seat *seat)
{
	(void)display;
	(void)params;
	(void)seat;
	return &people;
}

static void people_close(void *be)
{
	(void)be;
}

static bool people_watched(void *be)
{
	(void)be;
	return atomic_load(&people.watched);
}

static void people_resize(void *be, const struct display_surface *surface)
{
	(void)be;
	(void)surface;
	people.nr_resizes++;
}

static void people_update(void *be, const struct display_surface *surface,
			  const struct display_rect *rects, unsigned int nr)
{
	(void)be;
	(void)surface;
	people.nr_updates++;
	people.last = rects[nr - 1];
}

static void people_run(void *be, unsigned int timeout_ms)
{
	uint64_t ns = timeout_ms * UINT64_C(1000000);

	bool talks = atomic_load(&machine.talks);

	(void)be;
	if (talks) {
		ns = 100000;
		dispi_write(9, 0);
	}
	pthread_mutex_lock(&people.lock);
	while (!people.left && !people.woken)
		pthread_cond_wait(&people.change, &people.lock);
	if (!people.woken || talks) {
		ns = MIN(ns, people.left);
		atomic_fetch_add(&clock_ns, ns);
		people.left -= ns;
		pthread_cond_broadcast(&people.change);
	}
	people.woken = false;
	pthread_mutex_unlock(&people.lock);
}

static void people_wake(void *be)
{
	(void)be;
	atomic_fetch_add(&people.nr_wakes, 1);
	pthread_mutex_lock(&people.lock);
	people.woken = true;
	pthread_cond_broadcast(&people.change);
	pthread_mutex_unlock(&people.lock);
}

static const struct display_backend people_backend = {
	.open = people_open,
	.close = people_close,
	.watched = people_watched,
	.resize = people_resize,
	.update = people_update,
	.run = people_run,
	.wake = people_wake,
};

const void *plugin_load(const char *name, const char *symbol, const char *what)
{
	(void)what;
	assert_string_equal(name, "people");
	assert_string_equal(symbol, DISPLAY_BACKEND_SYMBOL);
	return &people_backend;
}

/* How often the log was asked for in that many seconds. */
static unsigned int logs_in(unsigned int seconds)
{
	unsigned int before = atomic_load(&machine.nr_logs);

	pthread_mutex_lock(&people.lock);
	people.left = seconds * SECOND;
	pthread_cond_broadcast(&people.change);
	while (people.left)
		pthread_cond_wait(&people.change, &people.lock);
	pthread_mutex_unlock(&people.lock);
	return atomic_load(&machine.nr_logs) - before;
}

/* --- tests --- */

static struct loop *loop;
static struct seat seat;
static struct display *display;
static struct vesa *vesa;

static void never(void *arg)
{
	(void)arg;
	fail();
}

static int setup(void **state)
{
	static const struct display_params params = {
		.wanted = true, .backend = "people", .width = WIDTH, .height = HEIGHT, .depth = 32};

	(void)state;
	atomic_store(&machine.paints, false);
	atomic_store(&machine.fails, false);
	atomic_store(&machine.talks, false);
	atomic_store(&people.watched, false);
	seat_init(&seat);
	loop = loop_create();
	display = display_create(&params, loop, &seat, never, NULL);
	vesa = vesa_create(NULL, NULL, display, WIDTH, HEIGHT, 32);
	assert_non_null(vesa);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vesa_destroy(vesa);
	assert_int_equal(machine.nr_mapped, 0);
	display_destroy(display);
	loop_destroy(loop);
	seat_fini(&seat);
	return 0;
}

static void test_nobody_looks(void **state)
{
	(void)state;
	logs_in(1); /* the machine's start is something new to see */
	atomic_store(&machine.paints, true);
	assert_int_equal(logs_in(3600), 0);
}

static void test_somebody_looks(void **state)
{
	unsigned int nr, updates;

	(void)state;
	atomic_store(&people.watched, true);
	display_wake(display);
	logs_in(10);

	/* A picture that stands still: eight times a second, and nothing is passed on. */
	updates = people.nr_updates;
	nr = logs_in(60);
	assert_in_range(nr, 60 * 7, 60 * 8);
	assert_int_equal(people.nr_updates, updates);

	/* One that changes: sixty times. Only the pixel that did is passed on. */
	atomic_store(&machine.paints, true);
	logs_in(1);
	updates = people.nr_updates;
	nr = logs_in(60);
	assert_in_range(nr, 60 * 60, 60 * 63);
	assert_in_range(people.nr_updates - updates, nr - 1, nr + 1);
	assert_true(people.last.x == 7 && people.last.y == 100 && people.last.width == 1 &&
		    people.last.height == 1);

	/* And quiet again, when they have gone. */
	atomic_store(&people.watched, false);
	logs_in(3600);
	assert_int_equal(logs_in(3600), 0);
}

/* A guest that sets modes all the time keeps one vCPU busy, not the display's thread too. */
static void test_guest_talks(void **state)
{
	(void)state;
	logs_in(1);
	atomic_store(&machine.talks, true);
	display_wake(display);
	atomic_store(&people.nr_wakes, 0);
	assert_in_range(logs_in(1), 60, 125 + 1);
	assert_in_range(atomic_load(&people.nr_wakes), 60, 125 + 1);
	atomic_store(&people.watched, true);
	assert_in_range(logs_in(1), 60, 125 + 2);
	atomic_store(&machine.talks, false);
}

static void test_log_fails(void **state)
{
	struct display_surface shot;

	(void)state;
	machine.vram[0] = 0x11;
	free(display_screenshot(display).pixels);
	atomic_store(&machine.fails, true);
	machine.vram[0] = 0x77; /* then all of it is looked at */
	shot = display_screenshot(display);
	assert_int_equal(shot.pixels[0], 0x77);
	free(shot.pixels);
}

static void test_moves(void **state)
{
	struct display_surface shot;
	struct vesa_mode mode;

	(void)state;
	assert_int_equal(vesa_framebuffer(vesa, &mode), 0xc0000000);
	assert_true(mode.width == WIDTH && mode.height == HEIGHT && mode.depth == 32 &&
		    mode.stride == WIDTH * 4);
	free(display_screenshot(display).pixels);
	machine.bar[0]->moved(machine.dev, 0, PCI_BAR_NOT_DECODED);
	assert_int_equal(machine.nr_mapped, 0);
	machine.vram[0] = 0x12; /* as if before the move: what the old slot's log knew is lost */
	machine.bar[0]->moved(machine.dev, 0, 0); /* refused */
	assert_int_equal(machine.nr_mapped, 0);
	shot = display_screenshot(display);
	assert_int_equal(shot.pixels[0], 0x12);
	free(shot.pixels);
	machine.bar[0]->moved(machine.dev, 0, 0xd0000000);
	assert_int_equal(machine.nr_mapped, 1);
}

static void test_modes(void **state)
{
	struct display_surface shot;

	(void)state;
	dispi_write(4, 0);
	shot = display_screenshot(display); /* off: black */
	assert_true(shot.width == WIDTH && shot.pixels[0] == 0);
	free(shot.pixels);
	dispi_write(1, 1920);
	dispi_write(2, 1080);
	dispi_write(4, 0x41);
	memset(machine.vram, 0xff, 1920 * 1080 * 4);
	shot = display_screenshot(display);
	assert_true(shot.width == 1920 && shot.height == 1080);
	assert_int_equal(shot.pixels[1920 * 1080 - 1], 0xffffff);
	free(shot.pixels);
	dispi_write(9, 1080); /* two pictures fit: the other one */
	assert_int_equal(dispi_read(9), 1080);
	dispi_write(2, 4000); /* 30 MiB */
	assert_int_equal(dispi_read(2), 1080);
	dispi_write(3, 0xffff);
	assert_int_equal(dispi_read(3), 32);
	shot = display_screenshot(display);
	assert_int_equal(shot.pixels[0], 0);
	free(shot.pixels);

	assert_int_equal(vesa_check_mode(1920, 1080, 32, "-"), 0);
	assert_int_equal(vesa_check_mode(2048, 2048, 32, "-"), 0); /* all there is */
	assert_true(vesa_check_mode(2048, 2049, 32, "-") < 0);
	assert_true(vesa_check_mode(0, 480, 32, "-") < 0);
	assert_true(vesa_check_mode(UINT32_MAX, UINT32_MAX, 32, "-") < 0);
	assert_true(vesa_check_mode(640, 480, 8, "-") < 0);
}

/* A mode begins with a black screen, unless it is not to; one that is set already is left alone. */
static void test_clear(void **state)
{
	(void)state;
	machine.vram[0] = machine.vram[WIDTH * HEIGHT * 4] = 0x55;
	dispi_write(9, 10);
	dispi_write(4, 0x41);
	assert_int_equal(machine.vram[0], 0x55);
	assert_int_equal(dispi_read(9), 10);
	dispi_write(4, 0);
	dispi_write(4, 0xc1);
	assert_int_equal(machine.vram[0], 0x55);
	assert_int_equal(dispi_read(9), 0);
	dispi_write(4, 0);
	dispi_write(4, 0x41);
	assert_int_equal(machine.vram[0], 0);
	assert_int_equal(machine.vram[WIDTH * HEIGHT * 4], 0x55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nobody_looks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_somebody_looks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guest_talks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clear, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
