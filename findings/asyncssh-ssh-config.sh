#!/bin/sh
# ~/.ssh/config as asyncssh 2.24.1 reads it, beside OpenSSH (`ssh -G`; seen with 9.2).
#
# One would guess: a file that ssh reads says the same to asyncssh, or an option that it does not know is left out.
# What happens, for these three:
#   a comment behind a value and a time with a unit are errors, by which no host of that part of the file can be
#   reached, and none at all where it stands under `Host *`;
#   a comma in `Host` separates two names for asyncssh and is part of one name for ssh, so that user and keys of
#   `Host n1,n2` are given to hosts that ssh gives none of them.
# Seen:
#   HostName 10.0.0.11 # rack 4    asyncssh: Extra data at end: # rack 4                  ssh: 10.0.0.11
#   ConnectTimeout 1m              asyncssh: Invalid ConnectTimeout integer value: 1m     ssh: 60
#   ServerAliveInterval 2m         asyncssh: Invalid ServerAliveInterval integer value: 2m    ssh: 120
#   Host n1,n2 / Port 2222         asyncssh: 2222                                         ssh: 22
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check asyncssh==2.24.1

cd / && "$work/venv/bin/python" - "$work/config" <<'END'
import subprocess
import sys
from pathlib import Path

import asyncssh

file = Path(sys.argv[1])
# What the file has for host n1, the option in question, and what is expected of each.
CASES = (
    ("Host n1\n  HostName 10.0.0.11 # rack 4\n", "host", "hostname", "Extra data at end", "10.0.0.11"),
    ("Host n1\n  ConnectTimeout 1m\n", "connect_timeout", "connecttimeout", "Invalid ConnectTimeout", "60"),
    ("Host n1\n  ServerAliveInterval 2m\n", "keepalive_interval", "serveraliveinterval", "Invalid ServerAlive", "120"),
    ("Host n1,n2\n  Port 2222\n", "port", "port", "2222", "22"),
)
for text, option, keyword, asyncssh_has, ssh_has in CASES:
    file.write_text(text)
    try:
        read = asyncssh.SSHClientConnectionOptions(host="n1", config=[str(file)])
        found = str(getattr(read, option))
    except asyncssh.ConfigParseError as error:
        found = str(error).rpartition("line 2: ")[2]
    words = ["ssh", "-T", "-F", str(file), "-G", "n1"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    by_ssh = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)[keyword]
    print(f"{text.strip()!r:45} asyncssh: {found:45} ssh: {by_ssh}")
    assert found.startswith(asyncssh_has), found
    assert by_ssh == ssh_has, by_ssh
END
echo "as seen: of a file that ssh reads asyncssh refuses some and reads some otherwise"
