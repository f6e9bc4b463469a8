// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "kvm/builtin.h"
#include "kvm/instance.h"
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

/* Takes the words that are VMs which have ended already out of the list; their status. */
static int wait_late(char **words, int *nr)
{
	int status = EXIT_OK, left = 0;

	for (int i = 0; i < *nr; i++) {
		int fd = instance_check_name(words[i]) ? 0 : instance_connect(words[i]);
		int one = fd == -ENOENT ? instance_take_status(words[i]) : -ENOENT;

		if (fd > 0)
			close(fd);
		if (one < 0)
			words[left++] = words[i];
		else
			status = status ? status : one;
	}
	*nr = left;
	return status;
}

int builtin_wait(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm wait NAME... | --all\n\n"
		"Waits until the VMs have ended. The exit status is what `lkvm run` would have had,\n"
		"the first that is not 0 if there are several VMs. That of a command that was started\n"
		"by `run --detach` may be asked for, once, when it has ended already.\n";
	struct selection sel = {0};
	const struct option_spec options[] = {SELECTION_OPTIONS(&sel), {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false), nr = argc - first;
	int status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0) {
		status = wait_late(argv + first, &nr);
		if (nr || sel.all || sel.nr_names || first == argc) {
			int opened = selection_open(&sel, argv + first, nr);
			int waited = opened == EXIT_USAGE ? EXIT_OK : wait_all(&sel);

			status = status ? status : opened ? opened : waited;
		}
	}
	selection_close(&sel);
	return status;
}
