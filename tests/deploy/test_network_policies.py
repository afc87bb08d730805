"""Policies are named as a possible cause where a pod of the probe gets no answer."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.deploy import network_policies
from fabnode.kube.client import ApiError
from fabnode.steps.checks.check import Check
from fabnode.util.own_names import PROBE_NAMESPACE

CALICO, KUBERNETES = "/apis/crd.projectcalico.org", "/apis/networking.k8s.io"
POLICIES = {
    CALICO: {"preferredVersion": {"version": "v1"}},
    f"{CALICO}/v1/globalnetworkpolicies": {"items": [{"metadata": {"name": "default.deny"}}]},
    KUBERNETES: {"preferredVersion": {"version": "v1"}},
    f"{KUBERNETES}/v1/namespaces/{PROBE_NAMESPACE}/networkpolicies": {
        "items": [{"metadata": {"name": "deny-all"}}]
    },
}
BAD = Check("n1", "pod on n2", ok=False, detail="no answer within 10 s", advice="let it pass")
GOOD = Check("n1", "pod on n1", ok=True, detail="answered by n1")


class Api:
    """An apiserver that serves these, and has or lets see nothing else."""

    def __init__(self, status: int, served: dict[str, Any]) -> None:
        self.status = status
        self.served = served

    def get(self, path: str) -> Any:
        if path not in self.served:
            raise ApiError(self.status, "Forbidden", "no")
        return self.served[path]


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("served", "names"),
    [
        ({}, ()),
        (
            POLICIES,
            (
                "networkpolicies.networking.k8s.io deny-all",
                "globalnetworkpolicies.crd.projectcalico.org default.deny",
            ),
        ),
        ({CALICO: POLICIES[CALICO]}, ()),
    ],
)
def test_what_can_be_seen_is_listed(
    status: int, served: dict[str, Any], names: tuple[str, ...]
) -> None:
    api: Any = Api(status, served)
    assert network_policies.found(api) == names


def test_what_failed_names_them_and_what_is_well_does_not() -> None:
    bad, good = network_policies.named([BAD, GOOD], ["globalnetworkpolicies.x deny"])
    assert good == GOOD
    assert bad.detail == (
        "no answer within 10 s; a policy may forbid it: globalnetworkpolicies.x deny"
    )
    assert bad.advice.endswith("else let it pass")
    assert PROBE_NAMESPACE in bad.advice
    assert network_policies.named([BAD, GOOD], []) == [BAD, GOOD]


def test_no_more_than_a_few_are_named() -> None:
    (bad,) = network_policies.named([BAD], [f"p{number}" for number in range(9)])
    assert "p4, …" in bad.detail
    assert "p5" not in bad.detail
