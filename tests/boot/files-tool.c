// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * files DIR [-9p] [-noxattr]: what Linux programs rely on a file system for, in DIR, which must be
 * writable; as root. Prints a line "BAD what" for each thing that is not so and ends with their
 * number. -9p: what Linux's 9p client does not have may fail, in the way that it says so.
 * files -xattr DIR: ends with 0 if the file system takes user.* attributes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MANY	500 /* files in a folder */
#define WRITERS 4
#define RECORDS 40
#define RECORD	64

static int bad, done;
static bool on_9p, no_xattr;

static void check_at(int line, const char *what, bool ok)
{
	done++;
	if (ok)
		return;
	bad++;
	printf("BAD %d %s (errno %d: %s)\n", line, what, errno, strerror(errno));
}

#define OK(cond)       check_at(__LINE__, #cond, cond)
#define FAILS(err, call) \
	do { errno = 0; check_at(__LINE__, #call " " #err, (call) < 0 && errno == (err)); } while (0)
/* True when it worked; a client that lacks it must say so by `err`. */
#define LACKS(err, call) lacks_at(__LINE__, #call, (call), err)

static bool lacks_at(int line, const char *what, long ret, int err)
{
	check_at(line, what, ret >= 0 || (on_9p && errno == err));
	return ret >= 0;
}

static struct stat stat_of(const char *path)
{
	struct stat st = {0};

	if (lstat(path, &st))
		st.st_size = -1;
	return st;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	OK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	OK(close(fd) == 0);
}

static bool holds(const char *path, const char *text)
{
	char buf[256] = "";
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && !strcmp(buf, text);
}

/* Runs fn in a child as that user; its bad checks are ours. */
static void as_user(uid_t uid, void (*fn)(void))
{
	int status, before = bad;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(100);
		fn();
		fflush(stdout);
		_exit(bad - before);
	}
	OK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 100);
	bad += WEXITSTATUS(status);
}

/* --- one subject each, in a folder of its own --- */

static void files_create(void)
{
	char name[300], buf[8] = "";
	mode_t mask = umask(027);
	int fd;

	OK((fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0666)) >= 0);
	OK((stat_of("a").st_mode & 07777) == 0640);
	OK(mkdir("d", 0777) == 0 && (stat_of("d").st_mode & 07777) == 0750);
	umask(mask);
	FAILS(EEXIST, open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
	OK(write(fd, "hello", 5) == 5 && pread(fd, buf, 8, 1) == 4 && !memcmp(buf, "ello", 4));
	OK(pwrite(fd, "J", 1, 0) == 1 && lseek(fd, 0, SEEK_END) == 5);
	OK(read(fd, buf, 8) == 0);
	close(fd);
	OK((fd = open("a", O_WRONLY | O_APPEND)) >= 0);
	OK(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "!", 1) == 1);
	close(fd);
	OK(holds("a", "Jello!"));
	OK((fd = open("a", O_WRONLY | O_TRUNC)) >= 0 && stat_of("a").st_size == 0);
	FAILS(EBADF, read(fd, buf, 1));
	close(fd);
	FAILS(ENOENT, open("none", O_RDONLY));
	FAILS(ENOENT, open("none/a", O_RDWR | O_CREAT, 0600));
	FAILS(ENOTDIR, open("a/b", O_RDONLY));
	FAILS(ENOTDIR, open("a", O_RDONLY | O_DIRECTORY));
	FAILS(EISDIR, open("d", O_RDWR));
	memset(name, 'n', sizeof(name));
	name[256] = 0;
	FAILS(ENAMETOOLONG, open(name, O_RDWR | O_CREAT, 0600));
	name[255] = 0;
	OK((fd = open(name, O_RDWR | O_CREAT, 0600)) >= 0 && exists(name) && unlink(name) == 0);
	close(fd);
	put(" sp ace\n\xc3\xa4.", "x");
	OK(holds(" sp ace\n\xc3\xa4.", "x") && unlink(" sp ace\n\xc3\xa4.") == 0);
	FAILS(EEXIST, mkdir("d", 0700));
	FAILS(EEXIST, mkdir("a", 0700));
}

static void files_rename(void)
{
	struct stat st;
	int fd;

	put("a", "a");
	put("b", "b");
	OK(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0 && mkdir("empty", 0755) == 0);
	st = stat_of("a");
	OK((fd = open("a", O_RDWR)) >= 0);
	OK(rename("a", "b") == 0 && !exists("a") && holds("b", "a"));
	OK(stat_of("b").st_ino == st.st_ino);
	OK(pwrite(fd, "A", 1, 0) == 1 && holds("b", "A"));
	close(fd);
	OK(rename("b", "d/e/b") == 0 && holds("d/e/b", "A") && rename("d/e/b", "b") == 0);
	FAILS(EINVAL, rename("d", "d/e/f"));
	FAILS(ENOENT, rename("none", "b"));
	FAILS(ENOTDIR, rename("d", "b"));
	FAILS(EISDIR, rename("b", "empty"));
	errno = 0;
	OK(rename("empty", "d") < 0 && (errno == ENOTEMPTY || errno == EEXIST));
	OK(rename("d", "empty") == 0 && exists("empty/e") && !exists("d"));
	OK(rename("b", "b") == 0 && holds("b", "A"));
	put("c", "c");
	errno = 0;
	OK(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE) < 0 &&
	   (errno == EEXIST || (on_9p && errno == EINVAL)));
	if (LACKS(EINVAL, renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE)))
		OK(holds("b", "c") && holds("c", "A"));
}

static void files_link(void)
{
	char buf[2000] = "", target[1001];

	put("a", "a");
	OK(mkdir("d", 0755) == 0);
	OK(link("a", "b") == 0 && stat_of("a").st_nlink == 2);
	OK(stat_of("a").st_ino == stat_of("b").st_ino);
	put("b", "bb");
	OK(holds("a", "bb"));
	FAILS(EEXIST, link("a", "b"));
	FAILS(ENOENT, link("none", "c"));
	FAILS(EPERM, link("d", "e"));
	OK(unlink("a") == 0 && stat_of("b").st_nlink == 1 && holds("b", "bb"));

	OK(symlink("b", "soft") == 0 && S_ISLNK(stat_of("soft").st_mode) && holds("soft", "bb"));
	OK(readlink("soft", buf, sizeof(buf)) == 1 && buf[0] == 'b');
	OK(stat_of("soft").st_size == 1);
	FAILS(ELOOP, open("soft", O_RDONLY | O_NOFOLLOW));
	FAILS(EEXIST, symlink("x", "soft"));
	FAILS(EINVAL, readlink("b", buf, sizeof(buf)));
	memset(target, 't', 1000);
	target[1000] = 0;
	OK(symlink(target, "long") == 0 && readlink("long", buf, sizeof(buf)) == 1000);
	OK(symlink("none", "dangling") == 0);
	FAILS(ENOENT, open("dangling", O_RDONLY));
	OK(symlink("loop", "loop") == 0);
	FAILS(ELOOP, open("loop", O_RDONLY));
	OK(unlink("soft") == 0 && exists("b") && symlink("d", "to-d") == 0);
	OK(mkdir("to-d/inner", 0755) == 0 && exists("d/inner"));
	FAILS(ENOTDIR, rmdir("to-d"));
}

static void files_unlink(void)
{
	struct stat st;
	char buf[8] = "";
	int fd;

	put("a", "data");
	OK((fd = open("a", O_RDWR)) >= 0 && unlink("a") == 0 && !exists("a"));
	OK(pwrite(fd, "more", 4, 4) == 4 && pread(fd, buf, 8, 0) == 8 && !memcmp(buf, "datamore", 8));
	OK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 8);
	OK(ftruncate(fd, 2) == 0 && fstat(fd, &st) == 0 && st.st_size == 2);
	OK(fchmod(fd, 0600) == 0 && fsync(fd) == 0);
	put("a", "another");
	OK(pread(fd, buf, 8, 0) == 2 && holds("a", "another"));
	close(fd);
	OK(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
	FAILS(EISDIR, unlink("d"));
	FAILS(ENOTDIR, rmdir("a"));
	FAILS(ENOENT, unlink("none"));
	FAILS(ENOTEMPTY, rmdir("d"));
	OK(rmdir("d/e") == 0 && rmdir("d") == 0 && !exists("d"));
}

static void files_of_others(void)
{
	FAILS(EACCES, open("root/file", O_RDWR | O_CREAT, 0600));
	FAILS(EACCES, open("secret", O_RDONLY));
	errno = 0;
	OK(chmod("secret", 0666) < 0 && (errno == EPERM || errno == EACCES));
	FAILS(EPERM, chown("open", 1000, 1000));
	put("open/mine", "m");
	OK(stat_of("open/mine").st_uid == 1000 && stat_of("open/mine").st_gid == 1000);
	OK(mkdir("open/dir", 0700) == 0 && stat_of("open/dir").st_uid == 1000);
	OK(symlink("mine", "open/soft") == 0 && stat_of("open/soft").st_uid == 1000);
	FAILS(EPERM, unlink("open/roots")); /* the folder is sticky */
	OK(unlink("open/mine") == 0);
}

static void files_mode(void)
{
	struct stat st;
	int fd;

	put("a", "a");
	OK(chmod("a", 07751) == 0 && (stat_of("a").st_mode & 07777) == 07751);
	OK((fd = open("a", O_RDWR)) >= 0 && fchmod(fd, 0600) == 0);
	OK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600);
	close(fd);
	OK(chown("a", 1234, 4321) == 0 && stat_of("a").st_uid == 1234 && stat_of("a").st_gid == 4321);
	OK(chown("a", -1, 0) == 0 && stat_of("a").st_uid == 1234 && stat_of("a").st_gid == 0);
	OK(symlink("a", "soft") == 0 && lchown("soft", 5, 6) == 0);
	OK(stat_of("soft").st_uid == 5 && stat_of("a").st_uid == 1234);
	OK(mkdir("root", 0755) == 0 && mkdir("open", 0777) == 0 && chmod("open", 01777) == 0);
	put("secret", "s");
	put("open/roots", "r");
	OK(chmod("secret", 0600) == 0 && chmod(".", 0755) == 0);
	as_user(1000, files_of_others);
}

static void files_size(void)
{
	const off_t far = 5LL << 30;
	char buf[4096];
	int fd;

	OK((fd = open("a", O_RDWR | O_CREAT, 0644)) >= 0 && write(fd, "12345678", 8) == 8);
	OK(ftruncate(fd, 3) == 0 && truncate("a", 10) == 0 && stat_of("a").st_size == 10);
	OK(pread(fd, buf, 20, 0) == 10 && !memcmp(buf, "123\0\0\0\0\0\0\0", 10));
	FAILS(EINVAL, truncate("a", -1));
	OK(mkdir("d", 0755) == 0);
	FAILS(EISDIR, truncate("d", 0));
	OK(pwrite(fd, "far", 3, far) == 3 && stat_of("a").st_size == far + 3);
	OK(stat_of("a").st_blocks < 8192);
	OK(pread(fd, buf, 4, far - 1) == 4 && !memcmp(buf, "\0far", 4));
	memset(buf, 1, sizeof(buf));
	OK(pread(fd, buf, sizeof(buf), far / 2) == sizeof(buf) && !buf[0] && !buf[4095]);
	OK(ftruncate(fd, 100) == 0 && stat_of("a").st_size == 100);
	if (LACKS(EOPNOTSUPP, fallocate(fd, 0, 0, 100000)))
		OK(stat_of("a").st_size == 100000);
	OK(fsync(fd) == 0 && fdatasync(fd) == 0);
	close(fd);
	OK((fd = open(".", O_RDONLY)) >= 0 && fsync(fd) == 0);
	close(fd);
}

/* A few MiB, in pieces of odd lengths, read back in others. */
static void files_large(void)
{
	const size_t size = 3000001;
	uint8_t *data = malloc(size), *back = malloc(size);
	uint32_t seed = 1;
	size_t off;
	int fd, fd2;

	for (off = 0; off < size; off++)
		data[off] = (seed = seed * 1664525 + 1013904223) >> 24;
	OK((fd = open("a", O_RDWR | O_CREAT, 0644)) >= 0);
	for (off = 0; off < size;) {
		ssize_t n = write(fd, data + off, size - off < 70001 ? size - off : 70001);

		OK(n > 0);
		off += n > 0 ? n : (ssize_t)size;
	}
	for (off = 0; off < size;) {
		ssize_t n = pread(fd, back + off, size - off < 999983 ? size - off : 999983, off);

		OK(n > 0);
		off += n > 0 ? n : (ssize_t)size;
	}
	OK(!memcmp(data, back, size));
	memset(back, 0, size);
	OK((fd2 = open("a", O_RDONLY)) >= 0);
	void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd2, 0);
	OK(map != MAP_FAILED && !memcmp(map, data, size));
	munmap(map, size);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (LACKS(EINVAL, map == MAP_FAILED ? -1 : 0)) {
		memcpy((uint8_t *)map + 1000000, "through the map", 15);
		OK(msync(map, size, MS_SYNC) == 0);
		OK(pread(fd2, back, 15, 1000000) == 15 && !memcmp(back, "through the map", 15));
		munmap(map, size);
	}
	close(fd2);
	OK((fd2 = open("b", O_RDWR | O_CREAT, 0644)) >= 0);
	errno = 0;
	loff_t from = 100, to = 0;
	ssize_t n = copy_file_range(fd, &from, fd2, &to, 5000, 0);
	OK(n > 0 ? pread(fd2, back, n, 0) == n && !memcmp(back, data + 100, n)
		 : errno == EOPNOTSUPP || errno == EXDEV || errno == ENOSYS);
	close(fd);
	close(fd2);
	free(data);
	free(back);
}

static void files_times(void)
{
	const struct timespec when[2] = {{981173106, 123456789}, {981173107, 987654321}};
	const struct timespec only_m[2] = {{0, UTIME_OMIT}, {5, 0}};
	struct stat st;
	int fd;

	put("a", "a");
	OK(utimensat(AT_FDCWD, "a", when, 0) == 0);
	st = stat_of("a");
	OK(st.st_atim.tv_sec == 981173106 && st.st_mtim.tv_sec == 981173107);
	/* The 9p client's times are whole seconds. */
	OK(st.st_mtim.tv_nsec == 987654321 || on_9p);
	OK(utimensat(AT_FDCWD, "a", only_m, 0) == 0);
	st = stat_of("a");
	OK(st.st_atim.tv_sec == 981173106 && st.st_mtim.tv_sec == 5);
	OK((fd = open("a", O_WRONLY)) >= 0 && write(fd, "b", 1) == 1 && close(fd) == 0);
	OK(stat_of("a").st_mtim.tv_sec > 5);
	OK(symlink("none", "soft") == 0);
	OK(utimensat(AT_FDCWD, "soft", when, AT_SYMLINK_NOFOLLOW) == 0);
	OK(stat_of("soft").st_mtim.tv_sec == 981173107);
}

static int count_entries(DIR *dir)
{
	struct dirent *e;
	int n = 0;

	while ((e = readdir(dir)))
		n += e->d_name[0] == 'f';
	return n;
}

static void files_readdir(void)
{
	char name[64];
	struct dirent *e;
	int nr = 0, at;
	long places[MANY];
	bool seen[MANY] = {false};
	DIR *dir;

	for (int i = 0; i < MANY; i++) {
		int fd;

		snprintf(name, sizeof(name), "file-with-a-name-of-some-length-%d", i);
		OK((fd = open(name, O_WRONLY | O_CREAT, 0644)) >= 0);
		close(fd);
	}
	OK((dir = opendir(".")) != NULL);
	for (long place = telldir(dir); (e = readdir(dir)); place = telldir(dir)) {
		if (sscanf(e->d_name, "file-with-a-name-of-some-length-%d", &at) != 1)
			continue;
		OK(at >= 0 && at < MANY && !seen[at]);
		seen[at] = true;
		places[at] = place;
		OK(e->d_type == DT_REG || e->d_type == DT_UNKNOWN);
		nr++;
	}
	OK(nr == MANY);
	for (int i = 0; i < MANY; i += MANY / 7) {
		seekdir(dir, places[i]);
		e = readdir(dir);
		snprintf(name, sizeof(name), "file-with-a-name-of-some-length-%d", i);
		OK(e && !strcmp(e->d_name, name));
	}
	rewinddir(dir);
	OK(count_entries(dir) == MANY);
	/* Deleting what was read must not hide the rest. */
	rewinddir(dir);
	for (nr = 0; (e = readdir(dir));)
		nr += e->d_name[0] == 'f' && unlink(e->d_name) == 0;
	OK(nr == MANY);
	rewinddir(dir);
	OK(count_entries(dir) == 0);
	closedir(dir);
}

static void files_xattr(void)
{
	char list[256], big[4000], back[4096];
	ssize_t n;

	put("a", "a");
	if (no_xattr)
		return;
	OK(setxattr("a", "user.one", "1", 1, 0) == 0 && setxattr("a", "user.two", "22", 2, 0) == 0);
	OK(getxattr("a", "user.two", back, sizeof(back)) == 2 && !memcmp(back, "22", 2));
	OK(getxattr("a", "user.two", NULL, 0) == 2);
	FAILS(ERANGE, getxattr("a", "user.two", back, 1));
	FAILS(ENODATA, getxattr("a", "user.none", back, 1));
	FAILS(EEXIST, setxattr("a", "user.one", "x", 1, XATTR_CREATE));
	FAILS(ENODATA, setxattr("a", "user.none", "x", 1, XATTR_REPLACE));
	OK(setxattr("a", "user.one", "", 0, XATTR_REPLACE) == 0);
	OK(getxattr("a", "user.one", back, 1) == 0);
	n = listxattr("a", list, sizeof(list));
	OK(n >= 18 && memmem(list, n, "user.one", 9) && memmem(list, n, "user.two", 9));
	OK(removexattr("a", "user.one") == 0);
	FAILS(ENODATA, removexattr("a", "user.one"));
	memset(big, 'b', sizeof(big));
	if (setxattr("a", "user.big", big, sizeof(big), 0) == 0)
		OK(getxattr("a", "user.big", back, sizeof(back)) == sizeof(big) &&
		   !memcmp(big, back, sizeof(big)));
	else
		OK(errno == ENOSPC || errno == E2BIG); /* ext4's limit is a block */
	OK(setxattr(".", "user.dir", "d", 1, 0) == 0 && getxattr(".", "user.dir", back, 9) == 1);
}

static struct flock lock_of(short type, off_t at, off_t len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = len};
}

static void files_lock_other(void)
{
	struct flock lock = lock_of(F_WRLCK, 5, 1);
	int fd = open("a", O_RDWR);

	errno = 0;
	OK(fcntl(fd, F_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES));
	OK(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_start <= 5);
	lock = lock_of(F_WRLCK, 50, 10);
	OK(fcntl(fd, F_SETLK, &lock) == 0);
	close(fd);
}

static void files_lock(void)
{
	struct flock lock = lock_of(F_WRLCK, 0, 10);
	int fd, fd2 = -1;

	put("a", "0123456789");
	OK((fd = open("a", O_RDWR)) >= 0 && fcntl(fd, F_SETLK, &lock) == 0);
	as_user(0, files_lock_other);
	lock = lock_of(F_UNLCK, 0, 0);
	OK(fcntl(fd, F_SETLK, &lock) == 0);
	lock = lock_of(F_WRLCK, 0, 0);
	OK(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK);
	close(fd);

	OK((fd = open("a", O_RDWR)) >= 0 && (fd2 = open("a", O_RDWR)) >= 0);
	OK(flock(fd, LOCK_EX) == 0);
	FAILS(EWOULDBLOCK, flock(fd2, LOCK_EX | LOCK_NB));
	close(fd);
	OK(flock(fd2, LOCK_EX | LOCK_NB) == 0 && flock(fd2, LOCK_UN) == 0);
	close(fd2);
}

static void files_special(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	char buf[4];

	OK(mkfifo("fifo", 0600) == 0 && S_ISFIFO(stat_of("fifo").st_mode));
	OK((fd = open("fifo", O_RDWR)) >= 0 && write(fd, "x", 1) == 1 && read(fd, buf, 4) == 1);
	close(fd);
	OK(bind(s, (void *)&addr, sizeof(addr)) == 0 && S_ISSOCK(stat_of("sock").st_mode));
	OK(listen(s, 1) == 0 && connect(c, (void *)&addr, sizeof(addr)) == 0);
	close(s);
	close(c);
}

static void files_append(void)
{
	char record[RECORD];
	int fd = open("log", O_WRONLY | O_APPEND);

	memset(record, 'A' + getpid() % 26, sizeof(record));
	record[RECORD - 1] = '\n';
	for (int i = 0; i < RECORDS; i++)
		OK(write(fd, record, RECORD) == RECORD);
	close(fd);
}

static void files_churn(void)
{
	char from[32], to[32];

	for (int i = 0; i < RECORDS; i++) {
		snprintf(from, sizeof(from), "tmp-%d", getpid());
		snprintf(to, sizeof(to), "shared-%d", i % 3);
		put(from, "whole");
		OK(rename(from, to) == 0);
		OK(holds(to, "whole"));
	}
}

/* Several processes at the same files: nothing is lost or torn. */
static void files_parallel(void)
{
	char record[RECORD];
	int status, fd, whole = 0;

	put("log", "");
	fflush(stdout);
	for (int i = 0; i < WRITERS; i++) {
		if (fork() == 0) {
			bad = 0;
			files_append();
			files_churn();
			fflush(stdout);
			_exit(bad < 100 ? bad : 100);
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		OK(wait(&status) > 0 && WIFEXITED(status));
		bad += WEXITSTATUS(status);
	}
	OK(stat_of("log").st_size == WRITERS * RECORDS * RECORD);
	OK((fd = open("log", O_RDONLY)) >= 0);
	while (read(fd, record, RECORD) == RECORD) {
		bool same = record[RECORD - 1] == '\n';

		for (int i = 1; i < RECORD - 1; i++)
			same &= record[i] == record[0];
		whole += same;
	}
	close(fd);
	OK(whole == WRITERS * RECORDS);
}

static void files_deep(void)
{
	char name[41], cwd[4096];
	struct statvfs fs;
	int depth;

	memset(name, 'd', 40);
	name[40] = 0;
	for (depth = 0; depth < 25; depth++)
		OK(mkdir(name, 0755) == 0 && chdir(name) == 0);
	OK(getcwd(cwd, sizeof(cwd)) && strlen(cwd) > 25 * 40);
	put("leaf", "leaf");
	OK(holds("leaf", "leaf") && unlink("leaf") == 0);
	while (depth-- > 0)
		OK(chdir("..") == 0 && rmdir(name) == 0);
	OK(statvfs(".", &fs) == 0 && fs.f_bsize && fs.f_bavail <= fs.f_blocks && fs.f_namemax >= 255);
}

/* A program can be run from here: a copy of ourselves. */
static void files_exec(void)
{
	static char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY), out = open("run", O_WRONLY | O_CREAT, 0755), status;
	ssize_t n;
	pid_t pid;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		OK(write(out, buf, n) == n);
	close(in);
	close(out);
	pid = fork();
	if (pid == 0) {
		execl("./run", "run", "-true", NULL);
		_exit(1);
	}
	OK(waitpid(pid, &status, 0) == pid && status == 0);
}

static const struct {
	const char *name;
	void (*fn)(void);
} subjects[] = {
	{"create", files_create},     {"rename", files_rename},	  {"link", files_link},
	{"unlink", files_unlink},     {"mode", files_mode},	  {"size", files_size},
	{"large", files_large},	      {"times", files_times},	  {"readdir", files_readdir},
	{"xattr", files_xattr},	      {"lock", files_lock},	  {"special", files_special},
	{"parallel", files_parallel}, {"deep", files_deep},	  {"exec", files_exec},
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "-true"))
		return 0;
	if (argc == 3 && !strcmp(argv[1], "-xattr"))
		return setxattr(argv[2], "user.test", "x", 1, 0) ? 1 : removexattr(argv[2], "user.test");
	for (int i = 2; i < argc; i++) {
		on_9p |= !strcmp(argv[i], "-9p");
		no_xattr |= !strcmp(argv[i], "-noxattr");
	}
	if (argc < 2 || chdir(argv[1])) {
		fprintf(stderr, "usage: files DIR [-9p] [-noxattr] (%s)\n", strerror(errno));
		return 100;
	}
	for (unsigned int i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		int before = bad;

		OK(mkdir(subjects[i].name, 0755) == 0 && chdir(subjects[i].name) == 0);
		subjects[i].fn();
		OK(chdir("..") == 0);
		printf("files: %s: %s\n", subjects[i].name, bad == before ? "ok" : "bad");
	}
	printf("files: %d checks, %d bad\n", done, bad);
	return bad > 99 ? 99 : bad;
}
