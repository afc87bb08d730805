"""Network policies that may block the network probe's pods, named beside failed checks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..kube.client import ApiError
from ..steps.checks.check import Check
from ..util.own_names import PROBE_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..kube.client import Api

_MOST = 5
# API group → resources; those of a namespace count in the probe's alone.
_NAMESPACED = ("networking.k8s.io", "networkpolicies")
CLUSTER_WIDE = (
    ("crd.projectcalico.org", "globalnetworkpolicies"),
    ("policy.networking.k8s.io", "clusternetworkpolicies"),
    ("policy.networking.k8s.io", "adminnetworkpolicies"),
    ("cilium.io", "ciliumclusterwidenetworkpolicies"),
)


def found(api: Api) -> tuple[str, ...]:
    """
    Return the policies of the cluster that may concern the probe's pods, as `kind name`.

    Kinds that the cluster has not, or that the account has no right to list, are left out.
    """
    group, resource = _NAMESPACED
    names = [*_names(api, group, f"namespaces/{PROBE_NAMESPACE}/{resource}")]
    for group, resource in CLUSTER_WIDE:
        names += _names(api, group, resource)
    return tuple(names)


def _names(api: Api, group: str, path: str) -> Iterator[str]:
    try:
        version = api.get(f"/apis/{group}")["preferredVersion"]["version"]
        items = api.get(f"/apis/{group}/{version}/{path}")["items"]
    except ApiError:
        return
    resource = path.rpartition("/")[2]
    for item in items:
        yield f"{resource}.{group} {item['metadata']['name']}"


def named(checks: Sequence[Check], policies: Sequence[str]) -> list[Check]:
    """Return the checks; those that failed name these policies as a possible cause."""
    if not policies:
        return list(checks)
    listed = ", ".join(policies[:_MOST]) + (", …" if len(policies) > _MOST else "")
    text = f"a policy may forbid it: {listed}"
    advice = f"see whether these admit the pods of namespace {PROBE_NAMESPACE}; else "
    return [
        check
        if check.ok
        else replace(check, detail=f"{check.detail}; {text}", advice=f"{advice}{check.advice}")
        for check in checks
    ]
