/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_INSTANCE_H
#define LKVM_INSTANCE_H

/*
 * The folder in which each running VM has a socket NAME.sock: --run-dir or LKVM_RUN_DIR, else
 * $XDG_RUNTIME_DIR/lkvm, else $HOME/.lkvm. Mode 0700, made when a VM first needs it; files that
 * are not NAME.sock or NAME.status are left alone.
 */

/*
 * [A-Za-z0-9._-], not starting with '.' or '-', and its socket's path fits sun_path.
 * 0, or -EINVAL or -ENAMETOOLONG after one error line.
 */
int instance_check_name(const char *name);

/* --run-dir: puts it into the environment as LKVM_RUN_DIR, so that children agree with us. */
void instance_set_run_dir(const char *dir);
/* An absolute path, malloc'ed; NULL after an error line when nothing says where the folder is. */
char *instance_run_dir(void);

/*
 * Binds and listens on the name's socket. A stale socket (nobody answers) is taken over, a live
 * one is -EEXIST. Atomic against other starters. Returns the fd, non-blocking, and in *path the
 * file to unlink when the VM ends, just before the fd is closed; or a negative errno, printed.
 *
 * Peers learn the VM's pid from the socket: it is that of the process that called this function.
 */
int instance_listen(const char *name, char **path);

/*
 * A blocking connection to the VM, or a negative errno, nothing printed: -ENOENT when there is no
 * such VM (a stale socket is removed), -EAGAIN when it has not accepted anyone for a second.
 */
int instance_connect(const char *name);

/*
 * NAME.status in the folder: how a VM ended that nobody was waiting for, until somebody asks (it is
 * removed then) or another VM gets the name. leave: a negative status removes it. take: -ENOENT.
 * Nothing is printed.
 */
void instance_leave_status(const char *name, int status);
int instance_take_status(const char *name);

/*
 * Names of all sockets in the folder, sorted, NULL-terminated; free by instance_free_names().
 * No folder is no names. NULL after an error line.
 */
char **instance_names(void);
void instance_free_names(char **names);

#endif
