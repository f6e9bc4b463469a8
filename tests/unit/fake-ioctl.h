/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_TEST_FAKE_IOCTL_H
#define LKVM_TEST_FAKE_IOCTL_H

/*
 * A kernel that is the test's: whatever lkvm asks by ioctl(2) comes to fake_ioctl(), which the test
 * defines, and answers as the kernel would (-1 and errno). Include it in one .c file only.
 */
#include <stdarg.h>
#include <sys/ioctl.h>

static int fake_ioctl(int fd, unsigned long request, void *arg);

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return fake_ioctl(fd, request, arg);
}

#endif
