"""
The lab's bridge.

The bridge carries the lab's folder as its alias: that is how a lab knows its
own, and the first sign of it that is made and the last that goes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any

from .errors import LabError
from .layout import Layout
from .shell import run, succeeds

_FILTERS = ("iptables", "ip6tables")


def owned(layout: Layout) -> bool:
    """Return whether the bridge is there and this lab's."""
    link = _link(layout.bridge)
    return link is not None and _is_ours(link, layout)


def foreign_owner(layout: Layout) -> str | None:
    """Return who has the bridge's name, and so all names of this lab; None where nobody else."""
    link = _link(layout.bridge)
    if link is None or _is_ours(link, layout):
        return None
    return str(link.get("ifalias", "something that is no lab"))


def refuse_foreign(layout: Layout) -> None:
    """Raise if the bridge's name, and so all names of this lab, are somebody else's."""
    if owner := foreign_owner(layout):
        raise LabError(
            f"interface {layout.bridge} belongs to {owner}; choose another name: "
            "`inv lab.up --name NAME`"
        )


def claim(layout: Layout) -> None:
    """Make the bridge and mark it as ours."""
    refuse_foreign(layout)
    if _link(layout.bridge) is None:
        run("ip", "link", "add", layout.bridge, "type", "bridge")
    run("ip", "link", "set", layout.bridge, "alias", str(layout.folder))


def up(layout: Layout, control_planes: int = 1) -> None:
    """Give the bridge its addresses, and let its traffic through a closed firewall."""
    for address in layout.on_bridge(control_planes):
        # An API server binds to it at once, and this prefix is nobody else's.
        at_once = ("nodad",) if ":" in address else ()
        run("ip", "address", "replace", address, "dev", layout.bridge, *at_once)
    run("ip", "link", "set", layout.bridge, "up")
    for rule in _rules(layout):
        for program in _FILTERS:
            if _drops(program, rule[0]) and not succeeds(program, "-w", "-C", *rule):
                run(program, "-w", "-I", *rule)


def down(layout: Layout) -> None:
    """Remove the bridge and the firewall's rules; gone already is no error."""
    for rule in _rules(layout):
        for program in filter(shutil.which, _FILTERS):
            while succeeds(program, "-w", "-D", *rule):
                pass
    if owned(layout):
        run("ip", "link", "delete", layout.bridge)


def ready(layout: Layout) -> bool:
    """Return whether the bridge is ours, up, and has its address."""
    link = _link(layout.bridge)
    return (
        link is not None
        and _is_ours(link, layout)
        and "UP" in link["flags"]
        and any(a.get("local") == str(layout.gateway) for a in link["addr_info"])
    )


def add_tap(layout: Layout, host: str) -> None:
    """Plug a virtual host's cable into the bridge."""
    name = layout.cable(host)
    run("ip", "tuntap", "add", "dev", name, "mode", "tap")
    run("ip", "link", "set", name, "master", layout.bridge, "up")


def remove_interface(layout: Layout, host: str) -> None:
    """Remove the machine's end of a host's cable, which a killed host may leave behind."""
    name = layout.cable(host)
    link = _link(name)
    if link is not None and link.get("master") == layout.bridge:
        succeeds("ip", "link", "delete", name)


@contextmanager
def choosing() -> Iterator[None]:
    """Be the only lab of this machine that chooses a subnet; the others wait."""
    folder = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)  # a lock that leaves no file behind
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def networks(besides: str = "") -> list[IPv4Network]:
    """Return every network this machine has an address or a route in, but one interface's."""
    routes = json.loads(run("ip", "-4", "-json", "route", "show", "table", "all"))
    found = [
        route["dst"]
        for route in routes
        if route["dst"] != "default" and route.get("dev", "") != besides
    ]
    return [IPv4Network(text, strict=False) for text in found]


def refuse_taken(layout: Layout) -> None:
    """Raise if the lab's subnet is in use elsewhere: its hosts' disks and keys are bound to it."""
    if any(layout.subnet.overlaps(other) for other in networks(besides=layout.bridge)):
        raise LabError(
            f"the lab's network {layout.subnet} is in use by now: `inv lab.down` it, then up again"
        )


def other_labs(layout: Layout) -> bool:
    """Return whether another lab's bridge is on this machine."""
    links: list[dict[str, Any]] = json.loads(run("ip", "-json", "link", "show", "type", "bridge"))
    names = (link["ifname"] for link in links)
    return any(name.startswith("fab-") and name != layout.bridge for name in names)


def _is_ours(link: dict[str, Any], layout: Layout) -> bool:
    """Return whether a bridge bears our mark, or none yet: `claim` was interrupted."""
    if "ifalias" in link:
        return bool(link["ifalias"] == str(layout.folder))
    return "UP" not in link["flags"] and not link["addr_info"]


def _rules(layout: Layout) -> list[list[str]]:
    comment = ["-m", "comment", "--comment", f"fabnode {layout.folder}", "-j", "ACCEPT"]
    inside = ["-i", layout.bridge]
    return [["FORWARD", *inside, "-o", layout.bridge, *comment], ["INPUT", *inside, *comment]]


def _drops(program: str, chain: str) -> bool:
    """Return whether a chain of the firewall refuses what no rule allows (docker, ufw)."""
    try:
        done = subprocess.run(
            [program, "-w", "-S", chain], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return False
    return done.stdout.startswith(f"-P {chain} DROP")


def _link(name: str) -> dict[str, Any] | None:
    done = subprocess.run(
        ["ip", "-json", "-details", "address", "show", "dev", name],
        capture_output=True,
        text=True,
        check=False,
    )
    links: list[dict[str, Any]] = json.loads(done.stdout or "[]") if done.returncode == 0 else []
    return next((link for link in links if link), None)
