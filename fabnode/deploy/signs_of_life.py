"""
Signs of life of a host that is said to be off: what its kubelet reported, what answers by SSH.

What can't be asked shows nothing, and what answers is a sign, whoever it is: but for a machine that
is proved to be another. That a host gives no sign does not prove it off; the operator's word does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..kube import node_status
from ..kube.heartbeats import heartbeat_age
from ..remote import machine
from ..ssh.errors import (
    AnsweredError,
    AuthenticationError,
    ChangedHostKeyError,
    CommandTimeoutError,
    ConnectionLostError,
    HostCertificateError,
    HostMisbehavedError,
    RevokedHostKeyError,
    SudoRefusedError,
    UnknownHostKeyError,
    UnreachableError,
)
from ..util.errors import HostError
from . import node_machine

if TYPE_CHECKING:
    from ..kube.client import Object
    from ..ssh.host import Host
    from .cluster_session import ClusterSession

# Seconds since the last sign of a kubelet that count as alive; and where Kubernetes has given it up
# (Ready: Unknown), seconds within which a kubelet renews its Lease three times and more.
_FRESH, _SILENT_FOR = 120.0, 40.0
# Failures of SSH that whoever has the host's address has brought about by an answer.
_ANSWERS = (
    AnsweredError,
    UnknownHostKeyError,
    ChangedHostKeyError,
    RevokedHostKeyError,
    HostCertificateError,
    AuthenticationError,
    SudoRefusedError,
    CommandTimeoutError,
    ConnectionLostError,
    HostMisbehavedError,
)


@dataclass(frozen=True, slots=True)
class Signs:
    """
    What was seen of a host.

    :param alive: what shows that it lives; empty: nothing does.
    :param last: seconds since its kubelet's last sign; infinity: it never gave one.
    :param instead: what was seen in its place: another machine, or a gateway that is down.
    """

    alive: str
    last: float = float("inf")
    instead: str = ""


def look(session: ClusterSession, host: Host, live: Object | None) -> Signs:
    """
    Look for signs of life of a node's host.

    :param live: its Node object.
    :raises HostError: it could not be asked, for what has to be mended first.
    """
    last = float("inf")
    if live:
        last = heartbeat_age(session.api, live, time.time() + (session.api.clock_offset or 0))
        if last < (_SILENT_FOR if node_status.is_silent(live) else _FRESH):
            # What is not Ready, and says so, runs: pods may write there while it does.
            state = "not Ready" if node_status.not_ready(live) else "Ready"
            return Signs(f"its kubelet reported {last:.0f} s ago ({state})", last)
    try:
        ids = machine.read(host)
    except HostError as error:
        return _heard(error, last)
    nodes = session.snapshot.nodes
    if live is None:
        if owner := node_machine.owner_of(ids, host.name, nodes):
            return Signs("", last, f"at its address is the machine of the node {owner}")
        return Signs("its host answers", last)
    # A stale "Ready" tells of no boot: a host that has rebooted since is the same.
    found = node_machine.match_of(ids, live, nodes, reports=False)
    # Only another machine-id is another installation: its board may have been replaced.
    if "machine" in ids.apart(node_machine.ids_of(live)):
        return Signs("", last, f"another machine is at its address: {found.why}")
    doubt = "" if found.kind == "same" else f", as far as that can be told: {found.why}"
    return Signs(f"its host answers{doubt}", last)


def _heard(error: HostError, last: float) -> Signs:
    """
    Return what a failure to ask a host tells.

    :raises HostError: this very one, where it has to be mended before anything can be seen.
    """
    unreachable = isinstance(error, UnreachableError)
    if error.not_asked:
        if unreachable:
            return Signs("", last, f"its host was not asked: {error.message}")
        raise error  # a gateway that lets nobody in
    if isinstance(error, _ANSWERS):
        # Whatever answers there has its address, and may be it.
        return Signs(f"something answers at its address: {error.message}", last)
    if unreachable:
        return Signs("", last)
    raise error  # known_hosts, ~/.ssh/config: nobody was asked
