"""Waves over nodes of which some are unavailable: what counts, and what is reported."""

from __future__ import annotations

import pytest

from fabnode.deploy import draining
from fabnode.deploy.wave_runner import TooManyDownError
from fabnode.upkeep.departures import Permits
from tests.upkeep.pods import node

from .test_maintenance import Maintained


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Maintained:
    return Maintained(monkeypatch)


def test_a_node_that_was_drained_by_hand_is_away(scene: Maintained) -> None:
    """Its pods are elsewhere, and need what is left."""
    draining.drain(scene.run("n3"), Permits())
    before = list(scene.api.reported)
    error = scene.maintain("n1")["n1"].error
    assert isinstance(error, TooManyDownError)
    assert error.message == (
        "skipped: n3 (drained) is unavailable, and at most 1 node may be unavailable at once"
        " (maintenance.batch)"
    )
    assert "inv uncordon --limit n3 has them take pods again" in error.advice
    assert scene.api.reported == before
    draining.uncordon(scene.run("n3"))
    assert scene.maintain("n1")["n1"].ok


def test_a_cordon_of_others_holds_up_no_wave(scene: Maintained) -> None:
    """So control planes are kept free of pods, which are there all the same."""
    scene.api.nodes["n3"] = node("n3", cordoned=True, manager="kubectl-cordon")
    assert scene.maintain("n1")["n1"].ok
