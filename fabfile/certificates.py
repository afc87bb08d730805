"""Every certificate of nodes and apiserver: collected here, judged by trust.inventory."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from . import pipeline
from .host.pairs import read_pairs
from .sides.verification import cluster_certificates
from .steps.verify import certificate_paths
from .trust.inventory import CertificateRow, absent, row

if TYPE_CHECKING:
    from .pipeline import Run
    from .sides.node import NodeSide


def collect(run: Run) -> list[CertificateRow]:
    """Return a row for each certificate; a node that can't be asked has one that says so."""
    now = datetime.now(UTC)
    rows = cluster_certificates(run.cluster, now)
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
