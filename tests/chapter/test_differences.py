"""
What fabnode renders for 1.8.4 with docker, held against the chapter it grew from, item by item.

The chapter's documents lie beside this test, as it prints them. Whatever differs is a row of
`docs/differences.md` with both values and the reason, and nothing else is: neither the rendering
nor that page can change without the other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.node import layout
from fabnode.node.facts import Facts
from fabnode.node.resources import File
from fabnode.pki import proxy_names
from fabnode.pki.certificates import new_request
from fabnode.steps import bootstrap_kubeconfig, kubelet, proxy, proxy_cert
from tests.steps.support import make_inputs
from tests.support import make_config

if TYPE_CHECKING:
    from fabnode.steps.inputs import Inputs

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "differences.md"
TOKEN = "d3b07384d113edec49eaa6238ad5ff00"  # its form is the chapter's: any text
VARIABLES = {
    "bin_dir": "/usr/local/bin",
    "ca_dir": "/etc/kubernetes/ssl",
    "NODE_IP": "192.168.1.42",
    "CLUSTER_DNS_SVC_IP": "10.68.0.2",
    "CLUSTER_DNS_DOMAIN": "cluster.local",
    "KUBE_APISERVER": "https://192.168.1.41:6443",
    "BOOTSTRAP_TOKEN": TOKEN,
}
NONE = "–"
Items = dict[str, str]


@dataclass(frozen=True)
class Row:
    """A row of the page."""

    chapter: str
    fabnode: str
    why: str


def configured() -> Inputs:
    """Return the chapter's node, by fabnode's configuration."""
    config = make_config(
        cluster={"version": "1.8.4", "apiserver": VARIABLES["KUBE_APISERVER"]},
        runtime={"name": "docker", "sandbox_image": "mirrorgooglecontainers/pause-amd64:3.0"},
        kubelet={"fail_swap_on": False},
        kube_proxy={"subject": {"country": "CN", "state": "HangZhou", "locality": "XS"}},
        calico={"version": "2.6.2"},
        nodes=[{"name": VARIABLES["NODE_IP"], "address": VARIABLES["NODE_IP"]}],
    )
    return make_inputs(config, Facts(known=True, cgroup=1))


# --- the chapter's --------------------------------------------------------------------------------


def printed(name: str) -> str:
    text = (HERE / name).read_text()
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: VARIABLES[found[1]], text)


def rendered(inputs: Inputs, path: str) -> str:
    steps = (kubelet, proxy)
    (file,) = [
        r for s in steps for r in s.desired(inputs) if isinstance(r, File) and r.path == path
    ]
    return (file.content or b"").decode()


def unit(text: str) -> Items:
    """Return a unit's settings, and the flags of what it runs; repeated ones are numbered."""
    items: Items = {}
    joined = text.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if "=" in line and line[0] not in "#;["]
    keys = [line.partition("=")[0] for line in lines]
    for number, line in enumerate(lines):
        key, _, value = line.partition("=")
        if keys.count(key) > 1:
            key = f"{key} {keys[:number].count(key) + 1}"
        if key == "ExecStart":
            program, *words = value.split()
            items["ExecStart"] = program
            items |= flags(words)
        else:
            items[key] = value
    return items


def flags(words: list[str]) -> Items:
    found: Items = {}
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            found[name] = value
        else:  # `--flag value`
            found[name] = word
    return found


def kubeconfig(text: str) -> Items:
    document = yaml.safe_load(text)
    items = {"current-context": document["current-context"]}
    for kind in ("cluster", "user", "context"):
        for entry in document[f"{kind}s"]:
            items[f"{kind} name"] = entry["name"]
            items |= {f"{kind} {key}": str(value) for key, value in entry[kind].items()}
    embedded = {
        "cluster certificate-authority-data": "the CA",
        "user client-certificate-data": "the certificate",
        "user client-key-data": "the key",
    }
    return items | {key: f"({what}, embedded)" for key, what in embedded.items() if key in items}


def asked(text: str) -> Items:
    """Return what a signing request of cfssl's form asks for."""
    document = json.loads(text)
    (names,) = document["names"]
    return {
        "CN": document["CN"],
        "hosts": ", ".join(document["hosts"]) or "none",
        "key": f"{document['key']['algo']} {document['key']['size']}",
        **names,
    }


def requested(inputs: Inputs) -> Items:
    """Return what fabnode's own request for a kube-proxy asks for."""
    made = new_request(proxy_names.own(inputs.node.name), proxy_cert.subject(inputs.node))
    request = x509.load_pem_x509_csr(made.request_pem)
    key: Any = request.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    names = {
        "CN": NameOID.COMMON_NAME,
        "C": NameOID.COUNTRY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "L": NameOID.LOCALITY_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    }
    return {
        "hosts": "none" if not list(request.extensions) else "some",
        "key": f"ecdsa {key.key_size}",
        **{
            short: str(request.subject.get_attributes_for_oid(oid)[0].value)
            for short, oid in names.items()
        },
    }


def both(document: str) -> tuple[Items, Items]:
    """Return the items of one document: the chapter's, and fabnode's."""
    inputs = configured()
    match document:
        case "kubelet.service":
            return unit(printed(document)), unit(rendered(inputs, layout.KUBELET_UNIT))
        case "kube-proxy.service":
            return unit(printed(document)), unit(rendered(inputs, layout.PROXY_UNIT))
        case "bootstrap.kubeconfig":
            content = bootstrap_kubeconfig.content(inputs, TOKEN).decode()
            return kubeconfig(printed(document)), kubeconfig(content)
        case "kube-proxy.kubeconfig":
            content = rendered(inputs, layout.PROXY_KUBECONFIG)
            return kubeconfig(printed(document)), kubeconfig(content)
        case _:
            return asked(printed(document)), requested(inputs)


DOCUMENTS = (
    "kubelet.service",
    "kube-proxy.service",
    "bootstrap.kubeconfig",
    "kube-proxy.kubeconfig",
    "kube-proxy-csr.json",
)


# --- the page -------------------------------------------------------------------------------------


def page(document: str) -> dict[str, Row]:
    """Return the rows that the page has for a document, by item."""
    text = PAGE.read_text()
    assert f"\n## {document}\n" in text, f"docs/differences.md has no section {document}"
    section = text.split(f"\n## {document}\n")[1].split("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        cells = [cell.replace("\\|", "|") for cell in cells]
        if line.startswith("| `") and len(cells) == 4:
            item, chapter, fabnode, why = cells
            rows[item.strip("`")] = Row(chapter.strip("`"), fabnode.strip("`"), why)
        else:
            assert not line.startswith("| `"), f"not four cells: {line}"
    return rows


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_differs_from_the_chapter_is_listed_and_nothing_else_is(document: str) -> None:
    chapter, fabnode = both(document)
    differs = {
        item: (chapter.get(item, NONE), fabnode.get(item, NONE))
        for item in {**chapter, **fabnode}
        if chapter.get(item) != fabnode.get(item)
    }
    listed = {item: (row.chapter, row.fabnode) for item, row in page(document).items()}
    assert listed == differs


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_difference_has_a_reason(document: str) -> None:
    for item, row in page(document).items():
        assert len(row.why.split()) >= 4, item


@pytest.mark.parametrize(
    ("document", "items"),
    [
        (
            "kubelet.service",
            {"--address", "--hostname-override", "--pod-infra-container-image", "--kubeconfig"}
            | {"--network-plugin", "--cni-conf-dir", "--cluster-dns", "--cluster-domain"}
            | {"--hairpin-mode", "--allow-privileged", "--fail-swap-on", "--v"},
        ),
        ("kube-proxy.service", {"--bind-address", "--hostname-override", "--kubeconfig", "--v"}),
        ("bootstrap.kubeconfig", {"user token", "cluster server", "user name", "context name"}),
        ("kube-proxy.kubeconfig", {"cluster server", "user name", "current-context"}),
        ("kube-proxy-csr.json", {"hosts", "C", "ST", "L", "O", "OU"}),
    ],
)
def test_what_the_chapter_is_about_is_the_same(document: str, items: set[str]) -> None:
    chapter, fabnode = both(document)
    assert items <= chapter.keys()
    for item in items:
        assert chapter[item] == fabnode[item], item
