"""A lab of a benchmark's own, and what is measured on it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

PROJECT = Path(__file__).parent.parent
INV = Path(sys.executable).with_name("inv")
QUIET = 0.1  # share of the processors' time that an idle lab of a hundred hosts may take


class FailedError(Exception):
    """A command of the benchmark went wrong, so that no figure of it counts."""


@dataclass(frozen=True, slots=True)
class Measured:
    """
    A command's run.

    :param seconds: from its start to its end.
    :param cpu: seconds of processor time it took on this side.
    :param peak: most memory it held, in bytes.
    """

    seconds: float
    cpu: float
    peak: int
    output: str


@dataclass(frozen=True, slots=True)
class BenchLab:
    """
    A lab that is up.

    :param state: folder for the journals of the runs, so that the user's own stay untouched.
    """

    name: str
    state: Path

    @property
    def folder(self) -> Path:
        """Return the lab's folder."""
        return PROJECT / f".lab-{self.name}"

    def hosts(self) -> dict[str, str]:
        """Return the hosts' addresses by their names."""
        nodes = yaml.safe_load((self.folder / "cluster.yml").read_text())["nodes"]
        return {node["name"]: node["address"] for node in nodes}

    def kubectl(self, *words: str) -> list[str]:
        """Return a kubectl command for its cluster."""
        return [
            f"{self.folder}/bin/kubectl",
            f"--kubeconfig={self.folder}/admin.kubeconfig",
            *words,
        ]

    def fabnode(self, *words: str) -> list[str]:
        """Return an `inv` command; `measure` tells it the configuration."""
        return [str(INV), *words]

    def fresh(self) -> None:
        """
        Make all hosts bare and the cluster empty, its controllers at work.

        Whoever has a certificate signed first would be slower by their start, and no operator
        deploys to a cluster that just starts.
        """
        self.measure([str(INV), "lab.fresh", "--name", self.name], timeout=180)

    def measure(self, command: list[str], *, timeout: float = 400, cwd: Path = PROJECT) -> Measured:
        """
        Run a command in a folder, its output kept.

        :raises FailedError: it ended otherwise than well.
        """
        environment = {
            **os.environ,
            "FABNODE_CONFIG": f"{self.folder}/cluster.yml",
            "XDG_STATE_HOME": str(self.state),
        }
        # Users' Python keeps what it has compiled; where this one is told not to, each command
        # would compile all it imports, and that would be measured as well.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with tempfile.TemporaryFile("w+") as output:
            began = time.monotonic()
            process = subprocess.Popen(
                ["timeout", str(timeout), *command],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read()
        if process.returncode:
            raise FailedError(
                f"{' '.join(command)} ended with {process.returncode}:\n{text[-4000:]}"
            )
        return Measured(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, text)


@contextmanager
def lab(name: str, nodes: int) -> Iterator[BenchLab]:
    """Bring up a lab of this name and take it away at the end, whatever happens."""
    with tempfile.TemporaryDirectory() as state:
        subprocess.run(
            [INV, "lab.up", "--name", name, "--nodes", str(nodes)], cwd=PROJECT, check=True
        )
        try:
            yield BenchLab(name, Path(state))
        finally:
            subprocess.run([INV, "lab.down", "--name", name], cwd=PROJECT, check=False)


def say_what_else_runs() -> None:
    """Warn of other work on the machine, which makes figures worthless."""
    if (load := os.getloadavg()[0]) > 1:
        print(f"note: the machine is busy already (load {load:.1f}); figures will be too high")


def wait_until_quiet(seconds: float = 90) -> None:
    """Wait until a hundred hosts that have just booted leave the processors alone, or say so."""
    deadline = time.monotonic() + seconds
    while (busy := _busy()) > QUIET:
        if time.monotonic() > deadline:
            print(f"note: processors are {busy:.0%} busy after {seconds:.0f} s; figures are high")
            return


def _busy(span: float = 2.0) -> float:
    """Return the share of the span that the processors worked."""
    idle_before, all_before = _ticks()
    time.sleep(span)
    idle, all_ = _ticks()
    return 1 - (idle - idle_before) / max(1, all_ - all_before)


def _ticks() -> tuple[int, int]:
    """Return the ticks spent idle and all told, of all processors: see proc(5), /proc/stat."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
