"""
Show what takes the processors until three bare hosts are Ready: `make bench-breakdown`.

perf samples the whole machine, which carries the deployer, the control plane and the hosts, while
fabnode deploys and while the bare script does (`bench.compare`). Seconds are of one processor, by
the name of the program. Needs root and perf.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from .compare import DEADLINE, NODES, Times, bare, fabnode
from .labs import BenchLab, FailedError, lab, say_what_else_runs

FREQUENCY = 199  # samples a second and processor: no multiple of anything's own period
_SMALLEST = 0.1  # seconds; below that a program is among the others


def sampled(deploy: Callable[[BenchLab], Times], bench: BenchLab) -> tuple[Times, Counter[str]]:
    """Return a deployment's times and the seconds that each program took until all were Ready."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        words = ["perf", "record", "-q", "-a", "-k", "mono", "-F", str(FREQUENCY), "-o", str(data)]
        with subprocess.Popen([*words, "--", "sleep", str(DEADLINE)]) as perf:
            try:
                times = deploy(bench)
            finally:
                perf.send_signal(signal.SIGINT)
        shown = subprocess.run(
            ["perf", "script", "-i", str(data), "-F", "comm,time", "--no-demangle"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    taken: Counter[str] = Counter()
    for line in shown.splitlines():
        name, _, at = line.rstrip().rstrip(":").rpartition(" ")
        if times.began <= float(at) <= times.began + times.ready:
            taken[name.strip()] += 1
    taken["(idle)"] = taken.pop("swapper", 0)
    return times, taken


def main() -> None:
    """Measure both, and print them side by side."""
    say_what_else_runs()
    with lab("bench", NODES) as bench:
        fabnode(bench)  # uncounted: packs the archives if they are not yet
        found: dict[str, Counter[str]] = {}
        for who, deploy in (("fabnode", fabnode), ("bare", bare)):
            bench.fresh()
            times, found[who] = sampled(deploy, bench)
            print(f"{who}: Ready after {times.ready:.1f} s, Calico after {times.calico:.1f} s")
    print(f"{'seconds of a processor':24} {'fabnode':>8} {'bare':>8}")
    rest = dict.fromkeys(found, 0.0)
    for program, _ in (found["fabnode"] + found["bare"]).most_common():
        seconds = {who: taken[program] / FREQUENCY for who, taken in found.items()}
        if max(seconds.values()) < _SMALLEST:
            rest = {who: rest[who] + seconds[who] for who in rest}
            continue
        print(f"{program:24} {seconds['fabnode']:8.1f} {seconds['bare']:8.1f}")
    print(f"{'others':24} {rest['fabnode']:8.1f} {rest['bare']:8.1f}")


if __name__ == "__main__":
    try:
        main()
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
