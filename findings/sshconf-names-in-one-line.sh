#!/bin/sh
# sshconf 0.2.7: hosts of ~/.ssh/config, read by Python.
#
# One would guess: for `Host n1 node-1` the settings are found by either name, as ssh finds them, and a host that
#   is not in the file is an error or None.
# What happens: the two names are one host called "n1 node-1"; by n1, by node-1 and by a name that is nowhere in
#   the file it returns an empty dictionary alike, so that whoever connects by it goes to the wrong address with
#   the wrong user. Settings of a Match block count for the Host block before it, with a key "match" of their own.
# Seen: hosts ('n1 node-1', 'n2'), n1 {}, node-1 {}, nowhere {}, ssh for n1: 10.0.0.11
# Seen: n2 {'hostname': '10.0.0.12', 'user': ['ada', 'bob'], 'match': 'host n3'}
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install sshconf==0.2.7
cat >"$work/config" <<'END_OF_FILE'
Host n1 node-1
  HostName 10.0.0.11
Host n2
  HostName 10.0.0.12
  User ada
Match host n3
  User bob
END_OF_FILE
ssh=$(ssh -T -F "$work/config" -G n1 | sed -n 's/^hostname //p')
"$work/venv/bin/python" - "$work/config" "$ssh" <<'END_OF_FILE'
import sys

import sshconf

config = sshconf.read_ssh_config(sys.argv[1])
found = {name: config.host(name) for name in ("n1", "node-1", "nowhere", "n2")}
shown = ", ".join(f"{name} {settings}" for name, settings in found.items() if name != "n2")
print(f"hosts {config.hosts()}, {shown}, ssh for n1: {sys.argv[2]}")
print(f"n2 {found['n2']}")
if any(found[name] for name in ("n1", "node-1", "nowhere")) or found["n2"].get("match") != "host n3":
    sys.exit("it is no more as it was seen")
END_OF_FILE
