"""
Measure `inv plan` over a hundred bare hosts: `make bench-scale`.

Prints seconds, peak memory, and how many SSH channels each host was asked for, which must not
depend on how many hosts there are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .labs import BenchLab, FailedError, lab, say_what_else_runs, wait_until_quiet

HOSTS = 100
ROUNDS = 3
TARGET_SECONDS = 5.0
TARGET_BYTES = 300_000_000


def main(hosts: int) -> None:
    """Measure and print."""
    say_what_else_runs()
    with lab("scale", hosts) as bench:
        wait_until_quiet()
        print(f"inv plan over {hosts} bare hosts (targets: {TARGET_SECONDS} s, 300 MB)")
        for number in range(1, ROUNDS + 1):
            run = bench.measure(bench.fabnode("plan", "--json"))
            planned = len(json.loads(run.output[run.output.index("{") :])["nodes"])
            good = run.seconds <= TARGET_SECONDS and run.peak <= TARGET_BYTES
            print(
                f"run {number}: {run.seconds:.2f} s (processor {run.cpu:.2f} s), "
                f"{run.peak / 1e6:.0f} MB, "
                f"{planned} hosts planned{'' if good else '  (beyond the target)'}",
                flush=True,
            )
        for limit in ("n1,n4,n5", "*"):
            print(f"channels per host with --limit '{limit}': {_channels(bench, limit)}")


def _channels(bench: BenchLab, limit: str) -> str:
    """Return how many channels hosts were asked for: `2 (97 hosts), 3 (3 hosts)`."""
    out = bench.state / "channels.json"
    bench.measure(
        [sys.executable, "-m", "bench.counted", str(out), "plan", "--json", "--limit", limit]
    )
    counts: dict[str, int] = json.loads(Path(out).read_text())["channels"]
    return ", ".join(
        f"{count} ({sum(n == count for n in counts.values())} hosts)"
        for count in sorted(set(counts.values()))
    )


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else HOSTS)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
