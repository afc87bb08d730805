"""What a lab was asked to be, kept in its folder: the rest is looked up on the machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from fabnode.util.atomic_write import atomic_write

from .defaults import FAMILIES
from .layout import Host, Layout, folder_for
from .versions import DEBIAN, DOCKER


@dataclass(frozen=True, slots=True)
class State:
    """
    A lab as asked for.

    ``kubernetes`` is the release of the nodes, ``suite`` the hosts' Debian, ``packages`` what is
    installed on them beside what a lab needs; with ``vm`` they are virtual machines, but the jump
    host. ``control_planes`` API servers share one etcd. ``sysctls`` are the machine's settings as
    they were before the first host booted, to be put back at the end. ``family`` is of hosts, pods
    and Services.
    """

    nodes: int
    kubernetes: str
    jump: bool
    subnet: str
    runtime: str = "containerd"
    suite: str = DEBIAN
    packages: tuple[str, ...] = ()
    vm: bool = False
    control_planes: int = 1
    sysctls: dict[str, str] = field(default_factory=dict)
    family: str = FAMILIES[0]

    def node_name(self, host: Host) -> str:
        """Return what a host's node is called; with docker, as long ago, by its address."""
        return str(host.address) if self.runtime == DOCKER else host.name

    def hosts(self, layout: Layout) -> list[Host]:
        """Return the hosts that should run, the jump host last."""
        return layout.nodes(self.nodes) + ([layout.jump()] if self.jump else [])


def load(name: str, parent: Path) -> tuple[Layout, State] | None:
    """Return a lab that was begun and not taken down."""
    folder = folder_for(name, parent)
    try:
        saved = json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        return None
    state = State(**saved | {"packages": tuple(saved.get("packages", ()))})
    return Layout(name, folder, IPv4Network(state.subnet), state.family), state


def save(layout: Layout, state: State) -> None:
    """Remember a lab's state; written aside and renamed, so always whole."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(layout.folder / "state.json", mode=None) as file:
        file.write(json.dumps(asdict(state), indent=2).encode() + b"\n")
