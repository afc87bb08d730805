#!/bin/sh
# ansible-core 2.19.14: types of the values in an INI inventory, as kubespray's and kubeasz' users have.
#
# One would guess, from the plugin's own documentation: beside a host, a value is read as Python
#   ("If you want a number to be treated as a string, you must quote it"); under [group:vars] all
#   values are strings.
# What happens: it is the other way round. Values of both places go through the same evaluation, so
#   that `kube_version=1.30` is the number 1.3 in [group:vars] as well. Quotes keep it a string only there:
#   beside a host they are those of a shell and gone before the value is read, so a quoted number is
#   a number all the same, unless it is quoted twice. And beside a host a # cuts the value off, even in
#   the middle of a word, where [group:vars] keeps it: half a password is a valid string.
# Seen:
#                    beside the host   under [group:vars]
#   1.30             1.3               1.3
#   "1.30"           1.3               "1.30"
#   '"1.30"'         "1.30"            "\"1.30\""
#   12e4             120000.0          120000.0
#   FALSE, False     "FALSE", false    "FALSE", false
#   a#b              "a"               "a#b"
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ansible-core==2.19.14
cd "$work"
cat >hosts <<'END'
[nodes]
n1 plain=1.30 quoted="1.30" twice='"1.30"' exponent=12e4 upper=FALSE title=False sharp=a#b
n2

[nodes:vars]
plain=1.30
quoted="1.30"
twice='"1.30"'
exponent=12e4
upper=FALSE
title=False
sharp=a#b
END
HOME=$work LC_ALL=C.UTF-8 venv/bin/ansible-inventory -i hosts --list >listed.json
venv/bin/python - <<'END'
import json

seen = json.load(open("listed.json"))["_meta"]["hostvars"]
for host in ("n1", "n2"):
    print(host, seen[host])
common = {"plain": 1.3, "exponent": 120000.0, "upper": "FALSE", "title": False}
assert seen["n1"] == common | {"quoted": 1.3, "twice": "1.30", "sharp": "a"}
assert seen["n2"] == common | {"quoted": "1.30", "twice": '"1.30"', "sharp": "a#b"}
END
