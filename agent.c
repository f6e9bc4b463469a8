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
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/multiport.h"
#include "kvm/util.h"
#include "kvm/vm.h"

#define AGENT_OUTPUTS (1u << GUEST_PORT_STDOUT | 1u << GUEST_PORT_STDERR)

struct agent {
	struct vm *vm;
	struct multiport_params ports;
	int fd[2]; /* the control port: ours, the device's */
	int closed_fd;
	int winsize_fd; /* of SIGWINCH; -1: there is no terminal */
	int null_fd;	/* in place of a stdin or stdout that is closed */
	struct loop_source *source, *closed_source, *winsize_source;
	atomic_uint closed; /* ports that the guest has closed; set by the device's worker */

	bool started, exited;
	unsigned int status;
	int signo; /* the first that came, or 0 */
	size_t len;
	struct guest_message msg;
};

static int agent_send(struct agent *agent, unsigned int type, unsigned int value)
{
	const struct guest_message msg = {type, value};

	/* A guest that does not read loses what is too much. */
	return send(agent->fd[0], &msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The command is done, and what it wrote has been taken. */
static void agent_check_end(struct agent *agent)
{
	bool all_closed = (atomic_load(&agent->closed) & AGENT_OUTPUTS) == AGENT_OUTPUTS;

	if (agent->exited && (all_closed || !agent->vm->cfg->pipes))
		vm_end(agent->vm, VM_OUTCOME_POWEROFF);
}

static void agent_send_winsize(struct agent *agent)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row)
		agent_send(agent, GUEST_WINSIZE, (unsigned int)size.ws_row << 16 | size.ws_col);
}

static void agent_message(struct agent *agent, const struct guest_message *msg)
{
	switch (msg->type) {
	case GUEST_STARTED:
		agent->started = true;
		if (agent->winsize_fd >= 0)
			agent_send_winsize(agent);
		break;
	case GUEST_EXITED:
		agent->exited = true;
		agent->status = msg->value & 0xff;
		agent_check_end(agent);
		break;
	default:
		log_guest("the guest's init says something unknown (%u)", msg->type);
	}
}

static void agent_readable(void *arg, uint32_t events)
{
	struct agent *agent = arg;
	ssize_t n;

	(void)events;
	n = recv(agent->fd[0], (char *)&agent->msg + agent->len, sizeof(agent->msg) - agent->len,
		 MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		loop_modify(agent->source, 0);
	if (n > 0)
		agent->len += (size_t)n;
	if (agent->len == sizeof(agent->msg)) {
		agent->len = 0;
		agent_message(agent, &agent->msg);
	}
}

/* On the device's worker. */
static void agent_port_closed(void *arg, unsigned int port)
{
	struct agent *agent = arg;

	atomic_fetch_or(&agent->closed, 1u << port);
	eventfd_write(agent->closed_fd, 1);
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
	return first && agent->started && agent_send(agent, GUEST_SIGNAL, (unsigned int)signo) == 0;
}

int agent_poweroff(struct agent *agent)
{
	if (!agent->started)
		return -EAGAIN;
	return agent_send(agent, GUEST_POWEROFF, 0);
}

bool agent_exit_status(const struct agent *agent, int *status)
{
	if (agent->exited && agent->status != GUEST_STATUS_FAILED)
		*status = (int)agent->status;
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

	agent->ports = (struct multiport_params){
		.nr = GUEST_NR_PORTS,
		.port = {[GUEST_PORT_STDIN] = {"stdin", agent_std_fd(agent, STDIN_FILENO), -1},
			 [GUEST_PORT_STDOUT] = {"stdout", -1, agent_std_fd(agent, STDOUT_FILENO)},
			 [GUEST_PORT_STDERR] = {"stderr", -1, agent_std_fd(agent, STDERR_FILENO)},
			 [GUEST_PORT_CONTROL] = {"control", agent->fd[1], agent->fd[1]}},
		.closed = agent_port_closed,
		.arg = agent,
	};
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
	agent->source = loop_add(vm->loop, agent->fd[0], EPOLLIN, agent_readable, agent);
	agent->closed_source =
		loop_add(vm->loop, agent->closed_fd, EPOLLIN, agent_closed_event, agent);
	if (!agent->source || !agent->closed_source || agent_watch_winsize(agent) < 0)
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
