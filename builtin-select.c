// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/builtin.h"
#include "kvm/instance.h"
#include "kvm/log.h"
#include "kvm/util.h"

int selection_set_run_dir(const struct option_spec *opt, const char *word)
{
	(void)opt;
	if (!*word) {
		log_error("option --run-dir wants a folder");
		return -EINVAL;
	}
	instance_set_run_dir(word);
	return 0;
}

static int selection_append(struct selection *sel, const char *name)
{
	const char **grown = reallocarray(sel->name, sel->nr_names + 1, sizeof(*grown));

	if (!grown) {
		log_error("out of memory");
		return -ENOMEM;
	}
	sel->name = grown;
	sel->name[sel->nr_names++] = name;
	return 0;
}

int selection_add_name(const struct option_spec *opt, const char *word)
{
	return selection_append(opt->value, word);
}

enum exit_code selection_failed(const char *name, int err, const json_t *error)
{
	if (err == -ENOENT || err == -ECONNRESET) { /* not there, or no longer */
		log_error("no VM named %s is running", name);
		return EXIT_NO_INSTANCE;
	}
	if (err == -EREMOTEIO)
		log_error("VM %s: %s", name, json_string_value(error));
	else if (err == -ETIMEDOUT || err == -EAGAIN)
		log_error("VM %s does not answer", name);
	else
		log_error("VM %s: %s", name, strerror(-err));
	return EXIT_HOST_ERROR;
}

static enum exit_code selection_connect(struct selection *sel, const char *name)
{
	int ret = control_open(&sel->peer[sel->nr_peers], name);

	if (!ret)
		sel->nr_peers++;
	else if (ret == -ENOENT && sel->missing && sel->missing(name, sel->missing_arg))
		return EXIT_OK;
	else if (ret != -ENOENT || !sel->all) /* of all VMs one may just have ended */
		return selection_failed(name, ret, NULL);
	return EXIT_OK;
}

static enum exit_code selection_connect_all(struct selection *sel)
{
	char **names = instance_names(), **name;
	enum exit_code status = EXIT_OK;
	size_t nr = 0;

	if (!names)
		return EXIT_HOST_ERROR;
	while (names[nr])
		nr++;
	sel->peer = calloc(nr + 1, sizeof(*sel->peer));
	for (name = names; sel->peer && *name; name++)
		status = exit_code_first(status, selection_connect(sel, *name));
	instance_free_names(names);
	return sel->peer ? status : EXIT_HOST_ERROR;
}

enum exit_code selection_open(struct selection *sel, char **words, int nr_words)
{
	enum exit_code status = EXIT_OK;
	unsigned int i;

	for (i = 0; i < (unsigned int)nr_words; i++)
		if (selection_append(sel, words[i]))
			return EXIT_HOST_ERROR;
	if (sel->all != !sel->nr_names) {
		log_error(sel->all ? "--all and names of VMs exclude each other"
				   : "which VM? Give its name, or --all");
		return EXIT_USAGE;
	}
	if (sel->all)
		return selection_connect_all(sel);
	for (i = 0; i < sel->nr_names; i++)
		if (instance_check_name(sel->name[i]))
			return EXIT_USAGE;
	sel->peer = calloc(sel->nr_names, sizeof(*sel->peer));
	if (!sel->peer) {
		log_error("out of memory");
		return EXIT_HOST_ERROR;
	}
	for (i = 0; i < sel->nr_names; i++)
		status = exit_code_first(status, selection_connect(sel, sel->name[i]));
	return status;
}

void selection_close(struct selection *sel)
{
	for (unsigned int i = 0; i < sel->nr_peers; i++)
		control_close(&sel->peer[i]);
	free(sel->peer);
	free(sel->name);
	*sel = (struct selection){0};
}

enum exit_code selection_call(struct selection *sel, const char *command, json_t *arguments,
			      void (*done)(const struct selection *sel, const char *name,
					   json_t *result))
{
	enum exit_code status = EXIT_OK;
	uint64_t deadline;
	unsigned int i;
	int ret;

	for (i = 0; i < sel->nr_peers; i++) {
		struct control_peer *peer = &sel->peer[i];

		ret = peer->fd < 0 ? 0 : control_send(peer, command, arguments);
		if (ret) {
			status = exit_code_first(status, selection_failed(peer->name, ret, NULL));
			control_close(peer);
		}
	}
	json_decref(arguments);
	deadline = now_ns() + SELECTION_TIMEOUT_NS;
	for (i = 0; i < sel->nr_peers; i++) {
		struct control_peer *peer = &sel->peer[i];
		json_t *result;

		if (peer->fd < 0)
			continue;
		ret = control_receive(peer, &result, deadline);
		if (ret) {
			status = exit_code_first(status, selection_failed(peer->name, ret, result));
			control_close(peer);
		} else if (done) {
			done(sel, peer->name, result);
		}
		json_decref(result);
	}
	return status;
}

enum exit_code selection_ask(struct selection *sel, char **words, int nr_words, const char *command,
			     json_t *arguments,
			     void (*done)(const struct selection *sel, const char *name,
					  json_t *result))
{
	enum exit_code status = selection_open(sel, words, nr_words);

	if (status == EXIT_USAGE) {
		json_decref(arguments);
		return status;
	}
	return exit_code_first(status, selection_call(sel, command, arguments, done));
}

int selection_main(int argc, char **argv, const char *usage)
{
	struct selection sel = {0};
	const struct option_spec options[] = {SELECTION_OPTIONS(&sel), {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0)
		status = selection_ask(&sel, argv + first, argc - first, argv[0], NULL, NULL);
	selection_close(&sel);
	return status;
}
