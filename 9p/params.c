// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kvm/9p.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/util.h"

static int p9_set_tag(struct p9_params *params, const char *tag)
{
	if (!*tag || strlen(tag) > P9_MAX_TAG) {
		log_error("--9p %s: the tag '%s' should have 1 to %d bytes", params->path, tag,
			  P9_MAX_TAG);
		return -EINVAL;
	}
	params->tag = tag;
	return 0;
}

static int p9_set_security(struct p9_params *params, const char *val)
{
	params->mapped = !strcmp(val, "mapped");
	if (params->mapped || !strcmp(val, "passthrough"))
		return 0;
	log_error("--9p %s: 'security=%s' should be passthrough or mapped", params->path, val);
	return -EINVAL;
}

static int p9_set_id(struct p9_params *params, const char *key, const char *val)
{
	uint32_t id;

	if (parse_u32(val, &id) || id == UINT32_MAX) {
		log_error("--9p %s: '%s=%s' should be a number", params->path, key, val);
		return -EINVAL;
	}
	*(*key == 'u' ? &params->uid : &params->gid) = id;
	return 0;
}

static int p9_set(struct p9_params *params, const char *key, const char *val)
{
	if (!strcmp(key, "ro")) {
		params->readonly = true;
		if (!val || parse_bool(val, &params->readonly))
			return 0;
		log_error("--9p %s: 'ro=%s' should be on or off", params->path, val);
		return -EINVAL;
	}
	if (val && !strcmp(key, "tag"))
		return p9_set_tag(params, val);
	if (val && !strcmp(key, "security"))
		return p9_set_security(params, val);
	if (val && (!strcmp(key, "uid") || !strcmp(key, "gid")))
		return p9_set_id(params, key, val);
	log_error("--9p %s: unknown key '%s' (tag=, ro, security=, uid=, gid=)", params->path, key);
	return -EINVAL;
}

int p9_params_parse(struct p9_params *params, char *words)
{
	bool first = true, ids = false;
	char *key, *val;

	*params = (struct p9_params){.tag = P9_DEFAULT_TAG, .mapped = geteuid() != 0};
	if (!options_next_pair(&words, &key, &val) || val || !*key) {
		log_error("--9p %s: should start with the name of a folder", key);
		return -EINVAL;
	}
	params->path = key;
	for (; options_next_pair(&words, &key, &val); first = false) {
		/* kvmtool's form has the tag as second word. */
		bool is_tag = first && !val && strcmp(key, "ro");
		int ret = is_tag ? p9_set_tag(params, key) : p9_set(params, key, val);

		if (ret)
			return ret;
		ids |= val && strcmp(key, "uid") * strcmp(key, "gid") == 0;
	}
	if (ids && !params->mapped) {
		log_error("--9p %s: uid= and gid= go with security=mapped", params->path);
		return -EINVAL;
	}
	return 0;
}
