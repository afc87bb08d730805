"""What of a node's own pods starts again, counted."""

from __future__ import annotations

from fabnode.upkeep import restarts
from tests.upkeep.pods import pod


def test_containers_of_its_own_pods_are_counted_and_of_no_others() -> None:
    own = pod("agent", controller=("apps/v1", "DaemonSet"))
    own["spec"]["containers"] = [{}, {}]
    effects = ("containers restart", "staged CSI volumes move")
    assert restarts.counted_effects(effects, [own, pod("a")]) == (
        "containers restart (2 containers of the node's own pods)",
        "staged CSI volumes move",
    )
    assert restarts.restarts_containers(effects)
    assert not restarts.restarts_containers(effects[1:])
