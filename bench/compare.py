"""
Measure fabnode beside a bare shell script: `make bench`, or `python -m bench.compare [ROUNDS]`.

Both make the same three hosts, bare each time, nodes of an empty cluster; they take turns, in
changing order. Both have their archives packed before the clock starts. Ready and Calico are
watched from outside, for both in the same way.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .labs import PROJECT, BenchLab, FailedError, lab, say_what_else_runs

NODES = 3
DEADLINE = 300  # seconds
TARGET = 2.0  # seconds for an unchanged run of fabnode


@dataclass(frozen=True, slots=True)
class Times:
    """
    Seconds from the start of a deployment until all nodes are Ready, Calico is, it ends.

    :param began: that start, by the monotonic clock.
    """

    ready: float
    calico: float
    end: float
    began: float


class Watch:
    """Watches a cluster from outside while somebody deploys to it."""

    def __init__(self, bench: BenchLab) -> None:
        """Begin to watch, and the clock."""
        self._bench = bench
        self._nodes = [f"node/{name}" for name in bench.hosts()]
        self._began = time.monotonic()
        self._ready = self._calico = 0.0
        self._failed = ""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        for node in self._nodes:
            self._wait("wait", "--for=create", node)
        self._wait("wait", "--for=condition=Ready", *self._nodes)
        self._ready = time.monotonic() - self._began
        self._wait("wait", "--for=create", "-n", "kube-system", "daemonset/calico-node")
        self._wait("rollout", "status", "-n", "kube-system", "daemonset/calico-node")
        self._calico = time.monotonic() - self._began

    def _wait(self, *words: str) -> None:
        command = self._bench.kubectl(*words, f"--timeout={DEADLINE}s")
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            self._failed = self._failed or done.stderr

    def times(self, end: float) -> Times:
        """Return what was seen, once all of it has been."""
        self._thread.join(DEADLINE)
        if self._failed or not self._calico:
            raise FailedError(self._failed or "nodes or Calico did not become Ready in time")
        return Times(self._ready, self._calico, end, self._began)


def fabnode(bench: BenchLab, project: Path = PROJECT) -> Times:
    """Deploy with the fabnode of this checkout, or of another one."""
    watch = Watch(bench)
    run = bench.measure(bench.fabnode("deploy-nodes"), timeout=DEADLINE, cwd=project)
    return watch.times(run.seconds)


def bare(bench: BenchLab) -> Times:
    """Deploy with the bare script."""
    script = str(PROJECT / "bench/bare.sh")
    with tempfile.TemporaryDirectory() as work:
        bench.measure([script, "pack", str(bench.folder), work])
        hosts = [f"{name}={address}" for name, address in bench.hosts().items()]
        watch = Watch(bench)
        run = bench.measure([script, "deploy", str(bench.folder), work, *hosts], timeout=DEADLINE)
        return watch.times(run.seconds)


def main(rounds: int) -> None:
    """Let both take turns, print each time and at the end the medians and ratios."""
    say_what_else_runs()
    with lab("bench", NODES) as bench:
        print("round  who      Ready    Calico   command ended   (seconds, clock starts again)")
        fabnode(bench)  # uncounted: packs the archives if they are not yet
        taken: dict[str, list[Times]] = {"fabnode": [], "bare": []}
        unchanged: list[float] = []
        for number in range(1, rounds + 1):
            contestants = [("fabnode", fabnode), ("bare", bare)]
            for who, deploy in contestants if number % 2 else reversed(contestants):
                bench.fresh()
                times = deploy(bench)
                taken[who].append(times)
                print(
                    f"{number:<6} {who:8} {times.ready:<8.1f} {times.calico:<8.1f} {times.end:.1f}",
                    flush=True,
                )
                if who == "fabnode":
                    again = bench.measure(bench.fabnode("deploy-nodes"))
                    unchanged.append(again.seconds)
                    print(
                        f"{number:<6} {who:8} unchanged re-run: {again.seconds:.2f} "
                        f"(processor {again.cpu:.2f})",
                        flush=True,
                    )
        _sum_up(taken, unchanged)


def _sum_up(taken: dict[str, list[Times]], unchanged: list[float]) -> None:
    print()
    for what in ("ready", "calico"):
        ours, theirs = (
            statistics.median(getattr(times, what) for times in taken[who])
            for who in ("fabnode", "bare")
        )
        print(
            f"{what.capitalize():7} fabnode {ours:.1f} s, bare script {theirs:.1f} s: "
            f"ratio {ours / theirs:.2f} (medians; below 1: fabnode is faster)"
        )
    print(f"unchanged deploy-nodes: {statistics.median(unchanged):.2f} s (target: {TARGET} s)")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
