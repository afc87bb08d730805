#!/bin/sh
# ansible-core 2.19.14: `-i inventory/mycluster`, a folder laid out like kubespray's, in place of its file.
#
# One would guess: a folder is searched for inventories; what is none is passed over, with a warning.
# What happens: every file in it is tried as an inventory, at any depth except in group_vars and
#   host_vars, and almost any text is one. A file of one word (a version, a checksum, a date, a
#   generated key of kubespray's credentials/) is a host of that name, which `all` then contains, and a
#   YAML file that patches something else makes a group of each of its sections. Both without a word: the
#   play fails later, on hosts that nobody has. Of a file that it says it is "unable to parse as an
#   inventory source" the hosts before the line in question stay. A *.cfg, on the other hand, is left
#   out in silence even if it is a list of hosts; *.ini is read.
# Seen (groups and their hosts):
#   the file:    kube_node: n1
#   the folder:  kube_node: n1; ungrouped: v1.37.2, 0123456789abcdef; spec: none
#   more.cfg's n2 is in neither; warnings: none
#   and with a file of the lines "n3" and "not a host": n3 as well, and a warning about the file
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ansible-core==2.19.14

inventory=$work/inventory/mycluster
mkdir -p "$inventory/credentials" "$inventory/patches"
printf '[kube_node]\nn1\n' >"$inventory/inventory.ini"
printf '[kube_node]\nn2\n' >"$inventory/more.cfg"
echo v1.37.2 >"$inventory/VERSION"
echo 0123456789abcdef >"$inventory/credentials/example.creds"
printf 'spec: {}\n' >"$inventory/patches/kube-apiserver+merge.yaml"

cat >"$work/show.py" <<'END'
import json
import sys

found = json.load(sys.stdin)
found.pop("_meta")
children = found.pop("all")["children"]
groups = {name: found.get(name, {}).get("hosts", []) for name in children}
print({name: hosts for name, hosts in sorted(groups.items()) if hosts or name != "ungrouped"})
END

shows() { # SOURCE, WHAT IS TO BE SEEN
    (cd "$work" && LC_ALL=C.UTF-8 HOME=$work venv/bin/ansible-inventory -i "$1" --list >list 2>warnings)
    seen=$("$work/venv/bin/python" "$work/show.py" <"$work/list")
    echo "$seen"
    [ "$seen" = "$2" ]
}
shows inventory/mycluster/inventory.ini "{'kube_node': ['n1']}"
shows inventory/mycluster \
    "{'kube_node': ['n1'], 'spec': [], 'ungrouped': ['v1.37.2', '0123456789abcdef']}"
! [ -s "$work/warnings" ] || exit 1
printf 'n3\nnot a host\n' >"$inventory/notes"
shows inventory/mycluster \
    "{'kube_node': ['n1'], 'spec': [], 'ungrouped': ['v1.37.2', '0123456789abcdef', 'n3']}"
grep -q "Unable to parse .*/notes as an inventory source" "$work/warnings"
