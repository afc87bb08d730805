"""What became of tests: read from ginkgo's report, judged by the known failures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ..errors import LabError

PASSED = "passed"
_NOT_RUN = ("skipped", "pending", "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    A test that was run.

    :param state: as ginkgo names it: passed, failed, panicked, timedout, interrupted, aborted.
    :param message: why it did not pass.
    """

    name: str
    state: str
    seconds: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """
    A failure whose cause was found.

    :param test: its whole name.
    :param whose: who would have to change something: the test, the lab, …
    :param forms: in which it fails; empty: in all.
    """

    test: str
    whose: str
    why: str
    forms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One part of the tests, run on nodes in one form."""

    form: str
    part: str
    commit: str
    date: str
    seconds: float
    tests: tuple[Outcome, ...]

    @property
    def passed(self) -> list[Outcome]:
        """Return the tests that passed."""
        return [test for test in self.tests if test.state == PASSED]

    @property
    def failed(self) -> list[Outcome]:
        """Return the tests that did not, those that were cut off among them."""
        return [test for test in self.tests if test.state != PASSED]


def tests(suites: Sequence[dict[str, Any]]) -> tuple[Outcome, ...]:
    """
    Return the tests of a report (`ginkgo --json-report`) that were run.

    What is no test (the suite's own preparation) is returned only where it failed.
    """
    found = []
    for suite in suites:
        for spec in suite.get("SpecReports") or ():
            state = spec.get("State") or ""
            is_test = spec.get("LeafNodeType") == "It"
            if state in _NOT_RUN or (state == PASSED and not is_test):
                continue
            texts = [*(spec.get("ContainerHierarchyTexts") or ()), spec.get("LeafNodeText")]
            name = " ".join(text for text in texts if text) or f"[{spec.get('LeafNodeType')}]"
            message = (spec.get("Failure") or {}).get("Message", "")
            found.append(Outcome(name, state, spec.get("RunTime", 0) / 1e9, message))
    return tuple(found)


def known_failures(text: str) -> list[Known]:
    """
    Return the known failures of a YAML document.

    :raises LabError: an entry lacks something, or has what no entry has.
    """
    try:
        entries = [
            Known(**entry | {"forms": tuple(entry.get("forms", ()))})
            for entry in yaml.safe_load(text) or ()
        ]
    except (TypeError, AttributeError) as error:
        raise LabError(f"the list of known failures can't be read: {error}") from None
    return entries


def find_known(test: Outcome, form: str, known: Iterable[Known]) -> Known | None:
    """Return the known failure that a failed test is on nodes of this form."""
    return next(
        (k for k in known if k.test == test.name and (not k.forms or form in k.forms)), None
    )


def unknown(run: Run, known: Sequence[Known]) -> list[Outcome]:
    """Return the failures whose cause nobody has found yet."""
    return [test for test in run.failed if find_known(test, run.form, known) is None]


def mended(runs: Sequence[Run], known: Sequence[Known]) -> list[Known]:
    """Return the known failures whose tests passed wherever they were run and should fail."""
    found = []
    for entry in known:
        concerned = [run for run in runs if not entry.forms or run.form in entry.forms]
        states = {t.state for run in concerned for t in run.tests if t.name == entry.test}
        if states == {PASSED}:
            found.append(entry)
    return found


def table(runs: Sequence[Run], known: Sequence[Known]) -> str:
    """Return the counts and each failure, as Markdown."""
    lines = [
        "| nodes | tests | run | passed | failed, known | not known | minutes | commit, date |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        new = len(unknown(run, known))
        counts = (len(run.tests), len(run.passed), len(run.failed) - new, new)
        cells = (
            run.form,
            run.part,
            *counts,
            f"{run.seconds / 60:.0f}",
            f"{run.commit}, {run.date}",
        )
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    names = {test.name for run in runs for test in run.tests}
    never = names - {test.name for run in runs for test in run.passed}
    lines += [
        "",
        f"{len(names)} different tests, {len(names) - len(never)} of them passed somewhere.",
    ]
    failures = [(run, test) for run in runs for test in run.failed]
    if failures:
        lines += ["", "| failed | nodes | whose | why |", "|---|---|---|---|"]
    for run, test in failures:
        entry = find_known(test, run.form, known)
        whose, why = (entry.whose, entry.why) if entry else ("not known", _one_line(test.message))
        lines.append(f"| {_cell(test.name)} | {run.form} | {_cell(whose)} | {_cell(why)} |")
    return "\n".join(lines) + "\n"


def _one_line(text: str, limit: int = 160) -> str:
    whole = " ".join(text.split())
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
