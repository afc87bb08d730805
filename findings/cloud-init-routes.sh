#!/bin/sh
# cloud-init 22.4.2 (Debian 12): a network configuration of version 2, rendered for systemd-networkd and for
# ifupdown instead of netplan.
#
# One would guess: the format is the same whatever renders it, and what a renderer has no words for is an
#   error or a warning in cloud-init.log.
# What happens: of a route only `to` and `via` are left. Without `on-link` the default route of a host
#   with a /32, as many providers give, is refused by the kernel (ifupdown's `|| true` hides even that);
#   the default route of table 100 goes to the main table, a second one beside the right one; metrics
#   and routing policies are gone. For networkd a VLAN gets its addresses, but nothing makes the VLAN:
#   no .netdev, no VLAN= for the device below it. The log has no line about any of it, and networkd
#   knows all of these. User data that made good nodes of an image with netplan, which gets the
#   document as it is, leaves others without a network.
# Seen, of on-link, metric 50, table 100 and a policy, in the files of:
#   networkd   Destination and Gateway of three routes; no GatewayOnLink, Metric, Table, rules, .netdev
#   ifupdown   "route add ... gw ..." three times; no onlink, metric, table, rule
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt downloads as a user of its own
(cd "$work" && apt-get download -q cloud-init=22.4.2-1+deb12u4 >/dev/null 2>&1) || {
    echo "needs apt-get with bookworm's lists (apt-get update)" >&2
    exit 2
}
dpkg-deb -x "$work"/cloud-init_*.deb "$work/root"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check PyYAML==6.0.3 Jinja2==3.1.6 \
    configobj==5.0.9 jsonschema==4.25.1 requests==2.32.5

PYTHONPATH=$work/root/usr/lib/python3/dist-packages "$work/venv/bin/python" - "$work" 2>"$work/log" <<'END'
import logging
import sys
from pathlib import Path

import yaml
from cloudinit.net import eni, network_state, networkd

logging.basicConfig(level=logging.WARNING)  # to the log
document = yaml.safe_load("""
version: 2
ethernets:
  eth0:
    addresses: [192.0.2.5/32]
    routes:
      - {to: 0.0.0.0/0, via: 198.51.100.1, on-link: true}
      - {to: 0.0.0.0/0, via: 192.0.2.1, table: 100}
      - {to: 203.0.113.0/24, via: 192.0.2.2, metric: 50}
    routing-policy:
      - {from: 192.0.2.5, table: 100}
vlans:
  eth0.100: {id: 100, link: eth0, addresses: [10.1.0.5/24]}
""")


def rendered(name, renderer):
    folder = Path(sys.argv[1], name)
    renderer.render_network_state(network_state.parse_net_config_data(document), target=str(folder))
    files = {path.name: path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}
    print(f"{name}: {', '.join(files)}")
    return files


files = rendered("networkd", networkd.Renderer({}))
assert not [name for name in files if name.endswith(".netdev")]
text = "\n".join(files.values())
assert text.count("Gateway=") == 3 and text.count("Address=10.1.0.5/24") == 1
for word in ("GatewayOnLink", "Metric", "Table", "RoutingPolicyRule", "VLAN"):
    assert word not in text, word
    print(f"networkd: no {word}")

paths = {"eni_path": "interfaces", "netrules_path": "rules"}
text = rendered("ifupdown", eni.Renderer(paths))["interfaces"]
assert text.count("post-up route add") == 3 and "vlan-raw-device eth0" in text
for word in ("onlink", "metric", "table", "rule"):
    assert word not in text, word
    print(f"ifupdown: no {word}")
END
if [ -s "$work/log" ]; then
    cat "$work/log" >&2
    exit 1
fi
echo "log: nothing"
