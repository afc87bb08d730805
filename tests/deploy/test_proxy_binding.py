"""The binding of kube-proxies' own names: nobody's subject is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest

from fabnode.deploy import proxy_binding
from fabnode.kube.client import Api, ApiError
from fabnode.pki import proxy_names
from fabnode.util.errors import ClusterError

from .bindings import OWN, Bindings

if TYPE_CHECKING:
    from fabnode.kube.server_side_apply import Way

WAYS: tuple[Way, ...] = ("apply", "merge", "compare")


def bind(api: Bindings, *names: str, way: Way = "apply", dry_run: bool = False) -> None:
    wanted = [f"{OWN}{name}" for name in names]
    proxy_binding.bind(cast("Api", api), wanted, way=way, dry_run=dry_run)


def unbind(api: Bindings, name: str) -> bool:
    return proxy_binding.unbind(cast("Api", api), name)


@pytest.mark.parametrize("way", WAYS)
def test_the_binding_is_made_where_there_is_none(way: Way) -> None:
    api = Bindings(live=False)
    bind(api, "n2", "n1", way=way)
    assert api.bound == ["n1", "n2"]
    assert api.live
    assert api.live["roleRef"]["name"] == "system:node-proxier"


def test_names_are_added_to_those_that_are_there() -> None:
    api = Bindings("n1")
    bind(api, "n1", "n3")
    assert api.bound == ["n1", "n3"]
    api.did.clear()
    bind(api, "n1")
    assert api.did == ["get"], "nothing is written where all are bound"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("there", [True, False])
def test_what_another_deployer_binds_meanwhile_is_kept(way: Way, there: bool) -> None:
    api = Bindings("n1", live=there)
    before = ["n1"] if there else []

    def another() -> None:
        if "other" not in api.bound:
            api.put(*before, "other")

    api.before_write = another
    bind(api, "n2", way=way)
    assert api.bound == [*before, "other", "n2"]


def test_what_another_deployer_binds_while_one_is_removed_is_kept() -> None:
    api = Bindings("n1", "n2")

    def another() -> None:
        if "n3" not in api.bound:
            api.put("n1", "n2", "n3")

    api.before_write = another
    assert unbind(api, "n1")
    assert api.bound == ["n2", "n3"]


def test_a_name_is_removed_once() -> None:
    api = Bindings("n1", "n1", "n2")
    assert unbind(api, "n1")
    assert api.bound == ["n2"], "all of it"
    assert not unbind(api, "n1")
    assert not unbind(Bindings(live=False), "n1"), "and none is made for that"


def test_one_that_is_changed_all_the_time_is_given_up() -> None:
    api = Bindings("n1")
    api.before_write = lambda: api.put("n1")
    with pytest.raises(ClusterError, match="changed by somebody else all the time"):
        bind(api, "n2")


@pytest.mark.parametrize("there", [True, False])
def test_a_dry_run_asks_and_changes_nothing(there: bool) -> None:
    api = Bindings("n1", live=there)
    bind(api, "n2", dry_run=True)
    assert api.bound == ["n1"] * there
    assert api.did == ["get", "try"]
    api.refused.add("patch")
    with pytest.raises(ApiError):
        bind(api, "n2", dry_run=True)


def test_one_of_that_name_to_another_role_is_nothing_of_ours() -> None:
    api = Bindings("n1")
    assert api.live
    api.live["roleRef"]["name"] = "cluster-admin"
    assert "binds cluster-admin, not system:node-proxier" in proxy_binding.foreign(api.live)
    assert proxy_binding.users(api.live) == frozenset()
    assert not unbind(api, "n1")
    with pytest.raises(ApiError, match="cannot change roleRef"):
        bind(api, "n2")
    assert api.bound == ["n1"]


@pytest.mark.parametrize(
    ("live", "wanted", "action", "fields"),
    [
        (None, ["n1"], "create", ()),
        (["n1"], ["n1"], "", ()),
        (["n1"], ["n1", "n2"], "update", (f"subjects + {OWN}n2",)),
    ],
)
def test_what_a_plan_shows(
    live: list[str] | None, wanted: list[str], action: str, fields: tuple[str, ...]
) -> None:
    api = Bindings(*live or (), live=live is not None)
    change = proxy_binding.change(api.live, [f"{OWN}{name}" for name in wanted])
    assert (change.action if change else "") == action
    assert (change.fields if change else ()) == fields
    if change:
        assert change.title == "ClusterRoleBinding fabnode:kube-proxies"


def test_what_was_taken_out_is_recorded_until_it_is_bound_again() -> None:
    api = Bindings("n1", "n2", "n3")
    unbind(api, "n1")
    unbind(api, "n2")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert proxy_binding.removed(api.live) == {"n1": today, "n2": today}
    bind(api, "n1")
    assert proxy_binding.removed(api.live) == {"n2": today}
    assert api.bound == ["n3", "n1"]
    bind(api, "n2")
    assert api.live
    assert api.live["metadata"]["annotations"] == {}


def test_one_that_is_bound_is_none_that_was_removed() -> None:
    """Somebody may have put the subject back by hand."""
    api = Bindings("n1")
    unbind(api, "n1")
    api.put("n1")
    bind(api, "n1")
    assert proxy_binding.removed(api.live) == {}


def test_what_others_write_beside_the_record_is_kept() -> None:
    api = Bindings("n1")
    api.put("n1", annotations={"site": "theirs"})
    unbind(api, "n1")
    bind(api, "n1")
    assert api.live
    assert api.live["metadata"]["annotations"] == {"site": "theirs"}


def test_the_record_is_bounded_and_its_newest_are_kept() -> None:
    api = Bindings("new")
    old = {f"n{number:03}": f"2020-01-{1 + number // 10:02}" for number in range(300)}
    api.put("new", annotations={proxy_binding.RECORD: json.dumps(old)})
    unbind(api, "new")
    kept = proxy_binding.removed(api.live)
    assert len(kept) == 200
    assert "new" in kept
    assert "n299" in kept
    assert "n000" not in kept


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 100_000, '{"n1": 3}', '{"n1": "soon"}', '{"n1": null}', "null"]
)
def test_a_record_that_is_none_says_nothing(text: str) -> None:
    api = Bindings("n1", "n2")
    api.put("n1", "n2", annotations={proxy_binding.RECORD: text})
    assert proxy_binding.removed(api.live) == {}
    assert unbind(api, "n1")
    assert list(proxy_binding.removed(api.live)) == ["n1"]


def test_a_long_name_is_recorded_as_it_is() -> None:
    """What stands in the binding is cut, with a digest: nobody could tell the node by that."""
    node = "a" * 60
    cut = proxy_names.own(node).removeprefix(OWN)
    api = Bindings(cut)
    unbind(api, node)
    assert api.bound == []
    assert list(proxy_binding.removed(api.live)) == [node]
    bind(api, cut)
    assert proxy_binding.removed(api.live) == {}


def test_one_that_joins_without_such_a_name_is_let_in_alone() -> None:
    api = Bindings("n1", "n2", "n3")
    unbind(api, "n1")
    unbind(api, "n2")
    proxy_binding.readmit(cast("Api", api), "n1")
    assert list(proxy_binding.removed(api.live)) == ["n2"]
    assert api.bound == ["n3"]
    api.did.clear()
    proxy_binding.readmit(cast("Api", api), "n1")
    proxy_binding.readmit(cast("Api", Bindings(live=False)), "n1")
    assert api.did == ["get"], "nothing is written where nothing is to be done"
