"""A plan as text."""

from __future__ import annotations

from fabnode.cli.plan_view import plan_text
from fabnode.library.results import PlannedChange, PlannedNode, PlannedObject, PlanResult
from fabnode.steps.finding import Finding

CGROUP = Finding("warning", "it has cgroup v1", "boot it with v2")
DISK = Finding("warning", "its disk is nearly full", "make room")
CHANGE = PlannedChange("kubelet", "create", "file", "/k", "it is missing")


def test_what_preflight_finds_on_several_nodes_stands_once_with_their_names() -> None:
    nodes = (
        PlannedNode("n1", findings=(CGROUP,)),
        PlannedNode("n2", findings=(CGROUP, DISK)),
        PlannedNode("n3", changes=(CHANGE,), findings=(CGROUP,)),
    )
    plan = PlanResult(nodes)
    assert plan_text(plan).splitlines() == [
        "n1, n2, n3:",
        "  warning:  it has cgroup v1; boot it with v2",
        "n2:",
        "  warning:  its disk is nearly full; make room",
        "n3:",
        "  kubelet",
        "    create   /k: it is missing",
        "1 node would not change",
    ]
    assert [len(node["findings"]) for node in plan.to_dict()["nodes"]] == [1, 2, 1]


def test_why_certificates_are_kept_stands_with_the_nodes() -> None:
    why = "client, serving: left as they are: issued 8 minutes ago; `--issued-before now` renews it"
    plan = PlanResult((PlannedNode("n1", kept=(why,)), PlannedNode("n2", kept=(why,))))
    assert plan_text(plan).splitlines() == [
        f"n1, n2: {why}",
        "2 nodes would not change",
        "nothing to change",
    ]
    assert [node["kept"] for node in plan.to_dict()["nodes"]] == [[why], [why]]


def test_of_many_nodes_the_number_heads_the_names() -> None:
    nodes = tuple(PlannedNode(f"n{i}", findings=(CGROUP,)) for i in range(1, 6))
    assert plan_text(PlanResult(nodes)).splitlines() == [
        "5 nodes:",
        "  on n1, n2, n3, n4, n5",
        "  warning:  it has cgroup v1; boot it with v2",
        "5 nodes would not change",
        "nothing to change",
    ]


def test_nodes_that_an_error_keeps_from_being_changed_are_named_again_at_the_end() -> None:
    full = Finding("error", "its disk is full", "make room")
    nodes = (
        PlannedNode("n1", changes=(CHANGE,), findings=(full, CGROUP)),
        PlannedNode("n2", changes=(CHANGE,), findings=(CGROUP,)),
    )
    last = plan_text(PlanResult(nodes)).splitlines()[-1]
    assert last == "n1: nothing is changed there until the errors above are fixed"


def test_nodes_that_are_refused_are_not_said_to_be_as_they_should() -> None:
    full = Finding("error", "its disk is full", "make room")
    nodes = (PlannedNode("n1", findings=(full,)), PlannedNode("n2", findings=(full,)))
    end = "n1, n2: nothing is changed there until the errors above are fixed"
    assert plan_text(PlanResult(nodes)).splitlines() == [
        "n1, n2:",
        "  error:    its disk is full; make room",
        end,
    ]
    good = PlannedNode("n3")
    assert plan_text(PlanResult((*nodes, good))).splitlines()[-2:] == [
        "1 node would not change",
        end,
    ]


def test_a_rollout_stands_before_the_objects_that_bring_it_about() -> None:
    text = "Calico 3.28.5 → 3.32.1: calico-node is rolled, one node at a time"
    objects = (PlannedObject("update", "DaemonSet kube-system/calico-node", ("spec.template",)),)
    assert plan_text(PlanResult((), objects, rollout=text)).splitlines() == [
        "cluster:",
        f"  rollout  {text}",
        "  update   DaemonSet kube-system/calico-node (spec.template)",
    ]
