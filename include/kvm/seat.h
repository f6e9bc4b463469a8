/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_SEAT_H
#define LKVM_SEAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The seat in front of the machine: where what a person types and points at goes in, and the
 * keyboards and pointers of the machine that take it. Of those that are ready, the one that was
 * added last is the one in use, so a driver for a newer device gets the events as soon as it is up.
 *
 * All functions: any thread. A receiver's callbacks run under seat.lock and do not block.
 */
#define SEAT_MAX_RECEIVERS 8

/* Buttons of a pointer. */
#define SEAT_LEFT   1
#define SEAT_RIGHT  2
#define SEAT_MIDDLE 4

/* Axes of seat_point() go from 0 to this. */
#define SEAT_MAX_AXIS 0x7fff

/* NULL: does not take such events. ready NULL: always is. */
struct seat_receiver {
	bool (*ready)(void *dev);
	/* code: Linux KEY_*. A key that is down already comes again when it repeats. */
	void (*key)(void *dev, unsigned int code, bool down);
	/* dx: to the right, dy: down, dz: the wheel away from the user. */
	void (*move)(void *dev, int dx, int dy, int dz, unsigned int buttons);
	void (*point)(void *dev, unsigned int x, unsigned int y, int dz, unsigned int buttons);
};

struct seat {
	pthread_mutex_t lock; /* protects all below; taken before any lock of a receiver */
	unsigned int nr;
	struct {
		const struct seat_receiver *ops;
		void *dev;
	} receiver[SEAT_MAX_RECEIVERS];
	int x, y; /* where seat_point() was last, for machines that only know movement */
};

void seat_init(struct seat *seat);
void seat_fini(struct seat *seat);

/* -ENOSPC when there are too many. Once removed, a receiver is not called any more. */
int seat_add(struct seat *seat, const struct seat_receiver *ops, void *dev);
void seat_remove(struct seat *seat, void *dev);

/* --- from whoever has a person at the other end; lost when no receiver is ready --- */
void seat_key(struct seat *seat, unsigned int code, bool down);
void seat_move(struct seat *seat, int dx, int dy, int dz, unsigned int buttons);
/* x, y: pixels on a screen of width x height. */
void seat_point(struct seat *seat, int x, int y, int width, int height, int dz,
		unsigned int buttons);
/* Whether the machine can be told places, so that the pointer need not be caught. */
bool seat_takes_points(struct seat *seat);

#endif
