"""
Measure the deployer over a hundred, three hundred and a thousand hosts: `make bench-thousand`.

`python -m bench.thousand [--before COMMIT] [HOSTS …]`. The hosts and the API are simulated
(`bench/simulated`): SSH servers and an HTTPS server on the loopback that answer from recordings,
with neither a kubelet nor a controller behind them. What is measured is the deployer alone, in a
process of its own: what it takes of the processor, of memory, of threads and files, and what it
asks of hosts and API. Seconds tell of this machine, which carries both sides.

An earlier commit takes turns over bare hosts alone: of nodes it wants other things.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from . import measured
from .commits import checkout
from .labs import PROJECT, FailedError, say_what_else_runs
from .measured import Usage

HOSTS = (100, 300, 1000)
ROUNDS = 3
COMMANDS = {
    "bare": ("inv plan --json",),
    "nodes": ("inv plan --json", "inv deploy-nodes", "inv verify --no-network"),
}
_TIMEOUT = 900.0
_CACHE = Path("~/.cache/fabnode").expanduser()


@dataclass(frozen=True, slots=True)
class Run:
    """A command's run, and what hosts and API saw of it."""

    usage: Usage
    seen: Mapping[str, Any]

    @property
    def calls(self) -> int:
        """Calls of the API."""
        return sum(self.seen["calls"].values())


class Simulation:
    """Simulated hosts that listen. :ivar folder: of the configuration, and the user's home."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self._process = process

    def run(self, project: Path, command: str) -> Run:
        """Run a command of a checkout. Raises FailedError."""
        program, *words = command.split()
        self.taken()
        usage = measured.run(
            [str(Path(sys.executable).with_name(program)), *words],
            cwd=project,
            environment=self._environment,
            timeout=_TIMEOUT,
        )
        return Run(usage, self.taken())

    def taken(self) -> Mapping[str, Any]:
        """Return what hosts and API were asked for since the last call."""
        print(file=self._stream(self._process.stdin), flush=True)
        found: dict[str, Any] = json.loads(self._stream(self._process.stdout).readline())
        if found["unanswered"]:
            raise FailedError(f"simulated hosts have no answer to {found['unanswered']}")
        return found

    @property
    def _environment(self) -> dict[str, str]:
        own = {
            "HOME": self.folder,
            "XDG_STATE_HOME": self.folder / "state",
            "XDG_CACHE_HOME": self.folder / "cache",
            "FABNODE_CONFIG": self.folder / "cluster.yml",
        }
        environment = {**os.environ, **{name: str(path) for name, path in own.items()}}
        # Users' Python keeps what it has compiled, and no agent has the simulated hosts' keys.
        for name in ("PYTHONDONTWRITEBYTECODE", "SSH_AUTH_SOCK"):
            environment.pop(name, None)
        return environment

    def _stream(self, pipe: IO[str] | None) -> IO[str]:
        if pipe is None or self._process.poll() is not None:
            raise FailedError("the simulated hosts have ended")
        return pipe


@contextmanager
def simulation(hosts: int, state: str) -> Iterator[Simulation]:
    """Have so many hosts in a state, bare or nodes, until the end."""
    manifests = sorted(_CACHE.glob("bin/calico-*/calico.yaml"))
    with tempfile.TemporaryDirectory(prefix="fabnode-bench-") as folder:
        command = [sys.executable, "-m", "bench.simulated", folder, str(hosts), state]
        with subprocess.Popen(
            [*command, *map(str, manifests[-1:])],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            made = Simulation(Path(folder), process)
            try:
                if process.stdout is None or not process.stdout.readline():
                    raise FailedError("the simulated hosts do not listen")
                yield made
            finally:
                process.kill()


def measure(
    hosts: int, state: str, projects: Mapping[str, Path], rounds: int
) -> dict[tuple[str, str], list[Run]]:
    """Return the runs of each command, by command and by who; they take turns."""
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    with simulation(hosts, state) as simulated:
        if state == "nodes":
            # Its roles and the pod network's objects are not there yet.
            simulated.run(PROJECT, "inv deploy-nodes")
        for number in range(rounds + 1):
            for command in COMMANDS[state]:
                order = list(projects.items())
                for who, project in order if number % 2 else reversed(order):
                    found = simulated.run(project, command)
                    if number:  # the round before the first compiles modules and fills caches
                        runs[command, who].append(found)
    return runs


def show(hosts: int, state: str, runs: Mapping[tuple[str, str], Sequence[Run]]) -> None:
    """Print a line for each command: medians, and the range of processor time."""
    for (command, who), found in runs.items():
        usage = [run.usage for run in found]
        cpu = sorted(each.cpu for each in usage)
        last = found[-1]
        round_trips = last.seen["probes"] + sum(last.seen["forwarded"].values())
        print(
            f"{hosts:5} {state:5} {command:23} {who:6}"
            f" {statistics.median(u.seconds for u in usage):6.1f} s,"
            f" processor {statistics.median(cpu):5.2f} s ({cpu[0]:.2f} to {cpu[-1]:.2f}),"
            f" {statistics.median(u.peak for u in usage) / 1e6:5.0f} MB,"
            f" {max(u.threads for u in usage):4} threads, {max(u.files for u in usage):4} files,"
            f" {last.calls:4} API calls; a host: {last.calls / hosts:.2f} API calls,"
            f" {round_trips / hosts:.1f} round trips, {last.seen['bytes'] / hosts / 1e3:.1f} kB,"
            f" {last.seen['connections'] / hosts:.1f} connections",
            flush=True,
        )


def show_growth(
    by_hosts: Mapping[int, Mapping[tuple[str, str], Sequence[Run]]], state: str
) -> None:
    """Print what each host more took, from each number of hosts to the next."""
    numbers = sorted(by_hosts)
    for few, many in pairwise(numbers):
        for key, before in by_hosts[few].items():
            after = by_hosts[many][key]
            cpu, peak = (
                (
                    statistics.median(getattr(run.usage, what) for run in after)
                    - statistics.median(getattr(run.usage, what) for run in before)
                )
                / (many - few)
                for what in ("cpu", "peak")
            )
            print(
                f"{few} to {many} {state}, {' '.join(key)}: each host more takes"
                f" {cpu * 1000:.1f} ms of the processor and {peak / 1e6:.3f} MB",
                flush=True,
            )


def main(numbers: Sequence[int], states: Sequence[str], before: str, rounds: int) -> None:
    """Measure and print."""
    say_what_else_runs()
    with checkout(before) if before else nullcontext(PROJECT) as old:
        projects = {"before": old, "after": PROJECT} if before else {"after": PROJECT}
        for state in states:
            by_hosts = {}
            who = projects if state == "bare" else {"after": PROJECT}
            for hosts in numbers:
                by_hosts[hosts] = measure(hosts, state, who, rounds)
                show(hosts, state, by_hosts[hosts])
            show_growth(by_hosts, state)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("hosts", nargs="*", type=int, default=HOSTS)
    parser.add_argument(
        "--before", default="", metavar="COMMIT", help="measured in turns with this"
    )
    parser.add_argument("--state", choices=COMMANDS, help="of the hosts; default: each in turn")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    try:
        states = [given.state] if given.state else list(COMMANDS)
        main(given.hosts, states, given.before, given.rounds)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
