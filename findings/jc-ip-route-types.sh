#!/bin/sh
# Routes of a node of Calico's, as `ip route` of iproute2 6.1.0 prints them, through jc 1.26.1 (`--ip-route`).
#
# One would guess: the `ip` of each route in jc's JSON is its destination.
# What happens: routes that are no unicast begin with their type, and jc takes that for the destination: the
#   network is gone without a warning. Each node of Calico's has such a route, a blackhole for its own block of
#   pods' addresses; the check "is there a route for 172.20.1.0/26" fails on a node that is well, and two such
#   routes are one another's doubles. `ip -j route` has both, `"type"` and `"dst"`.
# Seen:
#   blackhole 172.20.1.0/26 proto 80     {"ip": "blackhole", "proto": "80"}
#   unreachable 10.9.0.0/16              {"ip": "unreachable"}
#   172.20.2.0/26 via 10.0.0.2 dev d     {"ip": "172.20.2.0/26", …}
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check jc==1.26.1

cat >"$work/routes" <<'END'
default via 10.0.0.254 dev eth0 
10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1 
blackhole 172.20.1.0/26 proto 80 
172.20.1.7 dev cali12d4a061371 scope link 
172.20.2.0/26 via 10.0.0.2 dev eth0 proto 80 onlink 
unreachable 10.9.0.0/16 
prohibit 10.8.0.0/16 
END
"$work/venv/bin/jc" --ip-route <"$work/routes" >"$work/json" 2>"$work/warnings"
"$work/venv/bin/python" - "$work" <<'END'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
text = (folder / "json").read_text()
for route in json.loads(text):
    print(json.dumps(route))
assert (folder / "warnings").read_text() == ""
assert [route["ip"] for route in json.loads(text)] == [
    "default",
    "10.0.0.0/24",
    "blackhole",
    "172.20.1.7",
    "172.20.2.0/26",
    "unreachable",
    "prohibit",
]
assert not [network for network in ("172.20.1.0", "10.9.0.0", "10.8.0.0") if network in text]
END
echo "as seen: a route's type stands for its destination, which is gone"
