// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/log.h"
#include "kvm/util.h"

/*
 * getopt_long() wants its own arrays. Each option of the table has one long name there and, when it
 * is a flag, a second one for its opposite: `--rng` brings `--no-rng`, `--no-dhcp` brings `--dhcp`.
 * getopt's `val` says which table line was meant: OPTIONS_VAL + 2 * line, + 1 for the opposite.
 */
#define OPTIONS_VAL	 0x100
#define OPTIONS_VAL_HELP 0xff
#define OPTIONS_COLUMN	 30 /* where the help texts start */

struct options_parser {
	const struct option_spec *table;
	struct option *longs;
	char *names;  /* storage for the opposites' names */
	char *shorts; /* getopt's optstring */
};

static bool options_is_option(const struct option_spec *opt)
{
	return opt->type != OPTION_GROUP;
}

static bool options_is_flag(const struct option_spec *opt)
{
	return opt->type == OPTION_FLAG || opt->type == OPTION_NOFLAG;
}

/* no_argument, required_argument or optional_argument */
static int options_has_arg(const struct option_spec *opt)
{
	if (options_is_flag(opt))
		return no_argument;
	if (opt->type != OPTION_CALL_OPTIONAL)
		return required_argument;
	return opt->arg ? optional_argument : no_argument;
}

static const struct option_spec *options_find(const struct option_spec *table, const char *name)
{
	for (; table->type != OPTION_END; table++)
		if (options_is_option(table) && table->long_name && !strcmp(table->long_name, name))
			return table;
	return NULL;
}

static void options_parser_fini(struct options_parser *p)
{
	free(p->longs);
	free(p->names);
	free(p->shorts);
}

/* "name" <-> "no-name" */
static void options_opposite(char *dst, const char *name)
{
	if (!strncmp(name, "no-", 3))
		strcpy(dst, name + 3);
	else
		strcat(strcpy(dst, "no-"), name);
}

static int options_parser_init(struct options_parser *p, const struct option_spec *table,
			       bool stop_at_word)
{
	size_t lines = 0, chars = 0;
	const struct option_spec *opt;
	struct option *l;
	char *name, *s;

	for (opt = table; opt->type != OPTION_END; opt++) {
		lines++;
		if (options_is_option(opt) && opt->long_name)
			chars += strlen(opt->long_name) + sizeof("no-");
	}
	p->table = table;
	p->longs = l = calloc(2 * lines + 2, sizeof(*l));
	p->names = name = calloc(1, chars + 1);
	p->shorts = s = calloc(1, 3 * lines + sizeof("+:h"));
	if (!l || !name || !s) {
		options_parser_fini(p);
		return -ENOMEM;
	}

	s += sprintf(s, "%s:h", stop_at_word ? "+" : "");
	*l++ = (struct option){"help", no_argument, NULL, OPTIONS_VAL_HELP};
	for (opt = table; opt->type != OPTION_END; opt++) {
		int has_arg = options_has_arg(opt), val = OPTIONS_VAL + 2 * (int)(opt - table);

		if (!options_is_option(opt))
			continue;
		if (opt->short_name)
			s += sprintf(s, "%c%.*s", opt->short_name, has_arg, "::");
		if (!opt->long_name)
			continue;
		*l++ = (struct option){opt->long_name, has_arg, NULL, val};
		options_opposite(name, opt->long_name);
		if (options_is_flag(opt) && !options_find(table, name)) {
			*l++ = (struct option){name, no_argument, NULL, val + 1};
			name += strlen(name) + 1;
		}
	}
	return 0;
}

/* The table line that getopt's val means; *opposite tells which of its two names. */
static const struct option_spec *options_from_val(const struct options_parser *p, int val,
						  bool *opposite)
{
	const struct option_spec *opt;

	*opposite = false;
	if (val >= OPTIONS_VAL) {
		*opposite = (val - OPTIONS_VAL) & 1;
		return &p->table[(val - OPTIONS_VAL) / 2];
	}
	for (opt = p->table; opt->type != OPTION_END; opt++)
		if (options_is_option(opt) && opt->short_name == (char)val)
			return opt;
	return NULL;
}

static int options_set_u32(const struct option_spec *opt, const char *shown, const char *word)
{
	int ret = parse_u32(word, opt->value);

	if (ret == -ERANGE)
		log_error("option %s: '%s' is too large", shown, word);
	else if (ret)
		log_error("option %s wants a number, not '%s'", shown, word);
	return ret ? -EINVAL : 0;
}

/* shown: the option as the user typed it, for messages. word: its argument or NULL. */
static int options_apply(const struct option_spec *opt, bool opposite, const char *shown,
			 const char *word)
{
	switch (opt->type) {
	case OPTION_FLAG:
	case OPTION_NOFLAG:
		*(bool *)opt->value = (opt->type == OPTION_FLAG) != opposite;
		return 0;
	case OPTION_STRING:
		*(const char **)opt->value = word;
		return 0;
	case OPTION_U32:
		return options_set_u32(opt, shown, word);
	case OPTION_CALL:
	case OPTION_CALL_OPTIONAL:
		return opt->call(opt, word);
	case OPTION_GROUP:
	case OPTION_END:
		break;
	}
	return -EINVAL;
}

/*
 * After '?' or ':' of getopt. For a long option it leaves the whole word in argv[optind - 1] and in
 * optopt its val, 0 when there is none of that name; for a short one the letter is in optopt, and
 * argv[optind] is the word as long as there is more in it. Bytes of other alphabets are negative.
 */
static int options_complain(char **argv, int c)
{
	const char *word = argv[optind - 1];
	int name_len = (int)strcspn(word, "=");

	if (optopt < 0)
		log_error("unknown option %s",
			  argv[optind] && strchr(argv[optind], optopt) ? argv[optind] : word);
	else if (optopt && optopt < OPTIONS_VAL_HELP)
		log_error(c == ':' ? "option -%c wants a value" : "unknown option -%c", optopt);
	else if (c == ':')
		log_error("option %.*s wants a value", name_len, word);
	else if (optopt)
		log_error("option %.*s takes no value, but got '%s'", name_len, word,
			  word + name_len + 1);
	else
		log_error("unknown option %.*s", name_len, word);
	return -EINVAL;
}

/*
 * getopt takes any unambiguous beginning of a long name. A script that relies on one would break
 * when an option is added, so only whole names are accepted.
 */
static bool options_abbreviated(const char *word, const char *long_name)
{
	size_t len = strlen(long_name);

	return strncmp(word + 2, long_name, len) || (word[2 + len] && word[2 + len] != '=');
}

static int options_one(const struct options_parser *p, char **argv, int c, int longindex)
{
	const struct option_spec *opt;
	char shown[64] = {'-', (char)c};
	bool opposite;

	if (longindex >= 0) {
		const char *name = p->longs[longindex].name;
		/* The option's word is the last, or the one before when its argument is that. */
		const char *word = argv[optind - (optarg && optarg == argv[optind - 1] ? 2 : 1)];

		snprintf(shown, sizeof(shown), "--%s", name);
		if (options_abbreviated(word, name)) {
			log_error("unknown option %.*s (%s?)", (int)strcspn(word, "="), word,
				  shown);
			return -EINVAL;
		}
	}
	opt = options_from_val(p, c, &opposite);
	return opt ? options_apply(opt, opposite, shown, optarg) : -EINVAL;
}

int options_parse(int argc, char **argv, const struct option_spec *table, const char *usage,
		  bool stop_at_word)
{
	struct options_parser p;
	int ret = options_parser_init(&p, table, stop_at_word);

	if (ret) {
		log_error("out of memory");
		return ret;
	}
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	while (!ret) {
		int longindex = -1;
		int c = getopt_long(argc, argv, p.shorts, p.longs, &longindex);

		if (c == -1)
			break;
		if (c == '?' || c == ':') {
			ret = options_complain(argv, c);
		} else if (c == 'h' || c == OPTIONS_VAL_HELP) {
			printf("%s\n", usage);
			options_print(stdout, table);
			ret = OPTIONS_HELP;
		} else {
			ret = options_one(&p, argv, c, longindex);
		}
	}
	options_parser_fini(&p);
	return ret ? ret : optind;
}

static void options_print_one(FILE *out, const struct option_spec *opt)
{
	const char *help = opt->help ? opt->help : "";
	int n = fprintf(out, "    ");

	if (opt->short_name)
		n += fprintf(out, "-%c", opt->short_name);
	if (opt->short_name && opt->long_name)
		n += fprintf(out, ", ");
	if (opt->long_name)
		n += fprintf(out, "--%s", opt->long_name);
	if (options_has_arg(opt) == optional_argument)
		n += fprintf(out, "[=<%s>]", opt->arg);
	else if (options_has_arg(opt) == required_argument)
		n += fprintf(out, " <%s>", opt->arg ? opt->arg : "value");

	if (n > OPTIONS_COLUMN - 2) {
		fprintf(out, "\n");
		n = 0;
	}
	while (*help) {
		int line = (int)strcspn(help, "\n");

		fprintf(out, "%*s%.*s\n", OPTIONS_COLUMN - n, "", line, help);
		help += line + (help[line] == '\n');
		n = 0;
	}
	if (n)
		fprintf(out, "\n");
}

void options_print(FILE *out, const struct option_spec *table)
{
	for (const struct option_spec *opt = table; opt->type != OPTION_END; opt++) {
		if (opt->type == OPTION_GROUP)
			fprintf(out, "%s%s\n", opt == table ? "" : "\n", opt->help);
		else
			options_print_one(out, opt);
	}
}

bool options_next_pair(char **rest, char **key, char **value)
{
	char *src = *rest, *dst = src;

	if (!src)
		return false;
	*key = src;
	*value = NULL;
	for (; *src && *src != ','; src++) {
		if (*src == '=' && !*value) {
			*dst++ = '\0';
			*value = dst;
			continue;
		}
		if (src[0] == '\\' && src[1] == ',')
			src++;
		*dst++ = *src;
	}
	*rest = *src ? src + 1 : NULL;
	*dst = '\0';
	return true;
}

static size_t options_count(const struct option_spec *table)
{
	size_t nr = 0;

	while (table[nr].type != OPTION_END)
		nr++;
	return nr;
}

struct option_spec *options_join(const struct option_spec *first, const struct option_spec *second)
{
	size_t nr = options_count(first), nr_second = options_count(second);
	struct option_spec *table = calloc(nr + nr_second + 1, sizeof(*table));

	if (!table)
		return NULL;
	memcpy(table, first, nr * sizeof(*table));
	memcpy(table + nr, second, nr_second * sizeof(*table));
	return table;
}
