"""fabnode from its wheel, in an empty folder and in somebody else's project: a node is deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fabnode import __version__

from ..installed import install
from ..library.examples import example
from .harness import NODES

if TYPE_CHECKING:
    from .harness import Lab


def test_a_wheel_deploys_a_node(cluster: Lab, tmp_path: Path) -> None:
    installed = install(tmp_path)
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
