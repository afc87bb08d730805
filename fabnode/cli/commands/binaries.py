"""`inv binaries.fetch`, `.publish`: getting parts here, and to where hosts fetch them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...artifacts import fetch as fetching
from ...artifacts import store
from ...artifacts.download import BRIEF, Downloader
from ...artifacts.upstreams import sources
from ...util.atomic_write import atomic_write
from ...util.folders import cache_dir
from .. import app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config.cluster import Cluster

ARCHITECTURES = ("amd64", "arm64")


def fetch(cluster: Cluster, architectures: Sequence[str], *, dry_run: bool) -> None:
    """Fetch what nodes of these architectures are made of; with `dry_run`, say what that is."""
    if unknown := [arch for arch in architectures if arch not in ARCHITECTURES]:
        raise Exit(f"--arch wants amd64 or arm64, got {', '.join(unknown)}", app.BAD_INPUT)
    cache = cache_dir() / "downloads"
    places = fetching.Places(
        Downloader(cache, ca=cluster.artifacts.mirrors_ca),
        Downloader(cache, limits=BRIEF if cluster.artifacts.mirrors else None),
    )
    found = sources(cluster, architectures or cluster.artifacts.architectures)
    wanted = fetching.resolve(found, places)
    if dry_run:
        for item in wanted:
            source = item.source
            where = fetching.folder(source, cluster.artifacts)
            how = "is in the cache" if item.held else "would be fetched"
            app.print_text(f"{source.name} ({source.arch}): {source.url} {how}")
            app.print_text(f"    {item.digest}\n    to {where}")
        return
    from ..download_bars import Bars  # and with it `rich`, which no other command should wait for

    with Bars() as bars:
        fetching.fetch(wanted, places, cluster.artifacts, bars.begin, bars.done)
    app.print_text(f"all there: {cluster.artifacts.binaries}, {cluster.artifacts.cni_plugins}")


def publish(cluster: Cluster, out: Path, *, dry_run: bool) -> None:
    """
    Fill a folder with what hosts fetch: every artifact under its sha256. Raises ArtifactError.

    What is there stays: other releases may be in use.
    """
    files = {each.sha256: each.path for each in store.load(cluster).files()}
    missing = {sha256: path for sha256, path in files.items() if not (out / sha256).exists()}
    for sha256, path in missing.items():
        if dry_run:
            app.print_text(f"{out / sha256}: would be written from {path}")
        else:
            _publish(path, sha256, out)
    news = "would be written" if dry_run else "written"
    app.print_text(f"{out}: {len(files)} files, {len(missing)} of them {news}")


def _publish(path: Path, sha256: str, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, atomic_write(out / sha256, mode=0o644) as copy:
            shutil.copyfileobj(source, copy, 2**20)
            copy.flush()
            with Path(copy.name).open("rb") as copied:
                if hashlib.file_digest(copied, "sha256").hexdigest() != sha256:
                    raise store.ArtifactError(f"{path} changes while it is read")
    except OSError as error:
        raise store.ArtifactError(f"{error.filename or out}: {error.strerror}") from error
