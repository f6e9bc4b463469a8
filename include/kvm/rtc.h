/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_RTC_H
#define LKVM_RTC_H

#include "kvm/bus.h"
#include "kvm/irq.h"

/*
 * MC146818 real-time clock with 128 bytes of CMOS: UTC, BCD or binary, 24 or 12 hours, alarm,
 * update-ended and periodic interrupts. Setting the time shifts the guest's clock only.
 */
struct rtc;
struct loop;

/*
 * NULL after one error line. Destroy: on the loop's thread, or when it does not run.
 * Index and data registers, `stride` bytes apart from base (1 on x86: 0x70 and 0x71).
 */
struct rtc *rtc_create(struct loop *loop, struct bus *bus, uint64_t base, unsigned int stride,
		       struct irq_chip *irq, unsigned int gsi);
void rtc_destroy(struct rtc *rtc);

/* Sets a byte of the CMOS that is not the clock's, for firmware to find. Any thread. */
void rtc_set_cmos(struct rtc *rtc, uint8_t index, uint8_t val);

#endif
