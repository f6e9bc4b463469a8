// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/util.h"

struct stat_wants {
	struct selection sel;
	bool memory, json;
	json_t *rows; /* of --json */
};

/* The lines are the members of the reply to `stat`; a guest need not tell them all. */
static const struct stat_line {
	const char *key, *text;
	bool is_size;
} stat_lines[] = {
	{"total", "total memory", true},
	{"free", "free memory", true},
	{"available", "available memory", true},
	{"caches", "disk caches", true},
	{"swap_in", "swapped in", true},
	{"swap_out", "swapped out", true},
	{"major_faults", "major page faults", false},
	{"minor_faults", "minor page faults", false},
	{"hugetlb_allocations", "huge pages allocated", false},
	{"hugetlb_failures", "huge pages refused", false},
	{"balloon_actual", "in the balloon", true},
	{"balloon_target", "wanted in the balloon", true},
};

static void stat_print(const struct selection *sel, const char *name, json_t *result)
{
	if (sel->nr_peers > 1)
		printf("*** %s\n", name);
	for (size_t i = 0; i < ARRAY_SIZE(stat_lines); i++) {
		const struct stat_line *line = &stat_lines[i];
		json_t *number = json_object_get(result, line->key);

		if (!json_is_integer(number))
			continue;
		if (line->is_size)
			printf("%-22s %12lld KiB\n", line->text,
			       (long long)json_integer_value(number) / 1024);
		else
			printf("%-22s %12lld\n", line->text, (long long)json_integer_value(number));
	}
}

static void stat_gather(const struct selection *sel, const char *name, json_t *result)
{
	struct stat_wants *wants = container_of(sel, struct stat_wants, sel);

	json_object_set_new(result, "name", json_string(name));
	json_array_append(wants->rows, result);
}

static enum exit_code stat_call(struct stat_wants *wants)
{
	enum exit_code status;

	if (!wants->json)
		return selection_call(&wants->sel, "stat", NULL, stat_print);
	wants->rows = json_array();
	if (!wants->rows) {
		log_error("out of memory");
		return EXIT_HOST_ERROR;
	}
	status = selection_call(&wants->sel, "stat", NULL, stat_gather);
	if (!json_dumpf(wants->rows, stdout, JSON_INDENT(2)))
		printf("\n");
	json_decref(wants->rows);
	return status;
}

int builtin_stat(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm stat [--memory] [--json] NAME... | --all\n\n"
		"Asks guests how they are; the VM needs run --balloon, its guest the driver.\n";
	struct stat_wants wants = {0};
	const struct option_spec options[] = {
		{OPTION_FLAG, 'm', "memory", &wants.memory, NULL,
		 "memory statistics, which is all there is", NULL},
		{OPTION_FLAG, 0, "json", &wants.json, NULL, "print a JSON array", NULL},
		SELECTION_OPTIONS(&wants.sel),
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0) {
		status = selection_open(&wants.sel, argv + first, argc - first);
		if (status != EXIT_USAGE)
			status = exit_code_first(status, stat_call(&wants));
	}
	selection_close(&wants.sel);
	return status;
}
