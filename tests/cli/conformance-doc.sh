#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/virtio.md says which clauses the conformance suite has; it must be true.
# UPDATE=1 makes it so.
set -eu -o pipefail

doc=$TESTS/../docs/virtio.md
"$O/tests/conformance/conformance" --list >"$WORK/list"
sed '/^### /,$d' "$doc" >"$WORK/doc"
cat "$WORK/list" >>"$WORK/doc"
[ -z "${UPDATE:-}" ] || cp "$WORK/doc" "$doc"
diff -u "$doc" "$WORK/doc" ||
	{ echo "docs/virtio.md is behind: UPDATE=1 tests/run conformance-doc"; exit 1; }
