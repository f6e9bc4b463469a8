// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "guest/protocol.h"
#include "kvm/exit-code.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/multiport.h"
#include "kvm/util.h"
#include "kvm/vm.h"
#include "session.h"

#define AGENT_OUTPUTS (1u << GUEST_PORT_STDOUT | 1u << GUEST_PORT_STDERR)
#define AGENT_OUT_MAX (4 * GUEST_MAX_FRAME)

struct agent {
	struct vm *vm;
	struct multiport_params ports;
	int fd[2]; /* the control port: ours, the device's */
	int closed_fd;
	int winsize_fd; /* of SIGWINCH; -1: there is no terminal */
	int null_fd;	/* in place of a stdin or stdout that is closed */
	struct loop_source *source, *closed_source, *winsize_source;
	/* Ports that the guest has closed, whose output got lost; set by the device's worker. */
	atomic_uint closed, lost;

	bool started, exited;
	unsigned int status;
	int signo; /* the first that came, or 0 */
	struct sessions *sessions;

	struct frame_reader in;
	/* What the guest has not taken yet. */
	size_t out_start, out_len;
	char out[AGENT_OUT_MAX];
};

/* --- frames --- */

static void agent_flush(struct agent *agent)
{
	while (agent->out_len) {
		ssize_t n = send(agent->fd[0], agent->out + agent->out_start, agent->out_len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		agent->out_start += (size_t)n;
		agent->out_len -= (size_t)n;
	}
	loop_modify(agent->source, agent->out_len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

int agent_send(struct agent *agent, unsigned int type, unsigned int session, const void *data,
	       size_t len)
{
	const struct guest_frame head = {(unsigned short)type, (unsigned short)session,
					 (unsigned int)len};

	if (agent_room(agent) < sizeof(head) + len)
		return -EAGAIN;
	memmove(agent->out, agent->out + agent->out_start, agent->out_len);
	agent->out_start = 0;
	memcpy(agent->out + agent->out_len, &head, sizeof(head));
	memcpy(agent->out + agent->out_len + sizeof(head), data, len);
	agent->out_len += sizeof(head) + len;
	agent_flush(agent);
	return 0;
}

size_t agent_room(const struct agent *agent)
{
	return sizeof(agent->out) - agent->out_len;
}

/* To session 0. A guest that does not read loses what is too much. */
static int agent_send_number(struct agent *agent, unsigned int type, unsigned int number)
{
	return agent_send(agent, type, 0, &number, sizeof(number));
}

/* --- the first command --- */

/*
 * The command is done, and what it wrote has been taken. One that never began wrote nothing, and
 * init may not have opened the ports that it would close.
 */
static void agent_check_end(struct agent *agent)
{
	bool all_closed = (atomic_load(&agent->closed) & AGENT_OUTPUTS) == AGENT_OUTPUTS;

	if (agent->exited && (all_closed || !agent->started || !agent->vm->cfg->pipes))
		vm_end(agent->vm, VM_OUTCOME_POWEROFF);
}

static void agent_send_winsize(struct agent *agent)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row)
		agent_send_number(agent, GUEST_WINSIZE,
				  (unsigned int)size.ws_row << 16 | size.ws_col);
}

static void agent_frame(struct agent *agent, const struct frame_reader *frame)
{
	if (frame->head.session) {
		sessions_frame(agent->sessions, frame);
		return;
	}
	switch (frame->head.type) {
	case GUEST_STARTED:
		agent->started = true;
		if (agent->winsize_fd >= 0)
			agent_send_winsize(agent);
		sessions_begin(agent->sessions);
		break;
	case GUEST_EXITED:
		agent->exited = true;
		agent->status = frame_number(frame) & 0xff;
		agent_check_end(agent);
		break;
	default:
		log_guest("the guest's init says something unknown (%u)", frame->head.type);
	}
}

static void agent_ready(void *arg, uint32_t events)
{
	struct agent *agent = arg;
	int got = 0;

	if (events & EPOLLOUT) {
		agent_flush(agent);
		sessions_room(agent->sessions);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		got = frame_read(&agent->in, agent->fd[0]);
	if (got > 0)
		agent_frame(agent, &agent->in);
	if (got < 0) {
		if (got == -EPROTO)
			log_guest("the guest's init talks gibberish: it is not listened to");
		loop_modify(agent->source, 0);
	}
}

/* On the device's worker. */
static void agent_port_closed(void *arg, unsigned int port)
{
	struct agent *agent = arg;

	atomic_fetch_or(&agent->closed, 1u << port);
	eventfd_write(agent->closed_fd, 1);
}

/* On the device's worker. */
static void agent_port_lost(void *arg, unsigned int port)
{
	struct agent *agent = arg;

	atomic_fetch_or(&agent->lost, 1u << port);
}

static void agent_closed_event(void *arg, uint32_t events)
{
	struct agent *agent = arg;
	eventfd_t count;

	(void)events;
	eventfd_read(agent->closed_fd, &count);
	agent_check_end(agent);
}

static void agent_winsize_event(void *arg, uint32_t events)
{
	struct agent *agent = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(agent->winsize_fd, &info, sizeof(info)) == sizeof(info))
		agent_send_winsize(agent);
}

bool agent_signal(struct agent *agent, int signo)
{
	bool first = !agent->signo;

	if (first)
		agent->signo = signo;
	return first && agent->started &&
	       agent_send_number(agent, GUEST_SIGNAL, (unsigned int)signo) == 0;
}

int agent_poweroff(struct agent *agent)
{
	if (!agent->started)
		return -EAGAIN;
	return agent_send_number(agent, GUEST_POWEROFF, 0);
}

int agent_exec(struct agent *agent, const char *conf, size_t len, int fd)
{
	if (agent->exited) {
		close(fd);
		return -EPIPE;
	}
	return sessions_add(agent->sessions, conf, len, fd, agent->started);
}

bool agent_exit_status(const struct agent *agent, int *status)
{
	if (agent->exited && agent->status != GUEST_STATUS_FAILED)
		*status = agent->status || !atomic_load(&agent->lost) ? (int)agent->status
								      : EXIT_HOST_ERROR;
	else if (agent->exited && agent->started)
		*status = GUEST_STATUS_FAILED; /* that is what the command said itself */
	else if (agent->signo)
		*status = 128 + agent->signo;
	else
		return false;
	return true;
}

const struct multiport_params *agent_ports(const struct agent *agent)
{
	return &agent->ports;
}

static int agent_std_fd(const struct agent *agent, int fd)
{
	return fcntl(fd, F_GETFD) < 0 ? agent->null_fd : fd;
}

static void agent_plan_ports(struct agent *agent)
{
	const bool pipes = agent->vm->cfg->pipes;
	const int in = agent_std_fd(agent, STDIN_FILENO);
	const int out = agent_std_fd(agent, STDOUT_FILENO);
	const int err = agent_std_fd(agent, STDERR_FILENO);
	const int control = agent->fd[1];
	struct port_params *port = agent->ports.port;

	agent->ports = (struct multiport_params){.nr = GUEST_NR_PORTS,
						 .closed = agent_port_closed,
						 .lost = agent_port_lost,
						 .arg = agent};
	port[GUEST_PORT_STDIN] = (struct port_params){.name = "stdin", .in_fd = in, .out_fd = -1};
	port[GUEST_PORT_STDOUT] =
		(struct port_params){.name = "stdout", .in_fd = -1, .out_fd = out};
	port[GUEST_PORT_STDERR] =
		(struct port_params){.name = "stderr", .in_fd = -1, .out_fd = err};
	port[GUEST_PORT_CONTROL] =
		(struct port_params){.name = "control", .in_fd = control, .out_fd = control};
	for (unsigned int i = 0; i < GUEST_PORT_CONTROL && !pipes; i++)
		agent->ports.port[i].in_fd = agent->ports.port[i].out_fd = -1;
}

/* The size of the terminal follows lkvm's. */
static int agent_watch_winsize(struct agent *agent)
{
	sigset_t mask;

	if (agent->vm->cfg->pipes || agent->vm->cfg->detach || !isatty(STDIN_FILENO))
		return 0;
	sigemptyset(&mask);
	sigaddset(&mask, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	agent->winsize_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (agent->winsize_fd < 0)
		return -errno;
	agent->winsize_source =
		loop_add(agent->vm->loop, agent->winsize_fd, EPOLLIN, agent_winsize_event, agent);
	return agent->winsize_source ? 0 : -errno;
}

struct agent *agent_create(struct vm *vm)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return NULL;
	*agent = (struct agent){
		.vm = vm, .fd = {-1, -1}, .closed_fd = -1, .winsize_fd = -1, .null_fd = -1};
	agent->closed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	agent->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (agent->closed_fd < 0 || agent->null_fd < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent->fd) < 0)
		goto err;
	agent_plan_ports(agent);
	agent->sessions = sessions_create(agent, vm->loop);
	agent->source = loop_add(vm->loop, agent->fd[0], EPOLLIN, agent_ready, agent);
	agent->closed_source =
		loop_add(vm->loop, agent->closed_fd, EPOLLIN, agent_closed_event, agent);
	if (!agent->sessions || !agent->source || !agent->closed_source ||
	    agent_watch_winsize(agent) < 0)
		goto err;
	return agent;
err:
	log_error("the guest's init: %m");
	agent_destroy(agent);
	return NULL;
}

static void agent_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void agent_destroy(struct agent *agent)
{
	if (!agent)
		return;
	sessions_destroy(agent->sessions);
	loop_remove(agent->winsize_source);
	loop_remove(agent->closed_source);
	loop_remove(agent->source);
	agent_close(agent->winsize_fd);
	agent_close(agent->closed_fd);
	agent_close(agent->null_fd);
	agent_close(agent->fd[0]);
	agent_close(agent->fd[1]);
	free(agent);
}
