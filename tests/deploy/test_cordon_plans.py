"""What a cordon, and its end, would change: by what is there, and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabnode.deploy import cordon_plans, draining
from fabnode.deploy.cordons import ForeignCordonError
from tests.upkeep.pods import node

from .nodes_in_use import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.deploy.cordon_plans import CordonPlan
    from fabnode.deploy.run import Run
    from fabnode.util.fan_out import Outcome


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def planned(
    scene: Scene, plan: Callable[[Run], dict[str, Outcome[CordonPlan]]]
) -> tuple[str, bool]:
    before = list(scene.api.reported)
    outcome = plan(scene.run())["n1"]
    assert scene.api.reported == before
    if outcome.error:
        raise outcome.error
    assert outcome.value
    return outcome.value.text, outcome.value.changes


def test_a_node_that_nobody_cordoned(scene: Scene) -> None:
    assert planned(scene, cordon_plans.plan_cordon) == ("takes no new pods", True)
    assert planned(scene, cordon_plans.plan_uncordon) == ("is not cordoned", False)


def test_a_node_that_we_cordoned(scene: Scene) -> None:
    draining.cordon(scene.run())
    text, changes = planned(scene, cordon_plans.plan_cordon)
    assert text.startswith("is cordoned, and stays so: ours: cordon (begun) by ")
    assert not changes
    text, changes = planned(scene, cordon_plans.plan_uncordon)
    assert text.startswith("takes pods again; ends: cordon (begun) by ")
    assert changes


def test_a_node_that_others_cordoned(scene: Scene) -> None:
    scene.api.nodes["n1"] = node(cordoned=True, manager="kubectl")
    text, _ = planned(scene, cordon_plans.plan_cordon)
    assert text == "is cordoned, and stays so: somebody else's, written by kubectl"
    with pytest.raises(ForeignCordonError):
        planned(scene, cordon_plans.plan_uncordon)


def test_a_record_that_is_left_goes(scene: Scene) -> None:
    draining.cordon(scene.run())
    del scene.api.nodes["n1"]["spec"]["unschedulable"]
    text, changes = planned(scene, cordon_plans.plan_uncordon)
    assert text.startswith("is not cordoned; ends: cordon (begun) by ")
    assert changes
