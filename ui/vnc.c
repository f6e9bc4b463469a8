// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VNC server by libvncserver. Every viewer has a thread, and a screen of the library's for itself
 * alone: the library waits in the middle of a message until its rest is there, or room for it, and
 * so only a viewer's own thread does. What threads share is the picture, and which keys and buttons
 * are held.
 */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/confine.h"
#include "kvm/display.h"
#include "kvm/keys.h"
#include "kvm/log.h"
#include "kvm/seat.h"
#include "kvm/util.h"
#include "vnc-listen.h"

#define VNC_MAX_VIEWERS 16
/* A viewer that has not got through its handshake in this time is dropped. */
#define VNC_HANDSHAKE_NS UINT64_C(30000000000)
/* In this time it is not dropped either when another wants its place. */
#define VNC_GRACE_NS	 UINT64_C(2000000000)
#define VNC_KEEPALIVE_S	 15
#define VNC_TICK_MS	 20   /* how often the rest of a handshake's message is looked for */
#define VNC_CROWD_MS	 100  /* how often a place is looked for, while somebody waits for one */
#define VNC_PENALTY_MS	 1000 /* that a wrong password keeps a viewer's place */
#define VNC_MAX_PASSWORD 8    /* what RFB's authentication uses of it (RFC 6143 §7.2.2) */

/* Messages of viewers (RFC 6143 §7.5), and one that TigerVNC's send. */
#define VNC_SET_PIXEL_FORMAT 0
#define VNC_SET_ENCODINGS    2
#define VNC_UPDATE_REQUEST   3
#define VNC_KEY_EVENT	     4
#define VNC_POINTER_EVENT    5
#define VNC_CUT_TEXT	     6
#define VNC_SET_DESKTOP_SIZE 251 /* answered: it cannot be changed from there */

/* Bits of a PointerEvent's button mask (§7.5.5). */
#define VNC_LEFT       0x01
#define VNC_MIDDLE     0x02
#define VNC_RIGHT      0x04
#define VNC_WHEEL_UP   0x08
#define VNC_WHEEL_DOWN 0x10

struct vnc;

/* A viewer's states, in the order that it goes through them. */
enum vnc_state {
	VNC_FREE,
	VNC_SHAKING,  /* has a thread */
	VNC_ARRIVED,  /* is through the handshake */
	VNC_KNOWN,    /* the display knows that somebody watches, and looks at its picture now */
	VNC_WATCHING, /* which thus is no old one */
	VNC_ENDED,    /* the thread is to be joined */
};

struct vnc_viewer {
	struct vnc *vnc;
	rfbScreenInfoPtr screen; /* lives as long as the server */

	/* Set before the thread begins, cleared after it has ended. */
	pthread_t thread;
	int fd;	     /* the connection; the library has a duplicate, and closes that */
	int wake_fd; /* there is something new to show */
	uint64_t since;

	/* Of the thread. */
	uint32_t *frame; /* the screen's picture */
	bool down[KEY_CNT];

	/* Under vnc.lock. */
	enum vnc_state state;
	sraRegionPtr stale; /* what of the picture is not in frame yet */
	int mask, x, y;	    /* of its last PointerEvent */
};

struct vnc {
	struct seat *seat;
	struct vnc_listener listener;
	bool crowded; /* somebody waits for a place; of the display's thread */
	int wake_fd;
	char password[VNC_MAX_PASSWORD + 1];
	char *passwords[2]; /* what libvncserver wants: a list that ends with NULL */

	/* The library keeps a list of ways to authenticate, which it changes for each viewer. */
	pthread_mutex_t handshake_lock;

	/* Protects all below. Taken inside the display's lock, outside the seat's. */
	pthread_mutex_t lock;
	uint32_t width, height;
	uint32_t *frame;       /* in the byte order of the library's screens */
	uint8_t down[KEY_CNT]; /* how many viewers hold a key */
	struct vnc_viewer viewer[VNC_MAX_VIEWERS];
};

static void vnc_wake(void *be)
{
	struct vnc *vnc = be;

	eventfd_write(vnc->wake_fd, 1);
}

/* --- the picture: from the display's thread --- */

/* A pixel with red in its lowest byte. */
static void vnc_put_pixel(uint32_t *to, uint32_t rgb)
{
	le_store(to, 4, (rgb >> 16 & 0xff) | (rgb & 0xff00) | (rgb & 0xff) << 16);
}

static void vnc_copy(struct vnc *vnc, const struct display_surface *surface,
		     const struct display_rect *r)
{
	for (uint32_t y = r->y; y < r->y + r->height; y++) {
		size_t at = (size_t)y * surface->width + r->x;

		for (uint32_t x = 0; x < r->width; x++)
			vnc_put_pixel(vnc->frame + at + x, surface->pixels[at + x]);
	}
}

/* Every viewer is to have these pixels. vnc.lock is held. */
static void vnc_spread(struct vnc *vnc, const struct display_rect *r)
{
	sraRegionPtr region = sraRgnCreateRect(r->x, r->y, r->x + r->width, r->y + r->height);

	for (unsigned int i = 0; i < VNC_MAX_VIEWERS; i++) {
		if (vnc->viewer[i].state == VNC_FREE || vnc->viewer[i].state == VNC_ENDED)
			continue;
		sraRgnOr(vnc->viewer[i].stale, region);
		eventfd_write(vnc->viewer[i].wake_fd, 1);
	}
	sraRgnDestroy(region);
}

static void vnc_resize(void *be, const struct display_surface *surface)
{
	struct display_rect all = {0, 0, surface->width, surface->height};
	uint32_t *frame = calloc((size_t)surface->width * surface->height, sizeof(*frame));
	struct vnc *vnc = be;

	if (!frame)
		return;
	pthread_mutex_lock(&vnc->lock);
	free(vnc->frame);
	vnc->frame = frame;
	vnc->width = surface->width;
	vnc->height = surface->height;
	vnc_copy(vnc, surface, &all);
	/* What they still lacked of the last picture may lie outside of this one. */
	for (unsigned int i = 0; i < VNC_MAX_VIEWERS; i++)
		sraRgnMakeEmpty(vnc->viewer[i].stale);
	vnc_spread(vnc, &all);
	pthread_mutex_unlock(&vnc->lock);
}

static void vnc_update(void *be, const struct display_surface *surface,
		       const struct display_rect *rects, unsigned int nr)
{
	struct vnc *vnc = be;

	pthread_mutex_lock(&vnc->lock);
	/* When there was no memory for the new size, the old picture stays. */
	if (surface->width == vnc->width && surface->height == vnc->height) {
		for (unsigned int i = 0; i < nr; i++) {
			vnc_copy(vnc, surface, &rects[i]);
			vnc_spread(vnc, &rects[i]);
		}
	}
	pthread_mutex_unlock(&vnc->lock);
}

static bool vnc_watched(void *be)
{
	struct vnc *vnc = be;
	bool watched = false;

	pthread_mutex_lock(&vnc->lock);
	for (struct vnc_viewer *v = vnc->viewer; v < vnc->viewer + VNC_MAX_VIEWERS; v++) {
		if (v->state == VNC_ARRIVED)
			v->state = VNC_KNOWN;
		watched = watched || v->state == VNC_KNOWN || v->state == VNC_WATCHING;
	}
	pthread_mutex_unlock(&vnc->lock);
	return watched;
}

/* --- a viewer's thread: the picture --- */

/* A frame of the size that the picture now has, with all of it; NULL: no memory. */
static uint32_t *vnc_whole_frame(struct vnc_viewer *viewer)
{
	size_t nr = (size_t)viewer->vnc->width * viewer->vnc->height;
	uint32_t *frame = malloc(nr * sizeof(*frame));

	if (!frame)
		return NULL;
	memcpy(frame, viewer->vnc->frame, nr * sizeof(*frame));
	sraRgnMakeEmpty(viewer->stale);
	return frame;
}

static void vnc_copy_stale(struct vnc_viewer *viewer)
{
	struct vnc *vnc = viewer->vnc;
	sraRect r;

	while (sraRgnPopRect(viewer->stale, &r, 0)) {
		for (int y = r.y1; y < r.y2; y++) {
			size_t at = (size_t)y * vnc->width + r.x1;

			memcpy(viewer->frame + at, vnc->frame + at,
			       (r.x2 - r.x1) * sizeof(*vnc->frame));
		}
		rfbMarkRectAsModified(viewer->screen, r.x1, r.y1, r.x2, r.y2);
	}
}

/* Brings the viewer's own picture up to date. False when there is none, for want of memory. */
static bool vnc_catch_up(struct vnc_viewer *viewer)
{
	rfbScreenInfoPtr screen = viewer->screen;
	struct vnc *vnc = viewer->vnc;
	uint32_t *frame = NULL;
	int width, height;
	bool resized;

	pthread_mutex_lock(&vnc->lock);
	width = (int)vnc->width;
	height = (int)vnc->height;
	resized = !viewer->frame || width != screen->width || height != screen->height;
	if (resized)
		frame = vnc_whole_frame(viewer);
	else
		vnc_copy_stale(viewer);
	pthread_mutex_unlock(&vnc->lock);
	if (frame) {
		rfbNewFramebuffer(screen, (char *)frame, width, height, 8, 3, 4);
		free(viewer->frame);
		viewer->frame = frame;
	}
	return viewer->frame;
}

/* --- a viewer's thread: keys and pointers --- */

static void vnc_set_key(struct vnc_viewer *viewer, unsigned int key, bool down)
{
	struct vnc *vnc = viewer->vnc;

	pthread_mutex_lock(&vnc->lock);
	/* The last viewer that lets go of a key lets it go. */
	if (down != viewer->down[key])
		vnc->down[key] += down ? 1 : -1;
	viewer->down[key] = down;
	if (down || !vnc->down[key])
		seat_key(vnc->seat, key, down);
	pthread_mutex_unlock(&vnc->lock);
}

static void vnc_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	struct vnc_viewer *viewer = client->screen->screenData;
	unsigned int key = key_by_keysym(keysym);

	if (!key || (!down && !viewer->down[key]))
		return;
	vnc_set_key(viewer, key, down);
	vnc_wake(viewer->vnc); /* something may happen on the screen */
}

static void vnc_point(struct vnc_viewer *viewer, int mask, int x, int y)
{
	int pressed = mask & ~viewer->mask, dz = 0, all = 0;
	struct vnc *vnc = viewer->vnc;
	unsigned int buttons = 0;

	pthread_mutex_lock(&vnc->lock);
	viewer->mask = mask;
	viewer->x = x;
	viewer->y = y;
	for (unsigned int i = 0; i < VNC_MAX_VIEWERS; i++)
		all |= vnc->viewer[i].mask;
	buttons |= all & VNC_LEFT ? SEAT_LEFT : 0;
	buttons |= all & VNC_RIGHT ? SEAT_RIGHT : 0;
	buttons |= all & VNC_MIDDLE ? SEAT_MIDDLE : 0;
	dz += pressed & VNC_WHEEL_UP ? 1 : 0;
	dz -= pressed & VNC_WHEEL_DOWN ? 1 : 0;
	seat_point(vnc->seat, x, y, viewer->screen->width, viewer->screen->height, dz, buttons);
	pthread_mutex_unlock(&vnc->lock);
}

static void vnc_pointer(int mask, int x, int y, rfbClientPtr client)
{
	struct vnc_viewer *viewer = client->screen->screenData;

	vnc_point(viewer, mask, x, y);
	vnc_wake(viewer->vnc);
}

static void vnc_let_go(struct vnc_viewer *viewer)
{
	for (unsigned int key = 0; key < ARRAY_SIZE(viewer->down); key++)
		if (viewer->down[key])
			vnc_set_key(viewer, key, false);
	if (viewer->mask)
		vnc_point(viewer, 0, viewer->x, viewer->y);
}

/* --- a viewer's thread: messages --- */

/*
 * No page in a browser on this host shall be a viewer, as the library would allow by WebSockets: a
 * browser lets any page connect to 127.0.0.1.
 */
static enum rfbNewClientAction vnc_come(rfbClientPtr client)
{
	return client->wsctx || client->sslctx ? RFB_CLIENT_REFUSE : RFB_CLIENT_ACCEPT;
}

/* How long a viewer's message is in the states of the handshake (RFC 6143 §7.1 to §7.3). */
static size_t vnc_handshake_size(const rfbClientRec *client)
{
	switch (client->state) {
	case RFB_PROTOCOL_VERSION:
		return sz_rfbProtocolVersionMsg;
	case RFB_AUTHENTICATION:
		return CHALLENGESIZE;
	default:
		return 1;
	}
}

/*
 * What a viewer has to encrypt with the password. The library calls this, as symbols of a shared object
 * that was loaded go before those of what it needs, instead of its own function: that one asks
 * random(), whose seed is the time. Without random numbers nobody gets in.
 */
void rfbRandomBytes(unsigned char *bytes)
{
	while (getrandom(bytes, CHALLENGESIZE, 0) != CHALLENGESIZE)
		poll(NULL, 0, VNC_TICK_MS);
}

/* The library gets whole messages only, as viewers take turns at this. */
static void vnc_shake_hands(struct vnc_viewer *viewer, rfbClientPtr client)
{
	bool answers = client->state == RFB_AUTHENTICATION;
	struct vnc *vnc = viewer->vnc;
	char message[CHALLENGESIZE];
	size_t size = vnc_handshake_size(client);
	ssize_t len = recv(viewer->fd, message, size, MSG_PEEK | MSG_DONTWAIT);

	if (len > 0 && (size_t)len < size) {
		poll(NULL, 0, VNC_TICK_MS);
		return;
	}
	pthread_mutex_lock(&vnc->handshake_lock);
	rfbProcessClientMessage(client);
	pthread_mutex_unlock(&vnc->handshake_lock);
	/* Who guesses has VNC_MAX_VIEWERS guesses in this time. */
	if (answers && client->sock == RFB_INVALID_SOCKET)
		poll(NULL, 0, VNC_PENALTY_MS);
	if (client->state != RFB_NORMAL)
		return;
	pthread_mutex_lock(&vnc->lock);
	viewer->state = VNC_ARRIVED;
	pthread_mutex_unlock(&vnc->lock);
	vnc_wake(vnc);
}

/* Nothing is done with the text, however long it is said to be. */
static void vnc_skip_cut_text(rfbClientPtr client)
{
	uint8_t buf[4096] = {0};
	uint32_t left;
	bool ok = rfbReadExact(client, (char *)buf, sz_rfbClientCutTextMsg) > 0;

	left = (uint32_t)buf[4] << 24 | buf[5] << 16 | buf[6] << 8 | buf[7];
	if (left & 1u << 31) /* of the extended clipboard: the size is negative */
		left = -left;
	for (uint32_t len; ok && left; left -= len) {
		len = MIN(left, sizeof(buf));
		ok = rfbReadExact(client, (char *)buf, (int)len) > 0;
	}
	if (!ok)
		rfbCloseClient(client);
}

/* One message of a viewer, and of those that the library knows only what a viewer needs. */
static void vnc_read(struct vnc_viewer *viewer, rfbClientPtr client)
{
	uint8_t type = VNC_KEY_EVENT;

	/* When there is none, the library finds out why. */
	(void)!recv(viewer->fd, &type, sizeof(type), MSG_PEEK | MSG_DONTWAIT);
	switch (type) {
	case VNC_SET_PIXEL_FORMAT:
	case VNC_SET_ENCODINGS:
	case VNC_UPDATE_REQUEST:
	case VNC_KEY_EVENT:
	case VNC_POINTER_EVENT:
	case VNC_SET_DESKTOP_SIZE:
		rfbProcessClientMessage(client);
		break;
	case VNC_CUT_TEXT:
		vnc_skip_cut_text(client);
		break;
	default:
		rfbCloseClient(client);
	}
}

static bool vnc_is_watching(struct vnc_viewer *viewer)
{
	bool watching;

	pthread_mutex_lock(&viewer->vnc->lock);
	watching = viewer->state == VNC_WATCHING;
	pthread_mutex_unlock(&viewer->vnc->lock);
	return watching;
}

/* Until the viewer is gone. */
static void vnc_talk(struct vnc_viewer *viewer, rfbClientPtr client)
{
	struct pollfd fds[] = {{.fd = viewer->fd, .events = POLLIN},
			       {.fd = viewer->wake_fd, .events = POLLIN}};
	bool shaking, watching = false;
	eventfd_t count;

	while (client->sock != RFB_INVALID_SOCKET) {
		shaking = client->state != RFB_NORMAL;
		poll(fds, ARRAY_SIZE(fds), shaking ? 1000 : -1);
		if (fds[1].revents && eventfd_read(viewer->wake_fd, &count) == 0) {
			watching = vnc_is_watching(viewer);
			vnc_catch_up(viewer);
		}
		if (shaking && now_ns() - viewer->since > VNC_HANDSHAKE_NS)
			rfbCloseClient(client);
		else if (shaking && fds[0].revents)
			vnc_shake_hands(viewer, client);
		else if (fds[0].revents)
			vnc_read(viewer, client);
		if (watching)
			rfbUpdateClient(client);
	}
	rfbClientConnectionGone(client);
}

static void *vnc_thread(void *arg)
{
	struct vnc_viewer *viewer = arg;
	struct vnc *vnc = viewer->vnc;
	int fd = dup(viewer->fd);
	rfbClientPtr client = NULL;

	pthread_setname_np(pthread_self(), "vnc viewer");
	/* The library selects. It owns fd, whatever happens. */
	if (fd >= 0 && fd < FD_SETSIZE && vnc_catch_up(viewer))
		client = rfbNewClient(viewer->screen, fd);
	else if (fd >= 0)
		close(fd);
	if (client)
		vnc_talk(viewer, client);
	vnc_let_go(viewer);
	pthread_mutex_lock(&vnc->lock);
	viewer->state = VNC_ENDED;
	pthread_mutex_unlock(&vnc->lock);
	vnc_wake(vnc);
	return NULL;
}

/* --- viewers come and go: on the display's thread --- */

/* vnc.lock is held; it is not while the thread ends. */
static void vnc_dismiss(struct vnc_viewer *viewer)
{
	pthread_mutex_unlock(&viewer->vnc->lock);
	pthread_join(viewer->thread, NULL);
	pthread_mutex_lock(&viewer->vnc->lock);
	close(viewer->fd);
	close(viewer->wake_fd);
	free(viewer->frame);
	viewer->frame = NULL;
	viewer->screen->frameBuffer = NULL;
	viewer->state = VNC_FREE;
}

/* NULL: they are all taken. vnc.lock is held. */
static struct vnc_viewer *vnc_find_place(struct vnc *vnc)
{
	for (struct vnc_viewer *v = vnc->viewer; v < vnc->viewer + VNC_MAX_VIEWERS; v++)
		if (v->state == VNC_FREE)
			return v;
	return NULL;
}

/*
 * Of those that have not got through their handshake the one that has had the most time for it makes
 * room, lest some who only hold places keep all others out. False when there is none, and thus will be
 * no room. vnc.lock is held.
 */
static bool vnc_make_room(struct vnc *vnc)
{
	struct vnc_viewer *oldest = NULL;

	for (struct vnc_viewer *v = vnc->viewer; v < vnc->viewer + VNC_MAX_VIEWERS; v++) {
		if (v->state == VNC_ENDED)
			return true;
		if (v->state == VNC_SHAKING && (!oldest || v->since < oldest->since))
			oldest = v;
	}
	if (oldest && now_ns() - oldest->since > VNC_GRACE_NS)
		shutdown(oldest->fd, SHUT_RDWR); /* its thread ends */
	return oldest;
}

/* Takes over fd. vnc.lock is held. */
static void vnc_welcome(struct vnc_viewer *viewer, int fd)
{
	int on = 1, seconds = VNC_KEEPALIVE_S;

	/* A viewer whose machine or network is gone leaves its place in minutes. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
	viewer->fd = fd;
	viewer->since = now_ns();
	viewer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (viewer->wake_fd >= 0 &&
	    pthread_create(&viewer->thread, NULL, vnc_thread, viewer) == 0) {
		viewer->state = VNC_SHAKING;
		return;
	}
	if (viewer->wake_fd >= 0)
		close(viewer->wake_fd);
	close(fd);
}

/* Somebody knocks. vnc.lock is held. */
static void vnc_answer(struct vnc *vnc, int listen_fd)
{
	struct vnc_viewer *place = vnc_find_place(vnc);
	int fd;

	if (!place && vnc_make_room(vnc)) {
		vnc->crowded = true;
		return;
	}
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0 && place)
		vnc_welcome(place, fd);
	else if (fd >= 0)
		close(fd);
}

/* The picture is that of this moment. */
static void vnc_show(struct vnc *vnc)
{
	pthread_mutex_lock(&vnc->lock);
	for (struct vnc_viewer *v = vnc->viewer; v < vnc->viewer + VNC_MAX_VIEWERS; v++) {
		if (v->state != VNC_KNOWN)
			continue;
		v->state = VNC_WATCHING;
		eventfd_write(v->wake_fd, 1);
	}
	pthread_mutex_unlock(&vnc->lock);
}

static void vnc_run(void *be, unsigned int timeout_ms)
{
	struct vnc *vnc = be;
	struct pollfd fds[VNC_MAX_LISTEN + 1];
	unsigned int nr = vnc->listener.nr;
	bool crowded = vnc->crowded;
	eventfd_t count;

	vnc_show(vnc);
	/* Who waits for a place would end the poll at once. */
	for (unsigned int i = 0; i < nr; i++)
		fds[i] =
			(struct pollfd){.fd = crowded ? -1 : vnc->listener.fd[i], .events = POLLIN};
	fds[nr] = (struct pollfd){.fd = vnc->wake_fd, .events = POLLIN};
	vnc->crowded = false;
	if (poll(fds, nr + 1, (int)(crowded ? MIN(timeout_ms, VNC_CROWD_MS) : timeout_ms)) <= 0)
		return;
	if (fds[nr].revents)
		eventfd_read(vnc->wake_fd, &count);
	pthread_mutex_lock(&vnc->lock);
	for (unsigned int i = 0; i < VNC_MAX_VIEWERS; i++)
		if (vnc->viewer[i].state == VNC_ENDED)
			vnc_dismiss(&vnc->viewer[i]);
	for (unsigned int i = 0; i < nr; i++)
		if (fds[i].revents)
			vnc_answer(vnc, fds[i].fd);
	pthread_mutex_unlock(&vnc->lock);
}

/* The first line of the file. */
static int vnc_read_password(struct vnc *vnc, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256] = "";

	if (!file || (!fgets(line, sizeof(line), file) && ferror(file))) {
		log_error("--vnc: password-file %s: %m", path);
		if (file)
			fclose(file);
		return -EIO;
	}
	fclose(file);
	line[strcspn(line, "\r\n")] = '\0';
	if (!*line) {
		log_error("--vnc: password-file %s: there is no password in it", path);
		return -EINVAL;
	}
	if (strlen(line) > VNC_MAX_PASSWORD)
		log_warning("--vnc: password-file %s: VNC uses the first %d characters only", path,
			    VNC_MAX_PASSWORD);
	memcpy(vnc->password, line, strnlen(line, VNC_MAX_PASSWORD));
	explicit_bzero(line, sizeof(line));
	vnc->passwords[0] = vnc->password;
	return 0;
}

/* --- life --- */

/*
 * The library makes its lock on lists of viewers anew with each screen: so all screens are made
 * before there is a viewer.
 */
static int vnc_create_screen(struct vnc_viewer *viewer, const struct display_params *params)
{
	struct vnc *vnc = viewer->vnc;
	rfbScreenInfoPtr screen;

	viewer->stale = sraRgnCreate();
	viewer->screen = screen =
		rfbGetScreen(NULL, NULL, (int)params->width, (int)params->height, 8, 3, 4);
	if (!screen || !viewer->stale) {
		log_error("--vnc: out of memory");
		return -ENOMEM;
	}
	screen->screenData = viewer;
	screen->desktopName = params->vm_name;
	screen->autoPort = FALSE;
	screen->port = screen->ipv6port = 0; /* no listening of its own */
	screen->alwaysShared = TRUE;
	screen->permitFileTransfer = FALSE;
	screen->cursor = NULL; /* the guest paints its own */
	screen->deferUpdateTime = screen->deferPtrUpdateTime = 0;
	screen->kbdAddEvent = vnc_key;
	screen->ptrAddEvent = vnc_pointer;
	screen->newClientHook = vnc_come;
	if (*vnc->password) {
		screen->authPasswdData = vnc->passwords;
		screen->passwordCheck = rfbCheckPasswordByList;
	}
	rfbInitServer(screen);
	return 0;
}

static int vnc_create_screens(struct vnc *vnc, const struct display_params *params)
{
	int ret = 0;

	rfbLogEnable(0);
	for (unsigned int i = 0; i < VNC_MAX_VIEWERS && ret == 0; i++) {
		vnc->viewer[i].vnc = vnc;
		ret = vnc_create_screen(&vnc->viewer[i], params);
	}
	return ret;
}

static void vnc_destroy_screen(struct vnc_viewer *viewer)
{
	if (viewer->screen)
		rfbScreenCleanup(viewer->screen);
	if (viewer->stale)
		sraRgnDestroy(viewer->stale);
}

static void vnc_close(void *be)
{
	struct vnc *vnc = be;

	vnc_unlisten(&vnc->listener);
	pthread_mutex_lock(&vnc->lock);
	for (unsigned int i = 0; i < VNC_MAX_VIEWERS; i++) {
		if (vnc->viewer[i].state == VNC_FREE)
			continue;
		shutdown(vnc->viewer[i].fd, SHUT_RDWR); /* whatever the thread waits for */
		vnc_dismiss(&vnc->viewer[i]);
	}
	pthread_mutex_unlock(&vnc->lock);
	for (unsigned int i = 0; i < VNC_MAX_VIEWERS; i++)
		vnc_destroy_screen(&vnc->viewer[i]);
	if (vnc->wake_fd >= 0)
		close(vnc->wake_fd);
	free(vnc->frame);
	pthread_mutex_destroy(&vnc->handshake_lock);
	pthread_mutex_destroy(&vnc->lock);
	explicit_bzero(vnc->password, sizeof(vnc->password));
	free(vnc);
}

static void *vnc_open(struct display *display, const struct display_params *params,
		      struct seat *seat)
{
	struct vnc *vnc = calloc(1, sizeof(*vnc));
	int ret = 0;

	(void)display;
	if (!vnc) {
		log_error("--vnc: out of memory");
		return NULL;
	}
	pthread_mutex_init(&vnc->handshake_lock, NULL);
	pthread_mutex_init(&vnc->lock, NULL);
	vnc->seat = seat;
	vnc->width = params->width;
	vnc->height = params->height;
	vnc->frame = calloc((size_t)vnc->width * vnc->height, sizeof(*vnc->frame));
	vnc->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vnc->wake_fd < 0 || !vnc->frame) {
		log_error("--vnc: %m");
		ret = -ENOMEM;
	}
	if (ret == 0 && params->vnc_password_file)
		ret = vnc_read_password(vnc, params->vnc_password_file);
	if (ret == 0)
		ret = vnc_create_screens(vnc, params);
	if (ret == 0)
		ret = vnc_listen(&vnc->listener, params, *vnc->password);
	/* This is the display's thread, which starts those of the viewers; ciphers want files. */
	if (ret == 0)
		ret = confine(CONFINE_THREADS | CONFINE_SOCKETS | CONFINE_FILES);
	if (ret == 0)
		return vnc;
	vnc_close(vnc);
	return NULL;
}

const struct display_backend display_backend = {
	.open = vnc_open,
	.close = vnc_close,
	.watched = vnc_watched,
	.resize = vnc_resize,
	.update = vnc_update,
	.run = vnc_run,
	.wake = vnc_wake,
};
