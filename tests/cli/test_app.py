"""Facts of a host as JSON, which `fab facts` prints."""

from __future__ import annotations

import json
from typing import get_type_hints

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.cli import app
from fabnode.node.facts import Facts, PathFact
from fabnode.pki.certificates import CertificateFile
from tests.support import authority, pem

# Of every type that facts have, present and future.
facts_of_any_kind = st.builds(
    Facts,
    **{
        name: st.from_type(hint)
        for name, hint in get_type_hints(Facts).items()
        if name != "certificates"
    },
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(facts_of_any_kind)
def test_all_that_facts_hold_is_json(facts: Facts) -> None:
    assert json.loads(json.dumps(app.plain(facts))).keys() == get_type_hints(Facts).keys()


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
