"""That the apiserver reaches pods, or that verify warns: the lab's control plane is no node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.steps.checks.probe_answers import APISERVER
from lab.conformance import routes

from .harness import NODES

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = pytest.mark.sites


def test_a_control_plane_without_routes_to_pods_is_a_warning_and_with_them_none(
    nodes: Lab,
) -> None:
    seen = check(nodes)
    assert (seen["ok"], seen["warning"]) == (False, True)
    assert "does not reach those on n1, n2, n3" in seen["detail"]
    assert "routes" in seen["advice"]
    hosts = {name: str(nodes.layout.host(name).address) for name in NODES}
    with routes.to_pods(nodes.layout, nodes.kubectl_command(), hosts):
        seen = check(nodes)
    assert seen["ok"], seen
    assert not check(nodes)["ok"], "the routes are gone again"


def check(lab: Lab) -> dict[str, Any]:
    """Return that check, of a verify that ends well."""
    (found,) = [c for c in json.loads(lab.inv("verify", "--json").out)["checks"] if is_it(c)]
    return dict(found)


def is_it(found: dict[str, Any]) -> bool:
    return bool(found["name"] == APISERVER)
