#!/bin/sh
# OpenSSH 9.2p1 (Debian 12) beside Fabric 3.2.3 (paramiko 5.1.0): `Host *` with `ProxyJump jump`.
#
# One would guess: "all hosts by way of jump" exempts jump itself, which nobody can reach by way of
#   itself; or that the way to jump is taken as given once it is somebody's jump host.
# What happens: the pattern holds for the jump host as well. To itself and to all others ssh ends with
#   "jumphost loop", since the process that it starts for the hop reads the same file. `Host * !jump`,
#   or a `Host jump` with `ProxyJump none` before it, is needed. Fabric leaves the pattern out where
#   the hop's name is its own, so the same file works there: what a tool on Fabric reaches, ssh, scp
#   and rsync do not.
# Seen:
#   ssh to the jump host: jumphost loop via jump.invalid
#   ssh to another host: jumphost loop via jump.invalid
#   Fabric to the jump host: no hop; to another: jump.invalid, and no hop before it
#   with ProxyJump none before it: ssh goes to target.invalid by way of jump.invalid alone
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check fabric==3.2.3 invoke==2.2.1 paramiko==5.1.0

printf 'Host *\n  ProxyJump jump.invalid\n' >"$work/config"
for host in jump.invalid target.invalid; do
    ! ssh -n -F "$work/config" -o BatchMode=yes "$host" true 2>"$work/log" || exit 1
    grep -q "jumphost loop via jump.invalid" "$work/log"
done
echo "ssh to the jump host: jumphost loop via jump.invalid"
echo "ssh to another host: jumphost loop via jump.invalid"

"$work/venv/bin/python" - "$work/config" <<'END_OF_PYTHON'
import sys

from fabric import Config, Connection
from paramiko import SSHConfig

config = Config(ssh_config=SSHConfig.from_path(sys.argv[1]))
assert Connection("jump.invalid", config=config).gateway is None
hop = Connection("target.invalid", config=config).gateway
assert (hop.host, hop.gateway) == ("jump.invalid", None)
print("Fabric to the jump host: no hop; to another: jump.invalid, and no hop before it")
END_OF_PYTHON

{ printf 'Host jump.invalid\n  ProxyJump none\n' && cat "$work/config"; } >"$work/exempt"
! ssh -v -n -F "$work/exempt" -o BatchMode=yes target.invalid true 2>"$work/log" || exit 1
! grep -q "jumphost loop" "$work/log" || exit 1
grep -q "Setting implicit ProxyCommand from ProxyJump" "$work/log"
echo "with ProxyJump none before it: ssh goes to target.invalid by way of jump.invalid alone"
