"""
The rights at the API that fabnode's tasks need.

One list: roles are written from it, and a run checks by it, before it changes anything, that it
has them.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ..steps.verify import PROBE_NAMESPACE, STANDING
from . import runlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .api import Api, Object

ACCOUNT, ACCOUNT_NAMESPACE = "fabnode-deployer", "kube-system"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PARALLEL = 8


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """
    Verbs on a resource.

    :param namespace: empty: cluster-wide.
    :param group: API group, empty for the core one. :param resource: `pods`, or `pods/log`.
    :param names: only objects of these names; empty: any.
    """

    namespace: str
    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def told(self, verb: str) -> str:
        """Return verb and resource as `kubectl auth can-i` takes them."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{verb} {resource}{where}" + (f" ({', '.join(self.names)})" if self.names else "")


_ROLES = ("clusterroles", "roles")
_CSR, _RBAC = "certificates.k8s.io", "rbac.authorization.k8s.io"
_LEASE = "coordination.k8s.io"
_BOUND = (
    "system:node-bootstrapper",
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
)
_BINDINGS = ("fabnode:node-bootstrapper", "fabnode:node-client-renewal")
_SIGNERS = (
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
)

_AUTHORITIES = ("extension-apiserver-authentication", "kube-root-ca.crt")

BASE = (
    Right("", "", "nodes", ("get", "list", "watch", "patch", "delete")),
    Right("", _CSR, "certificatesigningrequests", ("get", "list", "watch", "create", "delete")),
    Right("", _CSR, "certificatesigningrequests/approval", ("update",)),
    Right("", _CSR, "signers", ("approve",), _SIGNERS),
    Right("", _RBAC, "clusterrolebindings", ("get", "create", "patch"), _BINDINGS),
    Right("", _RBAC, "clusterroles", ("bind",), _BOUND),
    Right("", "", "namespaces", ("get",), (PROBE_NAMESPACE,)),
    Right("kube-node-lease", _LEASE, "leases", ("get",)),
    Right(runlock.NAMESPACE, _LEASE, "leases", ("get", "update", "delete"), (runlock.NAME,)),
    Right(runlock.NAMESPACE, _LEASE, "leases", ("create",)),
    Right("kube-system", "", "configmaps", ("get",), _AUTHORITIES),
    Right("kube-system", "", "secrets", ("list", "create", "delete")),
    Right(PROBE_NAMESPACE, "", "pods", ("get", "list", "watch", "create", "deletecollection")),
    Right(PROBE_NAMESPACE, "", "pods/log", ("get",)),
    Right(PROBE_NAMESPACE, "", "services", ("get", "create", "delete")),
    Right(PROBE_NAMESPACE, "", "serviceaccounts", ("get",)),
)
"""What every run needs. What is POSTed can't be limited by name; what is applied can."""

_SEE_CALICO = Right("kube-system", "", "pods", ("list",))
_APPLY = ("get", "create", "patch")
_GRANT = ("bind", "escalate")  # for roles that give rights which we don't have ourselves


def needed(*, calico: Sequence[Object]) -> tuple[Right, ...]:
    """Return all rights, those for Calico's objects by their names; none of them, none for it."""
    return (*BASE, *applying(calico), _SEE_CALICO) if calico else BASE


def applying(objects: Iterable[Object]) -> tuple[Right, ...]:
    """
    Return what bringing these objects to the API takes, each by its name.

    Server-side apply names even what it creates, as the apiserver's authorization sees it
    (k8s.io/apiserver `pkg/endpoints/handlers/patch.go`).
    """
    items = list(objects)
    defined = _defined(items)
    names: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in items:
        metadata, group, kind = (
            item["metadata"],
            item["apiVersion"].rpartition("/")[0],
            item["kind"],
        )
        resource = defined.get((group, kind)) or plural(kind)
        names[metadata.get("namespace", ""), group, resource].append(metadata["name"])
    return tuple(
        Right(*place, (*_APPLY, *_GRANT) if place[2] in _ROLES else _APPLY, tuple(sorted(found)))
        for place, found in sorted(names.items())
    )


def _defined(objects: Iterable[Object]) -> dict[tuple[str, str], str]:
    """Return (group, kind) → plural of the kinds that CRDs among these objects define."""
    specs = [o["spec"] for o in objects if o["kind"] == "CustomResourceDefinition"]
    return {(s["group"], s["names"]["kind"]): s["names"]["plural"] for s in specs}


def plural(kind: str) -> str:
    """
    Return the resource name of a kind by the API's convention, which all built-in kinds keep.

    The rule is that of k8s.io/apimachinery `pkg/api/meta/restmapper.go`. Discovery can't be asked:
    roles are written for clusters that may not be reachable. A custom kind is free to break the
    rule, so its CRD goes before this.
    """
    name = kind.lower()
    if name.endswith("endpoints"):
        return name
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def missing(api: Api, rights: Iterable[Right]) -> list[str]:
    """Return what we may not do, as verb and resource: the API itself is asked."""
    asked = [
        (right, verb, name)
        for right in rights
        for verb in right.verbs
        for name in right.names or ("",)
    ]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        allowed = list(pool.map(lambda a: _allowed(api, *a), asked))
    refused = [
        right.told(verb) for (right, verb, _), ok in zip(asked, allowed, strict=True) if not ok
    ]
    return list(dict.fromkeys(refused))


def objects(rights: Sequence[Right]) -> tuple[Object, ...]:
    """Return a ServiceAccount with exactly these rights, and the probe's namespace."""
    made: list[Object] = [
        _standing_namespace(),
        _object("v1", "ServiceAccount", ACCOUNT, ACCOUNT_NAMESPACE),
    ]
    for namespace, group in groupby(sorted(rights), key=lambda right: right.namespace):
        kind = "Role" if namespace else "ClusterRole"
        rules = [_rule(right) for right in group]
        made.append({**_object(f"{_RBAC}/v1", kind, "fabnode:deployer", namespace), "rules": rules})
        binding = _object(f"{_RBAC}/v1", f"{kind}Binding", "fabnode:deployer", namespace)
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT_NAMESPACE}
        role = {"apiGroup": _RBAC, "kind": kind, "name": "fabnode:deployer"}
        made.append({**binding, "roleRef": role, "subjects": [subject]})
    return tuple(made)


def new_credentials(api: Api, *, seconds: int) -> str:
    """Return a bearer token of the deployer's ServiceAccount that lives so long (TokenRequest)."""
    path = f"/api/v1/namespaces/{ACCOUNT_NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    answer = api.create(path, {**kind, "spec": {"expirationSeconds": seconds}})
    return str(answer["status"]["token"])


def _allowed(api: Api, right: Right, verb: str, name: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": name,
    }
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = api.create(_REVIEWS, {**kind, "spec": {"resourceAttributes": attributes}})
    return bool(answer["status"]["allowed"])


def _rule(right: Right) -> Object:
    rule: Object = {
        "apiGroups": [right.group],
        "resources": [right.resource],
        "verbs": list(right.verbs),
    }
    return {**rule, "resourceNames": list(right.names)} if right.names else rule


def _standing_namespace() -> Object:
    made = _object("v1", "Namespace", PROBE_NAMESPACE, "")
    made["metadata"]["labels"][STANDING] = "true"
    return made


def _object(version: str, kind: str, name: str, namespace: str) -> Object:
    metadata: Object = {"name": name, "labels": {"app.kubernetes.io/managed-by": "fabnode"}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
