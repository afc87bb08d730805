"""
RBAC rights that fabnode's tasks need, and what else they allow.

One list: roles are written from it, and a run checks by it, before it changes anything, that it
has them. A right that only some settings need exists only with those settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cni import registry
from ..kube import lease_lock
from ..kube.rbac_rules import Right, applying
from ..steps import rbac
from ..util.own_names import PROBE_NAMESPACE
from . import removed_policy
from .network_policies import CLUSTER_WIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.configuration import Config
    from ..kube.client import Object

_CSR, _RBAC = "certificates.k8s.io", "rbac.authorization.k8s.io"
_LEASE = "coordination.k8s.io"
_REQUESTS = "certificatesigningrequests"
_BOUND = (
    "system:node-bootstrapper",
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
)
_BINDINGS = ("fabnode:node-bootstrapper", "fabnode:node-client-renewal")
_CLIENT = "kubernetes.io/kube-apiserver-client"
_SERVING = "kubernetes.io/kubelet-serving"
_SIGNERS = ("kubernetes.io/kube-apiserver-client-kubelet", _SERVING)

_POLICIES = ("fabnode-deployer", removed_policy.NAME)
_AUTHORITIES = ("extension-apiserver-authentication", "kube-root-ca.crt")

_VERIFY = (
    Right("", "", "namespaces", ("get",), (PROBE_NAMESPACE,)),
    Right("kube-node-lease", _LEASE, "leases", ("get",)),
    Right(PROBE_NAMESPACE, "", "pods", ("get", "list", "watch", "create", "deletecollection")),
    Right(PROBE_NAMESPACE, "", "pods/log", ("get",)),
    Right(PROBE_NAMESPACE, "", "services", ("create",)),
    Right(PROBE_NAMESPACE, "", "services", ("get", "delete"), ("echo",)),
    Right(PROBE_NAMESPACE, "", "serviceaccounts", ("get",), ("default",)),
)

BASE = (
    Right("", "", "nodes", ("get", "list", "watch", "patch", "delete")),
    Right("", _CSR, _REQUESTS, ("get", "list", "watch", "delete")),
    Right("", _CSR, f"{_REQUESTS}/approval", ("update",)),
    Right("", _CSR, "signers", ("approve",), _SIGNERS),
    Right("", _RBAC, "clusterrolebindings", ("get", "create", "patch"), _BINDINGS),
    Right("", _RBAC, "clusterroles", ("bind",), _BOUND),
    # To find out who else approves, see `other_approvers`.
    Right("", "authorization.k8s.io", "subjectaccessreviews", ("create",)),
    Right("", _RBAC, "clusterrolebindings", ("list",)),
    Right("", _RBAC, "clusterroles", ("list",)),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("get", "update", "delete"), (lease_lock.NAME,)),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("create",)),
    Right("kube-system", "", "configmaps", ("get",), _AUTHORITIES),
    *_VERIFY,
)
"""What every run needs. What is POSTed can't be limited by name; what is applied can."""

TOKENS = Right("kube-system", "", "secrets", ("list", "create", "delete"))
"""With bootstrap tokens of fabnode's own: their names are random, so no name can limit it."""

PROXY_REQUESTS = (
    Right("", _CSR, _REQUESTS, ("create",)),
    Right("", _CSR, "signers", ("approve",), (_CLIENT,)),
)
"""With kube-proxies' certificates from the CSR API."""

PROXY_NAMES = (
    Right("", _RBAC, "clusterrolebindings", ("get", "create", "patch"), (rbac.PROXIES,)),
    Right("", _RBAC, "clusterroles", ("bind",), (rbac.PROXY_ROLE,)),
)
"""To give each kube-proxy a name of its own. Runs do without: they use the one that all share."""

FORGET = (
    Right("", "", "nodes", ("get", "list", "watch")),
    Right("", _RBAC, "clusterrolebindings", ("get", "patch"), (rbac.PROXIES,)),
    Right("", _RBAC, "clusterroles", ("bind",), (rbac.PROXY_ROLE,)),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("get", "update", "delete"), (lease_lock.NAME,)),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("create",)),
)
"""What `inv rbac.forget` needs, which takes such names back."""

OWN_POLICY = tuple(
    Right("", "admissionregistration.k8s.io", resource, ("get",), _POLICIES)
    for resource in ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
)
"""
To compare the policy on the account with the configuration, and to say of removed nodes what they
are refused. Runs do without where need be.
"""

API_SERVICES = Right("", "apiregistration.k8s.io", "apiservices", ("list",))
"""To name an aggregated API that is down. Checks do without where need be."""

NODE_HEARTBEATS = Right("kube-node-lease", _LEASE, "leases", ("list",))
"""To read the heartbeats of many nodes at once. Checks ask for each without."""

DNS_SERVICES = Right("kube-system", "", "services", ("list",))
"""To compare the address of the cluster's DNS. Checks do without where need be."""

PROBE_EVENTS = Right(PROBE_NAMESPACE, "", "events", ("list",))
"""To say why a pod of the network probe does not start. Checks say less without."""

PROBE_PROXY = Right(PROBE_NAMESPACE, "", "pods/proxy", ("get",))
"""To see whether the apiserver reaches pods, by those of the probe. Checks do without."""

PROBE_POLICIES = (
    Right(PROBE_NAMESPACE, "networking.k8s.io", "networkpolicies", ("list",)),
    *(Right("", group, resource, ("list",)) for group, resource in CLUSTER_WIDE),
)
"""To name policies that may keep the network probe's pods apart. Checks say less without."""

_OWNERS = {
    "": ("replicationcontrollers",),
    "apps": ("replicasets", "deployments", "statefulsets", "daemonsets"),
    "batch": ("jobs", "cronjobs"),
}

CORDON = (
    Right("", "", "nodes", ("get", "list", "watch", "patch")),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("get", "update", "delete"), (lease_lock.NAME,)),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("create",)),
)
"""What `inv cordon` and `inv uncordon` need."""

STATUS = (
    Right("", "", "nodes", ("get", "list")),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("get",), (lease_lock.NAME,)),
)
"""What `inv status` needs. Without more it is silent on kube-proxies' names and the network."""

DRAIN = (
    *CORDON,
    Right("", "", "pods", ("list",)),
    Right("", "", "pods/eviction", ("create",)),
    Right("", "policy", "poddisruptionbudgets", ("list",)),
    Right("", "", "persistentvolumes", ("list",)),
    *(Right("", group, kind, ("get",)) for group, kinds in _OWNERS.items() for kind in kinds),
)
"""What `inv drain` needs, and `inv maintain` and `inv upgrade` besides their others."""

REMOVE = (
    *DRAIN,
    Right("", "", "nodes", ("delete",)),
    Right("", _CSR, _REQUESTS, ("list", "delete")),
)
"""What `inv remove-node` needs."""

ENDED_PODS = Right("", "", "pods", ("delete",))
"""To remove pods of a dead kubelet, which `inv remove-node` has ended on their host itself."""

NODE_LEASES = Right("kube-node-lease", _LEASE, "leases", ("delete",))
"""To delete a removed node's Lease at once; Kubernetes collects it some minutes later."""

DIAGNOSE = (
    Right("", "", "nodes", ("get", "list", "watch", "patch")),
    Right("kube-node-lease", _LEASE, "leases", ("get",)),
    Right("", _CSR, _REQUESTS, ("list",)),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("get", "update", "delete"), (lease_lock.NAME,)),
    Right(lease_lock.NAMESPACE, _LEASE, "leases", ("create",)),
)
"""What `inv doctor --fix` needs for itself; without `--fix` it says less where it has less."""

PAST_BUDGETS = Right("", "", "pods", ("delete",))
"""With `--past-budget`: no eviction, so no budget is asked."""

EVENTS = Right("", "", "events", ("list",))
"""To say why a replacement is not Ready. A drain says less without."""

SERVING_ONLY = (
    Right("", _CSR, _REQUESTS, ("get", "list", "watch")),
    Right("", _CSR, f"{_REQUESTS}/approval", ("update",)),
    Right("", _CSR, "signers", ("approve",), (_SERVING,)),
)
"""What `inv approve-csr --serving-only` needs."""


def needed(config: Config, *, network: Sequence[Object]) -> tuple[Right, ...]:
    """
    Return all rights that runs with this configuration need.

    :param network: its objects, each of which takes rights by its name; none of them, none for it.
    """
    rights = list(BASE)
    if config.bootstrap.mode != "token-file":
        rights.append(TOKENS)
    if signs_proxies(config):
        rights += PROXY_REQUESTS
    if network:
        seen = registry.network(config).rights
        rights += applying(network)
        rights += (Right(r.namespace, r.group, r.resource, r.verbs, r.names) for r in seen)
    return tuple(rights)


def maintaining(config: Config) -> tuple[Right, ...]:
    """Return all rights that `inv maintain` needs: to drain, and to prove a node as verify does."""
    of_network = registry.network(config).rights
    network = (Right(r.namespace, r.group, r.resource, r.verbs, r.names) for r in of_network)
    return (*DRAIN, *_VERIFY, *network)


def seen(config: Config) -> tuple[Right, ...]:
    """Return rights to read what may have moved on; without them a check reports less."""
    of_network = registry.network(config).optional_rights
    return (
        API_SERVICES,
        NODE_HEARTBEATS,
        DNS_SERVICES,
        PROBE_EVENTS,
        PROBE_PROXY,
        *PROBE_POLICIES,
        *(Right(r.namespace, r.group, r.resource, r.verbs, r.names) for r in of_network),
    )


def powers(
    config: Config, *, network: bool, guarded: bool, pod_security: bool, drains: bool = False
) -> tuple[str, ...]:
    """
    Return what else these rights let their holder do, worst first; docs/trust.md says why.

    :param drains: they are enough to drain nodes.
    :param network: they are enough to install it.
    :param guarded: the apiserver has the policy of `guards`, which narrows them.
    :param pod_security: it admits none but restricted pods in the network probe's namespace.
    """
    admin = "which is equivalent to administrator"
    found = []
    if network:
        cni = registry.network(config)
        privileged = f"run {cni.name}'s privileged pods and write its roles"
        found.append(f"{privileged}, {admin} ({cni.setting}.enabled)")
    if signs_proxies(config) and not guarded:
        found.append(f"get a client certificate in nearly any name, {admin} (kube_proxy.signing)")
    if config.bootstrap.mode != "token-file":
        found.append(
            "read every Secret in kube-system (equivalent to administrator if one is powerful)"
            if guarded
            else f"create and read a token of any ServiceAccount in kube-system, {admin}"
        )
    if not pod_security:
        found.append(f"run privileged pods on any node, {admin} (apiserver before 1.23)")
    found.append(
        "impersonate any node: read its pods' Secrets, act as their ServiceAccounts, however"
        " powerful, get a serving certificate for any name, the apiserver's too"
    )
    if not guarded:
        found.append(
            "redirect or drop all nodes' traffic with a Service with external IPs "
            "(apiserver before 1.30)"
        )
    if drains:
        found.append("read every pod, with what its environment holds, and evict or delete it")
    return (
        *found,
        "change labels and taints of any node, and remove it",
    )


def removing(config: Config) -> tuple[Right, ...]:
    """Return rights to take at once what goes with a removed node some time later by itself."""
    of_network = registry.network(config).removal_rights
    network = (Right(r.namespace, r.group, r.resource, r.verbs) for r in of_network)
    return (NODE_LEASES, *network)


def signs_proxies(config: Config) -> bool:
    """Return whether some kube-proxy gets its certificate from the CSR API."""
    return any(node.kube_proxy.requested for node in config.nodes)
