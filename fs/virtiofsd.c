// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtiofsd as a child: found, started, listened to and ended. There are two programs of that name,
 * QEMU's (in C, up to QEMU 7.2) and its successor (in Rust), whose options differ.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "kvm/fs.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"

#define VIRTIOFSD_MAX_ARGS 16
#define VIRTIOFSD_END_NS   UINT64_C(5000000000) /* until it is ended by force */
#define VIRTIOFSD_ASK_MS   20000 /* for its version; a busy host may be slow to load it */

struct virtiofsd {
	const struct fs_params *params;
	const char *program;
	char *dir; /* absolute */
	bool of_qemu;
	pid_t pid; /* 0: none */

	int log_fd, child_log_fd; /* a pipe, for all the children that there will be */
	struct loop_source *log_source;
	struct log_ratelimit log_limit;
	char line[512]; /* not ended yet */
	size_t line_len;
};

/* --- what it says --- */

static void virtiofsd_print_line(struct virtiofsd *vfsd)
{
	if (vfsd->line_len && log_ratelimit_ok(&vfsd->log_limit))
		log_warning("%s: virtiofsd: %.*s", vfsd->params->name, (int)vfsd->line_len,
			    vfsd->line);
	vfsd->line_len = 0;
}

static void virtiofsd_log(void *arg, uint32_t events)
{
	struct virtiofsd *vfsd = arg;
	char buf[512];
	ssize_t n;

	(void)events;
	while ((n = read(vfsd->log_fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '\n' || vfsd->line_len == sizeof(vfsd->line))
				virtiofsd_print_line(vfsd);
			if (buf[i] >= ' ')
				vfsd->line[vfsd->line_len++] = buf[i];
		}
	}
}

/* --- the process --- */

/* Whether the child has ended within that time. */
static bool virtiofsd_reap(pid_t pid, uint64_t ns)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	uint64_t deadline = now_ns() + ns;
	pid_t got;

	while ((got = waitpid(pid, NULL, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
		if (now_ns() >= deadline)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

static void virtiofsd_end(struct virtiofsd *vfsd)
{
	if (!vfsd->pid)
		return;
	kill(vfsd->pid, SIGTERM);
	if (!virtiofsd_reap(vfsd->pid, VIRTIOFSD_END_NS)) {
		kill(vfsd->pid, SIGKILL);
		virtiofsd_reap(vfsd->pid, VIRTIOFSD_END_NS);
	}
	vfsd->pid = 0;
}

/* --- its options --- */

/* What it prints about itself; it is the one of QEMU that names the FUSE interface there. */
static int virtiofsd_ask_version(struct virtiofsd *vfsd)
{
	char *argv[] = {"virtiofsd", "--version", NULL};
	struct fs_child child = {.program = vfsd->program, .argv = argv, .listen_fd = -1};
	char text[512] = "";
	const char *what;
	size_t len = 0;
	int fds[2], err;
	ssize_t n = 1;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child.log_fd = fds[1];
	err = fs_child_start(&child, &pid, &what);
	close(fds[1]);
	while (!err && n > 0 && len < sizeof(text) - 1) {
		struct pollfd p = {.fd = fds[0], .events = POLLIN};

		n = poll(&p, 1, VIRTIOFSD_ASK_MS) == 1
			    ? read(fds[0], text + len, sizeof(text) - 1 - len)
			    : 0;
		len += MAX(n, 0);
	}
	close(fds[0]);
	if (err)
		return err;
	if (!virtiofsd_reap(pid, VIRTIOFSD_END_NS)) {
		kill(pid, SIGKILL);
		virtiofsd_reap(pid, VIRTIOFSD_END_NS);
		return -ETIMEDOUT;
	}
	if (!strstr(text, "virtiofsd"))
		return -ENOEXEC;
	vfsd->of_qemu = strstr(text, "FUSE kernel interface");
	return 0;
}

/* Only root can lock itself in and lay read-only mounts, and QEMU's is for root alone. */
static bool virtiofsd_wants_user(const struct virtiofsd *vfsd)
{
	return geteuid() != 0 && (vfsd->of_qemu || vfsd->params->readonly ||
				  strcmp(vfsd->params->sandbox, "none") != 0);
}

/* QEMU's takes its settings as -o WORD, and in a folder's name a comma escaped. */
static void virtiofsd_set_args(const struct virtiofsd *vfsd, char **argv)
{
	const struct fs_params *params = vfsd->params;
	const char *xattr = vfsd->of_qemu	? params->no_xattr ? "-ono_xattr" : "-oxattr"
			    : !params->no_xattr ? "--xattr"
						: NULL;
	const char *o = vfsd->of_qemu ? "-o" : "--", *sandbox = params->sandbox;
	unsigned int n = 0;

	/* Namespaces of its own begin with another root, and this is the one there is. */
	if (!strcmp(vfsd->dir, "/") && !strcmp(sandbox, "namespace"))
		sandbox = "chroot";
	argv[n++] = xasprintf("virtiofsd");
	argv[n++] = xasprintf("--fd=%d", FS_CHILD_FD);
	argv[n++] = xasprintf("%s=%s", vfsd->of_qemu ? "-osource" : "--shared-dir", vfsd->dir);
	argv[n++] = xasprintf("%scache=%s", o, params->cache);
	argv[n++] = xasprintf("%ssandbox=%s", o, sandbox);
	/* What they warn of is their programmers' concern, and limits that we know. */
	argv[n++] = xasprintf(vfsd->of_qemu ? "-olog_level=err" : "--log-level=error");
	if (xattr)
		argv[n++] = xasprintf("%s", xattr);
	/* Only root may have more than what it was given. */
	if (virtiofsd_wants_user(vfsd))
		argv[n++] = xasprintf("--rlimit-nofile=0");
}

static int virtiofsd_start(struct virtiofsd *vfsd, int listen_fd)
{
	char *argv[VIRTIOFSD_MAX_ARGS] = {NULL};
	const struct fs_child child = {
		.program = vfsd->program,
		.argv = argv,
		.log_fd = vfsd->child_log_fd,
		.listen_fd = listen_fd,
		.readonly = vfsd->params->readonly,
		.own_user = virtiofsd_wants_user(vfsd),
	};
	const char *what;
	int err;

	virtiofsd_set_args(vfsd, argv);
	err = fs_child_start(&child, &vfsd->pid, &what);
	for (unsigned int i = 0; argv[i]; i++)
		free(argv[i]);
	if (err) {
		vfsd->pid = 0;
		log_error("%s: %s %s: %s", vfsd->params->name, vfsd->program, what, strerror(-err));
	}
	return err;
}

/* --- a socket that nobody else can get at: in a folder of our own, and unlinked at once --- */

/* Both ends: the one to listen on, to which the other is connected already. */
static int virtiofsd_sockets(struct sockaddr_un *addr, int *listen_fd, int *fd)
{
	*listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*listen_fd < 0 || *fd < 0 ||
	    bind(*listen_fd, (struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	if (listen(*listen_fd, 1) < 0 || connect(*fd, (struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	return 0;
}

int virtiofsd_connect(struct virtiofsd *vfsd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/tmp/lkvm-fs-XXXXXX"};
	int listen_fd = -1, fd = -1, err = 0;
	size_t dir_len = strlen(addr.sun_path);

	virtiofsd_end(vfsd);
	if (!mkdtemp(addr.sun_path)) {
		err = -errno;
	} else {
		memcpy(addr.sun_path + dir_len, "/socket", sizeof("/socket"));
		err = virtiofsd_sockets(&addr, &listen_fd, &fd);
		unlink(addr.sun_path);
		addr.sun_path[dir_len] = 0;
		rmdir(addr.sun_path);
	}
	if (err)
		log_error("%s: %s: %s", vfsd->params->name, addr.sun_path, strerror(-err));
	else
		err = virtiofsd_start(vfsd, listen_fd);
	if (listen_fd >= 0)
		close(listen_fd);
	if (err && fd >= 0)
		close(fd);
	return err ?: fd;
}

/* --- life --- */

/* In PATH, and where distributions keep it. NULL: nowhere. Lives as long as the process. */
static const char *virtiofsd_find(void)
{
	static const char *const places[] = {"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd",
					     "/usr/lib/virtiofsd/virtiofsd",
					     "/usr/lib/qemu/virtiofsd"};
	const char *path = getenv("PATH") ?: "";

	while (*path) {
		size_t len = strcspn(path, ":");
		char *file = xasprintf("%.*s/virtiofsd", (int)len, path);

		if (file && len && access(file, X_OK) == 0)
			return file;
		free(file);
		path += len + (path[len] == ':');
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		struct stat st;

		if (stat(places[i], &st) == 0 && S_ISREG(st.st_mode) &&
		    access(places[i], X_OK) == 0)
			return places[i];
	}
	return NULL;
}

bool virtiofsd_is_there(void)
{
	return virtiofsd_find();
}

bool virtiofsd_may_all(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};

	return geteuid() == 0 && syscall(SYS_capget, &head, caps) == 0 &&
	       caps[0].effective & 1u << CAP_SYS_ADMIN;
}

/* Everything that can be known to be wrong before it runs. */
static int virtiofsd_prepare(struct virtiofsd *vfsd)
{
	const struct fs_params *params = vfsd->params;
	struct stat st;
	int err;

	vfsd->dir = realpath(params->dir, NULL);
	if (!vfsd->dir || stat(vfsd->dir, &st) < 0) {
		log_error("%s: %s: %m", params->name, params->dir);
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("%s: %s is no folder", params->name, params->dir);
		return -ENOTDIR;
	}
	vfsd->program = params->program ?: virtiofsd_find();
	if (!vfsd->program) {
		log_error(
			"%s: there is no virtiofsd on this host (Debian 12: in qemu-system-common, later "
			"in virtiofsd); --9p does without",
			params->name);
		return -ENOENT;
	}
	err = virtiofsd_ask_version(vfsd);
	if (err)
		log_error("%s: %s: %s", params->name, vfsd->program,
			  err == -ENOEXEC ? "that is no virtiofsd" : strerror(-err));
	else if (vfsd->of_qemu && strpbrk(vfsd->dir, ",\\"))
		err = -EINVAL;
	if (err == -EINVAL)
		log_error("%s: %s takes no folder with a comma or backslash in its name",
			  params->name, vfsd->program);
	if (!err && vfsd->of_qemu && !strcmp(params->sandbox, "none")) {
		log_error("%s: sandbox=none is not for %s", params->name, vfsd->program);
		err = -EINVAL;
	}
	return err;
}

struct virtiofsd *virtiofsd_create(const struct fs_params *params, struct loop *loop)
{
	struct virtiofsd *vfsd = calloc(1, sizeof(*vfsd));
	int fds[2] = {-1, -1};

	if (!vfsd) {
		log_error("%s: out of memory", params->name);
		return NULL;
	}
	*vfsd = (struct virtiofsd){.params = params, .log_fd = -1, .child_log_fd = -1};
	if (virtiofsd_prepare(vfsd) < 0)
		goto err;
	if (pipe2(fds, O_CLOEXEC) == 0 && fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0) {
		vfsd->log_fd = fds[0];
		vfsd->child_log_fd = fds[1];
		vfsd->log_source = loop_add(loop, vfsd->log_fd, EPOLLIN, virtiofsd_log, vfsd);
	}
	if (vfsd->log_source)
		return vfsd;
	log_error("%s: %m", params->name);
err:
	virtiofsd_destroy(vfsd);
	return NULL;
}

void virtiofsd_destroy(struct virtiofsd *vfsd)
{
	if (!vfsd)
		return;
	virtiofsd_end(vfsd);
	if (vfsd->log_fd >= 0) {
		virtiofsd_log(vfsd, 0);
		virtiofsd_print_line(vfsd);
		loop_remove(vfsd->log_source);
		close(vfsd->log_fd);
		close(vfsd->child_log_fd);
	}
	free(vfsd->dir);
	free(vfsd);
}
