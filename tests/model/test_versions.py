"""Releases compare as numbers, and the data about them agrees with itself."""

from __future__ import annotations

import pytest

from fabfile.model import versions
from fabfile.model.versions import Release, Span


def test_a_release_is_read_and_written() -> None:
    assert str(Release.parse("v1.37.2")) == str(Release.parse("1.37.2")) == "1.37.2"
    assert Release.parse("1.37.2").series == "1.37"


@pytest.mark.parametrize(
    "text",
    ["1.37", "1.37.2.1", "1.37.x", "01.2.3", "1.2.3-rc.1", "1.2.3 ", "", "1.٣.2", "1.2.99999"],
)
def test_anything_else_is_no_release(text: str) -> None:
    with pytest.raises(ValueError, match="is no release like"):
        Release.parse(text)


def test_releases_compare_as_numbers() -> None:
    assert Release.parse("1.9.10") < Release.parse("1.10.0") < Release.parse("1.10.1")


def test_a_span_ends_before_its_end() -> None:
    assert [minor for minor in range(40) if minor in Span(30, 33)] == [30, 31, 32]
    assert 99 in Span(30)


@pytest.mark.parametrize(
    ("calico", "kubernetes", "possible"),
    [
        ("3.14.1", "1.21.0", True),
        ("3.14.1", "1.22.0", False),
        ("3.15.0", "1.15.0", False),
        ("3.22.0", "1.24.0", True),
        ("3.22.0", "1.25.0", False),
        ("3.23.0", "1.20.0", True),
        ("3.28.0", "1.20.0", False),
        ("3.23.0", "1.21.0", True),
        ("3.28.5", "1.37.2", True),
    ],
)
def test_calico_cannot_run_where_its_apis_are_not(
    calico: str, kubernetes: str, *, possible: bool
) -> None:
    why = versions.calico_impossible(Release.parse(calico), Release.parse(kubernetes))
    assert (why is None) is possible


def test_calico_with_etcd_needs_no_custom_resources() -> None:
    newest, old = Release.parse("3.28.5"), Release.parse("1.20.2")
    assert versions.calico_impossible(newest, old, "kubernetes")
    assert versions.calico_impossible(newest, old, "etcd") is None


@pytest.mark.parametrize(
    ("calico", "kubernetes", "tested"),
    [
        ("3.28.5", "1.27.0", True),
        ("3.28.5", "1.30.9", True),
        ("3.28.5", "1.31.0", False),
        ("3.32.0", "1.36.1", True),
        ("3.32.0", "1.37.0", False),
        ("3.99.0", "1.36.0", False),
    ],
)
def test_what_was_tested_by_its_makers_is_known(
    calico: str, kubernetes: str, *, tested: bool
) -> None:
    assert versions.calico_tested(Release.parse(calico), Release.parse(kubernetes)) is tested


def test_the_newest_tested_calico_is_suggested() -> None:
    assert versions.calico_for(Release(1, 30, 0)) == "3.29"
    assert versions.calico_for(Release(1, 35, 0)) == "3.32"
    assert versions.calico_for(Release(1, 37, 0)) is None


def test_no_tested_pair_is_impossible() -> None:
    for series, span in versions.CALICO_TESTED.items():
        assert span.until is not None
        for minor in range(span.since, span.until):
            calico = Release.parse(f"{series}.0")
            assert versions.calico_impossible(calico, Release(1, minor, 0)) is None
