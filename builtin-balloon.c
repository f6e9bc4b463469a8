// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/util.h"

struct balloon_wants {
	struct selection sel;
	bool given;
	json_int_t change; /* bytes */
};

/* --inflate and --deflate: one of them, once. */
static int balloon_set_change(const struct option_spec *opt, const char *word)
{
	struct balloon_wants *wants = opt->value;
	uint64_t bytes;

	if (parse_size(word, MIB, &bytes) || !bytes || bytes > INT64_MAX) {
		log_error("option --%s wants a size in MiB, not '%s'", opt->long_name, word);
		return -EINVAL;
	}
	if (wants->given) {
		log_error("--%s %s: one change at a time", opt->long_name, word);
		return -EINVAL;
	}
	wants->given = true;
	wants->change = opt->short_name == 'd' ? -(json_int_t)bytes : (json_int_t)bytes;
	return 0;
}

int builtin_balloon(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm balloon --inflate MB | --deflate MB  NAME... | --all\n\n"
		"Asks guests for so much memory more, or gives it back; the VM needs run --balloon.\n";
	struct balloon_wants wants = {0};
	const struct option_spec options[] = {{OPTION_CALL, 'i', "inflate", &wants, "MB",
					       "take memory from the guest (MiB, or with K, M, G)",
					       balloon_set_change},
					      {OPTION_CALL, 'd', "deflate", &wants, "MB",
					       "give memory back to the guest", balloon_set_change},
					      SELECTION_OPTIONS(&wants.sel),
					      {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0 && !wants.given)
		log_error("balloon: wants --inflate or --deflate");
	else if (first >= 0)
		status = selection_ask(&wants.sel, argv + first, argc - first, "balloon",
				       json_pack("{s:I}", "change", wants.change), NULL);
	selection_close(&wants.sel);
	return status;
}
