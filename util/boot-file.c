// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/boot-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/log.h"

int boot_file_look(struct boot_file *file)
{
	const char *wrong = NULL;
	struct stat st;
	int err = 0;

	if (!file->path)
		return 0;
	if (file->fd < 0 || fstat(file->fd, &st) < 0) {
		err = errno;
		wrong = strerror(err);
	} else if (S_ISDIR(st.st_mode)) {
		err = EISDIR;
		wrong = strerror(err);
	} else if (!S_ISREG(st.st_mode)) {
		err = ESPIPE;
		wrong = "Not a regular file";
	} else if (st.st_size == 0) {
		err = ENODATA;
		wrong = "File is empty";
	} else {
		file->size = st.st_size;
	}
	if (err)
		log_fatal("Unable to open %s %s: %s", file->what, file->path, wrong);
	return -err;
}

int boot_file_open(struct boot_file *file, const char *what, const char *path)
{
	*file = (struct boot_file){.what = what, .path = path, .fd = -1};
	/* NONBLOCK: a FIFO must not hang us before it can be refused. */
	if (path)
		file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return boot_file_look(file);
}

void boot_file_close(struct boot_file *file)
{
	if (file->path && file->fd >= 0)
		close(file->fd);
	file->path = NULL;
}
