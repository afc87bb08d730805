"""
Step balancer: a node's own way to several apiservers, or that there is none.

HAProxy is the host's own, from its distribution; unit and configuration are fabnode's, and the
package's own service is left alone. docs/several-apiservers.md says why HAProxy.
"""

from __future__ import annotations

import hashlib

from ..node import layout
from ..node.conventions import BALANCER_SERVICE
from ..node.resources import Absent, Directory, File, RemovedUnit, Resource, Unit
from ..util.loopback import BALANCER_ADDRESS, BALANCER_PORT
from .inputs import Inputs
from .render import render
from .step import Step

UNIT = BALANCER_SERVICE


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the balancer's configuration and unit; with one apiserver, that it goes."""
    cluster = inputs.config.cluster
    if not cluster.balanced:
        if _is_foreign(inputs):
            return ()
        why = "cluster.apiserver names one"
        return (
            RemovedUnit(UNIT, layout.BALANCER_UNIT, why, last=True),
            Absent(layout.BALANCER_CONFIG, why=why),
        )
    config = render(
        "balancer/apiserver-balancer.cfg",
        address=BALANCER_ADDRESS,
        port=BALANCER_PORT,
        ca=layout.CA,
        server_name=cluster.server_name,
        servers=_in_turn(cluster.endpoints, inputs.node.name),
    )
    unit = render(
        "balancer/apiserver-balancer.service",
        program=layout.BALANCER_PATH,
        config=layout.BALANCER_CONFIG,
    )
    return (
        Directory("/etc/kubernetes"),
        Directory("/etc/kubernetes/pki"),
        File(layout.CA, inputs.config.ca_pem),
        # No secrets are in it, and it is read by a user who is not root.
        File(layout.BALANCER_CONFIG, config),
        File(layout.BALANCER_UNIT, unit),
        Unit(UNIT, reads=(layout.CA, layout.BALANCER_CONFIG, layout.BALANCER_UNIT)),
    )


def _is_foreign(inputs: Inputs) -> bool:
    """Return whether the host has a unit of that name that fabnode did not start."""
    facts, unit = inputs.facts, inputs.facts.unit(UNIT)
    configured = facts.path(layout.BALANCER_CONFIG).kind != "absent"
    return unit.load != "not-found" and not unit.stamp and not configured


def _in_turn(endpoints: tuple[tuple[str, int], ...], name: str) -> tuple[tuple[str, int], ...]:
    """
    Return the apiservers beginning with another one for each node.

    A balancer with no connections begins with its first, and each node has one of its own: without
    this, all nodes would go to the first apiserver of the list.
    """
    ordered = sorted(endpoints)
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % len(ordered)
    return (*ordered[start:], *ordered[:start])


STEP = Step("balancer", "Balance the node's way to several apiservers.", desired=desired)
