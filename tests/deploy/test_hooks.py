"""Commands of a site's own: when they are due, what they get, and what their failure is."""

from __future__ import annotations

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.deploy.hooks import HookError, marker
from fabnode.deploy.site_steps import steps_of
from fabnode.node import layout
from fabnode.util.problems import ConfigError
from tests.support import make_config

from .test_never_quiet import Everything, Points
from .test_site_steps import example, site

if TYPE_CHECKING:
    from collections.abc import Callable


HERE = {"where": "deployer", "run": ["./hook"]}
THERE = {"where": "host", "run": ["logger", "-t", "fabnode", "a b"]}


def script(folder: Path, text: str, name: str = "hook") -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Everything]:
    """Two nodes with hooks; the deployer's writes a line into `log` for each node."""
    script(tmp_path, '#!/bin/sh\necho "$FABNODE_HOOK $FABNODE_NODE" >>log\necho fine\n')

    def made(*hooks: dict[str, Any]) -> Everything:
        return Everything(monkeypatch, Points(), site(tmp_path, hooks=hooks))

    return made


def log(folder: Path) -> list[str]:
    path = folder / "log"
    lines = sorted(path.read_text().splitlines()) if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def drift(scene: Everything, path: str = layout.KUBELET_CONFIG) -> None:
    scene.hosts["n1"].lose(path)


def test_a_hosts_hook_stands_in_the_plan_beside_its_steps_changes(
    scene: Callable[..., Everything],
) -> None:
    both = scene({"before": "runtime", **THERE}, {"after": "prepare", **THERE, "run": ["true"]})
    names = [(c.step, c.action, c.name) for c in both.planned()]
    first = next(i for i, (step, *_) in enumerate(names) if step == "runtime")
    assert names[first] == ("runtime", "run", "hook before runtime: logger -t fabnode 'a b'")
    assert names[first - 1] == ("prepare", "run", "hook after prepare: true")


def test_a_hosts_hook_runs_where_its_step_changes_and_not_elsewhere(
    scene: Callable[..., Everything],
) -> None:
    nodes = scene({"after": "kubelet", **THERE})
    nodes.deployed()
    assert nodes.planned() == []
    drift(nodes)
    assert [c.action for c in nodes.planned() if c.kind == "command"] == ["run"]
    nodes.deployed()
    drift(nodes, layout.PROXY_CONFIG)
    assert not [c for c in nodes.planned() if c.kind == "command"]


def test_a_hosts_hook_that_did_not_succeed_stays_due(scene: Callable[..., Everything]) -> None:
    nodes = scene({"after": "kubelet", **THERE})
    nodes.deployed()
    (hook,) = nodes.config.extensions.hooks
    nodes.hosts["n1"].put(marker(hook, nodes.config))
    (change,) = nodes.planned()
    assert change.why == "it did not succeed when it was due"
    nodes.deployed()
    assert nodes.planned() == []


POINTS = [("after", "preflight"), ("before", "ready"), ("after", "ready")]
POINTS += [("before", "verify"), ("after", "verify")]


@pytest.mark.parametrize(("order", "step"), POINTS)
def test_the_deployers_hook_runs_for_each_node_that_changes(
    scene: Callable[..., Everything], tmp_path: Path, order: str, step: str
) -> None:
    nodes = scene({order: step, **HERE})
    assert nodes.plan().nodes[0].hooks == (f"hook {order} {step}: ./hook",)
    assert log(tmp_path) == []
    run = nodes.deployed()
    assert log(tmp_path) == [f"{order} {step} n1", f"{order} {step} n2"]
    printed = [e for e in run.journal.events if e.node == "n1" and e.text.startswith("hook")]
    assert [(e.step, e.state) for e in printed] == [(step, "start"), (step, "done")]
    assert printed[1].text == f"hook {order} {step}: ./hook: fine"
    nodes.deployed()
    assert log(tmp_path) == []
    drift(nodes)
    nodes.deployed()
    assert log(tmp_path) == [f"{order} {step} n1"]
    assert nodes.plan().nodes[0].hooks == ()


def test_always_is_every_deployment_and_changes_nothing(
    scene: Callable[..., Everything], tmp_path: Path
) -> None:
    nodes = scene({"after": "verify", **HERE, "when": "always"})
    nodes.deployed()
    log(tmp_path)
    plan = nodes.plan()
    assert plan.nodes[0].hooks
    assert plan.empty
    run = nodes.deployed()
    assert log(tmp_path) == ["after verify n1", "after verify n2"]
    assert not [event for event in run.journal.events if event.state == "changed"]


@pytest.mark.parametrize(("order", "step"), POINTS[1:])
def test_a_failed_hook_is_that_nodes_failure_and_stays_due(
    scene: Callable[..., Everything], tmp_path: Path, order: str, step: str
) -> None:
    nodes = scene({order: step, **HERE})
    script(tmp_path, '#!/bin/sh\necho one\necho "no room"\n[ $FABNODE_NODE = n2 ] || exit 3\n')
    run = nodes.deployed()
    assert run.outcomes["n2"].ok
    error = run.outcomes["n1"].error
    assert str(error) == f"hook {order} {step}: ./hook: it ended with status 3: no room"
    (failed,) = (event for event in run.journal.events if event.state == "failed")
    assert (failed.node, failed.step) == ("n1", step)
    assert isinstance(run.outcomes["n1"].error, HookError)
    assert failed.data["advice"] == "correct the hook, then run `inv deploy-nodes --limit n1`"
    assert failed.data["detail"] == "one\nno room"
    script(tmp_path, '#!/bin/sh\necho "$FABNODE_NODE" >>log\n')
    nodes.deployed()
    assert log(tmp_path) == ["n1"]
    nodes.deployed()
    assert log(tmp_path) == []


def test_hooks_of_one_point_are_recorded_in_one_round_trip_the_failed_one_stays_due(
    scene: Callable[..., Everything], tmp_path: Path
) -> None:
    nodes = scene(*({"after": "verify", **HERE, "run": ["./hook", name]} for name in "abc"))
    script(tmp_path, '#!/bin/sh\necho "$1 $FABNODE_NODE" >>log\n[ "$1" != c ]\n')
    run = nodes.deployed()
    assert not run.outcomes["n1"].ok
    assert log(tmp_path) == [f"{name} {node}" for name in "abc" for node in ("n1", "n2")]
    assert sum(text.startswith("host: rm -f") for text in nodes.hosts["n1"].reported) == 1
    nodes.deployed()
    assert log(tmp_path) == ["c n1", "c n2"]


def test_before_the_first_change_a_failed_hook_leaves_the_host_alone(
    scene: Callable[..., Everything], tmp_path: Path
) -> None:
    nodes = scene({"after": "preflight", **HERE})
    script(tmp_path, "#!/bin/sh\nexit 1\n")
    run = nodes.deployed()
    assert not any(outcome.ok for outcome in run.outcomes.values())
    assert not [text for text in nodes.hosts["n1"].reported if text.startswith("host: change")]


def test_a_change_of_labels_alone_makes_hooks_due_as_well(
    scene: Callable[..., Everything], tmp_path: Path
) -> None:
    nodes = scene({"after": "verify", **HERE})
    nodes.deployed()
    log(tmp_path)
    nodes.labelled = "labels"
    nodes.deployed()
    assert log(tmp_path) == ["after verify n1", "after verify n2"]
    assert any("umask 077; mkdir -p" in text for text in nodes.hosts["n1"].reported)


def eventually_dead(pid: int) -> bool:
    """Wait until a process that was sent SIGKILL is dead: a busy machine takes a moment."""
    state = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        try:
            if state.read_text().split()[2] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_a_hook_that_takes_too_long_is_ended_with_what_it_started(
    scene: Callable[..., Everything], tmp_path: Path
) -> None:
    nodes = scene({"after": "verify", **HERE, "timeout": 1})
    script(tmp_path, "#!/bin/sh\necho begun\nsleep 60 &\necho $! >child-$FABNODE_NODE\nwait\n")
    run = nodes.deployed()
    assert str(run.outcomes["n1"].error).endswith("./hook: it did not end within 1 s")
    child = int((tmp_path / "child-n1").read_text())
    assert eventually_dead(child)


def test_output_is_bounded_and_secrets_are_not_in_it(
    scene: Callable[..., Everything], tmp_path: Path
) -> None:
    nodes = scene({"after": "verify", **HERE})
    script(tmp_path, "#!/bin/sh\nseq 200000\nprintf 'hunter%s\\033[2J' 2secret\nexit 1\n")
    run = nodes.run()
    run.journal.secret("hunter2secret")
    nodes.deployed(run)
    failed = [event for event in run.journal.events if event.state == "failed"]
    assert len(failed) == 2
    for event in failed:
        assert "hunter2secret" not in event.to_json()
        assert "\\u001b" not in event.to_json()
        assert len(event.to_json()) < 2000


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (HERE, "[0]: needs one of before and after"),
        ({**HERE, "before": "ready", "after": "ready"}, "[0]: needs one of before and after"),
        ({**HERE, "after": "verfy"}, "no step is called 'verfy'; did you mean verify?"),
        ({**HERE, "after": "kubelet"}, "the deployer can't run anything after kubelet; it can"),
        ({**HERE, "before": "preflight"}, "the deployer can't run anything before preflight"),
        ({**THERE, "after": "verify"}, "verify does not act on hosts; on a host: prepare,"),
        ({**THERE, "after": "kubelet", "when": "always"}, "where: deployer` only"),
        ({**THERE, "after": "kubelet", "run": ["a/b"]}, "an absolute path or a bare name"),
        ({**THERE, "after": "kubelet", "run": ["A=b"]}, "must begin with the name of a program"),
        ({**THERE, "after": "kubelet", "run": []}, "at least one entry is needed"),
        ({**HERE, "after": "verify", "run": ["no-such-program"]}, "there is no program 'no-such"),
        ({**HERE, "after": "verify", "run": ["./nowhere"]}, "nowhere is not an executable"),
        ({**HERE, "after": "verify", "run": ["./open"]}, "can be changed by others"),
        ({"after": "verify", "run": ["x"]}, "where: is missing"),
    ],
)
def test_what_is_wrong_with_a_hook_is_bad_input(
    tmp_path: Path, hook: dict[str, Any], reason: str
) -> None:
    script(tmp_path, "#!/bin/sh\n")
    script(tmp_path, "#!/bin/sh\n", "open")
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError) as refused:
        steps_of(site(tmp_path, hooks=[hook]))
    (problem,) = refused.value.problems
    assert reason in str(problem)
    assert f"{tmp_path}/cluster.yml:{problem.line}: extensions.hooks[0]" in str(problem)


class Monitoring(BaseHTTPRequestHandler):
    """A monitoring system: takes targets."""

    taken: list[tuple[str, bytes]]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.path, content))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_example_of_the_docs_registers_each_node_once(
    scene: Callable[..., Everything], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = scene({"after": "verify", **HERE, "timeout": 30})
    script(tmp_path, example("register.py").replace("/usr/bin/env python3", sys.executable))
    Monitoring.taken = []
    with HTTPServer(("127.0.0.1", 0), Monitoring) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MONITORING_URL", f"http://127.0.0.1:{server.server_port}")
        run = nodes.deployed()
        nodes.deployed()
        server.shutdown()
    assert sorted(Monitoring.taken) == [
        ("/targets/n1", b'{"name": "n1", "target": "192.0.2.1:10250"}'),
        ("/targets/n2", b'{"name": "n2", "target": "192.0.2.2:10250"}'),
    ]
    assert any("registered, status 201" in event.text for event in run.journal.events)


def test_the_configuration_of_the_docs_is_valid(tmp_path: Path) -> None:
    """Its two hooks and its step together."""
    (tmp_path / "site").mkdir()
    for name in ("keepalive.py", "register.py"):
        script(tmp_path, example(name), f"site/{name}")
    config = make_config(
        tmp_path,
        extensions={
            "steps": ["site/keepalive.py"],
            "hooks": [
                {"after": "verify", "where": "deployer", "run": ["site/register.py"]},
                {"after": "kubelet", "where": "host", "run": ["logger", "-t", "fabnode", "x"]},
            ],
        },
    )
    assert [step.name for step in steps_of(config)].count("keepalive") == 1
