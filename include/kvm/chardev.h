/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_CHARDEV_H
#define LKVM_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/*
 * Two byte streams between a guest's console device (the front) and the outside: the terminal, a
 * pipe, a pty, clients of `lkvm console`.
 *
 * Output: chardev_write() never blocks. It takes what fits into a bounded buffer and returns how
 * much; the front tells its guest to wait (UART: THRE stays clear; virtio: the chain stays) and is
 * called back on the main loop when there is room. A stalled reader therefore slows the guest's
 * console and nothing else.
 *
 * Input: the front takes bytes as it has room for them; input() returns how many it took, and
 * chardev_accept_input() says that there is room again. Nothing typed is lost.
 */
struct chardev;

struct chardev_front {
	size_t (*input)(void *arg, const uint8_t *buf, size_t len); /* main loop */
	void (*room)(void *arg); /* main loop; output can go on. May be NULL */
	void (*resized)(void *arg); /* main loop; see chardev_winsize(). May be NULL */
};

void chardev_set_front(struct chardev *chr, const struct chardev_front *front, void *arg);
size_t chardev_write(struct chardev *chr, const void *buf, size_t len); /* any thread */
void chardev_accept_input(struct chardev *chr);				/* any thread */

/* The last of what was written, at most `len` bytes (and 64 KiB); returns how many. Any thread. */
size_t chardev_backlog(struct chardev *chr, void *buf, size_t len);

/* The size of the terminal outside, if there is one that knows. Main loop. */
bool chardev_winsize(struct chardev *chr, uint16_t *cols, uint16_t *rows);

/* The terminal outside may have another size now (SIGWINCH): tells the front. Main loop. */
void chardev_resized(struct chardev *chr);

/*
 * The terminal or whatever stdin and stdout are. A terminal is put into raw mode (restored by
 * destroy, and by term_restore() from a signal-safe context); Ctrl-a x calls quit on the main
 * loop, Ctrl-a Ctrl-a sends one Ctrl-a. At end of input nothing more is read. Other files work
 * the same: a pipe's bytes all arrive, and no escape is looked for. SIGPIPE must be ignored.
 * At most one per process. NULL after one error line.
 */
struct chardev *chardev_stdio_create(struct loop *loop, void (*quit)(void *arg), void *arg);
/* A new pty, whose path is returned by chardev_path(). */
struct chardev *chardev_pty_create(struct loop *loop);
/* Nothing outside until somebody attaches; the last 64 KiB are kept and replayed to them. */
struct chardev *chardev_detached_create(struct loop *loop);
const char *chardev_path(const struct chardev *chr);
void chardev_destroy(struct chardev *chr);

/*
 * Attaches a socket (`lkvm console`): it gets the backlog and all output from now on, what it
 * sends is input. Several may be attached to any kind of chardev; a slow one loses output, not the
 * guest. Takes over fd, and closes it when it fails (a negative errno). Main loop.
 */
int chardev_attach(struct chardev *chr, int fd);

/*
 * A copy of all output, from now on and as far as it is remembered, goes into a file; nothing of
 * it is lost. Takes over fd, and closes it when it fails (a negative errno). Main loop.
 */
int chardev_log(struct chardev *chr, int fd);

/*
 * Makes the terminal on `fd` raw; term_restore() undoes it (async-signal-safe, also without a
 * term_raw before). Used by stdio chardevs and by `lkvm console`. -ENOTTY when it is none, -EPERM
 * when this process is in the background of it: then it is left alone.
 */
int term_raw(int fd);
void term_restore(void);

#endif
