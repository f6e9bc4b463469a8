// SPDX-License-Identifier: GPL-2.0-or-later
#include "kvm/base64.h"

#include <stdlib.h>
#include <string.h>

#include "kvm/util.h"

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const uint8_t *data, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1), *to = text;

	for (size_t i = 0; text && i < len; i += 3) {
		size_t left = MIN(len - i, (size_t)3);
		uint32_t bits = data[i] << 16 | (left > 1 ? data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0);

		*to++ = base64_digits[bits >> 18];
		*to++ = base64_digits[bits >> 12 & 63];
		*to++ = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
		*to++ = left > 2 ? base64_digits[bits & 63] : '=';
	}
	if (text)
		*to = '\0';
	return text;
}

static void base64_fill_values(int8_t value[256])
{
	memset(value, -1, 256);
	for (int i = 0; i < 64; i++)
		value[(uint8_t)base64_digits[i]] = i;
}

uint8_t *base64_decode(const char *text, size_t *len)
{
	size_t chars = strlen(text), pad = 0, out = 0;
	int8_t value[256];
	uint32_t bits = 0;
	uint8_t *data;

	while (pad < 2 && pad < chars && text[chars - pad - 1] == '=')
		pad++;
	data = chars % 4 ? NULL : malloc(chars / 4 * 3 + 1);
	base64_fill_values(value);
	for (size_t i = 0; data && i < chars - pad; i++) {
		int v = value[(uint8_t)text[i]];

		if (v < 0) {
			free(data);
			return NULL;
		}
		bits = bits << 6 | (uint32_t)v;
		if (i % 4)
			data[out++] = bits >> (6 - i % 4 * 2);
	}
	*len = out;
	return data;
}
