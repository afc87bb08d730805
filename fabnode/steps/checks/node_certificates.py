"""Checks of the certificates that a node holds: valid, lasting, and for the node's names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from ...config.configuration import Node
from ...node import layout
from ...node.facts import Facts
from ...pki import renewal
from ...pki.certificates import BadCertificateError, problem, read
from ...pki.csr_policy import Candidate, missing_names, serving_names
from ...util import program
from .check import Check, Object

SERVING_TITLE = "kubelet serving certificate"
_TITLES = {
    renewal.CLIENT: "kubelet client certificate",
    renewal.SERVING: SERVING_TITLE,
    renewal.PROXY: "kube-proxy certificate",
}
_ASKED_BY = {"Hostname", "InternalIP"}


def certificates(node: Node) -> dict[str, str]:
    """Return kind → path of every certificate that a node holds."""
    return layout.certificates(node.kubelet.root, proxy=node.kube_proxy.enabled)


def certificate_paths(node: Node) -> dict[str, str]:
    """Return title → path of every certificate that a node holds."""
    return {_TITLES[kind]: path for kind, path in certificates(node).items()}


def serving_addresses(node: Node, live: Object | None) -> tuple[str, ...]:
    """Return the names and addresses by which the apiserver may come to a node's kubelet."""
    dns, addresses = serving_names(Candidate(node.name, *node.ips))
    reported = ((live or {}).get("status") or {}).get("addresses") or ()
    found = (each["address"] for each in reported if each.get("type") in _ASKED_BY)
    return tuple(dict.fromkeys((*dns, *addresses, *found)))


def certificate_checks(
    node: str,
    facts: Facts,
    paths: Mapping[str, str],
    ca_pem: bytes,
    now: datetime,
    margin: int,
    serving: Collection[str] = (),
) -> Iterator[Check]:
    """
    Certificates hold against the CA and last, and the serving one has the node's names.

    :param paths: title → path on the node.
    :param margin: days that must be left.
    :param serving: names and addresses by which the apiserver may come to the kubelet.
    """
    deploy = program.task(f"deploy-nodes --limit {node}")
    for title, path in paths.items():
        held = facts.certificate(path)
        if not held.pem:
            yield Check(node, title, False, f"no certificate at {path}", deploy)
            continue
        try:
            left = read(held).days_left(now)
        except BadCertificateError as error:
            yield Check(node, title, False, f"{path}: {error}", deploy)
            continue
        fault = problem(held, ca_pem, now)
        near = f", fewer than {margin} (verify.certificate_days)" if left < margin else ""
        lacking = missing_names(held, serving) if title == SERVING_TITLE else ()
        if fault:
            yield Check(node, title, False, fault.text, deploy)
        elif lacking:
            detail = f"it is not for {', '.join(lacking)}: `kubectl logs` and the like fail there"
            yield Check(node, title, False, detail, deploy)
        else:
            renew = program.task(f"rotate-certs --limit {node}")
            yield Check(node, title, not near, f"{left:.0f} days left{near}", renew)
