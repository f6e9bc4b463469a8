// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio input devices (virtio 1.2 §5.8): a keyboard, a mouse and a tablet. Events come from the
 * seat on any thread, wait in a ring, and are handed to the driver on the worker.
 */
#include <errno.h>
#include <linux/input.h>
#include <linux/virtio_input.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/seat.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/virtio.h"

#define INPUT_EVENTS	 0 /* queues */
#define INPUT_STATUS	 1
#define INPUT_QUEUE_SIZE 64
#define INPUT_RING	 256 /* events that wait for the driver's buffers */

/* Keys whose bits are announced: all that a keyboard of today has, none of the buttons. */
#define INPUT_LAST_KEY KEY_MICMUTE

/* What the three kinds have of their own. */
struct input_kind {
	const char *name;
	uint16_t product;
	struct seat_receiver ops;
};

struct input_event_out {
	uint16_t type, code;
	int32_t value;
};

struct input {
	const struct input_kind *kind;
	struct seat *seat;
	struct virtio_device *vdev; /* while started */
	struct virtq_chain *chain;
	struct loop_source *source;
	int event_fd; /* written when the ring has something */
	atomic_bool ready;

	uint8_t select, subsel; /* under virtio_device.lock */

	pthread_mutex_t lock; /* protects all below; a leaf lock */
	struct input_event_out ring[INPUT_RING];
	unsigned int head, nr;
	unsigned int held; /* keys that are down; the ring keeps room for all their releases */
	unsigned int buttons;
	uint8_t down[KEY_CNT / 8];
};

/* --- events in: from the seat, with input.lock held --- */

/* Groups end with SYN_REPORT, and are lost as a whole when the driver does not keep up. */
static bool input_room(const struct input *input, unsigned int nr)
{
	return input->nr + nr < INPUT_RING;
}

static void input_put(struct input *input, uint16_t type, uint16_t code, int32_t value)
{
	input->ring[(input->head + input->nr++) % INPUT_RING] =
		(struct input_event_out){type, code, value};
}

static void input_put_report(struct input *input)
{
	input_put(input, EV_SYN, SYN_REPORT, 0);
	eventfd_write(input->event_fd, 1);
}

static void input_put_buttons(struct input *input, unsigned int buttons)
{
	static const uint16_t codes[] = {BTN_LEFT, BTN_RIGHT, BTN_MIDDLE}; /* as SEAT_* counts */

	for (unsigned int i = 0; i < ARRAY_SIZE(codes); i++)
		if ((buttons ^ input->buttons) & 1u << i)
			input_put(input, EV_KEY, codes[i], buttons >> i & 1);
	input->buttons = buttons;
}

static bool input_ready(void *dev)
{
	struct input *input = dev;

	return atomic_load(&input->ready);
}

/* The driver repeats keys itself (EV_REP), so a key that is down already is no news. */
static void input_key(void *dev, unsigned int code, bool down)
{
	struct input *input = dev;
	bool was_down;

	if (!code || code > INPUT_LAST_KEY)
		return;
	pthread_mutex_lock(&input->lock);
	was_down = input->down[code / 8] & 1u << code % 8;
	/* A key that cannot be let go later is not pressed. */
	if (down != was_down && (!down || input_room(input, 2 * (input->held + 2)))) {
		input->down[code / 8] ^= 1u << code % 8;
		input->held += down ? 1 : -1;
		input_put(input, EV_KEY, code, down);
		input_put_report(input);
	}
	pthread_mutex_unlock(&input->lock);
}

static void input_move(void *dev, int dx, int dy, int dz, unsigned int buttons)
{
	struct input *input = dev;

	pthread_mutex_lock(&input->lock);
	if (input_room(input, 7)) {
		if (dx)
			input_put(input, EV_REL, REL_X, dx);
		if (dy)
			input_put(input, EV_REL, REL_Y, dy);
		if (dz)
			input_put(input, EV_REL, REL_WHEEL, dz);
		input_put_buttons(input, buttons);
		input_put_report(input);
	}
	pthread_mutex_unlock(&input->lock);
}

static void input_point(void *dev, unsigned int x, unsigned int y, int dz, unsigned int buttons)
{
	struct input *input = dev;

	pthread_mutex_lock(&input->lock);
	if (input_room(input, 7)) {
		input_put(input, EV_ABS, ABS_X, x);
		input_put(input, EV_ABS, ABS_Y, y);
		if (dz)
			input_put(input, EV_REL, REL_WHEEL, dz);
		input_put_buttons(input, buttons);
		input_put_report(input);
	}
	pthread_mutex_unlock(&input->lock);
}

static const struct input_kind input_kinds[] = {
	[INPUT_KEYBOARD] = {"lkvm virtio keyboard", 1, {input_ready, input_key, NULL, NULL}},
	[INPUT_MOUSE] = {"lkvm virtio mouse", 2, {input_ready, NULL, input_move, NULL}},
	[INPUT_TABLET] = {"lkvm virtio tablet", 3, {input_ready, NULL, NULL, input_point}},
};

/* --- configuration (§5.8.4): what is asked for by select and subsel --- */

static void input_set_bit(struct virtio_input_config *cfg, unsigned int bit)
{
	cfg->u.bitmap[bit / 8] |= 1u << bit % 8;
	cfg->size = MAX(cfg->size, bit / 8 + 1);
}

static void input_config_bits(const struct input *input, struct virtio_input_config *cfg)
{
	bool keys = input->kind->ops.key, point = input->kind->ops.point;

	if (cfg->subsel == EV_KEY && keys) {
		for (unsigned int code = KEY_ESC; code <= INPUT_LAST_KEY; code++)
			input_set_bit(cfg, code);
	} else if (cfg->subsel == EV_REP && keys) {
		cfg->size = 1; /* there, without a bit of its own */
	} else if (cfg->subsel == EV_LED && keys) {
		for (unsigned int led = LED_NUML; led <= LED_SCROLLL; led++)
			input_set_bit(cfg, led);
	} else if (cfg->subsel == EV_KEY) {
		input_set_bit(cfg, BTN_LEFT);
		input_set_bit(cfg, BTN_RIGHT);
		input_set_bit(cfg, BTN_MIDDLE);
	} else if (cfg->subsel == EV_REL && !keys) {
		input_set_bit(cfg, REL_WHEEL);
		if (!point) {
			input_set_bit(cfg, REL_X);
			input_set_bit(cfg, REL_Y);
		}
	} else if (cfg->subsel == EV_ABS && point) {
		input_set_bit(cfg, ABS_X);
		input_set_bit(cfg, ABS_Y);
	}
}

static void input_fill_config(const struct input *input, struct virtio_input_config *cfg)
{
	switch (cfg->select) {
	case VIRTIO_INPUT_CFG_ID_NAME:
		cfg->size = strlen(input->kind->name);
		memcpy(cfg->u.string, input->kind->name, cfg->size);
		break;
	case VIRTIO_INPUT_CFG_ID_DEVIDS:
		cfg->size = sizeof(cfg->u.ids);
		le_store(&cfg->u.ids.bustype, 2, BUS_VIRTUAL);
		le_store(&cfg->u.ids.vendor, 2, 0x1af4);
		le_store(&cfg->u.ids.product, 2, input->kind->product);
		le_store(&cfg->u.ids.version, 2, 1);
		break;
	case VIRTIO_INPUT_CFG_EV_BITS:
		input_config_bits(input, cfg);
		break;
	case VIRTIO_INPUT_CFG_ABS_INFO:
		if (!input->kind->ops.point || cfg->subsel > ABS_Y)
			break;
		cfg->size = sizeof(cfg->u.abs);
		le_store(&cfg->u.abs.max, 4, SEAT_MAX_AXIS);
		break;
	}
}

static void input_config_read(void *dev, uint32_t off, void *buf, uint32_t len)
{
	struct input *input = dev;
	struct virtio_input_config cfg = {.select = input->select, .subsel = input->subsel};

	input_fill_config(input, &cfg);
	memcpy(buf, (uint8_t *)&cfg + off, len);
}

static void input_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	struct input *input = dev;
	const uint8_t *byte = buf;

	for (uint32_t i = 0; i < len; i++) {
		if (off + i == offsetof(struct virtio_input_config, select))
			input->select = byte[i];
		else if (off + i == offsetof(struct virtio_input_config, subsel))
			input->subsel = byte[i];
	}
}

static uint64_t input_features(void *dev)
{
	(void)dev;
	return 0;
}

/* --- events out, on the worker --- */

static bool input_next(struct input *input, struct virtio_input_event *event)
{
	const struct input_event_out *out;
	bool any;

	pthread_mutex_lock(&input->lock);
	any = input->nr;
	if (any) {
		out = &input->ring[input->head];
		le_store(&event->type, 2, out->type);
		le_store(&event->code, 2, out->code);
		le_store(&event->value, 4, (uint32_t)out->value);
	}
	pthread_mutex_unlock(&input->lock);
	return any;
}

static void input_drop(struct input *input)
{
	pthread_mutex_lock(&input->lock);
	input->head = (input->head + 1) % INPUT_RING;
	input->nr--;
	pthread_mutex_unlock(&input->lock);
}

/* One buffer takes one event (§5.8.6.2). */
static void input_flush(struct input *input)
{
	struct virtq *vq = virtio_queue(input->vdev, INPUT_EVENTS);
	struct virtio_input_event event;
	int got;

	while (vq && input_next(input, &event)) {
		got = virtq_pop(vq, input->chain);
		if (got < 0) {
			virtio_needs_reset(input->vdev, "the event queue is broken");
			return;
		}
		if (got == 0)
			return; /* the driver notifies when it has put more buffers there */
		virtq_push(vq, input->chain,
			   virtq_chain_write(input->chain, 0, &event, sizeof(event)));
		virtio_signal_queue(input->vdev, INPUT_EVENTS);
		input_drop(input);
	}
}

static void input_wake(void *arg, uint32_t events)
{
	struct input *input = arg;
	eventfd_t count;

	(void)events;
	eventfd_read(input->event_fd, &count);
	input_flush(input);
}

/* LEDs, which nobody sees here. */
static uint32_t input_handle_status(void *dev, struct virtq_chain *chain)
{
	(void)dev;
	(void)chain;
	return 0;
}

static void input_kick(void *dev, unsigned int q)
{
	struct input *input = dev;

	if (q == INPUT_STATUS)
		virtio_process_queue(input->vdev, q, input->chain, input_handle_status, input);
	else
		input_flush(input);
}

static int input_start(void *dev, struct virtio_device *vdev)
{
	struct input *input = dev;

	input->source = loop_add(virtio_loop(vdev), input->event_fd, EPOLLIN, input_wake, input);
	if (!input->source)
		return -errno;
	input->vdev = vdev;
	atomic_store(&input->ready, true);
	return 0;
}

static void input_stop(void *dev)
{
	struct input *input = dev;

	atomic_store(&input->ready, false);
	loop_remove(input->source);
	input->source = NULL;
	pthread_mutex_lock(&input->lock);
	input->nr = input->held = 0;
	input->buttons = 0;
	memset(input->down, 0, sizeof(input->down));
	pthread_mutex_unlock(&input->lock);
}

static void input_destroy(void *dev)
{
	struct input *input = dev;

	seat_remove(input->seat, input);
	if (input->event_fd >= 0)
		close(input->event_fd);
	virtq_chain_destroy(input->chain);
	pthread_mutex_destroy(&input->lock);
	free(input);
}

static const struct virtio_model input_model = {
	.name = "virtio-input",
	.id = VIRTIO_ID_INPUT,
	.in_order = true,
	.config_size = sizeof(struct virtio_input_config),
	.features = input_features,
	.config_read = input_config_read,
	.config_write = input_config_write,
	.start = input_start,
	.stop = input_stop,
	.kick = input_kick,
	.destroy = input_destroy,
};

struct virtio_device *input_create(const struct memory *mem, enum input_kind_id kind,
				   struct seat *seat)
{
	const uint16_t queue_sizes[] = {INPUT_QUEUE_SIZE, INPUT_QUEUE_SIZE};
	const char *name = input_kinds[kind].name;
	struct input *input = calloc(1, sizeof(*input));

	if (!input) {
		log_error("%s: out of memory", name);
		return NULL;
	}
	input->kind = &input_kinds[kind];
	input->seat = seat;
	pthread_mutex_init(&input->lock, NULL);
	input->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	input->chain = virtq_chain_create();
	if (input->event_fd < 0 || !input->chain || seat_add(seat, &input->kind->ops, input) < 0) {
		log_error("%s: cannot make the device: %m", name);
		input_destroy(input);
		return NULL;
	}
	return virtio_device_create(&input_model, input, name, mem, ARRAY_SIZE(queue_sizes),
				    queue_sizes);
}
