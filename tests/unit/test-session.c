// SPDX-License-Identifier: GPL-2.0-or-later
/* links: rootfs/frame.c util/loop.c util/util.c util/log.c */
/* The guest's init is the test: what would be sent to it is kept, what it says is made up. */
#include "../../rootfs/session.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct {
	struct loop *loop;
	struct sessions *sessions;
	unsigned int nr, type, session;
	size_t room, len;
	char data[GUEST_MAX_FRAME];
} fake;

int agent_send(struct agent *agent, unsigned int type, unsigned int session, const void *data,
	       size_t len)
{
	(void)agent;
	if (fake.room < len)
		return -EAGAIN;
	fake.nr++;
	fake.type = type;
	fake.session = session;
	fake.len = len;
	memcpy(fake.data, data, len);
	return 0;
}

size_t agent_room(const struct agent *agent)
{
	(void)agent;
	return fake.room;
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.room = 4 * GUEST_MAX_FRAME;
	fake.loop = loop_create();
	fake.sessions = sessions_create(NULL, fake.loop);
	return fake.loop && fake.sessions ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	sessions_destroy(fake.sessions);
	loop_destroy(fake.loop);
	return 0;
}

static void quit(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	loop_quit(fake.loop);
}

/* All that is due now; the timer comes after it. */
static void turn(void)
{
	struct loop_source *timer = loop_add_timer(fake.loop, quit, NULL);

	loop_arm_timer(timer, 20000000);
	assert_int_equal(loop_run(fake.loop), 0);
	loop_remove(timer);
}

static int add(bool begin)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(sessions_add(fake.sessions, "conf", 4, fds[1], begin), 0);
	return fds[0];
}

static void client_says(int fd, unsigned int type, const char *data, unsigned int len)
{
	const struct guest_frame head = {.type = (unsigned short)type, .session = 99, .len = len};

	assert_int_equal(send(fd, &head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

static void guest_says(unsigned int type, unsigned int session, const char *data, unsigned int len)
{
	static struct frame_reader frame;

	frame.head = (struct guest_frame){(unsigned short)type, (unsigned short)session, len};
	memcpy(frame.data, data, len);
	sessions_frame(fake.sessions, &frame);
}

/* The next frame that the client gets; -EPIPE: the end. */
static int client_hears(int fd, struct frame_reader *frame)
{
	int got = 0;

	for (int i = 0; i < 1000 && got == 0; i++)
		got = frame_read(frame, fd);
	return got;
}

static void test_life(void **state)
{
	static struct frame_reader frame;
	int fd = add(true);
	unsigned int id = fake.session, status = 42;

	(void)state;
	assert_int_equal(fake.type, GUEST_EXEC);
	assert_memory_equal(fake.data, "conf", 4);
	/* The session's number is ours to give, not the client's. */
	client_says(fd, GUEST_STDIN, "hello", 5);
	turn();
	assert_int_equal(fake.type, GUEST_STDIN);
	assert_int_equal(fake.session, id);
	assert_int_equal(fake.len, 5);
	/* What would end the machine is not a client's to say. */
	client_says(fd, GUEST_POWEROFF, "", 0);
	turn();
	assert_int_equal(fake.nr, 2);
	guest_says(GUEST_STDOUT, id, "out", 3);
	guest_says(GUEST_EXITED, id, (char *)&status, sizeof(status));
	assert_int_equal(client_hears(fd, &frame), 1);
	assert_int_equal(frame.head.type, GUEST_STDOUT);
	assert_memory_equal(frame.data, "out", 3);
	assert_int_equal(client_hears(fd, &frame), 1);
	assert_int_equal(frame.head.type, GUEST_EXITED);
	assert_int_equal(frame_number(&frame), 42);
	assert_int_equal(client_hears(fd, &frame), -EPIPE);
	guest_says(GUEST_STDOUT, id, "late", 4);
	close(fd);
}

static void test_early(void **state)
{
	int fd = add(false), gone = add(false);

	(void)state;
	close(gone);
	turn();
	assert_int_equal(fake.nr, 0);
	sessions_begin(fake.sessions);
	assert_int_equal(fake.nr, 1);
	assert_int_equal(fake.type, GUEST_EXEC);
	close(fd);
}

/* A client that goes: the guest is told, and its number is not given away before it knows. */
static void test_hang_up(void **state)
{
	unsigned int first, status = 0;
	int fd[GUEST_MAX_SESSIONS], more[2];

	(void)state;
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
		fd[i] = add(true);
	first = fake.session;
	close(fd[GUEST_MAX_SESSIONS - 1]);
	turn();
	assert_int_equal(fake.type, GUEST_HANGUP);
	assert_int_equal(fake.session, first);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, more), 0);
	assert_int_equal(sessions_add(fake.sessions, "conf", 4, more[1], true), -EBUSY);
	close(more[0]);
	guest_says(GUEST_STDOUT, first, "late", 4);
	guest_says(GUEST_EXITED, first, (char *)&status, sizeof(status));
	fd[GUEST_MAX_SESSIONS - 1] = add(true);
	assert_int_not_equal(fake.session, first);
	for (int i = 0; i < GUEST_MAX_SESSIONS; i++)
		close(fd[i]);
}

/* A guest that ignores credit loses the session, and lkvm no memory. */
static void test_hostile_guest(void **state)
{
	static char data[GUEST_MAX_FRAME];
	int fd = add(true);
	unsigned int id = fake.session;

	(void)state;
	for (int i = 0; i < 100; i++)
		guest_says(GUEST_STDOUT, id, data, sizeof(data));
	assert_int_equal(fake.type, GUEST_HANGUP);
	guest_says(GUEST_STDOUT, id + 1, data, sizeof(data));
	guest_says(GUEST_STARTED, 0, "", 0);
	close(fd);
}

/* What the guest does not take stays with the client. */
static void test_no_room(void **state)
{
	int fd = add(true);

	(void)state;
	fake.room = GUEST_MAX_FRAME;
	sessions_room(fake.sessions);
	client_says(fd, GUEST_STDIN, "hello", 5);
	turn();
	assert_int_equal(fake.nr, 1);
	fake.room = 4 * GUEST_MAX_FRAME;
	sessions_room(fake.sessions);
	turn();
	assert_int_equal(fake.nr, 2);
	assert_int_equal(fake.len, 5);
	close(fd);
}

static void test_frames(void **state)
{
	struct guest_frame head = {.type = GUEST_STDIN, .len = GUEST_MAX_FRAME + 1};
	static struct frame_reader reader;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(frame_read(&reader, fds[1]), 0);
	head.len = 1;
	assert_int_equal(write(fds[0], &head, sizeof(head)), sizeof(head));
	assert_int_equal(frame_read(&reader, fds[1]), 0);
	assert_int_equal(write(fds[0], "x", 1), 1);
	assert_int_equal(frame_read(&reader, fds[1]), 1);
	assert_int_equal(frame_number(&reader), 0);
	head.len = GUEST_MAX_FRAME + 1;
	assert_int_equal(write(fds[0], &head, sizeof(head)), sizeof(head));
	assert_int_equal(frame_read(&reader, fds[1]), -EPROTO);
	close(fds[0]);
	close(fds[1]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life),	  TEST(test_early),   TEST(test_hang_up),
		TEST(test_hostile_guest), TEST(test_no_room), TEST(test_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
