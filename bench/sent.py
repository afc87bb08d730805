"""
Count what applies send, beside an earlier commit: `python -m bench.sent COMMIT`.

Bytes of the scripts, files and records of an apply, programs and images left out. Needs no hosts.
What a probe sends is counted by `bench.thousand`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .commits import checkout
from .labs import PROJECT


def counted(project: Path) -> dict[str, int]:
    """Return bytes by kind of plan, by a checkout's own code."""
    command = [sys.executable, str(PROJECT / "bench/sent_count.py")]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def main(commit: str) -> None:
    """Print bytes of both, and their ratio."""
    with checkout(commit) as before:
        old, new = counted(before), counted(PROJECT)
    for name, size in new.items():
        print(f"{name:30} before {old[name]:6} bytes, after {size:6}: {size / old[name]:.2f}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except IndexError:
        sys.exit(__doc__)
