"""
Which machine a host is, and whether it is the one whose kubelet reports as a node.

What is seen on a host says something about a node only where the two are one machine: an address
may have been given to another since. Three ids are compared, as both sides have them, since each
alone fails: clones share a machine-id, a reboot changes the boot id, containers on one kernel share
that, and makers of boards give all of them one UUID.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = re.compile(r"[0-9a-z][0-9a-z._:-]{0,63}", re.ASCII)
_NO_IDS = frozenset({"uninitialized", "none", "unknown"})  # the first: machine-id(5), of images
_NAMES = {"machine": "machine-id", "hardware": "system UUID", "boot": "boot id"}

Kind = Literal["same", "other", "unknown"]


@dataclass(frozen=True, slots=True)
class MachineIds:
    """
    What tells a machine from others; empty: not known.

    :param machine: its machine-id, of the installation. :param boot: the boot that it is in.
    :param hardware: the UUID in its firmware, where there is one.
    """

    machine: str = ""
    boot: str = ""
    hardware: str = ""

    @classmethod
    def of(cls, machine: object = "", boot: object = "", hardware: object = "") -> MachineIds:
        """Return ids as they are compared; what is none is empty."""
        return cls(*map(_clean, (machine, boot, hardware)))

    def common(self, other: MachineIds) -> frozenset[str]:
        """Return the names of those that are known of both, and equal."""
        return frozenset(
            each.name
            for each in fields(self)
            if getattr(self, each.name) and getattr(self, each.name) == getattr(other, each.name)
        )

    def apart(self, other: MachineIds) -> frozenset[str]:
        """Return the names of those that are known of both, and differ."""
        return frozenset(
            each.name
            for each in fields(self)
            if getattr(self, each.name)
            and getattr(other, each.name)
            and getattr(self, each.name) != getattr(other, each.name)
        )


@dataclass(frozen=True, slots=True)
class Match:
    """
    Whether a host is the machine of a Node.

    :param kind: same: it is; other: it is not; unknown: that can't be told. :param why: a clause.
    """

    kind: Kind
    why: str = ""


def match(
    host: MachineIds, node: MachineIds, others: Mapping[str, MachineIds], *, reports: bool
) -> Match:
    """
    Return whether a host is the machine whose kubelet has reported as a node.

    :param others: what the other Node objects of the cluster have, by their names.
    :param reports: it goes on reporting (Ready), so that what it says of its boot is of now.
    """
    common, apart = host.common(node), host.apart(node)
    if "machine" in apart:
        return Match("other", _differ("machine", host, node, others))
    if "boot" in common:
        # Of containers on one kernel, each has the same; without a machine-id that is no proof.
        return _unless_shared(host, node, others)
    if "hardware" in apart:
        return Match("other", _differ("hardware", host, node, others))
    if "boot" in apart and reports:
        why = _differ("boot", host, node, others)
        return Match("other", f"{why}; or it has rebooted just now, and tells of it in a minute")
    if "machine" not in common:
        sides = [who for who, ids in (("the host", host), ("the Node", node)) if not ids.machine]
        verb = "have" if len(sides) > 1 else "has"
        return Match("unknown", f"{' and '.join(sides)} {verb} no machine-id")
    return _unless_shared(host, node, others)


def at_home(host: MachineIds, nodes: Mapping[str, MachineIds]) -> str:
    """Return the name of the one Node whose machine a host is; empty: none, or that is not sure."""
    found = [
        name
        for name, ids in nodes.items()
        if "machine" in (common := host.common(ids))
        and ("boot" in common or "hardware" not in host.apart(ids))
    ]
    return found[0] if len(found) == 1 else ""


def _unless_shared(host: MachineIds, node: MachineIds, others: Mapping[str, MachineIds]) -> Match:
    common = host.common(node)
    twins = sorted(name for name, ids in others.items() if common <= host.common(ids))
    if not twins:
        return Match("same")
    what = " and ".join(_NAMES[name] for name in _NAMES if name in common)
    return Match("unknown", f"the Node {twins[0]} has the same {what}, as clones have")


def _differ(name: str, host: MachineIds, node: MachineIds, others: Mapping[str, MachineIds]) -> str:
    text = f"the Node has the {_NAMES[name]} {getattr(node, name)}, the host {getattr(host, name)}"
    if home := at_home(host, others):
        return f"{text}, which is that of the node {home}"
    if "machine" in host.common(node):
        return f"{text}, and both the same machine-id, as clones have"
    return text


def _clean(found: object) -> str:
    text = str(found or "").strip().lower()
    good = _ID.fullmatch(text) and text not in _NO_IDS and set(text) - set("0-")
    return text if good else ""
