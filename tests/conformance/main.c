// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The conformance suite of virtio devices: runs every check over the transports, ring formats and
 * devices that it names, one line each.
 *
 *	conformance [WORD]		those whose section or words contain it
 *	conformance --list		what there is, as the table in docs/virtio.md
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/log.h"
#include "rig.h"

#define LIMIT 120 /* seconds that one run of a check may take on a busy machine */

static const struct {
	const char *title;
	const struct check *checks;
} parts[] = {
	{"Status, features, configuration, reset", core_checks},
	{"Virtqueues", ring_checks},
	{"PCI", pci_checks},
	{"The legacy interface", legacy_checks},
	{"MMIO", mmio_checks},
	{"Devices", device_checks},
	{"Hostile drivers", hostile_checks},
	{"Threads", thread_checks},
};

/* --- how a check ends early --- */

static jmp_buf failed;
static char why[512];
static char running[256];

void check_failed(const char *file, int line, const char *cond)
{
	snprintf(why, sizeof(why), "%s:%d: %s", file, line, cond);
	longjmp(failed, 1);
}

void check_differ(const char *file, int line, const char *a_is, uint64_t a, const char *b_is,
		  uint64_t b)
{
	snprintf(why, sizeof(why), "%s:%d: %s is %#llx, %s is %#llx", file, line, a_is,
		 (unsigned long long)a, b_is, (unsigned long long)b);
	longjmp(failed, 1);
}

static void took_too_long(int sig)
{
	(void)sig;
	(void)!write(STDOUT_FILENO, running, strlen(running));
	(void)!write(STDOUT_FILENO, ": took too long\n", 16);
	_exit(1);
}

/* --- one run --- */

/* Each returns whether it went well; if not, `why` says what did not. */
static bool step(void (*run)(struct rig *rig), struct rig *rig)
{
	if (setjmp(failed))
		return false;
	run(rig);
	return true;
}

static struct {
	struct machine machine;
	const struct kind *kind;
	const struct way *way;
	bool packed;
} now;

static void begin(struct rig *rig)
{
	machine_init(&now.machine);
	rig_init(rig, &now.machine, now.kind, now.way, now.packed);
}

static void end(struct rig *rig)
{
	rig_fini(rig);
	machine_fini(&now.machine);
}

static void run_once(const struct check *check)
{
	static struct rig rig;

	snprintf(running, sizeof(running), "FAILED %s %s: %s, %s, %s ring", check->section,
		 check->what, now.kind->name, now.way->name, now.packed ? "packed" : "split");
	alarm(getenv("LONG") ? 20 * LIMIT : LIMIT);
	if (step(begin, &rig) && step(check->run, &rig) && step(end, &rig))
		return;
	printf("%s\n\t%s\n", running, why);
	exit(1);
}

/* What cannot be: a legacy interface to a device that never had one, packed rings where nobody has them. */
static bool possible(const struct kind *kind, unsigned int way, unsigned int ring)
{
	bool modern = kind->id == VIRTIO_ID_INPUT || kind->id == VIRTIO_ID_VSOCK ||
		      kind->id == VIRTIO_ID_FS;

	if (ring == PACKED && (kind->split_only || BIT_OF(way) & LEGACY_WAYS))
		return false;
	return !modern || !(BIT_OF(way) & (LEGACY_WAYS | BIT_OF(PCI_BOTH)));
}

/* Each run of a check, or for `run` NULL only how many there are. */
static unsigned int for_each_run(const struct check *check, void (*run)(const struct check *check))
{
	unsigned int rings = check->rings ?: BIT_OF(SPLIT), nr = 0;

	for (unsigned int i = 0; i < NR_KINDS * NR_WAYS * NR_RINGS; i++) {
		unsigned int kind = i / NR_RINGS / NR_WAYS, way = i / NR_RINGS % NR_WAYS;
		unsigned int ring = i % NR_RINGS;

		if (!(check->kinds & BIT_OF(kind)) || !(check->ways & BIT_OF(way)) ||
		    !(rings & BIT_OF(ring)) || !possible(&kinds[kind], way, ring))
			continue;
		now.kind = &kinds[kind];
		now.way = &ways[way];
		now.packed = ring == PACKED;
		if (run)
			run(check);
		nr++;
	}
	return nr;
}

/* In a process of its own: one that crashes is one that failed, and the others go on. */
static bool run_check(const struct check *check)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		for_each_run(check, run_once);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status))
		printf("FAILED %s %s: %s\n", check->section, check->what,
		       strsignal(WTERMSIG(status)));
	if (status)
		return false;
	printf("ok %-13s %s (%u)\n", check->section, check->what, for_each_run(check, NULL));
	return true;
}

/* --- the list --- */

static void print_ways(unsigned int mask)
{
	if (mask == ALL_WAYS)
		printf("all");
	else if (mask == MODERN_WAYS)
		printf("all modern");
	else if (mask == LEGACY_WAYS)
		printf("all legacy");
	else
		for (unsigned int w = 0; w < NR_WAYS; w++)
			if (mask & BIT_OF(w))
				printf("%s%s", mask & (BIT_OF(w) - 1) ? ", " : "", ways[w].name);
}

static void print_kinds(unsigned int mask)
{
	if (mask == ALL_KINDS)
		printf("all");
	else
		for (unsigned int k = 0; k < NR_KINDS; k++)
			if (mask & BIT_OF(k))
				printf("%s%s", mask & (BIT_OF(k) - 1) ? ", " : "", kinds[k].name);
}

static void list(void)
{
	static const char *const rings[] = {"-", "split", "packed", "both"};

	for (unsigned int p = 0; p < ARRAY_SIZE(parts); p++) {
		printf("### %s\n\n", parts[p].title);
		printf("| § | what the device must | transports | rings | devices |\n");
		printf("| --- | --- | --- | --- | --- |\n");
		for (const struct check *c = parts[p].checks; c->run; c++) {
			printf("| %s | %s | ", c->section, c->what);
			print_ways(c->ways);
			printf(" | %s | ", rings[c->rings & BOTH_RINGS]);
			print_kinds(c->kinds);
			printf(" |\n");
		}
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	unsigned int good = 0, bad = 0;

	if (!strcmp(word, "--list")) {
		list();
		return 0;
	}
	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGALRM, took_too_long);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned int p = 0; p < ARRAY_SIZE(parts); p++) {
		for (const struct check *c = parts[p].checks; c->run; c++) {
			if (!strstr(c->what, word) && strncmp(c->section, word, strlen(word)))
				continue;
			if (run_check(c))
				good++;
			else
				bad++;
		}
	}
	printf("%u clauses hold, %u do not\n", good, bad);
	return bad || !good;
}
