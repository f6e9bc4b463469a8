// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/input.c virtio/device.c virtio/virtq.c ui/seat.c memory.c util/worker.c util/loop.c util/util.c util/log.c */
/* virtio input devices: what a person does arrives in order, and no key stays down for ever. */
#include <errno.h>
#include <linux/input.h>
#include <linux/virtio_input.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "kvm/seat.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "virtio-driver.h"

#define QUEUE_SIZE 64
#define EVENT_SIZE sizeof(struct virtio_input_event)

struct setup {
	struct drv_ram ram;
	struct drv_transport transport;
	struct drv_queue q[2];
	struct seat seat;
	struct virtio_device *vdev;
	unsigned int nr_given; /* buffers, ever */
};

static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	drv_ram_init(&s->ram);
	seat_init(&s->seat);
	*state = s;
	return 0;
}

static void begin(struct setup *s, enum input_kind_id kind)
{
	s->vdev = input_create(&s->ram.mem, kind, &s->seat);
	assert_non_null(s->vdev);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev)));
	for (unsigned int i = 0; i < 2; i++)
		drv_setup_queue(&s->q[i], s->vdev, &s->ram, i, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	seat_fini(&s->seat);
	drv_ram_fini(&s->ram);
	free(s);
	return 0;
}

/* Buffers, each in a place of its own among twice as many as the queue has. */
static void give(struct setup *s, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++, s->nr_given++) {
		struct drv_buf buf = {DRV_DATA + s->nr_given % (2 * QUEUE_SIZE) * EVENT_SIZE,
				      EVENT_SIZE};

		assert_true(drv_add(&s->q[0], &buf, 0, 1, 0) >= 0);
	}
	virtio_device_kick(s->vdev, 0);
}

/* The event in the buffer that was given nth. */
static void expect(struct setup *s, unsigned int nth, uint16_t type, uint16_t code, int32_t value)
{
	const uint8_t *event = drv_ptr(&s->ram, DRV_DATA + nth % (2 * QUEUE_SIZE) * EVENT_SIZE);
	uint32_t len;
	int id;

	assert_true(drv_wait_used(&s->q[0], &id, &len));
	assert_int_equal(len, EVENT_SIZE);
	assert_int_equal(le_load(event, 2), type);
	assert_int_equal(le_load(event + 2, 2), code);
	assert_int_equal((int32_t)le_load(event + 4, 4), value);
}

static void test_keys(void **state)
{
	struct setup *s = *state;

	begin(s, INPUT_KEYBOARD);
	give(s, 8);
	seat_key(&s->seat, KEY_A, true);
	seat_key(&s->seat, KEY_A, true); /* repeats are the driver's affair */
	seat_key(&s->seat, BTN_LEFT, true);
	seat_key(&s->seat, UINT16_MAX, true);
	seat_key(&s->seat, KEY_A, false);
	expect(s, 0, EV_KEY, KEY_A, 1);
	expect(s, 1, EV_SYN, SYN_REPORT, 0);
	expect(s, 2, EV_KEY, KEY_A, 0);
	expect(s, 3, EV_SYN, SYN_REPORT, 0);
}

/* More than anybody has room for, while the driver sleeps: what was pressed is let go. */
static void test_flood(void **state)
{
	struct setup *s = *state;
	unsigned int nth = 0, nr_down = 0;
	uint8_t down[KEY_CNT] = {0};

	begin(s, INPUT_KEYBOARD);
	for (unsigned int round = 0; round < 10; round++)
		for (unsigned int key = KEY_ESC; key < KEY_KPDOT; key++)
			seat_key(&s->seat, key, true);
	for (unsigned int key = KEY_ESC; key < KEY_KPDOT; key++)
		seat_key(&s->seat, key, false);
	for (uint32_t len; give(s, 1), DRV_WAIT(drv_get_used(&s->q[0], &(int){0}, &len)); nth++) {
		const uint8_t *event =
			drv_ptr(&s->ram, DRV_DATA + nth % (2 * QUEUE_SIZE) * EVENT_SIZE);
		uint16_t code = le_load(event + 2, 2);

		if (le_load(event, 2) == EV_SYN && code == SYN_REPORT && !nr_down)
			break; /* all have been let go again */
		if (le_load(event, 2) != EV_KEY)
			continue;
		down[code] = le_load(event + 4, 4);
		nr_down += down[code] ? 1 : -1;
	}
	assert_int_equal(nr_down, 0);
	assert_true(nth > 100);
	for (unsigned int key = 0; key < KEY_CNT; key++)
		assert_int_equal(down[key], 0);
}

static void test_pointers(void **state)
{
	struct setup *s = *state;

	begin(s, INPUT_TABLET);
	give(s, 16);
	assert_true(seat_takes_points(&s->seat));
	seat_point(&s->seat, 799, 0, 800, 600, 1, SEAT_RIGHT);
	expect(s, 0, EV_ABS, ABS_X, SEAT_MAX_AXIS);
	expect(s, 1, EV_ABS, ABS_Y, 0);
	expect(s, 2, EV_REL, REL_WHEEL, 1);
	expect(s, 3, EV_KEY, BTN_RIGHT, 1);
	expect(s, 4, EV_SYN, SYN_REPORT, 0);
	/* Down no longer ready: the seat has nobody to tell. */
	virtio_device_set_status(s->vdev, 0);
	assert_false(seat_takes_points(&s->seat));
}

static void test_mouse(void **state)
{
	struct setup *s = *state;

	begin(s, INPUT_MOUSE);
	give(s, 16);
	seat_move(&s->seat, -3, 4, 0, SEAT_LEFT);
	seat_move(&s->seat, 0, 0, -1, 0);
	expect(s, 0, EV_REL, REL_X, -3);
	expect(s, 1, EV_REL, REL_Y, 4);
	expect(s, 2, EV_KEY, BTN_LEFT, 1);
	expect(s, 3, EV_SYN, SYN_REPORT, 0);
	expect(s, 4, EV_REL, REL_WHEEL, -1);
	expect(s, 5, EV_KEY, BTN_LEFT, 0);
	expect(s, 6, EV_SYN, SYN_REPORT, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keys, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_flood, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_pointers, setup_init, setup_fini),
		cmocka_unit_test_setup_teardown(test_mouse, setup_init, setup_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
