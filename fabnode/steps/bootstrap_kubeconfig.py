"""Step bootstrap-kubeconfig: kubeconfig with a short-lived token for a node without certificate."""

from __future__ import annotations

from ..node import layout
from ..node.resources import Absent, Directory, File, Resource
from ..pki.kubeconfig import kubeconfig
from .inputs import Inputs
from .step import Step


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the bootstrap kubeconfig, or its absence on a node that has joined."""
    if inputs.joined:
        return (Absent(layout.BOOTSTRAP_KUBECONFIG),)
    content = inputs.issued.bootstrap_kubeconfig
    return (
        Directory("/etc/kubernetes"),
        File(layout.BOOTSTRAP_KUBECONFIG, content, 0o600, secret=True, ephemeral=True),
    )


def content(inputs: Inputs, token: str) -> bytes:
    """
    Return the bootstrap kubeconfig with this token (`<id>.<secret>`).

    The kubelet takes `server` and CA over into its own kubeconfig, which nobody writes again: the
    CA is named as a file, so that the file can be changed when the CA is.
    """
    return kubeconfig(
        cluster=inputs.config.cluster.name,
        server=inputs.config.cluster.server,
        server_name=inputs.config.cluster.server_name,
        ca=layout.CA,
        user="kubelet-bootstrap",
        credentials={"token": token},
    )


STEP = Step("bootstrap-kubeconfig", "Issue a bootstrap token for the node.", desired=desired)
