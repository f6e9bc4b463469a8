/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_DISPLAY_H
#define LKVM_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct seat;

/*
 * A display lies between a device that draws (the source) and a back end that shows it to people:
 * a window, a VNC server, or nothing but `lkvm screenshot`. It keeps a copy of the picture, so that
 * the guest may change its own at any moment, and so that only what differs is passed on.
 *
 * It lives on the host's side, from vm_create() to vm_destroy(): a window stays when the guest
 * reboots. Back ends are shared objects that are loaded when asked for (plugin.h); all that one
 * does happens on the display's thread.
 */
struct display;

struct display_rect {
	uint32_t x, y, width, height;
};

/* Pixels are 0x00RRGGBB in the host's byte order, lines follow each other without a gap. */
struct display_surface {
	uint32_t width, height;
	uint32_t *pixels;
};

#define DISPLAY_MAX_WIDTH  8192
#define DISPLAY_MAX_HEIGHT 8192

/* What the user asked for. Strings live as long as the process. */
struct display_params {
	bool wanted;
	const char *backend; /* sdl, vnc; NULL: nobody looks but `lkvm screenshot` */
	const char *vm_name;
	uint32_t width, height; /* at power-on */
	uint32_t depth;		/* bits a pixel: 16, 24 or 32 */

	/* vnc: a TCP address, or the path of a Unix socket */
	const char *vnc_host; /* NULL: 127.0.0.1 */
	uint32_t vnc_number;
	const char *vnc_unix, *vnc_password_file;
};

#define DISPLAY_DEFAULT_WIDTH  1024
#define DISPLAY_DEFAULT_HEIGHT 768
#define DISPLAY_DEFAULT_DEPTH  32

/* WxH[xD], or a VESA mode number as in Linux' vga=. Prints on error. */
int display_params_parse_mode(struct display_params *params, const char *word);
/* [[HOST]:NUMBER][,password-file=FILE][,unix=PATH]; takes over `words`. Prints on error. */
int display_params_parse_vnc(struct display_params *params, char *words);

/*
 * closed(arg) is called on the loop when a person closes the display. Input goes to the seat.
 * NULL after one error line.
 */
struct display *display_create(const struct display_params *params, struct loop *loop,
			       struct seat *seat, void (*closed)(void *arg), void *arg);
void display_destroy(struct display *display); /* NULL is fine */

/* A copy of the picture as it is now: pixels to be freed, NULL when memory is out. Any thread. */
struct display_surface display_screenshot(struct display *display);

/* --- for the device --- */

struct display_source {
	/*
	 * Brings the surface up to date by the functions below; `all`: not only what changed. On any
	 * thread, one at a time.
	 */
	void (*refresh)(void *dev, struct display *display, bool all);
};

/* source NULL takes it away and returns when it is not in use any more. Any thread. */
void display_attach(struct display *display, const struct display_source *source, void *dev);
/* There is something new to see although no pixel was written. Any thread. */
void display_wake(struct display *display);

/*
 * In refresh() only. The surface with that size, black when it had another before; NULL when memory
 * is out.
 */
struct display_surface *display_resize(struct display *display, uint32_t width, uint32_t height);
/* Pixels [from, to) of a line have changed; lines in ascending order. */
void display_changed(struct display *display, uint32_t line, uint32_t from, uint32_t to);
/* The picture is black, of the size it has; if it has none yet, of the size at power-on. */
void display_blank(struct display *display);

/* --- for back ends --- */

/* What a back end's shared object exports, under the name of DISPLAY_BACKEND_SYMBOL. */
#define DISPLAY_BACKEND_SYMBOL "display_backend"

struct display_backend {
	/* NULL after one error line. */
	void *(*open)(struct display *display, const struct display_params *params,
		      struct seat *seat);
	void (*close)(void *be);
	/* Nobody sees it: then the picture is not looked after, which costs the guest nothing. */
	bool (*watched)(void *be);
	/* The picture, or rectangles of it, to be copied. */
	void (*resize)(void *be, const struct display_surface *surface);
	void (*update)(void *be, const struct display_surface *surface,
		       const struct display_rect *rects, unsigned int nr);
	/* Serves people for timeout_ms, or until wake(); returns early when something happened. */
	void (*run)(void *be, unsigned int timeout_ms);
	void (*wake)(void *be); /* any thread */
};

extern const struct display_backend display_backend;

/* The person wants the machine to end. */
void display_close(struct display *display);

#endif
