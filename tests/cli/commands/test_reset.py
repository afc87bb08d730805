"""`inv reset` wants to be given its nodes: all of them is nothing that one types by accident."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from fabnode.cli import exits
from fabnode.cli.commands.reset import reset
from fabnode.cli.options import Options


@pytest.mark.parametrize("dry_run", [True, False])
def test_nodes_have_to_be_named(dry_run: bool) -> None:
    with pytest.raises(Exit, match="--limit is missing") as caught:
        reset(Options("/nonexistent", ""), "", dry_run=dry_run, yes=True)
    assert caught.value.code == exits.BAD_INPUT
