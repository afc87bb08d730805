"""Bad input at the surfaces: a sentence, exit code 2, no traceback, nothing changed."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from fabnode.artifacts.bundle import BundleError
from fabnode.cli import app
from tests.support import write_cluster

ROOT = Path(__file__).parents[1]


def run(*words: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "FABNODE_CONFIG"}
    if config:
        environment["FABNODE_CONFIG"] = str(config)
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["invoke", "plan", "--limit", "nobody"], "no node or group is called 'nobody'"),
        (["invoke", "deploy-nodes", "--max-parallel", "x"], "'x' is not a whole number"),
        (["invoke", "deploy-nodes", "--batch", "-1"], "must be 1 or more"),
        (["invoke", "verify", "--config", "/nowhere.yml"], "/nowhere.yml: no such file"),
        (["invoke", "certs", "--margin", "-1"], "--margin must be"),
        (["invoke", "rbac.deployer", "--hours", "0"], "--hours must be"),
        (["invoke", "rbac.approver", "--hours", "0"], "--hours must be"),
        (["invoke", "approve-csr", "--kubeconfig", "x"], "needs --serving-only"),
        (["invoke", "binaries.publish"], "say where to: --out DIR"),
        (["invoke", "binaries.fetch", "--arch", "s390x"], "--arch must be amd64 or arm64"),
        (["invoke", "plan", "--bundle", "/nowhere.zst"], "/nowhere.zst: No such file"),
        (
            ["invoke", "plan", "--bundle", "x", "--bundle-sha256", "ab"],
            "'ab' is not one; expected 64",
        ),
        (["invoke", "plan", "--bundle-sha256", "a" * 64], "goes with --bundle FILE"),
        (["invoke", "hosts.trust"], "no terminal to ask on"),
        (["invoke", "hosts.trust", "--fingerprint", "x"], "'x' is not one; expected"),
        (["invoke", "rbac.deployer", "--out", "/nowhere/x"], "--out /nowhere/x: No such file"),
        (["invoke", "rbac.deployer", "--out", "/etc"], "--out /etc: Is a directory"),
        (["invoke", "bundle", "--out", "/etc/passwd/x"], "/etc/passwd/x: Not a directory"),
        (["invoke", "binaries.publish", "--out", "/etc/passwd"], "/etc/passwd: File exists"),
        (["invoke", "versions.of", "1.20", "--containerd", "2.1.0"], "use containerd 1.7.x"),
        (["invoke", "lab.up", "--nodes", "x"], "'x' is not a whole number"),
        (["fabric", "status"], "say which host"),
        (["fabric", "-H", "n9", "status"], "no node or group is called 'n9'"),
        (["fabric", "-H", "n1", "logs", "--unit", "sshd"], "'sshd' is not a unit of these nodes: "),
    ],
)
def test_bad_input_ends_in_a_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    artifacts = {"binaries": str(tmp_path)}
    config = write_cluster(tmp_path, artifacts=artifacts, calico={"enabled": False})
    for name in ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc"):
        (tmp_path / name).touch()
    (tmp_path / "artifacts" / "cni").mkdir(parents=True)
    done = run(*words, config=config)
    assert done.returncode == 2, done
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("y\n", True),
        (" YES\n", True),
        ("n\n", False),
        ("\n", False),
        ("yeah\n", False),
        ("", False),
    ],
)
def test_only_a_yes_is_a_yes(typed: str, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of input, which Ctrl-D is at a terminal, is a no as well, and no traceback."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert app.confirmed("do this?") is meant


@pytest.mark.parametrize("program", ["invoke", "fabric"])
def test_every_task_has_one_clear_line(program: str) -> None:
    done = run(program, "--list", "--list-format", "json")
    assert done.returncode == 0, done.stderr

    def tasks(collection: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            *collection["tasks"],
            *(t for inner in collection["collections"] for t in tasks(inner)),
        ]

    for found in tasks(json.loads(done.stdout)):
        assert found["help"], found["name"]
        assert len(found["help"].splitlines()[0]) <= 56, found


def test_editors_get_a_schema() -> None:
    done = run("invoke", "config.schema")
    assert done.returncode == 0
    assert '"$schema"' in done.stdout


@pytest.mark.parametrize(
    ("words", "to", "sentence"),
    [
        ("config.schema", "|", "the output ends here: Broken pipe\n"),
        ("versions --json", "|", "the output ends here: Broken pipe\n"),
        ("versions.of 1.20", ">/dev/full", "the output ends here: No space left on device\n"),
        ("config.schema", ">&-", ""),
        ("config.schema", "<&-", ""),
    ],
)
def test_an_output_that_takes_no_more_is_a_sentence(words: str, to: str, sentence: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` is, once it has enough
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m invoke {words} {'' if to == '|' else to}"],
        cwd=ROOT,
        stdout=writer if to == "|" else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.stderr, done.returncode) == (sentence, 1 if sentence else 0)


def test_no_core_dump_holds_our_secrets() -> None:
    """Not even where the user's limits and the machine would write one."""
    code = """
import ctypes, os, resource
from fabnode.cli.app import errors_as_exits
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
with errors_as_exits():
    assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
    os.abort()
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    _, status = os.waitpid(process.pid, 0)
    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)


def unit_of(folder: Path) -> tuple[Path, str]:
    """Return the unit that is printed for a configuration in this folder, as file and text."""
    folder.mkdir(exist_ok=True)
    config = write_cluster(folder)
    words = ["--print-unit", "--kubeconfig", str(folder / "approver.kubeconfig")]
    done = run("invoke", "approve-csr", *words, "--config", str(config))
    assert done.returncode == 0, done.stderr
    unit = folder / "fabnode-approve-csr.service"
    unit.write_text(done.stdout)
    return unit, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
@pytest.mark.parametrize("name", ["a blank", '100%h it\'s a "q"; #'])
def test_the_printed_unit_is_one_to_systemd_whatever_its_paths(tmp_path: Path, name: str) -> None:
    unit, text = unit_of(tmp_path / name)
    plain = tmp_path / "fabnode-approve-csr.service"
    plain.write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", str(plain)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert str(plain) not in said.stderr
    assert "fabnode-approve-csr" not in said.stderr
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(command.removeprefix("ExecStart=").replace("%%", "%"))
    assert words[words.index("--config") + 1] == str(unit.parent / "cluster.yml")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
def test_the_printed_unit_is_sandboxed(tmp_path: Path) -> None:
    unit, text = unit_of(tmp_path)
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout[-2000:] + said.stderr
    assert "approves serving certificates" in text
    assert "--serving-only" in text


@pytest.mark.parametrize("name", ["a\nb", "a$b"])
def test_a_path_that_no_unit_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    done = run("invoke", "approve-csr", "--print-unit", config=write_cluster(tmp_path / name))
    assert done.returncode == 2, done.stdout
    assert "a path in a unit may not have" in done.stderr


def test_what_errors_quote_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle, an API or a server said it."""
    with pytest.raises(Exit) as stop, app.errors_as_exits():
        raise BundleError("it holds Kubernetes \x1b]0;owned\x07\x9b31m1.37.2")
    assert stop.value.message
    assert stop.value.message.isprintable()
    app.print_table(("A",), [("\x1b[31mred",)])
    assert "\x1b[31m" not in capsys.readouterr().out
