"""Bad input at the surfaces: a sentence, exit code 2, no traceback, nothing changed."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import fabric.main
import invoke.main
import pytest
from invoke.exceptions import Exit

from fabnode.__main__ import main
from fabnode.artifacts.bundle import BundleError
from fabnode.cli import app, exits
from fabnode.util import program
from tests.support import write_cluster

ROOT = Path(__file__).parents[1]


PROGRAMS = {"invoke": invoke.main.program, "fabric": fabric.main.program}


class Surface:
    """Runs command lines as the programs do, but in this process: a start takes a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._output = capfd
        monkeypatch.chdir(ROOT)

    def run(self, *words: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
        with self._monkeypatch.context() as patch, Path(os.devnull).open() as nothing:
            patch.setattr(sys, "stdin", nothing)
            patch.delenv("FABNODE_CONFIG", raising=False)
            if config:
                patch.setenv("FABNODE_CONFIG", str(config))
            self._output.readouterr()
            try:
                PROGRAMS[words[0]].run(list(words))
                code: object = 0
            except SystemExit as end:
                code = end.code or 0
        assert isinstance(code, int)
        return subprocess.CompletedProcess(words, code, *self._output.readouterr())


@pytest.fixture
def surface(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Surface:
    return Surface(monkeypatch, capfd)


def started(*words: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line as a process of its own."""
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
        (["invoke", "deploy-nodes", "--max-parallel", "x"], "--max-parallel: 'x' is not a whole"),
        (["invoke", "plan", "--max-parallel", "1.5"], "--max-parallel: '1.5' is not a whole"),
        (["invoke", "harden", "--batch", ""], "--batch: '' is not a whole number"),
        (["invoke", "rbac.approver", "--hours", "x"], "--hours: 'x' is not a whole number"),
        (["invoke", "certs", "--margin", "x"], "--margin: 'x' is not a whole number"),
        (["invoke", "deploy-nodes", "--batch", "-1"], "must be 1 or more"),
        (["invoke", "verify", "--config", "/nowhere.yml"], "/nowhere.yml: no such file"),
        (["invoke", "certs", "--margin", "-1"], "--margin must be"),
        (["invoke", "rbac.deployer", "--hours", "0"], "--hours must be"),
        (["invoke", "rbac.approver", "--hours", "0"], "--hours must be"),
        (["invoke", "rbac.forget", "--names", ","], "--names is missing: names of nodes"),
        (["invoke", "approve-csr", "--kubeconfig", "x"], "needs --serving-only"),
        (["invoke", "binaries.publish"], "--out DIR is missing"),
        (["invoke", "config.init", "--out", "README.md"], "README.md exists already, and is left"),
        (["invoke", "config.init", "--hosts", "a b c", "--out", "x"], "more than a name and an"),
        (["invoke", "config.init", "--kubeconfig", "/x", "--out", "x"], "/x: No such file"),
        (["invoke", "config.init", "--hosts-file", "/x", "--out", "x"], "--hosts-file /x: No such"),
        (["invoke", "binaries.fetch", "--arch", "s390x"], "--arch must be amd64 or arm64"),
        (["invoke", "plan", "--bundle", "/nowhere.zst"], "/nowhere.zst: No such file"),
        (
            ["invoke", "plan", "--bundle", "x", "--bundle-sha256", "ab"],
            "'ab' is not one; expected 64",
        ),
        # As a script writes it whose variable is not set.
        (["invoke", "plan", "--bundle", "x", "--bundle-sha256", ""], "'' is not one; expected 64"),
        (["invoke", "plan", "--bundle-sha256", "a" * 64], "goes with --bundle FILE"),
        (["invoke", "plan", "--bundle-sha256", ""], "goes with --bundle FILE"),
        (["invoke", "hosts.trust"], "no terminal to ask on"),
        (["invoke", "hosts.trust", "--fingerprint", "x"], "'x' is not one; expected"),
        (["invoke", "hosts.trust", "--fingerprint", ""], "'' is not one; expected"),
        (["invoke", "hosts.trust", "--fingerprint", f"n1=SHA256:{'x' * 42}"], "is not one"),
        (["invoke", "hosts.trust", "--fingerprint", f"SHA256:{'x' * 43}"], "whose is SHA256:xx"),
        (["invoke", "rbac.deployer", "--out", "/nowhere/x"], "--out /nowhere/x: No such file"),
        (["invoke", "rbac.deployer", "--out", "/etc"], "--out /etc: Is a directory"),
        (["invoke", "bundle", "--out", "/etc/passwd/x"], "/etc/passwd/x: Not a directory"),
        (["invoke", "binaries.publish", "--out", "/etc/passwd"], "/etc/passwd: File exists"),
        (["invoke", "versions.of", "1.20", "--containerd", "2.1.0"], "use containerd 1.7.x"),
        (["invoke", "lab.up", "--nodes", "x"], "--nodes: 'x' is not a whole number"),
        (["invoke", "config.show"], "--node is missing: whose settings"),
        (["invoke", "config.show", "--node", "n11"], "no node is called 'n11'; did you mean n1?"),
        (["invoke", "explain", "max_pod"], "did you mean kubelet.max_pods?"),
        (["invoke", "drain"], "--limit is missing: which nodes"),
        (["invoke", "maintain"], "--limit is missing: which nodes"),
        (
            ["invoke", "maintain", "--limit", "n1", "--command", "true", "--if-due"],
            "--if-due and --kernel are about a reboot, not --command",
        ),
        (["invoke", "uncordon"], "--limit is missing: which nodes"),
        (["invoke", "drain", "--limit", "n1", "--force", "web"], "'web' is not NAMESPACE/POD"),
        (["invoke", "drain", "--limit", "n1", "--past-budget", "a/b/c"], "is not NAMESPACE/POD"),
        (["fabric", "status"], "no host given"),
        (["fabric", "-H", "n1", "logs", "--lines", "x"], "--lines: 'x' is not a whole number"),
        (["fabric", "-H", "n1", "step", "nothing"], "no step on hosts is called 'nothing'"),
        (["fabric", "-H", "n9", "status"], "no node or group is called 'n9'"),
        (["fabric", "-H", "n1", "logs", "--unit", "sshd"], "'sshd' is not a unit of these nodes: "),
    ],
)
def test_bad_input_ends_in_a_sentence(
    words: list[str], sentence: str, surface: Surface, tmp_path: Path
) -> None:
    artifacts = {"binaries": str(tmp_path)}
    config = write_cluster(tmp_path, artifacts=artifacts, calico={"enabled": False})
    for name in ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc"):
        (tmp_path / name).touch()
    (tmp_path / "artifacts" / "cni").mkdir(parents=True)
    done = surface.run(*words, config=config)
    assert done.returncode == 2, done
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [["invoke", "plan", "--limit", "nobody"], ["fabric", "-H", "n9", "status"]],
)
def test_processes_end_as_the_programs_in_this_one_do(
    words: list[str], surface: Surface, tmp_path: Path
) -> None:
    config = write_cluster(tmp_path)
    done, here = started(*words, config=config), surface.run(*words, config=config)
    assert (done.returncode, done.stdout, done.stderr) == (2, here.stdout, here.stderr)
    assert here.returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ["invoke", "verify", "--no-network"],
        ["invoke", "certs"],
        ["invoke", "audit"],
        ["fabric", "-H", "n1", "status"],
        ["fabric", "-H", "n1", "facts"],
        ["fabric", "-H", "n1", "logs"],
        ["fabric", "-H", "n1", "restart"],
    ],
)
def test_what_installs_nothing_needs_no_artifacts(
    words: list[str], surface: Surface, tmp_path: Path
) -> None:
    """They get as far as the host, where nobody listens."""
    nowhere = {"binaries": "nowhere", "cni_plugins": "nowhere", "images": ["nowhere.tar"]}
    config = write_cluster(
        tmp_path,
        cluster={"apiserver": "https://127.0.0.1:1"},
        artifacts=nowhere,
        ssh={"port": 1},
        timeouts={"api": 2},
        nodes=[{"name": "n1", "address": "127.0.0.1", "ip": "192.0.2.1"}],
    )
    server = {"server": "https://127.0.0.1:1", "certificate-authority": "ca.pem"}
    account = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": server}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "admin.kubeconfig").write_text(json.dumps(account))
    done = surface.run(*words, config=config)
    assert done.returncode == 1, done
    assert "nowhere" not in done.stdout + done.stderr
    assert "127.0.0.1" in done.stdout + done.stderr


def test_a_check_says_what_a_deployment_lacks_here(surface: Surface, tmp_path: Path) -> None:
    folder = {"binaries": str(tmp_path), "cni_plugins": "nowhere"}
    config = write_cluster(tmp_path, artifacts=folder, calico={"enabled": False})
    done = surface.run("invoke", "config.check", config=config)
    assert (done.returncode, done.stderr) == (0, "")
    assert ": 3 nodes, Kubernetes 1.37.2: valid\n" in done.stdout
    assert f"artifacts.cni_plugins: {tmp_path}/nowhere does not exist\n" in done.stdout
    assert "next: `inv binaries.fetch` gets" in done.stdout
    (tmp_path / "nowhere").mkdir()
    done = surface.run("invoke", "config.check", config=config)
    assert f"artifacts.binaries: {tmp_path} has no kubelet\n" in done.stdout
    for name in ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc"):
        (tmp_path / name).touch()
    done = surface.run("invoke", "config.check", config=config)
    assert done.stdout.splitlines()[-2].endswith(": 3 nodes, Kubernetes 1.37.2: valid")


def test_a_check_for_programs(surface: Surface, tmp_path: Path) -> None:
    config = write_cluster(tmp_path, calico={"enabled": False})
    done = surface.run("invoke", "config.check", "--json", config=config)
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert (document["file"], document["kubernetes"]) == (str(config), "1.37.2")
    assert len(document["nodes"]) == 3
    assert set(document["nodes"][0]) == {"name", "address", "user", "port", "groups"}
    assert document["missing"]


def test_what_holds_for_a_node_is_shown_with_its_lines(surface: Surface, tmp_path: Path) -> None:
    """Without the CA and without access: it is a question about one file."""
    token = f"abcdef.{'0123456789abcdef'}"
    config = write_cluster(tmp_path, kubelet={"max_pods": 60, "extra_args": {"x": token}})
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "admin.kubeconfig").unlink()
    line = 1 + next(
        i for i, text in enumerate(config.read_text().splitlines()) if "max_pods" in text
    )
    done = surface.run("invoke", "config.show", "--node", "n2", config=config)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^kubelet.max_pods +60 +{config}:{line}$", done.stdout, re.M)
    assert re.search(r"^ssh.port +22 +default$", done.stdout, re.M)
    assert token not in done.stdout
    shown = surface.run("invoke", "config.show", "--node", "n2", "--json", config=config)
    document = json.loads(shown.stdout)
    assert token not in shown.stdout
    assert document["node"] == "n2"
    (found,) = [each for each in document["settings"] if each["key"] == "kubelet.max_pods"]
    origin = {"layer": "cluster", "group": "", "file": str(config), "line": line, "note": ""}
    assert found == {"key": "kubelet.max_pods", "value": 60, "from": origin}


@pytest.mark.parametrize("task", ["explain", "config.explain"])
def test_a_key_is_explained_without_a_configuration(
    task: str, surface: Surface, tmp_path: Path
) -> None:
    done = surface.run("invoke", task, "kubelet.max_pods", config=tmp_path / "none.yml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("kubelet.max_pods: pods a node takes at most\n")
    assert "  default: 110\n  allowed: 1 to 1000000\n" in done.stdout
    assert done.stdout.endswith("prints:\nkubelet:\n  max_pods: 110\n")
    document = json.loads(surface.run("invoke", task, "kubelet.max_pods", "--json").stdout)
    assert (document["key"], document["default"]) == ("kubelet.max_pods", 110)
    assert "\nkubelet " in surface.run("invoke", task, ".").stdout


def test_a_release_begins_with_what_goes_with_it(surface: Surface) -> None:
    short = surface.run("invoke", "versions.of", "1.33").stdout.splitlines()
    assert len(short) == 7
    assert short[0].split() == ["WITH", "1.33"]
    long = surface.run("invoke", "versions.of", "1.33", "--details").stdout.splitlines()
    assert len(long) > 50
    document = json.loads(surface.run("invoke", "versions.of", "1.33", "--json").stdout)
    assert set(document) == {"release", "fitting", "data"}


def test_a_task_that_is_misspelled_is_suggested(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fabnode", "deploy"])
    monkeypatch.setattr(program, "_name", "inv")  # restored afterwards
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capfd.readouterr().err.strip().endswith("did you mean deploy-nodes?")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("init --help", 0, "Write a first configuration for a cluster."),
        ("init --kubeconfig missing --no-ssh", 2, "missing: No such file or directory"),
        ("init --no-such-option", 2, "No idea what '--no-such-option' is!"),
        ("--no-such-option", 2, "No idea what '--no-such-option' is!"),
    ],
)
def test_the_installed_command_begins_with_init(
    words: str,
    code: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fabnode", *words.split()])
    monkeypatch.setattr(program, "_name", "inv")  # restored afterwards
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code or 0) == code
    assert text in "".join(capfd.readouterr())
    assert list(tmp_path.iterdir()) == []


def test_a_check_asks_own_steps_what_they_want(surface: Surface, tmp_path: Path) -> None:
    step = "from fabnode import Step\nSTEP = Step('own', 'Help.', desired=lambda inputs: (1 / 0,))"
    (tmp_path / "own.py").write_text(step)
    (tmp_path / "own.py").chmod(0o644)
    config = write_cluster(tmp_path, extensions={"steps": ["own.py"]})
    done = surface.run("invoke", "config.check", config=config)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(rf"{config}:\d+: extensions.steps: step own .*ZeroDivisionError", done.stderr)


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
def test_every_task_has_one_clear_line(
    program: str, surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name and help in one line of an ordinary terminal, whatever the longest name is."""
    monkeypatch.setenv("COLUMNS", "80")
    listed = surface.run(program, "--list", "--list-format", "json")
    done = surface.run(program, "--list")
    assert (listed.returncode, done.returncode) == (0, 0), listed.stderr + done.stderr

    def count(collection: dict[str, Any]) -> int:
        return len(collection["tasks"]) + sum(map(count, collection["collections"]))

    lines = [line for line in done.stdout.splitlines()[1:] if line.strip()]
    assert [line for line in lines if not re.fullmatch(r"  \S.*\S {2,}[A-Z].*\.", line)] == []
    assert len(lines) == count(json.loads(listed.stdout)) > 0


def test_the_example_is_printed_as_it_is_and_is_where_to_start(
    surface: Surface, tmp_path: Path
) -> None:
    done = surface.run("invoke", "config.example")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "config/example.yml").read_text()
    missing = surface.run("invoke", "config.check", "--config", str(tmp_path / "none.yml"))
    assert missing.returncode == 2
    assert "start from what `inv config.example` prints" in missing.stderr


def test_editors_get_a_schema(surface: Surface) -> None:
    done = surface.run("invoke", "config.schema")
    assert done.returncode == 0
    assert '"$schema"' in done.stdout


@pytest.mark.parametrize(
    ("words", "to", "end"),
    [
        ("invoke config.schema", "|", ("", 141)),
        ("invoke versions --json", "|", ("", 141)),
        (
            "invoke versions.of 1.20",
            ">/dev/full",
            ("the output ends here: No space left on device\n", 1),
        ),
        ("invoke config.schema", ">&-", ("", 0)),
        ("invoke config.schema", "<&-", ("", 0)),
        ("fabnode --list", "|", ("", 141)),
        ("fabnode deploy-nodes --help", "|", ("", 141)),
    ],
)
def test_the_end_where_an_output_takes_no_more(words: str, to: str, end: tuple[str, int]) -> None:
    """Quiet behind `| head`, with the code that shells give what SIGPIPE ended; else a sentence."""
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` is, once it has enough
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m {words} {'' if to == '|' else to}"],
        cwd=ROOT,
        stdout=writer if to == "|" else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.stderr, done.returncode) == end


def test_no_core_dump_holds_our_secrets() -> None:
    """Not even where the user's limits and the machine would write one."""
    code = """
import ctypes, os, resource
from fabnode.cli.exits import errors_as_exits
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


def unit_of(surface: Surface, folder: Path) -> tuple[Path, str]:
    """Return the unit that is printed for a configuration in this folder, as file and text."""
    folder.mkdir(exist_ok=True)
    config = write_cluster(folder)
    words = ["--print-unit", "--kubeconfig", str(folder / "approver.kubeconfig")]
    done = surface.run("invoke", "approve-csr", *words, "--config", str(config))
    assert done.returncode == 0, done.stderr
    unit = folder / "fabnode-approve-csr.service"
    unit.write_text(done.stdout)
    return unit, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
@pytest.mark.parametrize("name", ["a blank", '100%h it\'s a "q"; #'])
def test_the_printed_unit_is_one_to_systemd_whatever_its_paths(
    surface: Surface, tmp_path: Path, name: str
) -> None:
    unit, text = unit_of(surface, tmp_path / name)
    plain = tmp_path / "fabnode-approve-csr.service"
    plain.write_text(text)
    printed = subprocess.run(
        ["systemd-analyze", "verify", str(plain)], capture_output=True, text=True, check=False
    )
    assert printed.returncode == 0, printed.stderr
    assert str(plain) not in printed.stderr
    assert "fabnode-approve-csr" not in printed.stderr
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(command.removeprefix("ExecStart=").replace("%%", "%"))
    assert words[words.index("--config") + 1] == str(unit.parent / "cluster.yml")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
def test_the_printed_unit_is_sandboxed(surface: Surface, tmp_path: Path) -> None:
    unit, text = unit_of(surface, tmp_path)
    printed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.returncode == 0, printed.stdout[-2000:] + printed.stderr
    assert "approves serving certificates" in text
    assert "--serving-only" in text


@pytest.mark.parametrize("name", ["a\nb", "a$b"])
def test_a_path_that_no_unit_can_hold_is_refused(
    surface: Surface, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    done = surface.run(
        "invoke", "approve-csr", "--print-unit", config=write_cluster(tmp_path / name)
    )
    assert done.returncode == 2, done.stdout
    assert "a path in a unit may not have" in done.stderr


def test_what_errors_quote_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle, an API or a server reported it."""
    with pytest.raises(Exit) as stop, exits.errors_as_exits():
        raise BundleError("it holds Kubernetes \x1b]0;owned\x07\x9b31m1.37.2")
    assert stop.value.message
    assert stop.value.message.isprintable()
    app.print_table(("A",), [("\x1b[31mred",)])
    assert "\x1b[31m" not in capsys.readouterr().out
