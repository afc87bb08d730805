"""`inv config.import` writes a file that loads, replaces none, and reports three lists."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.exceptions import Exit

from fabnode.cli.commands import configuration_import
from fabnode.config.loader import load
from fabnode.util.errors import InputError
from fabnode.util.problems import ConfigError
from tests.imports.test_documents import V1BETA3
from tests.kube.test_kubeconfig import CA, encoded, kubeconfig

Import = Callable[..., None]
HOSTS = (
    "[kube_control_plane]\nc ansible_host=192.0.2.1\n[kube_node]\nw ansible_host=192.0.2.2\n"
    "[k8s_cluster:children]\nkube_node\n[all:vars]\nansible_user=root\nkube_version=v1.35.1\n"
    "site_own=1\n"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Return what runs the command in a site that has an inventory and a kubeconfig."""
    (tmp_path / "hosts").write_text(HOSTS)
    kubeconfig(tmp_path, {"token": "t0p-secret"}, **{"certificate-authority-data": encoded(CA)})
    (tmp_path / "admin.kubeconfig").chmod(0o600)
    monkeypatch.delenv("FABNODE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {
        **dict.fromkeys(("tool", "groups", "kubeconfig", "hosts", "hosts_file", "out"), ""),
        "artifacts": "",
        "dry_run": False,
        "as_json": False,
    }
    return lambda source, **options: configuration_import.run(source, **{**given, **options})


def test_what_it_writes_is_valid(
    run: Import, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("hosts", kubeconfig="admin.kubeconfig")
    config = load(tmp_path / "config/cluster.yml")
    assert [(node.name, node.ip) for node in config.nodes] == [("w", "192.0.2.2")]
    assert (str(config.cluster.version), config.ca_pem) == ("1.35.1", CA)
    shown = capsys.readouterr().out
    assert "  cluster.version: 1.35.1   (hosts:9: kube_version)\n" in shown
    assert "  site_own (hosts:10): fabnode has no such setting\n" in shown
    assert (
        "  cluster.apiserver: to be checked: https://192.0.2.1:6443: hosts:2: c; the first" in shown
    )
    assert shown.endswith(
        "wrote config/cluster.yml\nnext: `inv config.check`, `inv hosts.trust` where ssh does not"
        " know the hosts, then `inv plan`\n"
    )
    assert "t0p-secret" not in shown + (tmp_path / "config/cluster.yml").read_text()


def test_without_a_kubeconfig_its_keys_are_marked(run: Import, tmp_path: Path) -> None:
    run("hosts", out="x.yml")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "x.yml")
    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"cluster.ca", "cluster.kubeconfig"}


def test_no_file_is_replaced_and_none_written_dry(
    run: Import, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("hosts", dry_run=True)
    assert not (tmp_path / "config").exists()
    assert "kube_version\n  version: 1.35.1\n" in capsys.readouterr().out
    (tmp_path / "x.yml").write_text("theirs")
    with pytest.raises(InputError, match="exists already"):
        run("hosts", out="x.yml")
    assert (tmp_path / "x.yml").read_text() == "theirs"


def test_json_has_the_three_lists(run: Import, capsys: pytest.CaptureFixture[str]) -> None:
    run("hosts", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["tool"], document["sources"], document["nodes"]) == (
        *("kubespray", ["hosts"]),
        ["w"],
    )
    version = {"key": "cluster.version", "value": "1.35.1", "name": "kube_version"}
    assert {**version, "file": "hosts", "line": 9} in document["taken"]
    assert {"site_own", "host c"} <= {each["name"] for each in document["no_counterpart"]}
    assert "cluster.ca" in {each["key"] for each in document["decisions"]}
    assert document["written"] == ["config/cluster.yml"]
    assert Path("config/cluster.yml").read_text() == document["configuration"]


def test_standard_input_and_hosts_of_an_option(
    run: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(V1BETA3.encode())))
    run("-", kubeconfig="admin.kubeconfig", hosts="n1 192.0.2.11")
    config = load(tmp_path / "config/cluster.yml")
    assert [node.name for node in config.nodes] == ["n1"]


@pytest.mark.parametrize(
    ("known", "lacking"),
    [
        (["10.3.0.2", "fd00:3::2"], ""),
        (["10.3.0.2"], "IPv6 address of w.example"),
        ([], "IPv4 address of w.example"),
    ],
)
def test_names_are_looked_up_before_anything_is_missed(
    known: list[str],
    lacking: str,
    run: Import,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [(None, None, None, "", (address, 0)) for address in known]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    hosts = HOSTS.replace("w ansible_host=192.0.2.2", "w ansible_host=w.example")
    (tmp_path / "hosts").write_text(f"{hosts}ipv6_stack=true\n")
    run("hosts", kubeconfig="admin.kubeconfig")
    shown = capsys.readouterr().out
    assert ("nodes[w].ip" in shown) == bool(lacking)
    assert lacking in shown
    if not lacking:
        assert load(tmp_path / "config/cluster.yml").nodes[0].ips == ("10.3.0.2", "fd00:3::2")


def test_options_that_fit_nothing(run: Import) -> None:
    with pytest.raises(InputError, match="--tool kubesprey") as caught:
        run("hosts", tool="kubesprey")
    assert caught.value.advice == "did you mean kubespray?"
    with pytest.raises(Exit) as nothing:
        run("")
    assert nothing.value.code == 2
    with pytest.raises(ConfigError, match="no such file"):
        run("nowhere")
    for source, options in (("~nobody-here/f", {}), ("hosts", {"kubeconfig": "~nobody-here/f"})):
        with pytest.raises(InputError, match="~nobody-here/f: no user of this machine has that"):
            run(source, **options)
