// SPDX-License-Identifier: GPL-2.0-or-later
/* links: rootfs/frame.c util/loop.c util/util.c util/log.c */
/* When a command's VM ends, and with what status. The guest's init is the test. */
#include "../../rootfs/agent.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct vm_config cfg;
static struct vm vm;
static struct agent *agent;
static unsigned int nr_ends;

void vm_end(struct vm *ended, enum vm_outcome outcome)
{
	assert_ptr_equal(ended, &vm);
	assert_int_equal(outcome, VM_OUTCOME_POWEROFF);
	nr_ends++;
}

/* --- no further commands here --- */

struct sessions *sessions_create(struct agent *of, struct loop *loop)
{
	(void)of;
	return (struct sessions *)loop;
}

void sessions_destroy(struct sessions *all)
{
	(void)all;
}

void sessions_begin(struct sessions *all)
{
	(void)all;
}

void sessions_room(struct sessions *all)
{
	(void)all;
}

void sessions_frame(struct sessions *all, const struct frame_reader *frame)
{
	(void)all;
	(void)frame;
}

int sessions_add(struct sessions *all, const char *conf, size_t len, int fd, bool begin)
{
	(void)all;
	(void)conf;
	(void)len;
	(void)fd;
	(void)begin;
	return -EBUSY;
}

/* --- the machine --- */

static int setup(void **state)
{
	(void)state;
	nr_ends = 0;
	cfg = (struct vm_config){.pipes = true};
	vm = (struct vm){.cfg = &cfg, .loop = loop_create()};
	agent = agent_create(&vm);
	return vm.loop && agent ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	agent_destroy(agent);
	loop_destroy(vm.loop);
	return 0;
}

static void quit(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	loop_quit(vm.loop);
}

/* All that is due now; the timer comes after it. */
static void turn(void)
{
	struct loop_source *timer = loop_add_timer(vm.loop, quit, NULL);

	loop_arm_timer(timer, 20000000);
	assert_int_equal(loop_run(vm.loop), 0);
	loop_remove(timer);
}

static void init_says(unsigned int type, unsigned int number)
{
	const struct {
		struct guest_frame head;
		unsigned int number;
	} frame = {{(unsigned short)type, 0, sizeof(number)}, number};

	assert_int_equal(write(agent->fd[1], &frame, sizeof(frame)), sizeof(frame));
	turn();
}

static void closes(enum guest_port port)
{
	agent_ports(agent)->closed(agent_ports(agent)->arg, port);
	turn();
}

static void ends_with(int want)
{
	int status = -1;

	assert_int_equal(nr_ends, 1);
	assert_true(agent_exit_status(agent, &status));
	assert_int_equal(status, want);
}

/* --- tests --- */

static void all_output_comes_first(void **state)
{
	(void)state;
	init_says(GUEST_STARTED, 0);
	init_says(GUEST_EXITED, 42);
	closes(GUEST_PORT_STDOUT);
	assert_int_equal(nr_ends, 0);
	closes(GUEST_PORT_STDERR);
	ends_with(42);
}

/* init could not mount, say: no port was opened, so none will be closed. */
static void a_command_that_never_began(void **state)
{
	int status;

	(void)state;
	init_says(GUEST_EXITED, GUEST_STATUS_FAILED);
	assert_int_equal(nr_ends, 1);
	assert_false(agent_exit_status(agent, &status));
}

static void output_that_got_lost(void **state)
{
	(void)state;
	init_says(GUEST_STARTED, 0);
	agent_ports(agent)->lost(agent_ports(agent)->arg, GUEST_PORT_STDOUT);
	closes(GUEST_PORT_STDOUT);
	closes(GUEST_PORT_STDERR);
	init_says(GUEST_EXITED, 0);
	ends_with(EXIT_HOST_ERROR);
}

/* The first is the command's, once there is one; it decides if init never speaks again. */
static void signals(void **state)
{
	int status;

	(void)state;
	assert_false(agent_exit_status(agent, &status));
	assert_false(agent_signal(agent, SIGTERM));
	assert_true(agent_exit_status(agent, &status));
	assert_int_equal(status, 128 + SIGTERM);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_output_comes_first),
		TEST(a_command_that_never_began),
		TEST(output_that_got_lost),
		TEST(signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
