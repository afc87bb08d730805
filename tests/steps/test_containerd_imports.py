"""Files that containerd imports: what they override of a node's configuration, and what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabnode.node.facts import Facts
from fabnode.steps import runtime
from fabnode.steps.containerd_imports import findings, imported
from fabnode.steps.finding import Finding
from tests.support import make_config

from .support import assert_finding, make_inputs

FILE = "/etc/containerd/conf.d/10-site.toml"
NVIDIA = """
version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia.options]
  BinaryName = "/usr/bin/nvidia-container-runtime"
  SystemdCgroup = true
"""
OLDER_NVIDIA = """
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"
"""
CNI = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\n"
RUNC = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n"
OLDER_RUNC = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\n'


def found(text: str, version: str = "2.4.2", path: str = FILE) -> tuple[Finding, ...]:
    kubernetes = "1.37.2" if version.startswith("2.") else "1.30.4"
    config = make_config(cluster={"version": kubernetes}, runtime={"version": version})
    facts = Facts(known=True, config_files={path: tuple(text.splitlines())})
    return tuple(findings(facts, runtime.desired(make_inputs(config, facts))))


CASES: list[tuple[str, str, str | None, str]] = [
    (RUNC + "SystemdCgroup = false", "2.4.2", "error", "SystemdCgroup (true → false)"),
    (f"version = 2\n{OLDER_RUNC}SystemdCgroup = false", "2.4.2", "error", "SystemdCgroup (true"),
    (
        'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "x"',
        "2.4.2",
        "error",
        'sandbox ("registry.k8s.io/pause:3.10.1" → "x")',
    ),
    ('version = 3\nroot = "/x"', "2.4.2", "error", 'root ("/var/lib/containerd" → "/x")'),
    ('version = 3\n[grpc]\naddress = "/x"', "2.4.2", "error", 'address ("/run/containerd/contai'),
    (
        "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nconf_dir = '/x'",
        "2.4.2",
        "error",
        'conf_dir ("/etc/cni/net.d" → "/x")',
    ),
    ('version = 3\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]', "2.4.2", "error", "disabled"),
    ("version = 9", "2.4.2", "error", "of version 9, while 4 is the newest it reads"),
    ("version = [", "2.4.2", "error", f"containerd does not start with {FILE}, which is no TOML"),
    (CNI + "bin_dirs = ['/x']", "2.4.2", "error", 'bin_dirs (["/opt/cni/bin"] → ["/x"])'),
    (CNI + "bin_dirs = ['/x', '/opt/cni/bin']", "2.4.2", "error", 'bin_dirs (["/opt/cni/bin"] →'),
    # Until 1.x the whole section goes.
    (OLDER_NVIDIA, "1.7.33", "error", 'sandbox_image ("registry.k8s.io/pause:3.10.1" → unset)'),
    ('version = 3\nroot = "/x"', "1.7.33", "error", "of version 3, while 2 is the newest"),
    # Near misses.
    (CNI + "bin_dirs = ['/opt/cni/bin', '/x']", "2.4.2", None, ""),
    (NVIDIA, "2.4.2", None, ""),
    (OLDER_NVIDIA, "2.4.2", None, ""),
    (RUNC + "SystemdCgroup = true", "2.4.2", None, ""),
    ("version = 3\n[debug]\nlevel = 'debug'", "2.4.2", None, ""),
    ("version = 2\n[proxy_plugins.stargz]\ntype = 'snapshot'", "1.7.33", None, ""),
    ('version = 3\ndisabled_plugins = ["io.containerd.snapshotter.v1.zfs"]', "2.4.2", None, ""),
]


@pytest.mark.parametrize(("text", "version", "level", "sentence"), CASES)
def test_each_override_is_found_with_its_fix(
    text: str, version: str, level: str | None, sentence: str
) -> None:
    assert_finding(found(text, version), level, sentence)


def test_a_further_folder_of_network_plugins_is_no_override() -> None:
    """Where fabnode writes the list, containerd adds to it; where not, the file's own counts."""
    config = make_config(paths={"cni_bin": "/data/cni"}, runtime={"version": "2.4.2"})
    facts = Facts(known=True, config_files={FILE: (*CNI.splitlines(), "bin_dirs = ['/x']")})
    assert tuple(findings(facts, runtime.desired(make_inputs(config, facts)))) == ()


def test_only_what_containerd_imports_counts_in_its_order() -> None:
    assert found(RUNC + "SystemdCgroup = false", path="/etc/containerd/other/x.toml") == ()
    files = {f"/etc/containerd/conf.d/{name}.toml": () for name in ("b", "a")}
    assert [Path(path).stem for path in imported(Facts(config_files=files))] == ["a", "b"]


def test_docker_has_no_such_files() -> None:
    config = make_config(cluster={"version": "1.30.4"}, runtime={"name": "docker"})
    facts = Facts(known=True, config_files={FILE: ("version = [",)})
    assert tuple(findings(facts, runtime.desired(make_inputs(config, facts)))) == ()
