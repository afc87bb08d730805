"""What explains others comes before them; what several nodes share is reported as such."""

from __future__ import annotations

import pytest

from fabnode.doctor.cause import EXPLAINS, SHARED, Cause, Fix, common, explained, ranked, roots


def cause(key: str) -> Cause:
    return Cause(key, f"{key} is wrong", "seen", Fix("mend it"))


@pytest.mark.parametrize("key", EXPLAINS)
def test_a_cause_stands_before_all_that_it_explains(key: str) -> None:
    order = list(EXPLAINS)
    for other in EXPLAINS[key]:
        assert order.index(key) < order.index(other), f"{key} explains {other}"


def test_what_is_shared_is_known() -> None:
    assert set(EXPLAINS) >= SHARED


@pytest.mark.parametrize(
    ("found", "first", "root"),
    [
        (
            ("not-ready", "kubelet-crashes", "runtime-down", "disk-full", "runtime-crashes"),
            "disk-full",
            ("disk-full",),
        ),
        (("not-ready", "cordoned"), "not-ready", ("not-ready", "cordoned")),
        (("drift", "kubelet-field", "kubelet-crashes"), "kubelet-field", ("kubelet-field",)),
        (("tainted", "not-reporting", "host-down"), "host-down", ("host-down", "tainted")),
        (("kubelet-unreached", "serving-waits"), "serving-waits", ("serving-waits",)),
        ((), None, ()),
    ],
)
def test_what_explains_the_rest_comes_first(
    found: tuple[str, ...], first: str | None, root: tuple[str, ...]
) -> None:
    causes = ranked([cause(key) for key in found])
    assert len(causes) == len(found)
    assert (causes[0].key if causes else None) == first
    assert tuple(each.key for each in roots(causes)) == root


def test_of_one_key_the_first_evidence_is_kept() -> None:
    again = Cause("disk-full", "another", "seen later", Fix("x"))
    assert ranked([cause("disk-full"), again]) == (cause("disk-full"),)


def test_what_explains_a_cause_is_the_first_that_does() -> None:
    causes = ranked([cause(key) for key in ("disk-full", "runtime-down", "not-ready")])
    assert explained(causes) == {"runtime-down": "disk-full", "not-ready": "disk-full"}


def test_what_several_nodes_share_is_not_theirs() -> None:
    found = {
        "n1": ranked([cause("api-unreached"), cause("not-ready")]),
        "n2": ranked([cause("api-unreached"), cause("cordoned")]),
        "n3": ranked([cause("kubelet-down")]),
    }
    (one,) = common(found)
    assert (one.cause.key, one.nodes) == ("api-unreached", ("n1", "n2"))


@pytest.mark.parametrize(
    "found",
    [
        {"n1": ("kubelet-down",), "n2": ("kubelet-down",)},
        {"n1": ("api-unreached",), "n2": ()},
        {"n1": ("disk-full", "network-pod"), "n2": ("disk-full", "network-pod")},
        {"n1": ("kubelet-frozen", "kubelet-unreached"), "n2": ("kubelet-unreached",)},
    ],
)
def test_what_each_can_have_alone_is_not_shared(found: dict[str, tuple[str, ...]]) -> None:
    causes = {name: ranked([cause(key) for key in keys]) for name, keys in found.items()}
    assert common(causes) == ()
