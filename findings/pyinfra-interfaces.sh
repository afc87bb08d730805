#!/bin/sh
# pyinfra 3.10.0: interfaces and addresses of a node, as its facts read them from `ip address`.
#
# One would guess: host.get_fact(NetworkDevices)["bond0.100"] is the VLAN that the node's address is on,
#   and each address that the node has is in one of the facts.
# What happens: what `ip` prints behind the name, "@" and the device below, is taken into the name: the
#   VLAN is called "bond0.100@bond0", as no other tool and no file calls it, and ["bond0.100"] is a
#   KeyError. An address with a peer (WireGuard, a point-to-point link) is in neither fact,
#   so an interface with nothing else seems to have no address at all, and nothing says so.
# Seen, for bond0, bond0.100 on it, and wg0 with 10.9.0.1 and the peer 10.9.0.2:
#   names: bond0, bond0.100@bond0, wg0
#   addresses: bond0 10.0.0.5, bond0.100@bond0 10.1.0.5, wg0 none
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pyinfra==3.10.0

"$work/venv/bin/python" - <<'END'
from pyinfra.facts.hardware import Ipv4Addrs, NetworkDevices

# As iproute2 6.1 prints it.
LINES = """\
2: bond0: <BROADCAST,MULTICAST,MASTER,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff
    inet 10.0.0.5/24 brd 10.0.0.255 scope global bond0
       valid_lft forever preferred_lft forever
3: bond0.100@bond0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff
    inet 10.1.0.5/24 brd 10.1.0.255 scope global bond0.100
       valid_lft forever preferred_lft forever
4: wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue state UNKNOWN group default qlen 1000
    link/none
    inet 10.9.0.1 peer 10.9.0.2/32 scope global wg0
       valid_lft forever preferred_lft forever
""".splitlines()
devices = NetworkDevices().process(LINES)
print("names:", ", ".join(devices))
assert list(devices) == ["bond0", "bond0.100@bond0", "wg0"]
seen = {name: device.get("ipv4", {}).get("address") for name, device in devices.items()}
print("addresses:", seen)
assert seen == {"bond0": "10.0.0.5", "bond0.100@bond0": "10.1.0.5", "wg0": None}
by_name = Ipv4Addrs().process_data(devices)
print("by the other fact:", by_name)
assert by_name == {"bond0": ["10.0.0.5"], "bond0.100@bond0": ["10.1.0.5"]}
END
