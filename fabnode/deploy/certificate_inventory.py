"""Rows of `inv certs`: certificates of the cluster's CAs, its apiserver and its nodes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..kube.tls_peer import presented
from ..pki.inventory import CertificateRow, absent, authorities, row
from ..remote.key_pairs import read_pairs
from ..steps.checks.node_certificates import (
    SERVING_TITLE,
    certificate_paths,
    serving_addresses,
)
from ..util.families import in_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.configuration import Config
    from ..node.facts import Facts
    from .node_deployer import NodeDeployer


def cluster_certificates(config: Config, now: datetime) -> list[CertificateRow]:
    """Return a row for each CA, and for whatever certificate each apiserver shows."""
    rows = authorities(str(config.cluster.ca), config.ca_pem, now)
    for host, port in config.cluster.endpoints:
        where = f"{in_url(host)}:{port}"
        try:
            pem = presented(host, port)
        except OSError as error:
            fault = f"{where} can't be reached: {error}"
            rows.append(CertificateRow("cluster", "apiserver", "", "", "", None, (fault,)))
        else:
            rows.append(row("cluster", "apiserver", where, pem, ca_pem=config.ca_pem, now=now))
    return rows


def certificates_seen(config: Config, facts: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Return what a report shows of the certificates of the cluster and of these nodes."""
    now = datetime.now(UTC)
    rows = cluster_certificates(config, now)
    for name, seen in facts.items():
        paths = certificate_paths(config.node(name))
        rows += [
            row(name, title, path, held, ca_pem=config.ca_pem, now=now)
            for title, path in paths.items()
            if (held := seen.certificate(path)).pem
        ]
    return certificates_json(rows)


def node_certificates(now: datetime, deployer: NodeDeployer) -> list[CertificateRow]:
    """
    Return a row for each certificate that a node has, or lacks.

    :raises HostError: the node can't be asked.
    """
    ca_pem = deployer.config.ca_pem
    paths = certificate_paths(deployer.node)
    pairs = read_pairs(deployer.host, paths.values())
    return [
        row(
            deployer.node.name,
            title,
            path,
            pair.certificates,
            ca_pem=ca_pem,
            now=now,
            mode=pair.mode,
            public_key=pair.public_key,
            names=(serving_addresses(deployer.node, None) if title == SERVING_TITLE else ()),
        )
        if (pair := pairs.get(path))
        else absent(deployer.node.name, title, path)
        for title, path in paths.items()
    ]


def certificates_json(rows: Sequence[CertificateRow]) -> list[dict[str, Any]]:
    """Return rows as an event's data holds them."""
    return [
        {"where": r.where, "name": r.name, "subject": r.subject, "issuer": r.issuer, "ends": r.ends}
        for r in rows
        if r.ends
    ]
