"""Lists of API objects: read by pages, of one moment, and kept lean."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.util.object_lists import lean, listed


class Api:
    """Five objects, two on a page. `asked`: the queries of its requests."""

    def __init__(self, count: int = 5) -> None:
        self._items = [{"metadata": {"name": f"n{number}"}} for number in range(count)]
        self.asked: list[dict[str, str]] = []

    def get(self, path: str, **query: str) -> dict[str, Any]:
        assert path == "/x"
        self.asked.append(query)
        begin = int(query.get("continue", "0"))
        more = str(begin + 2) if begin + 2 < len(self._items) else ""
        metadata = {"resourceVersion": "7", "continue": more}
        return {"kind": "List", "metadata": metadata, "items": self._items[begin : begin + 2]}


def names(found: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in found["items"]]


def test_all_pages_are_one_list() -> None:
    api = Api()
    found = listed(api, "/x", labelSelector="a=b")
    assert names(found) == ["n0", "n1", "n2", "n3", "n4"]
    assert found["metadata"]["resourceVersion"] == "7"  # from which a watch goes on
    begin = {"limit": "500", "labelSelector": "a=b"}
    assert api.asked == [begin, {**begin, "continue": "2"}, {**begin, "continue": "4"}]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_small_collection_is_one_request(count: int) -> None:
    api = Api(count)
    assert len(listed(api, "/x")["items"]) == count
    assert len(api.asked) == 1


def test_an_answer_that_is_no_list_is_an_empty_one() -> None:
    class Empty:
        def get(self, path: str, **query: str) -> dict[str, Any]:
            return {"metadata": None, "items": None}

    assert listed(Empty(), "/x")["items"] == []


def test_nodes_are_kept_without_their_images() -> None:
    node: dict[str, Any] = {
        "metadata": {"name": "n1", "managedFields": [{"manager": "kubectl-cordon"}]},
        "spec": {"unschedulable": True},
        "status": {"images": [{"names": ["a"]}], "nodeInfo": {"machineID": "x"}},
    }
    assert lean(node) == {**node, "status": {"nodeInfo": {"machineID": "x"}}}
    assert "images" in node["status"]


@pytest.mark.parametrize("node", [{}, {"status": None}, {"status": "odd"}])
def test_odd_nodes_are_kept_as_they_are(node: dict[str, Any]) -> None:
    assert lean(node) == node
