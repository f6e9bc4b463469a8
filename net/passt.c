// SPDX-License-Identifier: GPL-2.0-or-later
/* passt as a child of ours, for --network passt without socket=; net/stream.c talks to it. */
#include "kvm/passt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

#define PASST_FD_WORD "3" /* its end of the socket pair */
#define PASST_FD      3
#define PASST_FIXED   8
#define PASST_ARGS    (PASST_FIXED + 2 * NIC_MAX_HOSTFWD + 1)

/* passt's words for a hostfwd: [ADDRESS/]PORT:PORT. NULL: out of memory. */
static char *passt_forward_word(const struct nic_hostfwd *fwd)
{
	char host[INET_ADDRSTRLEN + 1] = "";

	if (fwd->host.s_addr) {
		inet_ntop(AF_INET, &fwd->host, host, INET_ADDRSTRLEN);
		strcat(host, "/");
	}
	return xasprintf("%s%u:%u", host, fwd->host_port, fwd->guest_port);
}

/* Fills args, of which those from the index that is returned on are pairs, the second malloc'ed. */
static unsigned int passt_make_args(const struct nic_params *nic, char **args)
{
	static char *const fixed[] = {"passt",	  "--foreground", "--quiet",
				      "--stderr", "--fd",	  PASST_FD_WORD};
	unsigned int nr = ARRAY_SIZE(fixed), first;

	memcpy(args, fixed, sizeof(fixed));
	/* Else the gateway's address would be this host's loopback. */
	if (!nic->host_loopback)
		args[nr++] = "--no-map-gw";
	first = nr;
	for (unsigned int i = 0; i < nic->nr_hostfwd; i++) {
		args[nr++] = nic->hostfwd[i].udp ? "-u" : "-t";
		args[nr] = passt_forward_word(&nic->hostfwd[i]);
		if (!args[nr++])
			break; /* an option without its word: passt says so */
	}
	return first;
}

static int passt_spawn(char *const *args, int fd, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int err;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	/* A group of its own: what is typed in the terminal is for the guest. */
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	err = posix_spawn_file_actions_adddup2(&actions, fd, PASST_FD);
	if (!err)
		err = posix_spawnp(pid, args[0], &actions, &attr, args, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

int passt_start(const struct nic_params *nic, pid_t *pid)
{
	char *args[PASST_ARGS] = {NULL};
	unsigned int first;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		err = -errno;
		log_error("--network passt: %s", strerror(-err));
		return err;
	}
	first = passt_make_args(nic, args);
	err = passt_spawn(args, pair[1], pid);
	for (unsigned int i = first; args[i]; i += 2)
		free(args[i + 1]);
	close(pair[1]);
	if (!err)
		return pair[0];
	log_error("--network passt: passt: %s%s", strerror(-err),
		  err == -ENOENT ? " (is it installed?)" : "");
	close(pair[0]);
	return err;
}

void passt_stop(pid_t pid)
{
	/* It has nothing to save, and may be in any state. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
