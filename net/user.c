// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * User networking: libslirp turns the guest's frames into sockets of this process, so it takes no
 * privilege. It runs in a thread of its own behind a socket pair. Frames from a hostile guest go
 * to libslirp and nowhere else, and the thread has a file table of its own, in which a guest that
 * opens connections without end starves nobody and from which no descriptor of the VM is in reach.
 *
 * The network is a /24: host_ip is the gateway, guest_ip is what DHCP hands out first, and a third
 * address is the name server. IPv6 is there as well, by router advertisements.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/confine.h"
#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

#define USER_NETMASK	0xffffff00u
#define USER_DHCP_RANGE 16 /* addresses that libslirp hands out from guest_ip on */
#define USER_MAX_FRAME	65536
#define USER_BUDGET	64 /* guest frames between two looks at the sockets */
#define USER_SNDBUF	(512 * 1024)

/* Where a frame has its destination: behind the Ethernet header (RFC 791 §3.1, RFC 8200 §3). */
#define USER_IP4_DST (14 + 16)
#define USER_IP6_DST (14 + 24)

/* A unique local prefix ("lkvm" in hex): hosts prefer IPv4 to such an address (RFC 6724 §2.1). */
#define USER_PREFIX6	 "fd6c:6b76:6d00::"
#define USER_HOST6	 "fd6c:6b76:6d00::1"
#define USER_NAMESERVER6 "fd6c:6b76:6d00::3"

struct user_timer {
	struct user_timer *next;
	SlirpTimerCb fn;
	void *arg;
	int64_t expires; /* ms; -1: not armed */
};

/* Between user_open() and close everything but `be` is the thread's. */
struct net_user {
	struct net_backend be;
	const struct nic_params *nic; /* for the set-up only */
	bool host_loopback;
	pthread_t thread;
	sem_t ready; /* the thread's set-up is over: `ok` says how */
	bool ok;

	int fd; /* the thread's end of the pair */
	Slirp *slirp;
	struct user_timer *timers;
	bool full; /* the guest takes no frames: leave the sockets alone until it does */
	struct pollfd *fds;
	unsigned int nr_fds, max_fds;
	uint8_t frame[USER_MAX_FRAME];
};

/* --- what libslirp calls --- */

static ssize_t user_send_packet(const void *buf, size_t len, void *opaque)
{
	struct net_user *user = opaque;

	/* A frame that cannot be had now is lost, as on a wire. */
	if (send(user->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		user->full = errno == EAGAIN;
	return len;
}

static void user_guest_error(const char *msg, void *opaque)
{
	(void)opaque;
	log_guest("user network: %s", msg);
}

static int64_t user_clock_get_ns(void *opaque)
{
	(void)opaque;
	return now_ns();
}

static int64_t user_now_ms(void)
{
	return now_ns() / 1000000;
}

static void *user_timer_new(SlirpTimerCb fn, void *arg, void *opaque)
{
	struct net_user *user = opaque;
	struct user_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	*timer = (struct user_timer){user->timers, fn, arg, -1};
	user->timers = timer;
	return timer;
}

static void user_timer_free(void *t, void *opaque)
{
	struct net_user *user = opaque;

	for (struct user_timer **link = &user->timers; *link; link = &(*link)->next) {
		if (*link == t) {
			*link = (*link)->next;
			break;
		}
	}
	free(t);
}

static void user_timer_mod(void *t, int64_t expire_time, void *opaque)
{
	struct user_timer *timer = t;

	(void)opaque;
	if (timer)
		timer->expires = expire_time;
}

/* poll() gets a fresh list each time. */
static void user_poll_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

/* Everything happens on the one thread, which is awake already. */
static void user_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb user_callbacks = {
	.send_packet = user_send_packet,
	.guest_error = user_guest_error,
	.clock_get_ns = user_clock_get_ns,
	.timer_new = user_timer_new,
	.timer_free = user_timer_free,
	.timer_mod = user_timer_mod,
	.register_poll_fd = user_poll_fd,
	.unregister_poll_fd = user_poll_fd,
	.notify = user_notify,
};

static const struct {
	int slirp;
	short poll;
} user_events[] = {
	{SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
	{SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

/* Its place in the list, or -1: then libslirp leaves the socket alone this time. */
static int user_add_poll(int fd, int events, void *opaque)
{
	struct net_user *user = opaque;
	short mask = 0;

	if (user->nr_fds == user->max_fds) {
		unsigned int max = user->max_fds * 2;
		struct pollfd *fds = realloc(user->fds, max * sizeof(*fds));

		if (!fds)
			return -1;
		user->fds = fds;
		user->max_fds = max;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(user_events); i++)
		if (events & user_events[i].slirp)
			mask |= user_events[i].poll;
	user->fds[user->nr_fds] = (struct pollfd){.fd = fd, .events = mask};
	return user->nr_fds++;
}

static int user_get_revents(int idx, void *opaque)
{
	struct net_user *user = opaque;
	int events = 0;

	if (idx < 0 || (unsigned int)idx >= user->nr_fds)
		return 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(user_events); i++)
		if (user->fds[idx].revents & user_events[i].poll)
			events |= user_events[i].slirp;
	return events;
}

/* --- the thread --- */

/*
 * disable_host_loopback closes the way by the gateway's address only: libslirp would still connect
 * to 127.0.0.1 when the guest sends to just that, or to 0.0.0.0 or an IPv6 name for either (::,
 * ::1, ::127.0.0.1, ::ffff:127.0.0.1), which Linux all takes for itself.
 */
static bool user_is_loopback(const uint8_t *frame, size_t len)
{
	static const uint8_t zero[10];

	if (len >= USER_IP4_DST + 4 && frame[12] == 0x08 && frame[13] == 0x00)
		return frame[USER_IP4_DST] == 127 || frame[USER_IP4_DST] == 0;
	if (len >= USER_IP6_DST + 16 && frame[12] == 0x86 && frame[13] == 0xdd)
		return !memcmp(frame + USER_IP6_DST, zero, sizeof(zero));
	return false;
}

/* False when the other end was closed, which is how the thread is told to end. */
static bool user_input(struct net_user *user)
{
	for (unsigned int i = 0; i < USER_BUDGET; i++) {
		ssize_t len =
			recv(user->fd, user->frame, sizeof(user->frame), MSG_DONTWAIT | MSG_TRUNC);

		if (len < 0 && errno == EAGAIN)
			break;
		if (len <= 0)
			return false;
		if ((size_t)len > sizeof(user->frame))
			continue;
		if (user->host_loopback || !user_is_loopback(user->frame, len))
			slirp_input(user->slirp, user->frame, len);
	}
	return true;
}

static int user_timeout(const struct net_user *user, uint32_t timeout)
{
	int64_t now = user_now_ms(), ms = MIN(timeout, 60000u);

	for (struct user_timer *t = user->timers; t; t = t->next)
		if (t->expires >= 0)
			ms = MIN(ms, MAX(t->expires - now, 0));
	return ms;
}

static void user_run_timers(struct net_user *user)
{
	struct user_timer *next;
	int64_t now = user_now_ms();

	for (struct user_timer *t = user->timers; t; t = next) {
		next = t->next;
		if (t->expires >= 0 && t->expires <= now) {
			t->expires = -1;
			t->fn(t->arg);
		}
	}
}

static void user_loop(struct net_user *user)
{
	bool sockets;
	uint32_t timeout;
	int n;

	do {
		sockets = !user->full;
		timeout = UINT32_MAX;
		user->nr_fds = 1;
		user->fds[0] = (struct pollfd){.fd = user->fd, .events = POLLIN};
		if (sockets)
			slirp_pollfds_fill(user->slirp, &timeout, user_add_poll, user);
		else
			user->fds[0].events |= POLLOUT;

		n = poll(user->fds, user->nr_fds, user_timeout(user, timeout));
		if (n < 0 && errno != EINTR)
			log_warning("user network: poll: %s", strerror(errno));
		if (n > 0 && (user->fds[0].revents & POLLOUT))
			user->full = false;
		if (sockets)
			slirp_pollfds_poll(user->slirp, n < 0, user_get_revents, user);
		user_run_timers(user);
	} while (user_input(user));
}

/* --- set-up --- */

/* Fills in what was not said; -EINVAL after an error line when it does not go together. */
static int user_plan(const struct nic_params *nic, uint32_t *host, uint32_t *guest, uint32_t *dns)
{
	uint32_t net;

	*host = ntohl(nic->host_ip.s_addr);
	*guest = ntohl(nic->guest_ip.s_addr);
	if (!*host && !*guest)
		*host = ntohl(inet_addr(NIC_DEFAULT_HOST_IP));
	net = (*host ? *host : *guest) & USER_NETMASK;
	if (!*host)
		*host = net | (*guest == (net | 1) ? 2 : 1);
	if (!*guest) {
		*guest = net | (ntohl(inet_addr(NIC_DEFAULT_GUEST_IP)) & ~USER_NETMASK);
		*guest += *guest == *host;
	}
	if (*host == *guest || (*guest & USER_NETMASK) != net || !(*host & ~USER_NETMASK) ||
	    !(*guest & ~USER_NETMASK) || (*host | USER_NETMASK) == UINT32_MAX ||
	    (*guest | USER_NETMASK) == UINT32_MAX) {
		log_error("--network user: host_ip and guest_ip must be two hosts' addresses of "
			  "one /24 network");
		return -EINVAL;
	}
	*dns = net | 3;
	while (*dns == *host || (*dns >= *guest && *dns < *guest + USER_DHCP_RANGE))
		++*dns;
	return 0;
}

static int user_add_hostfwd(struct net_user *user, const struct nic_hostfwd *fwd, uint32_t net)
{
	if (fwd->guest.s_addr && (ntohl(fwd->guest.s_addr) & USER_NETMASK) != net) {
		log_error("--network user: hostfwd=%s: the guest's network is another", fwd->word);
		return -EINVAL;
	}
	if (slirp_add_hostfwd(user->slirp, fwd->udp, fwd->host, fwd->host_port, fwd->guest,
			      fwd->guest_port)) {
		log_error("--network user: hostfwd=%s: %s", fwd->word, strerror(errno));
		return -EIO;
	}
	return 0;
}

static int user_start_slirp(struct net_user *user)
{
	const struct nic_params *nic = user->nic;
	SlirpConfig cfg = {
		.version = 1,
		.in_enabled = true,
		.in6_enabled = true,
		.vprefix_len = 64,
		.disable_host_loopback = !nic->host_loopback,
	};
	uint32_t host, guest, dns;
	int err;

	err = user_plan(nic, &host, &guest, &dns);
	if (err)
		return err;
	cfg.vnetwork.s_addr = htonl(host & USER_NETMASK);
	cfg.vnetmask.s_addr = htonl(USER_NETMASK);
	cfg.vhost.s_addr = htonl(host);
	cfg.vdhcp_start.s_addr = htonl(guest);
	cfg.vnameserver.s_addr = htonl(dns);
	inet_pton(AF_INET6, USER_PREFIX6, &cfg.vprefix_addr6);
	inet_pton(AF_INET6, USER_HOST6, &cfg.vhost6);
	inet_pton(AF_INET6, USER_NAMESERVER6, &cfg.vnameserver6);

	user->slirp = slirp_new(&cfg, &user_callbacks, user);
	if (!user->slirp) {
		log_error("--network user: libslirp does not start");
		return -EIO;
	}
	for (unsigned int i = 0; i < nic->nr_hostfwd && !err; i++)
		err = user_add_hostfwd(user, &nic->hostfwd[i], host & USER_NETMASK);
	return err;
}

/* A file table of this thread's own, with nothing but the standard streams and its socket. */
static int user_isolate(struct net_user *user)
{
	if (close_range(user->fd + 1, ~0u, CLOSE_RANGE_UNSHARE) ||
	    (user->fd > 3 && close_range(3, user->fd - 1, 0))) {
		log_error("--network user: close_range: %s", strerror(errno));
		return -EIO;
	}
	return 0;
}

static void *user_main(void *arg)
{
	struct net_user *user = arg;

	/* libslirp looks into /etc/resolv.conf now and then. */
	user->ok = !user_isolate(user) && !user_start_slirp(user) &&
		   !confine(CONFINE_SOCKETS | CONFINE_FILES);
	if (user->ok) {
		sem_post(&user->ready);
		user_loop(user);
	}
	if (user->slirp)
		slirp_cleanup(user->slirp);
	/* The thread's descriptors go with its file table. */
	if (!user->ok)
		sem_post(&user->ready);
	return NULL;
}

/* Signals are the main thread's business: the new thread inherits a mask that blocks them all. */
static int user_start_thread(struct net_user *user)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&user->thread, NULL, user_main, user);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_setname_np(user->thread, "net-user");
	return 0;
}

static void user_free(struct net_user *user)
{
	sem_destroy(&user->ready);
	free(user->fds);
	free(user);
}

static void user_close(struct net_backend *be)
{
	struct net_user *user = container_of(be, struct net_user, be);

	shutdown(be->fd[0], SHUT_RDWR);
	close(be->fd[0]);
	pthread_join(user->thread, NULL);
	user_free(user);
}

static const struct net_backend_ops user_ops = {.close = user_close};

static struct net_user *user_create(const struct nic_params *nic)
{
	struct net_user *user = calloc(1, sizeof(*user));

	if (!user)
		return NULL;
	user->be.ops = &user_ops;
	user->be.nr_pairs = 1;
	user->nic = nic;
	user->host_loopback = nic->host_loopback;
	user->max_fds = 16;
	user->fds = calloc(user->max_fds, sizeof(*user->fds));
	if (!user->fds) {
		free(user);
		return NULL;
	}
	sem_init(&user->ready, 0, 0);
	return user;
}

static struct net_backend *user_open(const struct nic_params *nic)
{
	struct net_user *user = user_create(nic);
	int sndbuf = USER_SNDBUF, pair[2], err;

	if (!user) {
		log_error("--network user: out of memory");
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
		err = -errno;
		goto out_free;
	}
	/* As much as the host allows. */
	for (unsigned int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	user->be.fd[0] = pair[0];
	user->fd = pair[1];
	err = user_start_thread(user);
	if (err)
		goto out_close;
	while (sem_wait(&user->ready) && errno == EINTR)
		continue;
	close(pair[1]); /* the thread has its own */
	if (!user->ok) {
		user_close(&user->be);
		return NULL;
	}
	return &user->be;

out_close:
	close(pair[0]);
	close(pair[1]);
out_free:
	log_error("--network user: %s", strerror(-err));
	user_free(user);
	return NULL;
}

const struct net_driver net_user = {.open = user_open};
