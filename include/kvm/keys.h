/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_KEYS_H
#define LKVM_KEYS_H

#include <stdint.h>

/* Linux KEY_* by the names that people type, by X11's keysyms. 0: there is no such key. */
unsigned int key_by_name(const char *name);
unsigned int key_by_keysym(uint32_t keysym);

/*
 * "ctrl-alt-f2": the keys of a chord, in order. How many, or a negative errno: -EINVAL when a name is
 * unknown, -E2BIG when they are more than max.
 */
int keys_parse_chord(const char *chord, unsigned int *keys, unsigned int max);

#endif
