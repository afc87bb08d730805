"""fabnode from its wheel: deploys a node from an empty folder, approves as a service of systemd."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fabnode import __version__

from ..installed import Installed, install, transplant
from ..library.examples import example
from .harness import NODES, eventually
from .requester import Request, requester, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("installed"))


def test_a_wheel_deploys_a_node(cluster: Lab, installed: Installed, tmp_path: Path) -> None:
    empty, project, state = (tmp_path / name for name in ("empty", "project", "state"))
    empty.mkdir()
    project.mkdir()
    environment = {
        "FABNODE_CONFIG": str(cluster.configuration),
        "XDG_STATE_HOME": str(state),
        "TMPDIR": str(tmp_path),
    }
    cluster.lab("fresh", "--hosts", "n3")
    words = ("deploy-nodes", "--limit", "n3", "--json")
    done = installed.run("fabnode", *words, folder=empty, **environment)
    assert done.returncode == 0, done.stderr
    assert {row["node"]: row["result"] for row in json.loads(done.stdout)["nodes"]}[
        "n3"
    ] == "changed"
    assert cluster.ready() == set(NODES)
    assert list(empty.iterdir()) == []
    (journal,) = state.glob("fabnode/runs/*/journal.jsonl")
    first = json.loads(journal.read_text().partition("\n")[0])
    assert first["data"]["fabnode"] == __version__

    (project / "tasks.py").write_text(example("add_collection"))
    done = installed.run("invoke", "nodes.plan", "--exit-code", folder=project, **environment)
    assert done.returncode == 0, done.stdout
    (project / "fabfile.py").write_text(example("host_tasks"))
    done = installed.run("fabric", "-H", "n3", "status", folder=project, **environment)
    assert done.returncode == 0, done.stdout

    cluster.on("n3", "rm /etc/sysctl.d/*fabnode*")  # something small to deploy
    text = example("deploy_nodes(").replace("node-1", "n3")
    program = text.replace("config/cluster.yml", str(cluster.configuration))
    (project / "library_example.py").write_text(program)
    environment["PYTHONPATH"] = str(project)
    done = installed.run("library_example", folder=project, **environment)
    assert done.returncode == 0, done.stderr
    assert "n3 prepare create /etc/sysctl.d/" in done.stdout
    assert "\nn3 changed prepare" in done.stdout
    assert done.stdout.splitlines()[-1] == "True []"
    assert done.stderr == ""


HOME, SETTINGS = "/opt/fabnode", "/etc/fabnode"
SERVICE = "fabnode-approve-csr.service"
UNIT = f"/etc/systemd/system/{SERVICE}"


@pytest.fixture
def python(cluster: Lab, installed: Installed) -> Iterator[str]:
    """fabnode on n1, which has no Python of its own; the path of the one that it got."""
    root = cluster.layout.host_folder("n1") / "root"
    path = transplant(installed, root, HOME)
    linked = "/etc/ld.so.conf.d/fabnode-test.conf"
    cluster.on("n1", f"chmod -R go=rX {HOME}; echo {HOME}/lib >{linked}; ldconfig")
    yield path
    words = f"systemctl disable -q --now {SERVICE}; rm -rf {UNIT} {HOME} {SETTINGS} {linked}"
    cluster.on("n1", f"{words}; ldconfig; systemctl daemon-reload")


def configure(lab: Lab) -> None:
    """Write on n1 what the service needs: the configuration, the CA, its account's kubeconfig."""
    folder = lab.layout.host_folder("n1") / "root" / SETTINGS.lstrip("/")
    folder.mkdir()
    credentials = str(folder / "approver.kubeconfig")
    lab.inv("rbac.approver", "--out", credentials, config=lab.layout.configuration)
    whole = yaml.safe_load(lab.layout.configuration.read_text())
    shutil.copy(whole["cluster"]["ca"], folder / "ca.pem")
    settings: dict[str, Any] = {
        "cluster": {**whole["cluster"], "ca": "ca.pem", "kubeconfig": "approver.kubeconfig"},
        "nodes": [{"name": node["name"], "address": node["address"]} for node in whole["nodes"]],
        "calico": {"enabled": False},
    }
    (folder / "cluster.yml").write_text(yaml.safe_dump(settings))
    for name in ("", "cluster.yml", "ca.pem"):  # the kubeconfig is root's alone
        (folder / name).chmod(0o644 if name else 0o755)


def test_the_printed_unit_runs_under_systemd_and_approves(cluster: Lab, python: str) -> None:
    """As docs/trust.md has it: installed where only root writes, started, stopped."""
    configure(cluster)
    options = f"--config {SETTINGS}/cluster.yml --kubeconfig {SETTINGS}/approver.kubeconfig"
    command = f"{python} -m fabnode approve-csr --print-unit {options}"
    cluster.on("n1", f"cd / && {command} >{UNIT} && systemctl daemon-reload")
    assert cluster.on("n1", f"systemd-analyze --man=no verify {UNIT} 2>&1 | grep fabnode; :") == ""
    cluster.on("n1", f"systemctl start {SERVICE}")
    with requester(cluster) as rogue:
        client = rogue.make(Request())
        good, bad = rogue.make(serving(cluster)), rogue.make(serving(cluster, names=("n2",)))
        assert good
        assert bad
        try:
            eventually(lambda: rogue.states()[good].startswith("Approved"))
        except AssertionError:
            pytest.fail(cluster.on("n1", f"journalctl -q -n 40 -o cat -u {SERVICE}"))
        assert rogue.states()[bad] == rogue.states()[str(client)] == "Pending"
    status = cluster.on("n1", f"cat /proc/$(systemctl show -p MainPID --value {SERVICE})/status")
    seen = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert all(int(uid) >= 61184 for uid in seen["Uid"].split()), "systemd's dynamic users"
    assert int(seen["CapEff"], 16) == int(seen["CapBnd"], 16) == 0
    assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")
    began = time.monotonic()
    cluster.on("n1", f"systemctl stop {SERVICE}")
    assert time.monotonic() - began < 10
    show = f"systemctl show -p ActiveState,Result,NRestarts --value {SERVICE}"
    assert sorted(cluster.on("n1", show).split()) == ["0", "inactive", "success"]
    kept = "/var/lib/private/fabnode-approve-csr/fabnode/runs/*/journal.jsonl"
    assert f"approved serving request {good}" in cluster.on("n1", f"cat {kept}")
