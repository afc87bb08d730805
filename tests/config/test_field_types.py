"""Values are of the types that a component's decoder insists on; others are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fabnode.config import reserved_fields
from fabnode.releases.matrix import matrix
from fabnode.util.problems import ConfigError
from tests.support import make_config

if TYPE_CHECKING:
    from collections.abc import Iterable

NEWEST = 37


def refused(found: Iterable[tuple[Any, str, str]]) -> dict[str, str]:
    return {".".join(map(str, path)): f"{message}; {hint}" for path, message, hint in found}


@pytest.mark.parametrize(
    ("field", "good", "bad", "expected"),
    [
        ("imageGCHighThresholdPercent", [85, 0], ["85%", "85", 85.5, True, [85]], "a whole number"),
        ("serializeImagePulls", [True, False], ["yes", "true", 1], "true or false"),
        ("containerLogMaxSize", ["10Mi", ""], [10, True, ["10Mi"]], "text"),
        (
            "syncFrequency",
            ["90s", "1h30m", "1.5h", "0", "-1s", ".5s"],
            [90, "90", "5 m", "", None, "1d"],
            "a duration",
        ),
        ("memoryThrottlingFactor", [1, 0.9], ["0.9", True], "a number"),
        ("enforceNodeAllocatable", [["pods"], []], ["pods", ["pods", 1], {"pods": 1}], "a list of"),
        ("tlsCurvePreferences", [[29, 23]], [["29"], 29], "a list of whole numbers"),
        (
            "kubeReserved",
            [{"cpu": "1"}, {}],
            [{"cpu": 1}, ["cpu=1"], "cpu=1"],
            "a mapping to texts",
        ),
        (
            "featureGates",
            [{"SidecarContainers": True}],
            [{"SidecarContainers": "true"}],
            "a mapping",
        ),
    ],
)
def test_values_are_of_the_type_that_the_kubelet_reads(
    field: str, good: list[Any], bad: list[Any], expected: str
) -> None:
    for value in good:
        assert refused(reserved_fields.kubelet({field: value}, NEWEST)) == {}, value
    for value in bad:
        found = refused(reserved_fields.kubelet({field: value}, NEWEST))
        assert found.keys() == {field}, value
        assert found[field].startswith(f"must be {expected}"), value


def test_fields_within_a_field_are_judged_as_well() -> None:
    found = refused(
        reserved_fields.kube_proxy({"conntrack": {"min": "131072", "tcpBeLiberal": True}}, NEWEST)
    )
    assert found.keys() == {"conntrack.min"}
    assert "must be a whole number, got '131072'" in found["conntrack.min"]


def test_a_field_that_is_refused_anyway_is_named_once() -> None:
    (found,) = reserved_fields.kubelet({"maxPods": "110"}, NEWEST)
    assert found[1].startswith("can't be set here")
    (found,) = reserved_fields.kubelet({"tlsCurvePreferences": "29"}, 20)
    assert found[1] == "Kubernetes 1.20 does not know this field"


def test_the_file_names_line_and_key() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(kubelet={"config": {"imageGCHighThresholdPercent": "85%"}})
    (problem,) = caught.value.problems
    assert problem.key == "kubelet.config.imageGCHighThresholdPercent"
    assert problem.message == "must be a whole number, got '85%'"
    assert problem.line


@pytest.mark.parametrize("component", [matrix().kubelet, matrix().kube_proxy], ids=["let", "proxy"])
def test_each_field_has_one_type_and_is_known(component: Any) -> None:
    fields = [field for of_kind in component.types.values() for field in of_kind]
    assert len(fields) == len(set(fields))
    known = {*component.always, *component.fields}
    known |= {name.split(".")[0] for name in component.settings}
    known |= {path[0] for path in (*reserved_fields.KUBELET, *reserved_fields.KUBE_PROXY)}
    assert {field.split(".")[0] for field in fields} <= known
    for parent, parts in component.parts.items():
        inside = {f.removeprefix(f"{parent}.") for f in fields if f.startswith(f"{parent}.")}
        assert {name for name in inside if "." not in name} <= parts
