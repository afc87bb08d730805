"""
Measure this checkout beside an earlier commit: `python -m bench.commits COMMIT [ROUNDS]`.

Both deploy to the same three hosts, bare each time, and run again unchanged; they take turns, in
changing order, with the same Python and libraries. What is printed at the end are ratios of
medians: below 1, this checkout is faster than the commit.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .compare import NODES, fabnode
from .labs import PROJECT, BenchLab, FailedError, lab, say_what_else_runs

LISTS = 5  # how often `inv --list` is started in each round


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "before"
        git = ["git", "-C", str(PROJECT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
        try:
            # As users have it after their first command; Invoke alone would keep nothing.
            compiled = [sys.executable, "-m", "compileall", "-q", "fabnode", "lab"]
            subprocess.run(compiled, cwd=folder, check=True)
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=False)


def figures(bench: BenchLab, project: Path) -> dict[str, float]:
    """Deploy to bare hosts with a checkout; return seconds by what they measure."""
    bench.fresh()
    times = fabnode(bench, project)
    again = bench.measure(bench.fabnode("deploy-nodes"), cwd=project)
    lists = [bench.measure(bench.fabnode("--list"), cwd=project).cpu for _ in range(LISTS)]
    return {
        "all nodes Ready": times.ready,
        "Calico ready": times.calico,
        "deploy-nodes ended": times.end,
        "unchanged deploy-nodes": again.seconds,
        "its processor time": again.cpu,
        "processor time of --list": statistics.median(lists),
    }


def main(commit: str, rounds: int) -> None:
    """Let both take turns; print each figure, and at the end the ratios of medians."""
    say_what_else_runs()
    seen: dict[str, dict[str, list[float]]] = {}
    with checkout(commit) as before, lab("bench", NODES) as bench:
        projects = [("before", before), ("after", PROJECT)]
        for _, project in projects:  # uncounted: packs the archives if they are not yet
            figures(bench, project)
        for number in range(1, rounds + 1):
            for who, project in projects if number % 2 else reversed(projects):
                for what, seconds in figures(bench, project).items():
                    seen.setdefault(what, defaultdict(list))[who].append(seconds)
                    print(f"{number:<6} {who:8} {what:26} {seconds:.2f}", flush=True)
    print()
    for what, taken in seen.items():
        old, new = statistics.median(taken["before"]), statistics.median(taken["after"])
        print(f"{what:26} before {old:.2f} s, after {new:.2f} s: ratio {new / old:.2f}")


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
    except IndexError:
        sys.exit(__doc__)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
