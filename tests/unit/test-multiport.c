// SPDX-License-Identifier: GPL-2.0-or-later
/* links: virtio/multiport.c virtio/multiport-port.c virtio/device.c virtio/virtq.c memory.c util/stream.c util/worker.c util/loop.c util/util.c util/log.c */
/* A console with two ports between an in-process driver and pipes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/multiport.h"
#include "kvm/util.h"
#include "virtio-driver.h"

#include <linux/virtio_console.h>

#define PORT	   1 /* the one that is used; its queues are 4 and 5 */
#define RX	   4
#define TX	   5
#define CTRL_RX	   2
#define CTRL_TX	   3
#define NR_QUEUES  6
#define QUEUE_SIZE 16
#define CTRL_SIZE  64 /* of a buffer for control messages */

struct setup {
	struct drv_ram ram;
	struct drv_transport transport;
	struct drv_queue q[NR_QUEUES];
	struct multiport_params params;
	struct virtio_device *vdev;
	int in[2], out[2]; /* pipes; [0] is read from */
	atomic_uint nr_closed, nr_lost;
};

static void closed(void *arg, unsigned int port)
{
	struct setup *s = arg;

	assert(port == PORT);
	s->nr_closed++;
}

static void lost(void *arg, unsigned int port)
{
	struct setup *s = arg;

	assert(port == PORT);
	s->nr_lost++;
}

static void kick(struct setup *s, unsigned int q)
{
	if (drv_wants_kick(&s->q[q]))
		virtio_device_kick(s->vdev, q);
}

static uint64_t ctrl_buf(unsigned int id)
{
	return DRV_DATA + 0x40000 + id * CTRL_SIZE;
}

static void give_ctrl_buffers(struct setup *s)
{
	for (unsigned int i = 0; i < QUEUE_SIZE; i++) {
		struct drv_buf buf = {ctrl_buf(i), CTRL_SIZE};

		assert_true(drv_add(&s->q[CTRL_RX], &buf, 0, 1, 0) >= 0);
	}
	kick(s, CTRL_RX);
}

/* The next message from the device, whose buffers come back in the order in which they went. */
static void expect_ctrl(struct setup *s, unsigned int nr, uint32_t port, uint16_t event,
			uint16_t value, const char *text)
{
	struct virtio_console_control *msg = drv_ptr(&s->ram, ctrl_buf(nr));
	uint32_t len;
	int id;

	assert_true(drv_wait_used(&s->q[CTRL_RX], &id, &len));
	if (event == VIRTIO_CONSOLE_RESIZE)
		assert_int_equal(len, sizeof(*msg) + 4);
	else
		assert_int_equal(len, sizeof(*msg) + strlen(text));
	assert_int_equal(msg->id, port);
	assert_int_equal(msg->event, event);
	assert_int_equal(msg->value, value);
	assert_memory_equal(msg + 1, text, strlen(text));
}

static void tell(struct setup *s, uint32_t port, uint16_t event, uint16_t value)
{
	const struct virtio_console_control msg = {.id = port, .event = event, .value = value};
	struct drv_buf buf = {DRV_DATA + 0x50000, sizeof(msg)};
	uint32_t len;
	int id;

	memcpy(drv_ptr(&s->ram, buf.gpa), &msg, sizeof(msg));
	assert_true(drv_add(&s->q[CTRL_TX], &buf, 1, 0, 0) >= 0);
	kick(s, CTRL_TX);
	assert_true(drv_wait_used(&s->q[CTRL_TX], &id, &len));
}

/* Up to the point where Linux has a /dev/vport0p1. */
static int setup_init(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	drv_ram_init(&s->ram);
	assert_int_equal(pipe2(s->in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(s->out, O_CLOEXEC), 0);
	s->params = (struct multiport_params){
		.nr = 2,
		.port = {{.name = "none", .in_fd = -1, .out_fd = -1},
			 {.name = "pipe", .in_fd = s->in[0], .out_fd = s->out[1]}},
		.closed = closed,
		.lost = lost,
		.arg = s,
	};
	s->vdev = multiport_create(&s->ram.mem, "ports", &s->params);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev)));
	for (unsigned int q = 0; q < NR_QUEUES; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	/* Else closing the test's end would not be the end: the device has its own. */
	close(s->in[0]);
	close(s->out[1]);

	give_ctrl_buffers(s);
	tell(s, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect_ctrl(s, 0, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_ctrl(s, 1, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	tell(s, PORT, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_ctrl(s, 2, PORT, VIRTIO_CONSOLE_PORT_NAME, 1, "pipe");
	expect_ctrl(s, 3, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	*state = s;
	return 0;
}

static int setup_fini(void **state)
{
	struct setup *s = *state;

	virtio_device_destroy(s->vdev);
	drv_ram_fini(&s->ram);
	close(s->in[1]);
	close(s->out[0]);
	free(s);
	return 0;
}

static void add_rx(struct setup *s, unsigned int slot)
{
	struct drv_buf buf = {DRV_DATA + 0x1000 * slot, 0x1000};

	assert_true(drv_add(&s->q[RX], &buf, 0, 1, 0) >= 0);
	kick(s, RX);
}

/* Nothing is sent before the guest listens; then all of it, and then the end. */
static void input_waits_for_the_guest(void **state)
{
	struct setup *s = *state;
	uint32_t len;
	int id;

	assert_int_equal(write(s->in[1], "hello", 5), 5);
	add_rx(s, 0);
	add_rx(s, 1);
	usleep(20000);
	assert_false(drv_get_used(&s->q[RX], &id, &len));
	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_true(drv_wait_used(&s->q[RX], &id, &len));
	assert_int_equal(len, 5);
	assert_memory_equal(drv_ptr(&s->ram, DRV_DATA), "hello", 5);
	assert_int_equal(write(s->in[1], "more", 4), 4);
	assert_true(drv_wait_used(&s->q[RX], &id, &len));
	assert_memory_equal(drv_ptr(&s->ram, DRV_DATA + 0x1000), "more", 4);

	/* What is written while there is no buffer is not forgotten, nor is the end after it. */
	assert_int_equal(write(s->in[1], "last", 4), 4);
	close(s->in[1]);
	s->in[1] = -1;
	usleep(20000);
	add_rx(s, 2);
	assert_true(drv_wait_used(&s->q[RX], &id, &len));
	assert_memory_equal(drv_ptr(&s->ram, DRV_DATA + 0x2000), "last", 4);
	add_rx(s, 3);
	expect_ctrl(s, 4, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	assert_false(drv_get_used(&s->q[RX], &id, &len));
}

/* More than the pipe holds; closing is reported when all of it has been read, not before. */
static void closing_waits_for_the_reader(void **state)
{
	struct setup *s = *state;
	size_t total = 8 * 0x6000, got = 0;
	uint8_t *all = drv_ptr(&s->ram, DRV_DATA), chunk[4096];
	ssize_t n;

	for (size_t i = 0; i < 0x30000; i++)
		all[i] = i * 7 + (i >> 8);
	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1);
	for (unsigned int i = 0; i < 8; i++) {
		struct drv_buf bufs[] = {{DRV_DATA + 0x6000 * i, 0x1000},
					 {DRV_DATA + 0x6000 * i + 0x1000, 0x5000}};

		assert_true(drv_add(&s->q[TX], bufs, 2, 0, 0) >= 0);
		kick(s, TX);
	}
	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0);
	usleep(20000);
	assert_int_equal(s->nr_closed, 0);
	while (got < total) {
		n = read(s->out[0], chunk, sizeof(chunk));
		assert_true(n > 0);
		assert_memory_equal(chunk, all + got, n);
		got += n;
	}
	assert_true(DRV_WAIT(s->nr_closed == 1));
}

/* A reader that goes is told to the guest, and its output is dropped. */
static void a_reader_that_goes(void **state)
{
	struct setup *s = *state;
	struct drv_buf buf = {DRV_DATA, 100};
	uint32_t len;
	int id;

	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1);
	close(s->out[0]);
	s->out[0] = -1;
	expect_ctrl(s, 4, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	assert_true(drv_add(&s->q[TX], &buf, 1, 0, 0) >= 0);
	kick(s, TX);
	assert_true(drv_wait_used(&s->q[TX], &id, &len));
	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_true(DRV_WAIT(s->nr_closed == 1));
	assert_int_equal(s->nr_lost, 0);
}

/* Ports and events that do not exist, and messages that are too short. */
static void nonsense_is_ignored(void **state)
{
	struct setup *s = *state;
	struct drv_buf small = {DRV_DATA, 3};
	uint32_t len;
	int id;

	tell(s, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell(s, 0xfffffffe, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(s, PORT, 99, 1);
	assert_true(drv_add(&s->q[CTRL_TX], &small, 1, 0, 0) >= 0);
	kick(s, CTRL_TX);
	assert_true(drv_wait_used(&s->q[CTRL_TX], &id, &len));
	assert_false(drv_get_used(&s->q[CTRL_RX], &id, &len));
	assert_false(virtio_device_status(s->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* --- ports whose other end comes and goes --- */

/* As setup_init(), with port 1 as the test wants it. The control messages so far are taken. */
static struct setup *setup_port(const struct port_params *port)
{
	struct setup *s = calloc(1, sizeof(*s));

	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	drv_ram_init(&s->ram);
	s->params.nr = 2;
	s->params.port[0] = (struct port_params){.name = "none", .in_fd = -1, .out_fd = -1};
	s->params.port[1] = *port;
	s->vdev = multiport_create(&s->ram.mem, "ports", &s->params);
	virtio_device_attach(s->vdev, &drv_transport_ops, &s->transport);
	assert_true(drv_negotiate(s->vdev, virtio_device_features(s->vdev)));
	for (unsigned int q = 0; q < NR_QUEUES; q++)
		drv_setup_queue(&s->q[q], s->vdev, &s->ram, q, QUEUE_SIZE);
	virtio_device_set_status(s->vdev, DRV_STATUS_RUNNING);
	give_ctrl_buffers(s);
	tell(s, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect_ctrl(s, 0, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_ctrl(s, 1, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	return s;
}

static void teardown_port(struct setup *s)
{
	virtio_device_destroy(s->vdev);
	drv_ram_fini(&s->ram);
	free(s);
}

static void send_text(struct setup *s, const char *text)
{
	struct drv_buf buf = {DRV_DATA + 0x8000, strlen(text)};
	uint32_t len;
	int id;

	memcpy(drv_ptr(&s->ram, buf.gpa), text, buf.len);
	assert_true(drv_add(&s->q[TX], &buf, 1, 0, 0) >= 0);
	kick(s, TX);
	assert_true(drv_wait_used(&s->q[TX], &id, &len));
}

/* The rest is dropped, and the loss is known by the time the port is closed. */
static void a_disk_that_is_full(void **state)
{
	const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct setup *s =
		setup_port(&(struct port_params){.name = "full", .in_fd = -1, .out_fd = full});

	(void)state;
	s->params.closed = closed;
	s->params.lost = lost;
	s->params.arg = s;
	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1);
	send_text(s, "text");
	send_text(s, "more");
	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_true(DRV_WAIT(s->nr_closed == 1));
	assert_int_equal(s->nr_lost, 1);
	teardown_port(s);
	close(full);
}

/* One client after the other; the guest is told of each. */
static void clients_of_a_socket(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "\0lkvm-test-multiport"};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), client;
	socklen_t size = sizeof(addr);
	struct setup *s;
	char buf[16];
	uint32_t len;
	int id;

	(void)state;
	snprintf(addr.sun_path + 1, 64, "lkvm-test-multiport-%d", (int)getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, size), 0);
	assert_int_equal(listen(listener, 5), 0);
	s = setup_port(&(struct port_params){
		.name = "sock", .in_fd = listener, .out_fd = listener, .kind = PORT_LISTENER});
	tell(s, PORT, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_ctrl(s, 2, PORT, VIRTIO_CONSOLE_PORT_NAME, 1, "sock");
	expect_ctrl(s, 3, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	tell(s, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1);
	for (unsigned int i = 0; i < 3; i++) {
		client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(client, (struct sockaddr *)&addr, size), 0);
		expect_ctrl(s, 4 + 2 * i, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
		add_rx(s, 0);
		assert_int_equal(write(client, "hello", 5), 5);
		assert_true(drv_wait_used(&s->q[RX], &id, &len));
		assert_int_equal(len, 5);
		/* It sends no more, and still listens. */
		if (i == 2) {
			shutdown(client, SHUT_WR);
			add_rx(s, 1);
		}
		send_text(s, "world");
		assert_int_equal(read(client, buf, 5), 5);
		close(client);
		if (i < 2)
			add_rx(s, 1); /* what the end is found with */
		expect_ctrl(s, 5 + 2 * i, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
		virtio_device_reset_queue(s->vdev, RX);
		drv_setup_queue(&s->q[RX], s->vdev, &s->ram, RX, QUEUE_SIZE);
		send_text(s, "nobody hears it");
	}
	teardown_port(s);
	close(listener);
}

/* The guest learns who has the slave open, and its size; nothing is stuck while nobody has. */
static void console_on_a_pty(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), slave;
	struct winsize ws = {.ws_row = 30, .ws_col = 100};
	const uint16_t *size;
	struct termios tio;
	struct setup *s;
	char buf[16];

	(void)state;
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	tcgetattr(slave, &tio);
	cfmakeraw(&tio);
	tcsetattr(slave, TCSANOW, &tio);
	assert_int_equal(ioctl(slave, TIOCSWINSZ, &ws), 0);
	close(slave);
	s = setup_port(&(struct port_params){.name = "pty",
					     .in_fd = master,
					     .out_fd = master,
					     .kind = PORT_PTY,
					     .console = true});
	tell(s, PORT, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_ctrl(s, 2, PORT, VIRTIO_CONSOLE_CONSOLE_PORT, 1, "");
	expect_ctrl(s, 3, PORT, VIRTIO_CONSOLE_RESIZE, 0, "");
	size = drv_ptr(&s->ram, ctrl_buf(3) + sizeof(struct virtio_console_control));
	assert_true(virtio_device_features(s->vdev) & DRV_BIT(VIRTIO_CONSOLE_F_SIZE));
	assert_int_equal(size[0], 100);
	assert_int_equal(size[1], 30);
	expect_ctrl(s, 4, PORT, VIRTIO_CONSOLE_PORT_NAME, 1, "pty");
	expect_ctrl(s, 5, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	send_text(s, "lost");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	expect_ctrl(s, 6, PORT, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	send_text(s, "login:");
	assert_int_equal(read(slave, buf, sizeof(buf)), 6);
	ws.ws_col = 101;
	assert_int_equal(ioctl(slave, TIOCSWINSZ, &ws), 0);
	expect_ctrl(s, 7, PORT, VIRTIO_CONSOLE_RESIZE, 0, "");
	size = drv_ptr(&s->ram, ctrl_buf(7) + sizeof(struct virtio_console_control));
	assert_int_equal(size[0], 101);
	close(slave);
	expect_ctrl(s, 8, PORT, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	teardown_port(s);
	close(master);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_init, setup_fini)
	const struct CMUnitTest tests[] = {
		TEST(input_waits_for_the_guest),
		TEST(closing_waits_for_the_reader),
		TEST(a_reader_that_goes),
		TEST(nonsense_is_ignored),
		cmocka_unit_test(a_disk_that_is_full),
		cmocka_unit_test(clients_of_a_socket),
		cmocka_unit_test(console_on_a_pty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
