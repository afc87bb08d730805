"""What a change of releases is and does, by the releases that a node reports and is to have."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.kube.node_status import versions as reported
from fabnode.releases import upgrade_effects
from fabnode.releases.version import Release
from fabnode.releases.version_change import Versions, version_change


def versions(kubelet: str, runtime: str = "containerd 2.3.4") -> Versions:
    name, _, release = runtime.partition(" ")
    return Versions(Release.parse(kubelet), name, Release.parse(release) if release else None)


def node(kubelet: object, runtime: object) -> dict[str, object]:
    info = {"kubeletVersion": kubelet, "containerRuntimeVersion": runtime}
    return {"metadata": {"name": "n1"}, "status": {"nodeInfo": info}}


@pytest.mark.parametrize(
    ("kubelet", "runtime", "expected"),
    [
        ("v1.37.2", "containerd://2.3.4", versions("1.37.2")),
        ("v1.37.2+k3s1", "containerd://v2.3.4-k3s1", versions("1.37.2")),
        ("v1.23.17", "docker://20.10.24", versions("1.23.17", "docker 20.10.24")),
        ("", "", Versions(None)),
        (7, ["x"], Versions(None)),
        ("v99999.1.1", "containerd://1.99999.1", Versions(None, "containerd")),
    ],
)
def test_what_a_node_reports(kubelet: object, runtime: object, expected: Versions) -> None:
    assert reported(node(kubelet, runtime)) == expected


def test_a_node_that_has_reported_nothing() -> None:
    assert reported({"metadata": {"name": "n1"}}) == Versions(None)
    assert reported({"metadata": {"name": "n1"}, "status": None}) == Versions(None)


@pytest.mark.parametrize(
    ("old", "new", "texts", "drains"),
    [
        (versions("1.37.2"), versions("1.37.2"), (), False),
        (versions("1.37.1"), versions("1.37.2"), ("kubelet 1.37.1 → 1.37.2",), False),
        (versions("1.36.3"), versions("1.37.2"), ("kubelet 1.36.3 → 1.37.2",), True),
        (
            versions("1.37.2", "containerd 2.3.3"),
            versions("1.37.2"),
            ("containerd 2.3.3 → containerd 2.3.4",),
            True,
        ),
        # What is not known is no change: nothing of it would be shown.
        (Versions(None), versions("1.37.2"), (), False),
        (versions("1.37.2"), versions("1.37.2", "containerd"), (), False),
    ],
)
def test_what_changes(old: Versions, new: Versions, texts: tuple[str, ...], drains: bool) -> None:
    found = version_change(old, new)
    assert (found.texts, found.drains) == (texts, drains)
    assert not found.refusal


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        ("1.30.14", "1.31.2", "containers restart"),
        ("1.31.2", "1.30.14", "containers restart"),
        ("1.20.15", "1.21.14", "static pods are made again"),
        ("1.23.17", "1.24.17", "staged CSI volumes move"),
        ("1.25.16", "1.26.15", "the runtime is spoken to by CRI v1 alone"),
        ("1.26.15", "1.27.16", "the kubelet writes the last phase of pods that end"),
        ("1.34.2", "1.35.1", "cgroup v1 stops the kubelet, unless failCgroupV1 is false"),
    ],
)
def test_what_a_crossing_does(old: str, new: str, effect: str) -> None:
    assert effect in version_change(versions(old), versions(new)).effects


@pytest.mark.parametrize(
    ("old", "new"), [("docker 20.10.24", "containerd 2.3.4"), ("containerd 2.3.4", "docker")]
)
def test_another_runtime_is_refused(old: str, new: str) -> None:
    found = version_change(versions("1.23.17", old), versions("1.24.17", new))
    name = old.partition(" ")[0]
    assert found.refusal.startswith(f"{name} is not changed to {new.partition(' ')[0]}")
    assert f"configure runtime.name: {name}" in found.advice


@pytest.mark.parametrize(
    ("old", "new", "older"),
    [("1.37.2", "1.36.3", True), ("1.37.2", "1.37.1", False), ("1.36.3", "1.37.2", False)],
)
def test_an_older_minor_is_reported_and_ends_the_nodes_own_pods(
    old: str, new: str, older: bool
) -> None:
    found = version_change(versions(old), versions(new))
    assert (found.older, found.ends_pods) == (older, older)
    assert any(effect.startswith("an older minor") for effect in found.effects) is older


def test_a_crossing_of_one_runtime_is_reported_of_no_other() -> None:
    text = "docker is spoken to through cri-dockerd, every container is new"
    docker = version_change(versions("1.23.17", "docker"), versions("1.24.17", "docker"))
    assert text in docker.effects
    assert text not in version_change(versions("1.23.17"), versions("1.24.17")).effects


@pytest.mark.parametrize(
    ("old", "new", "edges"),
    [("1.7.33", "2.0.10", 2), ("1.7.33", "2.3.4", 3), ("2.2.5", "2.3.4", 1), ("2.3.4", "2.4.2", 0)],
)
def test_what_shims_of_one_side_do_with_daemons_of_the_other(
    old: str, new: str, edges: int
) -> None:
    before, after = versions("1.37.2", f"containerd {old}"), versions("1.37.2", f"containerd {new}")
    found = version_change(before, after).effects
    assert (
        len([effect for effect in found if "shim" in effect or "starts again" in effect]) == edges
    )


@pytest.mark.parametrize(
    ("program", "old", "new"),
    [
        ("kubelet patch", versions("1.37.1"), versions("1.37.2")),
        ("kubelet minor", versions("1.36.3"), versions("1.37.2")),
        ("containerd", versions("1.37.2", "containerd 2.3.3"), versions("1.37.2")),
    ],
)
def test_what_goes_back_without_pods_is_changed_without_them(
    program: Any, old: Versions, new: Versions
) -> None:
    known = upgrade_effects.goes_back(program)
    assert version_change(old, new).drains is (known.failed == "without pods")
    assert known.older is not bool(version_change(new, old).refusal)


def test_a_crossing_that_does_nothing_to_pods() -> None:
    assert version_change(versions("1.36.3"), versions("1.37.2")).effects == ()


@pytest.mark.parametrize(
    ("old", "new", "refusal", "advice"),
    [
        ("1.7.33", "2.3.4", "", ""),
        ("1.7.33", "2.0.10", "", ""),
        ("2.3.4", "2.4.2", "", ""),
        (
            "1.7.33",
            "2.4.2",
            "1.7 can't be upgraded to 2.4 directly",
            "configure runtime.version: 2.3.4, with its programs among the artifacts, and run"
            " inv upgrade; then the same with 2.4.2",
        ),
        (
            "1.7.33",
            "2.2.4",
            "1.7 can't be upgraded to 2.2 directly",
            "runtime.version: 2.0.10, with its programs among the artifacts, and run inv upgrade;"
            " then the same with 2.1.9, then 2.2.4",
        ),
        ("2.4.2", "1.7.33", "is older than the 2.4.2 that runs", "configure what runs"),
        ("2.4.2", "2.4.1", "is older than", "configure what runs"),
        # A series that is not known here: nothing is known against it.
        ("1.2.0", "2.4.2", "", ""),
    ],
)
def test_ways_of_containerd(old: str, new: str, refusal: str, advice: str) -> None:
    found = version_change(
        versions("1.36.3", f"containerd {old}"), versions("1.36.3", f"containerd {new}")
    )
    assert refusal in found.refusal
    assert bool(found.refusal) == bool(refusal)
    assert advice in found.advice


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (
            "containerd",
            "containerd 2.3.4 → the containerd of the artifacts (runtime.version says no release)",
        ),
        ("containerd 2.3.4", "containerd 2.3.4 → another containerd 2.3.4"),
        ("containerd 2.4.2", "containerd 2.3.4 → containerd 2.4.2"),
    ],
)
def test_another_program_is_a_change_whatever_its_release(new: str, text: str) -> None:
    old = versions("1.37.2")
    found = version_change(old, versions("1.37.2", new), replaced=True)
    assert (found.texts, found.runtime) == ((text,), True)
    # Of a node that has reported nothing, nothing is known to run.
    assert not version_change(Versions(None), versions("1.37.2", new), replaced=True).drains
