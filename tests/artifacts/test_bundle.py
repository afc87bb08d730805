"""Bundles: the same bytes for the same files, and nothing believed of one from elsewhere."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.artifacts.bundle import BundleError, Part, unpack, write

FILES = {
    "bin/amd64/kubelet": b"kubelet" * 1000,
    "bin/amd64/runc": b"",
    "cni/loopback": b"loopback",
    "images/000-pause.tar": bytes(512) * 3,
    "calico.yaml": b"kind: ConfigMap\n",
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def parts(folder: Path, files: dict[str, bytes] = FILES) -> dict[str, Part]:
    made = {}
    for number, (name, content) in enumerate(files.items()):
        source = folder / f"source-{number}"
        source.write_bytes(content)
        made[name] = Part(source, sha256(content))
    return made


def packed(members: list[tuple[tarfile.TarInfo, bytes]], end: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return zstandard.ZstdCompressor().compress(out.getvalue() + end)


def index_of(content: dict[str, bytes], **changes: Any) -> bytes:
    entries = {n: {"sha256": sha256(c), "size": len(c)} for n, c in content.items()}
    return json.dumps({"format": 1, "kubernetes": "1.37.2", "files": entries} | changes).encode()


def forged(
    tmp_path: Path,
    members: dict[str, bytes],
    index: bytes,
    change: Callable[[tarfile.TarInfo], object] = lambda _: None,
) -> Path:
    """Return a bundle of these members, whatever its index says of them."""
    infos = [(tarfile.TarInfo("bundle.json"), index)]
    for name, content in members.items():
        info = tarfile.TarInfo(name)
        change(info)
        infos.append((info, content))
    path = tmp_path / "forged.tar.zst"
    path.write_bytes(packed(infos))
    return path


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    out = tmp_path / "site.tar.zst"
    digest = write(out, parts(tmp_path), "1.37.2")
    assert digest == sha256(out.read_bytes())
    found = unpack(out, tmp_path / "cache")
    assert found.kubernetes == "1.37.2"
    assert {n: (found.folder / n).read_bytes() for n in found.files} == FILES
    assert [path.name for path in found.images] == ["000-pause.tar"]
    assert found.path("calico.yaml") == found.folder / "calico.yaml"
    assert found.path("other") is None


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        sources = parts(folder, dict(reversed(FILES.items())) if number else FILES)
        made.append(write(folder / "site.tar.zst", sources, "1.37.2"))
    assert made[0] == made[1]


def test_a_bundle_is_unpacked_once(tmp_path: Path) -> None:
    out = tmp_path / "site.tar.zst"
    write(out, parts(tmp_path), "1.37.2")
    first = unpack(out, tmp_path / "cache")
    mark = (first.folder / "calico.yaml").stat().st_mtime_ns
    assert unpack(out, tmp_path / "cache") == first
    assert (first.folder / "calico.yaml").stat().st_mtime_ns == mark


def test_a_bundle_that_the_disk_has_no_room_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it will take stands in its index; nothing is written before that was compared."""
    out, cache = tmp_path / "site.tar.zst", tmp_path / "cache"
    write(out, parts(tmp_path), "1.37.2")
    size = sum(len(content) for content in FILES.values())
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=size - 1))
    with pytest.raises(BundleError, match="unpacked it takes"):
        unpack(out, cache)
    assert not list(cache.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=size))
    assert unpack(out, cache).kubernetes == "1.37.2"


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("more", [b"", b"x", b"\0" * 3_000_000])
def test_a_bundle_that_was_not_promised_is_not_used(
    tmp_path: Path, unpacked: bool, more: bytes
) -> None:
    """Whatever is appended to it, or was unpacked of it before."""
    out, cache = tmp_path / "site.tar.zst", tmp_path / "cache"
    digest = write(out, parts(tmp_path), "1.37.2")
    if unpacked:
        unpack(out, cache)
    out.write_bytes(out.read_bytes() + more)
    found = hashlib.sha256(out.read_bytes()).hexdigest()
    wrong = digest if more else "a" * 64
    with pytest.raises(BundleError, match=f"its sha256 is {found}, expected {wrong}"):
        unpack(out, cache, wrong)
    if not unpacked:
        assert not cache.exists() or not list(cache.iterdir())
    assert unpack(out, cache, found).kubernetes == "1.37.2"


@pytest.mark.parametrize("damage", [b"kind: Other\n", None])
def test_what_was_unpacked_before_is_used_only_whole(tmp_path: Path, damage: bytes | None) -> None:
    out, cache = tmp_path / "site.tar.zst", tmp_path / "cache"
    write(out, parts(tmp_path), "1.37.2")
    manifest = unpack(out, cache).folder / "calico.yaml"
    before = manifest.read_bytes()
    manifest.unlink() if damage is None else manifest.write_bytes(damage)
    assert unpack(out, cache).folder / "calico.yaml" == manifest
    assert manifest.read_bytes() == before


def test_a_file_that_changes_while_it_is_read_makes_no_bundle(tmp_path: Path) -> None:
    sources = parts(tmp_path)
    sources["calico.yaml"].source.write_bytes(b"kind: Something\n")
    with pytest.raises(BundleError, match="changed while it was read"):
        write(tmp_path / "site.tar.zst", sources, "1.37.2")
    assert not list(tmp_path.glob("*site*"))


NAMES = [
    "../escaped",
    "/etc/cron.d/x",
    "bin/../../escaped",
    "bin/amd64/../../../escaped",
    "images/../x",
    "bin/s390x/kubelet",
    "bin/.hidden",
    "etc/passwd",
    "calico.yaml/x",
    "bin/amd64/a/b",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    """Told in the index or not."""
    reported = forged(tmp_path, {name or "x": b"x"}, index_of({name: b"x"}))
    with pytest.raises(BundleError, match="has entries that no bundle has"):
        unpack(reported, tmp_path / "cache")
    untold = forged(tmp_path, {name or "x": b"x"}, index_of({}))
    with pytest.raises(BundleError, match="differs from bundle"):
        unpack(untold, tmp_path / "cache")
    assert everything(tmp_path) == ["forged.tar.zst"]


def a_link(kind: bytes, target: str) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, target

    return change


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.DIRTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.XHDTYPE,
    ],
)
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    files = {"cni/loopback": b""}
    path = forged(tmp_path, files, index_of(files), a_link(kind, "/etc/passwd"))
    with pytest.raises(BundleError, match="is not a plain file"):
        unpack(path, tmp_path / "cache")
    assert everything(tmp_path) == ["forged.tar.zst"]


@pytest.mark.parametrize(
    ("members", "promised", "cause"),
    [
        ({"cni/a": b"x"}, {"cni/a": b"y"}, "cni/a has another sha256"),
        ({"cni/a": b"xx"}, {"cni/a": b"x"}, "differs from bundle.json"),
        ({}, {"cni/a": b"x"}, "cni/a, which bundle.json lists, is missing"),
        ({"cni/b": b"x"}, {"cni/a": b"x"}, "differs from bundle.json"),
    ],
)
def test_what_is_not_as_promised_is_refused_as_a_whole(
    tmp_path: Path, members: dict[str, bytes], promised: dict[str, bytes], cause: str
) -> None:
    good = {"bin/kubelet": b"kubelet"}
    path = forged(tmp_path, good | members, index_of(good | promised))
    with pytest.raises(BundleError, match=cause) as caught:
        unpack(path, tmp_path / "cache")
    assert str(caught.value).startswith(f"{path}: ")
    assert everything(tmp_path) == ["forged.tar.zst"]


def test_a_file_may_come_once(tmp_path: Path) -> None:
    infos = [(tarfile.TarInfo("bundle.json"), index_of({"cni/a": b"x"}))]
    infos += [(tarfile.TarInfo("cni/a"), b"x"), (tarfile.TarInfo("cni/a"), b"x")]
    path = tmp_path / "twice.tar.zst"
    path.write_bytes(packed(infos))
    with pytest.raises(BundleError, match="differs from bundle"):
        unpack(path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("index", "cause"),
    [
        (b"{", "is not one of fabnode's"),
        (b"[]", "is not one of fabnode's"),
        (b"[" * 100_000, "is not one of fabnode's"),
        (index_of({}, files=[1]), "is not one of fabnode's"),
        (index_of({}, files={"cni/a": 1}), "is not one of fabnode's"),
        (index_of({}, format=2), "it has format 2"),
        (index_of({}, kubernetes=7), "has entries that no bundle has"),
        (
            index_of({}, files={"cni/a": {"sha256": "x", "size": 1}}),
            "has entries that no bundle has",
        ),
        (
            index_of({}, files={"cni/a": {"sha256": "a" * 64, "size": -1}}),
            "has entries that no bundle has",
        ),
        (index_of({}, files={"cni/a": {"sha256": "a" * 64, "size": 2**40}}), "would be 1024 GiB"),
    ],
)
def test_an_index_is_checked_before_anything_is_written(
    tmp_path: Path, index: bytes, cause: str
) -> None:
    path = forged(tmp_path, {}, index)
    with pytest.raises(BundleError, match=cause):
        unpack(path, tmp_path / "cache")
    assert everything(tmp_path) == ["forged.tar.zst"]


def test_what_is_no_bundle_at_all_is_a_sentence(tmp_path: Path) -> None:
    for content in (b"", b"text", packed([]), packed([(tarfile.TarInfo("x"), b"x")])):
        path = tmp_path / "x"
        path.write_bytes(content)
        with pytest.raises(BundleError, match="it is not a bundle"):
            unpack(path, tmp_path / "cache")
    with pytest.raises(BundleError, match="No such file"):
        unpack(tmp_path / "nowhere", tmp_path / "cache")


def test_a_bundle_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "whole", parts(tmp_path), "1.37.2")
    content = (tmp_path / "whole").read_bytes()
    for size in range(0, len(content) - 8, max(1, len(content) // 40)):
        path = tmp_path / "cut"
        path.write_bytes(content[:size])
        with pytest.raises(BundleError):
            unpack(path, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    position=st.integers(0, 10_000),
    garbage=st.binary(min_size=1, max_size=40),
)
def test_bytes_changed_anywhere_change_nothing_silently(
    tmp_path_factory: pytest.TempPathFactory, position: int, garbage: bytes
) -> None:
    """Either it is refused, or what comes out is what its own index promises."""
    folder = tmp_path_factory.mktemp("fuzz")
    infos = [(tarfile.TarInfo("bundle.json"), index_of(FILES))]
    infos += [(tarfile.TarInfo(name), content) for name, content in FILES.items()]
    plain = zstandard.ZstdDecompressor().decompress(packed(infos))
    at = position % len(plain)
    spoilt = plain[:at] + garbage + plain[at + len(garbage) :]
    path = folder / "spoilt"
    path.write_bytes(zstandard.ZstdCompressor().compress(spoilt))
    try:
        found = unpack(path, folder / "cache")
    except BundleError:
        return
    for name in found.files:
        assert (found.folder / name).is_relative_to(folder / "cache")
        assert (found.folder / name).is_file()
