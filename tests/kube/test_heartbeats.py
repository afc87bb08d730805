"""Heartbeats: of one node, by its Lease and its status, and of many, by pages of Leases."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.kube.client import ApiError
from fabnode.kube.heartbeats import heartbeat_age, heartbeat_ages
from fabnode.util.object_lists import cheaper_listed

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
NOON = 1795435200.0  # 2026-11-23T12:00:00Z


def node(name: str = "n1", reported: str | None = None) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": reported}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions if reported else []}}


class Api:
    """
    An API that has Leases, two on a page.

    :ivar asked: what it was asked for.
    """

    def __init__(self, renewed: dict[str, str | None]) -> None:
        self._leases: list[dict[str, Any]] = [
            {"metadata": {"name": name}, "spec": {"renewTime": time}}
            for name, time in renewed.items()
        ]
        self.asked: list[str] = []
        self.refuses = False

    def find(self, path: str) -> dict[str, Any] | None:
        self.asked.append(path)
        name = path.removeprefix(f"{LEASES}/")
        return next((each for each in self._leases if each["metadata"]["name"] == name), None)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        assert path == LEASES
        assert query["limit"] == "500"
        begin = int(query.get("continue", "0"))
        self.asked.append(str(begin))
        if self.refuses and begin:
            raise ApiError(410, "Expired", "the provided continue parameter is too old")
        more = str(begin + 2) if begin + 2 < len(self._leases) else ""
        return {"metadata": {"continue": more}, "items": self._leases[begin : begin + 2]}


@pytest.mark.parametrize(
    ("renewed", "reported", "age"),
    [
        ("2026-11-23T11:59:50.000000Z", "2026-11-23T11:00:00Z", 10),
        (None, "2026-11-23T11:59:58Z", 2),  # it has just joined
        ("2026-11-23T11:00:00.000000Z", "2026-11-23T11:59:58Z", 2),  # the Lease of an earlier life
        (None, None, float("inf")),
    ],
)
def test_the_latest_sign_of_life_counts(
    renewed: str | None, reported: str | None, age: float
) -> None:
    api: Any = Api({"n1": renewed} if renewed else {})
    assert heartbeat_age(api, node(reported=reported), NOON) == age


def many(count: int) -> tuple[Any, list[str], dict[str, Any]]:
    names = [f"n{number}" for number in range(count)]
    api = Api(dict.fromkeys(names[:-1], "2026-11-23T11:59:50.000000Z"))
    return api, names, {name: node(name) for name in names}


def test_many_are_read_page_by_page() -> None:
    api, names, live = many(12)
    ages = heartbeat_ages(api, [*names, "unknown"], live, NOON)
    assert ages == {**dict.fromkeys(names[:-1], 10.0), "n11": float("inf")}
    assert api.asked == ["0", "2", "4", "6", "8", "10"]


@pytest.mark.parametrize(
    ("asked", "nodes", "listed"),
    [(1, 0, False), (10, 500, False), (11, 500, True), (11, 501, False), (1000, 1000, True)],
)
def test_a_few_are_asked_for_one_by_one(asked: int, nodes: int, *, listed: bool) -> None:
    assert cheaper_listed(asked, nodes) is listed


def test_where_no_list_is_to_be_had_each_is_asked_for() -> None:
    api, names, live = many(12)
    api.refuses = True
    assert heartbeat_ages(api, names, live, NOON) == {}
