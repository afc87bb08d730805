"""`inv config.check` names what a deployment would lack, and programs of another release."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from fabnode.cli.commands import configuration
from tests.artifacts.test_store import RELEASE, archive, elf, of_architecture
from tests.cni.test_calico import manifest
from tests.support import write_cluster

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_programs_of_another_release_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = of_architecture(tmp_path, "amd64")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/calico.yaml").touch()
    configuration.check(str(config.source))
    whole = capsys.readouterr().out
    assert whole.splitlines()[-2].endswith(f"Kubernetes {RELEASE}: valid")
    assert whole.splitlines()[-1].startswith("artifacts.images names no archive: hosts pull all")
    kubelet = tmp_path / "bin/amd64/kubelet"
    kubelet.write_bytes(elf("amd64", "kubelet", "v1.36.3"))
    configuration.check(str(config.source))
    lines = capsys.readouterr().out.removeprefix(whole).splitlines()
    assert lines[1] == "not on this machine yet, but needed by `inv plan` and `inv deploy-nodes`:"
    assert lines[2].startswith(f"artifacts.binaries: {kubelet} is not of {RELEASE}, which")
    assert len(lines) == 4


def test_a_missing_manifest_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration.check(str(of_architecture(tmp_path, "amd64").source))
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "calico.manifest" in each]
    assert line.endswith(
        "does not exist; its makers publish it at https://raw.githubusercontent.com/"
        "projectcalico/calico/v3.28.5/manifests/calico.yaml"
    )


def test_archives_of_another_version_than_the_manifest_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "calico.yaml").write_text(yaml.safe_dump_all(manifest("v3.28.5")))
    old = {"manifest.json": [{"RepoTags": ["calico/node:v3.27.0"]}]}
    calico = {"manifest": "calico.yaml"}
    artifacts = {"images": [str(archive(tmp_path / "old.tar", old))]}
    config = str(write_cluster(tmp_path, calico=calico, artifacts=artifacts))
    configuration.check(config)
    line, pulled = [each for each in capsys.readouterr().out.splitlines() if "warning" in each]
    assert line.startswith("warning: artifacts.images hold docker.io/calico/node:v3.27.0, but ")
    configuration.check(config, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["warnings"] == [line.removeprefix("warning: ")]
    assert pulled == (
        "warning: no archive of artifacts.images has these, which hosts have to pull: "
        + ", ".join(document["pulled"])
    )
    all_of_them = [{"RepoTags": [name]} for name in document["pulled"]]
    archive(tmp_path / "old.tar", {"manifest.json": all_of_them})
    configuration.check(config)
    assert "warning" not in capsys.readouterr().out


def test_images_that_no_archive_brings_are_named_before_a_deployment_fails_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the very name and tag: the sandbox's, that of verify's pods, the pod network's."""
    (tmp_path / "calico.yaml").write_text(yaml.safe_dump_all(manifest("v3.28.5")))
    node = {"manifest.json": [{"RepoTags": ["docker.io/calico/node:v3.28.5", "busybox:1"]}]}
    config = str(
        write_cluster(
            tmp_path,
            calico={"manifest": "calico.yaml"},
            artifacts={"images": [str(archive(tmp_path / "node.tar", node))]},
            runtime={"sandbox_image": "registry.example.org/pause:3"},
            verify={"image": "docker.io/library/busybox:1"},
        )
    )
    configuration.check(config, as_json=True)
    pulled = json.loads(capsys.readouterr().out)["pulled"]
    assert pulled[0] == "registry.example.org/pause:3"
    assert [name for name in pulled if "busybox" in name or "calico/node" in name] == []
    assert "docker.io/calico/cni:v3.28.5" in pulled


def test_variables_that_are_not_set_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ITS_SUDO", raising=False)
    monkeypatch.setenv("ITS_LOGIN", "x")
    secrets = {"sudo_password": {"env": "ITS_SUDO"}, "password": {"env": "ITS_LOGIN"}}
    configuration.check(str(write_cluster(tmp_path, ssh=secrets)))
    printed = capsys.readouterr().out
    assert "\nn1: ssh.sudo_password: the environment variable ITS_SUDO is not set\n" in printed
    assert "ITS_LOGIN" not in printed
