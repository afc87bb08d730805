"""What a user sees while a run goes, and at its end."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabnode.cli.live_progress import LiveTable
from fabnode.cli.plain_progress import PlainLines, duration
from fabnode.cli.progress import show
from fabnode.cli.table import end_table, supports_colour, table, width_of
from fabnode.journal.events import Event
from fabnode.journal.summary import NodeResult
from fabnode.util.wait import Wait


class Terminal(io.StringIO):
    """A stream whose isatty() is True."""

    def isatty(self) -> bool:
        return True


def lines_of(*events: Event) -> list[str]:
    stream = io.StringIO()
    sink = PlainLines(stream)
    for event in events:
        sink.event(event)
    sink.close()
    return stream.getvalue().splitlines()


def test_plain_lines_show_results() -> None:
    """Changes, failures with the next command, warnings; not that nothing had to be done."""
    text = "installed, restarted (config.yaml changed)"
    assert lines_of(
        Event(1, "n1", "kubelet", "start"),
        Event(2, "n1", "kubelet", "progress", "writing"),
        Event(3, "n1", "kubelet", "changed", text, 1.23),
        Event(4, "n1", "proxy", "done"),
        Event(5, None, "rbac", "done", "present", 0.04),
        Event(
            6,
            "n2",
            "connect",
            "failed",
            "no route\nto host",
            61,
            {"advice": "ping n2", "detail": "a\nb"},
        ),
    ) == [
        "n1            kubelet               installed, restarted (config.yaml changed)  1.2 s",
        "cluster       rbac                  present  40 ms",
        "n2            connect               FAILED: no route  1 min 01 s",
        "    to host",
        "    | a",
        "    | b",
        "    next: ping n2",
    ]


def test_plain_lines_show_that_long_work_goes_on() -> None:
    """A node that is at one thing for long gets a line every ten seconds, not one per event."""
    events = [Event(n, "n1", "ready", "progress", f"waiting {n}") for n in range(35)]
    assert [line.split()[-1] for line in lines_of(*events)] == ["10", "20", "30"]


WAITS = {"waited": 0.0, "limit": 300.0}


def reported(*events: Event, at: float) -> list[str]:
    """Return the lines that are written because time has passed."""
    stream = io.StringIO()
    sink = PlainLines(stream, tick=3600)
    for event in events:
        sink.event(event)
    before = len(stream.getvalue())
    sink.report(at)
    return stream.getvalue()[before:].splitlines()


@pytest.mark.parametrize(
    ("at", "lines"),
    [
        (159, []),
        (160, ["n1            calico                still waiting, 1 min of 5: Calico: Init:0/3"]),
        (290, ["n1            calico                still waiting, 3 min of 5: Calico: Init:0/3"]),
    ],
)
def test_a_wait_that_reports_nothing_is_reported_every_minute(at: float, lines: list[str]) -> None:
    """With what is awaited, the last state seen, and how long it may take."""
    assert (
        reported(
            Event(100, "n1", "calico", "start", "waiting for it"),
            Event(100, "n1", "calico", "progress", "waiting for Calico: Pending", data=WAITS),
            Event(
                120,
                "n1",
                "calico",
                "progress",
                "waiting for Calico: Init:0/3",
                data=WAITS | {"waited": 20.0},
            ),
            at=at,
        )
        == lines
    )


def test_a_new_state_alone_is_no_line() -> None:
    state = Event(90, "n1", "ready", "progress", "waiting for Ready: x", data=WAITS)
    assert lines_of(Event(1, "n1", "ready", "start"), state) == []


def test_the_minutes_are_of_the_wait_and_not_of_the_step() -> None:
    events = (
        Event(0, "n1", "ready", "start"),
        Event(3, "n1", "ready", "progress", "waiting for its Node object", data=WAITS),
        Event(50, "n1", "ready", "progress", "waiting for Ready: x", data=WAITS),
    )
    assert reported(*events, at=109) == []
    (line,) = reported(*events, at=111)
    assert line.endswith("still waiting, 1 min of 5: Ready: x")


def test_other_work_is_reported_too_until_it_ends() -> None:
    events = [
        Event(0, "n1", "runtime", "start"),
        Event(1, "n1", "runtime", "progress", "load image x"),
        Event(2, None, "rbac", "start"),
    ]
    first, second = reported(*events, at=65)
    assert first.split(maxsplit=2) == ["n1", "runtime", "still working,  1 min: load image x"]
    assert second.split(maxsplit=2) == ["cluster", "rbac", "still working,  1 min"]
    ended = Event(60, "n1", "runtime", "changed", "1 change")
    assert reported(*events, ended, Event(60, None, "rbac", "done"), at=200) == []


def test_many_nodes_that_wait_for_the_same_are_one_line() -> None:
    data = WAITS | {"limit": 120.0}
    events = [
        Event(0, f"n{n}", "ready", "progress", "waiting for Ready: no CNI", data=data)
        for n in range(1, 6)
    ]
    assert reported(*events, at=61) == [
        "5 nodes       ready                 still waiting, 1 min of 2: Ready: no CNI",
        "    on n1, n2, n3, n4, n5",
    ]


def test_reports_come_by_themselves() -> None:
    stream = io.StringIO()
    sink = PlainLines(stream, every=0.01, tick=0.01)
    sink.event(Event(time.time(), "n1", "calico", "start", "waiting for it"))
    Wait("a report", 10).until(lambda: "still working" in stream.getvalue())
    sink.close()


def warning(node: str | None, at: float = 1, text: str = "it has cgroup v1") -> Event:
    return Event(at, node, "preflight", "warning", text, data={"advice": "boot it"})


def test_the_same_warning_of_many_nodes_is_one() -> None:
    assert lines_of(*map(warning, ("n1", "n2", "n3")), warning("n2", text="its disk is full")) == [
        "n1, n2, n3    preflight             warning: it has cgroup v1",
        "    next: boot it",
        "n2            preflight             warning: its disk is full",
        "    next: boot it",
    ]


def test_a_warning_of_more_than_a_few_nodes_is_counted_and_names_them() -> None:
    first, second, _ = lines_of(*(warning(f"n{n}") for n in range(1, 6)))
    assert first == "5 nodes       preflight             warning: it has cgroup v1"
    assert second == "    on n1, n2, n3, n4, n5"


def test_a_warning_is_not_held_back_for_long() -> None:
    """For a moment, or until something fails, for it may be why; one of the run, never."""
    assert reported(warning("n1", at=1), at=2.5) == []
    assert len(reported(warning("n1", at=1), at=3.1)) == 2
    stream = io.StringIO()
    sink = PlainLines(stream)
    sink.event(warning("n1"))
    assert stream.getvalue() == ""
    sink.event(Event(2, "n2", "kubelet", "failed", "x"))
    assert "cgroup" in stream.getvalue()
    sink.event(warning(None, text="the API is away"))
    assert "the API is away" in stream.getvalue()
    sink.close()


def test_the_live_table_folds_warnings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    sink = LiveTable(stream)
    for name in ("n1", "n2"):
        sink.event(warning(name))
    sink.close()
    assert stream.getvalue().count("it has cgroup v1") == 1
    assert "n1, n2" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.04, "40 ms"),
        (0.0996, "0.1 s"),
        (9.94, "9.9 s"),
        (59.6, "1 min 00 s"),
        (12.4, "12 s"),
        (3725, "62 min 05 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Rounding never shows sixty seconds."""
    assert duration(seconds) == text


def test_json_keeps_stdout_for_the_json() -> None:
    """With --json every line of progress goes to stderr."""
    out, err = io.StringIO(), io.StringIO()
    show(json=True, out=out, err=err).event(Event(1, "n1", "kubelet", "changed", "x"))
    assert (out.getvalue(), err.getvalue().split()) == ("", ["n1", "kubelet", "x"])


def test_off_a_terminal_rich_is_never_imported() -> None:
    """The start of an unchanged deploy is not spent on what nobody sees."""
    code = (
        "import io, sys; import fabnode.journal.journal, fabnode.cli.table, fabnode.util.fan_out;"
        "from fabnode.cli.progress import show; from fabnode.journal.events import Event;"
        "show(out=io.StringIO()).event(Event(1, 'n1', 'k', 'changed'));"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0


def test_a_terminal_gets_the_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a dumb one doesn't."""
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(show(out=Terminal()), LiveTable)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(show(out=Terminal()), PlainLines)


def test_the_live_table_shows_who_is_at_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of nodes at work, a line that counts, finished things above; markup is only text."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "10")
    stream = Terminal()
    sink = LiveTable(stream)
    for n in range(20):
        sink.event(Event(float(n), f"n{n}", "kubelet", "start", "[red]unpacking[/red]"))
    sink.event(Event(30, "n0", "kubelet", "failed", "[bold]disk full"))
    sink._live.refresh()
    sink.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "[red]unpacking[/red]" in text
    assert "FAILED: [bold]disk full" in text
    assert "20 nodes · 19 at work · 1 failed · 13 not shown" in text
    assert "\x1b[31m" not in stream.getvalue()


def test_the_end_table_fits_a_terminal_and_loses_nothing() -> None:
    """Eighty columns; long causes wrap; the next command stands below its cause."""
    cause = "kubelet.service failed: " + "failed to run Kubelet: invalid configuration " * 5
    text = end_table(
        [
            NodeResult("n1", "unchanged"),
            NodeResult("n2", "changed", "runtime, kubelet"),
            NodeResult("worker-with-a-long-name-3", "failed", "kubelet", cause, "fab -H n3 logs"),
        ],
        width=80,
    )
    assert max(map(len, text.splitlines())) <= 80
    wrapped = [line[text.index("CAUSE") :] for line in text.splitlines()[2:-1]]
    assert cause.split() == " ".join(wrapped).replace("next: fab -H n3 logs", "").split()
    assert "next: fab -H n3 logs" in text
    assert text.splitlines()[-1] == "1 unchanged, 1 changed, 1 failed"


def test_a_row_is_one_line_in_pipes_and_files() -> None:
    """Neither wrapped nor cut, so that grep finds what it looks for, and awk the columns."""
    subject = "CN=system:node:node-1,O=system:nodes " + "word " * 100
    rows = [NodeResult("n1", "failed", "kubelet", f"{subject}\nand more", "fab -H n1 logs")]
    text = end_table([*rows, NodeResult("n2", "unchanged")], width=width_of(io.StringIO()))
    head, rule, first, second, count = text.splitlines()
    assert first == f"n1    failed     kubelet  {subject.strip()}; and more; next: fab -H n1 logs"
    assert second == "n2    unchanged"
    assert head.split() == ["NODE", "RESULT", "STEP", "CAUSE"]
    assert rule == "----  ---------  -------  -----"
    assert count == "1 failed, 1 unchanged"


def test_many_nodes_that_went_the_same_way_share_a_row() -> None:
    """A hundred unchanged nodes are one line; each failed one is still named."""
    rows = [NodeResult(f"n{n}", "unchanged") for n in range(98)]
    rows += [NodeResult(f"bad{n}", "failed", "connect", "timed out") for n in range(2)]
    text = end_table(rows)
    assert "98 nodes" in text
    assert "bad0 bad1" in text
    assert len(text.splitlines()) == 5


def test_colour_only_where_it_is_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terminals get it, pipes and NO_COLOR don't, and it never changes the layout."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert supports_colour(Terminal())
    assert not supports_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not supports_colour(Terminal())
    rows = [NodeResult("n1", "failed", "kubelet", "why")]
    coloured = end_table(rows, colour=True)
    assert "\x1b[31mfailed\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == end_table(rows)


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=4))
def test_tables_hold_their_width(lines: list[tuple[str, str, str]]) -> None:
    """Whatever the cells hold, no line is wider than asked for."""
    text = table(("A", "B", "C"), lines, width=60)
    assert max((len(line) for line in text.split("\n")), default=0) <= 60
