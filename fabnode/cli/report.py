"""HTML report of a run: one self-contained file with timeline, changes, failures, certificates."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ..journal.events import read
from ..journal.expiry import expiries
from ..journal.journal import FILE, runs
from ..journal.summary import CLUSTER
from ..journal.timeline import Timeline, timeline
from ..util import program
from ..util.atomic_write import atomic_write
from ..util.data import ROOT
from ..util.errors import InputError
from .plain_progress import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..journal.events import Event
    from ..journal.timeline import Lane

HUES = 12  # number of colours in the style sheet
_YEARS = 3  # above which days are formatted as years
MANY = 12  # nodes above which those that failed or were slow come first
_RANKS = {"failed": 4, "unfinished": 3, "skipped": 2, "changed": 1, "unchanged": 1}
TEMPLATES = ROOT / "templates" / "report"
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


class NoReportError(InputError):
    """There is no run to report, or the report can't be written."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Time axis of the run's length, with a tick every `step` seconds."""

    length: float
    step: float

    def at(self, seconds: float) -> float:
        """Return the position of a time on the axis, in percent."""
        return round(100 * min(max(seconds / self.length, 0.0), 1.0), 3)

    @property
    def ticks(self) -> list[float]:
        """Times of the ticks, in seconds."""
        return [self.step * i for i in range(int(self.length / self.step) + 1)]


def write(
    folder: Path | None = None,
    out: Path | None = None,
    *,
    cluster: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """
    Write a run's report and return its path: `report.html` beside the journal, or `out`.

    :param folder: the run's; default: the newest of that cluster that has events.
    :param cluster: what a run's first event says of its cluster; empty: any.
    :raises NoReportError: there is no run, its journal holds no events, or `out` can't be written.
    """
    stored = [run for run in runs() if _size(run / FILE) and _is_of(run, cluster)]
    if folder is None and not stored:
        at = f" of the cluster at {cluster['apiserver']}" if cluster else ""
        raise NoReportError(f"no run{at} is recorded yet", program.task("deploy-nodes"))
    folder = folder or stored[-1]
    journal = folder / FILE if folder.is_dir() else folder
    try:
        with journal.open(encoding="utf-8", errors="replace") as lines:
            events = read(lines)
    except OSError as error:
        advice = f"{program.task('report --run FOLDER')}, with a folder of {journal.parent.parent}"
        raise NoReportError(f"{journal}: {error.strerror}", advice) from error
    if not events:
        raise NoReportError(f"{journal} holds no events", program.task("deploy-nodes"))
    target = out or journal.with_name("report.html")
    text = render(events)
    try:
        with atomic_write(target) as file:
            file.write(text.encode("utf-8", errors="replace"))
    except OSError as error:
        advice = f"{program.task('report --out FILE')}, with a FILE that you can write"
        raise NoReportError(f"{target}: {error.strerror}", advice) from error
    return target


def _is_of(run: Path, cluster: Mapping[str, str]) -> bool:
    """Say whether a run is of a cluster; what older journals do not say is passed over."""
    if not cluster:
        return True
    try:
        with (run / FILE).open(encoding="utf-8", errors="replace") as lines:
            opening = read(islice(lines, 1))
    except OSError:
        return False
    return bool(opening) and all(
        opening[0].data.get(key, value) == value for key, value in cluster.items()
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def render(events: Sequence[Event]) -> str:
    """Return the report as HTML; text of events is escaped, and only the page's own script runs."""
    run = timeline(events)
    style, script = ((TEMPLATES / name).read_text() for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        run=run,
        expiries=expiries(events),
        axis=axis(run),
        strip=Axis(max((step.longest for step in run.steps), default=0.0) or 1.0, 1.0),
        lanes=_by_urgency(run.lanes) if len(run.nodes) > MANY else run.lanes,
        sorted=len(run.nodes) > MANY,
        ranks=_RANKS,
        hues={step: index % HUES for index, step in enumerate(_in_order(run))},
        style=style,
        script=script,
        script_digest=digest,
    )


@cache
def _template() -> Template:
    """Return the page's template, compiled once: that takes many times as long as rendering."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "size": size, "moment": moment, "days": days}
    return environment.get_template("report.html.j2")


def axis(run: Timeline) -> Axis:
    """Return an axis with about six ticks at round times."""
    length = max(run.seconds, 0.1)
    days = _STEPS[-1] * math.ceil(length / _STEPS[-1] / 8)
    return Axis(length, next((s for s in _STEPS if length / s <= 8), days))


def _by_urgency(lanes: Sequence[Lane]) -> list[Lane]:
    """Sort lanes: the cluster's own, then failed nodes, then the slowest."""
    return sorted(
        lanes, key=lambda lane: (lane.row.node != CLUSTER, -_RANKS[lane.row.result], -lane.end)
    )


def size(count: int) -> str:
    """Format a number of bytes: `12 kB`, `1.4 GB`."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def days(count: float) -> str:
    """Format days: `12 d`, `9.9 y`; `ended` if negative."""
    if count < 0:
        return "ended"
    return f"{count:.0f} d" if count < _YEARS * 365 else f"{count / 365.25:.1f} y"


def moment(at: float) -> str:
    """Format seconds since 1970 as date and time in UTC."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "at an unknown time"


def _in_order(run: Timeline) -> list[str]:
    """Return the steps, ordered by their first start."""
    first: dict[str, float] = {}
    for lane in run.lanes:
        for span in lane.spans:
            first[span.step] = min(span.start, first.get(span.step, span.start))
    return sorted(first, key=lambda step: first[step])
