"""What can stop a run or one of its nodes; `advice` says what would mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..steps.preflight import OTHER_APPROVER_FIX, other_approver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..steps.preflight import Finding


class OverdueError(Exception):
    """Something that was waited for did not come in time; `advice` is the next command."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class MissingRightsError(Exception):
    """The kubeconfig's user may not do what this run needs to do; nothing was changed."""

    advice = "use the kubeconfig of `inv rbac.deployer`, or grant what is missing"


class OtherApproverError(Exception):
    """Somebody else approves first certificates, whoever asks; nothing was changed."""

    def __init__(self, found: Sequence[str]) -> None:
        super().__init__(other_approver(found))
        self.advice = OTHER_APPROVER_FIX


class PreflightError(Exception):
    """A node that must not be touched as it is; `advice` says what would mend it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(finding.text for finding in findings))
        self.advice = "; ".join(finding.fix for finding in findings)


class ImpostorError(Exception):
    """Somebody else holds the certificate that was issued for this node."""

    advice = (
        "its Node object is removed; find out who has its bootstrap token before it joins again, "
        "and replace the cluster's CA if that was not the host itself"
    )


class UnprovedError(Exception):
    """A certificate was, or may have been, issued for a node whose host can't be asked for it."""

    advice = "run the same command again: it compares the keys before anything else"

    def __init__(self, cause: str, fault: str) -> None:
        super().__init__(
            f"{cause}; whether the certificate issued for it is on this host is not known ({fault})"
        )


class RenewalError(Exception):
    """A certificate that was to be made anew and was not, or not by the CA that was meant."""

    def __init__(self, kind: str, what: str, node: str) -> None:
        super().__init__(f"its {kind} certificate {what}")
        self.advice = f"fab -H {node} logs; see docs/certificates.md on who signs"
