"""Step proxy-cert: kube-proxy's certificate, one per node, renewed when due."""

from __future__ import annotations

from ..config.configuration import Node
from ..node import layout
from ..node.resources import Absent, Directory, ExistingSecret, File, Resource
from ..pki import proxy_names
from ..pki.certificates import Certificate, problem, read
from ..pki.renewal import PROXY
from .inputs import Inputs
from .step import Step


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """
    Return the certificate with its key: the one on the node while it is good, else a new one.

    A node without kube-proxy has none.
    """
    if why := inputs.without_proxy:
        return (Absent(layout.PROXY_PEM, why=why),)
    directory = Directory("/etc/kubernetes/pki")
    if due(inputs) is None:
        return (directory, ExistingSecret(layout.PROXY_PEM, 0o600))
    return (directory, File(layout.PROXY_PEM, inputs.issued.proxy_pem, 0o600, secret=True))


def due(inputs: Inputs) -> str | None:
    """Say why a certificate has to be issued, or None while the node's is good."""
    found = inputs.facts.path(layout.PROXY_PEM)
    held = inputs.facts.certificate(layout.PROXY_PEM)
    if found.kind != "file" or not held.pem:
        return "it has none"
    if not found.roots_alone:
        return "others than root could write it"
    if fault := problem(held, inputs.config.ca_pem, inputs.now):
        return fault.text
    certificate = read(held)
    if not _as_configured(certificate, inputs):
        return f"its subject is {certificate.subject}"
    left = certificate.days_left(inputs.now)
    if left < inputs.node.kube_proxy.renew_before_days:
        return f"it ends in {left:.0f} days"
    return inputs.renewal.reason(PROXY, held)


def subject(node: Node) -> dict[str, str]:
    """Return the configured parts of the subject beside its CN."""
    return node.kube_proxy.subject.model_dump(exclude_none=True)


def in_own_name(inputs: Inputs) -> bool:
    """
    Return whether the certificate that the node keeps is in a name of its own.

    It has the rights alone that fabnode binds to it.
    """
    held = inputs.facts.certificate(layout.PROXY_PEM).certificate
    if held is None or inputs.without_proxy or due(inputs) is not None:
        return False
    return held.common_name == proxy_names.own(inputs.node.name)


def _as_configured(certificate: Certificate, inputs: Inputs) -> bool:
    # One in the name of all was issued by an older fabnode, and serves until it is due.
    organization = subject(inputs.node).get("organization")
    wanted = (organization,) if organization else ()
    named = proxy_names.is_of(certificate.common_name, inputs.node.name)
    return named and certificate.organizations == wanted


STEP = Step("proxy-cert", "Issue kube-proxy's certificate.", desired=desired)
