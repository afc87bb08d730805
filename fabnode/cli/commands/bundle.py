"""`inv bundle`: one file with everything that nodes get."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ...artifacts import store
from ...artifacts.bundle import write
from ...artifacts.bundle_parts import missing_images, parts_of
from ...util import program
from .. import app

if TYPE_CHECKING:
    from ...config.configuration import Config


def make(config: Config, out: Path | None) -> None:
    """Write the bundle of a configuration; print its digest, its use, and images it lacks."""
    version = str(config.cluster.version)
    out = out or Path(f"fabnode-{version}.tar.zst")
    held = store.load(config)
    parts = parts_of(config, held)
    digest = write(out, parts, version)
    app.print_text(
        f"{out}: {len(parts)} files, {out.stat().st_size >> 20} MiB, Kubernetes {version}"
    )
    app.print_text(f"sha256 {digest}")
    app.print_text("Transfer this digest separately from the file, and use the bundle there with")
    use = shlex.join(["deploy-nodes", "--bundle", out.name, "--bundle-sha256", digest])
    app.print_text(f"  {program.task(use)}")
    for image in missing_images(config, held):
        app.print_text(f"warning: no archive in artifacts.images holds {image}: nodes will pull it")
