// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/display.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/plugin.h"
#include "kvm/util.h"

/* How often the picture is looked at: while it changes, and when it has long stood still. */
#define DISPLAY_MIN_MS	 16
#define DISPLAY_MAX_MS	 128
#define DISPLAY_NEVER_MS 3600000 /* nobody looks: until something happens */

#define DISPLAY_MAX_RECTS 16
/* Changes that are fewer lines apart go into one rectangle: a header costs more than they do. */
#define DISPLAY_GAP 8

struct display {
	const struct display_params *params;
	struct seat *seat;
	struct loop_source *closed; /* a timer: it can be armed from any thread */
	void (*on_closed)(void *arg);
	void *on_closed_arg;

	pthread_mutex_t lock; /* protects all up to nr_rects; the source's locks are inside */
	const struct display_source *source;
	void *source_dev;
	struct display_surface surface;
	bool redraw;				     /* the source is new: its whole picture is */
	bool resized;				     /* the back end does not know this size yet */
	struct display_rect rect[DISPLAY_MAX_RECTS]; /* what it does not have yet */
	unsigned int nr_rects;

	atomic_bool woken, quit;
	/* The display's thread, if there is a back end. */
	const struct display_backend *backend;
	void *be;
	pthread_t thread;
	bool has_thread;
	sem_t opened;
};

/* --- the picture; display.lock is held --- */

struct display_surface *display_resize(struct display *display, uint32_t width, uint32_t height)
{
	struct display_surface *s = &display->surface;
	uint32_t *pixels;

	if (s->pixels && s->width == width && s->height == height)
		return s;
	if (!width || !height || width > DISPLAY_MAX_WIDTH || height > DISPLAY_MAX_HEIGHT)
		return NULL;
	pixels = calloc((size_t)width * height, sizeof(*pixels));
	if (!pixels)
		return NULL;
	free(s->pixels);
	*s = (struct display_surface){.width = width, .height = height, .pixels = pixels};
	display->resized = true;
	display->nr_rects = 0;
	return s;
}

static void display_rect_extend(struct display_rect *r, const struct display_rect *by)
{
	uint32_t right = MAX(r->x + r->width, by->x + by->width);
	uint32_t bottom = MAX(r->y + r->height, by->y + by->height);

	r->x = MIN(r->x, by->x);
	r->y = MIN(r->y, by->y);
	r->width = right - r->x;
	r->height = bottom - r->y;
}

/* Whether a line is so close to a rectangle that it should be part of it. */
static bool display_rect_is_near(const struct display_rect *r, uint32_t line)
{
	return line + DISPLAY_GAP >= r->y && line <= r->y + r->height + DISPLAY_GAP;
}

void display_changed(struct display *display, uint32_t line, uint32_t from, uint32_t to)
{
	struct display_rect now = {from, line, to - from, 1};
	unsigned int nr = display->nr_rects;

	if (nr && (nr == DISPLAY_MAX_RECTS || display_rect_is_near(&display->rect[nr - 1], line)))
		display_rect_extend(&display->rect[nr - 1], &now);
	else
		display->rect[display->nr_rects++] = now;
}

void display_blank(struct display *display)
{
	struct display_surface *s = &display->surface;

	if (!s->pixels)
		display_resize(display, display->params->width, display->params->height);
	for (uint32_t line = 0; line < s->height; line++) {
		memset(s->pixels + (size_t)line * s->width, 0, s->width * sizeof(*s->pixels));
		display_changed(display, line, 0, s->width);
	}
}

static void display_refresh(struct display *display)
{
	bool all = display->redraw;

	display->redraw = false;
	if (display->source)
		display->source->refresh(display->source_dev, display, all);
}

/* --- the display's thread --- */

/* Brings the picture up to date and shows it. True when there was something new. */
static bool display_show(struct display *display)
{
	bool changed;

	pthread_mutex_lock(&display->lock);
	display_refresh(display);
	changed = display->resized || display->nr_rects;
	if (display->resized)
		display->backend->resize(display->be, &display->surface);
	else if (display->nr_rects)
		display->backend->update(display->be, &display->surface, display->rect,
					 display->nr_rects);
	display->resized = false;
	display->nr_rects = 0;
	pthread_mutex_unlock(&display->lock);
	return changed;
}

/*
 * The picture is looked at when somebody has come to see it or the device said something, else at
 * an interval that grows while nothing happens.
 */
static void display_serve(struct display *display)
{
	const struct display_backend *backend = display->backend;
	uint64_t interval = DISPLAY_MIN_MS, start, waited, shown = 0;
	bool watched, was_watched = false, wanted, due;

	while (!atomic_load(&display->quit)) {
		watched = backend->watched(display->be);
		wanted = watched || atomic_load(&display->woken);
		/* A guest that says something all the time is not heard more often. */
		due = now_ns() - shown >= DISPLAY_MIN_MS / 2 * UINT64_C(1000000);
		if ((wanted && due) || (watched && !was_watched)) {
			atomic_store(&display->woken, false);
			interval = display_show(display) ? DISPLAY_MIN_MS
							 : MIN(interval * 2, DISPLAY_MAX_MS);
			shown = now_ns();
		}
		was_watched = watched;
		start = now_ns();
		wanted = watched || atomic_load(&display->woken);
		backend->run(display->be, wanted ? interval : DISPLAY_NEVER_MS);
		waited = (now_ns() - start) / 1000000;
		if (waited + 1 < interval) /* a person did something: an answer may follow soon */
			interval = DISPLAY_MIN_MS;
	}
}

static void *display_thread(void *arg)
{
	struct display *display = arg;

	pthread_setname_np(pthread_self(), "display");
	display->be = display->backend->open(display, display->params, display->seat);
	sem_post(&display->opened);
	if (!display->be)
		return NULL;
	display_serve(display);
	display->backend->close(display->be);
	return NULL;
}

/* --- any thread --- */

void display_wake(struct display *display)
{
	/* Until it is heard, the same once more is no news: a guest can say it 100,000 times a second. */
	if (!atomic_exchange(&display->woken, true) && display->be)
		display->backend->wake(display->be);
}

void display_attach(struct display *display, const struct display_source *source, void *dev)
{
	pthread_mutex_lock(&display->lock);
	display->source = source;
	display->source_dev = dev;
	display->redraw = true;
	pthread_mutex_unlock(&display->lock);
	display_wake(display);
}

struct display_surface display_screenshot(struct display *display)
{
	struct display_surface copy;
	size_t size;

	pthread_mutex_lock(&display->lock);
	display_refresh(display);
	copy = display->surface;
	size = (size_t)copy.width * copy.height * sizeof(*copy.pixels);
	copy.pixels = size ? malloc(size) : NULL;
	if (copy.pixels)
		memcpy(copy.pixels, display->surface.pixels, size);
	pthread_mutex_unlock(&display->lock);
	/* What was found new here has to reach the back end, too. */
	display_wake(display);
	return copy;
}

void display_close(struct display *display)
{
	loop_arm_timer(display->closed, 1);
}

/* --- life --- */

static void display_closed(void *arg, uint32_t events)
{
	struct display *display = arg;

	(void)events;
	display->on_closed(display->on_closed_arg);
}

static int display_start(struct display *display, const char *name)
{
	char option[16];
	int ret;

	snprintf(option, sizeof(option), "--%s", name);
	display->backend = plugin_load(name, DISPLAY_BACKEND_SYMBOL, option);
	if (!display->backend)
		return -ENOENT;
	ret = pthread_create(&display->thread, NULL, display_thread, display);
	if (ret) {
		log_error("%s: thread: %s", option, strerror(ret));
		return -ret;
	}
	display->has_thread = true;
	while (sem_wait(&display->opened) < 0)
		;
	return display->be ? 0 : -EIO;
}

struct display *display_create(const struct display_params *params, struct loop *loop,
			       struct seat *seat, void (*closed)(void *arg), void *arg)
{
	struct display *display = calloc(1, sizeof(*display));

	if (!display) {
		log_error("display: out of memory");
		return NULL;
	}
	display->params = params;
	display->seat = seat;
	display->on_closed = closed;
	display->on_closed_arg = arg;
	pthread_mutex_init(&display->lock, NULL);
	sem_init(&display->opened, 0, 0);
	display->closed = loop_add_timer(loop, display_closed, display);
	if (!display->closed)
		log_error("display: %m");
	if (!display->closed || (params->backend && display_start(display, params->backend) < 0)) {
		display_destroy(display);
		return NULL;
	}
	return display;
}

void display_destroy(struct display *display)
{
	if (!display)
		return;
	atomic_store(&display->quit, true);
	if (display->be)
		display->backend->wake(display->be);
	if (display->has_thread)
		pthread_join(display->thread, NULL);
	loop_remove(display->closed);
	free(display->surface.pixels);
	sem_destroy(&display->opened);
	pthread_mutex_destroy(&display->lock);
	free(display);
}
