"""Labels, annotations and taints: set, kept, taken away again, and others' left alone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.deploy.node_metadata import changes, patch
from fabnode.util.own_names import NODE_RECORD, NODE_SEAL
from tests.support import make_config

BATCH = {"key": "dedicated", "value": "batch", "effect": "NoSchedule"}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def live(
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    metadata = {"name": "n1", "resourceVersion": "7"}
    found = {"labels": labels, "annotations": annotations}
    return {
        "metadata": metadata | {k: v for k, v in found.items() if v is not None},
        "spec": {} if taints is None else {"taints": taints},
    }


def configured(
    labels: dict[str, str] | None = None,
    taints: list[str] | None = None,
    annotations: dict[str, str] | None = None,
    name: str = "n1",
) -> Any:
    marks = {"labels": labels or {}, "taints": taints or [], "annotations": annotations or {}}
    entry = {"name": name, "address": "192.0.2.11", **marks}
    return make_config(nodes=[entry]).nodes[0]


def merged(target: Any, changes: Any) -> Any:
    """Return what an apiserver makes of a merge patch (RFC 7386)."""
    if not isinstance(changes, dict):
        return changes
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in changes.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value)
    return made


def applied(object_: dict[str, Any], node: Any) -> dict[str, Any]:
    changes = patch(object_, node)
    made: dict[str, Any] = merged(deepcopy(object_), changes or {})
    return made


def own(object_: dict[str, Any]) -> dict[str, Any]:
    """Return labels, annotations and taints but for fabnode's record."""
    metadata = object_["metadata"]
    return {
        "labels": {k: v for k, v in (metadata.get("labels") or {}).items() if k != NODE_SEAL},
        "annotations": {
            k: v for k, v in (metadata.get("annotations") or {}).items() if k != NODE_RECORD
        },
        "taints": (object_["spec"].get("taints")) or [],
    }


ALL = configured({"disk": "ssd"}, ["dedicated=batch:NoSchedule"], {"rack": "7"})
NONE = configured()


def test_what_is_missing_is_set_and_what_others_set_stays() -> None:
    found = live(
        {"disk": "hdd", "other": "kept"}, [NOT_READY, {**BATCH, "value": "old"}], {"a": "b"}
    )
    made = applied(found, ALL)
    assert own(made) == {
        "labels": {"disk": "ssd", "other": "kept"},
        "annotations": {"a": "b", "rack": "7"},
        "taints": [NOT_READY, BATCH],
    }
    assert patch(made, ALL) is None
    assert changes(made, ALL) == ()


def test_what_is_no_longer_configured_is_taken_away() -> None:
    joined = applied(live({"other": "kept"}, [NOT_READY]), ALL)
    assert changes(joined, NONE) == ("disk-", "annotation rack-", "taint dedicated:NoSchedule-")
    made = applied(joined, NONE)
    assert made == live({"other": "kept"}, [NOT_READY], {}), "not even a record is left"


def test_what_somebody_else_changed_since_is_theirs() -> None:
    joined = applied(live(), ALL)
    joined["metadata"]["labels"]["disk"] = "nvme"
    joined["spec"]["taints"] = [{**BATCH, "value": "other"}]
    made = own(applied(joined, NONE))
    assert made["labels"] == {"disk": "nvme"}
    assert made["taints"] == [{**BATCH, "value": "other"}]


def test_what_was_there_before_it_was_configured_is_fabnodes_from_then_on() -> None:
    found = live({"disk": "ssd"}, [BATCH], {"rack": "7"})
    assert changes(found, ALL) == ("fabnode's record of labels and taints",)
    assert own(applied(applied(found, ALL), NONE)) == {
        "labels": {},
        "annotations": {},
        "taints": [],
    }


@pytest.mark.parametrize(
    "forge",
    [
        lambda labels, notes: notes.update({NODE_RECORD: '{"labels":{"keep-off":"1"}}'}),
        lambda labels, notes: notes.update({NODE_RECORD: "no JSON"}),
        lambda labels, notes: labels.pop(NODE_SEAL),
        lambda labels, notes: labels.update({NODE_SEAL: "0" * 40}),
    ],
)
def test_a_forged_record_takes_nothing_away(forge: Any) -> None:
    """A kubelet may write its annotations, but not this label: it must not gain by it."""
    node = applied(live({"keep-off": "1"}, [BATCH]), configured({"disk": "ssd"}))
    forge(node["metadata"]["labels"], node["metadata"]["annotations"])
    made = applied(node, configured({"disk": "ssd"}))
    assert own(made)["labels"] == {"disk": "ssd", "keep-off": "1"}
    assert own(made)["taints"] == [BATCH]
    assert patch(made, configured({"disk": "ssd"})) is None, "and the record is mended"


def test_another_nodes_record_does_not_count() -> None:
    other = applied(
        {**live(), "metadata": {"name": "n2", "resourceVersion": "1"}},
        configured({"keep-off": "1"}, name="n2"),
    )
    stolen = live(
        {"keep-off": "1", **other["metadata"]["labels"]}, [], other["metadata"]["annotations"]
    )
    assert own(applied(stolen, NONE))["labels"] == {"keep-off": "1"}


def test_a_patch_holds_for_the_node_as_it_was_seen() -> None:
    changes = patch(live(), ALL)
    assert changes
    assert changes["metadata"]["resourceVersion"] == "7"


def test_a_node_that_is_not_there_yet_lacks_everything() -> None:
    assert changes(None, ALL) == (
        "disk=ssd",
        "annotation rack=7",
        "taint dedicated=batch:NoSchedule",
    )
    assert changes(None, NONE) == ()
    assert changes(live(), configured(taints=["slow:NoExecute"])) == ("taint slow:NoExecute",)


AGENT = {"key": "agent-not-ready", "value": "", "effect": "NoExecute"}


def starting(taints: list[str], startup: list[str]) -> Any:
    entry = {"name": "n1", "address": "192.0.2.11", "taints": taints}
    return make_config(nodes=[{**entry, "kubelet": {"startup_taints": startup}}]).nodes[0]


def test_startup_taints_are_announced_for_a_node_that_is_to_register() -> None:
    node = starting(["dedicated=batch:NoSchedule"], ["agent-not-ready:NoExecute"])
    assert changes(None, node) == (
        "taint dedicated=batch:NoSchedule",
        "taint agent-not-ready:NoExecute as it registers",
    )


@pytest.mark.parametrize("found", [[], [AGENT]])
def test_startup_taints_are_neither_set_nor_taken_off_later(found: list[dict[str, str]]) -> None:
    node = starting(["dedicated=batch:NoSchedule"], ["agent-not-ready:NoExecute"])
    made = applied(live(taints=found), node)
    assert own(made)["taints"] == [*found, BATCH]
    assert changes(made, node) == ()
    without = starting(["dedicated=batch:NoSchedule"], [])
    assert patch(made, without) is None


def test_a_taint_that_becomes_a_startup_taint_is_left_to_whoever_takes_it_off() -> None:
    made = applied(live(), configured(taints=["agent-not-ready:NoExecute"]))
    after = applied(made, starting([], ["agent-not-ready:NoExecute"]))
    assert own(after)["taints"] == [AGENT]
    assert own(applied(after, configured()))["taints"] == [AGENT], "and it is no longer fabnode's"


def test_long_annotations_are_not_shown_whole() -> None:
    node = configured(annotations={"note": "two\nlines"})
    assert changes(None, node) == ("annotation note=(9 characters)",)


KEYS = st.sampled_from(["a", "b", "example.org/c"])
MAPS = st.dictionaries(KEYS, st.sampled_from(["", "1", "2"]), max_size=3)
EFFECTS = st.sampled_from(["NoSchedule", "NoExecute"])
TAINTS = st.dictionaries(st.tuples(KEYS, EFFECTS), st.sampled_from(["", "1"]), max_size=3)


class Configured:
    """A node as far as marks are concerned."""

    def __init__(self, labels: Any, annotations: Any, taints: Any) -> None:
        self.name, self.labels, self.annotations = "n1", labels, annotations
        self.taints = [Taint(key, effect, value) for (key, effect), value in taints.items()]
        self.startup_taints = ()


class Taint:
    def __init__(self, key: str, effect: str, value: str) -> None:
        self.key, self.effect, self.value = key, effect, value


NODES = st.builds(Configured, MAPS, MAPS, TAINTS)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    labels=st.dictionaries(st.sampled_from(["x", "y"]), st.just("foreign")),
    nodes=st.lists(NODES, min_size=1, max_size=4),
)
def test_any_row_of_configurations_ends_as_the_last_one_alone(
    labels: dict[str, str], nodes: list[Any]
) -> None:
    node = live(dict(labels), [NOT_READY])
    for wanted in nodes:
        node = applied(node, wanted)
        assert patch(node, wanted) is None
    assert own(node)["labels"] == labels | nodes[-1].labels
    assert own(node)["annotations"] == nodes[-1].annotations
    kept = {(t["key"], t["effect"]): t.get("value", "") for t in own(node)["taints"]}
    ends = {(t.key, t.effect): t.value for t in nodes[-1].taints}
    assert kept == {(NOT_READY["key"], "NoSchedule"): ""} | ends
