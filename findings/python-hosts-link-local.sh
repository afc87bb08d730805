#!/bin/sh
# python-hosts 1.1.3: a name that is added to /etc/hosts.
#
# One would guess: lines that were there are there afterwards, as comments and empty lines are; and a name that
#   is added for an address which has one already is added, as hosts(5) allows several lines of one address.
# What happens: a line with a link-local address and its interface (`fe80::1%eth0 gateway`), which resolvers
#   read, is no entry for this library, and `write` leaves it out without a word: adding one host takes another
#   one's name away. A second name for a known address is a "duplicate", and is not written.
# Seen: lines after adding n2: ['10.0.0.11\tn1', '10.0.0.12\tn2'], invalid: 0; api added: False, duplicates: 1
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install python-hosts==1.1.3
printf '10.0.0.11 n1\nfe80::1%%eth0 gateway\n' >"$work/hosts"
"$work/venv/bin/python" - "$work/hosts" <<'END_OF_FILE'
import sys

from python_hosts import Hosts, HostsEntry


def added(address, name):
    hosts = Hosts(path=sys.argv[1])
    counts = hosts.add([HostsEntry(entry_type="ipv4", address=address, names=[name])])
    hosts.write(f"{sys.argv[1]}.new")
    with open(f"{sys.argv[1]}.new") as file:
        return counts, [line for line in file.read().splitlines() if line]


counts, lines = added("10.0.0.12", "n2")
again, with_api = added("10.0.0.11", "api")
there = any("api" in line for line in with_api)
print(f"lines after adding n2: {lines}, invalid: {counts['invalid_count']};", end=" ")
print(f"api added: {there}, duplicates: {again['duplicate_count']}")
if lines != ["10.0.0.11\tn1", "10.0.0.12\tn2"] or there or counts["invalid_count"]:
    sys.exit("it is no more as it was seen")
END_OF_FILE
