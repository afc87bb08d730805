"""
Builds from Debian's source packages, for what is served as no Go module.

Everything happens in a Debian of its own, which is made for it and thrown away: nothing is
installed on the machine, and what the machine runs makes no difference.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from . import cache, rootfs
from .versions import DEBIAN, Product

SCRIPT = "build.sh"
MIRROR = "http://deb.debian.org/debian"
TOOLS = ("dpkg-dev", "golang-1.19-go", "golang-github-modern-go-reflect2-dev", "make", "rsync")


def build(product: Product, folder: Path, report: Callable[[str], None]) -> None:
    """Leave a product's commands in ``folder``: its recipe's script makes them from the source."""
    scratch = folder / "scratch"
    scratch.mkdir()
    packages = 0

    def line(text: str) -> None:
        nonlocal packages
        if text.startswith("I: "):
            report(text[3:].strip()[:50])
        elif "/" in text and " " not in text.rstrip():  # `go install -v` names each package so
            packages += 1
            report(f"{packages} packages compiled")
        elif text.startswith("    ") and not packages:  # what make is about to make
            report(f"generating code, {text.strip().rpartition('/')[2]}")

    rootfs.mmdebstrap(
        [
            "--variant=minbase",
            f"--include={','.join(TOOLS)}",
            *(f"--customize-hook={hook}" for hook in hooks(product, folder)),
            "--format=null",
            DEBIAN,
            "-",
            *sources(),
        ],
        line,
        # Not in /tmp, which may be in memory, and small: this takes some 4 GB.
        environment=os.environ | {"TMPDIR": str(scratch)},
    )
    cache.remove(scratch)


def sources() -> tuple[str, str]:
    """Return the lines of sources.list: binary packages, and source packages."""
    mirror = os.environ.get("FABNODE_DEBIAN_MIRROR") or MIRROR
    return f"deb {mirror} {DEBIAN} main", f"deb-src {mirror} {DEBIAN} main"


def hooks(product: Product, folder: Path) -> tuple[str, ...]:
    """Return the commands that fetch, build and hand out; ``$1`` is the new Debian's root."""
    script, target = shlex.quote(str(product.recipe / SCRIPT)), shlex.quote(str(folder))
    unpack = f"mkdir /build && cd /build && apt-get source -qq {product.name}"
    return (
        f'cp {script} "$1/{SCRIPT}"',
        f'chroot "$1" sh -c {shlex.quote(unpack)}',
        f'chroot "$1" sh -eu /{SCRIPT}',
        f'cp "$1"/out/* {target}/',
    )
