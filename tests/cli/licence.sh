#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every file that can say so says in its first lines what its licence is.
set -eu
cd "$(dirname "$0")/../.."

missing=$(git ls-files 2>/dev/null || find . -type f -not -path './.git/*' -printf '%P\n')
missing=$(grep -vxE 'COPYING|.*\.png|tests/fuzz/seeds/.*' <<<"$missing" | while read -r file; do
	[ ! -f "$file" ] || head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2\.0-or-later' || echo "$file"
done)
[ -z "$missing" ] || { echo "no SPDX line: $missing"; exit 1; }
