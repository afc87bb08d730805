"""
RBAC rights: what objects take to be brought to the API, and which of them the account has.

Roles are written from such values, and a run checks by them, before it changes anything, that it
has what it needs.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .client import Api, Object

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PARALLEL = 8

_ROLES = ("clusterroles", "roles")
_APPLY = ("get", "create", "patch")
_GRANT = ("bind", "escalate")  # for roles that give rights which we don't have ourselves


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

    def describe(self, verb: str) -> str:
        """Return verb and resource as `kubectl auth can-i` takes them."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{verb} {resource}{where}" + (f" ({', '.join(self.names)})" if self.names else "")


_EVERYTHING = Right("", "*", "*", ("*",))


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


def missing(api: Api, rights: Iterable[Right], *, each: bool = False) -> list[str]:
    """
    Return the missing rights as verb and resource, according to the API.

    :param each: ask for each, whoever we are: something was forbidden.

    For an administrator one answer will do, to what `kubectl auth can-i '*' '*'` asks: RBAC allows
    that by a rule of wildcards alone, which allows each verb of each resource as well
    (k8s.io/kubernetes `plugin/pkg/auth/authorizer/rbac/rbac.go`, `RuleAllows`). Another authorizer
    before RBAC may still forbid single things.
    """
    asked = [
        (right, verb, name)
        for right in rights
        for verb in right.verbs
        for name in right.names or ("",)
    ]
    if not each and len(asked) > 1 and _allowed(api, _EVERYTHING, "*", ""):
        return []
    with ThreadPoolExecutor(_PARALLEL) as pool:
        allowed = list(pool.map(lambda a: _allowed(api, *a), asked))
    refused = [
        right.describe(verb) for (right, verb, _), ok in zip(asked, allowed, strict=True) if not ok
    ]
    return list(dict.fromkeys(refused))


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
