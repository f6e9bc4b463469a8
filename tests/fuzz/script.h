/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_FUZZ_SCRIPT_H
#define LKVM_FUZZ_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

/* A fuzzer's input, as what a hostile somebody does step by step. */
struct script {
	const uint8_t *data;
	size_t left;
};

/* The next number of that many bytes, big endian; where the input ends, what there is. */
static inline uint64_t script_take(struct script *s, unsigned int bytes)
{
	uint64_t val = 0;

	while (bytes-- && s->left) {
		val = val << 8 | *s->data++;
		s->left--;
	}
	return val;
}

#endif
