#!/bin/sh
# A range of hosts whose ends are written unlike, or the wrong way round, as read by Ansible (ansible-core
# 2.19.14, an inventory's `node-[1:3]`), python-hostlist 2.3.0 and ClusterShell 1.10.1 (`node-[1-3]`, as of
# Slurm and pdsh).
#
# One would guess: whoever expands a range of hosts refuses one that ends before it begins, and three
#   readers of one notation agree on what a leading zero means.
# What happens: to Ansible a range of numbers that runs backwards is no host at all, without a word and with
#   exit code 0, also with -v; one of letters is refused. A group that lost its hosts so is just smaller.
#   Zeros at one end alone: each of the three has a rule of its own. Ansible and python-hostlist pass over
#   those at the second end, so that `[1:003]` are names without any; those at the first end count for
#   python-hostlist, and are refused by Ansible; ClusterShell refuses both.
# Seen (12 to 3; a to c backwards; 001 to 3; 1 to 003):
#   ansible           nothing   refused   refused               node-1 node-2 node-3
#   python-hostlist   refused   refused   node-001 to node-003  node-1 node-2 node-3
#   ClusterShell      refused   refused   refused               refused
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ansible-core==2.19.14 \
    python-hostlist==2.3.0 ClusterShell==1.10.1

cd "$work" && ANSIBLE_CONFIG="$work/ansible.cfg" ANSIBLE_HOME="$work/home" venv/bin/python - <<'END'
import json
import subprocess
from pathlib import Path

import hostlist
from ClusterShell.NodeSet import NodeSet, NodeSetException

Path("ansible.cfg").write_text("[inventory]\nunparsed_is_failed = true\n")


def of_ansible(first, last):
    Path("hosts").write_text(f"[workers]\nnode-[{first}:{last}]\nother\n")
    command = ["venv/bin/ansible-inventory", "-i", "hosts", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return "refused"
    assert not done.stderr, done.stderr  # the premise: no warning
    return [name for name in json.loads(done.stdout)["workers"]["hosts"] if name != "other"]


def of_hostlist(first, last):
    try:
        return hostlist.expand_hostlist(f"node-[{first}-{last}]")
    except hostlist.BadHostlist:
        return "refused"


def of_clustershell(first, last):
    try:
        return list(NodeSet(f"node-[{first}-{last}]"))
    except NodeSetException:
        return "refused"


READERS = {"ansible": of_ansible, "hostlist": of_hostlist, "clustershell": of_clustershell}
RANGES = (("1", "3"), ("12", "3"), ("c", "a"), ("001", "3"), ("1", "003"))
seen = {name: [read(*ends) for ends in RANGES] for name, read in READERS.items()}
for name, found in seen.items():
    print(name, *found, sep="\n  ")
plain = ["node-1", "node-2", "node-3"]
padded = ["node-001", "node-002", "node-003"]
assert seen == {
    "ansible": [plain, [], "refused", "refused", plain],
    "hostlist": [plain, "refused", "refused", padded, plain],
    "clustershell": [plain, "refused", "refused", "refused", "refused"],
}, seen
END
echo "as seen: Ansible passes over a range of numbers that runs backwards; three rules for leading zeros"
