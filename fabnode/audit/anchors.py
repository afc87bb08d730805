"""Trust anchors of a host: the CAs and kubeconfigs by which its programs know the cluster."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import TYPE_CHECKING

from ..node.examination import Provenance
from ..pki.certificates import BadCertificateError, read, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..node.examination import Anchor, Evidence

OTHERS_WRITE = "others than root may write it, or put another file in its place"
_AGAINST_OTHERS = ("client-certificate", "client-key", "tokenFile", "command")


class Standing(IntEnum):
    """
    What an anchor vouches for; the worse, the higher.

    `EXTRA` is what a file of root's has while CAs are exchanged: the cluster's CA, and others.
    """

    GOOD = auto()
    EXTRA = auto()
    UNSEEN = auto()
    FOREIGN = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The standing of an anchor. :param reason: why it is not good."""

    standing: Standing
    reason: str = ""


_GOOD = Verdict(Standing.GOOD)


class Anchors:
    """
    All anchors of a host, held against the cluster's CA.

    :param ca_pem: of the configuration; two CAs while they are exchanged.
    """

    def __init__(self, evidence: Evidence, ca_pem: bytes) -> None:
        self._evidence = evidence
        self._seen: Mapping[str, Anchor] = evidence.anchors
        self._cluster = {der(pem) for pem in split(ca_pem)}

    def ca_file(self) -> str:
        """
        Return a file that is root's alone and holds the CAs of cluster.ca and nothing else.

        A kubelet reads it again whenever it changes, and lets in whom its CAs vouch for.
        """
        for path, file in self._evidence.files.items():
            if file.provenance is not Provenance.ROOT_ONLY or file.secret or file.kubeconfig:
                continue
            ders = [der(pem) for pem in file.certificates]
            if set(ders) == self._cluster and len(ders) == file.blocks:
                return path
        return ""

    def authority(self, path: str) -> Verdict:
        """Return what a file of CAs vouches for, such as a clientCAFile."""
        anchor = self._seen.get(path)
        if anchor is None:
            return Verdict(
                Standing.UNSEEN,
                "no such file was there, or its path is relative to an unknown folder",
            )
        if anchor.provenance is not Provenance.ROOT_ONLY:
            return Verdict(Standing.FOREIGN, OTHERS_WRITE)
        return self._vouching(anchor)

    def kubeconfig(self, path: str) -> Verdict:
        """Return which apiservers a kubeconfig trusts; a missing one trusts none."""
        anchor = self._seen.get(path)
        if anchor is None:
            return _GOOD
        if anchor.provenance is not Provenance.ROOT_ONLY:
            return Verdict(Standing.FOREIGN, OTHERS_WRITE)
        if "server" in anchor.names:
            return Verdict(Standing.FOREIGN, "it names an apiserver without TLS")
        if "insecure-skip-tls-verify" in anchor.names:
            return Verdict(
                Standing.FOREIGN, "it accepts any server as the apiserver: insecure-skip-tls-verify"
            )
        files = anchor.names.get("certificate-authority", ())
        verdicts = [_at(ca, self.authority(ca)) for ca in files]
        if anchor.blocks or not files:
            verdicts.append(self._vouching(anchor))
        return max(verdicts, key=lambda verdict: verdict.standing)

    def writable(self, paths: Iterable[str]) -> list[str]:
        """Return those of the paths that others than root may write."""
        return [
            path
            for path in dict.fromkeys(paths)
            if path in self._seen and self._seen[path].provenance is not Provenance.ROOT_ONLY
        ]

    def named_by(self, kubeconfig: str) -> list[str]:
        """Return the files that a kubeconfig shows or runs: who writes these is this node."""
        anchor = self._seen.get(kubeconfig)
        names = anchor.names if anchor else {}
        return [path for key in _AGAINST_OTHERS for path in names.get(key, ())]

    def _vouching(self, anchor: Anchor) -> Verdict:
        if not anchor.blocks:
            return Verdict(Standing.UNSEEN, "it names no CA, so the host's own CAs count")
        if len(anchor.certificates) != anchor.blocks:
            return Verdict(
                Standing.UNSEEN, "it holds PEM blocks besides certificates, or more than are read"
            )
        others = [pem for pem in anchor.certificates if der(pem) not in self._cluster]
        names = ", ".join(dict.fromkeys(_subject(pem) for pem in others))
        if len(others) == len(anchor.certificates):
            return Verdict(Standing.FOREIGN, f"none of its CAs is the cluster's: {names}")
        if others:
            return Verdict(Standing.EXTRA, f"besides the cluster's CA it holds {names}")
        return _GOOD


def _at(path: str, verdict: Verdict) -> Verdict:
    return Verdict(verdict.standing, verdict.reason and f"{path}: {verdict.reason}")


def _subject(pem: str) -> str:
    try:
        return read(pem).subject or "a CA without a name"
    except BadCertificateError:
        return "what is no certificate"


def der(pem: str | bytes) -> bytes:
    """Return what the PEM block of a certificate holds, or nothing where that is no base64."""
    text = pem.encode() if isinstance(pem, str) else pem
    lines = text.strip().splitlines()[1:-1]
    try:
        return base64.b64decode(b"".join(b"".join(lines).split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
