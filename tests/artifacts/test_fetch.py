"""`inv binaries.fetch` from a server: everything in its place, or a sentence and exit code."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from invoke.context import Context
from invoke.exceptions import Exit

from fabnode.artifacts import cni_manifest, digests, upstreams
from fabnode.artifacts.download import Digest
from fabnode.config.loader import load
from fabnode.tasks import binaries_fetch
from tests.support import write_cluster

from . import server as lies
from .server import Server, serving

ETCD = {
    "datastore": "etcd",
    "etcd": {"endpoints": ["https://192.0.2.1:2379"], "ca": "a", "cert": "b", "key": "c"},
}
PROGRAMS = ("kubelet", "kube-proxy", "kubectl")
CNI = "/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz"
CONTAINERD = "/v2.4.2/containerd-2.4.2-linux-amd64.tar.gz"
KUBELET = "/release/v1.37.2/bin/linux/amd64/kubelet"


def archive(members: Mapping[str, bytes], mode: int = 0o755) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    """Everything that a node of the example is made of."""
    with serving() as it:
        for name in PROGRAMS:
            it.files[f"/release/v1.37.2/bin/linux/amd64/{name}"] = name.encode()
        names = ("containerd", "containerd-shim-runc-v2", "ctr", "containerd-stress")
        it.files[CONTAINERD] = archive({f"bin/{name}": name.encode() for name in names})
        it.files["/v1.5.2/runc.amd64"] = b"runc"
        it.files[CNI] = archive({"./loopback": b"loopback", "./portmap": b"portmap"})
        it.files["/v1.37.0/crictl-v1.37.0-linux-amd64.tar.gz"] = archive({"crictl": b"crictl"})
        yield it


@pytest.fixture
def config(tmp_path: Path, server: Server) -> Path:
    """Everything from that server, its digests given: it speaks plain http."""
    sums = {
        path.lstrip("/"): hashlib.sha256(content).hexdigest()
        for path, content in server.files.items()
    }
    places = ("kubernetes", "containerd", "runc", "cni_plugins", "crictl")
    mirrors = dict.fromkeys(places, server.url)
    return write_cluster(tmp_path, artifacts={"mirrors": mirrors, "sums": sums})


Inv = Callable[..., str]


@pytest.fixture
def inv(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inv:
    """Run the task as `inv` does, insist on its exit code and return what it says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(config.parent / "cache"))

    def run(*, code: int = 0, **options: object) -> str:
        printed, ended = "", 0
        try:
            binaries_fetch(Context(), config=str(config), **options)
        except Exit as stop:
            printed, ended = str(stop), stop.code
        shown = capsys.readouterr()
        printed += shown.out + shown.err
        assert ended == code, printed
        return printed

    return run


def files(config: Path) -> dict[str, bytes]:
    base = config.parent / "artifacts"
    found = sorted(path for path in base.rglob("*") if path.is_file()) if base.exists() else []
    return {str(path.relative_to(base)): path.read_bytes() for path in found}


def test_everything_is_fetched_and_only_once(inv: Inv, config: Path, server: Server) -> None:
    inv()
    assert files(config) == {
        **{f"bin/amd64/{n}": n.encode() for n in PROGRAMS},
        **{f"bin/amd64/{n}": n.encode() for n in ("containerd", "containerd-shim-runc-v2")},
        **{f"bin/amd64/{n}": n.encode() for n in ("ctr", "runc", "crictl")},
        **{f"cni/amd64/{n}": n.encode() for n in ("loopback", "portmap")},
    }
    assert all(p.stat().st_mode & 0o777 == 0o755 for p in config.parent.glob("artifacts/*/*/*"))
    server.seen.clear()
    assert "is up to date" in inv()
    assert server.seen == []
    (config.parent / "artifacts/bin/amd64/runc").write_bytes(b"spoilt")
    inv()
    assert files(config)["bin/amd64/runc"] == b"runc"
    assert server.seen == []


def test_a_dry_run_fetches_nothing(inv: Inv, config: Path, server: Server) -> None:
    printed = inv(dry_run=True)
    assert f"{server.url}{KUBELET} would be fetched" in printed
    assert "not fetched: calico.manifest: " in printed
    assert files(config) == {}
    assert server.seen == []


def test_downloads_need_neither_the_ca_nor_credentials(inv: Inv, config: Path) -> None:
    for name in ("ca.pem", "admin.kubeconfig"):
        (config.parent / name).unlink()
    inv()
    assert files(config)["bin/amd64/runc"] == b"runc"


@pytest.mark.parametrize(
    ("calico", "published"),
    [
        ({"version": "3.28.5"}, "calico/v3.28.5/manifests/calico.yaml"),
        ({"version": "3.28.5", **ETCD}, "calico/v3.28.5/manifests/calico-etcd.yaml"),
        ({"version": "3.22.1"}, ""),
        ({"enabled": False}, None),
    ],
)
def test_a_missing_manifest_is_named_with_the_place_where_it_is_published(
    config: Path, calico: dict[str, object], published: str | None
) -> None:
    document = yaml.safe_load(config.read_text())
    document["cluster"]["version"] = "1.24.0"
    document["calico"] = calico | {"allow_untested": True}
    config.write_text(yaml.safe_dump(document))
    loaded = load(config, access=False)
    place = config.parent / "artifacts/calico.yaml"
    made = f"; its makers publish it at https://raw.githubusercontent.com/projectcalico/{published}"
    line = f"calico.manifest: {place}{made if published else ''}"
    assert cni_manifest.absent(loaded) == ("" if published is None else line)
    place.parent.mkdir()
    place.touch()
    assert cni_manifest.absent(loaded) == ""


def test_a_wrong_file_stops_with_its_url(inv: Inv, config: Path, server: Server) -> None:
    server.lies[KUBELET] = [lies.other]
    printed = inv(code=1)
    assert f"{server.url}{KUBELET}: its sha256 is " in printed
    assert "next: check the URL" in printed
    assert "bin/amd64/kubelet" not in files(config)
    inv()
    assert files(config)["bin/amd64/kubelet"] == b"kubelet"


def test_what_is_not_there_is_reported_with_its_url(inv: Inv, config: Path, server: Server) -> None:
    del server.files[CNI]
    assert f"{server.url}{CNI}: HTTP 404" in inv(code=1)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"no archive", "it is not an archive"),
        (archive({"bin/ctr": b"ctr"}), "it has no containerd, containerd-shim-runc-v2"),
    ],
    ids=["no archive", "ctr alone"],
)
def test_an_archive_without_what_is_needed_is_refused(
    inv: Inv, config: Path, server: Server, content: bytes, cause: str
) -> None:
    server.files[CONTAINERD] = content
    document = yaml.safe_load(config.read_text())
    document["artifacts"]["sums"][CONTAINERD.lstrip("/")] = hashlib.sha256(content).hexdigest()
    config.write_text(yaml.safe_dump(document))
    assert f"{server.url}{CONTAINERD}: {cause}" in inv(code=1)


def test_an_archive_writes_nowhere_else(inv: Inv, config: Path, server: Server) -> None:
    """Only base names of regular files count, whatever paths the archive holds."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, kind in (("../../escaped", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname = kind, 0o755, "/etc/passwd"
            tar.addfile(info)
    server.files[CNI] = made.getvalue()
    document = yaml.safe_load(config.read_text())
    document["artifacts"]["sums"][CNI.lstrip("/")] = hashlib.sha256(made.getvalue()).hexdigest()
    config.write_text(yaml.safe_dump(document))
    inv()
    assert not [p for p in config.parent.rglob("escaped") if p.parent.name != "amd64"]
    assert not (config.parent / "artifacts/cni/amd64/link").exists()


def test_an_unknown_architecture_is_bad_input(inv: Inv) -> None:
    assert "must be amd64 or arm64, got s390x" in inv(arch="s390x", code=2)


def without_sums(config: Path) -> None:
    document = yaml.safe_load(config.read_text())
    document["artifacts"]["sums"] = {}
    config.write_text(yaml.safe_dump(document))


@pytest.fixture
def official(server: Server, config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The official places, with the right checksums; the other server is a mirror of theirs."""
    without_sums(config)
    with serving() as it:
        for path, content in [*server.files.items()]:
            sums = f"{hashlib.sha256(content).hexdigest()}  {path.rpartition('/')[2]}\n"
            for place in (it, server):
                for end in (".sha256", ".sha256sum"):
                    place.files[path + end] = sums.encode()
                place.files["/v1.5.2/runc.sha256sum"] = (
                    f"{hashlib.sha256(b'runc').hexdigest()} *runc.amd64\n".encode()
                )
        monkeypatch.setattr(digests, "known", lambda *_: None)
        for name in upstreams.OFFICIAL:
            monkeypatch.setitem(upstreams.OFFICIAL, name, it.url)
        yield it


def lie_consistently(server: Server) -> None:
    """Serve another kubelet, and the checksum of that."""
    server.files[KUBELET] = b"not the kubelet"
    server.files[f"{KUBELET}.sha256"] = hashlib.sha256(b"not the kubelet").hexdigest().encode()


def test_checksums_of_a_mirrors_files_come_from_the_official_place(
    inv: Inv, config: Path, server: Server, official: Server
) -> None:
    lie_consistently(server)
    assert f"{server.url}{KUBELET}: its sha256 is " in inv(code=1)
    assert "bin/amd64/kubelet" not in files(config)
    assert f"{KUBELET}.sha256" in {path for path, _ in official.seen}
    assert f"{KUBELET}.sha256" not in {path for path, _ in server.seen}
    server.files[KUBELET] = b"kubelet"
    inv()
    assert files(config)["bin/amd64/kubelet"] == b"kubelet"


def test_a_mirror_alone_is_refused_with_what_to_give(
    inv: Inv, config: Path, server: Server, official: Server
) -> None:
    official.server_close()
    printed = inv(code=2)
    assert "a mirror can't vouch for itself" in printed
    for key in ("amd64/kubelet", "amd64/kube-proxy", "v1.5.2/runc.amd64", CNI.lstrip("/")):
        assert f"set the digest as artifacts.sums: {{{key}: …}}" in printed
    assert server.seen == []
    assert files(config) == {}


def ship(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()

    def known(part: str, release: str, arch: str) -> Digest | None:
        wanted = ("kubelet", "1.37.2", "amd64")
        return Digest("sha256", digest) if (part, release, arch) == wanted else None

    monkeypatch.setattr(digests, "known", known)


def test_a_digest_that_came_with_fabnode_wins(
    inv: Inv, config: Path, server: Server, official: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(monkeypatch, b"kubelet")
    server.files[KUBELET] = b"not the kubelet"
    for place in (server, official):
        del place.files[f"{KUBELET}.sha256"]
    assert f"{server.url}{KUBELET}: its sha256 is " in inv(code=1)
    server.files[KUBELET] = b"kubelet"
    inv()
    assert files(config)["bin/amd64/kubelet"] == b"kubelet"


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_server_that_contradicts_it_is_named_with_both(
    inv: Inv,
    config: Path,
    server: Server,
    official: Server,
    monkeypatch: pytest.MonkeyPatch,
    mirrored: bool,
) -> None:
    ship(monkeypatch, b"kubelet")
    if not mirrored:
        document = yaml.safe_load(config.read_text())
        document["artifacts"]["mirrors"] = {}
        config.write_text(yaml.safe_dump(document))
    place = server if mirrored else official
    lie_consistently(place)
    printed = inv(code=1)
    assert f"{place.url}{KUBELET}.sha256 has sha256 " in printed
    for content in (b"kubelet", b"not the kubelet"):
        assert hashlib.sha256(content).hexdigest() in printed
    assert "config/digests.yml" in printed
    assert "artifacts.sums: {amd64/kubelet: …}" in printed


def test_what_was_fetched_before_is_hashed_before_it_is_used(inv: Inv, config: Path) -> None:
    inv()
    digest = hashlib.sha256(b"kubelet").hexdigest()
    (held,) = (config.parent / "cache").rglob(f"sha256-{digest}")
    held.write_bytes(b"damaged")
    inv()
    assert held.read_bytes() == b"kubelet"
    assert files(config)["bin/amd64/kubelet"] == b"kubelet"
