// SPDX-License-Identifier: GPL-2.0-or-later
/* The words of `lkvm run`: what each means, and what holds where they are silent. */
#include "kvm/run-options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/arch.h"
#include "kvm/instance.h"
#include "kvm/kernel-find.h"
#include "kvm/log.h"
#include "kvm/options.h"
#include "kvm/plugin.h"
#include "kvm/util.h"
#include "kvm/vesa.h"

#define RUN_DEFAULT_RAM GIB
#define RUN_MIN_RAM	(64 * KIB)

/* A copy to take apart: what it is parsed into points there, for as long as the process lives. */
static char *run_keep(const char *word)
{
	char *words = strdup(word);

	if (!words)
		log_error("%s: %m", word);
	return words;
}

static bool run_has_room(const struct option_spec *opt, const char *word, unsigned int nr,
			 unsigned int max, const char *what)
{
	if (nr < max)
		return true;
	log_error("--%s %s: more than %u %s", opt->long_name, word, max, what);
	return false;
}

/* --- option callbacks: each prints what is wrong with the word, once --- */

/* SIZE[@ADDR] */
static int run_parse_mem(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	const char *at = strchr(word, '@');
	char *size = at ? strndup(word, at - word) : strdup(word);
	uint64_t bytes = 0;

	if (!size)
		return -ENOMEM;
	if (at && (parse_u64(at + 1, &run->cfg.ram_base) < 0 || !run->cfg.ram_base)) {
		log_error("--mem %s: '%s' is not an address", word, at + 1);
		free(size);
		return -EINVAL;
	}
	if (parse_size(size, MIB, &bytes) < 0)
		bytes = 0;
	free(size);
	if (!bytes) {
		log_error("--mem %s: not a size (512, 2G, ..)", word);
		return -EINVAL;
	}
	if (bytes < RUN_MIN_RAM || bytes % 4096) {
		log_error("--mem %s: must be a multiple of 4K and at least 64K", word);
		return -EINVAL;
	}
	run->cfg.ram_size = bytes;
	run->mem_given = true;
	return 0;
}

/* A list of CPUs as the kernel writes it: 0-3,8. */
static int run_parse_affinity(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	char *list = strdup(word), *rest = list, *range;

	if (!list)
		return -ENOMEM;
	CPU_ZERO(&run->cfg.affinity);
	while ((range = strsep(&rest, ","))) {
		char *dash = strchr(range, '-');
		uint32_t first, last;

		if (dash)
			*dash = 0;
		if (parse_u32(range, &first) < 0 || parse_u32(dash ? dash + 1 : range, &last) < 0 ||
		    first > last || last >= CPU_SETSIZE) {
			log_error("--vcpu-affinity %s: should be a list of CPUs as 0-3,8", word);
			free(list);
			return -EINVAL;
		}
		while (first <= last)
			CPU_SET(first++, &run->cfg.affinity);
	}
	free(list);
	run->cfg.have_affinity = true;
	return 0;
}

static int run_parse_cpus(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;

	if (parse_u32(word, &run->cfg.nr_cpus) < 0 || !run->cfg.nr_cpus) {
		log_error("--cpus %s: not a number of vCPUs", word);
		return -EINVAL;
	}
	return 0;
}

static int run_parse_scsi(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	struct vm_config *cfg = &run->cfg;

	if (!run_has_room(opt, word, cfg->nr_scsi, CONFIG_MAX_SCSI, "SCSI targets") ||
	    scsi_params_parse(&cfg->scsi[cfg->nr_scsi], word) < 0)
		return -EINVAL;
	cfg->nr_scsi++;
	return 0;
}

static int run_parse_disk(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	char *words;

	if (!strncmp(word, "scsi:", 5))
		return run_parse_scsi(opt, word);
	if (rootfs_parse_folder(&run->rootfs, word))
		return 0;
	words = run_keep(word);
	if (!words)
		return -ENOMEM;
	if (!run_has_room(opt, word, run->cfg.nr_disks, CONFIG_MAX_DISKS, "disks") ||
	    disk_params_parse(&run->cfg.disk[run->cfg.nr_disks], words) < 0)
		return -EINVAL;
	run->cfg.nr_disks++;
	return 0;
}

static int run_parse_network(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	struct nic_params *nic = &run->cfg.nic[run->cfg.nr_nics];
	char *words = run_keep(word);

	run->net_given = true;
	if (!words)
		return -ENOMEM;
	if (!run_has_room(opt, word, run->cfg.nr_nics, CONFIG_MAX_NICS, "NICs") ||
	    nic_params_parse(nic, words) < 0)
		return -EINVAL;
	for (unsigned int i = 0; nic->mode == NIC_USER && i < run->cfg.nr_nics; i++) {
		if (run->cfg.nic[i].mode == NIC_USER) {
			log_error("--network %s: one user NIC is all that a VM can have", word);
			return -EINVAL;
		}
	}
	if (nic->mode == NIC_NONE)
		free(words);
	else
		run->cfg.nr_nics++;
	return 0;
}

static int run_parse_9p(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	struct vm_config *cfg = &run->cfg;
	struct p9_params *share = &cfg->share[cfg->nr_shares];
	char *words = run_keep(word);

	if (!words)
		return -ENOMEM;
	if (!run_has_room(opt, word, cfg->nr_shares, CONFIG_MAX_SHARES, "shares") ||
	    p9_params_parse(share, words) < 0)
		return -EINVAL;
	for (unsigned int i = 0; i < cfg->nr_shares; i++) {
		if (!strcmp(cfg->share[i].tag, share->tag)) {
			log_error("--9p %s: the tag '%s' is taken by %s", word, share->tag,
				  cfg->share[i].path);
			return -EINVAL;
		}
	}
	cfg->nr_shares++;
	return 0;
}

static int run_parse_vsock(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	char *words = run_keep(word);

	return words ? vsock_params_parse(&run->cfg.vsock, words) : -ENOMEM;
}

static int run_parse_fs(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	struct vm_config *cfg = &run->cfg;
	struct fs_params *fs = &cfg->fs[cfg->nr_fs];
	char *words = run_keep(word);

	if (!words)
		return -ENOMEM;
	if (!run_has_room(opt, word, cfg->nr_fs, CONFIG_MAX_SHARES, "shares") ||
	    fs_params_parse(fs, words) < 0)
		return -EINVAL;
	for (unsigned int i = 0; i < cfg->nr_fs; i++) {
		if (!strcmp(cfg->fs[i].tag, fs->tag)) {
			log_error("--fs %s: the tag '%s' is taken by %s", word, fs->tag,
				  cfg->fs[i].name);
			return -EINVAL;
		}
	}
	cfg->nr_fs++;
	return 0;
}

static int run_parse_console(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;

	if (!strcmp(word, "serial")) {
		run->cfg.console = CONSOLE_SERIAL;
	} else if (!strcmp(word, "virtio")) {
		run->cfg.console = CONSOLE_VIRTIO;
	} else {
		log_error("--console %s: should be serial or virtio", word);
		return -EINVAL;
	}
	return 0;
}

static int run_parse_transport(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;

	if (transport_parse(word, &run->cfg.transport) < 0) {
		log_error("--virtio-transport %s: should be " TRANSPORT_WORDS, word);
		return -EINVAL;
	}
	return 0;
}

/* --sdl and --vnc: the option's name is that of the back end. */
static int run_parse_display(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	struct display_params *display = &run->cfg.display;
	char *words;

	if (display->backend) {
		log_error("--%s: there is --%s already, and a VM has one display", opt->long_name,
			  display->backend);
		return -EINVAL;
	}
	display->wanted = true;
	display->backend = opt->long_name;
	if (!word)
		return 0;
	words = run_keep(word);
	return words ? display_params_parse_vnc(display, words) : -ENOMEM;
}

static int run_parse_vidmode(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	struct display_params *display = &run->cfg.display;

	if (display_params_parse_mode(display, word) < 0 ||
	    vesa_check_mode(display->width, display->height, display->depth, "--vidmode") < 0)
		return -EINVAL;
	return 0;
}

static int run_parse_port(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	struct vm_config *cfg = &run->cfg;
	char *words = run_keep(word);

	if (!words)
		return -ENOMEM;
	if (!run_has_room(opt, word, cfg->nr_ports, CONFIG_MAX_PORTS, "ports") ||
	    port_option_parse(&cfg->port[cfg->nr_ports], words) < 0)
		return -EINVAL;
	for (unsigned int i = 0; i < cfg->nr_ports; i++) {
		if (!strcmp(cfg->port[i].name, cfg->port[cfg->nr_ports].name)) {
			log_error("--port %s: there is one of that name already", word);
			return -EINVAL;
		}
	}
	cfg->nr_ports++;
	return 0;
}

static int run_parse_tty(const struct option_spec *opt, const char *word)
{
	struct run_options *run = opt->value;
	uint32_t nr;

	if (parse_u32(word, &nr) < 0 || nr >= CONFIG_NR_TTYS) {
		log_error("--tty %s: should be 0 to %d", word, CONFIG_NR_TTYS - 1);
		return -EINVAL;
	}
	run->cfg.tty[nr] = true;
	return 0;
}

static int run_parse_loglevel(const struct option_spec *opt, const char *word)
{
	enum log_level level;

	(void)opt;
	if (log_level_parse(word, &level) < 0) {
		log_error("--loglevel %s: should be error, warning, info or debug", word);
		return -EINVAL;
	}
	log_set_level(level);
	return 0;
}

static int run_parse_debug(const struct option_spec *opt, const char *word)
{
	(void)opt;
	(void)word;
	log_set_level(LOG_LEVEL_DEBUG);
	return 0;
}

/* --- the words --- */

/* Words before the "--" that begins a command. */
static int run_count_options(int argc, char **argv)
{
	int n = 0;

	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	return n;
}

int run_options_parse(struct run_options *run, int argc, char **argv, const char *usage)
{
	struct vm_config *cfg = &run->cfg;
	const struct option_spec *own;
	struct option_spec *table = NULL, *joined;
	const struct option_spec common[] = {
		{OPTION_GROUP, .help = "Machine:"},
		{OPTION_STRING, 0, "name", &cfg->name, "NAME", "what to call the VM (guest-PID)",
		 0},
		{OPTION_CALL, 'c', "cpus", run, "N", "number of vCPUs (the host's)",
		 run_parse_cpus},
		{OPTION_CALL, 0, "vcpu-affinity", run, "LIST", "host CPUs that vCPUs run on (all)",
		 run_parse_affinity},
		{OPTION_CALL, 'm', "mem", run, "SIZE[@ADDR]", "RAM in MiB, or with K, M, G, T (1G)",
		 run_parse_mem},
		{OPTION_STRING, 0, "hugetlbfs", &cfg->hugetlbfs, "DIR", "take RAM from this mount",
		 0},
		{OPTION_FLAG, 0, "no-acpi", &cfg->no_acpi, 0, "no ACPI tables, an MP table only",
		 0},
		{OPTION_FLAG, 0, "no-reboot", &cfg->no_reboot, 0, "end when the guest reboots", 0},
		{OPTION_STRING, 0, "dev", &cfg->kvm_path, "FILE", "the KVM device (/dev/kvm)", 0},
		{OPTION_GROUP, .help = "Boot:"},
		{OPTION_STRING, 'k', "kernel", &cfg->kernel, "FILE",
		 "bzImage, vmlinux or flat binary", 0},
		{OPTION_STRING, 'i', "initrd", &cfg->initrd, "FILE", "initial RAM disk", 0},
		{OPTION_STRING, 'p', "params", &cfg->params, "WORDS",
		 "appended to the kernel's command line", 0},
		{OPTION_STRING, 'f', "firmware", &cfg->firmware, "FILE", "firmware, not a kernel",
		 0},
		{OPTION_FLAG, 0, "nodefaults", &cfg->nodefaults, 0,
		 "the command line is what --params says; a signal ends the VM at once", 0},
		{OPTION_GROUP, .help = "Devices:"},
		{OPTION_CALL, 'd', "disk", run, "FILE[,KEY=VALUE..]",
		 "an image, block device, or vhost-user=SOCKET (docs/disks.md)", run_parse_disk},
		{OPTION_CALL, 'n', "network", run, "MODE[,KEY=VALUE..]",
		 "a NIC: user, tap, passt or none (docs/networking.md)", run_parse_network},
		{OPTION_CALL, 0, "9p", run, "DIR[,tag=TAG][,ro]",
		 "share a folder with the guest (docs/sharing.md)", run_parse_9p},
		{OPTION_CALL, 0, "fs", run, "tag=TAG,dir=DIR[,KEY=VALUE..]",
		 "the same by virtio-fs, which virtiofsd serves", run_parse_fs},
		{OPTION_CALL, 0, "vsock", run, "CID[,uds=PATH]",
		 "sockets between guest and host (docs/vsock.md)", run_parse_vsock},
		{OPTION_CALL, 0, "virtio-transport", run, "KIND",
		 "of all virtio devices: " TRANSPORT_WORDS " (pci)", run_parse_transport},
		{OPTION_FLAG, 0, "rng", &cfg->rng, 0, "a source of random numbers", 0},
		{OPTION_FLAG, 0, "balloon", &cfg->balloon, 0,
		 "a memory balloon; see `lkvm balloon` and `lkvm stat`", 0},
		{OPTION_GROUP, .help = "Display (docs/display.md):"},
		{OPTION_CALL_OPTIONAL, 0, "sdl", run, NULL, "a window", run_parse_display},
		{OPTION_CALL_OPTIONAL, 0, "vnc", run, "[HOST]:N[,KEY=VALUE..]",
		 "a VNC server (127.0.0.1:0)", run_parse_display},
		{OPTION_CALL, 0, "vidmode", run, "WxH[xDEPTH]",
		 "the mode to begin with (1024x768x32)", run_parse_vidmode},
		{OPTION_GROUP, .help = "Console:"},
		{OPTION_CALL, 0, "console", run, "KIND", "serial or virtio (serial)",
		 run_parse_console},
		{OPTION_CALL, 0, "tty", run, "N", "put serial port N (0-3) on a new pty",
		 run_parse_tty},
		{OPTION_CALL, 0, "port", run, "NAME,WHERE[,console]",
		 "a port to pty, file=PATH, unix=PATH, tty=PATH (docs/console.md)", run_parse_port},
		{OPTION_FLAG, 0, "detach", &cfg->detach, 0,
		 "return once the VM runs; see `lkvm console`", 0},
		{OPTION_STRING, 0, "log", &cfg->log_file, "FILE",
		 "where the guest's console goes too, and a detached VM's messages", 0},
		{OPTION_GROUP, .help = "Other:"},
		{OPTION_STRING, 0, "run-dir", &run->run_dir, "DIR", "folder of the control sockets",
		 0},
		{OPTION_CALL, 0, "loglevel", run, "LEVEL", "error, warning, info or debug (info)",
		 run_parse_loglevel},
		{OPTION_CALL_OPTIONAL, 0, "debug", run, NULL, "the same as --loglevel debug",
		 run_parse_debug},
		{OPTION_FLAG, 0, "debug-mmio", &cfg->debug_mmio, 0, "log memory nobody answers at",
		 0},
		{OPTION_FLAG, 0, "debug-ioport", &cfg->debug_ioport, 0,
		 "log ports nobody answers at", 0},
		{OPTION_FLAG, 0, "debug-single-step", &cfg->debug_single_step, 0,
		 "log every instruction", 0},
		{0},
	};
	int options = run_count_options(argc, argv), first;
	char **words = NULL;

	joined = options_join(common, rootfs_options(&run->rootfs));
	own = joined ? arch_run_options(cfg) : NULL;
	if (own)
		table = options_join(joined, own);
	free(joined);
	if (!table)
		return -ENOMEM;
	first = options_parse(options, argv, table, usage, run->rootfs.sandbox);
	free(table);
	if (first < 0)
		return first;
	if (options < argc)
		words = argv + options + 1;
	else if (run->rootfs.sandbox && first < options)
		words = argv + first;
	run->rootfs.command.words = words;
	if (words && !words[0]) {
		log_error("--: a command should follow");
		return -EINVAL;
	}
	if (run->rootfs.sandbox && options == argc)
		first = argc;
	if (first < options && !cfg->kernel && !cfg->firmware) {
		cfg->kernel = argv[first++];
		run->kernel_is_word = true;
	}
	if (first < options) {
		log_error("'%s': one kernel is enough", argv[first]);
		return -EINVAL;
	}
	if (run->run_dir)
		instance_set_run_dir(run->run_dir);
	return 0;
}

/* --- defaults --- */

/*
 * The guest gets a folder for its root when nothing else is there to be one. Firmware, and programs
 * that are no Linux, do without.
 */
static int run_prepare_rootfs(struct run_options *run)
{
	struct vm_config *cfg = &run->cfg;
	bool wanted = rootfs_is_wanted(&run->rootfs);
	int ret;

	if (!cfg->kernel || cfg->initrd || cfg->nodefaults ||
	    ((cfg->nr_disks || cfg->nr_scsi) && !wanted)) {
		if (!wanted)
			return 0;
		log_error("a folder as the guest's root goes with neither --initrd, --firmware nor "
			  "--nodefaults");
		return -EINVAL;
	}
	ret = rootfs_prepare(&run->rootfs, cfg);
	if (ret != -ENOEXEC)
		return ret;
	/* A kernel that cannot be read is told about where it is loaded. */
	if (!wanted || access(cfg->kernel, R_OK) < 0)
		return 0;
	if (run->rootfs.dir)
		log_error("--disk %s: a folder can only be a Linux kernel's, which %s is not",
			  run->rootfs.dir, cfg->kernel);
	else
		log_error("kernel %s: not a Linux kernel, so it can have no folder for its root",
			  cfg->kernel);
	return -EINVAL;
}

static bool run_is_missing(const char *word)
{
	return !strchr(word, '/') && access(word, F_OK) < 0 && errno == ENOENT;
}

/* Words that were meant for something else: a command, the name of a root. */
static int run_check_words(const struct run_options *run)
{
	const struct vm_config *cfg = &run->cfg;

	if (run->kernel_is_word && run_is_missing(cfg->kernel)) {
		log_fatal("Unable to open kernel %s: %m (a command goes behind --: lkvm run -- %s)",
			  cfg->kernel, cfg->kernel);
		return -ENOENT;
	}
	for (unsigned int i = 0; i < cfg->nr_disks; i++) {
		const char *path = cfg->disk[i].path;

		if (cfg->disk[i].vhost_user || !run_is_missing(path))
			continue;
		log_error("disk %s: %m, nor is there a root of that name (`lkvm setup` makes one)",
			  path);
		return -ENOENT;
	}
	return 0;
}

static int run_set_defaults(struct run_options *run)
{
	struct vm_config *cfg = &run->cfg;
	uint64_t host_ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);

	if (!cfg->nr_cpus)
		cfg->nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (!run->mem_given)
		cfg->ram_size = MIN(RUN_DEFAULT_RAM, ALIGN_DOWN(host_ram / 5 * 4, MIB));
	if (!cfg->name)
		cfg->name = xasprintf("guest-%d", (int)getpid());
	if (!cfg->name)
		return -ENOMEM;
	cfg->display.vm_name = cfg->name;
	if (!cfg->display.width) {
		cfg->display.width = DISPLAY_DEFAULT_WIDTH;
		cfg->display.height = DISPLAY_DEFAULT_HEIGHT;
		cfg->display.depth = DISPLAY_DEFAULT_DEPTH;
	}
	if (!run->net_given && !run->rootfs.sandbox && plugin_exists("user"))
		cfg->nic[cfg->nr_nics++] = (struct nic_params){.mode = NIC_USER};
	if (cfg->firmware && cfg->kernel) {
		log_error("--firmware and --kernel exclude each other");
		return -EINVAL;
	}
	if (!cfg->kernel && !cfg->firmware)
		cfg->kernel = kernel_find(arch_kernel_image);
	if (!cfg->kernel && !cfg->firmware) {
		log_fatal("Unable to find a kernel in the usual places: name one with --kernel");
		return -ENOENT;
	}
	return 0;
}

int run_options_complete(struct run_options *run)
{
	int ret = run_check_words(run);

	if (ret == 0)
		ret = run_set_defaults(run);
	if (ret == 0)
		ret = instance_check_name(run->cfg.name);
	return ret < 0 ? ret : run_prepare_rootfs(run);
}
