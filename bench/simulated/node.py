"""What simulated hosts are: bare, or all that fabnode's steps want of a node."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fabnode.deploy.desired_state import desired_state
from fabnode.deploy.probe_scope import watchlist
from fabnode.node.facts import UNKNOWN, Facts, Mount, Space
from fabnode.node.plan import make_plan
from fabnode.pki import proxy_names
from fabnode.pki.certificates import new_request, sign_client
from fabnode.pki.kubeconfig import kubeconfig
from fabnode.remote.probe import TOOLS
from fabnode.steps import proxy_cert
from fabnode.steps.inputs import Inputs, Issued
from fabnode.steps.order import NODE_STEPS
from tests.deploy.machine import Machine
from tests.support import authority, pem, private_pem

if TYPE_CHECKING:
    from fabnode.artifacts.store import ArtifactStore
    from fabnode.config.configuration import Config, Node
    from fabnode.node.facts import Watchlist

_ROUNDS = 5  # of planning and changing, until nothing is to be changed
_UPTIME = 3600.0
_MODULES = frozenset(
    {"overlay", "br_netfilter", "nf_conntrack", "nf_tables", "ip_set", "xt_set", "ip_tables"}
)
_CONTROLLERS = frozenset({"cpu", "cpuset", "io", "memory", "pids", "hugetlb"})


def digest(text: str) -> str:
    """Return a digest of its own for each text."""
    return hashlib.sha256(text.encode()).hexdigest()


def bare(config: Config, node: Node, artifacts: ArtifactStore) -> Facts:
    """Return the facts of a host on which fabnode never was, and which lacks nothing."""
    watch = scope(config, node, artifacts)
    return Facts(
        known=True,
        hostname=node.name,
        machine_id=digest(node.name)[:32],
        boot_id=digest(f"boot of {node.name}")[:32],
        os_id="debian",
        os_version="13",
        kernel="6.12.48+deb13-amd64",
        memory=8 * 2**30,
        uptime=_UPTIME,
        addresses=(node.ip,),
        mtus={"eth0": 1500},
        resolv_conf="nameserver 192.0.2.53\n",
        space={path: Space(50 * 2**30, 3_000_000, "ext2/ext3") for path in watch.free},
        mounts={path: Mount(frozenset({"rw"}), shared=True) for path in watch.mounts},
        controllers=_CONTROLLERS,
        modules=_MODULES | frozenset(watch.modules),
        sysctls=dict.fromkeys(watch.sysctls, "1"),
        tools=frozenset(TOOLS),
    )


def deployed(config: Config, node: Node, artifacts: ArtifactStore) -> Facts:
    """
    Return the facts of a node of which nothing differs from its configuration.

    It is changed in memory, by the same plans as a host.
    """
    machine = Machine(node, [])
    machine.facts = replace(bare(config, node, artifacts), images=frozenset())
    server = config.cluster.server
    joining = kubeconfig(
        cluster="c", server=server, ca="/ca.pem", user="u", credentials={"token": "a token"}
    )
    issued = Issued(bootstrap_kubeconfig=joining, proxy_pem=_proxy_pem(node))
    for _ in range(_ROUNDS):
        facts = machine.facts
        inputs = Inputs(config, node, facts, artifacts.of(facts), issued, datetime.now(UTC))
        plan = make_plan(node.name, desired_state(NODE_STEPS, inputs), facts)
        if plan.empty:
            break
        machine.change(None, plan, None, lambda _: None)
    return replace(machine.facts, servers=dict.fromkeys(machine.facts.servers, server))


def scope(config: Config, node: Node, artifacts: ArtifactStore) -> Watchlist:
    """Return what a run probes of this node."""
    inputs = Inputs(config, node, UNKNOWN, artifacts.of(UNKNOWN), Issued(), datetime.now(UTC))
    wanted = tuple(desired_state(NODE_STEPS, inputs))
    return watchlist(wanted, config=config, node=node, deep=False)


def _proxy_pem(node: Node) -> bytes:
    request = new_request(proxy_names.own(node.name), proxy_cert.subject(node))
    ca, key = authority()
    return sign_client(request.request_pem, pem(ca), private_pem(key)) + request.key_pem
