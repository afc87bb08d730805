"""What a host keeps of before an upgrade says what the way back does to pods."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fabnode.upkeep import kept_set, operations
from fabnode.upkeep.kept_set import Extent
from fabnode.upkeep.operations import Operation
from fabnode.util.own_names import NODE_OPERATION

OURS = Operation("upgrade", "changing", "a@b", "2026-11-30T10:00:00Z", cordons=True)
PATCH, MINOR = (
    replace(OURS, drained=False, ends_pods=False),
    replace(OURS, drained=True, ends_pods=False),
)
TAG = kept_set.tag(OURS)
ALL = Extent(drains=True, ends_pods=True)


@pytest.mark.parametrize(
    ("recorded", "kept", "extent"),
    [
        (None, "", Extent(drains=False, ends_pods=False)),
        (MINOR, "", Extent(drains=False, ends_pods=False)),  # it has changed nothing yet
        (PATCH, TAG, Extent(drains=False, ends_pods=False)),
        (MINOR, TAG, Extent(drains=True, ends_pods=False)),
        (replace(MINOR, ends_pods=True), TAG, ALL),
        (OURS, TAG, ALL),  # as an older fabnode records it
        (None, TAG, ALL),  # its record ended with its cordon
        (replace(PATCH, since="2026-11-30T11:00:00Z"), TAG, ALL),
    ],
)
def test_what_other_runs_did_counts(recorded: Operation | None, kept: str, extent: Extent) -> None:
    found = kept_set.extent(drains=False, ends_pods=False, recorded=recorded, kept=kept)
    assert found == extent


def test_what_this_run_would_do_counts() -> None:
    found = kept_set.extent(drains=True, ends_pods=True, recorded=PATCH, kept=TAG)
    assert found == ALL


def test_a_tag_tells_by_whom_and_since_when() -> None:
    shown = "upgrade (its host keeps what ran before) by a@b since 2026-11-30 10:00:00 UTC"
    assert kept_set.origin(TAG) == shown
    assert kept_set.read_tag(f"{TAG}\n".encode()) == TAG
    assert kept_set.read_tag(b"\n") == "?"


@pytest.mark.parametrize("operation", [OURS, PATCH, MINOR])
def test_a_record_is_read_as_it_was_written(operation: Operation) -> None:
    live = {"metadata": {"annotations": {NODE_OPERATION: operation.to_json()}}}
    assert operations.read(live) == operation


def test_what_is_left_over_names_whose_it_is() -> None:
    text = "its host keeps what ran before an upgrade by a@b since 2026-11-30 10:00:00 UTC"
    assert kept_set.left_over(TAG) == f"{text}, which is not proved"
