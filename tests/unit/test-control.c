// SPDX-License-Identifier: GPL-2.0-or-later
/* links: control-commands.c control-client.c instance.c util/unix.c util/util.c util/log.c util/loop.c util/base64.c ui/keys.c ui/seat.c */
/* libs: jansson */
/*
 * The server runs on its loop in a thread of its own over a VM of stubs; the tests are its clients.
 * control.c is included, so that time can be turned back on an idle connection.
 */
#include "../../control.c"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kvm/arch.h"
#include "kvm/display.h"
#include "kvm/rootfs.h"
#include "kvm/vcpu.h"

static char base[] = "/tmp/lkvm-test-control-XXXXXX";
static char sock[64];

static struct {
	struct vm vm;
	struct vm_config cfg;
	pthread_t thread;
	struct control *control;
	size_t dump_size;
	atomic_int nr_pauses, nr_resumes, nmi, sysrq, powerdowns, console_fd, exec_fd;
	atomic_ullong timeout_ns;
	atomic_bool no_driver;
	atomic_int nr_stat_requests, stat_fd;
	atomic_ullong balloon_bytes, stat_when_ns;
	atomic_bool link_up[CONFIG_MAX_NICS];
} fake;

/* --- the VM --- */

void vm_end(struct vm *vm, enum vm_outcome why)
{
	atomic_store(&vm->outcome, (int)why);
}

int vm_request_powerdown(struct vm *vm, uint64_t timeout_ns)
{
	(void)vm;
	atomic_fetch_add(&fake.powerdowns, 1);
	atomic_store(&fake.timeout_ns, timeout_ns);
	return 0;
}

int vm_pause(struct vm *vm)
{
	atomic_fetch_add(&fake.nr_pauses, 1);
	atomic_store(&vm->state, VM_PAUSED);
	return 0;
}

int vm_resume(struct vm *vm)
{
	atomic_fetch_add(&fake.nr_resumes, 1);
	atomic_store(&vm->state, VM_RUNNING);
	return 0;
}

const char *vm_state_name(struct vm *vm)
{
	static const char *const names[] = {"stopped", "running", "paused", "stopping"};

	return names[atomic_load(&vm->state)];
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	fprintf(out, "vcpu %u\n", vcpu->id);
	fprintf(out, "%*s", (int)fake.dump_size, "");
}

int arch_nmi(struct vm *vm, unsigned int cpu)
{
	(void)vm;
	atomic_store(&fake.nmi, (int)cpu);
	return cpu ? 0 : -ENOTSUP;
}

int arch_sysrq(struct vm *vm, char key)
{
	(void)vm;
	atomic_store(&fake.sysrq, key);
	return 0;
}

int chardev_attach(struct chardev *chr, int fd)
{
	(void)chr;
	atomic_store(&fake.console_fd, fd);
	return 0;
}

struct display_surface display_screenshot(struct display *display)
{
	(void)display;
	return (struct display_surface){0};
}

void net_set_link(struct virtio_device *vdev, bool up)
{
	for (unsigned int i = 0; i < CONFIG_MAX_NICS; i++)
		if (vdev == fake.vm.net[i])
			fake.link_up[i] = up;
}

int blk_resize(struct virtio_device *vdev, uint64_t size)
{
	(void)vdev;
	(void)size;
	return 0;
}

int agent_exec(struct agent *agent, const char *conf, size_t len, int fd)
{
	(void)agent;
	assert_int_equal(len, 5);
	assert_memory_equal(conf, "words", 5);
	atomic_store(&fake.exec_fd, fd);
	return 0;
}

/* Says what it was asked for by its length. */
int rootfs_exec_conf(const struct rootfs *rootfs, const struct rootfs_command *command, char **text,
		     size_t *len)
{
	(void)rootfs;
	*text = NULL;
	if (command->user && !strcmp(command->user, "nobody"))
		return -ENOENT;
	assert_non_null(command->words);
	assert_string_equal(command->words[0], "ls");
	assert_string_equal(command->words[1], "-l");
	assert_null(command->words[2]);
	assert_string_equal(command->tty, "");
	assert_int_equal(command->rows, 24);
	*text = strdup("words");
	*len = 5;
	return 0;
}

void balloon_set_target(struct virtio_device *vdev, uint64_t bytes)
{
	(void)vdev;
	fake.balloon_bytes = bytes;
}

int balloon_request_stats(struct virtio_device *vdev, int notify_fd)
{
	(void)vdev;
	fake.stat_fd = notify_fd;
	fake.nr_stat_requests++;
	return fake.no_driver ? -ENOTCONN : 0;
}

struct balloon_stats balloon_get_stats(struct virtio_device *vdev)
{
	(void)vdev;
	return (struct balloon_stats){
		.target = fake.balloon_bytes,
		.actual = 4096,
		.when_ns = fake.stat_when_ns,
		.known = {[4] = true, [5] = true},
		.value = {[3] = 3, [4] = 4444, [5] = 5555},
	};
}

/* --- the server --- */

static void *serve(void *arg)
{
	loop_run(fake.vm.loop);
	return arg;
}

static void start_server(void)
{
	assert_int_equal(pthread_create(&fake.thread, NULL, serve, NULL), 0);
}

static void stop_server(void)
{
	loop_quit(fake.vm.loop);
	pthread_join(fake.thread, NULL);
}

/* The VM is gone: the server stops, and its socket with it. */
static void end_vm(void)
{
	if (!fake.control)
		return;
	stop_server();
	control_destroy(fake.control);
	fake.control = NULL;
}

static int setup(void **state)
{
	static struct vcpu vcpus[4] = {{.id = 0}, {.id = 1}, {.id = 2}, {.id = 3}};

	(void)state;
	memcpy(strrchr(base, '-') + 1, "XXXXXX", 6);
	if (!mkdtemp(base))
		return -1;
	setenv("LKVM_RUN_DIR", base, 1);
	snprintf(sock, sizeof(sock), "%s/vm.sock", base);
	memset(&fake, 0, sizeof(fake));
	fake.cfg = (struct vm_config){.name = "vm", .nr_cpus = 4, .ram_size = 256 * MIB};
	fake.console_fd = fake.exec_fd = -1;
	fake.nmi = -1;
	fake.vm.cfg = &fake.cfg;
	fake.vm.vcpu = vcpus;
	fake.vm.nr_vcpus = 4;
	fake.vm.state = VM_RUNNING;
	fake.vm.start_ns = now_ns() - 7 * 1000000000ULL;
	fake.vm.console = (struct chardev *)&fake;
	fake.vm.loop = loop_create();
	fake.control = control_create(&fake.vm, fake.vm.loop, "vm");
	if (!fake.control)
		return -1;
	start_server();
	return 0;
}

static int teardown(void **state)
{
	char cmd[300];

	(void)state;
	end_vm();
	loop_destroy(fake.vm.loop);
	if (fake.console_fd >= 0)
		close(fake.console_fd);
	snprintf(cmd, sizeof(cmd), "rm -r %s", base);
	return system(cmd);
}

/* --- a client without manners --- */

static int dial(void)
{
	int fd = instance_connect("vm");
	const struct timeval patience = {.tv_sec = 10};

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void say_n(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void say(int fd, const char *text)
{
	say_n(fd, text, strlen(text));
}

/* One reply; NULL at the end of file. */
static json_t *hear(int fd)
{
	static char line[16 * MIB];
	size_t len = 0;
	json_t *reply;

	do {
		ssize_t n = recv(fd, line + len, 65536, MSG_PEEK);
		char *newline = n > 0 ? memchr(line + len, '\n', (size_t)n) : NULL;

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return NULL;
		assert_true(n > 0);
		n = newline ? newline + 1 - (line + len) : n;
		assert_int_equal(recv(fd, line + len, (size_t)n, 0), n);
		len += (size_t)n;
	} while (line[len - 1] != '\n');
	reply = json_loadb(line, len, 0, NULL);
	assert_non_null(reply);
	assert_int_equal(json_integer_value(json_object_get(reply, "version")), 1);
	assert_non_null(json_object_get(reply, "id"));
	return reply;
}

static void hear_ok(int fd)
{
	json_t *reply = hear(fd);

	assert_non_null(reply);
	assert_string_equal(json_string_value(json_object_get(reply, "status")), "ok");
	assert_true(json_is_object(json_object_get(reply, "result")));
	json_decref(reply);
}

/* An error with these words in it. */
static void hear_error(int fd, const char *words)
{
	json_t *reply = hear(fd);
	const char *text;

	assert_non_null(reply);
	assert_string_equal(json_string_value(json_object_get(reply, "status")), "error");
	text = json_string_value(json_object_get(reply, "error"));
	assert_non_null(text);
	if (!strstr(text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, text);
	json_decref(reply);
}

static void hear_eof(int fd)
{
	assert_null(hear(fd));
	close(fd);
}

static void assert_alive(void)
{
	int fd = dial();

	say(fd, "{\"command\":\"status\"}\n");
	hear_ok(fd);
	close(fd);
}

/* --- requests --- */

static void test_status(void **state)
{
	int fd = dial();
	const char *id, *name, *st;
	int pid, cpus, uptime;
	json_int_t memory;
	json_t *reply;

	(void)state;
	say(fd, "{\"version\":1,\"id\":\"a\\u00e4\",\"command\":\"status\",\"arguments\":{}}\n");
	reply = hear(fd);
	assert_int_equal(json_unpack(reply, "{s:s, s:{s:s, s:i, s:s, s:i, s:I, s:i !}}", "id", &id,
				     "result", "name", &name, "pid", &pid, "state", &st, "cpus",
				     &cpus, "memory", &memory, "uptime", &uptime),
			 0);
	assert_string_equal(id, "a\xc3\xa4");
	assert_string_equal(name, "vm");
	assert_int_equal(pid, getpid());
	assert_string_equal(st, "running");
	assert_int_equal(cpus, 4);
	assert_int_equal(memory, 256 * MIB);
	assert_in_range(uptime, 7, 60);
	json_decref(reply);
	close(fd);
}

/* Each is refused by itself, and the connection is as good as before. */
static void test_bad_requests(void **state)
{
	static const struct {
		const char *request, *words;
	} bad[] = {
		{"\n", "malformed JSON"},
		{"hello\n", "malformed JSON"},
		{"{\"command\":\"status\"\n", "malformed JSON"},
		{"{\"command\":\"status\"} {}\n", "malformed JSON"},
		{"{\"command\":\"status\",\"command\":\"stop\"}\n", "malformed JSON"},
		{"{\"command\":\"st\xff\"}\n", "malformed JSON"},
		{"[]\n", "request: "},
		{"{}\n", "command"},
		{"{\"command\":1}\n", "request: "},
		{"{\"comand\":\"status\"}\n", "command"},
		{"{\"command\":\"status\",\"force\":true}\n", "force"},
		{"{\"command\":\"halt\"}\n", "unknown command 'halt'"},
		{"{\"command\":\"\\u00e4\"}\n", "unknown command '?"
						"?'"},
		{"{\"version\":2,\"command\":\"status\"}\n", "version 2"},
		{"{\"version\":4294967297,\"command\":\"status\"}\n", "version 4294967297"},
		{"{\"version\":\"1\",\"command\":\"status\"}\n", "request: "},
		{"{\"command\":\"status\",\"arguments\":[]}\n", "arguments: "},
		{"{\"command\":\"status\",\"arguments\":null}\n", "arguments: "},
		{"{\"command\":\"status\",\"arguments\":{\"x\":1}}\n", "x"},
		{"{\"command\":\"stop\",\"arguments\":{\"froce\":true}}\n", "froce"},
		{"{\"command\":\"stop\",\"arguments\":{\"force\":1}}\n", "arguments: "},
		{"{\"command\":\"stop\",\"arguments\":{\"timeout\":-1}}\n", "timeout"},
		{"{\"command\":\"stop\",\"arguments\":{\"timeout\":1e300}}\n", "timeout"},
		{"{\"command\":\"stop\",\"arguments\":{\"timeout\":\"5\"}}\n", "arguments: "},
		{"{\"command\":\"nmi\"}\n", "cpu"},
		{"{\"command\":\"nmi\",\"arguments\":{\"cpu\":4}}\n", "no cpu 4"},
		{"{\"command\":\"nmi\",\"arguments\":{\"cpu\":-1}}\n", "no cpu -1"},
		{"{\"command\":\"nmi\",\"arguments\":{\"cpu\":4294967297}}\n", "no cpu 429"},
		{"{\"command\":\"sysrq\",\"arguments\":{\"key\":\"\"}}\n", "one ASCII"},
		{"{\"command\":\"sysrq\",\"arguments\":{\"key\":\"ab\"}}\n", "one ASCII"},
		{"{\"command\":\"sysrq\",\"arguments\":{\"key\":\"\\u00e4\"}}\n", "one ASCII"},
	};
	int fd = dial();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		say(fd, bad[i].request);
		hear_error(fd, bad[i].words);
	}
	say_n(fd, "{\"command\":\"status\"\0}\n", 22);
	hear_error(fd, "malformed JSON");
	say(fd, "{\"command\":\"status\"}\n");
	hear_ok(fd);
	close(fd);
	assert_int_equal(fake.vm.outcome, VM_OUTCOME_NONE);
	assert_int_equal(fake.powerdowns, 0);
	assert_int_equal(fake.nmi, -1);
	assert_int_equal(fake.sysrq, 0);
}

/* The id comes back even with what is refused, as soon as there is an object to take it from. */
static void test_id(void **state)
{
	int fd = dial();
	json_t *reply;

	(void)state;
	say(fd, "{\"id\":{\"a\":[1,2]},\"command\":\"no such\"}\n");
	reply = hear(fd);
	assert_int_equal(json_array_size(json_object_get(json_object_get(reply, "id"), "a")), 2);
	json_decref(reply);
	say(fd, "{\"id\":17}\n");
	reply = hear(fd);
	assert_int_equal(json_integer_value(json_object_get(reply, "id")), 17);
	json_decref(reply);
	say(fd, "{\"command\":\"status\"}\n");
	reply = hear(fd);
	assert_true(json_is_null(json_object_get(reply, "id")));
	json_decref(reply);
	close(fd);
}

static void test_pause_and_debug(void **state)
{
	int fd = dial();
	json_t *reply;
	const char *text;

	(void)state;
	say(fd, "{\"command\":\"dump\"}\n");
	reply = hear(fd);
	assert_int_equal(json_unpack(reply, "{s:{s:s}}", "result", "text", &text), 0);
	assert_string_equal(text, "vcpu 0\nvcpu 1\nvcpu 2\nvcpu 3\n");
	json_decref(reply);
	assert_int_equal(fake.nr_pauses, 1);
	assert_int_equal(fake.nr_resumes, 1);

	say(fd, "{\"command\":\"pause\"}\n{\"command\":\"dump\"}\n");
	hear_ok(fd);
	hear_ok(fd);
	assert_int_equal(fake.vm.state, VM_PAUSED);
	assert_int_equal(fake.nr_resumes, 1); /* the dump does not wake a VM that was asleep */
	say(fd, "{\"command\":\"resume\"}\n");
	hear_ok(fd);
	assert_int_equal(fake.vm.state, VM_RUNNING);

	say(fd, "{\"command\":\"nmi\",\"arguments\":{\"cpu\":3}}\n");
	hear_ok(fd);
	assert_int_equal(fake.nmi, 3);
	say(fd, "{\"command\":\"nmi\",\"arguments\":{\"cpu\":0}}\n");
	hear_error(fd, strerror(ENOTSUP));
	say(fd, "{\"command\":\"sysrq\",\"arguments\":{\"key\":\"b\"}}\n");
	hear_ok(fd);
	assert_int_equal(fake.sysrq, 'b');

	fake.vm.state = VM_STOPPING;
	say(fd, "{\"command\":\"pause\"}\n{\"command\":\"dump\"}\n{\"command\":\"status\"}\n");
	hear_error(fd, "stopping");
	hear_error(fd, "stopping");
	hear_ok(fd);
	close(fd);
}

/* --- lines --- */

static void test_pieces(void **state)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	int fd = dial(), other = dial();

	(void)state;
	say(other, "{\"comm"); /* and nothing more */
	for (const char *c = request; *c; c++) {
		say_n(fd, c, 1);
		if (c - request < 3)
			assert_alive();
	}
	hear_ok(fd);
	say(fd, "{\"command\":\"status\"}\n{\"command\":\"no\"}\n\n{\"command\":\"status\"}\r\n");
	hear_ok(fd);
	hear_error(fd, "unknown command");
	hear_error(fd, "malformed");
	hear_ok(fd);

	/* The end of the input ends the line, and what is not answered yet is. */
	say(fd, "{\"command\":\"status\"}\n{\"command\":\"status\"}");
	shutdown(fd, SHUT_WR);
	hear_ok(fd);
	hear_ok(fd);
	hear_eof(fd);
	close(other);
}

static void test_too_long(void **state)
{
	static char line[CONTROL_MAX_LINE];
	int fd = dial();

	(void)state;
	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"command\":\"status\"}", 20);
	line[CONTROL_MAX_LINE - 1] = '\n';
	say_n(fd, line, CONTROL_MAX_LINE);
	hear_ok(fd);

	line[CONTROL_MAX_LINE - 1] = ' ';
	say_n(fd, line, sizeof(line));
	hear_error(fd, "too long");
	hear_eof(fd);
	assert_alive();
}

static void test_deep_nesting(void **state)
{
	static char line[CONTROL_MAX_LINE];
	int fd = dial();

	(void)state;
	memset(line, '[', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	say_n(fd, line, sizeof(line));
	hear_error(fd, "malformed");
	/* As deep as the parser lets it be, and echoed. */
	memset(line, '[', 2000);
	memcpy(line, "{\"id\":", 6);
	memset(line + 2000, ']', 2000 - 6);
	strcpy(line + 4000 - 6, ",\"command\":\"status\"}\n");
	say(fd, line);
	hear_ok(fd);
	close(fd);
}

/* --- clients --- */

/* A reply that does not fit the socket's buffer, to somebody who is not there any more. */
static void test_vanishing(void **state)
{
	(void)state;
	fake.dump_size = 128 * KIB;
	for (int i = 0; i < 20; i++) {
		int fd = dial();

		say(fd, "{\"command\":\"dump\"}\n");
		if (i & 1) {
			char c;

			assert_int_equal(recv(fd, &c, 1, 0), 1);
		}
		close(fd);
	}
	assert_alive();
}

/* Who does not read is not served further, and nobody else waits for him. */
static void test_slow_reader(void **state)
{
	enum { REQUESTS = 20 };
	int fd = dial();

	(void)state;
	fake.dump_size = 80 * KIB;
	for (int i = 0; i < REQUESTS; i++)
		say(fd, "{\"command\":\"dump\"}\n");
	for (int i = 0; i < 10; i++)
		assert_alive();
	assert_true(fake.nr_pauses < REQUESTS / 2);
	for (int i = 0; i < REQUESTS; i++)
		hear_ok(fd);
	close(fd);
}

static void test_flood(void **state)
{
	int fd = dial(), nr = 0, replies = 0;
	struct pollfd pfd = {.fd = fd, .events = POLLIN | POLLOUT};
	static char chunk[65536];

	(void)state;
	while (replies < 5000) {
		assert_true(poll(&pfd, 1, 10000) > 0);
		if (pfd.revents & POLLOUT && nr < 5000)
			nr += send(fd, "x\n", 2, MSG_DONTWAIT | MSG_NOSIGNAL) == 2;
		if (pfd.revents & POLLIN) {
			ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

			assert_true(n > 0);
			for (ssize_t i = 0; i < n; i++)
				replies += chunk[i] == '\n';
		}
		if (nr % 1000 == 0)
			assert_alive();
	}
	close(fd);
}

static void test_many_silent(void **state)
{
	int fd[CONTROL_MAX_CLIENTS], extra;

	(void)state;
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		fd[i] = dial();
		say(fd[i], "{\"command\":\"status\"}\n");
		hear_ok(fd[i]);
	}
	for (int i = 0; i < 40; i++) {
		extra = dial();
		hear_error(extra, "too many clients");
		hear_eof(extra);
	}
	/* One who vanishes makes room. */
	close(fd[5]);
	usleep(100000); /* the server may hear of a new client before the end of an old one */
	fd[5] = dial();
	say(fd[5], "{\"command\":\"status\"}\n");
	hear_ok(fd[5]);

	/* So does one that has been silent for long: the one that was for longest. */
	stop_server();
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		fake.control->conn[i]->active_ns -= CONTROL_IDLE_NS * (i == 17 ? 2 : 1);
	start_server();
	extra = dial();
	say(extra, "{\"command\":\"status\"}\n");
	hear_ok(extra);
	stop_server();
	assert_int_equal(now_ns() - fake.control->conn[17]->active_ns < CONTROL_IDLE_NS, 1);
	start_server();
	close(extra);
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		close(fd[i]);
	assert_alive();
}

static void test_no_fd_left(void **state)
{
	struct rlimit old, tight;
	static int filler[4096];
	int nr = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)state;
	/* No client before: the server closes its end when it likes, and that frees an fd. */
	strcpy(addr.sun_path, sock);
	getrlimit(RLIMIT_NOFILE, &old);
	tight = (struct rlimit){256, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &tight);
	while ((filler[nr] = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		nr++;
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	hear_error(fd, "file descriptor");
	while (nr)
		close(filler[--nr]);
	hear_eof(fd);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_alive();
}

static void test_other_user(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(base, 0711), 0);
	assert_int_equal(chmod(sock, 0666), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (setresuid(65534, 65534, 65534))
			_exit(2);
		fd = dial();
		hear_error(fd, "permission denied");
		hear_eof(fd);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_alive();

	/* root, however, may talk to everybody's VMs */
	stop_server();
	fake.control->uid = 65534;
	start_server();
	assert_alive();
}

/* --- stop and console --- */

static void test_stop(void **state)
{
	int polite = dial(), hasty = dial(), half = dial(), silent = dial();
	struct pollfd pfd = {.fd = polite, .events = POLLIN};

	(void)state;
	say(polite, "{\"command\":\"stop\"}\n");
	hear_ok(polite);
	assert_int_equal(fake.powerdowns, 1);
	assert_int_equal(fake.timeout_ns, 30000000000);
	assert_int_equal(fake.vm.outcome, VM_OUTCOME_NONE);
	say(half, "{\"command\":\"stop\",\"arguments\":{\"timeout\":1.5}}\n");
	shutdown(half, SHUT_WR);
	hear_ok(half);
	assert_int_equal(fake.timeout_ns, 1500000000);
	say(hasty, "{\"command\":\"stop\",\"arguments\":{\"force\":true}}\n");
	hear_ok(hasty);
	assert_int_equal(fake.powerdowns, 2);
	assert_int_equal(fake.vm.outcome, VM_OUTCOME_STOPPED);

	/* Nobody sees the end before it comes. */
	assert_int_equal(poll(&pfd, 1, 50), 0);
	pfd.fd = half;
	assert_int_equal(poll(&pfd, 1, 50), 0);
	end_vm();
	assert_int_not_equal(access(sock, F_OK), 0);
	hear_eof(polite);
	hear_eof(half);
	hear_eof(hasty);
	hear_eof(silent);
}

static void test_stop_at_once(void **state)
{
	int fd = dial();

	(void)state;
	say(fd, "{\"command\":\"stop\",\"arguments\":{\"timeout\":0}}\n");
	hear_ok(fd);
	assert_int_equal(fake.powerdowns, 0);
	assert_int_equal(fake.vm.outcome, VM_OUTCOME_STOPPED);
	close(fd);
}

static void test_exec(void **state)
{
	static const char ask[] =
		"{\"command\":\"exec\",\"arguments\":{\"command\":[\"ls\",\"-l\"],"
		"\"tty\":true,\"rows\":24,\"cols\":80%s}}\n%s";
	char line[300], buf[16] = "";
	int fd = dial();

	(void)state;
	snprintf(line, sizeof(line), ask, "", "");
	say(fd, line);
	hear_error(fd, "an init of its own");
	stop_server();
	fake.vm.agent = (struct agent *)&fake;
	start_server();
	snprintf(line, sizeof(line), ask, ",\"user\":\"nobody\"", "");
	say(fd, line);
	hear_error(fd, "no user 'nobody'");
	say(fd, "{\"command\":\"exec\",\"arguments\":{\"command\":[1]}}\n");
	hear_error(fd, "wants strings");
	/* What comes right behind the request is the command's already. */
	snprintf(line, sizeof(line), ask, "", "frames");
	say(fd, line);
	hear_ok(fd);
	for (int i = 0; fake.exec_fd < 0 && i < 10000; i++)
		usleep(1000);
	assert_true(fake.exec_fd >= 0);
	assert_int_equal(recv(fake.exec_fd, buf, sizeof(buf), 0), 6);
	assert_string_equal(buf, "frames");
	close(fake.exec_fd);
	hear_eof(fd);
	assert_alive();
}

/* Who waits hears of the end, and how it was; others are served meanwhile. */
static void test_wait(void **state)
{
	int fd = dial(), gone = dial();
	json_t *reply;

	(void)state;
	say(fd, "{\"command\":\"wait\",\"id\":5}\n");
	say(gone, "{\"command\":\"wait\"}\n");
	close(gone);
	assert_alive();
	stop_server();
	control_set_exit_status(fake.control, 42, true);
	control_destroy(fake.control);
	fake.control = NULL;
	reply = hear(fd);
	assert_int_equal(json_integer_value(json_object_get(reply, "id")), 5);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(reply, "result"), "status")),
		42);
	json_decref(reply);
	hear_eof(fd);
	assert_int_equal(instance_take_status("vm"), -ENOENT);
}

/* With nobody there, it waits for who comes; a new VM of that name has another one. */
static void test_late_wait(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		stop_server();
		control_set_exit_status(fake.control, 43, true);
		control_destroy(fake.control);
		if (i == 0)
			assert_int_equal(instance_take_status("vm"), 43);
		fake.control = control_create(&fake.vm, fake.vm.loop, "vm");
		assert_non_null(fake.control);
		start_server();
		assert_int_equal(instance_take_status("vm"), -ENOENT);
	}
}

static void test_console(void **state)
{
	int fd = dial();
	char buf[16] = "";

	(void)state;
	/* What comes right behind the request is the guest's already. */
	say(fd, "{\"command\":\"console\"}\nls\nexit\n");
	hear_ok(fd);
	for (int i = 0; fake.console_fd < 0 && i < 1000; i++)
		usleep(1000);
	assert_true(fake.console_fd >= 0);
	assert_int_equal(recv(fake.console_fd, buf, sizeof(buf), 0), 8);
	assert_string_equal(buf, "ls\nexit\n");
	say(fake.console_fd, "$ ");
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 2);
	close(fd);
	assert_alive();

	stop_server();
	fake.vm.console = NULL;
	start_server();
	fd = dial();
	say(fd, "{\"command\":\"console\"}\n");
	hear_error(fd, "no console");
	close(fd);
}

/* --- links --- */

static void say_link(int fd, const char *arguments)
{
	char line[100];

	snprintf(line, sizeof(line), "{\"command\":\"link\",\"arguments\":{%s}}\n", arguments);
	say(fd, line);
}

/* The first of three NICs is "none". */
static void test_link(void **state)
{
	int fd = dial();

	(void)state;
	say_link(fd, "\"up\":false");
	hear_error(fd, "the VM has no NIC");
	fake.cfg.nr_nics = 3;
	for (unsigned int i = 1; i < 3; i++) {
		fake.vm.nic[i] = (struct net_backend *)&fake;
		fake.vm.net[i] = (struct virtio_device *)&fake.vm.net[i];
		fake.link_up[i] = true;
	}
	say_link(fd, "\"up\":false,\"nic\":1");
	hear_ok(fd);
	assert_false(fake.link_up[1]);
	assert_true(fake.link_up[2]);
	say_link(fd, "\"up\":false");
	hear_ok(fd);
	assert_false(fake.link_up[2]);
	assert_true(fake.vm.link_down[2]); /* after a reboot, too */
	say_link(fd, "\"up\":true,\"nic\":2");
	hear_ok(fd);
	assert_true(fake.link_up[2]);
	assert_false(fake.vm.link_down[2]);
	for (unsigned int i = 0; i < 3; i++) {
		static const char *const wrong[] = {
			"\"up\":true,\"nic\":0", "\"up\":true,\"nic\":3", "\"up\":true,\"nic\":-2"};

		say_link(fd, wrong[i]);
		hear_error(fd, "there is no NIC");
	}
	say_link(fd, "\"nic\":1");
	hear_error(fd, "arguments: ");
	assert_false(fake.link_up[1]);
	close(fd);
}

/* --- the balloon --- */

static const char say_stat[] = "{\"id\":7,\"command\":\"stat\"}\n";

static void say_change(int fd, long long change)
{
	char line[100];

	snprintf(line, sizeof(line), "{\"command\":\"balloon\",\"arguments\":{\"change\":%lld}}\n",
		 change);
	say(fd, line);
}

static void test_balloon(void **state)
{
	int fd = dial();

	(void)state;
	say_change(fd, MIB);
	hear_error(fd, "the VM has no balloon");
	fake.vm.balloon = (struct virtio_device *)&fake;
	say_change(fd, 100 * MIB);
	hear_ok(fd);
	say_change(fd, -30 * (long long)MIB);
	hear_ok(fd);
	assert_int_equal(fake.balloon_bytes, 70 * MIB);
	say_change(fd, -71 * (long long)MIB);
	hear_error(fd, "no more than 70 MiB");
	say_change(fd, 187 * MIB);
	hear_error(fd, "larger than the VM's 256 MiB");
	say_change(fd, INT64_MAX);
	hear_error(fd, "larger than");
	say_change(fd, INT64_MIN);
	hear_error(fd, "no more than");
	say(fd, "{\"command\":\"balloon\",\"arguments\":{\"change\":1.5}}\n");
	hear_error(fd, "arguments: ");
	assert_int_equal(fake.balloon_bytes, 70 * MIB);
	close(fd);
}

static void test_stat_refused(void **state)
{
	int fd = dial();

	(void)state;
	say(fd, say_stat);
	hear_error(fd, "the VM has no balloon");
	fake.vm.balloon = (struct virtio_device *)&fake;
	fake.no_driver = true;
	say(fd, say_stat);
	hear_error(fd, "no balloon driver");
	fake.vm.state = VM_PAUSED;
	say(fd, say_stat);
	hear_error(fd, "paused");
	close(fd);
}

/* The guest answers late: meanwhile others are served, and some who asked have gone. */
static void test_stat(void **state)
{
	int fd[10], total, free_bytes, id;
	json_t *reply;

	(void)state;
	fake.vm.balloon = (struct virtio_device *)&fake;
	fake.stat_when_ns = now_ns(); /* what it told before is no answer */
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = dial();
		say(fd[i], say_stat);
		say(fd[i], "{\"command\":\"status\"}\n");
	}
	while (fake.nr_stat_requests < (int)ARRAY_SIZE(fd))
		assert_alive();
	for (size_t i = 0; i < 5; i++)
		close(fd[i]);
	assert_int_equal(recv(fd[5], &id, 1, MSG_DONTWAIT), -1);
	fake.stat_when_ns = now_ns();
	eventfd_write(fake.stat_fd, 1);
	for (size_t i = 5; i < ARRAY_SIZE(fd); i++) {
		reply = hear(fd[i]);
		assert_int_equal(json_unpack(reply, "{s:i, s:{s:i, s:i, s:i, s:i !}}", "id", &id,
					     "result", "total", &total, "free", &free_bytes,
					     "balloon_target", &id, "balloon_actual", &id),
				 0);
		assert_int_equal(json_integer_value(json_object_get(reply, "id")), 7);
		assert_int_equal(total, 5555);
		assert_int_equal(free_bytes, 4444);
		json_decref(reply);
		hear_ok(fd[i]); /* what it asked behind that */
		close(fd[i]);
	}
	assert_alive();
}

/* Whoever asks in between, after five seconds those who wait are told that nothing came. */
static void test_stat_no_answer(void **state)
{
	int fd = dial(), other = dial();
	uint64_t start = now_ns();

	(void)state;
	fake.vm.balloon = (struct virtio_device *)&fake;
	say(fd, say_stat);
	usleep(300000);
	say(other, say_stat);
	hear_error(fd, "does not answer");
	assert_in_range(now_ns() - start, CONTROL_STAT_NS, CONTROL_STAT_NS + 2000000000);
	say(fd, say_stat);
	hear_error(other, "does not answer");
	fake.stat_when_ns = now_ns();
	eventfd_write(fake.stat_fd, 1);
	hear_ok(fd);
	say(fd, say_stat); /* and the VM ends while it waits */
	while (fake.nr_stat_requests < 4)
		usleep(1000);
	end_vm();
	hear_eof(fd);
	hear_eof(other);
}

/* --- the client's end --- */

static uint64_t in_ms(unsigned int ms)
{
	return now_ns() + ms * 1000000ULL;
}

static void test_client(void **state)
{
	struct control_peer peer;
	json_t *result;

	(void)state;
	assert_int_equal(control_open(&peer, "nobody"), -ENOENT);
	control_close(&peer);
	assert_int_equal(control_open(&peer, "vm"), 0);
	assert_string_equal(peer.name, "vm");
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(control_receive(&peer, &result, in_ms(20)), -ETIMEDOUT);

	assert_int_equal(control_send(&peer, "status", NULL), 0);
	assert_int_equal(control_send(&peer, "nonsense", NULL), 0);
	assert_int_equal(control_receive(&peer, &result, in_ms(5000)), 0);
	assert_string_equal(json_string_value(json_object_get(result, "name")), "vm");
	json_decref(result);
	assert_int_equal(control_receive(&peer, &result, in_ms(5000)), -EREMOTEIO);
	assert_string_equal(json_string_value(result), "unknown command 'nonsense'");
	json_decref(result);

	fake.dump_size = MIB;
	assert_int_equal(control_send(&peer, "dump", NULL), 0);
	assert_int_equal(control_receive(&peer, &result, in_ms(20000)), 0);
	assert_int_equal(json_string_length(json_object_get(result, "text")), 4 * (MIB + 7));
	json_decref(result);

	assert_int_equal(control_wait_gone(&peer, in_ms(20)), -ETIMEDOUT);
	end_vm();
	/* The socket has ended, but the process, which is us, has not. */
	assert_int_equal(control_wait_gone(&peer, in_ms(20)), -ETIMEDOUT);
	assert_int_equal(control_receive(&peer, &result, in_ms(20)), -ECONNRESET);
	assert_int_equal(control_send(&peer, "status", NULL), -ECONNRESET);
	control_close(&peer);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_status),
		TEST(test_bad_requests),
		TEST(test_id),
		TEST(test_pause_and_debug),
		TEST(test_pieces),
		TEST(test_too_long),
		TEST(test_deep_nesting),
		TEST(test_vanishing),
		TEST(test_slow_reader),
		TEST(test_flood),
		TEST(test_many_silent),
		TEST(test_no_fd_left),
		TEST(test_other_user),
		TEST(test_stop),
		TEST(test_stop_at_once),
		TEST(test_console),
		TEST(test_exec),
		TEST(test_wait),
		TEST(test_late_wait),
		TEST(test_client),
		TEST(test_balloon),
		TEST(test_link),
		TEST(test_stat_refused),
		TEST(test_stat),
		TEST(test_stat_no_answer),
	};

	signal(SIGPIPE, SIG_DFL); /* a server that forgot MSG_NOSIGNAL dies here */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
