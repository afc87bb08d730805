"""What holds for all tests, and what those marked `attack` tried, added up."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import labs
from tests.attacks import COUNTED, JUDGED, TRIED, WRONG
from tests.produced import brought_out_by, recorded

# The property of a test's last report that carries its counts, from xdist's workers as well.
COUNTS = "attacks"

# How long an example takes tells of what else the machine does, labs above all, and not of a fault.
settings.register_profile("fabnode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fabnode")


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C be tried also where `make test` runs in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(AttackTable())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """
    Take down what workers of pytest-xdist left, which Ctrl-C ends without their teardown.

    Only where there were workers: labs may be those of another run of this checkout otherwise. It
    stands here since the process that has workers collects nothing and reads no other conftest.
    """
    if session.config.pluginmanager.hasplugin("dsession"):
        labs.take_down_left()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count again for each test."""
    COUNTED.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Credit what was counted while a test ran to its module."""
    report = yield
    if report.when == "teardown" and item.get_closest_marker("attack"):
        title = (item.module.__doc__ or item.path.stem).strip().splitlines()[0]  # type: ignore[attr-defined]
        counts = dict(COUNTED) if COUNTED[TRIED] else {**COUNTED, TRIED: 1}
        report.user_properties.append((COUNTS, {"title": title, "counts": counts}))
    return report


@pytest.fixture(autouse=True, scope="session")
def _journals_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the runs of tests out of those that `inv report` shows the user."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _brings_out_what_the_page_lists(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold a test to the failures that docs/troubleshooting.md has because of it."""
    module = str(request.path.relative_to(Path(__file__).parent))
    test = request.node.name  # of a table of cases each, or one that is named
    if not (wanted := brought_out_by(module, {test, test.partition("[")[0]})):
        yield
        return
    with recorded() as seen:
        yield
    missing = sorted(wanted - seen)
    assert not missing, f"it does not bring out {missing} any more (tests/produced.py)"


class AttackTable:
    """Attacks by module: how many were tried and judged, and how many ended wrong."""

    def __init__(self) -> None:
        self._rows: dict[str, Counter[str]] = {}
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that fails is an attack that succeeded, or one that was not reported."""
        if report.failed:
            self._failed.add(report.nodeid)
        for name, found in report.user_properties:
            if name == COUNTS and isinstance(found, dict):
                row = self._rows.setdefault(found["title"], Counter())
                row.update(found["counts"])
                if report.nodeid in self._failed and not found["counts"].get(WRONG):
                    row[WRONG] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if not self._rows:
            return
        heads = (TRIED, JUDGED, WRONG)
        table = self._rows | {"all": sum(self._rows.values(), Counter())}
        width = max(len(title) for title in table)
        terminalreporter.section("attacks")
        terminalreporter.write_line(" " * width + "".join(f"  {head}" for head in heads))
        for title, row in table.items():
            numbers = "".join(f"  {row[head]:>{len(head)}}" for head in heads)
            terminalreporter.write_line(f"{title:{width}}{numbers}")
        if not table["all"][WRONG]:
            terminalreporter.write_line("none was wrong")
