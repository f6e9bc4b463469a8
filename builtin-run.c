// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/agent.h"
#include "kvm/builtin.h"
#include "kvm/chardev.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/run-options.h"
#include "kvm/util.h"
#include "kvm/vm.h"

static const char run_usage[] =
	"usage: lkvm run [OPTIONS] [KERNEL] [-- COMMAND [ARGS...]]\n\n"
	"Runs a virtual machine in this terminal; Ctrl-a x ends it. Without a disk and an initrd its\n"
	"root is this host's, in a copy that is thrown away; there it runs the command, or a shell.\n";

static const char run_sandbox_usage[] =
	"usage: lkvm sandbox [OPTIONS] [[--] COMMAND [ARGS...]]\n\n"
	"Runs a command, or a shell, in a virtual machine that sees this host's files, in a copy that\n"
	"is thrown away, and has no network. Takes the options of `lkvm run`; its exit status is the\n"
	"command's.\n";

/* --- detaching --- */

/*
 * The VM lives in a child that has no terminal; the parent waits to hear that it was created, so
 * that errors reach the person who typed, and hands on the exit status if it was not. Returns the
 * pipe on which the child reports, in the child; the parent does not return.
 */
static int run_detach(const struct run_options *run)
{
	int report[2], status;
	char ok;
	pid_t child;

	if (pipe2(report, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		log_error("--detach: %m");
		exit(EXIT_HOST_ERROR);
	}
	if (child == 0) {
		close(report[0]);
		setsid();
		return report[1];
	}
	close(report[1]);
	if (read_full(report[0], &ok, 1) == 0) {
		printf("%s\n", run->cfg.name);
		fflush(stdout);
		_exit(EXIT_OK);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		_exit(EXIT_HOST_ERROR);
	_exit(WEXITSTATUS(status));
}

/* The VM stands: let go of the terminal and of the parent. */
static int run_detached(const struct run_options *run, int report_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), log_fd = null_fd;

	if (run->cfg.log_file)
		log_fd = open(run->cfg.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (null_fd < 0 || log_fd < 0) {
		log_error("%s: %m",
			  run->cfg.log_file && null_fd >= 0 ? run->cfg.log_file : "/dev/null");
		return -EIO;
	}
	dup2(null_fd, STDIN_FILENO);
	dup2(null_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	if (log_fd != null_fd)
		close(log_fd);
	close(null_fd);
	write_full(report_fd, "", 1);
	close(report_fd);
	return 0;
}

/* --- the end --- */

/* What the guest's kernel had to say, when that is all that is known. */
static void run_print_console(struct vm *vm)
{
	static char text[4096];
	size_t len = chardev_backlog(vm->console, text, sizeof(text));
	const char *line = len == sizeof(text) ? memchr(text, '\n', len) : NULL;
	size_t skip = line ? (size_t)(line + 1 - text) : 0;

	log_error("the guest ended without a status; its console's last lines:");
	write_full(STDERR_FILENO, text + skip, len - skip);
}

/* A command's status is lkvm's own. */
static int run_exit_status(const struct run_options *run, struct vm *vm, enum exit_code code)
{
	bool stopped = atomic_load(&vm->outcome) == VM_OUTCOME_STOPPED;
	int status;

	if (!vm->agent)
		return code;
	if (agent_exit_status(vm->agent, &status))
		return status;
	if (stopped)
		return run->rootfs.command.words ? 128 + SIGKILL : EXIT_OK;
	if (run->cfg.pipes)
		run_print_console(vm);
	return EXIT_NO_STATUS;
}

/* The VM lives in here. */
static int run_vm(struct run_options *run, int report_fd)
{
	struct vm *vm = vm_create(&run->cfg);
	int status = EXIT_HOST_ERROR;

	if (!vm)
		return EXIT_HOST_ERROR;
	if (!run->cfg.detach || run_detached(run, report_fd) == 0)
		status = run_exit_status(run, vm, vm_run(vm));
	/* A script that starts a command may be late to wait for it. */
	control_set_exit_status(vm->control, status,
				run->cfg.detach && run->rootfs.command.words &&
					atomic_load(&vm->outcome) != VM_OUTCOME_STOPPED);
	vm_destroy(vm);
	/* What goes with a command's output is the command's. */
	if (status == EXIT_OK && !run->rootfs.command.words && !run->cfg.pipes)
		log_info("KVM session ended normally.");
	return status;
}

int run_main(int argc, char **argv, bool sandbox)
{
	/* Static: larger than a stack frame should be, and it lives as long as the process. */
	static struct run_options run = {.cfg.kvm_path = "/dev/kvm"};
	int report_fd = -1, ret;

	run.rootfs.sandbox = sandbox;
	ret = run_options_parse(&run, argc, argv, sandbox ? run_sandbox_usage : run_usage);
	if (ret == OPTIONS_HELP)
		return EXIT_OK;
	if (ret < 0)
		return EXIT_USAGE;
	ret = run_options_complete(&run);
	if (ret < 0)
		return ret == -EINVAL ? EXIT_USAGE : EXIT_HOST_ERROR;
	if (run.cfg.detach)
		report_fd = run_detach(&run);
	return run_vm(&run, report_fd);
}

int builtin_run(int argc, char **argv)
{
	return run_main(argc, argv, false);
}
