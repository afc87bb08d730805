"""What `fab -H HOST` offers of a node in use is what `inv` offers of many."""

from __future__ import annotations

import pytest

import fabfile
import tasks

OF_MANY = {"limit", "batch", "max_parallel"}


@pytest.mark.parametrize(
    "name", ["cordon", "uncordon", "drain", "maintain", "upgrade", "remove-node", "reset"]
)
def test_the_same_options_for_one_host(name: str) -> None:
    def options(collection: object) -> set[str]:
        return {str(argument.name) for argument in collection[name].get_arguments()}  # type: ignore[index]

    assert options(fabfile.ns) == options(tasks.ns) - OF_MANY


@pytest.mark.parametrize("name", ["cordon", "uncordon", "drain", "maintain", "upgrade"])
def test_what_changes_nodes_in_use_can_be_shown_first(name: str) -> None:
    names = {str(argument.name) for argument in tasks.ns[name].get_arguments()}
    assert {"dry_run", "json"} <= names
