"""
Who answers on the kubelet's ports: the kubelet, or another program in its place.

The kubelet's socket alone does not prove it: a pod's `hostPort` and a Service's `externalIPs`
redirect what is sent to the node's address before any socket is looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..node.conventions import KUBELET_PORT
from ..node.examination import Provenance, Serving
from .anchors import der
from .finding import Finding
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..node.examination import Asked, Evidence

KUBELET = "kubelet"
TLS_CERTIFICATE = ("tls-cert-file", ("tlsCertFile",))
# Kubernetes `cmd/kubelet/app/options`: whatever its --root-dir.
_FOLDER = "/var/lib/kubelet/pki"
# One that the cluster issued; one that the kubelet signed for itself.
_OWN = ("kubelet-server-current.pem", "kubelet.crt")


def serving(evidence: Evidence) -> Serving:
    """
    Return the certificates that the kubelet may show: who shows one in a handshake has its key.

    All of its places count, since which of them a kubelet uses depends on what it got so far.
    """
    settings = Settings(evidence, KUBELET)
    given = "cert-dir" in settings.flags
    folder = settings.file("cert-dir") if given else _FOLDER
    named = settings.file(*TLS_CERTIFICATE)
    complete = settings.known and settings.readable
    known = set()
    for path in (named, *(f"{folder}/{name}" for name in _OWN)):
        anchor = evidence.anchors.get(path)
        if anchor is None:
            complete = complete and not (path and path == named)
            continue
        # The first is the one shown; the others are those that issued it.
        shown = der(anchor.certificates[0]) if anchor.certificates else b""
        if anchor.provenance is Provenance.ROOT_ONLY and shown:
            known.add(shown)
        else:
            complete = False
    return Serving(frozenset(known), complete and bool(known))


def findings(asked: Asked) -> Iterator[Finding]:
    """Report who takes a port of the kubelet's: an answer from there is none of its answers."""
    for port in asked.strangers:
        yield Finding(
            "foreign-listener",
            "medium",
            f"port {port}",
            f"another program than the kubelet listens on :{port}: requests to the kubelet there"
            " reach that program, and of the kubelet only the settings were judged",
            "the socket is not root's, or no process of kubelet.service holds it",
            f"ss -ltnp 'sport = :{port}' shows it; end it, or have its owner use another port",
            by_hand="only a person can tell whose program it is and what for",
        )
    for port in asked.redirected:
        if port in asked.strangers:
            continue
        yield Finding(
            "foreign-listener",
            "medium",
            f"port {port}",
            f"another program answers requests to the kubelet on :{port}: a pod's hostPort or a"
            " Service's externalIPs lead there, or the kubelet was not restarted since its"
            " certificate was exchanged; that answer was not used",
            "the certificate shown is none of the kubelet's own on this host",
            f"`iptables-save -t nat | grep {port}` shows where it leads (`nft list ruleset`, where"
            " kube-proxy writes nftables); delete that pod or Service, or restart the kubelet",
            by_hand="only a person can tell whose pod or Service it is and what for",
        )


def unproven(asked: Asked) -> Iterator[str]:
    """Return what was asked and could not be proven to be the kubelet's answer."""
    for port in asked.unproven:
        why = (
            "its own certificate is not known (it is shown by no file that is root's alone, or by"
            " one that settings name which stayed on the host)"
            if port == KUBELET_PORT
            else "it listens there, and what answered did not answer as it does"
        )
        yield (
            f"whom the kubelet answers on :{port}: {why}, so a pod or Service may have answered in"
            " its place; only its settings are judged"
        )
