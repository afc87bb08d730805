"""Waves: what can be borne at once, what is shared, and what is no node's own fault."""

from __future__ import annotations

import pytest

from fabnode.upkeep import waves

from .pods import budget, pod

NODES = ("n1", "n2", "n3", "n4")


@pytest.mark.parametrize(
    ("size", "down", "shares", "expected"),
    [
        (1, (), {}, ("n1",)),
        (2, (), {}, ("n1", "n2")),
        (9, (), {}, NODES),
        # What is down already is away: it takes the place of one that would be.
        (1, ("other",), {}, ()),
        (3, ("other",), {}, ("n1", "n2")),
        # Those that wait and are down cost nothing that is there.
        (1, ("n3",), {}, ("n3",)),
        (1, ("n3", "other"), {}, ("n3",)),
        (2, ("n3", "n4"), {}, ("n3", "n4")),
        # n1 and n2 have pods of one budget; n3 of another.
        (3, (), {"n1": {"a"}, "n2": {"a", "b"}, "n3": {"b"}}, ("n1", "n3", "n4")),
    ],
)
def test_a_wave_is_what_can_be_borne(
    size: int, down: tuple[str, ...], shares: dict[str, set[str]], expected: tuple[str, ...]
) -> None:
    frozen = {name: frozenset(names) for name, names in shares.items()}
    assert waves.next_wave(NODES, size, down=down, shares=frozen) == expected


def test_pods_share_budgets_and_stateful_sets() -> None:
    own = pod("own", controller=("apps/v1", "DaemonSet"))
    done = pod("done", phase="Succeeded")
    found = waves.shared(
        [
            pod("web-1"),
            pod("db-0", controller=("apps/v1", "StatefulSet"), labels={"app": "db"}),
            own | {"spec": {"nodeName": "n2"}},
            done | {"spec": {"nodeName": "n3"}},
        ],
        [budget()],
    )
    assert found == {"n1": {"budget shop/web", "StatefulSet shop/web"}}


def test_one_cause_of_two_nodes_is_none_of_their_own() -> None:
    found = waves.common_cause(
        {
            "n1": ("n1 (10.0.0.1): no conntrack", ["10.0.0.1"]),
            "n2": ("n2 has another fault", ["10.0.0.2"]),
            "n3": ("n3 (10.0.0.3): no conntrack", ["10.0.0.3"]),
        }
    )
    assert found.startswith("n1 and n3 failed with the same cause")


def test_causes_that_differ_are_each_nodes_own() -> None:
    causes: dict[str, tuple[str, list[str]]] = {
        "n1": ("n1: no conntrack", []),
        "n10": ("n1: no swap", []),
        "n2": ("full", []),
    }
    assert waves.common_cause(causes) == ""
