// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>

#include "kvm/builtin.h"
#include "kvm/log.h"

/* The VM's exit status, or that of what went wrong on the way to it. */
static int wait_one(struct control_peer *peer)
{
	json_t *result;
	int ret = control_receive(peer, &result, INT64_MAX), status = EXIT_HOST_ERROR;

	if (ret)
		status = selection_failed(peer->name, ret, result);
	else if (json_unpack(result, "{s:i}", "status", &status))
		log_error("VM %s does not say how it ended", peer->name);
	else
		control_wait_gone(peer, INT64_MAX);
	json_decref(result);
	return status;
}

/* Asked of all before the first is waited for: none of them can end unseen. */
static int wait_all(struct selection *sel)
{
	int status = EXIT_OK;

	for (unsigned int i = 0; i < sel->nr_peers; i++) {
		int ret = control_send(&sel->peer[i], "wait", NULL);

		if (ret) {
			status = exit_code_first(status,
						 selection_failed(sel->peer[i].name, ret, NULL));
			control_close(&sel->peer[i]);
		}
	}
	for (unsigned int i = 0; i < sel->nr_peers; i++) {
		int one = sel->peer[i].fd < 0 ? 0 : wait_one(&sel->peer[i]);

		status = status ? status : one;
	}
	return status;
}

int builtin_wait(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm wait NAME... | --all\n\n"
		"Waits until the VMs have ended. The exit status is what `lkvm run` would have had,\n"
		"the first that is not 0 if there are several VMs.\n";
	struct selection sel = {0};
	const struct option_spec options[] = {SELECTION_OPTIONS(&sel), {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	int status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0) {
		status = selection_open(&sel, argv + first, argc - first);
		if (status != EXIT_USAGE) {
			int waited = wait_all(&sel);

			status = status ? status : waited;
		}
	}
	selection_close(&sel);
	return status;
}
