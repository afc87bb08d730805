#!/bin/sh
# The effective configuration of an SSH server, as `sshd -T` of OpenSSH 9.2p1 prints it, through jc 1.26.1
# (`--sshd-conf`: "`sshd` config file and `sshd -T` command parser").
#
# One would guess: who may log in, by jc's JSON, is who may log in: sshd prints a line for each user and group,
#   and jc makes lists of settings that come more than once (ports, addresses, host keys, AcceptEnv).
# What happens: AllowUsers, DenyUsers, AllowGroups, DenyGroups and SetEnv are no such settings for jc: the last
#   line counts, as text, and the others are gone without a warning. A check by it of "nobody but backup" passes
#   where three may log in; one of "guests are denied" fails where they are.
# Seen (the server has AllowUsers ops admin@10.0.0.* backup, DenyGroups guests sftponly, SetEnv A=1 B=2):
#   allowusers: "backup"; denygroups: "sftponly"; setenv: "B=2"
#   port, listenaddress, acceptenv: lists of all
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check jc==1.26.1

# What it prints of these settings; an sshd needs host keys and a user of its own to print it here.
cat >"$work/effective" <<'END'
port 22
port 2222
listenaddress 0.0.0.0:22
listenaddress 0.0.0.0:2222
permitrootlogin without-password
allowusers ops
allowusers admin@10.0.0.*
allowusers backup
allowgroups wheel
allowgroups sftponly
denygroups guests
denygroups sftponly
acceptenv LANG
acceptenv LC_*
setenv A=1
setenv B=2
END
"$work/venv/bin/jc" --sshd-conf <"$work/effective" >"$work/json" 2>"$work/warnings"
"$work/venv/bin/python" - "$work" <<'END'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
found = json.loads((folder / "json").read_text())
print(json.dumps(found, indent=1))
assert (folder / "warnings").read_text() == ""
assert found["port"] == [22, 2222]
assert found["acceptenv"] == ["LANG", "LC_*"]
assert found["listenaddress"] == ["0.0.0.0:22", "0.0.0.0:2222"]
lost = {name: found[name] for name in ("allowusers", "allowgroups", "denygroups", "setenv")}
assert lost == {
    "allowusers": "backup",
    "allowgroups": "sftponly",
    "denygroups": "sftponly",
    "setenv": "B=2",
}, lost
END
echo "as seen: of several users and groups the last one alone"
