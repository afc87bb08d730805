"""Which pods a budget covers."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.upkeep.budgets import query

from .pods import budget, pod

WEB = {"app": "web", "tier": "front"}
SELECTORS: list[tuple[dict[str, Any] | None, bool, str]] = [
    ({"matchLabels": {"app": "web"}}, True, "app=web"),
    ({"matchLabels": {"app": "web", "tier": "back"}}, False, "app=web,tier=back"),
    (
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]},
        True,
        "app in (web,db)",
    ),
    (
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
        False,
        "app notin (web)",
    ),
    (
        {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]},
        True,
        "zone notin (a)",
    ),
    ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True, "tier"),
    ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False, "!tier"),
    (
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}],
        },
        True,
        "app=web,!zone",
    ),
]


@pytest.mark.parametrize(("selector", "covers", "asked"), SELECTORS)
def test_a_selector(selector: dict[str, Any], covers: bool, asked: str) -> None:
    assert budget(spec={"selector": selector}).covers(pod(labels=WEB)) is covers
    assert query(selector) == asked


@pytest.mark.parametrize(
    ("selector", "v1", "covers"),
    [({}, True, True), ({}, False, False), (None, True, False), (None, False, False)],
)
def test_an_empty_selector_means_all_in_v1_and_none_before(
    selector: Any, v1: bool, covers: bool
) -> None:
    found = budget(spec={"selector": selector}, empty_selects_all=v1)
    assert found.covers(pod()) is covers


def test_a_budget_is_of_its_own_namespace() -> None:
    stranger = pod()
    stranger["metadata"]["namespace"] = "other"
    assert not budget().covers(stranger)
