// SPDX-License-Identifier: GPL-2.0-or-later
/* The words of `--network`, and the address of a NIC that was not given one. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

static const char *const nic_mode_names[] = {
	[NIC_NONE] = "none",
	[NIC_USER] = "user",
	[NIC_TAP] = "tap",
	[NIC_PASST] = "passt",
};

static int nic_set_mode(struct nic_params *nic, char *val)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(nic_mode_names); i++) {
		if (!strcmp(val, nic_mode_names[i])) {
			nic->mode = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int nic_hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Six pairs of hex digits; neither a multicast nor the null address may be a NIC's own. */
static int nic_set_mac(struct nic_params *nic, char *val)
{
	uint8_t mac[6], any = 0;

	if (strlen(val) != 17)
		return -EINVAL;
	for (unsigned int i = 0; i < 6; i++) {
		int hi = nic_hex_digit(val[3 * i]), lo = nic_hex_digit(val[3 * i + 1]);

		if (hi < 0 || lo < 0 || (i < 5 && val[3 * i + 2] != ':'))
			return -EINVAL;
		mac[i] = hi << 4 | lo;
		any |= mac[i];
	}
	if (!any || (mac[0] & 1))
		return -EINVAL;
	memcpy(nic->mac, mac, 6);
	nic->have_mac = true;
	return 0;
}

/* A host's address: not 0.x, not loopback, not multicast and beyond. */
static int nic_parse_ip(const char *val, struct in_addr *ip)
{
	struct in_addr addr;
	unsigned int first;

	if (inet_pton(AF_INET, val, &addr) != 1)
		return -EINVAL;
	first = ntohl(addr.s_addr) >> 24;
	if (!first || first == 127 || first >= 224)
		return -EINVAL;
	*ip = addr;
	return 0;
}

static int nic_set_guest_ip(struct nic_params *nic, char *val)
{
	return nic_parse_ip(val, &nic->guest_ip);
}

static int nic_set_host_ip(struct nic_params *nic, char *val)
{
	return nic_parse_ip(val, &nic->host_ip);
}

static int nic_set_tapif(struct nic_params *nic, char *val)
{
	nic->tapif = val;
	return 0;
}

static int nic_set_socket(struct nic_params *nic, char *val)
{
	nic->socket = val;
	return 0;
}

static int nic_set_script(struct nic_params *nic, char *val)
{
	nic->script = strcmp(val, "none") ? val : NULL;
	return 0;
}

static int nic_set_downscript(struct nic_params *nic, char *val)
{
	nic->downscript = strcmp(val, "none") ? val : NULL;
	return 0;
}

/* "3", or "3:4:5" for a tap with three queues. The word is kept for messages. */
static int nic_set_fd(struct nic_params *nic, char *val)
{
	char copy[NET_MAX_PAIRS * 12], *rest = copy, *word;
	uint32_t fd;

	if (strlen(val) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, val);
	while ((word = strsep(&rest, ":"))) {
		if (nic->nr_fds == NET_MAX_PAIRS || parse_u32(word, &fd) || fd > INT_MAX)
			return -EINVAL;
		for (unsigned int i = 0; i < nic->nr_fds; i++)
			if (nic->fd[i] == (int)fd)
				return -EINVAL;
		nic->fd[nic->nr_fds++] = fd;
	}
	return 0;
}

static int nic_set_queues(struct nic_params *nic, char *val)
{
	uint32_t nr;

	if (nic->queues || parse_u32(val, &nr) || !nr || nr > NET_MAX_PAIRS)
		return -EINVAL;
	nic->queues = nr;
	return 0;
}

static int nic_set_vhost(struct nic_params *nic, char *val)
{
	return parse_bool(val, &nic->vhost) ? 0 : -EINVAL;
}

/* From what IPv4 needs (virtio 1.2 §5.1.4.1) to the most that a tap takes. */
static int nic_set_mtu(struct nic_params *nic, char *val)
{
	uint32_t mtu;

	if (parse_u32(val, &mtu) || mtu < 68 || mtu > 65521)
		return -EINVAL;
	nic->mtu = mtu;
	return 0;
}

static int nic_parse_port(const char *word, uint16_t *port)
{
	uint32_t val;

	if (parse_u32(word, &val) || !val || val > UINT16_MAX)
		return -EINVAL;
	*port = val;
	return 0;
}

/* "ADDRESS:PORT", the address may be left out; writes to the word. */
static int nic_parse_endpoint(char *word, struct in_addr *addr, uint16_t *port)
{
	char *colon = strchr(word, ':');

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	addr->s_addr = INADDR_ANY;
	if (*word && inet_pton(AF_INET, word, addr) != 1)
		return -EINVAL;
	return nic_parse_port(colon + 1, port);
}

/* "tcp:[HOST]:PORT-[GUEST]:PORT"; the word itself is kept for messages, so a copy is taken apart. */
static int nic_set_hostfwd(struct nic_params *nic, char *val)
{
	struct nic_hostfwd *fwd = &nic->hostfwd[nic->nr_hostfwd];
	char copy[64], *dash;

	if (nic->nr_hostfwd == NIC_MAX_HOSTFWD || strlen(val) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, val);
	fwd->udp = !strncmp(copy, "udp:", 4);
	dash = strchr(copy, '-');
	if ((!fwd->udp && strncmp(copy, "tcp:", 4)) || !dash)
		return -EINVAL;
	*dash = '\0';
	if (nic_parse_endpoint(copy + 4, &fwd->host, &fwd->host_port) ||
	    nic_parse_endpoint(dash + 1, &fwd->guest, &fwd->guest_port))
		return -EINVAL;
	fwd->word = val;
	nic->nr_hostfwd++;
	return 0;
}

static int nic_set_host_loopback(struct nic_params *nic, char *val)
{
	return parse_bool(val, &nic->host_loopback) ? 0 : -EINVAL;
}

static int nic_set_transport(struct nic_params *nic, char *val)
{
	return transport_parse(val, &nic->transport);
}

#define NIC_IN_USER  (1u << NIC_USER)
#define NIC_IN_TAP   (1u << NIC_TAP)
#define NIC_IN_PASST (1u << NIC_PASST)
#define NIC_IN_BOTH  (NIC_IN_USER | NIC_IN_TAP)
#define NIC_IN_ANY   (NIC_IN_BOTH | NIC_IN_PASST)
#define NIC_IN_ALL   (NIC_IN_ANY | 1u << NIC_NONE)

static const struct nic_key {
	const char *name;
	unsigned int modes;
	bool repeats;
	int (*set)(struct nic_params *nic, char *val); /* may write to val, when it succeeds */
	const char *expects;
} nic_keys[] = {
	{"mode", NIC_IN_ALL, false, nic_set_mode, "tap, user, passt or none"},
	{"guest_mac", NIC_IN_ANY, false, nic_set_mac, "a unicast address like 52:54:00:12:34:56"},
	{"guest_ip", NIC_IN_BOTH, false, nic_set_guest_ip, "an IPv4 address"},
	{"host_ip", NIC_IN_BOTH, false, nic_set_host_ip, "an IPv4 address"},
	{"tapif", NIC_IN_TAP, false, nic_set_tapif, NULL},
	{"socket", NIC_IN_PASST, false, nic_set_socket, NULL},
	{"script", NIC_IN_TAP, false, nic_set_script, NULL},
	{"downscript", NIC_IN_TAP, false, nic_set_downscript, NULL},
	{"fd", NIC_IN_TAP, false, nic_set_fd, "the number of an open tap, or of its queues: 3:4"},
	{"queues", NIC_IN_TAP, false, nic_set_queues, "1 to 16, once"},
	{"mq", NIC_IN_TAP, false, nic_set_queues, "1 to 16, once"},
	{"vhost", NIC_IN_TAP, false, nic_set_vhost, "on or off"},
	{"mtu", NIC_IN_TAP, false, nic_set_mtu, "68 to 65521"},
	{"hostfwd", NIC_IN_USER | NIC_IN_PASST, true, nic_set_hostfwd, "up to 16 like tcp::2222-:22"},
	{"host_loopback", NIC_IN_USER | NIC_IN_PASST, false, nic_set_host_loopback, "on or off"},
	{"trans", NIC_IN_ANY, false, nic_set_transport, TRANSPORT_WORDS},
};

/* The bit of the key in a mask of keys seen, or a negative errno. */
static int nic_parse_word(struct nic_params *nic, char *word, unsigned int seen)
{
	char *val = strchr(word, '=');
	size_t len = val ? (size_t)(val - word) : strlen(word);

	for (unsigned int i = 0; i < ARRAY_SIZE(nic_keys); i++) {
		const struct nic_key *key = &nic_keys[i];

		if (strlen(key->name) != len || memcmp(key->name, word, len))
			continue;
		if ((seen & 1u << i) && !key->repeats) {
			log_error("--network: '%s': %s is given twice", word, key->name);
			return -EINVAL;
		}
		if (!val || !val[1]) {
			log_error("--network: '%s' needs a value", word);
			return -EINVAL;
		}
		if (key->set(nic, val + 1)) {
			log_error("--network: '%s': expected %s", word, key->expects);
			return -EINVAL;
		}
		return i;
	}
	log_error("--network: '%s' is unknown", word);
	return -EINVAL;
}

/* What was said must go together, whatever the order it was said in. */
static int nic_check(const struct nic_params *nic, unsigned int seen)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(nic_keys); i++) {
		if ((seen & 1u << i) && !(nic_keys[i].modes & 1u << nic->mode)) {
			log_error("--network: '%s' has no meaning with mode=%s", nic_keys[i].name,
				  nic_mode_names[nic->mode]);
			return -EINVAL;
		}
	}
	if (nic->nr_fds && nic->tapif) {
		log_error("--network: 'tapif' and 'fd' exclude each other");
		return -EINVAL;
	}
	if (nic->socket && (nic->nr_hostfwd || nic->host_loopback)) {
		log_error("--network: with 'socket' it is up to that passt what it forwards");
		return -EINVAL;
	}
	for (unsigned int i = 0; nic->mode == NIC_PASST && i < nic->nr_hostfwd; i++) {
		if (nic->hostfwd[i].guest.s_addr) {
			log_error("--network: 'hostfwd=%s': with passt the guest has one address",
				  nic->hostfwd[i].word);
			return -EINVAL;
		}
	}
	if (nic->nr_fds && nic->queues && nic->queues != nic->nr_fds) {
		log_error("--network: 'queues' says %u, and 'fd' has %u of them", nic->queues,
			  nic->nr_fds);
		return -EINVAL;
	}
	if (nic->mode == NIC_TAP && nic->guest_ip.s_addr)
		log_warning("--network: 'guest_ip' does nothing with mode=tap: "
			    "the guest, or a DHCP server on the tap, sets its address");
	return 0;
}

int nic_params_parse(struct nic_params *nic, char *words)
{
	unsigned int seen = 0;
	char *word;

	*nic = (struct nic_params){.mode = NIC_TAP};
	for (bool first = true; (word = strsep(&words, ",")); first = false) {
		int key;

		/* The mode's name alone, in front, is short for mode=. */
		if (first && nic_set_mode(nic, word) == 0) {
			seen |= 1u << 0;
			continue;
		}
		key = nic_parse_word(nic, word, seen);
		if (key < 0)
			return key;
		seen |= 1u << key;
	}
	return nic_check(nic, seen);
}

/* FNV-1a, the terminating zero included so that words stay apart. */
static uint64_t nic_hash(uint64_t hash, const char *s)
{
	do {
		hash = (hash ^ (uint8_t)*s) * 0x100000001b3ULL;
	} while (*s++);
	return hash;
}

void nic_stable_mac(const char *vm_name, unsigned int nic, uint8_t mac[6])
{
	char machine[64] = "", index[16];
	uint64_t hash = 0xcbf29ce484222325ULL;
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	/* Keeps VMs of one name on two hosts of one network apart; without it the name must do. */
	if (fd >= 0) {
		ssize_t len = read(fd, machine, sizeof(machine) - 1);

		machine[MAX(len, 0)] = '\0';
		close(fd);
	}
	snprintf(index, sizeof(index), "%u", nic);
	hash = nic_hash(nic_hash(nic_hash(hash, machine), vm_name), index);
	/* FNV leaves the high bits poorly mixed: a multiply-xorshift finish spreads them. */
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ULL;
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ULL;
	hash ^= hash >> 32;
	memcpy(mac, &hash, 6);
	mac[0] = (mac[0] & ~1) | 2; /* unicast, locally administered (IEEE 802) */
}
