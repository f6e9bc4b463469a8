// SPDX-License-Identifier: GPL-2.0-or-later
/* The words of `--disk`. */
#include <errno.h>
#include <string.h>

#include "kvm/disk.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/util.h"

static int disk_set_format(struct disk_params *params, const char *val)
{
	if (!strcmp(val, "raw"))
		params->format = DISK_FORMAT_RAW;
	else if (!strcmp(val, "qcow2"))
		params->format = DISK_FORMAT_QCOW2;
	else
		return -EINVAL;
	return 0;
}

static int disk_set_serial(struct disk_params *params, const char *val)
{
	if (!*val || strlen(val) > DISK_SERIAL_MAX)
		return -EINVAL;
	params->serial = val;
	return 0;
}

static int disk_set_block_size(struct disk_params *params, const char *val)
{
	uint64_t bytes;

	if (parse_size(val, 1, &bytes) || bytes < 512 || bytes > 4096 || !is_power_of_two(bytes))
		return -EINVAL;
	params->block_size = bytes;
	return 0;
}

static int disk_set_queues(struct disk_params *params, const char *val)
{
	uint32_t nr;

	if (parse_u32(val, &nr) || !nr || nr > DISK_MAX_QUEUES)
		return -EINVAL;
	params->nr_queues = nr;
	return 0;
}

static int disk_set_transport(struct disk_params *params, const char *val)
{
	return transport_parse(val, &params->transport);
}

static int disk_set_iops(struct disk_params *params, const char *val)
{
	return parse_u64(val, &params->iops) || !params->iops ? -EINVAL : 0;
}

static int disk_set_bps(struct disk_params *params, const char *val)
{
	return parse_size(val, 1, &params->bps) || !params->bps ? -EINVAL : 0;
}

static int disk_set_backing(struct disk_params *params, const char *val)
{
	if (strcmp(val, "allow") != 0)
		return -EINVAL;
	params->backing = true;
	return 0;
}

static int disk_set_ro(struct disk_params *params, const char *val)
{
	return parse_bool(val, &params->readonly) ? 0 : -EINVAL;
}

static int disk_set_direct(struct disk_params *params, const char *val)
{
	return parse_bool(val, &params->direct) ? 0 : -EINVAL;
}

static int disk_set_discard(struct disk_params *params, const char *val)
{
	bool on;

	if (!parse_bool(val, &on))
		return -EINVAL;
	params->no_discard = !on;
	return 0;
}

static const struct {
	const char *key;
	int (*set)(struct disk_params *params, const char *val);
	bool flag;	 /* the key alone means on */
	bool vhost_user; /* goes with a back end, too */
	const char *want;
} disk_keys[] = {
	{"ro", disk_set_ro, true, false, "on or off"},
	{"direct", disk_set_direct, true, false, "on or off"},
	{"format", disk_set_format, false, false, "raw or qcow2"},
	{"backing", disk_set_backing, false, false, "allow"},
	{"serial", disk_set_serial, false, false, "1 to 20 characters"},
	{"block-size", disk_set_block_size, false, false, "512, 1024, 2048 or 4096"},
	{"queues", disk_set_queues, false, true, "1 to 16"},
	{"trans", disk_set_transport, false, true, TRANSPORT_WORDS},
	{"iops", disk_set_iops, false, false, "requests a second"},
	{"bps", disk_set_bps, false, false, "bytes a second (K, M, G)"},
	{"discard", disk_set_discard, false, false, "on or off"},
};

static int disk_set(struct disk_params *params, const char *key, const char *value)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(disk_keys); i++) {
		if (strcmp(key, disk_keys[i].key) != 0)
			continue;
		if (params->vhost_user && !disk_keys[i].vhost_user) {
			log_error("--disk vhost-user=%s: '%s' is for its back end to say",
				  params->path, key);
			return -EINVAL;
		}
		if (!value && disk_keys[i].flag)
			value = "on";
		if (value && disk_keys[i].set(params, value) == 0)
			return 0;
		log_error("--disk %s: '%s=%s' should be %s", params->path, key, value ?: "",
			  disk_keys[i].want);
		return -EINVAL;
	}
	log_error("--disk %s: unknown key '%s' (ro, direct, format, backing, serial, block-size, "
		  "queues, trans, iops, bps, discard)",
		  params->path, key);
	return -EINVAL;
}

int disk_params_parse(struct disk_params *params, char *word)
{
	char *rest = word, *key, *value = NULL;

	*params = (struct disk_params){0};
	if (!options_next_pair(&rest, &key, &value))
		key = "";
	params->vhost_user = value && *value && !strcmp(key, "vhost-user");
	if (!*key || (value && !params->vhost_user)) {
		log_error("--disk %s: should start with the name of a file, or be "
			  "vhost-user=SOCKET",
			  key);
		return -EINVAL;
	}
	params->path = params->vhost_user ? value : key;
	while (options_next_pair(&rest, &key, &value)) {
		if (disk_set(params, key, value))
			return -EINVAL;
	}
	return 0;
}
