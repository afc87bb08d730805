"""Every certificate of nodes and apiserver: collected here, judged by trust.inventory."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import pipeline
from .host.pairs import read_pairs
from .steps.verify import certificate_paths
from .trust.inventory import CertificateRow, absent, row

if TYPE_CHECKING:
    from .model.config import Cluster
    from .node_side import NodeSide
    from .pipeline import Run

_TIMEOUT = 10.0


def collect(run: Run) -> list[CertificateRow]:
    """Return a row for each certificate; a node that can't be asked has one that says so."""
    now = datetime.now(UTC)
    rows = [_apiserver(run.cluster, now)]
    for name, outcome in pipeline.on_nodes(run, partial(_of_node, now)).items():
        if outcome.value is None:
            fault = str(outcome.error or outcome.skipped)
            rows.append(CertificateRow(name, "all", "", "", "", None, (fault,)))
        else:
            rows += outcome.value
    return rows


def _of_node(now: datetime, side: NodeSide) -> list[CertificateRow]:
    ca_pem = side.cluster.ca_pem
    paths = certificate_paths(side.node.kubelet.root)
    pairs = read_pairs(side.host, paths.values())
    return [
        row(
            side.node.name,
            title,
            path,
            pair.certificates,
            ca_pem=ca_pem,
            now=now,
            mode=pair.mode,
            public_key=pair.public_key,
        )
        if (pair := pairs.get(path))
        else absent(side.node.name, title, path)
        for title, path in paths.items()
    ]


def _apiserver(cluster: Cluster, now: datetime) -> CertificateRow:
    """Look at the certificate that the apiserver shows, whatever it is."""
    parts = urlsplit(cluster.cluster.apiserver)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is judged below, not trusted with anything
    try:
        with (
            socket.create_connection((host, port), timeout=_TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            pem = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")
    except OSError as error:
        fault = f"{host}:{port} can't be reached: {error}"
        return CertificateRow("cluster", "apiserver", "", "", "", None, (fault,))
    return row("cluster", "apiserver", f"{host}:{port}", pem, ca_pem=cluster.ca_pem, now=now)
