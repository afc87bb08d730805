#!/bin/sh
# A node's resolv.conf with more than one `search`, and with `domain`, through jc 1.26.1 (`--resolve-conf`) and
# dnspython 2.9.2.
#
# One would guess: both say which domains a name is looked for in, as glibc does (resolv.conf(5): of several
#   `search` and `domain` lines the last one counts) and as a kubelet does, which hands a node's list on to
#   pods (kubernetes pkg/kubelet/network/dns `parseResolvConf`: each `search` begins the list again).
# What happens: jc joins the lists of all lines to one. dnspython takes the last `search`. So from jc's output a
#   node seems to have more domains than pods get: its count against the kubelet's limits is too high, and a
#   name that the output says resolves does not.
# Seen, for `search old.example lab.example`, then `search new.example`:
#   jc          old.example lab.example new.example
#   dnspython   new.example
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check jc==1.26.1 dnspython==2.9.2

cat >"$work/resolv.conf" <<'END'
search old.example lab.example
nameserver 10.0.0.1
# added by another tool
search new.example
END
cd / && "$work/venv/bin/python" - "$work" <<'END'
import sys
from pathlib import Path

import dns.resolver
import jc

file = Path(sys.argv[1]) / "resolv.conf"
joined = jc.parse("resolve_conf", file.read_text())["search"]
last = [name.to_text().rstrip(".") for name in dns.resolver.Resolver(str(file)).search]
print("jc         ", *joined)
print("dnspython  ", *last)
assert joined == ["old.example", "lab.example", "new.example"]
assert last == ["new.example"]
END
echo "as seen: jc joins the lists of several search lines, where the last one counts"
