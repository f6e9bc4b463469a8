// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "kvm/builtin.h"
#include "kvm/log.h"
#include "kvm/util.h"

struct debug_wants {
	struct selection sel;
	bool dump, nmi;
	uint32_t cpu;	   /* of nmi */
	const char *sysrq; /* NULL: none */
};

static int debug_set_nmi(const struct option_spec *opt, const char *word)
{
	struct debug_wants *wants = opt->value;

	wants->nmi = true;
	if (!parse_u32(word, &wants->cpu))
		return 0;
	log_error("option --nmi wants the number of a CPU, not '%s'", word);
	return -EINVAL;
}

static void debug_print_dump(const struct selection *sel, const char *name, json_t *result)
{
	const char *text = json_string_value(json_object_get(result, "text"));

	if (sel->nr_peers > 1)
		printf("*** %s\n", name);
	fputs(text ? text : "", stdout);
}

/* The dump comes last: it shows what the others did. */
static enum exit_code debug_call(struct debug_wants *wants)
{
	enum exit_code status = EXIT_OK;

	if (wants->sysrq)
		status = selection_call(&wants->sel, "sysrq",
					json_pack("{s:s}", "key", wants->sysrq), NULL);
	if (wants->nmi)
		status = exit_code_first(
			status,
			selection_call(&wants->sel, "nmi",
				       json_pack("{s:I}", "cpu", (json_int_t)wants->cpu), NULL));
	if (wants->dump)
		status = exit_code_first(
			status, selection_call(&wants->sel, "dump", NULL, debug_print_dump));
	return status;
}

int builtin_debug(int argc, char **argv)
{
	static const char usage[] =
		"usage: lkvm debug [--dump] [--nmi CPU] [--sysrq KEY] NAME... | --all\n\n"
		"Looks into a VM whose guest misbehaves.\n";
	struct debug_wants wants = {0};
	const struct option_spec options[] = {{OPTION_FLAG, 'd', "dump", &wants.dump, NULL,
					       "print the registers of all virtual CPUs", NULL},
					      {OPTION_CALL, 'm', "nmi", &wants, "CPU",
					       "send a non-maskable interrupt", debug_set_nmi},
					      {OPTION_STRING, 's', "sysrq", &wants.sysrq, "KEY",
					       "send a Magic SysRq key by the serial console",
					       NULL},
					      SELECTION_OPTIONS(&wants.sel),
					      {.type = OPTION_END}};
	int first = options_parse(argc, argv, options, usage, false);
	enum exit_code status = first == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;

	if (first >= 0 && !wants.dump && !wants.nmi && !wants.sysrq) {
		log_error("debug: wants --dump, --nmi or --sysrq");
	} else if (first >= 0) {
		status = selection_open(&wants.sel, argv + first, argc - first);
		if (status != EXIT_USAGE)
			status = exit_code_first(status, debug_call(&wants));
	}
	selection_close(&wants.sel);
	return status;
}
