// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-tool: the guest's end of the vsock tests, a static program in its initramfs.
 *
 *	connect CID PORT	stdin to the socket, the socket to stdout, each until its end
 *	listen PORT		the same with the first who connects
 *	echo PORT N WORD	says "WORD listens"; N connections get their bytes back, at a time
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int vsock_socket(void)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static int vsock_connect(unsigned int cid, unsigned int port)
{
	struct sockaddr_vm addr = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
	int fd = vsock_socket();

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("connect");
	return fd;
}

static int vsock_listen(unsigned int port, int backlog)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
	int fd = vsock_socket();

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, backlog))
		die("listen");
	return fd;
}

static int vsock_accept(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	return fd;
}

static void write_all(int fd, const char *buf, ssize_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0)
			die("write");
		buf += n;
		len -= n;
	}
}

static void copy(int from, int to)
{
	static char buf[65536];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		write_all(to, buf, n);
	if (n < 0)
		die("read");
}

/* The two directions are two processes: neither waits for the other. */
static int relay(int fd)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child) {
		copy(0, fd);
		shutdown(fd, SHUT_WR);
		exit(0);
	}
	copy(fd, 1);
	if (waitpid(child, &status, 0) != child)
		die("wait");
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static int echo(unsigned int port, unsigned int nr, const char *word)
{
	int listener = vsock_listen(port, nr), failed = 0, status;

	printf("%s listens\n", word);
	fflush(stdout);
	for (unsigned int i = 0; i < nr; i++) {
		int fd = vsock_accept(listener);

		if (!fork()) {
			copy(fd, fd);
			exit(0);
		}
		close(fd);
	}
	for (unsigned int i = 0; i < nr; i++)
		failed |= wait(&status) < 0 || status;
	return failed;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "connect"))
		return relay(vsock_connect(strtoul(argv[2], 0, 0), strtoul(argv[3], 0, 0)));
	if (argc == 3 && !strcmp(argv[1], "listen"))
		return relay(vsock_accept(vsock_listen(strtoul(argv[2], 0, 0), 1)));
	if (argc == 5 && !strcmp(argv[1], "echo"))
		return echo(strtoul(argv[2], 0, 0), strtoul(argv[3], 0, 0), argv[4]);
	fprintf(stderr, "vsock-tool: connect CID PORT | listen PORT | echo PORT N WORD\n");
	return 2;
}
