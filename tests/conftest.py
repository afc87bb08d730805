"""What holds for all tests, and what those marked `attack` tried, added up."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Generator

import pytest

from tests.attacks import COUNTED, JUDGED, TRIED, WRONG

TABLE = pytest.StashKey[dict[str, Counter[str]]]()


def pytest_configure() -> None:
    """Let Ctrl-C be tried also where `make test` runs in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Credit what is counted while a test runs to its module."""
    before = COUNTED.copy()
    result = yield
    if item.get_closest_marker("attack"):
        title = (item.module.__doc__ or item.path.stem).strip().splitlines()[0]  # type: ignore[attr-defined]
        row = item.config.stash.setdefault(TABLE, {}).setdefault(title, Counter())
        found = COUNTED - before
        row.update(found if found[TRIED] else found + Counter({TRIED: 1}))
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test that fails is an attack that got through, or one that was not told."""
    if report.failed and "attack" in report.keywords:
        COUNTED[WRONG] += 1


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    table = config.stash.get(TABLE, {})
    if not table:
        return
    heads = (TRIED, JUDGED, WRONG)
    table["all"] = sum(table.values(), Counter())
    width = max(len(title) for title in table)
    terminalreporter.section("attacks")
    terminalreporter.write_line(" " * width + "".join(f"  {head}" for head in heads))
    for title, row in table.items():
        numbers = "".join(f"  {row[head]:>{len(head)}}" for head in heads)
        terminalreporter.write_line(f"{title:{width}}{numbers}")
    if not table["all"][WRONG]:
        terminalreporter.write_line("none was wrong")
