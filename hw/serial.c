// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/serial.h"

#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/chardev.h"
#include "kvm/log.h"
#include "kvm/util.h"

/* Register names and bits are those of linux/serial_reg.h; quotes name data sheet sections. */

#define SERIAL_FIFO    16
#define SERIAL_RX_SIZE (SERIAL_FIFO + 2) /* a SysRq fits in when the FIFO is full */
#define SERIAL_BREAK   0x100		 /* marks a zero that was a BREAK */

#define SERIAL_IER_MASK	 0x0f
#define SERIAL_IIR_FIFOS 0xc0
#define SERIAL_MCR_MASK	 0x1f

/*
 * So many reads of LSR in a row, with nothing sent or being sent, mean that the guest polls for
 * input. See serial_listens().
 */
#define SERIAL_POLLS 16

struct serial {
	struct bus *bus;
	struct io_region *region;
	struct chardev *chr; /* may be NULL */

	pthread_mutex_t
		lock; /* protects all below. Order: this, then chardev's or irq's, both leaves */
	struct irq_line line;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	bool thre_pending; /* the THRE interrupt, which is an event, not a state */
	unsigned int polls;
	uint16_t rx[SERIAL_RX_SIZE];
	unsigned int rx_len;
	uint8_t tx[SERIAL_FIFO]; /* not empty only while the chardev is stalled */
	unsigned int tx_len;
};

/*
 * Is anybody there to read? A driver that opens the port resets the FIFO and throws away a
 * character, so input that came before, such as commands piped into lkvm, would be lost. It stays
 * in the chardev until the guest asks for receive interrupts, or polls.
 */
static bool serial_listens(const struct serial *s)
{
	return !(s->mcr & UART_MCR_LOOP) && (s->ier & UART_IER_RDI || s->polls >= SERIAL_POLLS);
}

/* The interrupt of the highest priority ("Interrupt Identification Register"). */
static uint8_t serial_iir(const struct serial *s)
{
	if (s->ier & UART_IER_RLSI && s->rx_len && s->rx[0] & SERIAL_BREAK)
		return UART_IIR_RLSI;
	if (s->ier & UART_IER_RDI && s->rx_len)
		return UART_IIR_RDI;
	if (s->ier & UART_IER_THRI && s->thre_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void serial_update_line(struct serial *s)
{
	irq_line_set(&s->line, serial_iir(s) != UART_IIR_NO_INT);
}

static void serial_listen(struct serial *s)
{
	if (s->chr && serial_listens(s))
		chardev_accept_input(s->chr);
}

/* Passes on what the guest has sent; it is told when all has gone. */
static void serial_transmit(struct serial *s)
{
	size_t n = s->tx_len;

	if (s->chr)
		n = chardev_write(s->chr, s->tx, s->tx_len);
	s->tx_len -= (unsigned int)n;
	memmove(s->tx, s->tx + n, s->tx_len);
	s->thre_pending = !s->tx_len;
}

static void serial_write_thr(struct serial *s, uint8_t val)
{
	s->polls = 0;
	if (s->mcr & UART_MCR_LOOP) {
		if (s->rx_len < SERIAL_FIFO)
			s->rx[s->rx_len++] = val;
		s->thre_pending = true;
		return;
	}
	/* A guest that does not wait for THRE loses characters as with any UART. */
	if (s->tx_len < SERIAL_FIFO)
		s->tx[s->tx_len++] = val;
	serial_transmit(s);
}

static uint8_t serial_read_rbr(struct serial *s)
{
	uint8_t val = 0;

	if (s->rx_len) {
		val = (uint8_t)s->rx[0];
		s->rx_len--;
		memmove(s->rx, s->rx + 1, s->rx_len * sizeof(s->rx[0]));
	}
	if (!s->rx_len)
		serial_listen(s);
	return val;
}

static void serial_write_ier(struct serial *s, uint8_t val)
{
	val &= SERIAL_IER_MASK;
	/* Enabling the THRE interrupt while THR is empty raises it. */
	if (val & ~s->ier & UART_IER_THRI && !s->tx_len)
		s->thre_pending = true;
	s->ier = val;
	s->polls = 0;
	serial_listen(s);
}

static void serial_write_fcr(struct serial *s, uint8_t val)
{
	bool toggled = (val ^ s->fcr) & UART_FCR_ENABLE_FIFO;

	if (toggled || val & UART_FCR_CLEAR_RCVR)
		s->rx_len = 0;
	if (toggled || val & UART_FCR_CLEAR_XMIT) {
		if (s->tx_len)
			s->thre_pending = true;
		s->tx_len = 0;
	}
	s->fcr = val & UART_FCR_ENABLE_FIFO;
	serial_listen(s);
}

static uint8_t serial_read_iir(struct serial *s)
{
	uint8_t iir = serial_iir(s);

	if (iir == UART_IIR_THRI)
		s->thre_pending = false;
	return iir | (s->fcr & UART_FCR_ENABLE_FIFO ? SERIAL_IIR_FIFOS : 0);
}

static uint8_t serial_read_lsr(struct serial *s)
{
	uint8_t lsr = 0;

	if (!s->tx_len)
		lsr |= UART_LSR_THRE | UART_LSR_TEMT;
	if (s->rx_len) {
		lsr |= UART_LSR_DR;
		if (s->rx[0] & SERIAL_BREAK)
			lsr |= UART_LSR_BI;
		s->rx[0] &= (uint16_t)~SERIAL_BREAK; /* reading LSR clears it */
	} else if (!s->tx_len && s->polls < SERIAL_POLLS && ++s->polls == SERIAL_POLLS) {
		serial_listen(s);
	}
	return lsr;
}

/* In loopback outputs are wired to inputs ("Modem Control Register"); else all is well out there. */
static uint8_t serial_read_msr(const struct serial *s)
{
	uint8_t msr = 0;

	if (!(s->mcr & UART_MCR_LOOP))
		return s->chr ? UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS : 0;
	if (s->mcr & UART_MCR_RTS)
		msr |= UART_MSR_CTS;
	if (s->mcr & UART_MCR_DTR)
		msr |= UART_MSR_DSR;
	if (s->mcr & UART_MCR_OUT1)
		msr |= UART_MSR_RI;
	if (s->mcr & UART_MCR_OUT2)
		msr |= UART_MSR_DCD;
	return msr;
}

static uint8_t serial_read_reg(struct serial *s, uint64_t off)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (off) {
	case UART_RX:
		return dlab ? s->dll : serial_read_rbr(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		return serial_read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return serial_read_lsr(s);
	case UART_MSR:
		return serial_read_msr(s);
	default:
		return s->scr;
	}
}

static void serial_write_reg(struct serial *s, uint64_t off, uint8_t val)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (off) {
	case UART_TX:
		if (dlab)
			s->dll = val;
		else
			serial_write_thr(s, val);
		break;
	case UART_IER:
		if (dlab)
			s->dlm = val;
		else
			serial_write_ier(s, val);
		break;
	case UART_FCR:
		serial_write_fcr(s, val);
		break;
	case UART_LCR:
		s->lcr = val;
		break;
	case UART_MCR:
		s->mcr = val & SERIAL_MCR_MASK;
		serial_listen(s);
		break;
	case UART_SCR:
		s->scr = val;
		break;
	default: /* LSR and MSR are not for writing */
		break;
	}
}

/* Registers are a byte wide: of a wider access the first byte counts. */
static uint64_t serial_read(void *dev, uint64_t off, unsigned int len)
{
	struct serial *s = dev;
	uint8_t val;

	(void)len;
	pthread_mutex_lock(&s->lock);
	val = serial_read_reg(s, off);
	serial_update_line(s);
	pthread_mutex_unlock(&s->lock);
	return val;
}

static void serial_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct serial *s = dev;

	(void)len;
	pthread_mutex_lock(&s->lock);
	serial_write_reg(s, off, (uint8_t)val);
	serial_update_line(s);
	pthread_mutex_unlock(&s->lock);
}

static const struct io_ops serial_ops = {serial_read, serial_write};

static size_t serial_input(void *arg, const uint8_t *buf, size_t len)
{
	struct serial *s = arg;
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	if (serial_listens(s))
		while (n < len && s->rx_len < SERIAL_FIFO)
			s->rx[s->rx_len++] = buf[n++];
	serial_update_line(s);
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void serial_room(void *arg)
{
	struct serial *s = arg;

	pthread_mutex_lock(&s->lock);
	if (s->tx_len)
		serial_transmit(s);
	serial_update_line(s);
	pthread_mutex_unlock(&s->lock);
}

static const struct chardev_front serial_front = {
	.input = serial_input,
	.room = serial_room,
};

void serial_sysrq(struct serial *s, char key)
{
	pthread_mutex_lock(&s->lock);
	if (s->rx_len + 2 <= SERIAL_RX_SIZE) {
		s->rx[s->rx_len++] = SERIAL_BREAK;
		s->rx[s->rx_len++] = (uint8_t)key;
	}
	serial_update_line(s);
	pthread_mutex_unlock(&s->lock);
}

struct serial *serial_create(const char *name, struct bus *bus, uint64_t base, struct irq_chip *irq,
			     unsigned int gsi, struct chardev *chr)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		goto fail;
	s->bus = bus;
	s->chr = chr;
	pthread_mutex_init(&s->lock, NULL);
	irq_line_init(&s->line, irq, gsi);
	s->region = bus_insert(bus, name, base, SERIAL_SIZE, &serial_ops, s);
	if (!s->region)
		goto fail_region;
	if (chr)
		chardev_set_front(chr, &serial_front, s);
	return s;

fail_region:
	pthread_mutex_destroy(&s->lock);
fail:
	log_error("%s at 0x%llx: %m", name, (unsigned long long)base);
	free(s);
	return NULL;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	if (s->chr)
		chardev_set_front(s->chr, NULL, NULL);
	bus_remove(s->bus, s->region);
	irq_line_lower(&s->line);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
