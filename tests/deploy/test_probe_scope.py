"""What a probe has to report of a host, by what steps may want there."""

from __future__ import annotations

import pytest

from fabnode.deploy.probe_scope import watchlist
from fabnode.node import layout
from tests.support import make_config


@pytest.mark.parametrize("runtime", ["containerd", "docker"])
def test_folders_by_which_the_runtime_runs_programs_are_judged(runtime: str) -> None:
    config = make_config(
        cluster={"version": "1.20.2"},
        calico={"enabled": False},
        runtime={"name": runtime},
        paths={"cni_conf": "/etc/other/net.d"},
    )
    watch = watchlist((), config=config, node=config.nodes[0], deep=False)
    found = {each.path: each.by for each in watch.obeyed}
    assert found["/etc/other/net.d"] == "paths.cni_conf"
    assert (layout.CONTAINERD_CERTS in found) is (runtime == "containerd")
