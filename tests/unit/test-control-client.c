// SPDX-License-Identifier: GPL-2.0-or-later
/* links: control-client.c instance.c util/unix.c util/util.c util/log.c */
/* libs: jansson */
/* The client's end of the control socket against VMs that misbehave; see also test-control.c. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/control.h"
#include "kvm/instance.h"
#include "kvm/util.h"

static char base[] = "/tmp/lkvm-test-client-XXXXXX";

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(base))
		return -1;
	instance_set_run_dir(base);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(base); /* the VMs have left nothing */
}

static uint64_t in_ms(unsigned int ms)
{
	return now_ns() + ms * 1000000ULL;
}

/* A VM that says `words` to whatever it is told, lives 100 ms longer than its socket, and dies. */
static pid_t impostor(const char *words)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		char *path;
		int fd = instance_listen("impostor", &path), client;

		close(ready[0]);
		close(ready[1]);
		fcntl(fd, F_SETFL, 0);
		client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		(void)!recv(client, &c, 1, 0);
		(void)!send(client, words, strlen(words), MSG_NOSIGNAL);
		unlink(path);
		close(client);
		close(fd);
		usleep(100000);
		_exit(0);
	}
	close(ready[1]);
	(void)!read(ready[0], &c, 1); /* the end of file: it listens */
	close(ready[0]);
	return pid;
}

static void test_client_gone(void **state)
{
	uint64_t start;
	struct control_peer peer;
	pid_t pid = impostor("{\"status\":\"ok\",\"result\":{}}\n");
	json_t *result;

	(void)state;
	assert_int_equal(control_open(&peer, "impostor"), 0);
	assert_int_equal(peer.pid, pid);
	start = now_ns();
	assert_int_equal(control_send(&peer, "stop", NULL), 0);
	assert_int_equal(control_receive(&peer, &result, in_ms(5000)), 0);
	json_decref(result);
	assert_int_equal(control_wait_gone(&peer, in_ms(5000)), 0);
	assert_true(now_ns() - start >= 90000000);
	control_close(&peer);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_client_gibberish(void **state)
{
	static const char *const words[] = {
		"\n",
		"hello\n",
		"[]\n",
		"{}\n",
		"{\"status\":1}\n",
		"\"\"\n",
		"{\"status\":\"ok\"}\n",
		"{\"status\":\"error\",\"error\":1}\n",
	};
	struct control_peer peer;
	json_t *result;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(words); i++) {
		pid = impostor(i < ARRAY_SIZE(words) ? words[i] : "{\"status\":\"ok");
		assert_int_equal(control_open(&peer, "impostor"), 0);
		control_send(&peer, "status", NULL);
		assert_int_equal(control_receive(&peer, &result, in_ms(5000)),
				 i < ARRAY_SIZE(words) ? -EPROTO : -ECONNRESET);
		assert_null(result);
		control_close(&peer);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_gone),
		cmocka_unit_test(test_client_gibberish),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
