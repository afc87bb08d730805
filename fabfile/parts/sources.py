"""Where the projects publish what a node is made of, and how each proves it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..model.fitting import checksum, containerd_line
from .download import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..model.config import Cluster
    from ..model.versions import Release

_GITHUB = "https://github.com/{}/releases/download"
OFFICIAL = {
    "kubernetes": "https://dl.k8s.io",
    "containerd": _GITHUB.format("containerd/containerd"),
    "runc": _GITHUB.format("opencontainers/runc"),
    "cni_plugins": _GITHUB.format("containernetworking/plugins"),
    "crictl": _GITHUB.format("kubernetes-sigs/cri-tools"),
}
_KUBERNETES = ("kubelet", "kube-proxy", "kubectl")
_CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")


class SourceError(ValueError):
    """Something that can't be fetched as configured; the text says what to do instead."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    One file to fetch.

    :param folder: where it goes: `binaries` or `cni_plugins`.
    :param name: what it is called there; for an archive, what to call it when speaking of it.
    :param members: files to take out of a tar archive, by base name; None: it is none.
    :param given: digest that the configuration gives; else it stands in the text at `sums`.
    """

    url: str
    folder: str
    arch: str
    name: str
    members: tuple[str, ...] | None
    kind: str
    sums: str
    given: Digest | None = None

    @property
    def file(self) -> str:
        """The last part of the URL: the name that checksums are told by."""
        return self.url.rpartition("/")[2]


EVERY: tuple[str, ...] = ()
"""For `Source.members`: every program in the archive."""


def sources(cluster: Cluster, architectures: Sequence[str]) -> tuple[Source, ...]:
    """Return all that has to be fetched. Raises SourceError with everything that can't be."""
    found: list[Source] = []
    problems: list[str] = []
    for arch in architectures:
        for source in _of(cluster, arch):
            proved = _given(source, cluster)
            if fault := _fault(proved):
                problems.append(fault)
            found.append(proved)
    if problems:
        raise SourceError("\n".join(dict.fromkeys(problems)))
    return tuple(found)


def _of(cluster: Cluster, arch: str) -> Iterator[Source]:
    bases = OFFICIAL | {str(name): base for name, base in cluster.artifacts.mirrors.items()}
    releases = cluster.artifacts.releases
    version = cluster.cluster.version
    yield from _kubernetes(bases["kubernetes"], version, arch)
    cni, runc, runtime = releases.cni_plugins, releases.runc, cluster.runtime.version
    containerd = runtime or containerd_line(None, version.minor).newest
    crictl = releases.crictl or f"1.{version.minor}.0"
    archive = f"{bases['cni_plugins']}/v{cni}/cni-plugins-linux-{arch}-v{cni}.tgz"
    yield _archive(archive, "cni_plugins", arch, "CNI plugins", EVERY, f"{archive}.sha256")
    if all(node.runtime.name == "docker" for node in cluster.nodes):
        return  # it comes with the hosts' own packages
    archive = f"{bases['containerd']}/v{containerd}/containerd-{containerd}-linux-{arch}.tar.gz"
    yield _archive(archive, "binaries", arch, "containerd", _CONTAINERD, f"{archive}.sha256sum")
    runc_url = f"{bases['runc']}/v{runc}"
    sums = f"{runc_url}/runc.sha256sum"
    yield Source(f"{runc_url}/runc.{arch}", "binaries", arch, "runc", None, "sha256", sums)
    archive = f"{bases['crictl']}/v{crictl}/crictl-v{crictl}-linux-{arch}.tar.gz"
    yield _archive(archive, "binaries", arch, "crictl", ("crictl",), f"{archive}.sha256")


def _kubernetes(base: str, version: Release, arch: str) -> Iterator[Source]:
    kind = checksum(version.minor)
    if kind is None:
        url = f"{base}/v{version}/kubernetes-node-linux-{arch}.tar.gz"
        yield _archive(url, "binaries", arch, "Kubernetes' node archive", _KUBERNETES, "")
        return
    for name in _KUBERNETES:
        url = f"{base}/release/v{version}/bin/linux/{arch}/{name}"
        yield Source(url, "binaries", arch, name, None, kind, f"{url}.{kind}")


def _archive(
    url: str, folder: str, arch: str, name: str, members: tuple[str, ...], sums: str
) -> Source:
    return Source(url, folder, arch, name, members, "sha256", sums)


def _given(source: Source, cluster: Cluster) -> Source:
    """Return the source with the digest that the configuration gives for it, if it does."""
    for end, digits in cluster.artifacts.sums.items():
        if f"/{source.url}".endswith(f"/{end}"):
            given = Digest.of(digits)
            return Source(
                source.url,
                source.folder,
                source.arch,
                source.name,
                source.members,
                given.kind,
                "",
                given,
            )
    return source


def _fault(source: Source) -> str:
    if source.given:
        return ""
    end = "/".join(source.url.split("/")[-2:])
    if not source.sums:
        return (
            f"{source.url}: with this release no checksum of it is published: give the "
            f"one in its CHANGELOG as artifacts.sums: {{{end}: …}}"
        )
    if urlsplit(source.url).scheme != "https":
        return (
            f"{source.url}: over plain http a published checksum proves nothing: use https, or "
            f"give it as artifacts.sums: {{{end}: …}}"
        )
    return ""
