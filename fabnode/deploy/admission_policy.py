"""
ValidatingAdmissionPolicy that limits the deployer's account where RBAC can't.

RBAC limits creation to a kind and no further: an account that may create Secrets in kube-system
may create a token for any ServiceAccount there; one that may approve for kube-apiserver-client may
get a certificate in any name; one that may create Services may create one with `externalIPs`, which
captures the traffic to these addresses on every node; one that may create pods reads any unclaimed
PersistentVolume, by a volume whose claim the controller manager makes; one that may write a binding
may bind everybody. The policy restricts all of them to what fabnode creates.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..kube.bootstrap_tokens import GROUP, LABEL
from ..pki import proxy_names
from ..pki.csr_policy import CLIENT, SERVING, SHARED_USER
from ..pki.csr_prefixes import FIRST_BLOCK, beginning_with, request_prefixes, second_block_marks
from ..pki.legacy_signers import APISERVER_CLIENT
from ..steps import rbac
from ..steps.checks import probe_pods
from ..util.own_names import PROBE_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ..kube.client import Object
    from ..kube.service_accounts import Account

VERSION = "admissionregistration.k8s.io/v1"
_REQUEST = "object.spec.request"
_CREATE, _UPDATE, _DELETE = "CREATE", "UPDATE", "DELETE"


@dataclass(frozen=True, slots=True)
class Allowed:
    """
    What a policy lets an account make, as far as that depends on the configuration.

    :param shares_token: hosts join with the token of the cluster's token file.
    :param proxies: CN and subject of the certificates that it may ask for itself; with each such
        subject, the names of nodes' own as well.
    :param secrets: names of the Secrets in kube-system that it may write beside tokens.
    :param services: `namespace/name` of the Services that it may write beside the network probe's.
    """

    shares_token: bool
    proxies: tuple[tuple[str, Mapping[str, str]], ...] = ()
    secrets: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


def objects(account: Account, allowed: Allowed) -> tuple[Object, Object]:
    """Return the policy on an account, and its binding, with the defaults of apiservers."""
    name, requester = account.name, _cel(account.username)
    secret, service = _secret(allowed.secrets), _service(allowed.services)
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                rule("", "secrets", _CREATE, _UPDATE, _DELETE),
                rule("certificates.k8s.io", "certificatesigningrequests", _CREATE),
                rule("certificates.k8s.io", "certificatesigningrequests/approval", _UPDATE),
                rule("", "services", _CREATE, _UPDATE),
                rule("", "pods", _CREATE),
                rule("rbac.authorization.k8s.io", "clusterrolebindings", _CREATE, _UPDATE),
            ],
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
        },
        "matchConditions": [
            {
                "name": "account",
                "expression": f"request.userInfo.username == {requester}",
            }
        ],
        "variables": [
            {
                "name": "item",
                "expression": "request.operation == 'DELETE' ? oldObject : object",
            }
        ],
        "validations": [
            {
                "expression": f"request.resource.resource != 'secrets' || {secret}",
                "message": "only bootstrap tokens in fabnode's group, and the network's Secrets",
            },
            {
                "expression": "request.resource.resource != 'certificatesigningrequests' || "
                f"request.operation != 'CREATE' || {_own_request(allowed.proxies)}",
                "message": "only requests for kube-proxy's certificate, as configured",
            },
            {
                "expression": "request.resource.resource != 'certificatesigningrequests' || "
                f"request.operation != 'UPDATE' || {_approval(account, allowed)}",
                "message": "only requests of joining hosts, of nodes, and its own",
            },
            {
                "expression": f"request.resource.resource != 'services' || {service}",
                "message": "only the network probe's Service, and the pod network's",
            },
            {
                "expression": f"request.resource.resource != 'pods' || {_pod()}",
                "message": "only pods as the network probe's: on a node, without storage",
            },
            {
                "expression": f"request.resource.resource != 'clusterrolebindings' || {_binding()}",
                "message": "fabnode's own bindings are for joining hosts, nodes and kube-proxies",
            },
        ],
    }
    return with_binding(name, spec)


def with_binding(name: str, spec: Object, **binding: Any) -> tuple[Object, Object]:
    """
    Return a policy of this name and specification, and the binding by which it refuses.

    :param binding: fields of the binding besides.
    """
    metadata = {"name": name, "labels": {LABEL: "fabnode"}}
    bound = {"policyName": name, **binding, "validationActions": ["Deny"]}

    def made(kind: str, body: Object) -> Object:
        return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": body}

    return made("ValidatingAdmissionPolicy", spec), made("ValidatingAdmissionPolicyBinding", bound)


def refused(allowed: Allowed, policy: Object) -> list[str]:
    """Return what a configuration needs and this policy doesn't name, so that it refuses that."""
    text = _expressions(policy)
    return [what for what, needed in _needs(allowed) if not all(part in text for part in needed)]


def admits_own_names(allowed: Allowed, policy: Object) -> bool:
    """Return whether this policy lets certificates in the names of nodes' own be asked for."""
    text = _expressions(policy)
    return all(_named(subject) in text for _, subject in allowed.proxies)


def _expressions(policy: Object) -> str:
    rules = policy.get("spec", {}).get("validations") or ()
    return "\n".join(str(rule.get("expression", "")) for rule in rules)


def _needs(allowed: Allowed) -> Iterator[tuple[str, list[str]]]:
    """Yield what is let through, each with the parts of expressions that let it through."""
    tokens = "the token file's token" if allowed.shares_token else "bootstrap tokens"
    yield f"approving what hosts ask for with {tokens}", [_joining(allowed)]
    for name, subject in allowed.proxies:
        parts = ", ".join([f"CN={name}", *(f"{key}={value}" for key, value in subject.items())])
        starts = request_prefixes(name, subject)
        yield f"requests for a certificate with {parts}", [_cel(start) for start in starts]
    for name in allowed.secrets:
        yield f"Secret kube-system/{name}", [_cel(name)]
    for name in allowed.services:
        yield f"Service {name}", [_cel(name)]


def _secret(names: Collection[str]) -> str:
    group = base64.b64encode(GROUP.encode()).decode()
    item = "variables.item"
    token = " && ".join(
        (
            f"{item}.type == 'bootstrap.kubernetes.io/token'",
            f"has({item}.metadata.labels) && {_cel(LABEL)} in {item}.metadata.labels",
            f"{item}.metadata.labels[{_cel(LABEL)}] == 'fabnode'",
            f"has({item}.data) && 'auth-extra-groups' in {item}.data",
            f"{item}.data['auth-extra-groups'] == {_cel(group)}",
            f"!('usage-bootstrap-signing' in {item}.data)",
        )
    )
    if not names:
        return f"({token})"
    named = f"{item}.metadata.name in {_cel(sorted(names))} && {item}.type == 'Opaque'"
    return f"({token} || {named})"


# Fields that lead outside traffic into a Service, or a Service's traffic outside.
_OUTWARD = (
    "externalIPs",
    "externalName",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "loadBalancerClass",
)


def _service(names: Collection[str]) -> str:
    (probe,) = probe_pods.probe_objects("", ())
    metadata, spec = probe["metadata"], "object.spec"
    selected = " && ".join(
        f"{_cel(key)} in {spec}.selector && {spec}.selector[{_cel(key)}] == {_cel(value)}"
        for key, value in probe["spec"]["selector"].items()
    )
    own = " && ".join(
        (
            f"request.namespace == {_cel(metadata['namespace'])}",
            f"object.metadata.name == {_cel(metadata['name'])}",
            f"{spec}.type == 'ClusterIP'",
            *(f"!has({spec}.{field})" for field in _OUTWARD),
            f"has({spec}.selector) && {selected}",
            f"size({spec}.selector) == {len(probe['spec']['selector'])}",
        )
    )
    if not names:
        return f"({own})"
    return f"({own} || request.namespace + '/' + object.metadata.name in {_cel(sorted(names))})"


# Volumes that `restricted` admits, and that reach what is outside of the pod.
_STORAGE = ("persistentVolumeClaim", "ephemeral", "csi")


def _pod() -> str:
    """
    Return what a pod fulfils beside what Pod Security asks.

    Webhooks may add containers, labels, and volumes of other kinds to any pod. One with a node
    preempts no other, unless its class is one of the system's (kubernetes pkg/kubelet/preemption).
    """
    spec = "object.spec"
    stored = " || ".join(f"has(v.{kind})" for kind in _STORAGE)
    return "({})".format(
        " && ".join(
            (
                f"request.namespace == {_cel(PROBE_NAMESPACE)}",
                f"has({spec}.nodeName) && {spec}.nodeName != ''",
                f"!(has({spec}.volumes) && {spec}.volumes.exists(v, {stored}))",
                f"!(has({spec}.priorityClassName)"
                f" && {spec}.priorityClassName.startsWith('system-'))",
                f"!has({spec}.resourceClaims)",
                "!has(object.metadata.finalizers)",
            )
        )
    )


def _binding() -> str:
    """Return what a binding fulfils: fabnode's own gets no subjects but those fabnode binds."""
    proxies = f"s.kind == 'User' && s.name.startsWith({_cel(proxy_names.OWN)})"
    cases = [(rbac.PROXIES, proxies)]
    for made in zip(rbac.objects("Group", GROUP), rbac.objects("User", SHARED_USER), strict=True):
        subjects = {(s["kind"], s["name"]) for each in made for s in each["subjects"]}
        who = (f"s.kind == {_cel(kind)} && s.name == {_cel(name)}" for kind, name in subjects)
        cases.append((made[0]["metadata"]["name"], " || ".join(sorted(who))))
    before = "oldObject != null && has(oldObject.subjects) && s in oldObject.subjects"
    return "({})".format(
        " && ".join(
            f"(object.metadata.name != {_cel(name)} || !has(object.subjects)"
            f" || object.subjects.all(s, {who} || ({before})))"
            for name, who in cases
        )
    )


def _own_request(proxies: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    starts = sorted({start for one in proxies for start in request_prefixes(*one)})
    if not starts:
        return "false"
    shared = f"{_cel(starts)}.exists(s, {_REQUEST}.startsWith(s))"
    names = dict.fromkeys(_named(subject) for _, subject in proxies)
    begins = f"({' || '.join((shared, *names))})"
    # Not behind what is known of it: of a name of a node's own that is less than of the shared one.
    rest = f"{_REQUEST}.substring({FIRST_BLOCK})"
    alone = f"!{_cel(list(second_block_marks()))}.exists(b, {rest}.contains(b))"
    return f"(object.spec.signerName == {_cel(APISERVER_CLIENT)} && {begins} && {alone})"


def _named(subject: Mapping[str, str]) -> str:
    """Return what a request of this subject fulfils whose CN is the name of some node's own."""
    found = beginning_with(proxy_names.OWN, subject, proxy_names.LONGEST)
    rest = f"{_REQUEST}.substring({len(found.heads[0])})"
    return (
        f"({_cel(list(found.heads))}.exists(s, {_REQUEST}.startsWith(s))"
        f" && {_cel(list(found.rests))}.exists(s, {rest}.startsWith(s)))"
    )


def _joining(allowed: Allowed) -> str:
    if allowed.shares_token:
        return f"oldObject.spec.username == {_cel(SHARED_USER)}"
    return "oldObject.spec.username.startsWith('system:bootstrap:')"


def _approval(account: Account, allowed: Allowed) -> str:
    spec = "oldObject.spec"
    cases = (
        (CLIENT, _joining(allowed)),
        (SERVING, f"{spec}.username.startsWith('system:node:')"),
        (APISERVER_CLIENT, f"{spec}.username == {_cel(account.username)}"),
    )
    return "({})".format(
        " || ".join(f"{spec}.signerName == {_cel(signer)} && {who}" for signer, who in cases)
    )


def rule(group: str, resource: str, *operations: str) -> Object:
    """Return which operations on a resource a policy is asked about."""
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": list(operations),
        "resources": [resource],
        "scope": "*",
    }


def _cel(value: str | list[str]) -> str:
    """Return a value as CEL writes it; JSON's strings are CEL's."""
    return json.dumps(value)
