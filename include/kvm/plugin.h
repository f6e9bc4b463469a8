/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LKVM_PLUGIN_H
#define LKVM_PLUGIN_H

#include <stdbool.h>

/*
 * Parts of lkvm that need large libraries are shared objects, loaded when they are asked for and
 * then for good: lkvm-NAME.so, beside the program or in ../lib/lkvm.
 *
 * The address of `symbol` in plugin `name`; NULL after one error line that begins with `what`.
 */
const void *plugin_load(const char *name, const char *symbol, const char *what);
/* Whether it was built and lies where it would be loaded from. */
bool plugin_exists(const char *name);

#endif
