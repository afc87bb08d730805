"""
What is rendered for each release line, held against files under `snapshots/`.

One file per minor: everything of a node with containerd (docker, where there is no other) on cgroup
v2 (v1, where the kubelet knows no other), then what differs from it with the other runtime, on
cgroup v1, in the other modes of kube-proxy, and where Services and pods have IPv6.

After a change that is meant: `SNAPSHOTS=write pytest tests/steps/test_snapshots.py`, then read the
diff.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fabnode.node.facts import Facts
from fabnode.node.resources import Binary, File, Unit
from fabnode.releases import compatibility
from fabnode.releases.matrix import matrix
from fabnode.remote import examine
from fabnode.steps.order import NODE_STEPS
from tests.support import DUAL, IPV6, make_config

from .support import make_inputs

SNAPSHOTS = Path(__file__).parent / "snapshots"
MINORS = range(matrix().kubernetes.since, matrix().kubernetes.until or 0)
V1 = Facts(known=True, cgroup=1)
V2 = Facts(known=True, cgroup=2, systemd_resolved=True)
OLD = Facts(known=True, cgroup=1, systemd_resolved=True)

Files = dict[str, str]


def rendered(minor: int, facts: Facts, **overrides: Any) -> Files:
    """Return every text file of a node by path and mode; certificates cut to a word."""
    overrides["calico"] = {"enabled": False}
    cluster = {**overrides.pop("cluster", {}), "version": f"1.{minor}.0"}
    config = make_config(cluster=cluster, **overrides)
    files: Files = {}
    inputs = make_inputs(config, facts)
    for step in NODE_STEPS:
        for resource in step.resources(inputs):
            if isinstance(resource, File):
                text = "(issued)\n" if resource.content is None else resource.content.decode()
                text = re.sub(r"-----BEGIN[\s\S]*-----\n", "(CA certificate)\n", text)
                text = re.sub(r"(authority-data: ).*", r"\1(CA certificate)", text)
                files[f"{resource.path} {resource.mode:04o}"] = text
    return files


def changes(before: Files, after: Files) -> str:
    """Return what differs between two renderings, file by file."""
    parts = []
    for name in {**before, **after}:
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        lines = [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
        if name not in after:
            parts.append(f"--- {name}: is not there\n")
        elif lines:
            parts.append(f"--- {name}\n" + "\n".join(lines) + "\n")
    return "\n".join(parts) or "nothing\n"


def snapshot(minor: int) -> str:
    """Return all that is recorded of one minor."""
    runtimes = [name for name in ("containerd", "docker") if not compatibility.runtime(minor, name)]
    first, *others = runtimes
    facts = V2 if minor in matrix().kubelet.cgroup_v2 else OLD
    base = rendered(minor, facts, runtime={"name": first})
    parts = [f"=== {name}\n{text}" for name, text in base.items()]

    def differs(title: str, files: Files) -> None:
        parts.append(f"##### {title}: what differs\n{changes(base, files)}")

    differs("cgroup v1, without systemd-resolved", rendered(minor, V1, runtime={"name": first}))
    for name in others:
        differs(name, rendered(minor, facts, runtime={"name": name}))
    for mode in matrix().kube_proxy.modes:
        if mode != "iptables" and not compatibility.proxy_mode(minor, mode):
            settings = {"runtime": {"name": first}, "kube_proxy": {"mode": mode}}
            differs(f"kube-proxy in mode {mode}", rendered(minor, facts, **settings))
    known = matrix().kubelet
    families = (("IPv4 and IPv6", DUAL, known.dual_stack), ("IPv6 alone", IPV6, known.ipv6))
    for title, addresses, able in families:
        if minor in able:
            differs(title, rendered(minor, facts, **{**addresses, "runtime": {"name": first}}))
    return f"##### Kubernetes 1.{minor} with {first}, cgroup v{facts.cgroup}\n" + "\n".join(parts)


@pytest.mark.parametrize("minor", MINORS)
def test_rendered_files_are_as_recorded(minor: int) -> None:
    """Nothing that a node reads changes unseen, in any release line."""
    path = SNAPSHOTS / f"1.{minor}.txt"
    found = snapshot(minor)
    if os.environ.get("SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


def test_there_is_a_snapshot_of_every_minor_and_of_no_other() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == {f"1.{minor}" for minor in MINORS}


@pytest.mark.parametrize("line", matrix().containerd)
def test_containerd_gets_a_configuration_of_its_own_version(line: str) -> None:
    """It reads older ones as well, and warns; a newer one it refuses."""
    minor = next(m for m in MINORS if line in compatibility.containerd_series(m))
    settings = {"version": f"{line}.0", "sandbox_image": "registry.example.org/pause:3.9"}
    files = rendered(minor, V1, runtime=settings)
    config = tomllib.loads(files["/etc/containerd/config.toml 0644"])
    assert config["version"] == matrix().containerd[line].config
    cri = "io.containerd.cri.v1." if config["version"] > 2 else "io.containerd.grpc.v1.cri"
    plugins = [plugin for name, plugin in config["plugins"].items() if name.startswith(cri)]
    assert "registry.example.org/pause:3.9" in str(plugins)
    assert ("certs.d" in str(plugins)) is matrix().containerd[line].hosts_dir


PAIRS = [
    (minor, runtime)
    for minor in MINORS
    for runtime in ("containerd", "docker")
    if not compatibility.runtime(minor, runtime)
]


def test_every_minor_has_a_runtime_and_every_runtime_a_minor() -> None:
    assert {minor for minor, _ in PAIRS} == set(MINORS)
    assert {runtime for _, runtime in PAIRS} == {"containerd", "docker"}


@pytest.mark.parametrize(("minor", "runtime"), PAIRS)
def test_units_read_only_what_is_written(minor: int, runtime: str) -> None:
    """A unit that named a file which this release does not get would never be right."""
    config = make_config(
        cluster={"version": f"1.{minor}.0"}, runtime={"name": runtime}, calico={"enabled": False}
    )
    wanted = [r for step in NODE_STEPS for r in step.resources(make_inputs(config, V2))]
    written = {r.path for r in wanted if isinstance(r, File | Binary)}
    for unit in (r for r in wanted if isinstance(r, Unit)):
        assert set(unit.reads) <= written, unit.name
        assert unit.name in examine.UNITS, "the audit asks systemd about all that we install"
