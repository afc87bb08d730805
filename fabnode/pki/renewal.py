"""Selection of a node's certificates to renew although they are still valid. Pure."""

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
    Conditions of a renewal; all that are set must be met.

    :param kinds: kinds of certificates to renew; empty: none.
    :param issued_before: keep certificates issued at that time or later.
    :param ends_before: keep certificates that end at that time or later.
    :param authority: PEM of the new CA; keep certificates that it signed.
    """

    kinds: tuple[str, ...] = ()
    issued_before: datetime | None = None
    ends_before: datetime | None = None
    authority: bytes = b""

    def reason(self, kind: str, pem: Pem) -> str | None:
        """Return the reason to renew this certificate, or None to keep it."""
        if kind not in self.kinds:
            return None
        try:
            found = read(pem)
        except BadCertificateError:
            return None  # checks report an unreadable certificate
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
        return f"it was issued on {issued:%Y-%m-%d %H:%M} UTC"

    def reason_to_keep(self, kind: str, pem: Pem, now: datetime) -> str:
        """Return why a certificate of these kinds is kept; empty: it is renewed, or of another."""
        if kind not in self.kinds or self.reason(kind, pem):
            return ""
        try:
            found = read(pem)
        except BadCertificateError as error:
            return f"there is none that can be read: {error}"
        issued = found.not_before + BACKDATED
        if self.issued_before and issued >= self.issued_before:
            return f"issued {_ago(now - issued)}; `--issued-before now` renews it"
        if self.ends_before and found.not_after >= self.ends_before:
            return f"valid until {found.not_after:%Y-%m-%d}; without `--due` it is renewed"
        return "the new CA has signed it"


def _ago(passed: timedelta) -> str:
    minutes = max(0, round(passed.total_seconds() / 60))
    if minutes < 120:
        return f"{minutes} minute{'' if minutes == 1 else 's'} ago"
    return f"{minutes // 60} hours ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"


KEEP = Renewal()
