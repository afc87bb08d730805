"""Image archives: what a node's `ctr images import` and a second build rely on."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from fabnode.artifacts import image_archives
from lab import images
from lab.images import Image
from lab.versions import CALICO


def layer_of(archive: Path) -> tarfile.TarFile:
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        layer = tar.extractfile(manifest[0]["Layers"][0]).read()  # type: ignore[union-attr]
    return tarfile.open(fileobj=io.BytesIO(layer))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    program = tmp_path / "program"
    program.write_bytes(b"code")
    program.chmod(0o700)
    text = tmp_path / "text"
    text.write_text("words")
    return Image(
        "docker.io/library/thing:1",
        (("opt/a", program), ("opt/b", program), ("etc/text", text)),
        links=(("bin/sh", "busybox"),),
        folders=("tmp",),
        config={"Cmd": ["sh"]},
    )


def test_the_same_image_is_the_same_bytes_whenever_made(image: Image, tmp_path: Path) -> None:
    images.write_archive(image, tmp_path / "1.tar")
    for _, source in image.files:
        source.touch()
    images.write_archive(image, tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_the_archive_names_the_image_and_its_layer_by_digest(image: Image, tmp_path: Path) -> None:
    images.write_archive(image, tmp_path / "it.tar")
    with tarfile.open(tmp_path / "it.tar") as tar:
        (entry,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(entry["Config"]))  # type: ignore[arg-type]
        layer = tar.extractfile(entry["Layers"][0]).read()  # type: ignore[union-attr]
    assert entry["RepoTags"] == ["docker.io/library/thing:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert config["config"] == {"Cmd": ["sh"]}


def test_an_archive_may_have_several_names(image: Image, tmp_path: Path) -> None:
    images.write_archive(replace(image, others=("x/thing:2",)), tmp_path / "it.tar")
    names, _ = image_archives.images(tmp_path / "it.tar")
    assert names == ["docker.io/library/thing:1", "x/thing:2"]


def test_a_program_may_run_as_its_owner(image: Image, tmp_path: Path) -> None:
    images.write_archive(replace(image, setuid=("opt/a",)), tmp_path / "it.tar")
    layer = layer_of(tmp_path / "it.tar")
    assert (layer.getmember("opt/a").mode, layer.getmember("etc/text").mode) == (0o4755, 0o644)


def test_a_file_with_two_names_is_stored_once(image: Image, tmp_path: Path) -> None:
    images.write_archive(image, tmp_path / "it.tar")
    layer = layer_of(tmp_path / "it.tar")
    assert layer.getmember("opt/b").islnk()
    assert layer.extractfile("opt/b").read() == b"code"  # type: ignore[union-attr]


def test_modes_are_plain_and_parents_come_first(image: Image, tmp_path: Path) -> None:
    images.write_archive(image, tmp_path / "it.tar")
    layer = layer_of(tmp_path / "it.tar")
    assert layer.getmember("opt/a").mode == 0o755
    assert layer.getmember("etc/text").mode == 0o644
    assert layer.getmember("tmp").mode == 0o1777
    names = layer.getnames()
    assert names.index("opt") < names.index("opt/a")
    assert len(names) == len(set(names))


def write_bird_template(calico: Path) -> None:
    template = calico / "confd/templates/bird_ipam.cfg.template"
    template.parent.mkdir(parents=True)
    template.write_text('before\n    krt_tunnel = "{{$data.ipip}}";\n    accept;\n')


def test_calico_node_puts_nothing_under_the_links_of_its_root(tmp_path: Path) -> None:
    base, calico = tmp_path / "base", tmp_path / "calico"
    (base / "usr/sbin").mkdir(parents=True)
    (base / "usr/share/doc").mkdir(parents=True)
    (base / "usr/share/doc/words").write_text("many")
    (base / "usr/sbin/xtables-nft-multi").write_text("x")
    (base / "sbin").symlink_to("usr/sbin")
    (calico / "filesystem/sbin").mkdir(parents=True)
    (calico / "filesystem/etc").mkdir()
    (calico / "filesystem/sbin/start_runit").write_text("#!/bin/sh")
    (calico / "filesystem/etc/rc.local").write_text("")
    (base / "etc").mkdir()
    (base / "etc/service").symlink_to("runit/current")
    (calico / "filesystem/etc/service").mkdir()
    (calico / "filesystem/etc/service/run").write_text("")
    (calico / "calico-node").write_text("x")
    write_bird_template(calico)
    image = images.calico_node(base, calico)
    inside = {name for name, _ in (*image.files, *image.links)}
    assert {"usr/sbin/start_runit", "usr/bin/calico-node", "etc/rc.local", "sbin"} <= inside
    assert not any(name.startswith(("bin/", "sbin/", "lib/")) for name in inside)
    assert "usr/share/doc/words" not in inside
    assert ("etc/service/run" in inside, "etc/service" in inside) == (True, False)
    assert dict(image.texts) == {images.BIRD_TEMPLATE: "before\n    accept;\n"}


def test_the_images_are_those_the_official_manifest_asks_for(tmp_path: Path) -> None:
    write_bird_template(tmp_path)
    names = {image.reference for image in images.images(tmp_path, tmp_path, tmp_path)}
    wanted = {f"docker.io/calico/{part}:v{CALICO}" for part in ("cni", "node", "kube-controllers")}
    assert wanted <= names
    assert len({images.archive_name(name) for name in names}) == len(names) == 5


def test_archive_names_are_short_and_readable() -> None:
    assert images.archive_name("docker.io/calico/node:v3.28.5") == "calico-node-v3.28.5.tar"
    assert images.archive_name("docker.io/library/busybox:1.35.0") == "busybox-1.35.0.tar"
    assert images.archive_name("registry.k8s.io/pause:3.10.1") == "pause-3.10.1.tar"
