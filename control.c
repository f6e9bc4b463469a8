// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/agent.h"
#include "kvm/arch.h"
#include "kvm/base64.h"
#include "kvm/chardev.h"
#include "kvm/display.h"
#include "kvm/instance.h"
#include "kvm/keys.h"
#include "kvm/log.h"
#include "kvm/loop.h"
#include "kvm/rootfs.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/virtio-models.h"
#include "kvm/vm.h"

#define CONTROL_MAX_CLIENTS  64
#define CONTROL_MAX_KEYS     6 /* at once; a PS/2 keyboard has room for as many codes */
#define CONTROL_IDLE_NS	     (10ULL * 1000000000) /* after that a client may have to make room */
#define CONTROL_STOP_TIMEOUT 30.0		  /* seconds */
#define CONTROL_MAX_TIMEOUT  1e6
#define CONTROL_STAT_NS	     (5ULL * 1000000000) /* that long a guest may take to answer */
#define CONTROL_STAT_TICK_NS (250ULL * 1000000)	 /* how often we look who has waited too long */

struct control {
	struct vm *vm;
	struct loop *loop;
	uid_t uid;  /* whose VM it is, whatever privileges are dropped later */
	char *path; /* of the socket */
	int listen_fd;
	int spare_fd; /* given up for a moment to turn clients away when no fd is left */
	struct loop_source *source;
	struct control_conn *conn[CONTROL_MAX_CLIENTS]; /* NULL: free */
	int stat_fd; /* an eventfd: the guest has told its statistics */
	struct loop_source *stat_source, *stat_timer;
	bool stat_waiting; /* somebody waits for them, and the timer runs */
	int exit_status;   /* the VM's, for those who wait for it */
	bool keep_status;  /* for those who come later, if nobody waits */
};

/* What becomes of a connection when its reply is out. */
enum control_next { CONTROL_REQUEST, CONTROL_CLOSE, CONTROL_CONSOLE, CONTROL_EXEC };

/*
 * A client. It has an incomplete request in `line`, or waits for the guest to answer, or has a
 * reply on its way in `out`, never two of them: who does not read his replies is not read from, so
 * nothing here grows without bound.
 */
struct control_conn {
	struct control *control;
	struct control_conn **slot; /* in control->conn */
	int fd;
	struct loop_source *source;
	uint64_t active_ns; /* when it last did something */
	enum control_next next;
	bool wants_end;	   /* it asked for a stop, and waits for the end of file */
	bool wants_status; /* it gets its reply when the VM has ended */
	char *exec;	   /* what CONTROL_EXEC is to run, exec_len bytes */
	size_t exec_len;
	uint64_t stat_since; /* now_ns() at which it asked for statistics; 0: it does not wait */
	json_t *id;	     /* of the request at hand */
	char *out;	     /* a reply; NULL: none */
	size_t out_len, out_sent;
	char error[160]; /* of the request at hand */
	size_t line_len;
	char line[CONTROL_MAX_LINE];
};

/* --- commands: each returns the reply's "result", or NULL after control_refuse() --- */

__attribute__((format(printf, 2, 3))) static json_t *control_refuse(struct control_conn *conn,
								    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(conn->error, sizeof(conn->error), fmt, ap);
	va_end(ap);
	return NULL;
}

/* json_unpack() of all arguments there are; false after control_refuse(). */
static bool control_arguments(struct control_conn *conn, json_t *arguments, const char *fmt, ...)
{
	json_error_t err;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = json_vunpack_ex(arguments, &err, JSON_STRICT, fmt, ap);
	va_end(ap);
	if (ret)
		control_refuse(conn, "arguments: %s", err.text);
	return !ret;
}

/* Whether there is a machine to do something with; false after control_refuse(). */
static bool control_machine_is_on(struct control_conn *conn)
{
	struct vm *vm = conn->control->vm;
	int state = atomic_load(&vm->state);

	if (state == VM_RUNNING || state == VM_PAUSED)
		return true;
	control_refuse(conn, "the VM is %s", vm_state_name(vm));
	return false;
}

/* The empty result of something that went well. */
static json_t *control_done(struct control_conn *conn, int ret, const char *what)
{
	if (ret < 0)
		return control_refuse(conn, "%s: %s", what, strerror(-ret));
	return json_object();
}

static json_t *control_status(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;

	if (!control_arguments(conn, arguments, "{}"))
		return NULL;
	return json_pack("{s:s, s:i, s:s, s:I, s:I, s:I}", "name", vm->cfg->name, "pid",
			 (int)getpid(), "state", vm_state_name(vm), "cpus",
			 (json_int_t)vm->cfg->nr_cpus, "memory", (json_int_t)vm->cfg->ram_size,
			 "uptime", (json_int_t)((now_ns() - vm->start_ns) / 1000000000));
}

static json_t *control_pause(struct control_conn *conn, json_t *arguments)
{
	if (!control_arguments(conn, arguments, "{}") || !control_machine_is_on(conn))
		return NULL;
	return control_done(conn, vm_pause(conn->control->vm), "cannot pause");
}

static json_t *control_resume(struct control_conn *conn, json_t *arguments)
{
	if (!control_arguments(conn, arguments, "{}") || !control_machine_is_on(conn))
		return NULL;
	return control_done(conn, vm_resume(conn->control->vm), "cannot resume");
}

static json_t *control_stop(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	int force = 0;
	double timeout = CONTROL_STOP_TIMEOUT;

	if (!control_arguments(conn, arguments, "{s?b, s?F}", "force", &force, "timeout", &timeout))
		return NULL;
	if (!(timeout >= 0 && timeout <= CONTROL_MAX_TIMEOUT))
		return control_refuse(conn, "arguments: timeout wants 0 to %.0f seconds",
				      CONTROL_MAX_TIMEOUT);
	conn->wants_end = true;
	if (force || (uint64_t)(timeout * 1e9) == 0)
		vm_request_stop(vm);
	else
		vm_request_powerdown(vm, (uint64_t)(timeout * 1e9)); /* in the end it goes anyway */
	return json_object();
}

/* The registers of all vCPUs, which stand still. Malloc'ed text, NULL when memory is out. */
static char *control_dump_text(struct vm *vm)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		arch_vcpu_dump(&vm->vcpu[i], out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static json_t *control_dump(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	bool was_running;
	json_t *result;
	char *text;
	int ret;

	if (!control_arguments(conn, arguments, "{}") || !control_machine_is_on(conn))
		return NULL;
	was_running = atomic_load(&vm->state) == VM_RUNNING;
	ret = vm_pause(vm);
	if (ret)
		return control_done(conn, ret, "cannot pause for the dump");
	text = control_dump_text(vm);
	ret = was_running ? vm_resume(vm) : 0;
	result = text ? json_pack("{s:s}", "text", text) : NULL;
	free(text);
	if (ret) {
		json_decref(result);
		return control_done(conn, ret, "cannot resume after the dump");
	}
	return result ? result : control_done(conn, -ENOMEM, "dump");
}

static json_t *control_nmi(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	json_int_t cpu;

	if (!control_arguments(conn, arguments, "{s:I}", "cpu", &cpu) ||
	    !control_machine_is_on(conn))
		return NULL;
	if (cpu < 0 || cpu >= (json_int_t)vm->nr_vcpus)
		return control_refuse(conn, "arguments: there is no cpu %lld", (long long)cpu);
	return control_done(conn, arch_nmi(vm, (unsigned int)cpu), "nmi");
}

static json_t *control_sysrq(struct control_conn *conn, json_t *arguments)
{
	const char *key;

	if (!control_arguments(conn, arguments, "{s:s}", "key", &key) ||
	    !control_machine_is_on(conn))
		return NULL;
	if (key[0] <= ' ' || key[0] > '~' || key[1])
		return control_refuse(conn, "arguments: key wants one ASCII character");
	return control_done(conn, arch_sysrq(conn->control->vm, key[0]), "sysrq");
}

static json_t *control_console(struct control_conn *conn, json_t *arguments)
{
	if (!control_arguments(conn, arguments, "{}"))
		return NULL;
	if (!conn->control->vm->console)
		return control_refuse(conn, "the VM has no console");
	conn->next = CONTROL_CONSOLE;
	return json_object();
}

/* The words of a command, to be freed; they stay the array's. NULL after control_refuse(). */
static char **control_words(struct control_conn *conn, json_t *array)
{
	size_t nr = json_array_size(array), i;
	char **words = calloc(nr + 1, sizeof(*words));
	json_t *word;

	json_array_foreach(array, i, word) {
		if (words)
			words[i] = (char *)json_string_value(word);
		if (words && words[i])
			continue;
		control_refuse(conn, "arguments: command wants strings");
		free(words);
		return NULL;
	}
	return words;
}

static json_t *control_exec(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	struct rootfs_command command = {0};
	json_t *array = NULL;
	int tty = 0, rows = 0, cols = 0, ret;
	char **words = NULL;

	if (!control_arguments(conn, arguments, "{s?o, s?b, s?i, s?i, s?s, s?s, s?s, s?s}",
			       "command", &array, "tty", &tty, "rows", &rows, "cols", &cols, "user",
			       &command.user, "cwd", &command.cwd, "term", &command.term, "lang",
			       &command.lang))
		return NULL;
	if (!vm->agent)
		return control_refuse(conn, "its guest has an init of its own, not lkvm's");
	if (json_array_size(array)) {
		words = control_words(conn, array);
		if (!words)
			return NULL;
	}
	command.words = words;
	command.tty = tty ? "" : NULL;
	command.rows = (unsigned int)rows & 0xffff;
	command.cols = (unsigned int)cols & 0xffff;
	ret = rootfs_exec_conf(vm->cfg->rootfs, &command, &conn->exec, &conn->exec_len);
	free(words);
	if (ret == -ENOENT)
		return control_refuse(conn, "there is no user '%s' in the guest", command.user);
	if (ret < 0)
		return control_done(conn, ret, "command");
	conn->next = CONTROL_EXEC;
	return json_object();
}

/* The reply comes from control_destroy(). */
static json_t *control_wait(struct control_conn *conn, json_t *arguments)
{
	if (!control_arguments(conn, arguments, "{}"))
		return NULL;
	conn->wants_status = true;
	return NULL;
}

/* The pixels as base64 text of red, green and blue bytes, to be freed; NULL: out of memory. */
static char *control_encode_pixels(const struct display_surface *surface)
{
	size_t nr = (size_t)surface->width * surface->height;
	uint8_t *rgb = malloc(3 * nr);
	char *text;

	for (size_t i = 0; rgb && i < nr; i++) {
		rgb[3 * i] = surface->pixels[i] >> 16;
		rgb[3 * i + 1] = surface->pixels[i] >> 8;
		rgb[3 * i + 2] = surface->pixels[i];
	}
	text = rgb ? base64_encode(rgb, 3 * nr) : NULL;
	free(rgb);
	return text;
}

static json_t *control_screenshot(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	struct display_surface surface;
	json_t *result = NULL;
	char *text = NULL;

	if (!control_arguments(conn, arguments, "{}"))
		return NULL;
	if (!vm->display)
		return control_refuse(conn, "the VM has no display");
	surface = display_screenshot(vm->display);
	if (surface.pixels)
		text = control_encode_pixels(&surface);
	if (text)
		result = json_pack("{s:i, s:i, s:s}", "width", (int)surface.width, "height",
				   (int)surface.height, "rgb", text);
	free(surface.pixels);
	free(text);
	return result ? result : control_done(conn, -ENOMEM, "screenshot");
}

static json_t *control_balloon(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	json_int_t change, ram = (json_int_t)vm->cfg->ram_size;
	json_int_t target = (json_int_t)vm->balloon_target;

	if (!control_arguments(conn, arguments, "{s:I}", "change", &change) ||
	    !control_machine_is_on(conn))
		return NULL;
	if (!vm->balloon)
		return control_refuse(conn, "the VM has no balloon (run --balloon)");
	if (change < -target)
		return control_refuse(conn, "no more than %lld MiB are wanted in the balloon",
				      (long long)target >> 20);
	if (change > ram - target)
		return control_refuse(conn, "the balloon would be larger than the VM's %lld MiB",
				      (long long)ram >> 20);
	vm->balloon_target = (uint64_t)(target + change);
	balloon_set_target(vm->balloon, vm->balloon_target);
	return json_pack("{s:I}", "target", target + change);
}

static json_t *control_stat_result(const struct balloon_stats *stats)
{
	static const char *const names[BALLOON_NR_STATS] = {
		"swap_in", "swap_out",	"major_faults", "minor_faults",	       "free",
		"total",   "available", "caches",	"hugetlb_allocations", "hugetlb_failures",
	};
	json_t *result = json_pack("{s:I, s:I}", "balloon_target", (json_int_t)stats->target,
				   "balloon_actual", (json_int_t)stats->actual);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (stats->known[i])
			json_object_set_new(result, names[i],
					    json_integer((json_int_t)stats->value[i]));
	return result;
}

/* Asks the guest. The reply comes from control_stat_check(), and meanwhile others are served. */
static json_t *control_stat(struct control_conn *conn, json_t *arguments)
{
	struct control *control = conn->control;
	struct vm *vm = control->vm;
	uint64_t now = now_ns();

	if (!control_arguments(conn, arguments, "{}") || !control_machine_is_on(conn))
		return NULL;
	if (!vm->balloon)
		return control_refuse(conn, "the VM has no balloon (run --balloon)");
	if (atomic_load(&vm->state) == VM_PAUSED)
		return control_refuse(conn, "the VM is paused, its guest cannot answer");
	if (balloon_request_stats(vm->balloon, control->stat_fd))
		return control_refuse(conn, "the guest has no balloon driver with statistics");
	conn->stat_since = now;
	if (!control->stat_waiting)
		loop_arm_timer(control->stat_timer, CONTROL_STAT_TICK_NS);
	control->stat_waiting = true;
	return NULL;
}

/* Down in the order of the words, up in the other. */
static json_t *control_sendkey(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	unsigned int key[CONTROL_MAX_KEYS];
	const char *keys;
	int nr;

	if (!control_arguments(conn, arguments, "{s:s}", "keys", &keys) ||
	    !control_machine_is_on(conn))
		return NULL;
	nr = keys_parse_chord(keys, key, CONTROL_MAX_KEYS);
	if (nr == -E2BIG)
		return control_refuse(conn, "arguments: '%s' are more than %d keys", keys,
				      CONTROL_MAX_KEYS);
	if (nr < 0)
		return control_refuse(conn, "arguments: '%s' has a key that there is not", keys);
	for (int i = 0; i < nr; i++)
		seat_key(&vm->seat, key[i], true);
	for (int i = nr; i-- > 0;)
		seat_key(&vm->seat, key[i], false);
	return json_object();
}

/* The number of a disk, as --disk gave them, or its file; CONFIG_MAX_DISKS: there is none such. */
static unsigned int control_find_disk(const struct vm *vm, const char *which)
{
	uint32_t nr;

	if (!parse_u32(which, &nr) && nr < vm->cfg->nr_disks)
		return nr;
	for (nr = 0; nr < vm->cfg->nr_disks; nr++)
		if (!strcmp(vm->cfg->disk[nr].path, which))
			return nr;
	return CONFIG_MAX_DISKS;
}

static json_t *control_resize(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	unsigned int nr;
	const char *which;
	json_int_t size;

	if (!control_arguments(conn, arguments, "{s:s, s:I}", "disk", &which, "size", &size) ||
	    !control_machine_is_on(conn))
		return NULL;
	nr = control_find_disk(vm, which);
	if (nr == CONFIG_MAX_DISKS)
		return control_refuse(conn, "arguments: there is no disk '%s'", which);
	if (!vm->disk[nr])
		return control_refuse(conn, "disk %s: its size is for its back end to say",
				      vm->cfg->disk[nr].path);
	if (size < (json_int_t)vm->disk[nr]->size)
		return control_refuse(conn, "disk %s: has %llu bytes, and can only grow",
				      vm->disk[nr]->path, (unsigned long long)vm->disk[nr]->size);
	return control_done(conn, blk_resize(vm->blk[nr], (uint64_t)size), "cannot resize");
}

static const struct control_command {
	const char *name;
	json_t *(*fn)(struct control_conn *conn, json_t *arguments);
} control_commands[] = {
	{"status", control_status},
	{"pause", control_pause},
	{"resume", control_resume},
	{"stop", control_stop},
	{"dump", control_dump},
	{"nmi", control_nmi},
	{"sysrq", control_sysrq},
	{"console", control_console},
	{"exec", control_exec},
	{"wait", control_wait},
	{"screenshot", control_screenshot},
	{"sendkey", control_sendkey},
	{"balloon", control_balloon},
	{"stat", control_stat},
	{"resize", control_resize},
};

/* --- requests and replies --- */

static json_t *control_run(struct control_conn *conn, const char *command, json_t *arguments)
{
	for (size_t i = 0; i < ARRAY_SIZE(control_commands); i++)
		if (!strcmp(control_commands[i].name, command))
			return control_commands[i].fn(conn, arguments);
	return control_refuse(conn, "unknown command '%s'", command);
}

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
