// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/confine.c util/util.c util/log.c */
/* libs: libseccomp libcap-ng */
/* What is confined stays so: each case is a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <cap-ng.h>

#include "kvm/confine.h"
#include "kvm/util.h"

/* --- calls: 0, or the errno --- */

static int result(long ret)
{
	return ret < 0 ? errno : 0;
}

static int try_write(void)
{
	return result(eventfd_write(eventfd(0, 0), 1));
}

static int try_memory(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? errno : result(mprotect(at, 4096, PROT_READ));
}

static int try_signal_self(void)
{
	return result(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0));
}

static int try_open(void)
{
	return result(open("/dev/null", O_RDONLY));
}

static int try_socket(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static void *thread(void *arg)
{
	return arg;
}

static int try_thread(void)
{
	pthread_t id;
	int ret = pthread_create(&id, NULL, thread, NULL);

	return ret ? ret : pthread_join(id, NULL);
}

static int try_chown(void)
{
	return result(fchownat(AT_FDCWD, "/dev/null", -1, -1, 0));
}

static int try_wait(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0 && errno != ECHILD ? errno : 0;
}

static int try_fork(void)
{
	return result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int try_exec(void)
{
	char *const argv[] = {"true", NULL};

	return result(execv("/bin/true", argv));
}

static int try_code(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? errno : 0;
}

static int try_make_code(void)
{
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return result(mprotect(at, 4096, PROT_READ | PROT_EXEC));
}

static int try_signal_parent(void)
{
	return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

/* The kernel takes 32 bits of the request, and so must who looks at it. */
static int try_type(void)
{
	return result(syscall(SYS_ioctl, -1, UINT64_C(0x100000000) | TIOCSTI, "x"));
}

static int try_ptrace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int try_dump(void)
{
	return result(prctl(PR_SET_DUMPABLE, 0));
}

static int try_namespace(void)
{
	return result(unshare(CLONE_NEWUSER));
}

#define NOBODY (1u << 31)

static const struct {
	const char *name;
	int (*try)(void);
	unsigned int needs; /* any of these; 0: everybody may */
} calls[] = {
	{"write", try_write, 0},
	{"memory", try_memory, 0},
	{"signal self", try_signal_self, 0},
	{"open", try_open, CONFINE_FILES | CONFINE_SHARES},
	{"socket", try_socket, CONFINE_SOCKETS},
	{"thread", try_thread, CONFINE_THREADS},
	{"chown", try_chown, CONFINE_SHARES},
	{"wait", try_wait, CONFINE_CHILDREN},
	{"fork", try_fork, NOBODY},
	{"exec", try_exec, NOBODY},
	{"code", try_code, NOBODY},
	{"make code", try_make_code, NOBODY},
	{"signal parent", try_signal_parent, NOBODY},
	{"type into a terminal", try_type, NOBODY},
	{"ptrace", try_ptrace, NOBODY},
	{"dumpable", try_dump, NOBODY},
	{"namespace", try_namespace, NOBODY},
};

/* --- processes --- */

/* fn's result, in a process of its own. */
static int in_child(int (*fn)(const void *arg), const void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

struct attempt {
	unsigned int needs;
	int (*try)(void);
	bool by_thread;
};

static void *attempt_thread(void *arg)
{
	const struct attempt *a = arg;

	return (void *)(intptr_t)a->try();
}

static int attempt(const void *arg)
{
	const struct attempt *a = arg;
	pthread_t id;
	void *ret;

	if (confine(a->needs) < 0)
		return 255;
	if (!a->by_thread)
		return a->try();
	if (pthread_create(&id, NULL, attempt_thread, (void *)arg))
		return 254;
	pthread_join(id, &ret);
	return (int)(intptr_t)ret;
}

static void check_all(unsigned int needs)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		struct attempt a = {.needs = needs, .try = calls[i].try};
		bool may = !calls[i].needs || calls[i].needs & needs;
		int ret = in_child(attempt, &a);

		/* glibc says EAGAIN, or what it likes, of a thread that cannot be. */
		if (may ? ret != 0 : calls[i].try == try_thread ? ret == 0 : ret != ENOSYS)
			fail_msg("%s with 0x%x: %d", calls[i].name, needs, ret);
	}
}

/* --- tests --- */

static void test_each_need(void **state)
{
	(void)state;
	check_all(0);
	for (unsigned int need = CONFINE_THREADS; need <= CONFINE_CHILDREN; need <<= 1)
		check_all(need);
}

static void test_threads_inherit(void **state)
{
	struct attempt a = {.needs = CONFINE_THREADS, .try = try_open, .by_thread = true};

	(void)state;
	assert_int_equal(in_child(attempt, &a), ENOSYS);
	a.needs |= CONFINE_FILES;
	assert_int_equal(in_child(attempt, &a), 0);
}

static int narrower(const void *arg)
{
	(void)arg;
	if (confine(CONFINE_THREADS | CONFINE_FILES | CONFINE_SOCKETS) < 0 || try_open() ||
	    confine(0) < 0)
		return 255;
	return try_open() == ENOSYS && try_socket() == ENOSYS && try_write() == 0 ? 0 : 1;
}

static int wider(const void *arg)
{
	(void)arg;
	if (confine(CONFINE_THREADS) < 0)
		return 255;
	(void)confine(CONFINE_THREADS | CONFINE_SOCKETS);
	return try_socket() == ENOSYS ? 0 : 1;
}

static void test_only_narrower(void **state)
{
	(void)state;
	assert_int_equal(in_child(narrower, NULL), 0);
	assert_int_equal(in_child(wider, NULL), 0);
}

static int look_at_privileges(const void *arg)
{
	unsigned int needs = *(const unsigned int *)arg;

	if (confine(needs) < 0)
		return 255;
	if (syscall(SYS_prctl, PR_GET_SECCOMP) != 2)
		return 1;
	capng_get_caps_process();
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) ||
	    capng_have_capability(CAPNG_PERMITTED, CAP_SYS_ADMIN))
		return 2;
	return capng_have_capability(CAPNG_PERMITTED, CAP_CHOWN) != !!(needs & CONFINE_SHARES) ? 3
											       : 0;
}

static void test_capabilities(void **state)
{
	const unsigned int look = CONFINE_THREADS | CONFINE_FILES, shares = look | CONFINE_SHARES;

	(void)state;
	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_PERMITTED, CAP_SYS_ADMIN) ||
	    !capng_have_capability(CAPNG_PERMITTED, CAP_CHOWN)) {
		print_message("not root here: no capabilities to drop\n");
		skip();
	}
	assert_int_equal(in_child(look_at_privileges, &look), 0);
	assert_int_equal(in_child(look_at_privileges, &shares), 0);
}

static void test_environment(void **state)
{
	struct attempt a = {.try = try_open};

	(void)state;
	setenv("LKVM_CONFINE", "off", 1);
	assert_int_equal(in_child(attempt, &a), 0);
	setenv("LKVM_CONFINE", "kill", 1);
	assert_int_equal(in_child(attempt, &a), 256 + SIGSYS);
	a.needs = CONFINE_THREADS;
	a.try = try_thread; /* which tries clone3() first */
	assert_int_equal(in_child(attempt, &a), 0);
	unsetenv("LKVM_CONFINE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_need),     cmocka_unit_test(test_threads_inherit),
		cmocka_unit_test(test_only_narrower), cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_environment),
	};

	unsetenv("LKVM_CONFINE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
