"""Errors that stop a run or one of its nodes, each with advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..steps.preflight import OTHER_APPROVER_FIX, other_approver
from ..util import program
from ..util.errors import ClusterError, FabnodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..steps.finding import Finding


class MissingRightsError(ClusterError):
    """The kubeconfig's user may not do what this run needs to do; nothing was changed."""

    advice = f"use the kubeconfig of `{program.task('rbac.deployer')}`, or grant the missing rights"


class OtherApproverError(ClusterError):
    """Something else approves first certificates for any requester; nothing was changed."""

    def __init__(self, found: Sequence[str]) -> None:
        super().__init__(other_approver(found), OTHER_APPROVER_FIX)


class AccountPolicyError(ClusterError):
    """The policy on the deployer's account refuses what this run needs; nothing was changed."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f.text for f in findings), findings[0].fix)


class PreflightError(FabnodeError):
    """A node that must not be touched as it is; `advice` is the remedy."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(
            "; ".join(finding.text for finding in findings),
            "; ".join(finding.fix for finding in findings),
        )


class ImpostorError(FabnodeError):
    """Somebody else holds the certificate that was issued for this node."""

    advice = (
        "its Node object is removed; find out who has its bootstrap token before it joins again, "
        "and replace the cluster's CA if that was not the host itself"
    )


class NotCertifiedError(FabnodeError):
    """Nothing was certified for a node that joined: its kubelet has other credentials."""

    advice = (
        "nobody else has its certificate, and its Node object stays: see which kubeconfig it reads"
        " (`systemctl cat kubelet` on the host), and run the same command again"
    )

    def __init__(self) -> None:
        super().__init__(
            "its kubelet asked for no certificate with its bootstrap token: it went on with"
            " credentials that it had before"
        )


class UnprovedError(FabnodeError):
    """A certificate was, or may have been, issued for a node whose host can't be asked for it."""

    advice = "run the same command again: it first compares the keys"

    def __init__(self, cause: str, fault: str) -> None:
        super().__init__(
            f"{cause}; whether the certificate issued for it is on this host is not known ({fault})"
        )


class RenewalError(FabnodeError):
    """A certificate was not renewed, or not by the intended CA."""

    def __init__(self, kind: str, what: str, node: str) -> None:
        super().__init__(
            f"its {kind} certificate {what}",
            f"{program.host_task(node, 'logs')}; docs/certificates.md explains who signs",
        )
