// SPDX-License-Identifier: GPL-2.0-or-later
/* links: control-commands.c instance.c util/unix.c util/util.c util/log.c util/loop.c util/base64.c ui/keys.c ui/seat.c */
/* libs: jansson */
/*
 * Lines to the control socket's parser and dispatcher. Each gets exactly one reply, which is one
 * line of JSON with a status. The input may be several lines, as a client would send them.
 */
#include "../../control.c"

#include "kvm/arch.h"
#include "kvm/display.h"
#include "kvm/rootfs.h"
#include "kvm/vcpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void vm_end(struct vm *vm, enum vm_outcome why)
{
	(void)vm;
	(void)why;
}

int vm_request_powerdown(struct vm *vm, uint64_t timeout_ns)
{
	(void)vm;
	if (timeout_ns == 0 || timeout_ns > CONTROL_MAX_TIMEOUT * 1e9)
		abort();
	return 0;
}

int vm_pause(struct vm *vm)
{
	atomic_store(&vm->state, VM_PAUSED);
	return 0;
}

int vm_resume(struct vm *vm)
{
	atomic_store(&vm->state, VM_RUNNING);
	return 0;
}

const char *vm_state_name(struct vm *vm)
{
	return atomic_load(&vm->state) == VM_PAUSED ? "paused" : "running";
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	fprintf(out, "vcpu %u\n", vcpu->id);
}

int agent_exec(struct agent *agent, const char *conf, size_t len, int fd)
{
	(void)agent, (void)conf, (void)len, (void)fd;
	return -ENOTCONN;
}

int rootfs_exec_conf(const struct rootfs *rootfs, const struct rootfs_command *command, char **text,
		     size_t *len)
{
	(void)rootfs, (void)command, (void)text, (void)len;
	return -ENOENT;
}

int arch_nmi(struct vm *vm, unsigned int cpu)
{
	if (cpu >= vm->nr_vcpus)
		abort();
	return -ENOTSUP;
}

struct display_surface display_screenshot(struct display *display)
{
	(void)display;
	return (struct display_surface){0};
}

void net_set_link(struct virtio_device *vdev, bool up)
{
	(void)vdev;
	(void)up;
	abort(); /* there is none */
}

int blk_resize(struct virtio_device *vdev, uint64_t size)
{
	(void)vdev;
	(void)size;
	abort();
}

void balloon_set_target(struct virtio_device *vdev, uint64_t bytes)
{
	(void)vdev;
	(void)bytes;
	abort(); /* there is none */
}

int balloon_request_stats(struct virtio_device *vdev, int notify_fd)
{
	(void)vdev;
	(void)notify_fd;
	abort();
}

struct balloon_stats balloon_get_stats(struct virtio_device *vdev)
{
	(void)vdev;
	abort();
}

int arch_sysrq(struct vm *vm, char key)
{
	(void)vm;
	if (key <= ' ' || key > '~')
		abort();
	return 0;
}

int chardev_attach(struct chardev *chr, int fd)
{
	(void)chr;
	(void)fd;
	return 0;
}

static void fuzz_line(struct control_conn *conn, const char *line, size_t len)
{
	size_t out_len;
	char *out =
		control_encode(control_make_reply(conn, control_answer(conn, line, len)), &out_len);
	json_t *reply = out ? json_loadb(out, out_len, 0, NULL) : NULL;

	if (!json_is_string(json_object_get(reply, "status")) ||
	    memchr(out, '\n', out_len) != out + out_len - 1)
		abort();
	json_decref(reply);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vm_config cfg = {.name = "fuzz", .nr_cpus = 2, .ram_size = GIB};
	struct vcpu vcpus[2] = {{.id = 0}, {.id = 1}};
	struct vm vm = {.cfg = &cfg, .state = VM_RUNNING, .nr_vcpus = 2, .vcpu = vcpus};
	struct control control = {.vm = &vm};
	static struct control_conn conn;
	const char *line = (const char *)data, *end = line + size, *newline;

	conn = (struct control_conn){.control = &control};
	vm.console = (struct chardev *)&conn;
	while (line < end) {
		newline = memchr(line, '\n', (size_t)(end - line));
		fuzz_line(&conn, line, (size_t)((newline ? newline : end) - line));
		line = newline ? newline + 1 : end;
	}
	return 0;
}
