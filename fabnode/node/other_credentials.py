"""
Credentials of other tools on a node: which its kubelet uses, and where a takeover moves them.

A kubelet whose kubeconfig holds a good certificate never bootstraps. kubeasz writes it to the path
that fabnode's kubelets use too; kubeadm and kubespray write another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..pki.certificates import CertificateFile
from . import layout
from .conventions import KUBELET_SERVICE
from .facts import Facts
from .resources import Superseded

KUBECONFIGS = (layout.KUBELET_KUBECONFIG, layout.KUBEADM_KUBECONFIG)
# kubeasz's copy of what its kubeconfig holds; its kubelet serves with it.
PAIR = ("/etc/kubernetes/ssl/kubelet.pem", "/etc/kubernetes/ssl/kubelet-key.pem")


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A kubeconfig that another tool's kubelet uses.

    :param certificate: the client certificate in it, or in the file that it names; may be empty.
    :param believed: root alone could have written the kubeconfig.
    """

    path: str
    certificate: CertificateFile
    believed: bool = True

    def __str__(self) -> str:
        """Describe them for a plan."""
        held = self.certificate.certificate
        if not self.believed:
            return f"{self.path}, which others than root may write"
        if held is None:
            return f"{self.path}, without a certificate that can be read"
        return f"{self.path}, certificate {held.subject} until {held.not_after:%Y-%m-%d}"


def found(facts: Facts, root: str) -> tuple[Credentials, ...]:
    """
    Return the kubeconfigs of other tools, first that at fabnode's own path.

    :param root: the kubelet's folder.
    """
    return tuple(
        credentials for path in KUBECONFIGS if (credentials := _credentials(facts, path, root))
    )


def _credentials(facts: Facts, path: str, root: str) -> Credentials | None:
    fact = facts.path(path)
    if fact.kind != "file":
        return None
    own = layout.kubelet_client_certificate(root)
    at_ours = path == layout.KUBELET_KUBECONFIG
    held, named = facts.certificate(path), facts.clients.get(path, own if at_ours else "")
    # One that came back after a takeover without a certificate (`apply/superseded.sh`).
    copied = fact.sha256 and fact.sha256 == facts.path(layout.KUBEADM_KUBECONFIG).sha256
    if at_ours and not held.pem and named == own and not copied:
        return None  # as kubelets of fabnode's write it
    return Credentials(path, held if held.pem else facts.certificate(named), fact.roots_alone)


def superseded(facts: Facts, root: str, state: str) -> Iterator[Superseded]:
    """
    Return what goes to the quarantine before the kubelet starts with a bootstrap token.

    :param root: the kubelet's folder. :param state: fabnode's.
    """
    seen = {credentials.path: credentials for credentials in found(facts, root)}
    for path in (*KUBECONFIGS, *(PAIR if seen or not facts.known else ())):
        kind = facts.path(path).kind
        ours = path == layout.KUBELET_KUBECONFIG and kind == "file" and path not in seen
        if facts.known and (kind == "absent" or ours):
            continue
        what = f"another tool's credentials ({seen[path]})" if path in seen else "a copy of them"
        yield Superseded(
            path,
            proof=layout.kubelet_client_certificate(root),
            unit=KUBELET_SERVICE,
            kubeconfig=layout.KUBELET_KUBECONFIG if path in KUBECONFIGS else "",
            why=f"{what} go to {state}/quarantine",
        )
