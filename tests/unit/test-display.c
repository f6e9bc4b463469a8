// SPDX-License-Identifier: GPL-2.0-or-later
/* links: ui/display.c ui/display-params.c ui/seat.c ui/keys.c util/plugin.c hw/edid.c util/base64.c util/loop.c util/options.c util/log.c util/util.c */
/* What lies between a display device, people and their keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/input-event-codes.h>

#include "kvm/base64.h"
#include "kvm/display.h"
#include "kvm/edid.h"
#include "kvm/keys.h"
#include "kvm/loop.h"
#include "kvm/seat.h"
#include "kvm/util.h"

/* --- the seat --- */

struct receiver {
	bool up;
	unsigned int nr_keys, nr_moves, nr_points, key, x, y;
	int dx, dy;
};

static bool receiver_ready(void *dev)
{
	struct receiver *r = dev;

	return r->up;
}

static void receiver_key(void *dev, unsigned int code, bool down)
{
	struct receiver *r = dev;

	(void)down;
	r->key = code;
	r->nr_keys++;
}

static void receiver_move(void *dev, int dx, int dy, int dz, unsigned int buttons)
{
	struct receiver *r = dev;

	(void)dz;
	(void)buttons;
	r->dx = dx;
	r->dy = dy;
	r->nr_moves++;
}

static void receiver_point(void *dev, unsigned int x, unsigned int y, int dz, unsigned int buttons)
{
	struct receiver *r = dev;

	(void)dz;
	(void)buttons;
	r->x = x;
	r->y = y;
	r->nr_points++;
}

static const struct seat_receiver ps2 = {.key = receiver_key, .move = receiver_move};
static const struct seat_receiver tablet = {.ready = receiver_ready, .point = receiver_point};
static const struct seat_receiver keyboard = {.ready = receiver_ready, .key = receiver_key};

static void test_seat_routes_to_the_newest_that_is_ready(void **state)
{
	struct receiver old = {0}, new_keys = {0}, new_tablet = {0};
	struct seat seat;

	(void)state;
	seat_init(&seat);
	seat_key(&seat, KEY_A, true); /* nobody there: no harm */
	assert_int_equal(seat_add(&seat, &ps2, &old), 0);
	assert_int_equal(seat_add(&seat, &keyboard, &new_keys), 0);
	assert_int_equal(seat_add(&seat, &tablet, &new_tablet), 0);

	seat_key(&seat, KEY_A, true);
	assert_int_equal(old.nr_keys, 1);
	assert_false(seat_takes_points(&seat));
	seat_point(&seat, 100, 50, 640, 480, 0, 0);
	seat_point(&seat, 110, 45, 640, 480, 0, 0);
	assert_int_equal(old.dx, 10);
	assert_int_equal(old.dy, -5);

	new_keys.up = new_tablet.up = true;
	assert_true(seat_takes_points(&seat));
	seat_key(&seat, KEY_B, true);
	assert_int_equal(new_keys.key, KEY_B);
	assert_int_equal(old.nr_keys, 1);
	seat_point(&seat, 639, 5000, 640, 480, 0, 0);
	assert_int_equal(new_tablet.x, SEAT_MAX_AXIS);
	assert_int_equal(new_tablet.y, SEAT_MAX_AXIS);
	seat_point(&seat, -3, 0, 0, 1, 0, 0);
	assert_int_equal(new_tablet.x, 0);
	seat_move(&seat, 1, 1, 0, 0);
	assert_int_equal(old.nr_moves, 3);

	seat_remove(&seat, &new_keys);
	seat_key(&seat, KEY_C, true);
	assert_int_equal(old.key, KEY_C);
	for (unsigned int i = seat.nr; i < SEAT_MAX_RECEIVERS; i++)
		assert_int_equal(seat_add(&seat, &ps2, &old), 0);
	assert_true(seat_add(&seat, &ps2, &old) < 0);
	seat_fini(&seat);
}

/* --- keys --- */

static void test_keys(void **state)
{
	unsigned int key[3];

	(void)state;
	assert_int_equal(key_by_name("a"), KEY_A);
	assert_int_equal(key_by_name("F12"), KEY_F12);
	assert_int_equal(key_by_name("f24"), KEY_F24);
	assert_int_equal(key_by_name("f25"), 0);
	assert_int_equal(key_by_name("f"), KEY_F);
	assert_int_equal(key_by_name("Ret"), KEY_ENTER);
	assert_int_equal(key_by_name(""), 0);
	assert_int_equal(key_by_keysym('~'), KEY_GRAVE);
	assert_int_equal(key_by_keysym(0xffbe), KEY_F1);
	assert_int_equal(key_by_keysym(0xffc9), KEY_F12);
	assert_int_equal(key_by_keysym(0xffff), KEY_DELETE);
	assert_int_equal(key_by_keysym(0), 0);
	assert_int_equal(key_by_keysym(UINT32_MAX), 0);
	/* Every printable character has a key, as every letter of a console must. */
	for (uint32_t c = ' '; c <= '~'; c++)
		assert_int_not_equal(key_by_keysym(c), 0);

	assert_int_equal(keys_parse_chord("ctrl-alt-f2", key, 3), 3);
	assert_int_equal(key[0], KEY_LEFTCTRL);
	assert_int_equal(key[1], KEY_LEFTALT);
	assert_int_equal(key[2], KEY_F2);
	assert_int_equal(keys_parse_chord("ctrl--", key, 3), 2);
	assert_int_equal(key[1], KEY_MINUS);
	assert_true(keys_parse_chord("a-b-c-d", key, 3) < 0);
	assert_true(keys_parse_chord("", key, 3) < 0);
	assert_true(keys_parse_chord("ctrl-", key, 3) < 0);
	assert_true(keys_parse_chord("nonsense", key, 3) < 0);
	assert_true(keys_parse_chord("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", key, 3) < 0);
}

/* --- what people type --- */

static int parse_vnc(struct display_params *params, const char *word)
{
	static char words[256]; /* params point into it, until the next call */

	assert_true(strlen(word) < sizeof(words));
	strcpy(words, word);
	*params = (struct display_params){0};
	return display_params_parse_vnc(params, words);
}

static void test_params(void **state)
{
	static const char *const bad_modes[] = {"",    "640",	       "640x",	"x480", "640x480x",
						"axb", "640x480x32x1", "-1x-1", "0x999"};
	static const char *const bad_vnc[] = {
		"host", ":", ":x", ":70000", ":1,unix=/x", ":1,foo=1", "unix=", ":1,password-file"};
	struct display_params p = {0};

	(void)state;
	assert_int_equal(display_params_parse_mode(&p, "800x600"), 0);
	assert_true(p.wanted && p.width == 800 && p.height == 600 && p.depth == 32);
	assert_int_equal(display_params_parse_mode(&p, "1920x1080x16"), 0);
	assert_true(p.width == 1920 && p.depth == 16);
	assert_int_equal(display_params_parse_mode(&p, "0x312"), 0); /* kvmtool's default */
	assert_true(p.width == 640 && p.height == 480 && p.depth == 32);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_modes); i++)
		assert_true(display_params_parse_mode(&p, bad_modes[i]) < 0);

	assert_int_equal(parse_vnc(&p, ":3"), 0);
	assert_true(!p.vnc_host && p.vnc_number == 3);
	assert_int_equal(parse_vnc(&p, "[::1]:4,password-file=/p"), 0);
	assert_string_equal(p.vnc_host, "::1");
	assert_string_equal(p.vnc_password_file, "/p");
	assert_int_equal(parse_vnc(&p, "unix=/tmp/x"), 0);
	assert_string_equal(p.vnc_unix, "/tmp/x");
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_vnc); i++)
		assert_true(parse_vnc(&p, bad_vnc[i]) < 0);
}

/* --- the monitor --- */

static void test_edid(void **state)
{
	static const uint32_t sizes[][2] = {{640, 480}, {1920, 1080}, {4096, 1024}, {1, 1}};
	uint8_t edid[EDID_SIZE], sum;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		edid_fill(edid, sizes[i][0], sizes[i][1]);
		sum = 0;
		for (unsigned int b = 0; b < EDID_SIZE; b++)
			sum += edid[b];
		assert_int_equal(sum, 0);
		assert_int_equal(edid[56] | (edid[58] & 0xf0) << 4, MIN(sizes[i][0], 4095u));
		assert_int_equal(edid[59] | (edid[61] & 0xf0) << 4, sizes[i][1]);
	}
}

/* --- the picture --- */

struct painter {
	uint32_t width, height;
	unsigned int nr_all, nr;
};

static void painter_refresh(void *dev, struct display *display, bool all)
{
	struct painter *p = dev;
	struct display_surface *s = display_resize(display, p->width, p->height);

	p->nr++;
	p->nr_all += all;
	if (!s)
		return;
	s->pixels[0] = 0x123456;
	display_changed(display, 0, 0, 1);
	for (uint32_t line = 0; line < p->height; line += 20) /* more than there are rectangles */
		display_changed(display, line, 1, 2);
}

static void painter_closed(void *arg)
{
	loop_quit(arg);
}

static void test_display(void **state)
{
	static const struct display_source source = {.refresh = painter_refresh};
	const struct display_params params = {.wanted = true, .width = 64, .height = 64};
	struct painter painter = {.width = 640, .height = 480};
	struct loop *loop = loop_create();
	struct display_surface shot;
	struct display *display;
	struct seat seat;

	(void)state;
	seat_init(&seat);
	display = display_create(&params, loop, &seat, painter_closed, loop);
	assert_non_null(display);
	shot = display_screenshot(display);
	assert_null(shot.pixels);
	display_attach(display, &source, &painter);
	shot = display_screenshot(display);
	assert_true(shot.width == 640 && shot.height == 480 && shot.pixels[0] == 0x123456);
	free(shot.pixels);
	painter.width = DISPLAY_MAX_WIDTH + 1; /* refused: the old picture stays */
	shot = display_screenshot(display);
	assert_true(shot.width == 640 && shot.pixels[0] == 0x123456);
	free(shot.pixels);
	assert_int_equal(painter.nr_all, 1);
	assert_int_equal(painter.nr, 2);

	/* The machine reboots: its picture stays until there is a new one. */
	display_attach(display, NULL, NULL);
	shot = display_screenshot(display);
	assert_int_equal(shot.width, 640);
	free(shot.pixels);
	assert_int_equal(painter.nr, 2);

	display_close(display);
	assert_int_equal(loop_run(loop), 0);
	display_destroy(display);
	display_destroy(NULL);
	loop_destroy(loop);
	seat_fini(&seat);
}

static void test_no_back_end(void **state)
{
	const struct display_params params = {.wanted = true, .backend = "nonsense"};
	struct loop *loop = loop_create();
	struct seat seat;

	(void)state;
	seat_init(&seat);
	assert_null(display_create(&params, loop, &seat, painter_closed, loop));
	loop_destroy(loop);
	seat_fini(&seat);
}

/* --- base64 --- */

static void test_base64(void **state)
{
	static const struct {
		const char *plain, *text;
	} known[] = {{"", ""},
		     {"f", "Zg=="},
		     {"fo", "Zm8="},
		     {"foo", "Zm9v"},
		     {"foob", "Zm9vYg=="},
		     {"fooba", "Zm9vYmE="},
		     {"foobar", "Zm9vYmFy"}}; /* RFC 4648 §10 */
	size_t len;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++) {
		char *text = base64_encode((const uint8_t *)known[i].plain, strlen(known[i].plain));
		uint8_t *plain = base64_decode(known[i].text, &len);

		assert_string_equal(text, known[i].text);
		assert_int_equal(len, strlen(known[i].plain));
		assert_memory_equal(plain, known[i].plain, len);
		free(text);
		free(plain);
	}
	assert_null(base64_decode("Zg=", &len));
	assert_null(base64_decode("Z!==", &len));
	assert_null(base64_decode("=Zg=", &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seat_routes_to_the_newest_that_is_ready),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_edid),
		cmocka_unit_test(test_display),
		cmocka_unit_test(test_no_back_end),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
