/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_BASE64_H
#define LKVM_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* RFC 4648 §4. The results are to be freed; NULL: out of memory, or for decode, not base64. */
char *base64_encode(const uint8_t *data, size_t len);
uint8_t *base64_decode(const char *text, size_t *len);

#endif
