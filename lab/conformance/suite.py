"""One part of the tests, run by ginkgo, and what it reported."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from .. import cache
from ..errors import LabError
from ..layout import Layout
from . import report, selection
from .cluster import PROJECT
from .report import Run
from .selection import Form, Part

REPORT, ABOUT, OUTPUT = "report.json", "run.json", "output.log"
SLACK = 300  # seconds that ginkgo gets beyond its own limit, to clean up


def command(e2e: Path, layout: Layout, part: Part, place: Path) -> list[str]:
    """Return the command that runs a part of the tests and leaves its report in ``place``."""
    return [
        str(e2e / "ginkgo"),
        f"--procs={selection.PROCESSES}",
        f"--timeout={part.minutes}m",
        "--no-color",
        *(f"--focus={each}" for each in part.focus),
        *(f"--skip={each}" for each in (*selection.NEVER, *part.skip)),
        f"--output-dir={place}",
        f"--json-report={REPORT}",
        str(e2e / "e2e.test"),
        "--",
        f"--kubeconfig={layout.kubeconfig}",
        f"--kubectl-path={layout.kubectl}",
        "--provider=skeleton",
        "--dump-logs-on-failure=false",
    ]


def run(e2e: Path, layout: Layout, form: Form, part: Part, say: Callable[[str], None]) -> Run:
    """
    Run a part of the tests, and keep its report.

    :raises LabError: ginkgo ended without a report, or ran nothing.
    """
    place = folder(form.name, part.name)
    cache.remove(place)
    place.mkdir(parents=True)
    began, commit = time.monotonic(), _commit()  # that nodes were deployed with: it may move on
    with (place / OUTPUT).open("w") as output:
        process = subprocess.Popen(
            command(e2e, layout, part, place), stdout=output, stderr=subprocess.STDOUT, cwd=place
        )
        try:
            while not _ended(process):
                if time.monotonic() - began > part.minutes * 60 + SLACK:
                    raise LabError(f"ginkgo does not end: see {place / OUTPUT}")
                say(f"{_count_ended(place / OUTPUT)} ended")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    about = {
        "commit": commit,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": time.monotonic() - began,
    }
    (place / ABOUT).write_text(json.dumps(about))
    found = load(place)
    if found is None or not found.tests:
        raise LabError(f"ginkgo ran no test: see {place / OUTPUT}")
    return found


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process ends within the two seconds between two lines of progress."""
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        return False
    return True


def folder(form: str, part: str) -> Path:
    """Return where the report of a part is kept."""
    return PROJECT / ".conformance" / form / part


def load(place: Path) -> Run | None:
    """Return what a folder tells of a part; None: it was not run, or not to its end."""
    try:
        about = json.loads((place / ABOUT).read_text())
        suites = json.loads((place / REPORT).read_text())
    except FileNotFoundError:
        return None
    return Run(place.parent.name, place.name, **about, tests=report.tests(suites))


def kept(forms: Iterable[Form] = selection.FORMS) -> list[Run]:
    """Return all that was run and kept, in the order of the selection."""
    found = [load(folder(form.name, part.name)) for form in forms for part in selection.PARTS]
    return [each for each in found if each is not None]


def _count_ended(output: Path) -> int:
    """Return how many tests have ended: ginkgo prints a bullet for each, an S for a skipped one."""
    with output.open(errors="replace") as lines:
        return sum(line.count("•") for line in lines)


def _commit() -> str:
    git = ["git", "-C", str(PROJECT)]
    head = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode
    return f"{head} and changes" if changed else head
