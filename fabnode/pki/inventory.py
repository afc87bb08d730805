"""Inventory of certificates: a row each, with time left and faults of chain, key and file mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .certificates import (
    BadCertificateError,
    Pem,
    ProblemKind,
    openssh_public_bytes,
    problems,
    read,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

_OPEN = 0o077  # mode bits that give others than root access to a key


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """
    One certificate.

    :param where: a node's name, or `cluster`. :param days_left: None where it can't be read.
    :param ends: when, in ISO 8601; empty where it can't be read.
    :param mode: of the file that holds its key, octal; empty where that is elsewhere.
    :param faults: what is wrong with it now; empty if nothing.
    """

    where: str
    name: str
    path: str
    subject: str
    issuer: str
    days_left: float | None
    faults: tuple[str, ...]
    ends: str = ""
    mode: str = ""

    def near(self, margin: int) -> bool:
        """Return whether it has fewer days left than `margin`, or can't be read."""
        return self.days_left is None or self.days_left < margin


def absent(where: str, name: str, path: str) -> CertificateRow:
    """Return the row of a certificate that is missing."""
    return CertificateRow(where, name, path, "", "", None, ("it does not exist",))


def row(
    where: str,
    name: str,
    path: str,
    pem: Pem,
    *,
    ca_pem: bytes,
    now: datetime,
    mode: int | None = None,
    public_key: str | None = None,
    accepted: frozenset[ProblemKind] = frozenset(),
    names: Collection[str] = (),
) -> CertificateRow:
    """
    Judge one certificate.

    :param mode: of the file that holds its key. :param public_key: of that key, in OpenSSH's form,
        empty where it couldn't be read; None for both: the key is elsewhere.
    :param accepted: kinds of problems to ignore for this certificate.
    :param names: DNS names and addresses that it has to be good for.
    """
    try:
        found = read(pem)
    except BadCertificateError as error:
        return CertificateRow(where, name, path, "", "", None, (str(error),))
    faults = [p.text for p in problems(pem, ca_pem, now) if p.kind not in accepted]
    faults += [f"it is not for {name}" for name in names if name not in found.names]
    if public_key is not None and openssh_public_bytes(public_key) != found.public_key:
        faults.append("its key is a different one" if public_key else "its key can't be read")
    if mode is not None and mode & _OPEN:
        faults.append(f"others can access its file (mode {mode:04o})")
    days = found.days_left(now)
    return CertificateRow(
        where,
        name,
        path,
        found.subject,
        found.issuer,
        days,
        tuple(faults),
        ends=found.not_after.isoformat(),
        mode="" if mode is None else f"{mode:04o}",
    )


def authorities(path: str, ca_pem: bytes, now: datetime) -> list[CertificateRow]:
    """Return a row for each CA of the configuration; a CA need not be signed by another."""
    pems = split(ca_pem)
    names = (
        ["CA"] if len(pems) == 1 else [f"CA {i} of {len(pems)}" for i in range(1, len(pems) + 1)]
    )
    return [
        row(
            "cluster",
            name,
            path,
            pem.decode(),
            ca_pem=pem,
            now=now,
            accepted=frozenset({ProblemKind.FOREIGN_CA}),
        )
        for name, pem in zip(names, pems, strict=True)
    ]
