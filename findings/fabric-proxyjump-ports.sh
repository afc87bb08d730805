#!/bin/sh
# Fabric 3.2.3 (paramiko 5.1.0) beside OpenSSH 9.2p1 (Debian 12): a jump host with an IPv6 address and a
# port, or as a URI.
#
# One would guess: `ProxyJump [fd00::5]:2222`, the one way to give an IPv6 address a port there, is that
#   address and that port for Fabric as well, as is `gw:2222`; and ssh://, which the manual page names
#   for jump hosts, is read or refused.
# What happens: with brackets, the whole text becomes the host's name, and the port is 22: the connection
#   ends with an error of name resolution. Of `ssh://ops@gw:2222` host and port are right, and the user
#   is called "ssh://ops": the gateway refuses the login of a user that nobody has written.
#   Fabric's own hosts (`fab -H '[fd00::5]:2222'`) are read the same way.
# Seen:                            ssh goes to             Fabric's gateway
#   ProxyJump gw:2222              gw, port 2222           gw, port 2222
#   ProxyJump [fd00::5]:2222       fd00::5, port 2222      [fd00::5]:2222, port 22
#   ProxyJump ssh://ops@gw:2222    ops at gw, port 2222    ssh://ops at gw, port 2222
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check fabric==3.2.3 invoke==2.2.1 paramiko==5.1.0

cat >"$work/config" <<'END'
Host name
  ProxyJump gw.invalid:2222
Host address
  ProxyJump [fd00::5]:2222
Host uri
  ProxyJump ssh://ops@gw.invalid:2222
END

# ssh tells the command that it would run for the hop; ProxyCommand's shell is one that does nothing.
hop() { # HOST, END OF THE COMMAND
    SHELL=/bin/true ssh -v -n -F "$work/config" -o BatchMode=yes "$1" true 2>"$work/log" || true
    tr -d '\r' <"$work/log" | grep -q "Setting implicit ProxyCommand from ProxyJump: ssh $2\$"
}
hop name "-p 2222 -F .* gw.invalid"
hop address "-p 2222 -F .* fd00::5"
hop uri "-l ops -p 2222 -F .* gw.invalid"
echo "ssh: gw.invalid 2222, fd00::5 2222, ops at gw.invalid 2222"

"$work/venv/bin/python" - "$work/config" <<'END'
import sys

from fabric import Config, Connection
from paramiko import SSHConfig

config = Config(ssh_config=SSHConfig.from_path(sys.argv[1]))
seen = []
for host in ("name", "address", "uri"):
    hop = Connection(host, config=config).gateway
    seen.append((hop.host, hop.port))
    print("Fabric:", hop.user if host == "uri" else "", hop.host, hop.port)
assert seen == [("gw.invalid", 2222), ("[fd00::5]:2222", 22), ("gw.invalid", 2222)]
assert hop.user == "ssh://ops"
END
