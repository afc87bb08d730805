"""Findings about keys, kubeconfigs, tokens and certificates on a host: owners and readers."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from shlex import quote
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificates

from ..node import advice
from ..node.conventions import KUBELET_SERVICE
from ..node.examination import Provenance
from ..node.facts import OTHERS_WRITE
from ..pki import proxy_names
from ..pki.certificates import (
    BadCertificateError,
    Certificate,
    issued_by,
    openssh_public_bytes,
    problem,
    public_key_bytes,
    read,
)
from ..util import program
from .finding import SEVERITIES, Finding, Quarantine, RestrictMode
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..node.examination import Evidence, SecretFile
    from .finding import Check, Severity

# Who is asked nothing: these groups may do everything.
_MASTERS = {"system:masters", "kubeadm:cluster-admins"}
_CONTROL_PLANE = {
    "kube-apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "kube-apiserver-kubelet-client",
    "kube-apiserver-etcd-client",
}
_CA_NAMES = {"ca-key.pem", "ca.key", "ca-key.key", "cakey.pem", "ca_key.pem"}
_ADMIN_NAMES = {"admin-key.pem", "admin.key", "admin.conf", "super-admin.conf"}

# As a kubelet names those it is given; it uses a link to the newest.
_PAIR = re.compile(r"kubelet-(client|server)-[0-9-]+\.pem", re.ASCII)

_LEAF_YEARS, _LONG_LEAF_YEARS, _CA_YEARS = 2, 10, 30
_NODE = "system:node:"
_YEAR = timedelta(days=365.25)
_OTHERS, _READ_BY_ALL = 0o077, 0o007
_NOT_ROOTS = "others than root can change what lies at that path"
_NEEDED = 30.0  # days that the kubelet's certificate is still good for when its token goes


@dataclass(frozen=True, slots=True)
class _Place:
    """
    A certificate and a file that holds it.

    :param believed: it may accuse a key: the cluster's CA signed it, or the file is root's alone.
        Whose key is whose anybody may claim in a file of his own. :param uid: of the file's owner.
    :param roots: the file is root's alone. Only such a certificate has a key moved: who can read
        the CA's key, which harden is to fix, makes certificates of it over any key's public half.
    """

    path: str
    pem: str
    certificate: Certificate
    believed: bool = True
    uid: int = 0
    roots: bool = True


class Credentials:
    """
    All keys and certificates of one host, put together.

    :param node: its name at the API. :param ca_pem: the cluster's CA, from the configuration.
    """

    def __init__(self, evidence: Evidence, node: str, ca_pem: bytes, now: datetime) -> None:
        self._evidence = evidence
        self._node = node
        self._ca_pem = ca_pem
        self._now = now
        self._places = [
            _Place(
                file.path,
                pem,
                certificate,
                roots or issued_by(pem, ca_pem),
                file.uid,
                roots,
            )
            for file in evidence.files.values()
            for roots in (file.provenance is Provenance.ROOT_ONLY,)
            for pem in file.certificates
            if (certificate := _read(pem))
        ]
        configured = [
            _Place("the configured cluster.ca", _pem(ca), found)
            for ca in load_pem_x509_certificates(ca_pem)
            if (found := _read(_pem(ca)))
        ]
        self._cluster_cas = {place.certificate.public_key for place in configured}
        self._by_key: dict[bytes, list[_Place]] = {}
        for place in [*configured, *self._places]:
            self._by_key.setdefault(place.certificate.public_key, []).append(place)
        self._accusers: dict[bytes, _Place | None] = {}
        self._named = [
            *((name, "\n".join(p.args)) for name, p in evidence.programs.items()),
            *(
                (where, text.content.decode("utf-8", "replace"))
                for where, text in evidence.texts.items()
                if text.content
            ),
            # As programs resolve them: a relative path in a command line names them, too.
            ("a program's settings", "\n".join(evidence.anchors)),
        ]
        kubelet = Settings(evidence, "kubelet")
        self._bootstrap = kubelet.file("bootstrap-kubeconfig")
        self._kubeconfig = kubelet.file("kubeconfig")

    def findings(self) -> Iterator[Finding]:
        """Return all that is wrong with them."""
        for file in self._evidence.files.values():
            yield from self._whose(file)
            yield from self._open(file)
            yield from self._tokens(file)
        yield from self._other_name()
        yield from self._long_lived()
        for path in self._evidence.quarantined:
            yield Finding(
                "quarantined",
                "low",
                path,
                "an earlier run of fabnode moved this file; it is still on the host",
                "in fabnode's quarantine",
                f"once nothing needs it: shred -u {quote(path)}",
                by_hand="fabnode never deletes what it moved",
            )

    # --- whose key it is ---------------------------------------------------------------------

    def _whose(self, file: SecretFile) -> Iterator[Finding]:
        """
        Judge keys by what they belong to: the worst of a file that root's own files show.

        What others' certificates say of another key in it must not stand in for that, and is
        reported besides only where it is worse.
        """
        if self._evidence.control_plane:
            return  # there they belong
        found = [judged for key in file.keys if (judged := self._judged(file, key))]
        by_root, by_others = (
            sorted((f for f, is_roots in found if is_roots is wanted), key=_weight)[:1]
            for wanted in (True, False)
        )
        yield from by_root
        if not by_root or (by_others and _severity(by_others[0]) < _severity(by_root[0])):
            yield from by_others

    def _judged(self, file: SecretFile, key: str) -> tuple[Finding, bool] | None:
        """Return what is wrong with a key, and whether it takes nobody but root to say so."""
        der = public_der(key)
        if der is None:
            return self._by_name(file)
        place = self._accuser(der)
        finding = self._accused(file, der, place) if place else None
        if place is None or finding is None:
            return None
        if place.roots:
            return finding, True
        return (_left if place.believed else _claimed)(finding, place), False

    def _accused(self, file: SecretFile, der: bytes, place: _Place) -> Finding | None:
        """Judge a key by one certificate of it."""
        found = place.certificate
        seen = f"its public half is that of {found.subject} in {place.path}"
        if found.authority:
            cluster = der in self._cluster_cas
            what = "the cluster's CA" if cluster else f"a CA ({found.subject})"
            return self._stray(
                file,
                "ca-key",
                "critical" if cluster else "high",
                f"the private key of {what} is on a worker node: anyone who can read it can"
                " impersonate any user of the cluster",
                seen,
                "remove it; if others may have read it, replace the CA"
                f" (`{program.task('rotate-certs --ca')}`)",
            )
        if _MASTERS & set(found.organizations):
            return self._admin(file, found, seen)
        if self._foreign(found):
            return self._stray(
                file,
                "foreign-key",
                "high",
                f"a private key of another identity ({found.subject}) is here",
                seen,
                "remove it; issue a new one to its owner if others may have read it",
            )
        return None

    def _accuser(self, der: bytes) -> _Place | None:
        """Return the certificate by which a key must not lie here; found once for each key."""
        if der not in self._accusers:
            self._accusers[der] = next(
                (
                    place
                    # What is merely claimed counts only where nothing that is believed does.
                    for place in sorted(
                        self._by_key.get(der, ()),
                        key=lambda p: (not p.believed, not p.roots, _weakness(p.certificate)),
                    )
                    if place.certificate.authority
                    or _MASTERS & set(place.certificate.organizations)
                    or self._foreign(place.certificate)
                ),
                None,
            )
        return self._accusers[der]

    def _by_name(self, file: SecretFile) -> tuple[Finding, bool] | None:
        """Judge by name where the host could not derive a key's public half."""
        name = file.path.rpartition("/")[2]
        seen = "by its name only: the host could not derive the key's public half"
        if name in _CA_NAMES:
            text = "its name is that of a CA's private key"
            fix = "find out whose it is, and remove it"
            return self._stray(file, "ca-key", "high", text, seen, fix), True
        for place in self._places:
            if place.path == file.path and _MASTERS & set(place.certificate.organizations):
                seen = f"it holds the certificate {place.certificate.subject}"
                finding = self._admin(file, place.certificate, seen)
                return (finding, True) if place.believed else (_claimed(finding, place), False)
        if name in _ADMIN_NAMES:
            text = "its name is that of an administrator's key"
            fix = "find out whose it is, and remove it"
            return self._stray(file, "admin-credentials", "high", text, seen, fix), True
        return None

    def _admin(self, file: SecretFile, found: Certificate, seen: str) -> Finding:
        groups = ", ".join(sorted(_MASTERS & set(found.organizations)))
        what = "kubeconfig" if file.kubeconfig else "key"
        return self._stray(
            file,
            "admin-credentials",
            "critical",
            f"a {what} with unlimited rights (O={groups}) is on a worker",
            seen,
            f"remove it; until it ends ({found.not_after:%Y-%m-%d}) only a new CA revokes it",
        )

    def _stray(
        self,
        file: SecretFile,
        check: Check,
        severity: Severity,
        text: str,
        seen: str,
        fix: str,
    ) -> Finding:
        reason = self._not_movable(file)
        repairs = () if reason else (Quarantine(file.path),)
        return Finding(
            check, severity, file.path, text, seen, fix, repairs, reason, file.provenance
        )

    def _not_movable(self, file: SecretFile) -> str:
        """Say why a file can't be put aside by machine, or nothing."""
        if file.late:  # whoever keeps the host busy brings that about, of any key
            return "whose key it is was not known in time"
        users = self._users(file.path)
        if users:
            return f"it is in use: {', '.join(users[:3])}"
        if file.provenance is not Provenance.ROOT_ONLY:
            return _NOT_ROOTS
        if not self._evidence.users_known:
            return "the host could not find out who uses it"
        return ""

    def _users(self, path: str) -> list[str]:
        """Return who names this file."""
        found = list(self._evidence.files[path].used_by)
        named = re.compile(rf"{re.escape(path)}(?![\w./-])")
        found += [who for who, text in self._named if path in text and named.search(text)]
        return list(dict.fromkeys(found))

    def _foreign(self, found: Certificate) -> bool:
        name = found.common_name
        other_node = name.startswith(_NODE) and name.removeprefix(_NODE) not in {
            self._node,
            self._joined_as,
        }
        return other_node or name in _CONTROL_PLANE

    @cached_property
    def _joined_as(self) -> str:
        """
        The name by which the kubelet that runs is a node of this cluster; empty where unknown.

        By the certificate that it uses, of the cluster's CA, in files of root's alone.
        """
        running = self._evidence.programs.get("kubelet")
        anchor = self._evidence.anchors.get(self._kubeconfig)
        if not running or not running.running or not anchor:
            return ""
        # A kubelet names a link to its newest certificate: that link is a user of the file.
        used = {self._kubeconfig, *anchor.names.get("client-certificate", ())}
        return next(
            (
                place.certificate.common_name.removeprefix(_NODE)
                for place in self._places
                if {place.path, *self._evidence.files[place.path].used_by} & used
                and self._evidence.files[place.path].provenance is Provenance.ROOT_ONLY
                and place.certificate.common_name.startswith(_NODE)
                and issued_by(place.pem, self._ca_pem)
            ),
            "",
        )

    def _other_name(self) -> Iterator[Finding]:
        if self._joined_as in {"", self._node}:
            return
        yield Finding(
            "other-name",
            "medium",
            self._kubeconfig,
            f"this host is the cluster's node {self._joined_as}, not {self._node}",
            f"its kubelet uses a certificate of {_NODE}{self._joined_as}, of the cluster's CA",
            f"call it {self._joined_as} in the configuration; where it is to have another name,"
            " remove it from the cluster first",
            by_hand="a node's name is chosen in the configuration",
        )

    # --- who can read it ---------------------------------------------------------------------

    def _open(self, file: SecretFile) -> Iterator[Finding]:
        if not file.secret or not file.mode & _OTHERS:
            return
        everybody = bool(file.mode & _READ_BY_ALL) and file.reachable
        who = "every user of the host" if everybody else "others, were its directory open to them"
        reason = ""
        writable = bool(file.mode & OTHERS_WRITE)
        if not file.controlled or file.uid:
            reason = _NOT_ROOTS
        elif writable:
            reason = "others than root could write it, and go on writing what they have open"
        elif self._evidence.control_plane:
            reason = "on a control plane it may be read by a user of its own"
        yield Finding(
            "open-secret",
            "high" if everybody else "low",
            file.path,
            f"a secret that {who} can read" if everybody else f"a secret open to {who}",
            f"mode {file.mode:04o}",
            self._closing(file, written=writable),
            () if reason else (RestrictMode(file.path),),
            reason,
            file.provenance,
        )

    def _closing(self, file: SecretFile, *, written: bool) -> str:
        """Return how a file is closed; a kubelet's pair that others had is made again by it."""
        folder, _, name = file.path.rpartition("/")
        pair = _PAIR.fullmatch(name)
        if pair and (written or file.uid) and KUBELET_SERVICE in self._evidence.managed:
            current = quote(f"{folder}/kubelet-{pair[1]}-current.pem")
            return (
                f"`{program.task('deploy-nodes')}` has the kubelet make another pair where it goes"
                f" by this one; remove this file once `readlink {current}` names another"
            )
        return advice.closed(file.path, file.uid, controlled=file.controlled, written=written)

    # --- tokens ------------------------------------------------------------------------------

    def _tokens(self, file: SecretFile) -> Iterator[Finding]:
        if "csv" in file.tokens and not self._evidence.control_plane:
            reason = self._not_movable(file)
            yield Finding(
                "token-file",
                "high",
                file.path,
                "an apiserver's list of static tokens is on a worker",
                "by its name and its lines of token, user, uid",
                "remove it, and replace the tokens in it",
                () if reason else (Quarantine(file.path),),
                reason,
                file.provenance,
            )
        name = file.path.rpartition("/")[2]
        if not file.kubeconfig or not (file.path == self._bootstrap or "bootstrap" in name):
            return
        kinds = {"static", "bootstrap"} & set(file.tokens)
        if not kinds:
            return
        static = "static" in kinds
        reason = self._token_needed(file)
        yield Finding(
            "static-token",
            "medium" if static else "low",
            file.path,
            "a static token with which anyone can request a node's certificate"
            if static
            else "a bootstrap token is left, though it may have run out",
            "it is not a bootstrap token (ID.SECRET)" if static else "it has the form ID.SECRET",
            "remove it once the node has its certificate; revoke it at the apiserver as well",
            () if reason else (Quarantine(file.path),),
            reason,
            file.provenance,
        )

    def _token_needed(self, file: SecretFile) -> str:
        """Say why the token can't go yet, or nothing."""
        left = self._own_days
        if left is None:
            return "the node has no certificate of its own yet"
        if left < _NEEDED:
            return f"the node's own certificate ends in {left:.0f} days"
        if file.provenance is not Provenance.ROOT_ONLY:
            return _NOT_ROOTS
        return ""

    @cached_property
    def _own_days(self) -> float | None:
        """For how many days the node has a good certificate of its own; None: it has none."""
        mine = f"system:node:{self._node}"
        return max(
            (
                place.certificate.days_left(self._now)
                for place in self._places
                if place.certificate.common_name == mine
                and self._evidence.files[place.path].provenance is Provenance.ROOT_ONLY
                and self._evidence.files[place.path].keys
                and problem(place.pem, self._ca_pem, self._now) is None
            ),
            default=None,
        )

    # --- how long they live ------------------------------------------------------------------

    def _long_lived(self) -> Iterator[Finding]:
        """
        Judge each certificate once, wherever it lies.

        Root's files and others' apart: a copy changes nothing of what is reported about root's.
        """
        places: dict[tuple[str, bool], list[_Place]] = {}
        for place in self._places:
            places.setdefault(("".join(place.pem.split()), place.roots), []).append(place)
        for same in places.values():
            found = same[0].certificate
            years = (found.not_after - found.not_before) / _YEAR
            limit = _CA_YEARS if found.authority else _LEAF_YEARS
            if years <= limit:
                continue
            severity: Severity = "medium" if years > _LONG_LEAF_YEARS else "low"
            if found.authority:
                severity = "low"
            yield Finding(
                "long-certificate",
                severity,
                ", ".join(dict.fromkeys(_listed(place.path) for place in same)),
                f"{found.subject} is good for {years:.0f} years: once stolen, for as long",
                f"until {found.not_after:%Y-%m-%d}",
                _shorter(found, self._node),
                by_hand="the lifetime of a certificate can't be changed",
                provenance=self._evidence.files[same[0].path].provenance,
            )


_CHECKS = ("ca-key", "admin-credentials", "foreign-key")


def _severity(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _weight(finding: Finding) -> tuple[int, int]:
    return _severity(finding), _CHECKS.index(finding.check)


def _weakness(found: Certificate) -> int:
    """Return how little a certificate lets its holder do, least first: the worst accuses."""
    if found.authority:
        return 0
    return 1 if _MASTERS & set(found.organizations) else 2


def _listed(path: str) -> str:
    """Return a path for a list of them: one that reads as several is quoted."""
    return quote(path) if ", " in path else path


def _claimed(finding: Finding, place: _Place) -> Finding:
    """
    Return an accusation that rests on what others than root may have written: a claim, no more.

    Nothing is advised about the key: whoever followed a false claim would remove a live one.
    """
    return replace(
        finding,
        severity="medium",
        text=f"a certificate in {place.path} (owner uid {place.uid}) claims that this key is that"
        f" of {place.certificate.subject}; it proves nothing: others than root may have written it,"
        " and the cluster's CA did not sign it",
        repairs=(),
        fix=f"find out why uid {place.uid} keeps that certificate in {place.path}",
        by_hand="no trustworthy file shows whose key it is",
    )


def _left(finding: Finding, place: _Place) -> Finding:
    """
    Return a finding that rests on the CA's signature alone: true, and yet nothing is moved for it.

    Such a certificate opens the cluster with this key. Who put the two together, it does not tell.
    """
    return replace(
        finding,
        text=f"{finding.text}, by the certificate in {place.path} (owner uid {place.uid})",
        repairs=(),
        fix=f"find out who made the certificate in {place.path}, and whose this key is, before you"
        " take the key away",
        by_hand=finding.by_hand
        or f"others than root can change {place.path}, and whoever may use the CA's key can make"
        " such a certificate of any key",
    )


def _shorter(found: Certificate, node: str) -> str:
    if found.authority:
        return "plan a new CA"
    if found.common_name == f"system:node:{node}" or proxy_names.is_of(found.common_name, node):
        renew, join = program.task("rotate-certs"), program.task("deploy-nodes")
        return (
            f"`{renew}` has others issued, for as long as kube-controller-manager's"
            f" --cluster-signing-duration says; a node that fabnode did not deploy: `{join}` before"
        )
    return "issue its owner one that ends sooner; this one holds until the CA is another"


def public_der(key: str) -> bytes | None:
    """Return a public key as SubjectPublicKeyInfo, from a host's form of it; None: it gave none."""
    kind, _, data = key.partition(" ")
    if kind != "spki":
        return openssh_public_bytes(key) or None
    try:
        der = base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error):
        return None
    return public_key_bytes(der) or None


def _read(pem: str) -> Certificate | None:
    """Return a certificate, or None for what is none: it comes from a host."""
    try:
        return read(pem)
    except BadCertificateError:
        return None


def _pem(ca: object) -> str:
    pem: bytes = ca.public_bytes(serialization.Encoding.PEM)  # type: ignore[attr-defined]
    return pem.decode()
