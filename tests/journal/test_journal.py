"""The journal: what is kept, who may read it, and that it never stands in the way."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fabnode.deploy.step_events import StepLog
from fabnode.journal.events import Event, read
from fabnode.journal.journal import FILE, MAX_RUNS, Journal, runs
from fabnode.journal.summary import NodeResult, rows
from fabnode.node.facts import Facts
from fabnode.node.plan import make_plan
from fabnode.node.resources import Directory, Resource
from fabnode.remote.apply_protocol import ApplyEvent
from fabnode.util.errors import FabnodeError
from fabnode.util.fan_out import Outcome


class Kept:
    """A sink that records its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False

    def event(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closed = True


class ForeseenError(FabnodeError):
    """An error that knows the next command."""

    advice = "inv hosts.trust --limit n1"

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


def written(journal: Journal) -> list[Event]:
    assert journal.folder is not None
    return read((journal.folder / FILE).read_text().splitlines())


def test_events_reach_the_file_and_the_sinks_alike(tmp_path: Path) -> None:
    """Reading the file yields the events that sinks got."""
    sink = Kept()
    with Journal.open([sink], tmp_path / "fabnode") as journal:
        with journal.step("n1", "kubelet", "looking") as step:
            step.progress("writing", seconds=0.5)
            step.warn("swap is on", "swapoff -a")
            step.changed("config.yaml", changes=["/var/lib/kubelet/config.yaml"], bytes=12)
            step.changed("restarted")
        with journal.step("n1", "proxy"):
            pass
    events = written(journal)
    assert [(e.step, e.state, e.text) for e in events] == [
        ("kubelet", "start", "looking"),
        ("kubelet", "progress", "writing"),
        ("kubelet", "warning", "swap is on"),
        ("kubelet", "changed", "config.yaml, restarted"),
        ("proxy", "start", ""),
        ("proxy", "done", ""),
    ]
    assert events[3].data == {"changes": ["/var/lib/kubelet/config.yaml"], "bytes": 12}
    assert events[1].seconds == 0.5
    assert events[3].seconds is not None
    assert [e.text for e in sink.events] == [e.text for e in events]
    assert sink.closed


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """Folders 0700, files 0600, whatever the umask."""
    old = os.umask(0)
    try:
        journal = Journal.open(state=tmp_path / "fabnode")
    finally:
        os.umask(old)
    assert journal.folder is not None
    modes = [journal.folder.parent.parent, journal.folder.parent, journal.folder]
    assert [stat.S_IMODE(p.stat().st_mode) for p in modes] == [0o700] * 3
    assert stat.S_IMODE((journal.folder / FILE).stat().st_mode) == 0o600


def test_secrets_get_neither_into_the_file_nor_to_sinks(tmp_path: Path) -> None:
    """Text and data alike, in the message of an exception and in its trace too."""
    sink = Kept()
    journal = Journal.open([sink], tmp_path)
    journal.secret("correct horse")
    journal.emit("n1", "sudo", "info", "tried correct horse", data={"tried": ["correct horse"]})
    with pytest.raises(RuntimeError), journal.step("n1", "sudo"):
        raise RuntimeError("sudo said: correct horse is wrong; abcdef.0123456789abcdef")
    assert journal.folder is not None
    text = (journal.folder / FILE).read_text()
    assert "horse" not in text
    assert "abcdef.0" not in text
    assert "horse" not in str(sink.events)


def test_a_failure_names_cause_and_next_command(tmp_path: Path) -> None:
    """fabnode's errors carry their advice; of others type and trace are recorded."""
    journal = Journal.open(state=tmp_path)
    with pytest.raises(ForeseenError), journal.step("n1", "connect"):
        raise ForeseenError("host key of n1 is unknown")
    with pytest.raises(KeyError), journal.step("n2", "connect"):
        raise KeyError("user")
    first, second = [e for e in written(journal) if e.state == "failed"]
    assert (first.text, first.data) == (
        "host key of n1 is unknown",
        {"advice": "inv hosts.trust --limit n1"},
    )
    assert second.text == "KeyError: 'user'"
    assert "test_a_failure_names" in "".join(second.data["trace"])


def test_events_survive_a_sigkill(tmp_path: Path) -> None:
    """The file is written line by line; a torn last line is passed over when it is read."""
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from fabnode.journal.journal import Journal;"
        "j = Journal.open(state=Path(sys.argv[1])); j.emit('n1', 'kubelet', 'start', 'x');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=Path.cwd())
    assert done.returncode == -signal.SIGKILL
    file = runs(tmp_path)[0] / FILE
    file.write_text(file.read_text() + '{"at": 1, "node": "n1", "st')
    assert [(e.node, e.step, e.text) for e in read(file.open())] == [("n1", "kubelet", "x")]


def test_the_newest_runs_are_kept(tmp_path: Path) -> None:
    """Beyond fifty the oldest go; what is no run's folder is not touched."""
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    made = [Journal.open(state=tmp_path).folder for _ in range(MAX_RUNS + 3)]
    assert runs(tmp_path) == made[3:]
    assert (tmp_path / "runs" / "mine").is_dir()


def test_a_run_in_which_nothing_happened_leaves_nothing(tmp_path: Path) -> None:
    """Runs without events don't push out those with events."""
    Journal.open(state=tmp_path).close()
    assert runs(tmp_path) == []


def test_a_run_goes_on_without_its_journal(tmp_path: Path) -> None:
    """Where no folder can be made the sinks get a warning, and still every event."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    sink = Kept()
    journal = Journal.open([sink], blocked / "fabnode")
    journal.emit("n1", "kubelet", "start")
    assert journal.folder is None
    assert sink.events[0].state == "warning"
    assert "no journal" in sink.events[0].text
    assert sink.events[1].step == "kubelet"


def test_a_full_disk_ends_the_journal_not_the_run() -> None:
    """A file that can't be written is given up, with one warning."""
    with Path("/dev/full").open("w", buffering=1) as full:
        journal = Journal(full)
        journal.emit("n1", "kubelet", "start")
        journal.emit("n1", "kubelet", "done")
    assert [e.state for e in journal.events] == ["start", "warning", "done"]
    assert "ends here" in journal.events[1].text


def test_a_sink_that_fails_is_left_out() -> None:
    """`inv deploy-nodes | head` must not stop the deployment."""

    class Broken(Kept):
        def event(self, event: Event) -> None:
            super().event(event)
            raise BrokenPipeError

    broken, fine = Broken(), Kept()
    journal = Journal(sinks=[broken, fine])
    journal.emit("n1", "kubelet", "start")
    journal.emit("n1", "kubelet", "done")
    assert (len(broken.events), len(fine.events)) == (1, 2)


def test_many_threads_write_whole_lines() -> None:
    """Lines of threads that speak at once are never mixed."""
    file = io.StringIO()
    journal = Journal(file)

    def work(name: str) -> None:
        for n in range(200):
            journal.emit(name, "kubelet", "progress", f"{n} " + "x" * 100)

    threads = [threading.Thread(target=work, args=(f"n{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = file.getvalue().splitlines()
    assert len(lines) == len([json.loads(line) for line in lines]) == 1600


@pytest.mark.parametrize(
    "line",
    ["", "[]", "3", '{"at":1}', '{"at":"nan","node":"a","step":"b","state":"done"}', "[" * 9999],
)
def test_lines_that_are_no_events_are_passed_over(line: str) -> None:
    """A journal that is damaged is read as far as it goes."""
    assert read([line]) == []


def test_rows_show_how_each_node_ended() -> None:
    """Failed before skipped before unfinished before changed; the first failure is the cause."""
    journal = Journal()
    with journal.step("same", "kubelet"):
        pass
    with journal.step("new", "kubelet") as step:
        step.changed("installed")
    with journal.step("new", "proxy") as step:
        step.changed("installed")
    for _ in range(2):
        with pytest.raises(ForeseenError), journal.step("bad", "connect"):
            raise ForeseenError("first")
    journal.emit("cut", "kubelet", "start")
    journal.emit("later", "run", "skipped", "an earlier batch failed")
    with journal.step(None, "calico") as step:
        step.changed("applied")
    found = rows(journal.events, ["same", "new", "bad", "cut", "later", "none"])
    assert [(r.node, r.result, r.step, r.cause) for r in found] == [
        ("cluster", "changed", "calico", ""),
        ("same", "unchanged", "", ""),
        ("new", "changed", "kubelet, proxy", ""),
        ("bad", "failed", "connect", "first"),
        ("cut", "unfinished", "kubelet", "the run ended here"),
        ("later", "skipped", "run", "an earlier batch failed"),
        ("none", "unfinished", "", "not begun"),
    ]
    assert found[3].advice == ForeseenError.advice
    assert isinstance(found[0], NodeResult)


def test_a_failure_that_no_step_recorded_is_recorded_and_none_twice() -> None:
    journal = Journal()
    known = ForeseenError("in a step")
    with pytest.raises(ForeseenError), journal.step("n1", "kubelet"):
        raise known
    journal.settle("n1", known)
    with journal.step("n2", "preflight"):
        pass
    journal.settle("n2", known)  # of another node it is another failure
    journal.settle("n3", OSError(28, "No space left on device"))
    journal.settle("n4")
    journal.settle("n2")
    found = {row.node: row for row in rows(journal.events)}
    assert [(e.node, e.step) for e in journal.events if e.state == "failed"] == [
        ("n1", "kubelet"),
        ("n2", "preflight"),
        ("n3", "run"),
    ]
    assert found["n4"].result == "unchanged"
    assert found["n3"].result == "failed"
    assert "No space left" in found["n3"].cause
    assert "run the same command again" in found["n3"].advice


def test_an_outcome_is_believed_before_the_events() -> None:
    """Though that can't be, a failure which the journal lost is still one."""
    journal = Journal()
    with journal.step("n1", "preflight"):
        pass
    outcomes: dict[str, Outcome[object]] = {
        "n1": Outcome(error=ForeseenError("lost")),
        "n2": Outcome(skipped="an earlier batch"),
    }
    found = rows(journal.events, ["n1", "n2"], outcomes)
    assert [(r.result, r.cause) for r in found] == [
        ("failed", "lost"),
        ("skipped", "an earlier batch"),
    ]
    assert found[0].advice == ForeseenError.advice


@pytest.mark.parametrize(
    ("done", "step", "changes"), [(0, "prepare", []), (1, "prepare", ["create /a"])]
)
def test_steps_of_actions_fail_with_the_one_that_was_to_begin(
    done: int, step: str, changes: list[str]
) -> None:
    journal = Journal()
    wanted = [Directory("/a"), Directory("/b")]
    plan = make_plan("n1", wanted, Facts())
    step_of: dict[Resource, str] = {wanted[0]: "prepare", wanted[1]: "kubelet"}

    def work() -> None:
        with StepLog(journal, "n1", step_of, plan.changes) as log:
            for change in plan.changes[:done]:
                log.event(ApplyEvent("start", change))
                log.event(ApplyEvent("done", change, 0.1))
            raise ForeseenError("the lock is held")

    with pytest.raises(ForeseenError):
        work()
    failed = journal.events[-1]
    assert (failed.state, failed.step, failed.text) == ("failed", step, "the lock is held")
    assert failed.data["advice"] == ForeseenError.advice
    assert failed.data.get("changes", []) == changes


def test_a_run_without_end_keeps_no_more_than_its_newest_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fabnode.journal.journal._MAX_BYTES", 4000)
    with Journal.open(state=tmp_path, endless=True) as journal:
        for number in range(500):
            journal.info(f"event {number}")
        assert journal.events == []
        folder = journal.folder
    assert folder
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["journal.jsonl", "journal.jsonl.1"]
    assert all(file.stat().st_size < 4500 for file in files)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    lines = [line for file in reversed(files) for line in file.read_text().splitlines()]
    assert "event 499" in lines[-1]
    assert len(lines) > 20
