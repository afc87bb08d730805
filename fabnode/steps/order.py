"""The order of the steps: tasks, help and plan derive from here, and tests hold the docs to it."""

from __future__ import annotations

from collections.abc import Sequence

from . import (
    approve_csr,
    balancer,
    bootstrap_kubeconfig,
    images,
    kubelet,
    pod_network,
    preflight,
    prepare,
    proxy,
    proxy_cert,
    rbac,
    ready,
    runtime,
    verify,
)
from .step import Scope, Step

# Steps of scope node go to a host in this order, in one stream. Cluster steps go on beside them:
# rbac is through before the first change, a request is approved once its kubelet has asked.
STEPS: tuple[Step, ...] = (
    preflight.STEP,
    rbac.STEP,
    prepare.STEP,
    runtime.STEP,
    balancer.STEP,
    bootstrap_kubeconfig.STEP,
    kubelet.STEP,
    approve_csr.STEP,
    proxy_cert.STEP,
    proxy.STEP,
    images.STEP,
    ready.STEP,
    pod_network.STEP,
    verify.STEP,
)


def node_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps that act on hosts, in order."""
    return tuple(step for step in steps if step.scope is Scope.NODE)


NODE_STEPS = node_steps(STEPS)


def with_required(names: Sequence[str], steps: Sequence[Step] = STEPS) -> tuple[Step, ...]:
    """
    Return the node steps of these names with all that they require, in order.

    :raises KeyError: no node step has one of the names.
    """
    known = {step.name: step for step in node_steps(steps)}
    wanted: set[str] = set()
    open_names = list(names)
    while open_names:
        if (name := open_names.pop()) not in wanted:
            wanted.add(name)
            open_names += known[name].requires
    return tuple(step for step in known.values() if step.name in wanted)
