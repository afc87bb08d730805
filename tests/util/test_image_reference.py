"""Image references are taken apart as docker does, and put together as they were."""

from __future__ import annotations

import pytest

from fabnode.util.image_reference import ImageReference

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest", "full"),
    [
        ("busybox", "", "busybox", "", "", "docker.io/library/busybox"),
        ("busybox:1", "", "busybox", "1", "", "docker.io/library/busybox:1"),
        ("calico/node:v3", "", "calico/node", "v3", "", "docker.io/calico/node:v3"),
        ("docker.io/calico/cni:v3", "docker.io", "calico/cni", "v3", "", "docker.io/calico/cni:v3"),
        ("docker.io/busybox", "docker.io", "busybox", "", "", "docker.io/library/busybox"),
        ("library/busybox:1", "", "library/busybox", "1", "", "docker.io/library/busybox:1"),
        ("localhost/x:1", "localhost", "x", "1", "", "localhost/x:1"),
        ("quay.io/calico/cni:v3", "quay.io", "calico/cni", "v3", "", "quay.io/calico/cni:v3"),
        ("r:5000/x", "r:5000", "x", "", "", "r:5000/x"),
        ("r:5000/a/b/x:1", "r:5000", "a/b/x", "1", "", "r:5000/a/b/x:1"),
        ("registry.k8s.io/pause:3", "registry.k8s.io", "pause", "3", "", "registry.k8s.io/pause:3"),
        (f"a.b/c@{DIGEST}", "a.b", "c", "", DIGEST, f"a.b/c@{DIGEST}"),
        (f"a.b/c:1@{DIGEST}", "a.b", "c", "1", DIGEST, f"a.b/c:1@{DIGEST}"),
        (f"c@{DIGEST}", "", "c", "", DIGEST, f"docker.io/library/c@{DIGEST}"),
    ],
)
def test_parts(text: str, registry: str, repository: str, tag: str, digest: str, full: str) -> None:
    reference = ImageReference.parse(text)
    assert reference == ImageReference(repository, registry, tag, digest)
    assert str(reference) == text
    assert str(reference.full) == full
    assert reference.full.full == reference.full


@pytest.mark.parametrize("text", ["", "/", ":", "@", "a/", "/a:", "ä b/c"])
def test_any_text_is_taken_apart(text: str) -> None:
    """What a runtime lists is a host's word."""
    assert str(ImageReference.parse(text).full)


@pytest.mark.parametrize(
    ("image", "renamed"),
    [
        ("docker.io/calico/node:v3", "r:5000/k/calico/node:v3"),
        ("calico/node:v3", "r:5000/k/calico/node:v3"),
        ("quay.io/calico/node:v3", "r:5000/k/calico/node:v3"),
        ("localhost/node:v3", "r:5000/k/node:v3"),
        ("node:v3", "r:5000/k/node:v3"),
        ("busybox", "r:5000/k/busybox"),
        ("a.example.org:5000/b/c@sha256:d", "r:5000/k/b/c@sha256:d"),
    ],
)
@pytest.mark.parametrize("registry", ["r:5000/k", "r:5000/k/"])
def test_another_registry(image: str, renamed: str, registry: str) -> None:
    assert str(ImageReference.parse(image).at(registry)) == renamed
