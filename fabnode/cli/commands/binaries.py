"""`inv binaries.fetch`, `.publish`: downloads, and a folder for hosts to pull from."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...artifacts import cni_manifest, store
from ...artifacts.download import BRIEF, Downloader
from ...artifacts.errors import ArtifactError
from ...artifacts.fetch import Places, download_all, folder, resolve
from ...artifacts.upstreams import sources
from ...util.atomic_write import atomic_write
from ...util.folders import cache_dir
from .. import app, exits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config.configuration import Config

ARCHITECTURES = ("amd64", "arm64")


def fetch(config: Config, architectures: Sequence[str], *, dry_run: bool) -> None:
    """Download the files that nodes of these architectures need; with `dry_run`, list them."""
    if unknown := [arch for arch in architectures if arch not in ARCHITECTURES]:
        raise Exit(f"--arch must be amd64 or arm64, got {', '.join(unknown)}", exits.BAD_INPUT)
    cache = cache_dir() / "downloads"
    places = Places(
        Downloader(cache, ca=config.artifacts.mirrors_ca),
        Downloader(cache, limits=BRIEF if config.artifacts.mirrors else None),
    )
    found = sources(config, architectures or config.artifacts.architectures)
    wanted = resolve(found, places)
    if dry_run:
        for item in wanted:
            source = item.source
            where = folder(source, config.artifacts)
            how = "is in the cache" if item.cached else "would be fetched"
            app.print_text(f"{source.name} ({source.arch}): {source.url} {how}")
            app.print_text(f"    {item.digest}\n    to {where}")
        _print_absent(config)
        return
    from ..download_bars import (
        DownloadBars,
    )  # and with it `rich`, which no other command should wait for

    with DownloadBars() as bars:
        download_all(wanted, places, config.artifacts, bars.begin, bars.done)
    app.print_text(f"complete: {config.artifacts.binaries}, {config.artifacts.cni_plugins}")
    _print_absent(config)


def _print_absent(config: Config) -> None:
    if text := cni_manifest.absent(config):
        app.print_text(f"not fetched: {text}")


def publish(config: Config, out: Path, *, dry_run: bool) -> None:
    """
    Fill a folder for hosts to pull from: every artifact, named by its sha256.

    Files already in it stay: other releases may be in use.

    :raises ArtifactError: where a file can't be read, or the folder not be written.
    """
    files = {each.sha256: each.path for each in store.load(config).files()}
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
                    raise ArtifactError(f"{path} changes while it is read")
    except OSError as error:
        raise ArtifactError(f"{error.filename or out}: {error.strerror}") from error
