"""
Measure what other nodes of a cluster cost a deployment of three: `make bench-nodes`.

`python -m bench.nodes [OTHERS …]`. The apiserver, etcd and the three nodes are the lab's real ones;
the others are objects alone (`other_nodes.py`). Each command is measured beside none of them and
beside so many: processor time, memory, calls of the API and bytes of its answers, and what its run
left in its journal.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from fabnode.util.errors import FabnodeError

from .labs import BenchLab, FailedError, lab, say_what_else_runs, wait_until_quiet
from .other_nodes import others

NODES, OTHERS = 3, (97, 5000)
COMMANDS = {
    "plan, hosts bare": "plan --json",
    "deploy-nodes": "deploy-nodes",
    "deploy-nodes, unchanged": "deploy-nodes",
    "verify --no-network": "verify --no-network",
    "status": "status",
    "audit": "audit",
    "upgrade --dry-run": "upgrade --dry-run",
}
_TIMEOUT = 600


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What a command took.

    :param peak: most memory it held, in bytes. :param calls: of the API.
    :param received: bytes of the API's answers. :param journal: bytes that its run left.
    """

    seconds: float
    cpu: float
    peak: int
    calls: int
    received: int
    journal: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:6.1f} s, processor {self.cpu:5.2f} s, {self.peak / 1e6:4.0f} MB,"
            f" {self.calls:4} calls, {self.received / 1e6:6.2f} MB received,"
            f" journal {self.journal / 1e3:5.0f} kB"
        )


def main(numbers: list[int]) -> None:
    """Measure and print."""
    say_what_else_runs()
    with lab("nodes", NODES) as bench:
        for number in (0, *numbers):
            bench.fresh()
            with others(bench.folder / "admin.kubeconfig", number) if number else nullcontext():
                wait_until_quiet()
                for name, command in COMMANDS.items():
                    print(f"{number:5} others  {name:24} {_measure(bench, command)}", flush=True)


def _measure(bench: BenchLab, command: str) -> Cost:
    """Return what an `inv` command took."""
    out, before = bench.state / "counts.json", _kept(bench.state)
    counted = [sys.executable, "-m", "bench.counted", str(out), *command.split()]
    run = bench.measure(counted, timeout=_TIMEOUT)
    found = json.loads(out.read_text())
    out.unlink()
    calls = sum(found["calls"].values())
    kept = _kept(bench.state) - before
    return Cost(run.seconds, run.cpu, run.peak, calls, found["received"], kept)


def _kept(folder: Path) -> int:
    """Return how many bytes of files a folder holds."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    try:
        main([int(word) for word in sys.argv[1:]] or list(OTHERS))
    except (FailedError, FabnodeError) as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
