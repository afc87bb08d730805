"""What a program (ELF) says of itself: its architecture, the release that Go linked into it."""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ..releases.version import Release

_MACHINES = {62: "amd64", 183: "arm64"}  # elf.h: EM_X86_64, EM_AARCH64


def architecture(path: Path) -> str:
    """Return the architecture in a program's ELF header; empty where it has none (a script)."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _MACHINES.get(machine, f"ELF machine {machine}")


def is_of_release(path: Path, release: Release) -> bool:
    """
    Return whether a program names this release of its own, which Go links into it.

    It is not run: it may be for another system. A script passes for any release, and a program with
    a dependency of the same number for that one as well.
    """
    if not architecture(path):
        return True
    name = re.compile(rf"v{re.escape(str(release))}(?![0-9])".encode())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return name.search(content) is not None
