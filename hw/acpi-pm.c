// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/acpi-pm.h"

#include <errno.h>
#include <stdlib.h>

#include "kvm/log.h"
#include "kvm/util.h"

/* PM1 status and enable registers, ACPI 6.4 §4.8.3.1: the same bits in both */
#define PM1_TMR	   (1 << 0)
#define PM1_GBL	   (1 << 5)
#define PM1_PWRBTN (1 << 8)
#define PM1_SLPBTN (1 << 9)
#define PM1_RTC	   (1 << 10)
#define PM1_EVENTS (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC)
#define PM1_EN	   2 /* offset within the event block */

/* PM1 control register, §4.8.3.2 */
#define PM1_SCI_EN	  (1 << 0)
#define PM1_BM_RLD	  (1 << 1)
#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP_MASK  (7 << PM1_SLP_TYP_SHIFT)
#define PM1_SLP_EN	  (1 << 13)

#define PM_TIMER_HZ 3579545

/* pvpanic: what the device can be told */
#define PVPANIC_PANICKED     (1 << 0)
#define PVPANIC_CRASH_LOADED (1 << 1)

struct acpi_pm {
	struct bus *bus;
	struct io_region *region;
	const struct acpi_pm_events *events;
	void *events_arg;

	pthread_mutex_t lock; /* protects all below; irq's lock is taken inside */
	struct irq_line sci;
	/* As they stand in the registers. Only the power button's event ever occurs. */
	uint16_t status, enable, control;
};

/*
 * §4.8.3.3. 32 bits wide: the FADT sets TMR_VAL_EXT. Its carry bit does not set TMR_STS; no guest
 * uses it as a timer interrupt, and its count is as good without.
 */
static uint32_t acpi_pm_timer(void)
{
	uint64_t ns = now_ns();

	return (uint32_t)(ns / 1000000000 * PM_TIMER_HZ +
			  ns % 1000000000 * PM_TIMER_HZ / 1000000000);
}

static void acpi_pm_update_sci(struct acpi_pm *pm)
{
	irq_line_set(&pm->sci, pm->status & pm->enable);
}

/* Registers may be read in any width and across their borders: they are one block of bytes. */
static uint64_t acpi_pm_read(void *dev, uint64_t off, unsigned int len)
{
	struct acpi_pm *pm = dev;
	uint8_t block[ACPI_PM_SIZE] = {0};

	if (!range_contains(0, sizeof(block), off, len))
		return ~0ULL;
	pthread_mutex_lock(&pm->lock);
	le_store(block + ACPI_PM_EVT, 2, pm->status);
	le_store(block + ACPI_PM_EVT + PM1_EN, 2, pm->enable);
	/* There is no SMI_CMD to leave ACPI mode by, so SCI_EN is always set. */
	le_store(block + ACPI_PM_CNT, 2, pm->control | PM1_SCI_EN);
	pthread_mutex_unlock(&pm->lock);
	le_store(block + ACPI_PM_TMR, 4, acpi_pm_timer());
	block[ACPI_PM_PANIC] = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
	return le_load(block + off, len);
}

/* The event that the byte written asks for, to be called without the lock; NULL for none. */
typedef void (*acpi_pm_event)(void *arg);

static acpi_pm_event acpi_pm_write_control(struct acpi_pm *pm, uint16_t val)
{
	pm->control = val & (PM1_BM_RLD | PM1_SLP_TYP_MASK);
	if (val & PM1_SLP_EN && (val & PM1_SLP_TYP_MASK) >> PM1_SLP_TYP_SHIFT == ACPI_PM_SLP_TYP_S5)
		return pm->events->soft_off;
	return NULL;
}

static acpi_pm_event acpi_pm_write_panic(struct acpi_pm *pm, uint8_t val)
{
	if (val & PVPANIC_PANICKED)
		return pm->events->panic;
	if (val & PVPANIC_CRASH_LOADED)
		log_guest("the guest panicked and starts its crash kernel");
	return NULL;
}

static acpi_pm_event acpi_pm_write_byte(struct acpi_pm *pm, uint64_t off, uint8_t val)
{
	switch (off) {
	case ACPI_PM_EVT:
		pm->status &= (uint16_t)~val; /* write one to clear */
		break;
	case ACPI_PM_EVT + 1:
		pm->status &= (uint16_t) ~(val << 8);
		break;
	case ACPI_PM_EVT + PM1_EN:
		pm->enable = ((pm->enable & 0xff00) | val) & PM1_EVENTS;
		break;
	case ACPI_PM_EVT + PM1_EN + 1:
		pm->enable = ((pm->enable & 0x00ff) | (uint16_t)(val << 8)) & PM1_EVENTS;
		break;
	case ACPI_PM_CNT:
		return acpi_pm_write_control(pm, (pm->control & 0xff00) | val);
	case ACPI_PM_CNT + 1:
		return acpi_pm_write_control(pm, (pm->control & 0x00ff) | (uint16_t)(val << 8));
	case ACPI_PM_RESET:
		return val == ACPI_PM_RESET_VALUE ? pm->events->reset : NULL;
	case ACPI_PM_PANIC:
		return acpi_pm_write_panic(pm, val);
	}
	return NULL;
}

static void acpi_pm_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct acpi_pm *pm = dev;
	acpi_pm_event event, todo = NULL;

	pthread_mutex_lock(&pm->lock);
	for (unsigned int i = 0; i < len; i++, val >>= 8) {
		event = acpi_pm_write_byte(pm, off + i, (uint8_t)val);
		if (event)
			todo = event;
	}
	acpi_pm_update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
	if (todo)
		todo(pm->events_arg);
}

static const struct io_ops acpi_pm_ops = {acpi_pm_read, acpi_pm_write};

int acpi_pm_power_button(struct acpi_pm *pm)
{
	int ret = -EAGAIN;

	pthread_mutex_lock(&pm->lock);
	if (pm->enable & PM1_PWRBTN) {
		pm->status |= PM1_PWRBTN;
		acpi_pm_update_sci(pm);
		ret = 0;
	}
	pthread_mutex_unlock(&pm->lock);
	return ret;
}

struct acpi_pm *acpi_pm_create(struct bus *ioport, uint64_t base, struct irq_chip *irq,
			       unsigned int sci_gsi, const struct acpi_pm_events *events, void *arg)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		goto fail;
	pm->bus = ioport;
	pm->events = events;
	pm->events_arg = arg;
	pthread_mutex_init(&pm->lock, NULL);
	irq_line_init(&pm->sci, irq, sci_gsi);
	pm->region = bus_insert(ioport, "acpi-pm", base, ACPI_PM_SIZE, &acpi_pm_ops, pm);
	if (!pm->region)
		goto fail_region;
	return pm;

fail_region:
	pthread_mutex_destroy(&pm->lock);
fail:
	log_error("ACPI registers at 0x%llx: %m", (unsigned long long)base);
	free(pm);
	return NULL;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
	if (!pm)
		return;
	bus_remove(pm->bus, pm->region);
	irq_line_lower(&pm->sci);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}
