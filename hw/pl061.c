// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/pl061.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"

/* Registers (DDI 0190B §3.3), eight bits each in a word of their own. */
#define PL061_DATA_END 0x400 /* the data register's addresses: bits 9:2 are a mask of the pins */
#define PL061_DIR      0x400
#define PL061_IS       0x404 /* level, else edge */
#define PL061_IBE      0x408 /* both edges */
#define PL061_IEV      0x40c /* high or rising, else low or falling */
#define PL061_IE       0x410
#define PL061_RIS      0x414 /* raw status */
#define PL061_MIS      0x418 /* status behind IE */
#define PL061_IC       0x41c /* clears edges */
#define PL061_AFSEL    0x420
#define PL061_ID       0xfe0 /* eight bytes that say what this is */

/* Longer than drivers take for bouncing of the contact. */
#define PL061_PRESS_NS UINT64_C(100000000)

struct pl061 {
	struct bus *bus;
	struct io_region *region;
	struct loop_source *release; /* the timer that lets buttons go */
	pthread_mutex_t lock;	     /* protects all below; irq's lock is taken inside */
	struct irq_line line;
	uint8_t in, out, dir, is, ibe, iev, ie, edges, afsel;
};

static uint8_t pl061_pins(const struct pl061 *gpio)
{
	return (gpio->out & gpio->dir) | (gpio->in & ~gpio->dir);
}

/* Edges that were seen, and levels as they are. */
static uint8_t pl061_raw_status(const struct pl061 *gpio)
{
	uint8_t active = ~(pl061_pins(gpio) ^ gpio->iev);

	return (gpio->edges & ~gpio->is) | (active & gpio->is & ~gpio->dir);
}

static void pl061_sync(struct pl061 *gpio)
{
	irq_line_set(&gpio->line, pl061_raw_status(gpio) & gpio->ie);
}

static void pl061_set_inputs(struct pl061 *gpio, uint8_t in)
{
	uint8_t changed = (in ^ gpio->in) & ~gpio->dir;

	gpio->in = in;
	gpio->edges |= changed & (gpio->ibe | ~(in ^ gpio->iev));
	pl061_sync(gpio);
}

static uint64_t pl061_read_locked(const struct pl061 *gpio, uint64_t off)
{
	static const uint8_t id[] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	if (off < PL061_DATA_END)
		return pl061_pins(gpio) & off >> 2;
	if (off >= PL061_ID)
		return id[(off - PL061_ID) / 4];
	switch (off) {
	case PL061_DIR:
		return gpio->dir;
	case PL061_IS:
		return gpio->is;
	case PL061_IBE:
		return gpio->ibe;
	case PL061_IEV:
		return gpio->iev;
	case PL061_IE:
		return gpio->ie;
	case PL061_RIS:
		return pl061_raw_status(gpio);
	case PL061_MIS:
		return pl061_raw_status(gpio) & gpio->ie;
	case PL061_AFSEL:
		return gpio->afsel;
	default:
		return 0;
	}
}

static uint64_t pl061_read(void *dev, uint64_t off, unsigned int len)
{
	struct pl061 *gpio = dev;
	uint64_t val;

	(void)len;
	pthread_mutex_lock(&gpio->lock);
	val = pl061_read_locked(gpio, ALIGN_DOWN(off, 4));
	pthread_mutex_unlock(&gpio->lock);
	return off % 4 ? 0 : val;
}

static void pl061_write_locked(struct pl061 *gpio, uint64_t off, uint8_t val)
{
	if (off < PL061_DATA_END) {
		uint8_t mask = off >> 2;

		gpio->out = (gpio->out & ~mask) | (val & mask);
	}
	switch (off) {
	case PL061_DIR:
		gpio->dir = val;
		break;
	case PL061_IS:
		gpio->is = val;
		break;
	case PL061_IBE:
		gpio->ibe = val;
		break;
	case PL061_IEV:
		gpio->iev = val;
		break;
	case PL061_IE:
		gpio->ie = val;
		break;
	case PL061_IC:
		gpio->edges &= ~val;
		break;
	case PL061_AFSEL:
		gpio->afsel = val;
		break;
	default:
		break;
	}
	pl061_sync(gpio);
}

static void pl061_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct pl061 *gpio = dev;

	(void)len;
	if (off % 4)
		return;
	pthread_mutex_lock(&gpio->lock);
	pl061_write_locked(gpio, off, val);
	pthread_mutex_unlock(&gpio->lock);
}

static const struct io_ops pl061_ops = {.read = pl061_read, .write = pl061_write};

static void pl061_release(void *arg, uint32_t events)
{
	struct pl061 *gpio = arg;

	(void)events;
	pthread_mutex_lock(&gpio->lock);
	pl061_set_inputs(gpio, 0);
	pthread_mutex_unlock(&gpio->lock);
}

int pl061_press(struct pl061 *gpio, unsigned int pin)
{
	uint8_t bit = 1u << pin;
	int ret = -EAGAIN;

	pthread_mutex_lock(&gpio->lock);
	if (gpio->ie & bit) {
		pl061_set_inputs(gpio, gpio->in | bit);
		loop_arm_timer(gpio->release, PL061_PRESS_NS);
		ret = 0;
	}
	pthread_mutex_unlock(&gpio->lock);
	return ret;
}

struct pl061 *pl061_create(struct loop *loop, struct bus *bus, uint64_t base, struct irq_chip *irq,
			   unsigned int gsi)
{
	struct pl061 *gpio = calloc(1, sizeof(*gpio));

	if (!gpio)
		return NULL;
	gpio->bus = bus;
	pthread_mutex_init(&gpio->lock, NULL);
	irq_line_init(&gpio->line, irq, gsi);
	gpio->release = loop_add_timer(loop, pl061_release, gpio);
	if (gpio->release)
		gpio->region = bus_insert(bus, "pl061", base, PL061_SIZE, &pl061_ops, gpio);
	if (gpio->region)
		return gpio;
	log_error("GPIO controller: %m");
	pl061_destroy(gpio);
	return NULL;
}

void pl061_destroy(struct pl061 *gpio)
{
	bus_remove(gpio->bus, gpio->region);
	if (gpio->release)
		loop_remove(gpio->release);
	irq_line_lower(&gpio->line);
	pthread_mutex_destroy(&gpio->lock);
	free(gpio);
}
