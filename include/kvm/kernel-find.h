/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_KERNEL_FIND_H
#define LKVM_KERNEL_FIND_H

/*
 * A kernel where people have one: in a kernel tree they stand in, whose build leaves it at `image`; the
 * running one's; the newest that is installed. Where none of them may be read, the first, for the error that opening it is.
 * malloc'ed; NULL: there is none.
 */
char *kernel_find(const char *image);

/* What `uname -r` will say, from the image itself; malloc'ed. NULL: it does not tell. */
char *kernel_release(const char *path);

/* Where the kernel's modules are: a folder for modules_open(), malloc'ed; NULL: not found. */
char *kernel_find_modules(const char *path, const char *release);

#endif
