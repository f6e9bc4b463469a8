// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "kvm/builtin.h"
#include "kvm/instance.h"
#include "kvm/log.h"

/* The first status that is not 0 is that of all. */
static void wait_note(int *status, int one)
{
	if (!*status)
		*status = one;
}

/* Of selection.missing: a VM that has ended already may have left its status. */
static bool wait_late(const char *name, void *arg)
{
	int status = instance_take_status(name);

	if (status >= 0)
		wait_note(arg, status);
	return status >= 0;
}

/* It may have ended before it heard us. */
static void wait_failed(const char *name, int err, const json_t *error, int *status)
{
	if (err != -ECONNRESET || !wait_late(name, status))
		wait_note(status, selection_failed(name, err, error));
}

/* The VM's exit status, or that of what went wrong on the way to it. */
static void wait_one(struct control_peer *peer, int *status)
{
	json_t *result;
	int ret = control_receive(peer, &result, INT64_MAX), one = EXIT_HOST_ERROR;

	if (ret) {
		wait_failed(peer->name, ret, result, status);
	} else {
		if (json_unpack(result, "{s:i}", "status", &one))
			log_error("VM %s does not say how it ended", peer->name);
		else
			control_wait_gone(peer, INT64_MAX);
		wait_note(status, one);
	}
	json_decref(result);
}

/* Asked of all before the first is waited for: none of them can end unseen. */
static void wait_all(struct selection *sel, int *status)
{
	for (unsigned int i = 0; i < sel->nr_peers; i++) {
		int ret = control_send(&sel->peer[i], "wait", NULL);

		if (ret) {
			wait_failed(sel->peer[i].name, ret, NULL, status);
			control_close(&sel->peer[i]);
		}
	}
	for (unsigned int i = 0; i < sel->nr_peers; i++)
		if (sel->peer[i].fd >= 0)
			wait_one(&sel->peer[i], status);
}

int builtin_wait(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm wait NAME... | --all\n\n"
		"Waits until the VMs have ended. The exit status is what `lkvm run` would have had,\n"
		"the first that is not 0 if there are several VMs. That of a command that was started\n"
		"by `run --detach` may be asked for, once, when it has ended already.\n";
	int status = EXIT_OK;
	struct selection sel = {.missing = wait_late, .missing_arg = &status};
	const struct option_spec options[] = {SELECTION_OPTIONS(&sel), {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false), opened;

	if (first < 0)
		return first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
	opened = selection_open(&sel, argv + first, argc - first);
	if (opened == EXIT_USAGE)
		status = opened;
	else
		wait_all(&sel, &status);
	wait_note(&status, opened);
	selection_close(&sel);
	return status;
}
