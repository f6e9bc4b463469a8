/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_BOOT_FILE_H
#define LKVM_BOOT_FILE_H

#include <stdint.h>

/*
 * A file that the guest starts from: kernel, initrd or firmware. It is opened once, while lkvm may
 * still open what its user may, and read again when the guest starts again.
 */
struct boot_file {
	const char *what, *path; /* as typed; the caller's. path NULL: there is none */
	int fd;
	uint64_t size; /* bytes, as of boot_file_look() */
};

/*
 * Opens a regular file that is not empty. path NULL: does nothing. 0, or a negative errno after an
 * error line that names `what` and the path.
 */
int boot_file_open(struct boot_file *file, const char *what, const char *path);
/* Whatever boot_file_open() said, or zeroes. */
void boot_file_close(struct boot_file *file);

/* Its size now: whoever boots again may have written another one in the same place. Likewise. */
int boot_file_look(struct boot_file *file);

#endif
