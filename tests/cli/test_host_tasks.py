"""What `fab -H HOST` offers of a node in use is what `inv` offers of many."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

import fabfile
import tasks

if TYPE_CHECKING:
    from invoke.collection import Collection

OF_MANY = {"limit", "batch", "max_parallel"}


@pytest.mark.parametrize(
    "name", ["cordon", "uncordon", "drain", "maintain", "upgrade", "remove-node", "reset"]
)
def test_the_same_options_for_one_host(name: str) -> None:
    assert options(fabfile.ns, name) == options(tasks.ns, name) - OF_MANY


@pytest.mark.parametrize("name", ["cordon", "uncordon", "drain", "maintain", "upgrade"])
def test_what_changes_nodes_in_use_can_be_shown_first(name: str) -> None:
    assert {"dry_run", "json"} <= options(tasks.ns, name)


def options(collection: Collection, name: str) -> set[str]:
    """Return a task's options. Invoke's own list of them takes their help away with it."""
    _, *names = inspect.signature(collection[name].body).parameters
    return set(names)
