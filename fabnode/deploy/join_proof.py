"""Proof that the certificate issued for a node is held by its host, and by nobody else."""

from __future__ import annotations

from contextlib import suppress
from shlex import quote
from typing import TYPE_CHECKING

from ..journal.journal import cause
from ..kube.client import ApiAwayError, ApiError
from ..node import layout
from ..pki.certificates import (
    belongs,
    openssh_public_bytes,
)
from ..pki.csr_policy import HostKey
from ..remote.key_pairs import read_pairs
from ..steps import (
    approve_csr,
)
from ..util.errors import HostError
from .certified_keys import Holder
from .errors import ImpostorError, NotCertifiedError, UnprovedError

if TYPE_CHECKING:
    from ..journal.journal import Journal
    from ..ssh.host import Host
    from .cluster_session import ClusterSession

# Until the kubelet has written what was issued to it; if it doesn't, the last checks fail.
_AWAIT_FILE = "n=0; until [ -s {path} ] || [ $n -ge 100 ]; do sleep 0.1; n=$((n + 1)); done"

_AWAIT_NEWER = (
    'n=0; until [ "$(stat -L -c %Z -- {path} 2>/dev/null || echo 0)" -ge {since} ]'
    " || [ $n -ge 100 ]; do sleep 0.1; n=$((n + 1)); done"
)


def await_file(host: Host, path: str, since: float = 0.0) -> None:
    """
    Wait on a host until a file has content, 10 s at most; the last checks fail if not.

    :param since: unix time by the host's clock; one that is older counts as missing.
    """
    script = _AWAIT_NEWER if since else _AWAIT_FILE
    host.root(script.format(path=quote(path), since=int(since)))


class JoinProof:
    """
    Compares the key that was certified for a node with the one on its host.

    :ivar unproved: it may have been certified, and nobody saw that its host holds that.
    """

    def __init__(self, host: Host, session: ClusterSession, journal: Journal) -> None:
        self._host = host
        self._session = session
        self._journal = journal
        self.unproved = False

    def end_unsigned(self) -> None:
        """
        End a request that is approved and not signed, while its kubelet still waits for it.

        A kubelet that is taken over gets its old credentials back a few seconds after a failure. A
        certificate that is signed later would be nobody's, and looks like an impostor's.
        """
        with suppress(ApiError, ApiAwayError):  # who has it is judged afterwards, in any case
            self._session.certified.was_certified(self._host.node)

    def account_for_certificate(self, error: Exception) -> None:
        """
        See who has what was certified in a join that `error` ended; end what was not signed yet.

        :raises ImpostorError: somebody else has it.
        :raises UnprovedError: it can't be known, which the next run makes up for.
        """
        try:
            if self._session.certified.was_certified(self._host.node):
                self._refuse_impostors()
        except (HostError, ApiError, ApiAwayError) as fault:
            raise UnprovedError(cause(error), cause(fault)) from error

    def prove_left(self) -> None:
        """Compare keys where a run was interrupted between a certificate and its proof."""
        if not (left := self._session.certified.left_certified(self._host.node)):
            return
        name = self._host.node.name
        with self._journal.step(name, approve_csr.STEP.name, "comparing keys") as log:
            if not any(belongs(self._certificate(), request) for request in left):
                self._expel()
                raise ImpostorError(
                    "a certificate was issued for it in an interrupted run, but it holds none for"
                    " that key"
                )
            log.note("the key certified in an interrupted run is the one on the host")

    def prove_key(self) -> None:
        """
        Check that the certified key is on this host; only its public half is read.

        :raises ImpostorError: somebody else has what was certified; the node is expelled.
        :raises NotCertifiedError: nothing was certified, so that nobody has it; the node stays.
        """
        name = self._host.node.name
        with self._journal.step(name, approve_csr.STEP.name, "comparing keys") as log:
            if self._refuse_impostors() is Holder.NOBODY:
                raise NotCertifiedError
            log.note("the certified key is the one on the host")

    def _refuse_impostors(self) -> Holder:
        """Expel the node if its host has no certificate for the key that was certified."""
        found = self._session.certified.holder(self._host.node, self._certificate())
        if found is Holder.OTHERS:
            self._expel()
            raise ImpostorError("it holds no certificate for the key that was certified")
        self.unproved = found is Holder.NOBODY
        return found

    def _expel(self) -> None:
        """Shut the node out; a certificate that its host has is no proof, and is not kept."""
        node = self._host.node
        self._session.admission.expel(node)
        with suppress(HostError):
            self._host.root(f"rm -f {quote(layout.kubelet_client_certificate(node.kubelet.root))}")

    def _certificate(self) -> bytes:
        """Read the kubelet's client certificate (PEM) on the host; empty where there is none."""
        path = layout.kubelet_client_certificate(self._host.node.kubelet.root)
        # The kubelet may just be about to write it, where something else failed.
        wait = _AWAIT_FILE.format(path=quote(path))
        read_it = f"sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' {quote(path)}"
        return self._host.root(f"{wait}; {read_it}").stdout


def waiting_key(host: Host) -> HostKey:
    """Ask a host which key waits there for its certificate; of that, the public half."""
    path = layout.kubelet_pending_key(host.node.kubelet.root)
    try:
        pair = read_pairs(host, (path,)).get(path)
    except HostError as error:
        return HostKey(fault=error.message)
    if pair is None:
        return HostKey()
    public = openssh_public_bytes(pair.public_key)
    return HostKey(public, "" if public else pair.fault or f"{path} can't be read there")
