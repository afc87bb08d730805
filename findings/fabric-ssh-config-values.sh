#!/bin/sh
# Fabric 3.2.3 with paramiko 5.1.0 beside OpenSSH 9.2: values that ~/.ssh/config may hold.
#
# One would guess: a file that `ssh -G` reads gives Fabric the same host, port and timeout.
# What happens: keywords are understood, the grammar of their values is not. A comment behind a
#   value becomes part of it, and a time with a unit is no number; both end in a ValueError of int()
#   when the Connection is made, which names neither file nor keyword. `Include` is not an error
#   either: it is kept as a setting called "include", and what it names is never read.
# Seen:
#   Port 2222 # bastion      ssh: 2222   Fabric: ValueError
#   ConnectTimeout 1m30s     ssh: 90     Fabric: ValueError
#   Include FILE (Port 2201) ssh: 2201   Fabric: 22
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check fabric==3.2.3 invoke==2.2.1 paramiko==5.1.0

cat >"$work/included" <<'END'
Host elsewhere
  Port 2201
END
cat >"$work/config" <<END
Include $work/included
Host comment
  Port 2222 # bastion
Host patience
  ConnectTimeout 1m30s
END
ssh_says() { ssh -n -G -F "$work/config" "$1" 2>/dev/null | sed -n "s/^$2 //p"; }
[ "$(ssh_says comment port)" = 2222 ]
[ "$(ssh_says patience connecttimeout)" = 90 ]
[ "$(ssh_says elsewhere port)" = 2201 ]

"$work/venv/bin/python" - "$work/config" <<'END'
import sys

from fabric import Config, Connection
from paramiko import SSHConfig

config = Config(ssh_config=SSHConfig.from_path(sys.argv[1]))
for host in ("comment", "patience"):
    try:
        Connection(host, config=config)
    except ValueError as error:
        print(f"{host}: ssh reads it, Fabric: ValueError: {error}")
    else:
        sys.exit(f"{host} is read now")
found = Connection("elsewhere", config=config)
print("elsewhere: ssh 2201, Fabric", found.port, found.ssh_config)
assert found.port == 22 and "include" in found.ssh_config
END
