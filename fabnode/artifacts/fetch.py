"""Downloads of the files that nodes need into the folders that `artifacts` configures."""

from __future__ import annotations

import filecmp
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..util.atomic_write import draft_of
from .download import Digest, DownloadError, promised
from .upstreams import SourceError, unproved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..config.sections import ArtifactSettings
    from .download import Downloader
    from .upstreams import Source

PARALLEL = 4  # downloads at once
_LARGEST = 2**30  # bytes of one program


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source with its digest. `cached`: it was downloaded before."""

    source: Source
    digest: Digest
    cached: bool


@dataclass(frozen=True, slots=True)
class Places:
    """
    Downloaders of the two kinds of servers.

    :param mirrors: verified with `artifacts.mirrors_ca`, if set.
    :param official: verified with the system's CAs.
    """

    mirrors: Downloader
    official: Downloader

    def of(self, source: Source) -> Downloader:
        """Return the downloader of a source."""
        return self.mirrors if source.mirrored else self.official


def resolve(sources: Sequence[Source], places: Places) -> tuple[Wanted, ...]:
    """
    Return the sources, each with its digest.

    That is the configured one, else the one shipped with fabnode, else the one published by the
    project; a checksum from a mirror proves nothing about that mirror's files.

    :raises SourceError: nothing but mirrors vouches for some files; it names them all.
    :raises DownloadError: a list of checksums can't be had, or contradicts what is known.
    """

    def one(source: Source) -> Wanted | SourceError:
        try:
            digest = _digest(source, places)
        except SourceError as error:
            return error
        return Wanted(source, digest, places.of(source).cached(digest) is not None)

    with ThreadPoolExecutor(PARALLEL) as pool:
        found = tuple(pool.map(one, sources))
    if problems := [str(each) for each in found if isinstance(each, SourceError)]:
        raise SourceError("\n".join(problems))
    return tuple(each for each in found if isinstance(each, Wanted))


def _digest(source: Source, places: Places) -> Digest:
    if source.given:
        return source.given
    if source.shipped:
        beside = source.mirror_sums or source.sums
        found = None
        with suppress(DownloadError):  # it is not needed
            found = promised(places.of(source).text(beside), source.file, source.shipped.kind)
        if found and found != source.shipped:
            raise DownloadError(
                f"{source.url}: {beside} has {found}, but config/digests.yml of fabnode has"
                f" {source.shipped}: one of them is not the project's. To decide, set the right one"
                f" as artifacts.sums: {{{source.key}: …}}"
            )
        return source.shipped
    try:
        digest = promised(places.official.text(source.sums), source.file, source.kind)
    except DownloadError as error:
        if source.mirrored:
            raise unproved(source, error) from error
        raise
    if digest is None:
        raise DownloadError(f"{source.sums}: it has no {source.kind} of {source.file}")
    return digest


def download_all(
    wanted: Sequence[Wanted],
    places: Places,
    settings: ArtifactSettings,
    begin: Callable[[Wanted], Callable[[int, int], None]],
    done: Callable[[Wanted, Sequence[Path]], None],
) -> None:
    """
    Download sources, `PARALLEL` at a time, and install them in the configured folders.

    :param begin: called as a download begins; returns the callback for its progress.
    :param done: called with the files that were put in place, those that were as they should be
        not among them.
    :raises DownloadError: the first; what else had begun is kept for the next run.
    """

    def one(item: Wanted) -> None:
        path = places.of(item.source).file(item.source.url, item.digest, begin(item))
        done(item, install(item.source, path, folder(item.source, settings)))

    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(one, item) for item in wanted]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def folder(source: Source, settings: ArtifactSettings) -> Path:
    """Return the folder for a source's files; each architecture has its own."""
    base = settings.binaries if source.folder == "binaries" else settings.cni_plugins
    return base / source.arch


def install(source: Source, path: Path, target: Path) -> list[Path]:
    """Put a file, or an archive's members, into a folder; return those that were not there."""
    target.mkdir(parents=True, exist_ok=True)
    if source.members is None:
        with path.open("rb") as content:
            return _put(content, target / source.name)
    placed: list[Path] = []
    found: set[str] = set()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                wanted = name in source.members if source.members else member.mode & 0o100
                if not member.isreg() or not wanted or not name or name in found:
                    continue
                if member.size > _LARGEST:
                    raise DownloadError(f"{source.url}: {name} in it is too large for a program")
                found.add(name)
                content_of = archive.extractfile(member)
                assert content_of is not None, "it is a regular file"
                placed += _put(content_of, target / name)
    except (tarfile.TarError, EOFError) as error:
        raise DownloadError(f"{source.url}: it is not an archive ({error})") from error
    if missing := [name for name in source.members if name not in found]:
        raise DownloadError(f"{source.url}: it has no {', '.join(missing)}")
    return placed


def _put(content: IO[bytes], target: Path) -> list[Path]:
    """Write a program unless it is there unchanged; return the paths written."""
    with draft_of(target, mode=0o755) as draft:
        shutil.copyfileobj(content, draft, 2**20)
        draft.close()
        if target.is_file() and filecmp.cmp(draft.name, target, shallow=False):
            target.chmod(0o755)
            return []
        Path(draft.name).replace(target)
    return [target]
