/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_EDID_H
#define LKVM_EDID_H

#include <stdint.h>

#define EDID_SIZE 128

/*
 * What a monitor says of itself (VESA E-EDID 1.4): a name, and width x height as the size it likes
 * best, at 60 Hz. Sizes beyond 4095 are told as 4095, which is all that a timing has room for.
 */
void edid_fill(uint8_t edid[EDID_SIZE], uint32_t width, uint32_t height);

#endif
