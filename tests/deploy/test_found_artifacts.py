"""A folder of artifacts says what a first configuration takes of it, and of which releases."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabnode.config.loader import load
from fabnode.config.starter import Findings, Known, Missing, Network, write
from fabnode.deploy.found_artifacts import added, find_artifacts, summary
from fabnode.releases.matrix import matrix
from fabnode.util.errors import InputError
from tests.support import write_cluster

PAUSE = "registry.k8s.io/pause:3.10.1"
NEWEST = str(matrix().containerd["2.4"].newest)
ELF = b"\x7fELF" + b"\x02\x01\x01" + bytes(11) + (62).to_bytes(2, "little")


def image(path: Path, *names: str) -> None:
    """Write an image archive with these references."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([{"Config": "c.json", "RepoTags": names, "Layers": []}]).encode()
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))


def program(path: Path, *releases: str) -> None:
    """Write what looks like a program that names these releases."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ELF + b"".join(b"\0v" + each.encode() + b"\0" for each in releases))


def manifest(path: Path, tag: str = "v3.28.5") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("cni", "cni", "node", "kube-controllers")
    path.write_text(
        "".join(f"      - image: docker.io/calico/{n}:{tag}\n        x: 1\n" for n in names)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with all that a deployment takes."""
    made = tmp_path / "artifacts"
    program(made / "bin/kubelet", "1.37.2", "1.36.0")
    program(made / "bin/kube-proxy", "1.37.2")
    program(made / "bin/containerd", NEWEST)
    program(made / "cni/loopback")
    image(made / "images/pause.tar", PAUSE)
    image(made / "images/busybox.tar", "docker.io/library/busybox:1.35.0")
    for name in ("cni", "node", "kube-controllers"):
        image(made / f"images/{name}.tar", f"docker.io/calico/{name}:v3.28.5")
    manifest(made / "calico.yaml")
    return made


FOUND = Findings(
    kubeconfig="admin.kubeconfig",
    origin="a test",
    cluster={
        "version": Known("1.37.2", "What the apiserver runs."),
        "apiserver": Known("https://192.0.2.1:6443", "Of the kubeconfig."),
        "ca": Known("ca.pem", "Of the kubeconfig."),
        "service_cidr": Known("10.68.0.0/16", "x"),
        "pod_cidr": Known("172.20.0.0/16", "x"),
        "dns_address": Known("10.68.0.2", "x"),
    },
    network=Network(),
)


def text_of(findings: Findings) -> str:
    text = write(findings, [], command="inv config.init", example="inv config.example")
    return text.replace("# nodes:", "nodes: [{name: n1, address: 192.0.2.11}]")


def sentences(text: str) -> str:
    return re.sub(r"\n *#", "", text)


def test_all_of_a_folder_makes_a_configuration_that_takes_it(folder: Path, tmp_path: Path) -> None:
    found = find_artifacts(folder)
    text = text_of(added(FOUND, found, tmp_path))
    config = load(write_cluster(tmp_path, text), artifacts=True)
    assert config.artifacts.binaries == folder / "bin"
    assert config.artifacts.cni_plugins == folder / "cni"
    assert {path.name for path in config.artifacts.images} == {
        *("pause.tar", "busybox.tar", "cni.tar", "node.tar", "kube-controllers.tar"),
    }
    assert (str(config.calico.version), config.calico.allow_untested) == ("3.28.5", True)
    assert config.calico.manifest == folder / "calico.yaml"
    assert str(config.runtime.version) == NEWEST
    assert config.runtime.sandbox_image == PAUSE
    assert config.verify.image == "docker.io/library/busybox:1.35.0"
    assert "  binaries: artifacts/bin\n" in text
    assert "calico.version: Calico 3.28.5 was not tested with Kubernetes 1.37" in sentences(text)
    assert "sandbox_image" not in text  # the default is there
    assert summary(found).endswith(
        "artifacts: programs, CNI plugins, 5 archives of images, Calico 3.28.5"
    )


def test_programs_of_one_architecture_may_lie_below(folder: Path) -> None:
    (folder / "bin").rename(folder / "amd64")
    (folder / "bin").mkdir()
    (folder / "amd64").rename(folder / "bin/amd64")
    settings = added(FOUND, find_artifacts(folder), folder.parent).settings
    assert {"artifacts.binaries", "runtime.version"} <= settings.keys()


@pytest.mark.parametrize(
    ("name", "content", "remark"),
    [
        ("bin/kubelet", "1.36.3", "bin/kubelet is not of 1.37.2, which cluster.version names"),
        ("bin/kube-proxy", "1.36.3", "bin/kube-proxy is not of 1.37.2"),
        ("bin/containerd", "9.9.9", "{}/bin/containerd does not show its release"),
        (
            "images/node.tar",
            None,
            "has images of calico.yaml, which hosts have to pull: docker.io/",
        ),
        ("images/node.tar", "", "images/node.tar is not an image archive"),
        ("calico.yaml", "", None),
    ],
)
def test_what_does_not_fit_is_reported_and_never_guessed(
    name: str, content: str | None, remark: str | None, folder: Path
) -> None:
    path = folder / name
    if content is None:
        path.unlink()
    elif content:
        program(path, content)
    else:
        path.write_text(content)
    findings = added(FOUND, find_artifacts(folder), folder.parent)
    remarks = " ".join(findings.remarks)
    assert (remark or "").format(folder) in remarks
    assert bool(remarks) == bool(remark)
    for remark in findings.remarks:
        assert f"To be checked: {remark}"[:60] in sentences(text_of(findings))


@pytest.mark.parametrize(
    ("tag", "network", "line", "remark"),
    [
        ("v3.32.1", Network(), "{version: 3.32.1, manifest: artifacts/calico.yaml}", "of that man"),
        (
            "latest",
            Network(),
            "{version: 3.32.1, manifest: artifacts/calico.yaml}",
            "does not show its release",
        ),
        ("v2.6.0", Network(), "{version: 3.32.1, manifest: artifacts/calico.yaml}", "put the one"),
        (
            "v3.32.1",
            Network(calico="3.31.2"),
            "{version: 3.31.2, manifest: artifacts/calico.yaml, allow_untested: true}",
            "artifacts/calico.yaml is of 3.32.1; name the one of 3.31.2",
        ),
        ("v3.32.1", Network(other="cilium"), "none", "that fabnode does not manage"),
    ],
)
def test_the_release_of_calico_is_the_manifests_unless_another_runs(
    tag: str, network: Network, line: str, remark: str, folder: Path, tmp_path: Path
) -> None:
    manifest(folder / "calico.yaml", tag)
    older = {**FOUND.cluster, "version": Known("1.36.3", "What the apiserver runs.")}
    text = text_of(
        added(replace(FOUND, cluster=older, network=network), find_artifacts(folder), tmp_path)
    )
    assert f"calico: {line}\n" in text
    assert remark in sentences(text)


def test_what_another_tool_says_stays(folder: Path) -> None:
    mine: dict[str, Any] = {
        "artifacts.binaries": Known("elsewhere", "x"),
        "runtime.name": Known("docker", "x"),
    }
    settings = added(replace(FOUND, settings=mine), find_artifacts(folder), folder.parent).settings
    assert settings["artifacts.binaries"] == mine["artifacts.binaries"]
    assert "runtime.version" not in settings
    unknown = replace(FOUND, cluster={**FOUND.cluster, "version": Missing("no right")})
    assert "runtime.version" not in added(unknown, find_artifacts(folder), folder.parent).settings


def test_a_folder_without_any_of_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="it has neither bin/kubelet nor cni/loopback") as caught:
        find_artifacts(tmp_path)
    assert caught.value.exit_code == 2
