"""A site's own flags of kubelet and kube-proxy."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.node import layout
from fabnode.node.resources import File
from fabnode.steps import kubelet, proxy
from fabnode.steps.render import with_extra_flags
from tests.support import make_config

from .support import make_inputs


@pytest.mark.parametrize(
    ("section", "step", "path"),
    [("kubelet", kubelet, layout.KUBELET_UNIT), ("kube_proxy", proxy, layout.PROXY_UNIT)],
)
def test_they_come_after_fabnodes_and_replace_a_default(
    section: str, step: object, path: str
) -> None:
    extra: dict[str, Any] = {"v": 4, "profiling": False, "feature-x": "a<1,b=2"}
    settings: dict[str, Any] = {section: {"extra_args": extra}}
    inputs = make_inputs(make_config(**settings))
    desired = step.desired(inputs)  # type: ignore[attr-defined]
    (unit,) = (each for each in desired if isinstance(each, File) and each.path == path)
    line = (unit.content or b"").decode().partition("ExecStart=")[2].partition("\nRestart=")[0]
    flags = [word for word in line.split() if word.startswith("--")]
    assert flags[-3:] == ["--feature-x=a<1,b=2", "--profiling=false", "--v=4"]
    assert "--v=2" not in flags


def test_a_flag_whose_name_only_begins_so_stays() -> None:
    assert with_extra_flags(("--v=2", "--vmodule=x=1"), {"v": "4"}) == ("--vmodule=x=1", "--v=4")
