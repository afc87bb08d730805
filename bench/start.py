"""
Measure what commands take of the processor, beside an earlier commit: `make bench-start BEFORE=…`.

`python -m bench.start COMMIT [ROUNDS [HOSTS]]`. Both take turns with each other and with what the
libraries alone would take (`bench/floor.py`), in changing order, with the same Python and
libraries, on the same lab: three nodes that are in order already, and then HOSTS bare hosts to
plan for. Processor time (user and system), since a machine that does other work makes seconds
worthless sooner. What is printed at the end are ratios to the commit, of medians, with the range of
each round's own ratio: below 1, this checkout takes less than the commit.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections import defaultdict, deque
from pathlib import Path

from . import floor
from .commits import checkout
from .compare import NODES
from .labs import PROJECT, BenchLab, FailedError, lab, say_what_else_runs, wait_until_quiet

ROUNDS = 7
HOSTS = 100

# Words of each command, and the target that it is held to: a ratio.
STARTS = {
    "inv --list": 0.35,
    "fab --list": 0.35,
    "inv config.check": 0.35,
    "inv deploy-nodes": 0.5,
}
UNCHANGED = (
    "inv deploy-nodes"  # comes after one of the same checkout, so that nothing is to be done
)
PLAN = {"inv plan --json": 0.6}

Taken = dict[str, dict[str, list[float]]]


def measure(bench: BenchLab, before: Path, commands: dict[str, float], rounds: int) -> Taken:
    """Return seconds of the processor by command and by who: `before`, `after`, `libraries`."""
    projects = {"before": before, "after": PROJECT, "libraries": PROJECT}
    taken: Taken = defaultdict(lambda: defaultdict(list))
    for number in range(rounds + 1):
        for command in commands:
            order = deque(projects.items())
            order.rotate(number)
            for who, project in order:
                words = _words(bench, command, who)
                if command == UNCHANGED and who != "libraries":
                    bench.measure(words, cwd=project)
                run = bench.measure(words, cwd=project)
                if number:  # the round before the first compiles modules and fills caches
                    taken[command][who].append(run.cpu)
    return taken


def _words(bench: BenchLab, command: str, who: str) -> list[str]:
    program, *words = command.split()
    if who == "libraries":
        configuration = str(bench.folder / "cluster.yml")
        return [sys.executable, "-m", floor.__name__, configuration, program, *words]
    return [str(Path(sys.executable).with_name(program)), *words]


def show(taken: Taken, targets: dict[str, float]) -> None:
    """Print medians, their ratios, and the target."""
    for command, seconds in taken.items():
        old, new, least = (
            statistics.median(seconds[who]) for who in ("before", "after", "libraries")
        )
        each = sorted(b / a for a, b in zip(seconds["before"], seconds["after"], strict=True))
        print(
            f"{command:18} before {old:.3f} s, after {new:.3f} s: ratio {new / old:.2f}"
            f" ({each[0]:.2f} to {each[-1]:.2f}; target {targets[command]});"
            f" the libraries alone {least:.3f} s: {least / old:.2f}",
            flush=True,
        )


def main(commit: str, rounds: int, hosts: int) -> None:
    """Measure on nodes that are in order, then over many bare hosts; print ratios."""
    say_what_else_runs()
    # Where it is set, each command compiles all of fabnode, which no user waits for.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with checkout(commit) as before:
        with lab("start", NODES) as bench:
            bench.measure(bench.fabnode("deploy-nodes"))
            wait_until_quiet()
            show(measure(bench, before, STARTS, rounds), STARTS)
        if hosts:
            with lab("start", hosts) as bench:
                wait_until_quiet()
                show(measure(bench, before, PLAN, rounds), PLAN)


if __name__ == "__main__":
    try:
        given = dict(enumerate(int(word) for word in sys.argv[2:]))
        main(sys.argv[1], given.get(0, ROUNDS), given.get(1, HOSTS))
    except (IndexError, ValueError):
        sys.exit(__doc__)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
