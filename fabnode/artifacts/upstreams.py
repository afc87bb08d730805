"""Official URLs of the files that nodes need, and of their checksums. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..releases.compatibility import checksum, containerd_data
from ..util.errors import InputError
from . import digests
from .download import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..config.configuration import Config
    from ..releases.version import Release

_GITHUB = "https://github.com/{}/releases/download"
OFFICIAL = {
    "kubernetes": "https://dl.k8s.io",
    "containerd": _GITHUB.format("containerd/containerd"),
    "runc": _GITHUB.format("opencontainers/runc"),
    "cni_plugins": _GITHUB.format("containernetworking/plugins"),
    "crictl": _GITHUB.format("kubernetes-sigs/cri-tools"),
}
_KUBERNETES: tuple[digests.Part, ...] = ("kubelet", "kube-proxy", "kubectl")
_CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")


class SourceError(InputError):
    """A file can't be downloaded as configured; the text has the alternative."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    One file to download.

    :param folder: where it goes: `binaries` or `cni_plugins`.
    :param name: what it is called there; for an archive, what to call it when speaking of it.
    :param members: files to take out of a tar archive, by base name; None: it is none.
    :param part: what it is a release of, as `digests` names it; empty where none is shipped.
    :param sums: the text of checksums at the official place, empty where none is published.
    :param mirrored: a mirror stands in for that place.
    :param mirror_sums: what lies beside the file there.
    :param given: digest that the configuration gives.
    :param shipped: digest that came with fabnode; with neither it stands in `sums`.
    """

    url: str
    folder: str
    arch: str
    name: str
    members: tuple[str, ...] | None
    kind: str
    sums: str
    part: digests.Part | None = None
    release: str = ""
    mirrored: bool = False
    mirror_sums: str = ""
    given: Digest | None = None
    shipped: Digest | None = None

    @property
    def key(self) -> str:
        """The end of its URL by which `artifacts.sums` names it."""
        return "/".join(self.url.split("/")[-2:])

    @property
    def file(self) -> str:
        """Last part of the URL: the file's name in lists of checksums."""
        return self.url.rpartition("/")[2]


EVERY: tuple[str, ...] = ()
"""For `Source.members`: every program in the archive."""


def sources(config: Config, architectures: Sequence[str]) -> tuple[Source, ...]:
    """
    Return the files to download.

    :raises SourceError: with every file that can't be verified.
    """
    found: list[Source] = []
    problems: list[str] = []
    mirrors = {str(name): base for name, base in config.artifacts.mirrors.items()}
    for arch in architectures:
        official = _of(config, arch, OFFICIAL)
        for source, there in zip(_of(config, arch, OFFICIAL | mirrors), official, strict=True):
            proved = _proved(source, there, config)
            if fault := _fault(proved):
                problems.append(fault)
            found.append(proved)
    if problems:
        raise SourceError("\n".join(dict.fromkeys(problems)))
    return tuple(found)


def _of(config: Config, arch: str, bases: Mapping[str, str]) -> Iterator[Source]:
    releases = config.artifacts.releases
    version = config.cluster.version
    proxy = any(node.kube_proxy.enabled for node in config.nodes)
    programs = tuple(name for name in _KUBERNETES if proxy or name != "kube-proxy")
    yield from _kubernetes(bases["kubernetes"], version, arch, programs)
    cni, runc, runtime = str(releases.cni_plugins), str(releases.runc), config.runtime.version
    containerd = str(runtime or containerd_data(None, version.minor).newest)
    crictl = str(releases.crictl or f"1.{version.minor}.0")
    archive = f"{bases['cni_plugins']}/v{cni}/cni-plugins-linux-{arch}-v{cni}.tgz"
    sums = f"{archive}.sha256"
    yield _archive(archive, "cni_plugins", arch, "CNI plugins", EVERY, sums, "cni_plugins", cni)
    if all(node.runtime.name == "docker" for node in config.nodes):
        return  # it comes with the hosts' own packages
    archive = f"{bases['containerd']}/v{containerd}/containerd-{containerd}-linux-{arch}.tar.gz"
    sums, name = f"{archive}.sha256sum", "containerd"
    yield _archive(archive, "binaries", arch, name, _CONTAINERD, sums, "containerd", containerd)
    url = f"{bases['runc']}/v{runc}"
    sums = f"{url}/runc.sha256sum"
    url = f"{url}/runc.{arch}"
    yield Source(url, "binaries", arch, "runc", None, "sha256", sums, "runc", runc)
    archive = f"{bases['crictl']}/v{crictl}/crictl-v{crictl}-linux-{arch}.tar.gz"
    sums = f"{archive}.sha256"
    yield _archive(archive, "binaries", arch, "crictl", ("crictl",), sums, "crictl", crictl)


def _kubernetes(
    base: str, version: Release, arch: str, programs: tuple[digests.Part, ...]
) -> Iterator[Source]:
    kind = checksum(version.minor)
    if kind is None:
        url = f"{base}/v{version}/kubernetes-node-linux-{arch}.tar.gz"
        yield _archive(url, "binaries", arch, "Kubernetes' node archive", programs, "")
        return
    for name in programs:
        url = f"{base}/release/v{version}/bin/linux/{arch}/{name}"
        sums = f"{url}.{kind}"
        yield Source(url, "binaries", arch, name, None, kind, sums, name, str(version))


def _archive(
    url: str,
    folder: str,
    arch: str,
    name: str,
    members: tuple[str, ...],
    sums: str,
    part: digests.Part | None = None,
    release: str = "",
) -> Source:
    return Source(url, folder, arch, name, members, "sha256", sums, part, release)


def _proved(source: Source, official: Source, config: Config) -> Source:
    """Return the source with its checksum's origin, which is never the mirror it comes from."""
    mirrored = source.url != official.url
    for end, digits in config.artifacts.sums.items():
        if f"/{source.url}".endswith(f"/{end}"):
            given = Digest.of(digits)
            return replace(source, kind=given.kind, sums="", mirrored=mirrored, given=given)
    return replace(
        source,
        sums=official.sums,
        mirrored=mirrored,
        mirror_sums=source.sums if mirrored else "",
        shipped=source.part and digests.known(source.part, source.release, source.arch),
    )


def _fault(source: Source) -> str:
    if source.given or source.shipped or source.sums:
        return ""
    return (
        f"{source.url}: the project publishes no checksum of this release's file: set the one in"
        f" its CHANGELOG as artifacts.sums: {{{source.key}: …}}"
    )


def unproved(source: Source, why: object) -> SourceError:
    """Return the error for a source that nothing but its mirror vouches for."""
    return SourceError(
        f"{source.url}: fabnode has no digest of this release, the project's own server does not"
        f" answer ({why}), and a mirror can't vouch for itself: set the digest as"
        f" artifacts.sums: {{{source.key}: …}}"
    )
