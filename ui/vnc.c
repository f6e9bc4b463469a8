// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VNC server by libvncserver, driven from the display's thread alone: no thread of the library's
 * runs. It listens by itself, since the library knows neither Unix sockets nor caution.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/input-event-codes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <rfb/rfb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/display.h"
#include "kvm/keys.h"
#include "kvm/log.h"
#include "kvm/seat.h"
#include "kvm/util.h"

#define VNC_PORT	5900
#define VNC_MAX_LISTEN	8
#define VNC_MAX_VIEWERS 32
#define VNC_BACKLOG	8
/* A viewer that stops in the middle of a message is dropped after this: the others wait for it. */
#define VNC_PATIENCE_MS 500
/* A viewer that has not got through its handshake in this time is dropped. */
#define VNC_HANDSHAKE_NS UINT64_C(30000000000)
/* Room for a picture on its way to a viewer which takes its time. */
#define VNC_SEND_BUFFER	 (4 << 20)
#define VNC_MAX_PASSWORD 8 /* what RFB's authentication uses of it (RFC 6143 §7.2.2) */

/* Bits of a PointerEvent's button mask (RFC 6143 §7.5.5). */
#define VNC_LEFT       0x01
#define VNC_MIDDLE     0x02
#define VNC_RIGHT      0x04
#define VNC_WHEEL_UP   0x08
#define VNC_WHEEL_DOWN 0x10

struct vnc {
	struct seat *seat;
	const char *option; /* what messages begin with */
	const char *unix_path;
	bool bound; /* to unix_path */
	int listen_fd[VNC_MAX_LISTEN];
	unsigned int nr_listen;
	int wake_fd;
	rfbScreenInfoPtr screen;
	char *frame;	       /* the screen's; red in the lowest byte */
	bool fresh;	       /* it has changed since viewers were served last */
	uint8_t down[KEY_CNT]; /* keys that the guest believes to be down */
	char password[VNC_MAX_PASSWORD + 1];
	char *passwords[2]; /* what libvncserver wants: a list that ends with NULL */
};

/* What lkvm knows of a viewer. */
struct vnc_viewer {
	int buttons; /* as in its last PointerEvent */
	uint64_t since_ns;
	bool down[KEY_CNT]; /* keys that it holds */
};

/* --- the picture --- */

static uint32_t vnc_pixel(uint32_t rgb)
{
	return (rgb >> 16 & 0xff) | (rgb & 0xff00) | (rgb & 0xff) << 16;
}

static void vnc_copy(struct vnc *vnc, const struct display_surface *surface,
		     const struct display_rect *r)
{
	for (uint32_t y = r->y; y < r->y + r->height; y++) {
		const uint32_t *from = surface->pixels + (size_t)y * surface->width + r->x;
		uint8_t *to = (uint8_t *)vnc->frame + ((size_t)y * surface->width + r->x) * 4;

		for (uint32_t x = 0; x < r->width; x++, to += 4)
			le_store(to, 4, vnc_pixel(from[x]));
	}
}

static void vnc_resize(void *be, const struct display_surface *surface)
{
	struct display_rect all = {0, 0, surface->width, surface->height};
	char *frame = calloc((size_t)surface->width * surface->height, 4), *old;
	struct vnc *vnc = be;

	if (!frame)
		return;
	old = vnc->frame;
	vnc->frame = frame;
	vnc->fresh = true;
	vnc_copy(vnc, surface, &all);
	if ((int)surface->width == vnc->screen->width &&
	    (int)surface->height == vnc->screen->height) {
		vnc->screen->frameBuffer = frame;
		rfbMarkRectAsModified(vnc->screen, 0, 0, surface->width, surface->height);
	} else {
		rfbNewFramebuffer(vnc->screen, frame, surface->width, surface->height, 8, 3, 4);
	}
	free(old);
}

static void vnc_update(void *be, const struct display_surface *surface,
		       const struct display_rect *rects, unsigned int nr)
{
	struct vnc *vnc = be;

	/* When there was no memory for the new size, the old picture stays. */
	if (!vnc->frame || (int)surface->width != vnc->screen->width ||
	    (int)surface->height != vnc->screen->height)
		return;
	vnc->fresh = true;
	for (unsigned int i = 0; i < nr; i++) {
		const struct display_rect *r = &rects[i];

		vnc_copy(vnc, surface, r);
		rfbMarkRectAsModified(vnc->screen, r->x, r->y, r->x + r->width, r->y + r->height);
	}
}

static bool vnc_watched(void *be)
{
	struct vnc *vnc = be;

	return vnc->screen->clientHead;
}

/* --- what viewers do --- */

static void vnc_set_key(struct vnc *vnc, struct vnc_viewer *viewer, unsigned int key, bool down)
{
	/* The last viewer that lets go of a key lets it go. */
	if (down != viewer->down[key])
		vnc->down[key] += down ? 1 : -1;
	viewer->down[key] = down;
	if (down || !vnc->down[key])
		seat_key(vnc->seat, key, down);
}

static void vnc_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	struct vnc_viewer *viewer = client->clientData;
	unsigned int key = key_by_keysym(keysym);

	if (key && (down || viewer->down[key]))
		vnc_set_key(client->screen->screenData, viewer, key, down);
}

static void vnc_pointer(int mask, int x, int y, rfbClientPtr client)
{
	struct vnc_viewer *viewer = client->clientData;
	struct vnc *vnc = client->screen->screenData;
	int pressed = mask & ~viewer->buttons, dz = 0;
	unsigned int buttons = 0;

	buttons |= mask & VNC_LEFT ? SEAT_LEFT : 0;
	buttons |= mask & VNC_RIGHT ? SEAT_RIGHT : 0;
	buttons |= mask & VNC_MIDDLE ? SEAT_MIDDLE : 0;
	dz += pressed & VNC_WHEEL_UP ? 1 : 0;
	dz -= pressed & VNC_WHEEL_DOWN ? 1 : 0;
	viewer->buttons = mask;
	seat_point(vnc->seat, x, y, vnc->screen->width, vnc->screen->height, dz, buttons);
}

static void vnc_gone(rfbClientPtr client)
{
	struct vnc_viewer *viewer = client->clientData;

	for (unsigned int key = 0; viewer && key < ARRAY_SIZE(viewer->down); key++)
		if (viewer->down[key])
			vnc_set_key(client->screen->screenData, viewer, key, false);
	client->clientData = NULL;
	free(viewer);
}

static enum rfbNewClientAction vnc_come(rfbClientPtr client)
{
	struct vnc_viewer *viewer = calloc(1, sizeof(*viewer));

	if (!viewer)
		return RFB_CLIENT_REFUSE;
	viewer->since_ns = now_ns();
	client->clientData = viewer;
	client->clientGoneHook = vnc_gone;
	return RFB_CLIENT_ACCEPT;
}

static unsigned int vnc_count(const struct vnc *vnc)
{
	unsigned int nr = 0;

	for (rfbClientPtr client = vnc->screen->clientHead; client; client = client->next)
		nr++;
	return nr;
}

static void vnc_accept(struct vnc *vnc, int listen_fd)
{
	int size = VNC_SEND_BUFFER, fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	/* The library selects. */
	if (fd >= FD_SETSIZE || vnc_count(vnc) >= VNC_MAX_VIEWERS) {
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	rfbNewClient(vnc->screen, fd); /* owns fd, whatever happens */
}

/* Viewers that came, and then said nothing. */
static void vnc_drop_silent(struct vnc *vnc)
{
	uint64_t now = now_ns();
	rfbClientPtr client, next;

	for (client = vnc->screen->clientHead; client; client = next) {
		struct vnc_viewer *viewer = client->clientData;

		next = client->next;
		if (client->state != RFB_NORMAL && viewer &&
		    now - viewer->since_ns > VNC_HANDSHAKE_NS)
			rfbCloseClient(client);
	}
}

static void vnc_run(void *be, unsigned int timeout_ms)
{
	struct vnc *vnc = be;
	struct timeval timeout = {0};
	int max_fd = MAX(vnc->screen->maxFd, vnc->wake_fd);
	fd_set fds = vnc->screen->allFds;
	eventfd_t count;

	if (!vnc->fresh)
		timeout = (struct timeval){timeout_ms / 1000, timeout_ms % 1000 * 1000};
	vnc->fresh = false;
	FD_SET(vnc->wake_fd, &fds);
	for (unsigned int i = 0; i < vnc->nr_listen; i++) {
		FD_SET(vnc->listen_fd[i], &fds);
		max_fd = MAX(max_fd, vnc->listen_fd[i]);
	}
	if (select(max_fd + 1, &fds, NULL, NULL, &timeout) > 0) {
		if (FD_ISSET(vnc->wake_fd, &fds))
			eventfd_read(vnc->wake_fd, &count);
		for (unsigned int i = 0; i < vnc->nr_listen; i++)
			if (FD_ISSET(vnc->listen_fd[i], &fds))
				vnc_accept(vnc, vnc->listen_fd[i]);
	}
	vnc_drop_silent(vnc);
	rfbProcessEvents(vnc->screen, 0);
}

static void vnc_wake(void *be)
{
	struct vnc *vnc = be;

	eventfd_write(vnc->wake_fd, 1);
}

/* --- listening --- */

static bool vnc_is_local(const struct sockaddr *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;

	return addr->sa_family == AF_INET ? ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
					  : IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Prints nothing; errno says what went wrong. */
static int vnc_bind(int family, const struct sockaddr *addr, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err;

	if (fd < 0)
		return -1;
	if (family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, addr, len) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int vnc_listen_fd(struct vnc *vnc, int fd, const char *where)
{
	if (fd < 0 || listen(fd, VNC_BACKLOG) < 0) {
		log_error("%s: cannot listen on %s: %m", vnc->option, where);
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	vnc->listen_fd[vnc->nr_listen++] = fd;
	return 0;
}

/* A socket file that nobody listens on any more is taken over. */
static bool vnc_remove_stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool stale = fd >= 0 && connect(fd, (const void *)addr, sizeof(*addr)) < 0 &&
		     errno == ECONNREFUSED;
	struct stat st;

	if (fd >= 0)
		close(fd);
	return stale && lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       unlink(addr->sun_path) == 0;
}

static int vnc_listen_unix(struct vnc *vnc, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		log_error("%s: unix=%s: the path is longer than %zu characters", vnc->option, path,
			  sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);
	fd = vnc_bind(AF_UNIX, (void *)&addr, sizeof(addr));
	if (fd < 0 && errno == EADDRINUSE && vnc_remove_stale(&addr))
		fd = vnc_bind(AF_UNIX, (void *)&addr, sizeof(addr));
	if (fd >= 0) {
		vnc->unix_path = path;
		vnc->bound = true;
		chmod(path, 0600); /* nobody can have connected before listen() */
	}
	return vnc_listen_fd(vnc, fd, path);
}

static int vnc_listen_tcp(struct vnc *vnc, const struct display_params *params)
{
	const char *host = params->vnc_host ? params->vnc_host : "127.0.0.1";
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
	char port[8], where[NI_MAXHOST + 16];
	int ret;

	snprintf(port, sizeof(port), "%u", VNC_PORT + params->vnc_number);
	snprintf(where, sizeof(where), "%s port %s", host, port);
	ret = getaddrinfo(host, port, &hints, &found);
	if (ret) {
		log_error("%s: %s: %s", vnc->option, host, gai_strerror(ret));
		return -EINVAL;
	}
	for (struct addrinfo *ai = found; ai && !ret && vnc->nr_listen < VNC_MAX_LISTEN;
	     ai = ai->ai_next) {
		if (!vnc_is_local(ai->ai_addr) && !*vnc->password) {
			log_error("%s: others can reach %s: give a password-file", vnc->option,
				  host);
			ret = -EPERM;
		} else {
			ret = vnc_listen_fd(
				vnc, vnc_bind(ai->ai_family, ai->ai_addr, ai->ai_addrlen), where);
		}
	}
	freeaddrinfo(found);
	if (!ret)
		log_info("VNC: display %u on %s", params->vnc_number, where);
	return ret;
}

/* The first line of the file. */
static int vnc_read_password(struct vnc *vnc, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256] = "";

	if (!file || (!fgets(line, sizeof(line), file) && ferror(file))) {
		log_error("%s: password-file %s: %m", vnc->option, path);
		if (file)
			fclose(file);
		return -EIO;
	}
	fclose(file);
	line[strcspn(line, "\r\n")] = '\0';
	if (!*line) {
		log_error("%s: password-file %s: there is no password in it", vnc->option, path);
		return -EINVAL;
	}
	if (strlen(line) > VNC_MAX_PASSWORD)
		log_warning("%s: password-file %s: VNC uses the first %d characters only",
			    vnc->option, path, VNC_MAX_PASSWORD);
	memcpy(vnc->password, line, strnlen(line, VNC_MAX_PASSWORD));
	explicit_bzero(line, sizeof(line));
	vnc->passwords[0] = vnc->password;
	return 0;
}

/* --- life --- */

static int vnc_create_screen(struct vnc *vnc, const struct display_params *params)
{
	rfbScreenInfoPtr screen;

	rfbLogEnable(0);
	screen = rfbGetScreen(NULL, NULL, params->width, params->height, 8, 3, 4);
	vnc->screen = screen;
	vnc->frame = calloc((size_t)params->width * params->height, 4);
	if (!screen || !vnc->frame) {
		log_error("%s: out of memory", vnc->option);
		return -ENOMEM;
	}
	screen->screenData = vnc;
	screen->frameBuffer = vnc->frame;
	screen->desktopName = params->vm_name;
	screen->autoPort = FALSE;
	screen->port = screen->ipv6port = 0; /* no listening of its own */
	screen->alwaysShared = TRUE;
	screen->permitFileTransfer = FALSE;
	screen->cursor = NULL; /* the guest paints its own */
	screen->deferUpdateTime = 0;
	screen->maxClientWait = VNC_PATIENCE_MS;
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

static void vnc_close(void *be)
{
	struct vnc *vnc = be;

	for (unsigned int i = 0; i < vnc->nr_listen; i++)
		close(vnc->listen_fd[i]);
	if (vnc->bound)
		unlink(vnc->unix_path);
	if (vnc->screen) {
		rfbShutdownServer(vnc->screen, TRUE);
		vnc->screen->frameBuffer = NULL;
		rfbScreenCleanup(vnc->screen);
	}
	if (vnc->wake_fd >= 0)
		close(vnc->wake_fd);
	free(vnc->frame);
	explicit_bzero(vnc->password, sizeof(vnc->password));
	free(vnc);
}

static void *vnc_open(struct display *display, const struct display_params *params,
		      struct seat *seat)
{
	struct vnc *vnc = calloc(1, sizeof(*vnc));
	int ret;

	(void)display;
	if (!vnc) {
		log_error("--vnc: out of memory");
		return NULL;
	}
	vnc->seat = seat;
	vnc->option = "--vnc";
	vnc->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = vnc->wake_fd < 0 ? -errno : 0;
	if (ret == 0 && params->vnc_password_file)
		ret = vnc_read_password(vnc, params->vnc_password_file);
	if (ret == 0)
		ret = vnc_create_screen(vnc, params);
	if (ret == 0)
		ret = params->vnc_unix ? vnc_listen_unix(vnc, params->vnc_unix)
				       : vnc_listen_tcp(vnc, params);
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
