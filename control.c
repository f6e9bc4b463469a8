// SPDX-License-Identifier: GPL-2.0-or-later
#include "control-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/agent.h"
#include "kvm/chardev.h"
#include "kvm/instance.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/util.h"
#include "kvm/virtio-models.h"
#include "kvm/vm.h"

#define CONTROL_IDLE_NS (10ULL * 1000000000) /* after that a client may have to make room */
#define CONTROL_STAT_NS (5ULL * 1000000000)  /* that long a guest may take to answer */

/* --- requests and replies --- */

/* Takes the request apart and has it done. The result, or NULL after control_refuse(). */
static json_t *control_request(struct control_conn *conn, json_t *request)
{
	json_int_t version = CONTROL_VERSION;
	json_t *id, *arguments = NULL, *none = NULL, *result;
	const char *command;
	json_error_t err;

	if (json_unpack_ex(request, &err, JSON_STRICT, "{s?I, s?o, s:s, s?o}", "version", &version,
			   "id", &id, "command", &command, "arguments", &arguments))
		return control_refuse(conn, "request: %s", err.text);
	if (version != CONTROL_VERSION)
		return control_refuse(conn, "version %lld is not spoken here, version %d is",
				      (long long)version, CONTROL_VERSION);
	if (!arguments)
		arguments = none = json_object();
	result = control_run(conn, command, arguments);
	json_decref(none);
	return result;
}

/* Error texts quote what the client sent, and may cut it in the middle of a character. */
static json_t *control_error_text(char *text)
{
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return json_string(text);
}

/* Takes over result, which is NULL after control_refuse(). A new reference; NULL: out of memory. */
static json_t *control_make_reply(struct control_conn *conn, json_t *result)
{
	json_t *id = conn->id;

	conn->id = NULL;
	if (result)
		return json_pack("{s:i, s:o, s:s, s:o}", "version", CONTROL_VERSION, "id", id,
				 "status", "ok", "result", result);
	return json_pack("{s:i, s:o, s:s, s:o}", "version", CONTROL_VERSION, "id", id, "status",
			 "error", "error", control_error_text(conn->error));
}

/* Has a line done. The result, or NULL after control_refuse() or when it is to come later. */
static json_t *control_answer(struct control_conn *conn, const char *line, size_t len)
{
	json_t *request, *id, *result;
	json_error_t err;

	snprintf(conn->error, sizeof(conn->error), "out of memory");
	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &err);
	if (request)
		result = control_request(conn, request);
	else
		result = control_refuse(conn, "request: malformed JSON at column %d", err.column);
	id = json_object_get(request, "id");
	conn->id = id ? json_incref(id) : json_null();
	json_decref(request);
	return result;
}

/* A reply as it goes over the wire: malloc'ed, *len bytes. Takes over reply; NULL gives NULL. */
static char *control_encode(json_t *reply, size_t *len)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL, *out = NULL;

	json_decref(reply);
	if (text) {
		*len = strlen(text) + 1;
		out = realloc(text, *len);
		if (out)
			out[*len - 1] = '\n';
		else
			free(text);
	}
	return out;
}

/* --- connections; the functions that return bool say whether it lives on --- */

static void control_conn_close(struct control_conn *conn)
{
	*conn->slot = NULL;
	loop_remove(conn->source);
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn->out);
	free(conn->exec);
	json_decref(conn->id);
	free(conn);
}

/* From now on somebody else owns the socket, and the connection is of no more use. */
static bool control_conn_attach(struct control_conn *conn)
{
	struct vm *vm = conn->control->vm;

	loop_remove(conn->source);
	conn->source = NULL;
	if (conn->next == CONTROL_CONSOLE)
		chardev_attach(vm->console, conn->fd);
	else
		agent_exec(vm->agent, conn->exec, conn->exec_len, conn->fd);
	conn->fd = -1;
	return false;
}

static bool control_conn_flush(struct control_conn *conn)
{
	ssize_t n = send(conn->fd, conn->out + conn->out_sent, conn->out_len - conn->out_sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0)
		conn->out_sent += (size_t)n;
	if (conn->out_sent < conn->out_len)
		return loop_modify(conn->source, EPOLLOUT) == 0;
	free(conn->out);
	conn->out = NULL;
	if (conn->next == CONTROL_CONSOLE || conn->next == CONTROL_EXEC)
		return control_conn_attach(conn);
	return conn->next == CONTROL_REQUEST && loop_modify(conn->source, EPOLLIN) == 0;
}

static bool control_conn_reply(struct control_conn *conn, json_t *reply)
{
	conn->out = control_encode(reply, &conn->out_len);
	conn->out_sent = 0;
	return conn->out && control_conn_flush(conn);
}

static bool control_conn_too_long(struct control_conn *conn)
{
	conn->next = CONTROL_CLOSE; /* where the next request begins is anybody's guess */
	return control_conn_reply(conn, json_pack("{s:i, s:n, s:s, s:s}", "version",
						  CONTROL_VERSION, "id", "status", "error", "error",
						  "request: the line is too long"));
}

/*
 * The client sends no more. One that waits for the VM's end gets to see it all the same: clients
 * like socat close their writing side as soon as their input has ended.
 */
static bool control_conn_end_of_input(struct control_conn *conn)
{
	loop_remove(conn->source);
	conn->source = NULL;
	return conn->wants_end;
}

static bool control_conn_line(struct control_conn *conn, size_t len)
{
	json_t *result = control_answer(conn, conn->line, len);

	conn->line_len = 0;
	/* Nothing is read until the reply is out. */
	if (conn->stat_since || conn->wants_status)
		return loop_modify(conn->source, 0) == 0;
	return control_conn_reply(conn, control_make_reply(conn, result));
}

/*
 * Takes at most one line off the socket: after a `console` the rest is not ours. The end of the
 * input ends a line, too.
 */
static bool control_conn_read(struct control_conn *conn)
{
	char *start = conn->line + conn->line_len, *newline;
	size_t take;
	ssize_t n =
		recv(conn->fd, start, sizeof(conn->line) - conn->line_len, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return conn->line_len ? control_conn_line(conn, conn->line_len)
				      : control_conn_end_of_input(conn);
	newline = memchr(start, '\n', (size_t)n);
	take = newline ? (size_t)(newline + 1 - start) : (size_t)n;
	if (recv(conn->fd, start, take, MSG_DONTWAIT) != (ssize_t)take)
		return false;
	conn->line_len += take;
	if (newline)
		return control_conn_line(conn, conn->line_len - 1);
	return conn->line_len < sizeof(conn->line) || control_conn_too_long(conn);
}

static void control_conn_ready(void *arg, uint32_t events)
{
	struct control_conn *conn = arg;

	(void)events; /* a hang-up or an error shows in what send() and recv() return */
	conn->active_ns = now_ns();
	if (!(conn->out ? control_conn_flush(conn) : control_conn_read(conn)))
		control_conn_close(conn);
}

/* --- statistics: clients wait until the guest tells, or has taken too long --- */

/* Answers one that waits, if it is time. What there was before it asked will not do. */
static bool control_conn_stat_check(struct control_conn *conn, const struct balloon_stats *stats)
{
	bool fresh = stats->when_ns >= conn->stat_since;
	json_t *result = NULL;

	if (!fresh && now_ns() - conn->stat_since < CONTROL_STAT_NS)
		return true;
	if (fresh)
		result = control_stat_result(stats);
	else
		control_refuse(conn, "the guest does not answer");
	conn->stat_since = 0;
	conn->active_ns = now_ns();
	return control_conn_reply(conn, control_make_reply(conn, result));
}

static void control_stat_check(void *arg, uint32_t events)
{
	struct control *control = arg;
	struct balloon_stats stats = balloon_get_stats(control->vm->balloon);
	eventfd_t count;

	(void)events;
	eventfd_read(control->stat_fd, &count);
	control->stat_waiting = false;
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct control_conn *conn = control->conn[i];

		if (!conn || !conn->stat_since)
			continue;
		if (!control_conn_stat_check(conn, &stats))
			control_conn_close(conn);
		else
			control->stat_waiting |= conn->stat_since != 0;
	}
	if (control->stat_waiting)
		loop_arm_timer(control->stat_timer, CONTROL_STAT_TICK_NS);
}

static int control_open_stat(struct control *control)
{
	control->stat_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->stat_fd < 0)
		return -errno;
	control->stat_source =
		loop_add(control->loop, control->stat_fd, EPOLLIN, control_stat_check, control);
	control->stat_timer = loop_add_timer(control->loop, control_stat_check, control);
	return control->stat_source && control->stat_timer ? 0 : -errno;
}

/* --- the listening socket --- */

/* The reason goes into the new socket's empty buffer, or nowhere. */
static void control_turn_away(int fd, const char *why)
{
	size_t len;
	char *out = control_encode(json_pack("{s:i, s:n, s:s, s:s}", "version", CONTROL_VERSION,
					     "id", "status", "error", "error", why),
				   &len);

	if (out)
		(void)!send(fd, out, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(out);
	close(fd);
}

/* A free place, if need be that of the client which has been silent for longest. */
static struct control_conn **control_find_slot(struct control *control)
{
	struct control_conn **oldest = NULL;

	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct control_conn *conn = control->conn[i];

		if (!conn)
			return &control->conn[i];
		if (!conn->wants_status && (!oldest || conn->active_ns < (*oldest)->active_ns))
			oldest = &control->conn[i];
	}
	if (!oldest || now_ns() - (*oldest)->active_ns < CONTROL_IDLE_NS)
		return NULL;
	control_conn_close(*oldest);
	return oldest;
}

/* Takes over fd. */
static void control_add_client(struct control *control, int fd)
{
	struct control_conn **slot = control_find_slot(control);
	struct control_conn *conn;

	if (!slot) {
		control_turn_away(fd, "too many clients");
		return;
	}
	conn = malloc(sizeof(*conn));
	if (!conn) {
		control_turn_away(fd, "out of memory");
		return;
	}
	memset(conn, 0, offsetof(struct control_conn, line));
	conn->control = control;
	conn->slot = slot;
	conn->fd = fd;
	conn->active_ns = now_ns();
	conn->source = loop_add(control->loop, fd, EPOLLIN, control_conn_ready, conn);
	*slot = conn;
	if (!conn->source)
		control_conn_close(conn);
}

static bool control_peer_is_welcome(const struct control *control, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) &&
	       (cred.uid == 0 || cred.uid == control->uid);
}

/*
 * With no fd left a client can be neither accepted nor dismissed, and the loop would spin. The
 * spare one is enough to dismiss it.
 */
static void control_shed_client(struct control *control)
{
	int fd;

	if (control->spare_fd >= 0)
		close(control->spare_fd);
	fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		control_turn_away(fd, "the VM has no file descriptor left");
	control->spare_fd = fcntl(control->listen_fd, F_DUPFD_CLOEXEC, 0);
}

static void control_accept(void *arg, uint32_t events)
{
	struct control *control = arg;
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		control_shed_client(control);
	else if (fd >= 0 && !control_peer_is_welcome(control, fd))
		control_turn_away(fd, "permission denied");
	else if (fd >= 0)
		control_add_client(control, fd);
}

struct control *control_create(struct vm *vm, struct loop *loop, const char *name)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		log_error("out of memory");
		return NULL;
	}
	control->vm = vm;
	control->loop = loop;
	control->stat_fd = -1;
	control->exit_status = EXIT_HOST_ERROR;
	control->uid = geteuid();
	control->listen_fd = instance_listen(name, &control->path);
	if (control->listen_fd < 0) {
		free(control);
		return NULL;
	}
	instance_leave_status(name, -1);
	control->spare_fd = fcntl(control->listen_fd, F_DUPFD_CLOEXEC, 0);
	control->source = loop_add(loop, control->listen_fd, EPOLLIN, control_accept, control);
	if (control->spare_fd < 0 || !control->source || control_open_stat(control)) {
		log_error("control socket: %s", strerror(errno));
		control_destroy(control);
		return NULL;
	}
	return control;
}

void control_set_exit_status(struct control *control, int status, bool keep)
{
	control->exit_status = status;
	control->keep_status = keep;
}

static json_t *control_wait_result(const struct control *control)
{
	return json_pack("{s:i}", "status", control->exit_status);
}

/* The file goes first: once the socket is closed, the name may be somebody else's. */
void control_destroy(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (control->conn[i] && control->conn[i]->wants_status)
			control->keep_status = false;
	if (control->keep_status)
		instance_leave_status(control->vm->cfg->name, control->exit_status);
	unlink(control->path);
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct control_conn *conn = control->conn[i];

		if (conn && conn->wants_status)
			control_conn_reply(conn,
					   control_make_reply(conn, control_wait_result(control)));
		if (conn)
			control_conn_close(conn);
	}
	loop_remove(control->source);
	loop_remove(control->stat_source);
	loop_remove(control->stat_timer);
	if (control->stat_fd >= 0)
		close(control->stat_fd);
	if (control->spare_fd >= 0)
		close(control->spare_fd);
	close(control->listen_fd);
	free(control->path);
	free(control);
}
