"""Which certificates of a node are to be made anew though they still hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .certificates import BadCertificateError, Pem, issued_by, read

CLIENT, SERVING, PROXY = "client", "serving", "proxy"
KINDS = (CLIENT, SERVING, PROXY)

# kube-controller-manager lets a certificate begin five minutes before it signs it, and so do we
# (kubernetes `pkg/controller/certificates/signer`; `certificates.sign_client`).
BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Renewal:
    """
    What is asked for; each condition that is given must be met.

    :param kinds: of certificates that it is about; none: everything stays.
    :param issued_before: leave alone what was issued at that time or later.
    :param ends_before: leave alone what holds longer.
    :param authority: PEM of the CA that all are to be signed by; leave alone what is.
    """

    kinds: tuple[str, ...] = ()
    issued_before: datetime | None = None
    ends_before: datetime | None = None
    authority: bytes = b""

    def why(self, kind: str, pem: Pem) -> str | None:
        """Say why this certificate is to be made anew, or None where it stays, or is none."""
        if kind not in self.kinds:
            return None
        try:
            found = read(pem)
        except BadCertificateError:
            return None  # that it is no certificate is for others to notice
        issued = found.not_before + BACKDATED
        if self.issued_before and issued >= self.issued_before:
            return None
        if self.ends_before and found.not_after >= self.ends_before:
            return None
        if self.authority:
            if issued_by(pem, self.authority):
                return None
            return f"it is signed by {found.issuer}, not by the new CA"
        if self.ends_before:
            return f"it ends on {found.not_after:%Y-%m-%d}"
        return f"it is from {issued:%Y-%m-%d %H:%M} UTC"


KEEP = Renewal()
