"""The policy on removed nodes; tests/lab/test_removing.py tries it on an apiserver."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from fabnode.deploy import proxy_binding, removed_policy
from fabnode.kube.client import Api, ApiError
from fabnode.steps import rbac

from .bindings import Bindings

POLICY, BINDING = removed_policy.objects()
(EXPRESSION,) = (rule["expression"] for rule in POLICY["spec"]["validations"])


class Server:
    """
    An apiserver that has some objects.

    :ivar refused: status by verb: what is answered in their place.
    """

    def __init__(self, *, refused: dict[str, int] | None = None) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.refused = refused or {}

    def find(self, path: str) -> dict[str, Any] | None:
        self._may("get")
        return self.made.get(path)

    def create(self, path: str, body: dict[str, Any]) -> None:
        self._may("create")
        self.made[f"{path}/{body['metadata']['name']}"] = body

    def _may(self, verb: str) -> None:
        if status := self.refused.get(verb):
            raise ApiError(status, "", "no")


def needle(node: str) -> str:
    """Return what the policy looks for in the record, of a node of this name."""
    (found,) = re.findall(
        r"\.contains\('(.+?)' \+ request\.userInfo\.username\.substring\((\d+)\) \+ '(.+?)'\)",
        EXPRESSION,
    )
    before, start, after = found
    name = f"system:node:{node}"[int(start) :]
    return f"{before}{name}{after}".replace('\\"', '"')


def test_what_a_removal_records_is_what_the_policy_looks_for() -> None:
    api = Bindings("n1", "n12", "2026-11-30")
    for node in ("n12", "2026-11-30"):
        proxy_binding.unbind(cast("Api", api), node)
    assert api.live
    record = api.live["metadata"]["annotations"][proxy_binding.RECORD]
    assert f"'{proxy_binding.RECORD}'" in EXPRESSION
    assert needle("n12") in record
    assert needle("2026-11-30") in record
    for other in ("n1", "2", "n", "2026-11", f"{record[-12:-2]}x"):
        assert needle(other) not in record


def test_a_day_is_no_node() -> None:
    api = Bindings("n1")
    proxy_binding.unbind(cast("Api", api), "n1")
    (day,) = proxy_binding.removed(api.live).values()
    assert api.live
    assert needle(day) not in api.live["metadata"]["annotations"][proxy_binding.RECORD]


def test_only_what_nodes_create_is_judged() -> None:
    """That its pods have ended, a node that is locked out is to report."""
    rules = POLICY["spec"]["matchConstraints"]["resourceRules"]
    assert [(rule["operations"], rule["resources"]) for rule in rules] == [
        (["CREATE"], ["nodes"]),
        (["CREATE"], ["certificatesigningrequests"]),
        (["CREATE"], ["serviceaccounts/token"]),
    ]
    (condition,) = POLICY["spec"]["matchConditions"]
    assert condition["expression"] == "request.userInfo.username.startsWith('system:node:')"


def test_its_parameter_is_the_binding_of_kube_proxies_which_may_be_missing() -> None:
    kind = POLICY["spec"]["paramKind"]
    made = rbac.of_proxies(())
    assert kind == {"apiVersion": made["apiVersion"], "kind": made["kind"]}
    assert BINDING["spec"]["paramRef"] == {
        "name": made["metadata"]["name"],
        "parameterNotFoundAction": "Allow",
    }


def test_it_is_brought_once() -> None:
    api = Server()
    assert not removed_policy.in_force(cast("Api", api))
    removed_policy.bring(cast("Api", api))
    assert list(api.made.values()) == [POLICY, BINDING]
    assert removed_policy.in_force(cast("Api", api))
    (path,) = (path for path in api.made if path.endswith(f"bindings/{removed_policy.NAME}"))
    api.made[path] = {"spec": {"validationActions": ["Audit"]}}
    removed_policy.bring(cast("Api", api))
    assert not removed_policy.in_force(cast("Api", api)), "an administrator's choice stays"


@pytest.mark.parametrize("status", [403, 404, 409])
def test_an_account_that_may_not_make_it_makes_none(status: int) -> None:
    api = Server(refused={"create": status})
    removed_policy.bring(cast("Api", api))
    assert not removed_policy.in_force(cast("Api", api))


@pytest.mark.parametrize("status", [403, 404])
def test_whether_it_is_in_force_is_no_where_nobody_can_say(status: int) -> None:
    assert not removed_policy.in_force(cast("Api", Server(refused={"get": status})))


def test_other_failures_are_failures() -> None:
    api = Server(refused={"create": 500, "get": 0})
    with pytest.raises(ApiError):
        removed_policy.bring(cast("Api", api))
    with pytest.raises(ApiError):
        removed_policy.in_force(cast("Api", Server(refused={"get": 500})))
