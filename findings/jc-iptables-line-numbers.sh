#!/bin/sh
# A node's rules as `iptables -L -n -v --line-numbers` of iptables 1.8.9 prints them, through jc 1.26.1
# (`--iptables`).
#
# One would guess: the columns have names in the heading, so each value stands under its own.
# What happens: of a rule without a target, which only counts or marks what passes by it, each value moves one
#   column to the left: the protocol is its target, `*` its options, 0.0.0.0/0 the interface it leaves by, and its
#   comment's `/*` its destination. There is no warning. Without --line-numbers the same rule is read right, with
#   a target of null.
# Seen:
#   with --line-numbers     target "0", prot "--", out "0.0.0.0/0", destination "/*"
#   without                 target null, prot "0", out "*", destination "0.0.0.0/0"
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check jc==1.26.1

cat >"$work/numbered" <<'END'
Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
num   pkts bytes target     prot opt in     out     source               destination         
1        0     0            0    --  *      *       0.0.0.0/0            0.0.0.0/0            /* counted */
2        0     0 ACCEPT     6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:443
END
cat >"$work/plain" <<'END'
Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         
    0     0            0    --  *      *       0.0.0.0/0            0.0.0.0/0            /* counted */
    0     0 ACCEPT     6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:443
END
for form in numbered plain; do
    "$work/venv/bin/jc" --iptables <"$work/$form" >"$work/$form.json" 2>>"$work/warnings"
done
"$work/venv/bin/python" - "$work" <<'END'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
COLUMNS = ("target", "prot", "out", "destination")


def read(form):
    (chain,) = json.loads((folder / f"{form}.json").read_text())
    rows = [tuple(rule[column] for column in COLUMNS) for rule in chain["rules"]]
    print(f"{form:9} {rows}")
    return rows


accept = ("ACCEPT", "6", "*", "0.0.0.0/0")
assert read("numbered") == [("0", "--", "0.0.0.0/0", "/*"), accept]
assert read("plain") == [(None, "0", "*", "0.0.0.0/0"), accept]
assert (folder / "warnings").read_text() == ""
END
echo "as seen: with line numbers, a rule without a target has its protocol for one"
