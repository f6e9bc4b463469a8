// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/util.h"

struct link_wants {
	struct selection sel;
	bool up, down;
	const char *nic; /* NULL: all of them */
	uint32_t nr;
};

static int link_set_nic(const struct option_spec *opt, const char *word)
{
	struct link_wants *wants = opt->value;

	if (parse_u32(word, &wants->nr)) {
		log_error("option --nic wants a number, not '%s'", word);
		return -EINVAL;
	}
	wants->nic = word;
	return 0;
}

static json_t *link_arguments(const struct link_wants *wants)
{
	json_t *arguments = json_pack("{s:b}", "up", (int)wants->up);

	if (wants->nic)
		json_object_set_new(arguments, "nic", json_integer(wants->nr));
	return arguments;
}

int builtin_link(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm link --down | --up [--nic NR]  NAME... | --all\n\n"
		"Pulls the network cable of virtual machines, or plugs it in again.\n";
	struct link_wants wants = {0};
	const struct option_spec options[] = {
		{OPTION_FLAG, 'd', "down", &wants.down, NULL, "no frame passes; the guest is told",
		 0},
		{OPTION_FLAG, 'u', "up", &wants.up, NULL, "as it was", 0},
		{OPTION_CALL, 'i', "nic", &wants, "NR",
		 "only this one, counted as --network gave them (0 is the first)", link_set_nic},
		SELECTION_OPTIONS(&wants.sel),
		{.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0 && wants.up == wants.down)
		log_error("link: wants --down or --up");
	else if (first >= 0)
		status = selection_ask(&wants.sel, argv + first, argc - first, "link",
				       link_arguments(&wants), NULL);
	selection_close(&wants.sel);
	return status;
}
