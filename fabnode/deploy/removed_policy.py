"""
ValidatingAdmissionPolicy by which a removed node's kubelet is refused what would let it go on.

Its certificate can't be revoked, and renews itself; with it a kubelet makes its Node object again.
The policy refuses both, signing requests and Node objects, so that the certificate ends when it
says; and tokens of the ServiceAccounts whose pods are bound to it still. Whom it is about, removals
record (`proxy_binding.py`): that binding is the policy's parameter. So who removes nodes needs no
right to write policies, by which one could refuse anything to anybody.

What is read no admission policy sees. Nothing but what is created is refused: that its pods have
ended, a node that is locked out is to report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kube.client import ApiError
from ..steps import rbac
from .admission_policy import VERSION, rule, with_binding
from .proxy_binding import RECORD

if TYPE_CHECKING:
    from ..kube.client import Api, Object

NAME: Final = "fabnode-removed-nodes"
_USER = "system:node:"
_REFUSALS = frozenset({403, 404})  # no right, or an apiserver without such policies

# The record is JSON without blanks, and neither a node's name nor a day has a quote in it.
_ADMITTED = (
    "!has(params.metadata.annotations)"
    f" || !('{RECORD}' in params.metadata.annotations)"
    f" || !params.metadata.annotations['{RECORD}']"
    f".contains('\"' + request.userInfo.username.substring({len(_USER)}) + '\":')"
)
_MESSAGE = (
    f"fabnode removed this node: deploy it again, or take it out of the annotation {RECORD} of the"
    f" ClusterRoleBinding {rbac.PROXIES}"
)


def objects() -> tuple[Object, Object]:
    """Return the policy and its binding, with the defaults of apiservers."""
    policy = {
        "failurePolicy": "Fail",
        "paramKind": {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
        },
        "matchConstraints": {
            "resourceRules": [
                rule("", "nodes", "CREATE"),
                rule("certificates.k8s.io", "certificatesigningrequests", "CREATE"),
                rule("", "serviceaccounts/token", "CREATE"),
            ],
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
        },
        "matchConditions": [
            {
                "name": "node",
                "expression": f"request.userInfo.username.startsWith('{_USER}')",
            }
        ],
        "validations": [
            {
                "expression": _ADMITTED,
                "message": _MESSAGE,
            }
        ],
    }
    # Without any removal there may be no such binding.
    parameter = {"name": rbac.PROXIES, "parameterNotFoundAction": "Allow"}
    return with_binding(NAME, policy, paramRef=parameter)


def bring(api: Api) -> None:
    """
    Make what of the two is not there, where our account may; what is there stays as it is.

    `inv rbac.deployer` makes them as well: the account that removes nodes may not.
    """
    for collection, item in _placed():
        try:
            if api.find(f"{collection}/{NAME}") is None:
                api.create(collection, item)
        except ApiError as error:
            if error.status not in _REFUSALS and not error.is_conflict:
                raise


def in_force(api: Api) -> bool:
    """Return whether both are there, and deny; False without the right to read them."""
    try:
        policy, binding = (api.find(f"{collection}/{NAME}") for collection, _ in _placed())
    except ApiError as error:
        if error.status not in _REFUSALS:
            raise
        return False
    if policy is None or binding is None:
        return False
    return "Deny" in (binding["spec"].get("validationActions") or ())


def _placed() -> tuple[tuple[str, Object], ...]:
    policy, binding = objects()
    base = f"/apis/{VERSION}"
    return (
        (f"{base}/validatingadmissionpolicies", policy),
        (f"{base}/validatingadmissionpolicybindings", binding),
    )
