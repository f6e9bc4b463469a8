// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/util.h"

/* Beyond the time-out: what a VM may need to write its disks back. */
#define STOP_GRACE 60 /* seconds */

/* One time-out for all of them. */
static enum exit_code stop_wait(struct selection *sel, uint64_t seconds)
{
	uint64_t deadline = now_ns() + seconds * 1000000000ULL;
	enum exit_code status = EXIT_OK;

	for (unsigned int i = 0; i < sel->nr_peers; i++) {
		struct control_peer *peer = &sel->peer[i];

		if (peer->fd < 0 || !control_wait_gone(peer, deadline))
			continue;
		log_error("VM %s (pid %d) is still there after %u s", peer->name, (int)peer->pid,
			  (unsigned int)seconds);
		status = EXIT_HOST_ERROR;
	}
	return status;
}

static enum exit_code stop_call(struct selection *sel, bool force, uint32_t timeout)
{
	json_t *arguments = json_pack("{s:b, s:I}", "force", force, "timeout", (json_int_t)timeout);
	enum exit_code status = selection_call(sel, "stop", arguments, NULL);

	return exit_code_first(status, stop_wait(sel, (force ? 0 : timeout) + STOP_GRACE));
}

int builtin_stop(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm stop NAME... | --all\n\n"
		"Presses the guest's power button, and ends the VM if the guest has not turned\n"
		"itself off in time. Returns when the VM is gone and its disks are written.\n";
	struct selection sel = {0};
	uint32_t timeout = 30;
	bool force = false;
	const struct option_spec options[] = {
		{OPTION_FLAG, 'f', "force", &force, NULL, "do not ask the guest", NULL},
		{OPTION_U32, 't', "timeout", &timeout, "SECONDS",
		 "how long the guest may take (30)", NULL},
		SELECTION_OPTIONS(&sel),
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0) {
		status = selection_open(&sel, argv + first, argc - first);
		if (status != EXIT_USAGE)
			status = exit_code_first(status, stop_call(&sel, force, timeout));
	}
	selection_close(&sel);
	return status;
}
