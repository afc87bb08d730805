#!/bin/sh
# Fabric 3.2.3 (paramiko 5.1.0) beside OpenSSH: the hops of `ProxyJump a,b`.
#
# One would guess: Fabric reads ~/.ssh/config, so a list of jump hosts means what it means to ssh:
#   "visited sequentially", first a, from there b, from there the target.
# What happens: Fabric goes the other way round. The gateway of the target is a, whose gateway is b:
#   the first TCP connection goes to b, which often can't be reached from outside at all. One hop
#   works, so this shows only with two. Hence, too: with both ProxyCommand and ProxyJump ssh takes
#   whichever comes first, Fabric always ProxyJump.
# Seen:
#   ssh: a.invalid b.invalid target
#   Fabric: b.invalid a.invalid target
#   ProxyCommand before ProxyJump: ssh takes the command, Fabric the jump
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check fabric==3.2.3 invoke==2.2.1 paramiko==5.1.0

cat >"$work/config" <<'END'
Host target
  ProxyJump a.invalid,b.invalid
Host both
  ProxyCommand connect %h %p
  ProxyJump a.invalid
END

# OpenSSH tells how it gets to the last hop: `ssh -J a … b`. The names resolve nowhere.
ssh -v -n -F "$work/config" -o BatchMode=yes target true 2>"$work/log" || true
grep -q "Setting implicit ProxyCommand from ProxyJump: ssh -J a.invalid .* b.invalid" "$work/log"
echo "ssh: a.invalid b.invalid target"
ssh -n -G -F "$work/config" both >"$work/both" 2>/dev/null
grep -q "^proxycommand connect" "$work/both"
! grep -q "^proxyjump" "$work/both" || exit 1

"$work/venv/bin/python" - "$work/config" <<'END'
import sys

from fabric import Config, Connection
from paramiko import SSHConfig

config = Config(ssh_config=SSHConfig.from_path(sys.argv[1]))
hops = [Connection("target", config=config)]
while hops[0].gateway:
    hops.insert(0, hops[0].gateway)
print("Fabric:", *(hop.host for hop in hops))
assert [hop.host for hop in hops] == ["b.invalid", "a.invalid", "target"]
assert Connection("both", config=config).gateway.host == "a.invalid"
print("ProxyCommand before ProxyJump: ssh takes the command, Fabric the jump")
END
