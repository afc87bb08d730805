#!/bin/sh
# Releases of Kubernetes' distributions, compared by packaging 26.4, the library that Python's own tools
# compare versions with, and that many scripts use for a node's `kubeletVersion`.
#
# One would guess: v1.30.2+rke2r10 is newer than v1.30.2+rke2r2, as Rancher counts; or what is behind the
#   plus sign counts for nothing, as SemVer has it; or the text is refused.
# What happens: it parses without a complaint and is *older*: parts of a local version that hold letters
#   are compared as texts, letter by letter. Ten rebuilds of one release are where a script takes the
#   second for the newest. k3s' and EKS's are compared likewise; a plain v1.30.2 is older than any.
# Seen, in the order of packaging:
#   v1.30.2  v1.30.2+k3s1  v1.30.2+rke2r1  v1.30.2+rke2r10  v1.30.2+rke2r2
#   newest of rke2r9 and rke2r10: v1.30.2+rke2r9
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check packaging==26.4

"$work/venv/bin/python" - <<'END'
from packaging.version import Version

given = ["v1.30.2+rke2r10", "v1.30.2+rke2r2", "v1.30.2+rke2r1", "v1.30.2+k3s1", "v1.30.2"]
ordered = sorted(given, key=Version)
print("  ".join(ordered))
newest = max("v1.30.2+rke2r9", "v1.30.2+rke2r10", key=Version)
print("newest of rke2r9 and rke2r10:", newest)
assert ordered == [
    "v1.30.2",
    "v1.30.2+k3s1",
    "v1.30.2+rke2r1",
    "v1.30.2+rke2r10",
    "v1.30.2+rke2r2",
], "it is otherwise now"
assert newest == "v1.30.2+rke2r9", "it is otherwise now"
END
