// SPDX-License-Identifier: GPL-2.0-or-later
/* Ports that every PC has and that belong to no chip. They remember nothing that matters. */
#include <errno.h>

#include "kvm/bus.h"
#include "kvm/log.h"
#include "kvm/util.h"
#include "kvm/vm.h"
#include "layout.h"
#include "x86.h"

#define PORTS_A_A20	0x02 /* the address line is open, and stays so */
#define PORTS_A_RESET	0x01
#define PORTS_B_TIMER2	0x20 /* timer 2's output: always elapsed, so nobody waits for it */
#define PORTS_B_REFRESH 0x10 /* toggles with every refresh of DRAM, some 15 us on a PC */

static uint64_t ports_a_read(void *dev, uint64_t off, unsigned int len)
{
	(void)dev, (void)off, (void)len;
	return PORTS_A_A20;
}

static void ports_a_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	(void)off, (void)len;
	if (val & PORTS_A_RESET)
		vm_end(dev, VM_OUTCOME_RESET);
}

static const struct io_ops ports_a_ops = {.read = ports_a_read, .write = ports_a_write};

static uint64_t ports_b_read(void *dev, uint64_t off, unsigned int len)
{
	(void)dev, (void)off, (void)len;
	return PORTS_B_TIMER2 | (now_ns() >> 14 & 1 ? PORTS_B_REFRESH : 0);
}

static uint64_t ports_post_read(void *dev, uint64_t off, unsigned int len)
{
	(void)dev, (void)off, (void)len;
	return UINT64_MAX;
}

static void ports_ignore(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	(void)dev, (void)off, (void)len, (void)val;
}

static const struct io_ops ports_b_ops = {.read = ports_b_read, .write = ports_ignore};
static const struct io_ops ports_post_ops = {.read = ports_post_read, .write = ports_ignore};

static int ports_insert(struct vm *vm, const char *name, uint64_t port, const struct io_ops *ops)
{
	if (bus_insert(&vm->ioport, name, port, 1, ops, vm))
		return 0;
	log_error("port 0x%x: %m", (unsigned int)port);
	return -errno;
}

int ports_create(struct vm *vm)
{
	int ret = ports_insert(vm, "port-a", LAYOUT_PORT_A, &ports_a_ops);

	return ret < 0 ? ret : ports_insert(vm, "post", LAYOUT_POST, &ports_post_ops);
}

int ports_create_port_b(struct vm *vm)
{
	return ports_insert(vm, "port-b", LAYOUT_PORT_B, &ports_b_ops);
}
