"""
Maintainers' tool: adds digests of newer releases to `config/digests.yml`.

    python -m fabnode.artifacts.refresh --source URL [--note TEXT] FILE…

FILE has the form of kOps' pkg/assets/assetdata: `filestores: [{base: URL}]`, `files: [{name: PATH,
sha256: DIGEST}]`; URL is where it was published, at a fixed commit. Of each minor the newest
releases are kept. What contradicts a digest that is there already ends it, and nothing is written.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..releases.version import Release
from ..util.atomic_write import atomic_write
from ..util.yaml_io import parse
from .digests import FILE, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PER_MINOR = 5  # releases of each minor
_OLDEST = 28  # minor of Kubernetes
_R, _A = r"(?P<release>\d+\.\d+\.\d+)", "(?P<arch>amd64|arm64)"
_NAMES = {
    name: re.compile(rf".*/v{_R}/bin/linux/{_A}/{name}")
    for name in ("kubelet", "kube-proxy", "kubectl")
} | {
    "containerd": re.compile(rf".*/containerd-{_R}-linux-{_A}\.tar\.gz"),
    "runc": re.compile(rf".*/v{_R}/runc\.{_A}"),
    "cni_plugins": re.compile(rf".*/cni-plugins-linux-{_A}-v{_R}\.tgz"),
    "crictl": re.compile(rf".*/crictl-v{_R}-linux-{_A}\.tar\.gz"),
}
_HEAD = """\
# sha256 of what the projects publish, for releases that fabnode fetches: known beforehand, so that
# neither a mirror nor the official place vouches for itself (`inv binaries.fetch`).
#
# Each block: where its digests stand, at a fixed commit, and how they were taken from there. For
# new ones: `python -m fabnode.artifacts.refresh --source URL FILE…`, then read the diff. Of each
# minor the newest releases are here; for others give artifacts.sums.
"""

Entry = tuple[str, Release, str, str]


def entries(text: str | bytes) -> Iterator[Entry]:
    """Yield part, release, architecture and sha256 of the files in such a list that we fetch."""
    document = parse(text)
    base = document["filestores"][0]["base"]
    for file in document["files"]:
        for part, pattern in _NAMES.items():
            if found := pattern.fullmatch(base + file["name"]):
                release = Release.parse(found["release"])
                if not part.startswith("kube") or release.minor >= _OLDEST:
                    yield part, release, found["arch"], file["sha256"]


def merged(old: str | bytes, new: Iterable[Entry], source: str, how: str) -> str:
    """Return the file with new entries. Raises ValueError where they contradict it."""
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in _NAMES}
    present: set[tuple[str, Release]] = set()
    for name, blocks in read(old).items() if old.strip() else ():
        for block in blocks:
            parts[name].append(
                {"source": block.source, "read": block.read, "digests": dict(block.digests)}
            )
            present |= {(name, release) for release in block.digests}
    added: dict[str, dict[Release, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for part, release, arch, digest in new:
        added[part][release][arch] = digest
    for part, digests in added.items():
        parts[part].append({"source": source, "read": how, "digests": digests})
    read(_text(parts))  # what was there and is here as well has to agree
    for part, blocks_of in parts.items():
        if part in added:
            for release in [each for each in added[part] if (part, each) in present]:
                del added[part][release]
        newest: dict[tuple[int, int], list[Release]] = defaultdict(list)
        for release in sorted({r for b in blocks_of for r in b["digests"]}, reverse=True):
            newest[release.major, release.minor].append(release)
        kept = {release for found in newest.values() for release in found[:PER_MINOR]}
        for block_of in blocks_of:
            block_of["digests"] = {r: d for r, d in block_of["digests"].items() if r in kept}
        parts[part] = [block_of for block_of in blocks_of if block_of["digests"]]
    return _text(parts)


def _text(parts: dict[str, list[dict[str, Any]]]) -> str:
    lines = [_HEAD]
    for part, blocks in parts.items():
        if not blocks:
            continue
        lines.append(f"{part}:\n")
        for block in blocks:
            lines.append(f'- source: {block["source"]}\n  read: "{block["read"]}"\n  digests:\n')
            for release in sorted(block["digests"], reverse=True):
                found = sorted(block["digests"][release].items())
                digests = ", ".join(f'{arch}: "{digest}"' for arch, digest in found)
                lines.append(f"    {release}: {{{digests}}}\n")
    return "".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Update the file from the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--source", required=True)
    parser.add_argument("--note", default="")
    parser.add_argument("files", nargs="+", type=Path)
    given = parser.parse_args(arguments)
    how = (
        f"{datetime.now(UTC):%Y-%m-%d}, by fabnode.artifacts.refresh"
        f"{given.note and '; '}{given.note}"
    )
    found = [entry for file in given.files for entry in entries(file.read_bytes())]
    old = FILE.read_text() if FILE.exists() else ""
    with atomic_write(FILE, mode=0o644) as file:
        file.write(merged(old, found, given.source, how).encode())


if __name__ == "__main__":
    main()
