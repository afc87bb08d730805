"""The HTML report: all of a run's journal in one file, with hostile text escaped."""

from __future__ import annotations

import random
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabnode.cli.report import NoReportError, axis, render, size, write
from fabnode.journal.events import Event, State
from fabnode.journal.journal import Journal
from fabnode.journal.timeline import timeline

HOSTILE = "</script></style><img src=x onerror=alert(1)>\"'&{{ 7*7 }}<!--"
SECONDS = {"preflight": 0.3, "prepare": 0.2, "runtime": 9, "kubelet": 3, "approve-csr": 1.2}
AFTER = {"proxy-cert": 0.6, "proxy": 1, "ready": 6}


def sample(nodes: int, seed: int = 1) -> list[Event]:
    """Events of a deployment of so many nodes."""
    chance = random.Random(seed)
    names = [f"n{i}" for i in range(1, nodes + 1)]
    events: list[Event] = []

    def emit(
        at: float, node: str | None, step: str, state: State, text: str = "", **more: object
    ) -> None:
        seconds = more.pop("seconds", None)
        assert seconds is None or isinstance(seconds, float)
        events.append(Event(1.8e9 + at, node, step, state, text, seconds, more))

    command = "inv deploy-nodes --limit all"
    emit(0, None, "run", "start", command, nodes=names, cluster="kubernetes", version="1.37.2")
    emit(0.1, None, "rbac", "start")
    emit(0.4, None, "rbac", "changed", "2 bindings made", changes=["ClusterRoleBinding a", "… b"])
    last = 0.4
    for i, name in enumerate(names):
        at = 0.4 + (i // 30) * 11 * chance.random()
        slow = 1 + chance.paretovariate(4) - 1 + (2.5 if chance.random() < 0.03 else 0)
        unchanged = i % 7 == 6
        for step, usual in {**SECONDS, **AFTER}.items():
            length = usual * slow * chance.uniform(0.8, 1.3) * (0.03 if unchanged else 1)
            emit(at, name, step, "start")
            if step == "runtime" and not unchanged:
                emit(at + length * 0.3, name, step, "progress", "binaries", seconds=length * 0.3)
                emit(
                    at + length * 0.9,
                    name,
                    step,
                    "progress",
                    "image calico-node.tar",
                    seconds=length * 0.6,
                )
            if step == "preflight" and i % 5 == 1:
                emit(at, name, step, "warning", "swap is on", advice="swapoff -a, and /etc/fstab")
            at += length
            if step == "kubelet" and i % 33 == 2:
                cause = "kubelet.service failed"
                emit(
                    at,
                    name,
                    step,
                    "failed",
                    cause,
                    seconds=length,
                    advice=f"fab -H {name} logs kubelet",
                    detail="kubelet[812]: unknown field 'maxpods'",
                )
                break
            if unchanged:
                emit(at, name, step, "done", seconds=length)
                continue
            text = "config.yaml changed, restarted" if step in ("kubelet", "proxy") else ""
            changes = [f"create /etc/{step}/config.yaml", f"restart {step}"] if text else []
            sent = 146_000_000 if step == "runtime" else 12_000
            emit(at, name, step, "changed", text, seconds=length, changes=changes, bytes=sent)
        last = max(last, at)
    emit(last, None, "calico", "start")
    emit(last + 8, None, "calico", "changed", "27 objects applied, ready on every node")
    emit(last + 8.1, None, "run", "failed")
    return sorted(events, key=lambda e: e.at)


class Page(HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_shows_what_the_journal_holds() -> None:
    """Every node, step, cause, next command and change can be read, without hovering."""
    text = Page(render(sample(3))).text
    for word in ("n1", "n2", "n3", "approve-csr", "calico", "unknown field", "swap is on"):
        assert word in text
    assert "fab -H n3 logs kubelet" in text
    assert "create /etc/kubelet/config.yaml" in text
    assert "292 MB" in text or "438 MB" in text
    assert "2 changed, 1 failed" in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    "field", ["command", "node", "step", "text", "advice", "detail", "change", "fact"]
)
def test_hostile_text_stays_text(field: str) -> None:
    """Wherever it stands in the journal, it brings no tag, no attribute, and is shown as it is."""

    def hostile(name: str) -> str:
        return HOSTILE if field == name else name

    events = [
        Event(
            1,
            None,
            "run",
            "start",
            hostile("command"),
            data={"nodes": [hostile("node")], "f": hostile("fact")},
        ),
        Event(2, hostile("node"), hostile("step"), "start"),
        Event(
            2,
            hostile("node"),
            hostile("step"),
            "warning",
            hostile("text"),
            data={"advice": hostile("advice")},
        ),
        Event(2, hostile("node"), hostile("step"), "progress", hostile("text"), 0.5),
        Event(
            3,
            hostile("node"),
            hostile("step"),
            "changed",
            hostile("text"),
            data={"changes": [hostile("change")]},
        ),
        Event(
            4,
            "n2",
            hostile("step"),
            "failed",
            hostile("text"),
            data={"advice": hostile("advice"), "detail": hostile("detail")},
        ),
    ]
    page, harmless = Page(render(events)), Page(render(sample(3)))
    assert set(page.tags) <= set(harmless.tags)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert {name for name, _ in page.attributes} <= {name for name, _ in harmless.attributes}
    assert HOSTILE in page.text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            Event,
            at=st.floats(-1e12, 1e12),
            node=st.none() | st.sampled_from(["a", "b", "cluster", ""]),
            step=st.sampled_from(["run", "kubelet", "proxy"]),
            state=st.sampled_from(
                ["start", "progress", "done", "changed", "failed", "skipped", "warning", "info"]
            ),
            text=st.text(max_size=5),
            seconds=st.none() | st.floats(-1e6, 1e12),
            data=st.dictionaries(
                st.sampled_from(["bytes", "changes", "advice", "nodes"]),
                st.none()
                | st.integers()
                | st.text(max_size=3)
                | st.lists(st.integers(), max_size=2),
            ),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_journal_makes_a_report(events: list[Event]) -> None:
    """A journal in any order and of any content is drawn, inside the picture."""
    html = render(events)
    for left, width in re.findall(r"left:([\d.e+-]+)%;width:([\d.e+-]+)%", html):
        assert 0 <= float(left) <= float(left) + float(width) <= 100.01


def test_the_page_loads_nothing_and_runs_only_its_own_script() -> None:
    """No address of anything outside; the policy names the one script by its digest."""
    html = render(sample(2))
    assert not re.search(r"(?:src|href|url|@import)\s*[=(]|https?://", html)
    assert "default-src 'none'" in html
    assert "script-src 'sha256-" in html
    assert "'unsafe-inline'" not in html.split("script-src")[1].split(";")[0]


def test_a_run_that_was_killed_is_drawn_to_its_end() -> None:
    """Steps without an end last until the last event, and the page shows that the run was cut."""
    events = [
        Event(100, None, "run", "start", "inv deploy-nodes", data={"nodes": ["n1"]}),
        Event(101, "n1", "kubelet", "start"),
        Event(109, "n1", "kubelet", "progress", "waiting"),
    ]
    span = timeline(events).lanes[0].spans[0]
    assert (span.start, span.end, span.ending) == (1, 9, "unfinished")
    assert "was unfinished" in render(events)


def test_times_of_parts_and_of_steps_side_by_side() -> None:
    """Parts end with their own end event or the next part; overlapping spans are drawn below."""
    events = [
        Event(0, "n1", "runtime", "start"),
        Event(1, "n1", "runtime", "progress", "binaries"),
        Event(1.5, "n1", "runtime", "progress", "image"),
        Event(3, "n1", "runtime", "progress", "image", 1.5),
        Event(2.5, "n1", "approve-csr", "changed", "approved"),
        Event(2, "n1", "kubelet", "start"),
        Event(5, "n1", "runtime", "done"),
        Event(6, "n1", "kubelet", "done"),
        Event(8, "n1", "proxy", "changed", "", 1.5),
    ]
    lane = timeline(events).lanes[0]
    assert [(s.step, s.start, s.end, s.level) for s in lane.spans] == [
        ("runtime", 0, 5, 0),
        ("kubelet", 2, 6, 1),
        ("approve-csr", 2.5, 2.5, 0),
        ("proxy", 6.5, 8, 0),
    ]
    assert [(p.text, p.start, p.end) for p in lane.spans[0].parts] == [
        ("binaries", 1, 1.5),
        ("image", 1.5, 3),
    ]
    assert lane.levels == 2


def test_equal_entries_of_nodes_are_shown_once() -> None:
    """Failures, warnings and changes are grouped by their text."""
    run = timeline(sample(100))
    assert [(g.nodes, g.advice) for g in run.failures] == [
        (("n3", "n36", "n69"), "fab -H n3 logs kubelet")
    ]
    assert [len(g.nodes) for g in run.warnings] == [20]
    restart = next(g for g in run.changes if g.text.endswith("\nrestart kubelet"))
    assert len(restart.nodes) > 50
    assert run.steps[0].longest == max(s.longest for s in run.steps)


def test_write_makes_a_private_file_beside_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest run is taken; without one the next command is named."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(NoReportError) as none:
        write()
    assert none.value.advice == "inv deploy-nodes"
    for _ in range(2):
        with Journal.open() as journal:
            journal.begin("inv deploy-nodes", ["n1"], cluster="c")
            journal.end(0)
    Journal.open()  # of a run that is still silent
    path = write()
    assert path.parent == journal.folder
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert write(journal.folder, tmp_path / "x.html") == tmp_path / "x.html"
    # What was there gives it neither its mode nor its place.
    (tmp_path / "open.html").touch(0o666)
    (tmp_path / "link.html").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_text("precious")
    for name in ("open.html", "link.html"):
        out = write(journal.folder, tmp_path / name)
        assert (out.is_symlink(), stat.S_IMODE(out.stat().st_mode)) == (False, 0o600)
    assert (tmp_path / "precious").read_text() == "precious"
    with pytest.raises(NoReportError):
        write(tmp_path / "nowhere")
    with pytest.raises(NoReportError, match=r"nowhere/x\.html: No such file"):
        write(journal.folder, tmp_path / "nowhere" / "x.html")


def test_the_newest_run_of_the_configured_cluster_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folders = []
    for about in ({"apiserver": "https://a"}, {}, {"apiserver": "https://b"}):
        with Journal.open() as journal:
            journal.begin("inv deploy-nodes", ["n1"], cluster="c", **about)
            folders.append(journal.folder)
    first, unnamed, last = folders
    assert write().parent == last
    assert write(cluster={"cluster": "c", "apiserver": "https://b"}).parent == last
    # Journals of older releases do not name the apiserver.
    assert write(cluster={"cluster": "c", "apiserver": "https://a"}).parent == unnamed
    assert first != unnamed
    with pytest.raises(NoReportError, match="no run of the cluster at https://a is recorded yet"):
        write(cluster={"cluster": "d", "apiserver": "https://a"})


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (146_000_000, "146 MB"), (4e9, "4.0 GB")],
)
def test_size(count: int, text: str) -> None:
    """Sizes are in SI units."""
    assert size(count) == text


@pytest.mark.parametrize("seconds", [0, 0.3, 7, 44, 59, 61, 3599, 9e4])
def test_the_axis_has_a_handful_of_ticks(seconds: float) -> None:
    """Few enough to be read, at round times."""
    made = axis(timeline([Event(0, "n", "s", "start"), Event(seconds, "n", "s", "done")]))
    assert 1 <= len(made.ticks) <= 9


def test_the_report_says_which_fabnode_and_which_kubernetes(tmp_path: Path) -> None:
    with Journal.open([], tmp_path) as journal:
        journal.begin("inv plan", ["n1"], cluster="c1", kubernetes="1.37.2", fabnode="9.8.7")
    text = " ".join(re.sub(r"<[^>]*>", "", render(journal.events)).split())
    assert "cluster c1 · kubernetes 1.37.2 · fabnode 9.8.7" in text
