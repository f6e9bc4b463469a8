// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/keys.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <strings.h>

#include "kvm/util.h"

/* Keys by what is printed on a US keyboard; of two characters on a key either will do. */
static const struct {
	uint8_t key;
	char characters[3];
} keys_printed[] = {
	{KEY_A, "aA"},		 {KEY_B, "bB"},		 {KEY_C, "cC"},
	{KEY_D, "dD"},		 {KEY_E, "eE"},		 {KEY_F, "fF"},
	{KEY_G, "gG"},		 {KEY_H, "hH"},		 {KEY_I, "iI"},
	{KEY_J, "jJ"},		 {KEY_K, "kK"},		 {KEY_L, "lL"},
	{KEY_M, "mM"},		 {KEY_N, "nN"},		 {KEY_O, "oO"},
	{KEY_P, "pP"},		 {KEY_Q, "qQ"},		 {KEY_R, "rR"},
	{KEY_S, "sS"},		 {KEY_T, "tT"},		 {KEY_U, "uU"},
	{KEY_V, "vV"},		 {KEY_W, "wW"},		 {KEY_X, "xX"},
	{KEY_Y, "yY"},		 {KEY_Z, "zZ"},		 {KEY_1, "1!"},
	{KEY_2, "2@"},		 {KEY_3, "3#"},		 {KEY_4, "4$"},
	{KEY_5, "5%"},		 {KEY_6, "6^"},		 {KEY_7, "7&"},
	{KEY_8, "8*"},		 {KEY_9, "9("},		 {KEY_0, "0)"},
	{KEY_MINUS, "-_"},	 {KEY_EQUAL, "=+"},	 {KEY_LEFTBRACE, "[{"},
	{KEY_RIGHTBRACE, "]}"},	 {KEY_BACKSLASH, "\\|"}, {KEY_SEMICOLON, ";:"},
	{KEY_APOSTROPHE, "'\""}, {KEY_GRAVE, "`~"},	 {KEY_COMMA, ",<"},
	{KEY_DOT, ".>"},	 {KEY_SLASH, "/?"},	 {KEY_SPACE, "  "},
};

static unsigned int key_by_character(char c)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(keys_printed); i++)
		if (keys_printed[i].characters[0] == c || keys_printed[i].characters[1] == c)
			return keys_printed[i].key;
	return 0;
}

/* The other keys: their name, and X11's keysym (keysymdef.h), 0 for none. */
static const struct {
	const char *name;
	uint16_t keysym;
	uint16_t key;
} keys_named[] = {
	{"esc", 0xff1b, KEY_ESC},
	{"escape", 0, KEY_ESC},
	{"backspace", 0xff08, KEY_BACKSPACE},
	{"tab", 0xff09, KEY_TAB},
	{"backtab", 0xfe20, KEY_TAB}, /* what Shift makes of it */
	{"enter", 0xff0d, KEY_ENTER},
	{"ret", 0, KEY_ENTER},
	{"return", 0, KEY_ENTER},
	{"linefeed", 0xff0a, KEY_ENTER},
	{"space", 0, KEY_SPACE},
	{"minus", 0, KEY_MINUS},
	{"ctrl", 0xffe3, KEY_LEFTCTRL},
	{"ctrl_r", 0xffe4, KEY_RIGHTCTRL},
	{"shift", 0xffe1, KEY_LEFTSHIFT},
	{"shift_r", 0xffe2, KEY_RIGHTSHIFT},
	{"alt", 0xffe9, KEY_LEFTALT},
	{"alt_r", 0xffea, KEY_RIGHTALT},
	{"altgr", 0xfe03, KEY_RIGHTALT},
	{"modeswitch", 0xff7e, KEY_RIGHTALT},
	{"super", 0xffeb, KEY_LEFTMETA},
	{"super_r", 0xffec, KEY_RIGHTMETA},
	{"meta", 0xffe7, KEY_LEFTMETA},
	{"meta_r", 0xffe8, KEY_RIGHTMETA},
	{"menu", 0xff67, KEY_COMPOSE},
	{"caps_lock", 0xffe5, KEY_CAPSLOCK},
	{"num_lock", 0xff7f, KEY_NUMLOCK},
	{"scroll_lock", 0xff14, KEY_SCROLLLOCK},
	{"print", 0xff61, KEY_SYSRQ},
	{"sysrq", 0xff15, KEY_SYSRQ},
	{"pause", 0xff13, KEY_PAUSE},
	{"break", 0xff6b, KEY_PAUSE},
	{"insert", 0xff63, KEY_INSERT},
	{"delete", 0xffff, KEY_DELETE},
	{"del", 0, KEY_DELETE},
	{"home", 0xff50, KEY_HOME},
	{"end", 0xff57, KEY_END},
	{"pgup", 0xff55, KEY_PAGEUP},
	{"pgdn", 0xff56, KEY_PAGEDOWN},
	{"left", 0xff51, KEY_LEFT},
	{"up", 0xff52, KEY_UP},
	{"right", 0xff53, KEY_RIGHT},
	{"down", 0xff54, KEY_DOWN},
	{"kp_0", 0xffb0, KEY_KP0},
	{"kp_1", 0xffb1, KEY_KP1},
	{"kp_2", 0xffb2, KEY_KP2},
	{"kp_3", 0xffb3, KEY_KP3},
	{"kp_4", 0xffb4, KEY_KP4},
	{"kp_5", 0xffb5, KEY_KP5},
	{"kp_6", 0xffb6, KEY_KP6},
	{"kp_7", 0xffb7, KEY_KP7},
	{"kp_8", 0xffb8, KEY_KP8},
	{"kp_9", 0xffb9, KEY_KP9},
	/* The same keys, as they are without Num Lock. */
	{"kp_insert", 0xff9e, KEY_KP0},
	{"kp_end", 0xff9c, KEY_KP1},
	{"kp_down", 0xff99, KEY_KP2},
	{"kp_pgdn", 0xff9b, KEY_KP3},
	{"kp_left", 0xff96, KEY_KP4},
	{"kp_begin", 0xff9d, KEY_KP5},
	{"kp_right", 0xff98, KEY_KP6},
	{"kp_home", 0xff95, KEY_KP7},
	{"kp_up", 0xff97, KEY_KP8},
	{"kp_pgup", 0xff9a, KEY_KP9},
	{"kp_delete", 0xff9f, KEY_KPDOT},
	{"kp_decimal", 0xffae, KEY_KPDOT},
	{"kp_separator", 0xffac, KEY_KPCOMMA},
	{"kp_divide", 0xffaf, KEY_KPSLASH},
	{"kp_multiply", 0xffaa, KEY_KPASTERISK},
	{"kp_subtract", 0xffad, KEY_KPMINUS},
	{"kp_add", 0xffab, KEY_KPPLUS},
	{"kp_enter", 0xff8d, KEY_KPENTER},
	{"kp_equal", 0xffbd, KEY_KPEQUAL},
	{"less", 0, KEY_102ND}, /* beside the left Shift, where there is one */
	{"henkan", 0xff23, KEY_HENKAN},
	{"muhenkan", 0xff22, KEY_MUHENKAN},
	{"hiragana", 0xff27, KEY_KATAKANAHIRAGANA},
	{"zenkaku", 0xff2a, KEY_ZENKAKUHANKAKU},
	{"hangul", 0xff31, KEY_HANGEUL},
	{"hanja", 0xff34, KEY_HANJA},
	{"help", 0xff6a, KEY_HELP},
	{"undo", 0xff65, KEY_UNDO},
	{"power", 0, KEY_POWER},
	{"sleep", 0, KEY_SLEEP},
	{"mute", 0, KEY_MUTE},
	{"volumeup", 0, KEY_VOLUMEUP},
	{"volumedown", 0, KEY_VOLUMEDOWN},
};

#define KEYSYM_F1  0xffbe
#define KEYSYM_F24 0xffd5

/* F1 to F24, whose codes lie in three places. */
static unsigned int key_function(unsigned int nr)
{
	if (nr >= 1 && nr <= 10)
		return KEY_F1 + nr - 1;
	if (nr == 11 || nr == 12)
		return KEY_F11 + nr - 11;
	return nr >= 13 && nr <= 24 ? KEY_F13 + nr - 13 : 0;
}

unsigned int key_by_name(const char *name)
{
	uint32_t nr;

	if (name[0] && !name[1])
		return key_by_character(name[0]);
	if ((name[0] == 'f' || name[0] == 'F') && parse_u32(name + 1, &nr) == 0)
		return key_function(nr);
	for (unsigned int i = 0; i < ARRAY_SIZE(keys_named); i++)
		if (!strcasecmp(keys_named[i].name, name))
			return keys_named[i].key;
	return 0;
}

unsigned int key_by_keysym(uint32_t keysym)
{
	if (keysym >= ' ' && keysym <= '~')
		return key_by_character(keysym);
	if (keysym >= KEYSYM_F1 && keysym <= KEYSYM_F24)
		return key_function(keysym - KEYSYM_F1 + 1);
	for (unsigned int i = 0; keysym && i < ARRAY_SIZE(keys_named); i++)
		if (keys_named[i].keysym == keysym)
			return keys_named[i].key;
	return 0;
}

int keys_parse_chord(const char *chord, unsigned int *keys, unsigned int max)
{
	unsigned int nr = 0;
	char name[16];
	size_t len;

	do {
		/* A "-" that begins a name is the key of that name. */
		len = *chord ? 1 + strcspn(chord + 1, "-") : 0;
		if (!len || len >= sizeof(name))
			return -EINVAL;
		if (nr == max)
			return -E2BIG;
		memcpy(name, chord, len);
		name[len] = '\0';
		keys[nr] = key_by_name(name);
		if (!keys[nr++])
			return -EINVAL;
		chord += len;
	} while (*chord++);
	return nr;
}
