// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/builtin.h"
#include "kvm/instance.h"
#include "kvm/log.h"
#include "kvm/util.h"

/* Who has not answered by then is listed as unresponsive. One time-out for all VMs together. */
#define LIST_TIMEOUT_NS 1000000000ULL

/* 640K, 512M, 6G, 1536M: the largest unit that leaves no rest. */
static void list_format_size(char *buf, size_t size, json_int_t bytes)
{
	const char *unit = "KMGT";

	for (bytes /= 1024; bytes && bytes % 1024 == 0 && unit[1]; unit++)
		bytes /= 1024;
	snprintf(buf, size, "%lld%c", (long long)bytes, *unit);
}

/* 42s, 3m07s, 5h12m, 8d04h */
static void list_format_time(char *buf, size_t size, json_int_t seconds)
{
	long long s = seconds;

	if (s < 60)
		snprintf(buf, size, "%llds", s);
	else if (s < 3600)
		snprintf(buf, size, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(buf, size, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

static void list_format_plain(char *buf, size_t size, json_int_t number)
{
	snprintf(buf, size, "%lld", (long long)number);
}

/* The columns are the members of the reply to `status`. */
static const struct list_column {
	const char *heading, *key;
	void (*format)(char *buf, size_t size, json_int_t number); /* NULL: a string */
} list_columns[] = {
	{"NAME", "name", NULL},
	{"PID", "pid", list_format_plain},
	{"STATE", "state", NULL},
	{"CPUS", "cpus", list_format_plain},
	{"MEMORY", "memory", list_format_size},
	{"UPTIME", "uptime", list_format_time},
};

/* All that can be said of a VM that does not speak. */
static json_t *list_unresponsive(const char *name, pid_t pid)
{
	return json_pack("{s:s, s:o, s:s, s:n, s:n, s:n}", "name", name, "pid",
			 pid ? json_integer(pid) : json_null(), "state", "unresponsive", "cpus",
			 "memory", "uptime");
}

static bool list_row_ok(json_t *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(list_columns); i++) {
		json_t *cell = json_object_get(row, list_columns[i].key);

		if (list_columns[i].format ? !json_is_integer(cell) : !json_is_string(cell))
			return false;
	}
	return true;
}

/* One VM's row; none when it has just ended. Closes the peer. */
static void list_gather(json_t *rows, struct control_peer *peer, uint64_t deadline)
{
	json_t *row;
	int ret = control_receive(peer, &row, deadline);

	if (!ret && list_row_ok(row))
		json_array_append(rows, row);
	else if (ret != -ECONNRESET)
		json_array_append_new(rows, list_unresponsive(peer->name, peer->pid));
	json_decref(row);
	control_close(peer);
}

/* Asks all first and then listens, so that the slowest sets the time and not their sum. */
static void list_ask(json_t *rows, char **names, struct control_peer *peer)
{
	size_t nr = 0, i;
	uint64_t deadline;
	int ret;

	for (; *names; names++) {
		ret = control_open(&peer[nr], *names);
		if (!ret && !control_send(&peer[nr], "status", NULL))
			nr++;
		else if (!ret)
			control_close(&peer[nr]);
		else if (ret != -ENOENT && ret != -ENOTSOCK)
			json_array_append_new(rows, list_unresponsive(*names, 0));
	}
	deadline = now_ns() + LIST_TIMEOUT_NS;
	for (i = 0; i < nr; i++)
		list_gather(rows, &peer[i], deadline);
}

/* All rows, or NULL after an error line. */
static json_t *list_rows(void)
{
	char **names = instance_names();
	struct control_peer *peer = NULL;
	json_t *rows = NULL;
	size_t nr = 0;

	if (!names)
		return NULL;
	while (names[nr])
		nr++;
	peer = calloc(nr + 1, sizeof(*peer));
	rows = json_array();
	if (peer && rows)
		list_ask(rows, names, peer);
	else
		log_error("out of memory");
	instance_free_names(names);
	free(peer);
	return rows;
}

static const char *list_cell(const struct list_column *column, json_t *row, char *buf, size_t size)
{
	json_t *cell = json_object_get(row, column->key);

	if (json_is_string(cell))
		return json_string_value(cell);
	if (!json_is_integer(cell))
		return "-";
	column->format(buf, size, json_integer_value(cell));
	return buf;
}

/* Every column as wide as its widest cell; the last one is not padded. */
static void list_print_table(json_t *rows)
{
	int width[ARRAY_SIZE(list_columns)] = {0};
	const struct list_column *column;
	char buf[32];
	json_t *row;
	size_t i, c;

	for (c = 0; c < ARRAY_SIZE(list_columns) - 1; c++) {
		column = &list_columns[c];
		width[c] = (int)strlen(column->heading);
		json_array_foreach(rows, i, row) {
			int len = (int)strlen(list_cell(column, row, buf, sizeof(buf)));

			width[c] = MAX(width[c], len);
		}
	}
	for (c = 0; c < ARRAY_SIZE(list_columns); c++)
		printf("%s%-*s", c ? "  " : "", width[c], list_columns[c].heading);
	json_array_foreach(rows, i, row) {
		for (c = 0; c < ARRAY_SIZE(list_columns); c++)
			printf("%s%-*s", c ? "  " : "\n", width[c],
			       list_cell(&list_columns[c], row, buf, sizeof(buf)));
	}
	printf("\n");
}

int builtin_list(int argc, char **argv)
{
	bool json = false;
	const struct option_spec options[] = {
		{OPTION_FLAG, 0, "json", &json, NULL, "print a JSON array", NULL},
		RUN_DIR_OPTION,
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options,
				  "usage: lkvm list [--json]\n\nLists the running VMs.\n", false);
	json_t *rows;

	if (first == OPTIONS_HELP)
		return EXIT_OK;
	if (first >= 0 && first < argc)
		log_error("list: what is '%s'?", argv[first]);
	if (first != argc)
		return EXIT_USAGE;
	rows = list_rows();
	if (!rows)
		return EXIT_HOST_ERROR;
	if (json && !json_dumpf(rows, stdout, JSON_INDENT(2)))
		printf("\n");
	else if (!json)
		list_print_table(rows);
	json_decref(rows);
	return EXIT_OK;
}
