"""A lab as its users see it: the real commands, and what they left on hosts and at the API."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from fabnode.pki import certificates
from fabnode.steps.checks.probe_answers import APISERVER
from fabnode.util.merging import merge_deep
from lab import hosts, processes
from lab.errors import LabError
from lab.layout import Layout

T = TypeVar("T")

PROJECT = Path(__file__).parents[2]
NODES = ("n1", "n2", "n3")
UNITS = ("containerd.service", "kubelet.service", "kube-proxy.service")

# How long anything may take before it counts as hung; machines that run tests are often busy.
LONG = 400.0


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float
    state: Path

    @property
    def text(self) -> str:
        """All that it said."""
        return f"{self.out}\n{self.err}"

    @property
    def document(self) -> Any:
        """
        What it printed for programs (`--json`).

        Without the warning that the apiserver does not reach pods, which is true of every lab: its
        control plane is no node. `test_apiserver_to_pods` looks at it.
        """
        found = json.loads(self.out)
        if isinstance(found, dict) and isinstance(checks := found.get("checks"), list):
            found["checks"] = [check for check in checks if check["name"] != APISERVER]
        return found

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The end table of a deployment, by node."""
        return {row["node"]: row for row in self.document["nodes"]}

    @property
    def failed_checks(self) -> list[str]:
        """What `--json` has of checks that failed, one line each."""
        try:
            checks = self.document["checks"]
        except (ValueError, TypeError, KeyError):
            return []
        return [str(check) for check in checks if not check["ok"]]

    @property
    def results(self) -> dict[str, str]:
        """What became of each node."""
        return {node: row["result"] for node, row in self.rows.items() if node != "cluster"}

    def expect(self, code: int) -> Done:
        """Insist on an exit code; a traceback is never right."""
        # What failed comes first: pytest and CI cut long messages in their middle.
        reported = "\n".join(
            [
                f"{' '.join(self.words)} → {self.code}",
                *self.failed_checks,
                self.err[-6000:],
                self.out[-6000:],
            ]
        )
        assert "Traceback (most recent call last)" not in self.text, reported
        assert self.code == code, reported
        return self


@dataclass
class Running:
    """A command that goes on beside the test."""

    words: tuple[str, ...]
    process: subprocess.Popen[str]
    state: Path
    output: Path
    began: float = field(default_factory=time.monotonic)

    def events(self) -> list[dict[str, Any]]:
        """What its journal holds so far."""
        found = list((self.state / "fabnode/runs").glob("*/journal.jsonl"))
        lines = found[0].read_text().split("\n") if found else [""]
        return [json.loads(line) for line in lines[:-1]]

    def until(self, seen: Callable[[list[dict[str, Any]]], object], seconds: float = LONG) -> bool:
        """Wait until its events are as `seen` wants them; False if it ends before."""
        deadline = time.monotonic() + seconds
        while not seen(self.events()):
            if self.process.poll() is not None:
                return bool(seen(self.events()))
            assert time.monotonic() < deadline, f"it never came to that: {self.printed()[-3000:]}"
            time.sleep(0.02)
        return True

    def begun(self, node: str | None, step: str, text: str = "", seconds: float = LONG) -> bool:
        """Wait until a node's step has begun (with this in an event's text)."""

        def seen(events: list[dict[str, Any]]) -> bool:
            return any(
                e.get("node") == node and e["step"] == step and text in e.get("text", "")
                for e in events
            )

        return self.until(seen, seconds)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the command, and to nothing else."""
        self.process.send_signal(number)

    def printed(self) -> str:
        """What it printed so far."""
        return "".join(self.output.with_suffix(s).read_text() for s in (".out", ".err"))

    def wait(self, seconds: float = LONG) -> Done:
        """Wait for its end."""
        code = self.process.wait(seconds)
        out, err = (self.output.with_suffix(s).read_text() for s in (".out", ".err"))
        return Done(self.words, code, out, err, time.monotonic() - self.began, self.state)


class Lab:
    """
    One lab. Commands run as a user would run them, each with a state folder of its own.

    They deploy as the account that `inv rbac.deployer` makes; only `kubectl` is administrator.

    :param scratch: a folder for configurations, journals and output.
    :param patience: seconds that a command may take.
    """

    def __init__(self, layout: Layout, scratch: Path, patience: float = LONG) -> None:
        self.layout = layout
        self.scratch = scratch
        self.patience = patience
        self.configuration = scratch / "deployer.yml"
        self.as_configured = False  # is every node what the lab's own configuration says?
        self._count = itertools.count(1)
        self.become_deployer()

    def become_deployer(self, **changes: Any) -> None:
        """
        Make the account with the smallest roles, and deploy with its credentials from here.

        :param changes: of the lab's configuration, for which the account is made.
        """
        credentials = self.scratch / "deployer.kubeconfig"
        words = ["rbac.deployer", "--hours", "8", "--out", str(credentials)]
        config = self.layout.configuration
        if changes:
            admins = merge_deep(yaml.safe_load(config.read_text()), changes)
            config = self.scratch / "admin.yml"
            config.write_text(yaml.safe_dump(admins, sort_keys=False))
        self.inv(*words, config=config)
        whole = yaml.safe_load(self.layout.configuration.read_text())
        whole["cluster"]["kubeconfig"] = str(credentials)
        self.configuration.write_text(yaml.safe_dump(whole, sort_keys=False))

    # --- commands ----------------------------------------------------------------------------

    def begin(
        self, *words: str, config: Path | None = None, program: str = "invoke", **environment: str
    ) -> Running:
        """Start `inv …` (or fab)."""
        number = next(self._count)
        state, output = self.scratch / f"state/{number}", self.scratch / f"output/{number}"
        for folder in (state.parent, output.parent):
            folder.mkdir(exist_ok=True)
        env = os.environ | {
            "FABNODE_CONFIG": str(config or self.configuration),
            "XDG_STATE_HOME": str(state),
            "TMPDIR": str(output.parent),
            **environment,
        }
        with output.with_suffix(".out").open("w") as out, output.with_suffix(".err").open("w") as e:
            process = subprocess.Popen(
                [sys.executable, "-m", program, *words],
                cwd=PROJECT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=e,
                text=True,
                start_new_session=True,
            )
        return Running((program, *words), process, state, output)

    def inv(self, *words: str, code: int = 0, config: Path | None = None) -> Done:
        """Run `inv …` and insist on its exit code."""
        return self.begin(*words, config=config).wait(self.patience).expect(code)

    def fab(self, *words: str, code: int = 0, config: Path | None = None) -> Done:
        """Run `fab …` and insist on its exit code."""
        return self.begin(*words, config=config, program="fabric").wait(self.patience).expect(code)

    def deploy(self, *words: str, code: int = 0, config: Path | None = None) -> Done:
        """Run `inv deploy-nodes --json`."""
        self.as_configured = False
        done = self.inv("deploy-nodes", "--json", *words, code=code, config=config)
        self.as_configured = config is None and code == 0 and not words
        return done

    def restore(self) -> None:
        """Make every node as the lab's own configuration says, unless they are."""
        if not self.as_configured:
            self.deploy()

    def plan(self, *words: str, code: int = 0, config: Path | None = None) -> dict[str, Any]:
        """Return what `inv plan --json` prints."""
        document: dict[str, Any] = self.inv(
            "plan", "--json", *words, code=code, config=config
        ).document
        return document

    def lab(self, task: str, *words: str) -> Done:
        """Run one of the lab's tasks on this lab."""
        self.as_configured = False
        return self.inv(f"lab.{task}", *words, "--name", self.layout.name)

    def restart_apiserver(self) -> None:
        """Kill the apiserver, and start it again."""
        pid = processes.find(self.layout.record("kube-apiserver"))
        assert pid
        processes.send(pid, signal.SIGKILL)
        self.lab("up", "--nodes", str(len(NODES)))

    # --- configurations ----------------------------------------------------------------------

    def config(self, nodes: Mapping[str, Any] | None = None, **changes: Any) -> Path:
        """Return a variant of our configuration: `changes` merged in, and those of nodes."""
        whole: Any = merge_deep(yaml.safe_load(self.configuration.read_text()), changes)
        whole["nodes"] = [
            merge_deep(node, (nodes or {}).get(node["name"], {})) for node in whole["nodes"]
        ]
        path = self.scratch / f"cluster-{next(self._count)}.yml"
        path.write_text(yaml.safe_dump(whole, sort_keys=False))
        return path

    # --- what is there -----------------------------------------------------------------------

    def kubectl_command(self, kubeconfig: Path | None = None) -> list[str]:
        """Return the kubectl of this lab with a kubeconfig; None: the administrator's."""
        # What kubectl remembers of an address may be of another lab, of another release.
        cache = self.layout.folder / "kubectl-cache"
        credentials = kubeconfig or self.layout.kubeconfig
        return [str(self.layout.kubectl), f"--kubeconfig={credentials}", f"--cache-dir={cache}"]

    def kubectl(self, *words: str, stdin: str | None = None, code: int | None = 0) -> str:
        """Run kubectl as administrator and return what it prints."""
        command = [*self.kubectl_command(), *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=LONG
        )
        if code is not None:
            assert done.returncode == code, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    def objects(self, *words: str) -> list[dict[str, Any]]:
        """Return objects that `kubectl get` finds."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", *words, "-o", "json"))["items"]
        return found

    def on(self, host: str, script: str, code: int | None = 0) -> str:
        """Run a script as root on a host, past its sshd, and return what it prints."""
        done = hosts.execute(self.layout, host, "sh", "-c", script)
        if code is not None:
            assert done.returncode == code, f"{host}: {script}: {done.stdout} {done.stderr}"
        return done.stdout

    def proxy_name(self, host: str) -> str:
        """Return the common name of a host's kube-proxy."""
        pem = self.on(host, "sed '/PRIVATE KEY/,$d' /etc/kubernetes/pki/kube-proxy.pem")
        return certificates.read(pem).common_name

    def proxies_bound(self) -> set[str]:
        """Return the nodes whose kube-proxies have rights under names of their own."""
        words = ("clusterrolebinding", "fabnode:kube-proxies", "-o", "json")
        subjects = json.loads(self.kubectl("get", *words)).get("subjects") or ()
        return {each["name"].removeprefix("system:kube-proxy:") for each in subjects}

    def may_list_services(self, user: str) -> bool:
        """Return what the apiserver says of a user's right to that."""
        words = ("auth", "can-i", "list", "services", "-A", "--as", user)
        return self.kubectl(*words, code=None).strip() == "yes"

    def disturb(self, host: str, script: str) -> None:
        """Change a host by hand."""
        self.as_configured = False
        self.on(host, script)

    def starts(self, *names: str) -> dict[str, str]:
        """Return `host unit` → the id that systemd gives to each start of a unit."""
        command = f"systemctl show -p InvocationID --value {' '.join(UNITS)}"
        return {
            f"{host} {unit}": start
            for host in names or NODES
            for unit, start in zip(UNITS, self.on(host, command).split(), strict=True)
        }

    def restarted(self, before: Mapping[str, str]) -> set[str]:
        """Return the `host unit`s that were started since."""
        now = self.starts(*dict.fromkeys(key.split()[0] for key in before))
        return {key for key, start in before.items() if now[key] != start}

    def ready(self) -> set[str]:
        """Return the names of Ready nodes."""
        return {
            node["metadata"]["name"]
            for node in self.objects("nodes")
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready" and condition["status"] == "True"
        }

    def writes(self, since: int = 0) -> list[str]:
        """Return what fabnode wrote at the API since (the count of) earlier writes."""
        log = self.layout.logs / "audit.jsonl"
        entries = (json.loads(line) for line in log.read_text().splitlines() if line)
        found = [
            f"{entry['verb']} {entry['requestURI']}"
            for entry in entries
            if entry["userAgent"].startswith("fabnode/") and "dryRun=All" not in entry["requestURI"]
        ]
        return found[since:]


def eventually(condition: Callable[[], T | None], seconds: float = 60.0) -> T:
    """
    Return what `condition` returns once that is something.

    AssertionErrors are tried again, as is a host that is off: one that reboots is, for a moment.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except (AssertionError, LabError):
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


def documents(text: str) -> Iterator[Any]:
    """Yield the JSON documents that follow each other in a text."""
    decoder = json.JSONDecoder()
    at = 0
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
