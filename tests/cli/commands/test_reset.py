"""`inv reset` does nothing as long as it is not proved, unless that is admitted."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from fabnode.cli import exits
from fabnode.cli.commands.reset import UNPROVED, reset
from fabnode.cli.options import Options


@pytest.mark.parametrize("value", ["", "no", "1"])
def test_what_is_not_proved_is_not_done(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(UNPROVED, value)
    with pytest.raises(Exit, match="not proved yet") as caught:
        reset(Options("/nonexistent", "n1"), "", dry_run=False, yes=True)
    assert caught.value.code == exits.BAD_INPUT
