// SPDX-License-Identifier: GPL-2.0-or-later
/* links: net/params.c util/transport.c util/util.c util/log.c */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/log.h"
#include "kvm/net.h"
#include "kvm/util.h"

static char words[256];

static int parse(struct nic_params *nic, const char *text)
{
	snprintf(words, sizeof(words), "%s", text);
	return nic_params_parse(nic, words);
}

static void test_modes(void **state)
{
	static const struct {
		const char *words;
		enum nic_mode mode;
	} cases[] = {
		{"tap", NIC_TAP},	  {"user", NIC_USER},
		{"passt,socket=/x", NIC_PASST},
		{"passt", NIC_PASST},
		{"passt,hostfwd=tcp:127.0.0.1:2222-:22", NIC_PASST},
		{"none", NIC_NONE},	  {"mode=tap", NIC_TAP},
		{"mode=user", NIC_USER},  {"mode=none", NIC_NONE},
		{"tapif=t0", NIC_TAP},	  {"user,host_ip=10.1.1.1", NIC_USER},
		{"script=none", NIC_TAP}, {"hostfwd=tcp::1-:2,mode=user", NIC_USER},
	};
	struct nic_params nic;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(&nic, cases[i].words), 0);
		assert_int_equal(nic.mode, cases[i].mode);
		assert_int_equal(nic.nr_fds, 0);
		assert_null(nic.script);
		assert_false(nic.have_mac || nic.host_loopback);
	}
}

static void test_tap_keys(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xab, 0xCD, 0x01};
	struct nic_params nic;

	(void)state;
	assert_int_equal(parse(&nic,
			       "mode=tap,guest_mac=52:54:00:ab:CD:01,tapif=vm0,script=./up.sh,"
			       "downscript=/etc/down=1,host_ip=10.0.0.1"),
			 0);
	assert_true(nic.have_mac);
	assert_memory_equal(nic.mac, mac, 6);
	assert_string_equal(nic.tapif, "vm0");
	assert_string_equal(nic.script, "./up.sh");
	assert_string_equal(nic.downscript, "/etc/down=1");
	assert_int_equal(nic.host_ip.s_addr, inet_addr("10.0.0.1"));
	assert_int_equal(parse(&nic, "fd=0"), 0);
	assert_int_equal(nic.nr_fds, 1);
	assert_int_equal(nic.fd[0], 0);
	assert_int_equal(parse(&nic, "tap,fd=17"), 0);
	assert_int_equal(nic.nr_fds, 1);
	assert_int_equal(nic.fd[0], 17);
	assert_int_equal(parse(&nic, "tap,fd=17:4,queues=2"), 0);
	assert_int_equal(nic.nr_fds, 2);
	assert_int_equal(nic.fd[0], 17);
	assert_int_equal(nic.fd[1], 4);
	assert_false(nic.vhost || nic.mtu);
	assert_int_equal(parse(&nic, "tap,queues=4,vhost=1,mtu=9000"), 0);
	assert_int_equal(nic.queues, 4);
	assert_true(nic.vhost);
	assert_int_equal(nic.mtu, 9000);
	assert_int_equal(parse(&nic, "mode=tap,vhost=0,mq=16"), 0); /* kvmtool's words */
	assert_int_equal(nic.queues, 16);
	assert_false(nic.vhost);
	assert_int_equal(nic.transport, TRANSPORT_DEFAULT);
	assert_int_equal(parse(&nic, "trans=mmio-legacy"), 0);
	assert_int_equal(nic.transport, TRANSPORT_MMIO_LEGACY);
}

static void test_user_keys(void **state)
{
	struct nic_params nic;

	(void)state;
	assert_int_equal(parse(&nic, "user,hostfwd=tcp::2222-:22,guest_ip=10.0.2.15,"
				     "hostfwd=udp:127.0.0.1:53-10.0.2.15:5353,host_loopback=on"),
			 0);
	assert_true(nic.host_loopback);
	assert_int_equal(nic.guest_ip.s_addr, inet_addr("10.0.2.15"));
	assert_int_equal(nic.nr_hostfwd, 2);
	assert_false(nic.hostfwd[0].udp);
	assert_int_equal(nic.hostfwd[0].host.s_addr, 0);
	assert_int_equal(nic.hostfwd[0].host_port, 2222);
	assert_int_equal(nic.hostfwd[0].guest.s_addr, 0);
	assert_int_equal(nic.hostfwd[0].guest_port, 22);
	assert_true(nic.hostfwd[1].udp);
	assert_int_equal(nic.hostfwd[1].host.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(nic.hostfwd[1].guest.s_addr, inet_addr("10.0.2.15"));
	assert_string_equal(nic.hostfwd[1].word, "udp:127.0.0.1:53-10.0.2.15:5353");
}

/* What the parser prints about bad words. */
static void parse_error(const char *text, char *out, size_t size)
{
	int saved = dup(STDERR_FILENO), pipes[2];
	struct nic_params nic;
	ssize_t len;

	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[1], STDERR_FILENO);
	assert_int_equal(parse(&nic, text), -EINVAL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipes[1]);
	len = read(pipes[0], out, size - 1);
	close(pipes[0]);
	assert_true(len > 0);
	out[len] = '\0';
}

static void test_bad_words(void **state)
{
	/* The words, and what the one line about them must name. */
	static const char *const cases[][2] = {
		{"tapx", "'tapx'"},
		{"mode=userfoo", "'mode=userfoo'"},
		{"mode", "'mode'"},
		{"mode=", "'mode='"},
		{"", "''"},
		{"tap,", "''"},
		{"tap,,tapif=t", "''"},
		{"tap,user", "'user'"},
		{"tap,mode=user", "'mode=user'"},
		{"frobnicate=1", "'frobnicate=1'"},
		{"mod=tap", "'mod=tap'"},
		{"modex=tap", "'modex=tap'"},
		{"guest_mac=52:54:00:12:34", "'guest_mac=52:54:00:12:34'"},
		{"guest_mac=52:54:00:12:34:5g", "'guest_mac=52:54:00:12:34:5g'"},
		{"guest_mac=52:54:00:12:34:56x", "'guest_mac=52:54:00:12:34:56x'"},
		{"guest_mac=52-54-00-12-34-56", "'guest_mac=52-54-00-12-34-56'"},
		{"guest_mac=53:54:00:12:34:56", "'guest_mac=53:54:00:12:34:56'"},
		{"guest_mac=00:00:00:00:00:00", "'guest_mac=00:00:00:00:00:00'"},
		{"user,guest_ip=10.0.2", "'guest_ip=10.0.2'"},
		{"user,guest_ip=10.0.2.256", "'guest_ip=10.0.2.256'"},
		{"host_ip=127.0.0.1", "'host_ip=127.0.0.1'"},
		{"host_ip=224.0.0.1", "'host_ip=224.0.0.1'"},
		{"host_ip=0.0.0.0", "'host_ip=0.0.0.0'"},
		{"fd=-1", "'fd=-1'"},
		{"fd=3x", "'fd=3x'"},
		{"fd=4294967295", "'fd=4294967295'"},
		{"fd=3,tapif=t", "'tapif' and 'fd'"},
		{"tapif=a,tapif=b", "'tapif=b'"},
		{"vhost=maybe", "'vhost=maybe'"},
		{"user,vhost=1", "'vhost'"},
		{"user,queues=2", "'queues'"},
		{"queues=0", "'queues=0'"},
		{"queues=17", "'queues=17'"},
		{"tap,queues=2,mq=4", "'mq=4'"},
		{"fd=3:4:", "'fd=3:4:'"},
		{"fd=3:3", "'fd=3:3'"},
		{"fd=3:4,queues=3", "'queues' says 3"},
		{"passt,socket=/s,hostfwd=tcp::2222-:22", "'socket'"},
		{"passt,hostfwd=tcp::2222-10.0.0.1:22", "10.0.0.1:22"},
		{"passt,socket=", "'socket='"},
		{"tap,socket=/x", "'socket'"},
		{"passt,socket=/x,host_ip=10.0.0.1", "'host_ip'"},
		{"mtu=67", "'mtu=67'"},
		{"mtu=65536", "'mtu=65536'"},
		{"user,trans=isa", "'trans=isa'"},
		{"user,tapif=t", "'tapif'"},
		{"script=x,mode=user", "'script'"},
		{"hostfwd=tcp::1-:2", "'hostfwd'"},
		{"none,guest_mac=52:54:00:12:34:56", "'guest_mac'"},
		{"user,hostfwd=tcp:2222-:22", "'hostfwd=tcp:2222-:22'"},
		{"user,hostfwd=sctp::1-:2", "'hostfwd=sctp::1-:2'"},
		{"user,hostfwd=tcp::1", "'hostfwd=tcp::1'"},
		{"user,hostfwd=tcp::0-:22", "'hostfwd=tcp::0-:22'"},
		{"user,hostfwd=tcp::22-:65536", "'hostfwd=tcp::22-:65536'"},
		{"user,hostfwd=tcp::22-:22x", "'hostfwd=tcp::22-:22x'"},
		{"user,hostfwd=tcp:host:22-:22", "'hostfwd=tcp:host:22-:22'"},
		{"user,hostfwd=tcp::22-1.2.3:22", "'hostfwd=tcp::22-1.2.3:22'"},
		{"user,host_loopback=maybe", "'host_loopback=maybe'"},
	};
	char out[512];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		parse_error(cases[i][0], out, sizeof(out));
		if (!strstr(out, cases[i][1]) || strchr(out, '\n') != out + strlen(out) - 1)
			fail_msg("%s: %s", cases[i][0], out);
	}
}

static void test_too_many_hostfwd(void **state)
{
	char text[1024] = "user";
	struct nic_params nic;

	(void)state;
	for (unsigned int i = 0; i < NIC_MAX_HOSTFWD; i++)
		sprintf(text + strlen(text), ",hostfwd=tcp::%u-:1", 100 + i);
	assert_int_equal(nic_params_parse(&nic, strdupa(text)), 0);
	assert_int_equal(nic.nr_hostfwd, NIC_MAX_HOSTFWD);
	strcat(text, ",hostfwd=tcp::99-:1");
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(nic_params_parse(&nic, strdupa(text)), -EINVAL);
}

static void test_stable_mac(void **state)
{
	uint8_t mac[200][6], again[6];
	char name[16];

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		sprintf(name, "vm%u", i / 4);
		nic_stable_mac(name, i % 4, mac[i]);
		nic_stable_mac(name, i % 4, again);
		assert_memory_equal(mac[i], again, 6);
		assert_int_equal(mac[i][0] & 3, 2);
		for (unsigned int j = 0; j < i; j++)
			assert_memory_not_equal(mac[i], mac[j], 6);
	}
	/* Where a name ends matters. */
	nic_stable_mac("vm", 10, again);
	nic_stable_mac("vm1", 0, mac[0]);
	assert_memory_not_equal(mac[0], again, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_tap_keys),
		cmocka_unit_test(test_user_keys),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_too_many_hostfwd),
		cmocka_unit_test(test_stable_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
