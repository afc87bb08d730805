#!/bin/sh
# paramiko 5.1.0 beside OpenSSH 9.2p1 (Debian 12): lines that known_hosts files may hold.
#
# One would guess: a file that ssh reads gives a program on paramiko (Fabric, Ansible's paramiko_ssh,
#   Netmiko) the same keys, or none for the lines that it can't read.
# What happens: patterns are not matched, so the line with which a site trusts all of its nodes
#   (`*.lab`, `n?.lab`) counts for nobody, and what remains is "not found in known_hosts"; a name in
#   capitals is found only in capitals, where ssh looks it up in small letters; and two blanks
#   between name and key, which ssh reads as one, end the reading of the *whole* file with an exception
#   about base64, so that no host is known any more. Tabs are read.
# Seen:                      ssh-keygen -F   paramiko
#   *.lab, for n1.lab        found           not found
#   n?.lab, for n1.lab       found           not found
#   N1.lab, for n1.lab       found           not found
#   a tab behind n1.lab      found           found
#   two blanks behind it     found           InvalidHostKey, for every host of the file
set -eu
command -v ssh-keygen >/dev/null || {
    echo "needs OpenSSH's client" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check paramiko==5.1.0
ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/key"
key=$(cut -d ' ' -f 1,2 "$work/key.pub")
tab=$(printf '\t')

cat >"$work/find.py" <<'END'
import sys

import paramiko

try:
    print("found" if paramiko.HostKeys(sys.argv[1]).lookup("n1.lab") else "not found")
except Exception as error:
    print(type(error).__name__)
END

shows() { # BEGINNING OF THE LINE, WHAT PARAMIKO IS TO ANSWER
    printf '%s%s\n' "$1" "$key" >"$work/known_hosts"
    ssh-keygen -F n1.lab -f "$work/known_hosts" >"$work/ssh"
    seen=$("$work/venv/bin/python" "$work/find.py" "$work/known_hosts")
    printf '%-10s ssh-keygen: %-5s  paramiko: %s\n' "$1" found "$seen"
    [ -s "$work/ssh" ] && [ "$seen" = "$2" ]
}
shows '*.lab ' 'not found'
shows 'n?.lab ' 'not found'
shows 'N1.lab ' 'not found'
shows "n1.lab$tab" 'found'
shows 'n1.lab  ' 'InvalidHostKey'
