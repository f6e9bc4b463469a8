/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_GUEST_INIT_BLOB_H
#define LKVM_GUEST_INIT_BLOB_H

/* The program that guest/init.c and its neighbours become, part of lkvm (guest/init-blob.S). */
extern const unsigned char guest_init[], guest_init_end[];

#endif
