"""What expires when: read from a journal, whatever stands in it, and put on an axis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fabnode.cli.report import days, render
from fabnode.journal.events import Event, State
from fabnode.journal.expiry import CERTIFICATES, MARGIN, expiries

AT = 1.8e9


def row(where: str, name: str, left: float) -> dict[str, str]:
    ends = datetime.fromtimestamp(AT, UTC) + timedelta(days=left)
    return {
        "where": where,
        "name": name,
        "subject": f"CN=system:node:{where}",
        "issuer": "CN=ca<b>",
        "ends": ends.isoformat(),
    }


def event(rows: Any, margin: Any = 30, state: State = "done") -> Event:
    return Event(AT, None, "verify", state, "checked", 1.0, {CERTIFICATES: rows, MARGIN: margin})


ROWS = [row("n1", "client", 200), row("n2", "client", 12), row("n2", "proxy", -1)]


def test_the_first_to_end_comes_first_and_the_latest_word_counts() -> None:
    found = expiries([event([row("n9", "client", 1)]), event(ROWS)])
    assert found
    assert [(name, [e.where for e in each]) for name, each in found.kinds] == [
        ("proxy", ["n2"]),
        ("client", ["n2", "n1"]),
    ]
    assert [round(e.days) for e in found.soonest] == [-1, 12, 200]
    assert found.near == 2
    assert [text for _, text in found.ticks] == ["1 day", "1 week", "30 days", "90 days"]
    assert expiries([event("none")]) is None


def test_near_ends_have_room_and_nothing_leaves_the_axis() -> None:
    found = expiries([event(ROWS)])
    assert found
    places = [found.place(d) for d in (-5, 0, 1, 7, 30, 200, 10**9)]
    assert places == sorted(places)
    assert (places[0], places[1], places[-1]) == (0, 0, 100)
    assert found.place(30) > 50


def test_the_report_shows_them_and_escapes_their_text() -> None:
    page = render([event(ROWS)])
    assert "What expires when" in page
    assert page.count("<circle") == 3
    assert "CN=ca&lt;b&gt;" in page
    assert "CN=ca<b>" not in page
    assert "What expires when" not in render([event([])])


def test_days_are_formatted_for_people() -> None:
    assert [days(n) for n in (-0.1, 0.2, 364.6, 3650)] == ["ended", "0 d", "365 d", "10.0 y"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ENDS = st.sampled_from(["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "soon", ""])
ROW = st.fixed_dictionaries(
    dict.fromkeys(("where", "name", "subject", "issuer"), JSON) | {"ends": ENDS | JSON}
)


@given(st.lists(ROW | JSON, max_size=4) | JSON, JSON)
def test_whatever_a_journal_holds_there_is_an_axis(rows: Any, margin: Any) -> None:
    if found := expiries([event(rows, margin)]):
        assert found.soonest
        assert all(0 <= at < 100 for at, _ in found.ticks)
        assert all(0 <= found.place(e.days) <= 100 for e in found.soonest)
        assert [days(e.days) for e in found.soonest]
        assert f"{round(found.margin)}"
