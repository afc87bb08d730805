"""The policy on the deployer's account in a cluster, compared with the one that is needed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.deploy import admission_policy, deployer_account, removed_policy, run_rights
from fabnode.kube.client import ApiError
from fabnode.kube.service_accounts import DEPLOYER
from fabnode.releases.version import Release
from tests.support import make_config

if TYPE_CHECKING:
    from collections.abc import Callable

NODES = [{"name": "n1", "address": "192.0.2.11"}]
OTHER = {"name": "n2", "address": "192.0.2.12", "kube_proxy": {"subject": {"organization": "x"}}}
SECRET = {"kind": "Secret", "metadata": {"name": "calico-etcd-secrets", "namespace": "kube-system"}}
TYPHA = {"kind": "Service", "metadata": {"name": "typha", "namespace": "kube-system"}}
FIX = "as administrator, run `inv rbac.deployer` with this configuration"


def allowed(*network: dict[str, Any], **overrides: Any) -> admission_policy.Allowed:
    settings = {"nodes": NODES, "calico": {"enabled": False}, **overrides}
    return deployer_account.allowed(make_config(**settings), network)


SHARED = replace(allowed(), shares_token=True)


def test_each_subject_and_object_counts_once() -> None:
    again = {**OTHER, "name": "n3", "address": "192.0.2.13"}
    found = allowed(SECRET, TYPHA, nodes=[*NODES, OTHER, again])
    assert [subject for _, subject in found.proxies][1:] == [
        {"organization": "x", "organizational_unit": "System"}
    ]
    assert found.secrets == ("calico-etcd-secrets",)
    assert found.services == ("kube-system/typha",)
    assert not found.shares_token
    assert allowed(kube_proxy="none").proxies == ()


@pytest.mark.parametrize(
    ("made_for", "wanted", "level", "text"),
    [
        (allowed(), allowed(), "", ""),
        (
            allowed(),
            allowed(nodes=[*NODES, OTHER]),
            "error",
            "refuses what this configuration needs: requests for a certificate with"
            " CN=system:kube-proxy, organization=x",
        ),
        (
            allowed(nodes=[*NODES, OTHER]),
            allowed(),
            "warning",
            "is not the one for this configuration and release of fabnode:"
            " spec.validations[1].expression",
        ),
        (
            replace(allowed(), proxies=()),  # kube_proxy.signing was `local`
            allowed(),
            "error",
            "needs: requests for a certificate with CN=system:kube-proxy",
        ),
        (allowed(), allowed(SECRET), "error", "needs: Secret kube-system/calico-etcd-secrets"),
        (allowed(SECRET), allowed(), "warning", "spec.validations[0].expression"),
        (
            allowed(),
            allowed(SECRET, TYPHA),
            "error",
            "Secret kube-system/calico-etcd-secrets; Service kube-system/typha",
        ),
        (allowed(TYPHA), allowed(), "warning", "spec.validations[3].expression"),
        (allowed(), SHARED, "error", "approving what hosts ask for with the token file"),
        (SHARED, allowed(), "error", "approving what hosts ask for with bootstrap tok"),
    ],
)
def test_a_policy_for_another_configuration_is_named_with_what_differs(
    made_for: admission_policy.Allowed,
    wanted: admission_policy.Allowed,
    level: str,
    text: str,
) -> None:
    policy, binding = admission_policy.objects(DEPLOYER, made_for)
    found = list(deployer_account.compare(wanted, policy, binding))
    assert [f.level for f in found] == [level] * bool(level)
    assert all(text in f.text and f.fix == FIX for f in found)


def edit(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(item: dict[str, Any]) -> None:
        *path, last = place.split(".")
        for key in path:
            item = item[key]
        item[last] = value

    return change


@pytest.mark.parametrize(
    ("of", "change", "text"),
    [
        (0, edit("spec.failurePolicy", "Ignore"), "spec.failurePolicy"),
        (0, edit("spec.matchConstraints.resourceRules", []), "spec.matchConstraints.resourceRules"),
        (
            0,
            edit("spec.matchConstraints.namespaceSelector", {"matchLabels": {"a": "b"}}),
            "spec.matchConstraints.namespaceSelector.matchLabels",
        ),
        (0, edit("spec.matchConditions", []), "spec.matchConditions"),
        (0, lambda item: item["spec"]["validations"].pop(), "spec.validations"),
        (1, edit("spec.validationActions", ["Audit"]), "spec.validationActions"),
        (1, edit("spec.policyName", "other"), "Binding fabnode-deployer is not the one"),
        (1, edit("spec.matchResources", {"objectSelector": {"a": "b"}}), "spec.matchResources"),
    ],
)
def test_a_policy_that_limits_less_is_a_warning(
    of: int, change: Callable[[dict[str, Any]], None], text: str
) -> None:
    live = deepcopy(admission_policy.objects(DEPLOYER, allowed()))
    change(live[of])
    (found,) = deployer_account.compare(allowed(), *live)
    assert found.level == "warning"
    assert text in found.text
    assert found.fix == FIX


def test_a_policy_that_is_gone_or_bound_to_nothing_is_a_warning_even_if_it_is_narrower() -> None:
    policy, binding = admission_policy.objects(DEPLOYER, allowed())
    (gone,) = deployer_account.compare(allowed(), None, binding)
    (loose,) = deployer_account.compare(allowed(), policy, None)
    narrow, _ = deployer_account.compare(allowed(SECRET), policy, None)
    assert "there is no ValidatingAdmissionPolicy fabnode-deployer" in gone.text
    assert "has no binding, so it limits nothing" in loose.text
    assert {f.level for f in (gone, loose, narrow)} == {"warning"}


class Api:
    """An apiserver with these objects; `fault` is what it says instead."""

    def __init__(self, *found: dict[str, Any], fault: ApiError | None = None) -> None:
        self.found = {f"{item['kind'].lower()}": item for item in found}
        self.fault = fault
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if self.fault:
            raise self.fault
        *_, resource, name = path.split("/")
        kind = resource.replace("policies", "policy").removesuffix("s")
        if kind not in self.found:
            raise ApiError(404, "NotFound", f'{resource} "{name}" not found')
        return self.found[kind]


@pytest.mark.parametrize(
    ("api", "texts"),
    [
        (Api(*admission_policy.objects(DEPLOYER, allowed())), []),
        (Api(), ["there is no ValidatingAdmissionPolicy"]),
        (Api(admission_policy.objects(DEPLOYER, allowed())[0]), ["has no binding"]),
        (Api(fault=ApiError(403, "Forbidden", "no")), ["has no right to read the ValidatingAdm"]),
        # As apiservers answer about a path that they don't serve: no Status object.
        (Api(fault=ApiError(404, "", "404 page not found")), []),
    ],
)
def test_what_the_api_answers_about_the_policy(api: Api, texts: list[str]) -> None:
    found = deployer_account.policy_findings(api, allowed())  # type: ignore[arg-type]
    assert [f.level for f in found] == ["warning"] * len(texts)
    assert all(text in f.text for f, text in zip(found, texts, strict=True))
    assert len(api.asked) <= 2


def older(made: tuple[dict[str, Any], dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a policy as a fabnode made it that knew no names of nodes' own."""
    policy, binding = deepcopy(made)
    rule = policy["spec"]["validations"][1]
    start = rule["expression"].index(" || ([", rule["expression"].index("exists"))
    end = rule["expression"].index("startsWith(s)))", start) + len("startsWith(s)))")
    rule["expression"] = rule["expression"][:start] + rule["expression"][end:]
    return policy, binding


MADE = admission_policy.objects(DEPLOYER, allowed())


@pytest.mark.parametrize(
    ("api", "admits"),
    [
        (Api(*MADE), True),
        (Api(*older(MADE)), False),
        (Api(), True),
        (Api(older(MADE)[0]), True),  # bound to nothing
        (Api(fault=ApiError(403, "Forbidden", "no")), False),
        (Api(fault=ApiError(404, "", "404 page not found")), True),
    ],
)
def test_whether_certificates_in_nodes_own_names_can_be_asked_for(api: Api, admits: bool) -> None:
    assert deployer_account.admits_own_names(api, allowed()) is admits  # type: ignore[arg-type]


def test_an_older_policy_is_a_warning_that_names_the_remedy() -> None:
    """Nothing is refused for it: certificates in the one name of all are let through."""
    (found,) = deployer_account.compare(allowed(), *older(MADE))
    assert found.level == "warning"
    assert "spec.validations[1].expression" in found.text
    assert found.fix == FIX


def test_no_run_insists_on_the_rights_to_own_names() -> None:
    config = make_config(calico={"enabled": False})
    assert not set(run_rights.PROXY_NAMES) & set(run_rights.needed(config, network=()))
    without = make_config(calico={"enabled": False}, kube_proxy="none")
    for each, given in ((config, True), (without, False)):
        made = deployer_account.objects(each, (), Release.parse("1.37.2"))
        rules = [rule for item in made for rule in item.get("rules", ())]
        names = {name for rule in rules for name in rule.get("resourceNames", ())}
        assert ({"fabnode:kube-proxies", "system:node-proxier"} <= names) is given


def test_other_errors_of_the_api_are_not_taken_for_an_answer() -> None:
    api = Api(fault=ApiError(500, "InternalError", "etcd"))
    with pytest.raises(ApiError, match="etcd"):
        deployer_account.policy_findings(api, allowed())  # type: ignore[arg-type]


READABLE = [DEPLOYER.name, removed_policy.NAME]


@pytest.mark.parametrize(("server", "guarded"), [("1.29.3", False), ("1.30.0", True)])
def test_the_account_may_read_its_own_policy_where_there_is_one(server: str, guarded: bool) -> None:
    config = make_config(calico={"enabled": False})
    made = deployer_account.objects(config, (), Release.parse(server))
    assert made[0]["kind"] == "Namespace"
    rules = [rule for item in made for rule in item.get("rules", ())]
    readable = [r for r in rules if r["apiGroups"] == ["admissionregistration.k8s.io"]]
    assert [r["resourceNames"] for r in readable] == [READABLE] * 2 * guarded
    assert all(r["verbs"] == ["get"] for r in readable)
    policies = [item for item in made if item["kind"].startswith("ValidatingAdmissionPolicy")]
    assert len(policies) == 4 * guarded
    # No run insists on that right, so accounts of older releases go on.
    assert not set(run_rights.OWN_POLICY) & set(run_rights.needed(config, network=()))
