// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A window by SDL 2. The pointer is caught (and then moves the guest's) only when the machine has no
 * tablet that could be told places, or when asked for.
 *
 * Waiting is done here, not in SDL: that would be woken by other threads through a second connection
 * to the X server, and looks every millisecond while the window is hidden.
 *
 * When the X server goes away, Xlib wants the process to end. It is left by a jump instead, never to
 * be called again, and the VM goes on without a window.
 */
#include <SDL.h>
#include <SDL_syswm.h>
#include <X11/Xlib.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/display.h"
#include "kvm/log.h"
#include "kvm/seat.h"
#include "kvm/util.h"

#define SDL_TICK_MS 20 /* how often events are looked for where nothing tells of them */

struct sdl {
	struct display *display;
	const char *vm_name;
	struct seat *seat;
	SDL_Window *window;
	SDL_Renderer *renderer;
	SDL_Texture *texture;
	uint32_t width, height; /* the guest's */
	int wake_fd;
	int x_fd; /* the connection to the X server; -1: it is not X that shows the window */
	unsigned int buttons;
	bool grabbed, full_screen, hidden;
	bool lost;	/* the X server is gone */
	jmp_buf escape; /* into the function that called SDL */
	uint8_t down[KEY_CNT]; /* keys that the guest believes to be down */
};

/* SDL's scan codes are those of USB keyboards (HID usage tables, page 7). */
static const uint8_t sdl_keys[SDL_NUM_SCANCODES] = {
	[SDL_SCANCODE_A] = KEY_A,
	[SDL_SCANCODE_B] = KEY_B,
	[SDL_SCANCODE_C] = KEY_C,
	[SDL_SCANCODE_D] = KEY_D,
	[SDL_SCANCODE_E] = KEY_E,
	[SDL_SCANCODE_F] = KEY_F,
	[SDL_SCANCODE_G] = KEY_G,
	[SDL_SCANCODE_H] = KEY_H,
	[SDL_SCANCODE_I] = KEY_I,
	[SDL_SCANCODE_J] = KEY_J,
	[SDL_SCANCODE_K] = KEY_K,
	[SDL_SCANCODE_L] = KEY_L,
	[SDL_SCANCODE_M] = KEY_M,
	[SDL_SCANCODE_N] = KEY_N,
	[SDL_SCANCODE_O] = KEY_O,
	[SDL_SCANCODE_P] = KEY_P,
	[SDL_SCANCODE_Q] = KEY_Q,
	[SDL_SCANCODE_R] = KEY_R,
	[SDL_SCANCODE_S] = KEY_S,
	[SDL_SCANCODE_T] = KEY_T,
	[SDL_SCANCODE_U] = KEY_U,
	[SDL_SCANCODE_V] = KEY_V,
	[SDL_SCANCODE_W] = KEY_W,
	[SDL_SCANCODE_X] = KEY_X,
	[SDL_SCANCODE_Y] = KEY_Y,
	[SDL_SCANCODE_Z] = KEY_Z,
	[SDL_SCANCODE_1] = KEY_1,
	[SDL_SCANCODE_2] = KEY_2,
	[SDL_SCANCODE_3] = KEY_3,
	[SDL_SCANCODE_4] = KEY_4,
	[SDL_SCANCODE_5] = KEY_5,
	[SDL_SCANCODE_6] = KEY_6,
	[SDL_SCANCODE_7] = KEY_7,
	[SDL_SCANCODE_8] = KEY_8,
	[SDL_SCANCODE_9] = KEY_9,
	[SDL_SCANCODE_0] = KEY_0,
	[SDL_SCANCODE_RETURN] = KEY_ENTER,
	[SDL_SCANCODE_ESCAPE] = KEY_ESC,
	[SDL_SCANCODE_BACKSPACE] = KEY_BACKSPACE,
	[SDL_SCANCODE_TAB] = KEY_TAB,
	[SDL_SCANCODE_SPACE] = KEY_SPACE,
	[SDL_SCANCODE_MINUS] = KEY_MINUS,
	[SDL_SCANCODE_EQUALS] = KEY_EQUAL,
	[SDL_SCANCODE_LEFTBRACKET] = KEY_LEFTBRACE,
	[SDL_SCANCODE_RIGHTBRACKET] = KEY_RIGHTBRACE,
	[SDL_SCANCODE_BACKSLASH] = KEY_BACKSLASH,
	[SDL_SCANCODE_NONUSHASH] = KEY_BACKSLASH,
	[SDL_SCANCODE_SEMICOLON] = KEY_SEMICOLON,
	[SDL_SCANCODE_APOSTROPHE] = KEY_APOSTROPHE,
	[SDL_SCANCODE_GRAVE] = KEY_GRAVE,
	[SDL_SCANCODE_COMMA] = KEY_COMMA,
	[SDL_SCANCODE_PERIOD] = KEY_DOT,
	[SDL_SCANCODE_SLASH] = KEY_SLASH,
	[SDL_SCANCODE_CAPSLOCK] = KEY_CAPSLOCK,
	[SDL_SCANCODE_F1] = KEY_F1,
	[SDL_SCANCODE_F2] = KEY_F2,
	[SDL_SCANCODE_F3] = KEY_F3,
	[SDL_SCANCODE_F4] = KEY_F4,
	[SDL_SCANCODE_F5] = KEY_F5,
	[SDL_SCANCODE_F6] = KEY_F6,
	[SDL_SCANCODE_F7] = KEY_F7,
	[SDL_SCANCODE_F8] = KEY_F8,
	[SDL_SCANCODE_F9] = KEY_F9,
	[SDL_SCANCODE_F10] = KEY_F10,
	[SDL_SCANCODE_F11] = KEY_F11,
	[SDL_SCANCODE_F12] = KEY_F12,
	[SDL_SCANCODE_PRINTSCREEN] = KEY_SYSRQ,
	[SDL_SCANCODE_SCROLLLOCK] = KEY_SCROLLLOCK,
	[SDL_SCANCODE_PAUSE] = KEY_PAUSE,
	[SDL_SCANCODE_INSERT] = KEY_INSERT,
	[SDL_SCANCODE_HOME] = KEY_HOME,
	[SDL_SCANCODE_PAGEUP] = KEY_PAGEUP,
	[SDL_SCANCODE_DELETE] = KEY_DELETE,
	[SDL_SCANCODE_END] = KEY_END,
	[SDL_SCANCODE_PAGEDOWN] = KEY_PAGEDOWN,
	[SDL_SCANCODE_RIGHT] = KEY_RIGHT,
	[SDL_SCANCODE_LEFT] = KEY_LEFT,
	[SDL_SCANCODE_DOWN] = KEY_DOWN,
	[SDL_SCANCODE_UP] = KEY_UP,
	[SDL_SCANCODE_NUMLOCKCLEAR] = KEY_NUMLOCK,
	[SDL_SCANCODE_KP_DIVIDE] = KEY_KPSLASH,
	[SDL_SCANCODE_KP_MULTIPLY] = KEY_KPASTERISK,
	[SDL_SCANCODE_KP_MINUS] = KEY_KPMINUS,
	[SDL_SCANCODE_KP_PLUS] = KEY_KPPLUS,
	[SDL_SCANCODE_KP_ENTER] = KEY_KPENTER,
	[SDL_SCANCODE_KP_1] = KEY_KP1,
	[SDL_SCANCODE_KP_2] = KEY_KP2,
	[SDL_SCANCODE_KP_3] = KEY_KP3,
	[SDL_SCANCODE_KP_4] = KEY_KP4,
	[SDL_SCANCODE_KP_5] = KEY_KP5,
	[SDL_SCANCODE_KP_6] = KEY_KP6,
	[SDL_SCANCODE_KP_7] = KEY_KP7,
	[SDL_SCANCODE_KP_8] = KEY_KP8,
	[SDL_SCANCODE_KP_9] = KEY_KP9,
	[SDL_SCANCODE_KP_0] = KEY_KP0,
	[SDL_SCANCODE_KP_PERIOD] = KEY_KPDOT,
	[SDL_SCANCODE_KP_EQUALS] = KEY_KPEQUAL,
	[SDL_SCANCODE_KP_COMMA] = KEY_KPCOMMA,
	[SDL_SCANCODE_NONUSBACKSLASH] = KEY_102ND,
	[SDL_SCANCODE_APPLICATION] = KEY_COMPOSE,
	[SDL_SCANCODE_POWER] = KEY_POWER,
	[SDL_SCANCODE_F13] = KEY_F13,
	[SDL_SCANCODE_F14] = KEY_F14,
	[SDL_SCANCODE_F15] = KEY_F15,
	[SDL_SCANCODE_F16] = KEY_F16,
	[SDL_SCANCODE_F17] = KEY_F17,
	[SDL_SCANCODE_F18] = KEY_F18,
	[SDL_SCANCODE_F19] = KEY_F19,
	[SDL_SCANCODE_F20] = KEY_F20,
	[SDL_SCANCODE_F21] = KEY_F21,
	[SDL_SCANCODE_F22] = KEY_F22,
	[SDL_SCANCODE_F23] = KEY_F23,
	[SDL_SCANCODE_F24] = KEY_F24,
	[SDL_SCANCODE_HELP] = KEY_HELP,
	[SDL_SCANCODE_UNDO] = KEY_UNDO,
	[SDL_SCANCODE_CUT] = KEY_CUT,
	[SDL_SCANCODE_COPY] = KEY_COPY,
	[SDL_SCANCODE_PASTE] = KEY_PASTE,
	[SDL_SCANCODE_FIND] = KEY_FIND,
	[SDL_SCANCODE_STOP] = KEY_STOP,
	[SDL_SCANCODE_AGAIN] = KEY_AGAIN,
	[SDL_SCANCODE_MENU] = KEY_MENU,
	[SDL_SCANCODE_SLEEP] = KEY_SLEEP,
	[SDL_SCANCODE_AUDIONEXT] = KEY_NEXTSONG,
	[SDL_SCANCODE_AUDIOPREV] = KEY_PREVIOUSSONG,
	[SDL_SCANCODE_AUDIOSTOP] = KEY_STOPCD,
	[SDL_SCANCODE_AUDIOPLAY] = KEY_PLAYPAUSE,
	[SDL_SCANCODE_MUTE] = KEY_MUTE,
	[SDL_SCANCODE_VOLUMEUP] = KEY_VOLUMEUP,
	[SDL_SCANCODE_VOLUMEDOWN] = KEY_VOLUMEDOWN,
	[SDL_SCANCODE_INTERNATIONAL1] = KEY_RO,
	[SDL_SCANCODE_INTERNATIONAL2] = KEY_KATAKANAHIRAGANA,
	[SDL_SCANCODE_INTERNATIONAL3] = KEY_YEN,
	[SDL_SCANCODE_INTERNATIONAL4] = KEY_HENKAN,
	[SDL_SCANCODE_INTERNATIONAL5] = KEY_MUHENKAN,
	[SDL_SCANCODE_LANG1] = KEY_HANGEUL,
	[SDL_SCANCODE_LANG2] = KEY_HANJA,
	[SDL_SCANCODE_LCTRL] = KEY_LEFTCTRL,
	[SDL_SCANCODE_LSHIFT] = KEY_LEFTSHIFT,
	[SDL_SCANCODE_LALT] = KEY_LEFTALT,
	[SDL_SCANCODE_LGUI] = KEY_LEFTMETA,
	[SDL_SCANCODE_RCTRL] = KEY_RIGHTCTRL,
	[SDL_SCANCODE_RSHIFT] = KEY_RIGHTSHIFT,
	[SDL_SCANCODE_RALT] = KEY_RIGHTALT,
	[SDL_SCANCODE_RGUI] = KEY_RIGHTMETA,
};

static void sdl_release_keys(struct sdl *sdl)
{
	for (unsigned int key = 0; key < ARRAY_SIZE(sdl->down); key++)
		if (sdl->down[key])
			seat_key(sdl->seat, key, false);
	memset(sdl->down, 0, sizeof(sdl->down));
}

/* --- the X server --- */

/*
 * To be asked before SDL is called: false when the X server is gone, and also, by returning once more,
 * when it goes while the caller is in SDL.
 */
#define sdl_may_call(sdl) (!(sdl)->lost && !setjmp((sdl)->escape))

/* In Xlib, on the display's thread. */
static void sdl_x_is_gone(Display *x, void *arg)
{
	struct sdl *sdl = arg;

	(void)x;
	sdl->lost = true;
	sdl_release_keys(sdl);
	log_warning("--sdl: the X server is gone, and %s goes on without a window", sdl->vm_name);
	longjmp(sdl->escape, 1);
}

/* Xlib's own function would end the process itself, before it could be asked not to. */
static int sdl_x_error(Display *x)
{
	(void)x;
	return 0;
}

static void sdl_watch_x(struct sdl *sdl)
{
	SDL_SysWMinfo info;

	SDL_VERSION(&info.version);
	sdl->x_fd = -1;
	if (!SDL_GetWindowWMInfo(sdl->window, &info) || info.subsystem != SDL_SYSWM_X11)
		return;
	sdl->x_fd = XConnectionNumber(info.info.x11.display);
	XSetIOErrorHandler(sdl_x_error);
	XSetIOErrorExitHandler(info.info.x11.display, sdl_x_is_gone, sdl);
}

/* --- the window --- */

static void sdl_set_title(struct sdl *sdl)
{
	char *title = xasprintf("lkvm: %s - Ctrl-Alt-G %s, Ctrl-Alt-F full screen", sdl->vm_name,
				sdl->grabbed ? "lets the mouse go" : "catches the mouse");

	SDL_SetWindowTitle(sdl->window, title ? title : "lkvm");
	free(title);
}

static void sdl_grab(struct sdl *sdl, bool on)
{
	sdl->grabbed = on;
	SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
	SDL_SetWindowGrab(sdl->window, on ? SDL_TRUE : SDL_FALSE);
	sdl_set_title(sdl);
}

static void sdl_toggle_full_screen(struct sdl *sdl)
{
	sdl->full_screen = !sdl->full_screen;
	SDL_SetWindowFullscreen(sdl->window, sdl->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
	if (!sdl->full_screen)
		SDL_SetWindowSize(sdl->window, sdl->width, sdl->height);
}

static void sdl_present(struct sdl *sdl)
{
	SDL_RenderClear(sdl->renderer);
	if (sdl->texture)
		SDL_RenderCopy(sdl->renderer, sdl->texture, NULL, NULL);
	SDL_RenderPresent(sdl->renderer);
}

static void sdl_resize(void *be, const struct display_surface *surface)
{
	struct sdl *sdl = be;

	if (!sdl_may_call(sdl))
		return;
	if (sdl->texture)
		SDL_DestroyTexture(sdl->texture);
	sdl->width = surface->width;
	sdl->height = surface->height;
	sdl->texture = SDL_CreateTexture(sdl->renderer, SDL_PIXELFORMAT_RGB888,
					 SDL_TEXTUREACCESS_STREAMING, sdl->width, sdl->height);
	if (!sdl->full_screen)
		SDL_SetWindowSize(sdl->window, sdl->width, sdl->height);
	/* Whatever the window's size becomes, the picture fills it in its own proportions. */
	SDL_RenderSetLogicalSize(sdl->renderer, sdl->width, sdl->height);
	if (sdl->texture)
		SDL_UpdateTexture(sdl->texture, NULL, surface->pixels,
				  surface->width * sizeof(*surface->pixels));
	sdl_present(sdl);
}

static void sdl_update(void *be, const struct display_surface *surface,
		       const struct display_rect *rects, unsigned int nr)
{
	struct sdl *sdl = be;

	if (!sdl_may_call(sdl))
		return;
	for (unsigned int i = 0; i < nr && sdl->texture; i++) {
		SDL_Rect r = {rects[i].x, rects[i].y, rects[i].width, rects[i].height};

		SDL_UpdateTexture(sdl->texture, &r,
				  surface->pixels + (size_t)r.y * surface->width + r.x,
				  surface->width * sizeof(*surface->pixels));
	}
	sdl_present(sdl);
}

static bool sdl_watched(void *be)
{
	struct sdl *sdl = be;

	return !sdl->hidden && !sdl->lost;
}

/* --- what the person does --- */

/* Ctrl-Alt and a letter are for the window; the guest never sees the letter. */
static bool sdl_hot_key(struct sdl *sdl, const SDL_KeyboardEvent *event)
{
	if (!(event->keysym.mod & KMOD_CTRL) || !(event->keysym.mod & KMOD_ALT))
		return false;
	if (event->keysym.scancode != SDL_SCANCODE_G && event->keysym.scancode != SDL_SCANCODE_F)
		return false;
	if (event->type != SDL_KEYDOWN || event->repeat)
		return true;
	sdl_release_keys(sdl);
	if (event->keysym.scancode == SDL_SCANCODE_G)
		sdl_grab(sdl, !sdl->grabbed);
	else
		sdl_toggle_full_screen(sdl);
	return true;
}

static void sdl_key(struct sdl *sdl, const SDL_KeyboardEvent *event)
{
	unsigned int key = event->keysym.scancode < ARRAY_SIZE(sdl_keys)
				   ? sdl_keys[event->keysym.scancode]
				   : 0;
	bool down = event->type == SDL_KEYDOWN;

	if (sdl_hot_key(sdl, event) || !key || (!down && !sdl->down[key]))
		return;
	sdl->down[key] = down;
	seat_key(sdl->seat, key, down);
}

static void sdl_pointer(struct sdl *sdl, int x, int y, int dx, int dy, int dz)
{
	if (sdl->grabbed)
		seat_move(sdl->seat, dx, dy, dz, sdl->buttons);
	else if (seat_takes_points(sdl->seat))
		seat_point(sdl->seat, x, y, sdl->width, sdl->height, dz, sdl->buttons);
}

static void sdl_button(struct sdl *sdl, const SDL_MouseButtonEvent *event)
{
	unsigned int bit = event->button == SDL_BUTTON_LEFT	? SEAT_LEFT
			   : event->button == SDL_BUTTON_RIGHT	? SEAT_RIGHT
			   : event->button == SDL_BUTTON_MIDDLE ? SEAT_MIDDLE
								: 0;

	/* The click that catches the pointer is not the guest's. */
	if (!sdl->grabbed && !seat_takes_points(sdl->seat)) {
		if (event->type == SDL_MOUSEBUTTONDOWN)
			sdl_grab(sdl, true);
		return;
	}
	if (event->type == SDL_MOUSEBUTTONDOWN)
		sdl->buttons |= bit;
	else
		sdl->buttons &= ~bit;
	sdl_pointer(sdl, event->x, event->y, 0, 0, 0);
}

static void sdl_wheel(struct sdl *sdl, const SDL_MouseWheelEvent *event)
{
	float x, y;
	int window_x, window_y;

	SDL_GetMouseState(&window_x, &window_y);
	SDL_RenderWindowToLogical(sdl->renderer, window_x, window_y, &x, &y);
	sdl_pointer(sdl, x, y, 0, 0,
		    event->direction == SDL_MOUSEWHEEL_FLIPPED ? -event->y : event->y);
}

static void sdl_window_event(struct sdl *sdl, const SDL_WindowEvent *event)
{
	switch (event->event) {
	case SDL_WINDOWEVENT_FOCUS_LOST: /* the releases would go to somebody else */
		sdl_release_keys(sdl);
		if (sdl->grabbed)
			sdl_grab(sdl, false);
		break;
	case SDL_WINDOWEVENT_HIDDEN:
	case SDL_WINDOWEVENT_MINIMIZED:
		sdl->hidden = true;
		break;
	case SDL_WINDOWEVENT_SHOWN:
	case SDL_WINDOWEVENT_RESTORED:
	case SDL_WINDOWEVENT_EXPOSED:
	case SDL_WINDOWEVENT_SIZE_CHANGED:
		sdl->hidden = false;
		sdl_present(sdl);
		break;
	}
}

static void sdl_event(struct sdl *sdl, const SDL_Event *event)
{
	switch (event->type) {
	case SDL_QUIT:
		display_close(sdl->display);
		break;
	case SDL_KEYDOWN:
	case SDL_KEYUP:
		sdl_key(sdl, &event->key);
		break;
	case SDL_MOUSEMOTION:
		sdl_pointer(sdl, event->motion.x, event->motion.y, event->motion.xrel,
			    event->motion.yrel, 0);
		break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
		sdl_button(sdl, &event->button);
		break;
	case SDL_MOUSEWHEEL:
		sdl_wheel(sdl, &event->wheel);
		break;
	case SDL_WINDOWEVENT:
		sdl_window_event(sdl, &event->window);
		break;
	}
}

static bool sdl_handle_events(struct sdl *sdl)
{
	SDL_Event event;
	bool any = false;

	for (; SDL_PollEvent(&event); any = true)
		sdl_event(sdl, &event);
	return any;
}

static bool sdl_look_for_events(struct sdl *sdl)
{
	return sdl_may_call(sdl) && sdl_handle_events(sdl);
}

static void sdl_run(void *be, unsigned int timeout_ms)
{
	struct sdl *sdl = be;
	struct pollfd fds[] = {{.fd = sdl->wake_fd, .events = POLLIN},
			       {.fd = sdl->lost ? -1 : sdl->x_fd, .events = POLLIN}};
	eventfd_t count;

	/* Xlib may have read events already, while it waited for something else. */
	if (sdl_look_for_events(sdl))
		return;
	if (sdl->x_fd < 0)
		timeout_ms = MIN(timeout_ms, SDL_TICK_MS);
	poll(fds, ARRAY_SIZE(fds), (int)timeout_ms);
	if (fds[0].revents)
		eventfd_read(sdl->wake_fd, &count);
	sdl_look_for_events(sdl);
}

static void sdl_wake(void *be)
{
	struct sdl *sdl = be;

	eventfd_write(sdl->wake_fd, 1);
}

/* --- life --- */

static void sdl_close(void *be)
{
	struct sdl *sdl = be;

	if (sdl_may_call(sdl)) {
		if (sdl->texture)
			SDL_DestroyTexture(sdl->texture);
		if (sdl->renderer)
			SDL_DestroyRenderer(sdl->renderer);
		if (sdl->window)
			SDL_DestroyWindow(sdl->window);
		SDL_Quit();
	}
	if (sdl->wake_fd >= 0)
		close(sdl->wake_fd);
	free(sdl);
}

static bool sdl_has_somewhere_to_go(void)
{
	return getenv("DISPLAY") || getenv("WAYLAND_DISPLAY") || getenv("SDL_VIDEODRIVER");
}

static void *sdl_open(struct display *display, const struct display_params *params,
		      struct seat *seat)
{
	struct sdl *sdl = calloc(1, sizeof(*sdl));

	if (!sdl || !sdl_has_somewhere_to_go()) {
		log_error("--sdl: %s", sdl ? "no screen to open a window on: neither DISPLAY nor "
					     "WAYLAND_DISPLAY is set"
					   : "out of memory");
		free(sdl);
		return NULL;
	}
	sdl->display = display;
	sdl->vm_name = params->vm_name;
	sdl->seat = seat;
	sdl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	/* None of those that paint on a console or nowhere, unless SDL_VIDEODRIVER says so. */
	SDL_SetHint(SDL_HINT_VIDEODRIVER, "x11,wayland");
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
	SDL_SetHint(SDL_HINT_GRAB_KEYBOARD, "1"); /* a caught pointer has the window manager's keys */
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	if (sdl->wake_fd < 0 || SDL_Init(SDL_INIT_VIDEO) < 0)
		goto fail;
	sdl->window = SDL_CreateWindow("lkvm", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
				       params->width, params->height, SDL_WINDOW_RESIZABLE);
	if (!sdl->window)
		goto fail;
	/* The picture is in main memory anyway, and OpenGL would cost tens of MiB. */
	sdl->renderer = SDL_CreateRenderer(sdl->window, -1, SDL_RENDERER_SOFTWARE);
	if (!sdl->renderer)
		goto fail;
	SDL_StopTextInput();
	sdl_set_title(sdl);
	sdl_present(sdl);
	sdl_watch_x(sdl);
	return sdl;
fail:
	log_error("--sdl: %s", SDL_GetError());
	sdl_close(sdl);
	return NULL;
}

const struct display_backend display_backend = {
	.open = sdl_open,
	.close = sdl_close,
	.watched = sdl_watched,
	.resize = sdl_resize,
	.update = sdl_update,
	.run = sdl_run,
	.wake = sdl_wake,
};
