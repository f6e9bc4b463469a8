// SPDX-License-Identifier: GPL-2.0-or-later
/* The commands of docs/control.md, one function each, and their table at the end. */
#include "control-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/agent.h"
#include "kvm/arch.h"
#include "kvm/base64.h"
#include "kvm/display.h"
#include "kvm/keys.h"
#include "kvm/loop.h"
#include "kvm/rootfs.h"
#include "kvm/util.h"
#include "kvm/vcpu.h"
#include "kvm/virtio-models.h"
#include "kvm/vm.h"

#define CONTROL_MAX_KEYS     6	  /* at once; a PS/2 keyboard has room for as many codes */
#define CONTROL_STOP_TIMEOUT 30.0 /* seconds */

json_t *control_refuse(struct control_conn *conn, const char *fmt, ...)
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

json_t *control_stat_result(const struct balloon_stats *stats)
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

/* One NIC, or all that there are. */
static json_t *control_link(struct control_conn *conn, json_t *arguments)
{
	struct vm *vm = conn->control->vm;
	unsigned int nr = 0;
	json_int_t nic = -1;
	int up;

	if (!control_arguments(conn, arguments, "{s:b, s?I}", "up", &up, "nic", &nic) ||
	    !control_machine_is_on(conn))
		return NULL;
	for (unsigned int i = 0; i < vm->cfg->nr_nics; i++) {
		if (!vm->nic[i] || (nic != -1 && nic != i))
			continue;
		vm->link_down[i] = !up;
		net_set_link(vm->net[i], up);
		nr++;
	}
	if (!nr && nic != -1)
		return control_refuse(conn, "arguments: there is no NIC %lld", (long long)nic);
	return nr ? json_object() : control_refuse(conn, "the VM has no NIC");
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
	{"link", control_link},
};

json_t *control_run(struct control_conn *conn, const char *command, json_t *arguments)
{
	for (size_t i = 0; i < ARRAY_SIZE(control_commands); i++)
		if (!strcmp(control_commands[i].name, command))
			return control_commands[i].fn(conn, arguments);
	return control_refuse(conn, "unknown command '%s'", command);
}
