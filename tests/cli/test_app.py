"""Facts of a host as JSON, which `fab facts` prints."""

from __future__ import annotations

import json

from fabnode.cli import app
from fabnode.node.facts import Facts, PathFact
from fabnode.pki.certificates import CertificateFile
from tests.support import authority, pem


def test_facts_with_certificates_are_json() -> None:
    text = pem(authority()[0]).decode()
    facts = Facts(
        known=True,
        paths={"/etc/a": PathFact("file")},
        tools=frozenset({"nft", "ip"}),
        certificates={"/etc/ca.pem": CertificateFile.of(text), "/etc/x": CertificateFile.of("x")},
    )
    document = json.loads(json.dumps(app.plain(facts)))
    assert document["certificates"] == {"/etc/ca.pem": text, "/etc/x": "x"}
    assert document["tools"] == ["ip", "nft"]
    assert document["paths"]["/etc/a"]["kind"] == "file"
