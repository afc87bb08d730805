"""What a watch makes of lists that are none, and of lists that grew too old between two pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fabnode.kube import watch as kube_watch
from fabnode.kube.client import ApiError, ApiWrongError
from fabnode.kube.watch import Watch
from fabnode.util.object_lists import lean
from fabnode.util.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = {"metadata": {"resourceVersion": "1"}}
NODE = {"metadata": {"name": "n1", "resourceVersion": "1"}}


class Api:
    """Answers in turn; its stream of events ends the watch."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.watch = Watch(self, "/x", lean)  # type: ignore[arg-type]

    def get(self, path: str, **query: str) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stream(self, path: str, **query: Any) -> Iterator[Any]:
        self.watch.stop()
        return iter(())


@pytest.mark.parametrize(
    "answer",
    [
        {**LIST, "items": ["x"]},
        {**LIST, "items": 5},
        {**LIST, "items": {"metadata": {}}},
        {"metadata": "odd"},
        {"metadata": {"continue": 5}},
    ],
)
def test_what_is_no_list_is_refused_in_a_sentence(answer: Any) -> None:
    watch = Api(answer).watch
    watch._run()
    with pytest.raises(ApiWrongError, match="is not a list of objects"):
        watch.until(lambda _: None, Wait("nothing", 0))


def test_a_list_that_grew_too_old_between_two_pages_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kube_watch, "_RELIST_PAUSE", 0)
    page = {"metadata": {"resourceVersion": "1", "continue": "x"}, "items": [NODE]}
    late = ApiError(410, "Expired", "the provided continue parameter is too old")
    watch = Api(page, late, {**LIST, "items": [NODE]}).watch
    watch._run()
    assert watch.until(lambda found: sorted(found) or None, Wait("n1", 0)) == ["n1"]


def test_another_refusal_ends_it() -> None:
    watch = Api(ApiError(403, "Forbidden", "no")).watch
    watch._run()
    with pytest.raises(ApiError, match="no"):
        watch.until(lambda _: None, Wait("nothing", 0))
