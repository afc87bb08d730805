"""References to container images, taken apart and put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

_HUB, _OFFICIAL = "docker.io", "library/"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """
    `registry/repository:tag@digest`; all but the repository may be empty.

    :param registry: host, with port where it has one; may have a path before the repository.
    :param digest: with its algorithm, `sha256:…`.
    """

    repository: str
    registry: str = ""
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Parse any text, as docker does: a first part with a dot or colon is a registry."""
        name, _, digest = text.partition("@")
        first, slash, rest = name.partition("/")
        registry = ""
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry, name = first, rest
        folder, slash, last = name.rpartition("/")
        last, _, tag = last.partition(":")
        return cls(f"{folder}{slash}{last}", registry, tag, digest)

    def __str__(self) -> str:
        registry = self.registry and f"{self.registry}/"
        tag = self.tag and f":{self.tag}"
        return f"{registry}{self.repository}{tag}{self.digest and f'@{self.digest}'}"

    @property
    def full(self) -> ImageReference:
        """The complete reference: docker reads `busybox` as docker.io/library/busybox."""
        registry = self.registry or _HUB
        official = registry == _HUB and "/" not in self.repository
        repository = f"{_OFFICIAL}{self.repository}" if official else self.repository
        return replace(self, registry=registry, repository=repository)

    def at(self, registry: str) -> ImageReference:
        """Return the same image at another registry, which may have a path."""
        return replace(self, registry=registry.rstrip("/"))
