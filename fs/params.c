// SPDX-License-Identifier: GPL-2.0-or-later
/* The words of `--fs`. */
#include <errno.h>
#include <string.h>

#include "kvm/fs.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/util.h"

static int fs_set_word(const char **field, const char *val)
{
	*field = val;
	return *val ? 0 : -EINVAL;
}

static int fs_set_tag(struct fs_params *params, const char *val)
{
	return strlen(val) > FS_MAX_TAG ? -EINVAL : fs_set_word(&params->tag, val);
}

static int fs_set_socket(struct fs_params *params, const char *val)
{
	return fs_set_word(&params->socket, val);
}

static int fs_set_dir(struct fs_params *params, const char *val)
{
	return fs_set_word(&params->dir, val);
}

static int fs_set_program(struct fs_params *params, const char *val)
{
	return fs_set_word(&params->program, val);
}

static int fs_set_cache(struct fs_params *params, const char *val)
{
	params->cache = val;
	return !strcmp(val, "auto") || !strcmp(val, "always") || !strcmp(val, "none") ? 0 : -EINVAL;
}

static int fs_set_sandbox(struct fs_params *params, const char *val)
{
	params->sandbox = val;
	return !strcmp(val, "namespace") || !strcmp(val, "chroot") || !strcmp(val, "none")
		       ? 0
		       : -EINVAL;
}

static int fs_set_xattr(struct fs_params *params, const char *val)
{
	bool on;

	if (!parse_bool(val, &on))
		return -EINVAL;
	params->no_xattr = !on;
	return 0;
}

static int fs_set_readonly(struct fs_params *params, const char *val)
{
	return parse_bool(val, &params->readonly) ? 0 : -EINVAL;
}

static int fs_set_transport(struct fs_params *params, const char *val)
{
	return transport_parse(val, &params->transport);
}

static const struct {
	const char *key;
	int (*set)(struct fs_params *params, const char *val);
	bool of_virtiofsd; /* means nothing to one that runs already */
	const char *want;
} fs_keys[] = {
	{"tag", fs_set_tag, false, "1 to 36 bytes"},
	{"socket", fs_set_socket, false, "the socket of a back end"},
	{"dir", fs_set_dir, false, "a folder"},
	{"virtiofsd", fs_set_program, true, "a program"},
	{"cache", fs_set_cache, true, "auto, always or none"},
	{"sandbox", fs_set_sandbox, true, "namespace, chroot or none"},
	{"xattr", fs_set_xattr, true, "on or off"},
	{"ro", fs_set_readonly, true, "on or off"},
	{"trans", fs_set_transport, false, TRANSPORT_WORDS},
};

/* `odd` becomes the last key that only virtiofsd understands. */
static int fs_set(struct fs_params *params, const char *key, const char *val, const char **odd)
{
	if (!val && !strcmp(key, "ro"))
		val = "on";
	for (unsigned int i = 0; i < ARRAY_SIZE(fs_keys); i++) {
		if (strcmp(key, fs_keys[i].key) != 0)
			continue;
		if (fs_keys[i].of_virtiofsd)
			*odd = fs_keys[i].key;
		if (val && fs_keys[i].set(params, val) == 0)
			return 0;
		log_error("--fs: '%s=%s' should be %s", key, val ?: "", fs_keys[i].want);
		return -EINVAL;
	}
	log_error(
		"--fs: unknown key '%s' (tag, socket, dir, virtiofsd, cache, sandbox, xattr, ro, trans)",
		key);
	return -EINVAL;
}

int fs_params_parse(struct fs_params *params, char *words)
{
	const char *odd = NULL;
	char *key, *val;

	*params = (struct fs_params){.cache = "auto", .sandbox = "namespace"};
	params->name = xasprintf("--fs %s", words);
	if (!params->name)
		return -ENOMEM;
	while (options_next_pair(&words, &key, &val))
		if (fs_set(params, key, val, &odd))
			return -EINVAL;
	if (!params->tag)
		log_error("%s: needs tag=, by which the guest mounts it", params->name);
	else if (!params->socket == !params->dir)
		log_error("%s: needs either dir= or socket=", params->name);
	else if (params->socket && odd)
		log_error("%s: '%s' goes with dir=, where lkvm starts virtiofsd", params->name,
			  odd);
	else
		return 0;
	return -EINVAL;
}
