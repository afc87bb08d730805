"""How parts get to hosts: from a bundle, by the hosts' own fetching, from a private registry."""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import ipaddress
import json
import ssl
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.versions import KUBERNETES

from .harness import eventually
from .test_changes import changes

if TYPE_CHECKING:
    from .harness import Lab

KUBE_PROXY = "/usr/local/bin/kube-proxy"
SPOIL = f"cp {KUBE_PROXY} /root/spoilt && echo x >>/root/spoilt && mv /root/spoilt {KUBE_PROXY}"
BUSYBOX = "docker.io/library/busybox:1.35.0"
USER, PASSWORD = "puller", "not-to-be-seen-anywhere"


def digest(lab: Lab, host: str) -> str:
    return lab.on(host, f"sha256sum {KUBE_PROXY}").split()[0]


def ours(lab: Lab) -> str:
    return hashlib.sha256((lab.layout.artifacts / "bin/kube-proxy").read_bytes()).hexdigest()


# --- one file for a site without internet ----------------------------------------------------


def test_a_bundle_is_all_that_a_deployment_needs(cluster: Lab) -> None:
    settings = yaml.safe_load(cluster.layout.configuration.read_text())["artifacts"]
    few = [path for path in settings["images"] if "pause" in path]
    bundle, cache = cluster.scratch / "site.tar.zst", cluster.scratch / "site-cache"
    cluster.inv("bundle", "--out", str(bundle), config=cluster.config(artifacts={"images": few}))
    nowhere = cluster.config(
        artifacts={"binaries": "/nowhere", "cni_plugins": "/nowhere", "images": ["/nowhere"]},
        calico={"manifest": "/nowhere"},
    )
    cluster.inv("plan", "--limit", "n1", code=2, config=nowhere)
    own = {"XDG_CACHE_HOME": str(cache)}
    words = ("plan", "--limit", "n1", "--json", "--bundle", str(bundle))
    planned = changes(cluster.begin(*words, config=nowhere, **own).wait().expect(0).document)
    # What it holds is as it should be; images that it lacks need not stay for ever.
    assert {action for action, _ in planned["n1"]} == {"unpin"}
    cluster.disturb("n1", SPOIL)
    words = ("deploy-nodes", "--limit", "n1", "--json", "--bundle", str(bundle))
    done = cluster.begin(*words, config=nowhere, **own).wait().expect(0)
    assert done.results == {"n1": "changed"}
    assert digest(cluster, "n1") == ours(cluster)
    bundle.unlink()


def test_a_bundle_that_was_tampered_with_is_refused(cluster: Lab) -> None:
    bundle = cluster.scratch / "bad.tar.zst"
    bundle.write_bytes(b"not what it was")
    printed = cluster.inv("deploy-nodes", "--bundle", str(bundle), code=2).text
    assert f"{bundle}: it is not a bundle" in printed


def test_a_host_of_another_architecture_is_stopped_before_anything_is_done(cluster: Lab) -> None:
    """It says what would get its programs."""
    folder = cluster.scratch / "other"
    folder.mkdir()
    here = (cluster.layout.artifacts / "bin/kubelet").read_bytes()[18]
    other = {62: 183, 183: 62}[here]
    for path in (cluster.layout.artifacts / "bin").iterdir():
        head = b"\x7fELF\x02\x01" + bytes(12) + other.to_bytes(2, "little")
        (folder / path.name).write_bytes(head + f"v{KUBERNETES}".encode())
    config = cluster.config(artifacts={"binaries": str(folder)})
    done = cluster.deploy("--limit", "n1", code=1, config=config)
    assert "artifacts.binaries has no programs for it" in done.text
    assert "inv binaries.fetch --arch" in done.text
    assert digest(cluster, "n1") == ours(cluster)


# --- fetched by the hosts --------------------------------------------------------------------


class Files(SimpleHTTPRequestHandler):
    """Serves a folder and notes who asked."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        self.server.seen.append((self.client_address[0], self.path))  # type: ignore[attr-defined]


@contextmanager
def serving(
    lab: Lab, handler: Callable[..., Any], tls: ssl.SSLContext | None = None
) -> Iterator[Any]:
    """Serve on the machine's address on the lab's bridge, where hosts reach it."""
    server = ThreadingHTTPServer((str(lab.layout.gateway), 0), handler)
    server.seen = []  # type: ignore[attr-defined]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_hosts_fetch_artifacts_and_trust_only_the_sum(cluster: Lab, tmp_path: Path) -> None:
    folder = cluster.scratch / "served"
    cluster.inv("binaries.publish", "--out", str(folder))
    wanted = ours(cluster)
    tls = private_ca(tmp_path, str(cluster.layout.gateway))
    with serving(cluster, partial(Files, directory=str(folder)), tls) as server:
        url = f"https://{cluster.layout.gateway}:{server.server_port}"
        pull = {"distribution": "pull", "url": url, "url_ca": str(tmp_path / "ca.pem")}
        config = cluster.config(artifacts=pull)
        cluster.inv("plan", "--limit", "n1", "--exit-code", config=config)

        (folder / wanted).write_bytes(b"something else")
        cluster.disturb("n1", SPOIL)
        spoilt = digest(cluster, "n1")
        done = cluster.deploy("--limit", "n1", code=1, config=config)
        error = done.rows["n1"]["cause"]
        assert f"{url}/{wanted}: its sha256 is " in error
        assert digest(cluster, "n1") == spoilt
        assert cluster.on("n1", "ls -a /usr/local/bin | grep fabnode", code=None) == ""

        (folder / wanted).unlink()
        done = cluster.deploy("--limit", "n1", code=1, config=config)
        assert f"{url}/{wanted}: " in done.rows["n1"]["cause"]
        assert "404" in done.rows["n1"]["cause"]

        cluster.inv("binaries.publish", "--out", str(folder))
        server.seen.clear()
        cluster.disturb(
            "n1", f"rm {KUBE_PROXY}; ctr -n k8s.io images rm docker.io/library/busybox:1.35.0"
        )
        done = cluster.deploy("--limit", "n1", config=config)
        assert done.results == {"n1": "changed"}
        assert digest(cluster, "n1") == wanted
        assert BUSYBOX in cluster.on("n1", "ctr -n k8s.io images ls -q")
        who = {(host, path.strip("/")) for host, path in server.seen}
        address = str(cluster.layout.host("n1").address)
        assert (address, wanted) in who
        assert {asked for asked, _ in who} == {address}
    for path in folder.iterdir():
        path.unlink()


# --- a private registry ----------------------------------------------------------------------


@dataclass
class Image:
    """One image as a registry holds it."""

    manifest: bytes
    kind: str
    blobs: dict[str, bytes] = field(default_factory=dict)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image_from(archive: Path) -> Image:
    """Return the image of a docker-archive, as OCI has it."""
    with tarfile.open(archive) as tar:

        def content(name: str) -> bytes:
            member = tar.extractfile(name)
            assert member
            return member.read()

        (reported,) = json.loads(content("manifest.json"))
        config, layers = content(reported["Config"]), [content(name) for name in reported["Layers"]]
    # Another image than the archive's own: a kubelet that has pulled one with credentials asks for
    # them again before it runs what has the same digest.
    config = json.dumps(json.loads(config) | {"author": "a private registry"}).encode()
    kind = "application/vnd.oci.image"
    packed = [gzip.compress(layer, 1) for layer in layers]

    def described(suffix: str, blob: bytes) -> dict[str, Any]:
        return {"mediaType": f"{kind}.{suffix}", "digest": sha256(blob), "size": len(blob)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": described("config.v1+json", config),
        "layers": [described("layer.v1.tar+gzip", layer) for layer in packed],
    }
    blobs = {sha256(blob): blob for blob in (config, *packed)}
    return Image(json.dumps(manifest).encode(), f"{kind}.manifest.v1+json", blobs)


class Registry(BaseHTTPRequestHandler):
    """Registry API v2, reading only, for who has the password."""

    protocol_version = "HTTP/1.1"

    def __init__(self, image: Image, *args: Any) -> None:
        self.image = image
        super().__init__(*args)

    def do_GET(self) -> None:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        allowed = self.headers.get("Authorization") == f"Basic {basic}"
        self.server.seen.append((self.client_address[0], self.path, allowed))  # type: ignore[attr-defined]
        last = self.path.partition("?")[0].rpartition("/")[2]
        if not allowed:
            self.answer(401, b"", "text/plain", **{"WWW-Authenticate": 'Basic realm="lab"'})
        elif self.path == "/v2/":
            self.answer(200, b"{}", "application/json")
        elif "/manifests/" in self.path:
            self.answer(200, self.image.manifest, self.image.kind)
        elif last in self.image.blobs:
            self.answer(200, self.image.blobs[last], "application/octet-stream")
        else:
            self.answer(404, b"", "text/plain")

    do_HEAD = do_GET  # noqa: N815 - the base class calls it so

    def answer(self, code: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", sha256(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        pass


def private_ca(folder: Path, address: str) -> ssl.SSLContext:
    """Make a CA nobody knows (`ca.pem`) and return a server's side proved by it."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def issued(subject: str, key: Any, extension: x509.ExtensionType) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("registry-ca"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(extension, critical=False)
            .sign(keys[0], hashes.SHA256())
        )

    ca = issued("registry-ca", keys[0], x509.BasicConstraints(ca=True, path_length=None))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = issued("registry", keys[1], names)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    pem = certificate.public_bytes(serialization.Encoding.PEM) + keys[1].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "registry.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "registry.pem")
    return context


def registries(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(config.read_text())["images"]["registries"]
    return found


@pytest.fixture
def private(cluster: Lab, tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """A registry with a private CA and a password, and a configuration that knows it."""
    settings = yaml.safe_load(cluster.layout.configuration.read_text())["artifacts"]
    (archive,) = (Path(path) for path in settings["images"] if "busybox" in path)
    tls = private_ca(tmp_path, str(cluster.layout.gateway))
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    with serving(cluster, partial(Registry, image_from(archive)), tls) as server:
        name = f"{cluster.layout.gateway}:{server.server_port}"
        keys = {"username": USER, "password": {"file": str(password)}}
        known = {
            "docker.io": {"mirrors": [f"https://{name}"]},
            name: {"ca": str(tmp_path / "ca.pem"), **keys},
        }
        yield server, cluster.config(images={"registries": known})
    cluster.disturb("n1", "rm -rf /etc/containerd/certs.d/*")
    cluster.kubectl("delete", "pod", "private", "--ignore-not-found", "--wait=false")


def test_a_pod_pulls_through_a_private_mirror(cluster: Lab, private: tuple[Any, Path]) -> None:
    """Its image is nowhere else: only with the CA and the password can it have come."""
    server, config = private
    plan = cluster.inv("plan", "--json", "--limit", "n1", config=config)
    files = [name for _, name in changes(plan.document)["n1"] if name.endswith("hosts.toml")]
    assert len(files) == 2
    starts = cluster.starts()
    done = cluster.deploy("--limit", "n1", config=config)
    assert cluster.restarted(starts) == set(), "containerd reads it at every pull"
    modes = cluster.on("n1", f"stat -c %a {' '.join(files)}").split()
    assert modes == ["600", "600"]
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    journal = "".join(p.read_text() for p in done.state.rglob("*") if p.is_file())
    for text in (plan.text, done.text, journal):
        assert PASSWORD not in text
        assert encoded not in text
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "private"},
        "spec": {
            "nodeName": "n1",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "it",
                    "image": "docker.io/library/private:1",
                    "imagePullPolicy": "Always",
                    "command": ["sh", "-c", "echo pulled"],
                }
            ],
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

    def finished() -> bool:
        phase = cluster.kubectl("get", "pod", "private", "-o", "jsonpath={.status.phase}")
        assert phase == "Succeeded", cluster.kubectl("get", "events", "-o", "wide")
        return True

    eventually(finished, 240)
    assert cluster.kubectl("logs", "private").strip() == "pulled"
    address = str(cluster.layout.host("n1").address)
    assert {(who, allowed) for who, _, allowed in server.seen} == {(address, True)}

    gone = cluster.config(images={"registries": dict.fromkeys(registries(config))})
    cluster.deploy("--limit", "n1", config=gone)
    assert cluster.on("n1", "find /etc/containerd/certs.d -type f") == ""
