// SPDX-License-Identifier: GPL-2.0-or-later
/* What the guest's init is told: /lkvm.conf, and the same for one more command. */
#include "conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/protocol.h"
#include "kvm/config.h"
#include "kvm/modules.h"
#include "kvm/util.h"

#define CONF_USER_DNS "192.168.33.3" /* of user mode, with its default addresses */
#define CONF_PATH     "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

__attribute__((format(printf, 3, 4))) static void conf_say(FILE *conf, const char *key,
							   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(conf, "%s=", key);
	vfprintf(conf, fmt, ap);
	fputc('\0', conf);
	va_end(ap);
}

/* --- a command --- */

struct conf_user {
	unsigned int uid, gid;
	char name[64], home[256];
};

static bool conf_parse_id(const char *word, unsigned int *id)
{
	/* The last one means "no change". */
	return *word >= '0' && *word <= '9' && parse_u32(word, id) == 0 && *id != UINT32_MAX;
}

/* UID or UID:GID, which need no list of users. */
static bool conf_parse_ids(const char *word, struct conf_user *user)
{
	const char *colon = strchr(word, ':');
	char *uid = colon ? strndup(word, (size_t)(colon - word)) : strdup(word);
	bool ok = uid && conf_parse_id(uid, &user->uid);

	user->gid = user->uid;
	if (ok && colon)
		ok = conf_parse_id(colon + 1, &user->gid);
	free(uid);
	return ok;
}

static void conf_set_user(struct conf_user *user, const char *name, const char *home)
{
	snprintf(user->name, sizeof(user->name), "%s", name);
	snprintf(user->home, sizeof(user->home), "%s", home);
}

/*
 * The guest's own list of users, as the guest would find it: links do not lead out of its root,
 * and what is no file is not waited for. NULL: none.
 */
static FILE *conf_open_users(const struct rootfs *rootfs)
{
	const struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
				     .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int root = open(rootfs->dir ? rootfs->dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
	FILE *list = NULL;
	struct stat st;

	fd = (int)syscall(SYS_openat2, root, "etc/passwd", &how, sizeof(how));
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		list = fdopen(fd, "r");
	if (fd >= 0 && !list)
		close(fd);
	if (root >= 0)
		close(root);
	return list;
}

/* -ENOENT: there is no such user. */
static int conf_find_user(const struct rootfs *rootfs, const char *word, struct conf_user *user)
{
	bool is_number = conf_parse_ids(word, user), found = false;
	FILE *list = conf_open_users(rootfs);
	struct passwd *entry;

	conf_set_user(user, "/", "/");
	while (list && !found && (entry = fgetpwent(list))) {
		found = is_number ? entry->pw_uid == user->uid : !strcmp(entry->pw_name, word);
		if (!found)
			continue;
		conf_set_user(user, entry->pw_name, entry->pw_dir);
		user->uid = entry->pw_uid;
		if (!is_number)
			user->gid = entry->pw_gid;
	}
	if (list)
		fclose(list);
	return found || is_number ? 0 : -ENOENT;
}

int conf_say_command(FILE *conf, const struct rootfs *rootfs, const struct rootfs_command *command)
{
	struct conf_user user = {0};
	char *here = NULL;
	int ret = conf_find_user(rootfs, command->user ? command->user : "0", &user);

	if (ret < 0)
		return ret;
	if (command->tty)
		conf_say(conf, "tty", "%s", command->tty);
	if (command->rows && command->cols)
		conf_say(conf, "size", "%u/%u", command->rows, command->cols);
	if (user.uid || user.gid)
		conf_say(conf, "ids", "%u/%u", user.uid, user.gid);
	conf_say(conf, "env", "PATH=%s", CONF_PATH);
	conf_say(conf, "env", "HOME=%s", user.home);
	conf_say(conf, "env", "USER=%s", user.name);
	conf_say(conf, "env", "LOGNAME=%s", user.name);
	conf_say(conf, "env", "TERM=%s", command->term ? command->term : "linux");
	if (command->lang)
		conf_say(conf, "env", "LANG=%s", command->lang);
	/* In the host's own root, where we are ourselves. */
	if (!command->cwd && !rootfs->dir)
		here = getcwd(NULL, 0);
	conf_say(conf, "cwd", "%s", command->cwd ? command->cwd : here ? here : user.home);
	if (command->cwd)
		conf_say(conf, "must", "cwd");
	free(here);
	for (char *const *word = command->words; word && *word; word++)
		conf_say(conf, "arg", "%s", *word);
	return 0;
}

/* --- the machine --- */

/*
 * As docs/networking.md has it: without words of the user's the addresses are known, a tap has what
 * lkvm set up on it and no DHCP server; others are asked for one.
 */
static void conf_say_network(FILE *conf, const struct vm_config *cfg)
{
	const struct nic_params *nic = &cfg->nic[0];
	bool user = nic->mode == NIC_USER;
	in_addr_t host, net, guest;
	char text[2][INET_ADDRSTRLEN] = {0};
	struct in_addr addr;

	if (!cfg->nr_nics)
		return;
	if (user ? nic->guest_ip.s_addr || nic->host_ip.s_addr
		 : nic->tapif || nic->script || nic->nr_fds) {
		conf_say(conf, "net", "dhcp");
		return;
	}
	host = ntohl(nic->host_ip.s_addr ? nic->host_ip.s_addr : inet_addr(NIC_DEFAULT_HOST_IP));
	net = host & 0xffffff00;
	guest = net | (ntohl(inet_addr(NIC_DEFAULT_GUEST_IP)) & 0xff);
	guest += guest == host;
	addr.s_addr = htonl(guest);
	inet_ntop(AF_INET, &addr, text[0], sizeof(text[0]));
	addr.s_addr = htonl(host);
	inet_ntop(AF_INET, &addr, text[1], sizeof(text[1]));
	conf_say(conf, "net", "%s/%s/%s", text[0], text[1], user ? CONF_USER_DNS : "");
}

void conf_say_machine(FILE *conf, const struct rootfs *rootfs, const struct vm_config *cfg,
		      const struct modules *mods)
{
	for (unsigned int i = 0; i < mods->nr; i++)
		conf_say(conf, "module", "/modules/%s.ko", mods->module[i].name);
	conf_say(conf, "files", "%s", rootfs->files == ROOTFS_FILES_9P ? "9p" : "virtiofs");
	conf_say(conf, "root", "%s", rootfs->rw ? "rw" : "ro");
	if (rootfs->one_user)
		conf_say(conf, "calm", "%s", "");
	for (unsigned int i = 0; i < rootfs->nr_shares; i++)
		conf_say(conf, "share", "%s:%s:%s", rootfs->share[i].tag,
			 rootfs->share[i].rw ? "rw" : "ro", rootfs->share[i].dir);
	conf_say(conf, "hostname", "%s", cfg->name);
	conf_say_network(conf, cfg);
}

int rootfs_exec_conf(const struct rootfs *rootfs, const struct rootfs_command *command, char **text,
		     size_t *len)
{
	FILE *conf;
	int ret;

	*text = NULL;
	conf = open_memstream(text, len);
	if (!conf)
		return -ENOMEM;
	ret = conf_say_command(conf, rootfs, command);
	if (fclose(conf) && ret == 0)
		ret = -ENOMEM;
	if (ret == 0 && *len > GUEST_WINDOW)
		ret = -E2BIG;
	if (ret < 0) {
		free(*text);
		*text = NULL;
	}
	return ret;
}
