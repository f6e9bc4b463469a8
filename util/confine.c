// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/confine.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/util.h"

struct confinement {
	bool off;
	unsigned int needs;
	struct sock_filter *filter; /* NULL: none */
	unsigned short len;	    /* instructions */
};

/* --- capabilities --- */

#ifdef HAVE_CAPNG
#include <cap-ng.h>

static int confine_capabilities(unsigned int needs)
{
	static const capng_type_t sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED;
	static const unsigned int of_shares[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
						 CAP_FOWNER, CAP_FSETID,       CAP_SETUID,
						 CAP_SETGID, CAP_MKNOD,	       CAP_SETFCAP};
	bool have[ARRAY_SIZE(of_shares)];

	if (capng_get_caps_process() < 0)
		return -EIO;
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(of_shares); i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, of_shares[i]);
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned int i = 0; i < ARRAY_SIZE(of_shares) && needs & CONFINE_SHARES; i++)
		if (have[i])
			capng_update(CAPNG_ADD, sets, of_shares[i]);
	return capng_apply(CAPNG_SELECT_CAPS) < 0 ? -EPERM : 0;
}
#else
static int confine_capabilities(unsigned int needs)
{
	(void)needs;
	return 0;
}
#endif

/* --- system calls --- */

#ifdef HAVE_SECCOMP
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CONFINE_ALL 0

/* Calls that this architecture, or this libseccomp, does not have are passed over. */
static const struct {
	const char *name;
	unsigned int needs; /* any of these; CONFINE_ALL: every thread may */
} confine_calls[] = {
	/* what is open */
	{"read", CONFINE_ALL},
	{"readv", CONFINE_ALL},
	{"pread64", CONFINE_ALL},
	{"preadv", CONFINE_ALL},
	{"preadv2", CONFINE_ALL},
	{"write", CONFINE_ALL},
	{"writev", CONFINE_ALL},
	{"pwrite64", CONFINE_ALL},
	{"pwritev", CONFINE_ALL},
	{"pwritev2", CONFINE_ALL},
	{"lseek", CONFINE_ALL},
	{"fsync", CONFINE_ALL},
	{"fdatasync", CONFINE_ALL},
	{"sync_file_range", CONFINE_ALL},
	{"fallocate", CONFINE_ALL},
	{"ftruncate", CONFINE_ALL},
	{"fstat", CONFINE_ALL},
	{"fcntl", CONFINE_ALL},
	{"close", CONFINE_ALL},
	{"dup", CONFINE_ALL},
	{"dup2", CONFINE_ALL},
	{"dup3", CONFINE_ALL},
	{"eventfd2", CONFINE_ALL},
	{"memfd_create", CONFINE_ALL},
	{"pipe2", CONFINE_ALL},
	{"splice", CONFINE_ALL},
	/* sockets that are there */
	{"sendto", CONFINE_ALL},
	{"sendmsg", CONFINE_ALL},
	{"sendmmsg", CONFINE_ALL},
	{"recvfrom", CONFINE_ALL},
	{"recvmsg", CONFINE_ALL},
	{"recvmmsg", CONFINE_ALL},
	{"shutdown", CONFINE_ALL},
	{"getsockopt", CONFINE_ALL},
	{"setsockopt", CONFINE_ALL},
	{"getsockname", CONFINE_ALL},
	{"getpeername", CONFINE_ALL},
	/* waiting */
	{"epoll_create1", CONFINE_ALL},
	{"epoll_ctl", CONFINE_ALL},
	{"epoll_wait", CONFINE_ALL},
	{"epoll_pwait", CONFINE_ALL},
	{"epoll_pwait2", CONFINE_ALL},
	{"poll", CONFINE_ALL},
	{"ppoll", CONFINE_ALL},
	{"select", CONFINE_ALL},
	{"pselect6", CONFINE_ALL},
	{"futex", CONFINE_ALL},
	{"timerfd_create", CONFINE_ALL},
	{"timerfd_settime", CONFINE_ALL},
	{"timerfd_gettime", CONFINE_ALL},
	{"nanosleep", CONFINE_ALL},
	{"clock_nanosleep", CONFINE_ALL},
	{"clock_gettime", CONFINE_ALL},
	{"clock_getres", CONFINE_ALL},
	{"gettimeofday", CONFINE_ALL},
	{"time", CONFINE_ALL},
	{"io_uring_enter", CONFINE_ALL},
	/* memory, without code in it: see confine_add_arguments() */
	{"munmap", CONFINE_ALL},
	{"mremap", CONFINE_ALL},
	{"madvise", CONFINE_ALL},
	{"msync", CONFINE_ALL},
	{"brk", CONFINE_ALL},
	{"mlock", CONFINE_ALL},
	{"munlock", CONFINE_ALL},
	/* itself */
	{"exit", CONFINE_ALL},
	{"exit_group", CONFINE_ALL},
	{"getpid", CONFINE_ALL},
	{"getpgrp", CONFINE_ALL},
	{"getpgid", CONFINE_ALL},
	{"gettid", CONFINE_ALL},
	{"getuid", CONFINE_ALL},
	{"geteuid", CONFINE_ALL},
	{"getgid", CONFINE_ALL},
	{"getegid", CONFINE_ALL},
	{"getrandom", CONFINE_ALL},
	{"getrusage", CONFINE_ALL},
	{"sysinfo", CONFINE_ALL},
	{"uname", CONFINE_ALL},
	{"rt_sigaction", CONFINE_ALL},
	{"rt_sigprocmask", CONFINE_ALL},
	{"rt_sigreturn", CONFINE_ALL},
	{"sigaltstack", CONFINE_ALL},
	{"restart_syscall", CONFINE_ALL},
	{"sched_yield", CONFINE_ALL},
	{"sched_getaffinity", CONFINE_ALL}, /* malloc() counts processors */
	{"membarrier", CONFINE_ALL},
	{"set_robust_list", CONFINE_ALL},
	{"rseq", CONFINE_ALL},
	/* others of its threads */
	{"sched_setaffinity", CONFINE_THREADS},
	/* io_uring: what a ring may do is said when it is made (disk/uring.c) */
	{"io_uring_setup", CONFINE_THREADS},
	{"io_uring_register", CONFINE_THREADS},
	/* children that are there */
	{"wait4", CONFINE_CHILDREN},
	{"waitid", CONFINE_CHILDREN},
	{"kill", CONFINE_CHILDREN},
	/* files by name */
	{"openat", CONFINE_FILES | CONFINE_SHARES},
	{"openat2", CONFINE_FILES | CONFINE_SHARES},
	{"open", CONFINE_FILES},
	{"newfstatat", CONFINE_ALL}, /* glibc's fstat(); of names, see below */
	{"statx", CONFINE_FILES | CONFINE_SHARES},
	{"stat", CONFINE_FILES},
	{"lstat", CONFINE_FILES},
	{"access", CONFINE_FILES},
	{"faccessat", CONFINE_FILES},
	{"faccessat2", CONFINE_FILES},
	{"getcwd", CONFINE_FILES},
	{"readlink", CONFINE_FILES},
	{"readlinkat", CONFINE_FILES | CONFINE_SHARES},
	{"unlink", CONFINE_FILES},
	{"unlinkat", CONFINE_FILES | CONFINE_SHARES},
	{"rename", CONFINE_FILES},
	{"renameat", CONFINE_FILES | CONFINE_SHARES},
	{"renameat2", CONFINE_FILES | CONFINE_SHARES},
	{"mkdir", CONFINE_FILES},
	{"mkdirat", CONFINE_FILES | CONFINE_SHARES},
	{"getdents64", CONFINE_FILES | CONFINE_SHARES},
	{"fstatfs", CONFINE_FILES | CONFINE_SHARES},
	{"statfs", CONFINE_FILES},
	{"flock", CONFINE_FILES | CONFINE_SHARES},
	{"fadvise64", CONFINE_FILES | CONFINE_SHARES},
	{"utimensat", CONFINE_FILES | CONFINE_SHARES},
	{"fchmod", CONFINE_FILES | CONFINE_SHARES},
	/* what is served to guests */
	{"chmod", CONFINE_SHARES},
	{"truncate", CONFINE_SHARES},
	{"fchmodat", CONFINE_SHARES},
	{"fchmodat2", CONFINE_SHARES},
	{"fchown", CONFINE_SHARES},
	{"fchownat", CONFINE_SHARES},
	{"linkat", CONFINE_SHARES},
	{"symlinkat", CONFINE_SHARES},
	{"mknodat", CONFINE_SHARES},
	{"syncfs", CONFINE_SHARES},
	{"copy_file_range", CONFINE_SHARES},
	{"getxattr", CONFINE_SHARES},
	{"lgetxattr", CONFINE_SHARES},
	{"fgetxattr", CONFINE_SHARES},
	{"setxattr", CONFINE_SHARES},
	{"lsetxattr", CONFINE_SHARES},
	{"fsetxattr", CONFINE_SHARES},
	{"listxattr", CONFINE_SHARES},
	{"llistxattr", CONFINE_SHARES},
	{"flistxattr", CONFINE_SHARES},
	{"removexattr", CONFINE_SHARES},
	{"lremovexattr", CONFINE_SHARES},
	{"fremovexattr", CONFINE_SHARES},
	{"setfsuid", CONFINE_SHARES},
	{"setfsgid", CONFINE_SHARES},
	{"umask", CONFINE_SHARES | CONFINE_FILES},
	/* capget and capset: confine() itself, when it comes again; nothing can be won by them */
	{"capget", CONFINE_SHARES | CONFINE_FILES},
	{"capset", CONFINE_SHARES | CONFINE_FILES},
	{"seccomp", CONFINE_THREADS},
	/* new sockets */
	{"socket", CONFINE_SOCKETS},
	{"socketpair", CONFINE_SOCKETS},
	{"connect", CONFINE_SOCKETS},
	{"bind", CONFINE_SOCKETS},
	{"listen", CONFINE_SOCKETS},
	{"accept", CONFINE_SOCKETS},
	{"accept4", CONFINE_SOCKETS},
	{"pidfd_open", CONFINE_SOCKETS},
};

static int confine_add_calls(scmp_filter_ctx filter, unsigned int needs)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(confine_calls); i++) {
		int nr = seccomp_syscall_resolve_name(confine_calls[i].name), ret = 0;

		if (nr >= 0 &&
		    (confine_calls[i].needs == CONFINE_ALL || confine_calls[i].needs & needs))
			ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/*
 * Calls that are more than one: an argument says what is meant. The kernel looks at 32 bits of
 * them, so do we.
 */
struct confine_argument {
	int nr;
	unsigned int arg;
	uint32_t mask, value;
	unsigned int needs;
};

#define CONFINE_IOCTL(mask, value)                           \
	{                                                    \
		SCMP_SYS(ioctl), 1, mask, value, CONFINE_ALL \
	}
#define CONFINE_TYPE 0xff00 /* _IOC_TYPE, of whatever size and direction */

static const struct confine_argument confine_arguments[] = {
	CONFINE_IOCTL(CONFINE_TYPE, 0xae00), /* KVM's */
	CONFINE_IOCTL(CONFINE_TYPE, 0xaf00), /* vhost's */
	CONFINE_IOCTL(CONFINE_TYPE, 0x1200), /* block devices' */
	/* tun's, which have a direction; terminals' do not, and TIOCSTI would type into them */
	CONFINE_IOCTL(0xc0000000 | CONFINE_TYPE, 0x40000000 | 'T' << 8),
	CONFINE_IOCTL(0xc0000000 | CONFINE_TYPE, 0x80000000 | 'T' << 8),
	CONFINE_IOCTL(UINT32_MAX, TCGETS),
	CONFINE_IOCTL(UINT32_MAX, TCSETS),
	CONFINE_IOCTL(UINT32_MAX, TCSETSW),
	CONFINE_IOCTL(UINT32_MAX, TCSETSF),
	CONFINE_IOCTL(UINT32_MAX, TCFLSH),
	CONFINE_IOCTL(UINT32_MAX, TIOCGPGRP),
	CONFINE_IOCTL(UINT32_MAX, TIOCGWINSZ),
	CONFINE_IOCTL(UINT32_MAX, TIOCSWINSZ),
	CONFINE_IOCTL(UINT32_MAX, FIONREAD),
	CONFINE_IOCTL(UINT32_MAX, FIONBIO),
	CONFINE_IOCTL(UINT32_MAX, SIOCGIFHWADDR), /* macvtap's */
	CONFINE_IOCTL(UINT32_MAX, SIOCSIFHWADDR),
	/* No memory becomes code. */
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0, CONFINE_ALL},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0, CONFINE_ALL},
	/* A thread, no process. */
	{SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD, CONFINE_THREADS},
	{SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME, CONFINE_ALL},
	{SCMP_SYS(prlimit64), 0, UINT32_MAX, 0, CONFINE_FILES | CONFINE_SHARES}, /* its own */
	/* Each thread of a share has a umask. */
	{SCMP_SYS(unshare), 0, UINT32_MAX, CLONE_FS, CONFINE_SHARES},
	/* For a thread that gives up more, by confine(). */
	{SCMP_SYS(prctl), 0, UINT32_MAX, PR_GET_SECCOMP, CONFINE_THREADS},
	{SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NO_NEW_PRIVS, CONFINE_THREADS},
	{SCMP_SYS(prctl), 0, UINT32_MAX, PR_CAPBSET_READ, CONFINE_THREADS},
	{SCMP_SYS(prctl), 0, UINT32_MAX, PR_CAP_AMBIENT, CONFINE_THREADS},
};

static int confine_add_argument(scmp_filter_ctx filter, const struct confine_argument *a)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, a->nr, 1,
				SCMP_CMP64(a->arg, SCMP_CMP_MASKED_EQ, a->mask, a->value));
}

static int confine_add_arguments(scmp_filter_ctx filter, unsigned int needs)
{
	/* Signals go to threads of this process. */
	const struct confine_argument tgkill = {SCMP_SYS(tgkill), 0, UINT32_MAX, getpid(),
						CONFINE_ALL};
	int ret = confine_add_argument(filter, &tgkill);

	for (unsigned int i = 0; i < ARRAY_SIZE(confine_arguments) && ret == 0; i++)
		if (confine_arguments[i].needs == CONFINE_ALL || confine_arguments[i].needs & needs)
			ret = confine_add_argument(filter, &confine_arguments[i]);
	return ret;
}

/* The filter as the kernel takes it: an array of instructions. */
static int confine_export(scmp_filter_ctx filter, struct confinement *c)
{
	int fd = memfd_create("filter", MFD_CLOEXEC), ret;
	off_t size;

	if (fd < 0)
		return -errno;
	ret = seccomp_export_bpf(filter, fd);
	size = lseek(fd, 0, SEEK_END);
	if (ret == 0 && size > 0)
		c->filter = malloc(size);
	if (c->filter)
		ret = pread_full(fd, c->filter, size, 0);
	else if (ret == 0)
		ret = -ENOMEM;
	c->len = size / sizeof(*c->filter);
	close(fd);
	return ret;
}

static int confine_compile(struct confinement *c, unsigned int needs, bool kill)
{
	scmp_filter_ctx filter =
		seccomp_init(kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS));
	int ret;

	if (!filter)
		return -ENOMEM;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	/* Its flags are in memory, where they could change: glibc is content with clone(). */
	ret = kill ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) : 0;
	if (ret == 0)
		ret = confine_add_calls(filter, needs);
	if (ret == 0)
		ret = confine_add_arguments(filter, needs);
	if (ret == 0)
		ret = confine_export(filter, c);
	seccomp_release(filter);
	return ret;
}
#else
static int confine_compile(struct confinement *c, unsigned int needs, bool kill)
{
	(void)c;
	(void)needs;
	(void)kill;
	return 0;
}
#endif

/* --- together --- */

static int confine_failed(int err)
{
	log_error("lkvm cannot confine itself (LKVM_CONFINE=off does without): %s", strerror(-err));
	return err;
}

struct confinement *confine_prepare(unsigned int needs)
{
	const char *mode = getenv("LKVM_CONFINE");
	struct confinement *c = calloc(1, sizeof(*c));
	int ret = c ? 0 : -ENOMEM;

	if (c) {
		c->needs = needs;
		c->off = mode && !strcmp(mode, "off");
		/* Where the kernel has no filters, capabilities go all the same. */
		if (!c->off && prctl(PR_GET_SECCOMP) >= 0)
			ret = confine_compile(c, needs, mode && !strcmp(mode, "kill"));
	}
	if (ret == 0)
		return c;
	confine_failed(ret);
	confine_discard(c);
	return NULL;
}

int confine_enter(const struct confinement *c)
{
	const struct sock_fprog program = {.len = c->len, .filter = c->filter};
	int ret;

	if (c->off)
		return 0;
	ret = confine_capabilities(c->needs);
	if (ret == 0 && c->filter &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	     syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0))
		ret = -errno;
	return ret < 0 ? confine_failed(ret) : 0;
}

void confine_discard(struct confinement *c)
{
	if (c)
		free(c->filter);
	free(c);
}

int confine(unsigned int needs)
{
	struct confinement *c = confine_prepare(needs);
	int ret = c ? confine_enter(c) : -EIO;

	confine_discard(c);
	return ret;
}
