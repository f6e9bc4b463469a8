// SPDX-License-Identifier: GPL-2.0-or-later
/* RTC and PM timer: the time of day is the host's ("now=", seconds), and both run equally fast. */
#include "lib.h"

static uint8_t rtc_read(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static unsigned int rtc_field(uint8_t reg)
{
	uint8_t val = rtc_read(reg);

	return rtc_read(0x0b) & 4 ? val : (val >> 4) * 10 + (val & 15);
}

/* Days since 1970-01-01 of the Gregorian calendar. */
static uint64_t days(unsigned int year, unsigned int month, unsigned int day)
{
	static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	uint64_t n = day - 1 + before[(month - 1) % 12];

	if (month > 2 && year % 4 == 0 && (year % 100 || year % 400 == 0))
		n++;
	for (unsigned int y = 1970; y < year; y++)
		n += y % 4 == 0 && (y % 100 || y % 400 == 0) ? 366 : 365;
	return n;
}

static uint64_t rtc_now(void)
{
	unsigned int year = rtc_field(0x32) * 100 + rtc_field(9);

	while (rtc_read(0x0a) & 0x80) /* an update is in progress */
		pause_cpu();
	return days(year, rtc_field(8), rtc_field(7)) * 86400 + rtc_field(4) * 3600 +
	       rtc_field(2) * 60 + rtc_field(0);
}

static bool rtc_second_is_over(void *second)
{
	return rtc_field(0) != *(unsigned int *)second;
}

static bool next_second(void)
{
	unsigned int second = rtc_field(0);

	return wait_until(rtc_second_is_over, &second, 3000000);
}

/* Another program may have had this CPU at a bad moment: a tenth is close enough, and once. */
static bool same_speed(void)
{
	for (unsigned int tries = 0; tries < 5; tries++) {
		uint32_t begin, ticks;

		next_second();
		begin = pm_ticks();
		next_second();
		ticks = (pm_ticks() - begin) & 0xffffff;
		print("# %u ticks in a second\n", ticks);
		if (ticks > PM_TIMER_HZ / 10 * 9 && ticks < PM_TIMER_HZ / 10 * 11)
			return true;
	}
	return false;
}

void test(void)
{
	uint64_t now = option("now", 0), rtc = rtc_now();
	uint32_t last, back = 0;

	print("# RTC %lu, host %lu\n", rtc, now);
	ok(rtc_read(0x0d) & 0x80, "the RTC's battery is good");
	ok(rtc >= now && rtc < now + 60, "it has the host's time");
	ok(rtc_field(6) >= 1 && rtc_field(6) <= 7, "and a day of the week");
	ok(next_second(), "the RTC runs");
	ok(same_speed(), "the PM timer has 3.579545 MHz");

	last = pm_ticks();
	for (unsigned int i = 0; i < 10000; i++) {
		uint32_t t = pm_ticks();

		back += ((t - last) & 0xffffff) > 0x800000;
		last = t;
	}
	ok(!back, "and never runs backwards");
}
