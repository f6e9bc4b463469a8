// SPDX-License-Identifier: GPL-2.0-or-later
/* links: util/options.c disk/params.c net/params.c util/transport.c util/util.c util/log.c */
/*
 * Words of a command line under a fuzzer: lines of the input are words for the parser of options,
 * whose callbacks are the parsers of --disk and --network. Each word is refused or taken; nothing
 * is read beyond it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/options.h"
#include "kvm/util.h"

#define FUZZ_WORDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *copies[FUZZ_WORDS];
static unsigned int nr_copies;

/* The parsers write into the word. */
static char *fuzz_copy(const char *word)
{
	if (nr_copies == FUZZ_WORDS)
		return NULL;
	return copies[nr_copies++] = strdup(word ?: "");
}

static int fuzz_disk(const struct option_spec *opt, const char *word)
{
	struct disk_params params = {0};
	char *copy = fuzz_copy(word);

	(void)opt;
	return copy ? disk_params_parse(&params, copy) : -EINVAL;
}

static int fuzz_nic(const struct option_spec *opt, const char *word)
{
	struct nic_params nic = {.fd = -1};
	char *copy = fuzz_copy(word);

	(void)opt;
	return copy ? nic_params_parse(&nic, copy) : -EINVAL;
}

static struct {
	bool flag, noflag;
	const char *string;
	uint32_t number;
} got;

static const struct option_spec table[] = {
	{OPTION_GROUP, .help = "Options:"},
	{OPTION_U32, 'c', "cpus", &got.number, "n", "a number\nand its default", NULL},
	{OPTION_STRING, 'k', "kernel", &got.string, "file", "a string", NULL},
	{OPTION_CALL, 'd', "disk", NULL, "file", "a disk", fuzz_disk},
	{OPTION_CALL_OPTIONAL, 'n', "network", NULL, "what", "a network", fuzz_nic},
	{OPTION_FLAG, 'r', "rng", &got.flag, NULL, "a flag", NULL},
	{OPTION_NOFLAG, 0, "no-dhcp", &got.noflag, NULL, "no flag", NULL},
	{.type = OPTION_END},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[FUZZ_WORDS + 2] = {"lkvm"}, *text = malloc(size + 1), *rest = text;
	int argc = 1, ret;

	memcpy(text, data, size);
	text[size] = '\0';
	while (argc <= FUZZ_WORDS && rest) {
		char *word = strsep(&rest, "\n");

		argv[argc++] = strdup(word);
	}
	ret = options_parse(argc, argv, table, "lkvm run [options]", size % 2);
	if (ret >= 0 && (ret < 1 || ret > argc))
		abort();
	for (int i = 1; i < argc; i++)
		free(argv[i]);
	while (nr_copies)
		free(copies[--nr_copies]);
	free(text);
	return 0;
}
