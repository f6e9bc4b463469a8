#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every file that can say so says what its licence is.
set -eu
cd "$(dirname "$0")/../.."

missing=$({ git ls-files -z 2>/dev/null || find . -type f -not -path './.git/*' -printf '%P\0'; } |
	grep -zvxE 'COPYING|.*\.png|tests/fuzz/seeds/.*' |
	xargs -0 grep -sL 'SPDX-License-Identifier: GPL-2\.0-or-later') || true
[ -z "$missing" ] || { echo "no SPDX line: $missing"; exit 1; }
