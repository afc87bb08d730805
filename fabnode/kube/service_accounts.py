"""fabnode's ServiceAccounts: their roles, and tokens for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .client import Api, Object
    from .rbac_rules import Right

NAMESPACE = "kube-system"
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Account:
    """
    A ServiceAccount in kube-system.

    :param role: the name of its roles and bindings.
    """

    name: str
    role: str

    @property
    def username(self) -> str:
        """The user name that the apiserver gives it."""
        return f"system:serviceaccount:{NAMESPACE}:{self.name}"


DEPLOYER = Account("fabnode-deployer", "fabnode:deployer")
APPROVER = Account("fabnode-approver", "fabnode:approver")


def objects(account: Account, rights: Sequence[Right]) -> tuple[Object, ...]:
    """Return a ServiceAccount with roles that give exactly these rights."""
    made = [_object("v1", "ServiceAccount", account.name, NAMESPACE)]
    for namespace, group in groupby(sorted(rights), key=lambda right: right.namespace):
        kind = "Role" if namespace else "ClusterRole"
        rules = [_rule(right) for right in group]
        made.append({**_object(f"{_RBAC}/v1", kind, account.role, namespace), "rules": rules})
        binding = _object(f"{_RBAC}/v1", f"{kind}Binding", account.role, namespace)
        subject = {"kind": "ServiceAccount", "name": account.name, "namespace": NAMESPACE}
        role = {"apiGroup": _RBAC, "kind": kind, "name": account.role}
        made.append({**binding, "roleRef": role, "subjects": [subject]})
    return tuple(made)


def new_credentials(api: Api, account: Account, *, seconds: int) -> tuple[str, datetime]:
    """
    Return a bearer token of an account (TokenRequest), and when it ends.

    :param seconds: how long it is to live; the apiserver may give it less.
    """
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account.name}/token"
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    status = api.create(path, {**kind, "spec": {"expirationSeconds": seconds}})["status"]
    return str(status["token"]), datetime.fromisoformat(status["expirationTimestamp"])


def _rule(right: Right) -> Object:
    rule: Object = {
        "apiGroups": [right.group],
        "resources": [right.resource],
        "verbs": list(right.verbs),
    }
    return {**rule, "resourceNames": list(right.names)} if right.names else rule


def _object(version: str, kind: str, name: str, namespace: str) -> Object:
    metadata: Object = {"name": name, "labels": {"app.kubernetes.io/managed-by": "fabnode"}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
