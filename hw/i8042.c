// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/i8042.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/util.h"

#define I8042_DATA    0x60
#define I8042_COMMAND 0x64 /* read: status */

/* Status register */
#define I8042_OBF      0x01 /* output buffer full */
#define I8042_SYS      0x04 /* self-test passed */
#define I8042_CMD      0x08 /* the last write was a command */
#define I8042_UNLOCKED 0x10
#define I8042_AUX_OBF  0x20 /* it is the mouse's */

/* Controller configuration ("command") byte */
#define I8042_KBD_INT	0x01
#define I8042_AUX_INT	0x02
#define I8042_CFG_SYS	0x04
#define I8042_KBD_DIS	0x10
#define I8042_AUX_DIS	0x20
#define I8042_TRANSLATE 0x40

#define I8042_A20_NOT_RESET 0xcf /* output port: A20 on, reset high, clock and data lines high */

#define PS2_ACK	   0xfa
#define PS2_RESEND 0xfe
#define PS2_BAT_OK 0xaa
#define PS2_EXTEND 0xe0 /* prefix of a scan code, in both sets */
#define PS2_BREAK  0xf0 /* prefix of a released key, in set 2 */

#define PS2_QUEUE 32

/*
 * What the controller makes of the keyboard's set 2 codes while it translates them to set 1
 * (IBM PS/2 Technical Reference, keyboard controller, "scan code translation").
 */
static const uint8_t i8042_set1[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};
#define I8042_SET2_F7 0x83 /* the one key beyond the table; set 1: 0x41 */

/* Keys whose set 1 code is not their KEY_* number; those with PS2_EXTEND << 8 are prefixed. */
static const struct {
	uint16_t code, set1;
} i8042_keys[] = {
	{KEY_RO, 0x73},		  {KEY_KATAKANAHIRAGANA, 0x70},
	{KEY_HENKAN, 0x79},	  {KEY_MUHENKAN, 0x7b},
	{KEY_YEN, 0x7d},	  {KEY_KPENTER, 0xe01c},
	{KEY_RIGHTCTRL, 0xe01d},  {KEY_MUTE, 0xe020},
	{KEY_VOLUMEDOWN, 0xe02e}, {KEY_VOLUMEUP, 0xe030},
	{KEY_KPSLASH, 0xe035},	  {KEY_SYSRQ, 0xe037},
	{KEY_RIGHTALT, 0xe038},	  {KEY_HOME, 0xe047},
	{KEY_UP, 0xe048},	  {KEY_PAGEUP, 0xe049},
	{KEY_LEFT, 0xe04b},	  {KEY_RIGHT, 0xe04d},
	{KEY_END, 0xe04f},	  {KEY_DOWN, 0xe050},
	{KEY_PAGEDOWN, 0xe051},	  {KEY_INSERT, 0xe052},
	{KEY_DELETE, 0xe053},	  {KEY_LEFTMETA, 0xe05b},
	{KEY_RIGHTMETA, 0xe05c},  {KEY_COMPOSE, 0xe05d},
	{KEY_POWER, 0xe05e},	  {KEY_SLEEP, 0xe05f},
};

struct ps2_queue {
	uint8_t data[PS2_QUEUE];
	unsigned int len;
};

struct ps2_keyboard {
	struct ps2_queue out;
	uint8_t command; /* whose parameter comes next, 0 for none */
	bool scanning;
	uint8_t down[KEY_CNT / 8];
};

struct ps2_mouse {
	struct ps2_queue out;
	uint8_t command;
	bool reporting, remote, scaling, wrap;
	uint8_t resolution, rate, id;
	uint8_t rates[2]; /* the rates set before: 200, 100, 80 turns the wheel on */
	int dx, dy, dz;	  /* not reported yet */
	unsigned int buttons, reported_buttons;
};

struct i8042 {
	struct bus *bus;
	struct io_region *data_region, *command_region;
	void (*request_reset)(void *arg);
	void *reset_arg;

	pthread_mutex_t lock; /* protects all below; irq's lock is taken inside */
	struct irq_line kbd_line, aux_line;
	uint8_t status, config, output_port;
	uint8_t command;	   /* of the controller, whose parameter comes next; 0 for none */
	uint8_t output;		   /* the output buffer, full when status says so */
	bool break_prefix;	   /* the translator has seen PS2_BREAK */
	struct ps2_queue response; /* the controller's own */
	struct ps2_keyboard kbd;
	struct ps2_mouse mouse;
};

/* --- queues: what does not fit is lost, in whole messages where it matters --- */

static bool ps2_queue_fits(const struct ps2_queue *q, unsigned int n)
{
	return q->len + n <= PS2_QUEUE;
}

static void ps2_queue_put(struct ps2_queue *q, uint8_t val)
{
	if (ps2_queue_fits(q, 1))
		q->data[q->len++] = val;
}

static uint8_t ps2_queue_get(struct ps2_queue *q)
{
	uint8_t val = q->data[0];

	memmove(q->data, q->data + 1, --q->len);
	return val;
}

/* --- keyboard --- */

static void ps2_keyboard_reset(struct ps2_keyboard *kbd)
{
	kbd->out.len = 0;
	kbd->command = 0;
	kbd->scanning = true;
}

static void ps2_keyboard_parameter(struct ps2_keyboard *kbd, uint8_t val)
{
	bool set_query = kbd->command == 0xf0 && !val;

	/* Only scan code set 2 is there to be chosen. */
	if (kbd->command == 0xf0 && val && val != 2) {
		ps2_queue_put(&kbd->out, PS2_RESEND);
		return;
	}
	kbd->command = 0;
	ps2_queue_put(&kbd->out, PS2_ACK);
	if (set_query)
		ps2_queue_put(&kbd->out, 2);
}

static void ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t val)
{
	/* A parameter is never that large; such a byte is a new command. */
	if (kbd->command && val < 0xed) {
		ps2_keyboard_parameter(kbd, val);
		return;
	}
	kbd->command = 0;
	switch (val) {
	case 0xed: /* LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* typematic rate and delay */
		kbd->command = val;
		break;
	case 0xee: /* echo */
		ps2_queue_put(&kbd->out, 0xee);
		return;
	case 0xf2: /* identify */
		ps2_queue_put(&kbd->out, PS2_ACK);
		ps2_queue_put(&kbd->out, 0xab);
		ps2_queue_put(&kbd->out, 0x83);
		return;
	case 0xf4: /* enable */
	case 0xf6: /* defaults */
		ps2_keyboard_reset(kbd);
		break;
	case 0xf5: /* defaults, disable */
		ps2_keyboard_reset(kbd);
		kbd->scanning = false;
		break;
	case 0xf7 ... 0xfa: /* all keys typematic, make/break ...: set 3's, harmless here */
		break;
	case 0xff: /* reset */
		ps2_keyboard_reset(kbd);
		ps2_queue_put(&kbd->out, PS2_ACK);
		ps2_queue_put(&kbd->out, PS2_BAT_OK);
		return;
	default:
		ps2_queue_put(&kbd->out, PS2_RESEND);
		return;
	}
	ps2_queue_put(&kbd->out, PS2_ACK);
}

/* The set 1 code of a KEY_*, with its prefix in the high byte; 0 when no PC keyboard has it. */
static uint16_t ps2_key_set1(unsigned int code)
{
	if (code <= KEY_F12)
		return (uint16_t)code;
	for (size_t i = 0; i < ARRAY_SIZE(i8042_keys); i++)
		if (i8042_keys[i].code == code)
			return i8042_keys[i].set1;
	return 0;
}

/* The set 2 code that translates to a set 1 code without prefix; 0 for none. */
static uint8_t ps2_key_set2(uint8_t set1)
{
	if (set1 == 0x41)
		return I8042_SET2_F7;
	for (size_t i = 0; i < ARRAY_SIZE(i8042_set1); i++)
		if (i8042_set1[i] == set1)
			return (uint8_t)i;
	return 0;
}

/* Whether a key that repeats may; its codes must not take the room that its release needs. */
static bool ps2_key_may_repeat(struct ps2_keyboard *kbd, unsigned int code, bool down)
{
	uint8_t *keys = &kbd->down[code / 8], bit = (uint8_t)(1u << code % 8);
	bool repeats = down && *keys & bit;

	*keys = down ? *keys | bit : *keys & (uint8_t)~bit;
	return !repeats || !kbd->out.len;
}

static void ps2_keyboard_key(struct ps2_keyboard *kbd, unsigned int code, bool down)
{
	static const uint8_t pause[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
	uint16_t set1 = ps2_key_set1(code);
	uint8_t set2 = ps2_key_set2((uint8_t)set1);

	if (code >= KEY_CNT || !ps2_key_may_repeat(kbd, code, down))
		return;
	/* Room for the answer to a command is left over. */
	if (!kbd->scanning || !ps2_queue_fits(&kbd->out, sizeof(pause) + 4))
		return;
	if (code == KEY_PAUSE) { /* reports its release at once */
		for (size_t i = 0; down && i < sizeof(pause); i++)
			ps2_queue_put(&kbd->out, pause[i]);
		return;
	}
	if (!set1 || !set2)
		return;
	if (set1 >> 8)
		ps2_queue_put(&kbd->out, PS2_EXTEND);
	if (!down)
		ps2_queue_put(&kbd->out, PS2_BREAK);
	ps2_queue_put(&kbd->out, set2);
}

/* --- mouse --- */

static void ps2_mouse_defaults(struct ps2_mouse *m)
{
	m->out.len = 0;
	m->command = 0;
	m->reporting = m->remote = m->scaling = m->wrap = false;
	m->resolution = 2; /* 4 counts per mm */
	m->rate = 100;
	m->rates[0] = m->rates[1] = 0;
	m->dx = m->dy = m->dz = 0;
}

static void ps2_mouse_set_rate(struct ps2_mouse *m, uint8_t rate)
{
	if (m->rates[0] == 200 && m->rates[1] == 100 && rate == 80)
		m->id = 3; /* IntelliMouse: a wheel, and packets of four bytes */
	m->rates[0] = m->rates[1];
	m->rates[1] = rate;
	m->rate = rate;
}

/* One report; what is left of a long way is for the next. PS/2 reverses y and the wheel. */
static void ps2_mouse_packet(struct ps2_mouse *m)
{
	int dx = MAX(MIN(m->dx, 255), -255), dy = MAX(MIN(-m->dy, 255), -255);
	int dz = MAX(MIN(-m->dz, 7), -8);

	ps2_queue_put(&m->out,
		      (uint8_t)(0x08 | m->buttons | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)));
	ps2_queue_put(&m->out, (uint8_t)dx);
	ps2_queue_put(&m->out, (uint8_t)dy);
	if (m->id == 3)
		ps2_queue_put(&m->out, (uint8_t)dz);
	m->dx -= dx;
	m->dy += dy;
	m->dz = m->id == 3 ? m->dz + dz : 0;
	m->reported_buttons = m->buttons;
}

/* Reports only when the last report has been read, so that a slow guest gets few long ways. */
static void ps2_mouse_report(struct ps2_mouse *m)
{
	if (m->reporting && !m->remote && !m->wrap && !m->out.len &&
	    (m->dx || m->dy || m->dz || m->buttons != m->reported_buttons))
		ps2_mouse_packet(m);
}

static void ps2_mouse_status(struct ps2_mouse *m)
{
	/* Here the buttons are middle, right, left from bit 0 on. */
	unsigned int b = m->buttons, buttons = (b & 1) << 2 | (b & 2) | (b & 4) >> 2;

	ps2_queue_put(&m->out, (uint8_t)(buttons | (m->scaling ? 0x10 : 0) |
					 (m->reporting ? 0x20 : 0) | (m->remote ? 0x40 : 0)));
	ps2_queue_put(&m->out, m->resolution);
	ps2_queue_put(&m->out, m->rate);
}

static void ps2_mouse_command(struct ps2_mouse *m, uint8_t val)
{
	m->out.len = 0; /* a command discards what has not been sent yet */
	ps2_queue_put(&m->out, PS2_ACK);
	switch (val) {
	case 0xe6: /* scaling 1:1, 2:1 */
	case 0xe7:
		m->scaling = val == 0xe7;
		break;
	case 0xe8: /* resolution */
	case 0xf3: /* sample rate */
		m->command = val;
		break;
	case 0xe9:
		ps2_mouse_status(m);
		break;
	case 0xea: /* stream and remote mode */
	case 0xf0:
		m->remote = val == 0xf0;
		break;
	case 0xeb: /* read data */
		ps2_mouse_packet(m);
		break;
	case 0xec: /* leave, enter wrap mode */
	case 0xee:
		m->wrap = val == 0xee;
		break;
	case 0xf2: /* identify */
		ps2_queue_put(&m->out, m->id);
		break;
	case 0xf4: /* enable, disable reports */
	case 0xf5:
		m->reporting = val == 0xf4;
		break;
	case 0xf6:
	case 0xff: /* defaults, reset */
		ps2_mouse_defaults(m);
		ps2_queue_put(&m->out, PS2_ACK);
		if (val == 0xff) {
			m->id = 0;
			ps2_queue_put(&m->out, PS2_BAT_OK);
			ps2_queue_put(&m->out, m->id);
		}
		break;
	default:
		m->out.data[0] = PS2_RESEND;
		break;
	}
}

static void ps2_mouse_write(struct ps2_mouse *m, uint8_t val)
{
	if (m->wrap && val != 0xec && val != 0xff) {
		ps2_queue_put(&m->out, val);
		return;
	}
	if (!m->command) {
		ps2_mouse_command(m, val);
		return;
	}
	if (m->command == 0xe8)
		m->resolution = val & 3;
	else
		ps2_mouse_set_rate(m, val);
	m->command = 0;
	ps2_queue_put(&m->out, PS2_ACK);
}

/* --- controller --- */

static void i8042_output(struct i8042 *kbc, uint8_t val, bool aux)
{
	kbc->output = val;
	kbc->status |= I8042_OBF;
	if (aux)
		kbc->status |= I8042_AUX_OBF;
	else
		kbc->status &= (uint8_t)~I8042_AUX_OBF;
}

/* A byte from the keyboard; false when it was a prefix that the translator keeps. */
static bool i8042_translate(struct i8042 *kbc, uint8_t *val)
{
	if (!(kbc->config & I8042_TRANSLATE))
		return true;
	if (*val == PS2_BREAK) {
		kbc->break_prefix = true;
		return false;
	}
	if (*val < ARRAY_SIZE(i8042_set1))
		*val = i8042_set1[*val];
	else if (*val == I8042_SET2_F7)
		*val = 0x41;
	/* Prefixes and answers pass through; what follows PS2_BREAK is a key. */
	if (kbc->break_prefix)
		*val |= 0x80;
	kbc->break_prefix = false;
	return true;
}

/* Fills the output buffer when it is empty, and sets the lines to what it holds. */
static void i8042_update(struct i8042 *kbc)
{
	bool full, aux;
	uint8_t val;

	if (!(kbc->status & I8042_OBF) && kbc->response.len)
		i8042_output(kbc, ps2_queue_get(&kbc->response), false);
	while (!(kbc->status & I8042_OBF) && kbc->kbd.out.len && !(kbc->config & I8042_KBD_DIS)) {
		val = ps2_queue_get(&kbc->kbd.out);
		if (i8042_translate(kbc, &val))
			i8042_output(kbc, val, false);
	}
	ps2_mouse_report(&kbc->mouse);
	if (!(kbc->status & I8042_OBF) && kbc->mouse.out.len && !(kbc->config & I8042_AUX_DIS))
		i8042_output(kbc, ps2_queue_get(&kbc->mouse.out), true);

	full = kbc->status & I8042_OBF;
	aux = kbc->status & I8042_AUX_OBF;
	irq_line_set(&kbc->kbd_line, full && !aux && kbc->config & I8042_KBD_INT);
	irq_line_set(&kbc->aux_line, full && aux && kbc->config & I8042_AUX_INT);
}

static uint8_t i8042_read_data(struct i8042 *kbc)
{
	uint8_t val = kbc->output;

	/* The lines go down even if there is a next byte: it needs an edge of its own. */
	kbc->status &= (uint8_t) ~(I8042_OBF | I8042_AUX_OBF);
	irq_line_lower(&kbc->kbd_line);
	irq_line_lower(&kbc->aux_line);
	return val;
}

/* Commands that take a byte at the data port; true when it asks for a reset. */
static bool i8042_parameter(struct i8042 *kbc, uint8_t command, uint8_t val)
{
	switch (command) {
	case 0x60: /* write the configuration byte */
		kbc->config = val;
		kbc->status = (kbc->status & ~I8042_SYS) | (val & I8042_CFG_SYS ? I8042_SYS : 0);
		break;
	case 0xd1: /* write the output port: bit 0 is the reset line */
		kbc->output_port = val;
		return !(val & 1);
	case 0xd2: /* as if the keyboard, the mouse had sent it */
	case 0xd3:
		i8042_output(kbc, val, command == 0xd3);
		break;
	case 0xd4:
		kbc->config &= (uint8_t)~I8042_AUX_DIS;
		ps2_mouse_write(&kbc->mouse, val);
		break;
	}
	return false;
}

static bool i8042_write_data(struct i8042 *kbc, uint8_t val)
{
	uint8_t command = kbc->command;

	kbc->status &= (uint8_t)~I8042_CMD;
	kbc->command = 0;
	if (command)
		return i8042_parameter(kbc, command, val);
	/* To send to the keyboard turns its clock on. */
	kbc->config &= (uint8_t)~I8042_KBD_DIS;
	ps2_keyboard_write(&kbc->kbd, val);
	return false;
}

static void i8042_respond(struct i8042 *kbc, uint8_t val)
{
	kbc->response.len = 0;
	ps2_queue_put(&kbc->response, val);
}

/* true when it asks for a reset */
static bool i8042_write_command(struct i8042 *kbc, uint8_t val)
{
	kbc->status |= I8042_CMD;
	kbc->command = 0;
	switch (val) {
	case 0x20: /* read the configuration byte */
		i8042_respond(kbc, kbc->config);
		break;
	case 0x60: /* with a parameter, see above */
	case 0xd1 ... 0xd4:
		kbc->command = val;
		break;
	case 0xa7: /* disable, enable the mouse */
		kbc->config |= I8042_AUX_DIS;
		break;
	case 0xa8:
		kbc->config &= (uint8_t)~I8042_AUX_DIS;
		break;
	case 0xa9: /* test the mouse's, the keyboard's wires: well */
	case 0xab:
		i8042_respond(kbc, 0x00);
		break;
	case 0xaa: /* self-test: well */
		kbc->status |= I8042_SYS;
		i8042_respond(kbc, 0x55);
		break;
	case 0xad: /* disable, enable the keyboard */
		kbc->config |= I8042_KBD_DIS;
		break;
	case 0xae:
		kbc->config &= (uint8_t)~I8042_KBD_DIS;
		break;
	case 0xc0: /* read the input port: keyboard not locked */
		i8042_respond(kbc, 0x80);
		break;
	case 0xd0: /* read the output port */
		i8042_respond(kbc, kbc->output_port);
		break;
	case 0xf0 ... 0xff: /* pulse the lines whose bit is 0; bit 0 is reset */
		return !(val & 1);
	}
	return false;
}

/* --- ports --- */

static uint64_t i8042_data_read(void *dev, uint64_t off, unsigned int len)
{
	struct i8042 *kbc = dev;
	uint8_t val;

	(void)off;
	(void)len;
	pthread_mutex_lock(&kbc->lock);
	val = i8042_read_data(kbc);
	i8042_update(kbc);
	pthread_mutex_unlock(&kbc->lock);
	return val;
}

static uint64_t i8042_status_read(void *dev, uint64_t off, unsigned int len)
{
	struct i8042 *kbc = dev;
	uint8_t val;

	(void)off;
	(void)len;
	pthread_mutex_lock(&kbc->lock);
	val = kbc->status;
	pthread_mutex_unlock(&kbc->lock);
	return val;
}

static void i8042_write(struct i8042 *kbc, bool (*fn)(struct i8042 *, uint8_t), uint64_t val)
{
	bool reset;

	pthread_mutex_lock(&kbc->lock);
	reset = fn(kbc, (uint8_t)val);
	i8042_update(kbc);
	pthread_mutex_unlock(&kbc->lock);
	if (reset)
		kbc->request_reset(kbc->reset_arg);
}

static void i8042_data_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	(void)off;
	(void)len;
	i8042_write(dev, i8042_write_data, val);
}

static void i8042_command_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	(void)off;
	(void)len;
	i8042_write(dev, i8042_write_command, val);
}

static const struct io_ops i8042_data_ops = {i8042_data_read, i8042_data_write};
static const struct io_ops i8042_command_ops = {i8042_status_read, i8042_command_write};

void i8042_key(struct i8042 *kbc, unsigned int code, bool down)
{
	pthread_mutex_lock(&kbc->lock);
	ps2_keyboard_key(&kbc->kbd, code, down);
	i8042_update(kbc);
	pthread_mutex_unlock(&kbc->lock);
}

/* Movement that nobody reads is not piled up without bounds. */
static int i8042_move(int sum, int delta)
{
	int moved;

	if (__builtin_add_overflow(sum, delta, &moved))
		return sum;
	return MAX(MIN(moved, 4096), -4096);
}

void i8042_mouse(struct i8042 *kbc, int dx, int dy, int dz, unsigned int buttons)
{
	struct ps2_mouse *m = &kbc->mouse;

	pthread_mutex_lock(&kbc->lock);
	m->buttons = buttons & 7;
	if (m->reporting || m->remote) {
		m->dx = i8042_move(m->dx, dx);
		m->dy = i8042_move(m->dy, dy);
		m->dz = i8042_move(m->dz, dz);
	}
	i8042_update(kbc);
	pthread_mutex_unlock(&kbc->lock);
}

struct i8042 *i8042_create(struct bus *ioport, struct irq_chip *irq, unsigned int kbd_gsi,
			   unsigned int mouse_gsi, void (*request_reset)(void *arg), void *arg)
{
	struct i8042 *kbc = calloc(1, sizeof(*kbc));

	if (!kbc)
		goto fail;
	kbc->bus = ioport;
	kbc->request_reset = request_reset;
	kbc->reset_arg = arg;
	pthread_mutex_init(&kbc->lock, NULL);
	irq_line_init(&kbc->kbd_line, irq, kbd_gsi);
	irq_line_init(&kbc->aux_line, irq, mouse_gsi);
	/* As a PC's firmware leaves it. */
	kbc->status = I8042_SYS | I8042_UNLOCKED;
	kbc->config = I8042_KBD_INT | I8042_AUX_INT | I8042_CFG_SYS | I8042_TRANSLATE;
	kbc->output_port = I8042_A20_NOT_RESET;
	ps2_keyboard_reset(&kbc->kbd);
	ps2_mouse_defaults(&kbc->mouse);

	kbc->data_region = bus_insert(ioport, "i8042-data", I8042_DATA, 1, &i8042_data_ops, kbc);
	if (!kbc->data_region)
		goto fail_data;
	kbc->command_region =
		bus_insert(ioport, "i8042-command", I8042_COMMAND, 1, &i8042_command_ops, kbc);
	if (!kbc->command_region)
		goto fail_command;
	return kbc;

fail_command:
	bus_remove(ioport, kbc->data_region);
fail_data:
	pthread_mutex_destroy(&kbc->lock);
fail:
	log_error("keyboard controller: %m");
	free(kbc);
	return NULL;
}

void i8042_destroy(struct i8042 *kbc)
{
	if (!kbc)
		return;
	bus_remove(kbc->bus, kbc->data_region);
	bus_remove(kbc->bus, kbc->command_region);
	irq_line_lower(&kbc->kbd_line);
	irq_line_lower(&kbc->aux_line);
	pthread_mutex_destroy(&kbc->lock);
	free(kbc);
}
