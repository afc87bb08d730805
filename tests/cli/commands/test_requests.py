"""What `inv approve-csr --json` prints."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from fabnode.cli.commands import requests
from fabnode.cli.options import Options
from fabnode.journal.events import Event


def test_verdicts_are_of_requests_alone() -> None:
    data = {"request": "csr-x", "requester": "system:node:n1", "kind": "serving"}
    events = [
        Event(1, None, "run", "start", "inv approve-csr"),
        Event(2, "n1", "approve-csr", "changed", "would approve csr-x", data=data),
        Event(3, None, "approve-csr", "warning", "left csr-y pending", data={"request": "csr-y"}),
    ]
    nothing = {"requester": "", "kind": "", "advice": ""}
    assert requests.verdicts(events) == [
        {"node": "n1", "approved": True, "text": "would approve csr-x", "advice": "", **data},
        {
            "node": None,
            "approved": False,
            "text": "left csr-y pending",
            "request": "csr-y",
            **nothing,
        },
    ]


def test_what_never_ends_has_no_document() -> None:
    options = Options(json=True, endless=True)
    with pytest.raises(Exit, match="--json goes without --watch") as stop:
        requests.approve(options, watch=True, serving_only=False, dry_run=False)
    assert stop.value.code == 2
