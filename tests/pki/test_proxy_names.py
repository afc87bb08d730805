"""A name for each node's kube-proxy, which a certificate can bear."""

from __future__ import annotations

import pytest

from fabnode.pki import proxy_names
from fabnode.pki.certificates import new_request

NAMES = ("n1", "node.example.org", "n" * 46, "n" * 47, "a.b-c" * 12 + "xyz")


@pytest.mark.parametrize("node", NAMES)
def test_every_node_name_gives_a_common_name(node: str) -> None:
    name = proxy_names.own(node)
    assert name.startswith("system:kube-proxy:")
    assert len(name) <= 64
    new_request(name, {})  # raises for one that a certificate can't bear


def test_names_that_fit_are_the_nodes_own() -> None:
    assert proxy_names.own("n1") == "system:kube-proxy:n1"
    assert proxy_names.own("n" * 46) == f"system:kube-proxy:{'n' * 46}"


def test_long_names_that_begin_alike_are_told_apart() -> None:
    one, other = (proxy_names.own("n" * 62 + end) for end in "ab")
    assert one != other
    assert one[:50] == other[:50]


@pytest.mark.parametrize(
    ("common_name", "is_of"),
    [
        ("system:kube-proxy", True),
        ("system:kube-proxy:n1", True),
        ("system:kube-proxy:n2", False),
        ("system:kube-proxy:", False),
        ("system:node:n1", False),
    ],
)
def test_a_nodes_certificate_bears_its_own_name_or_the_one_of_all(
    common_name: str, is_of: bool
) -> None:
    assert proxy_names.is_of(common_name, "n1") is is_of
