"""When Calico is changed in an upgrade: by what its project tested each release with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabnode.releases.compatibility import calico_turn
from fabnode.releases.version import Release

if TYPE_CHECKING:
    from collections.abc import Collection


@pytest.mark.parametrize(
    ("old", "new", "minors", "last"),
    [
        ("3.30.1", "3.32.0", {34, 35}, False),  # both were tested: the newer goes first
        ("3.32.0", "3.33.0", {35, 36}, False),
        ("3.32.0", "3.33.0", {34, 36}, True),  # 3.33 was not with 1.34, which nodes run until then
        ("3.32.0", "3.32.4", {20, 40}, False),  # one series: nothing to choose
    ],
)
def test_the_one_that_was_tested_with_all_runs_meanwhile(
    old: str, new: str, minors: Collection[int], last: bool
) -> None:
    assert calico_turn(Release.parse(old), Release.parse(new), minors) == (last, "", "")


def test_a_release_between_them_is_named_where_neither_was() -> None:
    last, warning, advice = calico_turn(Release.parse("3.28.5"), Release.parse("3.33.0"), {32, 33})
    assert not last
    assert "neither Calico 3.28 nor 3.33 was tested with all Kubernetes" in warning
    assert "(1.32, 1.33)" in warning
    assert advice.startswith("Calico 3.31.x was: upgrade to it first")


def test_where_no_release_was_tested_with_all_the_steps_are_too_large() -> None:
    _, warning, advice = calico_turn(Release.parse("3.28.5"), Release.parse("3.33.0"), {28, 37})
    assert warning
    assert advice.startswith("upgrade in smaller steps")
