// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/rtc.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"

#define RTC_CMOS_SIZE 128
#define RTC_SECOND    1000000000LL /* in nanoseconds, as all times here are */
#define RTC_DAY	      86400	   /* in seconds */
#define RTC_LATEST    9000000000LL /* seconds since 1970 (in 2255): fits int64_t in nanoseconds */

enum {
	RTC_SECONDS,
	RTC_SECONDS_ALARM,
	RTC_MINUTES,
	RTC_MINUTES_ALARM,
	RTC_HOURS,
	RTC_HOURS_ALARM,
	RTC_WEEKDAY, /* 1 is Sunday */
	RTC_MDAY,
	RTC_MONTH,
	RTC_YEAR,
	RTC_A,
	RTC_B,
	RTC_C,
	RTC_D,
	RTC_CENTURY = 0x32, /* where PCs have it; the FADT says so */
};

#define RTC_A_UIP	0x80
#define RTC_A_RATE	0x0f
#define RTC_A_DIVIDER	0x70
#define RTC_A_DIV_RESET 0x60 /* and 0x70: the clock is held */
#define RTC_B_SET	0x80
#define RTC_B_UIE	0x10
#define RTC_B_BINARY	0x04
#define RTC_B_24H	0x02
/* Flags in C and their enables in B are the same bits. */
#define RTC_PERIODIC 0x40
#define RTC_ALARM    0x20
#define RTC_UPDATE   0x10
#define RTC_FLAGS    (RTC_PERIODIC | RTC_ALARM | RTC_UPDATE)
#define RTC_C_IRQF   0x80
#define RTC_D_VALID  0x80

#define RTC_HOUR_PM	  0x80
#define RTC_ALARM_ANY	  0xc0		   /* both bits: don't care */
#define RTC_UIP_NS	  2228000	   /* t_BUC + t_UC at 32768 Hz: an update is near */
#define RTC_AFTER_DIVIDER (RTC_SECOND / 2) /* the first update comes so long after its reset */

/*
 * The guest's clock is the host's plus `offset`; nothing ticks. The flags of C are brought up to
 * date when somebody looks, and by a timer when an enabled interrupt is due.
 */
struct rtc {
	struct bus *bus;
	struct io_region *region;
	struct loop_source *timer;
	unsigned int stride;

	pthread_mutex_t lock; /* protects all below; irq's lock is taken inside */
	struct irq_line line;
	uint8_t index;
	int64_t offset;
	int64_t seen; /* guest time up to which C has the flags */
	/* The time registers in here are valid while the clock is held. */
	uint8_t cmos[RTC_CMOS_SIZE];
};

static int64_t rtc_host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * RTC_SECOND + ts.tv_nsec;
}

/* Never before 1970, whatever becomes of the host's clock. */
static int64_t rtc_now(const struct rtc *rtc)
{
	return MAX(rtc_host_now() + rtc->offset, 0);
}

static bool rtc_is_held(const struct rtc *rtc)
{
	return rtc->cmos[RTC_B] & RTC_B_SET ||
	       (rtc->cmos[RTC_A] & RTC_A_DIV_RESET) == RTC_A_DIV_RESET;
}

/* --- numbers as the guest wants them: BCD or binary, 12 or 24 hours --- */

static uint8_t rtc_encode(const struct rtc *rtc, int val)
{
	if (rtc->cmos[RTC_B] & RTC_B_BINARY)
		return (uint8_t)val;
	return (uint8_t)(val / 10 << 4 | val % 10);
}

static int rtc_decode(const struct rtc *rtc, uint8_t val)
{
	return rtc->cmos[RTC_B] & RTC_B_BINARY ? val : (val >> 4) * 10 + (val & 0xf);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, int hour)
{
	if (rtc->cmos[RTC_B] & RTC_B_24H)
		return rtc_encode(rtc, hour);
	return rtc_encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? RTC_HOUR_PM : 0);
}

static int rtc_decode_hour(const struct rtc *rtc, uint8_t val)
{
	if (rtc->cmos[RTC_B] & RTC_B_24H)
		return rtc_decode(rtc, val);
	return rtc_decode(rtc, val & ~RTC_HOUR_PM) % 12 + (val & RTC_HOUR_PM ? 12 : 0);
}

/* --- time of day --- */

static void rtc_store_time(struct rtc *rtc, int64_t now)
{
	time_t seconds = now / RTC_SECOND;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm))
		return;
	rtc->cmos[RTC_SECONDS] = rtc_encode(rtc, tm.tm_sec);
	rtc->cmos[RTC_MINUTES] = rtc_encode(rtc, tm.tm_min);
	rtc->cmos[RTC_HOURS] = rtc_encode_hour(rtc, tm.tm_hour);
	rtc->cmos[RTC_WEEKDAY] = rtc_encode(rtc, tm.tm_wday + 1);
	rtc->cmos[RTC_MDAY] = rtc_encode(rtc, tm.tm_mday);
	rtc->cmos[RTC_MONTH] = rtc_encode(rtc, tm.tm_mon + 1);
	rtc->cmos[RTC_YEAR] = rtc_encode(rtc, tm.tm_year % 100);
	rtc->cmos[RTC_CENTURY] = rtc_encode(rtc, tm.tm_year / 100 + 19);
}

/* Sets the clock to the time registers, and to `fraction` of that second. */
static void rtc_load_time(struct rtc *rtc, int64_t fraction)
{
	struct tm tm = {
		.tm_sec = rtc_decode(rtc, rtc->cmos[RTC_SECONDS]),
		.tm_min = rtc_decode(rtc, rtc->cmos[RTC_MINUTES]),
		.tm_hour = rtc_decode_hour(rtc, rtc->cmos[RTC_HOURS]),
		.tm_mday = rtc_decode(rtc, rtc->cmos[RTC_MDAY]),
		.tm_mon = rtc_decode(rtc, rtc->cmos[RTC_MONTH]) - 1,
		.tm_year = rtc_decode(rtc, rtc->cmos[RTC_YEAR]) +
			   rtc_decode(rtc, rtc->cmos[RTC_CENTURY]) * 100 - 1900,
	};
	/* The guest may have written anything; timegm() makes sense of most of it. */
	int64_t seconds = MIN(MAX((int64_t)timegm(&tm), 0), RTC_LATEST);
	int64_t now = seconds * RTC_SECOND + fraction;

	rtc->offset = now - rtc_host_now();
	rtc->seen = now;
}

static bool rtc_is_time(uint8_t index)
{
	switch (index) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_WEEKDAY:
	case RTC_MDAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		return true;
	}
	return false;
}

static void rtc_write_time(struct rtc *rtc, uint8_t index, uint8_t val)
{
	int64_t now = rtc_now(rtc);

	if (rtc_is_held(rtc)) {
		rtc->cmos[index] = val;
		return;
	}
	rtc_store_time(rtc, now);
	rtc->cmos[index] = val;
	rtc_load_time(rtc, now % RTC_SECOND);
}

/* --- flags and interrupts --- */

/* Nanoseconds between periodic interrupts, 0 for none (32768 Hz >> rate - 1; 1 and 2 are odd). */
static int64_t rtc_period(const struct rtc *rtc)
{
	unsigned int rate = rtc->cmos[RTC_A] & RTC_A_RATE;

	if (!rate)
		return 0;
	if (rate <= 2)
		rate += 7;
	return (RTC_SECOND << (rate - 1)) / 32768;
}

#define RTC_ANY	  (-1) /* an alarm register that does not care */
#define RTC_NEVER (-2) /* one that names no time; then none is searched for */

static int rtc_alarm_value(uint8_t alarm, int val, int limit)
{
	if ((alarm & RTC_ALARM_ANY) == RTC_ALARM_ANY)
		return RTC_ANY;
	return val < limit ? val : RTC_NEVER;
}

/* The first second after `after` at which the alarm goes off; -1 when its time does not exist. */
static int64_t rtc_next_alarm(const struct rtc *rtc, int64_t after)
{
	const uint8_t *cmos = rtc->cmos;
	int s = rtc_alarm_value(cmos[RTC_SECONDS_ALARM], rtc_decode(rtc, cmos[RTC_SECONDS_ALARM]),
				60);
	int m = rtc_alarm_value(cmos[RTC_MINUTES_ALARM], rtc_decode(rtc, cmos[RTC_MINUTES_ALARM]),
				60);
	int h = rtc_alarm_value(cmos[RTC_HOURS_ALARM], rtc_decode_hour(rtc, cmos[RTC_HOURS_ALARM]),
				24);
	int64_t t = after / RTC_SECOND + 1;

	if (s == RTC_NEVER || m == RTC_NEVER || h == RTC_NEVER)
		return -1;
	/* At most a day of hours, an hour of minutes and a minute of seconds. */
	for (;;) {
		if (h != RTC_ANY && t / 3600 % 24 != h)
			t += 3600 - t % 3600;
		else if (m != RTC_ANY && t / 60 % 60 != m)
			t += 60 - t % 60;
		else if (s != RTC_ANY && t % 60 != s)
			t++;
		else
			return t * RTC_SECOND;
	}
}

/* When the flag will next be set, after guest time `after`; -1 for never. */
static int64_t rtc_next(const struct rtc *rtc, uint8_t flag, int64_t after)
{
	int64_t period = flag == RTC_UPDATE ? RTC_SECOND : rtc_period(rtc);

	if (flag == RTC_ALARM)
		return rtc_next_alarm(rtc, after);
	return period ? (after / period + 1) * period : -1;
}

/* Sets the flags that have become due, then the line, then the timer for what is to come. */
static void rtc_update(struct rtc *rtc)
{
	static const uint8_t flags[] = {RTC_PERIODIC, RTC_ALARM, RTC_UPDATE};
	int64_t now = rtc_now(rtc), due, first = INT64_MAX;
	uint8_t *c = &rtc->cmos[RTC_C], enabled = rtc->cmos[RTC_B] & RTC_FLAGS;

	if (rtc_is_held(rtc)) {
		rtc->seen = now;
	} else {
		/* The host's clock may have been set back. */
		rtc->seen = MIN(rtc->seen, now);
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
			due = rtc_next(rtc, flags[i], rtc->seen);
			if (due >= 0 && due <= now)
				*c |= flags[i];
			due = rtc_next(rtc, flags[i], now);
			if (due >= 0 && enabled & ~*c & flags[i])
				first = MIN(first, due);
		}
		rtc->seen = now;
	}

	*c &= RTC_FLAGS;
	if (*c & enabled)
		*c |= RTC_C_IRQF;
	irq_line_set(&rtc->line, *c & RTC_C_IRQF);
	loop_arm_timer(rtc->timer, first == INT64_MAX ? 0 : (uint64_t)(first - now));
}

static void rtc_timer(void *arg, uint32_t events)
{
	struct rtc *rtc = arg;

	(void)events;
	pthread_mutex_lock(&rtc->lock);
	rtc_update(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

/* --- registers --- */

static void rtc_write_control(struct rtc *rtc, uint8_t index, uint8_t val)
{
	bool was_held = rtc_is_held(rtc);
	bool divider = (rtc->cmos[RTC_A] & RTC_A_DIV_RESET) == RTC_A_DIV_RESET;
	int64_t now = rtc_now(rtc);

	if (!was_held)
		rtc_store_time(rtc, now);
	if (index == RTC_A)
		val &= ~RTC_A_UIP;
	else if (val & RTC_B_SET)
		val &= ~RTC_B_UIE; /* the data sheet: SET clears it */
	rtc->cmos[index] = val;
	if (was_held && !rtc_is_held(rtc))
		rtc_load_time(rtc, divider ? RTC_AFTER_DIVIDER : now % RTC_SECOND);
}

static void rtc_write_data(struct rtc *rtc, uint8_t val)
{
	uint8_t index = rtc->index;

	rtc_update(rtc);
	if (rtc_is_time(index))
		rtc_write_time(rtc, index, val);
	else if (index == RTC_A || index == RTC_B)
		rtc_write_control(rtc, index, val);
	else if (index != RTC_C && index != RTC_D)
		rtc->cmos[index] = val;
	rtc_update(rtc);
}

static uint8_t rtc_read_data(struct rtc *rtc)
{
	uint8_t index = rtc->index, val;
	int64_t now = rtc_now(rtc);

	if (rtc_is_time(index)) {
		if (!rtc_is_held(rtc))
			rtc_store_time(rtc, now);
	} else if (index == RTC_A) {
		if (!rtc_is_held(rtc) && now % RTC_SECOND >= RTC_SECOND - RTC_UIP_NS)
			return rtc->cmos[RTC_A] | RTC_A_UIP;
	} else if (index == RTC_C) {
		rtc_update(rtc);
		val = rtc->cmos[RTC_C];
		rtc->cmos[RTC_C] = 0;
		rtc_update(rtc);
		return val;
	}
	return rtc->cmos[index];
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned int len)
{
	struct rtc *rtc = dev;
	uint64_t val = 0xff; /* the index is write-only */

	(void)len;
	pthread_mutex_lock(&rtc->lock);
	if (off == rtc->stride)
		val = rtc_read_data(rtc);
	pthread_mutex_unlock(&rtc->lock);
	return val;
}

static void rtc_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct rtc *rtc = dev;

	(void)len;
	pthread_mutex_lock(&rtc->lock);
	if (off == 0)
		rtc->index = val % RTC_CMOS_SIZE; /* bit 7 masks NMIs on a PC */
	else if (off == rtc->stride)
		rtc_write_data(rtc, (uint8_t)val);
	pthread_mutex_unlock(&rtc->lock);
}

static const struct io_ops rtc_ops = {rtc_read, rtc_write};

void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t val)
{
	pthread_mutex_lock(&rtc->lock);
	rtc->cmos[index % RTC_CMOS_SIZE] = val;
	pthread_mutex_unlock(&rtc->lock);
}

struct rtc *rtc_create(struct loop *loop, struct bus *bus, uint64_t base, unsigned int stride,
		       struct irq_chip *irq, unsigned int gsi)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		goto fail;
	rtc->bus = bus;
	rtc->stride = stride;
	rtc->cmos[RTC_A] = 0x26; /* 32768 Hz, periodic 1024 Hz: as firmware leaves it */
	rtc->cmos[RTC_B] = RTC_B_24H;
	rtc->cmos[RTC_D] = RTC_D_VALID;
	rtc->seen = rtc_now(rtc);
	tzset(); /* gmtime_r() looks for a file the first time, which a vCPU's thread cannot open */
	pthread_mutex_init(&rtc->lock, NULL);
	irq_line_init(&rtc->line, irq, gsi);
	rtc->timer = loop_add_timer(loop, rtc_timer, rtc);
	if (!rtc->timer)
		goto fail_timer;
	rtc->region = bus_insert(bus, "rtc", base, stride + 1, &rtc_ops, rtc);
	if (!rtc->region)
		goto fail_region;
	return rtc;

fail_region:
	loop_remove(rtc->timer);
fail_timer:
	pthread_mutex_destroy(&rtc->lock);
fail:
	log_error("RTC at 0x%llx: %m", (unsigned long long)base);
	free(rtc);
	return NULL;
}

void rtc_destroy(struct rtc *rtc)
{
	if (!rtc)
		return;
	bus_remove(rtc->bus, rtc->region);
	loop_remove(rtc->timer);
	irq_line_lower(&rtc->line);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}
